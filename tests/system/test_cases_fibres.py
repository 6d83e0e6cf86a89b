"""cases/fibres: the images hold what its README says, and a network uses the silicon that pulverised fibres isolate."""

import runpy

import numpy as np
import pytest
import tifffile
from places import CASES
from scipy import ndimage

import microlith as ml

FOLDER = CASES / "fibres"
ELECTROLYTE, SILICON, VOID = 0, 1, 2
FIBRES = ("network", "pulverised")


@pytest.fixture(scope="module")
def script():
    return runpy.run_path(str(FOLDER / "make_images.py"))


@pytest.fixture(scope="module")
def images(script):
    return script["make"](5.4)


def contact(image):
    """Faces of voxels between silicon and electrolyte over all of silicon within the image."""
    met = every = 0
    for axis in range(3):
        ends = np.stack([np.delete(image, end, axis) for end in (0, -1)])
        edge = (ends == SILICON).sum(axis=0) == 1
        every += edge.sum()
        met += (edge & (ends == ELECTROLYTE).any(axis=0)).sum()
    return met / every


def test_silicon_and_electrolyte_are_40_to_60_by_weight_and_contact_is_alike(script, images):
    for name in (*FIBRES, "powder"):
        counts = np.bincount(images[name].ravel(), minlength=3)
        # 1 g of silicon fibres with 0.519 cm^3 of pores has 0.948 cm^3
        silicon = counts[SILICON] * (2.33 if name == "powder" else 1 / (1 / 2.33 + 0.519))
        assert silicon / (counts[ELECTROLYTE] * 1.9) == pytest.approx(40 / 60, rel=5e-3), name
        assert contact(images[name]) == pytest.approx(0.4, abs=0.05), name
    again = script["make"](5.4)
    assert all(np.array_equal(again[name], image) for name, image in images.items())


def test_network_is_one_piece_and_cuts_part_it(images):
    number, largest = {}, {}
    for name in FIBRES:
        pieces, number[name] = ndimage.label(images[name] == SILICON)
        largest[name] = np.bincount(pieces.ravel())[1:].max() / np.count_nonzero(pieces)
    assert largest["network"] > 0.95
    assert largest["pulverised"] < 0.1
    assert number["pulverised"] > 30


@pytest.fixture(scope="module")
def results(images, tmp_path_factory):
    """Analysis and run of network and pulverised fibres."""
    folder = tmp_path_factory.mktemp("fibres")
    for name, image in images.items():
        tifffile.imwrite(folder / f"{name}.tif", image)
    found = {}
    for name in FIBRES:
        (folder / f"{name}.toml").write_text((FOLDER / f"{name}.toml").read_text())
        case = ml.load_case(folder / f"{name}.toml").with_(
            {"time.snapshots": ["100 h"], "time.tolerance": 1e-2, "analysis.measure": ["particles"]}
        )
        found[name] = ml.analyze(case).numbers, ml.run(case)
    return found


def test_the_network_uses_silicon_that_pulverised_fibres_isolate(results):
    reached = {
        name: numbers["particle_volume_meeting.silicon+electrolyte@z_min"].value
        for name, (numbers, _) in results.items()
    }
    assert reached["network"] > 0.98
    assert reached["pulverised"] < 0.95
    for name, (_, run) in results.items():
        # In the end all is full that is joined to electrolyte, and nothing else holds lithium
        assert run.curves["silicon"][-1] / 1e3 == pytest.approx(reached[name], abs=0.01), name
    assert results["pulverised"][1].curves["without_contact"].max() == 0.0
    last = results["network"][1].curves["without_contact"]
    assert last[-1] > 950.0
    # It comes late, as it comes through other silicon
    times = results["network"][1].times
    half = {
        region: np.interp(500.0, results["network"][1].curves[region], times)
        for region in ("with_contact", "without_contact")
    }
    assert half["without_contact"] > 3 * half["with_contact"]
