"""Pictures of a 3D run: the concentration on the solved phases, one corner taken away, at the snapshots."""

from collections.abc import Collection, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mpi4py import MPI

from microlith.imaging.parallel.collective import together
from microlith.imaging.typing import Array
from microlith.solver.physics.phases import Role
from microlith.workflow.pictures.canvas import Canvas, ColourBar
from microlith.workflow.pictures.figure import BLUE_TO_RED, greys_of, said_time, snapshot_names
from microlith.workflow.pictures.frames import SolidFrame
from microlith.workflow.pictures.regions import mark, notes
from microlith.workflow.pictures.sample import Sample, Snapshots
from microlith.workflow.rendering.cutaway import Cutaway, Indices, Sheet, cutaway, thinned, vertices_of
from microlith.workflow.rendering.projection import LONG_SIDE, View
from microlith.workflow.rendering.ranks import gathered, rendered
from microlith.workflow.rendering.renderer import Layer, Renderer
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
    empty = [phase for phase, role in enumerate(sample.roles) if role is Role.SOURCE and not solved[phase]]
    extent = np.array(mesh.extent)
    vertices = together(comm, lambda: vertices_of(snapshots.space))
    found = together(comm, lambda: cutaway(mesh, solved, empty, 0.5 * extent, vertices))
    found = _bounded(comm, found, vertices.x, float(np.linalg.norm(extent)))
    view = View.of_frame(extent)
    greys = {phase: grey for phase, grey in greys_of(solved).items() if phase not in empty}
    closed = {}
    if sample.volume is not None:
        closed = solids(sample.volume, mesh.unit, 0.5 * extent, solved, greys, comm)
    layers = _layers(comm, found, vertices.x, closed, view, greys)

    def page_of_first_rank() -> _Page | None:
        return None if layers is None else _Page(sample, snapshots.c_range, view, layers, greys, empty)

    page = together(comm, page_of_first_rank)
    names = snapshot_names(snapshots.times)
    try:
        for time, name, concentration in zip(snapshots.times, names, snapshots.concentrations, strict=True):
            values = [gathered(comm, _at(sheet, concentration, vertices.dofs)) for sheet in (found.flat, found.walls)]
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
        c_range: tuple[float, float],
        view: View,
        layers: tuple[Layer, ...],
        greys: Mapping[int, float],
        empty: Collection[int],
    ) -> None:
        names = sample.mesh.names
        frame = SolidFrame(view, sample.mesh.unit)
        self.renderer = Renderer(view.scene(layers, c_range, BLUE_TO_RED))
        self._canvas = Canvas(
            sample.title,
            frame,
            ColourBar.of_concentrations(c_range),
            {names[phase]: str(grey) for phase, grey in greys.items()},
            [*(f"{names[phase]}: left empty" for phase in empty), *notes(sample.regions)],
        )
        mark(self._canvas.axes, frame, sample.regions)

    def draw(self, path: Path, values: Sequence[Values], time: float) -> None:
        """Write one snapshot, from values at the points of the coloured layers."""
        self._canvas.draw(path, self.renderer.draw(values), f"t = {said_time(time)}", f"t = {time:g} s")


# --- surfaces from all ranks ---


def _bounded(comm: MPI.Intracomm, found: Cutaway, x: Array, diagonal: float) -> Cutaway:
    """With fewer points where there are too many triangles, first where no picture could show the difference."""
    size = diagonal / LONG_SIDE
    while comm.allreduce(sum(len(s.cells) for s in (found.flat, found.walls, *found.grains.values()))) > MOST_TRIANGLES:
        found = Cutaway(
            flat=thinned(found.flat, x, size),
            walls=thinned(found.walls, x, size),
            grains={phase: thinned(sheet, x, size) for phase, sheet in found.grains.items()},
            outlines=found.outlines,
        )
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
    sheets = {"flat": found.flat, "walls": found.walls, "outlines": found.outlines} | {
        f"grains {phase}": found.grains[phase] for phase in greys if phase in found.grains
    }
    surfaces = {name: _surface(comm, sheet, x) for name, sheet in sheets.items()}
    there = {name: surface for name, surface in surfaces.items() if surface is not None}
    if len(there) < len(surfaces):
        return None
    grains = [
        Layer(*there[f"grains {phase}"], grey=grey, inside=grey)
        for phase, grey in greys.items()
        if f"grains {phase}" in there
    ]
    # Behind the solved phases' own surfaces, which are smooth where voxels are not
    lids = [
        Layer(view.behind(points), cells.astype(np.int32), greys[phase], lit=False)
        for phase, (points, cells) in closed.items()
    ]
    points, cells = there["outlines"]
    outlines = Layer(view.lifted(points.astype(np.float64)), cells, grey=0.13, lit=False, width=1.2)
    return (Layer(*there["flat"], lit=False), Layer(*there["walls"]), *grains, *lids, outlines, *view.cut_frame())


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
