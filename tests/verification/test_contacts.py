"""The error that a run states while phases that began differently even out in layers thinner than elements."""

import numpy as np
import pytest
from made_cases import write_case
from scipy.special import erfcx

from mpi4py import MPI

from microlith.imaging.parallel.collective import on_first_rank
from microlith.workflow.case.read import load_case
from microlith.workflow.run.solved import solved

VOXEL, VOXELS, D = 1e-8, 8, 1e-14  # m, that each phase is thick, m²/s
LENGTH = VOXEL * VOXELS
TIMES = np.geomspace(3e-3, 2.0, 12) * VOXEL**2 / D  # s: layers from 0.05 to 1.4 voxels, which never reach the ends
COMM = MPI.COMM_WORLD
FILM = 1e-6  # m/s


def _phases(label, d=D, initial=0.0, porosity=1.0):
    name = "ab"[label]
    pores = "" if porosity == 1.0 else f'porosity = {porosity}\neffective = "none"\n'
    return (
        f'[phases.{name}]\nlabel = {label}\nrole = "transport"\ndiffusivity = "{d:.6g} m^2/s"\n'
        f'initial = "{initial:.6g} mol/m^3"\n{pores}'
    )


def _solved(folder, phases, method="lattice", dim=3, degree=1, more=""):
    image = np.zeros((6, 2 * VOXELS), np.uint8)
    image[:, VOXELS:] = 1
    asked = ", ".join(f'"{time:.12g} s"' for time in TIMES)
    case = write_case(
        folder,
        image if dim == 2 else np.repeat(image[None], 6, axis=0),
        phases=phases,
        mesh=f'[mesh]\nmethod = "{method}"\ndegree = {degree}\n',
        time=f'[time]\nend = "{TIMES[-1]:.12g} s"\ntimes = [{asked}]\ntolerance = 1e-4\nsnapshots = []\n',
        regions='[regions.a]\nphase = "a"\n[regions.b]\nphase = "b"\n'
        f'[regions.both]\nbox = {{ x = ["0 nm", "{2 * VOXELS * 10} nm"] }}\n',
        more=more,
    )
    return solved(load_case(case), MPI.COMM_SELF)


def _passed(a, b, velocity=np.inf):
    """mol/m² at all times, from phase a to b: (D_eff, porosity, partition, initial) each, partition c per c of a."""
    effusivity = [k * np.sqrt(d * pores) for d, pores, k, _ in (a, b)]
    slow = sum(1 / e for e in effusivity)
    gap = a[3] / a[2] - b[3] / b[2]
    spread = 2 * np.sqrt(TIMES / np.pi)
    if np.isinf(velocity):
        return gap * spread / slow
    rate = velocity * slow
    return gap * velocity / rate**2 * (erfcx(rate * np.sqrt(TIMES)) - 1 + rate * spread)


def _check(found, a, b, verified, cells, dim, degree=1, velocity=np.inf, least=1.0, most=3.0):
    """At all times at least what is true, and not much more; nothing of both together, which lose nothing."""
    curves, passed = found.transient.curves, _passed(a, b, velocity)
    at = found.transient.times > 0
    for name, (_, pores, _, initial), sign in (("a", a, -1), ("b", b, 1)):
        true = np.abs(curves[name][at] - initial - sign * passed / (pores * LENGTH))
        told = found.errors[name][at]
        verified(
            term="error in space, thin layers", against="two half spaces, Carslaw and Jaeger section 2.15", dim=dim,
            cells=cells, degree=degree, error=true.max() / 1000,
        )  # fmt: skip
        assert true.max() > 5, "mol/m³: there is something to see"
        assert (told >= least * true).all()
        assert (told[:3] < most * true[:3]).all()
    if a[1] == b[1]:
        assert found.errors["both"].max() < 0.1 * found.errors["a"].max()


def test_phases_alike(tmp_path, verified):
    """Half of the jump is at the nodes between; what was told before was 0.01 times the error."""
    found = _solved(tmp_path, _phases(0, initial=1000.0) + _phases(1))
    _check(found, (D, 1.0, 1.0, 1000.0), (D, 1.0, 1.0, 0.0), verified, "tetrahedra", 3)


def test_one_phase_is_faster(tmp_path, verified):
    found = _solved(tmp_path, _phases(0, initial=1000.0) + _phases(1, 0.1 * D))
    _check(found, (D, 1.0, 1.0, 1000.0), (0.1 * D, 1.0, 1.0, 0.0), verified, "tetrahedra", 3)


def test_pores_and_partition(tmp_path, verified):
    law = '[[interfaces]]\nbetween = ["a", "b"]\npartition = 0.5\n'
    found = _solved(tmp_path, _phases(0, initial=1000.0) + _phases(1, porosity=0.25), more=law)
    _check(found, (D, 1.0, 1.0, 1000.0), (D, 0.25, 0.5, 0.0), verified, "tetrahedra", 3)


def test_a_finite_exchange_between(tmp_path, verified):
    law = f'[[interfaces]]\nbetween = ["a", "b"]\nexchange = "{30 * FILM} m/s"\n'
    found = _solved(tmp_path, _phases(0, initial=1000.0) + _phases(1), more=law)
    one = (D, 1.0, 1.0)
    _check(found, (*one, 1000.0), (*one, 0.0), verified, "tetrahedra", 3, velocity=30 * FILM, most=8.0)


def test_squares_and_elements_of_degree_2(tmp_path, verified):
    one = (D, 1.0, 1.0)
    for method, cells, degree in (("voxel", "squares", 1), ("lattice", "triangles", 2)):
        found = _solved(tmp_path / cells, _phases(0) + _phases(1, initial=1000.0), method, 2, degree)
        _check(found, (*one, 0.0), (*one, 1000.0), verified, cells, 2, degree, least=0.85, most=6.0)


@pytest.mark.mpi
def test_on_several_ranks(tmp_path_factory):
    folder = on_first_rank(COMM, lambda: tmp_path_factory.mktemp("ranks"))
    image = np.repeat((np.arange(2 * VOXELS) >= VOXELS)[None], 6, axis=0).astype(np.uint8)

    def case():
        return write_case(
            folder, image, phases=_phases(0, initial=1000.0) + _phases(1),
            mesh='[mesh]\ndegree = 1\nmethod = "voxel"\n',
            time='[time]\nend = "0.01 s"\ntimes = ["0.001 s", "0.01 s"]\nsnapshots = []\n',
            regions='[regions.a]\nphase = "a"\n',
        )  # fmt: skip

    path = on_first_rank(COMM, case)
    together, alone = (solved(load_case(path), comm).errors["a"] for comm in (COMM, MPI.COMM_SELF))
    assert together == pytest.approx(alone, rel=1e-3)
    assert alone[1] > 5
