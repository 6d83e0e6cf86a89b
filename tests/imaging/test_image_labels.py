"""From labels to phases: crop, majority vote, voxel size, and which value belongs to whom."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from microlith.imaging.errors import InputError
from microlith.imaging.image.labels import label_image, read_region_labels
from microlith.imaging.image.sampling import majority
from microlith.imaging.image.volume import LabelImage
from microlith.imaging.options import Colour, ImageSource, PhaseLabels
from microlith.imaging.parallel.large_arrays import VALUES_AT_ONCE, count_values, renamed

Labels = tuple[int | Colour, ...]
STACK = (np.arange(4 * 6 * 8) // 3 % 3).reshape(4, 6, 8).astype(np.uint8)
NANO = (1e-9,)


def phases(*labels: Labels) -> list[PhaseLabels]:
    return [PhaseLabels(name, claimed) for name, claimed in zip("abcdefg", labels, strict=False)]


@pytest.fixture
def stack(tmp_path: Path) -> str:
    np.save(tmp_path / "a.npy", STACK)
    return str(tmp_path / "a.npy")


def read(path: str, *labels: Labels, **options: object) -> LabelImage:
    options.setdefault("voxel_size", NANO)
    return label_image(ImageSource(path, **options), phases(*labels))


@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", ">i2", "i4", ">u4", "i8", "f4"])
def test_phase_is_the_place_of_its_label(tmp_path: Path, dtype: str) -> None:
    np.save(tmp_path / "a.npy", np.array([0, 9, 100])[STACK].astype(dtype))
    image = read(f"{tmp_path}/a.npy", (100,), (0, 9))
    assert image.phase.dtype == np.uint8
    np.testing.assert_array_equal(image.phase, np.array([1, 1, 0])[STACK])
    assert image.names == ("a", "b")
    assert image.stored_shape == (4, 6, 8)


@pytest.mark.parametrize("labels", [(-1, 5, -128), (-1, 5, -(2**31)), (2**40, -(2**40), 0)])
def test_negative_and_far_labels(tmp_path: Path, labels: tuple[int, ...]) -> None:
    np.save(tmp_path / "a.npy", np.array(labels)[STACK].astype(np.min_scalar_type(min(*labels, -max(labels)))))
    np.testing.assert_array_equal(read(f"{tmp_path}/a.npy", *((v,) for v in labels)).phase, STACK)


def test_crop_is_half_open_along_each_named_axis(stack: str) -> None:
    image = read(stack, (0,), (1,), (2,), crop={"x": (1, 6), "z": (2, 4)})
    np.testing.assert_array_equal(image.phase, STACK[2:4, :, 1:6])


def test_labels_outside_the_crop_do_not_count(tmp_path: Path) -> None:
    values = np.zeros((4, 4), np.uint8)
    values[:, 2:], values[3] = 1, 7
    np.save(tmp_path / "a.npy", values)
    assert read(f"{tmp_path}/a.npy", (0,), (1,), crop={"y": (0, 3)}).phase.shape == (3, 4)
    with pytest.raises(InputError, match=r"no phase claims 7 \(25 %\) of the pixels of .*; add each to"):
        read(f"{tmp_path}/a.npy", (0,), (1,))


def test_phases_without_a_pixel_are_named_beside_labels_without_a_phase(tmp_path: Path) -> None:
    values = np.zeros((4, 4), np.uint8)
    values[3] = 255
    np.save(tmp_path / "a.npy", values)
    with pytest.raises(
        InputError, match=r"claims 255 \(25 %\) .*; no pixel has the label of b: correct it, or add each"
    ):
        read(f"{tmp_path}/a.npy", (0,), (1,))


def test_voxel_size_of_the_case_by_axis_and_coarsened(stack: str) -> None:
    image = read(stack, (0,), (1,), (2,), voxel_size=(40e-9, 20e-9, 10e-9), coarsen=2)
    assert image.voxel_size == pytest.approx((80e-9, 40e-9, 20e-9))
    assert image.phase.shape == (2, 3, 4)
    assert image.extent == pytest.approx((80e-9, 120e-9, 160e-9))


def sized(tmp_path: Path) -> str:
    import tifffile

    resolution = {"resolution": (8e5, 4e5), "resolutionunit": "CENTIMETER"}  # 12.5 nm and 25 nm along x and y
    tifffile.imwrite(tmp_path / "sized.tif", STACK[0], **resolution)
    return str(tmp_path / "sized.tif")


def test_voxel_size_of_the_file_where_the_case_gives_none(tmp_path: Path) -> None:
    image = read(sized(tmp_path), (0,), (1,), (2,), voxel_size=None)
    assert image.voxel_size == pytest.approx((25e-9, 12.5e-9))


def test_voxel_size_of_the_case_wins_over_the_file(tmp_path: Path) -> None:
    """It was refused, with the advice to take the file's."""
    path = sized(tmp_path)
    assert read(path, (0,), (1,), (2,), voxel_size=(25e-9, 12.7e-9)).voxel_size == (25e-9, 12.7e-9)


