"""Pictures of a 3D run: the concentration on the solved phases, one corner taken away, at the snapshots."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mpi4py import MPI

from microlith.imaging.parallel.collective import of_root, together
from microlith.imaging.typing import Array
from microlith.workflow.pictures.canvas import Canvas, ColourBar
from microlith.workflow.pictures.colour_scales import ColourScale
from microlith.workflow.pictures.figure import said_time, snapshot_names
from microlith.workflow.pictures.frames import SolidFrame
from microlith.workflow.pictures.labels import write_phases
from microlith.workflow.pictures.regions import mark, notes, some_hidden
from microlith.workflow.pictures.sample import Sample, Snapshots, view_of
from microlith.workflow.rendering.cutaway import Cutaway, Indices, Sheet, cutaway, thinned, vertices_of
from microlith.workflow.rendering.projection import LONG_SIDE, View
from microlith.workflow.rendering.ranks import gathered, rendered
from microlith.workflow.rendering.renderer import Layer, Renderer, grey
from microlith.workflow.rendering.solids import solids

Values = NDArray[np.float32]
MOST_TRIANGLES = 4_000_000  # that travel to rank 0 and are drawn; 1 GB there


def draw_snapshots_3d(folder: Path, sample: Sample, snapshots: Snapshots) -> list[str]:
    """Draw snapshot-<time>.png for each time: concentration on the surface and on the cut, other phases in grey.

    Each rank finds the surfaces of its own cells; only these travel to rank 0. The field is shown by its values at the
    vertices. Sources are drawn as empty space. The image's voxels close the other phases that are not solved where they
    are cut open; without an image one sees into them. Where nothing can be rendered, rank 0 logs a warning and there
    are no pictures.

    Args:
        folder: Where the pictures go; each appears whole or not at all.
        sample: The image and its mesh.
        snapshots: What is drawn.

    Returns:
        Names of the files, in the order of the times.

    Raises:
        InputError: A file can't be written.
    """
    mesh, comm = sample.mesh, sample.mesh.mesh.comm
    solved = sample.solved
    empty = sample.empty
    extent = np.array(mesh.extent)
    vertices = together(comm, lambda: vertices_of(snapshots.space))
    found = together(comm, lambda: cutaway(mesh, solved, empty, 0.5 * extent, vertices))
    found = _bounded(comm, found, vertices.x, float(np.linalg.norm(extent)))
    view = view_of(sample, len(snapshots.scales))
    greys = {phase: level for phase, level in sample.greys.items() if phase not in empty}
    closed = {}
    if sample.volume is not None:
        closed = solids(sample.volume, mesh.unit, 0.5 * extent, solved, greys, comm)
    layers = _layers(comm, found, vertices.x, closed, view, greys)

    def page_of_first_rank() -> _Page | None:
        if layers is None:
            return None
        return _Page(sample, snapshots.scales, view, layers, (*found.flat, *found.walls))

    page = together(comm, page_of_first_rank)
    names = snapshot_names(snapshots.times)
    try:
        for time, name, concentration in zip(snapshots.times, names, snapshots.concentrations, strict=True):
            values = [
                gathered(comm, snapshots.scale_of(mesh.names[phase]).level(_at(sheet, concentration, vertices.dofs)))
                for sheets in (found.flat, found.walls)
                for phase, sheet in sheets.items()
            ]
            draw = partial(_draw_on_first_rank, page, folder / name, values, time)
            if not rendered(comm, draw, "pictures of snapshots"):
                return []
    finally:
        if page is not None:
            page.renderer.close()
    return names


def _draw_on_first_rank(page: "_Page | None", path: Path, values: Sequence[Values | None], time: float) -> None:
    if page is not None:
        page.draw(path, [v for v in values if v is not None], time)


class _Page:
    """The canvas of a 3D run and the renderer, with all that stays the same from snapshot to snapshot."""

    def __init__(
        self,
        sample: Sample,
        scales: Sequence[ColourScale],
        view: View,
        layers: tuple[Layer, ...],
        phases: tuple[int, ...],
    ) -> None:
        """Page of layers, of which the first are those of solved phases, `phases` in their order."""
        self._phases = phases
        self.renderer = Renderer(view.scene(layers, sample.options.colours))
        self._sample = sample
        self._scales = scales
        self._view = view
        self._canvas: Canvas | None = None

    def draw(self, path: Path, values: Sequence[Values], time: float) -> None:
        """Write one snapshot, from levels at the points of the coloured layers."""
        picture = self.renderer.draw(values)
        if self._canvas is None:
            self._canvas = self._laid_out()
        self._canvas.draw(path, picture, f"t = {said_time(time)}", f"t = {time:g} s")

    def _laid_out(self) -> Canvas:
        """The page, once it is known what the picture hides."""
        sample, names = self._sample, self._sample.mesh.names
        frame = SolidFrame(self._view, sample.mesh.unit, self.renderer.heights())
        empty = sample.empty
        legend = {names[phase]: str(level) for phase, level in sample.greys.items() if phase not in empty}
        said = [f"{names[phase]}: left empty" for phase in empty]
        if some_hidden(frame, sample.regions):
            said.append("dashed: behind what is seen")
        bars = ColourBar.of_scales(self._scales, sample.options.colours)
        canvas = Canvas(sample.title, frame, bars, legend, [*said, *notes(sample.regions, frame)], sample.options)
        mark(canvas.axes, frame, sample.regions)
        solved = {int(index): names[index] for index in np.flatnonzero(sample.solved)}
        if len(solved) > 1:  # colours alone do not tell them apart
            write_phases(canvas.axes, self._seen(), solved, frame.drawn)
        return canvas

    def _seen(self) -> Indices:
        """The solved phase at each pixel, (rows, columns); -1: none."""
        layer = self.renderer.seen()
        return np.append(self._phases, -1)[np.where((layer >= 0) & (layer < len(self._phases)), layer, -1)]


# --- surfaces from all ranks ---


def _bounded(comm: MPI.Intracomm, found: Cutaway, x: Array, diagonal: float) -> Cutaway:
    """With fewer points where there are too many triangles, first where no picture could show the difference."""
    size = diagonal / LONG_SIDE

    def smaller(sheets: Mapping[int, Sheet]) -> dict[int, Sheet]:
        return {phase: thinned(sheet, x, size) for phase, sheet in sheets.items()}

    def count() -> int:
        return sum(len(s.cells) for s in (*found.flat.values(), *found.walls.values(), *found.grains.values()))

    while comm.allreduce(count()) > MOST_TRIANGLES:
        found = Cutaway(smaller(found.flat), smaller(found.walls), smaller(found.grains), found.outlines)
        size *= 1.5
    return found


def _layers(
    comm: MPI.Intracomm,
    found: Cutaway,
    x: Array,
    closed: Mapping[int, tuple[Array, Indices]],
    view: View,
    greys: Mapping[int, float],
) -> tuple[Layer, ...] | None:
    """All that is drawn, on rank 0."""
    grains = {phase: found.grains[phase] for phase in greys if phase in found.grains}
    flat, walls, bodies = (
        {phase: _surface(comm, sheet, x) for phase, sheet in sheets.items()}
        for sheets in (found.flat, found.walls, grains)
    )
    outlines = _surface(comm, found.outlines, x)
    if outlines is None:
        return None
    surfaces = [Layer(*of_root(surface), lit=False) for surface in flat.values()]
    surfaces += [Layer(*of_root(surface)) for surface in walls.values()]
    for phase, surface in bodies.items():
        surfaces.append(Layer(*of_root(surface), colour=grey(greys[phase]), inside=grey(greys[phase])))
    # Behind the solved phases' own surfaces, which are smooth where voxels are not
    lids = [
        Layer(view.behind(points), cells.astype(np.int32), grey(greys[phase]), lit=False)
        for phase, (points, cells) in closed.items()
    ]
    points, cells = outlines
    lines = Layer(view.lifted(points.astype(np.float64)), cells, colour=grey(0.13), lit=False, width=1.2)
    return (*surfaces, *lids, lines, *view.cut_frame())


def _surface(comm: MPI.Intracomm, sheet: Sheet, x: Array) -> tuple[Values, NDArray[np.int32]] | None:
    """Points and cells of all ranks, on rank 0."""
    points = gathered(comm, (sheet.weights @ x).astype(np.float32))
    sizes = comm.allgather(sheet.weights.shape[0])
    cells = gathered(comm, (sheet.cells + sum(sizes[: comm.rank])).astype(np.int32))
    return None if points is None or cells is None else (points, cells)


def _at(sheet: Sheet, concentration: Array, dofs: NDArray[np.int32]) -> Values:
    """Concentration at this rank's points of a sheet."""
    values: Values = (sheet.weights @ np.asarray(concentration)[dofs]).astype(np.float32)
    return values
