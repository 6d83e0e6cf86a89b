"""Makes measured.csv: the closed form of the slab with another diffusivity than in case.toml, and random numbers.

The seed is 0 because that is the first, not because of what comes out: see README.md.
"""

from pathlib import Path

import numpy as np

DIFFUSIVITY = 2.3e-14  # m^2/s, which `microlith fit` is to find
LENGTH = 1e-6  # m
CONCENTRATION = 1000.0  # mol/m^3, of the source
DEVIATION = 15.0  # mol/m^3
SEED = 0
TIMES = np.array([1, 2, 4, 7, 10, 14, 20, 27, 35, 45, 60, 80])  # s
REGIONS = {"slab": (0.0, 1e-6), "far": (0.8e-6, 1e-6)}  # m from the source on
MISSING = (10, "far")  # a value left out: measured curves have gaps

HEAD = f"""\
# Not measured, but made by make_measured.py to try `microlith fit` with: the closed form of the slab with
# D = {DIFFUSIVITY:g} m^2/s, and random numbers with a standard deviation of {DEVIATION:g} mol/m^3 (seed {SEED}).
# Means over regions in mol/m^3, and their standard deviations.
"""


def mean(low: float, high: float) -> np.ndarray:
    """Mean concentration from `low` to `high` at the times (Crank 1975, section 4.3.2, integrated over x)."""
    m = (np.arange(4000) + 0.5) * np.pi / LENGTH
    share = 2 * (np.cos(m * low) - np.cos(m * high)) / (LENGTH * m**2 * (high - low))
    return CONCENTRATION * (1 - np.exp(-DIFFUSIVITY * TIMES[:, None] * m**2) @ share)


def cell(time: int, name: str, value: float) -> str:
    return "" if (time, name) == MISSING else f"{value:.1f}"


rng = np.random.default_rng(SEED)
columns = {name: mean(*span) + rng.normal(0, DEVIATION, len(TIMES)) for name, span in REGIONS.items()}
lines = [",".join(["time_s", *columns, *(f"{name} sd" for name in columns)])]
for i, time in enumerate(TIMES):
    cells = [cell(time, name, values[i]) for name, values in columns.items()]
    lines.append(",".join([str(time), *cells, *[f"{DEVIATION:g}"] * len(columns)]))
Path(__file__).with_name("measured.csv").write_text(HEAD + "\n".join(lines) + "\n", encoding="utf-8")
