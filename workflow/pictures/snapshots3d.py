"""Pictures of a 3D run: the concentration on the solved phases, one corner taken away, at the snapshots."""

import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dolfinx import fem
from mpi4py import MPI

from microlith.imaging.image.volume import LabelVolume
from microlith.imaging.parallel.collective import together
from microlith.imaging.typing import Array
from microlith.meshing.mesh.phasemesh import PhaseMesh
from microlith.solver.regions.shapes import Ball, Box, Shape, Shell
from microlith.workflow.pictures.cutaway import TOWARDS, Cutaway, Indices, Sheet, cutaway, thinned, vertices_of
from microlith.workflow.pictures.figure import (
    BLUE_TO_RED,
    INK,
    described,
    greys_of,
    halo,
    length_unit,
    page,
    phase_legend,
    phases_with_cells,
    round_length,
    save,
    snapshot_names,
    time_unit,
)
from microlith.workflow.pictures.rendering import Layer, Picture, Renderer, RenderingError, Scene
from microlith.workflow.pictures.solids import solids

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

Values = NDArray[np.float32]
Lines = NDArray[np.int32]
log = logging.getLogger(__name__)

LONG_SIDE = 1500  # pixels of the rendering, one to one in the picture
MOST_TRIANGLES = 4_000_000  # that travel to rank 0 and are drawn; 1 GB there
MARGINS = (0.3, 1.15, 0.6, 0.5)  # inches: left, right, top, bottom
LEAST_WIDTH = 4.6  # inches
VIEW = np.array((0.52, -0.42, -1.0))  # towards the viewer: the first slice in front, x to the right, y downwards
UP = np.array((0.0, -1.0, 0.0))
BORDER = 0.01  # of the rendering, free around the frame
LIFT = 0.002  # of half the height: of lines above the surface that they lie on, towards the viewer
SCALE_ROOM = 0.05  # of its height, below the frame: for the scale bar


def draw_snapshots_3d(
    folder: Path,
    title: str,
    mesh: PhaseMesh,
    space: fem.FunctionSpace,
    times: Sequence[float],
    concentrations: Iterable[Array],
    regions: Mapping[str, Shape],
    c_range: tuple[float, float],
    empty: Collection[int] = (),
    volume: LabelVolume | None = None,
) -> list[str]:
    """Draw snapshot-<time>.png for each time: concentration on the surface and on the cut, other phases in grey.

    Each rank finds the surfaces of its own cells; only these travel to rank 0. Where nothing can be rendered, rank 0
    logs a warning and there are no pictures.

    Args:
        folder: Where the pictures go; each appears whole or not at all.
        title: Of the case.
        mesh: The mesh of the solved phases.
        space: Lagrange space of degree 1, 2 or 3 on it; pictures show its values at the vertices.
        times: (k,) in s.
        concentrations: k arrays, taken in turn: local dofs of this rank with ghosts, mol/m^3.
        regions: Name -> shape, marked in the picture.
        c_range: Concentrations at the blue and the red end, mol/m^3; values beyond take the end's colour.
        empty: Phases, by index, that are drawn as empty space: pores.
        volume: The image; its voxels close the grey phases where they are cut open. Without it one sees into them.

    Returns:
        Names of the files, in the order of the times.

    Raises:
        InputError: A file can't be written.
        ValueError: The mesh is not three-dimensional.
    """
    if mesh.mesh.topology.dim != 3:
        raise ValueError(f"expected a mesh of 3 dimensions, got {mesh.mesh.topology.dim}")
    comm = mesh.mesh.comm
    solved = phases_with_cells(mesh)
    extent = np.array(mesh.extent)
    vertices = together(comm, lambda: vertices_of(space))
    found = together(comm, lambda: cutaway(mesh, solved, empty, 0.5 * extent, vertices))
    found = _bounded(comm, found, vertices.x, float(np.linalg.norm(extent)))
    view = View.of_frame(extent)
    greys = {phase: grey for phase, grey in greys_of(solved).items() if phase not in empty}
    closed = {} if volume is None else solids(volume, mesh.unit, 0.5 * extent, solved, greys, comm)
    layers = _layers(comm, found, vertices.x, closed, view, greys)

    def stage_of_first_rank() -> tuple[Renderer, _Canvas] | None:
        if layers is None:
            return None
        notes = [f"{mesh.names[phase]}: left empty" for phase in sorted(empty) if not solved[phase]]
        return Renderer(view.scene(layers, c_range)), _canvas(title, mesh, view, greys, regions, notes, c_range)

    stage = together(comm, stage_of_first_rank)
    names = snapshot_names(times)
    try:
        for time, name, concentration in zip(times, names, concentrations, strict=True):
            values = [gathered(comm, _at(sheet, concentration, vertices.dofs)) for sheet in (found.flat, found.walls)]
            if not rendered(comm, partial(_draw_on_first_rank, stage, folder / name, values, time)):
                return []
    finally:
        if stage is not None:
            stage[0].close()
    return names


