"""Corrections of what the microscope adds: stripes, brightness that changes from slice to slice, uneven background.

Stripes and steps between slices are told from the sample by the median of the differences between neighbouring columns
or slices: most neighbours belong to one phase, so that the sample leaves no trace in the median, while a stripe shifts
all of them.
"""

from dataclasses import dataclass
from functools import partial
from itertools import pairwise, product

import numpy as np

from microlith.imaging.errors import InputError
from microlith.imaging.segmentation.filters import Edges, Work
from microlith.imaging.typing import Array, Singles
from microlith.imaging.volumes.disk_volumes import DiskVolume, Layers, Workshop

NEAR = 3.0  # times the median deviation: differences farther from the median are those of interfaces
ALONG = 1.0  # voxels over which differences are smoothed first: less noise shows interfaces better
ROUNDS = 4  # in which they are left out


@dataclass(frozen=True)
class Destripe:
    """Takes out stripes along one axis of the slices, as the ion beam leaves them (curtaining)."""

    along: str = "y"  # axis that they run along, x or y
    width: float = 10.0  # voxels: what is much wider stays
    length: int | None = None  # voxels over which a stripe keeps its brightness; None: from end to end
    name: str = "destripe"
    smooths: bool = False

    def halo(self, voxel_size: Edges) -> int:
        """Each slice by itself."""
        return 0

    def prepared(self, grey: DiskVolume, voxel_size: Edges, workshop: Workshop) -> tuple[Work, str]:
        """See Filter."""

        def work(layers: Layers) -> Singles:
            block = grey.values()[layers.write]
            return np.stack([self._without(layer) for layer in block])

        reach = "from end to end" if self.length is None else f"over {self.length} voxels"
        return work, f"stripes along {self.along}, up to about {self.width:g} voxels wide, {reach}"

    def _without(self, layer: Singles) -> Singles:
        """A slice without its stripes."""
        if self.along == "x":
            return np.ascontiguousarray(self._without_columns(np.ascontiguousarray(layer.T)).T)
        return self._without_columns(layer)

    def _without_columns(self, layer: Singles) -> Singles:
        rows = len(layer)
        count = 1 if self.length is None else max(1, round(rows / self.length))
        ends = np.linspace(0, rows, count + 1).round().astype(int)
        profiles = np.stack([_profile(layer[a:b], 1, self.width) for a, b in pairwise(ends)])
        middles = 0.5 * (ends[:-1] + ends[1:] - 1)
        place = np.interp(np.arange(rows), middles, np.arange(count))
        low = np.floor(place).astype(int)
        high, share = np.minimum(low + 1, count - 1), (place - low)[:, None]
        return (layer - ((1 - share) * profiles[low] + share * profiles[high])).astype(np.float32)


def _profile(values: Singles, axis: int, width: float) -> Array:
    """By how much each column is brighter than those around it."""
    from scipy import ndimage

    differences = np.diff(values.astype(np.float64), axis=axis)
    differences = ndimage.gaussian_filter1d(differences, ALONG, axis=1 - axis, mode="nearest")
    steps = [_usual(column) for column in (differences.T if axis == 1 else differences)]
    return _without_slow(np.concatenate([[0.0], np.cumsum(steps)]), width)


def _usual(differences: Array) -> float:
    """What most differences are, without those at interfaces: the median of the ones near it, again and again."""
    middle = float(np.median(differences))
    for _ in range(ROUNDS):
        away = np.abs(differences - middle)
        near = away <= NEAR * float(np.median(away)) + 1e-12
        if near.all():
            break
        differences = differences[near]
        middle = float(np.median(differences))
    return middle


