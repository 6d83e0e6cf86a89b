"""Means of the concentration over regions and surfaces, as exact integrals."""
