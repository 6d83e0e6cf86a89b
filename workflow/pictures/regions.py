"""Regions in a picture: their edges and names, and notes on those that have no edge to draw."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from microlith.imaging.typing import Array
from microlith.solver.regions.shapes import Shape, Shell
from microlith.workflow.pictures.figure import halo, said_length
from microlith.workflow.pictures.frames import Frame
from microlith.workflow.pictures.labels import Named, write_names

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PIECES = 400  # of a line as long as the sample


@dataclass(frozen=True, eq=False)
class Pixels:
    """A 2D image on the raster of a picture."""

    phase: NDArray[np.uint8]  # (rows, columns)
    names: Sequence[str]  # of the phases
    periodic: Sequence[int] = ()  # axes, x first, along which the image comes again and again


def notes(regions: Mapping[str, Shape], frame: Frame) -> list[str]:
    """What is said below a picture of the regions whose edges are not drawn and named.

    Args:
        regions: Name -> shape.
        frame: Of the sample; in 2D dashed lines show shells.
    """
    found = []
    for name, shape in regions.items():
        if not shape.outline(frame.size, frame.plane):
            dashed = " (dashed)" if isinstance(shape, Shell) and len(frame.size) == 2 else ""
            found.append(f"{name}{dashed}: {shape.caption(said_length)}")
    return found


def mark(axes: "Axes", frame: Frame, regions: Mapping[str, Shape], pixels: Pixels | None = None) -> None:
    """Draw the edges and names of regions; what of an edge lies behind something that is drawn is dashed.

    Args:
        axes: Of the picture.
        frame: Of the sample.
        regions: Name -> shape.
        pixels: The image, in which the edges of shells are looked for.
    """
    named = []
    for name, shape in regions.items():
        if isinstance(shape, Shell) and pixels is not None:
            _contour_shell(axes, frame, shape, pixels)
        lines = [_divided(line, frame) for line in shape.outline(frame.size, frame.plane)]
        if lines:
            _draw(axes, frame, lines)
            named.append(Named(name, frame.project(np.concatenate(lines))))
    write_names(axes, named)


def some_hidden(frame: Frame, regions: Mapping[str, Shape]) -> bool:
    """Whether a part of an edge is dashed."""
    every = [line for shape in regions.values() for line in shape.outline(frame.size, frame.plane)]
    return any(not frame.visible(_divided(line, frame)).all() for line in every)


def _divided(line: Array, frame: Frame) -> Array:
    """A line with points so close that each piece of it is seen or is not."""
    longest = max(frame.size) / PIECES
    parts = [
        np.linspace(a, b, max(1, int(np.ceil(np.linalg.norm(b - a) / longest))), endpoint=False)
        for a, b in pairwise(line)
    ]
    return np.concatenate([*parts, line[-1:]])


def _draw(axes: "Axes", frame: Frame, lines: Sequence[Array]) -> None:
    from matplotlib.collections import LineCollection

    seen: list[Array] = []
    hidden: list[Array] = []
    for line in lines:
        visible = frame.visible(line)
        drawn = frame.project(line)
        ends = [0, *(np.flatnonzero(visible[1:] != visible[:-1]) + 1), len(line) - 1]
        for first, last in pairwise(ends):
            (seen if visible[first] else hidden).append(drawn[first : last + 1])
    axes.add_collection(
        LineCollection(hidden, colors="black", linewidths=0.8, linestyles=(0, (3, 2)), path_effects=halo(1.4))
    )
    axes.add_collection(LineCollection(seen, colors="black", linewidths=1.1, path_effects=halo(2.2)))


def _contour_shell(axes: "Axes", frame: Frame, shape: Shell, pixels: Pixels) -> None:
    """Dashed line at a distance from a phase of the image."""
    from scipy.ndimage import distance_transform_edt

    rows, columns = pixels.phase.shape
    width, height = frame.size[0] / columns, frame.size[1] / rows
    around = pixels.phase != pixels.names.index(shape.around)
    beyond = tuple(count // 2 if axis in pixels.periodic else 0 for axis, count in ((1, rows), (0, columns)))
    padded = np.pad(around, [(some, some) for some in beyond], mode="wrap")
    distance = distance_transform_edt(padded, sampling=(height, width))
    distance = distance[beyond[0] : beyond[0] + rows, beyond[1] : beyond[1] + columns]
    if distance.min() < shape.distance < distance.max():
        across, down = frame.drawn
        x, y = (np.arange(columns) + 0.5) * across / columns, (np.arange(rows) + 0.5) * down / rows
        axes.contour(x, y, distance, levels=[shape.distance], colors="black", linewidths=0.7, linestyles="--")
