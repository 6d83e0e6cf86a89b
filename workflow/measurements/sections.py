"""The section of a volume that maps are drawn on: in 2D the image, in 3D across y, as near the middle as has values."""

from collections.abc import Callable
from typing import Any

import numpy as np

from microlith.imaging.axes import axis_names
from microlith.imaging.image.volume import LabelImage
from microlith.imaging.typing import Array
from microlith.workflow.measurements.findings import Map
from microlith.workflow.pictures.figure import length_unit, said_length

Part = tuple[Any, ...]  # index of the section in an array of the image


def section_map(
    image: LabelImage, name: str, heading: str, values: Callable[[Part], Array], label: str, unit: str = "m"
) -> Map:
    """A map on the section.

    Args:
        image: The whole image.
        name: Of the file.
        heading: Above the map.
        values: From the index of the section to values there, SI, NaN where there is none.
        label: Of the colour bar, without its unit.
        unit: "m" or "1".
    """
    axes = axis_names(image.dim)
    part: Part = (slice(None), slice(None))
    shown = [0, 1]
    found = np.asarray(values(part) if image.dim == 2 else (), np.float64)
    if image.dim == 3:
        shown, middle = [0, 2], image.shape[1] // 2
        for row in sorted(range(image.shape[1]), key=lambda row: abs(row - middle)):
            at: Part = (slice(None), row, slice(None))
            there = np.asarray(values(at), np.float64)
            if row == middle or np.isfinite(there).any():
                part, found, place = at, there, row
            if np.isfinite(there).any():
                break
        heading = f"{heading}, section at y = {said_length((place + 0.5) * image.voxel_size[1])}"
    scale, sign = 1.0, ""
    if unit == "m":
        finite = found[np.isfinite(found)]
        scale, sign = length_unit(float(finite.max()) if finite.size and finite.max() > 0 else 1e-6)
    return Map(
        name=name,
        heading=heading,
        values=found,
        phase=image.phase[part],
        pixel=(image.voxel_size[shown[0]], image.voxel_size[shown[1]]),
        axes=(axes[shown[0]], axes[shown[1]]),
        label=f"{label} / {sign}" if sign else label,
        scale=scale,
    )
