"""curves.csv as its readers see it, and the times at which curves reach a value."""

import csv

import numpy as np
import pytest

from microlith.workflow.curves import COMMENT_LINES, time_to_fraction, write_curves

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


def test_time_to_fraction_of_an_exponential():
    # 40 points per decade: the cubic finds the time to 1e-5, straight lines would miss by 4e-4
    for fraction in (0.1, 0.5, 0.9):
        exact = -3 * np.log(1 - fraction)
        found = time_to_fraction(TIMES, CURVES["I"], 1000 * fraction, initial=0.0)
        assert found == pytest.approx(exact, rel=1e-5)


def test_time_to_fraction_of_a_falling_curve():
    assert time_to_fraction(TIMES, 5 + 3 * np.exp(-TIMES), 6.5) == pytest.approx(np.log(2), rel=1e-5)


def test_time_to_fraction_not_reached():
    assert time_to_fraction(TIMES, CURVES["near"], 1e6) is None
    assert time_to_fraction(TIMES, 100 - CURVES["near"], 1.0) is None


def test_time_to_fraction_at_and_before_the_first_times():
    assert time_to_fraction([1.0, 2.0], [8.0, 9.0], 4.0, initial=0.0) == pytest.approx(0.5)
    assert time_to_fraction([0.0, 2.0, 4.0], [0.0, 1.0, 2.0], 0.5) == pytest.approx(1.0)
    assert time_to_fraction([0.0, 2.0, 4.0], [0.0, 1.0, 2.0], 1.0) == 2.0
    assert time_to_fraction([1.0, 2.0], [5.0, 5.0], 5.0) == 1.0
    assert time_to_fraction([1.0, 2.0], [0.0, 8.0], 4.0) == pytest.approx(np.sqrt(2))


def test_time_to_fraction_takes_the_first_of_several():
    t = np.linspace(0.1, 10, 2000)
    assert time_to_fraction(t, np.sin(t), 0.5) == pytest.approx(np.pi / 6, rel=1e-5)
