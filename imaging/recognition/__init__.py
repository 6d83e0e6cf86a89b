"""Cylinders and prisms of which voxels leave no doubt, and the areas of their surfaces and of those of balls."""
