"""Which files make a stack, in which order, and what is told where one is missing or a stranger among them."""

from pathlib import Path

import numpy as np
import pytest
from image_outcomes import outcome
from PIL import Image

from microlith.imaging.errors import InputError
from microlith.imaging.files.numbered import series_of
from microlith.imaging.image.labels import read_region_labels
from microlith.imaging.options import ImageSource
from microlith.imaging.readers.open import open_image


def names_of(*names: str) -> list[str]:
    return [path.name for path in series_of([Path("folder") / name for name in names]).paths]


def told(*names: str) -> tuple[str, ...]:
    return series_of([Path("folder") / name for name in names]).warnings


def numbered(*numbers: object, form: str = "s{}.tif") -> list[str]:
    return [form.format(n) for n in numbers]


@pytest.mark.parametrize(
    ("numbers", "words"),
    [
        ((1, 2, 3, 4, 6, 7), "number 5 is missing"),
        (("001", "002", "004"), "number 3 is missing"),
        ((0, 10, 20, 40, 50, 60, 80), "numbers 30, 70 are missing"),
        ((1, 2, 3, 4, 100, 101, 102), "numbers 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, ... (95 in all) are missing"),
        ((0, 10, 20, 30, 35, 45, 55), "their numbers rise by 10, but from 30 to 35"),
        (("0.25", "0.50", "1.00", "1.25", "1.50"), "number 0.75 is missing"),
    ],
)
def test_numbers_that_are_missing(numbers: tuple[object, ...], words: str) -> None:
    """The gap was closed without a word: z was a slice short."""
    (sentence,) = told(*numbered(*numbers))
    assert words in sentence
    assert "adjacent" in sentence


@pytest.mark.parametrize(
    "names",
    [
        numbered(*range(8, 30)),
        numbered(*range(0, 400, 20)),
        numbered("0.5", "1.0", "1.5"),
        numbered(3, 17, 40, 41, 90),  # times, say
        ["s.tif"],
        ["left.tif", "middle.tif", "right.tif"],
        numbered(*range(5), form="run7_s{}_2024.tif"),
        [f"s{i:03}_{20240101 + i * i}.tif" for i in range(9)],  # a counter and a date that is none
        ["a.tif", "b.TIF", "c.tif"],
        ["s1.tif", "s2.TIF", "s3.tif"],
    ],
    ids=lambda names: names[0],
)
def test_whole_stacks_are_not_warned_of(names: list[str]) -> None:
    assert told(*names) == ()
    assert names_of(*names[::-1]) == names


def test_two_stacks_in_one() -> None:
    names = [f"{scan}_{i}.tif" for scan in (1, 2) for i in range(5)]
    assert "are they several stacks?" in told(*names)[0]


def test_decimals() -> None:
    """0.5 came before 0.25, as 5 before 25."""
    assert names_of(*numbered("0.5", "0.25", "0.75", "1.0")) == numbered("0.25", "0.5", "0.75", "1.0")
    assert "taken for decimals" in told(*numbered("0.5", "0.25", "0.75", "1.0"))[0]
    assert names_of(*numbered("1.10", "1.9", "1.11")) == numbered("1.9", "1.10", "1.11")
    assert "two numbers each" in told(*numbered("1.10", "1.9", "1.11"))[0]
    assert names_of(*numbered("0,5", "0,25", "0,75")) == numbered("0,25", "0,5", "0,75")
    with pytest.raises(InputError, match=r"isn't clear whether the numbers in .* are decimals"):
        names_of(*numbered("0.5", "0.25", "0.9"))
    assert names_of(*numbered("1.2.10", "1.2.9")) == numbered("1.2.9", "1.2.10")  # a version


def test_one_number_twice() -> None:
    with pytest.raises(InputError, match=r"s01\.tif and s1\.tif have the same number"):
        names_of("s1.tif", "s01.tif", "s2.tif")


def stack(folder: Path, *names: str) -> None:
    folder.mkdir(parents=True)
    for i, name in enumerate(names):
        Image.fromarray(np.full((4, 5), i, np.uint8)).save(folder / name)


def test_a_stranger_in_a_folder(tmp_path: Path) -> None:
    """An overview became a slice of the volume."""
    stack(tmp_path / "s", "s1.png", "s2.png", "s3.png", "overview.png")
    message = outcome(tmp_path / "s")[1]
    assert 'holds overview.png beside files named like s1.png; say which are the slices, as in "s/s*.png"' in message
    assert outcome(f"{tmp_path}/s/s*.png")[0] is not None
    stored = open_image(ImageSource(f"{tmp_path}/s/*.png"))  # the user has the last word
    assert stored.shape == (4, 4, 5)
    assert "matches overview.png, named otherwise than the other slices" in stored.warnings[0]
    stack(tmp_path / "t", "s1.png", "s2.png", "s3.png", "s_old.png")
    assert 'as in "t/s[0-9]*.png"' in outcome(tmp_path / "t")[1]
    assert open_image(ImageSource(f"{tmp_path}/t/s[0-9]*.png")).warnings == ()


def test_a_missing_slice_is_told(tmp_path: Path) -> None:
    stack(tmp_path / "s", "s1.png", "s2.png", "s4.png")
    stored = open_image(ImageSource(f"{tmp_path}/s"))
    assert [file.name for file in stored.files] == ["s1.png", "s2.png", "s4.png"]
    assert stored.warnings == (
        f"[image] file: {tmp_path}/s: number 3 is missing: its neighbours count as adjacent slices",
    )


def test_a_missing_slice_of_regions_is_told(tmp_path: Path) -> None:
    stack(tmp_path / "s", "s1.png", "s2.png", "s4.png")
    told: list[str] = []
    source = ImageSource("a.npy", (1e-8,))
    labels = read_region_labels(f"{tmp_path}/s", source, (3, 4, 5), "[regions.a] labels", tell=told.append)
    assert labels.shape == (3, 4, 5)
    assert told == [f"[regions.a] labels: {tmp_path}/s: number 3 is missing: its neighbours count as adjacent slices"]


def test_slices_whose_pixels_differ_in_size(tmp_path: Path) -> None:
    for i, dpi in enumerate((2e6, 2e6, 1e6)):
        Image.fromarray(np.zeros((4, 5), np.uint8)).save(tmp_path / f"{i}.png", dpi=(dpi, dpi))
    assert "contradicts itself" in open_image(ImageSource(str(tmp_path))).scale.doubt
