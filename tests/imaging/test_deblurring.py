"""Labels whose blurred image explains the grey values, against counted energies and known structures."""

from itertools import product

import numpy as np
import pytest
from phantoms import blurred as tomogram, dice, mottled
from scipy import ndimage

from mpi4py import MPI

import microlith as ml
from microlith.imaging.deblurring.model import BlurModel, fit, products, weights
from microlith.imaging.deblurring.shading import DEGREE, Shading, across, moments, none
from microlith.imaging.deblurring.single import ALL, NONE, accepted, gains, parted, shifts
from microlith.imaging.deblurring.soft import WHOLE, softened
from microlith.imaging.segmentation.deblurred import ByBlur
from microlith.imaging.segmentation.thresholds import Favoured
from microlith.imaging.volumes.disk_volumes import Layers, Workshop

STRENGTH = 4.0
EDGES = (2.0, 1.0, 1.0)


@pytest.fixture
def model():
    return BlurModel(10.0, 5.0, np.array([0.1, 0.9, 2.2]), (0.5, 0.7, 0.6), 0.4, 0.4, none(21))


@pytest.fixture
def image():
    """Random labels and grey values; what is looked at is far from the ends, at which the blur sees its own copies."""
    rng = np.random.default_rng(4)
    labels = ndimage.zoom(rng.integers(0, 3, (7, 7, 7)), 3, order=0).astype(np.uint8)
    return labels, rng.uniform(10, 21, labels.shape).astype(np.float32)


def _energy(model, labels, grey, bond):
    """Of all voxels: squares that the model leaves, and bonds."""
    seen = ndimage.correlate1d(model.mean[labels], weights(model.blur[0]), 0, mode="nearest")
    for axis in (1, 2):
        seen = ndimage.correlate1d(seen, weights(model.blur[axis]), axis, mode="nearest")
    left = (grey.astype(float) - model.zero) / model.unit - seen
    energy = (left**2).sum() / (2 * model.noise**2)
    for steps in product((-1, 0, 1), repeat=3):
        moved = np.roll(labels, steps, (0, 1, 2))
        energy -= 0.5 * bond[tuple(k + 1 for k in steps)] * (moved == labels)[1:-1, 1:-1, 1:-1].sum()
    return energy


def _taken(model, labels, grey):
    mean, own = model.mean.astype(np.float32), np.float32(model.own / model.noise**2)
    return np.pad(labels, 1, mode="edge"), model.pull(grey, labels, 0), mean, own, model.bonds(STRENGTH, EDGES)


def test_what_a_label_costs_is_the_energy_counted_with_it(model, image):
    labels, grey = image
    bond = model.bonds(STRENGTH, EDGES).astype(float)
    taken = _taken(model, labels, grey)
    best, gain = np.empty_like(labels), np.empty(labels.shape, np.float32)
    gains(*taken, np.full_like(labels, NONE), best, gain)
    now = _energy(model, labels, grey, bond)
    rng = np.random.default_rng(0)
    for z, y, x in rng.integers(8, 13, (25, 3)):
        energies = []
        for k in range(3):
            other = labels.copy()
            other[z, y, x] = k
            energies.append(_energy(model, other, grey, bond) - now)
        assert best[z, y, x] == np.argmin(energies)
        assert gain[z, y, x] == pytest.approx(min(energies), rel=1e-3, abs=2e-3)


def test_a_barred_label_is_not_taken(model, image):
    """Each voxel takes the best of the others, and stays where all are barred."""
    labels, grey = image
    taken = _taken(model, labels, grey)
    found = [(np.empty_like(labels), np.empty(labels.shape, np.float32)) for _ in range(2)]
    gains(*taken, np.full_like(labels, NONE), *found[0])
    barred = np.where(found[0][0] != labels, found[0][0], NONE).astype(np.uint8)
    barred[:10] = ALL
    gains(*taken, barred, *found[1])
    assert (found[1][0][:10] == labels[:10]).all()
    assert (found[1][1][:10] == 0).all()
    assert ((found[0][0] != labels) & (found[1][0] != labels))[10:].any(), "the third label is better than its own"
    assert (found[1][0][10:] != barred[10:]).all()
    assert (found[1][1] >= found[0][1]).all()


