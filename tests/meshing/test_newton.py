"""Points on their way to an interface, and where edges cross one."""

import numpy as np
import pytest

from microlith.meshing.lattice.newton import crossings, followed


def test_crossings_are_where_the_sign_changes():
    """Straight, curved, steep and kinked functions along 400 edges each."""
    at = np.random.default_rng(1).uniform(0.02, 0.98, 400)
    shapes = [
        lambda s: s,
        lambda s: s + s**3,
        lambda s: np.tanh(8 * s),
        lambda s: np.where(s > 0, 5 * s, 0.3 * s),
    ]
    for shape in shapes:
        found = crossings(lambda which, share, shape=shape: -shape(share - at[which]), len(at))
        assert np.abs(shape(found - at)).max() < 1e-4


def test_edges_without_a_crossing_are_halved():
    assert (crossings(lambda which, share: np.ones(len(which)), 3) == 0.5).all()


def test_points_that_have_arrived_stay_where_they_are():
    extent = np.array([9.0, 9.0])
    start = np.array([[1.0, 1.0], [4.0, 4.2], [8.9, 4.0]])
    goal = np.array([[1.0, 1.0], [4.3, 4.2], [9.5, 4.0]])
    asked = []

    def step(going, at):
        asked.append(going.tolist())
        return goal[going] - at

    found = followed(start, 3, 1e-6, extent, step)
    assert found == pytest.approx(np.minimum(goal, extent))
    assert asked == [[0, 1, 2], [1, 2], [2]]
