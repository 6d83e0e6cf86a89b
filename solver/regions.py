"""Mean concentrations of regions as exact integrals over region ∩ solved phases.

Elements that a region's edge cuts are split into triangles down to where the edge is straight within them, and cut
there; so a mean is an integral over the region itself, not over the elements that happen to lie in it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

import basix
from dolfinx import fem, la
from mpi4py import MPI

from microlith.meshing.phasemesh import PhaseMesh, interface_tag

from .corners import cell_corners, facet_corners
from .shapes import Distance, LabelField, distance_to, surface_distance
from .spec import Ball, Box, LabelRegion, Polygon, Shape, Shell, WholePhase

Array = NDArray[np.float64]
PhaseAt = Callable[[Array], NDArray[np.uint8]]
SMALLEST = 5e-3  # radius, per size of the region, of the parts in which a corner of its edge is taken as it is
SMALLEST_PIXEL = 0.06  # the same for the ragged edge of a label image, per smallest voxel edge
STRAIGHT = {2: 1e-3, 3: 1e-2}  # by dimension: deviation from a straight line, in element radii, that counts as none
SAMPLES = 160_000  # points that measure a region's whole area


@dataclass(frozen=True)
class RegionMean:
    """The mean over a region as a linear functional of the unknowns."""

    weights: Array  # (owned,) mean = weights · u
    solved_measure: float  # area (volume) of region ∩ solved phases, m^2 (m^3)
    solved_share: float  # of the region's part inside the image
    phase_shares: Array  # (phases,) of solved_measure


def region_means(
    space: fem.FunctionSpace,
    mesh: PhaseMesh,
    shapes: Mapping[str, Shape],
    label_fields: Mapping[str, LabelField],
    phase_at: PhaseAt | None,
) -> dict[str, RegionMean]:
    """Functionals of all regions.

    Args:
        space: Scalar Lagrange space on mesh.mesh.
        mesh: The solved phases.
        shapes: Regions by name.
        label_fields: What stands behind each LabelRegion, by region name.
        phase_at: Phase index of points (n, dim) in mesh units, anywhere in the image; needed on rank 0 only.

    Returns:
        One entry per shape. A region that meets no solved phase has measure 0 and zero weights.
    """
    cells = _Cells.of(space, mesh)
    return {name: _mean(cells, mesh, shape, label_fields.get(name), phase_at) for name, shape in shapes.items()}


@dataclass(frozen=True)
class _Cells:
    """Owned cells with what integration over parts of them needs."""

    space: fem.FunctionSpace
    corners: Array  # (n, dim + 1, dim)
    dofs: NDArray[np.int32]  # (n, dofs per cell)
    tags: NDArray[np.int32]  # (n,) phase
    phases: int  # number of phases, solved or not

    @staticmethod
    def of(space: fem.FunctionSpace, mesh: PhaseMesh) -> "_Cells":
        dim = mesh.mesh.topology.dim
        owned = mesh.mesh.topology.index_map(dim).size_local
        tags = np.zeros(owned, dtype=np.int32)
        mine = mesh.cell_tags.indices < owned
        tags[mesh.cell_tags.indices[mine]] = mesh.cell_tags.values[mine]
        return _Cells(space, cell_corners(mesh.mesh), space.dofmap.list[:owned], tags, len(mesh.names))

    def assembled(self, cell: NDArray[np.intp], parts: Array) -> tuple[Array, Array]:
        """∫ φ_i over simplices `parts` (n, dim + 1, dim), each within its `cell`; also their measure per phase."""
        dim = self.corners.shape[2]
        kind = basix.CellType.triangle if dim == 2 else basix.CellType.tetrahedron
        points, weights = basix.make_quadrature(kind, max(self.space.ufl_element().degree, 1))
        vector = la.vector(self.space.dofmap.index_map, 1)
        measures = np.zeros(self.phases)
        for start in range(0, len(cell), 200_000):  # bounds the memory of the tabulated basis
            chunk = slice(start, start + 200_000)
            corner = parts[chunk]
            volume = np.abs(np.linalg.det(corner[:, 1:] - corner[:, :1]))
            x = corner[:, :1] + np.einsum("qk,nkd->nqd", points, corner[:, 1:] - corner[:, :1])
            parent = self.corners[cell[chunk]]
            jacobian = parent[:, 1:] - parent[:, :1]  # rows are edges
            reference = np.einsum("nqd,ndk->nqk", x - parent[:, :1], np.linalg.inv(jacobian))
            basis = self.space.ufl_element().tabulate(0, reference.reshape(-1, dim))[0]
            basis = basis.reshape(len(corner), len(points), -1)
            values = np.einsum("nqi,q,n->ni", basis, weights, volume)
            np.add(
                vector.array,
                np.bincount(self.dofs[cell[chunk]].ravel(), values.ravel(), minlength=len(vector.array)),
                out=vector.array,
            )
            measures += np.bincount(self.tags[cell[chunk]], volume, self.phases) / (2 if dim == 2 else 6)
        vector.scatter_reverse(la.InsertMode.add)
        return vector.array[: self.space.dofmap.index_map.size_local].copy(), measures


def _mean(
    cells: _Cells, mesh: PhaseMesh, shape: Shape, labels: LabelField | None, phase_at: PhaseAt | None
) -> RegionMean:
    comm, dim = mesh.mesh.comm, mesh.mesh.topology.dim
    wanted: NDArray[np.intp] = np.arange(len(cells.tags))
    excluded = None  # phase that a shell lies around, not in
    inside = None
    distance: Distance
    if isinstance(shape, WholePhase):
        wanted = np.flatnonzero(cells.tags == mesh.names.index(shape.phase))
        cell, parts = wanted, cells.corners[wanted]
    else:
        if isinstance(shape, Shell):
            excluded = mesh.names.index(shape.around)
            wanted = np.flatnonzero(cells.tags != excluded)
            to_surface = surface_distance(_surface_of(mesh, excluded))
            reach = shape.distance / mesh.unit

            def distance(x: Array) -> Array:
                return to_surface(x) - reach

        elif isinstance(shape, LabelRegion):
            assert labels is not None
            distance, inside = labels.distance, labels.inside
        else:
            distance = distance_to(shape, mesh.unit)
        cell, parts = _cut(cells.corners[wanted], distance, inside, _smallest(shape, mesh))
        cell = wanted[cell]
    integral, measures = cells.assembled(cell, parts)
    measures = comm.allreduce(measures, op=MPI.SUM)
    measure = float(measures.sum())
    if isinstance(shape, WholePhase):
        share = 1.0
    else:
        whole = 0.0
        if comm.rank == 0:
            assert phase_at is not None
            whole = _measure(shape, mesh, inside, distance, phase_at, excluded)
        whole = comm.bcast(whole)
        share = min(measure / whole, 1.0) if whole > 0 else 0.0
    scale = 1.0 / measure if measure > 0 else 1.0
    return RegionMean(integral * scale, measure * mesh.unit**dim, share, measures * scale)


def _surface_of(mesh: PhaseMesh, phase: int) -> Array:
    """Corners of all facets (over all ranks) between a phase and the others, as far as they bound solved cells."""
    tags = [interface_tag(phase, other) for other in range(len(mesh.names)) if other != phase]
    facets = mesh.facet_tags.indices[np.isin(mesh.facet_tags.values, tags)]
    return np.concatenate(mesh.mesh.comm.allgather(facet_corners(mesh.mesh, facets)))


def _cut(
    corners: Array, distance: Distance, inside: Callable[[Array], NDArray[np.bool_]] | None, smallest: float
) -> tuple[NDArray[np.intp], Array]:
    """Simplices that together fill region ∩ cells, and the cell of each.

    Cells are halved until they lie on one side of the edge, or the edge is straight in them, or they are `smallest`.
    """
    cell: NDArray[np.intp] = np.arange(len(corners))
    found_cells: list[NDArray[np.intp]] = []
    found_parts: list[Array] = []
    while len(cell):
        centroid = corners.mean(axis=1)
        radius = np.linalg.norm(corners - centroid[:, None], axis=2).max(axis=1)
        at_centroid = distance(centroid)
        within = inside(centroid) if inside else at_centroid < 0
        clear = np.abs(at_centroid) >= radius
        whole = clear & within
        small = ~clear & (radius < smallest)
        if inside:
            whole |= small & within
        found_cells.append(cell[whole])
        found_parts.append(corners[whole])
        left = ~clear & ~small if inside else ~clear
        cell, corners, radius, small = cell[left], corners[left], radius[left], small[left]
        if not inside and len(cell):
            values = distance(corners.reshape(-1, corners.shape[2])).reshape(corners.shape[:2])
            ready = small | _straight(corners, values, distance, radius)
            of, parts = _clip(corners[ready], values[ready])
            found_cells.append(cell[ready][of])
            found_parts.append(parts)
            cell, corners = cell[~ready], corners[~ready]
        cell, corners = _halve(cell, corners)
    return np.concatenate(found_cells), np.concatenate(found_parts)


def _straight(corners: Array, values: Array, distance: Distance, radius: Array) -> NDArray[np.bool_]:
    """Whether the distance is as good as linear within each simplex: at its edges' midpoints and its centroid."""
    n = corners.shape[1]
    worst = np.abs(distance(corners.mean(axis=1)) - values.mean(axis=1))
    for i in range(n):
        for j in range(i):
            middle = distance((corners[:, i] + corners[:, j]) / 2)
            worst = np.maximum(worst, np.abs(middle - (values[:, i] + values[:, j]) / 2))
    return worst <= STRAIGHT[corners.shape[2]] * radius


