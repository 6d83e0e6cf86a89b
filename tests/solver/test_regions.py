"""Regions: area, share and means against closed forms, wherever their edges cut the elements."""

import math
from dataclasses import replace

import numpy as np
import pytest
from made_meshes import COMM, everywhere, rectangle

from dolfinx import fem, mesh as dmesh
from mpi4py import MPI

from microlith.meshing.mesh.cells import facet_corners, measures
from microlith.meshing.mesh.distance import SurfaceDistance
from microlith.meshing.mesh.phasemesh import PhaseMesh, face_tag, interface_tag
from microlith.solver.regions import integrals, loops, sampled_edge
from microlith.solver.regions.averages import linear_parts
from microlith.solver.regions.cell_loops import spread_points
from microlith.solver.regions.cut_cells import clip
from microlith.solver.regions.means import region_means
from microlith.solver.regions.sampled_edge import DIRECTION, LINEAR, NEXT, ROTATIONS
from microlith.solver.regions.shapes import Ball, Box, LabelRegion, Polygon, Shell, WholePhase
from microlith.solver.regions.spread import _Samples
from microlith.workflow.prepare.drawn_regions import label_field

MICRO = 1e-6
SIZE = (10.0, 6.0)


def area_of(mesh, shape, degree=2, field=None, phase_at=None):
    """The region's mean functional, and its solved area in mesh units."""
    space = fem.functionspace(mesh.mesh, ("Lagrange", degree))
    fields = {} if field is None else {"r": field}
    mean = region_means(space, mesh, {"r": shape}, fields, phase_at or everywhere(0))["r"]
    return mean, mean.solved_measure / mesh.unit ** len(mesh.extent), space


def one_phase(comm=COMM, cells=(23, 11)):
    return rectangle(comm, cells, SIZE)


def scaled(*values):
    return tuple(v * MICRO for v in values)


def box(x=None, y=None):
    return Box({axis: scaled(*b) for axis, b in (("x", x), ("y", y)) if b is not None})


def polygon(*corners):
    return Polygon(tuple(scaled(*c) for c in corners))


def shoelace(corners):
    x, y = np.array(corners).T
    return 0.5 * abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1)))


# --- area ---


@pytest.mark.mpi
@pytest.mark.parametrize(
    ("x", "y", "area"),
    [
        ((1.234, 4.321), (0.77, 5.1), 3.087 * 4.33),
        ((1.234, 4.321), None, 3.087 * 6.0),
        (None, (0.5, 0.61), 10.0 * 0.11),
        ((-3.0, 2.5), (4.0, 9.0), 2.5 * 2.0),
        ((0.0, 10.0), (0.0, 6.0), 60.0),
    ],
    ids=["inside", "no y", "thin, no x", "partly outside", "whole image"],
)
def test_area_of_box(x, y, area):
    """Corners within elements are the only places where the edge is not straight: 1e-4 (counting cells: 5e-2)."""
    mean, found, _ = area_of(one_phase(), box(x, y))
    assert found == pytest.approx(area, rel=1e-4)
    assert mean.solved_share == pytest.approx(1.0, abs=1e-4)


@pytest.mark.mpi
@pytest.mark.parametrize("axis", ["x", "y"])
def test_edges_along_element_edges(axis):
    """Elements beside the edge are in or out as a whole: to rounding."""
    mesh = rectangle(COMM, (20, 12), SIZE)
    _, found, _ = area_of(mesh, box((2.0, 4.5), None) if axis == "x" else box(None, (2.0, 4.5)))
    assert found == pytest.approx(2.5 * (6.0 if axis == "x" else 10.0), rel=1e-12)


@pytest.mark.mpi
@pytest.mark.parametrize("cells", [(23, 11), (60, 37)])
def test_area_of_disk(cells):
    mesh = one_phase(cells=cells)
    _, found, _ = area_of(mesh, Ball(scaled(4.9, 3.1), 2.2 * MICRO))
    assert found == pytest.approx(np.pi * 2.2**2, rel=2e-4)
    _, tiny, _ = area_of(mesh, Ball(scaled(4.97, 3.11), 0.08 * MICRO))  # within one or two elements
    assert tiny == pytest.approx(np.pi * 0.08**2, rel=2e-4)
    _, dot, _ = area_of(mesh, Ball(scaled(4.971, 3.113), 1e-4 * MICRO))  # a speck within one: no corner is inside
    assert dot == pytest.approx(np.pi * 1e-8, rel=2e-4)


