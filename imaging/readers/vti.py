"""VTK's XML image data (VTI): arrays on points or cells, written out, in base64 or appended raw, compressed or not."""

import binascii
import math
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from microlith.imaging.errors import InputError, listed, printable
from microlith.imaging.files.decoding import check_memory, decoding
from microlith.imaging.files.inflate import inflated
from microlith.imaging.formats import colours
from microlith.imaging.formats.in_file import InFile
from microlith.imaging.formats.stored import RawImage, StoredImage, held
from microlith.imaging.formats.units import Scale, numbers
from microlith.imaging.readers.described import numbers_in

LONGEST_HEADER = 1 << 30  # bytes of XML; appended data come after it
TYPES = {f"{sign}Int{8 * n}": f"{code}{n}" for sign, code in (("", "i"), ("U", "u")) for n in (1, 2, 4, 8)}
TYPES |= {"Float32": "f4", "Float64": "f8"}
METHODS = {"vtkZLibDataCompressor": "zlib", "vtkLZMADataCompressor": "lzma", "vtkLZ4DataCompressor": "lz4"}
MOST_BLOCKS = 1 << 24  # of an array
MOST_SHRUNK = {"": 1, "zlib": 1032, "lz4": 255, "lzma": 20_000}  # how much shorter a block can get
Extent = tuple[tuple[int, int], ...]  # first and last point along x, y, z


def read_vti(path: Path, name: str | None, where: str) -> StoredImage:
    """Open VTK's XML image data. Its spacing has no unit. One layer in z is a 2D image.

    Args:
        path: The file.
        name: Of the array, after points/ or cells/ where both have one of that name; None takes the only one there is.
        where: Head of error messages: key and file.

    Raises:
        InputError: The file is damaged or cut short, or it isn't clear which array is meant.
    """
    with decoding(where, "VTI"):
        file = _opened(path)
        pieces = file.root.findall("./ImageData/Piece")
        whole = _extent(_one(file.root, "ImageData").get("WholeExtent", ""))
        if not pieces:
            raise ValueError("it has no Piece")
        on, array = _chosen(pieces[0], name, where)
        shape = _voxels(whole, on)
        dtype = np.dtype(file.order + TYPES[array.get("type", "")])
        samples = int(array.get("NumberOfComponents", "1"))
        if not 1 <= samples < 1000:
            raise ValueError(f"it has {samples} components")
        # One layer is a 2D image.
        scale = Scale(unitless=_spacing(file.root)[-2 if shape[0] == 1 else -3 :], source="the file's spacing")
        flat = shape[1:] if shape[0] == 1 else shape
        as_in_memory = _Data(file, array, math.prod(shape) * samples, dtype)
        if len(pieces) == 1 and samples == 1 and as_in_memory.offset is not None:
            layers = InFile(path, where, "VTI", dtype, flat, as_in_memory.offset).layers
            return StoredImage(flat, dtype, layers, scale, files=(path,))
        count = math.prod(shape) * samples * dtype.itemsize
        if count > MOST_SHRUNK[file.method] * file.size * dtype.itemsize:
            raise ValueError(f"{count} bytes can't come of a file of {file.size}")
        check_memory(count, where)
        values = _assembled(file, pieces, on, array, (*shape, samples), whole, dtype).reshape(*flat, samples)
        image = RawImage(values[..., 0]) if samples == 1 else colours.from_samples(values, where)
    return replace(held(replace(image, scale=scale)), files=(path,))


# --- the file ---


@dataclass(frozen=True, eq=False)
class _File:
    path: Path
    size: int  # bytes
    root: ElementTree.Element
    start: int  # of the appended data, after their underscore
    base64: bool  # whether these are encoded
    order: str  # of bytes, "<" or ">"
    word: np.dtype[Any]  # type of the lengths before data
    method: str  # of compression; empty: none

    def read(self, start: int, count: int) -> bytes:
        """Bytes of the appended data."""
        if start < 0 or count < 0 or self.start + start + count > self.size:
            raise ValueError(f"it ends before byte {self.start + start + count}")
        with self.path.open("rb") as file:
            file.seek(self.start + start)
            return file.read(count)


def _opened(path: Path) -> _File:
    size = path.stat().st_size
    with path.open("rb") as file:
        head = _head(file.read(1 << 16))
        if head is None:  # it is long, or there are no appended data
            file.seek(0)
            text = file.read(LONGEST_HEADER)
            head = _head(text) or (text, len(text))
        text, start = head
    if b"<!DOCTYPE" in text or b"<!ENTITY" in text:
        raise ValueError("it defines entities")
    root = ElementTree.fromstring(text if start == size else text + b"</AppendedData></VTKFile>")
    if root.tag != "VTKFile" or root.get("type") != "ImageData":
        raise ValueError("it is no VTKFile of ImageData")
    appended = root.find("AppendedData")
    compressor = root.get("compressor", "")
    if compressor not in ("", *METHODS):
        raise ValueError(f"its compressor {printable(compressor)} is unknown")
    order = ">" if root.get("byte_order") == "BigEndian" else "<"
    return _File(
        path=path,
        size=size,
        root=root,
        start=start,
        base64=appended is not None and appended.get("encoding") == "base64",
        order=order,
        word=np.dtype(order + {"UInt32": "u4", "UInt64": "u8"}[root.get("header_type", "UInt32")]),
        method=METHODS.get(compressor, ""),
    )


