"""The images of cases/ageing: what its README claims, checked on what the script makes."""

import runpy

import numpy as np
import pytest
from places import CASES

from mpi4py import MPI

from microlith.imaging.image.load import volume_of
from microlith.imaging.image.volume import LabelImage
from microlith.imaging.measures.distances import distance_to, surface_distances
from microlith.imaging.measures.geodesic import openings, path_lengths
from microlith.imaging.measures.surfaces import surfaces

PHASES = ("pore", "sei_cb", "particle", "graphite")
PORE, MATRIX, PARTICLE, GRAPHITE = range(4)
VOXEL = 0.65  # um
# Volumes over those when pristine, as published: pores, SEI/C/B
PUBLISHED = {"3-cycles": (0.628, 1.218), "100-cycles": (0.412, 1.333), "300-cycles": (0.235, 1.382)}


@pytest.fixture(scope="module")
def script():
    return runpy.run_path(str(CASES / "ageing" / "make_images.py"))


@pytest.fixture(scope="module")
def images(script):
    return script["make"]()


def labels(image):
    return LabelImage(image, PHASES, (VOXEL * 1e-6,) * 3)


def ways(image):
    """Mean geodesic tortuosity and number of openings in each section."""
    length = path_lengths(labels(image), [PORE], "z_min") * 1e6
    there = np.isfinite(length)
    depth = (np.arange(len(length)) + 0.5) * VOXEL
    mean = np.array([length[z][there[z]].mean() / depth[z] for z in range(len(length))])
    return depth, mean, np.array(openings(there))


def test_images_depend_on_the_seed_alone(script, images):
    again = script["make"]()
    assert list(images) == ["pristine", *PUBLISHED]
    for name, image in images.items():
        assert image.shape == (50, 150, 150)
        assert image.dtype == np.uint8
        np.testing.assert_array_equal(again[name], image, err_msg=name)


def test_volumes_change_as_published(images):
    first = np.bincount(images["pristine"].ravel())
    earlier = images["pristine"] == PORE
    for name, (pores, matrix) in PUBLISHED.items():
        change = np.bincount(images[name].ravel()) / first
        assert change[PORE] == pytest.approx(pores, abs=1e-5), name
        assert change[MATRIX] == pytest.approx(matrix, abs=1e-5), name
        np.testing.assert_array_equal(images[name] == GRAPHITE, images["pristine"] == GRAPHITE, err_msg=name)
        assert not ((images[name] == PORE) & ~earlier).any(), "no pore opens"
        earlier = images[name] == PORE


def test_ways_are_flat_with_depth_when_pristine_and_grow_after_300_cycles(images):
    depth, mean, number = ways(images["pristine"])
    below = (depth > 2) & (depth < 28)
    at = int(24 / VOXEL)
    assert np.ptp(mean[below]) < 0.4
    assert np.ptp(mean[(depth > 12) & (depth < 28)]) < 0.1
    last = mean[-1]
    assert number[at] > 600
    depth, mean, number = ways(images["300-cycles"])
    slope, start = np.polyfit(depth[below], np.log(mean[below]), 1)
    left = np.log(mean[below]) - start - slope * depth[below]
    assert 1 / slope == pytest.approx(15, rel=0.1)  # um
    assert 1 - left.var() / np.log(mean[below]).var() > 0.9
    assert mean[-1] / last > 4
    assert number[at] < 10
    assert number[2] > 200


def test_surface_and_distances_change_as_the_readme_says(images):
    area, mean, largest = {}, {}, {}
    for name in ("pristine", "3-cycles", "300-cycles"):
        image = labels(images[name])
        area[name] = surfaces(volume_of(image, MPI.COMM_SELF), MPI.COMM_SELF).of_phase[PORE]
        found = surface_distances(image, [PORE], distance_to(image, [PARTICLE]))
        mean[name] = np.average(found.distance, weights=found.area) * 1e6
        largest[name] = found.distance.max() * 1e6
    assert area["3-cycles"] / area["pristine"] - 1 == pytest.approx(-0.40, abs=0.025)
    assert area["300-cycles"] / area["pristine"] - 1 == pytest.approx(-0.73, abs=0.02)
    assert mean["pristine"] == pytest.approx(3.62, rel=0.07)
    assert mean["300-cycles"] == pytest.approx(5.37, rel=0.03)
    assert largest["pristine"] == pytest.approx(12.73, rel=0.15)
    assert largest["300-cycles"] == pytest.approx(17.53, rel=0.15)