@pytest.mark.mpi
def test_disk_across_the_frame():
    """Half the disk lies outside the image: it counts neither as area nor in the share."""
    mean, found, _ = area_of(one_phase(), Ball(scaled(5.0, 0.0), 2.0 * MICRO))
    assert found == pytest.approx(np.pi * 2.0, rel=2e-4)
    assert mean.solved_share == pytest.approx(1.0, abs=3e-3)


POLYGONS = {
    "triangle": [(1.1, 0.9), (8.3, 1.7), (4.4, 5.2)],
    "arrow": [(1.0, 1.0), (9.0, 3.0), (1.0, 5.0), (3.3, 3.1)],
    "turned the other way": [(1.0, 1.0), (3.3, 3.1), (1.0, 5.0), (9.0, 3.0)],
    "comb": [(1, 1), (9, 1), (9, 5), (7.2, 5), (7.1, 1.5), (5.2, 1.4), (5.1, 5), (3, 5), (2.9, 1.6), (1, 5)],
}


@pytest.mark.mpi
@pytest.mark.parametrize("name", POLYGONS)
def test_area_of_polygon(verified, name):
    corners = POLYGONS[name]
    _, found, _ = area_of(one_phase(), polygon(*corners))
    verified(
        term="regions",
        against="area of polygons",
        dim=2,
        cells="triangles",
        degree=2,
        error=abs(found / shoelace(corners) - 1),
        of="area",
    )
    assert found == pytest.approx(shoelace(corners), rel=2e-4)


def test_polygon_that_touches_itself_in_a_corner():
    """Two triangles that meet in one point, which is a vertex of the mesh: both count, nothing between them."""
    mesh = rectangle(COMM, (20, 12), SIZE)
    corners = [(2.0, 1.3), (5.0, 3.0), (8.0, 1.3), (8.0, 4.7), (5.0, 3.0), (2.0, 4.7)]
    _, found, _ = area_of(mesh, polygon(*corners))
    assert found == pytest.approx(2 * 0.5 * 3.4 * 3.0, rel=2e-4)


# --- shells, phases and label images ---


def strip(comm=COMM, cells=(40, 24)):
    """Phase 1 fills 4 < x < 6 of the rectangle, phase 0 the rest."""
    return rectangle(comm, cells, SIZE, lambda x: (x[0] > 4.0) & (x[0] < 6.0), ("medium", "strip"))


def strip_at(x):
    return ((x[:, 0] > 4.0) & (x[:, 0] < 6.0)).astype(np.uint8)


@pytest.mark.mpi
def test_shell_around_a_solved_phase():
    """Both sides of the strip, not the strip: a shell that took it in would have twice the area."""
    mean, found, _ = area_of(strip(), Shell("strip", 0.83 * MICRO), phase_at=strip_at)
    assert found == pytest.approx(2 * 0.83 * 6.0, rel=1e-6)
    assert mean.solved_share == pytest.approx(1.0, abs=5e-3)
    _, found, _ = area_of(strip(), Shell("medium", 0.4 * MICRO), phase_at=strip_at)
    assert found == pytest.approx(2 * 0.4 * 6.0, rel=1e-6)


@pytest.mark.mpi
def test_shell_around_a_square():
    """Four sides and four rounded corners; some ranks have no facet of the square."""

    def within(x):
        return (np.abs(x[0] - 5.0) < 1.0) & (np.abs(x[1] - 3.0) < 1.0)

    mesh = rectangle(COMM, (40, 24), SIZE, within, ("medium", "square"))
    reach = 1.37
    _, found, _ = area_of(mesh, Shell("square", reach * MICRO), phase_at=lambda x: within(x.T).astype(np.uint8))
    assert found == pytest.approx(4 * 2.0 * reach + np.pi * reach**2, rel=2e-4)


