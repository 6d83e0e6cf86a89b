"""Balls (in 2D disks) and cylinders that part voxels: places where they may be, and fits without tolerance."""
