"""Parts of the solved phases that nothing feeds."""

import json
import logging
from dataclasses import replace

import numpy as np
import pytest
from made_cases import PHASES as CASE_PHASES, curves, electrode, run_case, write_case
from made_meshes import COMM, pixels_as_triangles, rectangle

from mpi4py import MPI

from microlith.imaging.parallel.collective import on_root
from microlith.meshing.distribution.partitioned import mesh_partitioned
from microlith.solver.physics.phases import FaceCondition, InterfaceLaw, PhasePhysics, Physics, Role
from microlith.solver.problem.islands import islands
from microlith.solver.problem.problem import build

NAMES = ("pore", "sei", "particle", "binder")
SOLVED = (1, 3)
PORE = PhasePhysics("pore", Role.SOURCE, concentration=1000.0)
SEI, BINDER = (PhasePhysics(name, Role.TRANSPORT, effective_diffusivity=1e-14) for name in ("sei", "binder"))
PARTICLE = PhasePhysics("particle", Role.BARRIER)
PHASES = (PORE, SEI, PARTICLE, BINDER)


def of_mesh(mesh, physics):
    problem = build(mesh, physics, 1, 1.0)
    return islands(problem.discretization, problem.system.parts, physics)


def of_labels(labels, comm=COMM, phases=PHASES, **more):
    mesh = mesh_partitioned(pixels_as_triangles(np.asarray(labels), NAMES, comm), SOLVED, comm)
    return of_mesh(mesh, Physics(phases, **more))


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
    (island,) = of_labels(field(), phases=(replace(PORE, role=Role.BARRIER), *PHASES[1:]))
    assert island.measure == pytest.approx(16 * 23e-12, rel=1e-9)


@pytest.mark.mpi
def test_what_a_face_feeds_is_no_island():
    """A face condition for one phase feeds that phase alone, and one that never passes anything feeds nothing."""
    labels = np.ones((16, 24), int)
    labels[:, 11] = 2  # a wall between two parts of SEI
    labels[:, 12:] = 3
    closed = (replace(PORE, role=Role.BARRIER), *PHASES[1:])

    def measures(face, condition):
        return [round(island.measure * 1e12) for island in of_labels(labels, phases=closed, faces={face: condition})]

    assert measures("x_min", FaceCondition(1.0)) == [192]
    assert measures("x_max", FaceCondition(1.0, phases=("binder",))) == [176]
    assert measures("x_min", FaceCondition(1.0, phases=("binder",))) == [192, 176]
    assert measures("x_min", FaceCondition(1.0, 1e-30)) == [192]
    assert measures("x_min", FaceCondition(1.0, 0.0)) == [192, 176]
    assert measures("x_min", FaceCondition(flux=0.0)) == [192, 176]


@pytest.mark.mpi
def test_what_exchange_joins_is_one_part():
    """However slow it is."""
    labels = np.ones((16, 24), int)
    labels[:, 12:] = 3
    closed = (replace(PORE, role=Role.BARRIER), *PHASES[1:])
    slow = (InterfaceLaw("sei", "binder", exchange=1e-30),)
    (island,) = of_labels(labels, phases=closed, interfaces=slow)
    assert island.phases == ("sei", "binder")


@pytest.mark.mpi
def test_where_an_island_goes():
    """Phases that start at 500 and 100 mol/m³, hold 1 to 3 in equilibrium and take up 176 and 192 µm²."""
    labels = np.ones((16, 23), int)
    labels[:, 11:] = 3
    law = (InterfaceLaw("sei", "binder", partition=3.0),)
    barrier = replace(PORE, role=Role.BARRIER)
    uneven = (barrier, replace(SEI, initial=500.0, porosity=0.5), PARTICLE, replace(BINDER, initial=100.0))
    (island,) = of_labels(labels, phases=uneven, interfaces=law)
    u = (0.5 * 176 * 500 + 192 * 100) / (0.5 * 176 + 192 * 3)
    assert island.initial == (500.0, 100.0)
    assert island.settles == pytest.approx((u, 3 * u), rel=1e-9)
    assert not island.is_even
    even = (barrier, replace(SEI, initial=100.0), PARTICLE, replace(BINDER, initial=300.0))
    (island,) = of_labels(labels, phases=even, interfaces=law)
    assert island.is_even
    assert not island.decays


