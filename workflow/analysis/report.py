"""The figures of an analysis for people, and in units that people say."""

import math
from collections.abc import Mapping

from microlith.workflow.console.terminal import table_console
from microlith.workflow.measurements.findings import Number

SHOWN = {"m": (1e6, "µm"), "1/m": (1e-6, "1/µm"), "m^2": (1e12, "µm²"), "1/m^2": (1e-12, "1/µm²")}
SHOWN |= {"m^3": (1e18, "µm³"), "1/m^3": (1e-18, "1/µm³"), "1": (1.0, "")}


def print_numbers(title: str, numbers: Mapping[str, Number]) -> None:
    """Print a row for each number."""
    from rich.table import Table

    table = Table("", "value", "± standard error", "unit", title=title, title_justify="left")
    table.columns[0].overflow = "fold"  # names are keys of analysis.json: none may end in dots
    for number in numbers.values():
        scale, unit = SHOWN[number.unit]
        error = "" if number.error is None else f"{number.error * scale:.2g}"
        value = f"{number.value * scale:.5g}" if math.isfinite(number.value) else "–"  # there is none
        table.add_row(number.name, value, error, unit)
    table_console().print(table)