def _without_slow(course: Array, width: float) -> Array:
    """A course without straight lines fitted to it around each point, about twice the width to either side."""
    from scipy.signal import savgol_filter

    reach = min(round(1.7 * width), (len(course) - 1) // 2)
    if reach < 1:
        return course - course.mean()
    smooth: Array = savgol_filter(course, 2 * reach + 1, 1, mode="interp")
    return course - smooth


@dataclass(frozen=True)
class SliceBrightness:
    """Takes out steps of brightness between slices."""

    window: float = 10.0  # slices: changes much slower than this stay; from the number of slices on none do
    name: str = "slices"
    smooths: bool = False

    def halo(self, voxel_size: Edges) -> int:
        """Each slice by itself, once the steps are known."""
        return 0

    def prepared(self, grey: DiskVolume, voxel_size: Edges, workshop: Workshop) -> tuple[Work, str]:
        """See Filter.

        Raises:
            InputError: There is one slice only.
        """
        from scipy import ndimage

        if grey.shape[0] == 1:
            raise InputError("[filters] slices: the image is one slice, which has no steps to others; leave it out")

        def steps(layers: Layers) -> list[float]:
            values = grey.values()
            first = max(1, layers.first)
            steps = (values[z].astype(np.float64) - values[z - 1] for z in range(first, layers.last))
            return [_usual(ndimage.gaussian_filter(step, ALONG, mode="nearest").ravel()) for step in steps]

        found = [step for block in workshop.each(grey.shape, steps, 1) for step in block]
        course = np.concatenate([[0.0], np.cumsum(found)])
        all_of_it = self.window >= len(course)  # a drift through the volume, too, which is slower than any window
        offsets = (course - course.mean() if all_of_it else _without_slow(course, self.window)).astype(np.float32)

        def work(layers: Layers) -> Singles:
            return grey.values()[layers.write] - offsets[layers.write, None, None]

        return work, f"offsets of {offsets.min():.3g} to {offsets.max():.3g}, against {self.window:g} slices around"


@dataclass(frozen=True)
class Background:
    """Takes out uneven brightness across the slices: a polynomial that is the same for all of them."""

    degree: int = 2  # in x and y
    name: str = "background"
    smooths: bool = False

    def halo(self, voxel_size: Edges) -> int:
        """Each slice by itself, once the polynomial is known."""
        return 0

    def prepared(self, grey: DiskVolume, voxel_size: Edges, workshop: Workshop) -> tuple[Work, str]:
        """See Filter. Each slice is fitted; of the coefficients of all slices the median counts.

        Raises:
            InputError: There are too few rows or columns for the degree.
        """
        rows, columns = grey.shape[1:]
        if min(rows, columns) <= self.degree:
            raise InputError(
                f"[filters] background: slices of {columns} x {rows} voxels (x, y) tell no polynomial of degree "
                f"{self.degree}; choose {min(rows, columns) - 1} at most"
            )
        powers = [(i, j) for i, j in product(range(self.degree + 1), repeat=2) if 0 < i + j <= self.degree]
        y, x = (np.linspace(-1, 1, n) if n > 1 else np.zeros(1) for n in (rows, columns))
        legendre = partial(np.polynomial.legendre.legvander, deg=self.degree)
        basis_y, basis_x = legendre(y), legendre(x)
        # (rows, columns, terms) would be many copies of a slice: solved by its moments, which separate
        gram_y, gram_x = basis_y.T @ basis_y, basis_x.T @ basis_x
        terms = [(0, 0), *powers]
        gram = np.array([[gram_y[a, c] * gram_x[b, d] for c, d in terms] for a, b in terms])

        def fitted(layers: Layers) -> list[Array]:
            values = grey.values()
            out = []
            for z in range(layers.first, layers.last):
                moments = basis_y.T @ values[z].astype(np.float64) @ basis_x
                out.append(np.linalg.solve(gram, np.array([moments[a, b] for a, b in terms])))
            return out

        found = np.array([one for block in workshop.each(grey.shape, fitted) for one in block])
        middle = np.median(found, axis=0)
        table = np.zeros((self.degree + 1, self.degree + 1))
        for (a, b), value in zip(powers, middle[1:], strict=True):
            table[a, b] = value
        surface = (basis_y @ table @ basis_x.T).astype(np.float32)

        def work(layers: Layers) -> Singles:
            return grey.values()[layers.write] - surface

        return work, f"polynomial of degree {self.degree}, from {surface.min():.3g} to {surface.max():.3g}"


def _noise(layer: Singles) -> float:
    """Standard deviation of the noise of a slice, from differences of differences, in which edges are few."""
    twice = layer[1:, 1:] - layer[1:, :-1] - layer[:-1, 1:] + layer[:-1, :-1]
    return float(np.median(np.abs(twice))) / (2 * 0.6745)


@dataclass(frozen=True)
class NonLocalMeans:
    """The mean of voxels of the slice whose surroundings look alike (Buades et al. 2005), slice by slice."""

    strength: float = 0.8  # times the standard deviation of the noise, which is estimated
    patch: int = 5  # voxels across the surroundings that are compared
    distance: int = 6  # voxels as far as others are compared
    name: str = "non_local_means"
    smooths: bool = True

    def halo(self, voxel_size: Edges) -> int:
        """Each slice by itself."""
        return 0

    def prepared(self, grey: DiskVolume, voxel_size: Edges, workshop: Workshop) -> tuple[Work, str]:
        """See Filter. The noise is the median over all slices."""
        from skimage.restoration import denoise_nl_means

        def noises(layers: Layers) -> list[float]:
            values = grey.values()
            return [_noise(values[z]) for z in range(layers.first, layers.last)]

        noise = float(np.median([one for block in workshop.each(grey.shape, noises) for one in block]))

        def work(layers: Layers) -> Singles:
            block = grey.values()[layers.write]
            return np.stack(
                [
                    denoise_nl_means(
                        layer, self.patch, self.distance, self.strength * noise, fast_mode=True, sigma=noise
                    ).astype(np.float32)
                    for layer in block
                ]
            )

        return (
            work,
            f"noise of {noise:.3g}, {self.strength:g} times that; patches of {self.patch}, {self.distance} around",
        )
