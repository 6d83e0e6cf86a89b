"""What elements make of a half space into which lithium has just begun to come: their error, on one line of them.

At the surface of a half space that is held, or fed through a transfer, all is known: the uptake is 2 √(D t/π) per area
and concentration, or what Crank has for a transfer (The Mathematics of Diffusion, 2nd ed., 1975, eqs. 3.15 and 3.37).
Elements as thick as the layer or thicker cannot follow it. What they take up instead depends on nothing but their
degree, the time D t/h², and the Biot number k h/D: one line of them tells it.
"""

from dataclasses import dataclass
from functools import lru_cache
from math import sqrt

import numpy as np
import scipy.linalg
from scipy.special import erfcx

from microlith.imaging.typing import Array

RESOLVED = 1.0  # D t/h² from which on layers are thick enough for other estimates: the error fades to nothing there
EARLIEST = 1e-9  # D t/h² below which it is that at first
POINTS = 181  # times of the table
AHEAD = 10  # of them, up to three times as late, among which the error, which may change its sign, is the largest
ELEMENTS = 12  # in line; nothing comes as far as that


@dataclass(frozen=True, eq=False)
class HalfSpace:
    """The error in the uptake of elements, over time."""

    _times: Array  # D t/h², increasing
    _errors: Array

    @staticmethod
    @lru_cache(maxsize=512)
    def of(degree: int, biot: float) -> "HalfSpace":
        """On elements of a degree, for a Biot number k h/D; infinite where the surface is held."""
        times = np.asarray(np.geomspace(EARLIEST, RESOLVED, POINTS), dtype=np.float64)
        gap = np.abs(_uptake(degree, biot, times) - _exact(biot, times))
        padded = np.pad(gap, (0, AHEAD), mode="edge")
        largest = np.lib.stride_tricks.sliding_window_view(padded, AHEAD + 1).max(axis=1)
        return HalfSpace(times, largest * (1.0 - times / RESOLVED) / at_surface(degree))

    def error(self, times: Array) -> Array:
        """Error at times D t/h² >= 0, per integral of what is 1 at the nodes of the surface and 0 at the others."""
        return np.asarray(np.interp(times, self._times, self._errors))


def at_surface(degree: int) -> float:
    """Integral of the function that is 1 at the surface's node and 0 at all others, per width of an element."""
    return float(_line(degree)[0][0].sum())


def _exact(biot: float, times: Array) -> Array:
    """Uptake per area and concentration, of width of an element."""
    root = np.sqrt(times)
    if np.isinf(biot):
        return np.asarray(2.0 / sqrt(np.pi) * root)
    return np.asarray((erfcx(biot * root) - 1.0 + 2.0 / sqrt(np.pi) * biot * root) / biot)


def _uptake(degree: int, biot: float, times: Array) -> Array:
    """The same of elements in line, exact in time."""
    mass, stiffness = _line(degree)
    whole = mass.sum(axis=0)
    held = np.isinf(biot)
    free = np.arange(int(held), len(mass))
    start: Array = np.zeros(len(free))
    if held:  # as a problem starts: the projection of nothing, beside what is held
        start = np.asarray(np.linalg.solve(mass[1:, 1:], -mass[1:, 0]), dtype=float)
    else:
        stiffness[0, 0] += biot
    rates, modes = scipy.linalg.eigh(stiffness[np.ix_(free, free)], mass[np.ix_(free, free)])
    share = modes.T @ mass[np.ix_(free, free)] @ (start - 1.0)
    return np.asarray(whole.sum() + (whole[free] @ modes * share) @ np.exp(-np.outer(rates, times)))


@lru_cache(maxsize=8)
def reference_matrices(degree: int) -> tuple[Array, Array]:
    """Mass and stiffness of an element of width 1, with nodes evenly spaced; not to be changed."""
    nodes = np.linspace(0.0, 1.0, degree + 1)
    basis = [np.poly1d(np.linalg.solve(np.vander(nodes), row)) for row in np.eye(degree + 1)]
    mass = np.array([[np.polyint(a * b)(1.0) for b in basis] for a in basis])
    stiffness = np.array([[np.polyint(a.deriv() * b.deriv())(1.0) for b in basis] for a in basis])
    mass.setflags(write=False)
    stiffness.setflags(write=False)
    return mass, stiffness


def _line(degree: int) -> tuple[Array, Array]:
    """Mass and stiffness of ELEMENTS elements of width 1 in line, each with nodes evenly spaced, the surface first."""
    of_mass, of_stiffness = reference_matrices(degree)
    count = ELEMENTS * degree + 1
    mass, stiffness = np.zeros((count, count)), np.zeros((count, count))
    for first in range(0, count - 1, degree):
        some = slice(first, first + degree + 1)
        mass[some, some] += of_mass
        stiffness[some, some] += of_stiffness
    return mass, stiffness
