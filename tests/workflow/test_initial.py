"""Runs that start from a snapshot of an earlier one: on its mesh, on another, on any number of ranks."""

import logging
import re

import numpy as np
import pytest
from made_cases import MESH, PHASES, curves, run_case, write_case

from mpi4py import MPI

from microlith.imaging.errors import InputError
from microlith.imaging.parallel.collective import on_first_rank
from microlith.workflow.case.read import load_case
from microlith.workflow.prepare import assemble

COMM = MPI.COMM_WORLD
FIRST = '\n[time]\nend = "4 s"\nsnapshots = ["1 s", "2 s"]\ntolerance = 1e-6\n'
THEN = '\n[time]\nend = "2 s"\ntimes = ["1 s", "2 s"]\nsnapshots = []\ntolerance = 1e-6\n'
WHOLE = '\n[time]\nend = "4 s"\ntimes = ["3 s", "4 s"]\nsnapshots = []\ntolerance = 1e-6\n'
JUMP = """
[[interfaces]]
between = ["sei", "particle"]
partition = 3.0
"""
TWO = PHASES.replace('role = "barrier"', 'role = "transport"\ndiffusivity = "1e-14 m^2/s"')


def at_start(time):
    return f'\ninitial = {{ from = "../first/results", time = "{time}" }}\n'


def case_of(folder, comm=COMM, start="", **changes):
    def write():
        path = write_case(folder, **{"mesh": MESH + "estimate = false\n", **changes})
        path.write_text(start + path.read_text())
        return path

    return on_first_rank(comm, write)


def first_of(folder, **changes):
    return run_case(case_of(folder / "first", time=FIRST, **changes))


def first_at(folder, time, **changes):
    return run_case(case_of(folder / "first", time=time, **changes))


@pytest.mark.mpi
@pytest.mark.parametrize("jump", [False, True])
def test_goes_on_as_the_whole_run(tmp_path_factory, jump):
    """2 s and then 2 s more are 4 s, also where the concentration jumps between phases."""
    folder = on_first_rank(COMM, lambda: tmp_path_factory.mktemp("start"))
    changes = {"phases": TWO, "more": JUMP} if jump else {}
    first_of(folder, **changes)
    whole = curves(run_case(case_of(folder / "whole", time=WHOLE, **changes)))
    then = curves(run_case(case_of(folder / "then", time=THEN, start=at_start("2 s"), **changes)))
    for name in ("left", "deep"):
        assert abs(whole[name] - then[name]).max() < 1e-5 * 1000, name


def test_on_another_mesh(tmp_path):
    """As far off as the two meshes are from each other."""
    first_of(tmp_path)
    whole = curves(run_case(case_of(tmp_path / "whole", time=WHOLE), comm=MPI.COMM_SELF))
    mesh = MESH.replace("15 nm", "20 nm").replace("60 nm", "40 nm") + "estimate = false\n"
    then = curves(run_case(case_of(tmp_path / "then", time=THEN, mesh=mesh, start=at_start("2 s"))))
    for name in ("left", "deep"):
        assert abs(whole[name] - then[name]).max() < 2e-3 * 1000, name


def test_refused(tmp_path):
    first_of(tmp_path)
    for change, words in (
        ({"start": at_start("3 s")}, "has snapshots at 1 s, 2 s, none at 3 s"),
        ({"start": at_start("2 s"), "phases": TWO}, "has no concentration in particle"),
        ({"start": at_start("2 s"), "voxel": "11 nm"}, "an image of another size"),
        ({"start": at_start("2 s").replace("first", "none")}, "there is no"),
        ({"start": at_start("2 s"), "phases": PHASES.replace("porosity", 'initial = "1 mol/L"\nporosity')}, "as well"),
    ):
        with pytest.raises(InputError) as error:
            assemble.prepared(load_case(case_of(tmp_path / "other", time=THEN, regions="", **change)), MPI.COMM_SELF)
        assert words in str(error.value)
        assert len(error.value.sentences) == 1
        with pytest.raises(InputError) as unmeshed:  # as before there is a mesh
            assemble.check(load_case(tmp_path / "other" / "case.toml"))
        assert str(unmeshed.value) == str(error.value)


def test_nothing_has_to_feed_it(tmp_path):
    """What is there evens out: the mean stays, to rounding."""
    first_of(tmp_path)
    closed = PHASES.replace('role = "source"\nconcentration = "1000 mol/m^3"', 'role = "barrier"')
    then = curves(run_case(case_of(tmp_path / "then", time=THEN, regions="", phases=closed, start=at_start("1 s"))))
    assert then["sei"][0] > 10
    assert np.ptp(then["sei"]) < 1e-6 * then["sei"][0]


COARSE = {
    "lattice, degree 1": 'method = "lattice"\nsize = { sei = "60 nm" }\ndegree = 1\n',
    "lattice, degree 2": 'method = "lattice"\nsize = { sei = "60 nm" }\ndegree = 2\n',
    "fitted, degree 1": 'size_max = "60 nm"\ndegree = 1\n',
    "squares": 'method = "voxel"\n',
}


