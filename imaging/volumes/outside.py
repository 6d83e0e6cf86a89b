"""What of a grey image is none of the sample: corners around a reconstructed cylinder, edges that alignment leaves.

Such voxels have one value, exactly, or no number (NaN). They are found slice by slice, from the edges of the slices
inwards, and get the grey values that lie as far within the image, mirrored at its border: so no filter, threshold or
model of the image sees a phase of that one value, nor an interface with it. Their labels are none in the end.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from microlith.imaging.typing import Array, Flags, Indices, Numbers, Singles
from microlith.imaging.volumes.disk_volumes import DiskVolume, Layers, Workshop

NO_LABEL = np.uint8(255)  # in volumes of indices of phases, which are 254 at most
WIDE = 5  # voxels along both edges of a square of one value, which by chance no phase has in an image with noise
SEVERAL = 8  # voxels of one value at the edges of a slice, from which it may be that of what is outside
LOOKED_AT = 16  # slices in which it is seen whether a value is that of what is outside
LEAST = 1e-3  # share of the voxels that is looked at
# What is outside surrounds a convex image: share of it by which this may be less. On phantoms phases have 0.7 and more
HOLLOW = 0.3
# Voxels beside it are as any others, those beside a phase are like it: how much more of them may be nearer to its value
ALIKE = 0.45
# Share of this value in the image, above which it may be that of a phase, unless it fills all corners of all slices
COMMON = 0.02
LEVELS = 64  # of grey values that are compared
CELLS = 128  # along each axis, to which the largest box within is found
MIRRORED = 1.0, 0.5, 0.25, 0.0  # depths within, per distance outside, from which values come; the first that are within

Wanted = float | Literal["auto", "none"]
Box = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]  # (z, y, x) first and last + 1


@dataclass(frozen=True, eq=False)
class Outside:
    """Voxels that are none of the sample."""

    mask: DiskVolume  # uint8: 1
    voxels: int
    blank: bool  # whether some have no number
    value: float  # of the others; NaN: there are none
    found: bool  # whether nobody said so

    def at(self, layers: Layers) -> Flags:
        """Where they are in a block."""
        return np.asarray(self.mask.values()[layers.write] != 0)

    def overwrite(self, volume: DiskVolume, value: int | np.uint8, workshop: Workshop) -> None:
        """Give them a value in another volume; collective."""

        def written(layers: Layers) -> None:
            target = volume.values(writable=True)
            target[layers.write][self.at(layers)] = value
            target.flush()  # type: ignore[attr-defined]

        workshop.each(volume.shape, written)

    def on_voxels(self, shape: tuple[int, int, int], workshop: Workshop) -> "Outside":
        """The same on voxels of another size, of which each is outside where its middle is; collective."""
        if shape == self.mask.shape:
            return self
        z, y, x = (
            ((np.arange(n) + 0.5) * (old / n)).astype(np.intp) for n, old in zip(shape, self.mask.shape, strict=True)
        )
        mask = workshop.new("outside-rescaled", shape, np.uint8)
        workshop.fill(mask, lambda layers: self.mask.values()[z[layers.write]][:, y][:, :, x])
        workshop.remove(self.mask)
        return replace(self, mask=mask, voxels=_sum_of(mask, workshop))


@dataclass(frozen=True)
class Doubt:
    """A value that may be that of what is outside, or that of a phase."""

    value: float
    share: float  # of the slices that were looked at


def find_outside(grey: DiskVolume, wanted: Wanted, workshop: Workshop) -> Outside | Doubt | None:
    """Find what is outside, and give it the grey values that lie within; collective.

    Args:
        grey: The volume; changed.
        wanted: Its value; or whether it is looked for. Voxels without a number are outside in any case.
        workshop: Ranks and folder.

    Returns:
        None: nothing is, or nothing of the value that is wanted.
    """
    counted = workshop.each(grey.shape, lambda layers: _counted(grey.values()[layers.write]))
    blank = sum(one[0] for one in counted)
    named = not isinstance(wanted, str)
    value = float("nan") if isinstance(wanted, str) else float(wanted)
    if wanted == "auto":
        value = _commonest(one[1] for one in counted)
        doubt = None if np.isnan(value) else _doubted(grey, value, workshop)
        if doubt is not None:
            if doubt.share and not blank:
                return doubt
            value = float("nan")
    if np.isnan(value) and not blank:
        return None
    mask = workshop.new("outside", grey.shape, np.uint8)
    workshop.fill(mask, lambda layers: np.stack([outside_of(one, value) for one in grey.values()[layers.write]]))
    outside = Outside(mask, _sum_of(mask, workshop), blank > 0, value, not named and not np.isnan(value))
    if not (blank if named else 0) < outside.voxels < np.prod(grey.shape):
        workshop.remove(mask)
        return None
    _mirrored(grey, outside, workshop)
    return outside


def outside_of(layer: Singles, value: float) -> Flags:
    """What of a slice is outside: voxels without a number, and those of a value from the edges of the slice inwards.

    Only where squares of WIDE voxels of this value fit in are they followed, not through what single voxels join.
    """
    return np.asarray(np.isnan(layer) | _followed(layer, value))


def _followed(layer: Singles, value: float) -> Flags:
    from scipy import ndimage

    same = np.asarray(layer == np.float32(value))
    if same.all() or same.sum() < WIDE**2:
        return same & same.all()
    pad = WIDE - 1
    padded = np.pad(same, pad, constant_values=True).astype(np.uint8)
    opened = ndimage.maximum_filter(ndimage.minimum_filter(padded, WIDE, mode="nearest"), WIDE, mode="nearest")
    number = ndimage.label(opened)[0]
    joined = number == number[0, 0]
    grown = ndimage.binary_dilation(joined, np.ones((3, 3), bool), iterations=pad, mask=padded > 0)
    found = grown[pad:-pad, pad:-pad]
    return np.asarray(found if found.sum() >= WIDE**2 else np.zeros_like(found))


def largest_box(outside: Outside, workshop: Workshop) -> Box | None:
    """About the largest box within what is not outside, through all slices that are not wholly so; collective.

    Returns:
        None: there is none.
    """

    def seen(layers: Layers) -> tuple[Numbers, Flags]:
        out = outside.at(layers)
        whole = out.all(axis=(1, 2))
        return layers.first + np.flatnonzero(~whole), np.asarray(out[~whole].any(axis=0))

    found = workshop.each(outside.mask.shape, seen)
    slices = np.concatenate([one[0] for one in found])
    free = ~np.logical_or.reduce([one[1] for one in found])
    if not len(slices) or len(slices) != slices[-1] - slices[0] + 1:
        return None
    rectangle = _largest_rectangle(free)
    return rectangle and ((int(slices[0]), int(slices[-1]) + 1), *rectangle)


def _sum_of(mask: DiskVolume, workshop: Workshop) -> int:
    return sum(workshop.each(mask.shape, lambda layers: int(mask.values()[layers.write].sum(dtype=np.int64))))


def _counted(block: Singles) -> tuple[int, Counter[float]]:
    """Voxels without a number, and which values are often at the edges of slices."""
    often: Counter[float] = Counter()
    for layer in block:
        edge = np.concatenate([layer[0], layer[-1], layer[1:-1, 0], layer[1:-1, -1]])
        values, counts = np.unique(edge[~np.isnan(edge)], return_counts=True)
        for k in np.flatnonzero(counts >= SEVERAL):
            often[float(values[k])] += int(counts[k])
    return int(np.isnan(block).sum()), often


def _commonest(counts: Iterable[Counter[float]]) -> float:
    total: Counter[float] = Counter()
    for one in counts:
        total.update(one)
    return min(total, key=lambda value: (-total[value], value)) if total else float("nan")


def _doubted(grey: DiskVolume, value: float, workshop: Workshop) -> Doubt | None:
    """Whether a value is that of what is outside, as some slices show; collective.

    Returns:
        None: it is. With a share of 0: it is not.
    """
    wanted = {int(z) for z in np.linspace(0, grey.shape[0] - 1, min(LOOKED_AT, grey.shape[0]))}

    def looked(layers: Layers) -> list[tuple[Array, Array, Array]]:
        values = grey.values()
        return [_seen(values[z], value) for z in range(layers.first, layers.last) if z in wanted]

    found = [one for block in workshop.each(grey.shape, looked) for one in block]
    area, hull, outside, corners = np.sum([one[0] for one in found], axis=0)
    if not area or outside < LEAST * (area + outside):
        return Doubt(value, 0.0)
    near, within = (np.sort(np.concatenate([one[k] for one in found])) for k in (1, 2))
    if not len(near):  # slices of one value only
        return None
    ends = np.quantile(within, np.linspace(0, 1, LEVELS))
    nearer = [np.searchsorted(values, ends, side="right") / len(values) for values in (near, within)]
    if (nearer[0] - nearer[1]).max() > ALIKE:
        return Doubt(value, 0.0)
    if hull - area > HOLLOW * outside:
        return Doubt(value, 0.0)
    if (within == 0).mean() <= COMMON or corners == 4 * len(found):
        return None
    return Doubt(value, float(outside / (area + outside)))


def _seen(layer: Singles, value: float) -> tuple[Array, Array, Array]:
    """Voxels within, of their convex hull, outside, corners outside; differences to the value, beside and within."""
    from scipy import ndimage

    out, known = _followed(layer, value), ~np.isnan(layer)
    inside = ~out
    rows = np.flatnonzero(inside.any(axis=1))
    if not len(rows):
        return np.array([0, 0, out.size, 4]), np.zeros(0), np.zeros(0)
    area = float(inside.sum())
    around = [ndimage.binary_dilation(out, np.ones((3, 3), bool), iterations=n) for n in (1, 2)]
    beside = around[1] & ~around[0]
    away = np.abs(layer.astype(np.float64) - value)
    within = away[inside & known]
    corners = out[[0, 0, -1, -1], [0, -1, 0, -1]].sum()
    return (
        np.array([area, _hull(inside, rows), out.sum(), corners]),
        away[beside & known],
        within[:: max(1, within.size // 10_000)],
    )


def _hull(inside: Flags, rows: Numbers | Indices) -> float:
    """Area of the convex hull of the voxels, with their corners."""
    from scipy.spatial import ConvexHull

    first, last = inside[rows].argmax(axis=1), inside.shape[1] - inside[rows, ::-1].argmax(axis=1)
    corners = [np.stack([rows + down, at], axis=1) for down in (0, 1) for at in (first, last)]
    return float(ConvexHull(np.concatenate(corners)).volume)


def _mirrored(grey: DiskVolume, outside: Outside, workshop: Workshop) -> None:
    """Give what is outside the grey values within its slice, or where all of it is, of other slices; collective."""
    kept: dict[str, Any] = {}

    def within(layers: Layers) -> list[int]:
        values = grey.values(writable=True)
        empty = []
        for z, out in zip(range(layers.first, layers.last), outside.at(layers), strict=True):
            if out.all():
                empty.append(z)
            elif out.any():
                if kept.get("out") is None or not np.array_equal(kept["out"], out):
                    kept.update(out=out, source=_sources(out))
                values[z][out] = values[z][kept["source"]]
        values.flush()  # type: ignore[attr-defined]
        return empty

    empty = {z for block in workshop.each(grey.shape, within) for z in block}
    full = np.array([z for z in range(grey.shape[0]) if z not in empty])

    def whole(layers: Layers) -> None:
        values = grey.values(writable=True)
        for z in range(layers.first, layers.last):
            if z in empty:
                nearest = int(full[np.abs(full - z).argmin()])
                mirrored = 2 * nearest - z
                values[z] = values[mirrored if 0 <= mirrored < len(values) and mirrored not in empty else nearest]
        values.flush()  # type: ignore[attr-defined]

    if empty:
        workshop.each(grey.shape, whole)


def _sources(out: Flags) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """For each voxel of a slice that is outside, the one as far within, across the border."""
    from scipy import ndimage

    nearest = ndimage.distance_transform_edt(out, return_distances=False, return_indices=True)[:, out].astype(np.intp)
    away = nearest - np.array(np.nonzero(out))
    found, left = nearest.copy(), np.ones(nearest.shape[1], bool)
    for depth in MIRRORED:
        place = np.rint(nearest + depth * away).astype(np.intp)
        held = ((place >= 0) & (place < np.array(out.shape)[:, None])).all(axis=0)
        held[held] = ~out[tuple(place[:, held])]
        take = left & held
        found[:, take] = place[:, take]
        left &= ~held
    return found[0], found[1]


def _largest_rectangle(free: Flags) -> tuple[tuple[int, int], tuple[int, int]] | None:
    """Rows and columns of about the largest rectangle that is free, to a CELLS-th of the edges."""
    steps = [max(1, -(-n // CELLS)) for n in free.shape]
    cells = np.logical_and.reduceat(
        np.logical_and.reduceat(free, np.arange(0, free.shape[0], steps[0]), axis=0),
        np.arange(0, free.shape[1], steps[1]),
        axis=1,
    )
    best, found = 0, None
    for top in range(len(cells)):
        left = np.ones(cells.shape[1], bool)
        for bottom in range(top, len(cells)):
            left &= cells[bottom]
            if not left.any():
                break
            ends = np.flatnonzero(np.diff(np.concatenate([[False], left, [False]]).astype(np.int8)))
            longest = int(np.argmax(ends[1::2] - ends[::2]))
            first, last = int(ends[2 * longest]), int(ends[2 * longest + 1])
            area = (bottom + 1 - top) * (last - first) * steps[0] * steps[1]
            if area > best:
                rows, columns = free.shape
                best, found = area, (
                    (top * steps[0], min((bottom + 1) * steps[0], rows)),
                    (first * steps[1], min(last * steps[1], columns)),
                )  # fmt: skip
    return found
