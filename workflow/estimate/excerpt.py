"""A few cells of an image that stand for all of it: the whole image coarsely, and a part of it closely."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from microlith.imaging.formats.stored import Window
from microlith.imaging.image.volume import LabelImage, LabelVolume, Portion
from microlith.imaging.typing import Flags, Phases
from microlith.meshing.mesh.few_layers import FEWEST

PLACES = 16  # at which a part is looked for
SEED = 7


def whole(volume: LabelVolume, edge: float, most: int) -> LabelVolume:
    """The whole image on cells of about an edge, or on so many larger ones.

    A cell has the phase of the voxel at its middle.

    Args:
        volume: The image.
        edge: Of the cells, in mesh units.
        most: About as many cells as there may be.

    Raises:
        InputError: The image can't be read.
    """
    edge = max(edge, float((np.prod(volume.frame) / most) ** (1 / volume.dim)))
    return _taken(volume, [(0, n) for n in volume.shape], edge)


def part(volume: LabelVolume, edge: float, most: int, solved: Sequence[int], sources: Sequence[int]) -> LabelVolume:
    """A part of the image on cells of an edge: of those looked at, the one where sources and solved phases meet most.

    Args:
        volume: The image.
        edge: Of the cells, in mesh units.
        most: About as many cells as there may be.
        solved: Indices of phases.
        sources: Indices of the phases that feed them; where there are none, parts with most of the solved phases count.

    Raises:
        InputError: The image can't be read.
    """
    along = most ** (1 / volume.dim) * edge
    lengths = [min(n, max(1, round(along / pixel))) for n, pixel in _axes(volume)]
    free = np.array(volume.shape) - lengths
    drawn = np.random.default_rng(SEED).random((PLACES - 1, volume.dim))
    starts = np.unique([free // 2, *(drawn * (free + 1)).astype(np.int64)], axis=0)
    found = [_taken(volume, list(zip(start.tolist(), lengths, strict=True)), edge) for start in starts]
    return max(found, key=lambda one: _contact(_phases(one), solved, sources))


def cells(volume: LabelVolume, edge: float) -> float:
    """In how many cells of an edge, in mesh units, the image would be cut."""
    return float(np.prod([max(FEWEST, round(length / edge)) for length in volume.frame]))


def image_of(volume: LabelVolume) -> LabelImage:
    """All voxels of a small image."""
    return LabelImage(_phases(volume), volume.names, volume.voxel_size)


def _phases(volume: LabelVolume) -> Phases:
    return volume.read(volume.whole_window).phase


def _axes(volume: LabelVolume) -> list[tuple[int, float]]:
    """Voxels along each axis of the array, and their edges in mesh units."""
    return list(zip(volume.shape, volume.pixel[::-1], strict=True))


def _taken(volume: LabelVolume, spans: Sequence[tuple[int, int]], edge: float) -> LabelVolume:
    """The image within spans of voxels (first, number) on cells of an edge, read layer by layer."""
    lengths = [n for _, n in spans]
    counts = [max(FEWEST, round(n * pixel / edge)) for (_, n), (_, pixel) in zip(spans, _axes(volume), strict=True)]
    # Within its span, the voxel at the middle of each cell
    rows = [
        ((np.arange(count) + 0.5) * n / count).astype(np.int64) for count, (_, n) in zip(counts, spans, strict=True)
    ]
    rest: Window = tuple((first, first + n) for first, n in spans[1:])
    at = [spans[0][0] + int(row) for row in rows[0]]
    layers = {k: volume.read(((k, k + 1), *rest)).phase[0][np.ix_(*rows[1:])] for k in sorted(set(at))}
    phase = np.stack([layers[k] for k in at])
    return replace(
        volume,
        shape=phase.shape,
        voxel_size=tuple(size * n / count for size, count, n in zip(volume.voxel_size, counts, lengths, strict=True)),
        counts=tuple(int(n) for n in np.bincount(phase.ravel(), minlength=len(volume.names))),
        read=lambda window: Portion(phase[tuple(slice(a, b) for a, b in window)], window),
        before=None,
    )


def _contact(phase: Phases, solved: Sequence[int], sources: Sequence[int]) -> float:
    """Faces of cells between solved phases and sources, and less than one for the share that is solved."""
    inside, fed = np.isin(phase, solved), np.isin(phase, sources)
    return sum(_meet(inside, fed, axis) for axis in range(phase.ndim)) + 0.5 * float(inside.mean())


def _meet(a: Flags, b: Flags, axis: int) -> int:
    low, high = np.moveaxis(a, axis, 0), np.moveaxis(b, axis, 0)
    return int(np.count_nonzero(low[1:] & high[:-1]) + np.count_nonzero(low[:-1] & high[1:]))
