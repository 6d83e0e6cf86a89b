"""Smooth interfaces that stay where the voxels put them."""

import numpy as np
import pytest
from label_images import ball

from microlith.meshing.lattice.indicators import indicators


def _smooth(phase, phases=2):
    dim = phase.ndim
    return indicators(phase, phases, (0,) * dim, (1.0,) * dim, np.zeros(phase.shape, bool))


@pytest.mark.parametrize("radius", [5.0, 8.0, 20.0])
def test_curved_interfaces_neither_shrink_nor_grow(radius):
    """One Gaussian moves them by its variance over the radius, -0.45 voxels at a radius of 5."""
    phase, centre = ball(radius, int(2 * radius + 14))
    fields = _smooth(phase)
    ways = np.random.default_rng(0).normal(size=(2000, 3))
    ways /= np.linalg.norm(ways, axis=1)[:, None]
    low, high = np.full(2000, radius - 2), np.full(2000, radius + 2)
    for _ in range(25):
        middle = (low + high) / 2
        outside, inside = fields.at(centre + ways * middle[:, None])
        low, high = np.where(inside > outside, middle, low), np.where(inside > outside, high, middle)
    error = low - radius
    assert abs(error.mean()) < 0.015
    assert np.percentile(np.abs(error), 95) < 0.12


def test_the_phase_of_a_voxel_leads_at_its_centre():
    phase = np.random.default_rng(1).integers(0, 3, (12, 13, 14)).astype(np.uint8)
    fields = _smooth(phase, 3)
    z, y, x = (index.ravel() for index in np.indices(phase.shape))
    leading = fields.at(np.stack([x, y, z], axis=1) + 0.5).argmax(axis=0)
    assert (leading == phase.ravel()).all()


def test_values_and_gradients_do_not_depend_on_the_window():
    phase = np.random.default_rng(2).integers(0, 2, (40, 12, 60)).astype(np.uint8)
    voxel = (1.0, 1.0, 1.7)
    none = np.zeros(phase.shape, bool)
    whole = indicators(phase, 2, (0, 0, 0), voxel, none)
    part = indicators(phase[10:, :, 20:], 2, (20, 0, 10), voxel, none[10:, :, 20:])
    at = np.random.default_rng(3).uniform([31.0, 0, 36.0], [60, 12, 68.0], (500, 3))
    assert (whole.at(at) == part.at(at)).all()
    which = np.random.default_rng(4).integers(0, 2, (2, 500))
    for one, other in zip(
        whole.difference_and_gradient(*which, at), part.difference_and_gradient(*which, at), strict=True
    ):
        assert (one == other).all()


def test_gradients_are_those_of_the_values():
    phase, _ = ball(5.0, 20)
    fields = indicators(phase, 2, (0, 0, 0), (1.0, 1.5, 2.0), np.zeros(phase.shape, bool))
    at = np.random.default_rng(4).uniform(6, 14, (200, 3)) * (1.0, 1.5, 2.0)
    one = np.random.default_rng(5).integers(0, 2, 200)
    value, slope = fields.difference_and_gradient(one, 1 - one, at)
    sign = 2 * one - 1  # of the second field above the first
    values = fields.at(at)
    assert value == pytest.approx(sign * (values[1] - values[0]))
    assert value == pytest.approx(fields.difference(one, 1 - one, at))
    for axis in range(3):
        step = np.eye(3)[axis] * 1e-6
        after, before = (sign * np.diff(fields.at(place), axis=0)[0] for place in (at + step, at - step))
        assert np.median(np.abs(slope[:, axis] - (after - before) / 2e-6)) < 1e-6
