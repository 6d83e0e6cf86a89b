"""What is no part of the sample: found at the edges of slices, and told from phases that meet them."""

import numpy as np
import pytest
from phantoms import blurred, mottled

from mpi4py import MPI

from microlith.imaging.volumes import disk_volumes
from microlith.imaging.volumes.disk_volumes import Workshop
from microlith.imaging.volumes.outside import Doubt, Outside, find_outside, largest_box, outside_of

SIZE = 48


@pytest.fixture(scope="module")
def grey():
    """Three phases, as 8 bits have them."""
    return np.clip(np.rint(blurred(mottled(SIZE, 3.0))), 0, 255).astype(np.float32)


@pytest.fixture
def corners():
    """(y, x) around a circle."""
    y, x = np.mgrid[:SIZE, :SIZE] - 0.5 * (SIZE - 1)
    return y**2 + x**2 > (0.48 * SIZE) ** 2


def _found(folder, values, wanted="auto"):
    workshop = Workshop(folder, MPI.COMM_SELF)
    volume = workshop.new("grey", values.shape, np.float32)
    volume.values(writable=True)[:] = values
    found = find_outside(volume, wanted, workshop)
    return found, np.array(volume.values()), workshop


@pytest.mark.parametrize("value", [0.0, 255.0, 110.0, np.nan])
def test_corners_around_a_cylinder_are_outside_and_mirrored(tmp_path, grey, corners, value):
    found, filled, workshop = _found(tmp_path, np.where(corners, np.float32(value), grey))
    assert isinstance(found, Outside)
    wrong = found.mask.values() != corners
    assert wrong.sum() <= 1e-3 * wrong.size  # voxels beside them may have this value by chance
    assert (filled[:, ~corners] == grey[:, ~corners])[~wrong[:, ~corners]].all()
    assert filled[:, corners].mean() == pytest.approx(grey.mean(), rel=0.1)
    assert filled[:, corners].std() == pytest.approx(grey.std(), rel=0.1)
    z, y, x = largest_box(found, workshop)
    assert z == (0, SIZE)
    assert not corners[slice(*y), slice(*x)].any()
    assert (y[1] - y[0]) * (x[1] - x[0]) > 0.9 * 2 * (0.48 * SIZE) ** 2  # a square within a circle is the largest


@pytest.mark.parametrize("wanted", ["auto", 0.0])
def test_voxels_without_a_number_hide_no_corners(tmp_path, grey, corners, wanted):
    values = np.where(corners, np.float32(0), grey)
    values[:, SIZE // 2, SIZE // 2] = np.nan
    found, filled, _ = _found(tmp_path, values, wanted)
    assert isinstance(found, Outside)
    assert (found.value, found.blank, found.found) == (0.0, True, wanted == "auto")
    mask = found.mask.values() != 0
    assert mask[:, SIZE // 2, SIZE // 2].all()
    assert np.isfinite(filled).all()
    assert (mask != (corners | np.isnan(values))).sum() <= 1e-3 * mask.size
    assert _found(tmp_path, values, 7.0)[0] is None  # and no other value is taken for the one that is named
    only = _found(tmp_path, values, "none")[0]
    assert only.voxels == SIZE
    assert np.isnan(only.value)


def test_edges_of_shifted_slices_and_empty_slices_are_outside(tmp_path, grey):
    rng = np.random.default_rng(4)
    out = np.ones(grey.shape, bool)
    for z in range(3, SIZE - 2):
        y, x = rng.integers(-5, 6, 2)
        out[z, max(0, y) : SIZE + min(0, y), max(0, x) : SIZE + min(0, x)] = False
    found, filled, workshop = _found(tmp_path, np.where(out, 0, grey))
    assert np.array_equal(found.mask.values() != 0, out)
    for z in (0, 1, 2):
        assert np.array_equal(filled[z], filled[6 - z])
    assert largest_box(found, workshop)[0] == (3, SIZE - 2)


@pytest.mark.parametrize("blocks", [1 << 22, 3 * SIZE * SIZE])
def test_what_is_mirrored_lies_as_far_within(tmp_path, monkeypatch, blocks):
    monkeypatch.setattr(disk_volumes, "VALUES", blocks)
    values = np.random.default_rng(1).normal(100, 20, (7, 30, 40)).astype(np.float32)
    values[:, :8] = 0
    filled = _found(tmp_path, values)[1]
    assert np.array_equal(filled[:, :8], values[:, 8:17][:, :0:-1])


@pytest.mark.parametrize("levels", [(40.0, 110.0, 180.0), (-80.0, 110.0, 330.0), (0.0, 128.0, 255.0)])
@pytest.mark.parametrize("noise", [0.0, 2.0, 12.0])
@pytest.mark.parametrize("blur", [0.3, 1.0])
def test_phases_at_the_edges_are_not_outside(tmp_path, levels, noise, blur):
    values = blurred(mottled(SIZE, 3.0), levels, blur=blur, noise=noise)
    assert _found(tmp_path, np.clip(np.rint(values), 0, 255))[0] is None


def test_a_value_that_many_pores_have_is_outside_only_in_all_corners(tmp_path, corners):
    values = np.clip(blurred(mottled(SIZE, 3.0), (0.0, 110.0, 180.0)), 0, 255)
    assert _found(tmp_path, np.where(corners, 0, values))[0].value == 0
    band = np.where(np.arange(SIZE)[:, None] < 9, np.float32(0), values)
    found, filled, _ = _found(tmp_path, band)
    assert isinstance(found, Doubt)
    assert found.share == pytest.approx(9 / SIZE, abs=0.03)
    assert np.array_equal(filled, band)
    assert _found(tmp_path, band, 0.0)[0].voxels >= 9 * SIZE**2
    assert _found(tmp_path, band, "none")[0] is None


def test_pores_that_touch_what_is_outside_by_few_voxels_stay():
    layer = np.full((40, 40), 50.0, np.float32)
    layer[:, :10] = 0
    layer[20, 10:16] = 0  # a channel of one voxel to a pore
    layer[15:26, 16:27] = 0
    out = outside_of(layer, 0.0)
    assert out[:, :10].all()
    assert not out[15:26, 16:27].any()