@pytest.mark.mpi
def test_shell_around_a_phase_that_is_not_meshed():
    """The pore beyond x = 0 is known by its facets alone."""
    mesh = one_phase()
    values = mesh.facet_tags.values.copy()
    values[values == face_tag("x_min")] = interface_tag(0, 1)
    tags = dmesh.meshtags(mesh.mesh, 1, mesh.facet_tags.indices, values)
    mesh = replace(mesh, facet_tags=tags, names=("medium", "pore"))
    _, found, _ = area_of(mesh, Shell("pore", 0.7 * MICRO))
    assert found == pytest.approx(0.7 * 6.0, rel=1e-6)


@pytest.mark.mpi
def test_whole_phases():
    mean, found, _ = area_of(strip(), WholePhase("strip"))
    assert found == pytest.approx(12.0, rel=1e-12)
    assert mean.solved_share == 1.0
    assert area_of(strip(), WholePhase("medium"))[1] == pytest.approx(48.0, rel=1e-12)


PARTS_OF_STRIP = {
    "box": (box((3.1, 5.03), (0.7, 5.1)), 1.03 * 4.4, 1e-6),
    "disk": (Ball(scaled(4.0, 3.1), 1.5 * MICRO), np.pi * 1.5**2 / 2, 2e-3),
    "shell": (Shell("medium", 0.83 * MICRO), 2 * 0.83 * 6.0, 1e-6),
}


@pytest.mark.mpi
@pytest.mark.parametrize("name", PARTS_OF_STRIP)
def test_region_within_one_phase(name):
    """What of a region lies in the strip: its area, nothing of what is beside it, and all of it solved for."""
    shape, area, bound = PARTS_OF_STRIP[name]
    mean, found, _ = area_of(strip(), replace(shape, in_phase="strip"), phase_at=strip_at)
    assert found == pytest.approx(area, rel=bound)
    assert mean.phase_shares == pytest.approx([0.0, 1.0], abs=1e-14)
    assert mean.solved_share == 1.0


@pytest.mark.mpi
def test_labels_within_one_phase():
    """Pixels on both sides of the border of a phase: only those within it count."""
    pixel = np.array([1 / 3, 1 / 4])
    member = np.zeros((24, 30), dtype=bool)
    member[4:20, 6:15] = True  # x from 2 to 5, y from 1 to 5
    region = LabelRegion("labels.tif", 1, in_phase="strip")
    mean, found, _ = area_of(strip(), region, field=label_field(member, pixel), phase_at=strip_at)
    assert found == pytest.approx(4.0, rel=1e-3)
    assert mean.phase_shares == pytest.approx([0.0, 1.0], abs=1e-14)


@pytest.mark.mpi
def test_label_image():
    """Pixels of 1/3 x 1/4, so their edges cut elements: the ragged cut costs 1e-3 at most."""
    pixel = np.array([1 / 3, 1 / 4])
    member = np.zeros((24, 30), dtype=bool)
    member[3:20, 5:24] = True
    member[8:12, 10:17] = False
    field = label_field(member, pixel)
    mean, found, _ = area_of(one_phase(), LabelRegion("labels.tif", 1), field=field)
    assert found == pytest.approx(member.sum() * pixel.prod(), rel=1e-3)
    assert mean.solved_share == pytest.approx(1.0, abs=5e-3)


@pytest.mark.mpi
def test_label_image_on_elements_within_its_pixels():
    """Each element lies in one pixel: it is taken as a whole or not at all, and none is cut."""
    member = np.random.default_rng(1).random((12, 20)) < 0.5
    field = label_field(member, np.array([0.5, 0.5]))
    mean, found, _ = area_of(one_phase(cells=(20, 12)), LabelRegion("labels.tif", 1), field=field)
    assert found == pytest.approx(member.sum() * 0.25, rel=1e-12)
    assert len(mean.parts.cut) == 0


