"""Facets of triangles and tetrahedra."""

import numpy as np
import pytest
from scipy.spatial import Delaunay

from microlith.meshing.mesh.simplices import single_facets


@pytest.mark.parametrize("points", [200, 1 << 22], ids=["few", "more than a key of three holds"])
@pytest.mark.parametrize("dim", [2, 3])
def test_facets_of_one_cell_alone_are_the_hull(dim, points):
    mesh = Delaunay(np.random.default_rng(4).random((200, dim)))
    number = np.sort(np.random.default_rng(5).choice(points, 200, replace=False))
    facets = single_facets(number[mesh.simplices], points)
    assert {frozenset(row) for row in facets.tolist()} == {frozenset(row) for row in number[mesh.convex_hull].tolist()}
    assert len(facets) == len(mesh.convex_hull)


def test_facets_of_no_cells_and_of_cells_that_share_none():
    assert single_facets(np.zeros((0, 4), np.int32), 5).shape == (0, 3)
    assert len(single_facets(np.arange(8).reshape(2, 4), 8)) == 8
