"""What a terminal shows of a long command, and what stays on it."""

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest
from made_cases import MESH, write_case

from microlith.workflow.console.terminal import Stages, span

PRINTED = re.compile(r"\x1b\[([0-9;?]*)([A-Za-z])|(\r)|(\n)|([^\x1b\r\n]+)")


class Screen:
    """A terminal as far as moving lines need one."""

    def __init__(self) -> None:
        self.lines, self.row, self.column, self.seen = [""], 0, 0, []

    def feed(self, text: str) -> None:
        for number, letter, home, newline, words in PRINTED.findall(text):
            count = int(number) if number.isdigit() else 1
            if home:
                self.column = 0
            elif newline:
                self.row += 1
                self.lines += [""] * (self.row + 1 - len(self.lines))
            elif words:
                line = self.lines[self.row].ljust(self.column)
                self.lines[self.row] = line[: self.column] + words + line[self.column + len(words) :]
                self.column += len(words)
                self.seen.append(self.lines[self.row])
            elif letter == "A":
                self.row = max(0, self.row - count)
            elif letter == "K":
                self.lines[self.row] = "" if number == "2" else self.lines[self.row][: self.column]


def on_terminal(*command: str, cwd: Path) -> Screen:
    """Run a command whose standard error is a terminal."""
    ours, its = pty.openpty()
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("OMPI_", "PMIX", "PMI_"))}
    environment |= {"TERM": "xterm", "COLUMNS": "150"}
    screen, read = Screen(), b""
    with subprocess.Popen(command, stdout=its, stderr=its, cwd=cwd, env=environment) as process:
        os.close(its)
        while True:
            try:
                more = os.read(ours, 4096)
            except OSError:  # the last one has closed it
                break
            read += more
        process.wait()
    os.close(ours)
    screen.feed(read.decode())
    assert process.returncode == 0, screen.lines
    return screen


def test_nothing_of_the_moving_line_stays(tmp_path):
    regions = '[regions.left]\nbox = { x = ["0 nm", "300 nm"] }\n'  # of which not all is solved for, which is told
    write_case(tmp_path, mesh=MESH.replace("60 nm", "80 nm") + "degree = 1\n", regions=regions)
    screen = on_terminal(sys.executable, "-m", "microlith.workflow.cli", "run", "case.toml", "-o", "out", cwd=tmp_path)
    left = [line.strip() for line in screen.lines if line.strip()]
    assert any(line.startswith("region left: ") for line in left), left
    assert any(line.startswith("fields: out/") for line in left), left
    for line in left:
        assert not re.search(r"[⠀-⣿]|measuring|meshing|writing|integrating", line), left
    moving = "\n".join(screen.seen)
    assert re.search(r"[⠀-⣿] (reading the image|meshing.*|integrating.*|writing results.*) \d+ s", moving)
    assert re.search(r"writing results: picture of snapshot 3 of 3", moving)


SLOW = """
import logging, time
from microlith.workflow.console.terminal import Stages, log_to_stderr
log_to_stderr(logging.INFO)
with Stages().stage("work", "working") as tell:
    for done in range(20):
        tell(f"[{done}] of 20", done / 20)
        time.sleep(0.1)
        if done == 10:
            logging.getLogger("microlith").warning("half [bold] of it")
"""


def test_what_is_left_is_told_where_it_is_known(tmp_path):
    screen = on_terminal(sys.executable, "-c", SLOW, cwd=tmp_path)
    assert [line.strip() for line in screen.lines if line.strip()] == ["warning: half [bold] of it"]
    assert re.search(r"working: \[\d+\] of 20 \d s, about \d s left", "\n".join(screen.seen))


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.2, "0 s"), (59.4, "59 s"), (59.6, "1:00 min"), (3599, "59:59 min"), (3720, "1:02 h")]
)
def test_spans(seconds, text):
    assert span(seconds) == text


def test_quiet_where_there_is_no_terminal(capsys):
    stages = Stages()
    with stages.stage("work", "working") as tell:
        tell("half of it", 0.5)
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""
    assert stages.timings["work"] >= 0