@pytest.mark.mpi
def test_share_that_is_solved_for():
    """Only the strip is meshed: a third of a box from 3 to 9 lies in it."""
    mesh = replace(rectangle(COMM, (13, 7), (2.0, 6.0)), extent=SIZE)
    mean, found, _ = area_of(mesh, box((-1.0, 6.0), (1.0, 2.0)))
    assert found == pytest.approx(2.0, rel=1e-4)
    assert mean.solved_share == pytest.approx(2.0 / 6.0, rel=1e-3)
    mean, found, _ = area_of(mesh, Ball(scaled(2.0, 3.0), 1.5 * MICRO))
    assert mean.solved_share == pytest.approx(0.5, abs=3e-3)
    mean, found, _ = area_of(mesh, box((4.0, 6.0)))
    assert (found, mean.solved_share, np.abs(mean.weights).sum()) == (0.0, 0.0, 0.0)
    mean, _, _ = area_of(mesh, box((20.0, 30.0)))
    assert mean.solved_share == 0.0


# --- means ---


def mean_of(mean, space, function):
    """weights · dofs of the interpolated function, over all ranks."""
    u = fem.Function(space)
    u.interpolate(function)
    owned = space.dofmap.index_map.size_local
    return space.mesh.comm.allreduce(mean.weights @ u.x.array[:owned], op=MPI.SUM)


@pytest.mark.mpi
@pytest.mark.parametrize("degree", [1, 2, 3])
def test_means_of_polynomials(degree):
    """Over a box whose edges cut elements: catches a basis tabulated in the wrong element or a weak quadrature."""
    mean, _, space = area_of(one_phase(), box((1.234, 4.321), None), degree)
    a, b = 1.234, 4.321
    assert mean_of(mean, space, lambda x: np.ones(x.shape[1])) == pytest.approx(1.0, rel=1e-12)
    assert mean_of(mean, space, lambda x: 2 * x[0] - x[1]) == pytest.approx(a + b - 3.0, rel=1e-9)
    if degree > 1:
        expected = (b**3 - a**3) / (b - a) / 3 + 6.0**2 / 3
        assert mean_of(mean, space, lambda x: x[0] ** 2 + x[1] ** 2) == pytest.approx(expected, rel=1e-9)
    if degree > 2:
        expected = (b**4 - a**4) / (b - a) / 4 * 3.0
        assert mean_of(mean, space, lambda x: x[0] ** 3) * 3.0 == pytest.approx(expected, rel=1e-9)


@pytest.mark.mpi
@pytest.mark.parametrize("degree", [1, 2, 3])
def test_means_over_a_disk(degree):
    """Linear: the centre's value. Quadratic: c² + r²/4."""
    mean, _, space = area_of(one_phase(), Ball(scaled(4.9, 3.1), 2.2 * MICRO), degree)
    assert mean_of(mean, space, lambda x: x[0]) == pytest.approx(4.9, rel=1e-4)
    if degree > 1:
        expected = 4.9**2 + 2.2**2 / 4
        assert mean_of(mean, space, lambda x: x[0] ** 2) == pytest.approx(expected, rel=2e-4)


@pytest.mark.mpi
def test_any_number_of_ranks_gives_the_same_regions():
    shapes = [box((1.2, 4.3), (0.7, 5.1)), Ball(scaled(4.9, 3.1), 2.2e-6), Shell("strip", 0.83e-6), WholePhase("strip")]
    for shape in shapes:
        shared, area, space = area_of(strip(COMM), shape, phase_at=strip_at)
        alone, same, own = area_of(strip(MPI.COMM_SELF), shape, phase_at=strip_at)
        assert area == pytest.approx(same, rel=1e-12)
        assert shared.solved_share == pytest.approx(alone.solved_share, rel=1e-12)
        one, other = (mean_of(m, s, lambda x: x[0] * x[1]) for m, s in ((shared, space), (alone, own)))
        assert one == pytest.approx(other, rel=1e-11)


# --- other cells: tetrahedra, squares and cubes ---


