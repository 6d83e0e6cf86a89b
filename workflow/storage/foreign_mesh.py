"""Meshes of other programs, by meshio: simplices with a tag each, and the same on a grid of pixels or voxels.

Rank 0 reads such a file whole, and deals its cells out in slabs.
"""

from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from io import StringIO
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mpi4py import MPI

from microlith.imaging.errors import InputError, listed
from microlith.imaging.parallel.collective import on_root
from microlith.imaging.typing import Array, Numbers
from microlith.meshing.mesh.simplices import single_facets

if TYPE_CHECKING:
    from microlith.meshing.mesh.phasemesh import ImageMesh

SUFFIXES = (".msh", ".xdmf", ".vtu", ".med", ".inp")
KINDS = {3: ("tetra", "tetra10"), 2: ("triangle", "triangle6")}  # by dimension; of higher degree only corners count
TAGS = ("gmsh:physical", "cell_tags", "phase", "medit:ref")  # names of cell data that tell phases
VOXELS = {2: 400_000, 3: 2_000_000}  # about so many in the grid that stands for the image
FILLED = 1e-6  # share of the box that cells may miss
ALIKE = 1e-3  # of the shortest edge: points nearer to each other are one, as programs write one for each part
ON_FRAME = 1e-6  # of the box: how far from its sides points on them may lie
MOST_VALUES = 255  # of tags that are no integers


@dataclass(frozen=True, eq=False)
class ForeignMesh:
    """Cells with tags, in metres."""

    points: Array  # (n, dim), the lowest corner at 0
    cells: Numbers  # (m, dim + 1)
    tags: Numbers  # (m,)
    names: Mapping[str, Sequence[int]]  # group -> its tags
    extent: tuple[float, ...]  # x, y[, z]


def read_foreign(path: Path, unit: float) -> ForeignMesh:
    """Read a mesh whose coordinates count in `unit` metres.

    Raises:
        InputError: It can't be read, has no tags or other cells than simplices, is not flat in 2D, does not fill its
            box, or its parts share no facets.
    """
    import meshio

    try:
        with redirect_stdout(StringIO()):  # meshio prints empty lines, and JSON may be what is asked for
            found = meshio.read(path)
    except (Exception, SystemExit) as error:  # meshio ends the process where it knows no reader
        raise InputError(f"{path}: can't be read as a mesh ({type(error).__name__}: {error})") from error
    dim = max((block.dim for block in found.cells if len(block.data)), default=0)
    chosen = [i for i, block in enumerate(found.cells) if block.dim == dim]
    kinds = sorted({found.cells[i].type for i in chosen})
    if not set(kinds) <= set(KINDS.get(dim, ())) or not chosen:
        raise InputError(f"{path}: expected triangles or tetrahedra alone, got {listed(kinds) or 'none'}")
    cells = np.concatenate([np.asarray(found.cells[i].data)[:, : dim + 1] for i in chosen]).astype(np.int64)
    tags, names = _tags(path, found, chosen)
    used, rows = np.unique(cells, return_inverse=True)
    points = np.asarray(found.points, dtype=np.float64)[used]
    if not np.isfinite(points).all():
        raise InputError(f"{path}: a point has a coordinate that is not a number")
    wide = np.ptp(points, axis=0)
    if dim == 2 and wide[2:].max(initial=0.0) > ON_FRAME * wide.max():
        low, high = points[:, 2].min(), points[:, 2].max()
        raise InputError(
            f"{path}: the triangles lie between z = {low:.6g} and {high:.6g}; expected a flat mesh in x and y, "
            "with the same z everywhere"
        )
    points = (points[:, :dim] - points[:, :dim].min(axis=0)) * unit
    cells = rows.reshape(cells.shape)
    edges = points[cells[:, 1:]] - points[cells[:, :1]]
    size = np.linalg.det(edges)
    cells[size < 0] = cells[size < 0][:, [1, 0, *range(2, dim + 1)]]
    points, cells = _united(points, cells)
    extent = points.max(axis=0)
    full = np.prod(extent) * (6 if dim == 3 else 2)
    if extent.min() <= ON_FRAME * extent.max():
        flat = "plane" if dim == 3 else "line"
        raise InputError(f"{path}: the points lie on a {flat} along the axes; expected a rectangle or cuboid")
    if abs(np.abs(size).sum() - full) > FILLED * full:
        raise InputError(
            f"{path}: the cells fill {100 * np.abs(size).sum() / full:.4g} % of their box; mesh all of a rectangle or "
            'cuboid, and give what is outside a group of its own, with the role "barrier"'
        )
    apart = _apart(points, cells, extent)
    if apart:
        what = "faces" if dim == 3 else "edges"
        raise InputError(
            f"{path}: {apart} {what} of cells within the box have a cell on one side only, so that nothing could pass "
            "there; mesh the parts together, so that they share their points"
        )
    return ForeignMesh(points, cells, tags, names, tuple(float(length) for length in extent))


