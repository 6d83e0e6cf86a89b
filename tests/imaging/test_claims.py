"""Labels in ranges, as the rest, by the thousand; greys whose numbers in a palette are others."""

from pathlib import Path

import numpy as np
import pytest
import tifffile
from image_outcomes import outcome
from PIL import Image

from mpi4py import MPI

from microlith.imaging.errors import InputError
from microlith.imaging.image.claims import MOST_LABELS, phase_of_each, shown_labels
from microlith.imaging.image.labels import label_image, read_region_labels
from microlith.imaging.image.load import label_volume
from microlith.imaging.options import ImageSource, PhaseLabels

FLAT = (np.arange(60) % 3).reshape(6, 10).astype(np.uint8)
THREE = [PhaseLabels("pore", (0,)), PhaseLabels("sei", (1,)), PhaseLabels("particle", (2,))]


def phases_of(path: Path, phases: list[PhaseLabels]) -> np.ndarray:
    """What both ways of reading give."""
    source = ImageSource(str(path), (1e-8,))
    whole = label_image(source, phases).phase
    volume = label_volume(source, phases, MPI.COMM_SELF)
    np.testing.assert_array_equal(volume.read(volume.whole_window).phase, whole)
    return whole


@pytest.mark.parametrize("dtype", ["u1", "i2", "u2", "i4", "u4", "i8", "u8"])
def test_ranges_and_the_rest(tmp_path: Path, dtype: str) -> None:
    values = np.arange(120, dtype=dtype).reshape(6, 20)
    np.save(tmp_path / "a.npy", values)
    phases = [
        PhaseLabels("pore", (0, 7)),
        PhaseLabels("sei", (), rest=True),
        PhaseLabels("particle", (110,), ((20, 29), (40, 10**9))),
    ]
    expected = np.ones(values.shape, int)
    expected[(values == 0) | (values == 7)] = 0
    expected[((values >= 20) & (values < 30)) | (values >= 40)] = 2
    phases[2] = PhaseLabels("particle", (), ((20, 29), (40, 10**9)))
    np.testing.assert_array_equal(phases_of(tmp_path / "a.npy", phases), expected)


def test_negative_ranges() -> None:
    counts = {-5: 1, -1: 1, 0: 1, 3: 1}
    phases = [PhaseLabels("a", (), ((-5, -1),)), PhaseLabels("b", (), rest=True)]
    found = phase_of_each(counts, tiff_coding(), phases, "a.tif")
    assert found == {-5: 0, -1: 0, 0: 1, 3: 1}


class Plain:
    colour = False
    palette = None


def tiff_coding() -> Plain:
    return Plain()


@pytest.mark.parametrize("dtype", ["u2", "i4"])
def test_labels_by_the_thousand(tmp_path: Path, dtype: str) -> None:
    """Each particle with a label of its own, as a watershed leaves them; 64 was the limit, and no document said so."""
    values = np.arange(MOST_LABELS + 1).reshape(256, 256)
    values[values == MOST_LABELS] = 0
    np.save(tmp_path / "a.npy", values.astype(dtype))
    phases = [
        PhaseLabels("pore", (0,)),
        PhaseLabels("sei", (1,)),
        PhaseLabels("particle", tuple(range(2, MOST_LABELS))),
    ]
    np.testing.assert_array_equal(phases_of(tmp_path / "a.npy", phases), np.minimum(values, 2))
    phases[2] = PhaseLabels("particle", (), ((2, MOST_LABELS),))
    np.testing.assert_array_equal(phases_of(tmp_path / "a.npy", phases), np.minimum(values, 2))
    np.save(tmp_path / "b.npy", np.arange(MOST_LABELS + 1).astype("i4").reshape(256, 256))
    with pytest.raises(InputError, match=r"b\.npy holds more than 65,535 values"):
        label_image(ImageSource(f"{tmp_path}/b.npy", (1e-8,)), [PhaseLabels("a", (), rest=True)])


def test_255_phases_of_one_label_each(tmp_path: Path) -> None:
    """They were allowed, and images of more than 64 values refused."""
    values = np.arange(510).reshape(15, 34) % 255
    np.save(tmp_path / "a.npy", values.astype(np.uint8))
    phases = [PhaseLabels(f"p{i}", (i,)) for i in range(255)]
    np.testing.assert_array_equal(phases_of(tmp_path / "a.npy", phases), values)


def test_rest_without_a_pixel(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", FLAT)
    with pytest.raises(InputError, match=r"\[phases\.else\] label: no pixel"):
        phases_of(tmp_path / "a.npy", [*THREE, PhaseLabels("else", (), rest=True)])


def test_rest_and_colours(tmp_path: Path) -> None:
    colours = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255]], np.uint8)
    Image.fromarray(colours[FLAT]).save(tmp_path / "a.png")
    phases = [PhaseLabels("a", ((255, 0, 0),)), PhaseLabels("b", (), rest=True)]
    np.testing.assert_array_equal(phases_of(tmp_path / "a.png", phases), FLAT > 0)
    with pytest.raises(InputError, match=r"expected a colour .* got 0-1"):
        phases_of(tmp_path / "a.png", [PhaseLabels("a", (), ((0, 1),)), phases[1]])


