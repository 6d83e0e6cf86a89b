"""Fluxes, spreads and profiles of a run as files."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from microlith.imaging.axes import AXES
from microlith.imaging.typing import Array
from microlith.workflow.results.csv_file import write_csv

if TYPE_CHECKING:
    from microlith.solver.flows.curves import FluxCurves
    from microlith.solver.regions.profiles import Profile
    from microlith.solver.regions.spread import Spread

STORED = "stored"


def write_fluxes(path: Path, title: str, fluxes: "FluxCurves", dim: int) -> None:
    """Write fluxes.csv: the fluxes and what came through, against the times of the curves.

    Args:
        path: The file; it appears whole or not at all.
        title: Of the case.
        fluxes: Of the run.
        dim: Of the space.

    Raises:
        InputError: The file can't be written.
    """
    per = "" if dim == 3 else " per metre of depth"
    rate, amount = ("mol/s", "mol") if dim == 3 else ("mol/(m s)", "mol/m")
    what = (
        f"time_s in s; flux: into the solved phases (A to B: from A into B) in {rate}{per}, empty at time 0; "
        f"cumulated: from time 0, in {amount}{per}; stored: change of all that is stored, in {amount}{per}, the sum of "
        f"cumulated {', '.join(fluxes.total) or 'nothing'}"
    )
    header, columns = ["time_s"], [fluxes.times]
    for name, rates in fluxes.rates.items():
        header += [f"{name} flux", f"{name} cumulated"]
        columns += [rates, fluxes.cumulated[name]]
    write_csv(path, title, what, [*header, STORED], _rows([*columns, fluxes.stored]))


def write_spread(path: Path, title: str, times: Array, spreads: Mapping[str, "Spread"]) -> None:
    """Write spread.csv: least, largest and quantiles of each region against time.

    Args:
        path: The file; it appears whole or not at all.
        title: Of the case.
        times: (n,) in s.
        spreads: Region name -> its spread at these times.

    Raises:
        InputError: The file can't be written.
    """
    what = (
        "time_s in s; every other column: concentration in a region in mol/m^3, the least, the one that 5 % or 95 % of "
        "the region's volume is below, and the largest"
    )
    header, columns = ["time_s"], [times]
    for name, spread in spreads.items():
        header += [f"{name} least", f"{name} 5 %", f"{name} 95 %", f"{name} largest"]
        columns += [spread.least, *spread.quantiles, spread.largest]
    write_csv(path, title, what, header, _rows(columns))


def write_profiles(
    path: Path, title: str, times: Sequence[float], profiles: Sequence["Profile"], names: Sequence[str], dim: int
) -> None:
    """Write profile.csv: means over slabs along each axis, at the snapshots.

    Args:
        path: The file; it appears whole or not at all.
        title: Of the case.
        times: Of the snapshots, s.
        profiles: Along each axis.
        names: Of all phases.
        dim: Of the space.

    Raises:
        InputError: The file can't be written.
    """
    measure, unit = ("area", "um^2") if dim == 2 else ("volume", "um^3")
    what = (
        "time_s in s; from_um and to_um: ends of a slab along the axis, in um; mean: concentration of a phase in the "
        f"slab in mol/m^3, empty where there is none of it; {measure}: of the phase in the slab, in {unit}"
    )
    phases = profiles[0].phases
    header = ["time_s", "axis", "from_um", "to_um"]
    for phase in phases:
        header += [f"{names[phase]} mean", f"{names[phase]} {measure}"]
    rows = []
    for number, time in enumerate(times):
        for profile in profiles:
            edges = profile.edges * 1e6
            for slab in range(len(edges) - 1):
                row = [_text(time), AXES[profile.axis], _text(edges[slab]), _text(edges[slab + 1])]
                for i in range(len(phases)):
                    row += [_text(profile.means[i, number, slab]), _text(profile.volumes[i, slab] * 1e6**dim)]
                rows.append(row)
    write_csv(path, title, what, header, rows)


def _rows(columns: Sequence[Array]) -> Iterable[list[str]]:
    return ([_text(value) for value in row] for row in np.stack(columns, axis=1))


def _text(value: float) -> str:
    return "" if np.isnan(value) else f"{value:.12g}"
