"""What `microlith view` shows, on any plotter: one snapshot of some phases, cut by a plane in 3D."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from microlith.imaging.errors import InputError
from microlith.imaging.typing import Array
from microlith.solver.physics.phases import Role
from microlith.workflow.case.case import PictureOptions
from microlith.workflow.pictures.colour_scales import ColourScale
from microlith.workflow.pictures.figure import COLOURS, said_time
from microlith.workflow.rendering.projection import VIEW
from microlith.workflow.results.folder import SUMMARY
from microlith.workflow.results.read import Results, read_summary
from microlith.workflow.viewer.bodies import Body, bodies_of

if TYPE_CHECKING:
    import pyvista

Picture = NDArray[np.uint8]
Variable = Literal["phase", "concentration"]
Vector = tuple[float, ...]

CUT = (0.0, 0.0, -1.0)  # normal of the plane at first; what lies beyond it, before the viewer, is taken away
LETTERS = 0.0155  # height of letters, as a share of the window's
SOURCE, OTHER = (0.62, 0.78, 0.92), (0.5, 0.5, 0.5)  # colours of phases that are not solved for
BAR_STEP = 0.115  # share of the window's width from one colour bar to the next
LEGEND = 0.15  # width of the names of phases, of that of the picture
NEARER = 1e-3  # of the image's diagonal by which surfaces of phases that are not solved for come before others
OFFSET = 0.03  # of the image's diagonal: of numbers from the edge that they belong to


@dataclass(frozen=True, eq=False)
class Look:
    """Colours of the results, and what lies around the phases that are solved for."""

    scales: tuple[ColourScale, ...]  # of the concentrations
    colours: str = PictureOptions.colours  # Matplotlib's name of their colour map
    bodies: tuple[Body, ...] = ()  # phases that are not solved for
    shown: tuple[str, ...] | None = None  # phases that are in sight at first; None: all but sources

    @classmethod
    def of_results(cls, results: Results) -> "Look":
        """One scale for all, and nothing around."""
        low, high = results.c_range
        return cls((ColourScale(results.names, low, high, low, high),))

    @classmethod
    def of_folder(cls, folder: Path, results: Results) -> "Look":
        """As the pictures of the run have them.

        Raises:
            InputError: The summary can't be read.
        """
        summary = read_summary(folder)
        try:
            case = summary["case"]
            roles = {name: Role(phase["role"]) for name, phase in case["phases"].items() if "role" in phase}
            colours = str(case.get("pictures", {}).get("colours", PictureOptions.colours))
            scales = tuple(ColourScale.of_entry(entry) for entry in summary.get("colour_scales", ()))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError(
                f"{folder / SUMMARY}: expected the summary of a run ({error}); run the case again"
            ) from error
        return cls(scales or cls.of_results(results).scales, colours, tuple(bodies_of(folder, roles)))

    def scale_of(self, phase: str) -> ColourScale:
        """The scale of a phase; the first one where none names it."""
        return next((scale for scale in self.scales if phase in scale.phases), self.scales[0])


class Show:
    """Results on a plotter: one snapshot of some phases, cut by a plane in 3D."""

    def __init__(
        self,
        results: Results,
        variable: Variable,
        plotter: "pyvista.Plotter",
        step: int,
        look: Look | None = None,
        below: float = 0.0,
    ) -> None:
        """Show the snapshot number `step` of all phases but those that are sources; in 3D cut in the middle.

        Args:
            results: What is shown.
            variable: What colours stand for.
            plotter: Where it is shown.
            step: Number of the snapshot.
            look: Colours, and what lies around; None: as the results alone have it.
            below: Share of the height that is left free at the bottom, for controls.
        """
        self.plotter = plotter
        self.results = results
        self.variable = variable
        self.step = step
        self.time = float(results.times[step])  # s, of what is shown
        self.look = look or Look.of_results(results)
        self._below = below
        self._grids = _grids_of_phases(results)
        self._bodies = {body.phase: body for body in self.look.bodies}
        self.shown = dict.fromkeys(self._grids, True) | {b.phase: not b.source for b in self.look.bodies}
        if self.look.shown is not None:
            self.shown = {phase: results.names[phase] in self.look.shown for phase in self.shown}
        self.surfaces: dict[int, Any] = {}  # by phase, of those in sight
        self._actors: dict[int, Any] = {}  # in 3D, of phases that are not solved for, by phase, of those in sight
        bounds = np.array([results.points.min(axis=0), results.points.max(axis=0)])
        for body in self.look.bodies:
            low, high = np.array(body.surface.bounds).reshape(3, 2).T
            bounds = np.array([np.minimum(bounds[0], low), np.maximum(bounds[1], high)])
        if results.dim == 2:
            bounds[:, 2] = 0.0
        self.bounds = bounds
        self.center = bounds.mean(axis=0)
        self.plane: tuple[Vector, Vector] | None = None  # normal and a point of the cut
        if results.dim == 3:
            self.plane = (CUT, tuple(self.center))
        plotter.camera.AddObserver("ModifiedEvent", self._bring_nearer)
        plotter.set_background("white")
        plotter.add_light(_headlight())
        self.look_along(VIEW if results.dim == 3 else (0.0, 0.0, -1.0))
        self._add_frame()
        self._letters = max(11, round(LETTERS * plotter.window_size[1]))
        if variable == "concentration":
            self._add_bars()
        else:
            self._add_legend()
        self.go_to(step)

    @property
    def solved(self) -> list[int]:
        """Phases that have cells."""
        return list(self._grids)

    @property
    def phases(self) -> list[int]:
        """All that can be shown, in the order of the image."""
        return sorted(self.shown)

    def go_to(self, step: int) -> None:
        """Show another snapshot."""
        self.step = step
        self._show_values(self.results.concentration(step), float(self.results.times[step]))

    def go_to_time(self, time: float) -> None:
        """Show the concentration at any time (s), linear between the snapshots; outside of them the nearest."""
        times = self.results.times
        after = int(np.clip(np.searchsorted(times, time), 0, len(times) - 1))
        before = max(after - 1, 0)
        time = float(np.clip(time, times[0], times[-1]))
        self.step = before if time - times[before] < times[after] - time else after
        values = self.results.concentration(after)
        if time < times[after]:
            share = (time - times[before]) / (times[after] - times[before])
            values = (1.0 - share) * self.results.concentration(before) + share * values
        self._show_values(values, time)

    def _show_values(self, values: Array, seconds: float) -> None:
        self.time = seconds
        for grid in self._grids.values():
            grid.point_data["concentration"] = values[grid.point_data["row"]]
        for phase in self.shown:
            self._draw(phase)
        time = said_time(seconds)
        heading = self.results.title if self.variable == "phase" else f"{self.results.title}\n  t = {time}"
        size = round(0.75 * self._letters)
        self.plotter.add_text(f"\n  {heading}", position="upper_left", font_size=size, color="black", name="heading")

    def switch(self, phase: int, on: bool) -> None:
        """Show or hide a phase."""
        self.shown[phase] = on
        self._draw(phase)

    def cut(self, normal: Vector, origin: Vector) -> None:
        """Take away what lies beyond a plane, on the side to which its normal points."""
        self.plane = (tuple(normal), tuple(origin))
        for phase in self.shown:
            self._draw(phase)

    def uncut(self) -> None:
        """Show all, also what lies beyond the plane."""
        self.plane = None
        for phase in self.shown:
            self._draw(phase)

    def picture(self) -> Picture:
        """What is on the plotter."""
        self.plotter.render()
        picture: Picture = self.plotter.screenshot(return_img=True)[:, :, :3]
        return picture

    def colour(self, phase: int) -> str | tuple[float, float, float]:
        """Colour of a phase, where it is not that of its concentration."""
        if phase in self._bodies:
            return SOURCE if self._bodies[phase].source else OTHER
        return COLOURS[phase % len(COLOURS)]

    def look_along(self, towards: Sequence[float] | Array) -> None:
        """Place the viewer in a direction from the middle; y goes downwards where it can."""
        camera = self.plotter.camera
        direction = np.array(towards, dtype=float) / np.linalg.norm(towards)
        span = float(np.linalg.norm(self.bounds[1] - self.bounds[0]))
        camera.up = (0.0, -1.0, 0.0) if abs(direction[1]) < 0.9 else (0.0, 0.0, 1.0)
        camera.parallel_projection = True
        columns, rows = self.plotter.window_size
        right = np.cross(camera.up, direction)
        right /= np.linalg.norm(right)
        corners = np.array(list(product(*self.bounds.T)))
        width, height = float(np.ptp(corners @ right)), float(np.ptp(corners @ np.cross(direction, right)))
        # Room for numbers and colour bars aside, for heading and hints above and below
        beside = BAR_STEP * len(self.look.scales) if self.variable == "concentration" else LEGEND
        before, after = 0.1, 0.05 + beside
        wide, tall = 1.0 - before - after, 0.76 - self._below
        camera.parallel_scale = 0.5 * max(height / tall, width / wide * rows / columns)
        # To the middle of what is left
        shift = (before - after) * columns / rows * right + self._below * np.cross(direction, right)
        shift = camera.parallel_scale * shift
        camera.focal_point = tuple(self.center - shift)
        camera.position = tuple(self.center + 2 * span * direction - shift)
        self.plotter.reset_camera_clipping_range()

    def _draw(self, phase: int) -> None:
        name = f"cells {phase}"
        body = self._bodies.get(phase)
        grid = self._grids[phase] if body is None else body.surface
        if self.plane is not None and self.results.dim == 3:
            normal, origin = self.plane
            grid = grid.clip(normal=normal, origin=origin)
        surface = _surface(grid) if self.results.dim == 3 and body is None else grid
        if not self.shown[phase] or surface.n_cells == 0:
            self.surfaces.pop(phase, None)
            self._actors.pop(phase, None)
            if self.results.dim == 2 and body is None:  # as white as the page; what lies behind it is of other phases
                white: dict[str, Any] = {"color": "white", "lighting": False, "pickable": False}
                self.plotter.add_mesh(surface, name=name, reset_camera=False, render=False, **white)
            else:
                self.plotter.remove_actor(name, render=False)
            return
        self.surfaces[phase] = surface
        look: dict[str, Any] = {"name": name, "reset_camera": False, "render": False}
        if body is not None or self.variable == "phase":
            look["color"] = self.colour(phase)
        else:
            scale = self.look.scale_of(self.results.names[phase])
            look |= {"scalars": "concentration", "cmap": self.look.colours, "clim": (scale.low, scale.high)}
            look["show_scalar_bar"] = False
        if self.results.dim == 3:
            look |= {"ambient": 0.65, "diffuse": 0.35, "specular": 0.0}
        actor = self.plotter.add_mesh(surface, lighting=self.results.dim == 3, **look)
        if body is not None and self.results.dim == 3:  # cut open it looks full
            import pyvista

            actor.backface_prop = pyvista.Property(color=self.colour(phase), ambient=1.0, diffuse=0.0, specular=0.0)
            self._actors[phase] = actor
            self._bring_nearer()

    def _bring_nearer(self, *_: object) -> None:
        """Place surfaces of phases that are not solved for a little nearer to the viewer, wherever that is.

        They are surfaces of solved phases as well, which would come through in stripes.
        """
        by = NEARER * float(np.linalg.norm(self.bounds[1] - self.bounds[0]))
        towards = np.array(self.plotter.camera.direction)
        for actor in self._actors.values():
            actor.SetPosition(*(-by * towards))

    def _add_bars(self) -> None:
        """A colour bar for each scale."""
        import pyvista
        from vtkmodules.vtkRenderingAnnotation import vtkScalarBarActor

        for i, scale in enumerate(reversed(self.look.scales)):
            bar = vtkScalarBarActor()
            table = pyvista.LookupTable(cmap=self.look.colours, scalar_range=(scale.low, scale.high))
            bar.SetLookupTable(table)
            bar.SetTitle("mol/m³" if len(self.look.scales) == 1 else f"{', '.join(scale.phases)}\nmol/m³")
            bar.SetNumberOfLabels(6)
            bar.SetLabelFormat("%.5g")
            bar.SetUnconstrainedFontSize(True)
            bar.SetBarRatio(0.25)
            bar.SetVerticalTitleSeparation(self._letters)
            bar.SetPosition(0.985 - (i + 1) * BAR_STEP, 0.2)
            bar.SetWidth(0.1)
            bar.SetHeight(0.62)
            for letters in (bar.GetTitleTextProperty(), bar.GetLabelTextProperty()):
                _set_letters(letters, self._letters)
            self.plotter.add_actor(bar, name=f"bar {i}", reset_camera=False, render=False)

    def _add_legend(self) -> None:
        """Names of the phases on their colours, one below the other at the right side."""
        from vtkmodules.vtkRenderingCore import vtkTextActor

        shown = [phase for phase in self.phases if self.shown[phase]]
        step = 2.2 * self._letters / self.plotter.window_size[1]
        for i, phase in enumerate(shown):
            name = vtkTextActor()
            name.SetInput(f" {self.results.names[phase]} ")
            where = name.GetPositionCoordinate()
            where.SetCoordinateSystemToNormalizedViewport()
            where.SetValue(0.985, 0.5 + step * ((len(shown) - 1) / 2 - i))
            letters = name.GetTextProperty()
            _set_letters(letters, round(1.2 * self._letters))
            letters.SetJustificationToRight()
            letters.SetVerticalJustificationToCentered()
            letters.SetBackgroundColor(*_rgb(self.colour(phase)))
            letters.SetBackgroundOpacity(1.0)
            self.plotter.add_actor(name, name=f"name {phase}", reset_camera=False, render=False)

    def _add_frame(self) -> None:
        """The image's frame, and numbers along three of its edges, upright wherever the viewer is."""
        import pyvista

        size = self.bounds[1] - self.bounds[0]
        away = OFFSET * float(np.linalg.norm(size))
        box = pyvista.Box((*self.bounds.T.ravel(),)) if self.results.dim == 3 else _rectangle(self.bounds)
        edges = box.extract_feature_edges() if self.results.dim == 3 else box
        self.plotter.add_mesh(edges, color=(0.4,) * 3, line_width=1, lighting=False, name="frame", reset_camera=False)
        outwards = {0: (0, 1, 0), 1: (-1, 0, 0), 2: (0.7, 0.7, 0)}
        corner = {0: (0, 1, 0), 1: (0, 0, 0), 2: (1, 1, 0)}
        for axis in range(self.results.dim):
            start = self.bounds[0] + corner[axis] * size
            out = np.array(outwards[axis]) * away
            for at in _round_numbers(float(size[axis])):
                self._add_label(f"{at:.4g}", start + at * np.eye(3)[axis] + out)
            self._add_label(f"{'xyz'[axis]} / µm", start + size / 2 * np.eye(3)[axis] + 2.6 * out)

    def _add_label(self, text: str, at: Array) -> None:
        from vtkmodules.vtkRenderingCore import vtkBillboardTextActor3D

        label = vtkBillboardTextActor3D()
        label.SetInput(text)
        label.SetPosition(*at)
        letters = label.GetTextProperty()
        _set_letters(letters, max(11, round(LETTERS * self.plotter.window_size[1])))
        letters.SetJustificationToCentered()
        letters.SetVerticalJustificationToCentered()
        self.plotter.add_actor(label, reset_camera=False, render=False, pickable=False)


