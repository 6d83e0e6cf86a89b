"""TIFF files whose pixels are not what they seem: compressed with loss, turned, of channels, with parts missing."""

from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
from image_outcomes import assert_never_filled_in, outcome
from PIL import Image, ImageOps

from microlith.imaging.options import ImageSource
from microlith.imaging.readers.open import open_image

STACK = np.random.default_rng(3).integers(0, 3, (6, 32, 48), np.uint8)
FLAT = STACK[0]
RGB = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255]], np.uint8)[STACK]


def write(path: Path, values: np.ndarray, kind_of: str, /, **arguments: Any) -> Path:
    kind = "rgb" if values.shape[-1] == 3 else "minisblack"
    tifffile.imwrite(path, values, photometric=kind, compression=kind_of, compressionargs=arguments or None)
    return path


@pytest.mark.parametrize(
    ("values", "compression", "arguments", "words"),
    [
        (STACK, "jpeg", {}, "JPEG"),
        (FLAT, "jpeg", {"level": 100}, "JPEG"),
        (RGB, "webp", {"lossless": False, "level": 90}, "lossy WebP"),
        (STACK, "jpeg2000", {"reversible": False, "level": 50}, "JPEG 2000 with loss"),
        (STACK, "jpegxr", {}, "JPEG XR"),
        (STACK, "jpegxl", {}, "JPEG XL"),
        (STACK, "lerc", {"level": 1}, "LERC with an error of 1"),
        (STACK.astype("f4"), "lerc", {"level": 0.1}, "LERC with an error of"),
    ],
    ids=lambda value: "" if isinstance(value, np.ndarray) else str(value),
)
def test_compression_with_loss(
    tmp_path: Path, values: np.ndarray, compression: str, arguments: dict[str, Any], words: str
) -> None:
    """Of a picture of labels 0, 1, 2 in JPEG 1.5 % of the pixels had another label."""
    message = outcome(write(tmp_path / "a.tif", values, compression, **arguments))[1]
    assert "a.tif: is compressed with loss" in message
    assert words in message
    assert "save it with LZW or deflate" in message


@pytest.mark.parametrize(
    ("values", "compression", "arguments"),
    [
        (STACK, "jpeg", {"lossless": True}),
        (RGB, "webp", {"lossless": True}),
        (STACK, "png", {}),
        (STACK, "lerc", {"level": 0}),
        (STACK, "lerc", {"level": 0, "compression": "zstd"}),
        (STACK, "lerc", {"level": 0, "compression": "deflate"}),
        (STACK, "zstd", {}),
        (STACK, "lzma", {}),
        (STACK.astype("u2") * 300, "png", {}),
    ],
    ids=lambda value: "" if isinstance(value, np.ndarray) else str(value),
)
def test_compression_without_loss(
    tmp_path: Path, values: np.ndarray, compression: str, arguments: dict[str, Any]
) -> None:
    path = write(tmp_path / "a.tif", values, compression, **arguments)
    found, message = outcome(path)
    assert message == ""
    if values.shape[-1] == 3:
        values = values[..., 0].astype(int) << 16 | values[..., 1].astype(int) << 8 | values[..., 2]
    np.testing.assert_array_equal(found, values)
    stored = open_image(ImageSource(str(path)))
    assert stored.warnings == ()
    window = np.concatenate(list(stored.layers(((1, 4), (2, 30), (5, 9)), 2)))
    np.testing.assert_array_equal(window, values[1:4, 2:30, 5:9])


def test_jpeg_2000_of_the_reversible_kind_is_told(tmp_path: Path) -> None:
    """It may have lost bit planes, which its header doesn't say."""
    stored = open_image(ImageSource(str(write(tmp_path / "a.tif", STACK, "jpeg2000", reversible=True))))
    (warning,) = stored.warnings
    assert "perhaps blurs labels" in warning
    np.testing.assert_array_equal(outcome(tmp_path / "a.tif")[0], STACK)


def test_near_lossless_streams() -> None:
    from microlith.imaging.files.lossy import jpeg

    assert jpeg(imagecodecs.jpegls_encode(FLAT, level=0)) == ""
    assert jpeg(imagecodecs.jpegls_encode(FLAT, level=1)) == "near-lossless JPEG-LS"
    assert jpeg(imagecodecs.ljpeg_encode(FLAT)) == ""
    assert jpeg(b"\xff\xd8\xff\xda") == jpeg(b"") == "JPEG"


