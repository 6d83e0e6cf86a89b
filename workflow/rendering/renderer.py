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
from typing import Any

import numpy as np
from numpy.typing import NDArray

from microlith.imaging.parallel.machine import peak_memory

Colour = tuple[float, float, float]  # red, green and blue, 0 to 1
Picture = NDArray[np.uint8]  # (rows, columns, 3)
HEIGHTS, SEEN = "heights", "seen"  # what is asked of the child process in place of values
STAGE = f"{__package__}.stage"  # module of the child process
LARGE_PAGES = ("GLIBC_TUNABLES", "glibc.malloc.hugetlb=1")  # as runtime/run sets it
_peaks = [0]  # bytes that the child processes so far had in memory at most


def drawing_memory() -> int:
    """Bytes that the largest child process of this one had in memory at most; 0 where there was none."""
    return max(_peaks)


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

    def seen(self) -> NDArray[np.int32]:
        """Number of the scene's layer that is seen at each pixel, (rows, columns); -1: none.

        Raises:
            RenderingError: The child process failed.
        """
        return self._ask(self._started(), SEEN)

    def _started(self) -> "subprocess.Popen[bytes]":
        if self._child is None:
            self._child = subprocess.Popen(
                # -P: nothing in the working folder is imported
                [sys.executable, "-P", "-c", f"from {STAGE} import serve_pipes; serve_pipes()"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._said,
                env=rendering_environment(os.environ),
            )
            self._ask(self._child, (self._scene, _colours_of(self._scene)))
        return self._child

    def close(self) -> None:
        """End the child process."""
        child, self._child = self._child, None
        if child is not None:
            _peaks[:] = [max(*_peaks, peak_memory(child.pid))]
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


def _colours_of(scene: Scene) -> NDArray[np.uint8]:
    """Red, green, blue and opacity (256, 4) along the colour map."""
    from matplotlib import colormaps

    found: NDArray[np.uint8] = colormaps[scene.colours](np.arange(256), bytes=True)
    return found


def rendering_environment(given: Mapping[str, str]) -> dict[str, str]:
    """Environment variables with which VTK renders without a display where there is none.

    Large pages, which runtime/run asks for, are left out: each of VTK's threads would fill some of its own.
    """
    without_display = sys.platform == "linux" and not given.get("DISPLAY")
    ours = {"VTK_DEFAULT_OPENGL_WINDOW": "vtkEGLRenderWindow"} if without_display else {}
    return ours | {name: value for name, value in given.items() if (name, value) != LARGE_PAGES}


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
