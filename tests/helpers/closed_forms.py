"""Closed forms of diffusion: J. Crank, The Mathematics of Diffusion, 2nd ed., Oxford 1975."""

import numpy as np
from scipy.optimize import brentq
from scipy.special import j1, jn_zeros

TERMS = 3000


def slab_mean(times, a, b, length, diffusivity):
    """Mean over [a, b] of a slab with c = 1 held at 0, no flux at `length`, empty at first (Crank eq. 4.17)."""
    k = (np.arange(TERMS) + 0.5) * np.pi / length
    modes = 2 / (length * k) * (np.cos(k * a) - np.cos(k * b)) / (k * (b - a))
    return 1 - modes @ np.exp(-np.outer(k**2, diffusivity * np.asarray(times)))


def decaying_slab_mean(times, a, b, length, diffusivity, rate):
    """As slab_mean, with a loss rate · c within: towards cosh(m (length − x)) / cosh(m length), m² = rate/D.

    The modes are those of slab_mean. P. V. Danckwerts, Trans. Faraday Soc. 47 (1951) 1014-1023, doi
    10.1039/TF9514701014.
    """
    m = np.sqrt(rate / diffusivity)
    steady = (np.sinh(m * (length - a)) - np.sinh(m * (length - b))) / (m * (b - a) * np.cosh(m * length))
    k = (np.arange(TERMS) + 0.5) * np.pi / length
    modes = 2 * k / (length * (k**2 + m**2)) * (np.cos(k * a) - np.cos(k * b)) / (k * (b - a))
    return steady - modes @ np.exp(-np.outer(k**2 + m**2, diffusivity * np.asarray(times)))


def slab_profile(x, time, length, diffusivity):
    """1 − c(x) of the same slab."""
    k = (np.arange(TERMS) + 0.5) * np.pi / length
    decay = np.exp(-(k**2) * diffusivity * time)
    some = decay > 1e-18
    return np.einsum("k,nk->n", 2 / (length * k[some]) * decay[some], np.sin(np.outer(x, k[some])))


def robin_slab_mean(times, a, b, length, diffusivity, velocity):
    """As slab_mean, with −D ∂c/∂x = k (1 − c) entering at 0 (Crank eq. 4.50)."""
    biot = velocity * length / diffusivity
    roots = np.array(
        [brentq(lambda q: q * np.sin(q) - biot * np.cos(q), n * np.pi + 1e-12, (n + 0.5) * np.pi) for n in range(400)]
    )
    amplitude = 2 * biot / ((roots**2 + biot**2 + biot) * np.cos(roots))
    # In Crank's x the closed side is at 0; here it is at `length`.
    low, high = (length - b) / length, (length - a) / length
    means = amplitude * (np.sin(roots * high) - np.sin(roots * low)) / (roots * (high - low))
    return 1 - means @ np.exp(-np.outer(roots**2, diffusivity * np.asarray(times) / length**2))


def disk_mean(times, radius, diffusivity):
    """Mean of a disk (cylinder) with c = 1 held at its rim, empty at first (Crank eq. 5.23)."""
    zeros = jn_zeros(0, TERMS)
    return 1 - (4 / zeros**2) @ np.exp(-np.outer(zeros**2, diffusivity * np.asarray(times) / radius**2))


def disk_inner_mean(times, inner, radius, diffusivity):
    """Mean over the concentric disk of radius `inner` of the same (Crank eq. 5.22, integrated)."""
    zeros = jn_zeros(0, TERMS)
    s = inner / radius
    weights = 4 * j1(zeros * s) / (zeros**2 * s * j1(zeros))
    return 1 - weights @ np.exp(-np.outer(zeros**2, diffusivity * np.asarray(times) / radius**2))


def two_sided_slab_mean(times, a, b, length, diffusivity, left, right):
    """Mean over [a, b] of a slab held at `left` and `right`, empty at first (Crank eq. 4.22)."""
    n = np.arange(1, TERMS)
    k = n * np.pi / length
    steady = left + (right - left) * (a + b) / (2 * length)
    amplitude = 2 / (n * np.pi) * (right * np.cos(n * np.pi) - left)
    means = amplitude * (np.cos(k * a) - np.cos(k * b)) / (k * (b - a))
    return steady + means @ np.exp(-np.outer(k**2, diffusivity * np.asarray(times)))


