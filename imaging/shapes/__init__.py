"""Balls (in 2D disks) and prisms among the voxels of an image: recognised without tolerance, and their areas."""
