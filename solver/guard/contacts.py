"""How far means over regions are off while two phases that began differently even out, in layers thinner than elements.

All estimates may agree on what is wrong there as at surfaces that are held (see `thin_layers`): the nodes between the
phases are at some concentration from the beginning, and elements pass on at once what lies between them and the next
ones. How much that is comes from the mesh, how it fades from two half spaces of the same elements.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from microlith.imaging.typing import Array, Flags, Indices, Numbers
from microlith.solver.guard.layer_sides import Sides, class_of, diffusivity_across, of_class, phase_of_cells
from microlith.solver.guard.two_half_spaces import Beyond, TwoHalfSpaces
from microlith.solver.interfaces.partition import Link, links_of
from microlith.solver.physics.courses import Course
from microlith.solver.physics.phases import Physics
from microlith.solver.problem.problem import Problem
from microlith.solver.regions.means import RegionMean

WHOLE = 0.01  # of what a node counts for: how much of it may lie outside a region that has all of it


@dataclass(frozen=True)
class _Between:
    """Facets between two phases, seen from one of them, at elements of about one thickness on either side."""

    here: int  # phases
    there: int
    thickness: float  # of the elements here, mesh units
    across: float  # D_eff across the facets per effective_diffusivity
    thicker: float  # elements there, per here
    across_there: float


def contact_errors(problem: Problem, physics: Physics, means: Mapping[str, RegionMean], times: Array) -> Array:
    """Error of the mean over each region from layers between phases, (regions, times), mol/m^3; collective.

    0 once layers are thicker than the elements on both sides. Where phases don't start even, as from an earlier result,
    what counts is how the start jumps between nodes of their own; at common nodes it doesn't.

    Args:
        problem: That was solved.
        physics: Of the problem.
        means: Regions.
        times: (times,) s.
    """
    found = np.zeros((len(means), len(times)))
    u = problem.start_of_phase / problem.factors
    if problem.start_values is None and len(np.unique(u[list(physics.solved)])) < 2:
        return found
    links = {link.pair: link for link in links_of(problem.discretization.mesh, physics)}
    sides, keys = _between(problem, physics)
    rows = np.array([mean.weights for mean in means.values()])
    shares = np.array([mean.phase_shares for mean in means.values()])
    for key in sides.keys(keys):
        one = _Between(key[0], key[1], *(of_class(number) for number in key[2:]))
        error = _faded(one, links.get((min(key[:2]), max(key[:2]))), problem, physics, times)
        if error is None:
            continue
        part = shares[:, one.here] / np.maximum(shares[:, one.here] + shares[:, one.there], np.finfo(float).tiny)
        even = physics.phases[one.here].porosity == physics.phases[one.there].porosity
        mixed = (part > 0.0) & (part < 1.0) & even  # what leaves one part of such a region is in the other
        counted = rows
        if mixed.any():
            whole = _whole_nodes(problem, means, physics.phases[one.here].porosity)
            counted = np.where(mixed[:, None] & whole, 0.0, rows)
        starts = sides.starts((keys == key).all(axis=1), keys[:, 0] == one.here, counted)
        found += np.outer(starts * part, error)
    return found


def _between(problem: Problem, physics: Physics) -> tuple[Sides, Numbers]:
    """Both sides of all facets between phases, and (n, 6) phases, classes of what `_Between` has; collective."""
    topology = problem.discretization.mesh.mesh.topology
    dim = topology.dim
    topology.create_connectivity(dim - 1, dim)
    topology.create_connectivity(dim, dim - 1)
    links, phase = topology.connectivity(dim - 1, dim), phase_of_cells(problem)
    inner = np.flatnonzero(np.diff(links.offsets) == 2)
    both = links.array[links.offsets[inner][:, None] + np.arange(2)]
    unlike = phase[both[:, 0]] != phase[both[:, 1]]
    inner, both = inner[unlike].astype(np.int32), both[unlike]
    cells = np.concatenate([both[:, 0], both[:, 1]])
    beyond = np.concatenate([both[:, 1], both[:, 0]])
    facets = np.concatenate([inner, inner])
    to_facets = topology.connectivity(dim, dim - 1)
    every = to_facets.array.reshape(-1, int(to_facets.offsets[1]) if len(to_facets.offsets) > 1 else 1)
    own = cells < topology.index_map(dim).size_local
    facets, cells, beyond = facets[own], cells[own], beyond[own]
    place, other_place = (_place(every, facets, some) for some in (cells, beyond))
    gap = problem.scales.concentration * np.abs(_start(problem, cells, place) - _start(problem, beyond, other_place))
    here = Sides(problem, physics, facets, cells, place, gap[:, None])
    there = Sides(problem, physics, facets, beyond, other_place, np.zeros((len(facets), 1)))
    # The other side by full factors of 2 only, so that there are not too many pairs
    thicker = class_of(2.0 ** np.round(np.log2(there.thickness / here.thickness)))
    keys = np.column_stack([here.phase, there.phase, here.classes, thicker, there.classes[:, 1]])
    return here, keys


def _place(every: Indices, facets: Indices, cells: Indices) -> Numbers:
    """Number of each facet in its cell, from the facets (cells, facets per cell) of all cells."""
    return np.asarray(np.argmax(every[cells] == facets[:, None], axis=1), dtype=np.int64)


def _start(problem: Problem, cells: Indices, place: Numbers) -> Array:
    """Unknown at first at facets of cells, (n,), the mean over the nodes there where phases don't start even."""
    phase = phase_of_cells(problem)[cells]
    if problem.start_values is None:
        return np.asarray(problem.start_of_phase[phase] / problem.factors[phase])
    space = problem.display.space
    closures = np.array(space.element.basix_element.entity_closure_dofs[space.mesh.topology.dim - 1])
    dofs = np.take_along_axis(space.dofmap.list[cells], closures[place], axis=1)
    return np.asarray(problem.start_values[dofs].mean(axis=1) / problem.factors[phase])


