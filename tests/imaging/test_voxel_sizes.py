"""A size counts only with its unit; the case file has the last word; slips of units are told."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from microlith.imaging.errors import InputError
from microlith.imaging.formats.units import Scale, metres, unit_metres
from microlith.imaging.image.voxel_sizes import VoxelSizes, voxel_sizes
from microlith.imaging.options import ImageSource
from microlith.imaging.readers.open import open_image

STACK = np.zeros((4, 5, 6), np.uint8)


def found(scale: Scale, given: tuple[float, ...] | None = None) -> VoxelSizes:
    return voxel_sizes(scale, ImageSource("a.tif", given))


@pytest.mark.parametrize(
    ("words", "factor"),
    [
        ("nm nanometer nanometers nanometre nanometres Nanometer nm. [nm]", 1e-9),
        ("um µm μm micron microns micrometer micrometers micrometre micrometres \\u00B5m MICRON", 1e-6),
        ("mm millimeter millimeters millimetre millimetres", 1e-3),
        ("cm centimeter centimetres", 1e-2),
        ("m meter meters metre metres", 1.0),
        ("in inch inches", 0.0254),
        ("pm picometer", 1e-12),
        ("Å angstrom Angstroms \u212b", 1e-10),
    ],
)
def test_words_for_units(words: str, factor: float) -> None:
    for word in words.split():
        assert unit_metres(word) == factor, word


@pytest.mark.parametrize("word", ["", "pixel", "pixels", "px", "s", "ms", "ins", "reference frame", "nmm", "mms2"])
def test_words_that_are_no_units(word: str) -> None:
    assert unit_metres(word) is None or word == "ins"


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf")])
def test_numbers_that_are_no_sizes(value: float) -> None:
    assert metres(value, "nm") is None


def test_who_says_it() -> None:
    assert found(Scale((1e-8, 2e-8), "the file's metadata")).sources == ("the file's metadata",) * 2
    assert found(Scale((1e-8, 2e-8), "the file's metadata"), (3e-8,)).sources == ("the case file",) * 2
    assert found(Scale((1e-8, 2e-8))).sizes == (1e-8, 2e-8)


def test_the_case_file_wins() -> None:
    scale = Scale((5e-6, 5e-6), "the file's metadata")
    result = found(scale, (5e-9, 5e-9))
    assert result.sizes == (5e-9, 5e-9)
    (warning,) = result.warnings
    assert (
        "5 nm along x (not 5 um), 5 nm along y (not 5 um), as the case file says, against the file's metadata (a.tif)"
        in warning
    )
    assert found(scale, (5.02e-6,)).warnings == ()  # within what headers round


def test_numbers_without_a_unit_are_asked_for() -> None:
    """0.005, of micrometres, was taken for millimetres: times were off by 1e6."""
    scale = Scale((None,) * 3, "the file's spacing", (0.005, 0.005, 0.005))
    with pytest.raises(InputError, match=r"voxel_size: missing.*0\.005 x 0\.005 x 0\.005 \(x, y, z\) without a unit"):
        found(scale)
    assert found(scale, (5e-9,)).warnings == ()
    assert found(scale, (5e-6,)).warnings == ()
    (warning,) = found(Scale((None,) * 3, "the file's spacing", (0.01, 0.005, 0.005)), (5e-9,)).warnings
    assert "5 nm x 5 nm x 5 nm have other ratios than 0.005 x 0.005 x 0.01" in warning


@pytest.mark.parametrize(
    ("stated", "example"),
    [
        ((0.005,) * 3, '"0.005 um" if these are micrometres'),
        ((5e-9,) * 3, '"5e-09 m" if these are metres'),  # it said "5e-09 um"
        ((12.5,) * 3, '"12.5 nm" if these are nanometres'),
        ((2e-5,) * 3, '"2e-05 mm" if these are millimetres'),
        ((0.04, 0.02, 0.02), '{ x = "0.02 um", y = "0.02 um", z = "0.04 um" } if these are micrometres'),
        ((None, 20.0, 20.0), '{ x = "20 nm", y = "20 nm" } if these are nanometres'),
    ],
)
def test_the_example_has_the_likely_unit(stated: tuple[float | None, ...], example: str) -> None:
    with pytest.raises(InputError) as caught:
        found(Scale((None,) * 3, "the file's spacing", stated))
    assert str(caught.value).endswith(f"give it with one, as in voxel_size = {example}")


@pytest.mark.parametrize("size", [0.99e-10, 5e-12, 1.01e-3, 2.0])
def test_sizes_that_are_rather_a_slip(size: float) -> None:
    for result in (found(Scale((size, size), "the file's metadata")), found(Scale((None, None)), (size,))):
        (warning,) = result.warnings
        assert "out of 0.1 nm to 1 mm; check the unit" in warning


def test_edges_that_are_rather_of_two_units() -> None:
    (warning,) = found(Scale((5e-9, 5e-7, 5.1e-7))).warnings
    assert "differ by more than 100 times; check their units" in warning
    assert found(Scale((5e-9, 5e-9, 4e-7))).warnings == ()


@pytest.mark.parametrize("size", [1e-10, 1e-9, 5e-8, 1e-6, 1e-3])
def test_sizes_that_can_be(size: float) -> None:
    assert found(Scale((size, size))).warnings == ()


def tiff(path: Path, **options: Any) -> Scale:
    tifffile.imwrite(path, STACK, **options)
    return open_image(ImageSource(str(path))).scale


def test_tiff_that_contradicts_itself(tmp_path: Path) -> None:
    """0.0005 nm by ImageJ's unit, 5 µm by the tags: voxels of 0.0005 x 0.0005 x 5 nm were taken."""
    options = {"resolution": (2000, 2000), "resolutionunit": "CENTIMETER"}
    scale = tiff(tmp_path / "a.tif", imagej=True, metadata={"axes": "ZYX", "unit": "nm", "spacing": 5}, **options)
    assert (
        "contradicts itself: 5e-13 m along y by ImageJ's properties in the file, 5e-06 m by its resolution tags"
        in scale.doubt
    )
    with pytest.raises(InputError, match=r"voxel_size: missing, and a\.tif contradicts itself"):
        found(scale)
    assert found(scale, (5e-9,)).sizes == (5e-9,) * 3
    ome = {"axes": "ZYX", "PhysicalSizeX": 5.0, "PhysicalSizeY": 5.0, "PhysicalSizeZ": 5.0}
    scale = tiff(tmp_path / "a.ome.tif", metadata=ome, photometric="minisblack", **options)
    assert scale.doubt == ""  # µm and tags agree
    scale = tiff(
        tmp_path / "b.ome.tif", metadata={**ome, "PhysicalSizeXUnit": "nm"}, photometric="minisblack", **options
    )
    assert "contradicts itself" in scale.doubt


