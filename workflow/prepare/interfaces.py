"""What a user should know of the interfaces of a case on its mesh."""

import logging
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from dolfinx import la
from dolfinx.mesh import CellType
from mpi4py import MPI

from microlith.imaging.image.volume import LabelVolume
from microlith.imaging.microstructure.adjacency import adjacency
from microlith.imaging.typing import Indices
from microlith.meshing.fidelity.surface_areas import has_steps, surface_areas, with_areas_of_image
from microlith.meshing.mesh.phasemesh import PhaseMesh, interface_tag
from microlith.solver.interfaces.partition import Link, links_of
from microlith.solver.physics.phases import Physics
from microlith.solver.problem.boundaries import BoundaryCondition, boundary_conditions, facets_of, phases_at
from microlith.solver.problem.problem import Problem
from microlith.workflow.prepare.first_time import element_length
from microlith.workflow.prepare.meshed import Meshed

log = logging.getLogger(__name__)
# Coefficient of a transfer through a surface, per what diffuses across a voxel, that leaves the surface nearly held:
# what a smooth mesh has too much of its area changes curves by some ten-thousandths of the source at most
AS_IF_HELD = 100.0
WORTH_TELLING = 1.005  # area of steps per that of the surface that they stand for


def interface_warnings(
    problem: Problem, mesh: PhaseMesh, physics: Physics, volume: LabelVolume, periodic: Sequence[str] = ()
) -> list[str]:
    """Sentences on interfaces that the mesh lost, and on surfaces that contradict a partition; collective.

    Laws between phases that do not touch in the image either are told as the case is held against its image.
    """
    stairs = [] if mesh.smooth else _stairs(mesh, passing(mesh, physics), "the error in space does")
    clashes = _clashes(problem, mesh, physics)
    if not physics.interfaces:
        return clashes + stairs
    return [
        *clashes,
        *_idle(mesh, physics, volume, periodic),
        *_contradictions(problem, mesh, physics),
        *stairs,
    ]


def passing(mesh: PhaseMesh, physics: Physics, below: float = np.inf) -> dict[str, tuple[int, ...]]:
    """Facet tags of the surfaces that lithium passes in proportion to their area, by what they are of; collective.

    Args:
        mesh: The solved phases.
        physics: With transfers, sinks and exchanges.
        below: Coefficient, m/s, from which on a surface is left out, at all times.
    """
    transfers = {
        condition.name: condition.tags
        for condition in boundary_conditions(physics)
        if condition.coefficient is not None
        and condition.coefficient.smallest < below
        and condition.name not in physics.faces
    }
    return transfers | _slow(mesh, physics, below)


def with_areas(meshed: Meshed, physics: Physics) -> Meshed:
    """A mesh with the areas of surfaces that lithium passes in proportion to these; collective.

    On squares and cubes the image's areas count. Nothing is measured on meshes of other programs, of which the image
    is made, nor where there are no such surfaces, or errors are not asked for.

    Args:
        meshed: The image and its mesh.
        physics: With transfers, sinks and exchanges.

    Raises:
        InputError: The image can't be read.
    """
    if meshed.case.mesh.unit is not None:
        return meshed
    if meshed.method != "voxel" and not meshed.case.mesh.estimate:
        return meshed
    below = np.inf
    if meshed.method != "voxel":  # whose areas are nearly right: no more is asked than whether they matter
        fastest = max((physics.phases[i].effective_diffusivity or np.inf for i in physics.solved), default=np.inf)
        below = AS_IF_HELD * fastest / meshed.volume.unit
    tags = sorted({tag for some in passing(meshed.mesh, physics, below).values() for tag in some})
    if all(tag in meshed.areas for tag in tags):
        return meshed
    found = surface_areas(meshed.volume, meshed.mesh, tags, meshed.mesh.mesh.comm)
    mesh = with_areas_of_image(meshed.mesh, found) if meshed.method == "voxel" else meshed.mesh
    larger = max((1.0 / share for share in mesh.smooth.values()), default=1.0)
    if larger > WORTH_TELLING and mesh.mesh.comm.rank == 0:
        log.info(
            "lithium passes surfaces by their areas in the image: those of the %s are up to %.2f times as large",
            "pixels" if meshed.volume.dim == 2 else "voxels",
            larger,
        )
    return replace(meshed, mesh=mesh, areas=found)


def composite_warnings(
    mesh: PhaseMesh, physics: Physics, volume: LabelVolume, periodic: Sequence[str] = ()
) -> tuple[str, ...]:
    """Sentences on interfaces between phases that conduct together which do nothing, or pass too much; collective.

    Args:
        mesh: Of these phases.
        physics: Whose transport phases they are.
        volume: The image.
        periodic: Axes along which it comes again.
    """
    if not physics.interfaces:
        return ()
    idle = _idle(mesh, physics, volume, periodic, "they do not touch")
    return (*idle, *_stairs(mesh, _slow(mesh, physics), "bounds do"))


