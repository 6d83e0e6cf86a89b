"""Segmented images of which no rank holds more than it asks for."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from microlith.imaging.formats.colours import GREY_PALETTE, greys, is_grey
from microlith.imaging.formats.stored import (
    Layers,
    StoredImage,
    Window,
    cut,
    everything,
    layers_at_once,
    lengths,
    parts,
)
from microlith.imaging.image.claims import MOST_LABELS, phase_of_each, shown_labels
from microlith.imaging.image.labels import as_phases, is_one_slice, refuse_one_layer, refuse_outvoted, refuse_too_many
from microlith.imaging.image.origin import Origin
from microlith.imaging.image.passes import share
from microlith.imaging.image.sampling import coarse_shape, crop_window, majority
from microlith.imaging.image.volume import LabelImage, LabelVolume, Portion
from microlith.imaging.image.voxel_sizes import VoxelSizes, voxel_sizes
from microlith.imaging.options import ImageSource, PhaseLabels
from microlith.imaging.parallel.collective import on_first_rank, on_root, together
from microlith.imaging.parallel.large_arrays import Renaming, count_values
from microlith.imaging.readers.open import IMAGE_KEY, open_image, whole_image, whole_numbers
from microlith.imaging.typing import Numbers, Phases

if TYPE_CHECKING:
    from mpi4py.MPI import Comm


def label_volume(source: ImageSource, phases: Sequence[PhaseLabels], comm: "Comm") -> LabelVolume:
    """Open a segmented image as phases, to be read in windows; collective.

    Labels, crop, coarsen and voxel size mean what they do in `label_image`, and errors are the same sentences. Where
    the format lets a part of the image be read alone, each rank looks through its share of the voxels here, and reads
    its windows from the file later. Else rank 0 reads the image and sends each window.

    Args:
        source: The image.
        phases: Labels of each phase; a phase's index is its place.
        comm: All ranks; they all see the file.

    Raises:
        InputError: As in `label_image`, on all ranks.
    """
    refuse_too_many(phases)
    stored = on_root(comm, open_image, source)
    known = comm.bcast(stored if stored is None or stored.sliced else replace(stored, layers=_no_layers))
    sizes = voxel_sizes(known.scale, source)
    origin = _origin(known, sizes, source)
    if not known.sliced:
        whole = on_root(comm, lambda: as_phases(_whole(stored, source), source, phases))
        volume = volume_of(None if whole is None else whole.image, comm)
        before = volume_of(None if whole is None else whole.before, comm) if source.coarsen > 1 else None
        labels_of = comm.bcast(None if whole is None else whole.labels)
        return replace(volume, origin=replace(origin, labels=labels_of), before=before)
    image = _found_grey(known, source, comm)
    crop = crop_window(image.shape, source.crop, source.path)
    flat = is_one_slice(lengths(crop), source)
    cropped = lengths(crop)[1:] if flat else lengths(crop)
    refuse_one_layer(cropped, source)
    labels = _Labels(image, source.path, crop, flat)
    counts = _label_counts(labels, cropped, comm)
    phase = phase_of_each(counts, image, phases, source.path)
    found = np.bincount([phase[v] for v in counts or {}], list((counts or {}).values()), len(phases))
    voxels = _Phases(labels, Renaming(phase), 1)
    volume = LabelVolume(
        shape=cropped,
        names=tuple(p.name for p in phases),
        voxel_size=sizes.sizes[1:] if flat else sizes.sizes,
        counts=tuple(int(n) for n in found),
        stored_shape=image.shape,
        read=_from_file(voxels, cropped, comm),
        origin=replace(origin, labels=shown_labels(counts or {}, image)),
    )
    return volume if source.coarsen == 1 else _coarsened(volume, voxels, source, comm)


def _coarsened(volume: LabelVolume, voxels: "_Phases", source: ImageSource, comm: "Comm") -> LabelVolume:
    """The volume after the vote in blocks; collective."""
    shape = on_first_rank(comm, partial(coarse_shape, volume.shape, source.coarsen, source.path))
    refuse_one_layer(shape, source, coarse=True)
    coarse = replace(voxels, edge=source.coarsen)
    found = _phase_counts(coarse, shape, len(volume.names), comm)
    refuse_outvoted([int(index) for index in np.flatnonzero(found)], volume.names, source)
    return replace(
        volume,
        shape=shape,
        voxel_size=tuple(h * source.coarsen for h in volume.voxel_size),
        counts=tuple(int(n) for n in found),
        read=_from_file(coarse, shape, comm),
        before=volume,
    )


def _origin(stored: StoredImage, sizes: VoxelSizes, source: ImageSource) -> Origin:
    """Where the image comes from, but for its labels."""
    return Origin(
        path=source.path,
        files=stored.files,
        shape=stored.shape,
        dtype=str(stored.dtype),
        voxel_size=sizes.sizes,
        size_sources=sizes.sources,
        warnings=(*stored.warnings, *sizes.warnings),
    )


def _no_layers(window: Window, step: int) -> Iterator[NDArray[Any]]:
    raise AssertionError("rank 0 has the pixels")


def volume_of(image: LabelImage | None, comm: "Comm") -> LabelVolume:
    """The windows of an image that rank 0 holds, sent from there; collective.

    Args:
        image: On rank 0; not looked at elsewhere.
        comm: All ranks.
    """

    def described() -> LabelVolume | None:
        if image is None:
            return None
        counts = count_values(image.phase) or {}
        return LabelVolume(
            shape=image.phase.shape,
            names=image.names,
            voxel_size=image.voxel_size,
            counts=tuple(counts.get(index, 0) for index in range(len(image.names))),
            stored_shape=image.stored_shape,
            read=_unread,
        )

    volume = on_first_rank(comm, described)
    assert volume is not None  # rank 0 has the image
    phase = image.phase if image is not None and comm.rank == 0 else None
    return replace(volume, read=_from_root(phase, volume.shape, comm))


def whole_on_root(volume: LabelVolume, comm: "Comm") -> LabelImage | None:
    """All of the image on rank 0, None elsewhere; collective."""
    phase = volume.read(volume.whole_window if comm.rank == 0 else volume.empty_window).phase
    return LabelImage(phase, volume.names, volume.voxel_size, volume.stored_shape) if comm.rank == 0 else None


def _unread(window: Window) -> Portion:
    raise AssertionError("the volume has no reader yet")


def _whole(stored: StoredImage | None, source: ImageSource) -> Any:
    assert stored is not None  # on rank 0, where this runs
    return whole_image(stored, _where(source.path))


def _where(path: str) -> str:
    return f"{IMAGE_KEY}: {path}"


# --- labels in the file ---


@dataclass(frozen=True, eq=False)
class _Labels:
    """Values of the cropped image, as whole numbers."""

    stored: StoredImage
    path: str
    crop: Window  # along the axes of the file
    flat: bool  # one layer of a volume, whose first axis the windows don't have

    def pieces(self, window: Window, step: int) -> Iterator[NDArray[Any]]:
        """The values in a window of the cropped image, `step` layers at a time, or all at once where `flat`."""
        inside = ((0, 1), *window) if self.flat else window
        stored = tuple((start + a, start + b) for (start, _), (a, b) in zip(self.crop, inside, strict=True))
        for values in _whole_pieces(self.stored, self.path, stored, step):
            yield values[0] if self.flat else values


def _whole_pieces(stored: StoredImage, path: str, window: Window, step: int) -> Iterator[NDArray[Any]]:
    for piece in stored.layers(window, step):
        yield whole_numbers(piece, _where(path))


def _found_grey(stored: StoredImage, source: ImageSource, comm: "Comm") -> StoredImage:
    """The image, as one of greys where all its colours are; collective.

    What this depends on is the whole image, not the part that the crop leaves.
    """
    if not stored.colour and stored.dtype.kind != "f":
        return stored
    whole = everything(stored.shape)
    mine = (share(stored.shape[0], comm.rank, comm.size), *whole[1:])

    def grey() -> bool:
        pieces = _whole_pieces(stored, source.path, mine, layers_at_once(whole))
        return all(not stored.colour or is_grey(values) for values in pieces)

    if not all(comm.allgather(together(comm, grey))) or not stored.colour:
        return stored
    layers = partial(_grey_layers, stored.layers)
    return replace(stored, dtype=np.dtype(np.uint8), layers=layers, colour=False, palette=GREY_PALETTE)


def _grey_layers(layers: Layers, window: Window, step: int) -> Iterator[Phases]:
    for codes in layers(window, step):
        yield greys(codes)


def _label_counts(labels: _Labels, shape: tuple[int, ...], comm: "Comm") -> dict[int, int] | None:
    """How often each label occurs in the cropped image, None where there are too many; collective."""
    mine = (share(shape[0], comm.rank, comm.size), *everything(shape)[1:])

    def counted() -> dict[int, int] | None:
        total: dict[int, int] = {}
        for piece in labels.pieces(mine, layers_at_once(mine)):
            found = count_values(piece, MOST_LABELS)
            if found is None or len(total.keys() | found) > MOST_LABELS:
                return None
            for label, count in found.items():
                total[label] = total.get(label, 0) + count
        return total

    total: dict[int, int] = {}
    for counts in comm.allgather(together(comm, counted)):
        if counts is None:
            return None
        for label, count in counts.items():
            total[label] = total.get(label, 0) + count
    return dict(sorted(total.items())) if len(total) <= MOST_LABELS else None


# --- phases ---


@dataclass(frozen=True, eq=False)
class _Phases:
    """Phases after the vote in blocks."""

    labels: _Labels
    phase: Renaming  # to the index of each label
    edge: int  # of the blocks, voxels

    def pieces(self, window: Window) -> Iterator[Phases]:
        """Phases in a window, some layers at a time."""
        fine = tuple((self.edge * a, self.edge * b) for a, b in window)
        step = max(1, layers_at_once(fine) // self.edge) * self.edge
        if 0 in lengths(window):
            return
        for values in self.labels.pieces(fine, step):
            yield majority(self.phase(values), self.edge, self.labels.path)

    def read(self, window: Window) -> Portion:
        """Phases in a window."""
        phase = np.empty(lengths(window), np.uint8)
        first = 0
        for piece in self.pieces(window):
            phase[first : first + len(piece)] = piece
            first += len(piece)
        return Portion(phase, window)


def _phase_counts(voxels: _Phases, shape: tuple[int, ...], phases: int, comm: "Comm") -> Numbers:
    """Voxels of each phase in the whole image; collective."""
    mine = (share(shape[0], comm.rank, comm.size), *everything(shape)[1:])

    def counted() -> Numbers:
        total = np.zeros(phases, np.int64)
        for piece in voxels.pieces(mine):
            total += np.bincount(piece.ravel(), minlength=phases)
        return total

    return np.sum(comm.allgather(together(comm, counted)), axis=0)


# --- windows ---


def _from_file(voxels: _Phases, shape: tuple[int, ...], comm: "Comm") -> Callable[[Window], Portion]:
    """Each rank reads its window."""

    def read(window: Window) -> Portion:
        def work() -> Portion:
            _check(window, shape)
            return voxels.read(window)

        return together(comm, work)

    return read


def _from_root(phase: Phases | None, shape: tuple[int, ...], comm: "Comm") -> Callable[[Window], Portion]:
    """Rank 0 sends each window, some layers at a time: it makes no copy of a whole one."""

    def read(window: Window) -> Portion:
        def prepared() -> Phases:
            _check(window, shape)
            return cut(phase, window) if phase is not None else np.empty(lengths(window), np.uint8)

        values = together(comm, prepared)
        windows = comm.gather(window)
        if phase is None or windows is None:
            for part in _messages(window):
                start = window[0][0]
                comm.Recv(values[part[0][0] - start : part[0][1] - start], source=0)
        else:
            for rank, wanted in enumerate(windows[1:], 1):
                for part in _messages(wanted):
                    comm.Send(np.ascontiguousarray(cut(phase, part)), dest=rank)
        return Portion(values, window)

    return read


def _messages(window: Window) -> Iterator[Window]:
    """Parts of a window, each small enough for a message."""
    return parts(window, layers_at_once(window)) if 0 not in lengths(window) else iter(())


def _check(window: Window, shape: tuple[int, ...]) -> None:
    if len(window) != len(shape) or not all(0 <= a <= b <= n for (a, b), n in zip(window, shape, strict=True)):
        raise ValueError(f"the window {window} is not in an image of shape {shape}")
