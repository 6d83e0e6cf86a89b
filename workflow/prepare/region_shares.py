"""How much of a region is solved for, where only the voxels can tell."""

import edt
import numpy as np
from scipy import ndimage

from mpi4py import MPI

from microlith.imaging.image.passes import Slab, slab_sum, slabs
from microlith.imaging.image.repeated import repeated
from microlith.imaging.image.volume import LabelVolume
from microlith.imaging.typing import Array, Flags, Numbers
from microlith.solver.regions.shapes import Region, Shell
from microlith.workflow.case.case import Case

ROUNDING = 1e-6  # relative, of distances


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
        surface = (slab.phase == around) & ndimage.binary_dilation(faced[slab.phase])
        if not surface.any():
            return np.zeros(2, np.int64)
        own = image.own(slab)
        # In floats of 32 bits; a fifth of the time of SciPy's
        near = edt.edt(~surface, anisotropy=volume.voxel_size)[own] <= reach * (1 + ROUNDING)
        of = slab.phase[own][near & (slab.phase[own] != around)]
        return np.array([np.count_nonzero(solved[of]), len(of)])

    inside, everywhere = slab_sum(image.volume, comm, counted, (halo, halo))
    return float(inside / everywhere) if everywhere else 0.0
