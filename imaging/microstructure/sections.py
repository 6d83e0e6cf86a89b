"""Pieces of phases in single sections: what a microscope shows of particles, layer after layer."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from scipy import ndimage

from mpi4py import MPI

from microlith.imaging.image.passes import Slab, slabs
from microlith.imaging.image.volume import LabelVolume
from microlith.imaging.parallel.collective import together
from microlith.imaging.typing import Flags, Numbers


@dataclass(frozen=True, eq=False)
class Sections:
    """Connected pieces in the sections across the first axis of a volume, in the order of sections; on all ranks."""

    section: Numbers  # (n,) index of the layer
    pixels: Numbers  # (n,)
    on_frame: Flags  # (n,) whether the image's frame cuts it


def sections(volume: LabelVolume, phases: Sequence[int], comm: MPI.Intracomm) -> Sections:
    """Connected pieces of some phases together in each section across z; collective.

    Args:
        volume: In 3D.
        phases: That count as one.
        comm: All ranks.

    Raises:
        InputError: The image can't be read.
    """
    parts = [together(comm, partial(_pieces, slab, list(phases))) for slab in slabs(volume, comm)]
    mine = np.concatenate(parts, axis=1)
    found = np.concatenate(comm.allgather(mine), axis=1)
    return Sections(found[0], found[1], found[2].astype(bool))


def _pieces(slab: Slab, phases: list[int]) -> Numbers:
    """Section, pixels and whether on the frame, (3, n)."""
    inside = np.isin(slab.inner, phases)
    if not inside.any():
        return np.empty((3, 0), np.int64)
    within = np.zeros((3, 3, 3), bool)
    within[1] = ndimage.generate_binary_structure(2, 1)
    label, count = ndimage.label(inside, within)
    pixels = np.bincount(label.ravel(), minlength=count + 1)[1:]
    layer = np.zeros(count + 1, np.int64)
    for index, one in enumerate(label):
        layer[one.ravel()] = index + slab.layers[0]
    on_frame = np.zeros(count + 1, np.int64)
    for side in (label[:, 0], label[:, -1], label[:, :, 0], label[:, :, -1]):
        on_frame[side.ravel()] = 1
    order = np.argsort(layer[1:], kind="stable")
    return np.stack([layer[1:], pixels, on_frame[1:]])[:, order]
