"""One square or cube per voxel: the mesh that works for any image of any size, and the check on the smooth ones."""

from collections.abc import Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from mpi4py import MPI

from microlith.imaging.axes import neighbours
from microlith.imaging.formats.stored import Window
from microlith.imaging.image.half_voxel import subdivided
from microlith.imaging.image.passes import Slab, slab_sum
from microlith.imaging.image.volume import LabelVolume
from microlith.imaging.typing import Flags, Numbers
from microlith.meshing.lattice.rank_boxes import boxes_of_ranks
from microlith.meshing.mesh.expected import ExpectedMesh
from microlith.meshing.mesh.few_layers import refuse_few_layers
from microlith.meshing.mesh.phasemesh import ImageMesh

MOST_BLOCKS = 128  # along an axis, in which the solved voxels are counted to share them out


def voxel_mesh(
    volume: LabelVolume,
    solved: Sequence[int],
    comm: MPI.Intracomm,
    coarseness: float = 1.0,
    periodic: Sequence[int] = (),
) -> ImageMesh:
    """Make a quadrilateral (hexahedron) of each voxel of the solved phases, and of each that has a face with one.

    Each rank takes a box of the image with about the same number of solved voxels, and reads no more than the box and
    the layer around it.

    Args:
        volume: The image.
        solved: Indices of the phases that are wanted.
        comm: All ranks.
        coarseness: Edge of the cells per edge of a voxel, 1/2, 1/3 and so on; never above 1, as larger cells would be
            those of another image.
        periodic: Axes, x first, along which the image comes again and again.

    Returns:
        The cells of this rank; no cell where the image has no voxel of these phases.

    Raises:
        InputError: The image has too few voxels along a periodic axis.
    """
    if coarseness < 1.0:
        volume = subdivided(volume, max(1, round(1.0 / coarseness)))
    refuse_few_layers(volume, periodic)
    wanted = np.zeros(256, bool)
    wanted[list(solved)] = True
    box = _box(volume, wanted, comm)
    around: Window = tuple((max(0, a - 1), min(n, b + 1)) for (a, b), n in zip(box, volume.shape, strict=True))
    if any(a == b for a, b in box):
        around = box
    phase = volume.read(around).phase
    own = tuple(slice(a - start, b - start) for (a, b), (start, _) in zip(box, around, strict=True))
    needed = _with_neighbours(wanted[phase])[own]
    for axis in periodic:
        _add_opposite(needed, volume, wanted, box, volume.dim - 1 - axis)
    kept = np.flatnonzero(needed)
    of_cells = phase[own].ravel()[kept]

    lengths = tuple(b - a for a, b in box)
    grid = tuple(n + 1 for n in lengths)  # of the vertices of the box
    cells = _corners(kept, lengths, grid)
    used = np.zeros(int(np.prod(grid)), bool)
    used[cells] = True
    row = np.cumsum(used, dtype=np.int32) - np.int32(1)
    place = np.flatnonzero(used)
    at = [i + start for i, (start, _) in zip(np.unravel_index(place, grid), box, strict=True)]
    points = np.stack([i * edge for i, edge in zip(at[::-1], volume.pixel, strict=True)], axis=1)
    for axis in periodic:
        at[volume.dim - 1 - axis] %= volume.grid[axis]
    return ImageMesh(
        points=points,
        vertex=np.ravel_multi_index(at, tuple(n + 1 for n in volume.shape)).astype(np.int64),
        cells=row[cells],
        phase=of_cells,
        shape="quadrilateral" if volume.dim == 2 else "hexahedron",
        names=volume.names,
        unit=volume.unit,
        extent=volume.frame,
        periodic=tuple(periodic),
    )


def expected_voxels(volume: LabelVolume, solved: Sequence[int], comm: MPI.Intracomm) -> ExpectedMesh:
    """How large the mesh of `voxel_mesh` will be, counted without making it; collective.

    Args:
        volume: The image.
        solved: Indices of the phases that are wanted.
        comm: All ranks.

    Raises:
        InputError: The image can't be read.
    """
    wanted = np.zeros(256, bool)
    wanted[list(solved)] = True
    found = slab_sum(volume, comm, partial(_entities, volume, wanted), halo=(1, 1))
    shape = "quadrilateral" if volume.dim == 2 else "hexahedron"
    return ExpectedMesh(shape, float(found[-1]), tuple(float(count) for count in found[:-1]))


