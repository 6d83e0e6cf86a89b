"""Pictures of a run: region curves against time, and the concentration over the image at the snapshots."""

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dolfinx import fem, mesh as dmesh

from microlith.imaging.image.volume import LabelImage
from microlith.imaging.parallel.collective import together
from microlith.imaging.typing import Array
from microlith.meshing.mesh.phasemesh import PhaseMesh, interface_tag
from microlith.solver.regions.shapes import Ball, Box, Polygon, Shape, Shell
from microlith.workflow.pictures.figure import (
    BLUE_TO_RED,
    COLOURS,
    DPI,
    INK,
    described,
    greys_of,
    halo,
    length_unit,
    name_entries,
    page,
    phase_legend,
    phases_with_cells,
    save,
    scale_bar,
    snapshot_names,
    time_unit,
    wrapped,
)
from microlith.workflow.pictures.raster import Raster, pixel_map, reduce_raster

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage


LONG_SIDE = 1600  # pixels of the raster, one to one in the picture
DASHES = ("-", "--", ":", "-.")  # one after the other, when all colours are taken
MARGINS = (0.75, 1.25, 0.65, 0.95)  # inches: left, right, top, bottom
LEAST_WIDTH = 4.6  # inches
LINE = 0.007  # width of a curve's line, per height of the axes
BAND_WIDTH = 13  # letters of the legend's line about the band


