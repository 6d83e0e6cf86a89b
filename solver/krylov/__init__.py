"""Krylov."""
