"""The images of cases/ageing: what its README claims, checked on what the script makes."""

import runpy

import numpy as np
import pytest
from places import CASES

PORE, MATRIX, PARTICLE, GRAPHITE = 0, 1, 2, 3
# Volumes over those when pristine, as published: pores, SEI/C/B
PUBLISHED = {"3-cycles": (0.628, 1.218), "100-cycles": (0.412, 1.333), "300-cycles": (0.235, 1.382)}


@pytest.fixture(scope="module")
def script():
    return runpy.run_path(str(CASES / "ageing" / "make_images.py"))


@pytest.fixture(scope="module")
def images(script):
    return script["make"]()


def test_images_depend_on_the_seed_alone(script, images):
    again = script["make"]()
    assert list(images) == ["pristine", *PUBLISHED]
    for name, image in images.items():
        assert image.shape == (50, 150, 150)
        assert image.dtype == np.uint8
        np.testing.assert_array_equal(again[name], image, err_msg=name)


def test_volumes_change_as_published(images):
    first = np.bincount(images["pristine"].ravel())
    for name, (pores, matrix) in PUBLISHED.items():
        change = np.bincount(images[name].ravel()) / first
        assert change[PORE] == pytest.approx(pores, abs=1e-5), name
        assert change[MATRIX] == pytest.approx(matrix, abs=1e-5), name
        np.testing.assert_array_equal(images[name] == GRAPHITE, images["pristine"] == GRAPHITE, err_msg=name)
