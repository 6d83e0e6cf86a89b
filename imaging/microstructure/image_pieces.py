"""Connected pieces of the phases of an image that is spread over ranks."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from mpi4py import MPI

from microlith.imaging.axes import FACES, face_axis
from microlith.imaging.formats.stored import Window
from microlith.imaging.image.passes import share, slabs
from microlith.imaging.image.volume import LabelVolume
from microlith.imaging.parallel.large_arrays import VALUES_AT_ONCE, connected_sets, unique_pairs
from microlith.imaging.parallel.row_exchange import RowExchange
from microlith.imaging.typing import Bits, Indices, Numbers, Phases


@dataclass(frozen=True, eq=False)
class WindowPieces:
    """The pieces of an image in a window of it."""

    phase: Phases  # ([z,] y, x) of each voxel of the window
    label: Indices  # ([z,] y, x) row of `number`
    number: Numbers  # (k,) of the piece, among the pieces of all slabs


@dataclass(frozen=True, eq=False)
class SlabPieces:
    """The pieces of a slab of an image; numbered on through the slabs of all ranks."""

    phase: Phases  # (n,)
    first: Numbers  # (n,) place of its first voxel in the whole image, flattened
    voxels: Numbers  # (n,) its size within the slab
    faces: Bits  # (n,) outer faces at which it has voxels: bit i for FACES[i]
    links: Numbers  # (k, 2) numbers that stand for one piece
    across: Indices  # (k, dim) of each link, x first: periods from where the first has voxels to where the second has


@dataclass(frozen=True, eq=False)
class LabelledSlab:
    """The layers that one rank counts, labelled."""

    phase: Phases  # ([z,] y, x) of the slab and of the layer after it, where there is one
    label: Indices  # ([z,] y, x) of the same: piece of each voxel, counted from 0 on this rank
    start: int  # of the numbers of this rank's pieces
    layers: tuple[int, int]  # of the slab, without the one after it
    pieces: SlabPieces


def label_pieces(phase: Phases) -> tuple[Indices, int]:
    """Number of the piece of each voxel, counted from 0, and of pieces; neighbours share a face (an edge in 2D)."""
    label = np.empty(phase.shape, np.int32)
    if phase.size == 0:
        return label, 0
    rows = max(1, 4 * VALUES_AT_ONCE * phase.shape[0] // phase.size)
    count, links = 0, []
    for first in range(0, len(phase), rows):
        part = phase[first : first + rows]
        into = label[first : first + rows]
        for value in np.flatnonzero(np.bincount(part.ravel(), minlength=1)):
            mine = part == value
            found, number = ndimage.label(mine)
            np.copyto(into, found + np.int32(count - 1), where=mine)
            count += number
        if first:
            same = phase[first] == phase[first - 1]
            links.append(unique_pairs(label[first - 1][same], label[first][same]))
    if links:
        count, new = connected_sets(np.concatenate(links), count)
        for first in range(0, len(phase), rows):
            label[first : first + rows] = new[label[first : first + rows]]
    return label, count


def image_pieces(volume: LabelVolume, window: Window, comm: MPI.Intracomm) -> tuple[WindowPieces, SlabPieces]:
    """Connected pieces of the whole image, and those that a window of it shows; collective.

    Each rank labels its window and a slab of the image; only labels at the borders of slabs, and one voxel of each
    piece in the window, travel.

    Args:
        volume: The image.
        window: What this rank wants to know the pieces of.
        comm: All ranks.
    """
    if comm.size == 1 and window == volume.whole_window:
        found = labelled_slab(volume, comm)
        return WindowPieces(found.phase, found.label, np.arange(len(found.pieces.phase))), found.pieces
    phase = volume.read(window).phase
    label, count = label_pieces(phase)
    found = labelled_slab(volume, comm)
    return WindowPieces(phase, label, _numbers(volume, window, label, count, found, comm)), found.pieces


def labelled_slab(volume: LabelVolume, comm: MPI.Intracomm) -> LabelledSlab:
    """Label the layers that this rank counts, and link their pieces to those of the next slab; collective."""
    (slab,) = slabs(volume, comm, halo=(0, 1), at_once=True)
    phase, (first, last) = slab.phase, slab.layers
    label, count = label_pieces(phase)
    counted = _slab_pieces(volume, phase, label, count, first, last)
    counts = np.array(comm.allgather(count), np.int64)
    start = int(counts[: comm.rank].sum())
    links = [_links_to_next(volume, label, start, (first, last), comm)]
    across = [np.zeros((len(links[0]), volume.dim), np.int32)]
    found = LabelledSlab(phase, label, start, (first, last), counted)
    for axis in volume.periodic:
        links.append(_links_around(volume, found, axis, comm))
        across.append(np.zeros((len(links[-1]), volume.dim), np.int32))
        across[-1][:, axis] = 1
    return replace(found, pieces=replace(counted, links=np.concatenate(links), across=np.concatenate(across)))


def _slab_pieces(volume: LabelVolume, phase: Phases, label: Indices, count: int, start: int, end: int) -> SlabPieces:
    """The pieces of layers `start` to `end`; `phase` and `label` begin there and may go on beyond."""
    layer = int(np.prod(volume.shape[1:]))
    # A piece that begins beyond the end counts nothing, and is another rank's first.
    voxels = np.bincount(label[: end - start].ravel(), minlength=count)
    first = _first_voxels(label, count)
    of = phase.ravel()[first] if count else np.empty(0, np.uint8)
    faces = _faces_of_pieces(volume, label[: end - start], count, (start, end))
    none = np.empty((0, 2), np.int64), np.empty((0, volume.dim), np.int32)
    return SlabPieces(of, first + start * layer, voxels, faces, *none)


def _faces_of_pieces(volume: LabelVolume, label: Indices, count: int, layers: tuple[int, int]) -> Bits:
    """Bits (count,) of the outer faces at which each piece has voxels in these layers."""
    faces = np.zeros(count, np.uint8)
    for bit, face in enumerate(FACES[: 2 * volume.dim]):
        axis, upper = face_axis(face, volume.dim)
        if len(label) and (axis > 0 or layers[upper] == (volume.shape[0] if upper else 0)):
            faces[np.take(label, -1 if upper else 0, axis=axis)] |= np.uint8(1 << bit)
    return faces


def _first_voxels(label: Indices, count: int) -> Numbers:
    """Place in the flattened array of the first voxel of each piece."""
    first = np.empty(count, np.int64)
    flat = label.ravel()
    for end in range(len(flat), 0, -VALUES_AT_ONCE):  # backwards, so that the first one is written last
        begin = max(0, end - VALUES_AT_ONCE)
        first[flat[begin:end][::-1]] = np.arange(end - 1, begin - 1, -1)
    return first


def _links_to_next(
    volume: LabelVolume, label: Indices, start: int, ends: tuple[int, int], comm: MPI.Intracomm
) -> Numbers:
    """Pairs of numbers of one piece, in the extra layer of this slab and in the slab that begins with that layer."""
    first, last = ends
    parcels: list[Numbers | None] = [None] * comm.size
    if last > first > 0:
        parcels[_owner(volume, np.array([first - 1]), comm.size)[0]] = label[0] + np.int64(start)
    arrived = [parcel for parcel in comm.alltoall(parcels) if parcel is not None]
    if not arrived:
        return np.empty((0, 2), np.int64)
    (theirs,) = arrived
    return np.unique(np.stack([label[-1].ravel() + np.int64(start), theirs.ravel()], axis=1), axis=0)


def opposite_ends(
    volume: LabelVolume, values: NDArray[Any], layers: tuple[int, int], axis: int, comm: MPI.Intracomm
) -> tuple[NDArray[Any], NDArray[Any]]:
    """What slabs hold at the lower and the upper end of an axis, to be taken side by side; collective.

    Along the first axis of the array the rank that has the lower end gets both; the others get nothing.

    Args:
        volume: The image.
        values: ([z,] y, x) of this rank's slab; layers after it may follow.
        layers: Of the slab.
        axis: x first.
        comm: All ranks.
    """
    own, at = values[: layers[1] - layers[0]], volume.dim - 1 - axis
    if at:
        return np.take(own, 0, axis=at), np.take(own, -1, axis=at)
    parcels: list[NDArray[Any] | None] = [None] * comm.size
    if len(own) and layers[1] == volume.shape[0]:
        parcels[_owner(volume, np.array([0]), comm.size)[0]] = own[-1]
    arrived = [parcel for parcel in comm.alltoall(parcels) if parcel is not None]
    return (own[0], arrived[0]) if arrived else (own[:0], own[:0])


def _links_around(volume: LabelVolume, found: LabelledSlab, axis: int, comm: MPI.Intracomm) -> Numbers:
    """Pairs of numbers of one piece, at the upper end of a periodic axis and at its lower one; collective."""
    low, high = opposite_ends(volume, found.label + np.int64(found.start), found.layers, axis, comm)
    below, above = opposite_ends(volume, found.phase, found.layers, axis, comm)
    return np.unique(np.stack([high[above == below], low[above == below]], axis=1), axis=0)


def _owner(volume: LabelVolume, layers: Numbers, size: int) -> Numbers:
    """Rank whose slab holds each layer of the first axis."""
    ends = np.array([share(volume.shape[0], rank, size)[1] for rank in range(size)])
    return np.searchsorted(ends, layers, side="right")


def _numbers(
    volume: LabelVolume,
    window: Window,
    label: Indices,
    count: int,
    found: LabelledSlab,
    comm: MPI.Intracomm,
) -> Numbers:
    """The pieces of the window in the numbers of the slabs, by asking the owner of a voxel of each."""
    place = np.unravel_index(_first_voxels(label, count), label.shape) if count else ()
    voxel = np.array([p + low for p, (low, _) in zip(place, window, strict=True)]) if count else np.empty((0, 0))
    flat = np.ravel_multi_index(tuple(voxel), volume.shape) if count else np.empty(0, np.int64)
    return ask_owners(volume, flat, lambda places: found.label.ravel()[places] + np.int64(found.start), comm)


def ask_owners(
    volume: LabelVolume, voxels: Numbers, answer: Callable[[Numbers], NDArray[Any]], comm: MPI.Intracomm
) -> NDArray[Any]:
    """What the ranks that count them know of voxels; collective.

    Args:
        volume: The image.
        voxels: (n,) places in the whole image, flattened.
        answer: From places (m,) in this rank's slab, flattened, to what is known of each, (m,).
        comm: All ranks.
    """
    layer = int(np.prod(volume.shape[1:]))
    route = RowExchange(_owner(volume, voxels // layer, comm.size), comm)
    return route.answer(answer(route.send(voxels) - share(volume.shape[0], comm.rank, comm.size)[0] * layer))
