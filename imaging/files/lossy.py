"""Whether compressed pixels are those that were saved, judged by the compressed data themselves."""

import struct
import zlib
from collections.abc import Callable

# Markers of a JPEG stream (ITU-T T.81, and T.87 for JPEG-LS)
START_OF_SCAN = 0xDA
ALONE = {0x01, *range(0xD0, 0xDA)}  # markers without a length
FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # starts of frames: kinds of coding
LOSSLESS_FRAMES = {0xC3, 0xC7, 0xCB, 0xCF}
JPEG_LS_FRAME = 0xF7
# Marker of a JPEG 2000 codestream (ITU-T T.800)
CODING_STYLE = 0xFF52
START_OF_CODESTREAM = b"\xff\x4f\xff\x51"
REVERSIBLE = 1  # wavelet transform 5-3


def jpeg(data: bytes) -> str:
    """What a JPEG stream loses, "" where it is one of the lossless kinds.

    Of these the number of low bits left out (point transform, or JPEG-LS's near-lossless parameter) has to be zero.
    """
    kind, at = 0, 2
    while at + 4 <= len(data) and data[:2] == b"\xff\xd8":
        if data[at] != 0xFF:
            break
        marker = data[at + 1]
        if marker == 0xFF or marker in ALONE:
            at += 1 if marker == 0xFF else 2
            continue
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        if marker in FRAMES or marker == JPEG_LS_FRAME:
            kind = marker
        if marker == START_OF_SCAN:
            low = data[at + 1 + length : at + 2 + length]  # the last byte of its head
            near = data[at - 1 + length : at + length]  # three before its end, JPEG-LS
            if kind in LOSSLESS_FRAMES:
                return "" if low and low[0] & 15 == 0 else "JPEG that leaves out low bits"
            if kind == JPEG_LS_FRAME:
                return "" if near == b"\0" else "near-lossless JPEG-LS"
            break
        at += 2 + length
    return "JPEG"


def webp(data: bytes) -> str:
    """What a WebP file loses, "" where it is lossless."""
    if data[:4] != b"RIFF" or data[8:12] != b"WEBP":
        return "WebP"
    at = 12
    while at + 8 <= len(data):
        name, length = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        if name in (b"VP8L", b"VP8 "):
            return "" if name == b"VP8L" else "lossy WebP"
        at += 8 + length + length % 2
    return "WebP"


def jpeg2000(data: bytes) -> str:
    """What a JPEG 2000 codestream, or a file around one, loses.

    With the irreversible transform values change. With the reversible one they stay only where no bit planes are cut
    off, which the header doesn't tell: the sentence then ends in "perhaps".
    """
    start = data.find(START_OF_CODESTREAM)
    at = start + 2
    while start >= 0 and at + 4 <= len(data):
        marker, length = struct.unpack(">HH", data[at : at + 4])
        if marker == CODING_STYLE:
            transform = data[at + 13 : at + 14]
            return "JPEG 2000, perhaps" if transform == bytes([REVERSIBLE]) else "JPEG 2000 with loss"
        if marker >> 8 != 0xFF:
            break
        at += 2 + length
    return "JPEG 2000"


def lerc(data: bytes, whole: bool) -> str:
    """What a LERC blob loses; `whole` where its values are integers, of which an error below 1 keeps all."""
    if data[:6] != b"Lerc2 ":
        return "LERC"
    (version,) = struct.unpack("<i", data[6:10])
    # Head, version, then a checksum from version 3 on, rows, columns, from 4 on depth, valid pixels, size of blocks,
    # size of the blob, type, and the largest error.
    at = 10 + 4 * (version >= 3) + 8 + 4 * (version >= 4) + 16
    if len(data) < at + 8:
        return "LERC"
    (error,) = struct.unpack("<d", data[at : at + 8])
    return "" if error == 0 or (whole and error < 1) else f"LERC with an error of {error:g}"


def never(name: str) -> Callable[[bytes], str]:
    """For kinds of compression whose lossless variants can't be told from the others."""
    return lambda data: name


def unpacked(data: bytes, packing: int) -> bytes:
    """The head of a LERC blob out of what it is packed in: 0 nothing, 1 deflate, 2 Zstandard."""
    if packing == 1:
        return zlib.decompressobj().decompress(data, 1 << 12)
    if packing == 2:
        import imagecodecs

        return bytes(imagecodecs.zstd_decode(data))[: 1 << 12]
    return data