def _draw_on_first_rank(
    stage: "tuple[Renderer, _Canvas] | None", path: Path, values: Sequence[Values | None], time: float
) -> None:
    if stage is not None:
        renderer, canvas = stage
        canvas.draw(path, renderer.draw([v for v in values if v is not None]), time)


def rendered(comm: MPI.Intracomm, draw: Callable[[], None], what: str = "pictures of snapshots") -> bool:
    """Whether the drawing succeeded, on all ranks; where nothing can be rendered, rank 0 warns; collective.

    Args:
        comm: All ranks.
        draw: What each rank does.
        what: Pictures that are not there then, in words.
    """

    def failure() -> str | None:
        try:
            draw()
        except RenderingError as error:
            return str(error)
        return None

    failed = comm.bcast(together(comm, failure))
    if failed is not None and comm.rank == 0:
        log.warning("no %s: rendering needs EGL (libegl1), OSMesa or a display (%s)", what, failed)
    return failed is None


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
    view: "View",
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
        Layer(
            (points - LIFT * view.half_height * view.towards).astype(np.float32),
            cells.astype(np.int32),
            greys[phase],
            lit=False,
        )
        for phase, (points, cells) in closed.items()
    ]
    points, cells = there["outlines"]
    lifted = (points + LIFT * view.half_height * view.towards).astype(np.float32)
    outlines = Layer(lifted, cells, grey=0.13, lit=False, width=1.2)
    frame, corner = (Layer(*lines, grey=grey, lit=False, width=1.5) for lines, grey in view.frame())
    return (Layer(*there["flat"], lit=False), Layer(*there["walls"]), *grains, *lids, outlines, frame, corner)


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


def gathered(comm: MPI.Intracomm, mine: NDArray[Any]) -> NDArray[Any] | None:
    """The rows of all ranks, on rank 0."""
    parts = comm.gather(mine)
    return None if parts is None else np.concatenate(parts)


# --- view ---


