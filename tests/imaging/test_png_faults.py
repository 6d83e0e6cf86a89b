"""PNG and BMP files whose pixels are not what they seem."""

import struct
import zlib
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from image_outcomes import assert_never_filled_in, outcome
from PIL import Image

from microlith.imaging.options import ImageSource
from microlith.imaging.readers.open import open_image

FLAT = np.random.default_rng(4).integers(0, 3, (20, 30))


def test_16_bits_with_alpha_or_colours_keep_all_bits(tmp_path: Path) -> None:
    """Pillow keeps the high byte: labels 0, 1, 2 were all 0."""
    grey = FLAT.astype(np.uint16)
    (tmp_path / "la.png").write_bytes(imagecodecs.png_encode(np.stack([grey, np.full_like(grey, 65535)], -1)))
    np.testing.assert_array_equal(outcome(tmp_path / "la.png")[0], FLAT)
    (tmp_path / "rgb.png").write_bytes(imagecodecs.png_encode(np.stack([grey] * 3, -1)))
    assert "expected colours of 8 bits, got finer ones" in outcome(tmp_path / "rgb.png")[1]
    (tmp_path / "wide.png").write_bytes(imagecodecs.png_encode(np.stack([grey * 257, grey * 0, grey * 0], -1)))
    np.testing.assert_array_equal(outcome(tmp_path / "wide.png")[0], FLAT << 16)
    alpha = np.stack([grey] * 3 + [np.full_like(grey, 9)], -1) * 257
    (tmp_path / "rgba.png").write_bytes(imagecodecs.png_encode(alpha))
    np.testing.assert_array_equal(outcome(tmp_path / "rgba.png")[0], FLAT)


def test_orientation_in_exif(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[274] = 6
    Image.fromarray(FLAT.astype(np.uint8)).save(tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(outcome(tmp_path / "a.png")[0], np.rot90(FLAT, -1))


@pytest.mark.parametrize("suffix", ["png", "bmp"])
def test_no_part_is_filled_in(tmp_path: Path, suffix: str) -> None:
    Image.fromarray(FLAT.astype(np.uint8)).save(tmp_path / f"a.{suffix}")
    assert_never_filled_in(tmp_path / f"a.{suffix}", FLAT, ("can't be read as",))


def test_every_flipped_bit_of_a_png_is_found(tmp_path: Path) -> None:
    Image.fromarray(FLAT.astype(np.uint8)).save(tmp_path / "a.png")
    data = (tmp_path / "a.png").read_bytes()
    for place in range(8, len(data)):
        (tmp_path / "b.png").write_bytes(data[:place] + bytes([data[place] ^ 4]) + data[place + 1 :])
        values, message = outcome(tmp_path / "b.png")
        assert "can't be read as PNG" in message or values is not None
        if values is not None:
            np.testing.assert_array_equal(values, FLAT)


def test_sizes_that_so_few_bytes_cannot_hold(tmp_path: Path) -> None:
    header = struct.pack(">IIBBBBB", 200_000, 200_000, 8, 0, 0, 0, 0)
    chunks = b""
    for name, body in ((b"IHDR", header), (b"IDAT", zlib.compress(bytes(1000))), (b"IEND", b"")):
        chunks += struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + chunks)
    assert "can't come of" in outcome(tmp_path / "a.png")[1]
    Image.fromarray(FLAT.astype(np.uint8)).save(tmp_path / "a.bmp")
    data = bytearray((tmp_path / "a.bmp").read_bytes())
    data[18:26] = struct.pack("<ii", 100_000, -100_000)
    (tmp_path / "a.bmp").write_bytes(data)
    assert "can't come of" in outcome(tmp_path / "a.bmp")[1]


def test_one_bit_shows_black_and_white(tmp_path: Path) -> None:
    Image.fromarray(FLAT > 0).save(tmp_path / "a.png")
    stored = open_image(ImageSource(f"{tmp_path}/a.png"))
    assert stored.palette is not None
    assert stored.palette.tolist() == [[0, 0, 0], [255, 255, 255]]
