"""Distributions of sizes as tables."""

from collections.abc import Sequence

import numpy as np

from microlith.imaging.typing import Array
from microlith.workflow.measurements.findings import Column, Table

CLASSES = 40  # of a distribution
LEAST_MANY = 2  # values, by their weights, whose scatter tells an error


def distribution(name: str, text: str, of: str, sizes: Array, counts: Array, volumes: Array) -> Table:
    """Distribution of sizes over classes with edges that grow by a constant factor.

    Args:
        name: Of the table.
        text: What it is of.
        of: Name of the sizes' column.
        sizes: (n,) m, above zero.
        counts: (n,) of how many things of each of these sizes there are.
        volumes: (n,) of each of them.

    Returns:
        A row for each class, with its upper end, the shares of number and of volume in it and below its end.
    """
    if not len(sizes):
        edges = np.array([1e-9, 1e-6])
    else:
        low, high = float(sizes.min()) * 0.999, float(sizes.max()) * 1.001
        edges = np.geomspace(low, high, CLASSES + 1)
    number, volume = (
        np.histogram(sizes, edges, weights=weights)[0] / max(float(weights.sum()), 1e-300)
        for weights in (counts, counts * volumes)
    )
    columns = (
        Column(of, edges[1:], "m"),
        Column("share_of_number", number, "1"),
        Column("share_of_volume", volume, "1"),
        Column("cumulative_number", np.cumsum(number), "1"),
        Column("cumulative_volume", np.cumsum(volume), "1"),
    )
    return Table(name, f"{text}; a class a row, {of} its upper end", "distribution", columns)


def weighted_quantile(values: Array, weights: Array, share: float) -> float:
    """The value below which a share of the weights is."""
    return weighted_quantiles(values, weights, (share,))[0]


def weighted_median(values: Array, weights: Array) -> float:
    """The median of values that count as often; the mean of both in the middle where all that count do so alike."""
    there = weights > 0
    alike = weights[there] == weights[there][:1]
    return float(np.median(values[there])) if alike.all() else weighted_quantile(values, weights, 0.5)


def error_of_mean(values: Array, weights: Array) -> float | None:
    """Standard error of a weighted mean of independent values, to first order; None: too few count.

    Args:
        values: (n,)
        weights: (n,) that belong to the values, as volumes of bodies do, or what each stands for.
    """
    many = _as_many(weights)
    if many < LEAST_MANY:
        return None
    apart = weights * (values - np.average(values, weights=weights))
    return float(np.sqrt((apart**2).sum() * many / (many - 1)) / weights.sum())


def error_of_quantile(values: Array, weights: Array, share: float) -> float | None:
    """The same of the value below which a share of the weights is: half of what lies within its own standard error."""
    many = _as_many(weights)
    if many < LEAST_MANY:
        return None
    off = float(np.sqrt(share * (1 - share) / many))
    low, high = weighted_quantiles(values, weights, (max(share - off, 0.0), min(share + off, 1.0)))
    return (high - low) / 2


def _as_many(weights: Array) -> float:
    """How many values of equal weights tell as much as these."""
    squares = float(weights @ weights)
    return float(weights.sum()) ** 2 / squares if squares > 0 else 0.0


def weighted_quantiles(values: Array, weights: Array, shares: Sequence[float]) -> list[float]:
    """The values below which some shares of the weights are."""
    order = np.argsort(values, kind="stable")
    below = np.cumsum(weights[order])
    if not len(order) or below[-1] <= 0:
        return [float("nan")] * len(shares)
    places = np.minimum(len(order) - 1, np.searchsorted(below, np.array(shares) * below[-1]))
    return [float(value) for value in values[order[places]]]
