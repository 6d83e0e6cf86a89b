"""curves.csv as its readers see it, and the times at which curves reach a value."""

import csv

import numpy as np
import pytest

from microlith.imaging.errors import InputError
from microlith.solver.regions.shapes import SurfaceOf
from microlith.workflow.comparison import sources
from microlith.workflow.report import of_run, of_sweep
from microlith.workflow.results.csv_file import COMMENT_LINES, write_csv
from microlith.workflow.results.curves import write_curves
from microlith.workflow.results.particles import read_particles
from microlith.workflow.results.read import read_curves

TIMES = np.geomspace(1e-3, 100.0, 200)
CURVES = {"I": 1000 * (1 - np.exp(-TIMES / 3)), "near": TIMES / 7}


def test_numpy_reads_it(tmp_path):
    path = tmp_path / "curves.csv"
    write_curves(path, "Two\nlines, # one title", TIMES, CURVES)
    table = np.genfromtxt(path, delimiter=",", names=True, skip_header=COMMENT_LINES)
    assert table.dtype.names == ("time_s", "I", "near")
    np.testing.assert_allclose(table["time_s"], TIMES, rtol=1e-11)
    np.testing.assert_allclose(table["I"], CURVES["I"], rtol=1e-11)
    plain = np.loadtxt(path, delimiter=",", skiprows=COMMENT_LINES + 1)
    np.testing.assert_allclose(plain[:, 2], CURVES["near"], rtol=1e-11)


def test_comments_say_title_version_and_units(tmp_path):
    path = tmp_path / "curves.csv"
    write_curves(path, "Two\nlines", TIMES, CURVES)
    comments = [line for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("#")]
    assert len(comments) == COMMENT_LINES
    assert comments[0] == "# Two lines"
    assert comments[1].startswith("# microlith 0.")
    assert "in s;" in comments[2]
    assert "mol/m^3" in comments[2]


def test_any_region_name_survives(tmp_path):
    path = tmp_path / "curves.csv"
    names = ["größe µ", 'a,b "c"', "x y"]
    write_curves(path, "t", TIMES, dict.fromkeys(names, TIMES))
    lines = path.read_text(encoding="utf-8").splitlines()[COMMENT_LINES:]
    rows = list(csv.reader(lines))
    assert rows[0] == ["time_s", *names]
    assert len(rows) == 201
    assert {len(row) for row in rows} == {4}


DAMAGES = {
    "a long cell": f"1,{'x' * 200_000}\n",
    "a cell without end": '1,"' + "1," * 100_000 + "\n",
    "cut within a number": "1,2\n2,3.7",  # of 3.7e-5, which was taken for the value
    "cut between numbers": "1,2\n2\n",
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("reader", ["curves", "particles", "analysis", "report", "sweep"])
def test_a_damaged_table_is_told_by_all_that_read_it(tmp_path, reader, damage):
    """The reader of CSV files has an exception of its own, which ended in a traceback."""
    path = tmp_path / "table.csv"
    path.write_text(f"# a\n# b\n# c\ntime_s,I\n{DAMAGES[damage]}")
    read = {
        "curves": lambda: read_curves(path),
        "particles": lambda: read_particles(path, {"I": SurfaceOf(phase="particle")}),
        "analysis": lambda: sources._columns(path, "thickness", {"time_s": "s", "I": ""}),
        "report": lambda: of_run.table_of(path),
        "sweep": lambda: of_sweep.csv_records(path),
    }[reader]
    expected = ValueError if reader in ("report", "sweep") else InputError  # which the report's page tells
    with pytest.raises(expected, match=r"field larger|can't be read|cut short|a row has 1 cells"):
        read()


def test_a_table_cut_right_behind_a_row_is_told(tmp_path):
    """Nothing else shows it: all rows that are left are whole."""
    path = tmp_path / "curves.csv"
    write_csv(path, "slab; rows: 7", "time_s in s", ["time_s", "I"], ([t, 2 * t] for t in range(3)))
    whole = path.read_text(encoding="utf-8").splitlines(keepends=True)
    assert whole[COMMENT_LINES - 1].endswith("; rows: 3\n")
    assert len(read_curves(path)[0]) == 3
    for kept in range(1, len(whole)):
        path.write_text("".join(whole[:kept]), encoding="utf-8")
        with pytest.raises(InputError, match="can't be read as the curves of a run"):
            read_curves(path)
    untold = whole[COMMENT_LINES - 1].replace("; rows: 3", "")  # as versions before wrote it
    path.write_text("".join([*whole[: COMMENT_LINES - 1], untold, *whole[COMMENT_LINES:-1]]), encoding="utf-8")
    assert len(read_curves(path)[0]) == 2
