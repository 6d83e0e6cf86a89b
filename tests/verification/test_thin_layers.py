"""The error that a run states while the layer that fills is thinner than an element, against closed forms."""

import numpy as np
import pytest
from closed_forms import robin_slab_mean, slab_mean, sphere_mean, two_sided_slab_mean
from made_cases import write_case

from mpi4py import MPI

from microlith.workflow.case.read import load_case
from microlith.workflow.run.solved import solved

VOXEL, D = 1e-8, 1e-14  # m, m²/s
VOXELS = 8  # that a slab is thick
LENGTH = VOXELS * VOXEL
TIMES = np.geomspace(1e-3, 10.0, 17) * VOXEL**2 / D  # s: layers from 0.03 to 3 voxels thick
SOURCE = '[phases.bath]\nlabel = 0\nrole = "source"\nconcentration = "1000 mol/m^3"\n'
BODY = '[phases.body]\nlabel = 1\nrole = "transport"\ndiffusivity = "1e-14 m^2/s"\n'
# The same diffusivity, but solved step by step
LAW = BODY.replace('"1e-14 m^2/s"', '{ expression = "D0 * (1 + 1e-9 * c / c1)", D0 = "1e-14 m^2/s", c1 = "1 mol/L" }')
WHOLE = '[regions.all]\nphase = "body"\n'
CELLS = {"lattice": {2: "triangles", 3: "tetrahedra"}, "fitted": {2: "triangles"}, "voxel": {2: "squares", 3: "cubes"}}


def _slab(dim, far=1):
    """Three voxels of the bath before the slab, and as many of another label behind it, unless that is its own."""
    image = np.ones((6, 3 + VOXELS + (3 if far != 1 else 0)), np.uint8)
    image[:, :3] = 0
    image[:, 3 + VOXELS :] = far
    return image if dim == 2 else np.repeat(image[None], 6, axis=0)


def _ball():
    x = np.arange(16) + 0.5 - 8
    return (x[:, None, None] ** 2 + x[:, None] ** 2 + x**2 < 36).astype(np.uint8)


def _solved(folder, image, phases, mesh, times=TIMES, regions=WHOLE):
    asked = ", ".join(f'"{time:.12g} s"' for time in times)
    time = f'[time]\nend = "{times[-1]:.12g} s"\ntimes = [{asked}]\ntolerance = 1e-4\nsnapshots = []\n'
    path = write_case(folder, image, phases=phases, mesh=mesh, time=time, regions=regions)
    return solved(load_case(path), MPI.COMM_SELF)


def _ratios(found, name, exact):
    """Stated error per the largest true one around each time, and the largest true one, mol/m³."""
    times = found.transient.times
    true = np.abs(found.transient.curves[name] - 1000 * exact(times))
    around = np.array([true[(times >= t / 1.6) & (times <= 1.6 * t)].max() for t in times])
    return found.errors[name] / around, true.max()


def _whole(times):
    return slab_mean(times, 0.0, LENGTH, LENGTH, D)


@pytest.mark.parametrize(
    ("method", "dim", "degree", "body", "largest"),
    [
        ("lattice", 3, 1, BODY, 80.0),
        ("lattice", 3, 1, LAW, 80.0),
        ("lattice", 3, 2, BODY, 20.0),
        ("lattice", 2, 1, BODY, 80.0),
        ("fitted", 2, 1, BODY, 8.0),
        ("voxel", 3, 1, BODY, 30.0),
    ],
    ids=["lattice-3-1", "lattice-3-1-steps", "lattice-3-2", "lattice-2-1", "fitted-2-1", "voxel-3-1"],
)
def test_of_a_slab(tmp_path, method, dim, degree, body, largest, verified):
    """The whole slab at all times; before the error of layers was told, 0.1 for 82 mol/m³."""
    mesh = f'[mesh]\nmethod = "{method}"\ndegree = {degree}\n'
    found = _solved(tmp_path, _slab(dim), SOURCE + body, mesh)
    ratios, true = _ratios(found, "all", _whole)
    verified(
        term="error in space, thin layers", against="slab, Crank eq. 4.17", dim=dim, cells=CELLS[method][dim],
        degree=degree, error=true / 1000,
    )  # fmt: skip
    assert true > largest, "mol/m³: there is something to see"
    assert ratios.min() > 1
    early = TIMES < 0.03 * VOXEL**2 / D
    assert ratios[early].max() < 4


