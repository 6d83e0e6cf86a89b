"""Loops over cells and parts of cells of a region to look at the concentration there, which numba compiles."""

from microlith.imaging.parallel.compiled import kept
from microlith.imaging.typing import Array, Indices, Numbers


@kept
def take_corners(
    u: Array, dofs: Indices, cell: Numbers, basis: Array, factors: Array, values: Array
) -> tuple[float, float]:
    """The concentration at corners of parts of cells.

    Args:
        u: (unknowns,)
        dofs: (all cells, dofs of a cell)
        cell: (n,)
        basis: (n or 0, corners, dofs of a cell) basis functions at the corners; none: the dofs are what is taken.
        factors: (n or 0,) κ of c = κ u; none: 1.
        values: (n, corners) of the concentration, changed.

    Returns:
        The least and the largest of all.
    """
    low, high = float("inf"), -float("inf")
    for i in range(len(cell)):
        factor = factors[i] if len(factors) else 1.0
        row = cell[i]
        for k in range(values.shape[1]):
            if len(basis) == 0:
                value = u[dofs[row, k]]
            else:
                value = 0.0
                for d in range(dofs.shape[1]):
                    value += basis[i, k, d] * u[dofs[row, d]]
            value *= factor
            values[i, k] = value
            low, high = min(low, value), max(high, value)
    return low, high


@kept
def ends_below(u: Array, dofs: Indices, cell: Numbers, below: Array, factors: Array) -> tuple[float, float]:
    """The least and the largest concentration, linear in cells, where another linear function is negative.

    Args:
        u: (unknowns,)
        dofs: (all cells, corners)
        cell: (n,)
        below: (n, corners) the other function.
        factors: (n or 0,) κ of c = κ u; none: 1.
    """
    low, high = float("inf"), -float("inf")
    for i in range(len(cell)):
        factor = factors[i] if len(factors) else 1.0
        for k in range(below.shape[1]):
            if below[i, k] >= 0:
                continue
            inside = factor * u[dofs[cell[i], k]]
            low, high = min(low, inside), max(high, inside)
            for j in range(below.shape[1]):
                if below[i, j] >= 0:
                    share = below[i, k] / (below[i, k] - below[i, j])
                    value = inside + share * (factor * u[dofs[cell[i], j]] - inside)
                    low, high = min(low, value), max(high, value)
    return low, high


@kept
def fill_bins(
    values: Array, weights: Array, volume: Array, shares: Array, low: float, per_bin: float, bins: Array
) -> None:
    """Add volumes to the bins in which the concentrations at places in cells, or parts of cells, lie.

    Args:
        values: (n, corners)
        weights: (places, corners) that make the value at a place of those at the corners.
        volume: (n,)
        shares: (places,) of the volume, each that a place stands for.
        low: Where the first bin begins; what is below counts to it.
        per_bin: One by the length of a bin.
        bins: (bins,), changed; what is above the last one counts to it.
    """
    last = len(bins) - 1
    for i in range(len(values)):
        for q in range(len(weights)):
            value = 0.0
            for k in range(values.shape[1]):
                value += weights[q, k] * values[i, k]
            bins[int(min(max((value - low) * per_bin, 0.0), last))] += volume[i] * shares[q]