def test_the_energy_falls_in_each_round(model, image):
    labels, grey = image
    bond = model.bonds(STRENGTH, EDGES).astype(float)
    before = _energy(model, labels, grey, bond)
    for _ in range(4):
        taken = _taken(model, labels, grey)
        best, gain, new = np.empty_like(labels), np.empty(labels.shape, np.float32), np.empty_like(labels)
        gains(*taken, np.full_like(labels, NONE), best, gain)
        accepted(labels, best, gain, model.apart, new)
        assert (new != labels).any()
        labels = new.copy()
        energy = _energy(model, labels, grey, bond)
        assert energy < before
        before = energy


def test_probabilities_are_those_of_the_mean_field(model, image):
    """Each is by the costs of all labels, counted here with convolutions, at the expected grey value it makes."""
    labels, grey = image
    share = np.stack([np.where(labels == k, 0.7, 0.15) for k in range(3)]).astype(np.float64)
    stored = np.rint(WHOLE * share).astype(np.uint8)
    share = stored / WHOLE
    mean, bond = model.mean.astype(np.float32), model.bonds(STRENGTH, EDGES)
    expected = np.tensordot(mean, share, 1).astype(np.float32)
    pull = model.pull_of(grey, expected, 0)
    own, all_own = model.own / model.noise**2, 1 / model.noise**2
    heat = 0.8
    found = np.empty_like(stored)
    softened(
        np.pad(stored, ((0, 0), (1, 1), (1, 1), (1, 1)), mode="edge"), expected, pull, mean,
        np.float32(own), np.float32(all_own), bond, np.float32(heat), found,
    )  # fmt: skip
    new = found / WHOLE
    assert new.sum(axis=0) == pytest.approx(1.0, abs=2 / WHOLE)
    moved = np.tensordot(mean, new, 1) - expected
    step = mean[:, None, None, None] - expected
    saved = np.stack([ndimage.correlate(one, bond.astype(float), mode="nearest") for one in share])
    cost = 0.5 * own * step**2 - step * pull - saved
    # What is stored is rounded; the expected grey value is found again from what is not
    low, high = np.full(expected.shape, mean[0]), np.full(expected.shape, mean[-1])
    for _ in range(40):
        middle = 0.5 * (low + high)
        exponent = -(cost + (all_own - own) * (middle - expected) * mean[:, None, None, None]) / heat
        right = np.exp(exponent - exponent.max(axis=0))
        right /= right.sum(axis=0)
        above = np.tensordot(mean, right, 1) > middle
        low, high = np.where(above, middle, low), np.where(above, high, middle)
    assert np.abs(moved).max() > 0.1
    assert new == pytest.approx(right, abs=0.02)


def test_of_voxels_that_gain_the_same_one_changes():
    labels, best = np.zeros((3, 4, 5), np.uint8), np.ones((3, 4, 5), np.uint8)
    new = np.empty_like(labels)
    accepted(labels, best, np.full(labels.shape, -1, np.float32), (2, 3, 4), new)
    assert np.argwhere(new).tolist() == [[0, 0, 0]]


def test_shifts_to_other_labels_are_what_they_cost(model, image):
    labels, grey = image
    taken = _taken(model, labels, grey)
    said = np.where(labels == 0, 2, labels).astype(np.uint8)
    found = np.empty((3, *labels.shape), np.uint8)
    shifts(taken[0], said, *taken[1:], np.float32(0.1), np.float32(0.05), found)
    assert (np.take_along_axis(found, labels[None].astype(int), 0) == 0).all()
    before = _energy(model, labels, grey, taken[-1])
    rng = np.random.default_rng(0)
    for (z, y, x), k in product(rng.integers(8, 13, (15, 3)), range(3)):
        now, changed = labels[z, y, x], labels.copy()
        changed[z, y, x] = k
        if k == now:
            continue
        near = k in labels[z - 1 : z + 2, y - 1 : y + 2, x - 1 : x + 2]
        cost = max(_energy(model, changed, grey, taken[-1]) - before, 0.0)
        shift = 0.1 * cost / (model.mean[k] - model.mean[now]) ** 2 if near else 1.0
        if k == said[z, y, x]:
            shift = min(shift, 0.05)
        assert found[k, z, y, x] == pytest.approx(100 * min(shift, 1.0) - 0.5, abs=0.6)