def sink_slab_mean(times, a, b, length, diffusivity, velocity):
    """Mean over [a, b] of a slab with c = 1 held at 0 and −D ∂c/∂x = k c at `length`, empty at first.

    Separation of variables: c = 1 − B x / ((1 + B) length) − Σ A_n sin(q_n x / length) exp(−D q_n² t / length²),
    B = k length / D, q_n cot q_n = −B (Carslaw and Jaeger, Conduction of Heat in Solids, 2nd ed., §3.11).
    """
    biot = velocity * length / diffusivity
    roots = np.array(
        [
            brentq(lambda q: q * np.cos(q) + biot * np.sin(q), (n + 0.5) * np.pi, (n + 1) * np.pi - 1e-12)
            for n in range(400)
        ]
    )
    norm = 0.5 - np.sin(2 * roots) / (4 * roots)
    slope = biot / (1 + biot)
    steady_moment = (1 - np.cos(roots)) / roots - slope * (np.sin(roots) / roots**2 - np.cos(roots) / roots)
    amplitude = steady_moment / norm
    low, high = a / length, b / length
    means = amplitude * (np.cos(roots * low) - np.cos(roots * high)) / (roots * (high - low))
    decay = np.exp(-np.outer(roots**2, diffusivity * np.asarray(times) / length**2))
    return 1 - slope * (low + high) / 2 - means @ decay


def sphere_mean(times, radius, diffusivity):
    """Mean of a sphere with c = 1 held at its surface, empty at first (Crank eq. 6.20)."""
    n = np.arange(1, TERMS)
    decay = np.exp(-np.outer((n * np.pi) ** 2, diffusivity * np.asarray(times) / radius**2))
    return 1 - (6 / (np.pi * n) ** 2) @ decay


def two_layer_mean(times, a, b, thicknesses, diffusivities, porosities):
    """Mean over [a, b] of two layers with c = 1 held at 0 and no flux at the far end, empty at first.

    Separation of variables: in the layers sin(p x) and A cos(q (L − x)), p and q = λ √(ε/D), with c and the flux
    D ∂c/∂x continuous between them (Carslaw and Jaeger, Conduction of Heat in Solids, 2nd ed., §12.8).
    """
    (l1, l2), (d1, d2), (e1, e2) = thicknesses, diffusivities, porosities
    r1, r2 = np.sqrt(e1 / d1), np.sqrt(e2 / d2)

    def condition(x):
        p, q = x * r1, x * r2
        return d1 * r1 * np.cos(p * l1) * np.cos(q * l2) - d2 * r2 * np.sin(p * l1) * np.sin(q * l2)

    grid = (np.arange(60_000) + 0.37) * (np.pi / (l1 * r1 + l2 * r2)) / 40
    at = np.flatnonzero(np.sign(condition(grid[:-1])) != np.sign(condition(grid[1:])))
    roots = np.array([brentq(condition, grid[i], grid[i + 1], xtol=1e-15 * grid[i + 1]) for i in at])
    p, q = roots * r1, roots * r2
    # The larger of the two conditions of continuity, lest both sides vanish.
    sine, cosine = np.sin(p * l1), np.cos(q * l2)
    by_flux = d1 * p * np.cos(p * l1) / np.where(np.sin(q * l2) == 0, 1.0, d2 * q * np.sin(q * l2))
    factor = np.where(np.abs(cosine) > 0.5, sine / np.where(cosine == 0, 1.0, cosine), by_flux)

    def integral(low, high):
        """Of each mode, weighted by nothing, over the part of [low, high] in each layer."""
        u, v = np.clip([low, high], 0, l1)
        first = (np.cos(p * u) - np.cos(p * v)) / p
        u, v = np.clip([low, high], l1, l1 + l2)
        second = factor * (np.sin(q * (l1 + l2 - u)) - np.sin(q * (l1 + l2 - v))) / q
        return first, second

    whole = integral(0, l1 + l2)
    squared = e1 * (l1 / 2 - np.sin(2 * p * l1) / (4 * p)) + e2 * factor**2 * (l2 / 2 + np.sin(2 * q * l2) / (4 * q))
    amplitude = (e1 * whole[0] + e2 * whole[1]) / squared
    means = amplitude * np.sum(integral(a, b), axis=0) / (b - a)
    return 1 - means @ np.exp(-np.outer(roots**2, times))