def _faded(one: _Between, link: Link | None, problem: Problem, physics: Physics, times: Array) -> Array | None:
    """Error over times per what the nodes would jump by; None where nothing passes."""
    here, there = physics.phases[one.here], physics.phases[one.there]
    of_here, of_there = problem.factors[one.here], problem.factors[one.there]
    level = problem.scales.concentration * problem.start_of_phase
    conduction = one.across * diffusivity_across(here, Course.constant(level[one.there] * of_here / of_there))
    beyond = one.across_there * diffusivity_across(there, Course.constant(level[one.here] * of_there / of_here))
    if conduction <= 0.0 or beyond <= 0.0:
        return None
    length = problem.scales.length * one.thickness
    biot = np.inf
    if link is not None and link.exchange is not None:
        biot = link.exchange * problem.factors[link.first] / of_here * length / conduction
        if biot <= 0.0:
            return None
        biot = of_class(float(class_of(biot)))
    per_unknown = of_there / of_here
    other = Beyond(
        one.thicker,
        of_class(float(class_of(per_unknown * beyond / conduction))),
        of_class(float(class_of(per_unknown * there.porosity / here.porosity))),
        biot,
    )
    unit = length**2 * here.porosity / conduction  # s per D t/h²
    return TwoHalfSpaces.of(problem.discretization.degree, other).error(np.maximum(times, 0.0) / unit)


def _whole_nodes(problem: Problem, means: Mapping[str, RegionMean], porosity: float) -> Flags:
    """(regions, owned) whether all that a node counts for is in the region; of one porosity all around."""
    rows = np.array([mean.weights if mean.by_mesh is None else mean.by_mesh for mean in means.values()])
    volume = problem.scales.length**problem.discretization.mesh.mesh.topology.dim
    measures = np.array([mean.solved_measure for mean in means.values()]) / volume
    return np.asarray(np.abs(rows * measures[:, None] * porosity) > (1.0 - WHOLE) * np.abs(problem.amount))
