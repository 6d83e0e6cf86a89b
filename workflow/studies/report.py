"""The study of a case for a reader: tables, converge.csv, converge.json, and the sizes for a wanted error."""

import csv
import io
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from microlith.imaging.writing import write_text
from microlith.workflow.case.describe import interpreted
from microlith.workflow.console.terminal import table_console
from microlith.workflow.results.json_file import versions, write_summary
from microlith.workflow.studies.advice import advice_lines

if TYPE_CHECKING:
    from microlith.workflow.studies.segmentation_error import Segmentation
    from microlith.workflow.studies.study import RegionErrors, Study
    from microlith.workflow.studies.variant import Outcome

log = logging.getLogger(__name__)
ERRORS_ARE = "errors of the case as given, from a thousandth of the end on and before, of what each region holds"


# --- tables ---


def tell(study: "Study", show: bool) -> None:
    """Print the tables, or with `show` off tell the errors in the log, of which a silent command shows nothing."""
    lines = [] if study.advice is None else advice_lines(study.case, study.advice)
    if show:
        console = table_console()
        for heading, rows, title in _tables(study):
            from rich.table import Table

            table = Table(*heading, title=title, title_justify="left")
            for row in rows:
                table.add_row(*row)
            console.print(table)
        for line in lines:
            console.print(line, highlight=False, soft_wrap=True)
        return
    for name, found in study.regions.items():
        log.info("region %s: error in space %s, order %s", name, _peaks(found)[0], _order(study, found))
    for line in lines:
        log.info("%s", line)


def _tables(study: "Study") -> list[tuple[list[str], list[list[str]], str]]:
    tables = []
    runs = [_run_row(study, outcome) for outcome in _outcomes(study)]
    tables.append((["sizes ×", "degree", "tolerance", "cells", "unknowns", "s"], runs, "runs"))
    if len(study.levels) > 1:
        heading = ["region", "order", "in space", "before", "in time", "checked"]
        heading += ["degree + 1"] if study.higher is not None else []
        rows = [_region_row(study, name, found) for name, found in study.regions.items()]
        tables.append((heading, rows, ERRORS_ARE))
    if study.segmentation is not None:
        found = study.segmentation
        title = (
            f"largest change of each curve, from a thousandth of the end on, with {found.what} moved: "
            f"{found.ways[0]}, {found.ways[1]}"
        )
        rows = [_change_row(found, name) for name in study.base.curves]
        tables.append((["region", "smaller", "at / s", "larger", "at / s"], rows, title))
        heading = ["region", *(f"{key}, {how}" for key in ("t50", "t90") for how in ("smaller", "as is", "larger"))]
        rows = [_times_row(found, name) for name in study.base.curves]
        if any(entry != "-" for row in rows for entry in row[1:]):
            tables.append((heading, rows, "times to 50 and 90 % of what is in equilibrium with the source, s"))
    return tables


def _outcomes(study: "Study") -> "list[Outcome]":
    return [*study.levels, *(extra for extra in (study.stricter, study.higher) if extra is not None)]


def _run_row(study: "Study", outcome: "Outcome") -> list[str]:
    return [
        f"{outcome.variant.coarseness:.3g}",
        f"{outcome.degree}",
        f"{outcome.tolerance:.2g}",
        f"{outcome.cells:,}",
        f"{outcome.unknowns:,}",
        f"{outcome.seconds:.1f}",
    ]


def _region_row(study: "Study", name: str, found: "RegionErrors") -> list[str]:
    checked = None if found.time_checked is None else found.time_checked / found.holds
    row = [name, _order(study, found), *_peaks(found), _number(found.time / found.holds), _number(checked)]
    if study.higher is None:
        return row
    return [*row, _number(None if found.by_degree_late is None else found.by_degree_late / found.holds)]


def _peaks(found: "RegionErrors") -> list[str]:
    """The error in space from a thousandth of the end on, and that before."""
    if found.peaks is None:
        return ["-"] * 2
    late, early = found.peaks
    return [_number(late.error), _number(None if early is None else early.error)]


def _order(study: "Study", found: "RegionErrors") -> str:
    if found.law is None:
        return "-"
    if len(study.levels) < 3:
        return "unknown"
    return "not asymptotic" if found.law.order is None else f"{found.law.order:.2f}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.1e}"


def _change_row(found: "Segmentation", name: str) -> list[str]:
    row = [name]
    for outcome in found.moved.values():
        told = found.deviation(outcome, name)
        row += ["not known", "-"] if told is None else [f"{told[0]:+.1e}", f"{told[1]:.3g}"]
    return row


def _times_row(found: "Segmentation", name: str) -> list[str]:
    three = (found.smaller, found.as_is, found.larger)
    times = [({} if o is None else o.t50, {} if o is None else o.t90) for o in three]
    return [name, *(_time(half.get(name)) for half, _ in times), *(_time(most.get(name)) for _, most in times)]


