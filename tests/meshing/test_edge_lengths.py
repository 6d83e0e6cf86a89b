"""Distances by which lattices are graded."""

import numpy as np
import pytest
from scipy import ndimage

from microlith.meshing.lattice import edge_lengths


@pytest.mark.parametrize("voxel", [(1.0, 1.0, 1.0), (1.0, 2.0, 5.0), (1.0, 1.3, 2.7), (1.0, 1.0)])
def test_distances_are_exact(voxel):
    """To the last digit, whatever the voxels, so that they are the same in any window of an image."""
    rng = np.random.default_rng(5)
    for share in (0.5, 0.01, 1e-4):
        voxels = rng.random((40, 50, 60)[: len(voxel)]) < share
        voxels[(-1,) * len(voxel)] = True
        for part in ((), tuple(slice(7, None) for _ in voxel)):
            exact = ndimage.distance_transform_edt(~voxels[part], sampling=voxel).astype(np.float32)
            assert (edge_lengths._distance(voxels[part], voxel) == exact).all()
