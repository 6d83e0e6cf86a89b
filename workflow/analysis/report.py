"""The figures of an analysis for people, and in units that people say."""

import math
from collections.abc import Mapping

from microlith.workflow.console.terminal import table_console
from microlith.workflow.measurements.findings import Number
from microlith.workflow.pictures.figure import IN_MICROMETRES


def print_numbers(title: str, numbers: Mapping[str, Number]) -> None:
    """Print a row for each number."""
    from rich.table import Table

    table = Table("", "value", "± standard error", "unit", title=title, title_justify="left")
    table.columns[0].overflow = "fold"  # names are keys of analysis.json: none may end in dots
    for number in numbers.values():
        scale, unit = IN_MICROMETRES[number.unit]
        error = "" if number.error is None else f"{number.error * scale:.2g}"
        value = f"{number.value * scale:.5g}" if math.isfinite(number.value) else "–"  # there is none
        table.add_row(number.name, value, error, unit)
    table_console().print(table)
