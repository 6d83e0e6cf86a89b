"""Scribbles: a sparse label image from which a forest learns, held against the image that it belongs to."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from microlith.imaging.axes import AXES
from microlith.imaging.errors import InputError, listed
from microlith.imaging.formats.stored import cut
from microlith.imaging.options import ImageSource
from microlith.imaging.parallel.large_arrays import count_values
from microlith.imaging.readers.open import read_image
from microlith.imaging.segmentation.grey_image import GreyImage
from microlith.imaging.typing import Phases

KEY = "[segmentation] scribbles"


@dataclass(frozen=True)
class Scribbles:
    """Where they are."""

    path: str
    folder: str = ""
    held: NDArray[Any] | None = field(default=None, compare=False, repr=False)  # ([z,] y, x), in place of a file


def read_scribbles(scribbles: Scribbles, image: GreyImage, phases: tuple[str, ...]) -> Phases:
    """Read scribbles; on one rank.

    Args:
        scribbles: Where they are.
        image: The image that they are painted on.
        phases: Names of the phases; the label of each is its place, from 1.

    Returns:
        (z, y, x) of the image after its crop; 0 where nothing is painted.

    Raises:
        InputError: They can't be read, are of another shape, have labels that are none, or lack a phase.
    """
    raw = read_image(ImageSource(scribbles.path, folder=scribbles.folder, held=scribbles.held), KEY)
    wanted = image.origin.shape
    if raw.values.shape != wanted:
        raise InputError(
            f"{KEY}: {scribbles.path}: expected the shape of the image before its crop, {_size(wanted)}, got "
            f"{_size(raw.values.shape)}; paint on the image itself"
        )
    if raw.colour:
        raise InputError(f"{KEY}: {scribbles.path} is a picture in colours; save its labels as one channel")
    values = cut(raw.values, image.crop)
    found = {int(value) for value in count_values(values, 65_535) or {}} - {0}
    told = ", ".join(f"{i} for {name}" for i, name in enumerate(phases, 1))
    foreign = sorted(found - set(range(1, len(phases) + 1)))
    if foreign:
        raise InputError(f"{KEY}: {scribbles.path} has the label {listed(foreign, 5)}; expected {told}, 0 for nothing")
    missing = [name for i, name in enumerate(phases, 1) if i not in found]
    if missing:
        within = " within the crop" if values.size < raw.values.size else ""
        only = f"has only {listed(phases[i - 1] for i in sorted(found))}" if found else "has nothing painted"
        raise InputError(
            f"{KEY}: {scribbles.path} {only}{within}; paint some of each phase, {told}: a forest can't learn what it "
            "has not seen"
        )
    return _as_rescaled(values.astype(np.uint8).reshape(-1, *values.shape[-2:]), image.shape)


def _as_rescaled(values: Phases, shape: tuple[int, int, int]) -> Phases:
    """The voxels in the middle of those of an image that was rescaled."""
    places = [((np.arange(n) + 0.5) * (old / n)).astype(np.intp) for n, old in zip(shape, values.shape, strict=True)]
    return values[np.ix_(*places)] if values.shape != shape else values


def _size(shape: tuple[int, ...]) -> str:
    return f"{' x '.join(map(str, shape[::-1]))} ({', '.join(AXES[: len(shape)])})"
