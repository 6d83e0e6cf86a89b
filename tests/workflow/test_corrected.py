"""Curves corrected by what recovered gradients say that they lack: from `[mesh] correct` to what is told."""

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from closed_forms import sphere_mean, two_layer_mean
from made_cases import BALL_IN_A_BATH, COMM, PORE, transport, write_case
from scipy.ndimage import gaussian_filter
from slab_case import END, REGIONS, SLAB, SPANS, filled, slab_image

from mpi4py import MPI

import microlith as ml
from microlith.imaging.errors import InputError
from microlith.imaging.parallel.collective import on_root
from microlith.solver.krylov import lacking_space
from microlith.solver.krylov.lacking_space import LackingSpace
from microlith.solver.linear.solvers import matrix_times
from microlith.workflow.case.read import load_case
from microlith.workflow.console.terminal import Stages
from microlith.workflow.prepare.meshed import mesh_of
from microlith.workflow.run.solved import solved
from microlith.workflow.run.summary import summary
from microlith.workflow.studies import spatial_error
from microlith.workflow.studies.variant import Variant, solved_variant

MESH = '[mesh]\nmethod = "lattice"\ndegree = 1\nsize_max = "60 nm"\n'
CORRECT = "correct = true\n"
TIME = f'[time]\nend = "{END} s"\ntolerance = 1e-5\nsnapshots = []\n'
LAW = '{ concentrations = ["0 M", "1 M"], values = ["1e-14 m^2/s", "2e-14 m^2/s"] }'
RADIUS = 10  # voxels of 10 nm


def slab(folder, mesh=MESH + CORRECT, image=None, **more):
    path = Path(COMM.bcast(str(folder)))
    texts = {"phases": SLAB, "mesh": mesh, "time": TIME, "regions": REGIONS} | more
    on_root(COMM, lambda: write_case(path, slab_image() if image is None else image, **texts) and None)
    return load_case(path / "case.toml")


def ball(folder, mesh, more=""):
    path = Path(COMM.bcast(str(folder)))
    x = np.arange(2 * RADIUS + 5) - RADIUS - 2
    image = x[:, None, None] ** 2 + x[:, None] ** 2 + x**2 < RADIUS**2
    end = (1e-8 * RADIUS) ** 2 / 1e-14
    time = f'[time]\nend = "{end} s"\ntolerance = 1e-4\nsnapshots = []\nfirst = "{1e-5 * end} s"\n'
    regions = '[regions.all]\nphase = "ball"\n' + more
    on_root(
        COMM, lambda: write_case(path, image, phases=BALL_IN_A_BATH, mesh=mesh, time=time, regions=regions) and None
    )
    return load_case(path / "case.toml"), end


@pytest.mark.mpi
def test_a_ball_in_a_bath(tmp_path):
    """Crank's closed form, of a ball of the mesh's volume: far less of the elements' error, within what is told."""
    case, end = ball(tmp_path / "as-they-are", "[mesh]\n")
    plain = solved(case, COMM)
    found = solved(ball(tmp_path / "corrected", "[mesh]\n" + CORRECT)[0], COMM)
    times = found.transient.times
    radius = (3 * found.ready.means["all"].solved_measure / (4 * np.pi)) ** (1 / 3)
    assert radius == pytest.approx(1e-8 * RADIUS, rel=0.01)
    exact = 1000 * sphere_mean(times, radius, 1e-14)
    before, after = (np.abs(one.transient.curves["all"] - exact) for one in (plain, found))
    late = times >= 1e-2 * end
    assert after[late].max() < 0.25 * before[late].max()
    assert (after <= before + 0.02).all()
    assert (after <= found.errors["all"]).all()
    assert found.errors["all"][late].max() < 0.55 * plain.errors["all"][late].max()
    assert found.transient.curves["all"] == pytest.approx(COMM.bcast(found.transient.curves["all"]), rel=1e-12)


@pytest.mark.mpi
def test_a_ball_with_small_elements_at_one_side(tmp_path):
    """Its curve there was told, and corrected by, what the rest lacks: it stayed as wrong as it was.

    Against elements of degree 2 on the same mesh.
    """
    side = '[regions.side]\nbox = { x = ["0 nm", "83 nm"] }\n'
    mesh = '[mesh]\nsize_in = { side = "10 nm" }\n'
    plain, found = (
        solved(ball(tmp_path / name, mesh + asked, side)[0], COMM)
        for name, asked in (("as-it-is", ""), ("corrected", CORRECT))
    )
    end = found.transient.times[-1]
    late = found.transient.times >= 1e-3 * end
    exact = solved_variant(found.ready.meshed, Variant(degree=2, tolerance=1e-4), COMM).curves["side"]
    before, after = (np.abs(one.transient.curves["side"] - exact)[late].max() for one in (plain, found))

    assert after < 0.6 * before
    assert (np.abs(found.transient.curves["side"] - exact) <= found.errors["side"] + 0.05)[late].all()


