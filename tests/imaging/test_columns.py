"""Labels of columns of voxels through whose pores deeper slices shine, against all labels that there are."""

from itertools import pairwise, product

import numpy as np
import pytest
from phantoms import blurred, mottled, shining

from microlith.imaging.columns.appearance import Appearance, States, appearance, late_solids, sums_of
from microlith.imaging.columns.sweep import gaps, sweep
from microlith.imaging.columns.through import REACH, Through, sums_beside, through

BOND = np.array([[0, 0.3, 0.5], [0.3, 0, 0.2], [0.5, 0.2, 0]], np.float32)  # of each two phases
CHANGE = np.array([[0, 0.8, 0.6], [0.8, 0, 0.4], [0.6, 0.4, 0]], np.float32)


@pytest.fixture
def column():
    """A 3 x 3 slice of columns of 6 voxels, three phases, and random grey values of all states."""
    rng = np.random.default_rng(5)
    states = States(3, 1, 2)  # phase 1 is the clear one
    labels = rng.integers(0, 3, (6, 3, 3)).astype(np.uint8)
    state = states.of(labels, 6)
    mean = rng.uniform(0, 3, states.count).astype(np.float32)
    weight = rng.uniform(0.5, 2, states.count).astype(np.float32)
    log = rng.uniform(0, 1, states.count).astype(np.float32)
    grey = rng.uniform(0, 3, (6, 3, 3)).astype(np.float32)
    return states, labels, state, mean, weight, log, grey


def _all_costs(column):
    """Costs of all labels of the column in the middle, counted one by one: for each, of all that may be behind it.

    What is behind the last voxel is not known, so that pores there may be in any state.
    """
    states, labels, _, mean, weight, log, grey = column
    behind = [(0, 0), (2, 2), (1, 0), (1, 2), (1, 1)]  # one for each state of a pore
    found = {}
    for own in product(range(3), repeat=6):
        along = sum(CHANGE[a, b] for a, b in pairwise(own))
        found[own] = []
        for unseen in behind if own[-1] == 1 else [()]:
            longer = np.array([*own, *unseen], np.uint8)[:, None, None]
            state = states.of(longer, 6)[:, 0, 0]
            cost = along
            for z, s in enumerate(state):
                cost += 0.5 * weight[s] * (grey[z, 1, 1] - mean[s]) ** 2 + log[s]
                for y, x in product(range(3), repeat=2):
                    if (y, x) != (1, 1):
                        cost += BOND[own[z], labels[z, y, x]] * (1.0 if 1 in (y, x) else 0.7071)
            found[own].append((cost, state))
    return found


def _begun(column):
    """Probabilities of the labels, taken for sure; what is expected, and what the image has more."""
    states, labels, state, mean, *_, grey = column
    probable = np.stack([np.uint8(255) * (labels == k).astype(np.uint8) for k in range(states.phases)])
    seen = mean[state[:, 1:2]]
    return probable, seen, np.array(state[:, 1:2]), grey[:, 1:2] - seen


def test_the_gap_of_a_phase_is_that_of_the_best_of_all_labels(column):
    states, _, _, mean, weight, log, _ = column
    costs = {own: min(cost for cost, _ in found) for own, found in _all_costs(column).items()}
    probable, seen, _, pull = _begun(column)
    gap = np.empty((3, 6, 1, 3), np.float32)
    gaps(probable, seen, pull, states.phase, mean, weight, log, np.float32(1), BOND, CHANGE, gap)
    for z, k in product(range(6), range(3)):
        least = min(cost for own, cost in costs.items() if own[z] == k)
        assert gap[k, z, 0, 1] == pytest.approx(least - min(costs.values()), abs=1e-4)


def test_probabilities_are_sums_over_all_labels_of_a_column(column):
    states, _, _, mean, weight, log, _ = column
    probable, seen, state, pull = _begun(column)
    before = probable.copy(), seen.copy(), state.copy()
    sweep(probable, seen, state, pull, states.phase, mean, weight, log, np.float32(1), BOND, CHANGE, 0, 1, 2)
    each = np.zeros((6, states.count))
    for found in _all_costs(column).values():
        for cost, way in found:
            each[np.arange(6), way] += np.exp(-cost) / len(found)
    each /= each.sum(axis=1, keepdims=True)
    for k in range(3):
        assert probable[k, :, 1, 1] / 255 == pytest.approx(each[:, states.phase == k].sum(axis=1), abs=0.5 / 255 + 1e-4)
    assert seen[:, 0, 1] == pytest.approx(each @ mean, abs=1e-4)
    assert (state[:, 0, 1] == each.argmax(axis=1)).all()
    beside = np.arange(3) != 1
    assert (probable[:, :, :, beside] == before[0][:, :, :, beside]).all(), "the columns beside it stay"
    assert (seen[:, :, beside] == before[1][:, :, beside]).all()
    assert (state[:, :, beside] == before[2][:, :, beside]).all()


