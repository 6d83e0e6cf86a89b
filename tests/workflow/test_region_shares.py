"""Which voxels lie within a distance of others, as told where distances are short and where they are long."""

import numpy as np
import pytest
from scipy import ndimage

from microlith.workflow.prepare import region_shares


@pytest.mark.parametrize("edges", [(1.0, 1.0, 1.0), (2.0, 1.0, 1.0), (0.7, 3.0, 1.1)])
@pytest.mark.parametrize("reach", [0.2, 1.0, 2.0**0.5, 5.0**0.5, 3.0, 8.6])
@pytest.mark.parametrize("few", [0, region_shares.FEW, 10**9])
def test_within_a_distance(monkeypatch, edges, reach, few):
    """By the distances themselves; images thinner than the distance, and with a single voxel, are among them."""
    monkeypatch.setattr(region_shares, "FEW", few)
    noise = np.random.default_rng(5)
    for shape in ((1, 1, 1), (1, 9, 4), (12, 3, 1), (7, 8, 13)):
        for share in (0.01, 0.3):
            flags = noise.random(shape) < share
            flags.flat[noise.integers(flags.size)] = True
            expected = ndimage.distance_transform_edt(~flags, sampling=edges) <= reach * (1 + 1e-9)
            found = region_shares._within(flags, edges, reach * (1 + region_shares.ROUNDING))
            assert np.array_equal(found, expected)


@pytest.mark.parametrize("shape", [(1, 1, 1), (5, 1, 7), (6, 9, 8)])
def test_neighbours_share_a_face(shape):
    flags = np.random.default_rng(2).random(shape) < 0.2
    assert np.array_equal(region_shares._with_neighbours(flags), ndimage.binary_dilation(flags))
