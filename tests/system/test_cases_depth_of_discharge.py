"""cases/depth-of-discharge: the currents charge to what they say, and lithium-rich silicon forms as the README says."""

import runpy
import tomllib

import numpy as np
import pytest
from places import CASES

import microlith as ml

FOLDER = CASES / "depth-of-discharge"
FULL = 3.75
START = 1.5  # x at the start, and again at the end
# Coarser than the case, which makes shares at the end of charge smaller by some per cent
COARSE = {
    "mesh.size": {"silicon": "0.25 um"},
    "mesh.growth": 0.6,
    "mesh.estimate": False,
    "time.tolerance": 1e-2,
    "pictures.resolution": 50,
}


@pytest.fixture(scope="module")
def image_script():
    return runpy.run_path(str(FOLDER / "make_image.py"))


@pytest.fixture(scope="module")
def rich():
    return runpy.run_path(str(FOLDER / "rich.py"))


@pytest.fixture(scope="module")
def image(image_script):
    return image_script["make"]()


def hours(text):
    number, unit = text.split()
    assert unit == "h"
    return float(number)


def test_electrode_is_what_the_readme_says(image_script, image):
    assert image.shape == (100, 300)  # 10 um wide, 30 um thick
    shares = np.bincount(image.ravel()) / image.size
    assert shares == pytest.approx([0.310, 0.413, 0.277], abs=5e-3)
    assert np.array_equal(image_script["make"](), image)
    electrolyte, silicon = image == 0, image == 2
    for axis in (0, 1):  # the case has no interface between the two
        moved = np.diff(np.where(electrolyte, 1, np.where(silicon, -1, 0)), axis=axis)
        assert np.abs(moved).max() == 1


def test_currents_charge_to_the_depths_and_take_the_same_out_again(image_script, image):
    """x at the end of charge from the amount of charge, without solving: the depth times 3.75."""
    text = tomllib.loads((FOLDER / "case.toml").read_text())
    course = text["faces"]["x_min"]["current_density"]
    into, rest, out = (float(value.split()[0]) for value in course["values"])
    assert (into, rest) == (-out, 0.0)
    assert into == pytest.approx(image_script["current_density"](image, 5.0), rel=1e-3)
    variants = {one["name"]: one for one in text["sweep"]["list"]}
    for name in ("70", "80", "90", "100"):
        times = variants[name].get("faces.x_min.current_density.times", course["times"])
        end = variants[name].get("time.end", text["time"]["end"])
        snapshots = variants[name].get("time.snapshots", text["time"]["snapshots"])
        start, charged, rested = map(hours, times)
        assert START + (charged - start) / 5 * FULL == pytest.approx(float(name) / 100 * FULL), name
        assert hours(end) - rested == pytest.approx(charged - start), name
        assert list(map(hours, snapshots)) == [charged, rested, rested + 0.5, hours(end)], name


def test_share_above_a_level_is_that_of_many_points(rich):
    corners = np.random.default_rng(1).uniform(0.0, 1.0, (40, 3))
    corners[:2] = [[0.7, 0.7, 0.9], [0.5, 0.5, 0.5]]
    a, b = np.meshgrid(*[(np.arange(700) + 0.5) / 700] * 2)
    inside = a + b < 1
    weights = np.stack([a[inside], b[inside], 1 - a[inside] - b[inside]])
    counted = (corners @ weights > 0.6).mean(axis=1)
    assert rich["above"](corners, 0.6) == pytest.approx(counted, abs=3e-3)


@pytest.fixture(scope="module")
def table(rich, image_script, image, tmp_path_factory):
    """Rows of rich.csv for charges to 70 and 90 %, by case and region."""
    folder = tmp_path_factory.mktemp("depth-of-discharge")
    image_script["write"](folder / "electrode.tif", image)
    (folder / "case.toml").write_text((FOLDER / "case.toml").read_text())
    case, found = ml.load_case(folder / "case.toml").with_(COARSE), {}
    variants = {one.pop("name"): one for one in tomllib.loads((FOLDER / "case.toml").read_text())["sweep"]["list"]}
    for name in ("70", "90"):
        result = ml.run(case.with_(variants[name]))
        assert abs(result.summary["mass_balance"]["imbalance"]) < 1e-8
        result.write(folder / name)
        found |= {(name, row["region"]): row for row in rich["rows"](name, result, folder / name)}
    return found


def test_depths_are_reached_and_undone(table):
    for name in ("70", "90"):
        row = table[name, "silicon"]
        assert row["x_charge"] == pytest.approx(float(name) / 100 * FULL, abs=5e-3)
        assert row["x_rest"] == pytest.approx(row["x_charge"], abs=5e-3)
        assert row["x_discharge"] == pytest.approx(START, abs=5e-3)


def test_rich_silicon_forms_at_the_separator_first_and_goes_with_the_discharge(table):
    slices = [table["90", f"depth_{i + 1}"] for i in range(5)]
    first = [row["first_h"] for row in slices]
    assert first[0] + 0.05 < first[1] < first[2] < min(first[3:])
    assert max(first) < 2.5
    beyond = [row["beyond_charge"] for row in slices]
    assert beyond[0] > 0.35
    assert beyond[0] > beyond[1] > beyond[2] > max(beyond[3:])
    assert max(beyond[3:]) < 0.1
    assert all(row["beyond_half_hour"] == row["beyond_discharge"] == 0.0 for row in slices)
    # The separator's side gave more than it had taken
    assert slices[0]["x_discharge"] < START - 0.02 < START + 0.02 < slices[4]["x_discharge"]


def test_nothing_is_rich_at_70_percent(table):
    assert all(np.isnan(table["70", f"depth_{i + 1}"]["first_h"]) for i in range(5))