def test_long_lists_are_cut(tmp_path: Path) -> None:
    counts = dict.fromkeys(range(60), 1)
    with pytest.raises(InputError, match=r"no phase claims 1 \(1\.67 %\), .*\.\.\. \(59 in all\)") as caught:
        phase_of_each(counts, Plain(), [PhaseLabels("a", (0,))], "a.tif")
    assert len(str(caught.value)) < 500
    assert shown_labels({1: 5}, Plain()) == (("1", 5),)


# --- palettes of greys ---


def with_palette(path: Path, shown: np.ndarray, order: list[int]) -> Path:
    """A picture of greys, in a palette that holds them in another order."""
    palette = np.zeros((256, 3), np.uint8)
    for index, grey in enumerate(order):
        palette[index] = grey
    indices = np.zeros(shown.shape, np.uint8)
    for index, grey in enumerate(order):
        indices[shown == grey] = index
    if path.suffix == ".tif":
        tifffile.imwrite(path, indices, photometric="palette", colormap=palette.T.astype(np.uint16) * 257)
    else:
        picture = Image.fromarray(indices)
        picture.putpalette(palette.tobytes())
        picture.save(path)
    return path


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif"])
def test_greys_in_another_order_are_not_taken_for_labels(tmp_path: Path, suffix: str) -> None:
    """A lossless optimiser made such a palette: pore and particle changed places without a word."""
    path = with_palette(tmp_path / f"a.{suffix}", FLAT, [2, 1, 0])
    with pytest.raises(
        InputError, match=r"palette of greys whose numbers are not their grey levels \(0 = #020202"
    ) as e:
        phases_of(path, THREE)
    assert 'label = "#020202"' in str(e.value)
    colours = [PhaseLabels(p.name, ((p.labels[0],) * 3,)) for p in THREE]
    np.testing.assert_array_equal(phases_of(path, colours), FLAT)


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif"])
def test_labels_that_fit_only_the_greys_or_only_the_indices(tmp_path: Path, suffix: str) -> None:
    path = with_palette(tmp_path / f"a.{suffix}", FLAT * 100, [200, 100, 0])
    greys = [PhaseLabels("pore", (0,)), PhaseLabels("sei", (100,)), PhaseLabels("particle", (200,))]
    np.testing.assert_array_equal(phases_of(path, greys), FLAT)
    np.testing.assert_array_equal(phases_of(path, THREE), 2 - FLAT)
    both = [PhaseLabels("a", (0,)), PhaseLabels("b", (), rest=True)]
    with pytest.raises(InputError, match="not their grey levels"):
        phases_of(path, both)
    with pytest.raises(InputError, match=r"no phase claims 1 = #646464"):
        phases_of(path, [PhaseLabels("a", (0,)), PhaseLabels("b", (2,))])


def test_a_palette_in_order_is_no_question(tmp_path: Path) -> None:
    path = with_palette(tmp_path / "a.png", FLAT, [0, 1, 2])
    np.testing.assert_array_equal(phases_of(path, THREE), FLAT)


def test_a_palette_that_has_colours_is_one_of_indices(tmp_path: Path) -> None:
    picture = Image.fromarray(FLAT)
    picture.putpalette(bytes([2, 2, 2, 255, 0, 0, 0, 0, 0]))
    picture.save(tmp_path / "a.png")
    np.testing.assert_array_equal(phases_of(tmp_path / "a.png", THREE), FLAT)


def test_one_bit_answers_to_255_too(tmp_path: Path) -> None:
    """Where an optimiser made one bit of 0 and 255."""
    Image.fromarray(FLAT > 0).save(tmp_path / "a.png")
    for label in (1, 255):
        phases = [PhaseLabels("a", (0,)), PhaseLabels("b", (label,))]
        np.testing.assert_array_equal(phases_of(tmp_path / "a.png", phases), FLAT > 0)


def test_regions_in_a_palette_of_greys(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", FLAT)
    source = ImageSource(f"{tmp_path}/a.npy", (1e-8,))
    path = with_palette(tmp_path / "regions.png", FLAT, [2, 1, 0])
    with pytest.raises(
        InputError, match=r"regions\.png has a palette of greys whose numbers are not their grey levels"
    ):
        read_region_labels(str(path), source, FLAT.shape)
    path = with_palette(tmp_path / "same.png", FLAT, [0, 1, 2])
    np.testing.assert_array_equal(read_region_labels(str(path), source, FLAT.shape), FLAT)
    assert outcome(path)[1] == ""
