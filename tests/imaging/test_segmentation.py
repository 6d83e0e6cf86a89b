"""Filters, thresholds and clean-up of a segmentation, each against what it has to do."""

import errno
from itertools import pairwise

import cc3d
import numpy as np
import pytest
from phantoms import blurred, truth
from scipy import ndimage

from mpi4py import MPI

from microlith.imaging.errors import InputError
from microlith.imaging.segmentation.classing import ByRegions, Rule, by_rules
from microlith.imaging.segmentation.cleanup import cleaned
from microlith.imaging.segmentation.corrections import Background, Destripe, NonLocalMeans, SliceBrightness
from microlith.imaging.segmentation.filters import Gaussian, Median, filtered
from microlith.imaging.segmentation.histogram import Histogram, histogram
from microlith.imaging.segmentation.options import CleanupOptions, Extent, Size
from microlith.imaging.segmentation.regions import RegionOptions, cut_and_described
from microlith.imaging.segmentation.rescaling import _weights
from microlith.imaging.segmentation.thresholds import Cuts, Favoured, otsu, settled
from microlith.imaging.volumes.disk_volumes import Layers, Workshop
from microlith.imaging.writing import UNFINISHED

VOXEL = (2e-8, 1e-8, 1e-8)


def _filtered(folder, grey, *filters, comm=MPI.COMM_SELF):
    workshop = Workshop(folder, comm)
    volume = workshop.new("grey", grey.shape, np.float32)
    volume.values(writable=True)[:] = grey
    found, done = filtered(volume, filters, VOXEL, workshop)
    return np.array(found.values()), done


@pytest.fixture(scope="module")
def sample():
    """Grey values without faults, and their truth."""
    true = truth(64, (72, 24, 100), "aged.tif", enlarge=1)
    return blurred(true, noise=0.0), true


# --- filters ---


def test_median_and_gaussian_are_scipys_whatever_the_blocks(tmp_path, monkeypatch):
    grey = np.random.default_rng(0).normal(100, 10, (13, 17, 19)).astype(np.float32)
    monkeypatch.setattr("microlith.imaging.volumes.disk_volumes.VALUES", 17 * 19 * 2)
    found, _ = _filtered(tmp_path, grey, Median(1))
    assert (found == ndimage.median_filter(grey, 3, mode="nearest")).all()
    found, done = _filtered(tmp_path, grey, Gaussian(Extent(2e-8, False)))
    assert np.allclose(found, ndimage.gaussian_filter(grey, (1, 2, 2), mode="nearest"), atol=1e-4)
    assert "2, 2, 1 voxels along x, y, z" in done[0].how


@pytest.mark.parametrize(("along", "length"), [("y", None), ("x", None), ("y", 32)])
def test_stripes_are_taken_out_and_the_sample_stays(tmp_path, sample, along, length):
    grey, _ = sample
    rng = np.random.default_rng(1)
    stripes = rng.normal(0, 15, (len(grey), 1, 64))
    if length is not None:  # that fade from top to bottom
        stripes = stripes * np.linspace(1.5, 0.5, 64)[None, :, None]
    stripes = np.broadcast_to(stripes, grey.shape)
    stripes = stripes.swapaxes(1, 2) if along == "x" else stripes
    noise = rng.normal(0, 4 if length is None else 1, grey.shape)
    found, _ = _filtered(tmp_path, grey + stripes + noise, Destripe(along, length=length))
    rest = found - grey - noise
    rest = rest - rest.mean(axis=(1, 2), keepdims=True)
    assert np.std(rest) < (0.4 if length is None else 0.55) * np.std(stripes)
    clean, _ = _filtered(tmp_path, grey, Destripe(along))
    assert np.abs(clean - grey).mean() < 2, "a sample without stripes stays"


def test_steps_between_slices_are_taken_out(tmp_path, sample):
    grey, _ = sample
    steps = np.random.default_rng(2).normal(0, 12, (len(grey), 1, 1))
    found, _ = _filtered(tmp_path, grey + steps, SliceBrightness(12))
    rest = (found - grey).mean(axis=(1, 2))
    assert np.std(rest) < 0.4 * np.std(steps)
    assert np.std(np.diff(rest)) < 0.1 * np.std(np.diff(steps[:, 0, 0]))


