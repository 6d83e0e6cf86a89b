"""Runs that end early and go on: to the same curves to the last bit, on another number of ranks to rounding."""

import json
import shutil
import signal

import numpy as np
import pytest
from made_cases import MESH, PHASES, TIME, electrode, write_case

from mpi4py import MPI

from microlith.imaging.errors import InputError
from microlith.imaging.parallel.collective import on_first_rank
from microlith.workflow.case.read import load_case
from microlith.workflow.checkpoints import files
from microlith.workflow.checkpoints.checkpoints import Checkpoints, folder_of
from microlith.workflow.checkpoints.signals import Stopped
from microlith.workflow.results.csv_file import COMMENT_LINES
from microlith.workflow.run import pipeline

COMM = MPI.COMM_WORLD
COARSE = MESH.replace("15 nm", "30 nm")
SHORT = TIME.replace('"0 s", "2 s", "20 s"', "").replace("1e-4", "1e-3")
OFTEN = '\n[run]\ncheckpoint = "1 us"\n'
# A rate of transfer that jumps: several matrices, and stretches of time one after the other
VARIED = """
[faces.x_max]
concentration = "500 mol/m^3"
mass_transfer = { times = ["0 s", "5 s"], values = ["1e-8 m/s", "3e-8 m/s"], interpolation = "step" }
"""
NONLINEAR = PHASES.replace('"2e-14 m^2/s"', '{ expression = "D0 * (1 + c / c0)", D0 = "2e-14 m^2/s", c0 = "1 mol/L" }')
LINEAR = '[mesh]\nmethod = "lattice"\ndegree = 1\ncorrect = true\n'

FILLING = (
    NONLINEAR[: NONLINEAR.index("[phases.particle]")]
    + '[phases.particle]\nlabel = 2\nrole = "sink"\nuptake = { rate = "1e-7 m/s", capacity = "10 umol/m^2" }\n'
)


class Killed(BaseException):
    """Stands for the end of a process."""


def case_of(folder, comm=COMM, more=OFTEN, **changes):
    given = {"mesh": COARSE, "time": SHORT, "phases": PHASES} | changes
    return on_first_rank(comm, lambda: write_case(folder, more=more, **given))


def run(path, comm=COMM, **options):
    pipeline.run(load_case(path), path.parent / "results", False, comm, **options)
    return table(path.parent / "results")


def table(folder):
    return np.vstack(
        [np.loadtxt(folder / f"{n}.csv", delimiter=",", skiprows=1 + COMMENT_LINES) for n in ("curves", "errors")]
    )


