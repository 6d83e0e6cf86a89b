"""Vertices placed on the interfaces of their cells, without spoiling a cell, until the phases have their volumes."""

from dataclasses import dataclass

import numpy as np

from microlith.imaging.typing import Array, Flags, Numbers
from microlith.meshing.lattice.cutting import CutCells
from microlith.meshing.lattice.newton import followed
from microlith.meshing.lattice.rank_boxes import SharedVertices
from microlith.meshing.lattice.voxel_fields import VoxelFields
from microlith.meshing.mesh.simplices import dot, sharpness, shortest_edges, touching

GOOD = float(np.cos(np.radians(14.0)))  # cells are not made sharper than that to bring a vertex closer to its place
STEPS = 3  # of Newton's method towards the places of the vertices
ARRIVED = 1e-6  # voxels: shorter steps are not taken
LONGEST_MOVE = 0.45  # of the shortest edge at a vertex
ALIKE = 0.3  # sine of the angle between two gradients below which their equations are one
HALVINGS = 3  # of a move that spoils a cell, before it is given up


@dataclass(frozen=True)
class VertexSurroundings:
    """What the vertices of a rank's cells lie on."""

    phases: Flags  # (n, phases) of the cells around each
    fixed: Flags  # (n, dim) coordinates held by the faces of the image
    shortest: Array  # (n,) shortest edge at each
    shared: SharedVertices
    numbers: Numbers  # (n,) the same on all ranks and on opposite periodic faces

    @property
    def on_interface(self) -> Flags:
        """Vertices (n,) with cells of several phases around them."""
        return np.asarray(self.phases.sum(axis=1) > 1)


def surroundings(
    cut: CutCells, phases: int, extent: Array, shared: SharedVertices, numbers: Numbers
) -> VertexSurroundings:
    """Find what each vertex lies on; collective.

    Args:
        cut: This rank's cells.
        phases: Number of phases.
        extent: Edge lengths of the image.
        shared: Vertices that other ranks have too.
        numbers: Of the vertices, the same on all ranks and on opposite periodic faces.
    """
    around = np.zeros((len(cut.points), phases), bool)
    for corner in range(cut.cells.shape[1]):
        around[cut.cells[:, corner], cut.phase] = True
    bits = shared.combined(np.packbits(around, axis=1), np.bitwise_or)
    return VertexSurroundings(
        phases=np.unpackbits(bits, axis=1, count=phases).astype(bool),
        fixed=(cut.points == 0) | (cut.points == extent),
        shortest=shared.combined(shortest_edges(cut.points, cut.cells), np.minimum),
        shared=shared,
        numbers=numbers,
    )


def placed(
    points: Array, cut: CutCells, about: VertexSurroundings, indicators: VoxelFields, lead: Array, extent: Array
) -> Array:
    """Move the vertices on interfaces to where the indicators of their phases are equal; collective.

    Where cells of three phases meet, that is a line; where more do, a point. A move that would make a cell sharper than
    GOOD, and than it was, is halved or given up.

    Args:
        points: (n, dim) of the vertices.
        cut: The cells.
        about: What the vertices lie on.
        indicators: One for each phase.
        lead: (phases,) added to the indicators.
        extent: Edge lengths of the image.

    Returns:
        Points (n, dim), of which only those on interfaces have moved.
    """
    chosen = np.flatnonzero(about.on_interface)
    way = np.zeros_like(points)
    way[chosen] = _ways(points[chosen], about, chosen, indicators, lead, extent)
    if about.shared.one_of is not None:  # rounding tells opposite ones apart
        way = about.shared.combined(way, np.minimum)
    moving = np.zeros(len(points), bool)
    moving[chosen] = (np.abs(way[chosen]) > 1e-9).any(axis=1)
    cells = cut.cells[touching(cut.cells, moving)]
    before = np.maximum(sharpness(points, cells), GOOD) + 1e-9
    share = np.ones(len(points))
    check: Numbers = np.arange(len(cells))
    while True:
        moved = points + share[:, None] * way
        spoiled = sharpness(moved, cells[check]) > before[check]
        own = np.zeros(len(points), bool)
        own[cells[check[spoiled]]] = True
        hit = about.shared.combined(own, np.logical_or)
        if not about.shared.comm.allreduce(bool((hit & (share > 0)).any()), _either):
            return moved
        share[hit] = np.where(share[hit] > 0.5**HALVINGS, share[hit] / 2, 0.0)
        check = np.flatnonzero(touching(cells, hit))


def _either(one: bool, other: bool) -> bool:
    return one or other


def _ways(
    start: Array,
    about: VertexSurroundings,
    chosen: Numbers,
    indicators: VoxelFields,
    lead: Array,
    extent: Array,
) -> Array:
    """Ways (n, dim) of the chosen vertices to their places, by Newton's method with steps of least length."""
    around, fixed = about.phases[chosen], about.fixed[chosen]

    def step(going: Numbers, here: Array) -> Array:
        return _step(here, around[going], fixed[going], indicators, lead)

    way = followed(start, STEPS, ARRIVED, extent, step) - start
    length = np.sqrt(dot(way.T, way.T))
    return np.asarray(way * np.minimum(1.0, LONGEST_MOVE * about.shortest[chosen] / np.maximum(length, 1e-12))[:, None])


def _step(at: Array, around: Flags, fixed: Flags, indicators: VoxelFields, lead: Array) -> Array:
    """Step (n, dim) of least length after which the indicators of the phases around are equal, if they are linear."""
    several = around.sum(axis=1)
    equations = min(at.shape[1], around.shape[1] - 1)
    values = np.where(around.T, indicators.at(at) + lead[:, None], -np.inf)
    order: list[Numbers] = []
    for _ in range(equations + 1):
        best = values.argmax(axis=0)
        order.append(best)
        np.put_along_axis(values, best[None], -np.inf, axis=0)
    step = np.zeros_like(at)
    basis: list[Array] = []
    for number, other in enumerate(order[1:], start=1):
        has = np.flatnonzero(several > number)
        first = order[0][has]
        value, slope = indicators.difference_and_gradient(first, other[has], at[has])
        gap = np.zeros(len(at))
        gradient = np.zeros_like(at)
        gap[has] = value + (lead[first] - lead[other[has]])
        gradient[has] = np.where(fixed[has], 0.0, slope)
        new, part = gradient, -gap - dot(gradient.T, step.T)
        for vector in basis:
            new = new - dot(new.T, vector.T)[:, None] * vector
        size, whole = np.sqrt(dot(new.T, new.T)), np.sqrt(dot(gradient.T, gradient.T))
        useful = size > np.maximum(ALIKE * whole, 0.03)
        unit = np.where(useful[:, None], new / np.where(useful, size, 1.0)[:, None], 0.0)
        step = step + np.where(useful, part / np.where(useful, size, 1.0), 0.0)[:, None] * unit
        basis.append(unit)
    return step
