"""TIFF: one page or a stack."""

import logging
import math
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from microlith.imaging.errors import InputError
from microlith.imaging.files import lossy
from microlith.imaging.files.apart import Apart, Failed
from microlith.imaging.files.decoding import check_memory, decoding, unreadable
from microlith.imaging.formats import colours
from microlith.imaging.formats.in_file import InFile
from microlith.imaging.formats.orientation import upright
from microlith.imaging.formats.stored import Layers, StoredImage, Window, cut, lengths, parts
from microlith.imaging.formats.tiff_scale import scale_of

if TYPE_CHECKING:
    from tifffile import TiffFile, TiffFrame, TiffPage, TiffPageSeries

PROGRAM = "microlith.imaging.formats.tiff_apart"
# Values of the tag PhotometricInterpretation; others (CMYK, YCbCr, ...) are photographs.
WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE = range(4)
# Values of the tag Compression: no loss, and decoders that are small or looked at by many; how much shorter data can
# get at most, where there is a bound.
PLAIN = 1
DEFLATE, LZW, PACKBITS, LZMA, ZSTD = (8, 32946, 50013), (5,), (32773,), (34925,), (34926, 50000)
FAX = (2, 3, 4, 32771)
HERE = {PLAIN, *FAX, *DEFLATE, *LZW, *PACKBITS, *LZMA, *ZSTD}
SHORTEST = {
    **dict.fromkeys(FAX, 100_000),  # a white row of any length is a bit
    **dict.fromkeys(DEFLATE, 1032),
    **dict.fromkeys(LZW, 4096),
    **dict.fromkeys(PACKBITS, 128),
    **dict.fromkeys(LZMA, 20_000),
    **dict.fromkeys(ZSTD, 50_000),
}
# Kinds that may change values. Each is judged by the data, as far as these tell.
JUDGES: dict[int, Callable[[bytes], str]] = {
    **dict.fromkeys((6, 7, 99, 33007, 34892), lossy.jpeg),
    **dict.fromkeys((34927, 50001), lossy.webp),
    **dict.fromkeys((33003, 33004, 33005, 34712), lossy.jpeg2000),
    **dict.fromkeys((22610, 34934), lossy.never("JPEG XR")),
    **dict.fromkeys((50002, 52546), lossy.never("JPEG XL")),
    **dict.fromkeys((34676, 34677), lossy.never("LogLuv")),
    48124: lossy.never("Jetraw"),
}
LERC, LERC_PARAMETERS = 34887, 50674
MOST_PLANES = 1_000_000  # of an OME-TIFF image
JUDGED = 1 << 16  # bytes of the compressed data that are looked at
FEW_CHANNELS = (2, 3, 4)  # of a composite picture; more channels are slices by another name


def read_tiff(path: Path, where: str) -> StoredImage:
    """Open a TIFF file.

    Values are as stored: 0 is white in a 1-bit file that says so. Any one axis beside rows and columns (z, time, page,
    many channels) is the z axis; a file of one page is a 2D image. An uncompressed stack is read where it lies; of a
    compressed one only the pages of a window are read.

    Args:
        path: The file.
        where: Head of error messages: key and file.

    Raises:
        InputError: The file is damaged, cut short or compressed with loss, holds several series, or holds no labels.
    """
    with _opened(path, where) as (file, complaints):
        series = _only(file, complaints, where)
        page = series.keyframe
        warnings = _lossless(file, page, where)
        image = _image(path, series, file.byteorder, where)
        _refuse_incomplete(complaints, where)
        scale = scale_of(file, page)
        orientation = page.tags.get("Orientation")
        turned = int(orientation.value) if orientation is not None else 1
        others = series if series.is_multifile else ()
        files = tuple(dict.fromkeys((path, *(Path(p.parent.filehandle.path) for p in others if p is not None))))
        if int(page.compression) not in HERE:
            image = replace(image, layers=partial(_apart, path, where, image.dtype))
    kept = slice(3 - len(image.shape), None)
    scale = replace(scale, sizes=scale.sizes[kept], unitless=scale.unitless[kept])
    return upright(replace(image, scale=scale, files=files, warnings=warnings), turned)


def as_stored(path: Path, where: str) -> StoredImage:
    """The image as the file has it, not turned upright and without its voxel size; errors as of read_tiff."""
    with _opened(path, where) as (file, complaints):
        return _image(path, _only(file, complaints, where), file.byteorder, where)


@contextmanager
def _opened(path: Path, where: str) -> Iterator[tuple["TiffFile", list[str]]]:
    """The file, and what tifffile complains of while it is open."""
    import tifffile

    with decoding(where, "TIFF"), _complaints() as complaints, tifffile.TiffFile(path) as file:
        if not _written_by_the_page(file):
            yield file, complaints
            return
    with decoding(where, "TIFF"), _complaints() as complaints, tifffile.TiffFile(path, is_shaped=False) as file:
        yield file, complaints


