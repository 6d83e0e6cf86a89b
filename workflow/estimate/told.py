"""Estimates in words, as a table, and as plain data."""

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from microlith.workflow.console.terminal import table_console
from microlith.workflow.estimate.estimate import Estimate

UNITS = ("B", "kB", "MB", "GB", "TB", "PB")


def size_text(number: float) -> str:
    """Bytes in two digits: "1.2 GB"."""
    power = min(len(UNITS) - 1, max(0, int(math.log10(max(1.0, number)) / 3 + 1e-9)))
    value = _two_digits(number / 1000**power)
    if value >= 1000 and power + 1 < len(UNITS):
        value, power = value / 1000, power + 1
    return f"{value:.3g} {UNITS[power]}"


def count_text(number: float) -> str:
    """A number in two digits: "210,000"."""
    return f"{round(_two_digits(number)):,}"


def time_text(seconds: float) -> str:
    """A time in two digits: "8 s", "3 min", "2.5 h", "4 days"."""
    for unit, name in ((86400.0, "days"), (3600.0, "h"), (60.0, "min")):
        if seconds >= 1.5 * unit:
            return f"{_two_digits(seconds / unit):.3g} {name}"
    return f"{max(1, round(_two_digits(seconds)))} s"


def _two_digits(number: float) -> float:
    return float(f"{number:.2g}")


def short_form(found: Estimate) -> str:
    """In a line."""
    ranks = "one rank" if found.ranks == 1 else f"{found.ranks} ranks"
    return (
        f"about {count_text(found.cells)} cells, {count_text(found.unknowns)} unknowns, {size_text(found.memory)}, "
        f"{time_text(found.wall_seconds)} on {ranks}"
    )


def print_estimates(found: Sequence[Estimate]) -> None:
    """Print estimates of one case, for one or more numbers of ranks, to standard output."""
    from rich.table import Table

    console = table_console()
    one = found[0]
    what = "iterations of Newton's method" if one.stepped else "solves"
    facts = Table(show_header=False, show_edge=False, pad_edge=False, box=None)
    for name, value in (
        ("cells", f"{count_text(one.cells)} solved, {count_text(one.meshed_cells)} in all ({one.method})"),
        ("unknowns", f"{count_text(one.unknowns)} of degree {one.degree}"),
        ("integration", f"{count_text(one.solves)} {what} ({one.linear})"),
        (
            "disk",
            f"{size_text(one.disk)} of results, {size_text(one.checkpoint)} of checkpoints if asked for",
        ),
    ):
        facts.add_row(name, value)
    console.print(facts)
    table = Table(show_edge=False, pad_edge=False)
    for column in ("ranks", "memory of the fullest rank", "memory of all", "CPU time", "time"):
        table.add_column(column, justify="right")
    for each in found:
        table.add_row(
            f"{each.ranks:,}",
            size_text(each.memory_per_rank),
            size_text(each.memory),
            time_text(each.cpu_seconds),
            time_text(each.wall_seconds),
        )
    console.print()
    console.print(table)
    console.print()
    console.print(
        f"Times are those of {one.reference}, with a core for each rank and nothing beside it; within a factor of 1.5 "
        "for most cases (microlith's benchmarks/README.md).",
    )


def as_data(found: Sequence[Estimate]) -> dict[str, Any]:
    """Estimates of one case as data that JSON can hold."""
    own = ("ranks", "memory_per_rank", "memory", "cpu_seconds", "wall_seconds")
    names = {"memory_per_rank": "memory_per_rank_bytes", "memory": "memory_bytes", "disk": "disk_bytes"}
    names |= {"checkpoint": "checkpoint_bytes", "cpu_seconds": "cpu_s", "wall_seconds": "wall_s"}
    shared = {names.get(key, key): value for key, value in asdict(found[0]).items() if key not in own}
    return shared | {"on": [{names.get(key, key): asdict(each)[key] for key in own} for each in found]}
