"""Standard errors of numbers of an image from how they scatter among parts of it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from microlith.imaging.typing import Array

PARTS = (4, 2)  # along each axis
SMALLEST = 12  # voxels along an edge of a part
FEWEST = 4  # parts of a size that tell something
LEAST_EXPONENT = 0.3
ALIKE = 1e-12  # deviation per mean that is rounding


@dataclass(frozen=True)
class Scatter:
    """A number in the parts of one size."""

    parts: int  # along each axis
    count: int  # of parts in which there is one
    mean: float
    deviation: float  # of single parts


def standard_error(scatters: Sequence[Scatter], cut: int) -> float | None:
    """Standard error of a number of the whole image from its scatter in parts, from small ones to large ones.

    Sizes of which all parts have the same number are left aside: few bodies, or none, make numbers alike by chance.

    Args:
        scatters: Of each size of parts.
        cut: Axes that parts are cut along.

    Returns:
        The error; None: no parts differ.
    """
    scatters = [one for one in scatters if one.deviation > ALIKE * abs(one.mean)]
    if not scatters:
        return None
    last = scatters[-1]
    exponent = 1.0
    if len(scatters) > 1:
        volumes = cut * np.log(scatters[0].parts / last.parts)
        exponent = float(np.clip(2 * np.log(scatters[0].deviation / last.deviation) / volumes, LEAST_EXPONENT, 1.0))
    return last.deviation * float(last.parts) ** (-cut * exponent / 2)


def error_of_section(values: Array) -> float | None:
    """Standard error of the mean over a section of the whole image, from the means of the parts of the section.

    Args:
        values: ([y,] x) of the section; those that are not finite don't count.

    Returns:
        The error; None: the section is too small, or its parts tell nothing.
    """
    cut = [axis for axis, edge in enumerate(values.shape) if edge // PARTS[-1] >= SMALLEST]
    scatters = []
    for parts in PARTS if cut else ():
        if min(values.shape[axis] for axis in cut) // parts < SMALLEST:
            continue
        pieces = [values]
        for axis in cut:
            pieces = [part for piece in pieces for part in np.array_split(piece, parts, axis)]
        means = [float(piece[known].mean()) for piece in pieces if (known := np.isfinite(piece)).any()]
        if len(means) >= FEWEST:
            scatters.append(Scatter(parts, len(means), float(np.mean(means)), float(np.std(means, ddof=1))))
    return standard_error(scatters, len(cut))
