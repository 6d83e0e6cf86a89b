"""Shortest ways within a set of voxels, as taut strings: where its walls are, what sees what, and the front."""
