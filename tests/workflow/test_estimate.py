"""Estimates of what runs take: what they depend on, what is printed, what is refused.

How near they come is measured by benchmarks/estimate.py.
"""

import json
import time
from dataclasses import replace

import numpy as np
import pytest
from made_cases import PHASES, PORE, SEI, barrier, run_case, transport, write_case

from mpi4py import MPI

from microlith.imaging.errors import InputError
from microlith.imaging.image.volume import LabelVolume, Portion
from microlith.meshing.fitted import mesher
from microlith.solver.transient import solve
from microlith.workflow import cli
from microlith.workflow.case.read import load_case
from microlith.workflow.estimate import costs, excerpt, trial
from microlith.workflow.estimate.estimate import estimate, estimates, expected_run
from microlith.workflow.estimate.model import work
from microlith.workflow.estimate.size import interface_faces
from microlith.workflow.estimate.told import as_data, count_text, short_form, size_text, time_text
from microlith.workflow.prepare.assemble import check

LAW = '[phases.sei]\nlabel = 1\nrole = "transport"\ndiffusivity = { concentrations = ["0 mol/L", "1 mol/L"], values = '
LAW += '["1e-14 m^2/s", "2e-14 m^2/s"] }\n'


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """Estimates of the small case on 1, 2 and 16 ranks, and the summary of its run."""
    path = write_case(tmp_path_factory.mktemp("small"))
    told = estimates(load_case(path), (1, 2, 16))
    return path, told, json.loads((run_case(path) / "summary.json").read_text())


def test_a_run_takes_about_what_was_estimated(found):
    """Within 1.5."""
    path, (one, *_), summary = found
    assert one.cells == pytest.approx(summary["cells"], rel=0.5)
    assert one.unknowns == pytest.approx(summary["unknowns"], rel=0.5)
    assert summary["solver"]["solves"] / 1.5 <= one.solves <= 1.5 * summary["solver"]["solves"]
    assert (one.method, one.degree, one.linear) == ("fitted", 2, summary["solver"]["method"])
    size = sum(file.stat().st_size for file in (path.parent / "results").rglob("*") if file.is_file())
    assert size / 1.5 < one.disk < 1.5 * size


def test_a_summary_tells_the_cpu_time_of_all_and_of_the_stages(found):
    summary = found[2]
    assert set(summary["cpu_timings_s"]) == set(summary["timings_s"])
    assert 0 < sum(summary["cpu_timings_s"].values()) < summary["cpu_s"]


def test_a_summary_tells_the_cpu_time_of_its_own_case_only(found):
    """One process may run many cases, as sweeps do: what it took before does not count."""
    before = time.process_time()
    summary = json.loads((run_case(found[0], found[0].parent / "again") / "summary.json").read_text())
    assert summary["cpu_s"] < time.process_time() - before


def test_more_ranks_hold_more_together_and_no_more_each(found):
    one, two, many = found[1]
    assert one.memory_per_rank == one.memory
    assert one.memory < two.memory < many.memory
    assert one.memory_per_rank >= two.memory_per_rank >= many.memory_per_rank
    assert one.cpu_seconds == many.cpu_seconds
    assert one.wall_seconds > two.wall_seconds > many.wall_seconds > 0


def test_no_mesh_is_made(found, monkeypatch):
    for name in ("fitted.mesher.fitted_mesh", "lattice.mesher.lattice_mesh"):
        monkeypatch.setattr(f"microlith.meshing.{name}", None)
    assert estimate(load_case(found[0])) == found[1][0]


def test_what_is_asked_for_changes_the_estimate(tmp_path):
    usual = load_case(write_case(tmp_path))
    one = estimate(usual)
    coarse = estimate(replace(usual, mesh=replace(usual.mesh, size_factor=2.0)))
    assert coarse.cells < 0.5 * one.cells
    assert coarse.memory <= one.memory
    linear = estimate(replace(usual, degree=1))
    assert linear.cells == one.cells
    assert linear.unknowns < 0.4 * one.unknowns
    loose = estimate(replace(usual, time=replace(usual.time, tolerance=1e-2, snapshots=())))
    assert loose.solves < one.solves
    assert loose.disk < one.disk
    alone = estimate(replace(usual, mesh=replace(usual.mesh, estimate=False)))
    assert alone.cpu_seconds < one.cpu_seconds
    stepped = estimate(load_case(write_case(tmp_path / "law", phases=usual_phases(LAW))))
    assert stepped.stepped
    assert stepped.solves > one.solves
    assert not one.stepped


def usual_phases(medium):
    return (
        '[phases.pore]\nlabel = 0\nrole = "source"\nconcentration = "1 mol/L"\n'
        + medium
        + '[phases.particle]\nlabel = 2\nrole = "barrier"\n'
    )