def _entities(volume: LabelVolume, wanted: Flags, slab: Slab) -> Numbers:
    """Vertices, edges, [faces,] cells of the wanted voxels of a slab, and cells with those beside them.

    What lies between two layers counts for the slab of the second; behind the last layer, for the last slab.
    """
    dim = volume.dim
    counts = np.zeros(dim + 2, np.int64)
    if slab.empty:
        return counts
    inside = wanted[slab.phase]
    counts[-1] = np.count_nonzero(_with_neighbours(inside)[slab.own])
    first, last = slab.layers
    ends = slab.window[0][1] == last  # whether the image ends behind it
    begins = slab.window[0][0] == first
    around = np.pad(inside, ((int(begins), int(ends)), *((1, 1),) * (dim - 1)))
    around = around[: last - first + (2 if ends else 1)]
    for number in range(1 << dim):
        found = around
        for axis in range(dim):
            low, high = neighbours(axis)
            if number >> axis & 1:  # what lies between the layers of this axis
                found = found[low] | found[high]
            else:  # what spans its layers
                found = found[(*low[:-1], slice(1, -1 if axis or ends else None))]
        counts[dim - number.bit_count()] += np.count_nonzero(found)
    return counts


def _box(volume: LabelVolume, wanted: Flags, comm: MPI.Intracomm) -> Window:
    """The voxels of this rank; collective."""
    if comm.size == 1:
        return volume.whole_window
    block = -(-max(volume.shape) // MOST_BLOCKS)
    mine = boxes_of_ranks(slab_sum(volume, comm, partial(_in_blocks, volume, wanted, block)), comm.size)[comm.rank]
    return tuple(
        (min(a * block, n), min(b * block, n)) for a, b, n in zip(mine.first, mine.last, volume.shape, strict=True)
    )


def _in_blocks(volume: LabelVolume, wanted: Flags, block: int, slab: Slab) -> Numbers:
    """Wanted voxels of a slab in each block of the whole image ([z,] y, x)."""
    counts = np.zeros(tuple(-(-n // block) for n in volume.shape), np.int64)
    inside = wanted[slab.phase].astype(np.int64)
    for axis in range(1, volume.dim):
        inside = np.add.reduceat(inside, np.arange(0, volume.shape[axis], block), axis=axis)
    np.add.at(counts, np.arange(*slab.layers) // block, inside)
    return counts


def _with_neighbours(inside: Flags) -> Flags:
    """Voxels that are inside or have a face with one that is."""
    grown = inside.copy()
    for axis in range(inside.ndim):
        low, high = neighbours(axis)
        grown[low] |= inside[high]
        grown[high] |= inside[low]
    return grown


def _add_opposite(needed: Flags, volume: LabelVolume, wanted: Flags, box: Window, axis: int) -> None:
    """Add the voxels of a box at the ends of an axis of the array that have a wanted one opposite; collective."""
    last = volume.shape[axis] - 1
    first, end = box[axis]
    for at, opposite in ((0, last), (last, 0)):
        there = first <= at < end and needed.size > 0
        layer = tuple((opposite, opposite + 1) if k == axis else span for k, span in enumerate(box))
        phase = volume.read(layer if there else volume.empty_window).phase
        if there:
            index = tuple(slice(at - first, at - first + 1) if k == axis else slice(None) for k in range(volume.dim))
            needed[index] |= wanted[phase]


def _corners(voxels: Numbers, lengths: tuple[int, ...], grid: tuple[int, ...]) -> NDArray[np.signedinteger]:
    """Places (n, 2^dim) in the grid of the corners of voxels, x fastest."""
    number = np.int32 if np.prod(grid) <= np.iinfo(np.int32).max else np.int64
    strides = np.cumprod((1, *grid[:0:-1]))  # of x, y[, z]
    first = np.ravel_multi_index(np.unravel_index(voxels, lengths), grid).astype(number)
    steps = ((np.arange(1 << len(grid))[:, None] >> np.arange(len(grid))) & 1) @ strides
    return first[:, None] + steps.astype(number)
