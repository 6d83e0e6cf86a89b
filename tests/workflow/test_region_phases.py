"""How phases share regions: by the voxels of the image, wherever the mesh has their interfaces."""

import numpy as np
import pytest
import tifffile
from made_cases import barrier, transport, write_case
from scipy.ndimage import distance_transform_edt, gaussian_filter

from mpi4py import MPI

from microlith.imaging.parallel.collective import on_first_rank
from microlith.solver.transient import solve
from microlith.workflow.case.read import load_case
from microlith.workflow.prepare.assemble import prepared
from microlith.workflow.run.excess import excess_errors

pytestmark = pytest.mark.mpi
COMM = MPI.COMM_WORLD
EDGES = {2: (8.0, 10.0), 3: (8.0, 10.0, 12.0)}  # nm, ([z,] y, x)
PHASES = (
    transport("pore", 0, "1e-14 m^2/s") + 'initial = "1000 mol/m^3"\n' + transport("medium", 1, "1e-14 m^2/s")
    + barrier("particle", 2)
)  # fmt: skip
TIME = '[time]\nend = "1 s"\ntolerance = 1e-3\nsnapshots = []\n'
FINE = {2: 20, 3: 10}  # points along each edge of a voxel that counts by hand


def blobs(shape, seed=1, width=2.5):
    """Particles and pores in a medium."""
    first, second = (
        gaussian_filter(np.random.default_rng(s).standard_normal(shape), width, mode="nearest")
        for s in (seed, seed + 100)
    )
    image = np.ones(shape, np.uint8)
    image[first > np.quantile(first, 0.65)] = 2
    image[(second > np.quantile(second, 0.7)) & (image == 1)] = 0
    return image


def voxel_sizes(dim):
    return "{ " + ", ".join(f'{axis} = "{edge} nm"' for axis, edge in zip("zyx"[-dim:], EDGES[dim], strict=True)) + " }"


def written(folder, image, method, regions, label=None):
    """The case file; collective."""

    def write():
        path = write_case(
            folder, image, phases=PHASES, time=TIME, mesh=f'[mesh]\nmethod = "{method}"\ndegree = 1\n', regions=regions
        )
        path.write_text(path.read_text().replace('voxel_size = "10 nm"', f"voxel_size = {voxel_sizes(image.ndim)}"))
        if label is not None:
            tifffile.imwrite(folder / "drawn.tif", label)
        return path

    return on_first_rank(COMM, write)