def brick(comm=COMM, cells=(4, 4, 3), size=(4.0, 3.5, 3.0), kind=dmesh.CellType.tetrahedron, within=None):
    """A box of one phase on a pore below it, or of a second phase where `within` says so."""
    corners = [[0.0] * len(size), list(size)]
    create = dmesh.create_box if len(size) == 3 else dmesh.create_rectangle
    mesh = create(comm, corners, list(cells), kind, ghost_mode=dmesh.GhostMode.shared_facet)
    dim = mesh.topology.dim
    index_map = mesh.topology.index_map(dim)
    cell = np.arange(index_map.size_local + index_map.num_ghosts, dtype=np.int32)
    phase = np.zeros(len(cell), np.int32)
    mesh.topology.create_connectivity(dim - 1, dim)
    if within is None:
        facets = np.sort(dmesh.locate_entities_boundary(mesh, dim - 1, lambda x: x[dim - 1] < 1e-9)).astype(np.int32)
    else:
        phase[within(dmesh.compute_midpoints(mesh, dim, cell).T[:dim])] = 1
        sides = mesh.topology.connectivity(dim - 1, dim)
        two = np.flatnonzero(np.diff(sides.offsets) == 2)
        one, other = (phase[sides.array[sides.offsets[two] + k]] for k in range(2))
        facets = two[one != other].astype(np.int32)
    facet_tags = dmesh.meshtags(mesh, dim - 1, facets, np.full(len(facets), interface_tag(0, 1), np.int32))
    return PhaseMesh(mesh, dmesh.meshtags(mesh, dim, cell, phase), facet_tags, ("medium", "pore"), MICRO, tuple(size))


SOLIDS = [dmesh.CellType.tetrahedron, dmesh.CellType.hexahedron]


@pytest.mark.mpi
@pytest.mark.parametrize("kind", SOLIDS, ids=["tetrahedra", "cubes"])
@pytest.mark.parametrize(
    ("shape", "volume", "bound"),
    [
        (Ball(scaled(2.0, 1.7, 1.5), 1.3e-6), 4 / 3 * np.pi * 1.3**3, 5e-4),
        (Ball(scaled(2.0, 1.7, 0.0), 1.3e-6), 2 / 3 * np.pi * 1.3**3, 5e-4),
        (Ball(scaled(2.1, 1.3, 0.8), 0.09e-6), 4 / 3 * np.pi * 0.09**3, 1e-3),
        (Box({"x": scaled(0.61, 3.3), "y": scaled(1.1, 2.77), "z": scaled(0.4, 1.9)}), 2.69 * 1.67 * 1.5, 1e-12),
        (Box({"x": scaled(1.0, 3.0), "z": scaled(0.4, 1.93)}), 2.0 * 3.5 * 1.53, 1e-12),
        (Box({"z": scaled(0.4, 1.93)}), 1.53 * 14.0, 1e-12),
        (Shell("pore", 0.8e-6), 0.8 * 14.0, 1e-12),
        (Ball(scaled(2.0, 1.7, 1.5), 9e-6), 42.0, 1e-12),
    ],
    ids=["ball", "half ball", "speck", "box", "beam", "slab", "shell", "all"],
)
def test_volume_in_solids(verified, kind, shape, volume, bound):
    """Catches bodies that no corner of a cell lies in, and chords on one side of a curved edge."""
    mean, found, space = area_of(brick(kind=kind), shape, 1)
    verified(
        term="regions",
        against=f"volume of {'round' if isinstance(shape, Ball) else 'flat-sided'} bodies",
        dim=3,
        cells={dmesh.CellType.tetrahedron: "tetrahedra", dmesh.CellType.hexahedron: "cubes"}[kind],
        degree=1,
        error=abs(found / volume - 1),
        of="volume",
    )
    assert found == pytest.approx(volume, rel=bound)
    assert mean_of(mean, space, lambda x: np.ones(x.shape[1])) == pytest.approx(1.0, rel=1e-12)