def test_of_a_ball(tmp_path, verified):
    times = TIMES[:9]
    found = _solved(tmp_path, _ball(), SOURCE + BODY, '[mesh]\nmethod = "lattice"\ndegree = 1\n', times)
    ratios, true = _ratios(found, "all", lambda t: sphere_mean(t, 6 * VOXEL, D))
    verified(
        term="error in space, thin layers", against="ball of voxels, Crank eq. 6.20", dim=3, cells="tetrahedra",
        degree=1, error=true / 1000,
    )  # fmt: skip
    assert true > 100
    assert ratios.min() > 1
    assert ratios.max() < 3


@pytest.mark.parametrize("biot", [1.0, 100.0])
def test_beside_a_transfer(tmp_path, biot, verified):
    """Nothing jumps, but a fast transfer fills the nodes of the surface soon; a slow one does no harm."""
    velocity = biot * D / VOXEL
    source = SOURCE + f'mass_transfer = "{velocity:.6g} m/s"\n'
    found = _solved(tmp_path, _slab(3), source + BODY, '[mesh]\nmethod = "lattice"\ndegree = 1\n')
    ratios, true = _ratios(found, "all", lambda t: robin_slab_mean(t, 0.0, LENGTH, LENGTH, D, velocity))
    verified(
        term="error in space, thin layers", against="slab behind a transfer, Crank eq. 4.50", dim=3, cells="tetrahedra",
        degree=1, error=true / 1000,
    )  # fmt: skip
    assert ratios.min() > 1
    assert found.errors["all"].max() < 6 * true


def test_of_two_sources_one_of_which_jumps_later(tmp_path, verified):
    start = float(TIMES[-1])
    times = np.concatenate([TIMES[::4], start + TIMES[:13]])
    course = f'{{ times = ["0 s", "{start:.12g} s", "{start:.12g} s"], values = ["0 M", "0 M", "0.4 M"] }}'
    other = SOURCE.replace("bath", "other").replace("label = 0", "label = 2").replace('"1000 mol/m^3"', course)
    mesh = '[mesh]\nmethod = "lattice"\ndegree = 1\n'
    found = _solved(tmp_path, _slab(3, far=2), SOURCE + BODY + other, mesh, times)

    def exact(t):
        first = two_sided_slab_mean(t, 0.0, LENGTH, LENGTH, D, 1.0, 0.0)
        since = np.maximum(t - start, 0.0)
        return first + np.where(since > 0, two_sided_slab_mean(since, 0.0, LENGTH, LENGTH, D, 0.0, 0.4), 0.0)

    true = np.abs(found.transient.curves["all"] - 1000 * exact(found.transient.times))
    later = found.transient.times > start
    verified(
        term="error in space, thin layers", against="slab between two sources, Crank eq. 4.22", dim=3,
        cells="tetrahedra", degree=1, error=true.max() / 1000,
    )  # fmt: skip
    assert true[later].max() > 15
    assert (found.errors["all"][later] > true[later]).all()
    assert found.errors["all"][later].max() < 4 * true[later].max()


def test_regions_at_the_surface(tmp_path, verified):
    """Half an element thick, and an element thick beside it, where the projection of the start shows."""
    spans = {"half": (0.0, 1.2), "next": (2.4, 4.8)}
    regions = "".join(
        f'[regions.{name}]\nbox = {{ x = ["{30 + 10 * a:.6g} nm", "{30 + 10 * b:.6g} nm"] }}\n'
        for name, (a, b) in spans.items()
    )
    times = TIMES[:13]
    mesh = '[mesh]\nmethod = "lattice"\ndegree = 1\n'
    found = _solved(tmp_path, _slab(3), SOURCE + BODY, mesh, times, regions)
    for name, (low, high) in spans.items():
        ratios, true = _ratios(found, name, lambda t, a=low, b=high: slab_mean(t, a * VOXEL, b * VOXEL, LENGTH, D))
        verified(
            term="error in space, thin layers", against="slab, Crank eq. 4.17", dim=3, cells="tetrahedra", degree=1,
            error=true / 1000,
        )  # fmt: skip
        assert true > 50, name
        assert ratios.min() > 1 / 1.5, name