def test_no_grey_value_is_impossible(column):
    """Without noise, and with many slices looked at, no product of probabilities comes out as zero for all labels."""
    rng = np.random.default_rng(7)
    states = States(3, 1, 60)
    probable = rng.integers(0, 256, (3, 200, 3, 2)).astype(np.uint8)
    seen, pull = np.zeros((2, 200, 1, 2), np.float32)
    state = np.zeros((200, 1, 2), np.int32)
    pull += rng.choice([0.0, 1e3, -1e3], pull.shape).astype(np.float32)
    mean = rng.uniform(0, 1, states.count).astype(np.float32)
    flat, own = np.ones_like(mean), np.float32(1)
    sweep(probable, seen, state, pull, states.phase, mean, 1e4 * flat, flat, own, 40 * BOND, 40 * CHANGE, 0, 0, 2)
    assert np.isfinite(seen).all()
    assert probable[:, :, 1, 0].astype(int).sum(axis=0) == pytest.approx(np.full(200, 255), abs=2)


def test_states_are_the_nearest_solid_behind_and_how_far():
    states = States(3, 0, 2)
    labels = np.array([0, 0, 0, 2, 0, 1, 0, 0], np.uint8)[:, None, None]
    assert states.of(labels, 8).ravel().tolist() == [6, 5, 3, 1, 2, 0, 6, 6]
    assert states.phase.tolist() == [1, 2, 0, 0, 0, 0, 0]


@pytest.mark.parametrize("dark", [True, False])
def test_brightness_just_before_a_solid_follows_from_that_farther_away(dark):
    """Of pores there only those darker than the solid are known as such, which made them look too dark."""
    states = States(2, 0, 8)
    sign = 1 if dark else -1
    true = 50 + sign * 80 * 0.9 ** np.arange(9)  # the solid, and pores 1 to 8 slices before it
    learnt = np.array([*true, 50.0])
    learnt[1:3] -= sign * 6
    state = np.repeat(np.arange(10), 40).reshape(20, 20)
    sums = sums_of(learnt[state].astype(np.float32), state.astype(np.int32), np.ones(state.shape, bool), states.count)
    found = appearance(sums, states)
    assert found.mean[:9] == pytest.approx(true, abs=0.01)
    assert appearance(sums * (np.arange(10) != 0), states) is None, "a phase without voxels"


@pytest.mark.parametrize("solids", [1, 2])
@pytest.mark.parametrize(
    ("through", "late"),
    [
        ([0.6, 0.36, 0.22, 0.13, 0.08], False),  # equal shares
        ([0.5, 0.4, 0.32, 0.26, 0.2], False),  # less of it at the solid
        ([0.97, 0.94, 0.91, 0.88, 0.85], False),  # strong
        ([0.9, 0.6, 0.36, 0.22, 0.13], True),  # the first of them are the solid for the most part
        ([1.0, 0.7, 0.45, 0.25, 0.1], True),
        ([0.8, 0.1, 0.0, 0.0, 0.0], False),  # through one slice and no more
    ],
)
def test_solids_begin_too_late_where_pores_before_them_are_as_bright(through, late, solids):
    states = States(solids + 1, 0, len(through))
    full = np.array([70.0, 140.0])[:solids]
    mean = 40 + np.concatenate([full, *(share * full for share in through), [0.0]])
    looks = Appearance(mean, np.ones(states.count), np.full(states.count, 10_000))
    assert late_solids(looks, states) == (list(range(solids)) if late else [])
    few = Appearance(mean, np.ones(states.count), np.full(states.count, 50))
    assert late_solids(few, states) == []


def test_few_voxels_of_a_pore_look_as_pores_before_other_solids_say():
    """Of a solid before which only the nearest pores are seen, farther ones follow from those before another solid."""
    states = States(3, 0, 8)
    solids, through = np.array([110.0, 165.0]), 0.85 * 0.9 ** np.arange(8)
    true = np.array([*solids, *(40 + through[:, None] * (solids - 40)).ravel(), 40.0])
    voxels = np.full(states.count, 5000)
    voxels[5::2] = 0  # pores two or more slices before the brighter solid
    voxels[-1] = 5000
    sums = np.stack([voxels, voxels * true, voxels * (true**2 + 64)])
    assert appearance(sums, states).mean == pytest.approx(true, abs=0.5)
    voxels[3] = 0  # never seen just before it: such pores look like the solid
    assert (appearance(np.stack([voxels, voxels * true, voxels * (true**2 + 64)]), states).mean[3:-1:2] == 165).all()


