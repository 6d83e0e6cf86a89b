"""Element sizes: where they are small and how they grow."""

import numpy as np
import pytest
from label_images import disk, label_image

from microlith.imaging.errors import InputError
from microlith.imaging.options import MeshOptions
from microlith.meshing.fitted.sizing import graded, size_field

NOWHERE = np.empty((0, 2))


def test_size_at_the_named_surface_and_far_away():
    image = label_image(disk(200, 12, (100, 100)))
    options = MeshOptions(size={"b": 2.5e-6}, size_max=9e-6)
    field = size_field(image, options, [0], NOWHERE)
    angle = np.linspace(0, 6, 50)
    on_surface = 100 + 12 * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    assert field.at(on_surface) == pytest.approx(2.5, rel=0.1)
    assert field.at(np.array([[10.0, 10.0]])) == pytest.approx(9)


def test_what_is_kept_of_an_image_serves_other_factors_only():
    """As an image that has just been made tells; nobody changes what is kept."""
    phase = disk(60, 12, (30, 30))
    image = label_image(phase)
    for options in (
        MeshOptions(size={"b": 2.5e-6}, size_max=9e-6),
        MeshOptions(size={"b": 2.5e-6}, size_max=9e-6, coarseness=2.0, size_factor=0.75),
        MeshOptions(size={"b": 2.5e-6}, size_max=9e-6, growth=0.5),
        MeshOptions(size={"b": 2.5e-6}, size_max=5e-6, coarseness=2.0),
        MeshOptions(size={"b": 2.5e-6}, size_max=5e-6, junction_size=1e-7),
    ):
        for solved in ([0], [0, 1]):
            field, new = (size_field(one, options, solved, np.full((1, 2), 7.0)) for one in (image, label_image(phase)))
            np.testing.assert_array_equal(field.values, new.values)
            np.testing.assert_array_equal(field.rate, new.rate)
            np.testing.assert_array_equal(field.centres, new.centres)
            field.limited(np.full((1, 2), 7.0), np.array([1e-3]))


def test_growth_is_limited_and_used():
    """Two pixels apart, sizes differ by at most growth times distance; without grading they would jump by 7."""
    image = label_image(disk(200, 12, (100, 100)))
    field = size_field(image, MeshOptions(size={"b": 2e-6}, size_max=9e-6, growth=0.2), [0], NOWHERE)
    outside = image.phase == 0
    for axis in (0, 1):
        step = np.abs(np.diff(field.values, axis=axis))
        pair = np.delete(outside, 0, axis) & np.delete(outside, -1, axis)
        assert step[pair].max() <= 0.2 + 1e-5
    assert field.at(np.array([[100 + 12 + 20.0, 100.0]])) == pytest.approx(2 + 0.2 * 20, rel=0.1)


@pytest.mark.parametrize(("pixel", "excess"), [((1.0, 1.0), 1.09), ((1.0, 2.0), 1.18)])
def test_grading_matches_the_cones_of_every_pixel(pixel, excess):
    rng = np.random.default_rng(0)
    values = np.full((30, 40), 20.0, np.float32)
    values[rng.integers(0, 30, 8), rng.integers(0, 40, 8)] = rng.uniform(1, 5, 8)
    field = graded(values, np.full_like(values, 0.3), pixel)
    y, x = np.indices(values.shape)
    cones = np.stack(
        [values[i, j] + 0.3 * np.hypot((x - j) * pixel[0], (y - i) * pixel[1]) for i, j in np.argwhere(values < 20)]
    )
    exact = np.minimum(cones.min(axis=0), 20)
    assert (field >= exact - 1e-4).all()
    assert field.max() <= 20
    assert (field / exact).max() < excess  # the metric of steps to neighbours


@pytest.mark.parametrize("width", [1, 2, 3, 5])
@pytest.mark.parametrize("voxel", [(1e-6, 1e-6), (1e-6, 2e-6)])
def test_gaps_get_three_elements(width, voxel):
    phase = np.zeros((40, 40), int)
    phase[8:18] = 1
    phase[18 + width : 30] = 1
    field = size_field(label_image(phase, voxel), MeshOptions(size={"b": 2e-6}, size_max=9e-6), [0], NOWHERE)
    across = (1 / field.values[18 : 18 + width]).sum(axis=0)  # pixels are one unit high
    assert across.min() >= max(3, width / 2.0)
    assert across.max() <= 1.4 * max(3, width / 2.0)


def test_unsolved_phases_are_coarser():
    image = label_image(disk(200, 60, (100, 100)))
    options = MeshOptions(size={"b": 2e-6}, size_max=30e-6)
    both = size_field(image, options, [0, 1], NOWHERE)
    outside = size_field(image, options, [0], NOWHERE)
    centre = np.array([[100.0, 100.0]])
    assert outside.at(centre)[0] > 1.5 * both.at(centre)[0]
    assert outside.triangles() < 0.8 * both.triangles()


def test_junctions_may_be_finer_than_pixels():
    image = label_image(disk())
    centre = np.array([[20.0, 20.0]])
    options = MeshOptions(size={"b": 2e-6}, junction_size=0.01e-6)
    field = size_field(image, options, [0], centre)
    assert field.at(centre)[0] == pytest.approx(0.01)
    assert field.at(np.array([[20.2, 20.0]]))[0] == pytest.approx(0.01 + 0.25 * 0.2)
    assert size_field(image, MeshOptions(size={"b": 2e-6}), [0], centre).at(centre)[0] > 1


def test_unknown_phase_is_named():
    with pytest.raises(InputError, match=r"'binder'.*\(a, b\)"):
        size_field(label_image(disk()), MeshOptions(size={"binder": 1e-6}), [0], NOWHERE)


def test_fields_give_way_to_short_edges():
    """Where edges must be short, elements grow from there; where they are about as wanted nothing changes."""
    image = label_image(np.zeros((40, 40), int))
    field = size_field(image, MeshOptions(size_max=8e-6), [0], NOWHERE)
    points = np.array([[10.5, 10.5], [30.5, 30.5]])
    limited = field.limited(points, np.array([0.5, 7.0]))
    assert limited.at(points) == pytest.approx([0.5, min(8, 0.5 + 0.25 * 20 * np.sqrt(2))], rel=0.05)
    assert limited.at(points[:1] + 4.0)[0] == pytest.approx(0.5 + 0.25 * 4 * np.sqrt(2), rel=0.02)
    assert (field.values == 8).all()