SPOT = 60  # pixels of 10 nm of the image's edge


def spot(folder):
    """A medium with three round pores, and a small disk beside one of them."""
    y, x = np.indices((SPOT, SPOT)) / SPOT
    pores = ((0.25, 0.2, 0.1), (0.7, 0.3, 0.08), (0.5, 0.75, 0.12))
    image = np.all([(x - cx) ** 2 + (y - cy) ** 2 >= r**2 for cx, cy, r in pores], axis=0)
    regions = (
        '[regions.spot]\ndisk = { center = ["240 nm", "120 nm"], radius = "24 nm" }\n[regions.all]\nphase = "medium"\n'
    )
    phases = PORE + transport("medium", 1, "1e-14 m^2/s")
    time = '[time]\nend = "10 s"\ntolerance = 1e-4\nsnapshots = []\n'
    write_case(
        folder, image, phases=phases, mesh='[mesh]\nmethod = "lattice"\ndegree = 1\n', time=time, regions=regions
    )
    return load_case(folder / "case.toml")


def test_what_a_small_region_lacks_as_if_looked_for_everywhere(tmp_path, monkeypatch):
    """In the few vectors that are looked in as in the complete space: to 2 %, and 5 % off without the region's own."""
    found = solved(spot(tmp_path), MPI.COMM_SELF)
    transient, physics = found.transient, found.ready.case.physics
    times = transient.times[transient.times >= 1e-2 * transient.times[-1]]
    rows = np.array([mean.weights for mean in found.ready.means.values()])

    def lacks():
        return transient.lacks(physics).best.of(rows, times)

    def grown(space, segment, _):
        """In the complete space."""
        mass = np.array([matrix_times(space.problem.system.mass, one) for one in np.eye(len(segment.lift))])
        free = np.setdiff1d(np.arange(len(segment.lift)), space.problem.system.held)
        root = np.linalg.cholesky(mass[np.ix_(free, free)])
        basis = np.zeros((len(free), len(segment.lift)))
        basis[:, free] = np.linalg.inv(root)
        return replace(segment, basis=basis, modes=basis @ mass @ segment.basis.T @ segment.modes)

    few = lacks()
    with monkeypatch.context() as patch:
        patch.setattr(LackingSpace, "grown", grown)
        everywhere = lacks()
    monkeypatch.setattr(lacking_space, "MOST", 0)
    without = lacks()

    def off(some):
        return np.abs(some - everywhere).max(axis=1) / np.abs(everywhere).max(axis=1)

    assert found.ready.problem.unknowns > 300
    assert (off(few) < 0.025).all()
    assert off(without)[0] > 0.045, "else this test tells nothing"


@pytest.mark.mpi
def test_fewer_elements_than_ranks(tmp_path):
    """A rank that has no unknowns has no less to say of what they lack."""
    mesh = MESH + CORRECT
    phases = PORE + transport("medium", 1, "1e-14 m^2/s")
    time = '[time]\nend = "1 s"\nsnapshots = []\n'
    folder = Path(COMM.bcast(str(tmp_path)))
    image = np.array([[0, 1]], np.uint8)
    regions = '[regions.all]\nphase = "medium"\n'
    on_root(COMM, lambda: write_case(folder, image, phases=phases, mesh=mesh, time=time, regions=regions) and None)
    curve = solved(load_case(folder / "case.toml"), COMM).transient.curves["all"]
    alone = solved(load_case(folder / "case.toml"), MPI.COMM_SELF).transient.curves["all"]
    assert curve == pytest.approx(alone, rel=1e-6, abs=1e-6)


LAYERS = (14, 16)  # voxels of two layers of 10 nm, from the pore on
FAST, SLOW = 4e-14, 1e-14  # m²/s


def laminate(folder, mesh):
    path = Path(COMM.bcast(str(folder)))
    image = np.tile(np.repeat(np.array([0, 1, 2], np.uint8), (5, *LAYERS)), (7, 6, 1))
    phases = PORE + transport("fast", 1, f"{FAST} m^2/s") + transport("slow", 2, f"{SLOW} m^2/s")
    time = '[time]\nend = "10 s"\ntolerance = 1e-5\nsnapshots = []\nfirst = "1e-4 s"\n'
    regions = '[regions.fast]\nphase = "fast"\n[regions.slow]\nphase = "slow"\n'
    on_root(COMM, lambda: write_case(path, image, phases=phases, mesh=mesh, time=time, regions=regions) and None)
    return load_case(path / "case.toml")