def draw_curves(
    path: Path,
    title: str,
    times: ArrayLike,
    curves: Mapping[str, ArrayLike],
    reference: float,
    error: float | Mapping[str, ArrayLike] | None = None,
    band: str = "estimated error in time",
) -> None:
    """Draw curves.png: mean concentrations over logarithmic and linear time, side by side.

    Args:
        path: The PNG file; it appears whole or not at all. For one rank.
        title: Of the case.
        times: (n,) in s.
        curves: Region name -> (n,) in mol/m^3.
        reference: Concentration that counts as 100 %, mol/m^3.
        error: Estimated error of the curves, mol/m^3, one number or region name -> (n,); drawn as a band where it
            is wider than the line.
        band: What the error is, for the legend.

    Raises:
        InputError: The file can't be written.
    """
    from matplotlib.figure import Figure

    t = np.asarray(times, dtype=np.float64)
    figure = Figure(figsize=(9.0, 4.2), dpi=DPI, layout="constrained")
    over_log, over_time = figure.subplots(1, 2, sharey=True)
    scale, unit = time_unit(float(t[-1]))
    lines = []
    bands = _visible(error, curves)
    for i, (name, values) in enumerate(curves.items()):
        c = np.asarray(values, dtype=np.float64)
        look: dict[str, Any] = {
            "color": COLOURS[i % len(COLOURS)],
            "linestyle": DASHES[i // len(COLOURS) % len(DASHES)],
            "linewidth": 1.6,
        }
        for axes in (over_log, over_time):
            shown = t > 0 if axes is over_log else np.ones(len(t), dtype=bool)
            lines += axes.plot(t[shown] / scale, c[shown], **look)
            if name in bands:
                low, high = (c + bands[name] * side for side in (-1, 1))
                axes.fill_between(
                    t[shown] / scale, low[shown], high[shown], color=look["color"], alpha=0.25, linewidth=0
                )
    if (t > 0).any():
        over_log.set_xscale("log")
    for axes in (over_log, over_time):
        axes.set_xlabel(f"time / {unit}")
        axes.grid(color="0.88", linewidth=0.6)
        axes.set_axisbelow(True)
        axes.spines[["top"]].set_visible(False)
    over_log.set_ylabel("mean concentration / mol m⁻³")
    over_log.spines["right"].set_visible(False)
    if reference > 0:
        percent = over_time.secondary_yaxis(
            "right", functions=(lambda c: 100 * c / reference, lambda p: p * reference / 100)
        )
        percent.set_ylabel(f"% of {reference:g} mol m⁻³")
    _legend(figure, lines[::2], list(curves), f"band: {band}" if bands else None)
    figure.suptitle(wrapped(title, 9.0), parse_math=False, fontsize=11)
    save(figure, path, title)


def draw_snapshots(
    folder: Path,
    title: str,
    image: LabelImage | None,
    mesh: PhaseMesh,
    space: fem.FunctionSpace,
    times: Sequence[float],
    concentrations: Iterable[Array],
    regions: Mapping[str, Shape],
    c_range: tuple[float, float],
) -> list[str]:
    """Draw snapshot-<time>.png for each time: concentration over the grey phases, regions, scale bar, time.

    Each rank draws its own cells on a raster as large as the picture, and the rasters are put together; the field
    itself is gathered nowhere.

    Args:
        folder: Where the pictures go; each appears whole or not at all.
        title: Of the case.
        image: The 2D image; needed on rank 0 only.
        mesh: The mesh of the solved phases.
        space: Lagrange space of degree 1, 2 or 3 on it.
        times: (k,) in s.
        concentrations: k arrays, taken in turn: local dofs of this rank with ghosts, mol/m^3.
        regions: Name -> shape, marked in the picture.
        c_range: Concentrations at the blue and the red end, mol/m^3; values beyond take the end's colour.

    Returns:
        Names of the files, in the order of the times.

    Raises:
        InputError: A file can't be written.
        ValueError: The mesh is not two-dimensional.
    """
    if mesh.mesh.topology.dim != 2:
        raise ValueError(f"expected a mesh of 2 dimensions, got {mesh.mesh.topology.dim}")
    comm = mesh.mesh.comm
    raster = Raster.of_long_side((mesh.extent[0], mesh.extent[1]), LONG_SIDE)
    pixels = pixel_map(space, raster)
    outlines, solved = _outlines(mesh), phases_with_cells(mesh)
    names = snapshot_names(times)

    def canvas_of_first_rank() -> _Canvas | None:
        if image is None or outlines is None:
            return None
        return _canvas(title, image, mesh, raster, solved, outlines, regions, c_range)

    canvas = together(comm, canvas_of_first_rank)
    for time, name, concentration in zip(times, names, concentrations, strict=True):
        picture = reduce_raster(comm, pixels.draw(concentration))
        together(comm, partial(_draw_on_first_rank, canvas, folder / name, picture, time))
    return names


def _draw_on_first_rank(canvas: "_Canvas | None", path: Path, picture: NDArray[np.float32] | None, time: float) -> None:
    if canvas is not None and picture is not None:
        canvas.draw(path, picture, time)


def _outlines(mesh: PhaseMesh) -> Array | None:
    """Segments between phases, (n, 2, 2) in mesh units, on rank 0: lines only, so few even of a large mesh."""
    domain, tags = mesh.mesh, mesh.facet_tags
    mine = tags.indices < domain.topology.index_map(1).size_local
    facets = tags.indices[mine & (tags.values >= interface_tag(0, 0))]
    domain.topology.create_connectivity(1, 2)
    ends = np.zeros((0, 2), dtype=np.int32)
    if len(facets) > 0:  # DOLFINx 0.9 divides by their number
        ends = dmesh.entities_to_geometry(domain, 1, facets)
    parts = domain.comm.gather(domain.geometry.x[:, :2][ends], root=0)
    return None if parts is None else np.concatenate(parts)


@dataclass
class _Canvas:
    """A figure with all that stays the same from snapshot to snapshot; only the field and the time are exchanged."""

    figure: "Figure"
    shown: "AxesImage"
    heading: Any  # matplotlib's text
    title: str
    background: NDArray[np.uint8]  # (rows, columns, 4)
    c_range: tuple[float, float]

    def draw(self, path: Path, picture: NDArray[np.float32], time: float) -> None:
        """Write one snapshot; the picture is NaN where no cell is."""
        from matplotlib import colormaps

        low, high = self.c_range
        covered = ~np.isnan(picture)
        level = (picture[covered] - low) / ((high - low) or 1.0)
        colours = self.background.copy()
        colours[covered] = colormaps[BLUE_TO_RED](level, bytes=True)
        self.shown.set_data(colours)
        scale, unit = time_unit(time)
        self.heading.set_text(f"t = {time / scale:.6g} {unit}")
        save(self.figure, path, f"{self.title}, t = {time:g} s")


def _canvas(
    title: str,
    image: LabelImage,
    mesh: PhaseMesh,
    raster: Raster,
    solved: NDArray[np.bool_],
    outlines: Array,
    regions: Mapping[str, Shape],
    c_range: tuple[float, float],
) -> _Canvas:
    """Lay the figure out so that one pixel of the raster is one pixel of the picture."""
    from matplotlib.collections import LineCollection
    from matplotlib.ticker import MaxNLocator, NullLocator

    sheet = page(title, (raster.columns, raster.rows), MARGINS, LEAST_WIDTH, c_range)
    axes = sheet.axes
    scale, unit = length_unit(max(mesh.extent) * mesh.unit)
    per_unit = mesh.unit / scale  # of the drawing, per mesh unit
    extent_x, extent_y = (length * per_unit for length in mesh.extent)
    phases = _sampled(image.phase, raster)
    greys = greys_of(solved)
    background = _background(phases, solved, greys)
    shown = axes.imshow(background, extent=(0.0, extent_x, extent_y, 0.0), interpolation="nearest", aspect="auto")
    axes.add_collection(LineCollection(list(outlines * per_unit), colors=INK, linewidths=0.4))
    notes = _mark_regions(axes, regions, image.names, phases, (extent_x, extent_y), 1 / scale)
    axes.set_xlim(0.0, extent_x)
    axes.set_ylim(extent_y, 0.0)  # y grows downwards, as in any viewer of the image
    axes.set_xlabel(f"x / {unit}", fontsize=8)
    axes.set_ylabel(f"y / {unit}", fontsize=8)
    axes.tick_params(labelsize=8, direction="out")
    for axis, inches in ((axes.xaxis, raster.columns / DPI), (axes.yaxis, raster.rows / DPI)):
        axis.set_major_locator(
            MaxNLocator(min(9, int(inches / 0.4)), steps=[1, 2, 5, 10]) if inches > 0.8 else NullLocator()
        )
    scale_bar(axes, (extent_x, extent_y), unit)

    phase_legend(sheet.figure, sheet.left, greys, image.names, notes)
    return _Canvas(sheet.figure, shown, sheet.heading, title, background, c_range)


def _sampled(phase: NDArray[np.uint8], raster: Raster) -> NDArray[np.uint8]:
    """Phase of the image at the pixel centres of the raster."""
    rows = ((np.arange(raster.rows) + 0.5) * phase.shape[0] / raster.rows).astype(np.int64)
    columns = ((np.arange(raster.columns) + 0.5) * phase.shape[1] / raster.columns).astype(np.int64)
    return phase[rows[:, None], columns]


def _background(phases: NDArray[np.uint8], solved: NDArray[np.bool_], greys: Mapping[int, float]) -> NDArray[np.uint8]:
    """Grey picture under the field, (rows, columns, 4).

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
    grey = table[phases]
    return np.stack([grey, grey, grey, np.full_like(grey, 255)], axis=-1)


def _mark_regions(
    axes: "Axes",
    regions: Mapping[str, Shape],
    names: Sequence[str],
    phases: NDArray[np.uint8],
    extent: tuple[float, float],
    per_metre: float,
) -> list[str]:
    """Draw the regions' edges and names; returns notes on those that have no edge to draw.

    Args:
        axes: In the drawing's unit.
        regions: In metres.
        names: Of the phases.
        phases: Of the raster's pixels.
        extent: Width and height in the drawing's unit.
        per_metre: Of the drawing's unit.
    """
    from matplotlib import patches

    look: dict[str, Any] = {"fill": False, "edgecolor": "black", "linewidth": 1.1, "path_effects": halo(2.2)}
    notes = []
    for name, shape in regions.items():
        if isinstance(shape, Box):
            (x0, x1), (y0, y1) = (
                np.clip(np.array(shape.bounds.get(axis, (0.0, np.inf))) * per_metre, 0.0, length)
                for axis, length in zip("xy", extent, strict=True)
            )
            axes.add_patch(patches.Rectangle((x0, y0), x1 - x0, y1 - y0, **look))
            at = (x0, y0)
        elif isinstance(shape, Ball):
            x, y, radius = (v * per_metre for v in (*shape.center[:2], shape.radius))
            axes.add_patch(patches.Circle((x, y), radius, **look))
            at = (x - radius, y - radius)
        elif isinstance(shape, Polygon):
            corners = np.array(shape.corners) * per_metre
            axes.add_patch(patches.Polygon(corners, closed=True, **look))
            at = tuple(corners[np.argmin(corners[:, 1])])
        elif isinstance(shape, Shell):
            _contour_shell(axes, shape, names, phases, extent, per_metre)
            scale, unit = length_unit(shape.distance)
            notes.append(f"{name} (dashed): within {shape.distance / scale:.4g} {unit} of {shape.around}")
            continue
        else:
            notes.append(f"{name}: {described(shape)}")
            continue
        _name_region(axes, name, at, extent)
    return notes


def _name_region(axes: "Axes", name: str, at: tuple[float, float], extent: tuple[float, float]) -> None:
    """Write the name above the first corner of a region, or below it where the picture ends."""
    x = min(max(at[0], 0.0), extent[0])
    y = min(max(at[1], 0.0), extent[1])
    high = y < 0.06 * max(extent)
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


def _contour_shell(
    axes: "Axes",
    shape: Shell,
    names: Sequence[str],
    phases: NDArray[np.uint8],
    extent: tuple[float, float],
    per_metre: float,
) -> None:
    """Dashed line at a distance from a phase of the image."""
    from scipy.ndimage import distance_transform_edt

    rows, columns = phases.shape
    pixel = (extent[1] / rows, extent[0] / columns)
    distance = distance_transform_edt(phases != names.index(shape.around), sampling=pixel)
    level = shape.distance * per_metre
    if distance.min() < level < distance.max():
        x, y = ((np.arange(n) + 0.5) * h for n, h in ((columns, pixel[1]), (rows, pixel[0])))
        axes.contour(x, y, distance, levels=[level], colors="black", linewidths=0.7, linestyles="--")


def _visible(
    error: float | Mapping[str, ArrayLike] | None, curves: Mapping[str, ArrayLike]
) -> dict[str, NDArray[np.float64]]:
    """Half widths of the bands, (n,), of the regions where a band is wider than the line itself."""
    if error is None or not curves:
        return {}
    every = [np.asarray(curve, dtype=np.float64) for curve in curves.values()]
    span = max(float(c.max(initial=0.0)) for c in every) - min(float(c.min(initial=0.0)) for c in every)
    each = error if isinstance(error, Mapping) else dict.fromkeys(curves, error)
    halves = {
        name: np.broadcast_to(np.asarray(each[name], np.float64), c.shape)
        for name, c in zip(curves, every, strict=True)
        if name in each
    }
    return {name: half for name, half in halves.items() if 2 * float(half.max(initial=0.0)) > LINE * span}


def _legend(figure: "Figure", handles: Sequence[Any], names: Sequence[str], band: str | None) -> None:
    """Legend beside the axes."""
    from matplotlib.patches import Patch

    if handles:
        bands = [] if band is None else [Patch(color="0.5", alpha=0.25, linewidth=0)]
        texts = [] if band is None else [textwrap.fill(band, BAND_WIDTH)]
        legend = figure.legend(
            [*handles, *bands], ["-"] * (len(handles) + len(bands)), loc="outside right center", frameon=False
        )
        name_entries(legend, [*names, *texts])
        if texts:
            legend.get_texts()[-1].set_fontsize(7)
