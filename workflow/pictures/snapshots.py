"""Pictures of snapshots: the concentration over the grey phases, with regions, scale bar and time."""

from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dolfinx import mesh as dmesh

from microlith.imaging.parallel.collective import together
from microlith.imaging.typing import Array, Flags
from microlith.meshing.mesh.phasemesh import PhaseMesh, interface_tag
from microlith.workflow.pictures.canvas import Canvas, ColourBar
from microlith.workflow.pictures.figure import BLUE_TO_RED, INK, greys_of, said_time, snapshot_names
from microlith.workflow.pictures.frames import FlatFrame
from microlith.workflow.pictures.raster import Raster, pixel_map, reduce_raster
from microlith.workflow.pictures.regions import Pixels, mark, notes
from microlith.workflow.pictures.sample import Sample, Snapshots


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
    mesh, comm = sample.mesh, sample.mesh.mesh.comm
    raster = Raster.of_long_side((mesh.extent[0], mesh.extent[1]))
    pixels = pixel_map(snapshots.space, raster)
    outlines, solved = _outlines(mesh), sample.solved
    names = snapshot_names(snapshots.times)

    def page_of_first_rank() -> _Page | None:
        return None if outlines is None else _Page(sample, snapshots.c_range, raster, solved, outlines)

    page = together(comm, page_of_first_rank)
    for time, name, concentration in zip(snapshots.times, names, snapshots.concentrations, strict=True):
        field = reduce_raster(comm, pixels.draw(concentration))
        together(comm, partial(_draw_on_first_rank, page, folder / name, field, time))
    return names


def _draw_on_first_rank(page: "_Page | None", path: Path, field: NDArray[np.float32] | None, time: float) -> None:
    if page is not None and field is not None:
        page.draw(path, field, time)


def _outlines(mesh: PhaseMesh) -> Array | None:
    """Segments between phases, (n, 2, 2) in metres, on rank 0: lines only, so few even of a large mesh."""
    domain, tags = mesh.mesh, mesh.facet_tags
    mine = tags.indices < domain.topology.index_map(1).size_local
    facets = tags.indices[mine & (tags.values >= interface_tag(0, 0))]
    domain.topology.create_connectivity(1, 2)
    ends = np.zeros((0, 2), dtype=np.int32)
    if len(facets) > 0:  # DOLFINx 0.9 divides by their number
        ends = dmesh.entities_to_geometry(domain, 1, facets)
    parts = domain.comm.gather(domain.geometry.x[:, :2][ends] * mesh.unit, root=0)
    return None if parts is None else np.concatenate(parts)


class _Page:
    """The canvas of a 2D run, with all that stays the same from snapshot to snapshot."""

    def __init__(
        self, sample: Sample, c_range: tuple[float, float], raster: Raster, solved: Flags, outlines: Array
    ) -> None:
        from matplotlib.collections import LineCollection

        assert sample.image is not None  # on rank 0, where this runs
        self._range = c_range
        frame = FlatFrame(raster, sample.size)
        names = sample.mesh.names
        greys = greys_of(solved)
        pixels = Pixels(raster.sampled(sample.image.phase), names)
        self._background = _background(pixels.phase, solved, greys)
        self._canvas = Canvas(
            sample.title,
            frame,
            ColourBar.of_concentrations(c_range),
            {names[phase]: str(grey) for phase, grey in greys.items()},
            notes(sample.regions, dashed=True),
        )
        axes = self._canvas.axes
        axes.add_collection(LineCollection(list(frame.project(outlines)), colors=INK, linewidths=0.4))
        mark(axes, frame, sample.regions, pixels)

    def draw(self, path: Path, field: NDArray[np.float32], time: float) -> None:
        """Write one snapshot; the field is NaN where no cell is."""
        from matplotlib import colormaps

        low, high = self._range
        covered = ~np.isnan(field)
        level = (field[covered] - low) / ((high - low) or 1.0)
        picture = self._background.copy()
        picture[covered] = colormaps[BLUE_TO_RED](level, bytes=True)[..., :3]
        self._canvas.draw(path, picture, f"t = {said_time(time)}", f"t = {time:g} s")


def _background(phases: NDArray[np.uint8], solved: Flags, greys: dict[int, float]) -> NDArray[np.uint8]:
    """Grey picture under the field, (rows, columns, 3).

    Where the smooth mesh leaves a sliver of a solved pixel free, the nearest phase that is not solved shows.
    """
    from scipy.ndimage import distance_transform_edt

    table = np.full(len(solved), 255, dtype=np.uint8)
    for phase, level in greys.items():
        table[phase] = round(255 * level)
    inside = solved[phases]
    if inside.any() and not inside.all():
        nearest = distance_transform_edt(inside, return_distances=False, return_indices=True)
        phases = phases[tuple(nearest)]
    return np.repeat(table[phases][:, :, None], 3, axis=2)