@dataclass(frozen=True, eq=False)
class View:
    """Parallel projection of the image's frame onto a picture."""

    extent: Array  # (3,) edges of the frame, mesh units
    towards: Array  # (3,) unit vector to the viewer
    right: Array  # (3,) unit vector along the picture's rows
    up: Array  # (3,) unit vector against its columns
    focus: Array  # (3,) in the middle of the picture
    half_height: float  # mesh units
    columns: int
    rows: int

    @classmethod
    def of_frame(cls, extent: Array) -> "View":
        """With the frame, and room for a scale bar below, just in the picture."""
        towards = VIEW / np.linalg.norm(VIEW)
        right = np.cross(UP, towards)
        right /= np.linalg.norm(right)
        up = np.cross(towards, right)
        corners = np.array(list(product(*((0.0, length) for length in extent))))
        u, v = corners @ right, corners @ up
        border = BORDER * max(np.ptp(u), np.ptp(v))
        low_u, high_u, low_v, high_v = u.min() - border, u.max() + border, v.min() - border, v.max() + border
        low_v -= SCALE_ROOM * (high_v - low_v)
        width, height = high_u - low_u, high_v - low_v
        pixel = max(width, height) / LONG_SIDE
        focus = (low_u + high_u) / 2 * right + (low_v + high_v) / 2 * up
        focus = focus + (corners.mean(axis=0) @ towards) * towards
        return cls(extent, towards, right, up, focus, height / 2, round(width / pixel), round(height / pixel))

    @property
    def pixel(self) -> float:
        """Edge of a pixel in mesh units."""
        return 2 * self.half_height / self.rows

    def project(self, x: Array) -> Array:
        """Column and row, (n, 2), of points (n, 3)."""
        aside, above = (x - self.focus) @ self.right, (x - self.focus) @ self.up
        return np.stack([self.columns / 2 + aside / self.pixel, self.rows / 2 - above / self.pixel], axis=-1)

    def scene(self, layers: tuple[Layer, ...], c_range: tuple[float, float]) -> Scene:
        """What the renderer needs."""

        def triple(v: Array) -> tuple[float, float, float]:
            return float(v[0]), float(v[1]), float(v[2])

        size = (self.columns, self.rows)
        directions = triple(self.focus), triple(self.towards), triple(self.up)
        return Scene(layers, *directions, self.half_height, size, c_range, BLUE_TO_RED)

    def frame(self) -> list[tuple[tuple[Values, Lines], float]]:
        """Edges of what is left of the frame and, lighter, those that are taken away, each as a layer's lines and grey.

        They are a little nearer to the viewer than they are, else half of them would sink in.
        """
        corner, middle = np.where(TOWARDS > 0, self.extent, 0.0), self.extent / 2
        whole, cut = box_edges(np.zeros(3), self.extent), box_edges(*np.sort([middle, corner], axis=0))
        halves = np.stack([whole, np.broadcast_to(whole.mean(axis=1, keepdims=True), whole.shape)], axis=2)
        edges = np.concatenate([halves.reshape(-1, 2, 3), cut])
        gone = (edges == corner).all(axis=2).any(axis=1)
        pieces: list[tuple[tuple[Values, Lines], float]] = []
        for chosen, grey in ((~gone, 0.13), (gone, 0.6)):
            points = edges[chosen].reshape(-1, 3) + LIFT * self.half_height * self.towards
            lines = np.arange(len(points), dtype=np.int32).reshape(-1, 2)
            pieces.append(((points.astype(np.float32), lines), grey))
        return pieces


def box_edges(low: Array, high: Array) -> Array:
    """The twelve edges (12, 2, 3) of a box."""
    corners = np.array(list(product((0, 1), repeat=3)))
    pairs = [(a, b) for a in range(8) for b in range(a) if np.abs(corners[a] - corners[b]).sum() == 1]
    return np.where(corners, high, low)[np.array(pairs)]


# --- page ---


@dataclass
class _Canvas:
    """A figure with all that stays the same from snapshot to snapshot; only the rendering and the time change."""

    figure: "Figure"
    shown: "AxesImage"
    heading: Any  # matplotlib's text
    title: str

    def draw(self, path: Path, picture: Picture, time: float) -> None:
        """Write one snapshot."""
        self.shown.set_data(picture)
        scale, unit = time_unit(time)
        self.heading.set_text(f"t = {time / scale:.6g} {unit}")
        save(self.figure, path, f"{self.title}, t = {time:g} s")


def _canvas(
    title: str,
    mesh: PhaseMesh,
    view: View,
    greys: Mapping[int, float],
    regions: Mapping[str, Shape],
    notes: Sequence[str],
    c_range: tuple[float, float],
) -> _Canvas:
    """Lay the figure out so that one pixel of the rendering is one pixel of the picture."""
    sheet = page(title, (view.columns, view.rows), MARGINS, LEAST_WIDTH, c_range, inset=0.08)
    axes = sheet.axes
    blank = np.full((view.rows, view.columns, 3), 255, dtype=np.uint8)
    shown = axes.imshow(blank, extent=(0, view.columns, view.rows, 0), interpolation="nearest", aspect="auto")
    axes.set_xlim(0, view.columns)
    axes.set_ylim(view.rows, 0)
    axes.set_axis_off()
    name_edges(axes, view, mesh.unit)
    scale_bar(axes, view, mesh.unit)
    notes = [*notes, *_mark_regions(axes, regions, view, mesh.unit)]
    phase_legend(sheet.figure, sheet.left, greys, mesh.names, notes)
    return _Canvas(sheet.figure, shown, sheet.heading, title)