def test_missing_voxel_size(stack: str) -> None:
    with pytest.raises(InputError, match=r"\[image\] voxel_size: missing.*a\.npy.*x, y, z"):
        read(stack, (0,), (1,), (2,), voxel_size=None)


@pytest.mark.parametrize("size", [(1e-9, 1e-9), (0.0,), (-1e-9,), (float("nan"),), (float("inf"),)])
def test_wrong_voxel_size(stack: str, size: tuple[float, ...]) -> None:
    with pytest.raises(InputError, match=r"\[image\] voxel_size: expected"):
        read(stack, (0,), (1,), (2,), voxel_size=size)


@pytest.mark.parametrize(
    ("crop", "words"),
    [
        ({"x": (0, 9)}, r"crop\.x.*<= 8.*a\.npy.*\[0, 9\]"),
        ({"y": (-1, 3)}, r"crop\.y.*<= 6.*\[-1, 3\]"),
        ({"z": (2, 2)}, r"crop\.z.*<= 4.*\[2, 2\]"),
    ],
)
def test_crop_outside_the_image(stack: str, crop: dict[str, tuple[int, int]], words: str) -> None:
    with pytest.raises(InputError, match=words):
        read(stack, (0,), (1,), (2,), crop=crop)


def test_crop_along_an_axis_that_is_not_there(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", STACK[0])
    with pytest.raises(InputError, match=r"crop\.z.*a\.npy has only x, y"):
        read(f"{tmp_path}/a.npy", (0,), (1,), (2,), crop={"z": (0, 1)})


# --- majority vote ---


def test_majority_by_hand() -> None:
    values = np.array(
        [
            [0, 0, 1, 2, 5],
            [0, 1, 2, 2, 5],
            [3, 3, 1, 1, 5],
            [4, 4, 2, 2, 5],
        ],
        np.uint8,
    )
    # 3:1, 3:1, and two ties, in which the voxel behind the centre decides; the last column fills no block
    np.testing.assert_array_equal(majority(values, 2, "a.npy"), [[0, 2], [4, 2]])


def test_majority_ties_without_the_centre_go_to_the_lowest() -> None:
    assert majority(np.array([[7, 3, 9], [3, 5, 9], [7, 7, 9]]), 3, "a.npy").tolist() == [[7]]
    assert majority(np.array([[3, 1, 2], [2, 0, 1], [4, 3, 5]]), 3, "a.npy").tolist() == [[1]]


@pytest.mark.parametrize("edge", [2, 3, 4])
def test_majority_against_counting_block_by_block(edge: int) -> None:
    values = np.random.default_rng(1).integers(-3, 4, (9, 13, 8))
    result = majority(values, edge, "a.npy")
    assert result.shape == tuple(n // edge for n in values.shape)
    for place in np.ndindex(*result.shape):
        block = values[tuple(slice(i * edge, (i + 1) * edge) for i in place)]
        found, counts = np.unique(block, return_counts=True)
        tied = found[counts == counts.max()]
        centre = block[(edge // 2,) * 3]
        assert result[place] == (centre if centre in tied else tied[0])


def test_majority_in_pieces_is_that_of_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(2).integers(0, 3, (40, 30)).astype(np.uint8)
    whole = majority(values, 3, "a.npy")
    monkeypatch.setattr("microlith.imaging.image.sampling.VALUES_AT_ONCE", 100)
    np.testing.assert_array_equal(majority(values, 3, "a.npy"), whole)


def test_coarsen_says_what_it_leaves_out(stack: str, caplog: pytest.LogCaptureFixture) -> None:
    image = read(stack, (0,), (1,), (2,), coarsen=2, crop={"x": (0, 7), "y": (0, 5)})
    assert image.phase.shape == (2, 2, 3)
    assert "1 along y, 1 along x" in caplog.text


@pytest.mark.parametrize("edge", [0, -2, 5])
def test_coarsen_out_of_range(stack: str, edge: int) -> None:
    with pytest.raises(InputError, match=rf"coarsen: expected 1 to 4.*a\.npy.*got {edge}"):
        read(stack, (0,), (1,), (2,), coarsen=edge)


def test_coarsen_that_leaves_nothing_of_a_phase(tmp_path: Path) -> None:
    values = np.zeros((4, 4), np.uint8)
    values[1, 1] = 1
    np.save(tmp_path / "a.npy", values)
    with pytest.raises(InputError, match=r"coarsen.*no pixel of b in .*a\.npy"):
        read(f"{tmp_path}/a.npy", (0,), (1,), coarsen=2)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"crop": {"y": (2, 3)}}, r"\[image\] crop: .*a\.npy is one voxel thick along y.*save the layer as a 2D image"),
        ({"crop": {"z": (1, 3)}, "coarsen": 2}, r"coarsen: blocks of 2 leave .*along z.*crop = \{ z = \[1, 2\] \}"),
    ],
)
def test_one_layer_is_no_volume(stack: str, options: dict[str, object], words: str) -> None:
    with pytest.raises(InputError, match=words):
        read(stack, (0,), (1,), (2,), **options)