@pytest.mark.parametrize("kind", COARSE)
@pytest.mark.parametrize("jump", [False, True])
def test_coarser_elements_start_with_the_same_amount(tmp_path, kind, jump):
    """Functions through the values at the nodes of coarse elements held up to 1.5 times the lithium of a thin layer."""
    early = '\n[time]\nend = "4 s"\nsnapshots = ["0.02 s"]\ntimes = ["0.02 s", "4 s"]\ntolerance = 1e-6\n'
    phases, changes = (TWO, {"more": JUMP}) if jump else (PHASES, {})
    mesh = '\n[mesh]\nsize = { sei = "5 nm" }\nestimate = false\n'
    regions = '[regions.sei]\nphase = "sei"\n'
    first = curves(first_at(tmp_path, early, phases=phases, mesh=mesh, regions=regions, **changes))["sei"][0]
    closed = phases.replace('role = "source"\nconcentration = "1000 mol/m^3"', 'role = "barrier"')
    mesh = f"\n[mesh]\n{COARSE[kind]}estimate = false\n"
    changes |= {"time": THEN.replace('"1 s"', '"1e-5 s"'), "phases": closed, "mesh": mesh, "regions": regions}
    then = curves(run_case(case_of(tmp_path / "then", start=at_start("0.02 s"), **changes)))["sei"][0]
    assert first > 10
    assert then == pytest.approx(first, rel=0.02)


@pytest.mark.parametrize(("time", "told"), [("2 s", True), ("0 s", False)])
def test_sinks_that_have_filled_are_told(tmp_path, caplog, time, told):
    """They start empty, and can take up as much once more."""
    sink = 'role = "sink"\nuptake = { rate = "1e-6 m/s", capacity = "1e-6 mol/m^2" }'
    changes = {"phases": PHASES.replace('role = "barrier"', sink)}
    first = FIRST.replace('["1 s", "2 s"]', '["0 s", "2 s"]')
    run_case(case_of(tmp_path / "first", time=first, **changes))
    caplog.clear()
    run_case(case_of(tmp_path / "then", time=THEN, start=at_start(time), **changes))
    words = [record.getMessage() for record in caplog.records if "starts empty" in record.getMessage()]
    assert len(words) == told
    if told:
        share = float(words[0].split("taken up ")[1].split(" %")[0])
        assert share == pytest.approx(100.0, abs=1.0)  # it is full within a second
        assert "particle starts empty" in words[0]


@pytest.mark.mpi
@pytest.mark.parametrize("kind", ["the same", "squares"])
def test_another_amount_at_the_start_is_told(tmp_path_factory, caplog, kind):
    """A thin layer of lithium at a pore whose side is smooth in the result and has steps in the run; as curves say."""
    folder = on_first_rank(COMM, lambda: tmp_path_factory.mktemp("start"))
    early = '\n[time]\nend = "0.0002 s"\nsnapshots = ["0.0002 s"]\ntimes = ["0.0001 s", "0.0002 s"]\ntolerance = 1e-4\n'
    mesh = '\n[mesh]\nsize = { sei = "6 nm" }\ndegree = 1\nestimate = false\n'
    regions = '[regions.sei]\nphase = "sei"\n'
    y, x = np.mgrid[0:24, 0:24] + 0.5
    image = np.where(np.hypot(x - 10, y - 10) < 7, 0, np.where(np.hypot(x - 21, y - 21) < 2, 2, 1)).astype(np.uint8)
    common = {"image": image, "regions": regions}
    first = curves(run_case(case_of(folder / "first", time=early, mesh=mesh, **common)))["sei"][-1]
    closed = PHASES.replace('role = "source"\nconcentration = "1000 mol/m^3"', 'role = "barrier"')
    mesh = mesh if kind == "the same" else '\n[mesh]\nmethod = "voxel"\ndegree = 1\nestimate = false\n'
    common |= {"time": THEN.replace("1e-6", "1e-4").replace('"1 s"', '"1e-5 s"'), "phases": closed, "mesh": mesh}
    start = at_start("0.0002 s")
    with caplog.at_level(logging.WARNING):
        then = curves(run_case(case_of(folder / "then", start=start, **common)))["sei"][0]
    said = [record.getMessage() for record in caplog.records if "lithium than it has in" in record.getMessage()]
    if kind == "the same":
        assert not said
        return
    assert abs(then / first - 1) > 0.012
    if COMM.rank == 0:
        [sentence] = said
        told = re.match(r"sei starts with (\S+) % (more|less) lithium than it has in .*first/results, as", sentence)
        assert told is not None, sentence
        share = float(told[1]) / 100 * (1 if told[2] == "more" else -1)
        assert share == pytest.approx(then / first - 1, abs=0.001)