def name_edges(axes: "Axes", view: View, unit: float) -> None:
    """Name and length of the frame's edges, outside of it."""
    x, y, z = view.extent
    scale, sign = length_unit(max(view.extent) * unit)
    edges = (  # middle of the edge, from which side it is seen
        ("x", x, (x * 0.62, y, 0), (0, -4), {"ha": "center", "va": "top"}),
        ("y", y, (0, y / 2, 0), (-4, 0), {"ha": "right", "va": "center", "rotation": 90}),
        ("z", z, (x, y, z / 2), (4, -4), {"ha": "left", "va": "top"}),
    )
    for name, length, at, offset, alignment in edges:
        axes.annotate(
            f"{name}: {length * unit / scale:.3g} {sign}",
            tuple(view.project(np.array(at))),
            xytext=offset,
            textcoords="offset points",
            fontsize=8,
            color=INK,
            annotation_clip=False,
            **alignment,
        )


def scale_bar(axes: "Axes", view: View, unit: float) -> None:
    """A bar of round length along x, below the frame's lower left corner."""
    length = round_length(0.3 * view.extent[0] * unit)
    scale, sign = length_unit(length)
    start = np.array((0.0, view.extent[1], 0.0))
    ends = view.project(np.stack([start, start + np.array((length / unit, 0.0, 0.0))]))
    ends[:, 1] += 0.035 * view.rows
    axes.plot(*ends.T, color="black", linewidth=3, solid_capstyle="butt")
    axes.annotate(
        f"{length / scale:g} {sign}",
        tuple(ends.mean(axis=0)),
        xytext=(0, -4),
        textcoords="offset points",
        ha="center",
        va="top",
        fontsize=9,
    )


def _mark_regions(axes: "Axes", regions: Mapping[str, Shape], view: View, unit: float) -> list[str]:
    """Draw the regions' edges, in front of all, and names; returns notes on those that have no edge to draw."""
    from matplotlib.collections import LineCollection
    from matplotlib.patches import Circle

    notes = []
    for name, shape in regions.items():
        if isinstance(shape, Box):
            bounds = [
                np.clip(np.array(shape.bounds.get(axis, (0.0, np.inf))) / unit, 0.0, length)
                for axis, length in zip("xyz", view.extent, strict=True)
            ]
            edges = view.project(box_edges(*np.array(bounds).T))
            axes.add_collection(LineCollection(list(edges), colors="black", linewidths=0.9, path_effects=halo(1.8)))
            at = edges.reshape(-1, 2)[np.argmin(edges.reshape(-1, 2)[:, 1])]
        elif isinstance(shape, Ball):
            center = view.project(np.array(shape.center) / unit)
            radius = shape.radius / unit / view.pixel
            look: dict[str, Any] = {"fill": False, "edgecolor": "black", "linewidth": 0.9, "path_effects": halo(1.8)}
            axes.add_patch(Circle(tuple(center), radius, **look))
            at = center - (0.0, radius)
        elif isinstance(shape, Shell):
            scale, sign = length_unit(shape.distance)
            notes.append(f"{name}: within {shape.distance / scale:.4g} {sign} of {shape.around}")
            continue
        else:
            notes.append(f"{name}: {described(shape)}")
            continue
        axes.annotate(
            name,
            tuple(at),
            xytext=(0, 2),
            textcoords="offset points",
            ha="center",
            va="bottom",
            fontsize=9,
            weight="bold",
            parse_math=False,
            path_effects=halo(2.5),
            annotation_clip=False,
        )
    return notes
