"""What a terminal shows of a long command, and what stays on it."""

import logging
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest
from made_cases import MESH, run_case, write_case
from rich.table import Column, Table

from mpi4py import MPI

from microlith.imaging.errors import InputError
from microlith.workflow.console import log_lines
from microlith.workflow.console.log_lines import EVERY, LogLines, span
from microlith.workflow.console.terminal import Stages, log_to_stderr, table_console

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
from microlith.workflow.console.terminal import Stages, log_to_stderr, table_console
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


def test_tables_in_files_have_room_for_long_names(capsys, monkeypatch):
    """Names of 73 characters; as wide as one asks for else."""
    name = "particle_diameter_mean_by_volume." + 40 * "x"
    for columns, whole in ((None, True), ("60", False)):
        monkeypatch.delenv("COLUMNS", raising=False)
        if columns:
            monkeypatch.setenv("COLUMNS", columns)
        console = table_console()
        table = Table(Column("number", overflow="fold"), "value", "± standard error", "unit")
        table.add_row(name, "0.97677", "0.1", "µm")
        console.print(table)
        assert (name in capsys.readouterr().out) == whole


def logged(*command: str, cwd: Path, every: str | None) -> list[str]:
    """Lines on standard error of a command whose standard error is a file."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("OMPI_", "PMIX", "PMI_")) and k != EVERY}
    environment |= {} if every is None else {EVERY: every}
    done = subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=environment, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stderr.splitlines()


STAGES = """
import logging, time
from microlith.workflow.console.terminal import Stages, log_to_stderr, table_console
log_to_stderr(logging.INFO)
with Stages().stage("integration", "integrating") as tell:
    for done in range(1, 9):
        time.sleep(0.1)
        tell(f"{done} solves", done / 10)
logging.getLogger("microlith").setLevel(logging.ERROR)
with Stages().stage("space", "silent"):
    time.sleep(0.5)
logging.getLogger("microlith").setLevel(logging.INFO)
with Stages().stage("mesh", "meshing") as tell:
    tell("cutting")
    logging.getLogger("microlith").setLevel(logging.ERROR)  # a stage that does what is not to be told of
    time.sleep(0.5)
"""


def test_a_log_gets_a_line_now_and_then_of_long_stages(tmp_path):
    """With the share done and the time left where they are known, and as seldom as asked for; none of short stages."""
    lines = logged(sys.executable, "-c", STAGES, cwd=tmp_path, every="0.3")
    assert 1 <= sum(line.startswith("integrating: ") for line in lines) <= 3, lines
    assert any(re.fullmatch(r"integrating: \d0 %, about \d s left \(\d solves\)", line) for line in lines), lines
    assert any(re.fullmatch(r"meshing: \d s so far \(cutting\)", line) for line in lines), lines
    assert not any(line.startswith("silent") for line in lines), lines
    assert logged(sys.executable, "-c", STAGES, cwd=tmp_path, every=None) == []


def test_the_time_left_follows_from_the_share_done(monkeypatch):
    clock = [100.0]
    monkeypatch.setattr(log_lines.time, "monotonic", lambda: clock[0])
    lines = LogLines("integrating", 60.0)
    clock[0] += 60
    assert lines.line() == "integrating: 1:00 min so far"
    lines.tell("1 solve", 0.0)
    assert lines.line() == "integrating: 0 %, 1:00 min so far (1 solve)"
    clock[0] += 90
    lines.tell("9 solves", 0.45)
    assert lines.line() == "integrating: 45 %, about 1:50 min left (9 solves)"
    lines.tell("next part", 0.1)  # whose time has nothing to do with that of the part before
    clock[0] += 10
    lines.tell("next part", 0.3)
    assert lines.line() == "integrating: 30 %, about 35 s left (next part)"
    lines.tell("more solves than expected")
    assert lines.line() == "integrating: 2:40 min so far (more solves than expected)"


def stages_told(lines: list[str]) -> set[str]:
    """What lines of a log say of how far it is."""
    return {line.split(":")[0] for line in lines if re.search(r"^[a-z ]+: .*(so far|left)( \(.*\))?$", line)}


def test_a_run_in_a_log_says_how_far_it_is(tmp_path, monkeypatch, capsys):
    # Of degree 2, so that its error in space takes another solve, and longer than the interval
    path = write_case(tmp_path, mesh=MESH.replace("60 nm", "80 nm"))
    monkeypatch.setenv(EVERY, "0.002")
    logger = logging.getLogger("microlith")
    handlers, level = logger.handlers[:], logger.level
    log_to_stderr(logging.INFO)
    try:
        run_case(path, comm=MPI.COMM_SELF)
    finally:
        logger.handlers[:] = handlers
        logger.setLevel(level)
    lines = capsys.readouterr().err.splitlines()
    assert {"meshing", "estimating the error in space", "writing results"} <= stages_told(lines), lines
    assert any(re.match(r"integrating: \d+ %", line) for line in lines)
    assert not any("\x1b" in line or "\r" in line for line in lines)


@pytest.mark.parametrize(("rank", "lines"), [("0", True), ("1", False)])
def test_of_several_ranks_the_first_says_how_far_it_is(tmp_path, rank, lines):
    code = f"import os; os.environ['OMPI_COMM_WORLD_RANK'] = '{rank}'\n" + STAGES.partition('logging.getLogger("')[0]
    told = logged(sys.executable, "-c", code, cwd=tmp_path, every="0.3")
    assert stages_told(told) == ({"integrating"} if lines else set())


@pytest.mark.parametrize("text", ["soon", "0", "-1", "nan"])
def test_an_interval_that_is_none_is_refused(monkeypatch, text):
    monkeypatch.setenv(EVERY, text)
    with pytest.raises(InputError, match=f"{EVERY} in the environment: expected seconds above 0"):
        Stages()
