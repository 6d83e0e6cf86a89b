"""Results in a browser: this process draws, and hands pictures and curves to whoever has the token.

Drawing is done here whatever the size of the results, so that only pictures travel, through an ssh tunnel for instance.
Requests come in on threads of their own; VTK is only ever called by the first thread, one request after the other.
"""

import getpass
import html
import io
import json
import logging
import queue
import secrets
import socket
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np

from microlith.imaging.errors import InputError
from microlith.workflow.rendering.projection import VIEW
from microlith.workflow.viewer.scene import CUT, Show

log = logging.getLogger(__name__)

LOOPBACK = "127.0.0.1"
SIZE = (1000, 750)  # pixels of the pictures
TURN = 0.4  # degrees per pixel
TOKEN_BYTES = 24
LONGEST_WAIT = 60.0  # s, of a request for the drawing thread
Job = tuple[Callable[[], tuple[str, bytes]], "Future[tuple[str, bytes]]"]


class Server:
    """Answers for what is on a plotter."""

    def __init__(self, show: Show, host: str, port: int) -> None:
        """Open a port.

        Args:
            show: What is shown.
            host: Interface to listen on.
            port: 0 takes a free one.

        Raises:
            InputError: The port can't be opened.
        """
        self.show = show
        self.token = secrets.token_urlsafe(TOKEN_BYTES)
        self._page = page(show).encode()  # with the controls as at first, whatever is asked for later
        self._jobs: queue.Queue[Job] = queue.Queue()
        self._stopped = False
        try:
            self._http = _Quiet((host, port), _handler_of(self))
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or error
            raise InputError(f"--host {host} --port {port}: can't be listened on ({reason}); choose another") from error
        self.host, self.port = host, int(self._http.server_address[1])

    @property
    def url(self) -> str:
        """What to open in a browser."""
        host = LOOPBACK if self.host in ("", "0.0.0.0", "::") else self.host
        return f"http://{host}:{self.port}/?token={self.token}"

    def run(self) -> None:
        """Answer until somebody interrupts or stops it; on the first thread, which draws."""
        threading.Thread(target=self._http.serve_forever, daemon=True).start()
        try:
            while not self._stopped:
                try:
                    work, result = self._jobs.get(timeout=0.2)
                except queue.Empty:
                    continue
                try:
                    result.set_result(work())
                except Exception as error:
                    result.set_exception(error)
        finally:
            self._http.shutdown()
            self._http.server_close()

    def stop(self) -> None:
        """End `run`, from any thread."""
        self._stopped = True

    def answer(self, path: str, asked: Mapping[str, str]) -> tuple[str, bytes]:
        """Type and content of an answer, made on the drawing thread.

        Raises:
            KeyError: There is nothing of that name.
            ValueError: What was asked for makes no sense.
        """
        works: dict[str, Callable[[], tuple[str, bytes]]] = {
            "/": lambda: ("text/html; charset=utf-8", self._page),
            "/picture": lambda: ("image/png", drawn(self.show, asked)),
            "/point": lambda: ("application/json", json.dumps(point_curve(self.show, asked)).encode()),
        }
        result: Future[tuple[str, bytes]] = Future()
        self._jobs.put((works[path], result))
        return result.result(LONGEST_WAIT)


def serve(show: Show, host: str, port: int) -> None:
    """Show in browsers until interrupted, and say how to get there.

    Raises:
        InputError: The port can't be opened.
    """
    server = Server(show, host, port)
    log.info("open in a browser: %s", server.url)
    if host in (LOOPBACK, "localhost", "::1"):
        there = f"{getpass.getuser()}@{socket.getfqdn()}"
        log.info("from another machine, first: ssh -L %d:%s:%d %s", server.port, LOOPBACK, server.port, there)
    else:
        log.warning("%s is open to the network, without encryption: whoever has the address with its token sees", host)
    log.info("end with Ctrl-C")
    server.run()


