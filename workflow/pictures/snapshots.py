"""Pictures of snapshots: the concentration over the grey phases, with regions, scale bar and time."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from microlith.imaging.parallel.collective import together
from microlith.workflow.pictures.canvas import Canvas, ColourBar, add_outlines
from microlith.workflow.pictures.colour_scales import ColourScale
from microlith.workflow.pictures.figure import said_time, snapshot_names
from microlith.workflow.pictures.frames import FlatFrame
from microlith.workflow.pictures.labels import write_phases
from microlith.workflow.pictures.phase_raster import phase_raster
from microlith.workflow.pictures.regions import Pixels, mark, notes
from microlith.workflow.pictures.sample import PhaseRaster, Sample, Snapshots, raster_of
from microlith.workflow.rendering.raster import Raster, pixel_map, reduce_raster


def draw_snapshots(folder: Path, sample: Sample, snapshots: Snapshots) -> list[str]:
    """Draw snapshot-<time>.png for each time; collective.

    In 2D each rank draws its own cells on a raster as large as the picture, and the rasters are put together; the field
    itself is gathered nowhere. In 3D one corner is taken away, see `draw_snapshots_3d`.

    Args:
        folder: Where the pictures go; each appears whole or not at all.
        sample: The image and its mesh.
        snapshots: What is drawn.

    Returns:
        Names of the files, in the order of the times.

    Raises:
        InputError: A file can't be written.
    """
    if sample.dim == 3:
        from microlith.workflow.pictures.snapshots3d import draw_snapshots_3d

        return draw_snapshots_3d(folder, sample, snapshots)
    comm = sample.mesh.mesh.comm
    raster = raster_of(sample, len(snapshots.scales))
    pixels = pixel_map(snapshots.space, raster)
    phases = phase_raster(sample, raster, pixels)
    names = snapshot_names(snapshots.times)

    def page_of_first_rank() -> _Page | None:
        return None if phases is None else _Page(sample, snapshots.scales, raster, phases)

    page = together(comm, page_of_first_rank)
    for time, name, concentration in zip(snapshots.times, names, snapshots.concentrations, strict=True):
        field = reduce_raster(comm, pixels.draw(concentration))
        together(comm, partial(_draw_on_first_rank, page, folder / name, field, time))
    return names


def _draw_on_first_rank(page: "_Page | None", path: Path, field: NDArray[np.float32] | None, time: float) -> None:
    if page is not None and field is not None:
        page.draw(path, field, time)


class _Page:
    """The canvas of a 2D run, with all that stays the same from snapshot to snapshot."""

    def __init__(self, sample: Sample, scales: Sequence[ColourScale], raster: Raster, phases: PhaseRaster) -> None:
        from matplotlib import colormaps

        assert sample.image is not None  # on rank 0, where this runs
        names, greys = sample.mesh.names, sample.greys
        self._scales = [
            (scale, phases.covered & np.isin(phases.phase, [names.index(name) for name in scale.phases]))
            for scale in scales
        ]
        grey_of_phase = np.array([round(255 * greys.get(phase, 1.0)) for phase in range(len(names))], dtype=np.uint8)
        shades = np.repeat(grey_of_phase[:, None], 4, axis=1)
        shades[:, 3] = 255
        self._background = shades.view(np.uint32)[:, 0][
            phases.phase
        ]  # a pixel is one number: red, green, blue, opacity
        colours = colormaps[sample.options.colours]
        self._shades = np.ascontiguousarray(colours(np.arange(colours.N), bytes=True)).view(np.uint32)[:, 0]
        frame = FlatFrame(raster, sample.size)
        self._canvas = Canvas(
            sample.title,
            frame,
            ColourBar.of_scales(scales, sample.options.colours),
            {names[phase]: str(grey) for phase, grey in greys.items()},
            notes(sample.regions, frame),
            sample.options,
        )
        add_outlines(self._canvas.axes, phases.lines)
        mark(
            self._canvas.axes, frame, sample.regions, Pixels(raster.sampled(sample.image.phase), names, sample.periodic)
        )
        solved = {int(index): names[index] for index in np.flatnonzero(sample.solved)}
        if len(solved) > 1:  # colours alone do not tell them apart
            write_phases(self._canvas.axes, phases.phase, solved, frame.drawn)

    def draw(self, path: Path, field: NDArray[np.float32], time: float) -> None:
        """Write one snapshot; the field is NaN where no cell is."""
        picture = self._background.copy()
        most = len(self._shades) - 1
        for scale, there in self._scales:
            shade = np.clip(scale.level(field[there]) * np.float32(most + 1), 0, most).astype(np.int32)
            picture[there] = self._shades[shade]
        pixels = picture.view(np.uint8).reshape(*picture.shape, 4)
        self._canvas.draw(path, pixels, f"t = {said_time(time)}", f"t = {time:g} s")
