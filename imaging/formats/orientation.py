"""Pictures that a file stores mirrored or turned, as TIFF's tag Orientation and EXIF's say."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from microlith.imaging.formats.stored import Layers, StoredImage, Window, cut, lengths, parts

UPRIGHT = 1


@dataclass(frozen=True)
class _Turn:
    """What to do with what is stored, in this order."""

    transposed: bool  # rows become columns
    rows: bool  # whether the order of rows is reversed, then
    columns: bool  # and that of columns


# From where the first row and the first column of what is stored are: 1 top and left, 2 top and right, 3 bottom and
# right, 4 bottom and left; 5 left and top, 6 right and top, 7 right and bottom, 8 left and bottom.
TURNS = {
    2: _Turn(False, False, True),
    3: _Turn(False, True, True),
    4: _Turn(False, True, False),
    5: _Turn(True, False, False),
    6: _Turn(True, False, True),
    7: _Turn(True, True, True),
    8: _Turn(True, True, False),
}


def upright(image: StoredImage, orientation: int) -> StoredImage:
    """The image as it is meant to be seen.

    Args:
        image: As stored, ([z,] y, x).
        orientation: 1 to 8; what else a file says counts as 1.
    """
    turn = TURNS.get(orientation)
    if turn is None:
        return image
    layers = partial(_turned, image.layers, image.shape, turn)
    if not turn.transposed:
        return replace(image, layers=layers)
    scale = replace(image.scale, sizes=_swapped(image.scale.sizes), unitless=_swapped(image.scale.unitless))
    return replace(image, shape=_swapped(image.shape), scale=scale, layers=layers)


def _swapped(values: tuple[Any, ...]) -> tuple[Any, ...]:
    return (*values[:-2], *values[-2:][::-1])


def _turned(layers: Layers, shape: tuple[int, ...], turn: _Turn, window: Window, step: int) -> Iterator[NDArray[Any]]:
    stored = _stored_window(shape, turn, window)
    if len(window) == 3:
        for values in layers(stored, step):
            yield _seen(values, turn)
        return
    # Rows come in another order, or are columns: the window is read whole.
    values = _seen(next(layers(stored, max(1, lengths(stored)[0]))), turn)
    for (first, last), _ in parts(window, step):
        yield cut(values, ((first - window[0][0], last - window[0][0]), (0, values.shape[1])))


def _stored_window(shape: tuple[int, ...], turn: _Turn, window: Window) -> Window:
    """What of the stored image a window of the upright one is."""
    rows, columns = shape[-2:][::-1] if turn.transposed else shape[-2:]
    (top, bottom), (left, right) = window[-2:]
    if turn.rows:
        top, bottom = rows - bottom, rows - top
    if turn.columns:
        left, right = columns - right, columns - left
    ends = ((left, right), (top, bottom)) if turn.transposed else ((top, bottom), (left, right))
    return (*window[:-2], *ends)


def _seen(values: NDArray[Any], turn: _Turn) -> NDArray[Any]:
    out = np.swapaxes(values, -1, -2) if turn.transposed else values
    return out[..., :: -1 if turn.rows else 1, :: -1 if turn.columns else 1]