def _idle(
    mesh: PhaseMesh, physics: Physics, volume: LabelVolume, periodic: Sequence[str], apart: str = ""
) -> list[str]:
    """Sentences on laws between solved phases that share no interface in the mesh; collective.

    Args:
        mesh: The mesh.
        physics: With the laws.
        volume: The image.
        periodic: Axes along which it comes again.
        apart: What is said of phases that do not touch in the image either; "": they are told elsewhere.
    """
    solved = {mesh.names[i] for i in physics.solved}
    there = {frozenset((mesh.names[link.first], mesh.names[link.second])) for link in links_of(mesh, physics)}
    pairs = [(law.first, law.second) for law in physics.interfaces]
    idle = [pair for pair in pairs if solved.issuperset(pair) and frozenset(pair) not in there]
    if not idle:
        return []
    touching, names = adjacency(volume, mesh.mesh.comm).repeated(periodic).touching, list(volume.names)
    lost = "they touch in the image, but share no interface in the mesh; smaller elements there may help"
    why = [lost if touching[names.index(first), names.index(second)] else apart for first, second in idle]
    return [
        f"[[interfaces]] between {first} and {second} has no effect: {reason}"
        for (first, second), reason in zip(idle, why, strict=True)
        if reason
    ]


def _slow(mesh: PhaseMesh, physics: Physics, below: float = np.inf) -> dict[str, tuple[int, ...]]:
    """Tags of the interfaces that pass lithium in proportion to their area, by their phases; collective."""
    return {
        f"{mesh.names[link.first]} and {mesh.names[link.second]}": (link.tag,)
        for link in links_of(mesh, physics)
        if link.exchange is not None and link.exchange < below
    }


def _stairs(mesh: PhaseMesh, tags: dict[str, tuple[int, ...]], unseen_by: str) -> list[str]:
    """A sentence on surfaces of voxels through which lithium passes in proportion to their area; collective.

    Args:
        mesh: The mesh.
        tags: Of such surfaces, by name.
        unseen_by: The figure that knows nothing of it.
    """
    if mesh.mesh.topology.cell_type not in (CellType.quadrilateral, CellType.hexahedron):
        return []
    names = [name for name, some in tags.items() if has_steps(mesh, some)]
    if not names:
        return []
    most = "1.4" if mesh.mesh.topology.dim == 2 else "1.7"
    return [
        f"the steps of {'pixels' if mesh.mesh.topology.dim == 2 else 'voxels'} make slanted and curved surfaces up to "
        f"{most} times too large, and as much too much lithium passes through those of {', '.join(names)}, which "
        f'{unseen_by} not see; compare with [mesh] method = "lattice"'
    ]


def _contradictions(problem: Problem, mesh: PhaseMesh, physics: Physics) -> list[str]:
    """Sentences on surfaces with one concentration for phases that can't be in equilibrium with it together.

    Where such phases meet at a surface that holds the concentration, the flux between them is that of a step, 1/r at
    a distance r of the line, and what flows has no limit. An exchange bounds it, from a distance on that elements
    have to follow. Where they don't meet there, or transfers let them differ, lithium flows round, and no more.
    """
    comm = mesh.mesh.comm
    element = element_length(problem)
    links = {link.pair: link for link in links_of(replace(mesh, smooth={}), physics)}  # exchange per area as given
    said = []
    for condition in boundary_conditions(physics):
        if condition.concentration is None or condition.concentration.largest == 0.0:
            continue
        facets = facets_of(mesh, condition)
        phases = phases_at(mesh, facets)
        here = np.bincount(phases, minlength=len(mesh.names)) > 0
        touched = np.flatnonzero(comm.allreduce(here.astype(np.int64), op=MPI.SUM))
        if len(np.unique(problem.factors[touched])) < 2:
            continue
        near = (
            []
            if condition.coefficient is not None
            else [
                _followed(links[pair], physics)
                for pair in _meeting(mesh, facets, phases, len(mesh.names))
                if pair in links and problem.factors[pair[0]] != problem.factors[pair[1]]
            ]
        )
        if near and min(near) == 0.0:
            said.append(
                f"{condition.name} holds its concentration on phases that are not in equilibrium with each other at "
                "that: where they meet at its surface the flow has no limit as the mesh gets finer; give it a "
                "mass_transfer, or in the image keep one of them away from it"
            )
        elif near and min(near) < element:
            said.append(
                f"{condition.name} holds its concentration on phases that are not in equilibrium with each other at "
                f"that: where they meet at its surface only elements of less than {min(near) * 1e6:.2g} µm follow "
                f"the flow between them, and these are {element * 1e6:.2g} µm long; give it a mass_transfer, or in "
                "the image keep one of them away from it"
            )
        else:
            names = " and ".join(mesh.names[i] for i in touched)
            said.append(
                f"{condition.name} feeds {names}, which are not in equilibrium with each other at one concentration: "
                "lithium flows from one to the other through it for ever, and what the partition asks for is not "
                "reached near it; in the image, keep one of them away from it"
            )
    return said


