"""sweep.csv: a row for each case, with what differs, how it ended, and the figures of its regions."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from microlith.imaging.errors import InputError
from microlith.imaging.typing import Array
from microlith.workflow.results.csv_file import write_csv
from microlith.workflow.results.folder import CURVES
from microlith.workflow.results.read import read_curves, read_errors, read_summary
from microlith.workflow.sweep.plan import Plan, Variation
from microlith.workflow.sweep.record import Record, record_of

OF_REGION = (  # column and key in summary.json; units are in the names
    ("t50_s", "t50_s"),
    ("t50_error_s", "t50_error_s"),
    ("t90_s", "t90_s"),
    ("t90_error_s", "t90_error_s"),
    ("final_mol_per_m3", "final"),
    ("final_error_mol_per_m3", "final_error"),
)
OF_RUN = ("cells", "unknowns", "peak_memory_bytes")


@dataclass(frozen=True, eq=False)
class Row:
    """A case with its results."""

    variation: Variation
    record: Record | None  # None: it has not been at work
    summary: dict[str, Any]  # empty where it is not done
    times: Array | None = None  # (n,) s
    curves: dict[str, Array] | None = None  # region -> (n,) mol/m^3
    errors: dict[str, Array] | None = None

    @property
    def status(self) -> str:
        """In a word."""
        return "waiting" if self.record is None else self.record.status

    @property
    def ended(self) -> bool:
        """Whether it is done or failed."""
        return self.status in ("done", "failed")

    def region(self, name: str) -> dict[str, Any]:
        """The figures of a region; empty where there are none."""
        found: dict[str, Any] = self.summary.get("regions", {}).get(name, {})
        return found


def rows_of(plan: Plan, output: Path) -> list[Row]:
    """All cases with what there is of them."""
    rows = []
    for variation in plan.variations:
        record = record_of(output, variation.name)
        row = Row(variation, record, {})
        if record is not None and record.status == "done":
            folder = output / variation.name
            try:
                times, curves = read_curves(folder / CURVES)
                errors = read_errors(folder)
                row = Row(variation, record, read_summary(folder), times, curves, errors)
            except InputError as error:
                row = Row(variation, Record(record.fingerprint, "failed", str(error), 2), {})
        rows.append(row)
    return rows


def regions_of(rows: list[Row]) -> list[str]:
    """Names of all regions, in the order in which cases have them."""
    return list(dict.fromkeys(name for row in rows for name in row.curves or ()))


def write_table(path: Path, title: str, plan: Plan, rows: list[Row]) -> None:
    """Write sweep.csv.

    Raises:
        InputError: The file can't be written.
    """
    regions = regions_of(rows)
    head = ["case", *plan.keys, "status"]
    head += [f"{region}.{column}" for region in regions for column, _ in OF_REGION]
    head += [f"{region}.largest_error" for region in regions]
    head += ["imbalance", "warnings", *OF_RUN, "total_s", "message"]
    what = (
        "a case a row; t50, t90: when a region is at 50 and 90 % of what feeds it, empty where it is not by the end; "
        "errors in time and space, ±; largest_error: of the curve, of what the region holds"
    )
    write_csv(path, f"{title}: sweep", what, head, [_cells(row, plan, regions) for row in rows])


def _cells(row: Row, plan: Plan, regions: list[str]) -> list[str]:
    summary = row.summary
    cells = [row.variation.name, *(row.variation.shown(key) for key in plan.keys), row.status]
    cells += [_number(row.region(region).get(key)) for region in regions for _, key in OF_REGION]
    cells += [_number(row.region(region).get("error", {}).get("largest")) for region in regions]
    cells.append(_number(summary.get("mass_balance", {}).get("imbalance")))
    cells.append(str(len(summary["warnings"])) if "warnings" in summary else "")
    cells += [_number(summary.get(key)) for key in OF_RUN]
    cells.append(_number(summary.get("run", {}).get("total_s")))
    cells.append("" if row.record is None else " ".join(row.record.message.split()))
    return cells


def _number(value: Any) -> str:
    return f"{value:.9g}" if isinstance(value, int | float) else ""
