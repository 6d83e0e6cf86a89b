"""Where a periodic image is cut, and the same image cut elsewhere, on any number of ranks."""

from dataclasses import replace

import numpy as np
import pytest
from label_images import label_image

from mpi4py import MPI

from microlith.imaging.image.cuts import best_cuts, first_layers, surface_at_planes
from microlith.imaging.image.load import volume_of
from microlith.imaging.image.repeated import cut_elsewhere, repeated

pytestmark = pytest.mark.mpi
COMM = MPI.COMM_WORLD


def volume(labels):
    return volume_of(label_image(labels, names=("a", "b")) if COMM.rank == 0 else None, COMM)


@pytest.mark.parametrize("shape", [(9, 14), (7, 8, 11)])
def test_surface_is_counted_plane_by_plane(shape):
    labels = (np.random.default_rng(1).random(shape) < 0.4).astype(int)
    found = surface_at_planes(volume(labels), [1], COMM)
    for axis, counts in enumerate(found):
        differ = labels != np.roll(labels, 1, axis)
        others = tuple(i for i in range(len(shape)) if i != axis)
        np.testing.assert_array_equal(counts, np.count_nonzero(differ, axis=others))


def test_cut_in_the_middle_of_where_no_surface_is():
    labels = np.zeros((6, 12, 10), int)
    labels[:, 0, 3:7] = 1
    # Along the channel all planes are as good, across it those that it does not touch
    assert best_cuts(volume(labels), [1], COMM) == (0, 6, 0)
    assert best_cuts(volume(np.roll(labels, 4, 1)), [1], COMM) == (0, 0, 0)


@pytest.mark.parametrize("planes", [(0, 0, 0), (2, 0, 5), (6, 7, 10)])
def test_windows_of_an_image_cut_elsewhere(planes):
    labels = np.random.default_rng(2).integers(0, 2, (7, 8, 11))
    moved = cut_elsewhere(volume(labels), planes)
    expected = np.roll(labels, [-plane for plane in planes], (0, 1, 2))
    window = ((1, 6), (0, 8), (3, 11)) if COMM.rank == 0 else ((0, 0),) * 3  # ranks need not read as much
    found = moved.read(window)
    np.testing.assert_array_equal(found.phase, expected[tuple(slice(*ends) for ends in window)])


@pytest.mark.parametrize(("shape", "reach"), [((4, 2, 3), 9.0), ((3, 20), 7.0), ((6, 7), 6.5)])
def test_an_image_of_few_layers_is_read_once_for_all_its_copies(shape, reach):
    """Copies were read one by one, and all ranks waited for each other at each: half a million times for 4 x 2 x 4."""
    labels = np.random.default_rng(3).integers(0, 2, shape)
    once = volume(labels)
    reads = []

    def read(window):
        reads.append(window)
        return once.read(window)

    counted = replace(once, periodic=tuple(range(len(shape))), read=read, before=None)
    beyond = repeated(counted, reach * once.voxel_size[0], nearest=False)
    window = beyond.volume.whole_window if COMM.rank == 0 else ((0, 0),) * len(shape)
    found = beyond.volume.read(window).phase
    margin = int(np.ceil(reach))
    expected = np.pad(labels, margin, mode="wrap")[tuple(slice(*ends) for ends in window)]
    np.testing.assert_array_equal(found, expected)
    assert len(reads) <= 3 ** len(shape)


def test_first_layers_are_the_same_wherever_the_image_is_cut():
    rng = np.random.default_rng(2)
    values = rng.integers(0, 2, (17, 2))
    (first,) = first_layers([values])
    for cut in (1, 5, 16):
        assert first_layers([np.roll(values, -cut, 0)]) == ((first - cut) % 17,)
    assert first_layers([np.ones((4, 1)), np.array([[2], [1], [2], [0]])]) == (0, 3)
