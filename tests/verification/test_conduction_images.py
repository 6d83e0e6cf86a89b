"""Effective diffusivity through the meshers of images in 3D: against a series, figures of others, and each other."""

import math

import numpy as np
import pytest
import tifffile
from made_meshes import COMM
from places import DATA
from rayleigh import cubic_array_of_spheres

from microlith.imaging.image.volume import LabelVolume, Portion
from microlith.imaging.options import MeshOptions
from microlith.meshing.distribution.in_place import mesh_in_place
from microlith.meshing.lattice.mesher import lattice_mesh
from microlith.meshing.mesh.phasemesh import ImageMesh
from microlith.solver.conduction.conduction import conduction
from microlith.solver.options import SolverOptions

VOXEL = 1e-7  # m


def through(image_mesh, axes):
    return conduction(mesh_in_place(image_mesh, [1], COMM), 1, axes, 1, SolverOptions())


def smooth(phase, size):
    """Phase 1 as tetrahedra of that size, in voxels, at its surface and everywhere."""
    counts = tuple(int((phase == i).sum()) for i in range(2))

    def read(window):
        return Portion(phase[tuple(slice(*ends) for ends in window)], window)

    volume = LabelVolume(phase.shape, ("a", "b"), (VOXEL,) * 3, counts, phase.shape, read)
    return lattice_mesh(volume, MeshOptions(size={"a": size * VOXEL}, size_max=4 * size * VOXEL), [1], COMM)


def cubes(phase):
    """Each voxel as a cube, pages shared out over the ranks."""
    number = np.arange(math.prod(n + 1 for n in phase.shape)).reshape([n + 1 for n in phase.shape])
    depth, rows, columns = phase.shape
    first, last = (depth * r // COMM.size for r in (COMM.rank, COMM.rank + 1))
    corners = [
        number[first + k : last + k, j : rows + j, i : columns + i].ravel()
        for k in (0, 1)
        for j in (0, 1)
        for i in (0, 1)
    ]
    vertex, cells = np.unique(np.stack(corners, axis=1), return_inverse=True)
    points = np.stack(np.unravel_index(vertex, number.shape)[::-1], axis=1).astype(float)
    return ImageMesh(
        points,
        vertex,
        cells.reshape(-1, 8).astype(np.int32),
        phase[first:last].ravel().astype(np.uint8),
        "hexahedron",
        ("a", "b"),
        VOXEL,
        tuple(float(n) for n in phase.shape[::-1]),
    )


def space_around_ball(voxels, fraction):
    from_middle = np.indices((voxels,) * 3) + 0.5 - voxels / 2
    radius = voxels * (3 * fraction / (4 * math.pi)) ** (1 / 3)
    return (np.linalg.norm(from_middle, axis=0) > radius).astype(np.uint8)


def test_the_series_itself():
    """Against the first terms of McPhedran & McKenzie, Proc. R. Soc. A 359 (1978) 45, and the dilute limit."""
    for f in (0.1, 0.2, 0.3):
        terms = 1 - 3 * f / (2 + f - 1.3045 * 0.75 * f ** (10 / 3))
        assert cubic_array_of_spheres(f) == pytest.approx(terms, rel=5e-5)


@pytest.mark.mpi
@pytest.mark.parametrize("fraction", [0.2, 0.4])
def test_cubic_array_of_spheres(verified, fraction):
    """Tetrahedra of one voxel around a ball of voxels; the rest of the error falls as the voxels get smaller."""
    errors = []
    for voxels in (16, 32):
        (found,) = through(smooth(space_around_ball(voxels, fraction), 1.0), "z")
        errors.append(found.relative / cubic_array_of_spheres(1 - found.fraction) - 1)
    verified(
        term="effective diffusivity",
        against=f"cubic array of insulating spheres of voxels, {fraction:.0%} of the volume (Rayleigh, Phil. Mag. 34 "
        "(1892) 481), voxels halved",
        dim=3,
        cells="tetrahedra",
        degree=1,
        error=abs(errors[1]),
        of="effective diffusivity",
        order_space=np.log2(errors[0] / errors[1]),
        balance=found.disagreement,
    )
    assert 0 < errors[0] < 1.5e-2, errors
    assert 0 < errors[1] < 0.4 * errors[0], errors


@pytest.mark.skipif(not DATA.is_dir(), reason=f"the third-party images in {DATA} are absent")
@pytest.mark.parametrize(
    ("name", "voxel_value", "by_finite_volumes", "above"),
    [("nmc_bridge_64.tif", 1, 0.14627, 0.08), ("tau_electrode_64.tif", 85, 0.07596, 0.11)],
)
def test_voxels_of_real_electrodes(name, voxel_value, by_finite_volumes, above):
    """Fluxes between voxel centres are a lower bound, below that of `conduction`, and cubes an upper one."""
    phase = (tifffile.imread(DATA / name) == voxel_value).astype(np.uint8)
    mesh = mesh_in_place(cubes(phase), [1], COMM)
    (found,) = conduction(mesh, 1, "z", 1, SolverOptions(), bounds=True)
    assert 1.02 * by_finite_volumes < found.lower < found.relative < (1 + above) * by_finite_volumes
    assert found.fraction == pytest.approx(phase.mean(), rel=1e-12)
    assert found.disagreement < 1e-8


def test_tetrahedra_and_cubes_come_together_as_the_image_is_refined():
    """The same smooth body in voxels of three sizes: from both sides of it, both meshes come to one figure."""
    rng = np.random.default_rng(7)
    waves = rng.normal(size=(6, 3)), rng.uniform(0, 2 * math.pi, 6)
    ways = np.round(1.6 * waves[0] / np.linalg.norm(waves[0], axis=1)[:, None]) * 2 * math.pi

    def body(voxels):
        at = (np.indices((voxels,) * 3) + 0.5) / voxels
        return sum(np.cos(np.tensordot(way, at, 1) + shift) for way, shift in zip(ways, waves[1], strict=True)) > -0.4

    apart = []
    for voxels in (12, 28, 56):
        phase = body(voxels).astype(np.uint8)
        by_tetrahedra, by_cubes = (through(mesh(phase), "z")[0].relative for mesh in (lambda p: smooth(p, 2.0), cubes))
        apart.append(by_tetrahedra / by_cubes - 1)
    print(apart)
    assert abs(apart[2]) < 0.5 * abs(apart[0]), apart
    assert abs(apart[2]) < 0.02, apart
