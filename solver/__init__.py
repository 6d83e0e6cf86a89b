"""Transient diffusion on a tagged mesh."""