def test_one_layer_in_the_file(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", STACK[:1])
    with pytest.raises(InputError, match=r"\[image\] file: .* one voxel thick along z.*crop = \{ z = \[0, 1\] \}"):
        read(f"{tmp_path}/a.npy", (0,), (1,), (2,))
    assert read(f"{tmp_path}/a.npy", (0,), (1,), (2,), crop={"z": (0, 1)}).phase.shape == (6, 8)


def test_one_slice_may_be_coarsened(stack: str) -> None:
    assert read(stack, (0,), (1,), (2,), crop={"z": (2, 3)}, coarsen=2).phase.shape == (3, 4)


# --- claims ---


def test_more_phases_than_a_byte_numbers(stack: str) -> None:
    many = [PhaseLabels(f"p{i}", (i,)) for i in range(256)]
    with pytest.raises(InputError, match=r"\[phases\]: expected at most 255 phases, got 256"):
        label_image(ImageSource(stack, NANO), many)


def test_unclaimed_labels_are_listed_with_their_shares(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.repeat([0, 1, 5, 70], [10, 4, 5, 1]).reshape(4, 5))
    with pytest.raises(InputError, match=r"\[phases\]: no phase claims 5 \(25 %\), 70 \(5 %\) of .*a\.npy"):
        read(f"{tmp_path}/a.npy", (0,), (1,))


def test_phase_without_a_pixel_lists_the_labels_there_are(stack: str) -> None:
    with pytest.raises(InputError, match=r"\[phases\.d\] label: no pixel of .*a\.npy.*0 \(34.4 %\), 1 .*, 2 "):
        read(stack, (0,), (1,), (2,), (3, 4))


def test_label_of_two_phases(stack: str) -> None:
    with pytest.raises(InputError, match=r"\[phases\.c\] label: 1 is claimed by b"):
        read(stack, (0,), (1,), (2, 1))


def test_absent_label_of_a_phase_that_has_others_is_allowed(stack: str) -> None:
    np.testing.assert_array_equal(read(stack, (0, 17), (1,), (2,)).phase, STACK)


RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)
COLOURS = np.array([RED, GREEN, BLUE], np.uint8)


@pytest.fixture
def colours(tmp_path: Path) -> str:
    Image.fromarray(COLOURS[STACK[0]]).save(tmp_path / "rgb.png")
    return str(tmp_path / "rgb.png")


def test_colours_as_tuples_and_as_three_numbers(colours: str) -> None:
    np.testing.assert_array_equal(read(colours, (RED,), (GREEN,), (BLUE,)).phase, STACK[0])
    np.testing.assert_array_equal(read(colours, RED, GREEN, BLUE).phase, STACK[0])
    np.testing.assert_array_equal(read(colours, (BLUE, GREEN), (RED,)).phase, np.array([1, 0, 0])[STACK[0]])


def test_unclaimed_colours_are_shown_as_colours(colours: str) -> None:
    with pytest.raises(InputError, match=r"no phase claims #0000ff = \(0, 0, 255\) \(.* %\)"):
        read(colours, (RED,), (GREEN,))


def test_number_for_a_colour_picture(colours: str) -> None:
    with pytest.raises(
        InputError, match=r"\[phases\.b\] label: expected a colour .*rgb\.png.*got 1.*#00ff00 = \(0, 255, 0\)"
    ):
        read(colours, (RED,), (1,), (BLUE,))


def test_colour_for_an_image_without_colours(stack: str) -> None:
    with pytest.raises(
        InputError, match=r"\[phases\.a\] label: expected a number.*a\.npy.*#ff0000 = \(255, 0, 0\).*0, 1, 2"
    ):
        read(stack, (RED,), (1,), (2,))


