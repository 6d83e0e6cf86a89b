"""Files that can't be read as labels: one sentence that names the key and the file, and nothing on the terminal."""

from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile
from PIL import Image

from microlith.imaging.errors import InputError
from microlith.imaging.options import ImageSource, RawLayout
from microlith.imaging.readers.open import open_image, read_image

STACK = (np.arange(5 * 40 * 60) % 3).reshape(5, 40, 60).astype(np.uint8)


def refusal(path: Path | str, capfd: pytest.CaptureFixture[str] | None = None, **options: object) -> str:
    """The message, after checking that it is one sentence with key and file, and that nothing else was printed."""
    if capfd is not None:
        capfd.readouterr()
    with pytest.raises(InputError) as caught:
        read_image(ImageSource(str(path), **options))
    message = str(caught.value)
    assert message.startswith(f"[image] file: {Path(path).parent}")
    assert "\n" not in message
    if capfd is not None:
        assert capfd.readouterr() == ("", "")
    return message


def test_missing_file_names_a_similar_one(tmp_path: Path) -> None:
    np.save(tmp_path / "roi.npy", STACK)
    assert 'did you mean "roi.npy"?' in refusal(tmp_path / "rio.npy")
    assert "no such file" in refusal(tmp_path / "nowhere" / "else.tif")


def test_pattern_without_a_match(tmp_path: Path) -> None:
    assert "no file matches" in refusal(tmp_path / "slice*.png")


@pytest.mark.parametrize("name", ["a.tif", "a.png", "a.bmp", "a.npy", "a.h5", "a.nrrd", "a.nhdr", "a.mha", "a.vti"])
def test_empty_and_meaningless_files(tmp_path: Path, name: str, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / name).touch()
    assert f"{name}: the file is empty" in refusal(tmp_path / name, capfd)
    (tmp_path / name).write_bytes(b"this is not an image at all\n" * 9)
    assert f"{name}: can't be read as" in refusal(tmp_path / name, capfd)


