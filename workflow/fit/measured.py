"""Measured curves from a CSV file: a column of times, a column for each region, and perhaps standard deviations."""

import csv
import io
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from microlith.imaging.errors import InputError, listed, printable
from microlith.imaging.typing import Array
from microlith.workflow.schema.kinds import nearest
from microlith.workflow.schema.units import CONCENTRATION, TIME, Dimension, to_si

TIME_COLUMN = "time"
DEVIATION = " sd"  # behind the name of a region
MOST_BYTES = 50_000_000
NOTHING = frozenset(("", "nan", "na", "n/a", "-", "–"))
_UNIT_BEHIND = re.compile(r"(.*?)\s*(?:\(([^()]*(?:\([^()]*\)[^()]*)?)\)|\[([^\[\]]*)\])")


@dataclass(frozen=True, eq=False)
class Measured:
    """Measured concentrations, one an entry of the arrays, sorted by region and time."""

    name: str  # of the file
    regions: tuple[str, ...]
    times: Array  # (k,) s, increasing
    region: Array  # (m,) index into `regions`
    moment: Array  # (m,) index into `times`
    values: Array  # (m,) mol/m^3
    deviations: Array | None  # (m,) standard deviations, mol/m^3; None: not given

    @property
    def size(self) -> int:
        """Number of values."""
        return len(self.values)

    def of(self, curves: Mapping[str, Array]) -> Array:
        """Values of curves at the times here, in the order of the measured ones.

        Args:
            curves: Region -> (k,) at `times`.
        """
        return np.stack([curves[name] for name in self.regions])[self.region, self.moment]


def read_measured(path: Path, regions: Sequence[str], end: float) -> Measured:
    """Read measured curves.

    Args:
        path: Of the CSV file; commas, semicolons or tabs between columns, lines that begin with # left aside.
        regions: Names that columns may have.
        end: Of the case, s.

    Raises:
        InputError: It can't be read, or something in it is wrong.
    """
    try:
        if path.stat().st_size > MOST_BYTES:
            raise InputError(f"--data {path}: expected a table of at most {MOST_BYTES // 10**6} MB")
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputError(f"--data {path}: can't be read ({error.strerror})") from error
    except ValueError as error:
        raise InputError(f"--data {path}: is no text in UTF-8; save the table as CSV in UTF-8") from error
    lines = [(number, line) for number, line in enumerate(text.splitlines(), 1) if _counts(line)]
    if len(lines) < 2:
        raise InputError(f"--data {path}: expected a header such as time_s,{listed(regions[:1])} and rows of numbers")
    header = lines[0][1]
    delimiter = max(",;\t", key=header.count)
    try:
        head, *rows = csv.reader(io.StringIO("\n".join(line for _, line in lines)), delimiter=delimiter)
    except csv.Error as error:
        raise InputError(f"--data {path}: is no table of numbers ({error}); save the table as CSV") from error
    return measured_of(str(path), [cell.strip() for cell in head], rows, [n for n, _ in lines[1:]], regions, end)


def _counts(line: str) -> bool:
    return bool(line.strip(" \t,;")) and not line.lstrip().startswith("#")


def measured_in_memory(columns: Mapping[str, Any], regions: Sequence[str], end: float) -> Measured:
    """Measured curves from arrays, with names as in the header of a file; nan where there is nothing.

    Raises:
        InputError: Something in it is wrong.
    """
    arrays = {str(name): np.atleast_1d(np.asarray(column, float)) for name, column in columns.items()}
    if len({array.shape for array in arrays.values()}) != 1 or any(array.ndim != 1 for array in arrays.values()):
        raise InputError("data: expected columns of one length each")
    rows = [[repr(float(value)) for value in row] for row in zip(*arrays.values(), strict=True)]
    return measured_of("data", list(arrays), rows, list(range(1, len(rows) + 1)), regions, end)


@dataclass(frozen=True)
class _Column:
    """What a column holds."""

    index: int
    region: str  # "": the time
    is_deviation: bool
    factor: float  # SI per unit of the column


def measured_of(
    name: str,
    head: Sequence[str],
    rows: Sequence[Sequence[str]],
    lines: Sequence[int],
    regions: Sequence[str],
    end: float,
) -> Measured:
    """Measured curves from the cells of a table.

    Args:
        name: Of the table, for messages.
        head: Names of the columns.
        rows: Their cells.
        lines: Numbers of the rows, for messages.
        regions: Names that columns may have.
        end: Of the case, s.

    Raises:
        InputError: A column or a cell is wrong.
    """
    columns = [_column(f"--data {name}", index, cell, regions) for index, cell in enumerate(head)]
    _check_columns(f"--data {name}", columns, head, regions)
    table = np.full((len(rows), len(columns)), math.nan)
    for i, (row, line) in enumerate(zip(rows, lines, strict=True)):
        if len(row) != len(columns):
            raise InputError(f"--data {name}, line {line}: {len(row)} columns, where the header has {len(columns)}")
        for column, cell in zip(columns, row, strict=True):
            table[i, column.index] = _number(f"--data {name}, line {line}", head[column.index], cell) * column.factor
    return _sorted(name, columns, table, lines, end)


