"""The study of a case for a reader: tables, converge.csv, converge.json, and the sizes for a wanted error."""

import csv
import io
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from microlith.imaging.image.half_voxel import DEFAULT_SIZE_MAX
from microlith.meshing.fitted.sizing import DEFAULT_SIZE
from microlith.workflow.case.describe import interpreted
from microlith.workflow.console.terminal import table_console
from microlith.workflow.results.folder import versions, write_summary, write_text
from microlith.workflow.schema.units import length_text

if TYPE_CHECKING:
    from microlith.workflow.prepare.meshed import Meshed
    from microlith.workflow.studies.segmentation_error import Segmentation
    from microlith.workflow.studies.study import RegionErrors, Study
    from microlith.workflow.studies.variant import Outcome

log = logging.getLogger(__name__)
COARSEST_ADVISED = 2.0  # sizes are not told to be larger than what was tried
FINEST_ADVISED = 0.25  # per size of the finest mesh: beyond, the law is a guess


@dataclass(frozen=True)
class Advice:
    """Sizes for a wanted error in space."""

    wanted: float  # relative to the source concentration
    factor: float  # on all sizes of the case
    size: dict[str, float]  # phase -> m
    size_max: float  # m
    unknowns: float  # about how many
    deciding: str  # region
    sentences: tuple[str, ...]  # what to be careful about


def advised(study: "Study", meshed: "Meshed", wanted: float) -> Advice | None:
    """Sizes at which the worst region has a wanted error in space; None where the study has one mesh only.

    Args:
        study: The study.
        meshed: The case with its image.
        wanted: Error, per reference concentration.
    """
    case = study.case
    factors = {
        name: (wanted / max(found.largest, 1e-300)) ** (1.0 / found.law.power)
        for name, found in study.regions.items()
        if found.law is not None and found.largest is not None
    }
    if not factors:
        return None
    deciding = min(factors, key=factors.__getitem__)
    factor = factors[deciding]
    finest = min(study.size(outcome) for outcome in study.levels)
    sentences = []
    if factor > COARSEST_ADVISED:
        factor = COARSEST_ADVISED
        sentences.append("coarser meshes would perhaps do, but were not tried")
    law = study.regions[deciding].law
    if law is not None and law.order is None:
        sentences.append(
            f"no order is established in region {deciding}, so this takes the error to fall with the size; try it"
        )
    if factor < FINEST_ADVISED * finest:
        sentences.append("this is far beyond the finest mesh of the study: go there in steps")
    if case.mesh.method == "voxel":
        sentences.append("squares and cubes have no sizes: take method fitted or lattice, or a higher degree")
    pixel = min(meshed.volume.voxel_size)
    sizes = dict(case.mesh.size) or {case.physics.phases[i].name: DEFAULT_SIZE * pixel for i in case.physics.solved}
    labelled = {entry.name for entry in case.labels if entry.labels}  # not what was split off a source
    largest = case.mesh.size_max or DEFAULT_SIZE_MAX * max(meshed.volume.extent)
    return Advice(
        wanted=wanted,
        factor=factor,
        size={name: factor * size for name, size in sizes.items() if name in labelled},
        size_max=factor * largest,
        unknowns=study.base.unknowns * factor**-study.dim,
        deciding=deciding,
        sentences=tuple(sentences),
    )


def advice_lines(study: "Study", advice: Advice) -> list[str]:
    """The advice in sentences."""
    lines = [
        f"for {advice.wanted:g} in space (region {advice.deciding} decides) multiply the sizes by {advice.factor:.2g}, "
        f"which gives about {advice.unknowns:.2g} unknowns"
    ]
    if study.case.mesh.method != "voxel":
        sizes = ", ".join(f'{name} = "{length_text(float(f"{size:.2g}"))}"' for name, size in advice.size.items())
        largest = length_text(float(f"{advice.size_max:.2g}"))
        lines[0] += f': size = {{ {sizes} }}, size_max = "{largest}"'
    return lines + list(advice.sentences)


# --- tables ---