@pytest.mark.parametrize("share", [0.1, 0.3, 0.6, 0.9])
@pytest.mark.parametrize(
    "options",
    [
        {"photometric": "minisblack"},
        {"photometric": "minisblack", "metadata": None},
        {"imagej": True, "metadata": {"axes": "ZYX"}},
        {"compression": "deflate", "photometric": "minisblack"},
        {"compression": "lzw", "photometric": "minisblack", "metadata": None},
    ],
    ids=["plain", "no metadata", "imagej", "deflate", "lzw"],
)
def test_truncated_tiff_is_not_half_read(
    tmp_path: Path,
    options: dict[str, object],
    share: float,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    tifffile.imwrite(tmp_path / "whole.tif", STACK, **options)
    data = (tmp_path / "whole.tif").read_bytes()
    (tmp_path / "cut.tif").write_bytes(data[: int(share * len(data))])
    assert "cut.tif: can't be read as TIFF" in refusal(tmp_path / "cut.tif", capfd)
    assert not caplog.records


def write_png(path: Path) -> None:
    Image.fromarray(np.random.default_rng(0).integers(0, 9, (90, 90), np.uint8)).save(path)


def write_hdf5(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["image"] = STACK


def write_itk(path: Path) -> None:
    import SimpleITK

    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(STACK), str(path))


def write_vti(path: Path) -> None:
    import pyvista

    grid = pyvista.ImageData(dimensions=STACK.shape[::-1])
    grid["labels"] = np.random.default_rng(0).integers(0, 9, STACK.size, np.uint8)
    grid.save(path)


WRITERS = {
    "png": write_png,
    "bmp": write_png,
    "npy": lambda path: np.save(path, STACK),
    "h5": write_hdf5,
    "nrrd": write_itk,
    "mha": write_itk,
    "vti": write_vti,
}


@pytest.mark.parametrize("share", [0.1, 0.6, 0.95])
@pytest.mark.parametrize("suffix", WRITERS)
def test_truncated_files(tmp_path: Path, suffix: str, share: float, capfd: pytest.CaptureFixture[str]) -> None:
    WRITERS[suffix](tmp_path / f"whole.{suffix}")
    data = (tmp_path / f"whole.{suffix}").read_bytes()
    (tmp_path / f"cut.{suffix}").write_bytes(data[: int(share * len(data))])
    assert f"cut.{suffix}: can't be read as" in refusal(tmp_path / f"cut.{suffix}", capfd)


def test_data_file_of_a_header_is_missing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for name in ("a.mhd", "a.nhdr"):
        write_itk(tmp_path / name)
        for data in (*tmp_path.glob("*raw"), *tmp_path.glob("*raw.gz")):
            data.unlink()
        message = refusal(tmp_path / name, capfd)
        assert f"{name}: its data file a.raw is not there" in message


def test_several_series_in_a_tiff(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(STACK[0])
        file.write(STACK[0, :30])
    assert "a.tif: expected one image or one stack, got 2 series (40 x 60, 30 x 60)" in refusal(tmp_path / "a.tif")


def test_tiff_with_four_axes(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.stack([STACK] * 2), imagej=True, metadata={"axes": "TZYX"})
    assert "a.tif: expected an image (YX) or a stack (ZYX), got axes TZYX" in refusal(tmp_path / "a.tif")


def test_tiff_of_a_photograph(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((4, 5, 4), np.uint8), photometric="separated")
    assert "a.tif: expected grey, RGB or palette" in refusal(tmp_path / "a.tif")


@pytest.mark.parametrize(
    ("value", "shown"), [(0.5, "0.5 (float64)"), (np.nan, "nan"), (np.inf, "inf"), (1e12, "1e+12")]
)
def test_numbers_that_are_no_labels(tmp_path: Path, value: float, shown: str) -> None:
    values = np.ones((3, 4))
    values[2, 1] = value
    np.save(tmp_path / "a.npy", values)
    message = refusal(tmp_path / "a.npy")
    assert f"a.npy: expected whole numbers as labels, got {shown}" in message
    assert "segment" in message


@pytest.mark.parametrize("values", [np.ones((3, 4), complex), np.full((3, 4), "a"), np.zeros((3, 4), "u1,u1")])
def test_values_that_are_no_numbers(tmp_path: Path, values: np.ndarray) -> None:
    np.save(tmp_path / "a.npy", values)
    assert "a.npy: expected whole numbers" in refusal(tmp_path / "a.npy")


def test_python_objects_are_not_unpickled(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([[{}]]), allow_pickle=True)
    assert "a.npy: can't be read as NPY" in refusal(tmp_path / "a.npy")


@pytest.mark.parametrize("shape", [(), (5,), (2, 3, 4, 5), (0, 4)])
def test_arrays_that_are_no_images(tmp_path: Path, shape: tuple[int, ...]) -> None:
    np.save(tmp_path / "a.npy", np.zeros(shape, np.uint8))
    assert f"shape {list(shape)}" in refusal(tmp_path / "a.npy")


def test_raw_that_does_not_fit(tmp_path: Path) -> None:
    (tmp_path / "a.raw").write_bytes(bytes(23))
    message = refusal(tmp_path / "a.raw", raw=RawLayout((2, 3), "<u2", 8))
    assert "23 bytes" in message
    assert "needs 20" in message
    assert "no header" in refusal(tmp_path / "a.raw")


@pytest.mark.parametrize("dtype", ["uint9", "object", "U3", "i4,i4"])
def test_raw_of_a_type_that_is_none(tmp_path: Path, dtype: str) -> None:
    (tmp_path / "a.raw").write_bytes(bytes(6))
    assert f'raw.dtype: expected a number type such as "uint8" or "<u2", got "{dtype}"' in refusal(
        tmp_path / "a.raw", raw=RawLayout((2, 3), dtype)
    )


@pytest.mark.parametrize(("shape", "offset"), [((0, 3), 0), ((-2, -3), 0), ((2, 3), -1)])
def test_raw_of_a_shape_that_is_none(tmp_path: Path, shape: tuple[int, ...], offset: int) -> None:
    (tmp_path / "a.raw").write_bytes(bytes(6))
    assert "expected positive shape" in refusal(tmp_path / "a.raw", raw=RawLayout(shape, "u1", offset))


def test_hdf5_lists_its_datasets(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["one"], file["in/two"], file["times"] = STACK, STACK, np.zeros(3)
    for name in ("a.h5", "a.h5:/three", "a.h5:/in"):
        assert "it holds /in/two, /one" in refusal(tmp_path / name)
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file["times"] = np.zeros(3)
    assert "no array" in refusal(tmp_path / "b.h5")


def test_vti_lists_its_arrays(tmp_path: Path) -> None:
    import pyvista

    grid = pyvista.ImageData(dimensions=(2, 3, 4))
    grid["one"], grid["two"] = np.zeros(24), np.zeros(24)
    grid.save(tmp_path / "a.vti")
    for name in ("a.vti", "a.vti:/three"):
        assert "it holds one, two" in refusal(tmp_path / name)


def test_alpha_that_varies(tmp_path: Path) -> None:
    samples = np.zeros((3, 4, 4), np.uint8)
    samples[0, 0, 3] = 1
    Image.fromarray(samples).save(tmp_path / "a.png")
    assert "a.png: expected a constant alpha channel" in refusal(tmp_path / "a.png")


def test_colours_of_more_than_8_bits(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.full((3, 4, 3), 1000, np.uint16), photometric="rgb")
    assert "8 bits" in refusal(tmp_path / "a.tif")


def test_animation(tmp_path: Path) -> None:
    frames = [Image.fromarray(STACK[0] * i) for i in (1, 2)]
    frames[0].save(tmp_path / "a.png", save_all=True, append_images=frames[1:])
    assert "a.png: expected one picture, got an animation of 2" in refusal(tmp_path / "a.png")


@pytest.mark.parametrize(
    ("name", "words"), [("a.jpg", "JPG blurs labels"), ("a.xyz", "unknown kind"), ("noname", "unknown kind")]
)
def test_other_kinds_of_files(tmp_path: Path, name: str, words: str) -> None:
    (tmp_path / name).write_bytes(b"abc")
    assert words in refusal(tmp_path / name)


def test_slices_of_unlike_sizes(tmp_path: Path) -> None:
    for name, n in (("s1", 4), ("s2", 5)):
        Image.fromarray(STACK[0, :n, :6].copy()).save(tmp_path / f"{name}.png")
    assert f"{tmp_path}/s2.png: expected 6 x 4 pixels as in s1.png, got 6 x 5" in refusal(tmp_path)


def test_slice_that_is_a_stack(tmp_path: Path) -> None:
    for i in range(2):
        tifffile.imwrite(tmp_path / f"{i}.tif", STACK, photometric="minisblack")
    assert "0.tif: expected one slice, got a stack of 5" in refusal(tmp_path)


def test_slice_that_is_damaged_or_empty(tmp_path: Path) -> None:
    write_png(tmp_path / "1.png")
    (tmp_path / "2.png").write_bytes((tmp_path / "1.png").read_bytes()[:99])
    assert "2.png: can't be read as PNG" in refusal(tmp_path)
    (tmp_path / "2.png").write_bytes(b"")
    assert "2.png: the file is empty" in refusal(tmp_path)


def test_folder_without_slices_and_with_two_kinds(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    assert "holds no" in refusal(tmp_path)
    (tmp_path / "ball.nrrd").touch()
    assert "name the folder of the slices, or one of the files there (ball.nrrd, notes.txt)" in refusal(tmp_path)
    (tmp_path / "ball.nrrd").unlink()
    Image.fromarray(STACK[0]).save(tmp_path / "1.png")
    Image.fromarray(STACK[0]).save(tmp_path / "1.bmp")
    assert "holds .bmp and .png files" in refusal(tmp_path)
    assert "matches notes.txt" in refusal(tmp_path / "*")


@pytest.mark.parametrize("kind", ["npy", "fortran.npy", "raw", "tif", "h5", "mha"])
def test_cut_short_after_it_was_opened(tmp_path: Path, kind: str) -> None:
    """A mapped file ended the process with a bus error."""
    path = tmp_path / f"a.{kind}"
    writers = {
        "npy": lambda: np.save(path, STACK),
        "fortran.npy": lambda: np.save(path, np.asfortranarray(STACK)),
        "raw": lambda: path.write_bytes(STACK.tobytes()),
        "tif": lambda: tifffile.imwrite(path, STACK, photometric="minisblack"),
        "h5": lambda: write_hdf5(path),
        "mha": lambda: write_itk(path),
    }
    writers[kind]()
    raw = RawLayout(STACK.shape, "uint8") if kind == "raw" else None
    stored = open_image(ImageSource(str(path), raw=raw))
    pieces = stored.layers(((0, 5), (0, 40), (0, 60)), 1)
    np.testing.assert_array_equal(next(pieces)[0], STACK[0])
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)
    with pytest.raises(InputError, match="can't be read as"):
        list(stored.layers(((0, 5), (0, 40), (0, 60)), 1))


def test_lack_of_memory_is_the_picture_s(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was told as one of the mesh, with the advice to choose larger elements."""

    def full(*_: object) -> None:
        raise MemoryError

    write_png(tmp_path / "a.png")
    monkeypatch.setattr("microlith.imaging.formats.png_bmp._check_sums", full)
    assert "a.png: can't be read as PNG, it is damaged" in refusal(tmp_path / "a.png")
    monkeypatch.setattr("microlith.imaging.files.decoding.available_memory", lambda: 10.0)
    (tmp_path / "a.mha").write_bytes(
        b"NDims = 2\nDimSize = 4 3\nElementType = MET_UCHAR\nCompressedData = True\nElementDataFile = LOCAL\n"
        + bytes(40)
    )
    assert "its header asks for 1.2e-08 GB of pixels" in refusal(tmp_path / "a.mha")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("image", data=STACK, compression="gzip")
    monkeypatch.setattr("microlith.imaging.readers.hdf5.parts", full)
    assert "a.h5: can't be read as HDF5, it is damaged" in refusal(tmp_path / "a.h5")


def test_a_link_to_nothing(tmp_path: Path) -> None:
    (tmp_path / "image.tif").symlink_to("gone.tif")
    assert 'it is a link to "gone.tif", where no file is; correct the link' in refusal(tmp_path / "image.tif")
