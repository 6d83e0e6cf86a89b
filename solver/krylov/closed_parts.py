"""Parts of a problem whose amount nothing but given fluxes changes: no digit of it is to be lost in long runs."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from mpi4py import MPI

from microlith.imaging.typing import Array, Numbers
from microlith.solver.linear.solvers import matrix_times
from microlith.solver.problem.system import LinearSystem


@dataclass(frozen=True, eq=False)
class ClosedParts:
    """Connected parts from whose constants K takes nothing away: no concentration is held there, nothing transfers."""

    of: Numbers  # (owned,) number of the closed part of each unknown, from 0 on all ranks; the last for those of none
    weights: Array  # (owned,) M 1
    whole: Array  # (closed parts,) what they store per unit of u
    comm: MPI.Intracomm

    def amounts(self, stored: Array) -> Array:
        """Sums over each closed part, (closed parts,), of M u or of a load, (owned,); collective."""
        return self._sums(stored[self._closed])

    def with_amounts(self, u: Array, wanted: Array) -> Array:
        """U (owned,) with a constant added in each closed part, so that its amount is as wanted; collective."""
        found, there = u.copy(), u[self._closed]
        stored = self._sums(self.weights[self._closed] * there)
        found[self._closed] = there + ((wanted - stored) / self.whole)[self.of[self._closed]]
        return found

    def split(self, load: Array) -> tuple[Array, Array]:
        """A load without its mean in each closed part, and the rate at which u grows by that, (owned,); collective."""
        drift = self._at_unknowns(self.amounts(load) / self.whole)
        return load - drift * self.weights, drift

    @cached_property
    def _closed(self) -> Numbers:
        """The unknowns in closed parts: often few of all."""
        return np.flatnonzero(self.of < len(self.whole))

    def _sums(self, stored: Array) -> Array:
        """Sums over each closed part of what is at the unknowns in them; collective."""
        sums = np.bincount(self.of[self._closed], stored, minlength=len(self.whole))
        return np.asarray(self.comm.allreduce(sums, op=MPI.SUM))

    def _at_unknowns(self, values: Array) -> Array:
        return np.append(values, 0.0)[self.of]


def closed_parts(system: LinearSystem) -> ClosedParts | None:
    """The closed parts, by what the case has and not by its size; None where there are none; collective."""
    comm = system.mass.comm.tompi4py()
    part = system.parts.of_dof[: len(system.taken)]
    weights = matrix_times(system.mass, np.ones_like(system.taken))
    per_part = np.zeros((2, system.parts.count))
    np.add.at(per_part[0], part[system.taken != 0.0], 1.0)
    per_part[1] = np.bincount(part, weights, minlength=system.parts.count)
    feeding, whole = comm.allreduce(per_part, op=MPI.SUM)
    closed = np.flatnonzero(feeding == 0)
    if len(closed) == 0:
        return None
    number = np.full(system.parts.count, len(closed))
    number[closed] = np.arange(len(closed))
    return ClosedParts(number[part], weights, whole[closed], comm)
