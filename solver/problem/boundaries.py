"""Surfaces where lithium enters or leaves: sources, sinks and fed faces, and where they lie on a mesh."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

import ufl
from dolfinx import fem
from dolfinx.mesh import meshtags
from mpi4py import MPI
from ufl.core.expr import Expr

from microlith.imaging.axes import AXES
from microlith.imaging.typing import Array, Indices
from microlith.meshing.mesh.phasemesh import PhaseMesh, face_tag, interface_tag
from microlith.solver.physics.courses import Course, course_of
from microlith.solver.physics.phases import FARADAY, FaceCondition, Physics, Role


@dataclass(frozen=True)
class BoundaryCondition:
    """What happens at the surface of a source or sink, or at an outer face."""

    name: str  # of the phase or the face
    tags: tuple[int, ...]  # of the facets that it holds on
    concentration: Course | None  # mol/m^3, held there or on the far side of the transfer; None: the flux is given
    coefficient: Course | None = None  # of the transfer, m/s; None: the concentration is held
    flux: Course | None = None  # mol/(m^2 s) into the domain
    per_whole_face: bool = False  # whether the flux counts per area of the whole face, not only of the solved phases
    phases: tuple[int, ...] | None = None  # transport phases that it holds for; None: all
    capacity: float | None = None  # mol/m^2 that a sink takes up at most

    @property
    def is_idle(self) -> bool:
        """Whether nothing ever passes: the coefficient of the transfer, or the flux, is 0 at all times."""
        passing = self.flux if self.flux is not None else self.coefficient
        return passing is not None and passing.smallest == passing.largest == 0.0


@dataclass(frozen=True, eq=False)
class SmoothMeasure:
    """Integrals over parts of a surface, each counted by the area of the smooth surface that its steps stand for."""

    parts: tuple[tuple[fem.Constant, ufl.Measure], ...]  # area of the smooth surface per that of the steps

    def __rmul__(self, integrand: Expr) -> ufl.Form:
        """The integral, written as with any other measure."""
        return sum((share * integrand * measure for share, measure in self.parts), start=ufl.Form([]))


@dataclass(frozen=True)
class Boundary:
    """A part of the surface where lithium enters or leaves, on the mesh."""

    name: str
    facets: Indices  # of this rank
    measure: ufl.Measure | SmoothMeasure
    concentration: Course | None  # mol/m^3, held there or on the far side of the transfer
    coefficient: Course | None  # of the transfer, m/s
    flux: Course | None  # mol/(m^2 s) into the domain, per area of the facets
    capacity: float | None = None  # mol/m^2 that a sink takes up at most

    @property
    def holds(self) -> bool:
        """Whether the concentration is given there."""
        return self.concentration is not None and self.coefficient is None


def boundary_conditions(physics: Physics) -> list[BoundaryCondition]:
    """All sources, sinks and fed faces. Barriers and other faces are where nothing happens."""
    conditions = []
    for i, phase in enumerate(physics.phases):
        tags = tuple(interface_tag(i, s) for s in physics.solved)
        if phase.role is Role.SOURCE:
            assert phase.concentration is not None  # as every case's sources have one
            transfer = None if phase.mass_transfer is None else course_of(phase.mass_transfer)
            conditions.append(BoundaryCondition(phase.name, tags, course_of(phase.concentration), transfer))
        elif phase.role is Role.SINK:
            assert phase.uptake is not None  # as every case's sinks have one
            velocity, nothing = course_of(phase.uptake), Course.constant(0.0)
            conditions.append(BoundaryCondition(phase.name, tags, nothing, velocity, capacity=phase.capacity))
    names = [phase.name for phase in physics.phases]
    return conditions + [_at_face(name, face, names) for name, face in physics.faces.items()]


def _at_face(name: str, face: FaceCondition, names: list[str]) -> BoundaryCondition:
    tags = (face_tag(name),)
    phases = None if face.phases is None else tuple(names.index(phase) for phase in face.phases)
    if face.concentration is not None:
        transfer = None if face.mass_transfer is None else course_of(face.mass_transfer)
        return BoundaryCondition(name, tags, course_of(face.concentration), transfer, phases=phases)
    if face.flux is not None:
        return BoundaryCondition(name, tags, None, flux=course_of(face.flux), phases=phases)
    assert face.current_density is not None  # as a condition says one of the three
    flux = course_of(face.current_density).scaled(1.0, FARADAY)  # Faraday's law, one electron per lithium
    return BoundaryCondition(name, tags, None, flux=flux, per_whole_face=True, phases=phases)


def boundaries_of(mesh: PhaseMesh, physics: Physics) -> list[Boundary]:
    """Where lithium enters or leaves, in the order of precedence; a facet belongs to one of them at most; collective.

    Sinks that fill up come last: they say themselves what they take, so unknowns that they share are the others'.
    """
    conditions = sorted(boundary_conditions(physics), key=lambda condition: condition.capacity is not None)
    facets = [facets_of(mesh, condition) for condition in conditions]
    parts = [_parts(mesh, condition, some) for condition, some in zip(conditions, facets, strict=True)]
    of_all = [part for some in parts for _, part in some]
    every = np.concatenate([np.empty(0, np.int32), *of_all]).astype(np.int32)
    number = np.repeat(np.arange(len(of_all), dtype=np.int32), [len(some) for some in of_all])
    order = np.argsort(every)
    marks = meshtags(mesh.mesh, mesh.mesh.topology.dim - 1, every[order], number[order])
    ds = ufl.Measure("ds", domain=mesh.mesh, subdomain_data=marks)
    found, first = [], 0
    for i, condition in enumerate(conditions):
        measure: ufl.Measure | SmoothMeasure = ds(first)
        if parts[i][0][0] is not None:
            measure = SmoothMeasure(
                tuple((fem.Constant(mesh.mesh, share), ds(first + k)) for k, (share, _) in enumerate(parts[i]))
            )
        first += len(parts[i])
        flux = condition.flux
        if flux is not None and condition.per_whole_face:
            flux = _per_solved_area(mesh, condition.name, flux, measure)
        given = condition.concentration, condition.coefficient, flux, condition.capacity
        found.append(Boundary(condition.name, facets[i], measure, *given))
    return found


def _parts(mesh: PhaseMesh, condition: BoundaryCondition, facets: Indices) -> list[tuple[float | None, Indices]]:
    """Facets of a condition by the share of their area that counts; None: they are one part, and all of it does."""
    if condition.coefficient is None or not any(tag in mesh.smooth for tag in condition.tags):
        return [(None, facets)]
    shares = smooth_shares(mesh, facets)
    return [(share, facets[shares == share]) for share in sorted({mesh.smooth.get(tag, 1.0) for tag in condition.tags})]


def smooth_shares(mesh: PhaseMesh, facets: Indices) -> Array:
    """Area of the smooth surface per that of each of some facets (n,) with tags: less than 1 where they are steps."""
    at = np.searchsorted(mesh.facet_tags.indices, facets)
    share: Array = np.ones(int(mesh.facet_tags.values.max(initial=0)) + 1)
    for tag, part in mesh.smooth.items():
        if tag < len(share):
            share[tag] = part
    return np.asarray(share[mesh.facet_tags.values[at]])


def _per_solved_area(mesh: PhaseMesh, face: str, flux: Course, measure: ufl.Measure | SmoothMeasure) -> Course:
    """A flux per area of a whole face as one per area of the solved phases there; collective."""
    axis = AXES.index(face[0])
    whole = float(np.prod([edge for k, edge in enumerate(mesh.extent) if k != axis]))
    covered = area(mesh, measure)
    return flux.scaled(1.0, covered / whole) if covered > 0 else flux


def area(mesh: PhaseMesh, measure: ufl.Measure | SmoothMeasure) -> float:
    """Area (length in 2D) of a part of the surface over all ranks, in mesh units; collective."""
    form = fem.form(fem.Constant(mesh.mesh, 1.0) * measure)
    return float(mesh.mesh.comm.allreduce(fem.assemble_scalar(form), op=MPI.SUM))


def facets_of(mesh: PhaseMesh, condition: BoundaryCondition) -> Indices:
    """This rank's facets on which a condition holds."""
    facets: Indices = mesh.facet_tags.indices[np.isin(mesh.facet_tags.values, condition.tags)]
    return facets if condition.phases is None else facets[np.isin(phases_at(mesh, facets), condition.phases)]


def phases_at(mesh: PhaseMesh, facets: Indices) -> NDArray[np.int32]:
    """Phase of the solved cell at each of some outer facets."""
    phase = np.zeros(len(mesh.cell_tags.values), np.int32)  # every cell has a tag
    phase[mesh.cell_tags.indices] = mesh.cell_tags.values
    return phase[cells_at(mesh, facets)]


def cells_at(mesh: PhaseMesh, facets: Indices) -> Indices:
    """The solved cell at each of some outer facets."""
    topology = mesh.mesh.topology
    topology.create_connectivity(topology.dim - 1, topology.dim)
    cells = topology.connectivity(topology.dim - 1, topology.dim)
    found: Indices = cells.array[cells.offsets[facets]]
    return found
