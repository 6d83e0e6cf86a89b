"""From the labels in an image to phases, and label images that name regions."""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from microlith.imaging.axes import AXES, axis_names
from microlith.imaging.errors import InputError
from microlith.imaging.formats.colours import colour_text, pack, unpack
from microlith.imaging.formats.stored import RawImage
from microlith.imaging.image.sampling import cropped, majority, voxel_size
from microlith.imaging.image.volume import LabelImage
from microlith.imaging.options import Colour, ImageSource, PhaseLabels
from microlith.imaging.parallel.large_arrays import count_values, rename
from microlith.imaging.readers.open import HEADERLESS, IMAGE_KEY, read_image

MOST_LABELS = 64  # distinct values of a segmented image; a micrograph has more
MOST_PHASES = 255  # that fit into a byte, and into the facet tags of a mesh


class Coding(Protocol):
    """What the values of an image are: see RawImage and StoredImage."""

    @property
    def colour(self) -> bool:
        """Whether they are 0xRRGGBB."""

    @property
    def palette(self) -> NDArray[np.uint8] | None:
        """Colours (n, 3) of the values."""


def label_image(source: ImageSource, phases: Sequence[PhaseLabels]) -> LabelImage:
    """Read a segmented image as phases.

    A label is a value as stored or a colour. In a picture with a palette a number is an index of the palette, and a
    colour stands for every index that shows it; three numbers 0 to 255 are a colour where the palette shows it in the
    picture, else three indices.

    Args:
        source: The image, its crop (done first), coarsen (done last, in phases) and voxel size.
        phases: Labels of each phase; a phase's index is its place.

    Returns:
        Phase of each voxel, of the cropped and coarsened image.

    Raises:
        InputError: The image can't be read, is a micrograph (more than 64 values), holds a label that no phase claims,
            or lacks all labels of a phase; two phases claim one label; crop, coarsen or voxel size don't fit; there are
            more than 255 phases; a 3D image is one voxel thick.
    """
    refuse_too_many(phases)
    return labelled(read_image(source), source, phases)


def labelled(raw: RawImage, source: ImageSource, phases: Sequence[PhaseLabels]) -> LabelImage:
    """The phases of an image that has been read; arguments, result and errors as of `label_image`."""
    size = voxel_size(raw.voxel_size, source)
    values = cropped(raw.values, source.crop, source.path)
    if is_one_slice(values.shape, source):
        values, size = values[0], size[1:]
    refuse_one_layer(values.shape, source)
    phase = rename(values, phase_of_each(count_values(values, MOST_LABELS), raw, phases, source.path))
    names = tuple(p.name for p in phases)
    phase = majority(phase, source.coarsen, source.path)
    refuse_one_layer(phase.shape, source, coarse=True)
    refuse_outvoted(count_values(phase) or {}, names, source)
    return LabelImage(
        phase=phase,
        names=names,
        voxel_size=tuple(h * source.coarsen for h in size),
        stored_shape=raw.values.shape,
    )


def read_region_labels(
    path: str,
    source: ImageSource,
    shape: tuple[int, ...],
    key: str = "labels",
    stored_shape: tuple[int, ...] = (),
) -> NDArray[Any]:
    """Read a label image that names regions of the segmented image, with the same crop and majority vote.

    Args:
        path: The label image; where it is headerless, it is laid out as the segmented image is.
        source: The segmented image, for crop, coarsen and raw.
        shape: Of LabelImage.phase.
        key: Head of error messages: the key of the case file that named the label image.
        stored_shape: LabelImage.stored_shape, to make sure that a crop cuts the same part from both.

    Returns:
        Labels, integers of the given shape; 0xRRGGBB in a colour picture, indices in one with a palette.

    Raises:
        InputError: The label image can't be read or is of another shape than the segmented one.
    """
    headerless = Path(path).suffix.lower() in HEADERLESS
    raw = read_image(ImageSource(path, raw=source.raw if headerless else None, folder=source.folder), key)
    stored = raw.values.shape
    fits = stored == stored_shape if stored_shape else len(stored) == len(shape)
    if fits:
        labels = cropped(raw.values, source.crop, path)
        labels = majority(labels[0] if is_one_slice(labels.shape, source) else labels, source.coarsen, path)
        fits = labels.shape == shape
    if not fits:
        wanted = _size(stored_shape) if stored_shape else f"{_size(shape)} after crop and coarsen"
        raise InputError(
            f"{key}: {path}: expected the segmented image's size, {wanted}, got {_size(stored)}; make both alike"
        )
    return labels


def is_one_slice(shape: tuple[int, ...], source: ImageSource) -> bool:
    """Whether the crop, which leaves this shape, asks for one slice of a volume: a 2D image then."""
    return len(shape) == 3 and shape[0] == 1 and "z" in source.crop


def refuse_too_many(phases: Sequence[PhaseLabels]) -> None:
    """Refuse more phases than a byte can number.

    Raises:
        InputError: There are more than 255.
    """
    if len(phases) > MOST_PHASES:
        raise InputError(
            f"[phases]: expected at most {MOST_PHASES} phases, got {len(phases)}; join those of one role, as a phase "
            "may have a list of labels"
        )


