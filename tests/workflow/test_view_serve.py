"""Results in a browser: who gets them, and that slider, boxes and clicks show what they should."""

import io
import re
import signal
import socket
import struct
import subprocess
import sys
import urllib.error
import urllib.request
from contextlib import contextmanager

import numpy as np
import pytest
from browser import browser
from made_cases import run_case, write_case
from PIL import Image

from mpi4py import MPI

from microlith.workflow.cli import main
from microlith.workflow.results.read import load_results


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return run_case(write_case(tmp_path_factory.mktemp("served")), comm=MPI.COMM_SELF)


@contextmanager
def served(results):
    """Address of the server, without and with its token."""
    command = [sys.executable, "-m", "microlith.workflow.cli", "view", str(results), "--serve"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        lines = []
        while not lines or "Ctrl-C" not in lines[-1]:
            lines.append(process.stderr.readline())
            if not lines[-1]:
                pytest.skip(f"nothing can be rendered here: {''.join(lines)}") if "EGL" in "".join(lines) else None
                raise AssertionError("".join(lines))
        address = re.search(r"(http://127\.0\.0\.1:(\d+)/)\?token=([\w-]{32})", "".join(lines))
        assert f"ssh -L {address[2]}:127.0.0.1:{address[2]} " in "".join(lines)
        yield address[1], address[3]
    finally:
        process.send_signal(signal.SIGINT)
        assert "Traceback" not in process.communicate(timeout=60)[1]


def get(url):
    with urllib.request.urlopen(url, timeout=60) as answer:
        return answer.read()


def test_slider_boxes_and_a_click(results, tmp_path):
    """In Chromium: pictures follow slider and boxes, also between snapshots; a click gives the curve of a point."""
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import WebDriverWait

    with served(results) as (address, token), browser(tmp_path) as chrome:

        def change(element, value):
            before = picture().get_attribute("data-number")
            chrome.execute_script(
                "const [e, v] = arguments; if (['checkbox', 'submit'].includes(e.type)) e.click(); else"
                " { e.value = v; e.dispatchEvent(new Event('input')) }",
                element,
                value,
            )
            WebDriverWait(chrome, 60).until(lambda _: picture().get_attribute("data-number") != before)
            return seen()

        def seen():
            chrome.execute_script("arguments[0].scrollIntoView({block: 'start'})", picture())
            return np.asarray(Image.open(io.BytesIO(picture().screenshot_as_png)).convert("RGB")).astype(int)

        def picture():
            return chrome.find_element(By.ID, "picture")

        chrome.get(f"{address}?token={token}")
        WebDriverWait(chrome, 60).until(lambda _: picture().get_attribute("data-number"))
        slider = chrome.find_element(By.ID, "time")
        first, between, last = (change(slider, value) for value in ("0", "1.5", "2"))
        assert "s" in chrome.find_element(By.ID, "said").text
        shown = [np.abs(a - b).sum() for a, b in ((first, between), (between, last), (first, last))]
        assert min(shown) > 0
        box = chrome.find_element(By.CSS_SELECTOR, "input[data-phase]:checked")
        hidden = change(box, None)
        assert np.abs(hidden - last).sum() > 0
        change(box, None)
        chrome.execute_script("arguments[0].scrollIntoView({block: 'center'})", picture())
        picture().click()
        WebDriverWait(chrome, 60).until(lambda _: chrome.find_elements(By.CSS_SELECTOR, "#curve *"))
        assert chrome.find_elements(By.CSS_SELECTOR, "#picked .curve"), chrome.find_element(By.ID, "curve").text
        assert chrome.find_element(By.ID, "status").text == ""
        # Loaded again, and by the button, all is as at first: what the controls say is what is seen
        at_first = change(chrome.find_element(By.ID, "again"), None)
        change(box, None)
        change(slider, "0")
        chrome.get(f"{address}?token={token}")
        WebDriverWait(chrome, 60).until(lambda _: picture().get_attribute("data-number"))
        assert np.array_equal(seen(), at_first)
        assert chrome.find_element(By.ID, "said").text == "20 s"
        assert not chrome.get_log("browser")
        # What a picture between two snapshots shows, and the curve of a point, against the file
        found = get(f"{address}point?token={token}&x=0.45&y=0.5").decode()
        loaded = load_results(results)
        values = np.array([loaded.concentration(step) for step in range(len(loaded.times))])
        told = np.array([float(text) for text in re.search(r'"y": \[([^]]*)\]', found)[1].split(",")])
        assert np.abs(values - told[:, None]).max(axis=0).min() < 1e-9 * values.max()
        for wrong in (address, f"{address}?token=x", f"{address}picture?time=1"):
            with pytest.raises(urllib.error.HTTPError, match="403"):
                get(wrong)
        with pytest.raises(urllib.error.HTTPError, match="404"):
            get(f"{address}etc/passwd?token={token}")
        with pytest.raises(urllib.error.HTTPError, match="400"):
            get(f"{address}picture?token={token}&time=nan")


def test_browsers_that_go_away_leave_no_traceback(results):
    with served(results) as (address, token):
        port = int(address.rsplit(":", 1)[1].strip("/"))
        for _ in range(3):
            with socket.create_connection(("127.0.0.1", port)) as gone:
                gone.sendall(f"GET /picture?token={token} HTTP/1.1\r\n\r\n".encode())
                gone.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # reset, not closed
        assert get(f"{address}picture?token={token}").startswith(b"\x89PNG")


def test_bad_requests_are_told(results, tmp_path, capsys):
    for options, message in (
        (["--serve", "--port", "99999"], "--port 99999: expected a number from 0"),
        (["--serve", "--screenshot", str(tmp_path / "a.png")], "--serve shows results in a browser"),
        (["--serve", "--host", "203.0.113.1"], "--host 203.0.113.1 --port 0: can't be listened on"),
    ):
        assert main(["-q", "view", str(results), *options]) == 2
        assert message in capsys.readouterr().err
