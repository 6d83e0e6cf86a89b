"""Passes over images slab by slab: every layer once, the halo that was asked for, all ranks in step."""

import itertools

import numpy as np
import pytest
from label_images import label_volume
from scipy import ndimage

from mpi4py import MPI

from microlith.imaging.errors import InputError
from microlith.imaging.image import passes
from microlith.imaging.image.passes import any_slab, layers_of_slab, read_in_turn, share, slab_sum, slabs

COMM = MPI.COMM_WORLD
pytestmark = pytest.mark.mpi

SHAPES = [(1, 4), (11, 4), (13, 3, 2), (2, 5, 5)]
HALOS = [(0, 0), (0, 1), (2, 0), (3, 5), (50, 50)]


def phases(shape, seed=1):
    return np.random.default_rng(seed).integers(0, 3, shape).astype(np.uint8)


def volume(phase, comm=COMM):
    return label_volume(phase, (2e-6, 1e-6, 1e-6)[-phase.ndim :], "abc", comm)


@pytest.mark.parametrize(("shape", "halo"), list(itertools.product(SHAPES, HALOS)))
@pytest.mark.parametrize("voxels", [1, 20, 10**6])
def test_each_layer_comes_once_with_its_halo(monkeypatch, shape, halo, voxels):
    monkeypatch.setattr(passes, "VOXELS", voxels)
    phase = phases(shape)
    seen = np.zeros(len(phase), int)
    turns = 0
    for slab in slabs(volume(phase), COMM, halo):
        turns += 1
        first, last = slab.layers
        seen[first:last] += 1
        low, high = (max(0, first - halo[0]), min(len(phase), last + halo[1])) if not slab.empty else (first, first)
        np.testing.assert_array_equal(slab.phase, phase[low:high])
        np.testing.assert_array_equal(slab.inner, phase[first:last])
        assert slab.phase.shape[1:] == phase.shape[1:]
        assert last - first <= layers_of_slab(slab.window, halo)
    assert COMM.allgather(turns) == [turns] * COMM.size
    assert (COMM.allreduce(seen) == 1).all()


def test_slabs_of_a_rank_follow_each_other(monkeypatch):
    monkeypatch.setattr(passes, "VOXELS", 8)
    found = [slab.layers for slab in slabs(volume(phases((40, 4))), COMM) if not slab.empty]
    assert found[0][0] == 40 * COMM.rank // COMM.size
    assert found[-1][1] == 40 * (COMM.rank + 1) // COMM.size
    assert all(a[1] == b[0] for a, b in itertools.pairwise(found))


@pytest.mark.parametrize("halo", HALOS)
def test_a_window_is_the_image_of_its_pass(monkeypatch, halo):
    monkeypatch.setattr(passes, "VOXELS", 6)
    phase = phases((13, 3, 4))
    seen = np.zeros_like(phase, int)
    for slab in slabs(volume(phase), COMM, halo, ((2, 9), (1, 3), (0, 2))):
        first, last = slab.layers
        assert slab.window[0][0] >= 2
        assert slab.window[0][1] <= 9
        seen[first:last, 1:3, 0:2] += 1
        np.testing.assert_array_equal(slab.inner, phase[first:last, 1:3, 0:2])
    whole = COMM.allreduce(seen)
    assert (whole[2:9, 1:3, 0:2] == 1).all()
    assert whole.sum() == 7 * 2 * 2


def test_all_layers_of_a_rank_at_once(monkeypatch):
    monkeypatch.setattr(passes, "VOXELS", 1)
    phase = phases((5, 4))
    (slab,) = slabs(volume(phase), COMM, (0, 1), at_once=True)
    assert slab.layers == share(5, COMM.rank, COMM.size)


def test_layers_are_read_three_times_at_most(monkeypatch):
    monkeypatch.setattr(passes, "VOXELS", 1)
    read = sum(len(slab.phase) for slab in slabs(volume(phases((60, 4))), COMM, (4, 4)))
    assert COMM.allreduce(read) <= 3 * 60


