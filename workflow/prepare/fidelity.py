"""The fidelity report for a reader: a table after `mesh`, a few lines in a run, entries of summary.json."""

from collections.abc import Iterator
from typing import Any

from microlith.meshing.fidelity.report import FidelityReport
from microlith.workflow.console.terminal import table_console

WIDTH = 80  # of a terminal
FRAME = 3  # of a column: a line and two blanks


def print_fidelity(report: FidelityReport) -> None:
    """Print the whole report to standard output."""
    from rich.table import Table

    console = table_console()
    by_phase = list(zip(*report.phase_rows(), strict=True))  # a column per phase: there are fewer phases than figures
    for heading, *rows in [*_in_width(by_phase), report.interface_rows()]:
        table = Table(*heading)
        for row in rows:
            table.add_row(*row)
        if rows:
            console.print(table)
    console.print(report.summary(), highlight=False, soft_wrap=True)


def _in_width(rows: list[tuple[str, ...]]) -> Iterator[list[tuple[str, ...]]]:
    """The table in as many pieces as the width takes, the first column in each."""
    widths = [max(map(len, column)) + FRAME for column in zip(*rows, strict=True)]
    first = 1
    while first < len(widths):
        last = first + 1
        while last < len(widths) and widths[0] + sum(widths[first : last + 1]) < WIDTH:
            last += 1
        yield [(row[0], *row[first:last]) for row in rows]
        first = last


def fidelity_lines(report: FidelityReport) -> Iterator[str]:
    """Size, quality and areas (volumes) in a line each."""
    yield report.summary()
    for phase in report.phases:
        if phase.mesh is None:
            continue
        off = "no voxels" if phase.relative_difference is None else f"{100 * phase.relative_difference:+.3f} %"
        unit = {2: "µm²", 3: "µm³"}[report.dim]
        yield f"{phase.name}: {phase.mesh * 1e6**report.dim:.5g} {unit} in the mesh, {off} against the image"


def fidelity_entries(report: FidelityReport) -> dict[str, Any]:
    """Entries `phases`, `interfaces` and `quality` of summary.json."""
    plain = report.as_dict()
    return {
        "phases": {phase.pop("name"): phase for phase in plain["phases"]},
        "interfaces": plain["interfaces"],
        "quality": {key: plain[key] for key in plain if key not in ("phases", "interfaces", "cells")},
    }
