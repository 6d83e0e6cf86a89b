"""TIFF: one page or a stack, with voxel sizes from ImageJ's, OME's or the resolution tags."""

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from microlith.imaging.errors import InputError
from microlith.imaging.formats import colours
from microlith.imaging.formats.decoding import decoding, unreadable
from microlith.imaging.formats.stored import Layers, Mapping, StoredImage, Window, cut, lengths, parts
from microlith.imaging.formats.units import believed, metres

if TYPE_CHECKING:
    from tifffile import TiffFile, TiffPage, TiffPageSeries

# Values of the tag PhotometricInterpretation; others (CMYK, YCbCr, ...) are photographs.
WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE = range(4)
# Values of the tag ResolutionUnit.
RESOLUTION_UNITS = {2: 0.0254, 3: 0.01}  # metres


def read_tiff(path: Path, where: str) -> StoredImage:
    """Open a TIFF file.

    Values are as stored: 0 is white in a 1-bit file that says so. Any one axis beside rows and columns (z, time,
    channel, page) is the z axis; a file of one page is a 2D image. An uncompressed stack is mapped; of a compressed one
    only the pages of a window are read.

    Args:
        path: The file.
        where: Head of error messages: key and file.

    Raises:
        InputError: The file is damaged or cut short, holds several series, or holds no labels.
    """
    with _opened(path, where) as (file, complaints):
        series = file.series
        if not complaints and len(series) != 1:
            found = ", ".join(" x ".join(map(str, s.shape)) for s in series)
            raise InputError(
                f"{where}: expected one image or one stack, got {len(series)} series ({found}); save the labels alone"
            )
        image = _image(path, series[0], file.byteorder, where)
        _refuse_incomplete(complaints, where)
        sizes = _voxel_sizes(file, series[0].keyframe)
    return replace(image, voxel_size=sizes[3 - len(image.shape) :])


@contextmanager
def _opened(path: Path, where: str) -> Iterator[tuple["TiffFile", list[str]]]:
    """The file, and what tifffile complains of while it is open."""
    import tifffile

    with decoding(where, "TIFF"), _complaints() as complaints, tifffile.TiffFile(path) as file:
        yield file, complaints


@contextmanager
def _complaints() -> Iterator[list[str]]:
    """Errors that tifffile logs where it makes do with the part of a file it could read."""
    complaints: list[str] = []

    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            text = record.getMessage()
            # A tag that can't be read matters only where it leads to pages missing, which is reported on its own.
            if record.levelno >= logging.ERROR and "TiffTag" not in text:
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
    samples = shape[axes.index("S")] if "S" in axes else 1
    palette = None
    if photometric == PALETTE and page.colormap is not None and "S" not in axes:
        palette = (page.colormap.T >> 8).astype(np.uint8)
    layers, sliced = _layers(series, byteorder, samples, _Layout(path, where, axes, shape))
    pixels = tuple(n for axis, n in kept if axis != "S")
    dtype = np.dtype(np.int32) if samples > 2 else series.dtype
    return StoredImage(pixels, dtype, layers, colour=samples > 2, palette=palette, sliced=sliced)


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
        return Mapping(layout.path, layout.where, "TIFF", dtype, layout.shape, series.dataoffset).layers, True
    if len(layout.axes.replace("S", "")) == 3 and layout.axes[0] != "S" and _is_paged(series, layout.shape[0]):
        return partial(_paged_layers, layout), True
    return partial(_all_layers, layout), False


def _is_paged(series: "TiffPageSeries", layers: int) -> bool:
    """Whether each layer is a page of its own."""
    return len(series) == layers and all(page is not None for page in series)


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
        values = layout.pixels(file.series[0].asarray().reshape(layout.shape))
        _refuse_incomplete(complaints, layout.where)
    for part in parts(window, step):
        yield cut(values, part)


def _paged_layers(layout: _Layout, window: Window, step: int) -> Iterator[NDArray[Any]]:
    with _opened(layout.path, layout.where) as (file, complaints):
        series = file.series[0]
        for part in parts(window, step):
            values: NDArray[Any] | None = None
            for layer, number in enumerate(range(*part[0])):
                page = series.asarray(key=number).reshape(layout.shape[1:])
                _refuse_incomplete(complaints, layout.where)
                pixels = layout.pixels(page[None])[0]
                if values is None:
                    values = np.empty(lengths(part), pixels.dtype)
                values[layer] = cut(pixels, part[1:])
            if values is not None:
                yield values


def _voxel_sizes(file: "TiffFile", page: "TiffPage") -> tuple[float | None, float | None, float | None]:
    """Voxel size in z, y and x as far as the file says it, in metres."""
    if file.is_ome and file.ome_metadata:
        return _ome_sizes(file.ome_metadata)
    metadata: dict[str, Any] = file.imagej_metadata or (file.shaped_metadata or ({},))[0]
    across = _resolution_sizes(page, metadata)
    spacing = _number(metadata.get("spacing"))
    unit = str(metadata.get("zunit", metadata.get("unit", "")))
    # ImageJ writes a negative spacing for stacks that run downwards.
    return metres(abs(spacing), unit) if spacing else None, across[0], across[1]


def _resolution_sizes(page: "TiffPage", metadata: dict[str, Any]) -> tuple[float | None, float | None]:
    """Pixel size in y and x. ImageJ's unit, where there is one, is that of the tags XResolution and YResolution."""
    tag = page.tags.get("ResolutionUnit")
    tag_unit = RESOLUTION_UNITS.get(int(tag.value)) if tag is not None else None
    sizes: list[float | None] = []
    for name, unit_key in (("YResolution", "yunit"), ("XResolution", "unit")):
        tag = page.tags.get(name)
        pixels, units = tag.value if tag is not None else (0, 0)
        size = units / pixels if pixels else 0.0
        unit = str(metadata.get(unit_key, metadata.get("unit", "")))
        named = metres(size, unit)
        if named is not None and unit.strip().lower() not in ("in", "inch", "cm"):
            sizes.append(named)
        else:
            sizes.append(believed(size * tag_unit) if tag_unit and size > 0 else None)
    return sizes[0], sizes[1]


def _ome_sizes(xml: str) -> tuple[float | None, float | None, float | None]:
    pixels = ElementTree.fromstring(xml).find(".//{*}Pixels")
    if pixels is None:
        return None, None, None

    def size(axis: str) -> float | None:
        unit = pixels.get(f"PhysicalSize{axis}Unit", "µm")  # the schema's default
        return metres(_number(pixels.get(f"PhysicalSize{axis}")), unit)

    return size("Z"), size("Y"), size("X")


def _number(text: object) -> float:
    """A number from a file's metadata, 0 where it is none."""
    try:
        return float(str(text))
    except ValueError:
        return 0.0
