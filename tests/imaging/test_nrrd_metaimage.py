"""NRRD and MetaImage as ITK and people write them, and what their headers must not do."""

import bz2
import gzip
import zlib
from pathlib import Path

import numpy as np
import pytest
from image_outcomes import assert_never_filled_in, outcome

from microlith.imaging.options import ImageSource
from microlith.imaging.readers.open import open_image

LABELS = np.random.default_rng(2).integers(0, 5, (3, 4, 5))
TYPES = ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8"]


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("suffix", ["nrrd", "nhdr", "mha", "mhd"])
def test_what_itk_writes(tmp_path: Path, suffix: str, compressed: bool, dtype: str) -> None:
    import SimpleITK

    path = tmp_path / f"a.{suffix}"
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(LABELS.astype(dtype)), str(path), compressed)
    values, message = outcome(path)
    assert message == ""
    np.testing.assert_array_equal(values, LABELS)
    stored = open_image(ImageSource(str(path)))
    assert stored.sliced is not compressed
    assert len(stored.files) == (1 if suffix in ("nrrd", "mha") else 2)


def nrrd(path: Path, fields: str = "", data: bytes | None = None, **changes: str) -> Path:
    header = {"type": "uint8", "dimension": "3", "sizes": "5 4 3", "encoding": "raw", **changes}
    lines = "".join(f"{key.replace('_', ' ')}: {value}\n" for key, value in header.items() if value)
    path.write_bytes(b"NRRD0004\n# made by hand\n" + (lines + fields).encode() + b"\n" + (data or b""))
    return path


RAW = LABELS.astype("u1").tobytes()
TEXT = " ".join(map(str, LABELS.ravel())).encode()