def _written_by_the_page(file: "TiffFile") -> bool:
    """Whether tifffile wrote a stack with a call for each page, each of which then counts as an image of its own."""
    if not file.is_shaped or len(file.pages) < 2:
        return False
    found = file.series
    alike = {(each.kind, each.axes, each.shape, each.dtype) for each in found}
    return len(found) > 1 and len(alike) == 1 and all(len(each) == 1 for each in found)


@contextmanager
def _complaints() -> Iterator[list[str]]:
    """What tifffile logs where it makes do with the part of a file it could read."""
    complaints: list[str] = []

    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            text = record.getMessage()
            # A tag that can't be read matters only where it leads to pages missing, which is reported on its own.
            bad = record.levelno >= logging.ERROR and "TiffTag" not in text
            if bad or "zeroed" in text or "out of range" in text:
                complaints.append(text)

    logger = logging.getLogger("tifffile")
    collector, propagate = Collector(), logger.propagate
    logger.addHandler(collector)
    logger.propagate = False
    try:
        yield complaints
    finally:
        logger.removeHandler(collector)
        logger.propagate = propagate


def _refuse_incomplete(complaints: list[str], where: str) -> None:
    if complaints:
        raise InputError(unreadable(where, "TIFF", re.sub(r"<[^>]*>\s*", "", complaints[0])))


def _only(file: "TiffFile", complaints: list[str], where: str) -> "TiffPageSeries":
    """The one series of the file, all of whose pages are there."""
    if file.is_ome and file.ome_metadata:
        _check_planes(file.ome_metadata)
    series = file.series
    if not complaints and len(series) != 1:
        found = ", ".join(" x ".join(map(str, s.shape)) for s in series[:8])
        raise InputError(
            f"{where}: expected one image or one stack, got {len(series)} series ({found}); save the labels alone"
        )
    _refuse_incomplete(complaints, where)
    if series[0].dataoffset is None and any(page is None for page in series[0]):
        raise ValueError("pages of it are in other files, which are missing, or nowhere")
    return series[0]


def _check_planes(xml: str) -> None:
    """Refuse OME metadata of planes without number, for each of which tifffile would keep a place."""
    for element in ElementTree.fromstring(xml).iter():
        planes = math.prod(int(element.get(f"Size{axis}", "1")) for axis in "ZCT")
        counts = [int(element.get(name, "0")) for name in ("PlaneCount", "NumPlanes")]
        if max(planes, *counts) > MOST_PLANES:
            raise ValueError(f"its OME metadata tell of {max(planes, *counts)} planes")


# --- what the header says ---


def _image(path: Path, series: "TiffPageSeries", byteorder: str, where: str) -> StoredImage:
    """The image without its voxel size."""
    page = series.keyframe
    photometric = int(page.photometric)
    if photometric not in (WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE):
        raise InputError(
            f"{where}: expected grey, RGB or palette pixels, got kind {photometric} (CMYK, ...); save them as RGB"
        )
    # One page is a 2D image, however many axes of length one its metadata adds.
    kept = [(axis, n) for axis, n in zip(series.axes, series.shape, strict=True) if n > 1 or axis in "YXS"]
    axes, shape = "".join(axis for axis, _ in kept), tuple(n for _, n in kept)
    stacked = axes.replace("S", "")
    if len(stacked) > 3 or stacked[-2:] != "YX":
        raise InputError(
            f"{where}: expected an image (YX) or a stack (ZYX), got axes {axes} ({' x '.join(map(str, shape))}); "
            "save one stack alone"
        )
    if stacked[0] == "C" and shape[axes.index("C")] in FEW_CHANNELS:
        raise InputError(
            f"{where}: holds {shape[axes.index('C')]} channels of one picture, which are no slices; save the labels as "
            "one channel, or the channels as slices (ImageJ: Image, Properties)"
        )
    samples = shape[axes.index("S")] if "S" in axes else 1
    palette = None
    if photometric == PALETTE and page.colormap is not None and "S" not in axes:
        palette = (page.colormap.T >> 8).astype(np.uint8)
    _check_length(page)
    layers, sliced = _layers(series, byteorder, samples, _Layout(path, where, axes, shape))
    pixels = tuple(n for axis, n in kept if axis != "S")
    dtype = np.dtype(np.int32) if samples > 2 else series.dtype
    named = len(stacked) < 3 or stacked[0] in "ZC"
    return StoredImage(
        pixels, dtype, layers, colour=samples > 2, palette=palette, sliced=sliced, files=(path,), axes_named=named
    )


def _check_length(page: "TiffPage") -> None:
    """Refuse a page whose pixels can't come from so few compressed bytes, before memory is taken for them."""
    ratio = SHORTEST.get(int(page.compression))
    there = sum(page.databytecounts)
    if ratio is not None and page.nbytes > ratio * (there + 1024):
        raise ValueError(f"{page.nbytes} bytes of pixels can't come of {there} compressed ones")


