"""Mean concentrations of regions against time, and their errors, as files."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from microlith.workflow.results.csv_file import write_csv


def write_curves(path: Path, title: str, times: ArrayLike, curves: Mapping[str, ArrayLike]) -> None:
    """Write curves.csv: three comment lines (title, version, units), a header, and one row per time.

    Args:
        path: The file; it appears whole or not at all.
        title: Of the case.
        times: (n,) in s.
        curves: Region name -> (n,) mean concentration in mol/m^3.

    Raises:
        InputError: The file can't be written.
    """
    _write(path, title, "mean concentration of a region in mol/m^3", times, curves)


def write_errors(
    path: Path,
    title: str,
    times: ArrayLike,
    errors: Mapping[str, ArrayLike],
    errors_are: str = "in time and space",
    holds: Mapping[str, float] | None = None,
) -> None:
    """Write errors.csv, of the same form and with the same times and columns as curves.csv.

    Args:
        path: The file; it appears whole or not at all.
        title: Of the case.
        times: (n,) in s.
        errors: Region name -> (n,) estimated error of its curve in mol/m^3.
        errors_are: What they are, for the comment.
        holds: Region name -> largest mean that it holds, mol/m^3, for the comment.

    Raises:
        InputError: The file can't be written.
    """
    what = f"estimated error of the curve of a region, {errors_are}, in mol/m^3"
    if holds:
        what += "; at most a region holds: " + ", ".join(
            f"{' '.join(name.split())} {value:.6g}" for name, value in holds.items()
        )
    _write(path, title, what, times, errors)


def _write(path: Path, title: str, what: str, times: ArrayLike, columns: Mapping[str, ArrayLike]) -> None:
    arrays = [np.asarray(column, dtype=np.float64) for column in (times, *columns.values())]
    rows = ([f"{value:.12g}" for value in row] for row in np.stack(arrays, axis=1))
    write_csv(path, title, f"time_s in s; every other column: {what}", ["time_s", *columns], rows)