@pytest.mark.parametrize(
    ("changes", "data"),
    [
        ({}, RAW),
        ({"encoding": "gzip"}, gzip.compress(RAW)),
        ({"encoding": "gz"}, gzip.compress(RAW[:9]) + gzip.compress(RAW[9:])),
        ({"encoding": "bzip2"}, bz2.compress(RAW)),
        ({"encoding": "ascii"}, TEXT),
        ({"type": "unsigned short", "endian": "big"}, LABELS.astype(">u2").tobytes()),
        ({"type": "long long", "endian": "little"}, LABELS.astype("<i8").tobytes()),
        ({"byte_skip": "7"}, b"1234567" + RAW),
        ({"byte_skip": "-1"}, b"whatever" + RAW),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_encodings_of_nrrd(tmp_path: Path, changes: dict[str, str], data: bytes) -> None:
    values, message = outcome(nrrd(tmp_path / "a.nrrd", data=data, **changes))
    assert message == ""
    np.testing.assert_array_equal(values, LABELS)


@pytest.mark.parametrize(
    ("fields", "names"),
    [
        ("data file: a.raw\n", ["a.raw"]),
        ("datafile: s%02d.raw 1 3 1\n", ["s01.raw", "s02.raw", "s03.raw"]),
        ("data file: LIST\nx.raw\ny.raw\nz.raw\n", ["x.raw", "y.raw", "z.raw"]),
    ],
)
def test_data_of_nrrd_in_files_beside_it(tmp_path: Path, fields: str, names: list[str]) -> None:
    for name, part in zip(names, np.split(LABELS.astype("u1"), len(names)), strict=True):
        (tmp_path / name).write_bytes(part.tobytes())
    values, message = outcome(nrrd(tmp_path / "a.nhdr", fields))
    assert message == ""
    np.testing.assert_array_equal(values, LABELS)
    (tmp_path / names[-1]).unlink()
    assert f"its data file {names[-1]} is not there" in outcome(tmp_path / "a.nhdr")[1]


@pytest.mark.parametrize(
    ("changes", "fields", "words"),
    [
        ({"dimension": "100"}, "", "it has 100 axes"),
        ({"sizes": "5 4"}, "", "2 sizes for 3 axes"),
        ({"sizes": "5 4 -3"}, "", "its size is 5 x 4 x -3"),
        ({"sizes": "5 4 4"}, "", "expected 80 bytes of values, got 60"),
        ({"sizes": "5 4 2"}, "", "more than its header describes"),
        ({"sizes": f"{1 << 40} 4 3"}, "", "bytes of values, got 60"),
        ({"type": "uint16"}, "", "byte order"),
        ({"type": "block"}, "", "type block is unknown"),
        ({"encoding": "hex"}, "", "its encoding hex is not read"),
        ({"encoding": "gzip"}, "", "can't be read as NRRD"),
        ({"encoding": "ascii"}, "", "can't be read as NRRD"),
        ({"type": ""}, "", "the field type is missing"),
        ({}, "data file: -\n", "its data file is the standard input"),
        ({}, "data file: LIST\n-\n", "its data file is the standard input"),
        ({}, "data file: %s%n\n", "its data file %s%n is not there"),
        ({}, "data file: a%d.raw 1 999999999 1\n", "its data are in 999999999 files"),
        ({}, "data file: a\0b\n", "its data file a\\x00b is not there"),
        ({}, "line skip: 5\n", "lines to skip"),
        ({}, "byte skip: -7\n", "makes no sense"),
        ({}, "kinds: domain vector vector\n", "more than one of its axes"),
        ({}, "kinds: domain domain RGB-color\n", "are not its fastest axis"),
        ({}, "no line of a header\n", "is no line of a header"),
    ],
    ids=str,
)
def test_headers_of_nrrd_without_sense(tmp_path: Path, changes: dict[str, str], fields: str, words: str) -> None:
    values, message = outcome(nrrd(tmp_path / "a.nrrd", fields, RAW, **changes))
    assert values is None
    assert words in message


def test_colours_of_nrrd(tmp_path: Path) -> None:
    samples = np.array([[255, 0, 0], [0, 255, 0]], np.uint8)[LABELS % 2]
    path = nrrd(
        tmp_path / "a.nrrd",
        "kinds: RGB-color domain domain domain\n",
        samples.tobytes(),
        dimension="4",
        sizes="3 5 4 3",
    )
    np.testing.assert_array_equal(outcome(path)[0], np.array([0xFF0000, 0x00FF00])[LABELS % 2])


def test_pipe_in_place_of_a_data_file(tmp_path: Path) -> None:
    import os

    os.mkfifo(tmp_path / "a.raw")
    assert "expected a file, got a pipe" in outcome(nrrd(tmp_path / "a.nhdr", "data file: a.raw\n"))[1]
    assert "expected a file, got a pipe" in outcome(metaimage(tmp_path / "a.mhd", "a.raw"))[1]


def metaimage(path: Path, data: str = "LOCAL", values: bytes = b"", **changes: str) -> Path:
    header = {"ObjectType": "Image", "NDims": "3", "DimSize": "5 4 3", "ElementType": "MET_UCHAR", **changes}
    lines = "".join(f"{key} = {value}\n" for key, value in header.items() if value)
    path.write_bytes((lines + f"ElementDataFile = {data}\n").encode() + values)
    return path


@pytest.mark.parametrize(
    ("changes", "data"),
    [
        ({}, RAW),
        ({"HeaderSize": "-1"}, b"anything" + RAW),
        ({"CompressedData": "True"}, zlib.compress(RAW)),
        ({"BinaryData": "False"}, TEXT),
        ({"ElementType": "MET_SHORT", "BinaryDataByteOrderMSB": "True"}, LABELS.astype(">i2").tobytes()),
        ({"ElementType": "MET_USHORT", "ElementByteOrderMSB": "False"}, LABELS.astype("<u2").tobytes()),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_encodings_of_metaimage(tmp_path: Path, changes: dict[str, str], data: bytes) -> None:
    values, message = outcome(metaimage(tmp_path / "a.mha", values=data, **changes))
    assert message == ""
    np.testing.assert_array_equal(values, LABELS)


@pytest.mark.parametrize(
    ("data", "names"),
    [
        ("a b.raw", ["a b.raw"]),
        ("s%02d.raw 1 3 1", ["s01.raw", "s02.raw", "s03.raw"]),
        ("LIST\nx.raw\ny.raw\nz.raw", ["x.raw", "y.raw", "z.raw"]),
    ],
)
def test_data_of_metaimage_in_files_beside_it(tmp_path: Path, data: str, names: list[str]) -> None:
    for name, part in zip(names, np.split(LABELS.astype("u1"), len(names)), strict=True):
        (tmp_path / name).write_bytes(b"head" + part.tobytes())
    values, message = outcome(metaimage(tmp_path / "a.mhd", data, HeaderSize="4"))
    assert message == ""
    np.testing.assert_array_equal(values, LABELS)


@pytest.mark.parametrize(
    ("changes", "data", "words"),
    [
        ({"NDims": "100"}, "LOCAL", "it has 100 axes"),
        ({"NDims": "1000"}, "LOCAL", "it has 1000 axes"),
        ({"DimSize": "5 4"}, "LOCAL", "2 sizes for 3 axes"),
        ({"DimSize": "5 4 0"}, "LOCAL", "its size is 5 x 4 x 0"),
        ({"DimSize": "5 4 4"}, "LOCAL", "expected 80 bytes of values, got 60"),
        ({"DimSize": "5 4 2"}, "LOCAL", "more than its header describes"),
        ({"ElementType": "MET_STRING"}, "LOCAL", "type MET_STRING is unknown"),
        ({"ElementNumberOfChannels": "-1"}, "LOCAL", "can't be read as MetaImage"),
        ({"CompressedData": "True"}, "LOCAL", "can't be read as MetaImage"),
        ({"NDims": ""}, "LOCAL", "the key NDims is missing"),
        ({}, "%s%n", "its data file %s%n is not there"),
        ({}, "%s%n 1 3 1", "its data file %s%n 1 3 1 is not there"),
        ({}, "a%d.raw 1 900000000", "its data are in 900000000 files"),
    ],
    ids=str,
)
def test_headers_of_metaimage_without_sense(tmp_path: Path, changes: dict[str, str], data: str, words: str) -> None:
    values, message = outcome(metaimage(tmp_path / "a.mha", data, RAW, **changes))
    assert values is None
    assert words in message


def test_no_part_is_filled_in(tmp_path: Path) -> None:
    """ITK gives zeros for what is missing in raw MetaImage files."""
    for path in (
        metaimage(tmp_path / "a.mha", values=RAW),
        metaimage(tmp_path / "z.mha", values=zlib.compress(RAW), CompressedData="True"),
        metaimage(tmp_path / "t.mha", values=TEXT + b"\n", BinaryData="False"),
        nrrd(tmp_path / "a.nrrd", data=RAW),
        nrrd(tmp_path / "g.nrrd", data=gzip.compress(RAW), encoding="gzip"),
        nrrd(tmp_path / "b.nrrd", data=bz2.compress(RAW), encoding="bzip2"),
        nrrd(tmp_path / "t.nrrd", data=TEXT + b"\n", encoding="text"),
    ):
        assert_never_filled_in(path, LABELS, ("can't be read as", "is not there", "expected a file"), step=3)


def test_sizes_of_axes_of_length_one_go_with_them(tmp_path: Path) -> None:
    """The sizes of the others moved by an axis."""
    path = nrrd(
        tmp_path / "a.nrrd",
        'spacings: 1 12.5 20 40\nunits: "nm" "nm" "nm" "nm"\n',
        RAW,
        dimension="4",
        sizes="1 5 4 3",
    )
    assert open_image(ImageSource(str(path))).voxel_size == pytest.approx((40e-9, 20e-9, 12.5e-9))
    metaimage(tmp_path / "a.mha", values=RAW, NDims="4", DimSize="1 5 4 3", ElementSpacing="1 12.5 20 40")
    assert open_image(ImageSource(f"{tmp_path}/a.mha")).scale.unitless == (40, 20, 12.5)
