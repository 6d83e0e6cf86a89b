"""Images that are the same along an axis: which they are, and the area of their surfaces from sections."""

import numpy as np
import pytest
from measured import centres, volume_from

from mpi4py import MPI

from microlith.imaging.image.volume import LabelImage
from microlith.imaging.measures.surfaces import surfaces
from microlith.imaging.recognition.prisms import prism_of

COMM = MPI.COMM_WORLD


def prism_in(phase):
    return prism_of(LabelImage(phase.astype(np.uint8), ("a", "b", "c"), (1.0, 1.0, 1.0)))


def cylinder(radius, length, axis, middle, shape, voxel):
    x = centres(shape, voxel)
    square = sum((x[k] - middle[k]) ** 2 for k in range(3) if k != axis)
    return (square <= radius**2) & (np.abs(x[axis] - middle[axis]) < length / 2)


@pytest.mark.mpi
@pytest.mark.parametrize("voxel", [(1.0, 1.0, 1.0), (2e-6, 1e-6, 1.5e-6)])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_cylinders_along_the_voxels(axis, voxel):
    """Where their axis is on voxels' middles they have 3 % too much: one long and one through all of the image."""
    edge = max(voxel)
    radius, size = 8 * edge, np.array(voxel)
    shape = np.ceil((2 * radius + 12 * edge) / size).astype(int)
    shape[axis] = 40
    middle = size * (shape // 2 + 0.5)
    middle[axis] = 20 * size[axis]
    for length, ends in ((24 * size[axis], 2), (99 * size[axis], 0)):
        phase = cylinder(radius, length, axis, middle, tuple(shape), voxel)
        found = surfaces(volume_from(phase, voxel), COMM)
        exact = 2 * np.pi * radius * min(length, 40 * size[axis]) + ends * np.pi * radius**2
        assert found.between[0, 1] == found.between[1, 0] == pytest.approx(exact, rel=0.012)
        assert abs(found.between[0, 1] - exact) < found.error[0, 1] * 1.5


@pytest.mark.parametrize("half", [0.0, 0.5])
@pytest.mark.parametrize("radius", [8, 12])
def test_cylinders_in_step_with_the_voxels(radius, half):
    """Their ends are disks as well, and these have up to 4 % fewer pixels than their area says."""
    square = sum((x - 16 - half) ** 2 for x in centres((33, 33)))
    for disk in (square < radius**2, square <= radius**2):
        phase = np.zeros((33, 33, 40), bool)
        phase[:, :, 8:28] = disk[:, :, None]
        found = surfaces(volume_from(phase), COMM)
        exact = 2 * np.pi * radius * (radius + 20)
        assert found.between[0, 1] == pytest.approx(exact, rel=0.002)
        assert found.error[0, 1] < 0.035 * exact


def test_a_stepped_shaft_with_a_core():
    """Ends of coats are rings: of the outer disk without the inner one."""
    square = sum((x - 20.5) ** 2 for x in centres((41, 41)))
    phase = np.zeros((40, 41, 41), np.uint8)
    phase[6:30, square < 16**2] = 1
    phase[6:18, square < 9**2] = 2
    phase[22:30, square >= 10**2] = 0
    found = surfaces(volume_from(phase), COMM)
    ring, core = np.pi * (16**2 - 9**2), np.pi * 9**2
    outer = 2 * np.pi * (16 * 16 + 10 * 8) + ring + np.pi * 16**2
    between = {(0, 1): outer, (0, 2): core, (1, 2): 2 * np.pi * 9 * 12 + core}
    for pair, area in between.items():
        assert found.between[pair] == pytest.approx(area, rel=0.004)


def test_a_body_on_another_one():
    """A box of phase 1, and on it a thinner one of phase 2: each area by itself."""
    phase = np.zeros((40, 40, 40), np.uint8)
    phase[:, 5:25, 8:32][8:20] = 1
    phase[:, 10:22, 12:24][20:33] = 2
    found = surfaces(volume_from(phase), COMM)
    between = {(0, 1): 88 * 12 + 480 + 480 - 144, (0, 2): 48 * 13 + 144, (1, 2): 144}
    for pair, area in between.items():
        assert abs(found.between[pair] - area) < 1.2 * found.error[pair] < 0.2 * area
    assert found.between[0, 1] == pytest.approx(between[0, 1], rel=0.01)


def test_runs_of_layers():
    phase = np.zeros((30, 20, 20))
    phase[9:21, 4:12, 4:16] = 1
    assert prism_in(phase).starts.tolist() == [0, 9, 21, 30]
    assert prism_in(phase).axis == 0
    moved = prism_in(np.moveaxis(phase, 0, 2))
    assert (moved.axis, moved.starts.tolist()) == (2, [0, 9, 21, 30])


@pytest.mark.parametrize("rise", [1 / 8, 1 / 4, 1 / 2, 2.0, 5.0, 9.0])
def test_terraces_of_slopes_are_no_ends(rise):
    """Cones, pyramids and wedges: their voxels have terraces, of which no area is to be counted."""
    z, y, x = centres((40, 40, 40))
    out = np.hypot(y - 20, x - 20), np.maximum(np.abs(y - 20.2), np.abs(x - 20.2)), np.abs(y - 20) + 0.6 * x
    for distance in out:
        assert prism_in(distance < 15 - z * rise + (20 * rise if rise > 1 else 0)) is None


def test_noise_is_no_prism():
    assert prism_in(np.random.default_rng(0).random((20, 20, 20)) < 0.5) is None
