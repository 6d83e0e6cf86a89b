"""What all tests share: the records that `make verify` turns into docs/verification.md."""

import json
import logging
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mpi4py import MPI

from microlith.meshing.distribution.compilation import share_compiled_forms


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--verification FILE` collects what the verification tests measure."""
    parser.addoption("--verification", metavar="FILE", help="append what verification tests measure, as lines of JSON")


def pytest_configure(config: pytest.Config) -> None:
    """`-m verification` selects the tests that use the fixture `verified`."""
    config.addinivalue_line(
        "markers", "verification: measures a physical term against an exact or independent solution"
    )
    # A shell starts what runs in its background with SIGINT ignored, and all that is started from there inherits that.
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    share_compiled_forms()  # several tests at a time compile the same forms


@pytest.hookimpl(tryfirst=True)  # before pytest deselects by markers
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "verified" in getattr(item, "fixturenames", ()):
            item.add_marker("verification")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Takes down how each verification test ended: one that fails is to be seen on the page, too."""
    outcome = yield
    report = outcome.get_result()  # type: ignore[attr-defined]
    if item.get_closest_marker("verification") and (report.when == "call" or report.outcome != "passed"):
        _note(item.config, {"test": item.nodeid, "outcome": report.outcome})


failed_here = pytest.StashKey[bool]()
GRACE = 10.0  # s that a rank on which a test failed waits for the others to end, too


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    session.config.stash[failed_here] = exitstatus != 0


def pytest_unconfigure(config: pytest.Config) -> None:
    """Ends all ranks when a test failed on this one alone: the others may wait for it in a library for ever.

    Ranks without a failure come to the barrier, too: otherwise it would be met by what PETSc has them do when they end.
    """
    if MPI.COMM_WORLD.size == 1 or failed_here not in config.stash:
        return
    ended, until = MPI.COMM_WORLD.Ibarrier(), time.monotonic() + GRACE
    while not ended.Test():
        if config.stash[failed_here] and time.monotonic() > until:
            sys.stdout.flush()
            MPI.COMM_WORLD.Abort(1)
        time.sleep(0.1)


def _note(config: pytest.Config, entry: dict[str, Any]) -> None:
    file = config.getoption("--verification")
    if file is not None and MPI.COMM_WORLD.rank == 0:
        with Path(file).open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(entry) + "\n")


@pytest.fixture(autouse=True)
def _log_as_before() -> Iterator[None]:
    """Resets level and handlers of the log before and after each test.

    After it, since commands set both; before it, since fixtures of a whole file, which run first, may have called one.
    """
    log = logging.getLogger("microlith")
    log.setLevel(logging.NOTSET)
    log.handlers[:] = []
    yield
    log.setLevel(logging.NOTSET)
    log.handlers[:] = []


@pytest.fixture(autouse=True)
def _no_leftovers_of_mpirun() -> None:
    """Removes folders of mpiruns that tests have killed.

    They are named by the process's number, and an mpirun that gets this number again, some 30,000 processes later, ends
    with "prte_session_dir failed: Exists".
    """
    if MPI.COMM_WORLD.size > 1:
        return
    for folder in Path(tempfile.gettempdir()).glob(f"prterun.{os.uname().nodename}.*.{os.getuid()}"):
        process = folder.name.split(".")[-2]
        if process.isdigit() and not Path("/proc", process).exists():
            shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def verified(request: pytest.FixtureRequest) -> Callable[..., None]:
    """Takes down what a verification test measured; to be called before its assertions, on all ranks.

    Keywords: term (physical term), against (the exact solution or independent reference, with its source), dim,
    cells ("triangles", "squares", "tetrahedra", "cubes"), degree, error (largest, relative to the concentration that
    drives the problem unless `of` says what else), of, order_space, order_time (observed orders), balance (lithium that
    is unaccounted for, relative to what was exchanged). None where a test does not measure it.
    """

    def record(
        *,
        term: str,
        against: str,
        dim: int,
        cells: str,
        degree: int,
        error: float,
        of: str = "concentration",
        order_space: float | None = None,
        order_time: float | None = None,
        balance: float | None = None,
    ) -> None:
        entry: dict[str, Any] = {key: value for key, value in locals().items() if key != "request"}
        for key in ("error", "order_space", "order_time", "balance"):  # of NumPy, too
            entry[key] = None if entry[key] is None else float(entry[key])
        _note(request.config, {"test": request.node.nodeid, **entry})

    return record