@pytest.mark.parametrize("shape", [(24, 30), (10, 12, 11)])
def test_cubes_and_squares_are_counted(tmp_path, shape):
    image = np.ones(shape, np.uint8)
    image[:3] = 0
    time = '[time]\nend = "1 s"\n'
    image[-1, -1] = 2
    mesh = '[mesh]\nmethod = "voxel"\ndegree = 1\n'
    phases = usual_phases(transport("sei", 1, "1e-14 m^2/s"))
    case = load_case(write_case(tmp_path, image, phases=phases, mesh=mesh, time=time, regions=""))
    assert estimate(case).cells == (image == 1).sum()
    assert estimate(case).meshed_cells > (image == 1).sum()  # with those that share a face with one


def test_the_command_prints_a_table_or_data(found, capsys):
    path, told, _ = found
    assert cli.main(["estimate", str(path), "--ranks", "1,2,16"]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    for words in (f"{count_text(told[0].unknowns)} of degree 2", size_text(told[2].memory), "Times are those of"):
        assert words in printed
    assert cli.main(["estimate", str(path), "--json", "--ranks", "2"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data == json.loads(json.dumps(as_data([told[1]])))
    assert data["on"][0]["memory_per_rank_bytes"] == told[1].memory_per_rank
    assert cli.main(["check", str(path)]) == 0
    assert short_form(told[0]) in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("ranks", ["0,x", "", "1,,2", "-1", "1.5", "99999999999"])
def test_ranks_that_are_none_are_refused(found, ranks, capsys):
    with pytest.raises(SystemExit) as caught:
        cli.main(["estimate", str(found[0]), "--ranks", ranks])
    assert caught.value.code == 2
    assert "expected whole numbers from 1 to 10,000,000 with commas between them" in capsys.readouterr().err


def test_a_case_without_its_image_is_refused(tmp_path, capsys):
    path = write_case(tmp_path)
    (tmp_path / "image.tif").unlink()
    assert cli.main(["estimate", str(path)]) == 2
    assert "image.tif" in capsys.readouterr().err
    with pytest.raises(InputError):
        estimate(load_case(path))


def test_figures_have_two_digits():
    assert [size_text(n) for n in (0, 999, 1234, 999_999, 1.26e9)] == ["0 B", "1 kB", "1.2 kB", "1 MB", "1.3 GB"]
    assert [time_text(s) for s in (0.2, 17, 89, 91, 5399, 5500, 3e5)] == [
        "1 s",
        "17 s",
        "89 s",
        "1.5 min",
        "90 min",
        "1.5 h",
        "3.5 days",
    ]
    assert [count_text(n) for n in (7, 212_345, 1_960_000)] == ["7", "210,000", "2,000,000"]


def solver_of(path):
    return json.loads((run_case(path, comm=MPI.COMM_SELF) / "summary.json").read_text())["solver"]


BRIEF = '[time]\nend = "20 s"\ntolerance = 1e-3\n'
FACE = '[faces]\nx_min = { flux = "1e-6 mol/(m^2 s)" }\n'
KINDS = {
    "held": (PHASES, ""),
    "law": (usual_phases(LAW), ""),
    "cycle": (
        usual_phases(SEI)
        + FACE.replace(
            '"1e-6 mol/(m^2 s)"',
            '{ times = ["0 s", "5 s"], '
            'values = ["1e-6 mol/(m^2 s)", "-1e-6 mol/(m^2 s)"], interpolation = "step", period = "10 s" }',
        ),
        "",
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_solves_are_counted_on_a_few_cells(tmp_path, monkeypatch, kind):
    """Within 1.5, on the whole image as on two excerpts of it that have a sixth of its pixels."""
    phases, more = KINDS[kind]
    path = write_case(tmp_path, phases=phases, mesh="[mesh]\ndegree = 1\nestimate = false\n", time=BRIEF, more=more)
    solver = solver_of(path)
    solves = solver["solves"]
    found = check(load_case(path))
    for few in (False, True):
        if few:
            monkeypatch.setattr(trial, "MOST_CELLS", {(2, 1): 400})
            monkeypatch.setattr(trial, "MOST_STEPPED", {(2, 1): 400})
        expected = expected_run(found).solves
        assert expected.counted
        assert expected.stepped == (kind == "law")
        assert solves / 1.5 <= expected.number <= 1.5 * solves
        set_ups = solver.get("set_ups", 0)
        assert set_ups / 1.5 <= expected.set_ups <= 1.5 * set_ups


def test_what_is_not_counted_is_told_by_the_rule(tmp_path, monkeypatch):
    """A trial that fails is no reason to have no estimate; one that takes long is believed to go on as it began."""
    path = write_case(tmp_path, phases=usual_phases(LAW), mesh="[mesh]\ndegree = 1\n", time=BRIEF)
    found = check(load_case(path))
    counted = expected_run(found).solves
    monkeypatch.setattr(trial, "MOST_ITERATIONS", 200)
    longer = expected_run(found).solves
    assert counted.counted
    assert longer.counted
    assert counted.number > 300
    assert counted.number / 1.5 < longer.number < 1.5 * counted.number
    unsolvable = replace(found.case, solver=replace(found.case.solver, max_steps=1))
    rule = expected_run(replace(found, case=unsolvable)).solves
    assert not rule.counted
    assert rule.number > 100


@pytest.mark.parametrize("error", [MemoryError("no room"), RuntimeError("PETSc"), ZeroDivisionError()])
@pytest.mark.parametrize("phases", [PHASES, usual_phases(LAW)], ids=["linear", "law"])
def test_a_case_can_be_checked_whatever_happens_in_a_trial(tmp_path, monkeypatch, capsys, phases, error):
    def fails(*_, **__):
        raise error

    for name in ("solve", "evolve"):
        monkeypatch.setattr(trial, name, fails)
    path = write_case(tmp_path, phases=phases)
    assert not expected_run(check(load_case(path))).solves.counted
    assert cli.main(["check", str(path)]) == 0
    assert "A run takes about" in capsys.readouterr().out


@pytest.mark.parametrize("face", ['x_min]\nflux = "1e-5 mol/(m^2 s)"', 'y_max]\ncurrent_density = "1 A/m^2"'])
def test_fluxes_fill_a_part_as_fast_as_the_whole(tmp_path, monkeypatch, face):
    """A part that is less deep would else come to concentrations for which no law is given."""
    means = []

    def recorded(problem, *rest, **options):
        found = solve(problem, *rest, **options)
        held = problem.amount.sum() * problem.scales.amount(2) / problem.scales.concentration
        means.append(found.balance.stored_change / held)  # mol/m^3
        return found

    monkeypatch.setattr(trial, "solve", recorded)
    monkeypatch.setattr(trial, "MOST_STEPPED", {(2, 1): 300})
    mesh = '[mesh]\nmethod = "voxel"\ndegree = 1\n'
    image = np.ones((90, 100), np.uint8)
    path = write_case(tmp_path, image, phases=LAW, mesh=mesh, time=BRIEF, regions="", more=f"[faces.{face}\n")
    assert expected_run(check(load_case(path))).solves.counted
    whole, part = means
    assert whole > 0
    assert part == pytest.approx(whole, rel=0.03)


def volume_of(image, voxel_size=None):
    return LabelVolume(
        image.shape,
        ("a", "b", "c"),
        voxel_size or (1e-9,) * image.ndim,
        tuple(np.bincount(image.ravel(), minlength=3)),
        image.shape,
        lambda window: Portion(image[tuple(slice(*span) for span in window)], window),
    )


def test_an_excerpt_shows_what_the_image_has():
    """The whole one all phases in about their shares, a part that where sources meet what is solved."""
    image = np.ones((6, 90, 120), np.uint8)
    image[:, :, 100:] = 2
    image[:, 60:, 70:80] = 0
    volume = volume_of(image, (2e-9, 1e-9, 1e-9))
    whole = excerpt.whole(volume, 1.0, 1500)
    assert np.prod(whole.shape) == pytest.approx(1500, rel=0.5)
    assert np.divide(whole.counts, sum(whole.counts)) == pytest.approx(np.divide(volume.counts, image.size), abs=0.02)
    assert whole.extent == pytest.approx(volume.extent)
    assert excerpt.whole(volume, 1.0, 10**9).shape == (12, 90, 120)  # as fine as the mesh, and no finer
    part = excerpt.part(volume, 1.0, 4000, [1], [0])
    assert part.voxel_size == pytest.approx((1e-9,) * 3)
    assert part.counts[0] > 0
    assert part.counts[1] > 0


@pytest.mark.parametrize("shape", [(30, 40), (16, 30, 40)])
def test_faces_between_phases_are_counted(shape):
    """All of a small image; of a volume those of some layers stand for the rest."""
    image = np.zeros(shape, np.uint8)
    image[..., 10:20, 10:25] = 1
    faces = 2 * (10 + 15) * (1 if len(shape) == 2 else 16)
    counted = interface_faces(volume_of(image))
    assert counted == (faces if len(shape) == 2 else 1.5 * faces)


def test_a_mesh_that_is_there_is_counted(tmp_path, monkeypatch):
    """Sizes that the case file leaves out are those of the mesh; it is read, which takes less time than to make it."""
    sizes = 'size = { particle = "30 nm" }\n'
    path = write_case(tmp_path, mesh="[mesh]\n" + sizes)
    made = expected_run(check(load_case(path)))
    assert cli.main(["-q", "mesh", str(path), "-o", str(tmp_path / "mesh.vtkhdf")]) == 0
    path.write_text(path.read_text().replace(sizes, 'file = "mesh.vtkhdf"\n'))
    there = expected_run(check(load_case(path)))
    assert there.read
    assert there.other.read
    assert work(there).alone < work(made).alone
    summary = json.loads((run_case(path, comm=MPI.COMM_SELF) / "summary.json").read_text())
    assert there.mesh.solved == summary["cells"]
    assert there.unknowns == pytest.approx(summary["unknowns"], rel=0.03)
    assert there.other.mesh.solved == summary["error"]["space"]["cells"]


def test_solves_are_counted_on_the_mesh_of_another_program(tmp_path, monkeypatch):
    """Squares in its place have stairs, which ask for more of them."""
    monkeypatch.setattr("microlith.workflow.storage.foreign_mesh.VOXELS", {2: 4_000})
    image = np.ones((40, 40), np.uint8)
    image[np.hypot(*(np.indices(image.shape) - 19.5)) > 12] = 0
    held = PORE + transport("sei", 1, "1e-14 m^2/s")
    path = write_case(tmp_path, image, phases=held, mesh="[mesh]\n", time=BRIEF, regions="")
    assert cli.main(["-q", "mesh", str(path), "-o", str(tmp_path / "mesh.vtu")]) == 0
    foreign = '[mesh]\nfile = "mesh.vtu"\nunit = "1 um"\n'
    text = path.read_text().replace("[mesh]\n", foreign)
    path.write_text(text[: text.index("[image]")] + text[text.index("[phases") :])
    expected = expected_run(check(load_case(path)))
    assert expected.solves.number == solver_of(path)["solves"]
    assert expected.foreign
    assert expected.read
    monkeypatch.setattr(trial, "OWN", {2: 0})
    assert expected_run(check(load_case(path))).solves.number != expected.solves.number


SHORT = '[time]\nend = "2 s"\ntolerance = 1e-2\nsnapshots = []\n'
ROUGH = "[mesh]\n"
STEP = '{ times = ["0 s", "1 s"], values = ["1e-7 m/s", "1e-8 m/s"], interpolation = "step" }'
RAMP = STEP.replace(', interpolation = "step"', "")
FULL = '[phases.particle]\nlabel = 2\nrole = "sink"\nuptake = { rate = "1e-8 m/s", capacity = "1e-6 mol/m^2" }\n'
CHARGED = PORE.replace('"1000 mol/m^3"', '{ times = ["0 s", "1 s"], values = ["0 mol/m^3", "1000 mol/m^3"] }')
TRANSFER = PORE + "mass_transfer = "
LOST = SEI + 'porosity = 0.5\ndecay = "0.1 1/s"\n'
OTHER = transport("particle", 2, "1e-15 m^2/s") + '[[interfaces]]\nbetween = ["sei", "particle"]\npartition = 3.0\n'


@pytest.mark.parametrize(
    ("phases", "mesh", "recovered"),
    [
        (PHASES, "degree = 1", True),
        (PHASES, "degree = 2", False),
        (PHASES, 'degree = 1\nmethod = "lattice"', True),
        (PHASES, 'degree = 1\nmethod = "voxel"', False),
        (PORE + LOST + OTHER, "degree = 1", True),
        (TRANSFER + '"1e-7 m/s"\n' + SEI + barrier("particle", 2), "degree = 1", True),
        (CHARGED + SEI + barrier("particle", 2), "degree = 1", True),
        (TRANSFER + STEP + "\n" + SEI + barrier("particle", 2), "degree = 1", False),
        (TRANSFER + RAMP + "\n" + SEI + barrier("particle", 2), "degree = 1", True),
        (PORE + SEI + FULL, "degree = 1", True),
        (usual_phases(LAW), "degree = 1", True),
        (usual_phases(LAW), "degree = 2", False),
        (usual_phases(LAW), 'degree = 1\nmethod = "voxel"', False),
    ],
)
def test_runs_tell_their_error_in_space_from_what_was_estimated(tmp_path, phases, mesh, recovered):
    path = write_case(tmp_path, phases=phases, mesh=ROUGH + mesh + "\n", time=SHORT)
    expected = expected_run(check(load_case(path)))
    summary = json.loads((run_case(path, comm=MPI.COMM_SELF) / "summary.json").read_text())
    assert expected.recovered == recovered
    assert ("recovered gradients" in str(summary["error"]["space"])) == recovered
    assert expected.solves.counted
    assert expected.solves.stepped == ("newton_iterations" in summary["solver"])


def test_meshes_are_charged_as_divided_where_they_are():
    assert costs.MANY == mesher.MANY
