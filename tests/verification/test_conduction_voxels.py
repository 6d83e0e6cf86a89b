"""Voxels without a mesh: the figures of the mesh of the same voxels, on any number of ranks, and exact ones."""

import numpy as np
import pytest
from made_meshes import COMM
from scipy import ndimage

from microlith.imaging.image.volume import LabelVolume, Portion
from microlith.meshing.distribution.in_place import mesh_in_place
from microlith.meshing.voxel import voxel_mesh
from microlith.solver.conduction.conduction import conduction
from microlith.solver.options import SolverOptions
from microlith.workflow.voxel_conduction import voxel_conduction

AXES = ("x", "y", "z")
SAME = 1e-8  # upper bounds, to the square of the tolerance of their solvers
SAME_LOWER = 1e-6  # lower ones, to the tolerance itself, 1e-7 without a mesh


def volume_of(phase, edges=(1e-8, 1e-8, 1e-8)):
    """Phases 0 and 1; edges along z, y, x."""
    counts = tuple(int((phase == i).sum()) for i in range(2))

    def read(window):
        return Portion(np.ascontiguousarray(phase[tuple(slice(*ends) for ends in window)]), window)

    return LabelVolume(phase.shape, ("a", "b"), edges, counts, phase.shape, read)


def random_medium(shape, width, share, seed=3):
    """Noise, smoothed over so many voxels or not at all, cut so that phase 1 has that share."""
    values = np.random.default_rng(seed).random(shape)
    values = ndimage.gaussian_filter(values, width) if width else values
    return (values < np.quantile(values, share)).astype(np.uint8)


@pytest.mark.mpi
@pytest.mark.parametrize(
    ("shape", "width", "share", "edges"),
    [
        ((9, 7, 5), 0.0, 0.6, (1e-8, 1e-8, 1e-8)),
        ((12, 11, 13), 0.0, 0.45, (2e-8, 1e-8, 1.3e-8)),  # of many contacts in edges and vertices
        ((17, 26, 14), 0.7, 0.5, (1e-8, 2e-8, 1e-8)),
        ((33, 24, 20), 1.2, 0.35, (1e-8, 1e-8, 1e-8)),
    ],
)
def test_figures_are_those_of_the_mesh(verified, shape, width, share, edges):
    """Media with dead ends, closed parts and contacts of no width: unknowns that are one at an edge would show."""
    volume = volume_of(random_medium(shape, width, share), edges)
    found = voxel_conduction(volume, 1, AXES, COMM, True)
    mesh = mesh_in_place(voxel_mesh(volume, [1], COMM), [1], COMM)
    wanted = conduction(mesh, 1, AXES, 1, SolverOptions(), True)
    errors = [0.0]
    for one, other in zip(found, wanted, strict=True):
        assert one.axis == other.axis
        assert one.fraction == pytest.approx(other.fraction, rel=1e-12)
        assert one.connected == pytest.approx(other.connected, rel=1e-12, abs=0)
        assert one.relative == pytest.approx(other.relative, rel=SAME, abs=0)
        assert one.lower == pytest.approx(other.lower, rel=SAME_LOWER, abs=0)
        assert one.disagreement < 1e-6
        assert one.lower <= one.relative
        if other.relative > 0:
            errors += [abs(one.relative / other.relative - 1), abs(one.lower / other.lower - 1)]
    verified(
        term="effective diffusivity",
        against=f"a mesh of the voxels with an assembled matrix, noise on {' x '.join(map(str, shape[::-1]))} voxels",
        dim=3,
        cells="cubes",
        degree=1,
        error=max(errors),
        of="effective diffusivity",
    )


@pytest.mark.mpi
def test_straight_channels_are_exact_whatever_lies_beside_them():
    """Channels along x of 3 x 3, 1 x 2 and 2 x 1 voxels of 11 x 10; one ends blindly, one voxel of wall between two."""
    phase = np.zeros((11, 10, 13), np.uint8)
    phase[1:4, 1:4] = 1
    phase[1, 5:7] = 1  # a wall one voxel thick away from the first
    phase[5:7, 9] = 1
    phase[8:10, 2:6, :7] = 1
    phase[4, 4, 4:9] = 1  # touches the first one along an edge, and the blind one not at all
    x, y, z = voxel_conduction(volume_of(phase), 1, AXES, COMM, True)
    assert x.relative == pytest.approx(13 / 110, rel=1e-9)
    assert x.lower == pytest.approx(13 / 110, rel=1e-9)
    assert x.connected == pytest.approx(13 * 13 / (13 * 13 + 56 + 5))
    for across in (y, z):
        assert across.relative == across.lower == 0.0
        assert across.method == "none"


@pytest.mark.mpi
def test_nothing_joins():
    phase = np.zeros((6, 6, 6), np.uint8)
    phase[2:4, 2:4, 2:4] = 1
    for along in voxel_conduction(volume_of(phase), 1, AXES, COMM, False):
        assert along.relative == 0.0
        assert along.lower is None
        assert along.connected == 0.0


@pytest.mark.mpi
def test_iterations_do_not_grow_with_the_image():
    """A pore between balls that all but touch, of 12 to 48 voxels across: 9 to 12 iterations of conjugate gradients."""
    iterations = []
    for voxels in (12, 24, 48):
        middle = np.indices((voxels,) * 3) + 0.5 - voxels / 2
        phase = (np.linalg.norm(middle, axis=0) > 0.52 * voxels).astype(np.uint8)
        (found,) = voxel_conduction(volume_of(phase), 1, ("z",), COMM, False)
        iterations.append(found.iterations)
    assert max(iterations) <= 15
    assert iterations[-1] <= iterations[0] + 3
