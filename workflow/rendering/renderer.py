"""Off-screen rendering of surfaces, in a process of its own.

Without a graphics library VTK does not raise but ends the process, and it writes what it thinks of drivers and displays
straight to the terminal. A child process keeps both away from a run that has spent hours on its results.
"""

import os
import pickle
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pyvista

Colour = tuple[float, float, float]  # red, green and blue, 0 to 1
Picture = NDArray[np.uint8]  # (rows, columns, 3)
SMOOTH_BELOW = 50.0  # degrees: edges between triangles that meet at less are shaded as one round surface
HEIGHTS = "heights"  # what is asked of the child process in place of values
FINER = 2  # pixels rendered for one of the picture, along each side


def grey(level: float) -> Colour:
    """A colour between black, 0, and white, 1."""
    return level, level, level


class RenderingError(Exception):
    """There is no way to render here; the text says what the child process had to say."""


@dataclass(frozen=True, eq=False)
class Layer:
    """Triangles or segments that look alike."""

    points: NDArray[np.float32]  # (n, 3)
    cells: NDArray[np.int32]  # (m, 3) or (m, 2)
    colour: Colour | None = None  # None: coloured by the values of the picture
    inside: Colour | None = None  # of the triangles' backs, as of a body cut open; None: as in front
    lit: bool = True  # else every colour is exactly that of the colour bar
    width: float = 1.0  # of segments, in pixels of the picture


@dataclass(frozen=True, eq=False)
class Scene:
    """All but the values: parallel projection, white background."""

    layers: tuple[Layer, ...]
    focus: tuple[float, float, float]  # comes to the middle of the picture
    towards: tuple[float, float, float]  # the viewer, from there
    up: tuple[float, float, float]
    half_height: float  # of the picture, in the unit of the points
    size: tuple[int, int]  # columns and rows of the picture
    value_range: tuple[float, float]  # at the two ends of the colour map
    colours: str  # name of matplotlib's colour map


class Renderer:
    """The child process, which renders one scene with one set of values after the other; close it at the end."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._child: subprocess.Popen[bytes] | None = None
        self._said = TemporaryFile()  # noqa: SIM115  # by libraries; open as long as the process

    def draw(self, values: Sequence[NDArray[np.float32]]) -> Picture:
        """The picture with values at the points of each layer without a colour, in their order.

        Raises:
            RenderingError: The child process failed.
        """
        return self._ask(self._started(), values)

    def heights(self) -> NDArray[np.float32]:
        """How much nearer than the focus each pixel's surface is, (rows, columns), in points' units; -inf: nothing.

        Raises:
            RenderingError: The child process failed.
        """
        return self._ask(self._started(), HEIGHTS)

    def _started(self) -> "subprocess.Popen[bytes]":
        if self._child is None:
            self._child = subprocess.Popen(
                # -P: nothing in the working folder is imported
                [sys.executable, "-P", "-c", f"from {__name__} import serve_pipes; serve_pipes()"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._said,
                env=rendering_environment(os.environ),
            )
            self._ask(self._child, self._scene)
        return self._child

    def close(self) -> None:
        """End the child process."""
        child, self._child = self._child, None
        if child is not None:
            for stream in (child.stdin, child.stdout):
                with suppress(OSError):
                    stream.close()  # type: ignore[union-attr]  # both are pipes
            try:
                child.wait(timeout=10)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
        self._said.close()

    def _ask(self, child: "subprocess.Popen[bytes]", message: Any) -> Any:
        assert child.stdin is not None
        assert child.stdout is not None
        survive_broken_pipes()
        try:
            pickle.dump(message, child.stdin, protocol=5)
            child.stdin.flush()
            answer = pickle.load(child.stdout)
        except (OSError, EOFError, pickle.UnpicklingError) as error:
            raise RenderingError(self._last_words(child)) from error
        if isinstance(answer, str):
            raise RenderingError(answer)
        return answer

    def _last_words(self, child: "subprocess.Popen[bytes]") -> str:
        child.kill()  # it has ended, or talks nonsense
        status = child.wait()
        self._said.seek(0)
        said = self._said.read().decode(errors="replace").strip().splitlines()
        last = re.sub(r"\x1b\[\d*m", "", said[-1]).rpartition("| ")[2] if said else ""  # without VTK's colours and time
        return f"{last} (exit status {status})".lstrip()


def rendering_environment(given: Mapping[str, str]) -> dict[str, str]:
    """Environment variables with which VTK renders without a display where there is none."""
    without_display = sys.platform == "linux" and not given.get("DISPLAY")
    ours = {"VTK_DEFAULT_OPENGL_WINDOW": "vtkEGLRenderWindow"} if without_display else {}
    return ours | dict(given)


def survive_broken_pipes() -> None:
    """Have writes to a process that has ended raise BrokenPipeError, as ever in Python, but where PETSc was loaded.

    PETSc takes the signal for itself, and ends the program on it.
    """
    if threading.current_thread() is threading.main_thread() and hasattr(signal, "SIGPIPE"):
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)


def check_rendering() -> None:
    """Try it with one triangle.

    Raises:
        RenderingError: There is no way to render here.
    """
    corners = np.eye(3, dtype=np.float32)
    layer = Layer(corners, np.array([[0, 1, 2]], dtype=np.int32), colour=grey(0.5))
    renderer = Renderer(Scene((layer,), (0, 0, 0), (1, 1, 1), (0, 0, 1), 2.0, (8, 8), (0.0, 1.0), "gray"))
    try:
        renderer.draw([])
    finally:
        renderer.close()


# --- in the child process ---


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Take a scene and then values until there are no more, and answer each with a picture, or an error's text."""
    try:
        stage = _Stage(pickle.load(requests))
        answer: Any = True
    except Exception as error:
        stage, answer = None, f"{type(error).__name__}: {error}"
    while True:
        pickle.dump(answer, answers, protocol=5)
        answers.flush()
        try:
            values = pickle.load(requests)
        except EOFError:
            return
        try:
            if stage is not None:
                answer = stage.heights() if isinstance(values, str) else stage.picture(values)
        except Exception as error:
            answer = f"{type(error).__name__}: {error}"


