"""Directions in which surfaces are looked at from all sides."""

import math

import numpy as np

from microlith.imaging.typing import Array


def even_directions(count: int) -> Array:
    """Unit vectors (count, 3) evenly over the sphere: Fibonacci's lattice."""
    height = 1 - (2 * np.arange(count) + 1) / count
    turn = np.pi * (1 + math.sqrt(5)) * np.arange(count)
    wide = np.sqrt(1 - height**2)
    return np.stack([height, wide * np.cos(turn), wide * np.sin(turn)], axis=1)
