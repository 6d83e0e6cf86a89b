"""Sets of lattice points and the simplices that they stand for."""

import numpy as np
import pytest

from microlith.meshing.lattice.bisection import BoxRange, Lattice, refined, simplices_of_box
from microlith.meshing.mesh.simplices import angles, oriented, sharpness, signed_measures


def _around_a_sphere(lattice, box, finest=0.1, growth=0.3):
    middle = np.array(lattice.extent) / 2

    def wanted(at, edge):
        return edge > finest + growth * np.abs(np.linalg.norm(at - middle, axis=1) - 1.1)

    return refined(lattice, box, wanted, lambda keys: keys)


def _mesh(lattice, box, stages):
    keys, cells = simplices_of_box(lattice, box, stages)
    points = lattice.places(keys)
    return keys, points, oriented(points, cells)


def _as_keys(lattice, box, stages):
    keys, cells = simplices_of_box(lattice, box, stages)
    return [tuple(sorted(cell)) for cell in keys[cells].tolist()]


@pytest.mark.parametrize("boxes", [(5, 4), (5, 4, 3)])
def test_conforms_and_fills_the_box(boxes):
    """A vertex in the middle of another cell's edge, or a cell too many, would show."""
    lattice = Lattice(boxes, 4, tuple(map(float, boxes)))
    everything = BoxRange((0,) * len(boxes), boxes)
    keys, points, cells = _mesh(lattice, everything, _around_a_sphere(lattice, everything))
    places = lattice.points(keys)
    for a in range(lattice.dim + 1):
        for b in range(a):
            ends = places[cells[:, a]] + places[cells[:, b]]
            halves = ends[(ends % 2 == 0).all(axis=1)] // 2
            assert not np.isin(lattice.keys(halves), keys).any()
    assert (np.unique(cells) == np.arange(len(keys))).all()
    assert signed_measures(points, cells).min() > 0
    assert signed_measures(points, cells).sum() == pytest.approx(np.prod(boxes), rel=1e-12)


@pytest.mark.parametrize(("boxes", "least"), [((5, 4), 45.0), ((5, 4, 3), 45.0)])
def test_angles_stay_those_of_the_first_cells(boxes, least):
    lattice = Lattice(boxes, 4, tuple(map(float, boxes)))
    everything = BoxRange((0,) * len(boxes), boxes)
    _, points, cells = _mesh(lattice, everything, _around_a_sphere(lattice, everything))
    assert angles(sharpness(points, cells)).min() == pytest.approx(least, abs=1e-6)


def test_edges_are_as_short_as_wanted():
    lattice = Lattice((4, 4, 4), 5, (4.0, 4.0, 4.0))
    everything = BoxRange((0, 0, 0), (4, 4, 4))
    _, points, cells = _mesh(lattice, everything, _around_a_sphere(lattice, everything))
    corners = points[cells]
    middle = corners.mean(axis=1)
    longest = max_edge = np.zeros(len(cells))
    for a in range(4):
        for b in range(a):
            max_edge = np.maximum(max_edge, np.linalg.norm(corners[:, a] - corners[:, b], axis=1))
    longest = 0.1 + 0.3 * np.abs(np.linalg.norm(middle - 2.0, axis=1) - 1.1)
    assert (max_edge < 1.35 * longest).all()
    assert (max_edge > 0.2 * longest).all()  # and not much shorter


@pytest.mark.parametrize("boxes", [(6, 4), (6, 4, 3)])
def test_parts_of_the_lattice_make_the_cells_of_the_whole(boxes):
    """Two parts that tell each other their points: what one refines at the border, the other refines as well."""
    lattice = Lattice(boxes, 4, tuple(map(float, boxes)))
    zeros = (0,) * len(boxes)
    everything = BoxRange(zeros, boxes)
    image_mesh = [BoxRange(zeros, (2, *boxes[1:])), BoxRange((2, *zeros[1:]), boxes)]
    whole = _around_a_sphere(lattice, everything)
    cells = set(_as_keys(lattice, everything, whole))
    found = []
    for part in image_mesh:
        kept = [stage[part.holds(lattice, lattice.points(stage))] for stage in whole]
        found += _as_keys(lattice, part, kept)
    assert len(found) == len(cells)
    assert set(found) == cells


def test_an_empty_part_has_no_cell():
    lattice = Lattice((2, 2, 2), 2, (1.0, 1.0, 1.0))
    nothing = BoxRange((1, 0, 0), (1, 2, 2))
    stages = _around_a_sphere(lattice, nothing)
    keys, cells = simplices_of_box(lattice, nothing, stages)
    assert len(keys) == 0
    assert cells.shape == (0, 4)


def test_cells_follow_their_first_vertices():
    lattice = Lattice((4, 4, 4), 4, (4.0, 4.0, 4.0))
    everything = BoxRange((0, 0, 0), (4, 4, 4))
    _, cells = simplices_of_box(lattice, everything, _around_a_sphere(lattice, everything))
    assert (np.diff(cells.min(axis=1)) >= 0).all()
