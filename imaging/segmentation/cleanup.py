"""Clean-up of labels, each step counted: opening, closing, small pieces, holes, and pores that no face reaches.

A volume of labels is cleaned as a whole by one rank, since a piece may go through all of it; of several volumes each
rank takes some. Voxels are neighbours where they share a face (in 2D an edge).
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from microlith.imaging.axes import face_axis, neighbours
from microlith.imaging.parallel.collective import together
from microlith.imaging.segmentation.options import CleanupOptions
from microlith.imaging.typing import Flags, Numbers, Phases
from microlith.imaging.volumes.disk_volumes import DiskVolume, Workshop

NOBODY = np.uint8(255)
BYTES = 14  # a voxel, on the rank that cleans: labels, pieces, and distances in between


@dataclass(frozen=True)
class Step:
    """What one step changed."""

    step: str
    phase: str
    pieces: int | None  # None: the step knows none
    voxels: int


@dataclass(frozen=True, eq=False)
class _Pieces:
    """Connected pieces of all phases."""

    number: NDArray[Any]  # ([z,] y, x) from 0
    phase: Numbers  # (n,)
    voxels: Numbers  # (n,)

    def faces_of(self, wanted: Flags, phases: int) -> Numbers:
        """Faces (n, phases) of the wanted pieces to voxels of each phase that belong to no wanted piece."""
        found = np.zeros((len(self.phase), phases), np.int64)
        for axis in range(self.number.ndim):
            low, high = neighbours(axis)
            for one, other in ((low, high), (high, low)):
                here, there = self.number[one], self.number[other]
                place = wanted[here] & ~wanted[there]
                key = here[place].astype(np.int64) * phases + self.phase[there[place]]
                found += np.bincount(key, minlength=found.size).reshape(found.shape)
        return found

    def at(self, face: str) -> Flags:
        """(n,) which have voxels at an outer face of the image."""
        axis, upper = face_axis(face, self.number.ndim)
        there = np.zeros(len(self.phase), bool)
        there[np.unique(np.take(self.number, -1 if upper else 0, axis=axis))] = True
        return there


def _pieces(labels: Phases) -> _Pieces:
    import cc3d

    number, count = cc3d.connected_components(
        labels + np.uint8(1), connectivity=6 if labels.ndim == 3 else 4, return_N=True
    )
    number = number - number.dtype.type(1)
    first = np.zeros(count, np.int64)
    flat = number.ravel()
    first[flat] = labels.ravel()
    return _Pieces(number, first, np.bincount(flat, minlength=count))


def cleaned_all(
    volumes: list[DiskVolume],
    options: CleanupOptions,
    phases: tuple[str, ...],
    dim: int,
    voxel_size: tuple[float, float, float],
    workshop: Workshop,
) -> list[tuple[Step, ...]]:
    """Clean volumes of labels in their files; collective, each rank takes some of them.

    Args:
        volumes: Of indices of phases.
        options: What is done.
        phases: Their names.
        dim: Of the image.
        voxel_size: m, (z, y, x).
        workshop: The ranks.

    Returns:
        What was changed in each.
    """
    comm = workshop.comm

    def work() -> dict[int, tuple[Step, ...]]:
        done = {}
        for number in range(comm.rank, len(volumes), comm.size):
            values = volumes[number].values(writable=True)
            labels = np.array(values if dim == 3 else values[0])
            done[number] = cleaned(labels, options, phases, voxel_size[-dim:])
            values[...] = labels
            values.flush()  # type: ignore[attr-defined]
        return done

    found: dict[int, tuple[Step, ...]] = {}
    for of_rank in comm.allgather(together(comm, work)):
        found |= of_rank
    return [found[number] for number in range(len(volumes))]


def cleaned(
    labels: Phases, options: CleanupOptions, phases: tuple[str, ...], voxel_size: tuple[float, ...]
) -> tuple[Step, ...]:
    """Clean labels in place.

    Args:
        labels: ([z,] y, x) indices of phases.
        options: What is done.
        phases: Their names.
        voxel_size: m, of the axes of `labels`.
    """
    own = _Labels(labels, phases, voxel_size)
    return tuple(step for what in (_opening, _closing, _small, _holes, _unreached) for step in what(own, options))


@dataclass(frozen=True, eq=False)
class _Labels:
    labels: Phases
    phases: tuple[str, ...]
    voxel_size: tuple[float, ...]  # m, of the axes of `labels`

    def index(self, name: str) -> int:
        return self.phases.index(name)

    def changed(self, step: str, phase: str, work: Callable[[], int | None]) -> Step:
        """Do a step and count what it changed."""
        before = self.labels.copy()
        pieces = work()
        return Step(step, phase, pieces, int(np.count_nonzero(before != self.labels)))


def _opening(own: _Labels, options: CleanupOptions) -> list[Step]:
    def work(phase: int, radius: float) -> None:
        labels = own.labels
        mask = labels == phase
        gone = mask & ~_grown(_shrunk(mask, radius), radius)
        _filled(labels, gone, phase)

    return [own.changed("opening", name, partial(work, own.index(name), r)) for name, r in options.opening.items()]


def _closing(own: _Labels, options: CleanupOptions) -> list[Step]:
    def work(phase: int, radius: float) -> None:
        mask = own.labels == phase
        own.labels[_shrunk(_grown(mask, radius), radius)] = phase

    return [own.changed("closing", name, partial(work, own.index(name), r)) for name, r in options.closing.items()]


def _shrunk(mask: Flags, radius: float) -> Flags:
    """Voxels of the mask farther than the radius from all that is not in it; beyond the image all is as at its edge."""
    import edt

    if mask.all():
        return mask
    return edt.edt(np.ascontiguousarray(mask.astype(np.uint8)), black_border=False) > radius


def _grown(mask: Flags, radius: float) -> Flags:
    import edt

    if not mask.any():
        return mask
    return edt.edt(np.ascontiguousarray((~mask).astype(np.uint8)), black_border=False) <= radius


def _filled(labels: Phases, gone: Flags, phase: int) -> None:
    """Give voxels to the phases beside them, from the outside in; those that nothing else is beside stay."""
    labels[gone] = NOBODY
    while True:
        taken = np.full(labels.shape, NOBODY)
        for axis in range(labels.ndim):
            low, high = neighbours(axis)
            for here, there in ((low, high), (high, low)):
                claim = np.where(labels[there] == phase, NOBODY, labels[there])
                np.minimum(taken[here], claim, out=taken[here])
        new = (labels == NOBODY) & (taken != NOBODY)
        if not new.any():
            break
        labels[new] = taken[new]
    labels[labels == NOBODY] = phase


def _small(own: _Labels, options: CleanupOptions) -> list[Step]:
    def work(name: str, least: float) -> int:
        pieces = _pieces(own.labels)
        wanted = (pieces.phase == own.index(name)) & (pieces.voxels < least)
        return _given_away(own, pieces, wanted)

    return [
        own.changed("small pieces", name, partial(work, name, size.voxels(own.voxel_size)))
        for name, size in options.pieces.items()
    ]


def _holes(own: _Labels, options: CleanupOptions) -> list[Step]:
    """Pieces that lie wholly within one phase."""

    def work(name: str, most: float) -> int:
        pieces = _pieces(own.labels)
        phase = own.index(name)
        wanted = (pieces.phase != phase) & (pieces.voxels < most) & ~_at_any_face(pieces)
        faces = pieces.faces_of(wanted, len(own.phases))
        others = faces.sum(axis=1) - faces[:, phase]
        return _given_away(own, pieces, wanted & (faces[:, phase] > 0) & (others == 0))

    return [
        own.changed("holes", name, partial(work, name, size.voxels(own.voxel_size)))
        for name, size in options.holes.items()
    ]


def _unreached(own: _Labels, options: CleanupOptions) -> list[Step]:
    def work(name: str, faces: tuple[str, ...]) -> int:
        pieces = _pieces(own.labels)
        reached = np.any([pieces.at(face) for face in faces], axis=0) if faces else _at_any_face(pieces)
        return _given_away(own, pieces, (pieces.phase == own.index(name)) & ~reached)

    return [own.changed("not reached", name, partial(work, name, faces)) for name, faces in options.unreached.items()]


def _at_any_face(pieces: _Pieces) -> Flags:
    axes = "xyz"[: pieces.number.ndim]
    return np.any([pieces.at(f"{axis}_{end}") for axis in axes for end in ("min", "max")], axis=0)


def _given_away(own: _Labels, pieces: _Pieces, wanted: Flags) -> int:
    """Give pieces to the phase that has most of the faces around them; how many had one."""
    faces = pieces.faces_of(wanted, len(own.phases))
    found = wanted & (faces.sum(axis=1) > 0)
    new = np.where(found, faces.argmax(axis=1), pieces.phase).astype(np.uint8)
    own.labels[...] = new[pieces.number]
    return int(found.sum())