def test_tiff_whose_tags_are_a_printers_do_not_contradict(tmp_path: Path) -> None:
    scale = tiff(
        tmp_path / "a.tif",
        imagej=True,
        metadata={"axes": "ZYX", "unit": "micron", "spacing": 0.04},
        resolution=(80, 80),
        resolutionunit="INCH",
    )
    assert scale.doubt == ""
    assert scale.sizes == pytest.approx((40e-9, 12.5e-9, 12.5e-9))
    assert scale.source == "ImageJ's properties in the file"


def test_imagej_without_a_unit(tmp_path: Path) -> None:
    scale = tiff(tmp_path / "a.tif", imagej=True, metadata={"axes": "ZYX", "spacing": 0.04}, resolution=(80, 80))
    assert scale.sizes == (None,) * 3
    assert scale.unitless == pytest.approx((0.04, 0.0125, 0.0125))
    scale = tiff(tmp_path / "b.tif", imagej=True, metadata={"axes": "ZYX", "unit": "pixel", "spacing": 1})
    assert all(n is None for n in scale.unitless)  # what ImageJ writes where nobody set anything


def test_spacing_alone_has_a_unit(tmp_path: Path) -> None:
    tags = {"resolution": (8e5, 8e5), "resolutionunit": "CENTIMETER"}
    scale = tiff(tmp_path / "a.tif", metadata={"spacing": 0.04}, photometric="minisblack", **tags)
    assert scale.sizes == (None, pytest.approx(12.5e-9), pytest.approx(12.5e-9))
    with pytest.raises(InputError, match=r"a\.tif says \? x \? x 0\.04 \(x, y, z\) without a unit"):
        found(scale)
