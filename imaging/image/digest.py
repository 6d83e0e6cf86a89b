"""A fingerprint of the phases of an image's voxels, the same on any number of ranks."""

import hashlib

import numpy as np

from mpi4py import MPI

from microlith.imaging.image.passes import slabs
from microlith.imaging.image.volume import LabelVolume


def digest_of(volume: LabelVolume, comm: MPI.Intracomm) -> str:
    """SHA-256 of the phases of all voxels, layer by layer, and of how many there are along each axis; collective.

    What file they come from, and in which labels, does not count.

    Raises:
        InputError: The image can't be read.
    """
    of_layers: list[bytes] = []
    for slab in slabs(volume, comm):
        inner = np.ascontiguousarray(slab.inner, dtype=np.uint8)
        of_layers += [hashlib.sha256(layer.tobytes()).digest() for layer in inner]
    total = hashlib.sha256(repr(tuple(volume.shape)).encode())
    for some in comm.allgather(b"".join(of_layers)):
        total.update(some)
    return total.hexdigest()
