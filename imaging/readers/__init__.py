"""Readers of volumes, and which reader a file gets."""
