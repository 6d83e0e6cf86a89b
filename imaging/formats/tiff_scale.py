"""Voxel sizes in TIFF files: from OME's metadata, ImageJ's properties or the resolution tags."""

from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from microlith.imaging.formats.units import PRINTERS, Scale, alike, believed, metres, unit_metres

if TYPE_CHECKING:
    from tifffile import TiffFile, TiffPage

RESOLUTION_UNITS = {2: ("inch", 0.0254), 3: ("cm", 0.01)}  # values of the tag ResolutionUnit, and metres
Sizes = tuple[float | None, float | None, float | None]


def scale_of(file: "TiffFile", page: "TiffPage") -> Scale:
    """What a TIFF file says of the size of its voxels in z, y and x."""
    tagged = _tagged(page)
    if file.is_ome and file.ome_metadata:
        return _checked(_ome(file.ome_metadata), tagged, "the file's OME metadata")
    metadata: dict[str, Any] = file.imagej_metadata or (file.shaped_metadata or ({},))[0]
    source = "ImageJ's properties in the file" if file.imagej_metadata else "the file's metadata"
    stated = _described(page, metadata)
    if any(size is not None for size in stated.sizes):
        return _checked(stated, tagged, source)
    if any(size is not None for size in tagged):
        return Scale(tagged, "the file's resolution tags", (stated.unitless[0], None, None))
    return stated


def _checked(stated: Scale, tagged: Sizes, source: str) -> Scale:
    """What the metadata say, with what the tags say where they don't, and doubts where both contradict each other."""
    sizes, doubt = list(stated.sizes), ""
    for i, (one, other) in enumerate(zip(stated.sizes, tagged, strict=True)):
        if one is None:
            sizes[i] = other
        elif other is not None and not alike(one, other) and not doubt:
            doubt = (
                f"contradicts itself: {one:.4g} m along {'zyx'[i]} by {source}, {other:.4g} m by its resolution tags"
            )
    return Scale(tuple(sizes), source, stated.unitless, doubt)


def _per_pixel(page: "TiffPage", name: str) -> float:
    """Units of a resolution tag that a pixel measures, 0 where it isn't said."""
    tag = page.tags.get(name)
    try:
        pixels, units = tag.value if tag is not None else (0, 0)
        return units / pixels if pixels else 0.0
    except (TypeError, ValueError):
        return 0.0


def _tagged(page: "TiffPage") -> Sizes:
    """Pixel sizes by the resolution tags in the unit that they name, where they can be those of an image."""
    tag = page.tags.get("ResolutionUnit")
    try:
        _, factor = RESOLUTION_UNITS.get(int(tag.value) if tag is not None else 0, ("", 0.0))
    except (TypeError, ValueError):
        factor = 0.0
    y, x = (_per_pixel(page, name) * factor for name in ("YResolution", "XResolution"))
    return None, believed(y) if y > 0 else None, believed(x) if x > 0 else None


def _described(page: "TiffPage", metadata: dict[str, Any]) -> Scale:
    """Voxel sizes in the unit that the description names: x and y are in the resolution tags, z is the spacing."""
    unit = str(metadata.get("unit", ""))
    units = str(metadata.get("zunit", unit)), str(metadata.get("yunit", unit)), unit
    # ImageJ writes a negative spacing for stacks that run downwards.
    spacing = abs(number(metadata.get("spacing")))
    values = spacing, _per_pixel(page, "YResolution"), _per_pixel(page, "XResolution")
    sizes = [metres(value, name) for value, name in zip(values, units, strict=True)]
    sizes = [
        believed(size) if name.strip().lower() in PRINTERS else size for size, name in zip(sizes, units, strict=True)
    ]
    unitless = tuple(
        value if value > 0 and value != 1 and unit_metres(name) is None else None
        for value, name in zip(values, units, strict=True)
    )
    if "ResolutionUnit" in page.tags and _named_by_tag(page):
        unitless = (unitless[0], None, None)  # what the tags say has a unit, and is dots of a printer
    return Scale(tuple(sizes), "", unitless)


def _named_by_tag(page: "TiffPage") -> bool:
    tag = page.tags.get("ResolutionUnit")
    return tag is not None and tag.value in RESOLUTION_UNITS


def _ome(xml: str) -> Scale:
    pixels = ElementTree.fromstring(xml).find(".//{*}Pixels")
    if pixels is None:
        return Scale((None, None, None))
    values = {axis: number(pixels.get(f"PhysicalSize{axis}")) for axis in "ZYX"}
    units = {axis: pixels.get(f"PhysicalSize{axis}Unit", "µm") for axis in "ZYX"}  # the schema's default
    return Scale(
        tuple(metres(values[axis], units[axis]) for axis in "ZYX"),
        unitless=tuple(values[a] if values[a] > 0 and unit_metres(units[a]) is None else None for a in "ZYX"),
    )


def number(text: object) -> float:
    """A number from a file's metadata, 0 where it is none."""
    try:
        return float(str(text))
    except ValueError:
        return 0.0
