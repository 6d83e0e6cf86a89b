"""Volumes in files that are worked on block by block."""