def _united(points: Array, cells: Numbers) -> tuple[Array, Numbers]:
    """Points that lie at one place made one: programs that mesh parts apart write those between them once for each."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components
    from scipy.spatial import cKDTree

    edges = (points[cells[:, i]] - points[cells[:, j]] for i, j in combinations(range(cells.shape[1]), 2))
    near = ALIKE * float(np.sqrt(min((edge**2).sum(axis=1).min() for edge in edges)))
    pairs = cKDTree(points).query_pairs(near, output_type="ndarray") if near > 0 else np.zeros((0, 2), int)
    if len(pairs) == 0:
        return points, cells
    links = coo_array((np.ones(len(pairs), bool), (pairs[:, 0], pairs[:, 1])), shape=(len(points), len(points)))
    places, place = connected_components(links, directed=False)
    first = np.zeros(places, np.int64)
    first[place[::-1]] = np.arange(len(points))[::-1]
    return points[first], place[cells].astype(np.int64)


def _apart(points: Array, cells: Numbers, extent: Array) -> int:
    """Number of facets within the box that have a cell on one side only."""
    x = points[single_facets(cells, len(points))]  # (facets, corners, dim)
    near = ON_FRAME * extent.max()
    on_frame = (x < near).all(axis=1) | (x > extent - near).all(axis=1)
    return int((~on_frame.any(axis=1)).sum())


def _tags(path: Path, found: Any, chosen: Sequence[int]) -> tuple[Numbers, dict[str, list[int]]]:
    """Tag of each cell, and tags by name."""
    names: dict[str, list[int]] = {name: [int(v[0])] for name, v in found.field_data.items() if np.size(v) == 2}
    for tag, some in getattr(found, "cell_tags", {}).items():
        for name in some:
            names.setdefault(name, []).append(int(tag))
    for is_tag in (_is_integer, _is_whole):
        for key in (*TAGS, *found.cell_data):
            data = found.cell_data.get(key)
            if data is not None and all(is_tag(np.asarray(data[i])) for i in chosen):
                return np.concatenate([np.asarray(data[i]).ravel() for i in chosen]).astype(np.int64), names
    return _tags_of_sets(path, found, chosen)


def _is_integer(values: Array) -> bool:
    return np.issubdtype(values.dtype, np.integer)


def _is_whole(values: Array) -> bool:
    """Whether numbers, one a cell, are few whole ones: programs write tags as floats, too."""
    if values.ndim != 1 or not np.issubdtype(values.dtype, np.floating):
        return False
    some = np.unique(values)
    return len(some) <= MOST_VALUES and bool((np.isfinite(some) & (some == np.round(some))).all())


def _tags_of_sets(path: Path, found: Any, chosen: Sequence[int]) -> tuple[Numbers, dict[str, list[int]]]:
    """A tag for each set of cells, and one for each combination of sets that share cells."""
    sets = {
        name: some
        for name, some in found.cell_sets.items()
        if any(some[i] is not None and len(some[i]) for i in chosen)
    }
    starts = np.cumsum([0, *(len(found.cells[i].data) for i in chosen)])
    members = np.zeros((starts[-1], len(sets)), bool)
    for column, some in enumerate(sets.values()):
        for start, i in zip(starts, chosen, strict=False):
            members[start + np.asarray(some[i] if some[i] is not None else [], dtype=np.int64), column] = True
    alone = int((~members.any(axis=1)).sum())
    if alone:
        raise InputError(
            f"{path}: {alone} of {len(members)} cells are in no group; give each cell a physical group, an "
            "element set or a tag"
        )
    kinds, kind = np.unique(members, axis=0, return_inverse=True)
    single = kinds.sum(axis=1) == 1
    tag_of = np.where(single, kinds.argmax(axis=1) + 1, len(sets) + np.cumsum(~single))
    names = {name: [int(tag) for tag in tag_of[kinds[:, column]]] for column, name in enumerate(sets)}
    return tag_of[kind.ravel()].astype(np.int64), names


def as_image(mesh: ForeignMesh) -> tuple[Numbers, tuple[float, ...]]:
    """Tags at the centres of pixels or voxels, ([z,] y, x), and their edges in m, x, y[, z]."""
    import pyvista

    dim = len(mesh.extent)
    edge = (np.prod(mesh.extent) / VOXELS[dim]) ** (1 / dim)
    grid = [max(2, round(length / edge)) for length in mesh.extent]
    sizes = tuple(length / n for length, n in zip(mesh.extent, grid, strict=True))
    three = np.zeros((len(mesh.points), 3))
    three[:, :dim] = mesh.points / edge
    kind = pyvista.CellType.TETRA if dim == 3 else pyvista.CellType.TRIANGLE
    source = pyvista.UnstructuredGrid({kind: mesh.cells}, three)
    source.cell_data["tag"] = mesh.tags
    axes = [(np.arange(n) + 0.5) * h / edge for n, h in zip(grid, sizes, strict=True)]
    places = np.meshgrid(*axes[::-1], indexing="ij")[::-1]
    x = np.zeros((places[0].size, 3))
    for axis, place in enumerate(places):
        x[:, axis] = place.ravel()
    found = pyvista.PolyData(x).sample(source, snap_to_closest_point=True)
    return np.asarray(found.point_data["tag"]).reshape(grid[::-1]).astype(np.int64), sizes


def foreign_image_mesh(
    path: Path,
    unit: float,
    of_tag: Mapping[int, int],
    rest: int | None,
    names: tuple[str, ...],
    scale: float,
    comm: MPI.Intracomm,
) -> "ImageMesh":
    """The cells of a mesh, dealt out to all ranks; collective.

    Args:
        path: Of the file.
        unit: Of its coordinates, m.
        of_tag: Tag -> index of the phase.
        rest: Index of the phase that all other tags are of; None: there is none.
        names: Of the phases.
        scale: The mesh unit, m.
        comm: All ranks.

    Raises:
        InputError: The file can't be read, or has a tag that no phase claims.
    """
    # Only here: case files are read on one rank, and PETSc, which comes with it, starts on all ranks together.
    from microlith.meshing.mesh.phasemesh import ImageMesh

    def dealt() -> list[ImageMesh]:
        mesh = read_foreign(path, unit)
        tags = [int(tag) for tag in np.unique(mesh.tags)]
        unclaimed = [tag for tag in tags if tag not in of_tag]
        if unclaimed and rest is None:
            raise InputError(f"{path}: no phase claims cells with the tag {listed(unclaimed, 5)}; add each to a label")
        phase = np.array([of_tag.get(tag, rest) for tag in tags], np.uint8)
        of_cell = phase[np.unique(mesh.tags, return_inverse=True)[1].ravel()]
        axis = int(np.argmax(mesh.extent))
        order = np.argsort(mesh.points[mesh.cells, axis].mean(axis=1), kind="stable")
        shape = "tetrahedron" if mesh.cells.shape[1] == 4 else "triangle"
        extent = tuple(length / scale for length in mesh.extent)
        parts = []
        for some in np.array_split(order, comm.size):
            vertex, rows = np.unique(mesh.cells[some], return_inverse=True)
            cells = rows.reshape(-1, mesh.cells.shape[1]).astype(np.int32)
            points = np.asarray(mesh.points[vertex] / scale, dtype=np.float64)
            parts.append(ImageMesh(points, vertex, cells, of_cell[some], shape, names, scale, extent))
        return parts

    found: ImageMesh = comm.scatter(on_root(comm, dealt))
    return found
