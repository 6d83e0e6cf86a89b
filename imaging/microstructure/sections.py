"""Pieces of phases in single sections: what a microscope shows of particles, layer after layer."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import cc3d
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
    widths: Numbers  # (n, 2) pixels along y and x


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
    return Sections(found[0], found[1], found[2].astype(bool), found[3:].T)


def _pieces(slab: Slab, phases: list[int]) -> Numbers:
    """Section, pixels, whether on the frame, and widths, (5, n)."""
    inside = np.isin(slab.inner, phases)
    if not inside.any():
        return np.empty((5, 0), np.int64)
    within = np.zeros((3, 3, 3), bool)
    within[1] = ndimage.generate_binary_structure(2, 1)
    label, count = ndimage.label(inside, within)
    told = cc3d.statistics(label.view(np.uint32), no_slice_conversion=True)
    boxes = told["bounding_boxes"].astype(np.int64)  # first and last of z, y, x
    layer = boxes[:, 0] + slab.layers[0]
    widths = (boxes[:, 3::2] - boxes[:, 2::2] + 1).T
    on_frame = np.zeros(count + 1, np.int64)
    for side in (label[:, 0], label[:, -1], label[:, :, 0], label[:, :, -1]):
        on_frame[side.ravel()] = 1
    order = np.argsort(layer[1:], kind="stable")
    return np.stack([layer, told["voxel_counts"], on_frame, *widths])[:, 1:][:, order]
