"""Regions in a picture: their edges and names, and notes on those that have no edge to draw."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from microlith.imaging.typing import Array
from microlith.solver.regions.shapes import Ball, Box, LabelRegion, Polygon, Shape, Shell, SurfaceOf, WholePhase
from microlith.workflow.pictures.figure import halo, length_unit
from microlith.workflow.pictures.frames import Frame
from microlith.workflow.rendering.projection import box_edges

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ROUND = 180  # points of a circle


@dataclass(frozen=True, eq=False)
class Pixels:
    """A 2D image on the raster of a picture."""

    phase: NDArray[np.uint8]  # (rows, columns)
    names: Sequence[str]  # of the phases


def outline(shape: Shape, frame: Frame) -> list[Array] | None:
    """The edge of a region as lines, (points, dim) each, in metres; None where it has none to draw.

    Args:
        shape: The region.
        frame: Of the sample; what of a box lies beyond is cut away, and spheres are seen from the viewer's side.
    """
    if isinstance(shape, Box):
        ends = [shape.bounds.get(axis, (0.0, np.inf)) for axis in "xyz"[: len(frame.size)]]
        return list(box_edges(*np.clip(np.array(ends).T, 0.0, frame.size)))
    if isinstance(shape, Ball):
        angle = np.linspace(0.0, 2 * np.pi, ROUND + 1)[:, None]
        right, down = frame.plane
        center = np.array(shape.center[: len(frame.size)])
        return [center + shape.radius * (np.cos(angle) * right + np.sin(angle) * down)]
    if isinstance(shape, Polygon):
        return [np.array([*shape.corners, shape.corners[0]])]
    return None


def note(name: str, shape: Shape, dashed: bool = False) -> str | None:
    """What is said of a region below the picture; None where its edge is drawn and named.

    Args:
        name: Of the region.
        shape: The region.
        dashed: Whether a dashed line shows a shell.
    """
    if isinstance(shape, Box | Ball | Polygon):
        return None
    if isinstance(shape, Shell):
        scale, unit = length_unit(shape.distance)
        words = f"within {shape.distance / scale:.4g} {unit} of {shape.around}"
        return f"{name} (dashed): {words}" if dashed else f"{name}: {words}"
    if isinstance(shape, WholePhase):
        return f"{name}: all of {shape.phase}"
    if isinstance(shape, LabelRegion):
        return f"{name}: label {shape.label} of {Path(shape.path).name}"
    if isinstance(shape, SurfaceOf):
        return f"{name}: surface of {shape.phase}"
    raise TypeError(f"expected a region, got {type(shape).__name__}")


def notes(regions: Mapping[str, Shape], dashed: bool = False) -> list[str]:
    """What is said of all regions below the picture; see `note`."""
    found = [note(name, shape, dashed) for name, shape in regions.items()]
    return [sentence for sentence in found if sentence is not None]


def mark(axes: "Axes", frame: Frame, regions: Mapping[str, Shape], pixels: Pixels | None = None) -> None:
    """Draw the edges and names of regions.

    Args:
        axes: Of the picture.
        frame: Of the sample.
        regions: Name -> shape.
        pixels: The image, in which the edges of shells are looked for.
    """
    from matplotlib.collections import LineCollection

    for name, shape in regions.items():
        if isinstance(shape, Shell) and pixels is not None:
            _contour_shell(axes, frame, shape, pixels)
        lines = outline(shape, frame)
        if lines is None:
            continue
        drawn = [frame.project(line) for line in lines]
        axes.add_collection(LineCollection(drawn, colors="black", linewidths=1.1, path_effects=halo(2.2)))
        points = np.concatenate(drawn)
        top = points[:, 1].min()
        at = points[points[:, 1] <= top + 1e-9 * max(frame.drawn)]
        _name(axes, frame, name, at[np.argmin(at[:, 0])])


def _name(axes: "Axes", frame: Frame, name: str, at: Array) -> None:
    """Write a name above a point of a region's edge, or below it where the picture ends."""
    x, y = np.clip(at, 0.0, frame.drawn)
    high = y < 0.06 * max(frame.drawn)
    axes.annotate(
        name,
        (x, y),
        xytext=(2, -3 if high else 3),
        textcoords="offset points",
        va="top" if high else "bottom",
        fontsize=9,
        weight="bold",
        parse_math=False,
        path_effects=halo(2.5),
        annotation_clip=False,
    )


def _contour_shell(axes: "Axes", frame: Frame, shape: Shell, pixels: Pixels) -> None:
    """Dashed line at a distance from a phase of the image."""
    from scipy.ndimage import distance_transform_edt

    rows, columns = pixels.phase.shape
    width, height = frame.size[0] / columns, frame.size[1] / rows
    distance = distance_transform_edt(pixels.phase != pixels.names.index(shape.around), sampling=(height, width))
    if distance.min() < shape.distance < distance.max():
        across, down = frame.drawn
        x, y = (np.arange(columns) + 0.5) * across / columns, (np.arange(rows) + 0.5) * down / rows
        axes.contour(x, y, distance, levels=[shape.distance], colors="black", linewidths=0.7, linestyles="--")
