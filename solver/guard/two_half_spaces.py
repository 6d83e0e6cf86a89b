"""What elements make of two half spaces that have just met: the error in what passes, on one line of them.

Each began with a concentration of its own. What passes per area is known: e₁ e₂/(e₁ + e₂) 2 √(t/π) per difference, with
e = √(D ε) of either; with a film or a finite exchange between them, it is what Laplace's transform gives (Carslaw and
Jaeger, Conduction of Heat in Solids, 2nd ed., 1959, section 2.15). Elements as thick as the layers or thicker cannot
follow it; see `half_space`, of which this is the same with something on the other side.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import scipy.linalg
from scipy.special import erfcx

from microlith.imaging.typing import Array
from microlith.solver.guard.half_space import AHEAD, EARLIEST, ELEMENTS, POINTS, at_surface, reference_matrices

MORE, GROWTH = 40, 1.15  # elements behind the even ones, and how they grow: layers of fast media go far


@dataclass(frozen=True)
class Beyond:
    """The other half space, per this one."""

    thickness: float  # of the elements
    conduction: float  # flux per gradient of what is the same on both sides in equilibrium
    storage: float
    biot: float = np.inf  # k h/D of what is between them, by this side's elements; infinite: equilibrium

    @property
    def unit(self) -> float:
        """Time in which a layer gets as thick as its elements, per that of this side."""
        return self.thickness**2 * self.storage / self.conduction


@dataclass(frozen=True, eq=False)
class TwoHalfSpaces:
    """The error in what has passed into this one, over time."""

    _times: Array  # D t/h² of this side, increasing
    _errors: Array

    @staticmethod
    @lru_cache(maxsize=512)
    def of(degree: int, beyond: Beyond) -> "TwoHalfSpaces":
        """On elements of a degree."""
        ends = min(1.0, beyond.unit), max(1.0, beyond.unit)
        times = np.asarray(np.geomspace(EARLIEST * ends[0], ends[1], POINTS), dtype=np.float64)
        gap = np.abs(_passed(degree, beyond, times) - _exact(beyond, times))
        padded = np.pad(gap, (0, AHEAD), mode="edge")
        largest = np.lib.stride_tricks.sliding_window_view(padded, AHEAD + 1).max(axis=1)
        return TwoHalfSpaces(times, largest * (1.0 - times / ends[1]) / at_surface(degree))

    def error(self, times: Array) -> Array:
        """Error at times D t/h² >= 0, per difference, and per integral of what is 1 at the nodes between, else 0."""
        return np.asarray(np.interp(times, self._times, self._errors))


def _exact(beyond: Beyond, times: Array) -> Array:
    """What has passed, per area, difference and width of an element of this side."""
    slow, root = 1.0 + 1.0 / np.sqrt(beyond.conduction * beyond.storage), np.sqrt(times)
    spread = 2.0 / np.sqrt(np.pi) * root
    if np.isinf(beyond.biot):
        return np.asarray(spread / slow)
    rate = beyond.biot * slow
    return np.asarray((erfcx(rate * root) - 1.0 + rate * spread) * beyond.biot / rate**2)


def _passed(degree: int, beyond: Beyond, times: Array) -> Array:
    """The same of elements in line, exact in time."""
    widths = np.concatenate([np.ones(ELEMENTS), GROWTH ** np.arange(1, MORE + 1)])
    count, of_mass, of_stiffness = len(widths), *reference_matrices(degree)
    joined = np.isinf(beyond.biot)
    size = 2 * count * degree + (1 if joined else 2)
    mass, stiffness, here = np.zeros((size, size)), np.zeros((size, size)), np.zeros(size)
    sides = (widths[::-1] * beyond.thickness, beyond.conduction, beyond.storage), (widths, 1.0, 1.0)
    for side, (each, conduction, storage) in enumerate(sides):
        begin = 0 if side == 0 else count * degree + (0 if joined else 1)
        for number, width in enumerate(each):
            some = slice(begin + number * degree, begin + (number + 1) * degree + 1)
            mass[some, some] += storage * width * of_mass
            stiffness[some, some] += conduction / width * of_stiffness
            if side == 1:
                here[some] += storage * width * of_mass.sum(axis=0)
    if not joined:
        at = count * degree
        stiffness[at : at + 2, at : at + 2] += beyond.biot * np.array([[1.0, -1.0], [-1.0, 1.0]])
    rates, modes = scipy.linalg.eigh(stiffness, mass)
    start = modes.T @ (mass.sum(axis=0) - here)  # the projection of 1 beyond, 0 here
    return np.asarray((here @ modes * start) @ np.exp(-np.outer(np.maximum(rates, 0.0), times)))