@pytest.mark.mpi
def test_where_lithium_decays():
    """In one phase of the part at least, and if there is any."""
    labels = np.ones((16, 23), int)
    labels[:, 11:] = 3
    barrier = replace(PORE, role=Role.BARRIER)

    def decays(initial, sei, binder):
        some = (barrier, replace(SEI, initial=initial, decay=sei), PARTICLE, replace(BINDER, decay=binder))
        (island,) = of_labels(labels, phases=some)
        return island.decays

    assert decays(500.0, 1e-3, 0.0)
    assert decays(500.0, 0.0, 1e-3)
    assert not decays(500.0, 0.0, 0.0)
    assert not decays(0.0, 1e-3, 1e-3)


@pytest.mark.mpi
def test_a_rest_between_two_phases_cries_no_wolf(tmp_path, caplog):
    """Nothing is lost and nothing exchanged with the outside: no warning but that no source is there."""
    phases = """
[phases.a]
label = 0
role = "transport"
diffusivity = "1e-14 m^2/s"
initial = "1 mol/L"
[phases.b]
label = 1
role = "transport"
diffusivity = "1e-15 m^2/s"
"""
    folder = COMM.bcast(tmp_path)
    image = np.repeat([0, 1], 25)[None, :].repeat(8, axis=0)
    time = '[time]\nend = "1000 s"\nsnapshots = []\n'
    on_root(COMM, write_case, folder, image, phases=phases, mesh="", time=time, regions="")
    with caplog.at_level(logging.WARNING):
        results = run_case(folder / "case.toml")
    said = [r.getMessage() for r in caplog.records]
    summary = json.loads((results / "summary.json").read_text())
    assert summary["mass_balance"]["imbalance"] < 1e-6
    assert summary["regions"]["b"]["final"] == pytest.approx(500.0, abs=0.01)
    assert not summary["warnings"]
    if COMM.rank == 0:
        assert said == [
            "no source reaches the part of a and b around (0.25, 0.04) µm, 0.04 µm²: it keeps its lithium, which evens "
            "out to 500 mol/m³"
        ]


def test_a_part_of_three_phases_is_told_with_the_level_of_each(tmp_path, caplog):
    """Where a partition makes them differ: c of the third is twice that of the others."""
    names = ("a", "b", "c")
    phases = "".join(
        f'[phases.{name}]\nlabel = {i}\nrole = "transport"\ndiffusivity = "1e-14 m^2/s"\n'
        for i, name in enumerate(names)
    ).replace("label = 0\n", 'label = 0\ninitial = "2 mol/L"\n')
    more = '[[interfaces]]\nbetween = ["b", "c"]\npartition = 2\n'
    image = np.repeat([0, 1, 2], 10)[None, :].repeat(8, axis=0)
    time = '[time]\nend = "1 s"\nsnapshots = []\n'
    case = write_case(tmp_path, image, phases=phases, mesh="", time=time, regions="", more=more)
    with caplog.at_level(logging.WARNING):
        run_case(case, comm=MPI.COMM_SELF)
    (said,) = [r.getMessage() for r in caplog.records]
    assert said.startswith("no source reaches the part of a, b and c around")
    assert said.endswith("evens out to 500 mol/m³ in a, 500 mol/m³ in b and 1000 mol/m³ in c")


@pytest.mark.mpi
def test_parts_that_lie_on_several_ranks():
    """Two long strips, each cut by every partition: the halves on different ranks are one part."""
    mesh = rectangle(COMM, (60, 12), (60.0, 12.0))
    assert of_mesh(mesh, Physics((SEI,), {"x_max": FaceCondition(1.0)})) == ()
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
    phases = CASE_PHASES.replace("porosity = 0.5", 'porosity = 0.5\ninitial = "250 mol/m^3"')
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


@pytest.mark.mpi
@pytest.mark.parametrize(("regions", "warned"), [("", False), ('[regions.sei]\nphase = "sei"\n', False), (None, True)])
def test_a_single_pixel_that_no_source_reaches_is_a_note(tmp_path, caplog, regions, warned):
    """Where it is less than a thousandth of each region; of a small one it is a warning."""
    image = electrode()
    image[18:25, 42:49] = 2
    image[21, 45] = 1
    small = '[regions.pixels]\nbox = { x = ["440 nm", "470 nm"], y = ["200 nm", "230 nm"] }\n'
    folder = COMM.bcast(tmp_path)
    on_root(COMM, write_case, folder, image, phases=CASE_PHASES, regions=small if regions is None else regions)
    with caplog.at_level(logging.INFO):
        run_case(folder / "case.toml")
    (said,) = [r for r in caplog.records if "no source reaches" in r.getMessage()]
    assert (said.levelno == logging.WARNING) == warned
    assert warned or "no source reaches 1 small part, 0.0001 µm² together" in said.getMessage()
