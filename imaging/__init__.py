"""Segmented images: reading, segmenting, measuring; knows nothing of meshes."""