def _halve(cell: NDArray[np.intp], corners: Array) -> tuple[NDArray[np.intp], Array]:
    """Each triangle into four (tetrahedron into eight) by its edges' midpoints."""

    def middle(i: int, j: int) -> Array:
        return (corners[:, i] + corners[:, j]) / 2

    corner = [corners[:, i] for i in range(corners.shape[1])]
    if corners.shape[2] == 2:
        a, b, c = middle(1, 2), middle(0, 2), middle(0, 1)
        children: list[tuple[Array, ...]] = [(corner[0], c, b), (c, corner[1], a), (b, a, corner[2]), (a, b, c)]
    else:
        ab, ac, ad, bc, bd, cd = (middle(i, j) for i, j in ((0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)))
        children = [
            (corner[0], ab, ac, ad), (ab, corner[1], bc, bd), (ac, bc, corner[2], cd), (ad, bd, cd, corner[3]),
            (ab, ac, ad, bd), (ab, ac, bc, bd), (ac, ad, bd, cd), (ac, bc, bd, cd),
        ]  # fmt: skip
    return np.tile(cell, len(children)), np.concatenate([np.stack(child, axis=1) for child in children])


def _clip(corners: Array, values: Array) -> tuple[NDArray[np.intp], Array]:
    """The part of each simplex where the linear interpolant of `values` is negative, as simplices."""
    order = np.argsort(values, axis=1, kind="stable")
    rows = np.arange(len(corners))[:, None]
    x, f = corners[rows, order], values[rows, order]
    negative = (f < 0).sum(axis=1)

    def crossing(k: NDArray[np.intp], i: int, j: int) -> Array:
        """Zero on the edge from the negative corner i to the other corner j."""
        s = f[k, i] / (f[k, i] - f[k, j])
        return x[k, i] + s[:, None] * (x[k, j] - x[k, i])

    n = corners.shape[1]
    index = [np.flatnonzero(negative == n)]
    parts = [x[index[0]]]

    def add(k: NDArray[np.intp], *simplex: Array) -> None:
        index.append(k)
        parts.append(np.stack(simplex, axis=1))

    one, two, three = (np.flatnonzero(negative == m) for m in (1, 2, 3))
    if n == 3:
        add(one, x[one, 0], crossing(one, 0, 1), crossing(one, 0, 2))
        p, q = crossing(two, 0, 2), crossing(two, 1, 2)
        add(two, x[two, 0], x[two, 1], q)
        add(two, x[two, 0], q, p)
    else:
        add(one, x[one, 0], crossing(one, 0, 1), crossing(one, 0, 2), crossing(one, 0, 3))
        _add_prism(add, two, (x[two, 0], crossing(two, 0, 2), crossing(two, 0, 3)),
                   (x[two, 1], crossing(two, 1, 2), crossing(two, 1, 3)))  # fmt: skip
        _add_prism(add, three, (x[three, 0], x[three, 1], x[three, 2]),
                   (crossing(three, 0, 3), crossing(three, 1, 3), crossing(three, 2, 3)))  # fmt: skip
    return np.concatenate(index), np.concatenate(parts)


