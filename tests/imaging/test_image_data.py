"""Segmented images that nobody in this project made; shares of their labels as their providers state them."""

import numpy as np
import pytest
from places import DATA

from microlith.imaging.image.labels import label_image
from microlith.imaging.options import ImageSource, PhaseLabels, RawLayout

pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason=f"the third-party images in {DATA} are absent")

BLOBS = {0: 0.600447, 1: 0.399553}
BALL = {0: 0.4693, 257: 0.5307}


def shares(name: str, labels: tuple, **options: object) -> np.ndarray:
    phases = [PhaseLabels(f"phase {i}", (label,)) for i, label in enumerate(labels)]
    image = label_image(ImageSource(str(DATA / name), (1e-6,), **options), phases)
    return np.bincount(image.phase.ravel(), minlength=len(labels)) / image.phase.size


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("nmc_bridge_64.tif", {0: 0.398, 1: 0.502, 2: 0.101}),
        ("tau_electrode_64.tif", {0: 0.390, 85: 0.449, 170: 0.161}),
        ("ellipsoids_64.tif", {0: 0.398, 1: 0.603}),
        ("nmc111_sem_256.tif", {0: 0.056, 1: 0.127, 2: 0.576, 3: 0.242}),
        ("blobs_100_1bit.tif", {0: 0.602, 1: 0.398}),
        ("blobs2_100.hdf5", BLOBS),
        ("blobs2_100.hdf5:/image", BLOBS),
        ("nrrd/BallBinary30x30x30.nrrd", BALL),
        ("nrrd/BallBinary30x30x30_gz.nrrd", BALL),
        ("nrrd/BallBinary30x30x30.nhdr", BALL),
    ],
)
def test_shares_of_labels(name: str, expected: dict[int, float]) -> None:
    assert shares(name, tuple(expected)) == pytest.approx(list(expected.values()), abs=1e-3)


def test_deflated_micrograph_segmentation() -> None:
    assert shares("alloy_512.tif", (85, 170, 255)).min() > 0


def test_one_volume_headerless_and_as_hdf5() -> None:
    labels = [PhaseLabels("a", (0,)), PhaseLabels("b", (1,))]
    raw = ImageSource(str(DATA / "blobs2_100_uint8.raw"), (1e-6,), raw=RawLayout((100, 100, 100), "uint8"))
    hdf5 = ImageSource(str(DATA / "blobs2_100.hdf5"), (1e-6,))
    np.testing.assert_array_equal(label_image(raw, labels).phase, label_image(hdf5, labels).phase)


def test_one_volume_as_palette_slices_and_as_rgb_slices() -> None:
    colours = ((89, 89, 243), (254, 254, 254), (243, 89, 89), (243, 243, 89), (89, 243, 89))
    phases = [PhaseLabels(str(colour), (colour,)) for colour in colours]
    pictures = [
        label_image(ImageSource(str(DATA / name), (1e-6,)), phases) for name in ("colour-slices", "colour-tiff")
    ]
    assert pictures[0].phase.shape == (20, 20, 20)
    np.testing.assert_array_equal(pictures[0].phase, pictures[1].phase)
