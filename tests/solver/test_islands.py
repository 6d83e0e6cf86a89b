"""Parts of the solved phases that nothing feeds."""

import json
import logging

import numpy as np
import pytest
from made_cases import PHASES, curves, electrode, run_case, write_case
from made_meshes import COMM, pixels_as_triangles, rectangle

from mpi4py import MPI

from microlith.imaging.parallel.collective import on_root
from microlith.meshing.distribution.partitioned import mesh_partitioned
from microlith.meshing.mesh.phasemesh import face_tag, interface_tag
from microlith.solver.problem.islands import islands

NAMES = ("pore", "sei", "particle", "binder")
FED = {interface_tag(0, 1), interface_tag(0, 3)}
SOLVED = (1, 3)


def of_labels(labels, comm=COMM, fed=FED):
    return islands(mesh_partitioned(pixels_as_triangles(np.asarray(labels), NAMES, comm), SOLVED, comm), fed)


def pocket(labels, y, x, inside=1, wall=2):
    """A ring of wall, 5 x 5 pixels, with 3 x 3 of something inside."""
    labels[y : y + 5, x : x + 5] = wall
    labels[y + 1 : y + 4, x + 1 : x + 4] = inside


def field():
    labels = np.ones((16, 24), int)
    labels[:, 0] = 0
    return labels


@pytest.mark.mpi
def test_none():
    labels = field()
    labels[4:8, 4:8] = 2
    assert of_labels(labels) == ()


@pytest.mark.mpi
def test_one():
    labels = field()
    pocket(labels, 3, 10)
    (island,) = of_labels(labels)
    assert island.phases == ("sei",)
    assert island.measure == pytest.approx(9e-12, rel=1e-9)  # 3 x 3 pixels of 1 µm
    assert island.center == pytest.approx((12.5e-6, 5.5e-6), rel=1e-9)


@pytest.mark.mpi
def test_several_largest_first_and_of_two_phases():
    labels = field()
    pocket(labels, 1, 3)
    labels[2, 4] = 2  # one pixel less
    pocket(labels, 9, 3)
    labels[10:13, 6] = 3  # one column of the pocket is binder
    pocket(labels, 9, 16, inside=3)
    pocket(labels, 1, 16, inside=0)  # a pore in a ring is no island, and feeds nothing
    found = of_labels(labels)
    assert sorted(i.phases for i in found) == [("binder",), ("sei",), ("sei", "binder")]
    assert [i.measure for i in found] == pytest.approx([9e-12, 9e-12, 8e-12], rel=1e-9)
    assert found[-1].phases == ("sei",)


@pytest.mark.mpi
def test_a_pore_in_the_pocket_feeds_it():
    labels = field()
    pocket(labels, 3, 10)
    labels[5, 12] = 0
    assert of_labels(labels) == ()


@pytest.mark.mpi
def test_nothing_fed_at_all():
    (island,) = of_labels(field(), fed=set())
    assert island.measure == pytest.approx(16 * 23e-12, rel=1e-9)


@pytest.mark.mpi
def test_parts_that_lie_on_several_ranks():
    """Two long strips, each cut by every partition: the halves on different ranks are one part."""
    mesh = rectangle(COMM, (60, 12), (60.0, 12.0))
    assert islands(mesh, {face_tag("x_max")}) == ()
    labels = np.ones((9, 80), int)
    labels[4] = 2
    labels[:4, 0] = 0  # feeds the upper strip at its left end
    (island,) = of_labels(labels)
    assert island.measure == pytest.approx(4 * 80e-12, rel=1e-9)
    assert island.center == pytest.approx((40e-6, 7e-6), rel=1e-9)


@pytest.mark.mpi
def test_same_on_any_number_of_ranks():
    labels = np.random.default_rng(3).choice([0, 1, 2, 3], (30, 40), p=[0.02, 0.4, 0.4, 0.18])
    shared, alone = of_labels(labels), of_labels(labels, MPI.COMM_SELF)
    assert len(alone) > 10

    def plain(found):
        return sorted((round(i.measure * 1e12, 6), *(round(c * 1e6, 6) for c in i.center), *i.phases) for i in found)

    assert plain(shared) == plain(alone)


@pytest.mark.mpi
def test_a_pocket_keeps_its_initial_value(tmp_path, caplog):
    """Through the whole run: named in summary.json and in a warning, and the matrix it makes singular does no harm."""
    image = electrode()
    image[18:32, 42:56] = 2
    image[21:29, 45:53] = 1
    phases = PHASES.replace("porosity = 0.5", 'porosity = 0.5\ninitial = "250 mol/m^3"')
    regions = (
        '[regions.pocket]\nbox = { x = ["460 nm", "520 nm"], y = ["220 nm", "280 nm"] }\n[regions.sei]\nphase="sei"'
    )
    folder = COMM.bcast(tmp_path)
    on_root(COMM, write_case, folder, image, phases=phases, regions=regions)
    with caplog.at_level(logging.WARNING):
        results = run_case(folder / "case.toml")
    found = curves(results)
    assert found["pocket"] == pytest.approx(250.0, abs=1e-3)  # a hundredth of the tolerance
    assert found["sei"][-1] > 800.0
    (island,) = json.loads((results / "summary.json").read_text())["islands"]
    assert island["phases"] == ["sei"]
    assert island["area_m2"] == pytest.approx(64e-16, rel=0.02)
    assert island["center_m"] == pytest.approx([490e-9, 250e-9], rel=0.01)
    said = [r.getMessage() for r in caplog.records if "no source reaches" in r.getMessage()]
    assert said == [
        "no source reaches the part of sei around (0.49, 0.25) µm, 0.0064 µm²: it keeps its initial concentration"
    ]
