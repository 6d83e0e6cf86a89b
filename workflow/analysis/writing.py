"""The files of an analysis: analysis.json, numbers.csv, a CSV file for each table, and pictures."""

from pathlib import Path
from typing import Any

from microlith.imaging.writing import whole_file
from microlith.workflow.analysis.analysis import Analysis
from microlith.workflow.analysis.charts import draw_chart
from microlith.workflow.analysis.maps import draw_map
from microlith.workflow.analysis.surface_pictures import write_surface_map
from microlith.workflow.case.describe import interpreted
from microlith.workflow.measurements.findings import Field, Table
from microlith.workflow.pictures.figure import files_of
from microlith.workflow.report.of_folder import write_report
from microlith.workflow.results.csv_file import write_csv
from microlith.workflow.results.folder import ANALYSIS, NUMBERS, REPORT
from microlith.workflow.results.json_file import versions, write_summary


def write_analysis(found: Analysis, folder: Path) -> list[str]:
    """Write all files of an analysis; for one rank.

    Args:
        found: The analysis.
        folder: That they go to.

    Returns:
        Names of the files, in the order in which a reader wants them.

    Raises:
        InputError: A file can't be written.
    """
    names = [ANALYSIS, NUMBERS]
    title, options = found.case.title, found.case.pictures
    for table in found.tables.values():
        names.append(f"{table.name}.csv")
        write_table(folder / names[-1], title, table)
    for of in found.findings.values():
        for field in of.fields:
            names.append(f"{field.name}.tif")
            _write_field(folder / names[-1], field, found)
        for chart in of.charts:
            draw_chart(folder / f"{chart.name}.png", title, chart, found.tables, options)
        for one in of.maps:
            draw_map(folder / f"{one.name}.png", title, one, found.volume.names, options)
        for surface in of.surfaces:
            names += write_surface_map(folder, title, surface, found.volume, options)
        pictures = [*(chart.name for chart in of.charts), *(one.name for one in of.maps)]
        names += [file.name for name in pictures for file in files_of(folder / f"{name}.png", options)]
    _write_numbers(folder / NUMBERS, found)
    write_summary(folder / ANALYSIS, entries(found))
    write_report(folder, "analyze")
    return [*names, REPORT]


def entries(found: Analysis) -> dict[str, Any]:
    """What analysis.json holds."""
    volume = found.volume
    case = interpreted(found.case)
    return {
        "versions": versions(),
        "run": found.provenance.run_entries(),
        "image": found.provenance.image_entries(),
        "case": {key: case[key] for key in ("file", "title", "image", "phases", "analysis")},
        "shape": volume.shape,
        "voxel_size_m": volume.voxel_size,
        "phases": volume.names,
        "numbers": {
            number.name: {
                "value": number.value,
                "unit": number.unit,
                "error": number.error,
                "no_error": number.no_error or None,
                "measurement": measurement,
                "definition": number.definition,
            }
            for measurement, of in found.findings.items()
            for number in of.numbers
        },
        "tables": {
            table.name: {
                "file": f"{table.name}.csv",
                "kind": table.kind,
                "measurement": measurement,
                "text": table.text,
                "units": {column.name: column.unit for column in table.columns},
            }
            for measurement, of in found.findings.items()
            for table in of.tables
        },
        "notes": {measurement: of.notes for measurement, of in found.findings.items() if of.notes},
        "timings_s": found.seconds,
    }


def _write_field(path: Path, field: Field, found: Analysis) -> None:
    """Values of voxels as a TIFF of 32-bit floats, which ImageJ opens with the voxel's size in um."""
    import numpy as np
    import tifffile

    edges = [1e6 * size for size in found.volume.voxel_size]
    about = {"unit": "um", "axes": "ZYX"[-len(edges) :], "Info": f"{field.text}; in {field.unit}"}
    if len(edges) == 3:
        about["spacing"] = str(edges[0])
    with whole_file(path) as temporary:
        tifffile.imwrite(
            temporary,
            np.asarray(field.values, np.float32),
            imagej=True,
            resolution=(1 / edges[-1], 1 / edges[-2]),
            metadata=about,
        )


def write_table(path: Path, title: str, table: Table) -> None:
    """Write a table: three comment lines (title, version, units), a header, and its rows; empty where there is nothing.

    Raises:
        InputError: The file can't be written.
    """
    units = ", ".join(f"{column.name} in {column.unit}" for column in table.columns)
    rows = zip(*(column.values.tolist() for column in table.columns), strict=True)
    header = [column.name for column in table.columns]
    write_csv(path, title, f"{table.text}; {units}", header, ([_cell(value) for value in row] for row in rows))


def _write_numbers(path: Path, found: Analysis) -> None:
    rows = (
        [number.name, _cell(number.value), number.unit, _cell(number.error), number.definition]
        for number in found.numbers.values()
    )
    what = "a number a row; error: its standard error for the whole image, where it is known"
    write_csv(path, found.case.title, what, ["name", "value", "unit", "error", "definition"], rows)


def _cell(value: float | None) -> str:
    return "" if value is None or value != value else f"{value:.9g}"
