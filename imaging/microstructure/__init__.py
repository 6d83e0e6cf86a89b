"""Microstructure."""
