"""How a method decides, and the simplest way: thresholds of grey values, given or found in the histogram."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import numpy as np

from microlith.imaging.errors import InputError
from microlith.imaging.segmentation.histogram import Histogram
from microlith.imaging.typing import Array, Phases, Singles
from microlith.imaging.volumes.disk_volumes import DiskVolume, Layers

MOST_STEPS = 200  # of an iteration for thresholds
LARGE = 1e30  # grey values that may be near the largest of single precision
PEAK_WIDTH = 0.015  # of the range of grey values: standard deviation by which the histogram is smoothed
PEAK_DEPTH = 1 / 3  # of a peak's height, by which frequencies fall towards higher ones
PEAK_SHARE = 0.02  # of the voxels that a peak has at least
MOST_OTSU = 5  # phases; the time grows as the bins to the power of one less


@dataclass(frozen=True)
class Favoured:
    """A phase that gets what is doubtful, or loses it."""

    phase: int  # index
    shift: float  # above 0: the phase gets larger; as Certainty.shift


class Decision(Protocol):
    """What a method has found out about the whole volume, ready to be used block by block."""

    @property
    def halo(self) -> int:
        """Layers around a block that it looks at."""

    def classed(self, layers: Layers, favoured: Favoured | None = None) -> Phases:
        """Index of the phase of each voxel of a block."""

    def margin(self, layers: Layers) -> Singles:
        """How far each voxel of a block is from belonging to another phase: 0 to 1, as Certainty.shift counts it."""


@dataclass(frozen=True)
class Cuts:
    """Thresholds between phases from dark to bright, and how bright the phases are."""

    values: tuple[float, ...]  # ascending; voxels from a threshold on belong to the brighter phase
    means: tuple[float, ...]  # mean grey value of each phase

    @property
    def contrasts(self) -> tuple[float, ...]:
        """Difference between the means on either side of each threshold, of at least a tenth of the largest one."""
        found = [abs(b - a) for a, b in pairwise(self.means)]
        return tuple(max(contrast, 0.1 * max(found)) for contrast in found)

    def moved(self, favoured: Favoured) -> tuple[float, ...]:
        """The thresholds around a phase moved away from it, or towards it; they don't pass each other."""
        values = list(self.values)
        for i, contrast in enumerate(self.contrasts):
            if i == favoured.phase - 1:
                values[i] -= favoured.shift * contrast
            if i == favoured.phase:
                values[i] += favoured.shift * contrast
        below, above = favoured.phase - 1, favoured.phase
        if below >= 0 and above < len(values) and values[below] > values[above]:  # nothing is left of the phase
            values[below] = values[above] = 0.5 * (self.values[below] + self.values[above])
        for i in range(below - 1, -1, -1):
            values[i] = min(values[i], values[i + 1])
        for i in range(above + 1, len(values)):
            values[i] = max(values[i], values[i - 1])
        return tuple(values)

    def classed(self, grey: Singles, favoured: Favoured | None = None) -> Phases:
        """Index of the phase of each grey value, with one of them favoured or not."""
        values = self.values if favoured is None else self.moved(favoured)
        return np.digitize(grey, np.array(values, np.float64)).astype(np.uint8)

    def margin(self, grey: Singles) -> Singles:
        """How far each grey value is from the nearest threshold, per contrast there; 1 at most."""
        out = np.ones(grey.shape, np.float32)
        # Differences of values near the largest of single precision are beyond it, those of quarters are not.
        part = 0.25 if max(map(abs, (*self.values, *self.means))) > LARGE else 1.0
        near = grey * np.float32(part) if part < 1 else grey
        for value, contrast in zip(self.values, self.contrasts, strict=True):
            np.minimum(out, np.abs(near - np.float32(part * value)) / np.float32(part * contrast or 1.0), out=out)
        return out


@dataclass(frozen=True, eq=False)
class ByThresholds:
    """Thresholds of the filtered grey values."""

    grey: DiskVolume
    cuts: Cuts
    halo: int = 0

    def classed(self, layers: Layers, favoured: Favoured | None = None) -> Phases:
        """See Decision."""
        return self.cuts.classed(self.grey.values()[layers.write], favoured)

    def margin(self, layers: Layers) -> Singles:
        """See Decision."""
        return self.cuts.margin(self.grey.values()[layers.write])