@pytest.mark.mpi
@pytest.mark.parametrize("most", [10**9, 1], ids=["few", "many"])
def test_ends_of_the_concentration_in_a_shell(monkeypatch, most):
    """However many cells are cut, and on any number of ranks, the ends are those at the shell's edge."""
    monkeypatch.setattr(sampled_edge, "MANY", most)
    monkeypatch.setattr(integrals, "MOST_CORNERS", most)
    mean, _, space = area_of(brick(), Shell("pore", 0.8e-6), 1)
    field = fem.Function(space)
    field.interpolate(lambda x: 5.0 - x[2] + 0.1 * x[0])
    samples = _Samples.of(mean.parts, space.element.basix_element, 1, space.dofmap.list, None)
    least, largest = samples.take(field.x.array, loops)
    assert COMM.allreduce(least, op=MPI.MIN) == pytest.approx(5.0 - 0.8, rel=1e-12)
    assert COMM.allreduce(largest, op=MPI.MAX) == pytest.approx(5.0 + 0.1 * 4.0, rel=1e-12)


@pytest.mark.mpi
@pytest.mark.parametrize("kind", SOLIDS, ids=["tetrahedra", "cubes"])
def test_shell_around_a_cube(kind):
    """Six sides, twelve quarter cylinders, eight octants; the nearest point is often on an edge or a corner."""
    mesh = brick(COMM, (7, 7, 7), (7.0, 7.0, 7.0), kind, lambda x: np.all(np.abs(x - 3.5) < 0.5, axis=0))
    reach = 1.7
    mean, found, _ = area_of(mesh, Shell("pore", reach * MICRO), 1)
    exact = 6 * reach + 3 * np.pi * reach**2 + 4 / 3 * np.pi * reach**3
    assert found == pytest.approx(exact, rel=1e-3)
    assert np.isnan(mean.solved_share)  # what lies in phases that are not solved for is not known to the solver
    assert mean.phase_shares == pytest.approx([1.0, 0.0])


@pytest.mark.mpi
@pytest.mark.parametrize("kind", SOLIDS, ids=["tetrahedra", "cubes"])
def test_shell_in_an_inner_corner(kind):
    """Two walls: the distance has a kink in the middle, which no face of a cell follows."""
    mesh = brick(COMM, (7, 8, 3), (7.0, 7.0, 3.0), kind, lambda x: (x[0] < 3.0) | (x[1] < 2.625))
    reach = 1.62
    mean, found, space = area_of(mesh, Shell("pore", reach * MICRO), 1)
    whole, left = 4.0 * 4.375, (4.0 - reach) * (4.375 - reach)
    assert found == pytest.approx(3.0 * (whole - left), rel=1e-3)
    expected = (whole * 5.0 - left * (7.0 + 3.0 + reach) / 2) / (whole - left)
    assert mean_of(mean, space, lambda x: x[0]) == pytest.approx(expected, rel=1e-3)


def test_points_are_evenly_spread():
    """Of a function of degree 2 they have the mean, and each knows on which side of the linear function it lies."""
    random = np.random.default_rng(3)
    corners = random.uniform(0.0, 9.0, (500, 4, 3))
    # In the order in which they are taken
    corners = np.take_along_axis(corners, np.argsort(corners @ DIRECTION, axis=1)[:, :, None], axis=1)
    points, simplices = corners.reshape(-1, 3), np.arange(2000, dtype=np.int32).reshape(-1, 4)
    distance = random.uniform(0.0, 2.0, 2000)
    count = 16
    of, nearest = np.empty(500 * count, np.int64), np.empty(500 * count, np.int64)
    x, state = np.empty((500 * count, 3)), np.empty(500 * count, np.uint8)
    ways = (DIRECTION, ROTATIONS, NEXT)
    counts = np.full(500, count)
    spread_points(points, distance, simplices, counts, *ways, 1.0, np.full(500, 0.1), of, x, state, nearest)
    assert (of == np.repeat(np.arange(500), count)).all()
    edges = (corners[:, 1:] - corners[:, :1])[of]
    later = np.linalg.solve(edges.transpose(0, 2, 1), (x - corners[of, 0])[:, :, None])[:, :, 0]
    shares = np.concatenate([1.0 - later.sum(axis=1)[:, None], later], axis=1).T
    assert (shares >= -1e-9).all()
    assert shares.mean(axis=1) == pytest.approx(1 / 4, abs=3e-3)
    assert (shares[0] * shares[1]).mean() == pytest.approx(1 / 20, abs=1e-3)
    assert (shares[2] ** 2).mean() == pytest.approx(1 / 10, abs=2e-3)
    assert (nearest == simplices[of, shares.argmax(axis=0)]).all()
    linear = (shares.T * distance[simplices[of]]).sum(axis=1) - 1.0 + 0.1
    assert (((state & LINEAR) > 0) == (linear < 0)).all()


