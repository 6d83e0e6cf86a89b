"""Blurs by compiled loops, and thin voxels, against the filters of SciPy."""

import numpy as np
import pytest
from scipy import ndimage

from microlith.imaging.microstructure import blur
from microlith.imaging.ways import walls


@pytest.mark.parametrize("lines", [blur.MOST_LINES, 16])
@pytest.mark.parametrize("shape", [(20, 31, 44), (9, 50, 1), (1, 30, 17), (3, 2, 5), (60, 70)])
def test_blur_is_scipys_to_the_last_bit(shape, lines, monkeypatch):
    monkeypatch.setattr(blur, "MOST_LINES", lines)  # more or fewer than go through at once
    values = np.random.default_rng(1).random(shape, np.float32)
    for widths in ((1.0,) * len(shape), (2.0, 0.7, 1.3)[: len(shape)]):
        for mode, goes_on in (("constant", False), ("nearest", True)):
            found = blur.blur(values.copy(), widths, 3.0, goes_on=goes_on)
            np.testing.assert_array_equal(found, ndimage.gaussian_filter(values, widths, mode=mode, truncate=3.0))


def test_thin_voxels_are_those_that_an_opening_takes():
    these = ndimage.gaussian_filter(np.random.default_rng(2).normal(size=(30, 33, 28)), 1.5) > 0
    wide = np.pad(these, 2, mode="edge")
    opened = ndimage.grey_dilation(ndimage.grey_erosion(wide, 3), 3)[2:-2, 2:-2, 2:-2]
    thin = walls._thin(these)
    np.testing.assert_array_equal(thin, these & ~opened)
    assert 0.01 < thin.mean() < 0.3
