"""Every format is read back with its axes, values and voxel size as they were written."""

import gzip
from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile
from PIL import Image

from microlith.imaging.formats.stored import RawImage
from microlith.imaging.options import ImageSource, RawLayout
from microlith.imaging.readers.open import read_image

FLAT = np.arange(12, dtype=np.uint8).reshape(3, 4) % 7  # no symmetry, no two axes alike
STACK = (np.arange(24, dtype=np.uint8) * 5 % 23).reshape(2, 3, 4)
RED, GREEN, GREY = (255, 16, 1), (1, 200, 3), (9, 9, 9)
PALETTE = np.array([RED, GREEN, GREY, *[(i, 255 - i, 7) for i in range(253)]], np.uint8)


def read(path: Path | str, **kwargs: object) -> RawImage:
    return read_image(ImageSource(str(path), **kwargs))


def coloured(indices: np.ndarray) -> np.ndarray:
    """RGB samples of 0, 1, 2 as three colours."""
    return PALETTE[indices]


def codes(indices: np.ndarray) -> np.ndarray:
    return np.array([0xFF1001, 0x01C803, 0x090909])[indices]


THREE = FLAT % 3


@pytest.mark.parametrize("compression", [None, "lzw", "deflate", "packbits"])
@pytest.mark.parametrize("values", [FLAT, STACK], ids=["page", "stack"])
def test_tiff_compressions(tmp_path: Path, compression: str, values: np.ndarray) -> None:
    tifffile.imwrite(tmp_path / "a.tif", values, compression=compression, photometric="minisblack")
    image = read(tmp_path / "a.tif")
    np.testing.assert_array_equal(image.values, values)
    assert not image.colour
    assert image.voxel_size == (None,) * values.ndim


@pytest.mark.parametrize("dtype", ["bool", "i1", "u2", ">u2", "i2", "u4", "i4", "u8", "i8", "f4"])
def test_tiff_types(tmp_path: Path, dtype: str) -> None:
    values = (
        FLAT.astype(dtype) if dtype in ("bool", "u2", ">u2", "f4") else FLAT.astype(dtype) - np.dtype(dtype).type(1)
    )
    tifffile.imwrite(tmp_path / "a.tif", values, photometric="minisblack", byteorder=">" if dtype[0] == ">" else None)
    image = read(tmp_path / "a.tif")
    assert image.values.dtype.kind in "iu"
    np.testing.assert_array_equal(image.values, values.astype(image.values.dtype))


