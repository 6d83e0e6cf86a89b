"""Effective diffusivity of a phase: bounds and closed forms, parts that conduct and parts that do not."""

import math
from itertools import pairwise

import numpy as np
import pytest
from made_meshes import COMM, pixels_as_triangles
from rayleigh import square_array_of_disks
from scipy.ndimage import generate_binary_structure, label
from scipy.sparse import coo_array
from scipy.sparse.linalg import spsolve

from dolfinx import mesh as dmesh
from mpi4py import MPI

from microlith.imaging.image.volume import LabelImage
from microlith.imaging.options import MeshOptions
from microlith.meshing.distribution.dolfinx_mesh import create_mesh
from microlith.meshing.distribution.partitioned import mesh_partitioned
from microlith.meshing.fitted.mesher import fitted_mesh
from microlith.meshing.mesh.components import components
from microlith.meshing.mesh.phasemesh import PhaseMesh
from microlith.solver.conduction.conduction import conduction
from microlith.solver.options import SolverOptions

SHAPES = {
    "triangle": dmesh.CellType.triangle,
    "quadrilateral": dmesh.CellType.quadrilateral,
    "tetrahedron": dmesh.CellType.tetrahedron,
    "hexahedron": dmesh.CellType.hexahedron,
}
CELLS = dict(zip(SHAPES, ("triangles", "squares", "tetrahedra", "cubes"), strict=True))
EFFECTIVE = {"term": "effective diffusivity", "of": "effective diffusivity"}
FLAT, SOLID = ("triangle", "quadrilateral"), ("tetrahedron", "hexahedron")


def block(labels, shape, split=1, size=None, comm=COMM):
    """All voxels of labels ([z,] y, x) as cells, split per axis; outer faces are tagged, interfaces not."""
    voxels = np.array(labels.shape[::-1])
    size = voxels.astype(float) if size is None else np.array(size, float)
    make = dmesh.create_rectangle if labels.ndim == 2 else dmesh.create_box
    ghosts = dmesh.GhostMode.shared_facet
    counts = (voxels * split).tolist()
    mesh = make(comm, [np.zeros(len(size)), size], counts, cell_type=SHAPES[shape], ghost_mode=ghosts)
    dim = mesh.topology.dim
    cell_map = mesh.topology.index_map(dim)
    cells = np.arange(cell_map.size_local + cell_map.num_ghosts, dtype=np.int32)
    middles = dmesh.compute_midpoints(mesh, dim, cells)[:, :dim]
    index = (middles / (size / voxels)).astype(int)
    phases = labels[tuple(index.T[::-1])].astype(np.int32)
    return PhaseMesh(
        mesh,
        dmesh.meshtags(mesh, dim, cells, phases),
        outer_faces(mesh, size),
        tuple("abc"),
        1e-6,
        tuple(size.tolist()),
    )


