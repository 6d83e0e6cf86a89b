"""Mean concentrations of regions against time, as a file."""

import csv
import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from microlith.workflow.outputs import write_text

COMMENT_LINES = 3  # above the header: np.genfromtxt(..., names=True, skip_header=COMMENT_LINES)


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
    from importlib.metadata import version

    text = io.StringIO()
    text.write(f"# {' '.join(title.split())}\n")
    text.write(f"# microlith {version('microlith')}\n")
    text.write("# time_s in s; every other column: mean concentration of a region in mol/m^3\n")
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["time_s", *curves])
    columns = [np.asarray(column, dtype=np.float64) for column in (times, *curves.values())]
    for row in np.stack(columns, axis=1):
        rows.writerow([f"{value:.12g}" for value in row])
    write_text(path, text.getvalue())