def _rgb(colour: str | tuple[float, float, float]) -> tuple[float, float, float]:
    import pyvista

    red, green, blue = pyvista.Color(colour).float_rgb
    return red, green, blue


def _set_letters(letters: Any, size: int) -> None:
    letters.SetColor(0.0, 0.0, 0.0)
    letters.SetFontSize(size)
    letters.SetFontFamilyToArial()
    letters.BoldOff()
    letters.ItalicOff()
    letters.ShadowOff()


def _round_numbers(length: float) -> Array:
    """Numbers from 0 on along an edge."""
    from matplotlib.ticker import MaxNLocator

    numbers = np.asarray(MaxNLocator(5, steps=[1, 2, 5, 10]).tick_values(0.0, length), dtype=np.float64)
    return numbers[(numbers >= 0) & (numbers <= length * (1 + 1e-9))]


def _rectangle(bounds: Array) -> "pyvista.PolyData":
    import pyvista

    (x0, y0, z), (x1, y1, _) = bounds
    return pyvista.PolyData(
        np.array([(x0, y0, z), (x1, y0, z), (x1, y1, z), (x0, y1, z)]), lines=np.array([5, 0, 1, 2, 3, 0])
    )


def _grids_of_phases(results: Results) -> "dict[int, pyvista.UnstructuredGrid]":
    """Cells of each phase that has some, with `row`: which of the results' points each point is."""
    import pyvista

    grids = {}
    for phase in np.unique(results.phase):
        cells = results.cells[results.phase == phase]
        rows, cells = np.unique(cells, return_inverse=True)
        grid = pyvista.UnstructuredGrid(
            {results.cell_type: cells.reshape(-1, results.cells.shape[1])}, results.points[rows]
        )
        grid.point_data["row"] = rows
        grids[int(phase)] = grid
    return grids


def _surface(grid: Any) -> Any:
    """Outer faces of cells; PyVista's own name for it takes other arguments from release to release."""
    import pyvista
    from vtkmodules.vtkFiltersGeometry import vtkDataSetSurfaceFilter

    of_cells = vtkDataSetSurfaceFilter()
    of_cells.SetInputData(grid)
    of_cells.Update()
    return pyvista.wrap(of_cells.GetOutput())


def _headlight() -> "pyvista.Light":
    import pyvista

    return pyvista.Light(light_type="headlight", intensity=1.0)