@pytest.mark.parametrize(("count", "size"), [(0, 1), (0, 3), (1, 3), (7, 3), (8, 1), (100, 7)])
def test_shares_are_even_and_leave_nothing_out(count, size):
    ends = [share(count, rank, size) for rank in range(size)]
    assert ends[0][0] == 0
    assert ends[-1][1] == count
    assert all(a[1] == b[0] for a, b in itertools.pairwise(ends))
    assert max(b - a for a, b in ends) - min(b - a for a, b in ends) <= 1


@pytest.mark.parametrize("shape", [(11, 6), (9, 4, 5), (1, 6), (2, 2, 2)])
def test_pairs_at_all_offsets_are_met_once(monkeypatch, shape):
    """All pairs of neighbours, through faces, edges and corners, against those of the whole image."""
    monkeypatch.setattr(passes, "VOXELS", 20)
    phase = phases(shape)
    for offset in itertools.product((0, 1), *[(-1, 0, 1)] * (len(shape) - 1)):

        def counted(slab, offset=offset):
            one, other = slab.pairs(offset)
            return np.bincount(3 * one.ravel().astype(np.int64) + other.ravel(), minlength=9)

        wanted = np.zeros(9, int)
        for place in np.ndindex(shape):
            beside = tuple(np.add(place, offset))
            if all(0 <= b < n for b, n in zip(beside, shape, strict=True)):
                wanted[3 * int(phase[place]) + phase[beside]] += 1
        found = slab_sum(volume(phase), COMM, counted, halo=(0, 1))
        np.testing.assert_array_equal(found, wanted, err_msg=str(offset))


@pytest.mark.parametrize("voxels", [1, 30, 10**6])
def test_sums_are_those_of_the_whole_image(monkeypatch, voxels):
    monkeypatch.setattr(passes, "VOXELS", voxels)
    phase = phases((10, 7, 3))
    found = slab_sum(volume(phase), COMM, lambda slab: np.bincount(slab.phase.ravel(), minlength=3))
    np.testing.assert_array_equal(found, np.bincount(phase.ravel(), minlength=3))


def test_distances_up_to_the_halo_are_exact(monkeypatch):
    """As an analysis would find them, on voxels twice as thick as wide."""
    monkeypatch.setattr(passes, "VOXELS", 50)
    phase = (phases((30, 8, 7)) == 0).astype(np.uint8)
    image = volume(phase)
    reach = 6e-6
    whole = ndimage.distance_transform_edt(phase, sampling=image.voxel_size)
    for slab in slabs(image, COMM, halo=(3, 3)):
        if not slab.empty:
            here = ndimage.distance_transform_edt(slab.phase, sampling=image.voxel_size)[slab.own]
            first, last = slab.layers
            np.testing.assert_array_equal(np.minimum(here, reach), np.minimum(whole[first:last], reach))


@pytest.mark.parametrize("layer", [0, 5, 19, None])
def test_one_slab_answers_for_all(monkeypatch, layer):
    monkeypatch.setattr(passes, "VOXELS", 8)
    phase = np.zeros((20, 4), np.uint8)
    looked = []
    if layer is not None:
        phase[layer, 2] = 1

    def test(slab):
        looked.append(slab.layers)
        return bool(slab.inner.any())

    assert any_slab(volume(phase), COMM, test) is (layer is not None)
    if layer is None:
        assert looked[-1][1] == share(20, COMM.rank, COMM.size)[1]
    if layer == 0:
        assert len(looked) == 1


@pytest.mark.parametrize("way", [slab_sum, any_slab])
def test_what_fails_on_one_rank_is_told_on_all(monkeypatch, way):
    monkeypatch.setattr(passes, "VOXELS", 4)

    def work(slab):
        if slab.layers[1] == 24:  # of the last rank
            raise InputError("no good.")
        return np.zeros(1, np.int64)

    with pytest.raises(InputError, match=r"no good\."):
        way(volume(phases((24, 4))), COMM, work)


def test_windows_in_turn():
    phase = phases((6, 5))
    windows = [((i, i + 1), (0, 5)) for i in range(6)] + [((0, 6), (2, 3))]
    mine = dict(read_in_turn(volume(phase), windows, COMM))
    assert list(mine) == list(range(COMM.rank, 7, COMM.size))
    for number, portion in mine.items():
        (a, b), (c, d) = windows[number]
        np.testing.assert_array_equal(portion.phase, phase[a:b, c:d])
