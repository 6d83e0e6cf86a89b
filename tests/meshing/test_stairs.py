"""Between which areas a surface lies that goes along the steps of voxels."""

import numpy as np
import pytest
from measured import volume_from

from mpi4py import MPI

from microlith.meshing.fidelity.stairs import stairs
from microlith.meshing.fidelity.surface_areas import SurfaceArea

COMM = MPI.COMM_WORLD


@pytest.mark.mpi
def test_a_rectangle_has_four_corners():
    phase = np.zeros((12, 16), int)
    phase[4:8, 4:12] = 1
    least, largest = stairs(volume_from(phase, 2.0), COMM)
    assert largest[0, 1] == largest[1, 0] == 2.0 * 24
    assert least[0, 1] == least[1, 0] == 2.0 * (24 - 4 * 0.5)


@pytest.mark.mpi
def test_edges_of_a_block_of_flat_voxels_count_by_their_length():
    phase = np.zeros((9, 9, 9), int)
    phase[2:5, 2:6, 2:7] = 1
    least, largest = stairs(volume_from(phase, (1.0, 2.0, 3.0)), COMM)
    z, y, x = 3 * 1.0, 4 * 2.0, 5 * 3.0
    assert largest[0, 1] == pytest.approx(2 * (x * y + y * z + z * x))
    cut = 4 * (0.5 * 2 * x + 0.5 * 3 * y + 0.5 * 3 * z)
    assert least[0, 1] == pytest.approx(largest[0, 1] - cut)


@pytest.mark.mpi
def test_a_plane_has_no_corners_nor_has_a_line_where_a_third_phase_begins():
    phase = np.zeros((8, 8), int)
    phase[4:] = 1
    phase[4:, 4:] = 2
    least, largest = stairs(volume_from(phase), COMM)
    assert np.array_equal(least, largest)
    assert largest[0, 1] == largest[0, 2] == largest[1, 2] == 4


@pytest.mark.mpi
def test_a_checkerboard_has_two_corners_at_a_point():
    least, largest = stairs(volume_from([[0, 1], [1, 0]]), COMM)
    assert (largest[0, 1], least[0, 1]) == (4, 3)


@pytest.mark.mpi
def test_turned_rectangles_and_disks_lie_between():
    rng = np.random.default_rng(5)
    at = np.stack(np.meshgrid(*[np.arange(48) + 0.5 - 24] * 2, indexing="ij"), -1)
    for angle in rng.uniform(0, np.pi / 2, 20):
        turned = (at - rng.uniform(-0.5, 0.5, 2)) @ [[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]
        half = rng.uniform(4, 9, 2)
        least, largest = stairs(volume_from((np.abs(turned) < half).all(-1)), COMM)
        assert least[0, 1] < 4 * half.sum() < 1.04 * largest[0, 1]
        least, largest = stairs(volume_from((turned**2).sum(-1) < half[0] ** 2), COMM)
        assert least[0, 1] < 2 * np.pi * half[0] < largest[0, 1]


def test_a_surface_is_known_no_worse_than_the_steps_tell():
    known = SurfaceArea(mesh=24.0, image=22.5, error=3.0, least=22.0, largest=24.0)
    assert known.unknown(2.0) == 1.5
    assert known.unknown(0.1) == pytest.approx(0.3)
    assert SurfaceArea(mesh=24.0, image=22.5, error=3.0).unknown(2.0) == 6.0