def _column(where: str, index: int, cell: str, regions: Sequence[str]) -> _Column:
    """What the header of a column says."""
    if cell in regions:  # as in curves.csv, whatever is in the name
        return _Column(index, cell, False, 1.0)
    if cell == f"{TIME_COLUMN}_s":
        return _Column(index, "", False, 1.0)
    match = _UNIT_BEHIND.fullmatch(cell)
    name, unit = (match[1], (match[2] or match[3] or "").strip()) if match else (cell, "")
    if name.lower() == TIME_COLUMN:
        if not unit:
            raise InputError(f'{where}: column "{printable(cell)}": expected its unit, as in "time (s)" or "time_s"')
        return _Column(index, "", False, _factor(where, cell, unit, TIME))
    is_deviation = name.endswith(DEVIATION)
    region = name.removesuffix(DEVIATION) if name not in regions else name
    if region not in regions:
        if _is_number(cell):
            raise InputError(
                f"{where}: the first line is of numbers, expected a header such as time_s,{listed(regions[:1])}"
            )
        hint = nearest(region, list(regions), "regions")
        raise InputError(
            f'{where}: column "{printable(cell)}" is no region of the case, {hint}{"" if hint.endswith("?") else "."} '
            'Times are in a column such as "time (s)", standard deviations in one such as "NAME sd"'
        )
    factor = _factor(where, cell, unit, CONCENTRATION) if unit else 1.0
    return _Column(index, region, is_deviation and name not in regions, factor)


def _is_number(cell: str) -> bool:
    try:
        float(cell.replace(",", "."))
    except ValueError:
        return False
    return True


def _factor(where: str, cell: str, unit: str, dimension: Dimension) -> float:
    try:
        return to_si(f"1 {unit}", dimension)
    except ValueError as error:
        raise InputError(
            f'{where}: column "{printable(cell)}": expected the unit of {dimension.words}, {error}'
        ) from error


def _check_columns(where: str, columns: Sequence[_Column], head: Sequence[str], regions: Sequence[str]) -> None:
    keys = [(column.region, column.is_deviation) for column in columns]
    twice = next((head[i] for i, key in enumerate(keys) if key in keys[:i]), None)
    if twice is not None:
        raise InputError(f'{where}: column "{printable(twice)}" is there twice; remove one of the two')
    if ("", False) not in keys:
        raise InputError(f'{where}: there is no column of times; expected one named "time_s" or "time (min)"')
    values = [region for region, is_deviation in keys if region and not is_deviation]
    if not values:
        raise InputError(f"{where}: there is no column of a region; expected one of {listed(regions)}")
    deviations = [region for region, is_deviation in keys if is_deviation]
    alone = [region for region in deviations if region not in values]
    without = [region for region in values if deviations and region not in deviations]
    if alone or without:
        raise InputError(
            f"{where}: standard deviations are given for {listed(deviations)} and values for {listed(values)}; give "
            "both for the same regions, or no standard deviations"
        )


def _number(where: str, name: str, cell: str) -> float:
    text = cell.strip()
    if text.lower() in NOTHING:
        return math.nan
    try:
        number = float(text)
    except ValueError:
        number = math.inf
    if not math.isfinite(number):
        comma = " (the decimal sign is a point)" if re.fullmatch(r"[+-]?\d*,\d+([eE][+-]?\d+)?", text) else ""
        raise InputError(f'{where}, column "{printable(name)}": expected a number, got "{printable(text)}"{comma}')
    return number


def _sorted(name: str, columns: Sequence[_Column], table: Array, lines: Sequence[int], end: float) -> Measured:
    """The table as values by region and time."""
    of = {(column.region, column.is_deviation): table[:, column.index] for column in columns}
    regions = tuple(column.region for column in columns if column.region and not column.is_deviation)
    times = of["", False]
    used = np.any([np.isfinite(of[region, False]) for region in regions], axis=0)
    for time, line, counts in zip(times, lines, used, strict=True):
        where = f"--data {name}, line {line}"
        if counts and not time >= 0:
            raise InputError(f"{where}: expected a time from the start of the case on, got {time:g} s")
        if counts and time > end * (1 + 1e-12):
            raise InputError(
                f"{where}: {time:g} s is after the end of the case, {end:g} s; raise [time] end, or take the row out"
            )
    unique = np.unique(times[used])
    region, moment, values, deviations = [], [], [], []
    for index, one in enumerate(regions):
        there = np.flatnonzero(np.isfinite(of[one, False]))
        there = there[np.argsort(times[there], kind="stable")]
        region.append(np.full(len(there), index))
        moment.append(np.searchsorted(unique, times[there]))
        values.append(of[one, False][there])
        if (one, True) in of:
            deviations.append(of[one, True][there])
            bad = there[~(deviations[-1] > 0)]
            if len(bad):
                raise InputError(
                    f'--data {name}, line {lines[bad[0]]}, column "{one}{DEVIATION}": expected a standard deviation '
                    "above 0 for each value"
                )
    return Measured(
        name,
        regions,
        np.minimum(unique, end),
        np.concatenate(region),
        np.concatenate(moment),
        np.concatenate(values),
        np.concatenate(deviations) if deviations else None,
    )