def refuse_one_layer(shape: tuple[int, ...], source: ImageSource, *, coarse: bool = False) -> None:
    """Refuse a 3D image in which nothing can happen along one of its axes.

    Args:
        shape: Of the image after crop, and after coarsen where `coarse`.
        source: The image.
        coarse: Whether coarsen is what left one layer.

    Raises:
        InputError: The image has three axes and one voxel along one of them.
    """
    thin = [axis for axis, n in zip(axis_names(3), shape, strict=True) if n == 1] if len(shape) == 3 else []
    if not thin or (coarse and source.coarsen == 1):
        return
    along = " and ".join(thin[::-1])
    if "z" in thin:
        first = source.crop.get("z", (0, 1))[0]
        flat = f"take one slice as a 2D image, with crop = {{ z = [{first}, {first + 1}] }}"
    else:
        flat = "save the layer as a 2D image"
    if coarse:
        raise InputError(
            f"[image] coarsen: blocks of {source.coarsen} leave {source.path} one voxel thick along {along}, too thin "
            f"for 3D; coarsen less, or {flat}"
        )
    key = "crop" if set(thin) & set(source.crop) else "file"
    raise InputError(f"[image] {key}: {source.path} is one voxel thick along {along}, too thin for 3D; {flat}")


def refuse_outvoted(left: Collection[int], names: tuple[str, ...], source: ImageSource) -> None:
    """Refuse a majority vote that loses a phase.

    Args:
        left: Indices of the phases that are left.
        names: Of all phases.
        source: The image.

    Raises:
        InputError: A phase is not left.
    """
    lost = [name for index, name in enumerate(names) if index not in left]
    if lost:
        raise InputError(
            f"[image] coarsen: the vote in blocks of {source.coarsen} leaves no pixel of {', '.join(lost)} in "
            f"{source.path}; coarsen less"
        )


def _size(shape: tuple[int, ...]) -> str:
    """Numbers of voxels along each axis, for a message."""
    return f"{' x '.join(map(str, shape[::-1]))} ({', '.join(AXES[: len(shape)])})"


def phase_of_each(
    counts: dict[int, int] | None, raw: Coding, phases: Sequence[PhaseLabels], path: str
) -> dict[int, int]:
    """Phase index of each value that occurs, and every way in which values and phases can fail to fit.

    Args:
        counts: How often each value occurs, in ascending order; None where there are more than MOST_LABELS values.
        raw: What the values are.
        phases: Labels of each phase.
        path: Of the image, for messages.

    Raises:
        InputError: The image is a micrograph, or values and phases don't fit.
    """
    if counts is None:
        what = "colours" if raw.colour else "values"
        raise InputError(
            f"{IMAGE_KEY}: {path} holds more than {MOST_LABELS} {what}, as a micrograph does; segment it "
            "first, so that each pixel holds the label of its phase"
        )
    owner: dict[int, int] = {}
    for index, phase in enumerate(phases):
        for value in _values_of(phase, raw, counts, path):
            if owner.setdefault(value, index) != index:
                other = phases[owner[value]].name
                raise InputError(
                    f"[phases.{phase.name}] label: {_shown(value, raw)} is claimed by {other} too; each label "
                    "belongs to one phase"
                )
    total = sum(counts.values())
    shares = [f"{_shown(value, raw)} ({_percent(count / total)})" for value, count in counts.items()]
    unclaimed = [share for value, share in zip(counts, shares, strict=True) if value not in owner]
    if unclaimed:
        raise InputError(
            f"[phases]: no phase claims {', '.join(unclaimed)} of the pixels of {path}; add each to "
            "the label of a phase"
        )
    for index, phase in enumerate(phases):
        if not any(owner[value] == index for value in counts):
            raise InputError(
                f"[phases.{phase.name}] label: no pixel of {path} has it, the labels there are {', '.join(shares)}; "
                "correct the label or remove the phase"
            )
    return {value: owner[value] for value in counts}


def _values_of(phase: PhaseLabels, raw: Coding, counts: dict[int, int], path: str) -> list[int]:
    """The image's values that a phase claims, whether they occur or not."""
    if raw.palette is not None:
        return _palette_values(phase, raw.palette, counts)
    labels = phase.for_colour_image() if raw.colour else phase.labels
    for label in labels:
        if raw.colour and not isinstance(label, tuple):
            raise InputError(
                f'[phases.{phase.name}] label: expected a colour such as "#ff0000", as {path} is a colour picture, '
                f"got {label}; its colours are {', '.join(_shown(value, raw) for value in counts)}"
            )
        if not raw.colour and isinstance(label, tuple):
            raise InputError(
                f"[phases.{phase.name}] label: expected a number, as {path} holds no colours, got "
                f"{colour_text(label)}; its labels are {', '.join(map(str, counts))}"
            )
    return [pack(label) if isinstance(label, tuple) else label for label in labels]


def _palette_values(phase: PhaseLabels, palette: NDArray[np.uint8], counts: dict[int, int]) -> list[int]:
    colours = [label for label in phase.for_colour_image() if isinstance(label, tuple)]
    shown = {tuple(palette[value].tolist()) for value in counts}
    labels = phase.for_colour_image() if shown.intersection(colours) else phase.labels
    values: list[int] = []
    for label in labels:
        values += _indices(palette, label) if isinstance(label, tuple) else [label]
    return values


def _indices(palette: NDArray[np.uint8], colour: Colour) -> list[int]:
    return [int(index) for index in np.flatnonzero((palette == colour).all(axis=1))]


def _shown(value: int, raw: Coding) -> str:
    """A label as a message names it."""
    if raw.colour:
        return colour_text(unpack(value))
    if raw.palette is not None and value < len(raw.palette):
        red, green, blue = raw.palette[value].tolist()
        return f"{value} = {colour_text((red, green, blue))}"
    return str(value)


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"
