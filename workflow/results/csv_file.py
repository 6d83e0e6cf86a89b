"""Tables of results as CSV files: three comment lines (title, version, what the columns are), a header, and rows."""

import csv
import io
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from pathlib import Path

from microlith.imaging.writing import write_text

COMMENT_LINES = 3  # above the header: np.genfromtxt(..., names=True, skip_header=COMMENT_LINES)


def csv_rows(path: Path) -> list[list[str]]:
    """Header and rows of a table that `write_csv` wrote.

    Raises:
        OSError: The file can't be read.
        ValueError: It is no such table, or is cut short within a row.
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
    text = io.StringIO()
    text.write(f"# {' '.join(title.split())}\n# microlith {version('microlith')}\n# {what}\n")
    table = csv.writer(text, lineterminator="\n")
    table.writerow(header)
    table.writerows(rows)
    write_text(path, text.getvalue())
