"""Closed forms of a slab that is fed from 0 to `length`, closed at its far end and empty at first, in changing ways.

Means over [a, b], x from the fed face. CJ: H. S. Carslaw and J. C. Jaeger, Conduction of Heat in Solids, 2nd ed., 1959.
"""

import numpy as np
from scipy.optimize import brentq

TERMS = np.arange(1, 2000)


def ramp_mean(times, a, b, length, diffusivity):
    """c = t held at 0 (CJ §3.5 eq. 3); 0 before time 0."""
    t = np.maximum(times, 0.0)
    n = np.arange(1500)
    k = (n + 0.5) * np.pi / length
    y, z = length - b, length - a
    steady = (_mean_square(y, z) - length**2) / (2 * diffusivity)
    modes = 2 / (length * diffusivity) * (-1.0) ** n / k**3 * _mean_cosine(k, y, z)
    return np.where(t > 0, t + steady + modes @ np.exp(-np.outer(k**2, diffusivity * t)), 0.0)


def flux_mean(times, a, b, length, diffusivity):
    """Unit flux enters at 0 (CJ §3.8 eq. 3); 0 before time 0."""
    t = np.maximum(times, 0.0)
    k = TERMS * np.pi / length
    y, z = length - b, length - a
    shape = (3 * _mean_square(y, z) - length**2) / (6 * length**2)
    modes = -2 / np.pi**2 * (-1.0) ** TERMS / TERMS**2 * _mean_cosine(k, y, z)
    decay = np.exp(-np.outer(k**2, diffusivity * t))
    return np.where(t > 0, t / length + length / diffusivity * (shape + modes @ decay), 0.0)


def flux_ramp_mean(times, a, b, length, diffusivity):
    """A flux that grows like t enters at 0: the integral of `flux_mean`; 0 before time 0."""
    t = np.maximum(times, 0.0)
    k = TERMS * np.pi / length
    y, z = length - b, length - a
    shape = (3 * _mean_square(y, z) - length**2) / (6 * length**2)
    modes = -2 / np.pi**2 * (-1.0) ** TERMS / TERMS**2 * _mean_cosine(k, y, z) / (diffusivity * k**2)
    gone = -np.expm1(-np.outer(k**2, diffusivity * t))
    return t**2 / (2 * length) + length / diffusivity * (shape * t + modes @ gone)


def _robin_modes(a, b, length, diffusivity, velocity):
    """Rates and means of the modes of 1 − c for −D ∂c/∂x = k (1 − c) at 0 (Crank, 1975, eq. 4.50)."""
    biot = velocity * length / diffusivity
    roots = [brentq(lambda q: q * np.sin(q) - biot * np.cos(q), n * np.pi, (n + 0.5) * np.pi) for n in range(600)]
    q = np.array(roots) / length
    amplitude = 2 * biot / ((np.square(roots) + biot**2 + biot) * np.cos(roots))
    return q, amplitude, amplitude * _mean_cosine(q, length - b, length - a)


def robin_ramp_mean(times, a, b, length, diffusivity, velocity):
    """−D ∂c/∂x = k (t − c) at 0: the integral of Crank's eq. 4.50; 0 before time 0."""
    t = np.maximum(times, 0.0)
    q, _, means = _robin_modes(a, b, length, diffusivity, velocity)
    rate = diffusivity * q**2
    return t - (means / rate) @ -np.expm1(-np.outer(rate, t))


def robin_then_rest_mean(times, a, b, length, diffusivity, velocity, until):
    """−D ∂c/∂x = k (1 − c) at 0 up to a time, no flux from then on: what is there evens out in cosines."""
    q, amplitude, means = _robin_modes(a, b, length, diffusivity, velocity)
    fed = 1 - means @ np.exp(-np.outer(diffusivity * q**2, np.minimum(times, until)))
    left = amplitude * np.exp(-diffusivity * q**2 * until)  # 1 − c = Σ left cos(q y) at the end of feeding
    p = np.arange(400)[:, None] * np.pi / length
    # ∫ cos(q y) cos(p y) dy over the slab
    overlap = 0.5 * length * (np.sinc((q - p) * length / np.pi) + np.sinc((q + p) * length / np.pi))
    share = (overlap @ left) / (0.5 * length)
    share[0] *= 0.5
    p = p[:, 0]
    decay = np.exp(-np.outer(diffusivity * p**2, np.maximum(times - until, 0.0)))
    rested = 1 - (share * _mean_cosine(p, length - b, length - a)) @ decay
    return np.where(times <= until, fed, rested)


def periodic_mean(times, a, b, length, diffusivity, period, amplitudes):
    """c = Σ Re(amplitudes[n] exp(i n ω t)) held at 0 for ever (CJ §3.6): what remains after long.

    Each harmonic goes as cosh(s y)/cosh(s length), s² = i n ω / D.
    """
    n = np.flatnonzero(amplitudes[1:]) + 1
    s = np.sqrt(2j * np.pi * n / period / diffusivity)
    y, z = length - b, length - a
    # sinh(s y)/cosh(s length) without overflow
    ratio = [(np.exp(s * (v - length)) - np.exp(-s * (v + length))) / (1 + np.exp(-2 * s * length)) for v in (y, z)]
    means = amplitudes[n] * (ratio[1] - ratio[0]) / (s * (z - y))
    return np.real(amplitudes[0]) + np.real(means @ np.exp(2j * np.pi * np.outer(n, times) / period))


def _mean_square(y, z):
    return (z**2 + y * z + y**2) / 3


def _mean_cosine(k, y, z):
    """Mean of cos(k v) over [y, z]."""
    middle, half = (y + z) / 2, (z - y) / 2
    return np.cos(k * middle) * np.sinc(k * half / np.pi)