class _Quiet(ThreadingHTTPServer):
    """Writes no traceback where a browser goes away before it has its answer."""

    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        log.debug("a request ended early", exc_info=True)


def _handler_of(server: Server) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = 30

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            asked = {key: values[-1] for key, values in parse_qs(parts.query).items()}
            if not secrets.compare_digest(asked.get("token", "").encode(), server.token.encode()):
                self._send(403, "text/plain", b"The address lacks the token that microlith view has printed.")
                return
            try:
                self._send(200, *server.answer(parts.path, asked))
            except KeyError:
                self._send(404, "text/plain", b"There is nothing here.")
            except ValueError as error:
                self._send(400, "text/plain; charset=utf-8", str(error).encode())
            except TimeoutError:
                self._send(503, "text/plain", b"Other pictures are being drawn; try again.")

        def _send(self, status: int, kind: str, content: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("Cache-Control", "no-store")
            self.send_header("Referrer-Policy", "no-referrer")
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *arguments: Any) -> None:
            """Nothing: its lines would show the token."""

    return Handler


def page(show: Show) -> str:
    """The page with its controls."""
    style = (files("microlith.workflow.report") / "page.css").read_text(encoding="utf-8")
    chart = (files("microlith.workflow.report") / "chart.js").read_text(encoding="utf-8")
    script = (files("microlith.workflow.viewer") / "serve.js").read_text(encoding="utf-8")
    about = json.dumps({"times": show.results.times.tolist(), "step": show.step}).replace("<", "\\u003c")
    boxes = "".join(
        f'<label><input type="checkbox" data-phase="{phase}"{" checked" if show.shown[phase] else ""}> '
        f"{html.escape(show.results.names[phase])}</label> "
        for phase in show.phases
    )
    cut = ""
    if show.results.dim == 3:
        options = "".join(
            f'<option value="{axis}"{" selected" if axis == "z" else ""}>{axis}</option>' for axis in "xyz"
        )
        cut = (
            f'<label>cut across <select id="axis"><option value="">nothing</option>{options}</select></label> '
            '<input type="range" id="depth" min="0" max="1" step="0.01" value="0.5">'
        )
    title = html.escape(show.results.title or "microlith")
    return f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><link rel="icon" href="data:,">
