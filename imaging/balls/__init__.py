"""Balls (in 2D disks) among the voxels of an image: recognised without tolerance, and the area of their surfaces."""
