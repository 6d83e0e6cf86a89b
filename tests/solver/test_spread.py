"""Values at places in cells and parts of cells, in loops and by NumPy, against other expressions in NumPy."""

import numpy as np
import pytest

from microlith.solver.regions import arrays, loops
from microlith.solver.regions.cut_cells import clip

CELLS, UNKNOWNS, BINS = 50, 30, 40


@pytest.mark.parametrize("ways", [loops, arrays])
@pytest.mark.parametrize("with_factors", [False, True])
@pytest.mark.parametrize("whole", [False, True])
def test_volumes_by_concentration(ways, with_factors, whole):
    generator = np.random.default_rng(2)
    u, dofs = generator.standard_normal(UNKNOWNS), generator.integers(0, UNKNOWNS, (CELLS, 4)).astype(np.int32)
    cell = generator.permutation(CELLS)[:20]
    factors = generator.random(20) + 0.5 if with_factors else np.empty(0)
    basis = np.empty((0, 4, 4)) if whole else generator.random((20, 3, 4))
    values = np.empty((20, 4 if whole else 3))
    low, high = ways.take_corners(u, dofs, cell, basis, factors, values)
    expected = u[dofs[cell]] if whole else np.einsum("nkd,nd->nk", basis, u[dofs[cell]])
    expected = expected * (factors[:, None] if with_factors else 1.0)
    assert values == pytest.approx(expected, rel=1e-12)
    assert (low, high) == (values.min(), values.max())

    weights, shares = generator.dirichlet(np.ones(values.shape[1]), 5), generator.dirichlet(np.ones(5))
    volume, bins = generator.random(20), np.zeros(BINS)
    start, length = low + 0.4 * (high - low), 0.2 * (high - low)  # what is beyond counts to the first and the last bin
    ways.fill_bins(values, weights, volume, shares, start, BINS / length, bins)
    places = np.clip(expected @ weights.T, start, start + length)
    found, _ = np.histogram(places, BINS, (start, start + length), weights=np.outer(volume, shares))
    assert bins == pytest.approx(found, abs=1e-12)
    assert bins[0] > 0
    assert bins[-1] > 0


@pytest.mark.parametrize("ways", [loops, arrays])
@pytest.mark.parametrize("corners", [1, 3])
def test_nothing_to_look_at(ways, corners):
    none, dofs = np.empty(0, np.intp), np.zeros((2, 3), np.int32)
    low, high = ways.take_corners(
        np.ones(3), dofs, none, np.empty((0, corners, 3)), np.empty(0), np.empty((0, corners))
    )
    assert (low, high) == (np.inf, -np.inf)


@pytest.mark.parametrize("ways", [loops, arrays])
@pytest.mark.parametrize("corners", [3, 4])
def test_ends_where_a_function_is_negative(ways, corners):
    """Against the corners of the simplices that fill those parts."""
    generator = np.random.default_rng(4)
    u, dofs = generator.standard_normal(UNKNOWNS), generator.integers(0, UNKNOWNS, (CELLS, corners)).astype(np.int32)
    reference = np.eye(corners)[:, 1:]
    for cell in range(CELLS):
        below = generator.standard_normal((1, corners))
        factor = generator.random(1) + 0.5
        found = ways.ends_below(u, dofs, np.array([cell]), below, factor)
        _, parts = clip(reference[None], below)
        if len(parts) == 0:
            assert found == (np.inf, -np.inf)
            continue
        at = np.concatenate([1.0 - parts.sum(axis=2, keepdims=True), parts], axis=2) @ (factor * u[dofs[cell]])
        assert found == pytest.approx((at.min(), at.max()), rel=1e-12)