@pytest.mark.parametrize("course", [np.linspace(-30, 40, 64), 30 * np.cos(np.linspace(0, 3, 64))])
def test_a_drift_through_the_volume_is_taken_out_with_a_window_of_all_slices(tmp_path, sample, course):
    """It is slower than any window, so that no number of slices took it out; a gradient of the sample stays."""
    grey = sample[0].astype(np.float64)
    drift = np.resize(course, len(grey))[:, None, None]
    noise = np.random.default_rng(3).normal(0, 4, grey.shape)
    found, _ = _filtered(tmp_path, grey + drift + noise, SliceBrightness(len(grey)))
    rest = (found - grey).mean(axis=(1, 2))
    assert np.ptp(rest) < 0.1 * np.ptp(drift)
    kept, _ = _filtered(tmp_path, grey + drift + noise, SliceBrightness(len(grey) - 1))
    assert np.ptp((kept - grey).mean(axis=(1, 2))) > 0.5 * np.ptp(drift)
    solid = np.arange(64) < 8 + np.arange(len(grey))[:, None] * 40 // len(grey)  # more of it with depth
    image = np.where(solid[:, None, :], 160.0, 60.0) + np.zeros((1, 64, 1))
    clean, _ = _filtered(tmp_path, image, SliceBrightness(1000))
    assert np.abs(clean - image).max() < 2


def test_files_of_volumes_have_their_space_before_they_are_filled(tmp_path):
    """A page of a hole for which the disk has no room would end the process with SIGBUS."""
    volume = Workshop(tmp_path, MPI.COMM_SELF).new("grey", (20, 100, 100), np.float32)
    assert volume.path.stat().st_blocks * 512 >= volume.values().nbytes