@pytest.mark.mpi
def test_a_laminate(tmp_path):
    """Gradients jump where layers meet, and each is recovered by itself: against the series of eigenfunctions."""
    plain = solved(laminate(tmp_path / "as-it-is", MESH), COMM)
    found = solved(laminate(tmp_path / "corrected", MESH + CORRECT), COMM)
    times = found.transient.times
    first, second = (n * 1e-8 for n in LAYERS)
    for name, span in {"fast": (0.0, first), "slow": (first, first + second)}.items():
        exact = 1000 * two_layer_mean(times, *span, (first, second), (FAST, SLOW), (1.0, 1.0))
        before, after = (np.abs(one.transient.curves[name] - exact) for one in (plain, found))
        late = times >= 1e-2
        assert after[late].max() < 0.2 * before[late].max(), name
        assert (after <= found.errors[name])[late].all(), name
        assert found.errors[name][late].max() < 0.55 * plain.errors[name][late].max(), name


@pytest.mark.mpi
def test_a_slab(tmp_path, caplog):
    """Curves, times at which they cross a value and what is told; other solutions of the case are corrected, too."""
    plain = solved(slab(tmp_path / "as-it-is", MESH), COMM)
    with caplog.at_level(logging.INFO):
        found = solved(slab(tmp_path / "corrected"), COMM)
    times = found.transient.times
    late = times >= 1e-2 * END
    for name, span in SPANS.items():
        exact = 1000 * filled(times, *span)
        before, after = (np.abs(one.transient.curves[name] - exact) for one in (plain, found))
        assert after[late].max() < 0.3 * before[late].max(), name
        assert (after <= found.errors[name] + 0.05).all(), name
        assert found.errors[name][late].max() < 0.55 * plain.errors[name][late].max(), name
    (of_all,) = (one for one in found.figures if one.name == "all")
    crossed = of_all.t50.time
    assert np.interp(crossed, times, found.transient.curves["all"]) == pytest.approx(500, abs=0.2)
    assert abs(1000 * filled(crossed, *SPANS["all"])[0] - 500) < 0.5
    assert plain.transient.balance == found.transient.balance
    assert COMM.rank > 0 or "curves corrected from recovered gradients, by" in caplog.text
    assert COMM.rank > 0 or "particles and means over surfaces are those of the elements" in caplog.text
    entries = summary(found, COMM)
    assert "most of which has been added to the curves" in entries["error"]["space"]["how"]
    assert entries["case"]["mesh"]["correct"] is True
    case = slab(tmp_path / "corrected")
    meshed = mesh_of(case, case.physics.solved, Stages(), COMM)
    other = solved_variant(meshed, Variant(), COMM)
    for name in SPANS:
        assert np.interp(other.times, times, found.transient.curves[name]) == pytest.approx(
            other.curves[name], abs=1e-6
        )


@pytest.mark.mpi
def test_surfaces_alone_are_not_corrected(tmp_path, caplog):
    """Curves and errors are those of the elements, and no line tells of a correction."""
    image = slab_image()
    image[6:14, 24:34] = 2
    grain = SLAB + '[phases.grain]\nlabel = 2\nrole = "barrier"\n'
    regions = '[regions.grains]\nsurface = "grain"\n'
    plain = solved(slab(tmp_path / "plain", MESH, image=image, phases=grain, regions=regions), COMM)
    with caplog.at_level(logging.INFO):
        found = solved(slab(tmp_path / "corrected", image=image, phases=grain, regions=regions), COMM)
    assert "curves corrected" not in caplog.text
    assert "curves are not corrected" not in caplog.text  # nothing is wrong either
    assert (found.transient.curves["grains"] == plain.transient.curves["grains"]).all()
    assert (found.errors["grains"] == plain.errors["grains"]).all()
    assert found.errors["grains"].max() > 1.0


@pytest.mark.parametrize(
    ("mesh", "more", "why"),
    [
        (MESH + CORRECT + "estimate = false\n", {}, "the error that is left is told with the estimate"),
        (CORRECT, {}, "this is for elements of degree 1, not of 2, which are the default in 2D; take degree = 1 or"),
        (MESH.replace("1", "3") + CORRECT, {}, "this is for elements of degree 1, not of 3; take degree = 1 or"),
        (MESH.replace("lattice", "voxel") + CORRECT, {}, 'this is for triangles and tetrahedra; take method = "lat'),
        (
            MESH + CORRECT,
            {"phases": SLAB.replace('"1e-14 m^2/s"', LAW)},
            "this is for linear problems whose transfer coefficients don't change with time, which this one is not",
        ),
    ],
    ids=["no estimate", "default degree", "degree", "voxels", "law"],
)
def test_what_can_not_be_corrected_is_refused(tmp_path, mesh, more, why):
    if not mesh.startswith("[mesh]"):
        mesh = "[mesh]\n" + mesh

    def meshed():
        case = slab(tmp_path, mesh, **more)
        mesh_of(case, case.physics.solved, Stages(), COMM)

    with pytest.raises(InputError) as refused:
        meshed()
    assert f"[mesh] correct: {why}" in str(refused.value)


