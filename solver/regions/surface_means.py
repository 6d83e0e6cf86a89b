"""The concentration on the surface that a phase turns to other solved phases, in groups of facets such as particles.

Where the phase is solved for itself, the concentration is that of its surroundings. Values come from the cell outside
of each facet, so that they are right where the concentration jumps, too.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

import basix
from dolfinx import fem
from mpi4py import MPI

from microlith.imaging.typing import Array
from microlith.meshing.mesh.cells import cell_nodes
from microlith.meshing.mesh.phasemesh import PhaseMesh, interface_tag
from microlith.solver.regions.parts import PartsOfCells

Index = NDArray[np.int32]

FACETS_AT_ONCE = 50_000  # facets looked at together, which bounds the memory
PIECES = {1: 1, 2: 4, 3: 6}  # by degree: parts of a facet's edge within which the field is taken as linear for shares


@dataclass(frozen=True, eq=False)
class SurfaceFacets:
    """Facets between a phase and solved ones, each on the rank that owns the cell outside of the phase."""

    cell: Index  # (n,) the cell outside
    place: Index  # (n,) number of the facet in that cell
    corners: Array  # (n, corners, dim), mesh units
    measure: Array  # (n,) lengths (areas), mesh units
    inwards: Array  # (n, dim) unit vectors into the phase
    outside: Index  # (n,) phase of the cell

    @property
    def center(self) -> Array:
        """Middles, (n, dim), mesh units."""
        return self.corners.mean(axis=1)


def surface_facets(mesh: PhaseMesh, phase: int, solved: list[int]) -> SurfaceFacets:
    """The surface that a phase turns to solved phases other than itself, this rank's share of it.

    Args:
        mesh: The solved phases, with tags of interfaces.
        phase: Index of the phase, solved for or not.
        solved: Indices of the solved phases.
    """
    topology = mesh.mesh.topology
    dim = topology.dim
    topology.create_connectivity(dim - 1, dim)
    topology.create_connectivity(dim, dim - 1)
    owned = topology.index_map(dim).size_local
    tags = [interface_tag(phase, other) for other in solved if other != phase]
    facets = mesh.facet_tags.indices[np.isin(mesh.facet_tags.values, tags)]
    of_cell = np.zeros(len(mesh.cell_tags.values), np.int32)
    of_cell[mesh.cell_tags.indices] = mesh.cell_tags.values
    links = topology.connectivity(dim - 1, dim)
    starts = links.offsets[facets]
    cell = np.full(len(facets), -1, np.int32)
    for side in range(2):
        there = side < links.offsets[facets + 1] - starts
        candidate = links.array[np.where(there, starts + side, 0)] if len(facets) else cell
        outside = there & (of_cell[candidate] != phase)
        cell[outside] = candidate[outside]
    mine = (cell >= 0) & (cell < owned)
    facets, cell = facets[mine], cell[mine]
    kind = mesh.mesh.basix_cell()
    of_facets = np.array(basix.topology(kind)[dim - 1])  # corners of each facet
    numbers = topology.connectivity(dim, dim - 1).array.reshape(-1, len(of_facets))
    place = (numbers[cell] == facets[:, None]).argmax(axis=1).astype(np.int32)
    nodes = cell_nodes(mesh.mesh)[cell]
    x = mesh.mesh.geometry.x[:, :dim]
    corners = x[np.take_along_axis(nodes, of_facets[place], axis=1)]
    along = corners[:, 1:dim] - corners[:, :1]
    if dim == 2:
        normal = np.stack([along[:, 0, 1], -along[:, 0, 0]], axis=1)
        measure = np.linalg.norm(normal, axis=1)
    else:
        normal = np.cross(along[:, 0], along[:, 1])
        measure = np.linalg.norm(normal, axis=1) / (2 if corners.shape[1] == 3 else 1)
    away = corners.mean(axis=1) - x[nodes].mean(axis=1) if len(cell) else np.empty((0, dim))
    normal *= np.where((normal * away).sum(axis=1) < 0, -1.0, 1.0)[:, None]
    normal /= np.maximum(np.linalg.norm(normal, axis=1), 1e-300)[:, None]
    return SurfaceFacets(cell, place, corners, measure, normal, of_cell[cell])


def measures_of(facets: SurfaceFacets, group: Index, count: int, comm: MPI.Intracomm) -> Array:
    """Length (area) of each group of facets, (count,), mesh units, over all ranks; collective."""
    return np.asarray(comm.allreduce(np.bincount(group, facets.measure, minlength=count)), np.float64)


def mean_rows(
    space: fem.FunctionSpace, facets: SurfaceFacets, group: Index, count: int, factors: Array | None = None
) -> csr_array:
    """Means over groups of facets as linear functionals of the unknowns, (count, owned); collective.

    Args:
        space: Scalar Lagrange space of the unknowns u, continuous or not.
        facets: This rank's.
        group: (n,) of each facet, from 0.
        count: Number of groups; the row of one without a facet is zero.
        factors: (phases,) κ of c = κ u in each phase; None: 1.
    """
    comm, element = space.mesh.comm, space.element.basix_element
    index_map = space.dofmap.index_map
    owned = index_map.size_local
    measure = measures_of(facets, group, count, comm)
    dofs = space.dofmap.list
    row: list[NDArray[np.int64]] = [np.empty(0, np.int64)]
    column: list[NDArray[np.int64]] = [np.empty(0, np.int64)]
    value: list[Array] = [np.empty(0)]
    of_facets = _on_facets(element, element.degree)
    for place, chosen in _by_place(facets):
        weights, basis = of_facets[place]
        mean = weights @ basis
        used = np.flatnonzero(np.abs(mean) > 1e-14)
        column.append(dofs[facets.cell[chosen]][:, used].ravel().astype(np.int64))
        row.append(np.repeat(group[chosen].astype(np.int64), len(used)))
        share = facets.measure[chosen] / measure[group[chosen]]
        share = share if factors is None else share * factors[facets.outside[chosen]]
        value.append((share[:, None] * mean[used]).ravel())
    rows, columns, values = (np.concatenate(parts) for parts in (row, column, value))
    mine = columns < owned
    # What falls to the unknowns of other ranks goes there.
    ghost = columns[~mine] - owned
    owner, number = np.asarray(index_map.owners)[ghost], np.asarray(index_map.ghosts, np.int64)[ghost]
    parcels = [(rows[~mine][owner == r], number[owner == r], values[~mine][owner == r]) for r in range(comm.size)]
    arrived = comm.alltoall(parcels)
    rows = np.concatenate([rows[mine], *(parcel[0] for parcel in arrived)])
    columns = np.concatenate([columns[mine], *(parcel[1] - index_map.local_range[0] for parcel in arrived)])
    values = np.concatenate([values[mine], *(parcel[2] for parcel in arrived)])
    return csr_array((values, (rows, columns)), shape=(count, owned))


def facet_parts(space: fem.FunctionSpace, facets: SurfaceFacets) -> PartsOfCells:
    """Facets as parts of their cells, to look at the field there.

    Args:
        space: Of the unknowns.
        facets: This rank's.
    """
    element = space.element.basix_element
    kind = _facet_type(element.cell_type)
    corners = np.array(_tabulated(element, basix.geometry(kind)))
    no_index = np.empty(0, np.intp)
    cells, measure, place = facets.cell.astype(np.intp), facets.measure, facets.place
    if kind == basix.CellType.quadrilateral:  # two triangles
        halves = corners[:, [[0, 1, 2], [1, 2, 3]]]
        at = halves[place].reshape(-1, 3, element.dim)
        return PartsOfCells(no_index, np.empty(0), np.repeat(cells, 2), np.repeat(measure / 2, 2), at.mean(axis=1), at)
    means = np.array([weights @ basis for weights, basis in _on_facets(element, element.degree)])
    return PartsOfCells(no_index, np.empty(0), cells, measure, means[place], corners[place])


@dataclass(frozen=True, eq=False)
class SurfaceState:
    """The concentration on groups of facets at one time; nan where a group has no facet. The same on all ranks."""

    mean: Array  # (groups,)
    deviation: Array  # (groups,) standard deviation over the surface
    least: Array  # (groups,)
    most: Array  # (groups,)
    active: Array  # (groups,) share of the surface above the threshold


def surface_state(
    space: fem.FunctionSpace, facets: SurfaceFacets, group: Index, count: int, values: Array, threshold: Array
) -> SurfaceState:
    """How the concentration is spread over groups of facets; collective.

    Means and deviations are exact integrals. Shares are those of the field taken as linear within parts of the facets,
    exact at degree 1; extremes are those at the corners of these parts.

    Args:
        space: Of the field.
        facets: This rank's.
        group: (n,) of each facet.
        count: Number of groups.
        values: Local entries of the field, ghosts included.
        threshold: (n,) of each facet, in the unit of the values.
    """
    comm, element = space.mesh.comm, space.element.basix_element
    dofs = space.dofmap.list
    exact = _on_facets(element, 2 * element.degree)
    lattice = _lattice(element)
    sums, squares = np.zeros((count, 3)), np.zeros(count)  # of measures, and these times the mean, the active share
    least, most = np.full(count, np.inf), np.full(count, -np.inf)
    for place, chosen in _by_place(facets):
        of, size = group[chosen], facets.measure[chosen]
        at_dofs = values[dofs[facets.cell[chosen]]]
        weights, basis = exact[place]
        at_points = at_dofs @ lattice.basis[place].T
        sums[:, 0] += np.bincount(of, size, minlength=count)
        sums[:, 1] += np.bincount(of, size * (at_dofs @ (weights @ basis)), minlength=count)
        share = share_above(at_points[:, lattice.simplices] - threshold[chosen, None, None], 0.0).mean(axis=1)
        sums[:, 2] += np.bincount(of, size * share, minlength=count)
        np.minimum.at(least, of, at_points.min(axis=1))
        np.maximum.at(most, of, at_points.max(axis=1))
    sums = comm.allreduce(sums)
    none = sums[:, 0] == 0
    whole = np.where(none, np.nan, sums[:, 0])
    mean = sums[:, 1] / whole
    for place, chosen in _by_place(facets):
        weights, basis = exact[place]
        off = values[dofs[facets.cell[chosen]]] @ basis.T - mean[group[chosen]][:, None]
        squares += np.bincount(group[chosen], facets.measure[chosen] * (off**2 @ weights), minlength=count)
    comm.Allreduce(MPI.IN_PLACE, least, op=MPI.MIN)
    comm.Allreduce(MPI.IN_PLACE, most, op=MPI.MAX)
    return SurfaceState(
        mean=mean,
        deviation=np.sqrt(comm.allreduce(squares) / whole),
        least=np.where(none, np.nan, least),
        most=np.where(none, np.nan, most),
        active=sums[:, 2] / whole,
    )


def _by_place(facets: SurfaceFacets) -> Iterator[tuple[int, NDArray[np.intp]]]:
    """Facets with the same number in their cells, some at a time."""
    for place in np.unique(facets.place):
        chosen = np.flatnonzero(facets.place == place)
        for start in range(0, len(chosen), FACETS_AT_ONCE):
            yield int(place), chosen[start : start + FACETS_AT_ONCE]


def _on_facets(element: basix.finite_element.FiniteElement, degree: int) -> list[tuple[Array, Array]]:
    """Per facet of the reference cell: weights (q,) that sum to 1, and the basis (q, dofs) at the points."""
    points, weights = basix.make_quadrature(_facet_type(element.cell_type), degree)
    return [(weights / weights.sum(), basis) for basis in _tabulated(element, points)]


def _facet_type(cell: basix.CellType) -> basix.CellType:
    return {
        basix.CellType.triangle: basix.CellType.interval,
        basix.CellType.quadrilateral: basix.CellType.interval,
        basix.CellType.tetrahedron: basix.CellType.triangle,
        basix.CellType.hexahedron: basix.CellType.quadrilateral,
    }[cell]


def _tabulated(element: basix.finite_element.FiniteElement, points: NDArray[Any]) -> list[Array]:
    """The basis (points, dofs) at points of the reference facet, on each facet of the reference cell."""
    cell = element.cell_type
    x = basix.geometry(cell)
    dim = x.shape[1]
    found = []
    for corners in basix.topology(cell)[dim - 1]:
        at = x[corners[0]] + points @ (x[corners[1:dim]] - x[corners[0]])
        found.append(element.tabulate(0, at)[0, :, :, 0])
    return found


@dataclass(frozen=True, eq=False)
class _Lattice:
    """A facet in equal parts."""

    basis: list[Array]  # per facet of the reference cell, (points, dofs)
    simplices: NDArray[np.intp]  # (parts, corners) rows of the points, all of one size


def _lattice(element: basix.finite_element.FiniteElement) -> _Lattice:
    n = PIECES[element.degree]
    facet = _facet_type(element.cell_type)
    if facet == basix.CellType.interval:
        points = np.linspace(0.0, 1.0, n + 1)[:, None]
        simplices = np.stack([np.arange(n), np.arange(1, n + 1)], axis=1)
        return _Lattice(_tabulated(element, points), simplices)
    square = facet == basix.CellType.quadrilateral
    pairs = [(i, j) for j in range(n + 1) for i in range(n + 1) if square or i + j <= n]
    row = {pair: k for k, pair in enumerate(pairs)}
    parts = [((i, j), (i + 1, j), (i, j + 1)) for i, j in pairs]
    parts += [((i + 1, j), (i, j + 1), (i + 1, j + 1)) for i, j in pairs]
    simplices = np.array([[row[corner] for corner in part] for part in parts if all(c in row for c in part)])
    return _Lattice(_tabulated(element, np.array(pairs) / n), simplices)


def share_above(values: Array, threshold: float) -> Array:
    """Shares (...) of segments or triangles in which a linear field is above a threshold.

    Args:
        values: (..., 2 or 3) at their corners.
        threshold: In the unit of the values.
    """
    v = np.sort(values, axis=-1) - threshold
    low, high = v[..., 0], v[..., -1]
    span = np.where(high > low, high - low, 1.0)
    if v.shape[-1] == 2:
        between = high / span
    else:
        middle = v[..., 1]
        tip = high**2 / np.where(high > middle, span * (high - middle), 1.0)
        rest = 1.0 - low**2 / np.where(middle > low, span * (middle - low), 1.0)
        between = np.where(middle < 0, tip, rest)
    return np.where(low >= 0, 1.0, np.where(high <= 0, 0.0, between))
