"""Voxel sizes as image files state them: units by name, and what can be taken of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite

# The spellings that ImageJ, OME, NRRD and hand-written headers use for a length, in small letters.
NAMES = {
    1e-12: ("pm", "picometer", "picometre"),
    1e-10: ("å", "angstrom", "ångström", "angström"),
    1e-9: ("nm", "nanometer", "nanometre"),
    1e-6: (
        "um",
        "µm",  # micro sign
        "μm",  # Greek mu
        "\\u00b5m",  # as ImageJ escapes it
        "âµm",  # UTF-8 taken for Latin-1
        "micron",
        "micrometer",
        "micrometre",
        "mikrometer",
    ),
    1e-3: ("mm", "millimeter", "millimetre"),
    1e-2: ("cm", "centimeter", "centimetre"),
    0.0254: ("inch", "in"),
    1.0: ("m", "meter", "metre"),
}
METRES = {name: factor for factor, names in NAMES.items() for name in names}
PLURALS = ("s", "es")

# Programs write 72 dots per inch, or a spacing of 1, where nobody measured anything. Voxels of tomograms are finer
# than this, and such defaults are coarser.
COARSEST_BELIEVED = 10e-6
PRINTERS = ("in", "inch", "inches", "cm")  # units in which such defaults come
SAME = 0.01  # relative difference up to which two statements are one


@dataclass(frozen=True)
class Scale:
    """What a file says of the size of its voxels."""

    sizes: tuple[float | None, ...] = ()  # metres, array order; None for an axis of which it says nothing
    source: str = ""  # what in the file says so, as in "ImageJ's properties"
    unitless: tuple[float | None, ...] = ()  # array order: numbers in the file whose unit it doesn't say
    doubt: str = ""  # why the sizes must not be taken, the end of a sentence that begins with the file


def metres(value: float, unit: str) -> float | None:
    """Length in metres; None where the unit is not one of length or the value is not a size."""
    factor = unit_metres(unit)
    size = value * factor if factor is not None else 0.0
    return size if isfinite(size) and size > 0 else None


def unit_metres(unit: str) -> float | None:
    """Metres of a unit by its name; None where it is not one of length."""
    name = unit.strip(" \t\r\n\0.[]()").lower()
    for ending in ("", *PLURALS):
        if len(name) - len(ending) > 2 * bool(ending) and name.endswith(ending):
            factor = METRES.get(name[: len(name) - len(ending)])
            if factor is not None:
                return factor
    return None


def believed(size: float | None) -> float | None:
    """A voxel size in metres in a unit of printers, or None where it is more likely a program's default."""
    return size if size is not None and size < COARSEST_BELIEVED else None


def alike(one: float, other: float) -> bool:
    """Whether two lengths are the same as far as a header can tell."""
    return abs(one - other) <= SAME * max(abs(one), abs(other))


def numbers(values: Sequence[float | None]) -> tuple[float | None, ...]:
    """Spacings that are numbers above zero, None in place of the others."""
    return tuple(v if v is not None and isfinite(v) and v > 0 else None for v in values)
