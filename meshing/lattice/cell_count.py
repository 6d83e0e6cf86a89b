"""How many tetrahedra the lattice mesher makes, told from parts of the image."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mpi4py import MPI

from microlith.imaging.formats.stored import Window
from microlith.imaging.image.passes import read_in_turn
from microlith.imaging.image.volume import LabelVolume
from microlith.imaging.options import MeshOptions
from microlith.imaging.parallel.collective import together
from microlith.imaging.typing import Phases
from microlith.meshing.lattice.edge_lengths import EdgeSizes, edge_sizes, longest_edges
from microlith.meshing.lattice.voxel_fields import on_borders

EDGE = 32  # voxels of a block along each axis
BLOCKS = 8  # looked at
RIM = 12  # voxels around a block, of surfaces that make its cells small
# Tetrahedra per volume L^3 where the longest edge is L, and those that cutting adds per area L^2 of a voxel at an
# interface. Bisection gives 43 for evenly spread L; both figures are fitted to meshes of six images and twelve choices
# of sizes, which they meet within 15 %.
IN_VOLUME, AT_BORDER = 32.0, 20.0


@dataclass(frozen=True, eq=False)
class Block:
    """A part of the image with its surroundings."""

    phase: Phases  # (z, y, x)
    start: tuple[int, ...]  # its first voxel, x first
    inner: tuple[slice, ...]  # the block without its surroundings, array order


@dataclass(frozen=True, eq=False)
class Samples:
    """Blocks spread over a 3D image, some of them on each rank."""

    volume: LabelVolume
    blocks: tuple[Block, ...]  # of this rank
    share: float  # of the image that is in blocks


def image_samples(volume: LabelVolume, comm: MPI.Intracomm) -> Samples:
    """Read blocks of a 3D image; collective.

    Args:
        volume: The image; all of it is read where it is small.
        comm: All ranks.

    Raises:
        InputError: The image can't be read.
    """
    grid = tuple(math.ceil(n / EDGE) for n in volume.shape)
    count = math.prod(grid)
    chosen = np.unique(np.linspace(0, count - 1, BLOCKS).round().astype(np.int64)) if count > BLOCKS else range(count)
    windows, inner = zip(*(_window(volume, grid, int(number)) for number in chosen), strict=True)
    blocks = tuple(
        Block(portion.phase, portion.start, inner[number]) for number, portion in read_in_turn(volume, windows, comm)
    )
    voxels = comm.allreduce(sum(block.phase[block.inner].size for block in blocks))
    return Samples(volume, blocks, voxels / math.prod(volume.shape))


def _window(volume: LabelVolume, grid: tuple[int, ...], number: int) -> tuple[Window, tuple[slice, ...]]:
    """A block with its surroundings, and where it is in them."""
    window, inner = [], []
    for place, count, n in zip(np.unravel_index(number, grid), grid, volume.shape, strict=True):
        first, last = n * int(place) // count, n * (int(place) + 1) // count
        start = max(0, first - RIM)
        window.append((start, min(n, last + RIM)))
        inner.append(slice(first - start, last - start))
    return tuple(window), tuple(inner)


def tetrahedra_count(found: Samples, options: MeshOptions, solved: Sequence[int], comm: MPI.Intracomm) -> float:
    """About how many tetrahedra sizes ask for; collective.

    Args:
        found: Blocks of the image.
        options: Element sizes.
        solved: Indices of the phases that the solver meshes.
        comm: All ranks.
    """
    voxel, sizes = _in_voxels(found.volume, options, solved)

    def counted() -> int:  # whole, so that the sum is the same on any number of ranks
        return sum(round(_of_block(block, voxel, sizes, solved)) for block in found.blocks)

    return comm.allreduce(together(comm, counted)) / found.share


def most_tetrahedra(volume: LabelVolume, options: MeshOptions, solved: Sequence[int]) -> float:
    """A number that `tetrahedra_count` does not exceed, known without reading the image."""
    voxel, sizes = _in_voxels(volume, options, solved)
    edge = np.full(1, min(sizes.shortest_edge, sizes.longest_edge))
    return math.prod(volume.shape) * _of_edges(edge, edge, voxel)


def _in_voxels(volume: LabelVolume, options: MeshOptions, solved: Sequence[int]) -> tuple[tuple[float, ...], EdgeSizes]:
    """Edges of a voxel, x first, and the sizes, both in units of the shortest of them."""
    return volume.pixel, edge_sizes(options, volume.names, solved, volume.unit, volume.frame)


def _of_block(block: Block, voxel: tuple[float, ...], sizes: EdgeSizes, solved: Sequence[int]) -> float:
    longest, _ = longest_edges(block.phase, block.start, voxel, sizes, solved)
    edge = longest.values[0][block.inner]
    return _of_edges(edge, edge[on_borders(block.phase)[block.inner]], voxel)


def _of_edges(edge: NDArray[np.floating], at_border: NDArray[np.floating], voxel: tuple[float, ...]) -> float:
    """Tetrahedra in voxels with these longest edges, some of them at interfaces."""
    volume = math.prod(voxel)
    inside = IN_VOLUME * volume * np.sum(1.0 / np.power(edge, 3, dtype=np.float64))
    cut = AT_BORDER * volume ** (2 / 3) * np.sum(1.0 / np.square(at_border, dtype=np.float64))
    return float(inside + cut)