def test_where_nothing_is_told_the_curves_stay(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr("microlith.solver.transient.spatial_deviation", lambda *_: None)
    found = solved(slab(tmp_path), COMM)
    assert "curves are not corrected: recovered gradients don't tell what they lack" in caplog.text
    assert found.space is not None
    assert found.space.meaning.startswith(spatial_error.THE_DIFFERENCE)


@pytest.mark.mpi
@pytest.mark.parametrize("correct", [False, True])
def test_a_source_that_changes_and_touches_nothing(correct):
    """Its response has no vector, which ended the run in an internal error; it changes neither curves nor errors."""
    labels = np.zeros((8, 12), np.uint8)
    labels[:, 8:] = 1
    labels[2:5, 9:11] = 2
    course = {"times": ["0 s", "0.3 s"], "values": ["1 mol/L", "0.5 mol/L"]}
    slab = {"label": 0, "role": "transport", "diffusivity": "1e-14 m^2/s"}
    found = []
    for enclosed in ({"role": "barrier"}, {"role": "source", "concentration": course}):
        wall = {"label": 1, "role": "barrier"}
        tables = {
            "image": {"voxel_size": "10 nm"},
            "phases": {"slab": slab, "wall": wall, "enclosed": {"label": 2, **enclosed}},
            "mesh": {"degree": 1, "correct": correct},
            "time": {"end": "0.6 s", "times": ["0.05 s", "0.2 s", "0.6 s"], "tolerance": 1e-6},
            "faces": {"x_min": {"concentration": "1 mol/L"}},
            "regions": {"slab": {"phase": "slab"}},
        }
        result = ml.run(ml.case(tables, image=labels), comm=COMM)
        found.append((result.curves["slab"], result.errors["slab"]))
    (curve, error), (same, alike) = found
    np.testing.assert_allclose(same, curve, atol=0.01)
    np.testing.assert_allclose(alike, error, rtol=0.02)
    assert (error > 1e-3).all()


@pytest.mark.parametrize(
    ("seed", "growth"),
    [(9, 0), (27, 0), (37, 0), (0, 0.01), (4, 0.01)],
    ids=["image 9", "image 27", "image 37", "image 0, step by step", "image 4, step by step"],
)
def test_means_over_surfaces_that_take_up_quickly(seed, growth, verified):
    """What linear elements lack there has both signs: a half of the error was told where the mean of it is small."""
    field = gaussian_filter(np.random.default_rng(seed).standard_normal((24, 24)), 3.0)
    law = {"expression": f"D0 * (1 + {growth} * c / c0)", "D0": "1e-14 m^2/s", "c0": "1 mol/L"}
    tables = {
        "image": {"voxel_size": "10 nm"},
        "phases": {
            "medium": {"label": 0, "role": "transport", "diffusivity": law if growth else "1e-14 m^2/s"},
            "sink": {"label": 1, "role": "sink", "uptake": "2e-6 m/s"},
        },
        "mesh": {"method": "lattice", "degree": 1},
        "time": {"end": "6 s", "tolerance": 1e-5, "snapshots": []},
        "faces": {"x_min": {"concentration": "1 mol/L"}},
        "regions": {"sink": {"surface": "sink"}},
    }
    labels = (field > 0.3 * field.std()).astype(np.uint8)
    found = ml.run(ml.case(tables, image=labels), comm=MPI.COMM_SELF)
    tables["mesh"] |= {"degree": 3, "estimate": False}
    finer = ml.run(ml.case(tables, image=labels), comm=MPI.COMM_SELF)
    late = found.times > 0.01 * found.times[-1]
    true = np.abs(found.curves["sink"] - finer.curves["sink"])[late]
    told = found.errors["sink"][late]
    how = ", step by step" if growth else ""
    verified(
        term=f"error in space of the mean over a sink's surface{how}", against="elements of degree 3 on the same mesh",
        dim=2, cells="triangles", degree=1, error=np.abs(told - true).max() / 1000, of="error",
        balance=found.summary["mass_balance"]["imbalance"],
    )  # fmt: skip
    assert (told > true).all()
    assert told.max() < 4 * true.max()