def test_a_full_disk_is_told_with_the_folder_that_the_user_knows(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.posix_fallocate", full)
    folder = tmp_path / "out" / f"{UNFINISHED}1" / ".volumes"
    folder.mkdir(parents=True)
    with pytest.raises(InputError, match=r"out/\.volumes/grey\.npy: can't write here \(no space left on device\)"):
        Workshop(folder, MPI.COMM_SELF).new("grey", (2, 3, 4), np.float32)


def test_a_background_of_too_high_a_degree_is_refused(tmp_path):
    with pytest.raises(InputError, match="choose 2 at most"):
        _filtered(tmp_path, np.random.default_rng(0).normal(100, 10, (4, 3, 30)), Background(6))
    assert np.isfinite(
        _filtered(tmp_path, np.random.default_rng(0).normal(100, 10, (4, 3, 30)), Background(2))[0]
    ).all()


@pytest.mark.parametrize("deviation", [Extent(1.0, in_voxels=False), Extent(30.0, in_voxels=True)])
def test_a_gaussian_wider_than_the_image_is_refused(tmp_path, deviation):
    """Its weights alone would fill the memory."""
    with pytest.raises(InputError, match="wider than the image, 30 x 3 x 4"):
        _filtered(tmp_path, np.random.default_rng(0).normal(100, 10, (4, 3, 30)), Gaussian(deviation))


def test_uneven_background_is_taken_out(tmp_path):
    rng = np.random.default_rng(3)
    grey = np.where(rng.random((40, 30, 50)) < 0.4, 50.0, 120.0)
    y, x = np.mgrid[-1:1:30j, -1:1:50j]
    shade = 20 * x + 15 * y**2 - 10 * x * y
    found, _ = _filtered(tmp_path, grey + shade, Background(2))
    rest = found - grey
    assert np.std(rest) < 0.12 * np.std(shade)


def test_non_local_means_take_noise_and_leave_edges(tmp_path):
    grey = np.full((2, 48, 48), 50.0)
    grey[:, :, 24:] = 150
    noisy = grey + np.random.default_rng(4).normal(0, 12, grey.shape)
    found, done = _filtered(tmp_path, noisy, NonLocalMeans())
    assert np.std(found - grey) < 0.5 * 12
    assert np.abs(found - grey)[:, :, 22:26].mean() < 8
    assert "noise of 1" in done[0].how


@pytest.mark.parametrize(("before", "after"), [(12, 5), (12, 12), (5, 12), (7, 3)])
def test_rescaling_keeps_constants_and_lines(before, after):
    weights = _weights(before, after).toarray()
    assert weights.sum(axis=1) == pytest.approx(np.ones(after))
    if before > after:
        assert weights.sum(axis=0) == pytest.approx(np.full(before, after / before))
    middles = weights @ (np.arange(before) + 0.5) / before
    assert middles == pytest.approx(
        (np.arange(after) + 0.5) / after, abs=0.5 / before if after > before else 0.1 / before
    )


# --- thresholds ---


def _counted(values):
    counts, edges = np.histogram(values, np.arange(-0.5, 256.5))
    return Histogram(counts, edges)


def test_otsu_takes_the_middle_of_an_empty_stretch():
    found = otsu(_counted(np.repeat([40, 44, 196, 200], 100)), 2)
    assert found.values == pytest.approx((120,))
    assert found.means == pytest.approx((42, 198))
    assert settled((60.0,), _counted(np.repeat([40, 200], [900, 100]))).values == pytest.approx((120,))


def test_moved_thresholds_do_not_pass_each_other():
    cuts = Cuts((50.0, 60.0, 200.0), (20.0, 55.0, 100.0, 300.0))
    assert cuts.moved(Favoured(1, -0.4)) == pytest.approx((55.0, 55.0, 200.0))
    assert cuts.moved(Favoured(2, 0.4)) == pytest.approx((42.0, 42.0, 280.0))
    grey = np.linspace(0, 300, 1001, dtype=np.float32)
    for phase in range(4):
        smaller, plain, larger = (cuts.classed(grey, Favoured(phase, s)) == phase for s in (-0.2, 0.0, 0.2))
        assert (plain | ~smaller).all()
        assert (larger | ~plain).all()
    changed = cuts.classed(grey, Favoured(3, 0.1)) != cuts.classed(grey)
    assert (cuts.margin(grey)[changed] <= 0.1 + 1e-6).all()


# --- regions ---


def test_features_of_regions_are_those_counted_by_hand(tmp_path, monkeypatch):
    """Two slices of a left and a right half each, cut where they are."""
    grey = np.zeros((3, 2, 6), np.float32)
    grey[0] = 10
    grey[1, :, :3], grey[1, :, 3:] = 40, 100
    grey[1, 0, 0] = 64
    grey[2] = 200
    halves = np.repeat(np.array([[0, 0, 0, 1, 1, 1]], np.int32), 2, axis=0)
    monkeypatch.setattr("microlith.imaging.segmentation.regions._cut", lambda *_: halves)
    workshop = Workshop(tmp_path, MPI.COMM_SELF)
    volume = workshop.new("grey", grey.shape, np.float32)
    volume.values(writable=True)[:] = grey
    found = cut_and_described(volume, histogram(volume, workshop), RegionOptions(levels=(50.0,), reach=2), workshop)
    assert found.start.tolist() == [0, 2, 4, 6]
    names = dict(zip(found.names, found.features[2], strict=True))  # the left half of the middle slice
    expected = {"mean": 44, "deviation": np.std([40] * 5 + [64]), "above_1": 1 / 6, "neighbours": 100, "size": 6}
    expected |= {"before_1": 10, "before_2": 10, "after_1": 200, "after_2": 200}
    assert names == pytest.approx(expected)
    assert dict(zip(found.names, found.features[0], strict=True))["after_1"] == 44
    assert dict(zip(found.names, found.features[0], strict=True))["after_2"] == 200


def test_a_wanted_number_of_regions_sets_the_scale(tmp_path):
    grey = blurred(truth(48, (72, 24, 144)))[:2]
    workshop = Workshop(tmp_path, MPI.COMM_SELF)
    volume = workshop.new("grey", grey.shape, np.float32)
    volume.values(writable=True)[:] = grey
    found = cut_and_described(volume, histogram(volume, workshop), RegionOptions(count=60, smallest=4), workshop)
    assert found.start[2] - found.start[1] == pytest.approx(60, rel=0.2)


@pytest.mark.parametrize("defects", [(1e30,), (-4e4, 3e38), (5e4,)])
def test_defects_of_a_detector_leave_the_histogram_as_it_is(tmp_path, sample, defects):
    """One voxel of 1e30 had all others in one bin, and Otsu's threshold put it alone against them."""
    grey = sample[0] + np.random.default_rng(0).normal(0, 5, sample[0].shape).astype(np.float32)
    cuts = [otsu(_histogram_of(tmp_path / "good", grey), 3).values]
    for place, value in enumerate(defects):
        grey[5, 6, 7 + place] = value
    cuts.append(otsu(_histogram_of(tmp_path / "bad", grey), 3).values)
    assert cuts[1] == pytest.approx(cuts[0], abs=1.0)


@pytest.mark.filterwarnings("error")
def test_margins_of_grey_values_near_the_largest_of_single_precision_are_those_of_others():
    """The contrast of -2.7e38 and 2.7e38 is beyond it: all margins were 0, or not a number."""
    shares = np.linspace(-0.1, 1.1, 200, dtype=np.float32)
    large = (shares.astype(np.float64) * 5.4e38 - 2.7e38).astype(np.float32)
    at = [tuple(scale * x - zero for x in (0.0, 0.4, 1.0)) for scale, zero in ((1.0, 0.0), (5.4e38, 2.7e38))]
    plain, beyond = (Cuts(tuple(0.5 * (a + b) for a, b in pairwise(means)), means) for means in at)
    assert beyond.margin(large) == pytest.approx(plain.margin(shares), abs=1e-5)


def test_few_values_beside_one_value_are_seen(tmp_path):
    grey = np.zeros((30, 30, 30), np.float32)
    grey[3, 4, 5] = 7.5
    assert otsu(_histogram_of(tmp_path, grey), 2).values[0] == pytest.approx(3.75, abs=3.75)


def _histogram_of(folder, grey):
    folder.mkdir(exist_ok=True)
    workshop = Workshop(folder, MPI.COMM_SELF)
    volume = workshop.new("grey", grey.shape, np.float32)
    volume.values(writable=True)[:] = grey
    return histogram(volume, workshop)


@pytest.mark.parametrize("favoured", [None, Favoured(1, 0.2), Favoured(0, -0.2)])
def test_regions_of_a_block_are_classed_as_those_of_the_whole(tmp_path, favoured):
    grey = np.ascontiguousarray(blurred(truth(48, (72, 24, 144)))[-8::2])
    workshop = Workshop(tmp_path, MPI.COMM_SELF)
    volume = workshop.new("grey", grey.shape, np.float32)
    volume.values(writable=True)[:] = grey
    counted = histogram(volume, workshop)
    regions = cut_and_described(volume, counted, RegionOptions(smallest=4), workshop)
    rules = Rule(2, (("mean", 140.0, 999.0),)), Rule(1, (("mean", 75.0, 999.0), ("after_1", 60.0, 999.0))), Rule(0, ())
    decision = ByRegions(volume, regions, by_rules(rules, regions, counted, 3))
    whole = Layers(0, 4, 0, 4)
    parts = [Layers(0, 1, 0, 1), Layers(1, 3, 1, 3), Layers(3, 4, 3, 4)]
    assert (decision.classed(whole, favoured) == np.concatenate([decision.classed(p, favoured) for p in parts])).all()
    assert (decision.margin(whole) == np.concatenate([decision.margin(p) for p in parts])).all()
    assert np.unique(decision.classed(whole, favoured)).tolist() == [0, 1, 2]
    assert len(np.unique(decision.margin(whole))) > 10


# --- clean-up ---

PHASES = ("pore", "solid", "particle")


def _cleaned(labels, **asked):
    labels = np.array(labels, np.uint8)
    steps = cleaned(labels, CleanupOptions(**asked), PHASES, (1e-8,) * labels.ndim)
    return labels, steps


def test_small_pieces_go_to_what_surrounds_most_of_them():
    labels = np.ones((9, 9, 9), np.uint8)
    labels[:, :, :3] = 0
    labels[4, 4, 4] = 2  # alone
    labels[2, 2, 3:5] = 2  # 2 voxels, beside the pore
    labels[6:8, 6:8, 6:8] = 2  # 8 voxels
    found, (step,) = _cleaned(labels, pieces={"particle": Size(5, True)})
    assert (step.pieces, step.voxels) == (2, 3)
    assert found[4, 4, 4] == found[2, 2, 3] == 1
    assert (found == 2).sum() == 8
    # A sphere of 27 nm has 10.3 voxels of 10 nm
    assert _cleaned(labels, pieces={"particle": Size(27e-9, False)})[1][0].pieces == 3


def test_holes_are_wholly_within_one_phase():
    labels = np.zeros((12, 12), np.uint8)
    labels[2:10, 2:10] = 2
    labels[4, 4] = 0  # a hole
    labels[7, 2] = 1  # at the rim: none
    labels[2:10, 9:] = 2
    labels[5, 11] = 0  # at a face of the image: none
    found, (step,) = _cleaned(labels, holes={"particle": Size(3, True)})
    assert (step.pieces, step.voxels) == (1, 1)
    assert found[4, 4] == 2
    assert found[5, 11] == 0
    assert found[7, 2] == 1


def test_pores_that_no_face_reaches_are_closed():
    labels = np.ones((8, 8, 8), np.uint8)
    labels[0:3, 1, 1] = 0
    labels[5:8, 6, 6] = 0
    labels[4, 4, 4] = 0
    found, (step,) = _cleaned(labels, unreached={"pore": ()})
    assert (step.pieces, step.voxels) == (1, 1)
    assert (found == 0).sum() == 6
    found, (step,) = _cleaned(labels, unreached={"pore": ("z_min",)})
    assert (step.pieces, step.voxels) == (2, 4)
    assert (found[:3, 1, 1] == 0).all()
    count = cc3d.connected_components(found == 0, connectivity=6).max()
    assert count == 1


def test_opening_and_closing_are_those_of_a_ball():
    labels = np.ones((30, 30), np.uint8)
    y, x = np.mgrid[0:30, 0:30]
    labels[np.hypot(y - 12, x - 12) <= 7] = 2
    labels[12, 19:26] = 2  # a whisker
    found, (step,) = _cleaned(labels, opening={"particle": 2})
    assert (found[12, 21:26] == 1).all()
    assert found[12, 12] == 2
    ball = np.hypot(*np.mgrid[-2:3, -2:3]) <= 2
    assert ((found == 2) == ndimage.binary_opening(labels == 2, ball)).all()
    gap = np.full((20, 20), 2, np.uint8)
    gap[:, 9:11] = 0
    found, (step,) = _cleaned(gap, closing={"particle": 2})
    assert step.voxels == 40
    assert (found == 2).all()