def test_tiff_pages_written_one_by_one(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        for page in STACK:
            file.write(page, metadata=None, contiguous=False, compression="packbits")
    np.testing.assert_array_equal(read(tmp_path / "a.tif").values, STACK)


def test_tiff_of_one_page_is_flat(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", FLAT[None], photometric="minisblack")
    np.testing.assert_array_equal(read(tmp_path / "a.tif").values, FLAT)


def test_tiff_one_pixel_wide_stays_two_dimensional(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", FLAT[:, :1], photometric="minisblack")
    np.testing.assert_array_equal(read(tmp_path / "a.tif").values, FLAT[:, :1])


def test_tiff_fax_compression_of_one_bit(tmp_path: Path) -> None:
    Image.fromarray(FLAT > 3).save(tmp_path / "a.tif", compression="group4")
    np.testing.assert_array_equal(read(tmp_path / "a.tif").values, FLAT > 3)


@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_tiff_colours(tmp_path: Path, planar: str) -> None:
    samples = coloured(THREE)
    if planar == "separate":
        samples = np.moveaxis(samples, -1, 0)
    tifffile.imwrite(tmp_path / "a.tif", samples, photometric="rgb", planarconfig=planar)
    image = read(tmp_path / "a.tif")
    assert image.colour
    np.testing.assert_array_equal(image.values, codes(THREE))


def test_tiff_colour_stack_of_16_bits(tmp_path: Path) -> None:
    samples = coloured(STACK % 3).astype(np.uint16) * 257
    tifffile.imwrite(tmp_path / "a.tif", samples, photometric="rgb")
    np.testing.assert_array_equal(read(tmp_path / "a.tif").values, codes(STACK % 3))


def test_tiff_palette(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", THREE, photometric="palette", colormap=PALETTE.T.astype(np.uint16) * 256)
    image = read(tmp_path / "a.tif")
    np.testing.assert_array_equal(image.values, THREE)
    assert image.palette is not None
    np.testing.assert_array_equal(image.palette, PALETTE)


def test_imagej_voxel_size(tmp_path: Path) -> None:
    tifffile.imwrite(
        tmp_path / "a.tif",
        STACK,
        imagej=True,
        resolution=(1 / 0.0125, 1 / 0.02),  # pixels per µm along x, y
        metadata={"axes": "ZYX", "unit": "um", "spacing": 0.04},
    )
    image = read(tmp_path / "a.tif")
    np.testing.assert_array_equal(image.values, STACK)
    assert image.voxel_size == pytest.approx((40e-9, 20e-9, 12.5e-9))


@pytest.mark.parametrize(("unit", "metres"), [("nm", 1e-9), ("micron", 1e-6), ("\\u00B5m", 1e-6), ("mm", 1e-3)])
def test_imagej_units(tmp_path: Path, unit: str, metres: float) -> None:
    tifffile.imwrite(tmp_path / "a.tif", FLAT, imagej=True, resolution=(4, 2), metadata={"unit": unit})
    assert read(tmp_path / "a.tif").voxel_size == pytest.approx((0.5 * metres, 0.25 * metres))


def test_imagej_without_unit_says_nothing(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", STACK, imagej=True, metadata={"axes": "ZYX", "spacing": 2})
    assert read(tmp_path / "a.tif").voxel_size == (None, None, None)


def test_ome_voxel_size(tmp_path: Path) -> None:
    sizes = {"PhysicalSizeX": 12.5, "PhysicalSizeXUnit": "nm", "PhysicalSizeY": 0.02, "PhysicalSizeZ": 0.04}
    tifffile.imwrite(tmp_path / "a.ome.tif", STACK, photometric="minisblack", metadata={"axes": "ZYX", **sizes})
    image = read(tmp_path / "a.ome.tif")
    np.testing.assert_array_equal(image.values, STACK)
    assert image.voxel_size == pytest.approx((40e-9, 20e-9, 12.5e-9))


def test_resolution_tags_of_pixels_but_not_of_prints(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "pixels.tif", FLAT, resolution=(8e5, 4e5), resolutionunit="CENTIMETER")
    assert read(tmp_path / "pixels.tif").voxel_size == pytest.approx((25e-9, 12.5e-9))
    tifffile.imwrite(tmp_path / "print.tif", FLAT, resolution=(300, 300), resolutionunit="INCH")
    assert read(tmp_path / "print.tif").voxel_size == (None, None)


@pytest.mark.parametrize("suffix", ["png", "bmp"])
def test_picture_of_greys(tmp_path: Path, suffix: str) -> None:
    Image.fromarray(FLAT).save(tmp_path / f"a.{suffix}")
    image = read(tmp_path / f"a.{suffix}")
    np.testing.assert_array_equal(image.values, FLAT)
    assert not image.colour
    assert image.palette is None


@pytest.mark.parametrize("suffix", ["png", "bmp"])
def test_picture_of_one_bit(tmp_path: Path, suffix: str) -> None:
    Image.fromarray(FLAT > 3).save(tmp_path / f"a.{suffix}")
    np.testing.assert_array_equal(read(tmp_path / f"a.{suffix}").values, FLAT > 3)


def test_png_of_16_bits(tmp_path: Path) -> None:
    Image.fromarray(FLAT.astype(np.uint16) * 1000).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read(tmp_path / "a.png").values, FLAT.astype(int) * 1000)


@pytest.mark.parametrize("suffix", ["png", "bmp"])
def test_picture_with_palette(tmp_path: Path, suffix: str) -> None:
    picture = Image.fromarray(THREE, mode="L").convert("L")
    picture.putpalette(PALETTE.tobytes())
    picture.save(tmp_path / f"a.{suffix}")
    image = read(tmp_path / f"a.{suffix}")
    np.testing.assert_array_equal(image.values, THREE)
    assert image.palette is not None
    np.testing.assert_array_equal(image.palette[:3], PALETTE[:3])


@pytest.mark.parametrize("suffix", ["png", "bmp"])
def test_picture_of_colours(tmp_path: Path, suffix: str) -> None:
    Image.fromarray(coloured(THREE)).save(tmp_path / f"a.{suffix}")
    image = read(tmp_path / f"a.{suffix}")
    assert image.colour
    np.testing.assert_array_equal(image.values, codes(THREE))


def test_constant_alpha_is_left_out(tmp_path: Path) -> None:
    alpha = np.full((*THREE.shape, 1), 77, np.uint8)
    Image.fromarray(np.concatenate((coloured(THREE), alpha), axis=-1)).save(tmp_path / "rgba.png")
    np.testing.assert_array_equal(read(tmp_path / "rgba.png").values, codes(THREE))
    Image.fromarray(np.concatenate((FLAT[..., None], alpha), axis=-1)).save(tmp_path / "la.png")
    np.testing.assert_array_equal(read(tmp_path / "la.png").values, FLAT)


def test_colours_that_are_greys_everywhere_become_grey(tmp_path: Path) -> None:
    Image.fromarray(np.repeat(FLAT[..., None], 3, axis=-1)).save(tmp_path / "a.png")
    image = read(tmp_path / "a.png")
    assert not image.colour
    np.testing.assert_array_equal(image.values, FLAT)


def test_png_resolution(tmp_path: Path) -> None:
    Image.fromarray(FLAT).save(tmp_path / "pixels.png", dpi=(0.0254 / 12.5e-9, 0.0254 / 25e-9))
    assert read(tmp_path / "pixels.png").voxel_size == pytest.approx((25e-9, 12.5e-9), rel=1e-6)
    Image.fromarray(FLAT).save(tmp_path / "screen.png", dpi=(96, 96))
    assert read(tmp_path / "screen.png").voxel_size == (None, None)


def write_slices(folder: Path, suffix: str, pictures: list[np.ndarray]) -> None:
    folder.mkdir()
    for i, picture in enumerate(pictures):
        Image.fromarray(picture).save(folder / f"slice{i + 8}.{suffix}")  # slice8, 9, 10, 11: not in order of text
    (folder / "notes.txt").write_text("not a slice")
    (folder / ".hidden.png").write_text("nor this")


@pytest.mark.parametrize("suffix", ["png", "tif", "BMP"])
@pytest.mark.parametrize("by_glob", [False, True])
def test_slices_in_natural_order(tmp_path: Path, suffix: str, by_glob: bool) -> None:
    pictures = [np.full((2, 3), i, np.uint8) + FLAT[:2, :3] for i in range(4)]
    write_slices(tmp_path / "s", suffix, pictures)
    image = read(f"{tmp_path}/s/slice*.{suffix}" if by_glob else tmp_path / "s")
    np.testing.assert_array_equal(image.values, np.stack(pictures))


def test_slices_keep_their_pixel_size(tmp_path: Path) -> None:
    for i in range(2):
        tifffile.imwrite(tmp_path / f"{i}.tif", FLAT, resolution=(8e5, 4e5), resolutionunit="CENTIMETER")
    z, y, x = read(tmp_path).voxel_size
    assert z is None
    assert (y, x) == pytest.approx((25e-9, 12.5e-9))


def test_slices_of_unlike_types_widen(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "1.tif", FLAT)
    tifffile.imwrite(tmp_path / "2.tif", FLAT.astype(np.uint16) + 300)
    np.testing.assert_array_equal(read(tmp_path).values, np.stack([FLAT, FLAT.astype(int) + 300]))


def test_slices_that_mix_greys_palettes_and_colours(tmp_path: Path) -> None:
    black = np.zeros_like(THREE)
    Image.fromarray(black).save(tmp_path / "1.png")  # as a program that shrinks PNG files leaves an empty slice
    for name, order in (("2", [0, 1, 2]), ("3", [2, 0, 1])):  # the same picture by two palettes
        picture = Image.fromarray(np.argsort(order).astype(np.uint8)[THREE])
        picture.putpalette(PALETTE[order].tobytes())
        picture.save(tmp_path / f"{name}.png")
    Image.fromarray(coloured(THREE)).save(tmp_path / "4.png")
    image = read(tmp_path)
    assert image.colour
    np.testing.assert_array_equal(image.values, np.stack([black, *[codes(THREE)] * 3]))


def test_slices_of_two_palettes(tmp_path: Path) -> None:
    for name, order in (("1", [0, 1, 2]), ("2", [2, 0, 1])):  # the same picture by two palettes
        picture = Image.fromarray(np.argsort(order).astype(np.uint8)[THREE])
        picture.putpalette(PALETTE[order].tobytes())
        picture.save(tmp_path / f"{name}.png")
    np.testing.assert_array_equal(read(tmp_path).values, np.stack([codes(THREE)] * 2))


def test_slices_of_one_palette_keep_it(tmp_path: Path) -> None:
    for i in range(2):
        picture = Image.fromarray((THREE + i) % 3)
        picture.putpalette(PALETTE.tobytes())
        picture.save(tmp_path / f"{i}.png")
    image = read(tmp_path)
    assert image.palette is not None
    np.testing.assert_array_equal(image.values, np.stack([THREE, (THREE + 1) % 3]))


def test_slices_of_one_bit_and_of_colours(tmp_path: Path) -> None:
    Image.fromarray(THREE == 1).save(tmp_path / "1.png")
    Image.fromarray(coloured(THREE)).save(tmp_path / "2.png")
    np.testing.assert_array_equal(read(tmp_path).values, np.stack([(THREE == 1) * 0xFFFFFF, codes(THREE)]))


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["bool", "u1", ">i4", "i8", "f8"])
def test_npy(tmp_path: Path, dtype: str, order: str) -> None:
    np.save(tmp_path / "a.npy", np.asarray(STACK.astype(dtype), order=order))
    image = read(tmp_path / "a.npy")
    assert image.values.dtype.kind in "iu"
    np.testing.assert_array_equal(image.values, STACK.astype(dtype))


def test_axes_of_one_voxel_stay_where_they_are_of_space(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", STACK[:1])
    assert read(tmp_path / "a.npy").values.shape == (1, 3, 4)
    np.save(tmp_path / "b.npy", STACK[None, ..., None])
    np.testing.assert_array_equal(read(tmp_path / "b.npy").values, STACK)


def test_raw(tmp_path: Path) -> None:
    (tmp_path / "a.raw").write_bytes(b"header!" + STACK.astype(">u2").tobytes())
    image = read(tmp_path / "a.raw", raw=RawLayout((2, 3, 4), ">u2", 7))
    np.testing.assert_array_equal(image.values, STACK)


def test_hdf5(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["scan/labels"] = STACK
        file["scan/labels"].attrs["element_size_um"] = (0.04, 0.02, 0.0125)
        file["times"] = np.zeros(3)  # no image
    for name in ("a.h5", "a.h5:/scan/labels"):
        image = read(tmp_path / name)
        np.testing.assert_array_equal(image.values, STACK)
        assert image.voxel_size == pytest.approx((40e-9, 20e-9, 12.5e-9))


def test_hdf5_picks_the_named_dataset(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.hdf5", "w") as file:
        file["one"], file["two"] = STACK, STACK[::-1]
    np.testing.assert_array_equal(read(tmp_path / "a.hdf5:/two").values, STACK[::-1])


NRRD = "NRRD0004\ntype: uint8\ndimension: 3\nsizes: 4 3 2\n"


@pytest.mark.parametrize(
    ("fields", "size"),
    [
        ("spacings: 12.5 20 40\n", (None,) * 3),
        ('spacings: 12.5 20 0.04\nunits: "nm" "nm" "um"\n', (40e-9, 20e-9, 12.5e-9)),
        (
            "space dimension: 3\nspace directions: (12.5,0,0) (0,20,0) (0,0,40)\nspace units: " + '"nm" ' * 3 + "\n",
            (40e-9, 20e-9, 12.5e-9),
        ),
    ],
    ids=["no unit", "units", "space units"],
)
@pytest.mark.parametrize("form", ["attached", "gzip", "detached"])
def test_nrrd(tmp_path: Path, fields: str, size: tuple[float | None, ...], form: str) -> None:
    header = NRRD + fields + f"encoding: {'gzip' if form == 'gzip' else 'raw'}\n"
    data = gzip.compress(STACK.tobytes()) if form == "gzip" else STACK.tobytes()
    if form == "detached":
        (tmp_path / "a.bin").write_bytes(data)
        (tmp_path / "a.nhdr").write_text(header + "data file: a.bin\n")
    else:
        (tmp_path / "a.nrrd").write_bytes(header.encode() + b"\n" + data)
    image = read(tmp_path / ("a.nhdr" if form == "detached" else "a.nrrd"))
    np.testing.assert_array_equal(image.values, STACK)
    assert image.voxel_size == (size if None in size else pytest.approx(size))


def metaimage(spacing: str, data: str, channels: int = 1) -> str:
    return (
        f"ObjectType = Image\nNDims = 3\nDimSize = 4 3 2\nElementSpacing = {spacing}\nElementType = MET_UCHAR\n"
        f"ElementNumberOfChannels = {channels}\nElementDataFile = {data}\n"
    )


@pytest.mark.parametrize(
    ("spacing", "numbers"),
    [("12.5 20 40", (40, 20, 12.5)), ("1 1 1", (None,) * 3)],
    ids=["tomogram", "unset"],
)
@pytest.mark.parametrize("detached", [False, True])
def test_metaimage(tmp_path: Path, spacing: str, numbers: tuple[float | None, ...], detached: bool) -> None:
    if detached:
        (tmp_path / "a.raw").write_bytes(STACK.tobytes())
        (tmp_path / "a.mhd").write_text(metaimage(spacing, "a.raw"))
    else:
        (tmp_path / "a.mha").write_bytes(metaimage(spacing, "LOCAL").encode() + STACK.tobytes())
    image = read(tmp_path / ("a.mhd" if detached else "a.mha"))
    np.testing.assert_array_equal(image.values, STACK)
    assert image.voxel_size == (None,) * 3  # the format has no unit
    assert image.scale.unitless == numbers


def test_metaimage_of_colours(tmp_path: Path) -> None:
    samples = coloured(STACK % 3)
    (tmp_path / "a.mha").write_bytes(metaimage("1 1 1", "LOCAL", channels=3).encode() + samples.tobytes())
    image = read(tmp_path / "a.mha")
    assert image.colour
    np.testing.assert_array_equal(image.values, codes(STACK % 3))


def write_vti(path: Path, on: str, shape: tuple[int, ...], **arrays: np.ndarray) -> None:
    import pyvista

    dimensions = [n + (on == "cell") for n in shape[::-1]]
    grid = pyvista.ImageData(dimensions=dimensions, spacing=(1, 2, 3))
    for name, values in arrays.items():
        (grid.cell_data if on == "cell" else grid.point_data)[name] = values
    grid.save(path)


@pytest.mark.parametrize("on", ["cell", "point"])
def test_vti(tmp_path: Path, on: str) -> None:
    write_vti(tmp_path / "a.vti", on, STACK.shape, labels=STACK.ravel())
    image = read(tmp_path / "a.vti")
    np.testing.assert_array_equal(image.values, STACK)
    assert image.voxel_size == (None, None, None)


def test_vti_of_one_layer_is_flat_and_arrays_have_names(tmp_path: Path) -> None:
    write_vti(tmp_path / "a.vti", "cell", (1, 3, 4), labels=FLAT.ravel(), other=FLAT.ravel() + 1)
    np.testing.assert_array_equal(read(tmp_path / "a.vti:/labels").values, FLAT)
    np.testing.assert_array_equal(read(tmp_path / "a.vti:/other").values, FLAT + 1)


def test_vti_without_thickness(tmp_path: Path) -> None:
    import pyvista

    grid = pyvista.ImageData(dimensions=(5, 4, 1))
    grid.cell_data["labels"] = FLAT.ravel()
    grid.save(tmp_path / "a.vti")
    np.testing.assert_array_equal(read(tmp_path / "a.vti").values, FLAT)


def test_vti_of_colours(tmp_path: Path) -> None:
    write_vti(tmp_path / "a.vti", "cell", STACK.shape, rgb=coloured(STACK.ravel() % 3))
    np.testing.assert_array_equal(read(tmp_path / "a.vti").values, codes(STACK % 3))


def test_names_with_brackets_and_colons_are_files_first(tmp_path: Path) -> None:
    np.save(tmp_path / "roi[1]: a.npy", FLAT)
    np.testing.assert_array_equal(read(tmp_path / "roi[1]: a.npy").values, FLAT)
