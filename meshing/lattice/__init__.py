"""Triangles or tetrahedra of a bisected lattice, cut along the interfaces of smoothed phases."""