def _head(text: bytes) -> tuple[bytes, int] | None:
    """XML up to appended data, and where these begin."""
    match = re.search(rb"<AppendedData[^>]*>\s*_", text)
    return (text[: match.end() - 1], match.end()) if match else None


def _one(root: ElementTree.Element, tag: str) -> ElementTree.Element:
    found = root.findall(tag)
    if len(found) != 1:
        raise ValueError(f"it has {len(found)} elements {tag}")
    return found[0]


def _extent(text: str) -> Extent:
    ends = [int(word) for word in text.split()]
    if (
        len(ends) != 6
        or any(abs(end) >= 1 << 31 for end in ends)
        or any(a > b for a, b in zip(*_halves(ends), strict=True))
    ):
        raise ValueError(f"its extent is {printable(text) or 'missing'}")
    return tuple(zip(*_halves(ends), strict=True))


def _halves(ends: list[int]) -> tuple[list[int], list[int]]:
    return ends[::2], ends[1::2]


def _voxels(extent: Extent, on: str) -> tuple[int, ...]:
    """Numbers of points or cells, in array order; a side without thickness has a layer of cells."""
    points = [last - first + 1 for first, last in extent[::-1]]
    return tuple(points if on == "PointData" else [max(1, n - 1) for n in points])


def _spacing(root: ElementTree.Element) -> tuple[float | None, ...]:
    """In array order; nothing where it is what writers put where nobody set one."""
    try:
        known = numbers([float(word) for word in _one(root, "ImageData").get("Spacing", "").split()])
    except ValueError:
        return ()
    return () if len(known) != 3 or set(known) == {1.0} else known[::-1]


# --- arrays ---


def _chosen(piece: ElementTree.Element, name: str | None, where: str) -> tuple[str, ElementTree.Element]:
    """Whether the array is on points or cells, and its element."""
    arrays = {
        f"{place}/{element.get('Name', '')}": (on, element)
        for place, on in (("points", "PointData"), ("cells", "CellData"))
        for element in piece.findall(f"{on}/DataArray")
        if element.get("type") in TYPES
    }
    bare = [key.partition("/")[2] for key in arrays]
    shown = [key if bare.count(key.partition("/")[2]) > 1 else key.partition("/")[2] for key in arrays]
    found = f"it holds {listed(shown)}" if arrays else "it holds no array"
    if name is None:
        if len(arrays) != 1:
            raise InputError(f'{where}: expected the name of an array, as in "file.vti:/labels", got none; {found}')
        return next(iter(arrays.values()))
    wanted = name.strip("/")
    matching = [key for key in arrays if wanted in (key, key.partition("/")[2])]
    if len(matching) > 1:
        raise InputError(
            f'{where}: points and cells both have an array "{printable(wanted)}"; say which, as in '
            f'"file.vti:/{matching[-1]}"'
        )
    if not matching:
        raise InputError(f'{where}: there is no array "{printable(wanted)}"; {found}')
    return arrays[matching[0]]


def _assembled(
    file: _File,
    pieces: list[ElementTree.Element],
    on: str,
    array: ElementTree.Element,
    shape: tuple[int, ...],
    whole: Extent,
    dtype: np.dtype[Any],
) -> NDArray[Any]:
    """The array of all pieces, (z, y, x, samples)."""
    values = np.empty(shape, dtype)
    covered = np.zeros(shape[:3], bool) if len(pieces) > 1 else None
    for piece in pieces:
        extent = _extent(piece.get("Extent", ""))
        if any(a < c or b > d for (a, b), (c, d) in zip(extent, whole, strict=True)):
            raise ValueError(f"a piece of extent {piece.get('Extent')} is not in the whole one")
        mine = [e for e in piece.findall(f"{on}/DataArray") if e.get("Name") == array.get("Name")]
        if len(mine) != 1 or mine[0].get("type") != array.get("type"):
            raise ValueError(f"a piece has {len(mine)} arrays {array.get('Name')}")
        size = (*_voxels(extent, on), shape[3])
        starts = [a - c for (a, _), (c, _) in zip(extent, whole, strict=True)][::-1]
        place = tuple(slice(start, start + n) for start, n in zip(starts, size, strict=False))
        values[place] = _Data(file, mine[0], math.prod(size), dtype).values().reshape(size)
        if covered is not None:
            covered[place] = True
        elif size != shape:
            raise ValueError("its piece is not the whole image")
    if covered is not None and not covered.all():
        raise ValueError("its pieces leave out a part of the image")
    return values


