"""Which voxels of a phase are connected to an outer face of an image that is spread over ranks."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mpi4py import MPI

from microlith.imaging.axes import AXES, face_axis
from microlith.imaging.errors import InputError
from microlith.imaging.formats.stored import Window
from microlith.imaging.image.labels import MOST_PHASES
from microlith.imaging.image.passes import share
from microlith.imaging.image.volume import LabelVolume, Portion
from microlith.imaging.microstructure.image_pieces import LabelledSlab, labelled_slab
from microlith.imaging.parallel.large_arrays import connected_sets
from microlith.imaging.typing import Bits, Flags, Numbers, Phases

NOT_CONNECTED = " (not connected)"  # what the name of a phase gets where it is cut off; the blanks keep it distinct


@dataclass(frozen=True, eq=False)
class Percolation:
    """An image whose phases are split into what percolates from an outer face and the rest."""

    volume: LabelVolume  # the rest of each phase that has one is a further phase, "NAME (not connected)"
    rest_of: tuple[int, ...]  # index of the phase that each of the further phases is split from
    connected: dict[int, float]  # phase index -> share of its voxels that percolates


def percolation(volume: LabelVolume, faces: Mapping[int, str], comm: MPI.Intracomm) -> Percolation:
    """Split phases into what is connected to an outer face and the rest; collective.

    Neighbours are pixels that share an edge, voxels that share a face. Each rank labels a slab of the image; only what
    pieces at the borders of slabs are joined to travels, and later one bit for each voxel of the windows asked for.

    Args:
        volume: The image.
        faces: Phase index -> outer face, "x_min" and the like.
        comm: All ranks.

    Raises:
        InputError: An axis is not the image's, no voxel of a phase lies at its face, or there are more than 255 phases
            with those split off; on all ranks.
    """
    for index, face in faces.items():
        if face[0] not in AXES[: volume.dim]:
            raise InputError(
                f'{_key(volume, index)}: there is no face "{face}" in 2D; take x_min, x_max, y_min or y_max'
            )
    labelled = labelled_slab(volume, comm)
    fed = _fed(labelled, _at_faces(labelled, volume, faces), comm)
    layers = labelled.layers[1] - labelled.layers[0]
    phase, label = labelled.phase[:layers], labelled.label[:layers]
    pieces = labelled.pieces
    mine = [pieces.voxels[(pieces.phase == index) & ~fed].sum() for index in range(len(volume.names))]
    cut = comm.allreduce(np.array(mine, np.int64))
    for index, face in faces.items():
        if cut[index] == volume.counts[index]:
            kind = "pixel" if volume.dim == 2 else "voxel"
            raise InputError(
                f"{_key(volume, index)}: no {kind} of {volume.names[index]} lies at the face {face}, so all of it "
                "would be cut off; choose another face or leave the key out"
            )
    rest_of = tuple(index for index in faces if cut[index])
    if len(volume.names) + len(rest_of) > MOST_PHASES:
        raise InputError(
            f"[phases]: expected at most {MOST_PHASES} phases with those that connected_to splits off, got "
            f"{len(volume.names) + len(rest_of)}; join those of one role"
        )
    shares = {index: 1.0 - float(cut[index]) / volume.counts[index] for index in faces}
    if not rest_of:
        return Percolation(volume, (), shares)
    new = np.arange(len(volume.names), dtype=np.uint8)
    new[list(rest_of)] = len(volume.names) + np.arange(len(rest_of))
    off = np.isin(phase, rest_of) & ~fed[label]
    counts = np.array([*volume.counts, *(cut[index] for index in rest_of)])
    counts[list(rest_of)] -= cut[list(rest_of)]
    split = replace(
        volume,
        names=(*volume.names, *(volume.names[index] + NOT_CONNECTED for index in rest_of)),
        counts=tuple(int(n) for n in counts),
        read=_renaming(volume, np.packbits(off.reshape(layers, math.prod(volume.shape[1:])), axis=1), new, comm),
    )
    return Percolation(split, rest_of, shares)


def _key(volume: LabelVolume, index: int) -> str:
    return f"[phases.{volume.names[index]}] connected_to"


def _at_faces(labelled: LabelledSlab, volume: LabelVolume, faces: Mapping[int, str]) -> Numbers:
    """Pieces of this rank, in the numbers of all, that lie at the face of their phase."""
    first, last = labelled.layers
    found = [np.empty(0, np.int64)]
    for index, face in faces.items():
        axis, upper = face_axis(face, volume.dim)
        if first == last or (axis == 0 and (last < volume.shape[0] if upper else first > 0)):
            continue
        own = slice(0, last - first)
        phase, label = (np.take(part[own], -1 if upper else 0, axis=axis) for part in (labelled.phase, labelled.label))
        found.append(np.unique(label[phase == index]) + np.int64(labelled.start))
    return np.concatenate(found)


def _fed(labelled: LabelledSlab, seeds: Numbers, comm: MPI.Intracomm) -> Flags:
    """Which of this rank's pieces are connected to seeds of any rank; collective."""
    counts = np.array(comm.allgather(len(labelled.pieces.phase)), np.int64)
    ends = np.cumsum(counts)
    tables = comm.gather((labelled.pieces.links, seeds))
    parcels = None
    if tables is not None:
        links, planted = (np.concatenate(columns) for columns in zip(*tables, strict=True))
        # Only pieces that cross a border of slabs need be known here.
        known, place = np.unique(np.concatenate([links.ravel(), planted]), return_inverse=True)
        place = place.ravel()
        count, set_of = connected_sets(place[: links.size].reshape(-1, 2), len(known))
        is_fed = np.zeros(count, bool)
        is_fed[set_of[place[links.size :]]] = True
        fed = known[is_fed[set_of]]
        parcels = [fed[(fed >= end - n) & (fed < end)] for n, end in zip(counts, ends, strict=True)]
    mine = comm.scatter(parcels)
    flags = np.zeros(len(labelled.pieces.phase), bool)
    flags[mine - labelled.start] = True
    return flags


