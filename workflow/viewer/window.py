"""Results in a window, or as a picture or a movie where there is none."""

import logging
import os
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from microlith.imaging.errors import InputError
from microlith.imaging.writing import whole_file
from microlith.workflow.rendering.renderer import RenderingError, check_rendering, rendering_environment
from microlith.workflow.results.folder import PHASES
from microlith.workflow.results.read import Results, load_results
from microlith.workflow.schema.kinds import nearest
from microlith.workflow.schema.units import TIME, to_si
from microlith.workflow.viewer.controls import Controls
from microlith.workflow.viewer.movie import MOVIES, write_movie
from microlith.workflow.viewer.scene import Look, Picture, Show, Variable

log = logging.getLogger(__name__)

SIZE = (1600, 1200)  # pixels of pictures and movies; movies want even numbers
WINDOW = (1280, 960)  # pixels, where the screen has room for it
SHARE = 0.85  # of the screen, at most
BELOW = 0.14  # of its height, left free for the slider
PICTURES = (".png",)


@dataclass(frozen=True)
class ViewRequest:
    """What to show of the results, and where."""

    variable: Variable = "concentration"
    time: str | None = None  # "10 s": at first, or in the picture; None: the last snapshot
    screenshot: Path | None = None
    movie: Path | None = None
    force: bool = False  # overwrites files
    show: tuple[str, ...] | None = None  # phases; None: all but sources
    serve: bool = False  # in a browser
    host: str = "127.0.0.1"  # interface to listen on
    port: int = 0  # 0: a free one


def view(folder: Path, asked: ViewRequest) -> None:
    """Show the results of a run: in a window, or off screen where a file is asked for.

    Raises:
        InputError: No results in the folder, a request that can't be met, or neither a display nor a file to write.
    """
    _check_files(asked)
    results = load_results(folder)
    step = _step(results, asked.time)
    files = asked.screenshot is not None or asked.movie is not None
    if not files and not asked.serve and not _has_display():
        raise InputError(
            "there is no display to open a window on; ask for --serve, --screenshot FILE.png or --movie FILE.gif"
        )
    if files or asked.serve:
        os.environ.update(rendering_environment(os.environ))  # before VTK is loaded
        _check_rendering()
        (_served if asked.serve else _off_screen)(results, look_of(folder, results, asked.show), asked, step)
    else:
        _in_window(results, look_of(folder, results, asked.show), asked, step)


def look_of(folder: Path, results: Results, phases: tuple[str, ...] | None) -> Look:
    """Colours and surroundings of the results in a folder, and which phases are shown at first.

    Raises:
        InputError: There is no such phase, or the run left nothing of it.
    """
    look = Look.of_folder(folder, results)
    there = {results.names[int(phase)] for phase in np.unique(results.phase)}
    there |= {results.names[body.phase] for body in look.bodies}
    for name in phases or ():
        if name not in results.names:
            raise InputError(f"--show {name}: there is no such phase; {nearest(name, list(results.names), 'phases')}")
        if name not in there:
            raise InputError(
                f"--show {name}: this run left nothing of it to show, which it does in {PHASES}; run the case again"
            )
    return replace(look, shown=phases)


def _check_files(asked: ViewRequest) -> None:
    if asked.serve and (asked.screenshot is not None or asked.movie is not None):
        raise InputError("--serve shows results in a browser; leave it out, or --screenshot and --movie")
    if not 0 <= asked.port < 1 << 16:
        raise InputError(f"--port {asked.port}: expected a number from 0 (any free port) to 65535")
    for option, path, endings in (("--screenshot", asked.screenshot, PICTURES), ("--movie", asked.movie, MOVIES)):
        if path is None:
            continue
        if path.suffix.lower() not in endings:
            raise InputError(f"{option} {path}: expected a file name ending in {' or '.join(endings)}")
        if path.is_dir():
            raise InputError(f"{option} {path}: this is a folder; name a file")
        if path.exists() and not asked.force:
            raise InputError(f"{option} {path}: this file exists already; choose another, or overwrite it with --force")
        if not path.absolute().parent.is_dir():
            raise InputError(f"{option} {path}: there is no folder {path.parent}; make it, or name another")
        if not os.access(path.absolute().parent, os.W_OK | os.X_OK):
            raise InputError(f"{option} {path}: there is no permission to write to {path.parent}; name another folder")
    if asked.movie is not None and asked.variable == "phase":
        raise InputError("--movie: phases don't change with time; leave out --variable phase, or ask for --screenshot")
    if asked.movie is not None and asked.screenshot is None and asked.time is not None:
        raise InputError("--time: a movie shows all snapshots; leave it out, or ask for --screenshot")


