"""Voxel sizes as image files state them: units by name, and which sizes without a unit can be believed."""

# The spellings that ImageJ, OME, NRRD and hand-written headers use for a length.
METRES = {
    "pm": 1e-12,
    "å": 1e-10,
    "angstrom": 1e-10,
    "nm": 1e-9,
    "nanometer": 1e-9,
    "nanometre": 1e-9,
    "um": 1e-6,
    "µm": 1e-6,  # micro sign
    "μm": 1e-6,  # Greek mu
    "\\u00b5m": 1e-6,  # as ImageJ escapes it
    "âµm": 1e-6,  # UTF-8 taken for Latin-1
    "micron": 1e-6,
    "microns": 1e-6,
    "micrometer": 1e-6,
    "micrometers": 1e-6,
    "micrometre": 1e-6,
    "mm": 1e-3,
    "millimeter": 1e-3,
    "cm": 1e-2,
    "inch": 0.0254,
    "in": 0.0254,
    "m": 1.0,
}

# Programs write 72 dots per inch, or a spacing of 1, where nobody measured anything. Voxels of tomograms are finer
# than this, and such defaults are coarser.
COARSEST_BELIEVED = 10e-6


def metres(value: float, unit: str) -> float | None:
    """Length in metres; None where the unit is not one of length or the value is not a size."""
    factor = METRES.get(unit.strip().lower())
    return value * factor if factor is not None and 0 < value < float("inf") else None


def believed(size: float | None) -> float | None:
    """A voxel size in metres whose unit is only a convention, or None where it is more likely a program's default."""
    return size if size is not None and size < COARSEST_BELIEVED else None
