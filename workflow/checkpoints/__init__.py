"""Checkpoints of a run: what it has found so far, in files that are whole, and the signals that end it."""
