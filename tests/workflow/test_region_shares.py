"""How much of regions is solved for: voxels within a distance of others, and what is told of balls."""

import logging

import numpy as np
import pytest
from made_cases import run_case, write_case
from scipy import ndimage

from mpi4py import MPI

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


def test_balls_within_a_phase_are_not_told_to_leave_it(tmp_path, caplog):
    """Chords stand for their surface, which lacks some thousandths of their volume."""
    image = np.ones((12, 12, 12), np.uint8)
    image[:, :, 0] = 0
    image[2:5, 2:5, 2:5] = 2
    middle = '["60 nm", "60 nm", "60 nm"]'
    regions = f'[regions.ball]\nsphere = {{ center = {middle}, radius = "9 nm" }}\n'
    regions += f'[regions.cut]\nsphere = {{ center = {middle}, radius = "50 nm" }}\n'
    mesh, time = '[mesh]\nmethod = "lattice"\n', '[time]\nend = "1 s"\nsnapshots = []\n'
    with caplog.at_level(logging.INFO):
        run_case(write_case(tmp_path, image, mesh=mesh, regions=regions, time=time), comm=MPI.COMM_SELF)
    said = [record.getMessage() for record in caplog.records]
    assert [sentence.split(":")[0] for sentence in said if "of it is solved for" in sentence] == ["region cut"]
