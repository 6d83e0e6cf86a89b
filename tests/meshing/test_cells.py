"""Small matrices of cells in closed form, against LAPACK."""

import numpy as np
import pytest

from microlith.meshing.mesh.cells import determinants, inverses


@pytest.mark.parametrize("dim", [2, 3])
def test_small_matrices_in_closed_form(dim):
    """A wrong order of the cofactors gives the transpose, which differs for all but symmetric matrices."""
    matrices = np.random.default_rng(dim).standard_normal((50, dim, dim))
    assert determinants(matrices) == pytest.approx(np.linalg.det(matrices), rel=1e-10)
    assert inverses(matrices) == pytest.approx(np.linalg.inv(matrices), rel=1e-8)
    assert determinants(matrices[:0]).shape == (0,)
    assert inverses(matrices[:0]).shape == (0, dim, dim)
