"""The error in space that a run states on lattices, against the closed form of a ball and elements of degree 3."""

from pathlib import Path

import numpy as np
import pytest
from closed_forms import slab_mean, sphere_mean
from made_cases import BALL_IN_A_BATH, run_case, write_case

from mpi4py import MPI

from microlith.imaging.parallel.collective import on_first_rank
from microlith.workflow.case.read import load_case
from microlith.workflow.console.terminal import Stages
from microlith.workflow.prepare.meshed import mesh_of
from microlith.workflow.results.read import read_curves
from microlith.workflow.studies.variant import Variant, solved_variant

VOXEL = 1e-8
RADIUS = 12 * VOXEL
D = 1e-14
END = RADIUS**2 / D
FACTOR = 3.0  # that the estimate is to be right to


def _ball():
    x = np.arange(28) + 0.5 - 14
    return (x[:, None, None] ** 2 + x[:, None] ** 2 + x**2 < 12**2).astype(np.uint8)


@pytest.mark.parametrize("degree", [1, 2])
def test_the_error_of_a_ball_is_told_to_a_factor(tmp_path, degree, verified):
    """Few elements, and voxels whose surface is no sphere: what is told here is too small, by less than the factor."""
    mesh = f'[mesh]\nmethod = "lattice"\nsize = {{ bath = "30 nm" }}\ndegree = {degree}\n'
    time = f'[time]\nend = "{END:.12g} s"\ntolerance = 1e-5\nsnapshots = []\n'
    path = write_case(
        tmp_path, _ball(), phases=BALL_IN_A_BATH, mesh=mesh, time=time, regions='[regions.all]\nphase = "ball"\n'
    )
    results = run_case(path, comm=MPI.COMM_SELF)
    times, means = read_curves(results / "curves.csv")
    _, errors = read_curves(results / "errors.csv")
    late = times >= 1e-3 * END
    true = np.abs(means["all"] - 1000 * sphere_mean(times, RADIUS, D))[late].max()
    stated = errors["all"][late].max()
    verified(
        term="error in space, tetrahedra", against="ball of voxels, Crank eq. 6.20", dim=3, cells="tetrahedra",
        degree=degree, error=abs(stated - true) / 1000, of="error",
    )  # fmt: skip
    assert true / FACTOR <= stated <= FACTOR * true


HELD_AND_SLAB = """
[phases.held]
label = 0
role = "source"
concentration = "1 mol/L"
[phases.slab]
label = 1
role = "transport"
diffusivity = "1e-14 m^2/s"
"""
BETWEEN = (
    HELD_AND_SLAB
    + """initial = "0.3 mol/L"
[phases.behind]
label = 2
role = "source"
concentration = "1 mol/L"
mass_transfer = { times = ["0.16 s", "0.161 s"], values = ["4e-7 m/s", "5.4e-7 m/s"], interpolation = "step" }
"""
)
BOXES = """
[regions.all]
phase = "slab"
[regions.near]
box = { y = ["76 nm", "107 nm"] }
"""


def test_the_error_beside_a_transfer_that_changes_in_steps_is_covered(tmp_path):
    """Recovered gradients don't tell it, and a coarser mesh a third of it, against elements of degree 3."""
    image = np.array([0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2])[:, None]
    mesh = '[mesh]\nmethod = "lattice"\ndegree = 1\n'
    time = '[time]\nend = "0.2 s"\ntolerance = 1e-6\nsnapshots = []\n'
    path = write_case(tmp_path, image, phases=BETWEEN, mesh=mesh, time=time, regions=BOXES)
    path.write_text(path.read_text().replace('voxel_size = "10 nm"', 'voxel_size = { x = "25 nm", y = "10 nm" }'))
    results = run_case(path, comm=MPI.COMM_SELF)
    times, means = read_curves(results / "curves.csv")
    _, errors = read_curves(results / "errors.csv")
    case = load_case(path)
    meshed = mesh_of(case, case.physics.solved, Stages(), MPI.COMM_SELF)
    exact = solved_variant(meshed, Variant(degree=3), MPI.COMM_SELF).curves
    late = times >= 1e-3 * times[-1]
    for name, curve in means.items():
        true = np.abs(curve - exact[name])[late].max()
        assert true > 1.0, "mol/m^3: there is something to see"
        assert 1 <= errors[name][late].max() / true < 3, name


LAYERS = (
    HELD_AND_SLAB
    + """[phases.slow]
label = 2
role = "transport"
diffusivity = "1e-15 m^2/s"
[phases.fast]
label = 3
role = "transport"
diffusivity = "3e-14 m^2/s"
[[interfaces]]
between = ["slab", "slow"]
exchange = "1e-14 m/s"
"""
)


@pytest.mark.mpi
@pytest.mark.parametrize(("rows", "held", "flat"), [(4, 2, False), (4, 1, False), (3, 2, True)])
def test_the_error_in_a_layer_that_a_coarser_mesh_leaves_as_it_is_is_covered(tmp_path, rows, held, flat, verified):
    """The mesh to compare with is coarser in the layers behind the slab, into which nothing comes, and not in the slab.

    By the difference alone a 900th, a 25th and a 197th of the error were told.
    """
    image = np.repeat(np.array([0] * held + [1] * 5 + [2] * 3 + [3] * 3, np.uint8)[None], rows, axis=0)
    length = 5 * VOXEL
    end = 2 * length**2 / D
    comm = MPI.COMM_WORLD
    path = Path(comm.bcast(str(tmp_path))) / "case.toml"

    def write():
        mesh, regions = '[mesh]\nmethod = "lattice"\n', '[regions.all]\nphase = "slab"\n'
        time = f'[time]\nend = "{end:.12g} s"\ntolerance = 1e-6\nsnapshots = []\n'
        write_case(path.parent, image, phases=LAYERS, mesh=mesh, time=time, regions=regions)
        if flat:
            text = path.read_text()
            path.write_text(text.replace('voxel_size = "10 nm"', 'voxel_size = { x = "10 nm", y = "25 nm" }'))

    on_first_rank(comm, write)
    results = run_case(path)
    times, means = on_first_rank(comm, lambda: read_curves(results / "curves.csv"))
    _, errors = on_first_rank(comm, lambda: read_curves(results / "errors.csv"))
    late = times >= 1e-3 * end
    true = np.abs(means["all"] - 1000 * slab_mean(times, 0, length, length, D))[late]
    told = errors["all"][late]
    verified(
        term="error in space, triangles", against="slab before layers that are coarser in another mesh", dim=2,
        cells="triangles", degree=2, error=abs(told.max() - true.max()) / 1000, of="error",
    )  # fmt: skip
    assert (told >= true).all()
    assert told.max() < 10 * true.max()
