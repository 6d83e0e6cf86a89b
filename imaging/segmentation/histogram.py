"""The histogram of a whole volume, counted in whole numbers: the same on any number of ranks."""

from dataclasses import dataclass

import numpy as np

from microlith.imaging.typing import Array, Numbers, Singles
from microlith.imaging.volumes.disk_volumes import DiskVolume, Layers, Tell, Workshop, quiet

BINS = 1 << 14  # of values that are not whole numbers
COARSE = 256  # bins to which thresholds of many phases are found
OUTERMOST = 1e-4  # share of the voxels, on either side, that may lie far from all others
NARROW = 0.02  # share of the range, below which all others are counted in bins of their own
MOST_PASSES = 12  # to find these: each narrows the range to some bins of the one before


@dataclass(frozen=True, eq=False)
class Histogram:
    """How many voxels have which grey value."""

    counts: Numbers  # (n,)
    edges: Array  # (n + 1,) of the bins, ascending and equally far apart

    @property
    def centres(self) -> Array:
        """(n,) middles of the bins."""
        return 0.5 * (self.edges[:-1] + self.edges[1:])

    @property
    def voxels(self) -> int:
        """All that are counted."""
        return int(self.counts.sum())

    def quantile(self, share: float) -> float:
        """The grey value that this share of the voxels is not above, to a bin."""
        place = int(np.searchsorted(np.cumsum(self.counts), share * self.voxels, side="left"))
        return float(self.centres[min(place, len(self.counts) - 1)])

    def mean(self, low: float = -np.inf, high: float = np.inf) -> float:
        """Mean grey value of the voxels in [low, high); the middle of both where there are none."""
        inside = (self.centres >= low) & (self.centres < high)
        total = int(self.counts[inside].sum())
        if total:
            return float((self.counts[inside] * self.centres[inside]).sum() / total)
        return float(
            np.clip(0.5 * (max(low, self.edges[0]) + min(high, self.edges[-1])), self.edges[0], self.edges[-1])
        )

    def coarse(self, bins: int = COARSE) -> "Histogram":
        """The same in fewer bins, without the outermost 0.01 % of the voxels on each side: they join the last bins."""
        low, high = self.quantile(OUTERMOST), self.quantile(1 - OUTERMOST)
        if len(self.counts) <= bins:
            return self
        if not low < high:
            low, high = float(self.centres[0]), float(self.centres[-1])
        step = self.edges[1] - self.edges[0]
        edges = np.linspace(low - step / 2, high + step / 2, bins + 1)
        place = np.clip(np.searchsorted(edges, self.centres, side="right") - 1, 0, bins - 1)
        return Histogram(np.bincount(place, self.counts, minlength=bins).astype(np.int64), edges)


def bins_of(values: Singles, edges: Array) -> Numbers:
    """Number of the bin of each value; the outermost bins hold what is beyond."""
    step = float(edges[1] - edges[0])
    place: Numbers = np.clip((values - np.float64(edges[0])) / step, 0, len(edges) - 2).astype(np.int64)
    return place


def histogram(grey: DiskVolume, workshop: Workshop, without: DiskVolume | None = None, tell: Tell = quiet) -> Histogram:
    """Count the grey values of a volume; collective.

    Args:
        grey: The volume.
        workshop: Its ranks.
        without: Voxels that are not counted are not 0 here; None: all are counted.
        tell: Hears how far it is.

    Returns:
        One bin for each whole number where all values are whole and not too far apart, else BINS of them. Few voxels
        far from all others, as defects of a detector leave them, join the outermost bins.
    """

    def ends(layers: Layers) -> tuple[float, float, bool]:
        values = grey.values()[layers.write]
        return float(values.min()), float(values.max()), bool((values == np.rint(values)).all())

    found = workshop.each(grey.shape, ends)
    low, high = min(f[0] for f in found), max(f[1] for f in found)
    whole = all(f[2] for f in found) and high - low < 4 * BINS
    edges = np.arange(low - 0.5, high + 1.0) if whole else np.linspace(low, high if high > low else low + 1.0, BINS + 1)

    def count(edges: Array) -> Histogram:
        def counted(layers: Layers) -> Numbers:
            values = grey.values()[layers.write]
            if without is not None:
                values = values[without.values()[layers.write] == 0]
            return np.bincount(bins_of(values, edges).ravel(), minlength=len(edges) - 1)

        return Histogram(np.sum(workshop.each(grey.shape, counted, tell=tell), axis=0), edges)

    first = found_now = count(edges)
    for _ in range(MOST_PASSES):
        edges = found_now.edges
        half = 0.5 * (edges[1] - edges[0])
        inner = found_now.quantile(OUTERMOST) - half, found_now.quantile(1 - OUTERMOST) + half
        width = inner[1] - inner[0]
        if whole or not first.voxels or width >= NARROW * (edges[-1] - edges[0]):
            return found_now
        edges = np.linspace(max(low, inner[0] - 0.5 * width), min(high, inner[1] + 0.5 * width), BINS + 1)
        if not edges[0] < edges[1]:
            break
        found_now = count(edges)
    return first  # all but the outermost voxels have one value