def _add_prism(add: Callable[..., None], k: NDArray[np.intp], low: tuple[Array, ...], high: tuple[Array, ...]) -> None:
    """A triangular prism as three tetrahedra."""
    add(k, low[0], low[1], low[2], high[2])
    add(k, low[0], low[1], high[1], high[2])
    add(k, low[0], high[0], high[1], high[2])


def _measure(
    shape: Shape,
    mesh: PhaseMesh,
    inside: Callable[[Array], NDArray[np.bool_]] | None,
    distance: Distance,
    phase_at: PhaseAt,
    excluded: int | None,
) -> float:
    """Area (volume) of the region inside the image, in mesh units, solved for or not: sampled on a lattice."""
    dim = len(mesh.extent)
    low, high = np.zeros(dim), np.asarray(mesh.extent)
    for k, (first, last) in _bounds(shape, mesh.unit).items():
        low[k], high[k] = max(low[k], first), min(high[k], last)
    if np.any(high <= low):
        return 0.0
    if isinstance(shape, Box):
        return float(np.prod(high - low))
    step = (np.prod(high - low) / SAMPLES) ** (1 / dim)
    counts = np.maximum(np.ceil((high - low) / step).astype(int), 1)
    axes = [(np.arange(n) + 0.5) / n * (b - a) + a for n, a, b in zip(counts, low, high, strict=True)]
    x = np.stack([g.ravel() for g in np.meshgrid(*axes, indexing="ij")], axis=1)
    hit = inside(x) if inside else distance(x) < 0
    if excluded is not None:
        hit &= phase_at(x) != excluded
    return float(hit.mean() * np.prod(high - low))


def _smallest(shape: Shape, mesh: PhaseMesh) -> float:
    """Radius below which parts of cut cells need not be halved, in mesh units."""
    if isinstance(shape, LabelRegion):
        return SMALLEST_PIXEL
    if isinstance(shape, Shell):
        return SMALLEST * shape.distance / mesh.unit
    bounds = _bounds(shape, mesh.unit)
    return SMALLEST * min((high - low for low, high in bounds.values()), default=1.0)


def _bounds(shape: Shape, unit: float) -> dict[int, tuple[float, float]]:
    """Bounding box by axis number, where it is smaller than the image."""
    if isinstance(shape, Box):
        return {"xyz".index(axis): (low / unit, high / unit) for axis, (low, high) in shape.bounds.items()}
    if isinstance(shape, Ball):
        return {k: ((c - shape.radius) / unit, (c + shape.radius) / unit) for k, c in enumerate(shape.center)}
    if isinstance(shape, Polygon):
        corners = np.asarray(shape.corners) / unit
        return {k: (corners[:, k].min(), corners[:, k].max()) for k in range(2)}
    return {}