def test_favoured_phases_get_and_lose_what_is_doubtful(tmp_path, model):
    """Shifts of single voxels, in hundredths: 1 belongs to phase 1, the others may get to it, or it to them."""
    shown = {0: [20, 0, 0, 6, 5], 1: [0, 5, 9, 0, 0], 2: [7, 100, 10, 5, 5]}
    workshop = Workshop(tmp_path, MPI.COMM_SELF)
    volumes = []
    for name, row in (*shown.items(), ("labels", [1, 0, 0, 1, 1])):
        volumes.append(workshop.new(str(name), (1, 1, 5), np.uint8))
        volumes[-1].values(writable=True)[:] = np.array(row, np.uint8)
    decision = ByBlur(None, volumes[-1], tuple(volumes[:3]), model, 0)
    block = Layers(0, 1, 0, 1)

    def classed(shift):
        return decision.classed(block, Favoured(1, shift)).ravel().tolist()

    assert classed(0.07) == [1, 1, 0, 1, 1], "seven hundredths are more than 5, and not more than 7 or 9"
    assert classed(0.1) == [1, 1, 1, 1, 1]
    assert classed(-0.07) == [1, 0, 0, 2, 0], "to the nearest shift, of equals to the first of the nearest phases"
    assert classed(-0.08) == [2, 0, 0, 2, 0]
    assert decision.margin(block).ravel() == pytest.approx([0.075, 0.055, 0.095, 0.055, 0.055])


def test_what_labels_cost_is_the_energy_but_for_a_constant(model, image):
    labels, grey = image
    bond = model.bonds(STRENGTH, EDGES)
    other = labels.copy()
    other[7:14, 8:13, 8:12] = 2
    costs = []
    for one in (labels, other):
        found = np.empty(one.shape, np.float32)
        parted(np.pad(one, 1, mode="edge"), bond, found)
        costs.append(found.sum(dtype=float) + model.misfit(grey, one, 0).sum(dtype=float))
    wanted = _energy(model, other, grey, bond) - _energy(model, labels, grey, bond)
    assert costs[1] - costs[0] == pytest.approx(wanted, rel=1e-5)


def test_brightness_across_layers_is_found_whatever_the_brightness_of_each():
    rng = np.random.default_rng(2)
    weights_ = np.zeros((DEGREE + 1,) * 2)
    i, j = np.nonzero(np.add.outer(np.arange(DEGREE + 1), np.arange(DEGREE + 1)) <= DEGREE)
    weights_[i, j] = rng.normal(size=len(i))
    weights_[0, 0] = 0
    volume = Shading(rng.normal(size=6).astype(np.float32), weights_).of(0, 6, 30, 44)
    found = across(np.sum([moments(layer) for layer in volume], axis=0), *volume.shape)
    # The mean of a polynomial over the voxels is not that between them: it belongs to the layers
    assert found == pytest.approx(weights_, abs=1e-5)
    assert Shading(np.zeros(1, np.float32), np.diag([0.0, 3.0, 0, 0, 0])).range == pytest.approx(6.0)


def test_means_and_blur_of_an_image_are_found():
    true, widths = mottled(40, 4.0), (0.6, 1.2, 0.9)
    levels = np.array([0.0, 1.0, 1.8])
    grey = ndimage.gaussian_filter(levels[true], widths, mode="nearest").astype(np.float32)
    left = {}
    for tried in (widths, (0.9, 0.9, 0.9), (0.7, 1.2, 0.9), (0.6, 1.1, 0.9)):
        means, left[tried] = fit(products(grey, true, 3, 20, tried))
        if tried == widths:
            assert means == pytest.approx(levels, abs=0.01)
    assert min(left, key=left.get) == widths