class _Stage:
    """The scene as PyVista has it."""

    def __init__(self, scene: Scene) -> None:
        import pyvista

        self._coloured: list[pyvista.PolyData] = []
        columns, rows = (FINER * n for n in scene.size)
        self._plotter = pyvista.Plotter(off_screen=True, window_size=(columns, rows), lighting="none")
        self._plotter.render_window.SetMultiSamples(0)  # which takes memory; there are pixels enough to be averaged
        self._plotter.set_background("white")
        for layer in scene.layers:
            if len(layer.cells) > 0:
                self._add(layer, scene)
            elif layer.colour is None:
                self._coloured.append(pyvista.PolyData())
        self._light(scene)
        camera = self._plotter.camera
        camera.focal_point = scene.focus
        towards = np.array(scene.towards) / np.linalg.norm(scene.towards)
        camera.position = np.array(scene.focus) + 10 * scene.half_height * towards
        camera.up = scene.up
        camera.parallel_projection = True
        camera.parallel_scale = scene.half_height
        self._plotter.reset_camera_clipping_range()

    def picture(self, values: Sequence[NDArray[np.float32]]) -> Picture:
        for surface, at_points in zip(self._coloured, values, strict=True):
            if surface.n_points > 0:
                surface.point_data["value"] = at_points[surface.point_data["row"]]
        self._plotter.render()
        image = self._plotter.screenshot(return_img=True)
        rows, columns = (n // FINER for n in image.shape[:2])
        fine = image[: rows * FINER, : columns * FINER, :3].reshape(rows, FINER, columns, FINER, 3)
        return fine.mean(axis=(1, 3)).round().astype(np.uint8)

    def heights(self) -> NDArray[np.float32]:
        from vtkmodules.util.numpy_support import vtk_to_numpy
        from vtkmodules.vtkCommonCore import vtkFloatArray

        self._plotter.render()
        window, camera = self._plotter.render_window, self._plotter.camera
        columns, rows = window.GetSize()
        found = vtkFloatArray()
        window.GetZbufferData(0, 0, columns - 1, rows - 1, found)
        depth = vtk_to_numpy(found).reshape(rows, columns)[::-1]  # from the near plane, 0, to the far one, 1
        near, far = camera.clipping_range
        away = np.where(depth < 1.0, camera.distance - (near + depth * (far - near)), -np.inf)
        rows, columns = rows // FINER, columns // FINER
        fine = away[: rows * FINER, : columns * FINER].reshape(rows, FINER, columns, FINER)
        return fine.min(axis=(1, 3)).astype(np.float32)

    def _add(self, layer: Layer, scene: Scene) -> None:
        surface = _poly_data(layer)
        look: dict[str, Any] = {"lighting": layer.lit, "ambient": 0.35, "diffuse": 0.65, "specular": 0.0}
        if layer.cells.shape[1] == 2:
            self._plotter.add_mesh(
                surface, color=layer.colour, line_width=FINER * layer.width, lighting=False, copy_mesh=False
            )
            return
        if layer.lit:
            look["smooth_shading"] = False  # normals are there already
        if layer.colour is None:
            surface.point_data["value"] = np.zeros(surface.n_points, dtype=np.float32)
            self._coloured.append(surface)
            look |= {"scalars": "value", "cmap": scene.colours, "clim": scene.value_range, "show_scalar_bar": False}
        else:
            look["color"] = layer.colour
        actor = self._plotter.add_mesh(surface, copy_mesh=False, **look)
        if layer.lit:
            actor.prop.interpolation = "phong"
        if layer.inside is not None:
            import pyvista

            # Switching its light off would do nothing: VTK takes that from the front
            actor.backface_prop = pyvista.Property(color=layer.inside, ambient=1.0, diffuse=0.0, specular=0.0)

    def _light(self, scene: Scene) -> None:
        import pyvista

        towards, up = (np.array(v) / np.linalg.norm(v) for v in (scene.towards, scene.up))
        aside = np.cross(up, towards)
        for direction, strength in ((towards + 0.5 * up - 0.4 * aside, 0.85), (towards + 0.6 * aside, 0.35)):
            light = pyvista.Light(position=direction, focal_point=(0, 0, 0), intensity=strength)
            light.positional = False
            self._plotter.add_light(light)


def _poly_data(layer: Layer) -> "pyvista.PolyData":
    """Points in the same place as one, with normals where light falls, and `row`: which of the layer's each was."""
    import pyvista

    count, k = layer.cells.shape
    entries = np.column_stack([np.full(count, k, dtype=np.int32), layer.cells]).ravel()
    if k == 2:
        return pyvista.PolyData(layer.points, lines=entries)
    surface = pyvista.PolyData(layer.points, faces=entries)
    surface.point_data["row"] = np.arange(len(layer.points), dtype=np.int32)
    if not layer.lit:
        return surface
    extent = float(np.ptp(layer.points, axis=0).max())
    surface = surface.clean(tolerance=1e-7 * extent, absolute=True)
    return surface.compute_normals(
        cell_normals=False,
        split_vertices=True,
        feature_angle=SMOOTH_BELOW,
        consistent_normals=False,
        auto_orient_normals=False,
    )


def serve_pipes() -> None:
    """Serve through standard input and output; what libraries print goes to standard error, where it can't intrude."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    with answers:
        serve(sys.stdin.buffer, answers)