def outer_faces(mesh, size):
    dim = mesh.topology.dim
    mesh.topology.create_entities(dim - 1)
    mesh.topology.create_connectivity(dim - 1, dim)
    facets, tags = [], []
    for i in range(2 * dim):
        place = i % 2 * size[i // 2]
        found = dmesh.locate_entities_boundary(mesh, dim - 1, lambda x, k=i // 2, at=place: np.abs(x[k] - at) < 1e-9)
        facets.append(found)
        tags.append(np.full(len(found), i + 1, np.int32))
    facets, tags = np.concatenate(facets), np.concatenate(tags)
    order = np.argsort(facets)
    return dmesh.meshtags(mesh, dim - 1, facets[order], tags[order])


def along(axis, mesh, degree=1, phase=1, bounds=False, **options):
    (found,) = conduction(mesh, phase, [axis], degree, SolverOptions(**options), bounds)
    return found


def labels_of(shape, text):
    """Image of one character per voxel, the same in every page if the cells are solid."""
    flat = np.array([[int(c) for c in row] for row in text.split()])
    return flat if shape in FLAT else np.stack([flat] * 2)


def walls(shape):
    return labels_of(shape, "111111 000000 111111 111111")


# --- figures that are known exactly ---


@pytest.mark.mpi
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("linear", ["mumps", "cg"])
def test_layers(verified, shape, linear):
    """Along the layers each conducts as its share of the section; across them one closed layer blocks all."""
    mesh = block(walls(shape), shape, split=2, size=(3.0, 2.0, 1.5)[: 2 if shape in FLAT else 3])
    for axis in "xz" if shape in SOLID else "x":
        found = along(axis, mesh, linear=linear, bounds=True)
        assert found.lower == pytest.approx(0.75, rel=1e-8)
        if axis == "x":
            verified(
                **EFFECTIVE,
                against="layers along the flow: their share of the section",
                dim=2 if shape in FLAT else 3,
                cells=CELLS[shape],
                degree=1,
                error=abs(found.relative / 0.75 - 1),
                balance=found.disagreement,
            )
        assert found.relative == pytest.approx(0.75, rel=1e-8)
        assert found.fraction == pytest.approx(0.75, rel=1e-12)
        assert found.tortuosity == pytest.approx(1.0, rel=1e-8)
        assert found.connected == pytest.approx(1.0, rel=1e-12)
        assert found.disagreement < 1e-8
    across = along("y", mesh, linear=linear, bounds=True)
    assert across.lower == 0.0
    assert across.relative == 0.0
    assert across.connected == 0.0
    assert across.tortuosity == math.inf
    assert across.method == "none"
    assert across.fraction == pytest.approx(0.75, rel=1e-12)


@pytest.mark.mpi
@pytest.mark.parametrize("shape", SHAPES)
def test_what_is_not_joined_to_both_faces_adds_nothing(shape):
    """A straight channel, a part at one face only, another at the other, a floating one."""
    labels = labels_of(shape, "11100011 00000000 11111111 00000000 00111100 00000000")
    found = along("x", block(labels, shape, split=2))
    assert found.relative == pytest.approx(1 / 6, rel=1e-8)
    assert found.connected == pytest.approx(8 / 17, rel=1e-12)
    assert found.fraction == pytest.approx(17 / 48, rel=1e-12)
    assert found.disagreement < 1e-8


@pytest.mark.mpi
@pytest.mark.parametrize("shape", SHAPES)
def test_contact_of_no_width_conducts_nothing(shape):
    """Pixels or voxels that share only a corner or an edge: catches parts that are joined through vertices."""
    board = np.indices((4, 6) if shape in FLAT else (4, 4, 6)).sum(0) % 2
    mesh = block(board, shape)
    for axis in "xyz"[: board.ndim]:
        found = along(axis, mesh)
        assert found.relative == 0.0
        assert found.fraction == pytest.approx(0.5, rel=1e-12)


@pytest.mark.mpi
def test_no_cell_or_no_face():
    """A phase that is nowhere, and one that touches one face only."""
    labels = labels_of("triangle", "00002 00022 00002")
    assert along("x", block(labels, "triangle"), phase=1).relative == 0.0
    one_face = along("x", block(labels, "triangle"), phase=2)
    assert one_face.relative == 0.0
    assert one_face.fraction == pytest.approx(4 / 15)
    with_no_cell = along("x", block(labels, "triangle"), phase=1)
    assert (with_no_cell.fraction, with_no_cell.connected) == (0.0, 0.0)


@pytest.mark.mpi
def test_a_dead_end_adds_nothing_beyond_its_mouth():
    """The field in a branch of width 1 falls as exp(-π s): a longer one makes no difference, and a short one little."""

    def branch(length):
        labels = np.zeros((12, 9), int)
        labels[0] = 1
        labels[1 : 1 + length, 4] = 1
        return along("x", block(labels, "quadrilateral", split=2)).relative

    without, short, long, longer = (branch(n) for n in (0, 1, 6, 11))
    assert without == pytest.approx(1 / 12, rel=1e-8)
    assert without < short < 1.06 * without
    assert long == pytest.approx(short, rel=1e-2)
    assert longer == pytest.approx(long, rel=1e-8)


# --- obstacles ---


def quarter_around_disk(fraction, n, comm=COMM):
    """Quarter of a cell of the lattice, of unit edge, as 4 n² triangles that meet the disk at its quarter arc."""
    a = 2 * math.sqrt(fraction / math.pi)
    t, s = np.meshgrid(np.linspace(0, 1, 2 * n + 1), np.linspace(0, 1, n + 1))
    angle = t * math.pi / 2
    inner = a * np.stack([np.cos(angle), np.sin(angle)])
    outer = np.stack([np.minimum(1, 2 - 2 * t), np.minimum(1, 2 * t)])
    points = np.moveaxis((1 - s) * inner + s * outer, 0, -1).reshape(-1, 2)
    corner = (np.arange(n)[:, None] * (2 * n + 1) + np.arange(2 * n)).ravel()
    b, c, d = corner + 1, corner + 2 * n + 2, corner + 2 * n + 1
    cells = np.concatenate([np.stack([corner, c, b], 1), np.stack([corner, d, c], 1)])
    share = np.array_split(cells, comm.size)[comm.rank].astype(np.int64)
    mesh = create_mesh(comm, share, points if comm.rank == 0 else np.empty((0, 2)), "triangle")
    cell_map = mesh.topology.index_map(2)
    here = np.arange(cell_map.size_local + cell_map.num_ghosts, dtype=np.int32)
    return PhaseMesh(mesh, dmesh.meshtags(mesh, 2, here, 0 * here), outer_faces(mesh, (1, 1)), ("plane",), 1e-6, (1, 1))


def test_the_series_itself():
    """Against the closed formula of Perrins, McKenzie & McPhedran, Proc. R. Soc. A 369 (1979) 207."""
    for f in (0.1, 0.3, 0.5):
        formula = 1 - 2 * f / (1 + f - 0.305827 * f**4 / (1 - 1.402958 * f**8) - 0.013362 * f**8)
        assert square_array_of_disks(f) == pytest.approx(formula, rel=1e-5)


@pytest.mark.mpi
@pytest.mark.parametrize("fraction", [0.3, 0.6])
def test_order_around_a_disk(verified, fraction):
    """Second order, from above but for the chords of the arc; by symmetry a quarter conducts like the whole."""
    exact = square_array_of_disks(fraction)
    errors = []
    for n in (8, 16, 32):
        found = conduction(quarter_around_disk(fraction, n), 0, "xy", 1, SolverOptions())
        assert found[0].relative == pytest.approx(found[1].relative, rel=3 / n**2)
        assert found[0].disagreement < 1e-8
        errors.append(found[0].relative / exact - 1)
    orders = np.log2(np.array(errors[:-1]) / errors[1:])
    verified(
        **EFFECTIVE,
        against=f"square array of insulating disks, {fraction:.0%} of the area (Rayleigh, Phil. Mag. 34 (1892) 481)",
        dim=2,
        cells="triangles",
        degree=1,
        error=abs(errors[-1]),
        order_space=orders[-1],
        balance=max(along.disagreement for along in found),
    )
    assert (np.abs(orders - 2) < 0.1).all(), (errors, orders)
    assert 0 < errors[-1] < 2e-3, errors


@pytest.mark.parametrize(("fraction", "bounds"), [(0.3, (6e-3, 1.2e-3)), (0.6, (3e-2, 2e-3))])
def test_disk_in_an_image(fraction, bounds):
    """From pixels through the fitted mesh: what is left is how round a disk of pixels is, not the elements.

    Measured -4.3e-3 and -8e-4, -2.3e-2 (the necks are 4 pixels wide) and -1.0e-3; elements of a quarter of the size
    change that by less than 2e-3.
    """
    for pixels, bound in zip((32, 128), bounds, strict=True):
        y, x = np.indices((pixels, pixels)) + 0.5 - pixels / 2
        inside = np.hypot(x, y) < pixels * math.sqrt(fraction / math.pi)
        image = LabelImage(np.where(inside, 0, 1).astype(np.uint8), ("disk", "plane"), (1e-7, 1e-7))
        image_mesh = fitted_mesh(image, MeshOptions(size_max=4e-7), [1])
        (found,) = conduction(mesh_partitioned(image_mesh, [1], MPI.COMM_SELF), 1, "x", 2, SolverOptions())
        error = found.relative / square_array_of_disks(1 - found.fraction) - 1
        assert abs(error) < bound, (pixels, error)


# --- voxels: bounds from both sides ---


def finite_volumes(labels, split=1):
    """Conductivity of phase 1 along x by fluxes between voxel centres, the end faces held half a voxel away.

    These fluxes, without divergence, are no better than the best: by Thomson's principle a lower bound, where finite
    elements of the same voxels give an upper one.
    """
    solid = labels == 1
    for axis in range(labels.ndim):
        solid = solid.repeat(split, axis)
    number = np.where(solid, np.cumsum(solid).reshape(solid.shape) - 1, -1)
    links = []
    for axis in range(labels.ndim):
        a, b = np.moveaxis(number, axis, 0)[:-1], np.moveaxis(number, axis, 0)[1:]
        both = (a >= 0) & (b >= 0)
        links.append(np.stack([a[both], b[both]]))
    a, b = np.concatenate(links, axis=1)
    low, high = (end[end >= 0] for end in (number[..., 0], number[..., -1]))
    count = solid.sum()
    ones = np.ones(len(a))
    diagonal = np.bincount(np.concatenate([a, b]), minlength=count).astype(float)
    np.add.at(diagonal, low, 2.0)
    np.add.at(diagonal, high, 2.0)
    diagonal += 1e-13  # parts without an end
    every = np.arange(count)
    rows, columns = np.concatenate([a, b, every]), np.concatenate([b, a, every])
    matrix = coo_array((np.concatenate([-ones, -ones, diagonal]), (rows, columns)), shape=(count, count)).tocsr()
    right = np.zeros(count)
    np.add.at(right, high, 2.0)
    c = spsolve(matrix, right)
    flux = 2.0 * (1.0 - c[high]).sum()
    return flux * solid.shape[-1] / math.prod(solid.shape[:-1])


def balls(shape):
    """Phase 1 around two obstacles, disks or balls of voxels, and in a bubble inside the larger one."""
    place = np.moveaxis(np.indices(shape), 0, -1) + 0.5
    first, second = np.array(shape) * 0.3, np.array(shape) * 0.75
    outside = (np.linalg.norm(place - first, axis=-1) > 3.4) & (np.linalg.norm(place - second, axis=-1) > 2.2)
    return (outside | (np.linalg.norm(place - first, axis=-1) < 1.2)).astype(int)


@pytest.mark.mpi
@pytest.mark.parametrize("shape", SHAPES)
def test_between_the_bounds(shape):
    """The bracket holds at degree 1 and 2, closes as cells are split, and is above what finite volumes have.

    On squares and cubes the lower bound is above them, as it weighs the same fluxes by what they dissipate.
    """
    medium = balls((10, 12) if shape in FLAT else (7, 8, 9))
    brackets = []
    for split in (1, 2, 4) if shape in FLAT else (1, 2):
        mesh = block(medium, shape, split)
        above, better = along("x", mesh, bounds=True), along("x", mesh, degree=2)
        assert 0 < above.lower < better.relative < above.relative
        assert 0.9 < above.connected < 1.0
        if COMM.size == 1:
            assert finite_volumes(medium, split) * (1 - 1e-8) < above.lower
        brackets.append((above.lower, better.relative))
    assert all(a[0] < b[0] < b[1] < a[1] for a, b in pairwise(brackets)), brackets
    gaps = [above / below - 1 for below, above in brackets]
    assert all(b < 0.55 * a for a, b in pairwise(gaps)), gaps


@pytest.mark.mpi
def test_no_lower_bound_on_cells_of_different_shapes():
    """Fluxes between middles balance in boxes of one size only; a mesh of another program may have others."""
    mesh = block(np.ones((3, 4), int), "quadrilateral")
    assert along("x", mesh, bounds=True).lower == pytest.approx(1.0, rel=1e-8)
    mesh.mesh.geometry.x[:, 0] *= 1 + 0.01 * mesh.mesh.geometry.x[:, 1]
    assert along("x", mesh, bounds=True).lower is None


@pytest.mark.mpi
def test_bounds_around_a_disk(verified):
    """Both bounds come to the series, the lower one with second order: catches fluxes that do not balance."""
    exact = square_array_of_disks(0.3)
    lower = []
    for n in (8, 16, 32):
        (found,) = conduction(quarter_around_disk(0.3, n), 0, "x", 2, SolverOptions(), bounds=True)
        assert found.lower < found.relative
        lower.append(found.lower / exact - 1)
    orders = np.log2(np.diff(lower)[:-1] / np.diff(lower)[1:])
    verified(
        **EFFECTIVE,
        against="square array of insulating disks, 30 % of the area; lower bound, below the upper one on every mesh "
        "(Prager and Synge, Q. Appl. Math. 5 (1947) 241)",
        dim=2,
        cells="triangles",
        degree=1,
        error=abs(lower[-1]),
        order_space=orders[-1],
        balance=found.disagreement,
    )
    assert (np.abs(orders - 2) < 0.15).all(), (orders, lower)
    assert abs(lower[-1]) < 1e-3, lower


@pytest.mark.mpi
@pytest.mark.parametrize("linear", ["mumps", "cg"])
def test_closed_parts_may_lie_anywhere(linear):
    """Noise with parts that touch the one that conducts in corners: it conducts as it does without them.

    Catches parts that are let in: the corners then join them, and 0.039 becomes 0.129.
    """
    noise = (np.random.default_rng(0).random((60, 60)) < 0.5).astype(int)
    noise[30] = 1
    number, _ = label(noise)
    with_all, alone = (along("x", block(n, "quadrilateral"), linear=linear) for n in (noise, number == number[30, 0]))
    assert with_all.connected < 0.5
    assert alone.connected == 1.0
    assert with_all.relative == pytest.approx(alone.relative, rel=1e-8)


# --- ranks ---


@pytest.mark.mpi
@pytest.mark.parametrize("linear", ["mumps", "cg"])
@pytest.mark.parametrize("shape", ["triangle", "hexahedron"])
def test_same_on_any_number_of_ranks(shape, linear):
    medium = balls((10, 12) if shape in FLAT else (8, 9, 10))
    axes = "xyz"[: medium.ndim]
    options = SolverOptions(linear=linear)
    shared = conduction(block(medium, shape), 1, axes, 2, options)
    alone = conduction(block(medium, shape, comm=MPI.COMM_SELF), 1, axes, 2, options)
    for here, there in zip(shared, alone, strict=True):
        assert here.relative == pytest.approx(there.relative, rel=1e-8)
        assert here.connected == pytest.approx(there.connected, rel=1e-12)
        assert here.fraction == pytest.approx(there.fraction, rel=1e-12)
        assert here.disagreement < 1e-7
        assert here.unknowns == there.unknowns
    assert min(here.relative for here in shared) > 0.1


@pytest.mark.mpi
def test_a_rank_without_cells():
    labels = np.ones((1, 2), int)
    mesh = mesh_partitioned(pixels_as_triangles(labels, ("a", "b"), COMM), [1], COMM)
    assert along("x", mesh).relative == pytest.approx(1.0, rel=1e-8)


@pytest.mark.mpi
@pytest.mark.parametrize("through", [0, 1, 2])
def test_components_against_a_flood(through):
    """Noise of voxels: parts through facets, edges and vertices, counted by SciPy."""
    noise = (np.random.default_rng(1).random((7, 8, 9)) < 0.12).astype(int)
    mesh = block(noise, "hexahedron")
    found = components(mesh.mesh, mesh.cell_tags.values == 1, through)
    _, count = label(noise, generate_binary_structure(3, 3 - through))
    assert count > 3
    assert found.count == count
    owned = found.of_cell[: mesh.mesh.topology.index_map(3).size_local]
    assert set().union(*COMM.allgather(set(owned[owned >= 0].tolist()))) == set(range(count))
