"""Thin layers: which are tried as narrower ones of another phase, and what becomes of cracks that blur fills up."""

from math import erf

import numpy as np
import pytest
from phantoms import dice
from scipy import ndimage

from mpi4py import MPI

import microlith as ml
from microlith.imaging.deblurring.model import BlurModel
from microlith.imaging.deblurring.shading import none
from microlith.imaging.deblurring.thin import HALF, MORE, _thin, half_widths
from microlith.workflow.segment.report import text

GREYS = np.array([50.0, 120.0, 200.0])
CRACKED, FILMED = 0, 1
TABLES = {
    "image": {"voxel_size": "50 nm"},
    "segmentation": {"method": "multistage", "phases": ["pore", "binder", "particle"]},
}


def _model(mean, blur):
    return BlurModel(0.0, 1.0, np.array(mean, float), blur, 0.1, 0.1, none(8))


def test_layers_are_tried_up_to_the_width_at_which_they_look_like_the_phase_between():
    """A layer of width w in a blur of s has erf(w / (sqrt(8) s)) of its contrast in the middle; here by quadrature."""
    model = _model([0.0, 1.0, 3.0], (0.9, 0.9, 0.9))
    half = half_widths(model, 0, 1, 2)[0] - MORE
    thickest = np.sqrt((2 * half) ** 2 - (HALF * 0.9) ** 2)
    x = np.linspace(-thickest / 2, thickest / 2, 20001)
    kernel = np.exp(-0.5 * (x / 0.9) ** 2) / (0.9 * np.sqrt(2 * np.pi))
    middle = 3.0 - 3.0 * float(np.trapezoid(kernel, x))
    assert middle == pytest.approx(0.5, abs=1e-6), "half way from the phase between to the deep one"
    assert erf(thickest / (np.sqrt(8) * 0.9)) == pytest.approx((3.0 - 0.5) / 3.0, abs=1e-9)
    assert half_widths(_model([0.0, 1.0, 3.0], (0.0, 0.9, 0.9)), 0, 1, 2)[0] == 0, "none along an axis of one voxel"


@pytest.mark.parametrize("normal", [(0, 0, 1), (1, 2, 0), (1, 1, 1)])
def test_layers_are_thin_up_to_twice_the_widths(normal):
    z, y, x = np.indices((31, 31, 31)) - 15.0
    across = np.abs(normal[0] * z + normal[1] * y + normal[2] * x) / np.linalg.norm(normal)
    inner = np.s_[8:-8, 8:-8, 8:-8]
    for width, thin in ((2, True), (3, True), (6, False), (8, False)):
        layer = across < width / 2
        found, depth = _thin(layer, layer, (2.1, 2.1, 2.1))
        assert found[inner].sum() == (layer[inner].sum() if thin else 0)
        assert (depth[~layer] == 0).all()
    assert not _thin(layer, np.ones_like(layer), (2.1, 2.1, 2.1))[0].any(), "where nothing else is around it"


def _phantom(inside, noise=10.0, size=64):
    """Grains with one-voxel cracks, or films of three voxels, and all three phases around them."""
    rng = np.random.default_rng(8)

    def field(width):
        found = ndimage.gaussian_filter(rng.normal(size=(size,) * 3), width, mode="wrap")
        return (found - found.mean()) / found.std()

    labels = np.where(field(7) > 0.1, 2, np.where(field(5) > 0, 1, 0)).astype(np.uint8)
    waves = field(6)
    slope = np.sqrt(sum(one**2 for one in np.gradient(waves)))
    sheet = np.abs(waves) / np.maximum(slope, 1e-3) < (0.6 if inside == CRACKED else 1.5)
    labels[sheet & (labels == 2)] = inside
    return labels, (ndimage.gaussian_filter(GREYS[labels], 0.8) + rng.normal(0, noise, labels.shape)).astype(np.float32)


@pytest.mark.parametrize("turned", [False, True])
def test_cracks_narrower_than_the_blur_are_pores_and_not_binder(turned):
    """And bright layers in pores particles, with the same grey values the other way round."""
    labels, grey = _phantom(CRACKED)
    labels, grey = (2 - labels, 250 - grey) if turned else (labels, grey)
    found = ml.segment(TABLES, image=grey, comm=MPI.COMM_SELF)
    print(dice(found.labels - 1, labels), found.report["deblurred"]["thin_layers"])
    assert min(dice(found.labels - 1, labels)) > 0.94
    for index, told in enumerate(found.report["phases"].values()):
        assert told["volume_fraction_smaller"] <= (labels == index).mean() <= told["volume_fraction_larger"]
    assert list(found.report["deblurred"]["thin_layers"].values()) == [0, pytest.approx(0.01, abs=0.005), 0]
    assert found.report["warnings"] == [], "most are found"


def test_films_of_the_phase_between_stay():
    """They are told, and within the ranges, however little the thresholds are moved for these."""
    labels, grey = _phantom(FILMED)
    found = ml.segment(TABLES | {"certainty": {"shift": 0.03}}, image=grey, comm=MPI.COMM_SELF)
    print(dice(found.labels - 1, labels), found.report["deblurred"]["thin_layers"])
    assert min(dice(found.labels - 1, labels)) > 0.97
    assert "% of the volume is binder in layers so thin that" in found.report["warnings"][0]
    share = 100 * found.report["deblurred"]["thin_layers"]["binder"]
    assert f"narrower ones of another phase: binder {share:.2f} %" in text(found.report)
    binder = found.report["phases"]["binder"]
    assert 100 * binder["volume_fraction_smaller"] < 100 * binder["volume_fraction"] - share
