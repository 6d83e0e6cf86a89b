"""Maps in space of an analysis: a picture, and a file for ParaView."""

import logging
from pathlib import Path
from typing import Any

import numpy as np

from microlith.imaging.image.volume import LabelVolume
from microlith.imaging.typing import Array
from microlith.imaging.writing import whole_file
from microlith.workflow.case.case import PictureOptions
from microlith.workflow.measurements.findings import SurfaceMap
from microlith.workflow.pictures.canvas import Canvas, ColourBar, pixels_of
from microlith.workflow.pictures.figure import files_of, set_apart
from microlith.workflow.pictures.frames import SolidFrame
from microlith.workflow.rendering.projection import View
from microlith.workflow.rendering.renderer import Layer, Renderer, RenderingError

log = logging.getLogger(__name__)


def write_surface_map(
    folder: Path, title: str, one: SurfaceMap, volume: LabelVolume, options: PictureOptions
) -> list[str]:
    """Write NAME.vtp, and NAME.png where something can be rendered; for one rank.

    Args:
        folder: That they go to.
        title: Of the case.
        one: The map.
        volume: The image that it is of.
        options: How pictures look.

    Returns:
        Names of the files.

    Raises:
        InputError: A file can't be written.
    """
    _write_vtp(folder / f"{one.name}.vtp", one)
    try:
        _draw(folder / f"{one.name}.png", title, one, volume, options)
    except RenderingError as error:
        log.warning("no %s.png: rendering needs EGL (libegl1), OSMesa or a display (%s)", one.name, error)
        return [f"{one.name}.vtp"]
    return [f"{one.name}.vtp", *(file.name for file in files_of(folder / f"{one.name}.png", options))]


def _write_vtp(path: Path, one: SurfaceMap) -> None:
    import pyvista

    faces = np.column_stack([np.full(len(one.triangles), 3, np.int32), one.triangles]).ravel()
    surface: Any = pyvista.PolyData(one.points * 1e6, faces=faces)
    surface.point_data["value"] = one.values
    surface.field_data["unit"] = [f"points in um, value: {one.heading}, in {one.unit}"]
    with whole_file(path) as temporary:
        surface.save(temporary, binary=True)


def _draw(path: Path, title: str, one: SurfaceMap, volume: LabelVolume, options: PictureOptions) -> None:
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    extent: Array = np.array(volume.frame)
    view = View.of_frame(extent)
    view = View.of_frame(extent, max(pixels_of(3, view.columns / view.rows, 1, options)))
    low, high = (one.scale * end for end in set_apart(*(end / one.scale for end in one.ends)))
    level = np.clip((one.values - low) / (high - low), 0, 1).astype(np.float32)
    layer = Layer((one.points / volume.unit).astype(np.float32), one.triangles)
    renderer = Renderer(view.scene((layer, view.whole_frame()), options.colours))
    try:
        picture = renderer.draw([level])
        frame = SolidFrame(view, volume.unit, renderer.heights())
    finally:
        renderer.close()
    colours = ScalarMappable(Normalize(low / one.scale, high / one.scale), cmap=options.colours)
    beyond = one.values.min() < low, one.values.max() > high
    ends: dict[tuple[bool, bool], Any] = {(False, False): "neither", (True, False): "min", (False, True): "max"}
    bar = ColourBar(colours, one.label, ends.get((bool(beyond[0]), bool(beyond[1])), "both"))
    said = [f"the surface is found in blocks of {one.block} voxels' edges"] if one.block > 1 else []
    canvas = Canvas(title, frame, [bar], {}, said, options)
    canvas.draw(path, picture, one.heading, one.heading, only_one=True)
