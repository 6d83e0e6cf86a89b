"""Regions that are limited to one phase: what of a box, a shell or drawn pixels lies in it, and refusals."""

import numpy as np
import pytest
import tifffile
from made_cases import COMM, PORE, SEI, transport, write_case

from microlith.imaging.errors import InputError
from microlith.imaging.parallel.collective import on_first_rank
from microlith.workflow.case.read import load_case
from microlith.workflow.prepare import assemble

PHASES = PORE + SEI + transport("si", 2, "1e-14 m^2/s")
LIMITED = """
[regions.boxed]
box = { x = ["15 nm", "75 nm"] }
in_phase = "si"
[regions.drawn]
labels = "drawn.tif"
in_phase = "si"
[regions.near]
shell = { around = "pore", distance = "25 nm" }
in_phase = "sei"
"""


def image():
    """Pixels of 10 nm: pore for x < 20 nm, SEI up to 50 nm, silicon up to 100 nm."""
    labels = np.ones((6, 10), np.uint8)
    labels[:, :2], labels[:, 5:] = 0, 2
    return labels


def made(folder, regions):
    drawn = np.zeros((6, 10), np.uint8)
    drawn[2:4, 3:8] = 1
    folder.mkdir(exist_ok=True)
    tifffile.imwrite(folder / "drawn.tif", drawn)
    return write_case(folder, image(), phases=PHASES, mesh="", regions=regions)


@pytest.mark.mpi
def test_what_of_a_region_lies_in_a_phase(tmp_path_factory):
    folder = on_first_rank(COMM, lambda: tmp_path_factory.mktemp("limited"))
    path = on_first_rank(COMM, lambda: made(folder, LIMITED))
    means = assemble.prepared(load_case(path)).means
    areas = {"boxed": 25 * 60, "drawn_1": 30 * 20, "near": 25 * 60}  # nm^2
    assert list(means) == list(areas)
    for name, area in areas.items():
        bound = 2e-2 if name == "drawn_1" else 1e-3  # six pixels: their ragged edge costs 0.7 % without a phase, too
        assert means[name].solved_measure == pytest.approx(area * 1e-18, rel=bound, abs=0), name
        assert means[name].solved_share == 1.0, name
        inside = 1 if name == "near" else 2
        assert means[name].phase_shares[inside] == pytest.approx(1.0, abs=1e-12), name


@pytest.mark.mpi
@pytest.mark.parametrize(
    ("region", "words"),
    [
        ('box = { x = ["0 nm", "40 nm"] }\nin_phase = "si"', "no point of si"),
        ('shell = { around = "pore", distance = "10 nm" }\nin_phase = "si"', "no si is within 10 nm of pore"),
        ('labels = "drawn.tif"\nin_phase = "pore"', "not solved for"),
    ],
    ids=["box", "shell", "labels"],
)
def test_a_phase_that_a_region_misses_is_told(tmp_path_factory, region, words):
    folder = on_first_rank(COMM, lambda: tmp_path_factory.mktemp("missed"))
    path = on_first_rank(COMM, lambda: made(folder, f"\n[regions.r]\n{region}\n"))
    with pytest.raises(InputError, match=words):
        assemble.prepared(load_case(path))
