"""Triangles by gmsh, fitted to smoothed interfaces."""
