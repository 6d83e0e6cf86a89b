"""How much of a region is solved for, where only the voxels can tell."""

from collections.abc import Sequence
from itertools import product

import edt
import numpy as np

from mpi4py import MPI

from microlith.imaging.image.passes import Slab, slab_sum, slabs
from microlith.imaging.image.repeated import repeated
from microlith.imaging.image.volume import LabelVolume
from microlith.imaging.typing import Array, Flags, Numbers
from microlith.solver.regions.shapes import Region, Shell
from microlith.workflow.case.case import Case

ROUNDING = 1e-6  # relative, of distances
FEW = 400  # ways along two axes up to which voxels within reach are found way by way: a tenth of the time of distances


def solved_flags(case: Case, region: Region | None = None) -> Flags:
    """Whether each phase is solved for, and counts in a region."""
    phases = case.physics.phases
    counts = [region is None or region.in_phase in (None, phase.name) for phase in phases]
    return np.isin(np.arange(len(phases)), case.physics.solved) & np.array(counts)


def label_shares(volume: LabelVolume, regions: LabelVolume, solved: Flags, comm: MPI.Intracomm) -> Array:
    """Of the voxels of each label, the share in solved phases; collective, the same on all ranks.

    Args:
        volume: The segmented image.
        regions: An image of the same shape, whose phases are the labels.
        solved: (phases,) whether a phase is solved for.
        comm: All ranks.
    """
    counts = np.zeros(len(regions.names), np.int64)
    for slab in slabs(volume, comm):
        index = regions.read(slab.window).phase
        counts += np.bincount(index[solved[slab.phase]], minlength=len(counts))
    counts = comm.allreduce(counts)
    return counts / np.maximum(regions.counts, 1)


def shell_share(volume: LabelVolume, shell: Shell, solved: Flags, comm: MPI.Intracomm) -> float:
    """Of the voxels within a shell but not in its phase, the share in solved phases; collective, as above.

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
        """Voxels in solved phases, and all."""
        if slab.empty:
            return np.zeros(2, np.int64)
        surface = (slab.phase == around) & _with_neighbours(faced[slab.phase])
        if not surface.any():
            return np.zeros(2, np.int64)
        own = image.own(slab)
        near = _within(surface, volume.voxel_size, reach * (1 + ROUNDING))[own]
        of = slab.phase[own][near & (slab.phase[own] != around)]
        return np.array([np.count_nonzero(solved[of]), len(of)])

    inside, everywhere = slab_sum(image.volume, comm, counted, (halo, halo))
    return float(inside / everywhere) if everywhere else 0.0


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
        flags: (z, y, x) which are.
        edges: Of a voxel along z, y and x.
        reach: The distance.
    """
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
