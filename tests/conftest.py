"""What all tests share: the records that `make verify` turns into docs/verification.md."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mpi4py import MPI


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--verification FILE` collects what the verification tests measure."""
    parser.addoption("--verification", metavar="FILE", help="append what verification tests measure, as lines of JSON")


@pytest.fixture
def verified(request: pytest.FixtureRequest) -> Callable[..., None]:
    """Takes down what a verification test measured; to be called before its assertions, on all ranks.

    Keywords: term (physical term), against (the exact solution or independent reference, with its source), dim,
    cells ("triangles", "squares", "tetrahedra", "cubes"), degree, error (largest, relative to the concentration that
    drives the problem unless `of` says what else), of, order_space, order_time (observed orders), balance (lithium that
    is unaccounted for, relative to what was exchanged). None where a test does not measure it.
    """
    file = request.config.getoption("--verification")

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
        entry: dict[str, Any] = {key: value for key, value in locals().items() if key not in ("file", "request")}
        if file is not None and MPI.COMM_WORLD.rank == 0:
            with Path(file).open("a", encoding="utf-8") as lines:
                lines.write(json.dumps({"test": request.node.nodeid, **entry}) + "\n")

    return record
