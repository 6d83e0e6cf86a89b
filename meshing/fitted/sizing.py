"""Wanted element size at every pixel of a 2D image."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

from microlith.imaging.errors import InputError
from microlith.imaging.image.volume import LabelImage
from microlith.imaging.options import LARGEST_SIZE, SIZE_AT_SURFACES, MeshOptions
from microlith.imaging.typing import Array, Phases, Singles
from microlith.meshing.fitted.known import made_once
from microlith.meshing.local_sizes import LocalSize, local_sizes

GROWTH_UNSOLVED = 0.7  # growth of sizes with distance in phases that the solver never sees
WHOLE = 2.05  # size of a triangle per size of its quarters: at 2 there are a twentieth more of these than asked for
GAP_RESERVE = 0.9  # of the size that would just put the wanted number of elements across a gap
STEEPEST = 0.5  # growth from parts: gmsh passes by small ones that are steeper
FEW, FINE = 12, 16  # pixels along a part in which places between the pixels are looked at, and these places per pixel
OPPOSITE = 0.87  # two surfaces face each other where their nearest points are seen under more than 120 degrees


@dataclass(frozen=True)
class SizeField:
    """Element size on the pixel centres, between them by bilinear interpolation, finer still around some points.

    In parts of the image that have a size of their own it holds between the centres as well, however thin they are.
    """

    values: Singles  # (rows, columns), in units of the smallest pixel edge
    rate: Singles  # (rows, columns) growth of size per distance
    pixel: tuple[float, ...]  # edges of a pixel, x and y
    centres: Array  # (k, 2) points around which elements are finer than pixels can tell
    centre_size: float  # size there
    growth: float  # from there, and from the parts, outwards
    local: tuple[LocalSize, ...] = ()  # parts with a size of their own

    def at(self, points: Array) -> Array:
        """Size at points (n, 2), shape (n,)."""
        index = np.stack([points[:, 1] / self.pixel[1] - 0.5, points[:, 0] / self.pixel[0] - 0.5])
        size = ndimage.map_coordinates(self.values, index, order=1, mode="nearest", output=np.float64)
        if len(self.centres):
            from scipy.spatial import cKDTree

            distance, _ = cKDTree(self.centres).query(points)
            size = np.minimum(size, self.centre_size + self.growth * distance)
        for part in self.local:
            size = np.minimum(size, part.size + self.part_growth * part.distance_at(points))
        return size

    @property
    def part_growth(self) -> float:
        """Growth of sizes from parts."""
        return min(self.growth, STEEPEST)

    def times(self, factor: float) -> "SizeField":
        """The same field with all sizes multiplied, and their growth with them."""
        if factor == 1.0:
            return self
        scale = np.float32(factor)
        return replace(
            self,
            values=self.values * scale,
            rate=self.rate * scale,
            centre_size=self.centre_size * factor,
            growth=self.growth * factor,
            local=_scaled(self.local, factor),
        )

    def of_halved(self) -> "SizeField":
        """Sizes of triangles that are to be divided in four.

        They grow no faster than in phases that the solver never sees, else triangles come out worse. Only for fields
        without centres.
        """
        fastest = max(GROWTH_UNSOLVED, self.growth)
        rate = np.minimum(2 * self.rate, np.float32(fastest))
        return replace(
            self,
            values=graded(np.float32(WHOLE) * self.values, rate, self.pixel),
            rate=rate,
            growth=min(2 * self.growth, fastest),
            local=_scaled(self.local, WHOLE),
        )

    def without_centres(self) -> "SizeField":
        """The sizes on the pixels alone."""
        return replace(self, centres=np.empty((0, 2)))

    def limited(self, points: Array, sizes: Array) -> "SizeField":
        """The same field, but not much larger than `sizes` (n,) at points (n, 2), and growing smoothly from there."""
        much = sizes < 0.5 * self.at(points)  # elsewhere edges are about as wanted, and pixels would spread them
        points, sizes = points[much], sizes[much]
        rows, columns = self.values.shape
        i = np.clip((points[:, 1] / self.pixel[1]).astype(np.int64), 0, rows - 1)
        j = np.clip((points[:, 0] / self.pixel[0]).astype(np.int64), 0, columns - 1)
        values = self.values.copy()
        np.minimum.at(values, (i, j), sizes.astype(np.float32))
        return replace(self, values=graded(values, self.rate, self.pixel))

    def triangles(self) -> float:
        """About how many triangles the field asks for; in a strip none is longer than this is wide."""
        area = self.pixel[0] * self.pixel[1] / 0.433  # of an equilateral triangle of edge 1
        widest = min(edge * count for edge, count in zip(self.pixel, self.values.shape[::-1], strict=True))
        sizes = np.minimum(self.values, widest)
        return float((area / np.square(sizes, dtype=np.float64)).sum()) + self.between_pixels()

    def between_pixels(self) -> float:
        """About how many triangles it asks for that pixels know nothing of."""
        count = 0.0
        if len(self.centres) and self.centre_size < 1:  # rings of growing triangles around each centre
            count += len(self.centres) * 6 * np.log(1 / self.centre_size) / self.growth**2
        return count + sum(self._beside_pixels(part) for part in self.local)

    def _beside_pixels(self, part: LocalSize) -> float:
        """Triangles in and around a part of a few pixels, less those that the pixels ask for there."""
        low, high = (np.array(end) for end in (part.low, part.high))
        pixel, shape = np.array(self.pixel), np.array(self.values.shape[::-1])
        first = np.clip(np.floor((low - part.radius) / pixel).astype(np.int64) - 1, 0, shape)
        last = np.clip(np.ceil((high + part.radius) / pixel).astype(np.int64) + 1, 0, shape)
        if (last - first).max() > FEW or (last <= first).any():  # of larger parts pixels tell most
            return 0.0
        fine = [
            (np.arange(a * FINE, b * FINE) + 0.5) * edge / FINE for a, b, edge in zip(first, last, pixel, strict=True)
        ]
        points = np.stack(np.meshgrid(*fine), -1).reshape(-1, 2)
        i, j = (np.minimum(points[:, axis] / pixel[axis], shape[axis] - 1).astype(np.int64) for axis in (1, 0))
        known = self.values[i, j].astype(np.float64)
        exact = np.minimum(known, part.size + self.part_growth * part.distance_at(points))
        return float((exact**-2 - known**-2).sum() * pixel.prod() / FINE**2 / 0.433)


def size_field(image: LabelImage, options: MeshOptions, solved: Sequence[int], centres: Array) -> SizeField:
    """Element sizes that the options ask for.

    Finest at the surfaces of the phases named in `options.size`, finer still across gaps of the solved phases that
    such a surface bounds (`options.gap_elements` elements across), growing by `options.growth` per distance up to
    `options.size_max`. Without any named phase, all surfaces of solved phases are taken with two pixels. All of it is
    multiplied by `options.times`.

    Args:
        image: 2D image.
        options: Sizes in metres.
        solved: Indices of the phases that the solver meshes; in the others sizes grow fast.
        centres: (k, 2) points where three phases meet, refined where `options.junction_size` is given.

    Raises:
        InputError: A phase in `options.size` that the image does not know.
    """
    asked = replace(options, size_factor=1.0, coarseness=1.0)
    if options.junction_size is not None:  # sizes depend on the centres then
        field = _sizes(image, asked, solved, centres)
    else:
        sizes = (options.size, options.size_in, options.periodic, options.size_max, options.subdivided)
        of = (*sizes, options.growth, options.gap_elements, tuple(solved))
        field = made_once(image, "sizes", of, lambda: _sizes(image, asked, solved, np.empty((0, 2))))
    return field.times(options.times)


def _sizes(image: LabelImage, options: MeshOptions, solved: Sequence[int], centres: Array) -> SizeField:
    """As `size_field`, but for the factor on all sizes."""
    unit, pixel = image.unit, image.pixel
    for name in options.size:
        if name not in image.names:
            known = ", ".join(image.names)
            raise InputError(f"[mesh] size names the phase '{name}', which is not one of the phases ({known}).")
    named = {image.names.index(name): _ratio(size, unit) for name, size in options.size.items()}
    by_default = max(image.frame) * LARGEST_SIZE / options.subdivided
    size_max = _ratio(options.size_max, unit) if options.size_max else by_default
    phase = image.phase
    is_solved = np.isin(np.arange(len(image.names)), list(solved))
    surface_size = np.full(len(image.names), np.inf)
    for index, size in named.items():
        surface_size[index] = size
    if not named:
        surface_size[is_solved] = SIZE_AT_SURFACES

    values = np.full(phase.shape, size_max, np.float32)
    _mark_surfaces(values, phase, surface_size)
    wide = float(np.nanmax(np.where(np.isfinite(surface_size), surface_size, np.nan)))
    for index in np.flatnonzero(is_solved):
        _mark_gaps(values, phase, int(index), surface_size, pixel, options.gap_elements, wide)
    parts = local_sizes(options, unit, image.frame)
    for part in parts:
        axes = [(np.arange(n) + 0.5) * edge for n, edge in zip(phase.shape, pixel[::-1], strict=True)]
        np.minimum(values, part.size + options.growth * part.distance(axes), out=values)
    rate = np.where(is_solved, options.growth, max(GROWTH_UNSOLVED, options.growth)).astype(np.float32)[phase]
    fine = options.junction_size is not None
    field = SizeField(
        values=values,
        rate=rate,
        pixel=pixel,
        centres=centres if fine else np.empty((0, 2)),
        centre_size=_ratio(options.junction_size, unit) if options.junction_size else 0.0,
        growth=options.growth,
        local=parts,
    )
    if len(field.centres):
        field = field.limited(field.centres, np.full(len(field.centres), min(1.0, field.centre_size + 0.5)))
    else:
        field = replace(field, values=graded(values, rate, pixel))
    return field


def _scaled(parts: tuple[LocalSize, ...], factor: float) -> tuple[LocalSize, ...]:
    """Parts with sizes multiplied."""
    return tuple(replace(part, size=factor * part.size) for part in parts)


def graded(values: Singles, rate: Singles, pixel: tuple[float, ...]) -> Singles:
    """Largest field below `values` that grows no faster than `rate` per distance.

    Two sweeps over the rows with steps to the eight neighbours; steps along a row are one running minimum. Such paths
    are up to 8 % longer than straight lines between square pixels (more where pixels are oblong), so that sizes grow
    that much faster in some directions.

    Args:
        values: (rows, columns) sizes.
        rate: (rows, columns) growth per distance.
        pixel: Edges of a pixel, x and y.
    """
    out = values.copy()
    rows = len(out)
    straight, slant = np.float32(pixel[1]), np.float32(math.hypot(*pixel))
    climb = np.zeros(values.shape, np.float32)
    np.cumsum(0.5 * (rate[:, 1:] + rate[:, :-1]) * np.float32(pixel[0]), axis=1, out=climb[:, 1:])
    for order in (range(rows), range(rows - 1, -1, -1)):
        last = -1
        for i in order:
            row = out[i]
            if last >= 0:
                r = rate[i]
                above = out[last]
                np.minimum(row, above + r * straight, out=row)
                np.minimum(row[1:], above[:-1] + r[1:] * slant, out=row[1:])
                np.minimum(row[:-1], above[1:] + r[:-1] * slant, out=row[:-1])
            c = climb[i]
            np.minimum(row, np.minimum.accumulate(row - c) + c, out=row)
            np.minimum(row, (np.minimum.accumulate((row + c)[::-1])[::-1] - c), out=row)
            last = i
    return out


def _ratio(length: float, unit: float) -> float:
    """Length in units, without the rounding error that would tell nanometres from metres."""
    return float(f"{length / unit:.12g}")


def _mark_surfaces(values: Singles, phase: Phases, surface_size: Array) -> None:
    """Put the surface sizes on the pixels of both sides of every surface."""
    size = surface_size.astype(np.float32)
    for one, other, near, far in (
        (phase[1:], phase[:-1], values[1:], values[:-1]),
        (phase[:, 1:], phase[:, :-1], values[:, 1:], values[:, :-1]),
    ):
        at = np.nonzero(one != other)
        wanted = np.minimum(size[one[at]], size[other[at]])
        near[at] = np.minimum(near[at], wanted)
        far[at] = np.minimum(far[at], wanted)


def _mark_gaps(
    values: Singles,
    phase: Phases,
    index: int,
    surface_size: Array,
    pixel: tuple[float, ...],
    elements: int,
    wide: float,
) -> None:
    """Make elements small enough in narrow places of one phase.

    Neighbouring pixels whose nearest pixels of other phases lie on opposite sides sit in the middle of a gap, whose
    width is the distance between those two.
    """
    inside = phase == index
    if inside.all() or not inside.any():
        return
    sampling = (pixel[1], pixel[0])
    distance, nearest = ndimage.distance_transform_edt(inside, sampling=sampling, return_indices=True)
    reach = 0.5 * (elements * wide) + max(pixel) + 1
    for axis in (0, 1):
        first: list[slice] = [slice(None), slice(None)]
        second: list[slice] = [slice(None), slice(None)]
        first[axis], second[axis] = slice(None, -1), slice(1, None)
        a, b = tuple(first), tuple(second)
        at = np.nonzero((inside[a] | inside[b]) & (distance[a] < reach) & (distance[b] < reach))
        na = nearest[(slice(None), *a)][(slice(None), *at)]
        nb = nearest[(slice(None), *b)][(slice(None), *at)]
        span = (nb - na) * np.array(sampling)[:, None]
        length = np.hypot(span[0], span[1])
        path = distance[a][at] + distance[b][at] + sampling[axis]
        facing = length > OPPOSITE * path
        na, nb, span, length = na[:, facing], nb[:, facing], np.abs(span[:, facing]), length[facing]
        with np.errstate(divide="ignore"):
            within = np.minimum(pixel[1] * length / span[0], pixel[0] * length / span[1])  # of the pixels at both ends
        width = np.maximum(length - within, min(pixel))
        bound = np.minimum(surface_size[phase[tuple(na)]], surface_size[phase[tuple(nb)]])
        bound = np.minimum(bound, surface_size[index])
        wanted = np.where(np.isfinite(bound), GAP_RESERVE * width / elements, width).astype(np.float32)
        row, column = at[0][facing], at[1][facing]
        other = (row + (axis == 0), column + (axis == 1))
        for place in ((row, column), other, tuple(na), tuple(nb)):
            np.minimum.at(values, place, wanted)
