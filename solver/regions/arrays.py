"""The same as the compiled loops (`loops`), by NumPy: where there is little to do, numba takes longer to load."""

from itertools import permutations

import numpy as np

from microlith.imaging.typing import Array, Indices, Numbers


def take_corners(
    u: Array, dofs: Indices, cell: Numbers, basis: Array, factors: Array, values: Array
) -> tuple[float, float]:
    """As `loops.take_corners`."""
    of_cells = u[dofs[cell]]
    if len(cell) == 0:
        return float("inf"), -float("inf")
    if len(basis) == 0:
        values[:] = of_cells
    else:
        np.einsum("nkd,nd->nk", basis, of_cells, out=values)
    if len(factors):
        values *= factors[:, None]
    return float(values.min()), float(values.max())


def ends_below(u: Array, dofs: Indices, cell: Numbers, below: Array, factors: Array) -> tuple[float, float]:
    """As `loops.ends_below`."""
    of_cells = u[dofs[cell]]
    if len(factors):
        of_cells = of_cells * factors[:, None]
    negative = below < 0
    found = [of_cells[negative]]
    for k, j in permutations(range(below.shape[1]), 2):
        cut = negative[:, k] & ~negative[:, j]
        share = below[cut, k] / (below[cut, k] - below[cut, j])
        found.append(of_cells[cut, k] + share * (of_cells[cut, j] - of_cells[cut, k]))
    values = np.concatenate(found)
    return float(values.min(initial=np.inf)), float(values.max(initial=-np.inf))


def fill_bins(
    values: Array, weights: Array, volume: Array, shares: Array, low: float, per_bin: float, bins: Array
) -> None:
    """As `loops.fill_bins`."""
    places = ((values @ weights.T - low) * per_bin).clip(0.0, len(bins) - 1).astype(np.intp)
    bins += np.bincount(places.ravel(), np.outer(volume, shares).ravel(), len(bins))
