"""Balls (in 2D disks), cylinders and prisms among voxels: recognised without tolerance, and their areas."""
