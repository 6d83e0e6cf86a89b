"""What of a phase is connected to an outer face; which share of it to each face, and from face to face."""

from dataclasses import dataclass

import cc3d
import numpy as np

from mpi4py import MPI

from microlith.imaging.axes import AXES, FACES
from microlith.imaging.image.volume import LabelVolume
from microlith.imaging.microstructure.image_pieces import labelled_slab
from microlith.imaging.microstructure.periods import going_on
from microlith.imaging.parallel.large_arrays import connected_sets
from microlith.imaging.typing import Array, Flags, Numbers


@dataclass(frozen=True, eq=False)
class Connectivity:
    """Shares of the voxels of each phase, (phases,)."""

    at_face: dict[str, Array]  # outer face -> connected to it
    # Axis -> connected to both faces across it; where the image comes again along it, in what goes on without end
    through: dict[str, Array]
    largest: Array  # in the largest piece
    pieces: Numbers  # (phases,) how many


def connectivity(volume: LabelVolume, comm: MPI.Intracomm) -> Connectivity:
    """Connected pieces of all phases and what they reach; voxels that share a face are connected; collective.

    Args:
        volume: The image.
        comm: All ranks.

    Raises:
        InputError: The image can't be read.
    """
    mine = labelled_slab(volume, comm).pieces
    phase, voxels, faces = (np.concatenate(comm.allgather(part)) for part in (mine.phase, mine.voxels, mine.faces))
    links, across = (np.concatenate(comm.allgather(part)) for part in (mine.links, mine.across))
    count, of = connected_sets(links, len(phase))
    size = np.bincount(of, voxels, count)
    body_phase, body_faces = np.zeros(count, np.int64), np.zeros(count, np.uint8)
    body_phase[of] = phase
    np.bitwise_or.at(body_faces, of, faces)
    total = np.maximum(np.array(volume.counts, np.float64), 1.0)

    def share(reached: Array) -> Array:
        return np.asarray(np.bincount(body_phase, size * reached, len(total)) / total)

    at = {face: (body_faces >> bit) & 1 for bit, face in enumerate(FACES[: 2 * volume.dim])}
    through = {axis: at[f"{axis}_min"] & at[f"{axis}_max"] for axis in AXES[: volume.dim]}
    if volume.periodic:  # what crosses a face there is at both of them
        goes_on: Flags = np.zeros((count, volume.dim), bool)
        goes_on[of] = going_on(links, across, len(phase))
        through |= {AXES[axis]: goes_on[:, axis].astype(np.uint8) for axis in volume.periodic}
    largest = np.zeros(len(total))
    np.maximum.at(largest, body_phase, size)
    return Connectivity(
        at_face={face: share(flags.astype(np.float64)) for face, flags in at.items()},
        through={axis: share(flags.astype(np.float64)) for axis, flags in through.items()},
        largest=largest / total,
        pieces=np.bincount(body_phase[size > 0], minlength=len(total)),
    )


def reached(inside: Flags, face: tuple[int, bool]) -> Flags:
    """Voxels of a set that are connected, within it, to an outer face; on one rank.

    Args:
        inside: ([z,] y, x) the set.
        face: Axis of the array, and whether it is its upper end.
    """
    label = cc3d.connected_components(inside, connectivity=6 if inside.ndim == 3 else 4)
    there = np.zeros(int(label.max(initial=0)) + 1, bool)
    there[np.unique(np.take(label, -1 if face[1] else 0, axis=face[0]))] = True
    there[0] = False
    return np.asarray(there[label])
