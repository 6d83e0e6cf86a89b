"""Parts of an image so thin that smoothing and coarse cells would lose them."""

from collections.abc import Sequence
from functools import partial
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from microlith.imaging.image.passes import Slab, slab_sum
from microlith.imaging.image.volume import LabelVolume
from microlith.imaging.typing import Flags, Numbers, Phases
from microlith.meshing.lattice.voxel_fields import on_borders

if TYPE_CHECKING:
    from mpi4py.MPI import Comm

FAR = 2.3  # voxels: in a part of three or more voxels, one without a face to another phase is that near
REACH = 4  # voxels on each side on which the verdict on a voxel depends


def thin_voxels(phase: Phases) -> Flags:
    """Voxels in parts of at most two voxels' thickness: all within FAR of them is at a border, or in another phase.

    Args:
        phase: Phases of the voxels, ([z,] y, x).
    """
    border = on_borders(phase)
    inner = np.pad(np.where(border, 0, phase.astype(np.int16) + 1), 2, mode="edge").ravel()
    steps = _steps(tuple(n + 4 for n in phase.shape))
    left = np.flatnonzero(border)
    at = _padded(left, phase.shape, 2) @ steps
    own = phase.ravel()[left].astype(np.int16) + 1
    offsets = [o for o in product(range(-2, 3), repeat=phase.ndim) if 0 < np.dot(o, o) <= FAR**2]
    for offset in sorted(offsets, key=lambda o: int(np.dot(o, o))):
        apart = inner[at + int(np.dot(offset, steps))] != own
        left, at, own = left[apart], at[apart], own[apart]
    result = np.zeros(phase.size, bool)
    result[left] = True
    return result.reshape(phase.shape)


def thin_share(volume: LabelVolume, phases: Sequence[int], comm: "Comm") -> float:
    """Share of the voxels of some phases that lie in parts of at most two voxels' thickness; collective.

    Args:
        volume: The image.
        phases: Their indices; what several of them fill side by side counts as theirs each.
        comm: All ranks.
    """
    thin = int(slab_sum(volume, comm, partial(_count_thin, phases), halo=(REACH, REACH))[0])
    return thin / max(1, sum(volume.counts[phase] for phase in phases))


def _count_thin(phases: Sequence[int], slab: Slab) -> Numbers:
    """How many voxels of the phases are thin, (1,)."""
    if slab.empty:
        return np.zeros(1, np.int64)
    return np.array([np.count_nonzero(thin_voxels(slab.phase)[slab.own] & np.isin(slab.inner, phases))])


def critical_voxels(phase: Phases, among: Flags) -> Flags:
    """Thin voxels without which a part would fall apart, be pierced, or vanish.

    That is where the voxel's phase in its neighbourhood, or all else there, is not one piece (no simple point: G.
    Bertrand, Simple points, topological numbers and geodesic neighborhoods in cubic grids, Pattern Recognit. Lett. 15
    (1994) 1003), or where the voxel has hardly a face to its own phase.

    Args:
        phase: Phases of the voxels, ([z,] y, x).
        among: What `thin_voxels` says of them.
    """
    dim = phase.ndim
    padded = np.pad(phase.astype(np.int16), 1, constant_values=-1).ravel()
    steps = _steps(tuple(n + 2 for n in phase.shape))
    chosen = np.flatnonzero(among)
    at = _padded(chosen, phase.shape, 1) @ steps
    offsets = np.array([o for o in product((-1, 0, 1), repeat=dim) if any(o)])
    around = padded[at[:, None] + offsets @ steps]
    own = phase.ravel()[chosen].astype(np.int16)[:, None]
    same = around == own
    other = ~same & (around >= 0)  # nothing is known beyond the image

    span = np.abs(offsets).sum(axis=1)
    apart = np.abs(offsets[:, None] - offsets[None])
    by_face = apart.sum(axis=2) == 1
    near = span < 3  # two steps by faces around the voxel stay here
    pieces = _pieces(same & near, by_face & near & near[:, None], span == 1)
    holes = _pieces(other, apart.max(axis=2) == 1, span > 0)
    faces = (same & (span == 1)).sum(axis=1)
    result = np.zeros(phase.size, bool)
    result[chosen[(pieces != 1) | (holes > 1) | (faces < dim)]] = True
    return result.reshape(phase.shape)


def _pieces(inside: Flags, joined: Flags, touching: Flags) -> Numbers:
    """Number of pieces (n,) of the neighbours `inside` (n, k) that touch the voxel, with one of `touching` (k,).

    `joined` (k, k) says which neighbours are neighbours.
    """
    count = inside.shape[1]
    label = np.where(inside, np.arange(1, count + 1, dtype=np.int8), np.int8(0))
    links = [np.flatnonzero(row) for row in joined]
    while True:
        before = label.copy()
        for place, link in enumerate(links):
            if len(link):
                best = np.maximum(label[:, place], label[:, link].max(axis=1))
                label[:, place] = np.where(inside[:, place], best, 0)
        if np.array_equal(before, label):
            break
    heads = np.zeros((len(label), count + 1), bool)
    for place in np.flatnonzero(touching):
        heads[np.arange(len(label)), label[:, place]] = True
    return np.asarray(heads[:, 1:].sum(axis=1))


def _steps(shape: tuple[int, ...]) -> Numbers:
    """Distance in memory of neighbours along each axis of an array."""
    return np.array([int(np.prod(shape[i + 1 :])) for i in range(len(shape))], np.int64)


def _padded(flat: Numbers, shape: tuple[int, ...], width: int) -> Numbers:
    """Indices (n, dim) in an array padded by `width` of the flat indices in one of `shape`."""
    return np.stack(np.unravel_index(flat, shape), axis=1) + width
