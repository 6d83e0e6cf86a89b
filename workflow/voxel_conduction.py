"""What the voxels of one phase conduct between opposite faces, straight from the image: no mesh is made."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from mpi4py import MPI

from microlith.imaging.axes import AXES, FACES
from microlith.imaging.errors import InputError
from microlith.imaging.formats.stored import Window
from microlith.imaging.image.passes import Slab as ImageSlab, slab_sum
from microlith.imaging.image.volume import LabelVolume, Portion
from microlith.imaging.microstructure.image_pieces import image_pieces
from microlith.imaging.parallel.large_arrays import connected_sets
from microlith.imaging.parallel.memory import free_memory, shortage
from microlith.imaging.typing import Bits, Numbers
from microlith.solver.conduction.conduction import Conduction
from microlith.solver.cubes.conduction import Shares, cubes_conduction, depth_of
from microlith.solver.cubes.levels import MOST, Slab, layers_of_ranks
from microlith.workflow.case.case import Case
from microlith.workflow.prepare.checks import PAST

BYTES = 170  # per voxel of parts that join two faces, at the peak, with both bounds; on the low side
WAYS = "crop it, use more machines"


def is_for(case: Case, phases: int) -> bool:
    """Whether a case is of this kind: one phase, cubes of degree 1, and no other solver asked for.

    Args:
        case: Its [mesh] and [solver] count.
        phases: How many phases conduct.
    """
    return (
        phases == 1
        and case.mesh.method == "voxel"
        and not case.mesh.file
        and case.mesh.coarseness == 1.0
        and case.degree in (None, 1)
        and case.solver.linear != "mumps"
    )


def voxel_conduction(
    volume: LabelVolume, phase: int, axes: Sequence[str], comm: MPI.Intracomm, bounds: bool, room: int = 1
) -> tuple[Conduction, ...]:
    """Effective diffusivity of a phase of a volume along axes, as of a mesh of its voxels; collective.

    Args:
        volume: The image, 3D.
        phase: Index of the phase.
        axes: Any of "x", "y" and "z".
        comm: All ranks.
        bounds: Whether lower bounds are wanted, too.
        room: How many times the voxels must fit into memory; 0: memory is not looked at.

    Raises:
        InputError: The image can't be read, has more voxels for each rank than can be numbered, or does not fit.
        ArithmeticError: The linear solver gave up.
    """
    voxels = volume.counts[phase]
    depth = depth_of(voxels, volume.shape[0], comm.size)
    counts = slab_sum(volume, comm, partial(_in_layers, volume, phase))
    own = layers_of_ranks(counts, comm.size, depth)[comm.rank]
    _refuse_many(counts, comm.size, depth)
    first, last = _with_blocks_around(own, volume.shape[0], depth)
    window: Window = ((first, last), *volume.whole_window[1:])
    if own[0] == own[1]:
        window = volume.empty_window
    parts = _parts(volume, phase, window, axes, comm)
    if room:
        _refuse_too_large(parts.bits[own[0] - first : own[1] - first], room, comm)
    whole = volume.shape[0], volume.shape[1], volume.shape[2]
    x, y, z = volume.pixel
    return cubes_conduction(
        Slab(parts.bits, whole, window[0][0], own if own[0] < own[1] else (0, 0)),
        Shares(voxels / float(np.prod(volume.shape)), parts.joining),
        (x, y, z),
        axes,
        depth,
        comm,
        bounds,
    )


def _with_blocks_around(own: tuple[int, int], layers: int, depth: int) -> tuple[int, int]:
    """Layers [first, last) that a rank looks at."""
    return max(0, own[0] - (1 << depth)), min(layers, own[1] + (1 << depth))


def _refuse_many(counts: Numbers, ranks: int, depth: int) -> None:
    """Refuse more voxels of the phase on one rank than there are numbers for; the same on all ranks.

    Args:
        counts: Voxels of the phase in each layer.
        ranks: How many there are.
        depth: Levels beyond the finest one.

    Raises:
        InputError: It is so.
    """
    windows = [_with_blocks_around(own, len(counts), depth) for own in layers_of_ranks(counts, ranks, depth)]
    largest = max(int(counts[slice(*window)].sum()) for window in windows)
    if largest > MOST:
        raise InputError(
            f'[mesh] method = "voxel": a rank would have {largest:,} voxels of the phase, expected at most {MOST:,}; '
            "start more ranks (mpirun -n), or coarsen the image ([image] coarsen)"
        )


def _refuse_too_large(own: Bits, room: int, comm: MPI.Intracomm) -> None:
    """Refuse voxels that would not fit into memory; collective.

    Args:
        own: Those of this rank; not 0 where they conduct.
        room: How many times they must fit.
        comm: All ranks.

    Raises:
        InputError: As said, with what would fit.
    """
    needed, memory = BYTES * room * float(comm.allreduce(int(np.count_nonzero(own)))), free_memory(comm)
    if needed > memory:
        what = "voxels of the phase" if room == 1 else "voxels of half the edge"
        raise InputError(f"[mesh] {shortage(what, needed, memory)}{coarsen_words(needed / memory, 3)}, {WAYS}, {PAST}")


def coarsen_words(excess: float, dim: int) -> str:
    """What [image] coarsen would have to be, in words.

    Args:
        excess: How many times the memory that is free the image takes so.
        dim: Of the image.
    """
    return f"coarsen the image ({math.ceil(excess ** (1 / dim))} times as much as now, by [image] coarsen, would fit)"


@dataclass(frozen=True, eq=False)
class _Parts:
    """Connected parts of a phase in a window of the image, and of all of it."""

    bits: Bits  # (z, y, x) of the window: bit k where the voxel's part joins the faces across axis k
    joining: tuple[float, float, float]  # share of the phase in parts that join the faces across x, y and z


def _parts(volume: LabelVolume, phase: int, window: Window, axes: Sequence[str], comm: MPI.Intracomm) -> _Parts:
    """Find which parts of a phase join opposite faces; collective."""
    voxels = volume.counts[phase]
    rest = int(np.prod(volume.shape)) - voxels
    two = replace(volume, names=("other", "it"), counts=(rest, voxels), read=partial(_only, volume, phase), periodic=())
    here, slab = image_pieces(two, window, comm)
    of_phase, sizes, faces = (np.concatenate(comm.allgather(part)) for part in (slab.phase, slab.voxels, slab.faces))
    count, part_of = connected_sets(np.concatenate(comm.allgather(slab.links)), len(of_phase))
    reached = np.zeros(count, np.uint8)
    np.bitwise_or.at(reached, part_of, faces)
    bits = np.zeros(count, np.uint8)
    for axis in axes:
        both = [reached >> FACES.index(f"{axis}_{end}") & 1 for end in ("min", "max")]
        bits[(both[0] & both[1]) == 1] |= np.uint8(1 << AXES.index(axis))
    of_piece = bits[part_of] * (of_phase == 1)
    joined = [float(sizes[of_piece >> axis & 1 == 1].sum()) / max(1, voxels) for axis in range(3)]
    return _Parts(of_piece[here.number][here.label], (joined[0], joined[1], joined[2]))


def _only(volume: LabelVolume, phase: int, window: Window) -> Portion:
    """1 where there is the phase, and 0 elsewhere; collective."""
    portion = volume.read(window)
    return Portion((portion.phase == phase).astype(np.uint8), portion.window)


def _in_layers(volume: LabelVolume, phase: int, slab: ImageSlab) -> Numbers:
    """Voxels of a phase in each layer of the image, of those of a slab."""
    counts = np.zeros(volume.shape[0], np.int64)
    if not slab.empty:
        counts[slice(*slab.layers)] = np.count_nonzero(slab.inner == phase, axis=(1, 2))
    return counts