def _renaming(
    volume: LabelVolume, off: Bits, new: NDArray[np.uint8], comm: MPI.Intracomm
) -> Callable[[Window], Portion]:
    """A reader of windows in which some voxels have new phases.

    Args:
        volume: The image.
        off: (layers, bytes) of this rank's slab, a bit for each voxel: whether it gets its new phase.
        new: (phases,) the new phase of each.
        comm: All ranks.
    """
    slabs = [share(volume.shape[0], rank, comm.size) for rank in range(comm.size)]
    first = slabs[comm.rank][0]
    rest = volume.shape[1:]
    voxels = math.prod(rest)

    def bits(window: Window) -> Bits | None:
        """What this rank knows of a window."""
        low, high = _common(window[0], slabs[comm.rank])
        if low >= high or any(a == b for a, b in window):
            return None
        return off[low - first : high - first]

    def renamed(phase: Phases, window: Window, parcels: list[Bits | None]) -> None:
        start, inside = window[0][0], tuple(slice(*ends) for ends in window[1:])
        for layers, parcel in zip(slabs, parcels, strict=True):
            if parcel is not None:
                low, _ = _common(window[0], layers)
                for i, row in enumerate(parcel, low - start):
                    moved = np.unpackbits(row, count=voxels).reshape(rest)[inside].astype(bool)
                    phase[i][moved] = new[phase[i][moved]]

    def read(window: Window) -> Portion:
        portion = volume.read(window)
        windows = comm.allgather(window)
        parcels = comm.alltoall([bits(wanted) for wanted in windows])
        phase = portion.phase if portion.phase.flags.owndata else portion.phase.copy()  # not into the image itself
        renamed(phase, window, parcels)
        return replace(portion, phase=phase)

    return read


def _common(one: tuple[int, int], other: tuple[int, int]) -> tuple[int, int]:
    return max(one[0], other[0]), min(one[1], other[1])
