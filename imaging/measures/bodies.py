"""Single bodies in a whole image: connected pieces, or these cut at their necks, or as a label image has them."""

from collections.abc import Sequence
from dataclasses import dataclass

import cc3d
import edt
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.segmentation import watershed

from microlith.imaging.image.volume import LabelImage
from microlith.imaging.parallel.large_arrays import row_slices
from microlith.imaging.typing import Array, Indices, Numbers, Phases, Singles

BLUR = 0.7  # voxels, of distances before their highest places are looked for


@dataclass(frozen=True, eq=False)
class Bodies:
    """The bodies of an image."""

    label: Indices  # ([z,] y, x) number of the body of each voxel from 1 on, 0 where there is none
    phase: Phases  # (n,) of each body


def connected_bodies(image: LabelImage, phases: Sequence[int]) -> Bodies:
    """The connected pieces of each of some phases; neighbours share a face (an edge in 2D)."""
    wanted = np.zeros(256, np.uint8)
    wanted[list(phases)] = np.arange(1, len(phases) + 1)
    return _bodies(image, _connected(wanted[image.phase]))


def _connected(values: Phases) -> Indices:
    connectivity = 6 if values.ndim == 3 else 4
    label: NDArray[np.uint32] = cc3d.connected_components(
        values,
        connectivity=connectivity,
        out_dtype=np.uint32,  # type: ignore[call-overload]
    )
    return label.view(np.int32)


def labelled_bodies(image: LabelImage, phases: Sequence[int], labels: Indices) -> Bodies:
    """The bodies that a label image names, as far as they lie in some phases.

    Args:
        image: The image.
        phases: That bodies are of; a label in several of them is a body in each.
        labels: ([z,] y, x) 0 where there is no body.
    """
    inside = np.isin(image.phase, list(phases)) & (labels != 0)
    key = labels[inside].astype(np.int64) * 256 + image.phase[inside]
    label = np.zeros(image.phase.shape, np.int32)
    label[inside] = np.unique(key, return_inverse=True)[1] + 1
    return _bodies(image, label)


def split_bodies(image: LabelImage, bodies: Bodies, ratio: float) -> Bodies:
    """Bodies cut where they are narrow: a watershed of the distance to their surface.

    Every place that is farther from the surface than all around it floods a basin; two basins are one body unless the
    neck between them is narrower than `ratio` times the narrower of both, so that flat tops are not cut to pieces.

    Args:
        image: The image.
        bodies: To be cut.
        ratio: Above 0, up to 1.
    """
    depth = edt.edt(bodies.label, anisotropy=image.voxel_size, black_border=False)
    depth = np.asarray(depth, np.float32)
    sigma = BLUR * max(image.voxel_size) / np.array(image.voxel_size)
    smooth = ndimage.gaussian_filter(depth, sigma)
    # Not beyond the surface: the blur must not join what only touches.
    peaks = (smooth == ndimage.maximum_filter(smooth, 3)) & (bodies.label > 0)
    markers = ndimage.label(peaks, np.ones((3,) * depth.ndim))[0].astype(np.int32)
    # A body without a peak of its own keeps one voxel's worth: its deepest.
    lost = np.setdiff1d(np.arange(1, len(bodies.phase) + 1), np.unique(bodies.label[peaks]))
    if len(lost):
        places = ndimage.maximum_position(depth, bodies.label, lost)
        markers[tuple(np.array(places, int).T)] = markers.max() + 1 + np.arange(len(lost))
    basins = watershed(-smooth, markers, mask=bodies.label > 0).astype(np.int32)
    joined = _joined(basins, depth, ratio, bodies.label)
    whole = joined[basins].astype(np.int64) << 32 | bodies.label
    inside = bodies.label > 0
    label = np.zeros_like(bodies.label)
    label[inside] = np.unique(whole[inside], return_inverse=True)[1] + 1
    return _bodies(image, label)


def _joined(basins: Indices, depth: Singles, ratio: float, label: Indices) -> Indices:
    """Number of the body that each basin belongs to."""
    count = int(basins.max(initial=0)) + 1
    peak = np.zeros(count)
    np.maximum.at(peak, basins.ravel(), depth.ravel())
    pairs, necks = _necks(basins, depth, label, count)
    parent = np.arange(count, dtype=np.int32)

    def root(basin: int) -> int:
        while parent[basin] != basin:
            parent[basin] = parent[parent[basin]]
            basin = int(parent[basin])
        return basin

    for at in np.argsort(-necks, kind="stable"):  # widest necks first
        one, other = root(int(pairs[at] // count)), root(int(pairs[at] % count))
        if one != other and necks[at] >= ratio * min(peak[one], peak[other]):
            parent[max(one, other)] = min(one, other)
            peak[min(one, other)] = max(peak[one], peak[other])
    return np.array([root(basin) for basin in range(count)], np.int32)


def _necks(basins: Indices, depth: Singles, label: Indices, count: int) -> tuple[Numbers, Array]:
    """Pairs of basins that touch within a body, as one number each, and half the width of the neck between them."""
    keys, widths = [np.empty(0, np.int64)], [np.empty(0)]
    for axis in range(basins.ndim):
        low, high = (np.moveaxis(basins, axis, 0)[part] for part in (slice(None, -1), slice(1, None)))
        a, b = (np.moveaxis(label, axis, 0)[part] for part in (slice(None, -1), slice(1, None)))
        at = (low != high) & (low > 0) & (high > 0) & (a == b)
        one, other = low[at].astype(np.int64), high[at].astype(np.int64)
        near, far = (np.moveaxis(depth, axis, 0)[part][at] for part in (slice(None, -1), slice(1, None)))
        keys.append(np.minimum(one, other) * count + np.maximum(one, other))
        widths.append(np.minimum(near, far).astype(np.float64))
    key, place = np.unique(np.concatenate(keys), return_inverse=True)
    necks = np.zeros(len(key))
    np.maximum.at(necks, place, np.concatenate(widths))
    return key, necks


def _bodies(image: LabelImage, label: Indices) -> Bodies:
    phase = np.zeros(int(label.max(initial=0)) + 1, np.uint8)
    for part in row_slices(label.shape):
        phase[label[part].ravel()] = image.phase[part].ravel()
    return Bodies(label, phase[1:])
