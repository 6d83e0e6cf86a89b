"""TIFF: one page or a stack, with voxel sizes from ImageJ's, OME's or the resolution tags."""

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import numpy as np

from microlith.meshing import colours
from microlith.meshing.decoding import decoding, unreadable
from microlith.meshing.errors import InputError
from microlith.meshing.file_units import believed, metres
from microlith.meshing.image import RawImage

if TYPE_CHECKING:
    from tifffile import TiffFile, TiffPage, TiffPageSeries

# Values of the tag PhotometricInterpretation; others (CMYK, YCbCr, ...) are photographs.
WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE = range(4)
# Values of the tag ResolutionUnit.
RESOLUTION_UNITS = {2: 0.0254, 3: 0.01}  # metres


def read_tiff(path: Path, where: str) -> RawImage:
    """Read a TIFF file.

    Values are as stored: 0 is white in a 1-bit file that says so. Any one axis beside rows and columns (z, time,
    channel, page) is the z axis; a file of one page is a 2D image.

    Args:
        path: The file.
        where: Head of error messages: key and file.

    Raises:
        InputError: The file is damaged or cut short, holds several series, or holds no labels.
    """
    import tifffile

    with decoding(where, "TIFF"), _complaints() as complaints, tifffile.TiffFile(path) as file:
        series = file.series
        if not complaints and len(series) != 1:
            found = ", ".join(" x ".join(map(str, s.shape)) for s in series)
            raise InputError(
                f"{where}: expected one image or one stack, got {len(series)} series ({found}); save the labels alone"
            )
        image = _image(series[0], where)
        _refuse_incomplete(complaints, where)
        sizes = _voxel_sizes(file, series[0].keyframe)
    return RawImage(image.values, sizes[3 - image.values.ndim :], image.colour, image.palette)


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


def _image(series: "TiffPageSeries", where: str) -> RawImage:
    page = series.keyframe
    photometric = int(page.photometric)
    if photometric not in (WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE):
        raise InputError(
            f"{where}: expected grey, RGB or palette pixels, got kind {photometric} (CMYK, ...); save them as RGB"
        )
    axes, values = series.axes, series.asarray()
    # One page is a 2D image, however many axes of length one its metadata adds.
    drop = tuple(i for i, (axis, n) in enumerate(zip(axes, values.shape, strict=True)) if n == 1 and axis not in "YXS")
    values = values.squeeze(drop)
    axes = "".join(axis for i, axis in enumerate(axes) if i not in drop)
    stacked = axes.replace("S", "")
    if len(stacked) > 3 or stacked[-2:] != "YX":
        shape = " x ".join(map(str, values.shape))
        raise InputError(
            f"{where}: expected an image (YX) or a stack (ZYX), got axes {axes} ({shape}); save one stack alone"
        )
    if "S" in axes:
        return colours.from_samples(np.moveaxis(values, axes.index("S"), -1), where)
    if photometric == PALETTE and page.colormap is not None:
        return RawImage(values, palette=(page.colormap.T >> 8).astype(np.uint8))
    return RawImage(values)


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