@pytest.mark.parametrize("orientation", range(10))
@pytest.mark.parametrize("compression", [None, "lzw"])
def test_orientation(tmp_path: Path, orientation: int, compression: str | None) -> None:
    """A scanner's or a microscope's picture that is stored turned."""
    tag = (274, "H", 1, orientation, True)
    resolution = {"resolution": (8e5, 4e5), "resolutionunit": "CENTIMETER"}  # 12.5 nm and 25 nm along columns and rows
    tifffile.imwrite(tmp_path / "a.tif", FLAT, extratags=[tag], compression=compression, **resolution)
    exif = Image.Exif()
    exif[274] = orientation
    picture = Image.fromarray(FLAT)
    picture.getexif()[274] = orientation
    expected = np.asarray(ImageOps.exif_transpose(picture))
    found, message = outcome(tmp_path / "a.tif")
    assert message == ""
    np.testing.assert_array_equal(found, expected)
    turned = orientation in (5, 6, 7, 8)
    sizes = open_image(ImageSource(f"{tmp_path}/a.tif")).voxel_size
    assert sizes == pytest.approx((12.5e-9, 25e-9) if turned else (25e-9, 12.5e-9))


def test_orientation_of_a_stack_and_of_slices(tmp_path: Path) -> None:
    tag = (274, "H", 1, 6, True)
    tifffile.imwrite(tmp_path / "a.tif", STACK, extratags=[tag], photometric="minisblack")
    np.testing.assert_array_equal(outcome(tmp_path / "a.tif")[0], np.rot90(STACK, -1, (1, 2)))
    (tmp_path / "s").mkdir()
    for i, page in enumerate(STACK):
        tifffile.imwrite(tmp_path / f"s/{i}.tif", page, extratags=[tag])
    np.testing.assert_array_equal(outcome(tmp_path / "s")[0], np.rot90(STACK, -1, (1, 2)))


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_pages_written_one_by_one_are_a_stack(tmp_path: Path, compression: str | None) -> None:
    """tifffile describes each page that a loop writes as an image of its own; such stacks were refused."""
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        for page in STACK:
            file.write(page, compression=compression, contiguous=False)
    found, message = outcome(tmp_path / "a.tif")
    assert message == ""
    np.testing.assert_array_equal(found, STACK)
    with tifffile.TiffWriter(tmp_path / "b.tif") as file:
        file.write(STACK[0])
        file.write(STACK[1, :-1])
    assert "expected one image or one stack, got 2 series" in outcome(tmp_path / "b.tif")[1]
    with tifffile.TiffWriter(tmp_path / "c.tif") as file:  # two volumes
        file.write(STACK, photometric="minisblack", contiguous=False)
        file.write(STACK, photometric="minisblack", contiguous=False)
    assert "expected one image or one stack, got 2 series" in outcome(tmp_path / "c.tif")[1]


@pytest.mark.parametrize("ome", [False, True])
def test_channels_are_no_slices(tmp_path: Path, ome: bool) -> None:
    name = tmp_path / ("a.ome.tif" if ome else "a.tif")
    kind: dict[str, Any] = {"photometric": "minisblack"} if ome else {"imagej": True}
    tifffile.imwrite(name, STACK[:3], metadata={"axes": "CYX"}, **kind)
    assert "holds 3 channels of one picture, which are no slices" in outcome(name)[1]
    many = np.concatenate([STACK, STACK])
    tifffile.imwrite(name, many, metadata={"axes": "CYX"}, **kind)  # slices, saved under the wrong name
    np.testing.assert_array_equal(outcome(name)[0], many)


def test_three_layers_that_are_rather_channels(tmp_path: Path) -> None:
    def warnings(path: Path) -> tuple[str, ...]:
        return open_image(ImageSource(str(path))).warnings

    np.save(tmp_path / "first.npy", STACK[:3])
    np.save(tmp_path / "last.npy", np.moveaxis(STACK[:3], 0, -1))
    assert "is taken for 3 slices" in warnings(tmp_path / "first.npy")[0]
    assert "is taken for 3 pixels along x" in warnings(tmp_path / "last.npy")[0]
    np.save(tmp_path / "thick.npy", STACK[:, :5, :5])
    tifffile.imwrite(tmp_path / "z.tif", STACK[:3], imagej=True, metadata={"axes": "ZYX"})
    assert warnings(tmp_path / "thick.npy") == warnings(tmp_path / "z.tif") == ()


def ome_parts(folder: Path, count: int = 3) -> list[Path]:
    """One OME-TIFF image in several files."""
    paths = [folder / f"s{i}.ome.tif" for i in range(count)]
    planes = "".join(
        f'<TiffData FirstZ="{2 * i}" IFD="0" PlaneCount="2"><UUID FileName="{path.name}">urn:uuid:{i}</UUID></TiffData>'
        for i, path in enumerate(paths)
    )
    for i, path in enumerate(paths):
        xml = (
            '<?xml version="1.0" encoding="UTF-8"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" '
            f'UUID="urn:uuid:{i}"><Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYZCT" Type="uint8" '
            f'SizeX="48" SizeY="32" SizeZ="{2 * count}" SizeC="1" SizeT="1"><Channel ID="Channel:0" '
            f'SamplesPerPixel="1"/>{planes}</Pixels></Image></OME>'
        )
        tifffile.imwrite(path, STACK[2 * i : 2 * i + 2], description=xml, metadata=None, photometric="minisblack")
    return paths


