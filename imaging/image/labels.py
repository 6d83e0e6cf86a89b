"""From the labels in an image to phases, and label images that name regions."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from microlith.imaging.axes import AXES, axis_names
from microlith.imaging.errors import InputError
from microlith.imaging.formats.stored import RawImage
from microlith.imaging.image.claims import MOST_LABELS, phase_of_each, refuse_other_greys, shown_labels
from microlith.imaging.image.sampling import cropped, majority
from microlith.imaging.image.volume import LabelImage
from microlith.imaging.image.voxel_sizes import voxel_sizes
from microlith.imaging.options import ImageSource, PhaseLabels
from microlith.imaging.parallel.large_arrays import count_values, renamed
from microlith.imaging.readers.open import HEADERLESS, open_image, read_image, whole_image

MOST_PHASES = 255  # that fit into a byte, and into the facet tags of a mesh


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
        InputError: The image can't be read, is a micrograph, holds a label that no phase claims, or lacks all labels of
            a phase; two phases claim one label; crop, coarsen or voxel size don't fit; there are more than 255 phases;
            a 3D image is one voxel thick.
    """
    refuse_too_many(phases)
    return as_phases(read_image(source), source, phases).image


@dataclass(frozen=True, eq=False)
class Labelled:
    """What is found in an image that has been read."""

    image: LabelImage
    labels: tuple[tuple[str, int], ...]  # each label, as messages name it, and the voxels of the crop that have it
    before: LabelImage | None  # the image before coarsen, where it was coarsened


def as_phases(raw: RawImage, source: ImageSource, phases: Sequence[PhaseLabels]) -> Labelled:
    """The phases of an image that has been read; arguments and errors are those of `label_image`."""
    size = voxel_sizes(raw.scale, source).sizes
    values = cropped(raw.values, source.crop, source.path)
    if is_one_slice(values.shape, source):
        values, size = values[0], size[1:]
    refuse_one_layer(values.shape, source)
    counts = count_values(values, MOST_LABELS)
    names = tuple(p.name for p in phases)
    phase = renamed(values, phase_of_each(counts, raw, phases, source.path))
    labels = shown_labels(counts or {}, raw)
    fine = LabelImage(phase, names, size, raw.values.shape)
    if source.coarsen == 1:
        return Labelled(fine, labels, None)
    phase = majority(phase, source.coarsen, source.path)
    refuse_one_layer(phase.shape, source, coarse=True)
    refuse_outvoted(count_values(phase) or {}, names, source)
    coarse = LabelImage(phase, names, tuple(h * source.coarsen for h in size), raw.values.shape)
    return Labelled(coarse, labels, fine)


def read_region_labels(
    path: str,
    source: ImageSource,
    shape: tuple[int, ...],
    key: str = "labels",
    stored_shape: tuple[int, ...] = (),
    tell: Callable[[str], object] | None = None,
) -> NDArray[Any]:
    """Read a label image that names regions of the segmented image, with the same crop and majority vote.

    Args:
        path: The label image; where it is headerless, it is laid out as the segmented image is.
        source: The segmented image, for crop, coarsen and raw.
        shape: Of LabelImage.phase.
        key: Head of error messages: the key of the case file that named the label image.
        stored_shape: LabelImage.stored_shape, to make sure that a crop cuts the same part from both.
        tell: Gets what the user has to hear of the files, in sentences.

    Returns:
        Labels, integers of the given shape; 0xRRGGBB in a colour picture, indices in one with a palette.

    Raises:
        InputError: The label image can't be read or is of another shape than the segmented one.
    """
    headerless = Path(path).suffix.lower() in HEADERLESS
    found = open_image(ImageSource(path, raw=source.raw if headerless else None, folder=source.folder), key)
    if tell is not None:
        for sentence in found.warnings:
            tell(sentence)
    raw = whole_image(found, f"{key}: {path}")
    stored = raw.values.shape
    fits = stored == stored_shape if stored_shape else len(stored) == len(shape)
    if fits:
        labels = cropped(raw.values, source.crop, path)
        refuse_other_greys(labels, raw, f"{key}: {path}")
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