def _step(results: Results, wanted: str | None) -> int:
    """The snapshot at a time; the last one where none is said."""
    if wanted is None:
        return len(results.times) - 1
    try:
        time = to_si(wanted, TIME)
    except ValueError as error:
        raise InputError(f'--time: expected {TIME.words} such as "10 s", {error}') from error
    return results.step_at(time, wanted)


def _has_display() -> bool:
    return sys.platform != "linux" or bool(os.environ.get("DISPLAY"))


def _check_rendering() -> None:
    try:
        check_rendering()
    except RenderingError as error:
        raise InputError(
            f"pictures can't be rendered here, which needs EGL (libegl1), OSMesa or a display ({error})"
        ) from error


# --- off screen ---


def _off_screen(results: Results, look: Look, asked: ViewRequest, step: int) -> None:
    import pyvista

    _silence()
    plotter = pyvista.Plotter(off_screen=True, window_size=SIZE, lighting="none")
    show = Show(results, asked.variable, plotter, step, look)
    if asked.screenshot is not None:
        _save(show.picture(), asked.screenshot, results.title)
        log.info("picture: %s", asked.screenshot)
    if asked.movie is not None:

        def pictures() -> Iterator[Picture]:
            for i in range(len(results.times)):
                show.go_to(i)
                yield show.picture()

        write_movie(asked.movie, pictures(), len(results.times))
        log.info("movie: %s", asked.movie)
    show.plotter.close()


def _save(picture: Picture, path: Path, title: str) -> None:
    from PIL import Image, PngImagePlugin

    about = PngImagePlugin.PngInfo()
    about.add_text("Title", title)
    about.add_text("Software", "microlith")
    with whole_file(path) as temporary:
        Image.fromarray(picture).save(temporary, format="PNG", pnginfo=about)


def _served(results: Results, look: Look, asked: ViewRequest, step: int) -> None:
    import pyvista

    from microlith.workflow.viewer import serve

    _silence()
    plotter = pyvista.Plotter(off_screen=True, window_size=serve.SIZE, lighting="none")
    show = Show(results, asked.variable, plotter, step, look)
    try:
        serve.serve(show, asked.host, asked.port)
    finally:
        plotter.close()


# --- in a window ---


def _in_window(results: Results, look: Look, asked: ViewRequest, step: int) -> None:
    import pyvista

    _silence()
    plotter = pyvista.Plotter(window_size=WINDOW, lighting="none", title=f"microlith: {results.title}")
    if plotter.render_window.GetClassName() in ("vtkEGLRenderWindow", "vtkOSOpenGLRenderWindow"):
        raise InputError(
            f"the display {os.environ.get('DISPLAY', '')} can't be opened; set DISPLAY, or take --screenshot FILE.png"
        )
    plotter.window_size = fitting(WINDOW, plotter.render_window.GetScreenSize())
    Controls(Show(results, asked.variable, plotter, step, look, below=BELOW))
    for number in (signal.SIGINT, signal.SIGTERM):  # VTK's loop would let Python's own handlers wait for ever
        signal.signal(number, signal.SIG_DFL)
    plotter.show()


def fitting(wanted: tuple[int, int], screen: tuple[int, int]) -> tuple[int, int]:
    """Columns and rows of a window that fits a screen, with room for its frame and the desktop's bars.

    Args:
        wanted: Columns and rows.
        screen: The same of the screen; 0 where it does not say.
    """
    share = min([1.0, *(SHARE * there / want for want, there in zip(wanted, screen, strict=True) if there > 0)])
    return round(share * wanted[0]), round(share * wanted[1])


def _silence() -> None:
    """Keep VTK's own remarks on drivers and windows off the terminal; what fails shows in what it returns."""
    from vtkmodules.vtkCommonCore import vtkLogger, vtkObject

    vtkObject.GlobalWarningDisplayOff()
    vtkLogger.SetStderrVerbosity(vtkLogger.VERBOSITY_OFF)
