"""What `microlith view` shows, on any plotter: one snapshot of some phases, cut by a plane in 3D."""

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from microlith.workflow.case.case import PictureOptions
from microlith.workflow.pictures.figure import COLOURS, said_time
from microlith.workflow.rendering.projection import VIEW
from microlith.workflow.results.read import Results

if TYPE_CHECKING:
    import pyvista

Picture = NDArray[np.uint8]
Variable = Literal["phase", "concentration"]

CUT = (0.0, 0.0, -1.0)  # normal of the plane at first; what lies beyond it, before the viewer, is taken away


class Show:
    """Results on a plotter: one snapshot of some phases, cut by a plane in 3D."""

    def __init__(self, results: Results, variable: Variable, plotter: "pyvista.Plotter", step: int) -> None:
        """Show the snapshot number `step` of all phases; in 3D cut in the middle."""
        self.plotter = plotter
        self.results = results
        self.variable = variable
        self.step = step
        self._grids = _grids_of_phases(results)
        self.shown = dict.fromkeys(self._grids, True)
        self.surfaces: dict[int, Any] = {}  # by phase, of those in sight
        bounds = np.array([results.points.min(axis=0), results.points.max(axis=0)])
        self.center = bounds.mean(axis=0)
        self.plane: tuple[tuple[float, ...], tuple[float, ...]] | None = None  # normal and a point of the cut
        if results.dim == 3:
            self.plane = (CUT, tuple(self.center))
        plotter.set_background("white")
        plotter.add_light(_headlight())
        self._set_camera(bounds)
        self._add_outlines(bounds)
        self.go_to(step)
        if variable == "phase":
            self._add_legend()

    def go_to(self, step: int) -> None:
        """Show another snapshot."""
        self.step = step
        values = self.results.concentration(step)
        for grid in self._grids.values():
            grid.point_data["concentration"] = values[grid.point_data["row"]]
        for phase in self._grids:
            self._draw(phase)
        time = said_time(float(self.results.times[step]))
        heading = self.results.title if self.variable == "phase" else f"{self.results.title}\nt = {time}"
        self.plotter.add_text(heading, position="upper_left", font_size=12, color="black", name="heading")

    def switch(self, phase: int, on: bool) -> None:
        """Show or hide a phase."""
        self.shown[phase] = on
        self._draw(phase)

    def cut(self, normal: tuple[float, ...], origin: tuple[float, ...]) -> None:
        """Take away what lies beyond a plane, on the side to which its normal points."""
        self.plane = (tuple(normal), tuple(origin))
        for phase in self._grids:
            self._draw(phase)

    def picture(self) -> Picture:
        """What is on the plotter."""
        self.plotter.render()
        picture: Picture = self.plotter.screenshot(return_img=True)[:, :, :3]
        return picture

    def add_controls(self) -> None:
        """Slider over the snapshots, a check box for each phase, and the plane to drag."""
        plotter = self.plotter
        labels = [said_time(float(time)) for time in self.results.times]
        if self.variable == "concentration" and len(labels) > 1:
            plotter.add_text_slider_widget(
                lambda label: self.go_to(labels.index(label)),
                data=labels,
                value=self.step,
                pointa=(0.35, 0.08),
                pointb=(0.85, 0.08),
                color="black",
                style="modern",
            )
        for place, phase in enumerate(reversed(self._grids)):
            height = 20 + 40 * place
            plotter.add_checkbox_button_widget(
                lambda on, phase=phase: self.switch(phase, bool(on)),
                value=True,
                position=(20, height),
                size=25,
                border_size=2,
                color_on=self._colour(phase) if self.variable == "phase" else "#444444",
                color_off="white",
                background_color="black",
            )
            name = self.results.names[phase]
            plotter.add_text(name, position=(55, height), font_size=10, color="black", name=f"phase {phase}")
        if self.plane is not None:
            normal, origin = self.plane
            plotter.add_plane_widget(self.cut, normal=normal, origin=origin, color="black", test_callback=False)

    def _draw(self, phase: int) -> None:
        name = f"cells {phase}"
        grid = self._grids[phase]
        if self.plane is not None:
            normal, origin = self.plane
            grid = grid.clip(normal=normal, origin=origin)
        surface = _surface(grid) if self.results.dim == 3 else grid
        if not self.shown[phase] or surface.n_cells == 0:
            self.plotter.remove_actor(name, render=False)
            self.surfaces.pop(phase, None)
            return
        self.surfaces[phase] = surface
        look: dict[str, Any] = {"name": name, "reset_camera": False, "render": False}
        if self.variable == "phase":
            look["color"] = self._colour(phase)
        else:
            look |= {"scalars": "concentration", "cmap": PictureOptions.colours, "clim": self.results.c_range}
            look["scalar_bar_args"] = {
                **{"title": "mol/m³\n", "vertical": True, "color": "black", "n_labels": 6, "fmt": "%.4g"},
                **{"position_x": 0.88, "position_y": 0.2, "height": 0.6, "width": 0.06},
                **{"title_font_size": 20, "label_font_size": 18},
            }
        if self.results.dim == 3:
            look |= {"ambient": 0.65, "diffuse": 0.35, "specular": 0.0}
        self.plotter.add_mesh(surface, lighting=self.results.dim == 3, **look)

    def _colour(self, phase: int) -> str:
        return COLOURS[phase % len(COLOURS)]

    def _add_legend(self) -> None:
        entries = [[self.results.names[phase], self._colour(phase)] for phase in self._grids]
        self.plotter.add_legend(
            entries, bcolor="white", face="rectangle", loc="lower left", size=(0.15, 0.035 * len(entries))
        )

    def _set_camera(self, bounds: NDArray[np.float64]) -> None:
        camera = self.plotter.camera
        flat = self.results.dim == 2
        towards = np.array((0.0, 0.0, -1.0) if flat else VIEW)
        span = float(np.linalg.norm(bounds[1] - bounds[0]))
        camera.focal_point = tuple(self.center)
        camera.position = tuple(self.center + 2 * span * towards / np.linalg.norm(towards))
        camera.up = (0.0, -1.0, 0.0)
        camera.parallel_projection = True
        width, height, _ = bounds[1] - bounds[0]
        columns, rows = self.plotter.window_size
        # Room for the colour bar aside and the heading above
        camera.parallel_scale = 0.62 * max(height, width * rows / columns * 1.15) if flat else 0.56 * span

    def _add_outlines(self, bounds: NDArray[np.float64]) -> None:
        x, y, z = np.round(bounds / np.ptp(bounds), 9).T * np.ptp(bounds)  # else a label may be -1e-17
        self.plotter.show_bounds(
            bounds=(*x, *y, *z),
            xtitle="x / um",  # the letters of VTK that stand in space know no µ
            ytitle="y / um",
            ztitle="z / um",
            color="black",
            location="outer",
            font_size=14,
            fmt="%.4g",
            padding=0.0,
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
