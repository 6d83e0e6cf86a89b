"""Slices cut into regions by the graph method of Felzenszwalb and Huttenlocher (2004), and features of each region.

For images in which grey values alone can't tell phases apart, such as those of FIB-SEM, where deeper slices shine
through pores. A region is described by its grey values, by those of its neighbours in the slice, and by those at its
place in the slices before and after.
"""

from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from microlith.imaging.parallel.collective import on_first_rank
from microlith.imaging.segmentation.histogram import Histogram
from microlith.imaging.typing import Array, Indices, Numbers, Singles
from microlith.imaging.volumes.disk_volumes import DiskVolume, Layers, Tell, Workshop, named, quiet

CLOSE = 0.05  # relative difference up to which a number of regions is the wanted one
TRIES = 16  # for a scale that gives it
SCALES = 1e-2, 1e4  # between which it lies


@dataclass(frozen=True)
class RegionOptions:
    """How slices are cut, and what features look at."""

    count: int | None = None  # wanted number of regions in the middle slice; None: scale says
    scale: float = 10.0  # larger: larger regions
    smoothing: float = 0.5  # voxels, standard deviation before cutting
    smallest: int = 10  # voxels of a region
    levels: tuple[float, ...] = ()  # grey values above which the shares of voxels are features
    reach: int = 3  # slices before and after that are looked at


@dataclass(frozen=True, eq=False)
class Regions:
    """The regions of all slices, numbered on from slice to slice."""

    volume: DiskVolume  # (z, y, x) int32, number of each voxel's region within its slice
    start: Numbers  # (slices + 1,) of the numbers of each slice
    scale: float  # that was used
    names: tuple[str, ...]  # of the features
    features: Array  # (regions, features); the same on all ranks

    def numbers(self, layer: int) -> Numbers:
        """(y, x) number of each voxel's region, among those of all slices."""
        numbers: Numbers = self.volume.values()[layer] + self.start[layer]
        return numbers

    @property
    def per_slice(self) -> float:
        """How many a slice has on average."""
        return float(self.start[-1] / (len(self.start) - 1))


def feature_names(levels: int, reach: int) -> tuple[str, ...]:
    """Names of the features, in the order of the table.

    Args:
        levels: How many grey values there are above which shares are counted.
        reach: Slices before and after.
    """
    before = [f"before_{k}" for k in range(1, reach + 1)]
    after = [f"after_{k}" for k in range(1, reach + 1)]
    above = [f"above_{k}" for k in range(1, levels + 1)]
    return ("mean", "deviation", *above, "neighbours", *before, *after, "size")


def cut_and_described(
    grey: DiskVolume, counted: Histogram, options: RegionOptions, workshop: Workshop, tell: Tell = quiet
) -> Regions:
    """Cut all slices and describe their regions; collective. Slices are dealt to the ranks.

    Args:
        grey: The volume, filtered.
        counted: Its histogram.
        options: How.
        workshop: Ranks, and the folder for the regions.
        tell: Hears how far it is.

    Returns:
        The regions; the table of their features, some hundred numbers a slice and feature, is on all ranks.
    """
    ends = counted.quantile(0.005), counted.quantile(0.995)
    scale = on_first_rank(workshop.comm, lambda: _scale(grey, ends, options))
    volume = workshop.new("regions", grey.shape, np.int32)

    def cut(layers: Layers) -> Indices:
        block = grey.values()[layers.write]
        return np.stack([_cut(layer, ends, scale, options) for layer in block])

    workshop.fill(volume, cut, tell=named(tell, "regions"))
    found = workshop.each(
        grey.shape,
        lambda layers: [_described(grey, volume, z, options) for z in range(layers.first, layers.last)],
        tell=named(tell, "features"),
    )
    tables = [table for block in found for table in block]
    start = np.concatenate([[0], np.cumsum([len(table) for table in tables])])
    names = feature_names(len(options.levels), options.reach if grey.shape[0] > 1 else 0)
    return Regions(volume, start, scale, names, np.concatenate(tables))


def _cut(layer: Singles, ends: tuple[float, float], scale: float, options: RegionOptions) -> Indices:
    """Regions of a slice, numbered from 0."""
    from skimage.segmentation import felzenszwalb

    span = ends[1] - ends[0] or 1.0
    normed = np.clip((layer.astype(np.float64) - ends[0]) / span, 0.0, 1.0)
    found = felzenszwalb(normed, scale=scale, sigma=options.smoothing, min_size=options.smallest)
    return found.astype(np.int32)


def _scale(grey: DiskVolume, ends: tuple[float, float], options: RegionOptions) -> float:
    """The scale that cuts the middle slice into the wanted number of regions, or as near as it gets."""
    if options.count is None:
        return options.scale
    layer = grey.values()[grey.shape[0] // 2]
    low, high = SCALES
    best = (np.inf, options.scale)
    for _ in range(TRIES):
        middle = sqrt(low * high)
        count = int(_cut(layer, ends, middle, options).max()) + 1
        best = min(best, (abs(count - options.count) / options.count, middle))
        if best[0] <= CLOSE:
            break
        low, high = (middle, high) if count > options.count else (low, middle)
    return best[1]


def _described(grey: DiskVolume, volume: DiskVolume, z: int, options: RegionOptions) -> Array:
    """Features (regions, features) of the regions of a slice."""
    values = grey.values()
    region = np.asarray(volume.values()[z])
    flat = region.ravel()
    count = int(flat.max()) + 1
    size = np.bincount(flat, minlength=count).astype(np.float64)

    def mean_of(layer: NDArray[Any]) -> Array:
        return np.bincount(flat, layer.ravel().astype(np.float64), minlength=count) / size

    own = values[z]
    mean = mean_of(own)
    deviation = np.sqrt(mean_of((own - mean[region]) ** 2))
    columns = [mean, deviation, *(mean_of(own >= level) for level in options.levels)]
    columns.append(_neighbours(region, mean, count))
    if grey.shape[0] > 1:
        last = grey.shape[0] - 1
        columns += [mean_of(values[max(0, z - k)]) for k in range(1, options.reach + 1)]
        columns += [mean_of(values[min(last, z + k)]) for k in range(1, options.reach + 1)]
    return np.stack([*columns, size], axis=1)


def _neighbours(region: Indices, mean: Array, count: int) -> Array:
    """Mean of the means of each region's neighbours, weighted by the length of the border; its own without any."""
    total, length = np.zeros(count), np.zeros(count)
    for here, there in ((region[:, :-1], region[:, 1:]), (region[:-1], region[1:])):
        border = here != there
        a, b = here[border], there[border]
        for one, other in ((a, b), (b, a)):
            total += np.bincount(one, mean[other], minlength=count)
            length += np.bincount(one, minlength=count)
    return np.where(length > 0, total / np.maximum(length, 1), mean)
