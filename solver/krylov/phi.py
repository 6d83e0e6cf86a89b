"""The φ functions of exponential integrators, for arrays of arguments.

Hochbruck and Ostermann, Acta Numerica 19 (2010) 209-286, doi 10.1017/S0962492910000048; here of −x, which decays.
"""

from math import factorial

import numpy as np

from microlith.imaging.typing import Array


def phi1(x: Array) -> Array:
    """(1 − exp(−x))/x, 1 at x = 0."""
    safe = np.where(x == 0.0, 1.0, x)
    return np.where(x == 0.0, 1.0, -np.expm1(-safe) / safe)


def phi2(x: Array) -> Array:
    """(1 − φ1(x))/x, 1/2 at x = 0; its Taylor series where the difference would cancel."""
    small = np.abs(x) < 1e-2
    safe = np.where(small, 1.0, x)
    series = 0.5 - x / 6 + x**2 / 24 - x**3 / 120 + x**4 / 720
    return np.where(small, series, (1.0 - phi1(safe)) / safe)


def phi3(x: Array) -> Array:
    """(1/2 − φ2(x))/x, 1/6 at x = 0; its Taylor series where the difference would cancel."""
    small = np.abs(x) < 0.5
    safe = np.where(small, 1.0, x)
    series = np.polynomial.polynomial.polyval(np.where(small, -x, 0.0), [1.0 / factorial(n + 3) for n in range(12)])
    return np.where(small, series, (0.5 - phi2(safe)) / safe)