def test_ome_parts(tmp_path: Path) -> None:
    """Where a file was missing its pages were zeros."""
    paths = ome_parts(tmp_path)
    np.testing.assert_array_equal(outcome(paths[0])[0], STACK)
    assert open_image(ImageSource(str(paths[0]))).files == tuple(paths)
    paths[1].unlink()
    assert "s0.ome.tif: can't be read as TIFF" in outcome(paths[0])[1]
    tifffile.imwrite(paths[1], STACK[2], photometric="minisblack", metadata=None)  # one page of two
    assert "s0.ome.tif: can't be read as TIFF" in outcome(paths[0])[1]


def test_blocks_that_are_nowhere(tmp_path: Path) -> None:
    """Sparse files of geographers: tifffile takes blocks of length 0 for zeros."""
    tifffile.imwrite(tmp_path / "a.tif", FLAT, tile=(16, 16), compression="deflate", metadata=None)
    data = bytearray((tmp_path / "a.tif").read_bytes())
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        tag = file.pages[0].tags["TileByteCounts"]
        assert tag.count == 6
        width = {3: 2, 4: 4}[int(tag.dtype)]
        data[tag.valueoffset + width : tag.valueoffset + 2 * width] = bytes(width)
    (tmp_path / "a.tif").write_bytes(data)
    assert "5 of the 6 blocks of page 0 are there" in outcome(tmp_path / "a.tif")[1]


@pytest.mark.parametrize(
    "options",
    [
        {"photometric": "minisblack"},
        {"photometric": "minisblack", "metadata": None, "compression": "deflate"},
        {"photometric": "minisblack", "compression": "lzw", "rowsperstrip": 5},
        {"photometric": "minisblack", "compression": "packbits", "tile": (16, 16)},
        {"imagej": True, "metadata": {"axes": "ZYX"}},
        {"ome": True, "photometric": "minisblack", "metadata": {"axes": "ZYX"}},
        {"photometric": "minisblack", "compression": "zstd"},
    ],
    ids=str,
)
def test_no_part_is_filled_in(tmp_path: Path, options: dict[str, Any]) -> None:
    tifffile.imwrite(tmp_path / "a.tif", STACK, **options)
    size = (tmp_path / "a.tif").stat().st_size
    words = ("can't be read as TIFF", "expected one image or one stack", "the file is empty")
    assert_never_filled_in(tmp_path / "a.tif", STACK, words, step=max(1, size // 150))


@pytest.mark.parametrize("compression", [8, 5, 32773, 50000])
def test_pixels_that_so_few_bytes_cannot_hold(tmp_path: Path, compression: int) -> None:
    """A file of a few hundred bytes that asks for 40 GB."""
    name = {8: "deflate", 5: "lzw", 32773: "packbits", 50000: "zstd"}[compression]
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((8, 8), np.uint8), compression=name, metadata=None)
    data = bytearray((tmp_path / "a.tif").read_bytes())
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        for tag in ("ImageWidth", "ImageLength", "RowsPerStrip"):
            found = file.pages[0].tags[tag]
            data[found.offset + 2 : found.offset + 12] = b"\x04\0" + b"\x01\0\0\0" + (200_000).to_bytes(4, "little")
    (tmp_path / "a.tif").write_bytes(data)
    assert "can't come of" in outcome(tmp_path / "a.tif")[1]


@pytest.mark.parametrize("old", ['SizeZ="6"', 'SizeT="1"', 'PlaneCount="6"'])
def test_planes_without_number(tmp_path: Path, old: str) -> None:
    """A place was kept for each of them: gigabytes for a file of some kB."""
    tifffile.imwrite(tmp_path / "a.ome.tif", STACK, photometric="minisblack", metadata={"axes": "ZYX"})
    data = (tmp_path / "a.ome.tif").read_bytes()
    new = f'{old[:-2]}9999999"'.encode()
    creator = b'Creator="tifffile'
    assert old.encode() in data
    changed = data.replace(old.encode(), new).replace(creator, creator[: len(old) - len(new)])
    assert len(changed) == len(data)
    (tmp_path / "a.ome.tif").write_bytes(changed)
    assert "its OME metadata tell of" in outcome(tmp_path / "a.ome.tif")[1]
