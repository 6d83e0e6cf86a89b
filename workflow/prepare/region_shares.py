"""How much of a region each phase has, as the voxels tell: what is solved for, and how phases share that."""

import math
from collections.abc import Mapping, Sequence
from itertools import product

import edt
import numpy as np

from mpi4py import MPI

from microlith.imaging.image.passes import Slab, slab_sum, slabs
from microlith.imaging.image.repeated import repeated
from microlith.imaging.image.volume import LabelVolume
from microlith.imaging.typing import Array, Flags, Numbers
from microlith.solver.regions.shapes import Body, Box, Region, Shape, Shell
from microlith.workflow.case.case import Case

ROUNDING = 1e-6  # relative, of distances
POINTS = 250_000  # at which bodies of few voxels are looked at, voxels in several points along each axis,
MOST_POINTS = 8  # at most so many
CHUNK = 1 << 22  # points looked at together
FEW = 400  # ways along two axes up to which voxels within reach are found way by way: a tenth of the time of distances


def solved_flags(case: Case, region: Region | None = None) -> Flags:
    """Whether each phase is solved for, and counts in a region."""
    phases = case.physics.phases
    counts = [region is None or region.in_phase in (None, phase.name) for phase in phases]
    return np.isin(np.arange(len(phases)), case.physics.solved) & np.array(counts)


def phase_counts(
    case: Case,
    volume: LabelVolume,
    shapes: Mapping[str, Shape],
    drawn: Mapping[str, Numbers],
    comm: MPI.Intracomm,
) -> dict[str, Array]:
    """How much of each region phases have, (phases,), as the voxels tell; collective, the same on all ranks.

    In any unit. Not there: regions of one phase, shells thinner than a voxel, regions of which no solved phase has
    any, and all where but one phase is solved for.

    Args:
        case: With its physics.
        volume: The segmented image.
        shapes: Regions by name, one label each.
        drawn: Of regions that are drawn as label images: voxels of each phase, (phases,).
        comm: All ranks.
    """
    solved = solved_flags(case)
    if np.count_nonzero(solved) < 2:
        return {}
    found = {}
    for name, shape in shapes.items():
        if not isinstance(shape, Region) or shape.in_phase is not None:
            continue
        counts: Array | None = None
        if isinstance(shape, Box):
            counts = _box_counts(volume, shape, comm)
        elif isinstance(shape, Body):
            counts = _body_counts(volume, shape, comm)
        elif isinstance(shape, Shell) and shape.distance >= max(volume.voxel_size):
            counts = shell_counts(volume, shape, solved, comm).astype(np.float64)
        elif name in drawn:
            counts = drawn[name].astype(np.float64)
        if counts is not None and counts[solved].any():
            found[name] = counts
    return found


def _box_counts(volume: LabelVolume, box: Box, comm: MPI.Intracomm) -> Array:
    """Voxels of each phase within a box, (phases,), parts of them as such."""
    parts = []
    for (low, high), size, count in zip(_ends(box, volume), volume.voxel_size, volume.shape, strict=True):
        edges = np.arange(count + 1) * size
        parts.append(np.diff(np.clip(edges, low, max(low, high))) / size)
    window = tuple((int(some[0]), int(some[-1]) + 1) if len(some := np.flatnonzero(part)) else (0, 0) for part in parts)
    total = np.zeros(len(volume.names))
    if all(first < last for first, last in window):
        for slab in slabs(volume, comm, window=window):
            within = [part[first:last] for part, (first, last) in zip(parts, slab.window, strict=True)]
            for phase in np.unique(slab.phase):
                amount: Array = (slab.phase == phase).astype(np.float64)
                for weights in reversed(within):
                    amount = amount @ weights
                total[phase] += float(amount)
    return np.asarray(comm.allreduce(total))


