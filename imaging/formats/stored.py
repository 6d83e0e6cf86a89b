"""An image in its file: what its header says, and its values when they are asked for."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from microlith.imaging.formats.units import Scale
from microlith.imaging.parallel.large_arrays import VALUES_AT_ONCE

Window = tuple[tuple[int, int], ...]  # [first, last) voxel of each array axis, ([z,] y, x)

# The values in a window, some layers of its first axis at a time: so many in each piece, fewer only in the last.
Layers = Callable[[Window, int], Iterator[NDArray[Any]]]


@dataclass(frozen=True, eq=False)
class RawImage:
    """An image as found in its file, before anybody knows what its values mean."""

    values: NDArray[Any]  # ([z,] y, x), any integer type: stored values, palette indices, or 0xRRGGBB where colour
    scale: Scale = field(default_factory=Scale)
    colour: bool = False  # values are 0xRRGGBB
    palette: NDArray[np.uint8] | None = None  # (n, 3) red, green, blue of value n, where the file has a palette

    @property
    def voxel_size(self) -> tuple[float | None, ...]:
        """Metres, array order; None for an axis of which the file says nothing."""
        return self.scale.sizes


@dataclass(frozen=True, eq=False)
class StoredImage:
    """What is known of an image before its pixels are read.

    It can be sent to other ranks (unless it holds the pixels already, see `sliced`), which then read for themselves.
    """

    shape: tuple[int, ...]  # voxels, array order
    dtype: np.dtype[Any]  # of the values that `layers` gives
    layers: Layers  # raises InputError where the file is damaged
    scale: Scale = field(default_factory=Scale)
    colour: bool = False  # values are 0xRRGGBB
    palette: NDArray[np.uint8] | None = None  # (n, 3) red, green, blue of value n, where the file has a palette
    sliced: bool = True  # whether a window is read without the rest of the image
    files: tuple[Path, ...] = ()  # that hold it, in the order of what they hold: slices, or a header and its data
    warnings: tuple[str, ...] = ()  # what the user has to hear of the files, in sentences
    axes_named: bool = False  # whether the file says which axis is which
    other_type: str = ""  # a slice whose values are of another type than the first one's, and both types, in words

    @property
    def voxel_size(self) -> tuple[float | None, ...]:
        """Metres, array order; None for an axis of which the file says nothing."""
        return self.scale.sizes


def everything(shape: tuple[int, ...]) -> Window:
    """The window that is the whole image."""
    return tuple((0, n) for n in shape)


def lengths(window: Window) -> tuple[int, ...]:
    """Voxels of a window along each axis."""
    return tuple(last - first for first, last in window)


def layers_at_once(window: Window) -> int:
    """How many layers of the window make a piece of about VALUES_AT_ONCE values."""
    return max(1, VALUES_AT_ONCE // max(1, math.prod(lengths(window)[1:])))


def parts(window: Window, step: int) -> Iterator[Window]:
    """The window in pieces of `step` layers."""
    first, last = window[0]
    for start in range(first, last, step):
        yield ((start, min(start + step, last)), *window[1:])


def cut(values: NDArray[Any], window: Window) -> NDArray[Any]:
    """View of the values in a window."""
    return values[tuple(slice(*ends) for ends in window)]


def all_values(stored: StoredImage) -> NDArray[Any]:
    """The values of the whole image."""
    return next(stored.layers(everything(stored.shape), stored.shape[0]))


def held(image: RawImage) -> StoredImage:
    """An image whose format can be read only whole."""
    values = image.values
    layers = partial(_held, values)
    return StoredImage(values.shape, values.dtype, layers, image.scale, image.colour, image.palette, sliced=False)


def _held(values: NDArray[Any], window: Window, step: int) -> Iterator[NDArray[Any]]:
    for part in parts(window, step):
        yield cut(values, part)


def without_axes(layers: Layers, before: int, after: int) -> Layers:
    """Layers of an array without axes of length one that come before and after the others."""
    return partial(_without_axes, layers, before, after) if before or after else layers


def _without_axes(layers: Layers, before: int, after: int, window: Window, step: int) -> Iterator[NDArray[Any]]:
    for part in parts(window, step):
        whole = ((0, 1),) * before + part + ((0, 1),) * after
        for values in layers(whole, 1 if before else step):
            yield values.reshape(lengths(part))
