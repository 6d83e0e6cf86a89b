"""Labels of columns of voxels through whose pores deeper slices shine, against all labels that there are."""

from itertools import pairwise, product

import numpy as np
import pytest

from microlith.imaging.columns.appearance import States, appearance, sums_of
from microlith.imaging.columns.sweep import gaps, sweep

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
    """Costs of all labels of the column in the middle, counted one by one.

    What is behind the last voxel is not known, so that pores there may be in any state: the best one counts.
    """
    states, labels, _, mean, weight, log, grey = column
    found = {}
    for own in product(range(3), repeat=6):
        best = np.inf
        for unseen in product((0, 1, 2), repeat=states.depth) if own[-1] == 1 else [()]:
            longer = np.array([*own, *unseen], np.uint8)[:, None, None]
            state = states.of(longer, 6)[:, 0, 0]
            cost = 0.0
            for z, s in enumerate(state):
                cost += 0.5 * weight[s] * (grey[z, 1, 1] - mean[s]) ** 2 + log[s]
                for y, x in product(range(3), repeat=2):
                    if (y, x) != (1, 1):
                        cost += BOND[own[z], labels[z, y, x]] * (1.0 if 1 in (y, x) else 0.7071)
            best = min(best, cost + sum(CHANGE[a, b] for a, b in pairwise(own)))
        found[own] = best
    return found


def test_a_column_gets_the_best_of_all_labels(column):
    states, _, state, mean, weight, log, grey = column
    costs = _all_costs(column)
    best = min(costs, key=costs.__getitem__)
    pull = grey[:, 1:2] - mean[state[:, 1:2]]
    rows = state.copy()
    gap = np.empty((3, 6, 1, 3), np.float32)
    gaps(rows, pull, states.phase, mean, weight, log, np.float32(1), BOND, CHANGE, gap)
    sweep(rows, pull, states.phase, mean, weight, log, np.float32(1), BOND, CHANGE, 0, 1)
    assert tuple(states.phase[rows[:, 1, 1]]) == best
    beside = np.ones((3, 3), bool)
    beside[1, 1] = False
    assert (rows[:, beside] == state[:, beside]).all(), "the columns beside it stay"
    for z, k in product(range(6), range(3)):
        least = min(cost for own, cost in costs.items() if own[z] == k)
        assert gap[k, z, 0, 1] == pytest.approx(least - costs[best], abs=1e-4)


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