def _lossless(file: "TiffFile", page: "TiffPage", where: str) -> tuple[str, ...]:
    """What the user has to know of the compression.

    Raises:
        InputError: It changes values.
    """
    compression = int(page.compression)
    if compression not in JUDGES and compression != LERC:
        return ()
    data = b""
    if len(page.dataoffsets):
        file.filehandle.seek(page.dataoffsets[0])
        data = file.filehandle.read(min(page.databytecounts[0], JUDGED))
    if compression == LERC:
        tag = page.tags.get(LERC_PARAMETERS)
        packing = int(tag.value[1]) if tag is not None else 0
        lost = lossy.lerc(lossy.unpacked(data, packing), page.dtype is not None and page.dtype.kind in "iub")
    else:
        lost = JUDGES[compression](data)
    if lost.endswith("perhaps"):
        return (f"{where}: is compressed as JPEG 2000, which perhaps blurs labels; better save it with LZW or deflate",)
    if lost:
        why = f"is compressed with loss ({lost}), which blurs labels and changes grey values"
        raise InputError(f"{where}: {why}; save it with LZW or deflate")
    return ()


# --- the way to the values ---


def _layers(series: "TiffPageSeries", byteorder: str, samples: int, layout: "_Layout") -> tuple[Layers, bool]:
    """The way to the values, and whether it leads to a part of them without the rest."""
    # Alpha has to be the same everywhere, which no part of an image can tell.
    if samples in (2, 4) or series.transform is not None or series.is_multifile:
        return partial(_all_layers, layout), False
    if series.dataoffset is not None and samples == 1 and "S" not in layout.axes:
        expected, found = series.dataoffset + series.nbytes, layout.path.stat().st_size
        if found < expected:
            raise InputError(unreadable(layout.where, "TIFF", f"expected {expected} bytes, got {found}"))
        dtype = np.dtype(byteorder + series.dtype.char)
        return InFile(layout.path, layout.where, "TIFF", dtype, layout.shape, series.dataoffset).layers, True
    if len(layout.axes.replace("S", "")) == 3 and layout.axes[0] != "S" and len(series) == layout.shape[0]:
        return partial(_paged_layers, layout), True
    return partial(_all_layers, layout), False


@dataclass(frozen=True)
class _Layout:
    """Where the samples of a TIFF file are, and what their axes mean."""

    path: Path
    where: str  # head of error messages: key and file
    axes: str  # letters of the axes, "S" for the samples of a pixel
    shape: tuple[int, ...]

    def pixels(self, samples: NDArray[Any]) -> NDArray[Any]:
        """Grey levels or colours of all or some layers."""
        if "S" not in self.axes:
            return samples
        return colours.from_samples(np.moveaxis(samples, self.axes.index("S"), -1), self.where).values


def _all_layers(layout: _Layout, window: Window, step: int) -> Iterator[NDArray[Any]]:
    with _opened(layout.path, layout.where) as (file, complaints):
        series = file.series[0]
        check_memory(series.nbytes, layout.where)
        for page in series:
            _refuse_holes(page)
        values = layout.pixels(series.asarray().reshape(layout.shape))
        _refuse_incomplete(complaints, layout.where)
    for part in parts(window, step):
        yield cut(values, part)


def _paged_layers(layout: _Layout, window: Window, step: int) -> Iterator[NDArray[Any]]:
    with _opened(layout.path, layout.where) as (file, complaints):
        series = file.series[0]
        for part in parts(window, step):
            values: NDArray[Any] | None = None
            for layer, number in enumerate(range(*part[0])):
                _refuse_holes(series[number])
                page = series.asarray(key=number).reshape(layout.shape[1:])
                _refuse_incomplete(complaints, layout.where)
                pixels = layout.pixels(page[None])[0]
                if values is None:
                    values = np.empty(lengths(part), pixels.dtype)
                values[layer] = cut(pixels, part[1:])
            if values is not None:
                yield values


def _refuse_holes(page: "TiffPage | TiffFrame | None") -> None:
    """Refuse a page of which a block of pixels is nowhere: tifffile takes it for zeros."""
    if page is None:
        raise ValueError("a page is missing")
    if page.is_contiguous:
        return
    blocks, size = int(np.prod(page.chunked)), page.parent.filehandle.size
    starts, counts = (np.array(values, np.float64) for values in (page.dataoffsets, page.databytecounts))
    there = 0
    if starts.shape == counts.shape:  # damaged tags hold anything
        there = int(((starts > 0) & (counts >= 1) & (starts + counts <= size)).sum())
    if there != blocks or len(starts) != blocks:
        raise ValueError(f"{there} of the {blocks} blocks of page {page.index} are there")


@lru_cache(maxsize=2)
def _process(path: Path) -> Apart:
    return Apart(PROGRAM)


def _apart(path: Path, where: str, dtype: np.dtype[Any], window: Window, step: int) -> Iterator[NDArray[Any]]:
    """Layers decoded by a process apart, for kinds of compression whose decoders are large."""
    try:
        for said, data in _process(path).ask({"path": str(path), "where": where, "window": window, "step": step}):
            if "refused" in said:
                raise InputError(said["refused"])
            yield data.view(dtype).reshape(said["shape"])
    except (Failed, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(unreadable(where, "TIFF", str(error))) from error
