"""What balls cover by bits, against distances to all places; and the way by distances for large balls."""

import numpy as np
import pytest
from measured import ball, volume_from
from scipy.ndimage import distance_transform_edt

from mpi4py import MPI

from microlith.imaging.image.load import whole_on_root
from microlith.imaging.measures import thickness
from microlith.imaging.microstructure import ball_cover


@pytest.mark.parametrize("words", [1, 1 << 15])
@pytest.mark.parametrize(
    ("shape", "size"),
    [
        ((17, 12, 70), (1.0, 1.0, 1.0)),
        ((9, 14, 130), (2.0, 1.0, 0.7)),
        ((14, 6, 64), (0.6, 2.5, 1.5)),
        ((23, 150), (1.0, 1.3)),
    ],
)
def test_levels_are_those_of_distances(shape, size, words, monkeypatch):
    monkeypatch.setattr(ball_cover, "WORDS_AT_ONCE", words)
    depth = np.random.default_rng(3).random(shape).astype(np.float32)
    least = np.array([0.9, 0.97, 0.99, 0.995, 0.999])
    reach = np.array([1.25, 2.0, 3.1, 5.5, 8.0])
    expected = np.zeros(shape, int)
    for number, (deep, far) in enumerate(zip(least, reach, strict=True), 1):
        expected[distance_transform_edt(depth < deep, sampling=size) < far * (1 - 1e-9)] = number
    found = ball_cover.covered_levels(depth, size, least, reach * (1 - 1e-9))
    assert len(np.unique(expected)) > 3
    np.testing.assert_array_equal(found, expected)


def test_large_balls_are_found_by_distances_alike(monkeypatch):
    phase = ball((40, 44, 50), 14, (19.7, 22.1, 25.3)) + 2 * ball((40, 44, 50), 5, (5, 6, 7))
    image = whole_on_root(volume_from(phase, (1.0, 1.2, 0.9), comm=MPI.COMM_SELF), MPI.COMM_SELF)
    by_bits = thickness.local_thickness(image)
    monkeypatch.setattr(thickness, "fits", lambda reach, _size: reach < 4)
    by_distances = thickness.local_thickness(image)
    assert by_bits.level.max() > 12
    np.testing.assert_array_equal(by_bits.level, by_distances.level)
