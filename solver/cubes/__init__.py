"""Steady diffusion through the cubes of a regular grid, without a mesh and without a matrix of its unknowns."""
