"""Small matrices of cells in closed form, against LAPACK."""

import numpy as np
import pytest

from microlith.meshing.mesh.cells import determinants, edges_of, inverses


@pytest.mark.parametrize("dim", [2, 3])
def test_small_matrices_in_closed_form(dim):
    """A wrong order of the cofactors gives the transpose, which differs for all but symmetric matrices."""
    matrices = np.random.default_rng(dim).standard_normal((50, dim, dim))
    assert determinants(matrices) == pytest.approx(np.linalg.det(matrices), rel=1e-10)
    assert inverses(matrices) == pytest.approx(np.linalg.inv(matrices), rel=1e-8)
    assert determinants(matrices[:0]).shape == (0,)
    assert inverses(matrices[:0]).shape == (0, dim, dim)


@pytest.mark.parametrize(("corners", "dim", "count"), [(3, 2, 3), (4, 2, 4), (4, 3, 6), (8, 3, 12)])
def test_edges_of_cells_are_no_diagonals(corners, dim, count):
    pairs = edges_of(corners, dim)
    assert len(set(pairs)) == count
    if corners == 1 << dim:  # corner numbers have a bit per axis
        place = np.array([[number >> axis & 1 for axis in range(dim)] for number in range(corners)])
        assert all(np.abs(place[one] - place[other]).sum() == 1 for one, other in pairs)