TABLES = {
    "image": {"voxel_size": "20 nm"},
    "filters": {"median": 1},
    "segmentation": {"phases": ["a", "b", "c"], "method": "multistage"},
}


def _segmented(grey, comm=MPI.COMM_SELF, filters=TABLES["filters"], **more):
    tables = {**TABLES, "filters": filters, "segmentation": {**TABLES["segmentation"], **more}}
    return ml.segment(tables, image=grey, comm=comm)


@pytest.mark.parametrize("flat", [False, True])
def test_fine_structures_come_out_better(flat):
    true = mottled(64, 2.6, seed=8)
    if flat:
        true = true[:16].reshape(-1, 64)
    grey = tomogram(true, blur=0.9, noise=12)
    plain, better = _segmented(grey, deblur=False), _segmented(grey)
    assert plain.report.get("deblurred") is None
    worse, own = dice(plain.labels - 1, true), dice(better.labels - 1, true)
    assert (np.array(own) > np.array(worse)).all()
    assert min(own) > min(worse) + 0.01
    told = better.report["deblurred"]
    assert told["blur_voxels"] == pytest.approx([0.9] * true.ndim, abs=0.25)
    assert told["voxels_changed"] > 0
    for k, name in enumerate("abc"):
        low, high = (better.report["phases"][name][f"volume_fraction_{side}"] for side in ("smaller", "larger"))
        assert low < (true == k).mean() < high


def test_thin_cracks_are_told_from_broader_layers_of_a_phase_between():
    """Balls that cracks of two voxels cut, so that their blurred grey values are those of the other solid around."""
    rng = np.random.default_rng(5)
    size = 64
    place = np.indices((size,) * 3).reshape(3, -1).T.astype(float)
    true = (ndimage.gaussian_filter(rng.normal(size=(size,) * 3), 4) > 0).astype(np.uint8)
    for centre in rng.uniform(8, size - 8, (14, 3)):
        away = place - centre
        ball = (np.linalg.norm(away, axis=1) < 12).reshape(true.shape)
        true[ball] = 2
        for normal in rng.normal(size=(2, 3)):
            plane = np.abs(away @ normal / np.linalg.norm(normal)).reshape(true.shape)
            true[ball & (plane < 1.0)] = 0
    grey = tomogram(true, blur=0.8, noise=10)
    assert min(dice(_segmented(grey).labels - 1, true)) > 0.95  # 0.91 where labels only change one at a time


@pytest.mark.parametrize("shape", ["slope", "cup"])
def test_uneven_brightness_is_taken_into_account(shape):
    true = mottled(64, 4.0)
    y, x = np.mgrid[:64, :64] / 63 - 0.5
    uneven = 70.0 * (0.4 * x if shape == "slope" else x**2 + y**2)
    even, found = (_segmented(tomogram(true) + more) for more in (0.0, uneven))
    assert min(dice(found.labels - 1, true)) > min(dice(even.labels - 1, true)) - 0.005
    assert found.report["deblurred"]["uneven"] == pytest.approx(np.ptp(uneven), rel=0.15)
    assert even.report["deblurred"]["uneven"] < 3
    assert not found.report["warnings"]
    steep = _segmented(tomogram(true) + 70 * x)
    assert any("brightness across slices differs by 0." in sentence for sentence in steep.report["warnings"])


def test_noise_as_large_as_the_contrast_does_not_lose_a_phase():
    true = mottled(64, 6.0)
    found = _segmented(tomogram(true, noise=70.0), filters={"non_local_means": {}})
    assert min(dice(found.labels - 1, true)) > 0.85  # 0.73 with whatever annealing gives


def test_labels_do_not_depend_on_blocks(monkeypatch):
    grey = tomogram(mottled(32, 3.0), blur=0.9, noise=12)
    one = _segmented(grey)
    monkeypatch.setattr("microlith.imaging.volumes.disk_volumes.VALUES", 32 * 32 * 3)
    other = _segmented(grey)
    assert (one.labels == other.labels).all()
    assert (one.margin == other.margin).all()
    assert one.report["deblurred"] == other.report["deblurred"]