def _time(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"


# --- files ---


def write_table(path: Path, study: "Study") -> None:
    """Write converge.csv: a row for each run and region.

    Raises:
        InputError: The file can't be written.
    """
    text = io.StringIO()
    text.write(f"# {' '.join(study.case.title.split())}\n")
    text.write("# difference: largest over time to the case as given; error: estimated, in space; both per source\n")
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(
        ["coarseness", "degree", "tolerance", "cells", "unknowns", "seconds", "region", "difference", "error", "t50_s"]
    )
    for outcome in _outcomes(study):
        for name, curve in outcome.relative.items():
            difference = float(np.abs(curve - study.base.relative[name]).max(initial=0.0))
            error = _error_of(study, outcome, name)
            row = [f"{outcome.variant.coarseness:.6g}", outcome.degree, f"{outcome.tolerance:g}", outcome.cells]
            row += [outcome.unknowns, f"{outcome.seconds:.3f}", name, f"{difference:.6g}"]
            t50 = outcome.t50[name]
            rows.writerow([*row, "" if error is None else f"{error:.6g}", "" if t50 is None else f"{t50:.9g}"])
    write_text(path, text.getvalue())


def _error_of(study: "Study", outcome: "Outcome", name: str) -> float | None:
    """Estimated error in space of a level, over all times."""
    law = study.regions[name].law
    if law is None or outcome not in study.levels:
        return None
    from microlith.workflow.studies.richardson import cell_size

    return float(law.error(cell_size(outcome.cells, study.dim)).max(initial=0.0))


def write_figures(path: Path, study: "Study") -> None:
    """Write converge.json: everything.

    Raises:
        InputError: The file can't be written.
    """
    advice = study.advice
    entries: dict[str, Any] = {
        "versions": versions(),
        "case": interpreted(study.case),
        "warnings": list(study.warnings),
        "errors_are": "relative to the reference concentration, largest over time unless errors_over_time; those "
        "of_what_it_holds relative to the largest mean that the region has, or would have in equilibrium, and from a "
        "thousandth of the end on",
        "reference_concentration_mol_per_m3": study.base.reference,
        "runs": [_run_entries(outcome) for outcome in _outcomes(study)],
        "times_s": study.base.times,
        "regions": {
            name: _region_entries(found) | {"curve_mol_per_m3": study.base.curves[name]}
            for name, found in study.regions.items()
        },
        "sizes": None if advice is None else vars(advice) | {"text": advice_lines(study.case, advice)},
        "segmentation": None if study.segmentation is None else _segmentation_entries(study.segmentation),
        "timings_s": study.seconds,
    }
    write_summary(path, entries)


def _run_entries(outcome: "Outcome") -> dict[str, Any]:
    return {
        "coarseness": outcome.variant.coarseness,
        "degree": outcome.degree,
        "tolerance": outcome.tolerance,
        "cells": outcome.cells,
        "unknowns": outcome.unknowns,
        "error_in_time": outcome.error_in_time,
        "imbalance": outcome.imbalance,
        "seconds": outcome.seconds,
        "t50_s": outcome.t50,
        "t90_s": outcome.t90,
    }


def _region_entries(found: "RegionErrors") -> dict[str, Any]:
    law = found.law
    return {
        "order": None if law is None else law.order,
        "asymptotic": law is not None and law.order is not None,
        "error_in_space": found.largest,
        "holds_per_reference": found.holds,
        **_peak_entries(found),
        "error_in_time": found.time,
        "error_in_time_checked_on_the_coarsest_mesh": found.time_checked,
        "error_in_time_estimated_there": found.time_of_check,
        "degree_higher_changes": found.by_degree,
        "errors_over_time": found.space,
        "extrapolated": None if law is None else law.limit,
    }


def _peak_entries(found: "RegionErrors") -> dict[str, Any]:
    """Errors in space relative to what the region holds."""
    late, early = found.peaks or (None, None)
    return {
        "error_in_space_of_what_it_holds": None if late is None else late.error,
        "at_s": None if late is None else late.time,
        "error_in_space_of_what_it_holds_before_a_thousandth_of_the_end": None if early is None else early.error,
    }


def _segmentation_entries(found: "Segmentation") -> dict[str, Any]:
    """Null where there is no solution, and no curve of a region."""
    three = {"as_is": found.as_is, **found.moved}
    entries: dict[str, Any] = {"moved": found.what, "by": found.by, "regions": {}}
    for name in found.curves:
        region: dict[str, Any] = {}
        for key, outcome in three.items():
            told = found.deviation(outcome, name)
            region[key] = None
            if outcome is not None and told is not None:
                region[key] = {"t50_s": outcome.t50[name], "t90_s": outcome.t90[name]}
                if outcome is not found.as_is:
                    region[key] |= {"largest_change": told[0], "at_s": told[1]}
        entries["regions"][name] = region
    entries["lost"] = {key: None if outcome is None else list(outcome.lost) for key, outcome in three.items()}
    entries["runs"] = {key: None if outcome is None else _run_entries(outcome) for key, outcome in three.items()}
    return entries
