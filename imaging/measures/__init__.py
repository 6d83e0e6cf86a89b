"""What is measured in segmented images: sizes, surfaces, distances and ways, in metres; no roles of phases."""
