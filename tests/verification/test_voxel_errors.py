"""The error in space that a run states on squares and cubes of degree 1, against closed forms and much finer meshes."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from layers import TwoLayers
from made_cases import run_case, write_case
from slab_case import END, LENGTH, PIXEL, REGIONS, SLAB, SPANS, D, filled, slab_image

from mpi4py import MPI

from microlith.workflow.case.read import load_case
from microlith.workflow.console.terminal import Stages
from microlith.workflow.prepare.meshed import mesh_of
from microlith.workflow.results.read import read_curves
from microlith.workflow.studies.spatial_error import fading, spatial_error
from microlith.workflow.studies.variant import Variant, solved_variant

MESH = '[mesh]\nmethod = "voxel"\ndegree = 1\n'
WITH_NEAR = REGIONS + '[regions.near]\nbox = { x = ["80 nm", "110 nm"] }\n'
FINE = Variant(coarseness=0.25, degree=2)
NOISE = 1e-3  # mol/m^3, of the two solutions, in time
WHERE = SPANS | {"near": (0.0, 3 * PIXEL)}


def _time(end, tolerance=1e-8):
    return f'[time]\nend = "{end:.12g} s"\ntolerance = {tolerance:g}\nsnapshots = []\n'


@pytest.mark.parametrize("dim", [2, 3])
def test_the_error_of_a_slab_of_voxels_is_covered(tmp_path, dim, verified):
    image = slab_image(4) if dim == 2 else np.repeat(slab_image(2)[None], 2, axis=0)
    path = write_case(tmp_path, image, phases=SLAB, mesh=MESH, time=_time(END), regions=WITH_NEAR)
    results = run_case(path, comm=MPI.COMM_SELF)
    found = json.loads((results / "summary.json").read_text())
    assert "finite differences on the same voxels" in found["error"]["space"]["how"]
    times, means = read_curves(results / "curves.csv")
    _, errors = read_curves(results / "errors.csv")
    late = times >= 1e-3 * END
    for name, (low, high) in WHERE.items():
        true = np.abs(means[name] - 1000 * filled(times, low, high))
        ratio = errors[name][late].max() / true[late].max()
        verified(
            term="error in space, voxels of degree 1", against="slab, Crank eq. 4.17", dim=dim,
            cells="squares" if dim == 2 else "cubes", degree=1, error=abs(errors[name] - true)[late].max() / 1000,
            of="error", balance=found["mass_balance"]["imbalance"],
        )  # fmt: skip
        assert np.mean(errors[name] >= true) > 0.99, name
        assert 1 <= ratio < 10, name


LAW = 'diffusivity = { expression = "D0 * exp(c / c1)", D0 = "1e-14 m^2/s", c1 = "300 mol/m^3" }'
HELD = '[phases.far]\nlabel = 2\nrole = "source"\nconcentration = "0 mol/L"\n'
RISING = 'concentration = { times = ["0 s", "END s"], values = ["0 mol/L", "1 mol/L"] }'
SETTLED = ["a law", "decay", "a source that rises", "a source that rises, by a law"]


@pytest.mark.mpi
@pytest.mark.parametrize("voxels", [1, 2, 4])
@pytest.mark.parametrize("what", SETTLED)
def test_the_error_of_what_stays_bent_is_covered(tmp_path, what, voxels, verified):
    """What finite differences lack as well: h²/12 times the curvature of what is left when all has settled.

    Of a slab that is held at one side, at four times L²/D, with decay at ten times: c1 log(1 + (exp(c_s/c1) - 1) x/L)
    between two held surfaces, with D by exp(c/c1); c_s cosh(φ (1 - x/L))/cosh φ with decay, φ² = k L²/D; and a mean of
    v (t - L²/(3 D)) behind a surface at v t (Carslaw and Jaeger 1959, §3.5).
    """
    length = voxels * PIXEL
    end = (10 if what == "decay" else 4) * length**2 / D
    image = np.ones((2, voxels + 4), np.uint8)
    image[:, :2] = 0
    phases = SLAB
    if what == "a law":
        image[:, -2:] = 2
        phases = phases.replace('diffusivity = "1e-14 m^2/s"', LAW) + HELD
        x = (np.arange(20000) + 0.5) / 20000
        exact = np.mean(300 * np.log1p(np.expm1(1000 / 300) * x))
    elif what == "decay":
        image = image[:, :-2]
        phases += f'decay = "{0.1 * D / length**2:.12g} 1/s"\n'
        exact = 1000 * np.tanh(np.sqrt(0.1)) / np.sqrt(0.1)
    else:
        image = image[:, :-2]
        phases = phases.replace('concentration = "1000 mol/m^3"', RISING.replace("END", f"{end:.12g}"))
        if "law" in what:
            law = 'diffusivity = { concentrations = ["0 mol/L", "1 mol/L"], values = ["1e-14 m^2/s", "1e-14 m^2/s"] }'
            phases = phases.replace('diffusivity = "1e-14 m^2/s"', law)
        exact = 1000 * (1 - 1 / (3 * 4))
    regions = '[regions.all]\nphase = "slab"\n'
    path = Path(MPI.COMM_WORLD.bcast(str(tmp_path))) / "case.toml"
    if MPI.COMM_WORLD.rank == 0:
        write_case(tmp_path, image, phases=phases, mesh=MESH, time=_time(end, 1e-6), regions=regions)
    MPI.COMM_WORLD.barrier()
    results = run_case(path)
    MPI.COMM_WORLD.barrier()
    _, means = read_curves(results / "curves.csv")
    _, errors = read_curves(results / "errors.csv")
    told, true = errors["all"][-1], abs(means["all"][-1] - exact)
    verified(
        term="error in space, voxels of degree 1", against=f"slab that has settled, {what}", dim=2, cells="squares",
        degree=1, error=abs(told - true) / 1000, of="error",
    )  # fmt: skip
    assert true > 0.1, "mol/m^3: there is something to see"
    assert 1 <= told / true < 1.5


def test_a_voxel_between_held_surfaces_by_a_law(tmp_path):
    """All unknowns of degree 1 are held there; one phase is on each side of a layer of one voxel."""
    image = np.array([[0, 0, 1, 2, 2]] * 2, np.uint8)
    law = 'diffusivity = { concentrations = ["0 mol/L", "1 mol/L"], values = ["1e-14 m^2/s", "1e-14 m^2/s"] }'
    phases = SLAB.replace('diffusivity = "1e-14 m^2/s"', law) + HELD.replace('"0 mol/L"', '"0.3 mol/L"')
    end, regions = PIXEL**2 / D, '[regions.all]\nphase = "slab"\n'
    path = write_case(tmp_path, image, phases=phases, mesh=MESH, time=_time(end, 1e-6), regions=regions)
    results = run_case(path, comm=MPI.COMM_SELF)
    times, means = read_curves(results / "curves.csv")
    _, errors = read_curves(results / "errors.csv")
    odd = np.arange(1, 2000, 2)[:, None]
    exact = 650 * (1 - 8 / np.pi**2 * (np.exp(-((odd * np.pi) ** 2) * times / end) / odd**2).sum(axis=0))
    true = np.abs(means["all"] - exact)
    assert means["all"][-1] == pytest.approx(650, rel=1e-6)
    assert np.mean(errors["all"][1:] >= true[1:]) > 0.95


def _apart(folder, image, end, phases=SLAB, regions=WITH_NEAR, finer=FINE, tolerance=1e-7):
    """The solution, and by region its estimated error and that by a finer mesh of the same stairs, (times,) each."""
    path = write_case(folder, image, phases=phases, mesh=MESH, time=_time(end, tolerance), regions=regions)
    case = load_case(path)
    meshed = mesh_of(case, case.physics.solved, Stages(), MPI.COMM_SELF)
    meshed = replace(meshed, case=replace(meshed.case, degree=1))
    own, fine = (solved_variant(meshed, variant, MPI.COMM_SELF) for variant in (Variant(), finer))
    found = spatial_error(meshed, own.curves, MPI.COMM_SELF)
    assert found is not None
    return own, {name: (found.curves[name], np.abs(c - fine.curves[name])) for name, c in own.curves.items()}


def test_the_error_at_corners_of_voxels_is_covered(tmp_path):
    """Slits between barriers: what is wrong here is the flow around corners, which mass matrices know nothing of."""
    image = np.ones((12, 48), np.uint8)
    image[:, :8] = 0
    image[1:, 20:22] = 2
    image[:-1, 30] = 2
    walls = SLAB + '[phases.wall]\nlabel = 2\nrole = "barrier"\n'
    own, found = _apart(tmp_path, image, 60.0, walls)
    late = own.times >= 0.06
    for name, (told, true) in found.items():
        assert true[late].max() > 1.0, "mol/m^3: there is something to see"
        assert 1 <= told[late].max() / true[late].max() < 5, name
        assert np.mean(told + NOISE >= true) > 0.99, name


@pytest.mark.parametrize("law", ["partition = 20", 'partition = 20\nexchange = "1e-7 m/s"'])
def test_the_error_across_a_jump_is_covered(tmp_path, law):
    image = slab_image(4)
    image[:, 28:] = 2
    phases = SLAB + '[phases.store]\nlabel = 2\nrole = "transport"\ndiffusivity = "1e-14 m^2/s"\n'
    phases += f'[[interfaces]]\nbetween = ["slab", "store"]\n{law}\n'
    regions = '[regions.first]\nphase = "slab"\n[regions.second]\nphase = "store"\n'
    own, found = _apart(tmp_path, image, 5 * END, phases, regions)
    late = own.times >= 5e-3 * END
    for name, (told, true) in found.items():
        assert 1 <= told[late].max() / true[late].max() < 12, name
    if "exchange" not in law:  # the finer mesh is right itself
        exact = TwoLayers((0.5, 0.5), (1.0, 1.0), (1.0, 1.0), 20.0)
        true = np.abs(own.curves["second"] - 1000 * exact.mean(own.times / (LENGTH**2 / D), 0.5, 1.0))
        assert found["second"][0][late].max() >= true[late].max()


def test_the_error_of_a_law_is_covered(tmp_path):
    law = 'diffusivity = { expression = "D0 * (1 + 9 * c / c1)", D0 = "1e-14 m^2/s", c1 = "1 mol/L" }'
    phases = SLAB.replace('diffusivity = "1e-14 m^2/s"', law)
    regions = '[regions.all]\nphase = "slab"\n'
    _, found = _apart(tmp_path, slab_image(1), END / 16, phases, regions, Variant(coarseness=1 / 3), tolerance=1e-5)
    told, true = found["all"]
    assert 1 <= told.max() / true.max() < 10
    assert np.mean(told >= true) > 0.95


def test_errors_fade_no_faster_than_the_power():
    times = np.array([0.0, 1.0, 2.0, 4.0])
    assert fading(times, np.array([5.0, 8.0, 0.0, 3.0])) == pytest.approx([5.0, 8.0, 8 / 2**1.5, 3.0])