def tell(study: "Study", advice: Advice | None, show: bool) -> None:
    """Print the tables, or with `show` off tell the errors in the log, of which a silent command shows nothing."""
    lines = [] if advice is None else advice_lines(study, advice)
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
        log.info("region %s: error in space %s, order %s", name, _number(found.largest), _order(study, found))
    for line in lines:
        log.info("%s", line)


def _tables(study: "Study") -> list[tuple[list[str], list[list[str]], str]]:
    tables = []
    runs = [_run_row(study, outcome) for outcome in _outcomes(study)]
    tables.append((["sizes ×", "degree", "tolerance", "cells", "unknowns", "s"], runs, "runs"))
    if len(study.levels) > 1:
        heading = ["region", "order", "in space", "in time", "checked"]
        heading += ["degree + 1"] if study.higher is not None else []
        rows = [_region_row(study, name, found) for name, found in study.regions.items()]
        tables.append((heading, rows, "errors of the case as given, per source concentration"))
    if study.segmentation is not None:
        found = study.segmentation
        title = f"largest change of each curve with {found.what} half a voxel smaller, and larger"
        rows = [_change_row(found, name) for name in study.base.curves]
        tables.append((["region", "smaller", "at / s", "larger", "at / s"], rows, title))
        heading = ["region", *(f"{key}, {how}" for key in ("t50", "t90") for how in ("smaller", "as is", "larger"))]
        rows = [_times_row(found, name) for name in study.base.curves]
        if any(entry != "-" for row in rows for entry in row[1:]):
            tables.append((heading, rows, "times to 50 and 90 % of the source concentration, s"))
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
    row = [name, _order(study, found), _number(found.largest), _number(found.time), _number(found.time_checked)]
    return row + ([_number(found.by_degree)] if study.higher is not None else [])


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
    for outcome in (found.smaller, found.larger):
        change, when = found.deviation(outcome, name)
        row += [f"{change:+.1e}", f"{when:.3g}"]
    return row


def _times_row(found: "Segmentation", name: str) -> list[str]:
    three = (found.smaller, found.as_is, found.larger)
    return [name, *(_time(times[name]) for times in (*(o.t50 for o in three), *(o.t90 for o in three)))]


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


def write_figures(path: Path, study: "Study", advice: Advice | None) -> None:
    """Write converge.json: everything.

    Raises:
        InputError: The file can't be written.
    """
    entries: dict[str, Any] = {
        "versions": versions(),
        "case": interpreted(study.case),
        "errors_are": "relative to the reference concentration, largest over time unless errors_over_time",
        "reference_concentration_mol_per_m3": study.base.reference,
        "runs": [_run_entries(outcome) for outcome in _outcomes(study)],
        "times_s": study.base.times,
        "regions": {name: _region_entries(found) for name, found in study.regions.items()},
        "sizes": None if advice is None else vars(advice) | {"text": advice_lines(study, advice)},
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
        "error_in_time": found.time,
        "error_in_time_checked_on_the_coarsest_mesh": found.time_checked,
        "error_in_time_estimated_there": found.time_of_check,
        "degree_higher_changes": found.by_degree,
        "errors_over_time": found.space,
        "extrapolated": None if law is None else law.limit,
    }


def _segmentation_entries(found: "Segmentation") -> dict[str, Any]:
    entries: dict[str, Any] = {"moved": found.what, "by": "half a voxel along each axis", "regions": {}}
    for name in found.as_is.curves:
        region: dict[str, Any] = {}
        for key, outcome in (("as_is", found.as_is), ("smaller", found.smaller), ("larger", found.larger)):
            change, when = found.deviation(outcome, name)
            region[key] = {"t50_s": outcome.t50[name], "t90_s": outcome.t90[name]}
            if outcome is not found.as_is:
                region[key] |= {"largest_change": change, "at_s": when}
        entries["regions"][name] = region
    entries["runs"] = {
        key: _run_entries(outcome)
        for key, outcome in (("as_is", found.as_is), ("smaller", found.smaller), ("larger", found.larger))
    }
    return entries
