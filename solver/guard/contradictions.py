"""Surfaces that ask for what can't be: concentrations that differ where they meet, or out of equilibrium for ever."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from dolfinx import la
from mpi4py import MPI

from microlith.imaging.typing import Indices
from microlith.meshing.mesh.phasemesh import PhaseMesh, interface_tag
from microlith.solver.interfaces.partition import Link, links_of
from microlith.solver.physics.phases import Physics
from microlith.solver.problem.boundaries import BoundaryCondition, boundary_conditions, facets_of, phases_at
from microlith.solver.problem.problem import Problem


def contradictions(problem: Problem, mesh: PhaseMesh, physics: Physics, element: float) -> list[str]:
    """Sentences on surfaces with one concentration for phases that can't be in equilibrium with it together.

    Where such phases meet at a surface that holds the concentration, the flux between them is that of a step, 1/r at
    a distance r of the line, and what flows has no limit. An exchange bounds it, from a distance on that elements
    have to follow. Where they don't meet there, or transfers let them differ, lithium flows round, and no more.

    Args:
        problem: On the mesh.
        mesh: The solved phases.
        physics: Of the problem.
        element: Length of its elements, m.
    """
    comm = mesh.mesh.comm
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


def clashes(problem: Problem, mesh: PhaseMesh, physics: Physics) -> list[str]:
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