@dataclass(frozen=True, eq=False)
class _Data:
    """The values of an array in a piece."""

    file: _File
    element: ElementTree.Element
    count: int  # of values
    dtype: np.dtype[Any]

    @property
    def nbytes(self) -> int:
        return self.count * self.dtype.itemsize

    @property
    def offset(self) -> int | None:
        """Where they begin in the file, if they lie there as in memory; their number has been checked then."""
        file = self.file
        if self.element.get("format") != "appended" or file.base64 or file.method:
            return None
        start = self._appended()
        self._check(int(np.frombuffer(file.read(start, file.word.itemsize), file.word)[0]))
        end = file.start + start + file.word.itemsize + self.nbytes
        if end > file.size:
            raise ValueError(f"expected {end} bytes, got {file.size}")
        return file.start + start + file.word.itemsize

    def values(self) -> NDArray[Any]:
        """All of them, flat.

        Raises:
            ValueError: There are more or fewer than there should be.
        """
        form = self.element.get("format")
        if form == "ascii":
            return numbers_in(self.element.text or "", self.dtype, self.count)
        if form == "appended":
            start = self._appended()
            if not self.file.base64:
                return self._decoded(lambda first, count: self.file.read(start + first, count))
            return self._decoded(_Encoded(lambda first, count: self.file.read(start + first, count)))
        if form == "binary":
            text = "".join((self.element.text or "").split()).encode("ascii")
            return self._decoded(_Encoded(lambda first, count: text[first : first + count]))
        raise ValueError(f"its format {printable(str(form))} is unknown")

    def _appended(self) -> int:
        start = int(self.element.get("offset", ""))
        if self.file.start >= self.file.size:
            raise ValueError("its appended data are missing")
        return start

    def _check(self, nbytes: int) -> None:
        if nbytes != self.nbytes:
            raise ValueError(f"{self.element.get('Name')} has {nbytes} bytes where its extent asks for {self.nbytes}")

    def _decoded(self, read: Callable[[int, int], bytes]) -> NDArray[Any]:
        word, method = self.file.word, self.file.method
        if not method:
            self._check(int(np.frombuffer(_exactly(read, 0, word.itemsize), word)[0]))
            return np.frombuffer(_exactly(read, word.itemsize, self.nbytes), self.dtype)
        blocks, full, rest = (int(n) for n in np.frombuffer(_exactly(read, 0, 3 * word.itemsize), word))
        if blocks > MOST_BLOCKS:
            raise ValueError(f"it has {blocks} blocks")
        self._check(blocks * full if not rest else (blocks - 1) * full + rest)
        head = (3 + blocks) * word.itemsize
        lengths = np.frombuffer(_exactly(read, 0, head), word)[3:].tolist()
        body = read.after(head) if isinstance(read, _Encoded) else (lambda first, count: read(head + first, count))
        out, filled, start = np.empty(self.nbytes, np.uint8), 0, 0
        for number, length in enumerate(lengths):
            size = rest if rest and number == blocks - 1 else full
            if size > MOST_SHRUNK[method] * (length + 64):
                raise ValueError(f"{size} bytes can't come of {length} compressed ones")
            out[filled : filled + size] = _block(_exactly(body, start, length), method, size)
            filled, start = filled + size, start + length
        return out.view(self.dtype)


def _exactly(read: Callable[[int, int], bytes], first: int, count: int) -> bytes:
    data = read(first, count)
    if len(data) != count:
        raise ValueError(f"expected {count} bytes, got {len(data)}")
    return data


def _block(data: bytes, method: str, size: int) -> NDArray[np.uint8]:
    if method == "lz4":
        import imagecodecs

        found = np.frombuffer(imagecodecs.lz4_decode(data, header=False, out=size), np.uint8)
        if len(found) != size:
            raise ValueError(f"a block has {len(found)} bytes instead of {size}")
        return found
    return inflated([data], method, size)


class _Encoded:
    """Bytes out of base64: `read` gives characters."""

    def __init__(self, read: Callable[[int, int], bytes], start: int = 0) -> None:
        self._read = read
        self._start = start  # characters before what is numbered from 0

    def __call__(self, first: int, count: int) -> bytes:
        group, skip = divmod(first, 3)
        characters = self._read(self._start + 4 * group, 4 * -(-(skip + count) // 3))
        return binascii.a2b_base64(characters, strict_mode=True)[skip : skip + count]

    def after(self, head: int) -> "_Encoded":
        """What comes after a head of so many bytes, which is encoded on its own."""
        return _Encoded(self._read, self._start + 4 * -(-head // 3))