<title>{title}</title><style>{style}
#status:empty {{ display: none }}
#picture {{ width: 100%; border: 1px solid #ccc; cursor: grab }}
input[type=range] {{ width: 20rem }}</style></head>
<body><h1>{title}</h1>
<p><label>time <input type="range" id="time" min="0" step="any"></label> <b id="said"></b> {cut}
<button id="again">as at first</button></p><p>{boxes}</p>
<img id="picture" alt="the results" width="{SIZE[0]}" height="{SIZE[1]}">
<p class="quiet">Drag to {"turn" if show.results.dim == 3 else "move"}, wheel to zoom, click to see the concentration at
a point against time. Between snapshots the concentration is interpolated.</p>
<p id="status" class="warning" style="min-height: 1em"></p><div id="curve"></div>
<script type="application/json" id="about">{about}</script>
<script>{chart}</script><script>{script}</script></body></html>
"""


# --- on the drawing thread ---


def drawn(show: Show, asked: Mapping[str, str]) -> bytes:
    """Change what is shown as was asked, and draw it."""
    from PIL import Image

    if "time" in asked and (time := _number(asked, "time")) != show.time:
        show.go_to_time(time)
    for key, value in asked.items():
        if key.startswith("phase"):
            phase = int(key.removeprefix("phase"))
            if phase not in show.shown:
                raise ValueError(f"there is no phase {phase}")
            if show.shown[phase] != (value == "1"):
                show.switch(phase, value == "1")
    if "cut" in asked and show.results.dim == 3:
        _cut(show, asked)
    camera = show.plotter.camera
    if "turn" in asked and show.results.dim == 3:
        across, down = _pair(asked, "turn")
        camera.azimuth -= TURN * across
        camera.elevation += TURN * down
        camera.OrthogonalizeViewUp()
        camera.azimuth, camera.elevation = 0.0, 0.0
        show.plotter.reset_camera_clipping_range()
    if "move" in asked and show.results.dim == 2:
        columns, rows = show.plotter.window_size
        width = 2.0 * camera.parallel_scale * columns / rows
        shift = -width * np.array([*_pair(asked, "move"), 0.0])  # y goes downwards in both
        camera.focal_point = tuple(np.array(camera.focal_point) + shift)
        camera.position = tuple(np.array(camera.position) + shift)
    if "zoom" in asked:
        camera.zoom(min(max(_number(asked, "zoom"), 0.1), 10.0))
    if "home" in asked:
        show.look_along(VIEW if show.results.dim == 3 else (0.0, 0.0, -1.0))
    written = io.BytesIO()
    Image.fromarray(show.picture()).save(written, format="PNG", compress_level=1)
    return written.getvalue()


def _cut(show: Show, asked: Mapping[str, str]) -> None:
    axis = asked["cut"]
    if axis not in ("x", "y", "z"):
        if show.plane is not None:
            show.uncut()
        return
    number = "xyz".index(axis)
    normal = CUT if axis == "z" else tuple(-1.0 if k == number else 0.0 for k in range(3))
    low, high = show.bounds[0][number], show.bounds[1][number]
    origin = np.array(show.center)
    origin[number] = low + min(max(_number(asked, "depth"), 0.0), 1.0) * (high - low)
    if show.plane != (normal, tuple(origin)):
        show.cut(normal, tuple(origin))


def point_curve(show: Show, asked: Mapping[str, str]) -> dict[str, Any] | None:
    """The concentration at what is seen at a place of the picture, as a chart; None where there is nothing."""
    from vtkmodules.vtkRenderingCore import vtkCellPicker

    columns, rows = show.plotter.window_size
    picker = vtkCellPicker()
    picker.SetTolerance(1e-4)
    x, y = _number(asked, "x") * columns, (1.0 - _number(asked, "y")) * rows
    if not picker.Pick(x, y, 0.0, show.plotter.renderer):
        return None
    at = np.array(picker.GetPickPosition())
    # Phases share the points between them where the concentration does not jump: the phase clicked on is told
    clicked = [phase for phase in show.solved if show.plotter.actors.get(f"cells {phase}") is picker.GetActor()]
    solved = np.flatnonzero(
        np.isin(show.results.phase, clicked or [phase for phase in show.solved if show.shown[phase]])
    )
    rows_there = np.unique(show.results.cells[solved])
    if not len(rows_there):
        return None
    away = np.linalg.norm(show.results.points[rows_there] - at, axis=1)
    nearest = int(rows_there[int(away.argmin())])
    cell = int(solved[(show.results.cells[solved] == nearest).any(axis=1).argmax()])
    times = show.results.times
    values = [float(show.results.concentration(step)[nearest]) for step in range(len(times))]
    where = ", ".join(f"{c:.4g}" for c in show.results.points[nearest][: show.results.dim])
    name = show.results.names[int(show.results.phase[cell])]
    return {
        "title": f"{name} at ({where}) µm, at the snapshots",
        "x_label": "time (s)",
        "x_name": "time",
        "y_label": "concentration (mol/m³)",
        "log": False,
        "shown": 1,
        "series": [{"name": name, "x": times.tolist(), "y": values}],
    }


def _number(asked: Mapping[str, str], key: str) -> float:
    value = float(asked.get(key, "nan"))
    if not np.isfinite(value):
        raise ValueError(f"{key}: expected a number")
    return value


def _pair(asked: Mapping[str, str], key: str) -> tuple[float, float]:
    numbers = tuple(float(number) for number in asked[key].split(","))
    if len(numbers) != 2 or not np.isfinite(numbers).all():
        raise ValueError(f"{key}: expected two numbers")
    return numbers
