"""Mean concentrations of regions against time: their file, and the times at which they reach a value."""

import csv
import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from microlith.workflow.outputs import write_text

Array = NDArray[np.float64]
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


def time_to_fraction(times: ArrayLike, curve: ArrayLike, target: float, initial: float | None = None) -> float | None:
    """Time at which a curve first reaches a value.

    Between two of the times it follows the monotone cubic (Fritsch and Carlson 1980) through the curve over the
    logarithm of time, in which diffusion curves are smooth; between zero and the first positive time, a straight line.

    Args:
        times: (n,) increasing, s.
        curve: (n,) in any unit.
        target: In the unit of the curve, e.g. initial + 0.9 (source - initial) for t90.
        initial: Value at time zero, which tells from which side the target is reached; by default curve[0].

    Returns:
        The time in s, or None where the curve does not get there.
    """
    t, c = np.asarray(times, dtype=np.float64), np.asarray(curve, dtype=np.float64)
    if initial is not None and t[0] > 0.0:
        t, c = np.append(0.0, t), np.append(initial, c)
    start = c[0] if initial is None else initial
    if start == target:
        return float(t[0])
    # Rising to the target, or falling to it
    there = c >= target if start < target else c <= target
    if not there.any():
        return None
    i = int(np.argmax(there))
    if i == 0 or c[i] == target:
        return float(t[i])
    if t[i - 1] <= 0.0:
        return float(t[i - 1] + (t[i] - t[i - 1]) * (target - c[i - 1]) / (c[i] - c[i - 1]))
    from scipy.interpolate import PchipInterpolator
    from scipy.optimize import brentq

    near = slice(max(i - 3, int(np.argmax(t > 0.0))), i + 3)
    smooth = PchipInterpolator(np.log(t[near]), c[near])
    return float(np.exp(brentq(lambda s: float(smooth(s)) - target, np.log(t[i - 1]), np.log(t[i]))))
