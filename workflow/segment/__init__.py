"""From a segmentation file to labels in a folder: reading the file, doing it, report and pictures."""