def heights(cuts: Cuts, counted: Histogram) -> tuple[float, ...]:
    """How frequent the grey values of each phase are where they are most, per frequency at its thresholds.

    Frequencies are those within a tenth of the smallest contrast. A phase whose height is about 1 or less has no peak
    of its own: its grey values are the flank of another one's, or those of interfaces.

    Args:
        cuts: Thresholds.
        counted: Histogram of the volume.

    Returns:
        One for each phase; inf where nothing is at its thresholds.
    """
    reach = 0.1 * min(cuts.contrasts)
    below = np.concatenate([[0.0], np.cumsum(counted.counts, dtype=np.float64)])  # each edge of a bin

    def frequency(values: Array) -> Array:
        return np.interp(values + reach, counted.edges, below) - np.interp(values - reach, counted.edges, below)

    centres, found = counted.centres, []
    ends = (-np.inf, *cuts.values, np.inf)
    for low, high in pairwise(ends):
        most = frequency(centres[(centres >= low) & (centres < high)]).max(initial=0.0)
        beside = frequency(np.array([end for end in (low, high) if np.isfinite(end)])).max()
        found.append(float(most / beside) if beside > 0 else np.inf)
    return tuple(found)


def peaks(counted: Histogram) -> tuple[float, ...]:
    """Grey values that are more frequent than those on either side.

    A peak counts where the histogram, smoothed, falls to two thirds of it and less towards each higher one, and where
    it has 2 % of the voxels, up to the least frequent values between it and the next ones.

    Args:
        counted: Histogram of the volume.

    Returns:
        From dark to bright.
    """
    from scipy.ndimage import gaussian_filter1d
    from scipy.signal import find_peaks

    coarse = counted.coarse()
    smooth = gaussian_filter1d(
        coarse.counts.astype(np.float64), max(1.0, PEAK_WIDTH * len(coarse.counts)), mode="constant"
    )
    bordered = np.concatenate([[0.0], smooth, [0.0]])
    found, shape = find_peaks(bordered, prominence=0.0)
    found = found[shape["prominences"] >= PEAK_DEPTH * bordered[found]]
    if not len(found):
        return ()
    between = [first + int(np.argmin(bordered[first:last])) for first, last in pairwise(found)]
    ends = pairwise([0, *between, len(bordered)])
    shares = np.array([bordered[first:last].sum() for first, last in ends]) / max(bordered.sum(), 1.0)
    return tuple(float(value) for value in coarse.centres[found[shares >= PEAK_SHARE] - 1])


def cuts_at(values: tuple[float, ...], counted: Histogram) -> Cuts:
    """Thresholds, with the means of what is between them."""
    ends = (-np.inf, *values, np.inf)
    return Cuts(values, tuple(counted.mean(low, high) for low, high in pairwise(ends)))


def given(values: tuple[float, ...], counted: Histogram) -> Cuts:
    """Thresholds that the user gives.

    Raises:
        InputError: They are outside the grey values, so that a phase has no voxel.
    """
    low, high = float(counted.edges[0]), float(counted.edges[-1])
    for value in values:
        if not low < value < high:
            raise InputError(
                f"[segmentation] thresholds: {value:g} is outside the grey values after the filters, which go from "
                f"{counted.quantile(0.0):.6g} to {high:.6g}; choose one between them"
            )
    return cuts_at(values, counted)


def otsu(counted: Histogram, phases: int) -> Cuts:
    """Thresholds that make the grey values within the phases vary least (Otsu 1979; of several, Liao et al. 2001).

    Args:
        counted: The histogram.
        phases: How many, 2 to MOST_OTSU.

    Raises:
        InputError: There are fewer distinct grey values than phases.
    """
    from skimage.filters import threshold_multiotsu, threshold_otsu

    coarse = counted.coarse()
    counts, centres = coarse.counts.astype(np.float64), coarse.centres
    if np.count_nonzero(counts) < phases:
        raise InputError(
            f"[segmentation] phases: expected at most as many as there are distinct grey values, "
            f"{np.count_nonzero(counts)}, got {phases}"
        )
    step = float(centres[1] - centres[0])
    if phases == 2:
        found = [threshold_otsu(hist=(counts, centres))]
    else:
        found = list(threshold_multiotsu(classes=phases, hist=(counts, centres)))
    # skimage gives the last bin of the darker phase, of several that are as good the first
    return settled(tuple(float(value) + 0.5 * step for value in found), counted)


def settled(values: tuple[float, ...], counted: Histogram) -> Cuts:
    """Thresholds moved to the middle between the means on either side, again and again, until they stay (isodata).

    Where the grey values within the phases vary least, this holds (Ridler and Calvard 1978); of thresholds in an empty
    stretch of the histogram, which are all as good, it takes the middle.

    Args:
        values: To begin with.
        counted: The histogram.
    """
    step = float(counted.edges[1] - counted.edges[0])
    cuts = cuts_at(values, counted)
    for _ in range(MOST_STEPS):
        middles = tuple(0.5 * (a + b) for a, b in pairwise(cuts.means))
        still = max(abs(a - b) for a, b in zip(middles, cuts.values, strict=True)) < 1e-3 * step
        cuts = cuts_at(middles, counted)
        if still:
            break
    return cuts
