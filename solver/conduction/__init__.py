"""Steady diffusion through an image between opposite faces: effective diffusivities, and bounds of them."""
