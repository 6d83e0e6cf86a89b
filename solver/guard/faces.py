"""Faces that a flux or a current takes more lithium out of than there is, looked for at all times of a solution."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from mpi4py import MPI

from microlith.imaging.typing import Array
from microlith.solver.physics.phases import Physics
from microlith.solver.problem.boundaries import boundary_conditions, facets_of, phases_at
from microlith.solver.problem.problem import Problem

NOTABLE = 0.01  # of the reference concentration: elements overshoot by less, on average over a face, once they follow


@dataclass(frozen=True)
class Emptied:
    """A face at which the mean concentration falls below zero."""

    face: str
    time: float  # s, when it is lowest
    value: float | None  # mol/m^3, mean over the face; None: phases there hold different amounts in equilibrium


class FaceWatch:
    """Takes down the least mean concentration at each face out of which a flux is given.

    A held concentration makes elements overshoot around it until lithium has come as far as they are long; so nothing
    counts before that. A flux itself makes them err to the side that is right.
    """

    def __init__(self, problem: Problem, physics: Physics, element: float) -> None:
        """Start with nothing seen; collective.

        Args:
            problem: What is solved.
            physics: Phases in the order of the mesh's tags, and what acts on them.
            element: Length of an element, m.
        """
        self._comm = problem.space.mesh.comm
        self._scale = problem.scales.concentration
        held = [load.course for load in problem.system.loads if load.drag is not None]
        bends = [bend for course in held for bend in course.kinks(1.0)]
        self._bends = np.array([0.0, *sorted(bends)]) * problem.scales.time  # of what is held
        mesh = problem.discretization.mesh
        self._faces: list[_Face] = []
        conditions = {condition.name: condition for condition in boundary_conditions(physics)}
        for load in problem.system.loads:
            if not load.is_flux or load.course.smallest >= 0:
                continue
            here = np.bincount(phases_at(mesh, facets_of(mesh, conditions[load.name])), minlength=len(mesh.names))
            touched = np.flatnonzero(self._comm.allreduce((here > 0).astype(np.int64), op=MPI.SUM))
            area = self._comm.allreduce(float(load.push.sum()), op=MPI.SUM)
            if len(touched) == 0 or area <= 0:
                continue
            slowest = min(
                (physics.phases[i].effective_diffusivity or 0.0) / physics.phases[i].porosity for i in touched
            )
            factors = np.unique(problem.factors[touched])
            self._faces.append(
                _Face(
                    load.name,
                    load.push / area,
                    element**2 / slowest if slowest > 0 else np.inf,
                    float(factors[0]) if len(factors) == 1 else None,
                )
            )
        self._lowest: Array = np.zeros(len(self._faces))
        self._at: Array = np.zeros(len(self._faces))

    def see(self, time: float, owned: Array) -> None:
        """Look at the owned unknowns at a time (s); collective."""
        if not self._faces:
            return
        since = time - self._bends[max(int(np.searchsorted(self._bends, time)) - 1, 0)]
        means = self._comm.allreduce(np.array([face.weights @ owned for face in self._faces]), op=MPI.SUM)
        for i, face in enumerate(self._faces):
            if since >= face.followed_after and means[i] < self._lowest[i]:
                self._lowest[i], self._at[i] = means[i], time

    def state(self) -> list[Any]:
        """What was seen, as JSON can hold it; the same on all ranks."""
        return [self._lowest.tolist(), self._at.tolist()]

    def take_up(self, state: list[Any]) -> None:
        """Take up what an earlier process has seen."""
        self._lowest, self._at = (np.array(some, dtype=float) for some in state)

    def emptied(self) -> Emptied | None:
        """The face that has fallen farthest below zero; None: none has. The same on all ranks."""
        if not self._faces or self._lowest.min() > -NOTABLE:
            return None
        worst = int(self._lowest.argmin())
        face = self._faces[worst]
        value = None if face.factor is None else float(self._lowest[worst]) * face.factor * self._scale
        return Emptied(face.name, float(self._at[worst]), value)


@dataclass(frozen=True, eq=False)
class _Face:
    """An outer face with a flux out of it."""

    name: str
    weights: Array  # (owned,) that make the mean over the face of the unknowns
    followed_after: float  # s: until when elements may overshoot after a jump
    factor: float | None  # of the phases at it; None: they differ
