"""How much of a region is solved for, where only the voxels can tell."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from mpi4py import MPI

from microlith.imaging.formats.stored import Window
from microlith.imaging.image.volume import LabelVolume
from microlith.imaging.typing import Flags
from microlith.solver.regions.shapes import Shell
from microlith.workflow.case.case import Case

VOXELS = 1 << 21  # looked at together


def solved_flags(case: Case) -> Flags:
    """Whether each phase is solved for."""
    return np.isin(np.arange(len(case.physics.phases)), case.physics.solved)


def label_shares(volume: LabelVolume, regions: LabelVolume, solved: Flags, comm: MPI.Intracomm) -> NDArray[np.float64]:
    """Of the voxels of each label, the share in solved phases; collective, the same on all ranks.

    Args:
        volume: The segmented image.
        regions: An image of the same shape, whose phases are the labels.
        solved: (phases,) whether a phase is solved for.
        comm: All ranks.
    """
    counts = np.zeros(len(regions.names), np.int64)
    for window in _layers(volume, comm, 1):
        index = regions.read(window).phase
        counts += np.bincount(index[solved[volume.read(window).phase]], minlength=len(counts))
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
    inside = np.zeros(2, np.int64)  # solved, all
    for window in _layers(volume, comm, halo):
        (first, last), *rest = window
        wide = (max(0, first - halo), min(volume.shape[0], last + halo)) if last > first else (first, last)
        phase = volume.read((wide, *rest)).phase
        surface = phase == around
        surface &= ndimage.binary_dilation(faced[phase])
        if not surface.any():
            continue
        near = ndimage.distance_transform_edt(~surface, sampling=volume.voxel_size) <= reach
        own = slice(first - wide[0], last - wide[0])
        of = phase[own][near[own] & (phase[own] != around)]
        inside += [np.count_nonzero(solved[of]), len(of)]
    inside = comm.allreduce(inside)
    return float(inside[0] / inside[1]) if inside[1] else 0.0


def _layers(volume: LabelVolume, comm: MPI.Intracomm, fewest: int) -> Iterator[Window]:
    """Windows of whole layers that together are the image, each on one rank; as many on every rank, some empty."""
    at_once = max(fewest, VOXELS // max(1, int(np.prod(volume.shape[1:]))))
    count = -(-volume.shape[0] // at_once)
    rest = tuple((0, n) for n in volume.shape[1:])
    for turn in range(-(-count // comm.size)):
        first = min((turn * comm.size + comm.rank) * at_once, volume.shape[0])
        yield ((first, min(first + at_once, volume.shape[0])), *rest)
