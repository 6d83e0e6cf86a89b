"""Surfaces of 3D runs, and how they come to a picture off screen."""
