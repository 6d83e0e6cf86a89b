"""Errors of curves told from solutions on several meshes: observed orders and Richardson's extrapolation.

L. F. Richardson, The deferred approach to the limit, Phil. Trans. R. Soc. A 226 (1927) 299, doi
10.1098/rsta.1927.0008; sizes of cells from their number, orders from three meshes of any ratio and the safety factor
after I. B. Celik, U. Ghia, P. J. Roache, C. J. Freitas, H. Coleman and P. E. Raad, Procedure for estimation and
reporting of uncertainty due to discretization in CFD applications, J. Fluids Eng. 130 (2008) 078001, doi
10.1115/1.2960953.
"""

from dataclasses import dataclass

import numpy as np

from microlith.imaging.typing import Array

SAFETY = 1.5  # on the error that an established order gives; 1.25 did not bound that of the demo case on all regions
TRUSTED = 2.0  # highest order that errors are told from: polygons for curved interfaces err by the square of the size
LEAST_ORDER = 0.5  # slower than that, three meshes tell nothing about a limit
WINDOW = 2.0  # ratio of times within which the largest estimate counts
ALIKE = 0.6  # cosine between the changes from mesh to mesh over time, above which they count as one law


@dataclass(frozen=True)
class Convergence:
    """What solutions on finer and finer meshes say of one curve."""

    order: float | None  # observed, power of the size with which the changes fall; None: not yet asymptotic
    constant: Array  # (times,) error per size^power, with its safety factor
    power: float  # that errors are told from: `order`, but 2 at most, or 1 where it is not established
    limit: Array  # (times,) extrapolated curve; where no order is established, the finest one

    def error(self, size: float) -> Array:
        """Estimated error of the curve on a mesh of cells of this size, (times,)."""
        return self.constant * size**self.power


def enveloped(times: Array, errors: Array) -> Array:
    """Largest estimate around each time: where a difference of two curves changes its sign, they are no better.

    Args:
        times: (times,) increasing.
        errors: (..., times) not negative.

    Returns:
        Per time the largest error between the time over WINDOW and the time by WINDOW. On a side where no other time is
        so near, that at its end counts, from a straight line to the next time over the logarithm of the time.
    """
    first = np.searchsorted(times, times / WINDOW, side="left")
    last = np.searchsorted(times, times * WINDOW, side="right")
    found = np.stack([errors[..., i:j].max(axis=-1) for i, j in zip(first, last, strict=True)], axis=-1)
    for at, time in enumerate(times):
        sides = ((at - 1, first[at] == at > 0), (at + 1, last[at] == at + 1 < len(times)))
        for beside in (side for side, alone in sides if alone and time > 0 and times[side] > 0):
            share = np.log(WINDOW) / abs(np.log(times[beside] / time))
            there = errors[..., at] + share * (errors[..., beside] - errors[..., at])
            found[..., at] = np.maximum(found[..., at], there)
    return found


def cell_size(cells: int, dim: int) -> float:
    """Size that stands for a mesh, up to a factor that all meshes of one image share: cells^(-1/dim)."""
    return float(cells) ** (-1.0 / dim)


def convergence(sizes: Array, curves: Array, degree: int, noise: float = 0.0) -> Convergence:
    """Order and errors of one curve from its solutions on two or more meshes; the three finest count for the order.

    The error on a mesh of size h is taken as C(t) h^q, where q is such that the largest changes over time from mesh to
    mesh have the right ratio. q counts as established where three meshes change the curve in the same direction at the
    times that matter, less and less, and 0.5 <= q <= degree + 1 (above, it is taken as degree + 1). Errors are told
    from 2 at most: three meshes that are not fine enough yet easily show an order that does not last, and a smaller
    one gives larger errors. Where q is not established, the error is the largest difference of the finest solution to
    any other, and taken to fall with h.

    Args:
        sizes: (meshes,) of the cells, decreasing.
        curves: (meshes, times) solutions.
        degree: Of the elements.
        noise: Differences below that say nothing, as the error in time has a share in them.

    Raises:
        ValueError: There are fewer than two meshes, or their sizes do not decrease.
    """
    if len(sizes) < 2 or (np.diff(sizes) >= 0).any():
        raise ValueError(f"expected two or more decreasing sizes, got {list(sizes)}")
    order = observed_order(sizes[-3:], curves[-3:], degree, noise) if len(sizes) > 2 else None
    if order is None:
        spread = np.abs(curves[:-1] - curves[-1]).max(axis=0)
        return Convergence(None, spread / sizes[-1], 1.0, curves[-1].copy())
    change = curves[-1] - curves[-2]
    power = min(order, TRUSTED)
    per_power = 1.0 / (sizes[-2] ** power - sizes[-1] ** power)
    constant = SAFETY * np.abs(change) * per_power
    return Convergence(order, constant, power, curves[-1] + change * per_power * sizes[-1] ** power)


def observed_order(sizes: Array, curves: Array, degree: int, noise: float = 0.0) -> float | None:
    """Power of the size with which three solutions of a curve approach each other; None where they do not.

    Args:
        sizes: (3,) decreasing.
        curves: (3, times).
        degree: Of the elements; the order is cut at degree + 1.
        noise: Largest change that says nothing.
    """
    first, second = curves[1] - curves[0], curves[2] - curves[1]
    large, small = float(np.abs(first).max()), float(np.abs(second).max())
    alike = float(first @ second) / max(float(np.linalg.norm(first) * np.linalg.norm(second)), 1e-300)
    if small <= noise or alike < ALIKE:
        return None

    from scipy.optimize import brentq  # late, as only studies of several meshes need it

    def mismatch(order: float) -> float:
        """Above zero where the changes fall faster than with this order."""
        a, b, c = (float(size) ** order for size in sizes / sizes[0])
        return large / small - (a - b) / (b - c)

    highest = degree + 1.0
    if mismatch(LEAST_ORDER) < 0:
        return None
    if mismatch(highest) > 0:
        return highest
    return float(brentq(mismatch, LEAST_ORDER, highest, xtol=1e-6))
