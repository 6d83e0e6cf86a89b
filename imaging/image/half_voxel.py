"""Images on finer voxels, and interfaces moved by half a voxel: what a segmentation could as well have been."""

from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from mpi4py import MPI

from microlith.imaging.axes import neighbours
from microlith.imaging.formats.stored import Window, lengths
from microlith.imaging.image.passes import Slab, slab_sum
from microlith.imaging.image.volume import LabelVolume, Portion
from microlith.imaging.options import MeshOptions
from microlith.imaging.typing import Numbers

FINE = 2  # finer voxels along the edge of a voxel: one of them is half a voxel


def subdivided(volume: LabelVolume, factor: int) -> LabelVolume:
    """The same image on voxels of an edge `factor` times shorter; no rank holds more than the window it reads."""
    return replace(
        volume,
        shape=tuple(n * factor for n in volume.shape),
        voxel_size=tuple(h / factor for h in volume.voxel_size),
        counts=tuple(n * factor**volume.dim for n in volume.counts),
        read=partial(_repeated, volume, factor),
    )


def _repeated(volume: LabelVolume, factor: int, window: Window) -> Portion:
    """A window of the finer image; collective."""
    coarse = tuple((first // factor, -(-last // factor)) for first, last in window)
    phase = volume.read(coarse).phase
    own = tuple(
        slice(first - a * factor, last - a * factor) for (first, last), (a, _) in zip(window, coarse, strict=True)
    )
    for axis in range(volume.dim):
        phase = np.repeat(phase, factor, axis=axis)
    return Portion(np.ascontiguousarray(phase[own]), window)


@dataclass(frozen=True)
class Shift:
    """Which phases grow at whose cost; interfaces within one of the two groups stay, as do the faces of the image."""

    growing: tuple[int, ...]  # indices of phases
    yielding: tuple[int, ...]


def shifted(volume: LabelVolume, shift: Shift | None, comm: MPI.Intracomm) -> LabelVolume:
    """The image on voxels of half the edge, with interfaces moved by one of these, half a voxel; collective.

    A finer voxel of a yielding phase that shares a face with one of a growing phase becomes that phase (of several, the
    first). Interfaces along the axes so move by exactly half a voxel, slanted ones by half a voxel to 0.56 of it (in
    3D 0.6), as stairs have more faces than the plane that they stand for.

    Args:
        volume: The image.
        shift: What is moved; None: nothing, for comparison.
        comm: All ranks.
    """
    fine = subdivided(volume, FINE)
    if shift is None:
        return fine
    moved = replace(fine, read=partial(_grown, fine, shift))
    counts = slab_sum(moved, comm, partial(_voxels_of_phases, len(moved.names)))
    return replace(moved, counts=tuple(int(n) for n in counts))


def _grown(fine: LabelVolume, shift: Shift, window: Window) -> Portion:
    """A window of the image with its interfaces moved; collective."""
    empty = 0 in lengths(window)
    wide = (
        window if empty else tuple((max(0, a - 1), min(n, b + 1)) for (a, b), n in zip(window, fine.shape, strict=True))
    )
    before = fine.read(wide).phase
    after = before.copy()
    if not empty:
        grows, yields = (np.isin(np.arange(256), group) for group in (shift.growing, shift.yielding))
        nobody = np.uint8(255)
        winner = np.full(before.shape, nobody)
        for axis in range(before.ndim):
            low, high = neighbours(axis)
            for here, beside in ((low, high), (high, low)):
                claim = np.where(grows[before[beside]], before[beside], nobody)
                np.minimum(winner[here], claim, out=winner[here])
        taken = yields[before] & (winner != nobody)
        after[taken] = winner[taken]
    own = tuple(slice(a - start, b - start) for (a, b), (start, _) in zip(window, wide, strict=True))
    return Portion(np.ascontiguousarray(after[own]), window)


def _voxels_of_phases(phases: int, slab: Slab) -> Numbers:
    return np.bincount(slab.phase.ravel(), minlength=phases)


def on_finer_voxels(options: MeshOptions) -> MeshOptions:
    """Options with which the image on finer voxels gets elements as large as the image itself gets with `options`.

    Sizes that the meshers take from the voxel are halved on finer ones, so all are halved here, and the factor of two
    is put on all of them.
    """
    return replace(
        options,
        size={name: size / FINE for name, size in options.size.items()},
        size_in=tuple(replace(part, size=part.size / FINE) for part in options.size_in),
        size_max=None if options.size_max is None else options.size_max / FINE,
        subdivided=options.subdivided * FINE,
        growth=options.growth / FINE,
        junction_size=None if options.junction_size is None else options.junction_size / FINE,
        coarseness=options.coarseness * FINE,
    )