@pytest.mark.parametrize("corners", [3, 4])
def test_part_below_zero_of_a_simplex(corners):
    """Share and means in closed form as those of the simplices that fill the part; zeros and ties among the values."""
    rng = np.random.default_rng(5)
    values = np.concatenate([rng.normal(size=(200, corners)), rng.integers(-1, 2, (200, corners)).astype(float)])
    share, means = linear_parts(values)
    unit = np.broadcast_to(np.eye(corners)[:, 1:], (len(values), corners, corners - 1))
    of, parts = clip(unit, values)
    volume = measures(parts) * math.factorial(corners - 1)
    assert share == pytest.approx(np.bincount(of, volume, len(values)), abs=1e-14)
    for i in range(1, corners):
        moment = np.bincount(of, volume * parts[:, :, i - 1].mean(axis=1), len(values))
        assert share * means[:, i] == pytest.approx(moment, abs=1e-14)
    assert means.sum(axis=1)[share > 0] == pytest.approx(1.0)


@pytest.mark.mpi
@pytest.mark.parametrize("degree", [1, 2])
@pytest.mark.parametrize("kind", SOLIDS, ids=["tetrahedra", "cubes"])
def test_means_in_solids(kind, degree):
    """Exact in a box; cubes of degree 1 hold xyz, whose parts are of degree 3."""
    mean, _, space = area_of(brick(kind=kind), Box({"x": scaled(0.61, 3.3), "z": scaled(0.4, 1.93)}), degree)
    assert mean_of(mean, space, lambda x: x[0] - 2 * x[2]) == pytest.approx(1.955 - 2.33, rel=1e-11)
    if kind == dmesh.CellType.hexahedron:
        expected = 1.955 * 1.75 * 1.165
        assert mean_of(mean, space, lambda x: x[0] * x[1] * x[2]) == pytest.approx(expected, rel=1e-11)
    if degree == 2:
        expected = 1.955 + (1.93**3 - 0.4**3) / (3 * 1.53)
        assert mean_of(mean, space, lambda x: x[0] + x[2] ** 2) == pytest.approx(expected, rel=1e-11)


@pytest.mark.mpi
@pytest.mark.parametrize("degree", [1, 2, 3])
def test_squares(degree):
    mesh = brick(COMM, (9, 5), (10.0, 6.0), dmesh.CellType.quadrilateral)
    mean, found, space = area_of(mesh, box((1.234, 4.321), (0.77, 5.1)), degree)
    assert found == pytest.approx(3.087 * 4.33, rel=1e-12)
    assert mean_of(mean, space, lambda x: x[0] * x[1]) == pytest.approx(0.5 * 5.555 * 0.5 * 5.87, rel=1e-11)
    _, found, _ = area_of(mesh, Ball(scaled(4.9, 3.1), 2.2 * MICRO), degree)
    assert found == pytest.approx(np.pi * 2.2**2, rel=2e-4)
    _, found, _ = area_of(mesh, polygon(*POLYGONS["comb"]), degree)
    assert found == pytest.approx(shoelace(POLYGONS["comb"]), rel=2e-4)
    _, found, _ = area_of(mesh, WholePhase("medium"), degree)
    assert found == pytest.approx(60.0, rel=1e-12)


@pytest.mark.mpi
@pytest.mark.parametrize("kind", SOLIDS, ids=["tetrahedra", "cubes"])
def test_any_number_of_ranks_gives_the_same_solids(kind):
    def within(x):
        return (np.abs(x[0] - 2.0) < 0.9) & (np.abs(x[1] - 1.7) < 0.8)

    shapes = [Ball(scaled(2.0, 1.7, 1.5), 1.3e-6), Box({"x": scaled(0.61, 3.3)}), Shell("pore", 0.6e-6)]
    for shape in shapes:
        shared, volume, space = area_of(brick(COMM, kind=kind, within=within), shape, 1)
        alone, same, own = area_of(brick(MPI.COMM_SELF, kind=kind, within=within), shape, 1)
        assert volume == pytest.approx(same, rel=1e-12)
        one, other = (mean_of(m, s, lambda x: x[0] * x[1]) for m, s in ((shared, space), (alone, own)))
        assert one == pytest.approx(other, rel=1e-11)