def test_palette_by_index_by_colour_and_by_three_numbers(tmp_path: Path) -> None:
    picture = Image.fromarray(STACK[0])
    picture.putpalette(COLOURS.tobytes())
    picture.save(tmp_path / "a.png")
    path = f"{tmp_path}/a.png"
    for labels in ([(0,), (1,), (2,)], [(RED,), (GREEN,), (BLUE,)], [RED, GREEN, BLUE], [(0,), (GREEN,), BLUE]):
        np.testing.assert_array_equal(read(path, *labels).phase, STACK[0])
    assert np.unique(read(path, (0, 1, 2)).phase).tolist() == [0]  # [0, 1, 2] is no colour of the picture
    with pytest.raises(InputError, match=r"no phase claims 2 = #0000ff = \(0, 0, 255\)"):
        read(path, (0,), (1,))
    with pytest.raises(InputError, match=r"1 = #00ff00 = \(0, 255, 0\) is claimed by b"):
        read(path, (0,), (1,), (GREEN, 2))


def test_palette_with_one_colour_twice(tmp_path: Path) -> None:
    picture = Image.fromarray(STACK[0])
    picture.putpalette(np.array([RED, GREEN, RED], np.uint8).tobytes())
    picture.save(tmp_path / "a.png")
    np.testing.assert_array_equal(read(f"{tmp_path}/a.png", (GREEN,), (RED,)).phase, np.array([1, 0, 1])[STACK[0]])


def test_greys_saved_as_colours_answer_to_both(tmp_path: Path) -> None:
    Image.fromarray(np.repeat((STACK[0] * 100)[..., None], 3, axis=-1)).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read(f"{tmp_path}/a.png", (0,), (100,), (200,)).phase, STACK[0])
    np.testing.assert_array_equal(read(f"{tmp_path}/a.png", ((0,) * 3,), ((100,) * 3,), ((200,) * 3,)).phase, STACK[0])


# --- micrographs ---


@pytest.mark.parametrize("dtype", ["u1", "i4"])
def test_more_than_64_values_of_which_some_are_nobodys_are_a_micrograph(tmp_path: Path, dtype: str) -> None:
    np.save(tmp_path / "a.npy", np.arange(512).reshape(16, 32).astype(dtype) % 100)
    with pytest.raises(
        InputError, match=r"\[image\] file: .*a\.npy holds 100 values, of which no phase claims 97.*segment"
    ):
        read(f"{tmp_path}/a.npy", (0,), (1,), (2,))
    assert read(f"{tmp_path}/a.npy", tuple(range(100))).phase.max() == 0


def test_photograph_in_colour(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (20, 20, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "a.png")
    with pytest.raises(InputError, match=r"a\.png holds 400 colours, of which no phase claims 400.*segment"):
        read(f"{tmp_path}/a.png", (RED,))


def test_values_are_counted_and_renamed_across_pieces() -> None:
    values = np.arange(3 * VALUES_AT_ONCE + 5).reshape(-1, 1) // VALUES_AT_ONCE * 1000 - 1000
    for dtype in (np.int16, np.int64):
        typed = values.astype(dtype)
        assert count_values(typed) == {-1000: VALUES_AT_ONCE, 0: VALUES_AT_ONCE, 1000: VALUES_AT_ONCE, 2000: 5}
        assert count_values(typed, 3) is None
        names = renamed(typed, {-1000: 7, 0: 1, 1000: 0, 2000: 255})
        np.testing.assert_array_equal(names[::VALUES_AT_ONCE, 0], [7, 1, 0, 255])


# --- regions ---


def test_region_labels_follow_crop_and_coarsen(stack: str, tmp_path: Path) -> None:
    regions = np.arange(4 * 6 * 8).reshape(4, 6, 8)
    np.save(tmp_path / "regions.npy", regions)
    source = ImageSource(stack, NANO, crop={"x": (1, 7), "y": (2, 6)}, coarsen=2)
    image = label_image(source, phases((0,), (1,), (2,)))
    found = read_region_labels(f"{tmp_path}/regions.npy", source, image.phase.shape, "[regions.a] labels")
    np.testing.assert_array_equal(found, regions[1::2, 3::2, 2:7:2])  # all differ: the voxel behind the centre


def test_region_labels_of_another_shape(stack: str, tmp_path: Path) -> None:
    np.save(tmp_path / "regions.npy", STACK[:, :, :-1])
    source = ImageSource(stack, NANO, crop={"x": (0, 4)})
    image = label_image(source, phases((0,), (1,), (2,)))
    with pytest.raises(
        InputError, match=r"\[regions\.a\] labels: .*regions\.npy.*8 x 6 x 4 \(x, y, z\), got 7 x 6 x 4 \("
    ):
        read_region_labels(
            f"{tmp_path}/regions.npy", source, image.phase.shape, "[regions.a] labels", image.stored_shape
        )
    np.save(tmp_path / "flat.npy", STACK[0])
    with pytest.raises(InputError, match=r"flat\.npy"):
        read_region_labels(f"{tmp_path}/flat.npy", source, image.phase.shape)
