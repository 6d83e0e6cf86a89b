"""Tables of results as CSV files: three comment lines, a header, and rows.

The comments are the title, the version, and what the columns are and how many rows there are: a file that is cut short
right behind a row shows it by nothing else.
"""

import csv
import io
import re
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from pathlib import Path

from microlith.imaging.writing import write_text

COMMENT_LINES = 3  # above the header: np.genfromtxt(..., names=True, skip_header=COMMENT_LINES)
TOLD_ROWS = re.compile(r"^#.*; rows: (\d+)\s*$")  # the last of them; tables of earlier versions have none


def csv_rows(path: Path) -> list[list[str]]:
    """Header and rows of a table that `write_csv` wrote.

    Raises:
        OSError: The file can't be read.
        ValueError: It is no such table, or is cut short.
    """
    with path.open(encoding="utf-8", newline="") as file:
        lines = list(file)
    try:
        rows = [row for row in csv.reader(line for line in lines if not line.startswith("#")) if row]
    except csv.Error as error:  # which is no ValueError: of a cell without end, say
        raise ValueError(str(error)) from error
    if not rows:
        raise ValueError("the table is empty")
    if not lines[-1].endswith("\n"):  # its last number may lack digits
        raise ValueError("it ends within a row: the file is cut short")
    uneven = next((row for row in rows if len(row) != len(rows[0])), None)
    if uneven is not None:
        raise ValueError(f"a row has {len(uneven)} cells, and the header {len(rows[0])}")
    told = TOLD_ROWS.match(lines[COMMENT_LINES - 1]) if len(lines) >= COMMENT_LINES else None
    if told is not None and len(rows) - 1 != int(told[1]):
        raise ValueError(f"it has {len(rows) - 1} rows, and its third line says {told[1]}")
    return rows


def csv_records(path: Path) -> list[dict[str, str]]:
    """Rows of a table that `write_csv` wrote, each by its header.

    Raises:
        OSError: The file can't be read.
        ValueError: It is no such table, or a row is longer or shorter than the header.
    """
    head, *rows = csv_rows(path)
    return [dict(zip(head, row, strict=True)) for row in rows]


def write_csv(path: Path, title: str, what: str, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a table.

    Args:
        path: The file; it appears whole or not at all.
        title: Of the case.
        what: The columns are, for the third comment line.
        header: Names of the columns.
        rows: Texts and whole numbers, as they are to stand there.

    Raises:
        InputError: The file can't be written.
    """
    text, below = io.StringIO(), list(rows)
    text.write(f"# {' '.join(title.split())}\n# microlith {version('microlith')}\n# {what}; rows: {len(below)}\n")
    table = csv.writer(text, lineterminator="\n")
    table.writerow(header)
    table.writerows(below)
    write_text(path, text.getvalue())