def test_pores_before_and_behind_solids_are_summed_up():
    rng = np.random.default_rng(6)
    labels = (rng.integers(0, 3, (30, 4, 5)) * (rng.random((30, 4, 5)) < 0.2)).astype(np.uint8)
    grey = rng.uniform(0, 9, labels.shape).astype(np.float32)
    inner = rng.random(labels.shape) < 0.8
    expected = np.zeros((30, 3, 1 + 2 * REACH, 3))
    for (z, y, x), label in np.ndenumerate(labels):
        if not inner[z, y, x]:
            continue
        places = [(0, label)]
        if label == 0:
            solids = np.flatnonzero(labels[:, y, x])
            after, before = solids[solids > z], solids[solids < z]
            ahead = after[0] - z if len(after) else 99
            behind = z - before[-1] if len(before) else 99
            if ahead <= REACH and ahead < behind:
                places.append((ahead, labels[z + ahead, y, x]))
            if behind <= REACH and behind < ahead:
                places.append((REACH + behind, labels[z - behind, y, x]))
        for place in places:
            expected[(z, slice(None), *place)] += [1, grey[z, y, x], float(grey[z, y, x]) ** 2]
    whole = sums_beside(grey, labels, inner, slice(0, 30), 3, 0)
    assert whole == pytest.approx(expected, rel=1e-6)
    block = np.s_[10 - REACH : 14 + REACH]
    part = sums_beside(grey[block], labels[block], inner[block], slice(REACH, REACH + 4), 3, 0)
    assert (part == whole[10:14]).all()


def _through(grey, labels):
    return through(sums_beside(grey.astype(np.float32), labels, np.ones(labels.shape, bool), slice(0, None), 3, 0), 0)


def test_what_shines_through_is_told_from_blur_noise_and_steps():
    """What is seen of a solid through pores is not on its other side."""
    labels = mottled(64, 4.0)
    levels, rng = np.array([40.0, 110.0, 180.0]), np.random.default_rng(2)
    steps = rng.normal(0, 12, (64, 1, 1)) + np.linspace(0, 40, 64)[:, None, None]
    plain = _through(blurred(labels, levels, blur=1.5, noise=20) + steps, labels)
    assert plain.nothing
    assert abs(plain.share) < 3 * plain.error < 0.05
    assert plain.told_apart
    before = levels[labels]
    for z in range(63):  # in a pore with a solid just behind it, three tenths of its contrast
        pores = (labels[z] == 0) & (labels[z + 1] > 0)
        before[z][pores] += 0.3 * (levels[labels[z + 1]] - 40)[pores]
    known = sums_beside(before.astype(np.float32), labels, np.ones(labels.shape, bool), slice(0, None), 3, 0)
    nearest = known * (np.isin(np.arange(1 + 2 * REACH), [0, 1, 1 + REACH]))[:, None]
    assert through(nearest, 0).share == pytest.approx(0.3, abs=0.01)
    seen = shining(labels, levels, noise=20) + steps
    found = _through(seen, labels)
    assert not found.nothing
    assert found.share > 0.2
    assert not found.other_way
    turned = _through(seen[::-1], labels[::-1])
    assert turned.share < -0.2
    assert turned.nothing
    assert turned.other_way


@pytest.mark.parametrize(
    ("share", "error", "nothing"),
    [(0.03, 0.005, True), (0.03, 0.016, True), (0.03, 0.036, False), (0.06, 0.01, False), (0.3, 0.2, False)],
)
def test_a_share_is_none_by_its_standard_error(share, error, nothing):
    assert Through(0, share, error, (), 5.0).nothing == nothing


def test_nothing_is_said_to_shine_through_only_where_that_is_known():
    labels = mottled(48, 4.0)
    grey = blurred(labels, noise=8)
    assert _through(grey, labels).nothing
    few = _through(grey[:3], labels[:3])
    assert np.isinf(few.error)
    assert not few.nothing
    none = _through(grey, np.where(labels == 0, 1, labels).astype(np.uint8))
    assert np.isnan(none.share)
    assert not none.nothing
    assert not none.told_apart, "a phase without voxels"
    assert not _through(np.where(labels == 1, grey + 68, grey), labels).told_apart, "two as bright"