def counted(image, inside):
    """Share of the pores in what is inside a region, of the pores and the medium there."""
    fine = image
    for axis in range(image.ndim):
        fine = np.repeat(fine, len(inside) // image.shape[0], axis=axis)
    return np.count_nonzero(fine[inside] == 0) / np.count_nonzero(fine[inside] < 2)


def points(image, each):
    """Places of so many points in each voxel along x, y[, z], nm."""
    axes = [(np.arange(n * each) + 0.5) * edge / each for n, edge in zip(image.shape, EDGES[image.ndim], strict=True)]
    return np.meshgrid(*axes, indexing="ij")[::-1]


def folder_of(tmp_path):
    return COMM.bcast(tmp_path)


@pytest.mark.parametrize(("dim", "method"), [(2, "lattice"), (2, "fitted"), (3, "lattice")])
def test_each_kind_of_region_starts_as_its_voxels_say(tmp_path, dim, method):
    """The mesh has up to some per cent more or less of the pores there, which hold a thousand times as much."""
    image = blobs((24, 30) if dim == 2 else (16, 18, 20))
    each = FINE[dim]
    where = points(image, each)
    box = ((36.0, 150.0), (47.0, 109.0), (20.0, 88.0))[:dim]
    center, radius = (120.0, 90.0, 60.0)[:dim], 55.0
    drawn = np.zeros_like(image)
    drawn[4:13, 6:15] = 1
    whole = np.repeat(drawn, each, 0).repeat(each, 1)
    inside = {
        "box": np.all([(low < x) & (x < high) for x, (low, high) in zip(where, box, strict=True)], axis=0),
        "ball": sum((x - c) ** 2 for x, c in zip(where, center, strict=True)) < radius**2,
        "drawn": (whole if dim == 2 else whole.repeat(each, 2)) == 1,
    }
    spans = ", ".join(f'{axis} = ["{low} nm", "{high} nm"]' for axis, (low, high) in zip("xyz", box, strict=False))
    middle = ", ".join(f'"{c} nm"' for c in center)
    regions = (
        f"[regions.box]\nbox = {{ {spans} }}\n"
        f'[regions.ball]\n{"disk" if dim == 2 else "sphere"} = {{ center = [{middle}], radius = "{radius} nm" }}\n'
        '[regions.drawn]\nlabels = "drawn.tif"\nlabel = 1\n'
    )
    if dim == 2:
        regions += '[regions.corner]\npolygon = [["0 nm", "0 nm"], ["230 nm", "0 nm"], ["0 nm", "180 nm"]]\n'
        inside["corner"] = where[0] / 230 + where[1] / 180 < 1
    ready = prepared(load_case(written(folder_of(tmp_path), image, method, regions, drawn)), COMM)
    apart = {name: m.mesh_shares - m.phase_shares for name, m in ready.means.items() if m.mesh_shares is not None}
    assert max(abs(differs[0]) for differs in apart.values()) > 0.002
    for name, there in inside.items():
        mean = ready.means[name]
        assert mean.phase_shares[0] == pytest.approx(counted(image, there), abs=1e-3), name
        assert mean.phase_shares.sum() == pytest.approx(1.0)
        assert COMM.allreduce(mean.weights.sum()) == pytest.approx(1.0)
        volume = sum(part.sum() for part in (mean.parts.volume, mean.parts.cut_volume))
        unit = ready.meshed.mesh.unit**dim
        assert COMM.allreduce(volume) * unit == pytest.approx(mean.solved_measure)
    found = solve(ready.problem, ready.means, ready.case.time, ready.case.solver)
    for name, differs in apart.items():
        first = found.by_mesh[name][1] - found.curves[name][1]
        assert first == pytest.approx(1000 * differs[0], abs=2.0), name


@pytest.mark.parametrize("dim", [2, 3])
def test_shells_start_as_their_voxels_say(tmp_path, dim):
    """Within 30 nm of the middles of the particles' voxels at the surface, and half a voxel more."""
    image = blobs((24, 30) if dim == 2 else (16, 18, 20))
    case = load_case(
        written(
            folder_of(tmp_path),
            image,
            "lattice",
            '[regions.near]\nshell = { around = "particle", distance = "30 nm" }\n',
        )
    )
    mean = prepared(case, COMM).means["near"]
    unit = np.prod(EDGES[dim]) ** (1 / dim)
    near = distance_transform_edt(image != 2, sampling=EDGES[dim]) <= 30 + unit / 2
    expected = np.count_nonzero(near & (image == 0)) / np.count_nonzero(near & (image < 2))
    assert mean.phase_shares[0] == pytest.approx(expected, abs=2e-3)


def test_what_counts_by_the_mesh(tmp_path):
    """Regions of one phase, shells thinner than a voxel, meshes of the voxels themselves."""
    regions = (
        '[regions.medium]\nphase = "medium"\n[regions.left]\nbox = { x = ["0 nm", "99 nm"] }\nin_phase = "pore"\n'
        '[regions.skin]\nshell = { around = "particle", distance = "5 nm" }\n'
    )
    folder = folder_of(tmp_path)
    ready = prepared(load_case(written(folder / "smooth", blobs((24, 30)), "lattice", regions)), COMM)
    assert all(mean.by_mesh is None and mean.missed is None for mean in ready.means.values())
    box = '[regions.box]\nbox = { x = ["33 nm", "151 nm"] }\n'
    ready = prepared(load_case(written(folder / "voxels", blobs((24, 30)), "voxel", box)), COMM)
    assert ready.means["box"].by_mesh is None


def test_a_phase_that_the_mesh_has_not_there(tmp_path):
    """A box into which a corner of the pores reaches by a quarter of a voxel, where the mesh has rounded it off."""
    image = np.ones((24, 30), np.uint8)
    image[:12, :15], image[-3:] = 0, 2
    text = '[regions.box]\nbox = { x = ["147.5 nm", "230 nm"], y = ["94 nm", "170 nm"] }\n'
    ready = prepared(load_case(written(folder_of(tmp_path), image, "fitted", text)), COMM)
    mean = ready.means["box"]
    share = 2.5 * 2.0 / (82.5 * 74.0)
    assert mean.missed is not None
    assert mean.missed[0] == pytest.approx(share)
    found = solve(ready.problem, ready.means, ready.case.time, ready.case.solver)
    error = excess_errors(ready, found)["box"]
    assert error[0] == pytest.approx(1000 * share, rel=1e-2)
    assert (error > 0).all()
    assert error[-1] < error[0]