def _followed(link: Link, physics: Physics) -> float:
    """Distance from a line where a step meets an interface below which its exchange bounds the flux, m; 0: nowhere.

    At a distance r arcs of π/2 r in either phase and the exchange are in series.
    """
    if link.exchange is None:
        return 0.0
    one, other = (physics.phases[i].effective_diffusivity or 0.0 for i in (link.first, link.second))
    return 2.0 / (np.pi * link.exchange * (1.0 / one + 1.0 / (link.partition * other)))


def _clashes(problem: Problem, mesh: PhaseMesh, physics: Physics) -> list[str]:
    """Sentences on surfaces that hold different concentrations up to a line where they meet; collective.

    The flux is that of a step there, 1/r at a distance r of the line: what flows from one to the other has no limit.
    """
    held = [one for one in boundary_conditions(physics) if one.coefficient is None and one.concentration is not None]
    if len(held) < 2:
        return []
    count = len(mesh.names)
    facets = [facets_of(mesh, one) for one in held]
    phases = [phases_at(mesh, some) for some in facets]
    groups = [number * count + some for number, some in enumerate(phases)]
    tags = set().union(*mesh.mesh.comm.allgather(set(np.unique(mesh.facet_tags.values).tolist())))
    apart = {link.pair for link in links_of(mesh, physics) if link.exchange is not None}
    said: dict[tuple[str, str], str] = {}
    for one, other in _meeting(mesh, np.concatenate(facets), np.concatenate(groups), len(held) * count):
        (a, p), (b, q) = divmod(one, count), divmod(other, count)
        pair = (min(p, q), max(p, q))
        if a == b or pair in apart or (p != q and interface_tag(*pair) not in tags):
            continue
        if _differ(held[a], float(problem.factors[p]), held[b], float(problem.factors[q])):
            said.setdefault(
                (held[a].name, held[b].name),
                f"{held[a].name} and {held[b].name} hold different concentrations up to where they meet in "
                f"{mesh.names[p]}: what flows there from one to the other has no limit as the mesh gets finer, so that "
                "their fluxes and amounts mean little, unlike the curves; give one of them a mass_transfer, or in the "
                "image put a barrier between them",
            )
    return list(said.values())


def _differ(one: BoundaryCondition, factor: float, other: BoundaryCondition, others_factor: float) -> bool:
    """Whether what two surfaces hold is out of equilibrium at some time."""
    first, second = one.concentration, other.concentration
    assert first is not None  # as both hold one
    assert second is not None
    scaled = [course.scaled(1.0, of) for course, of in ((first, factor), (second, others_factor))]
    if all(course.is_constant for course in scaled):
        return not np.isclose(scaled[0].largest, scaled[1].largest, rtol=1e-9, atol=0.0)
    return scaled[0] != scaled[1]


def _meeting(mesh: PhaseMesh, facets: Indices, groups: NDArray[np.int32], number: int) -> list[tuple[int, int]]:
    """Pairs of groups of facets, the lower first, that share a vertex, the same on all ranks; collective.

    Args:
        mesh: The mesh.
        facets: Of this rank.
        groups: Of each of them.
        number: Of groups.
    """
    topology = mesh.mesh.topology
    topology.create_connectivity(topology.dim - 1, 0)
    vertices = topology.connectivity(topology.dim - 1, 0)
    each = int(vertices.offsets[1]) if len(vertices.offsets) > 1 else 1
    corners = vertices.array.reshape(-1, each)[facets]
    here = np.bincount(groups, minlength=number) > 0
    present = np.flatnonzero(mesh.mesh.comm.allreduce(here.astype(np.int64), op=MPI.SUM))
    there = la.vector(topology.index_map(0), max(len(present), 1), dtype=np.float32)
    flags = there.array.reshape(-1, max(len(present), 1))
    flags[corners, np.searchsorted(present, groups)[:, None]] = 1.0
    there.scatter_reverse(la.InsertMode.add)
    owned = flags[: topology.index_map(0).size_local] > 0
    together = mesh.mesh.comm.allreduce(owned.T.astype(np.float64) @ owned, op=MPI.SUM)
    return [(int(present[i]), int(present[j])) for i, j in zip(*np.nonzero(np.triu(together, 1)), strict=True)]