def _body_counts(volume: LabelVolume, body: Body, comm: MPI.Intracomm) -> Array:
    """Points of each phase that a body covers, (phases,): evenly spread over the voxels, several in each of few."""
    window = []
    for (low, high), size, count in zip(_ends(body, volume), volume.voxel_size, volume.shape, strict=True):
        first, last = int(low / size), min(count, math.ceil(high / size))
        window.append((first, max(first, last)))
    voxels = math.prod(last - first for first, last in window)
    counts = np.zeros(len(volume.names), np.int64)
    if voxels:
        each = int(np.clip(math.ceil((POINTS / voxels) ** (1 / volume.dim)), 1, MOST_POINTS))
        places = (np.arange(each) + 0.5) / each
        for slab in slabs(volume, comm, window=tuple(window)):
            across = math.prod(slab.phase.shape[1:]) * each**volume.dim
            step = max(1, CHUNK // max(across, 1))
            for start in range(0, len(slab.phase), step):
                phase = slab.phase[start : start + step]
                starts = [slab.window[0][0] + start, *(low for low, _ in slab.window[1:])]
                axes = [
                    (np.add.outer(np.arange(low, low + n), places) * size).ravel()
                    for low, n, size in zip(starts, phase.shape, volume.voxel_size, strict=True)
                ]
                index = np.ix_(*(np.repeat(np.arange(n), each) for n in phase.shape))
                counts += np.bincount(phase[index][body.covers(axes)], minlength=len(counts))
    return np.asarray(comm.allreduce(counts), np.float64)


def _ends(body: Body, volume: LabelVolume) -> list[tuple[float, float]]:
    """Low and high ends of a body within the image along ([z,] y, x), m."""
    spans, sizes = body.spans(), volume.extent
    found = [spans.get(axis, (0.0, np.inf)) for axis in range(volume.dim)]
    return [(max(low, 0.0), min(high, size)) for (low, high), size in zip(found, sizes, strict=True)][::-1]


def label_counts(volume: LabelVolume, regions: LabelVolume, comm: MPI.Intracomm) -> Numbers:
    """Voxels of each label in each phase, (labels, phases); collective, the same on all ranks.

    Args:
        volume: The segmented image.
        regions: An image of the same shape, whose phases are the labels.
        comm: All ranks.
    """
    shape = len(regions.names), len(volume.names)
    counts = np.zeros(shape, np.int64)
    for slab in slabs(volume, comm):
        index = regions.read(slab.window).phase.astype(np.intp)
        counts += np.bincount((index * shape[1] + slab.phase).ravel(), minlength=counts.size).reshape(shape)
    return np.asarray(comm.allreduce(counts))


def shell_share(volume: LabelVolume, shell: Shell, solved: Flags, comm: MPI.Intracomm) -> float:
    """Of the voxels within a shell but not in its phase, the share in solved phases; collective, as `shell_counts`."""
    counts = shell_counts(volume, shell, solved, comm)
    everywhere = int(counts.sum())
    return float(counts[solved].sum() / everywhere) if everywhere else 0.0


def shell_counts(volume: LabelVolume, shell: Shell, solved: Flags, comm: MPI.Intracomm) -> Numbers:
    """Voxels of each phase within a shell but not in its phase, (phases,); collective, the same on all ranks.

    The shell is that of the voxels: from the centres of those of its phase that touch solved ones, half a voxel more.

    Args:
        volume: The segmented image.
        shell: Around which phase and how thick.
        solved: (phases,) whether a phase is solved for.
        comm: All ranks.
    """
    around = volume.names.index(shell.around)
    faced = solved.copy()
    faced[around] = False
    reach = shell.distance + 0.5 * volume.unit
    halo = int(np.ceil(reach / volume.voxel_size[0])) + 1  # and one to see what a voxel touches
    image = repeated(volume, reach + max(volume.voxel_size))

    def counted(slab: Slab) -> Numbers:
        """Voxels of each phase."""
        if slab.empty:
            return np.zeros(len(solved), np.int64)
        surface = (slab.phase == around) & _with_neighbours(faced[slab.phase])
        if not surface.any():
            return np.zeros(len(solved), np.int64)
        own = image.own(slab)
        near = _within(surface, volume.voxel_size, reach * (1 + ROUNDING))[own]
        of = slab.phase[own][near & (slab.phase[own] != around)]
        return np.bincount(of, minlength=len(solved))

    return slab_sum(image.volume, comm, counted, (halo, halo))


def _with_neighbours(flags: Flags) -> Flags:
    """What is set, and what shares a face with it."""
    found = flags.copy()
    for axis in range(flags.ndim):
        along, source = np.moveaxis(found, axis, 0), np.moveaxis(flags, axis, 0)
        along[1:] |= source[:-1]
        along[:-1] |= source[1:]
    return found


def _within(flags: Flags, edges: Sequence[float], reach: float) -> Flags:
    """Voxels whose middles are within a distance of the middle of one that is set.

    Args:
        flags: ([z,] y, x) which are.
        edges: Of a voxel along [z,] y and x.
        reach: The distance.
    """
    if flags.ndim == 2:
        return _within(flags[None], (2.0 * reach, *edges), reach)[0]
    steps = [range(-int(reach / edge), int(reach / edge) + 1) for edge in edges[:2]]
    if len(steps[0]) * len(steps[1]) > FEW:
        # In floats of 32 bits; a fifth of the time of SciPy's
        return np.asarray(edt.edt(~flags, anisotropy=tuple(edges)) <= reach)
    ways: dict[int, list[tuple[int, int]]] = {}  # by the voxels along x that are then within reach on either side
    for down, across in product(*steps):
        left = reach**2 - (down * edges[0]) ** 2 - (across * edges[1]) ** 2
        if left >= 0:
            ways.setdefault(int(np.sqrt(left) / edges[2]), []).append((down, across))
    found, spread = np.zeros_like(flags), flags.copy()
    for width in range(max(ways) + 1):
        if 0 < width < flags.shape[2]:
            spread[..., width:] |= flags[..., :-width]
            spread[..., :-width] |= flags[..., width:]
        for way in ways.get(width, ()):
            pairs = [_shifted(step, size) for step, size in zip(way, flags.shape, strict=False)]
            found[tuple(to for to, _ in pairs)] |= spread[tuple(of for _, of in pairs)]
    return found


def _shifted(step: int, size: int) -> tuple[slice, slice]:
    """Where values of an axis go that are moved by some steps, and where they come from."""
    step = max(-size, min(size, step))
    return slice(max(step, 0), size + min(step, 0)), slice(max(-step, 0), size - max(step, 0))
