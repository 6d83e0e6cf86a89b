"""What the majority vote in blocks does to the phases of an image: their shares, and their connected pieces."""

from dataclasses import dataclass

import numpy as np

from mpi4py import MPI

from microlith.imaging.image.volume import LabelVolume
from microlith.imaging.microstructure.image_pieces import labelled_slab
from microlith.imaging.parallel.large_arrays import connected_sets
from microlith.imaging.typing import Numbers

LARGEST = 1 << 27  # voxels on a rank up to which pieces of the finer image are counted, which takes 5 bytes for each
MUCH = 0.1  # relative change of a phase's share, or of the number of its pieces, that is worth a warning


@dataclass(frozen=True)
class PhaseChange:
    """A phase before and after."""

    name: str
    before: float  # share of the image
    after: float
    pieces_before: int | None  # connected pieces; None where they were not counted
    pieces_after: int | None

    def words(self) -> str:
        """What has changed."""
        pieces = ""
        if self.pieces_before is not None:
            noun = "piece" if self.pieces_before == 1 else "pieces"
            pieces = f" in {self.pieces_before:,} {noun} before, {self.pieces_after:,} after"
        return f"{self.name} {100 * self.before:.3g} % before, {100 * self.after:.3g} % after{pieces and ',' + pieces}"

    @property
    def much(self) -> bool:
        """Whether that is more than the grain of the blocks: thin parts are gone, or have come together."""
        share = abs(self.after - self.before) > MUCH * self.before
        if self.pieces_before is None or self.pieces_after is None:
            return share
        return share or abs(self.pieces_after - self.pieces_before) > MUCH * self.pieces_before


def coarsening(volume: LabelVolume, comm: MPI.Intracomm) -> tuple[PhaseChange, ...]:
    """What has become of each phase of a volume that was coarsened; nothing for one that was not; collective."""
    fine = volume.before
    if fine is None:
        return ()
    counted = np.prod(fine.shape) <= LARGEST * comm.size
    pieces = [piece_counts(image, comm) if counted else (None,) * len(volume.names) for image in (fine, volume)]
    rows = zip(volume.names, fine.counts, volume.counts, *pieces, strict=True)
    before, after = sum(fine.counts), sum(volume.counts)
    return tuple(PhaseChange(name, a / before, b / after, p, q) for name, a, b, p, q in rows)


def piece_counts(volume: LabelVolume, comm: MPI.Intracomm) -> tuple[int, ...]:
    """How many connected pieces each phase has; collective."""
    phases = len(volume.names)
    found = labelled_slab(volume, comm)
    links = found.pieces.links
    total = comm.allreduce(np.bincount(found.pieces.phase, minlength=phases))
    # Each link that joins two sets of numbers is a piece less.
    tables = comm.gather((links, found.pieces.phase[links[:, 0] - found.start]))
    joined: Numbers = np.zeros(phases, np.int64)
    if tables is not None:
        pairs, phase = (np.concatenate(columns) for columns in zip(*tables, strict=True))
        known, place = np.unique(pairs, return_inverse=True)
        place = place.reshape(pairs.shape)
        count, set_of = connected_sets(place, len(known))
        phase_of, phase_of_set = np.empty(len(known), np.int64), np.empty(count, np.int64)
        phase_of[place] = phase[:, None]
        phase_of_set[set_of] = phase_of
        joined = np.bincount(phase_of, minlength=phases) - np.bincount(phase_of_set, minlength=phases)
    return tuple(int(n) for n in total - comm.bcast(joined))
