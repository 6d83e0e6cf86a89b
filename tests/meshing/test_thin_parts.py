"""Which voxels are thin, and which of those hold a part together."""

import numpy as np
import pytest

from microlith.meshing.lattice.thin_parts import critical_voxels, thin_voxels


@pytest.mark.parametrize(("thickness", "expected"), [(1, True), (2, True), (3, False), (5, False)])
def test_walls_up_to_two_voxels_are_thin(thickness, expected):
    phase = np.zeros((14, 14, 20), np.uint8)
    phase[:, :, 8 : 8 + thickness] = 1
    found = thin_voxels(phase)
    assert (found[:, :, 8 : 8 + thickness].all(), found[phase == 0].any()) == (expected, False)


def test_a_ball_is_not_thin():
    z, y, x = np.indices((30, 30, 30)) + 0.5
    phase = (np.sqrt((x - 15.2) ** 2 + (y - 14.9) ** 2 + (z - 15.1) ** 2) < 10.3).astype(np.uint8)
    assert thin_voxels(phase).sum() < 0.002 * phase.sum()


def _of(phase):
    return critical_voxels(phase, np.ones(phase.shape, bool))


def test_without_a_critical_voxel_a_part_is_pierced_falls_apart_or_vanishes():
    wall = np.zeros((7, 7, 7), np.uint8)
    wall[3] = 1
    assert _of(wall)[3, 3, 3]
    neck = np.zeros((7, 7, 9), np.uint8)
    neck[1:6, 1:6, 1:3] = neck[1:6, 1:6, 6:8] = 1
    neck[3, 3, 3:6] = 1
    assert _of(neck)[3, 3, 3:6].all()
    speck = np.zeros((5, 5, 5), np.uint8)
    speck[2, 2, 2] = 1
    assert _of(speck)[2, 2, 2]


def test_a_voxel_inside_or_on_a_flat_face_is_not_critical():
    block = np.zeros((9, 9, 9), np.uint8)
    block[2:7, 2:7, 2:7] = 1
    found = _of(block)
    assert not found[4, 4, 2:7].any()
    assert not found[2, 2, 2]  # a corner of the block


def test_pictures_too():
    phase = np.zeros((9, 9), np.uint8)
    phase[4] = 1
    assert thin_voxels(phase)[4].all()
    assert _of(phase)[4, 4]
    assert not _of(np.pad(np.ones((5, 5), np.uint8), 2))[4, 4]
