"""Cubes of a regular grid: their unknowns on all levels, told apart where nothing conducts, and the spaces of these."""

import numpy as np
import pytest

from mpi4py import MPI

from microlith.solver.cubes.conduction import depth_of
from microlith.solver.cubes.kernels import add_from_coarse, to_coarse
from microlith.solver.cubes.levels import Slab, layers_of_ranks, levels_of
from microlith.solver.cubes.multigrid import coarse_spaces, interpolation, matrix_of_cube

ALONE = MPI.COMM_SELF
ALL_AXES = 7


def levels(there, depth=1):
    bits = np.where(there, np.uint8(ALL_AXES), np.uint8(0))
    return levels_of(Slab(bits, there.shape, 0, (0, len(there))), depth, ALONE)


def image(*pages):
    """Cubes where there is an x: pages of rows."""
    return np.array([[[c == "x" for c in row] for row in page.split()] for page in pages])


def noise(shape, seed=0):
    return np.random.default_rng(seed).random(shape) < 0.55


@pytest.mark.parametrize(
    ("pages", "unknowns"),
    [
        (["xx"], 12),  # a face
        (["x. .x"], 16),  # an edge: nothing passes through it
        (["x. ..", ".. .x"], 16),  # a vertex
        (["xx .x"], 16),  # around a corner: joined along the edge
        (["xx x.", "x. .."], 20),
    ],
)
def test_corners_are_one_where_cubes_share_a_face(pages, unknowns):
    assert levels(image(*pages)).levels[0].unknowns == unknowns


def test_a_thin_wall_and_a_gap_are_seen_on_all_levels():
    """Within a block a wall of one cube parts two elements, and a way around it joins them."""
    wall = np.ones((4, 4, 4), bool)
    wall[:, :, 1] = False  # half of the blocks at the lower end
    coarse = levels(wall).levels[1]
    assert len(coarse.corners) == 8
    assert coarse.unknowns == 2 * 3 * 3 * 2
    parts = levels(image("x.x x.x")).levels
    assert [len(level.corners) for level in parts] == [4, 2]
    assert parts[1].unknowns == 16
    assert [len(level.corners) for level in levels(image("xx xx", "xx xx")).levels] == [8, 1]
    contact = levels(image("x. .x")).levels  # an edge within a block: still two elements
    assert [len(level.corners) for level in contact] == [2, 2]


def test_matrix_of_a_cube():
    edges = (1.0, 2.0, 0.5)
    matrix, eigenvalues = matrix_of_cube(edges)
    assert np.allclose(matrix, matrix.T)
    assert np.allclose(matrix.sum(axis=0), 0)
    assert np.allclose(sorted(np.linalg.eigvalsh(matrix)), sorted(8 * eigenvalues))
    for axis, edge in enumerate(edges):
        slope = (np.arange(8) >> axis & 1).astype(float)
        assert slope @ matrix @ slope == pytest.approx(np.prod(edges) / edge**2)
    one, _ = matrix_of_cube((1.0, 1.0, 1.0))
    assert one[0, [0, 1, 3, 7]] == pytest.approx([1 / 3, 0, -1 / 12, -1 / 12])  # known of trilinear elements


@pytest.mark.parametrize("shape", [(8, 8, 8), (7, 5, 9)])
def test_each_space_lies_within_the_finer_one(shape):
    """The product on a level is that of the finer level between the same functions, gaps and odd ends included."""
    found = levels(noise(shape), 2)
    coarse = coarse_spaces(found.levels, (1.0, 1.5, 0.7))
    weights = interpolation().astype(np.float32)
    for number in (0, 1):
        level, above = found.levels[number : number + 2]
        x = np.random.default_rng(1).random(above.unknowns).astype(np.float32)
        direct, back = np.empty_like(x), np.empty_like(x)
        coarse.times(number + 1, x, direct)
        fine, product = np.zeros((2, level.unknowns), np.float32)
        add_from_coarse(level.seat, level.parent, level.kind, weights, above.corners, x, fine)
        # The same at each corner of each element, whichever of them an unknown has its seat at
        of_corners = np.einsum("eck,ek->ec", weights[level.kind], x[above.corners[level.parent]])
        assert np.allclose(of_corners, fine[level.corners], atol=1e-5)
        coarse.times(number, fine, product)
        to_coarse(level.seat, level.parent, level.kind, weights, above.corners, product, back)
        assert np.allclose(back, direct, atol=1e-4 * np.abs(direct).max())


def test_layers_of_ranks():
    assert layers_of_ranks([5] * 10, 1, 2) == [(0, 10)]
    assert layers_of_ranks([5] * 12, 3, 2) == [(0, 4), (4, 8), (8, 12)]
    assert layers_of_ranks([30] * 4 + [1] * 12, 2, 1) == [(0, 2), (2, 16)]
    assert layers_of_ranks([1, 1, 1], 4, 1) == [(0, 2), (2, 3), (3, 3), (3, 3)]
    assert layers_of_ranks([0, 0, 4, 4], 2, 1) == [(0, 2), (2, 4)]


def test_depth():
    assert depth_of(10**5, 100, 2) == 2
    assert depth_of(10**7, 300, 2) == 3
    assert depth_of(10**7, 300, 100) == 1