# --- distances ---


def test_distance_to_a_surface_of_uneven_segments():
    """Many short segments far away, one long one near: its midpoint is not among the nearest midpoints."""
    short = np.linspace(0.0, 1.0, 41)
    polyline = np.concatenate([np.stack([short, np.ones(41)], 1), [[1.0, 20.0], [3.0, 20.0], [3.0, -20.0]]])
    facets = np.stack([polyline[:-1], polyline[1:]], axis=1)
    x = np.random.default_rng(0).uniform([-1.0, -5.0], [5.0, 5.0], (400, 2))
    along = facets[None, :, 1] - facets[None, :, 0]
    to = x[:, None] - facets[None, :, 0]
    s = np.clip((to * along).sum(-1) / (along**2).sum(-1), 0.0, 1.0)
    exact = np.linalg.norm(to - s[..., None] * along, axis=-1).min(axis=1)
    assert SurfaceDistance(facets)(x) == pytest.approx(exact, abs=1e-12)


def test_distance_to_triangles():
    """To a cube's faces: the nearest point in a face, on an edge, or in a corner."""
    mesh = brick(MPI.COMM_SELF, (6, 6, 6), (3.0, 3.0, 3.0))
    mesh.mesh.topology.create_connectivity(2, 3)
    facets = facet_corners(mesh.mesh, dmesh.exterior_facet_indices(mesh.mesh.topology))
    x = np.random.default_rng(0).uniform(-3.0, 6.0, (2000, 3))
    outside = np.linalg.norm(x - np.clip(x, 0.0, 3.0), axis=1)
    exact = np.where(outside > 0, outside, np.minimum(x, 3.0 - x).min(axis=1))
    assert SurfaceDistance(facets)(x) == pytest.approx(exact, abs=1e-12)
    near = SurfaceDistance(facets)(x, within=0.7)
    assert near[exact <= 0.7] == pytest.approx(exact[exact <= 0.7], abs=1e-12)
    assert (near[exact > 0.7] > 0.7).all()


def test_of_facets_equally_near_one_is_taken_whatever_their_order():
    """Between two plates, in the middle: as their order is another on any number of ranks."""
    x, y = (places.ravel() for places in np.meshgrid(np.arange(5.0), np.arange(5.0)))
    corner = np.stack([x, y, np.zeros_like(x)], axis=1)
    plate = corner[:, None] + np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0]])
    facets = np.concatenate([plate, plate + np.array([0, 0, 1])])
    points = plate.mean(axis=1) + np.array([0.03, 0.01, 0.5])
    found = []
    for seed in range(4):
        mixed = facets[np.random.default_rng(seed).permutation(len(facets))]
        distance, facet = SurfaceDistance(mixed).nearest(points)
        assert distance == pytest.approx(0.5, rel=1e-12)
        found.append(mixed[facet])
    for other in found[1:]:
        assert (other == found[0]).all()


def test_corners_of_facets_are_known_without_looking():
    """Each corner of a surface has one of its own facets, the same whatever their order; other points have none."""
    random = np.random.default_rng(5)
    corners = random.uniform(0.0, 5.0, (60, 3))
    facets = corners[np.array([random.permutation(60)[:3] for _ in range(90)])]
    points = np.concatenate([corners, corners[:20] + 1e-14, random.uniform(0.0, 5.0, (20, 3))])
    found = SurfaceDistance(facets).facets_at(points)
    used = (points[:, None, None] == facets).all(axis=3).any(axis=2)  # (points, facets)
    assert ((found >= 0) == used.any(axis=1)).all()
    there = np.flatnonzero(found >= 0)
    assert used[there, found[there]].all()
    turned = random.permutation(90)
    again = SurfaceDistance(facets[turned]).facets_at(points)
    assert (turned[again[there]] == found[there]).all()
