"""The fidelity report for a reader: a table after `mesh`, a few lines in a run, entries of summary.json."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from microlith.meshing.fidelity import FidelityReport


def print_fidelity(report: FidelityReport) -> None:
    """Print the whole report to standard output."""
    from rich.console import Console
    from rich.table import Table

    console = Console()
    by_phase = list(zip(*report.phase_rows(), strict=True))  # a column per phase: there are fewer phases than figures
    for heading, *rows in (by_phase, report.interface_rows()):
        table = Table(*heading)
        for row in rows:
            table.add_row(*row)
        if rows:
            console.print(table)
    console.print(report.summary(), highlight=False, soft_wrap=True)


def fidelity_lines(report: FidelityReport) -> Iterator[str]:
    """Size, quality and areas in a line each."""
    yield report.summary()
    for phase in report.phases:
        off = "no pixels" if phase.relative_difference is None else f"{100 * phase.relative_difference:+.3f} %"
        yield f"{phase.name}: {phase.area_mesh_m2 * 1e12:.5g} µm² in the mesh, {off} against the image"


def fidelity_entries(report: FidelityReport) -> dict[str, Any]:
    """Entries `phases`, `interfaces` and `quality` of summary.json."""
    plain = asdict(report)
    return {
        "phases": {phase.pop("name"): phase for phase in plain["phases"]},
        "interfaces": plain["interfaces"],
        "quality": {key: plain[key] for key in plain if key not in ("phases", "interfaces", "cells")},
    }
