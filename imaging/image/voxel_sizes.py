"""How large the voxels of an image are: what the case says, else what the file says with its unit."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from microlith.imaging.axes import axis_names
from microlith.imaging.errors import InputError
from microlith.imaging.formats.units import Scale, alike
from microlith.imaging.options import ImageSource

WHERE = "[image] voxel_size"
CASE = "the case file"
FINEST, COARSEST = 1e-10, 1e-3  # metres: from an atom to a grain of sand
MOST_UNEQUAL = 100.0  # ratio of two edges of a voxel
USUAL = 5e-8  # metres, of voxels of electrodes
GUESSED = (("nm", "nanometres", 1e-9), ("um", "micrometres", 1e-6), ("mm", "millimetres", 1e-3), ("m", "metres", 1.0))
UNITS = (("nm", 1e-9), ("um", 1e-6), ("mm", 1e-3))


@dataclass(frozen=True)
class VoxelSizes:
    """Edges of a voxel, and who says so."""

    sizes: tuple[float, ...]  # metres, array order ([z,] y, x)
    sources: tuple[str, ...]  # for each axis: "the case file", or what of the image file
    warnings: tuple[str, ...] = ()  # what the user has to hear, in sentences


def voxel_sizes(scale: Scale, source: ImageSource) -> VoxelSizes:
    """The voxel size of the case where it gives one, else the file's.

    Args:
        scale: What the file says for each axis of the image.
        source: What the case says: for all axes, for each axis, or nothing.

    Raises:
        InputError: Neither says anything that has a unit, the file contradicts itself, or the case names other axes
            than the image has, or lengths that are none.
    """
    names = axis_names(len(scale.sizes))
    if source.voxel_size is None:
        found = _of_file(scale, names, source.path)
    else:
        given = _given(source.voxel_size, names, source.path)
        found = VoxelSizes(given, (CASE,) * len(given), tuple(_contradictions(given, scale, names, source.path)))
    return VoxelSizes(found.sizes, found.sources, (*found.warnings, *_implausible(found.sizes, names)))


def length(metres: float) -> str:
    """A length as a message shows it."""
    unit, factor = next(((unit, factor) for unit, factor in UNITS if metres < (1 - 1e-9) * 1000 * factor), UNITS[-1])
    return f"{metres / factor:.4g} {unit}"


def _of_file(scale: Scale, names: Sequence[str], path: str) -> VoxelSizes:
    silent = [axis for axis, size in zip(names, scale.sizes, strict=True) if size is None]
    example = 'give it, as in voxel_size = "20 nm"'
    if scale.doubt:
        raise InputError(f"{WHERE}: missing, and {path} {scale.doubt}; {example}")
    without_unit = [n for n in scale.unitless if n is not None]
    if silent and without_unit:
        stated = " x ".join("?" if n is None else f"{n:.4g}" for n in scale.unitless[::-1])
        raise InputError(
            f"{WHERE}: missing, and {path} says {stated} ({', '.join(names[::-1])}) without a unit; give it with one, "
            f"as in voxel_size = {_example(scale.unitless, names)}"
        )
    if silent:
        raise InputError(
            f"{WHERE}: missing, and {path} says nothing about it along {', '.join(silent[::-1])}; {example}"
        )
    sizes = tuple(size for size in scale.sizes if size is not None)
    return VoxelSizes(sizes, (scale.source,) * len(sizes))


def _example(unitless: Sequence[float | None], names: Sequence[str]) -> str:
    """What the case might say, with the unit that makes voxels of the usual size of numbers without one."""
    known = [n for n in unitless if n is not None]

    def unusual(entry: tuple[str, str, float]) -> float:
        return abs(math.log10(known[-1] * entry[2] / USUAL))

    unit, words, _ = min(GUESSED, key=unusual)
    if all(n is not None and alike(n, known[-1]) for n in unitless):
        return f'"{known[-1]:.4g} {unit}" if these are {words}'
    edges = (f'{axis} = "{n:.4g} {unit}"' for axis, n in zip(names, unitless, strict=False) if n is not None)
    return f"{{ {', '.join(list(edges)[::-1])} }} if these are {words}"


def _given(given: tuple[float, ...], names: Sequence[str], path: str) -> tuple[float, ...]:
    if len(given) == 1:
        given *= len(names)
    if len(given) != len(names):
        raise InputError(
            f"{WHERE}: expected one size, or one for each of {', '.join(names[::-1])} as {path} has {len(names)} axes, "
            f"got {len(given)}"
        )
    if not all(math.isfinite(size) and size > 0 for size in given):
        raise InputError(f"{WHERE}: expected positive lengths, got {', '.join(f'{size:g} m' for size in given[::-1])}")
    return given


def _contradictions(given: tuple[float, ...], scale: Scale, names: Sequence[str], path: str) -> list[str]:
    """Where the case says something else than the file; what the case says counts."""
    other = [
        f"{length(size)} along {axis} (not {length(found)})"
        for axis, size, found in zip(names, given, scale.sizes, strict=True)
        if found is not None and not alike(size, found)
    ]
    if other and not scale.doubt:
        return [f"{WHERE}: {', '.join(other[::-1])}, as the case file says, against {scale.source} ({path})"]
    # Numbers without a unit say how the edges compare.
    pairs = [(size, n) for size, n in zip(given, scale.unitless, strict=False) if n is not None]
    if any(not alike(size / n, pairs[0][0] / pairs[0][1]) for size, n in pairs):
        edges = " x ".join(length(size) for size in given[::-1])
        stated = " x ".join("?" if n is None else f"{n:.4g}" for n in scale.unitless[::-1])
        return [f"{WHERE}: {edges} have other ratios than {stated} in {path}, which has no unit; the case file's count"]
    return []


def _implausible(sizes: tuple[float, ...], names: Sequence[str]) -> list[str]:
    """What is more likely a slip of a unit."""
    edges = " x ".join(length(size) for size in sizes[::-1])
    if not all(FINEST <= size <= COARSEST for size in sizes):
        return [f"{WHERE}: voxels of {edges} are out of {length(FINEST)} to {length(COARSEST)}; check the unit"]
    if max(sizes) > MOST_UNEQUAL * min(sizes):
        return [f"{WHERE}: edges of {edges} differ by more than {MOST_UNEQUAL:g} times; check their units"]
    return []