def ending_at(monkeypatch, moment, *, kill=False, rank=0):
    """Have the run asked to end, or ended, at the safe point of that number; how many there were."""
    count = [0]
    plain = Checkpoints.safe

    def safe(self, failed):
        count[0] += 1
        if count[0] == moment and kill:
            raise Killed
        if count[0] == moment and self._comm.rank == rank:
            self._asked.number = signal.SIGTERM
        plain(self, failed)

    monkeypatch.setattr(Checkpoints, "safe", safe)
    return count


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Curves and errors of a run that is left alone, and its safe points."""
    with pytest.MonkeyPatch.context() as patch:
        count = ending_at(patch, -1)
        found = run(case_of(tmp_path_factory.mktemp("whole"), MPI.COMM_SELF), MPI.COMM_SELF)
    return found, count[0]


@pytest.mark.parametrize(("share", "kill"), [(0.0, False), (0.5, True), (0.95, False)])
def test_a_run_that_ends_early_goes_on_to_the_same_curves(tmp_path, monkeypatch, whole, share, kill):
    expected, points = whole
    path = case_of(tmp_path, MPI.COMM_SELF)
    with monkeypatch.context() as patch:
        count = ending_at(patch, 3 + int(share * (points - 4)), kill=kill)
        with pytest.raises(Killed if kill else Stopped) as ended:
            run(path, MPI.COMM_SELF)
    assert kill or (ended.value.code == 75 and "--resume" in ended.value.sentence)
    assert not (tmp_path / "results").exists(), "nothing is half-written"
    with monkeypatch.context() as patch:
        again = ending_at(patch, -1)
        found = run(path, MPI.COMM_SELF, resume=True)
    assert abs(found - expected).max() == 0.0
    assert again[0] < points - count[0] + 8, "what was found before is not found again"
    assert not folder_of(tmp_path / "results").exists()


def test_ends_again_and_again(tmp_path, monkeypatch, whole):
    """Each process gets a few steps further than the one before it."""
    path = case_of(tmp_path, MPI.COMM_SELF)
    for turn in range(2):
        with monkeypatch.context() as patch:
            ending_at(patch, 6, kill=turn % 2 == 1)
            with pytest.raises((Killed, Stopped)):
                run(path, MPI.COMM_SELF, resume=True)
    assert abs(run(path, MPI.COMM_SELF, resume=True) - whole[0]).max() == 0.0


def test_a_signal_during_the_first_stages(tmp_path, monkeypatch):
    """Before there is a mesh nothing is kept, and the sentence says so."""
    path = case_of(tmp_path, MPI.COMM_SELF)
    with monkeypatch.context() as patch:
        ending_at(patch, 1)
        with pytest.raises(Stopped, match="75") as ended:
            run(path, MPI.COMM_SELF)
    assert "before there was anything to keep" in ended.value.sentence
    assert [p.name for p in tmp_path.iterdir() if "results" in p.name] == []


@pytest.mark.parametrize("degree", [1, 2])
def test_step_by_step(tmp_path, monkeypatch, degree):
    """With the error in space along the steps, and from a coarser mesh, and that by areas along the steps.

    A law of the diffusivity and a sink that fills up: the same steps, matrices and curves; another end says so.
    """
    moment = 20
    more = OFTEN.replace("1 us", "1 h")
    folders = [tmp_path / name for name in ("whole", "part")]
    mesh = COARSE + f"degree = {degree}\n"
    whole, part = (case_of(folder, MPI.COMM_SELF, more=more, phases=FILLING, mesh=mesh) for folder in folders)
    with monkeypatch.context() as patch:
        points = ending_at(patch, -1)
        expected = run(whole, MPI.COMM_SELF)
    with monkeypatch.context() as patch:
        ending_at(patch, moment)
        with pytest.raises(Stopped):
            run(part, MPI.COMM_SELF)
    with monkeypatch.context() as patch:
        again = ending_at(patch, -1)
        assert abs(run(part, MPI.COMM_SELF, resume=True) - expected).max() <= 1e-10 * 1000
    assert again[0] < points[0] - moment + 8
    told = [json.loads((folder / "results" / "summary.json").read_text()) for folder in folders]
    assert told[0]["checks"] == told[1]["checks"]
    assert [("recovered gradients" in str(one["error"]["space"])) for one in told] == [degree == 1] * 2
    assert [area["image_error_length_m"] > 0.0 for area in told[0]["surface_areas"]] == [True]  # of the sink


@pytest.mark.mpi
def test_goes_on_on_all_ranks_and_on_one(tmp_path_factory, monkeypatch, whole):
    """The signal reaches one rank only; in stretches of time with their own matrices."""
    folder = on_first_rank(COMM, lambda: tmp_path_factory.mktemp("ranks"))
    expected = run(case_of(folder / "whole", more=OFTEN + VARIED))
    paths = [case_of(folder / name, more=OFTEN + VARIED) for name in ("same", "other")]
    for path in paths:
        with monkeypatch.context() as patch:
            ending_at(patch, 25, rank=COMM.size - 1)
            with pytest.raises(Stopped):
                run(path)
    assert abs(run(paths[0], resume=True) - expected).max() <= 1e-10 * 1000
    if COMM.rank == 0 and COMM.size > 1:
        assert abs(run(paths[1], MPI.COMM_SELF, resume=True) - expected).max() <= 1e-7 * 1000


@pytest.mark.mpi
def test_a_sink_that_fills_goes_on_on_as_many_ranks_only(tmp_path_factory, monkeypatch):
    """What is in it belongs to the facets of a rank; before the first step it is empty, and any number does."""
    folder = on_first_rank(COMM, lambda: tmp_path_factory.mktemp("sinks"))
    for moment, refused in ((2, False), (5, True)):
        path = case_of(folder / f"{moment}", phases=FILLING, time=SHORT.replace("1e-3", "1e-2"), regions="")
        with monkeypatch.context() as patch:
            ending_at(patch, moment)
            with pytest.raises(Stopped):
                run(path)
        if COMM.rank or COMM.size == 1:
            continue
        with monkeypatch.context() as patch:
            ending_at(patch, 4)
            with pytest.raises(InputError if refused else Stopped) as ended:
                run(path, MPI.COMM_SELF, resume=True)
        if refused:
            assert f"on as many ranks as before, {COMM.size}; take these" in str(ended.value)


@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
    """A case with a checkpoint."""
    path = case_of(tmp_path_factory.mktemp("stopped"), MPI.COMM_SELF)
    with pytest.MonkeyPatch.context() as patch:
        ending_at(patch, 12)
        with pytest.raises(Stopped):
            run(path, MPI.COMM_SELF)
    return path.parent


def test_a_checkpoint_of_another_case_is_refused(tmp_path, stopped, monkeypatch):
    shutil.copytree(stopped, tmp_path, dirs_exist_ok=True)
    path = tmp_path / "case.toml"
    text = path.read_text()
    for old, new, words in (
        ('end = "20 s"', 'end = "21 s"', "[time] is not as in"),
        ('"2e-14 m^2/s"', '"3e-14 m^2/s"', "[phases] is not as in"),
        ('particle = "30 nm"', 'particle = "35 nm"', "[mesh] is not as in"),
    ):
        path.write_text(text.replace(old, new))
        refused(path, f"a checkpoint of another case: {words}")
    path.write_text(text.replace("Small case", "Another title"))
    import tifffile

    tifffile.imwrite(tmp_path / "image.tif", np.where(np.arange(60) < 6, 0, electrode()).astype(np.uint8))
    refused(path, "a checkpoint of another image")
    with monkeypatch.context() as patch:
        patch.setattr("microlith.workflow.checkpoints.checkpoints.version", lambda _: "9.9")
        refused(path, "and this is 9.9")


def refused(path, words):
    with pytest.raises(InputError) as error:
        run(path, MPI.COMM_SELF, resume=True)
    assert words in str(error.value)
    assert len(error.value.sentences) == 1
    assert any((folder_of(path.parent / "results") / slot).exists() for slot in files.SLOTS), "it is still there"


def test_damaged_bytes_are_refused_and_the_one_before_is_taken(tmp_path, stopped, whole, caplog):
    shutil.copytree(stopped, tmp_path, dirs_exist_ok=True)
    path, folder = tmp_path / "case.toml", folder_of(tmp_path / "results")
    lists = [files.read_listing(folder / slot) for slot in files.SLOTS]
    newest = folder / files.SLOTS[max(one.number for one in lists) % 2]
    kept = {p: p.read_bytes() for p in folder.iterdir()}
    common = {part.name for part in lists[0].parts}
    for name in sorted(common):  # what both lists name
        flipped(folder / name, 100)
        refused(path, "is damaged")
        (folder / name).write_bytes(kept[folder / name])
    flipped(newest, 200)
    with caplog.at_level("WARNING", logger="microlith"):
        assert abs(run(path, MPI.COMM_SELF, resume=True) - whole[0]).max() == 0.0
    assert "going on from the checkpoint before it" in caplog.text


def flipped(path, place):
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


def test_lists_are_whole_and_take_turns(stopped):
    folder = folder_of(stopped / "results")
    numbers = sorted(files.read_listing(folder / slot).number for slot in files.SLOTS)
    assert numbers[1] == numbers[0] + 1
    assert json.loads((folder / files.SLOTS[0]).read_text())["format"] == files.FORMAT
    assert not list(folder.glob(".*")), "no temporary file is left"


def test_without_a_checkpoint_resume_starts_anew(tmp_path, caplog, whole):
    path = case_of(tmp_path, MPI.COMM_SELF, more="")
    with caplog.at_level("INFO", logger="microlith"):
        assert abs(run(path, MPI.COMM_SELF, resume=True) - whole[0]).max() == 0.0
    assert "the run starts from the beginning" in caplog.text


@pytest.mark.mpi
def test_a_periodic_run_goes_on_on_one_rank(tmp_path_factory, monkeypatch):
    """Unknowns on periodic faces are at one of two places, which depends on the ranks; corrected curves."""
    folder = on_first_rank(COMM, lambda: tmp_path_factory.mktemp("periodic"))
    phases = PHASES.replace('role = "barrier"', 'role = "transport"\ndiffusivity = "1e-14 m^2/s"')
    more = OFTEN + '[faces]\nx = "periodic"\ny = "periodic"\n'
    image = np.roll(electrode(), (7, 13), (0, 1))[::3, ::3]
    given = {
        "more": more,
        "phases": phases,
        "image": image,
        "mesh": LINEAR,
        "regions": "",
    }
    paths = [case_of(folder / name, **given) for name in ("a", "b")]
    expected = run(paths[0])
    with monkeypatch.context() as patch:
        ending_at(patch, 20, rank=COMM.size - 1)
        with pytest.raises(Stopped):
            run(paths[1])
    if COMM.rank == 0:
        assert abs(run(paths[1], MPI.COMM_SELF, resume=True) - expected).max() <= 1e-7 * 1000


def test_an_estimate_that_does_not_begin_leaves_checkpoints_to_the_run(tmp_path, caplog):
    """A coarser mesh that loses a region says nothing of the error in space; the run has its results all the same."""
    image = np.ones((5, 3, 12), np.uint8)
    image[:, :, 0], image[2, 1, 6] = 0, 2
    path = case_of(
        tmp_path, MPI.COMM_SELF, image=image, mesh='[mesh]\nmethod = "lattice"\ndegree = 2\n',
        regions='[regions.shell]\nshell = { around = "particle", distance = "20 nm" }\n',
    )  # fmt: skip
    assert run(path, MPI.COMM_SELF).size
    said = [record.getMessage() for record in caplog.records]
    assert any("no part of it lies in a solved phase" in sentence for sentence in said)
    assert not folder_of(tmp_path / "results").exists()
