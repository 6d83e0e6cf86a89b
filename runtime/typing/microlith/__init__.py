"""Lithium diffusion in segmented images of battery electrodes."""
