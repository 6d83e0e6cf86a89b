"""How many cells the lattice mesher makes, told from parts of the image."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

from mpi4py import MPI

from microlith.imaging.axes import AXES, neighbours
from microlith.imaging.formats.stored import Window
from microlith.imaging.image.passes import read_in_turn
from microlith.imaging.image.volume import LabelVolume
from microlith.imaging.options import MeshOptions
from microlith.imaging.parallel.collective import together
from microlith.imaging.typing import Array, Numbers, Phases
from microlith.meshing.lattice.bisection import Lattice, cells_per_volume, coarse_lattice
from microlith.meshing.lattice.edge_lengths import FINE, WHOLE, EdgeSizes, edge_sizes, longest_edges, shortened
from microlith.meshing.lattice.indicators import indicators
from microlith.meshing.lattice.voxel_fields import VoxelFields, on_borders
from microlith.meshing.mesh.expected import ExpectedMesh, of_tetrahedra, of_triangles

EDGE = 32  # voxels of a block along each axis
BLOCKS = 8  # looked at
RIM = 12  # voxels around a block, of surfaces that make its cells small
# Cells that cutting adds per area L^(d-1) of the faces of voxels between phases, where the longest edge is L, beside
# those of the lattice itself; by dimension, and where voxels that come out in another phase are not looked for. Fitted
# to meshes of 46 images in 2D, which they meet within 27 %, and of 87 in 3D, within a factor of 1.6 (2.1).
AT_BORDER = {2: 1.1, 3: 12.4}
AT_BORDER_PLAIN = 17.0
# Tetrahedra, and cells by dimension, that sizes in parts of the image add per volume L^d
IN_VOLUME = 32.0
CELLS = {2: 8.0, 3: 63.0}
# Facets per area L^(d-1) of the faces of voxels between solved and other phases, by dimension. Fitted to meshes of
# eight images, which they meet within a quarter.
FACETS = {2: 1.7, 3: 8.5}
CHORD = 0.29  # standard deviation, per longest edge at interfaces, of the Gaussian that moves them as chords do
USUAL_EDGE = 0.6  # of the median of the longest edges at interfaces: where they are shorter, chords move nothing
MORE_BLOCKS = 16  # looked at where the count is asked for, and not only whether it is below a limit


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


def image_samples(volume: LabelVolume, comm: MPI.Intracomm, most: int = BLOCKS) -> Samples:
    """Read blocks of an image; collective.

    Args:
        volume: The image; all of it is read where it is small.
        comm: All ranks.
        most: Blocks that are read.

    Raises:
        InputError: The image can't be read.
    """
    grid = tuple(math.ceil(n / EDGE) for n in volume.shape)
    count = math.prod(grid)
    chosen = np.unique(np.linspace(0, count - 1, most).round().astype(np.int64)) if count > most else range(count)
    windows, inner = zip(*(_window(volume, grid, int(number)) for number in chosen), strict=True)
    blocks = tuple(
        Block(portion.phase, portion.start, inner[number]) for number, portion in read_in_turn(volume, windows, comm)
    )
    voxels = comm.allreduce(sum(block.phase[block.inner].size for block in blocks))
    return Samples(volume, blocks, voxels / math.prod(volume.shape))


def more_samples(volume: LabelVolume, comm: MPI.Intracomm) -> Samples:
    """As `image_samples`, as many blocks as a closer look takes; collective."""
    return image_samples(volume, comm, MORE_BLOCKS if volume.dim == 3 else MORE_BLOCKS**2)


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
    """About how many tetrahedra sizes ask for, at a glance; collective.

    Cells around voxels that come out in another phase are left out: up to two thirds, where balls of few voxels are
    meshed with elements of two.

    Args:
        found: Blocks of the image.
        options: Element sizes.
        solved: Indices of the phases that the solver meshes.
        comm: All ranks.
    """
    voxel, sizes, more = _in_voxels(found.volume, options, solved)
    lattice = _lattice(found.volume, options, solved)

    def counted() -> int:  # whole, so that the sum is the same on any number of ranks
        return sum(round(_of_block(block, voxel, lattice, sizes, solved)) for block in found.blocks)

    return comm.allreduce(together(comm, counted)) / found.share + IN_VOLUME * more


def expected_simplices(
    volume: LabelVolume,
    options: MeshOptions,
    solved: Sequence[int],
    comm: MPI.Intracomm,
    found: Samples | None = None,
) -> ExpectedMesh:
    """About how large the mesh of `lattice_mesh` will be; collective.

    What blocks of the image ask for in each phase is taken for as much as that phase has in all of the image.

    Args:
        volume: The image, of which some blocks are read unless they are given.
        options: Element sizes.
        solved: Indices of the phases that the solver meshes.
        comm: All ranks.
        found: What `more_samples` gave for the image, where more than one question is asked.

    Raises:
        InputError: The image can't be read.
    """
    found = found or more_samples(volume, comm)
    voxel, sizes, more = _in_voxels(volume, options, solved)
    lattice = _lattice(volume, options, solved)
    phases = len(volume.names)

    def counted() -> Array:
        rows = [_by_phase(block, voxel, lattice, sizes, solved, phases) for block in found.blocks]
        return np.sum([np.zeros((3, phases)), *rows], axis=0)

    cells, facets, voxels = comm.allreduce(together(comm, counted))
    scale = np.array(volume.counts) / np.maximum(voxels, 1.0)
    cells, facets = cells * scale, facets * scale
    cells += CELLS[volume.dim] * more * np.array(volume.counts) / sum(volume.counts)
    inside = list(solved)
    make = of_triangles if volume.dim == 2 else of_tetrahedra
    return make(float(cells.sum()), float(cells[inside].sum()), float(facets[inside].sum()))


def _by_phase(
    block: Block, voxel: tuple[float, ...], lattice: Lattice, sizes: EdgeSizes, solved: Sequence[int], phases: int
) -> Array:
    """Cells and facets at the surface of the solved part, and voxels, of each phase, (3, phases)."""
    dim = len(voxel)
    longest, thin = longest_edges(block.phase, block.start, voxel, sizes, solved)
    if sizes.coarseness <= 1.0:  # as in `lattice_mesh`
        smooth = indicators(block.phase, phases, block.start, voxel, thin)
        shorter = shortened(longest, block.phase, _likely_mistaken(block, longest, smooth), sizes)
        if sizes.smallest > FINE:  # it is left to chance which of few voxels lattice points find
            shorter = replace(shorter, values=np.sqrt(shorter.values * longest.values))
        longest = shorter
    edge = np.minimum(longest.values[0].astype(np.float64), lattice.longest)
    volume = math.prod(voxel)
    cells = volume * cells_per_volume(lattice, edge)
    cells += AT_BORDER[dim] * _border_areas(block.phase, voxel) / edge ** (dim - 1)
    is_solved = np.isin(np.arange(256), list(solved))[block.phase]
    facets = np.zeros(block.phase.shape)
    for axis, height in enumerate(voxel[::-1]):
        faces = np.zeros(block.phase.shape)
        low, high = neighbours(axis)
        faces[low] += is_solved[low] & ~is_solved[high]
        faces[high] += is_solved[high] & ~is_solved[low]
        rim = np.moveaxis(faces, axis, 0)
        rim[[0, -1]] += np.moveaxis(is_solved, axis, 0)[[0, -1]]  # of the image; in halos it does not count
        facets += FACETS[dim] * faces * (volume / height) / edge ** (dim - 1)
    own = block.phase[block.inner].ravel()
    rows = [cells[block.inner].ravel(), facets[block.inner].ravel(), None]
    return np.array([np.bincount(own, weights=row, minlength=phases).astype(float) for row in rows])


def _likely_mistaken(block: Block, longest: VoxelFields, smooth: VoxelFields) -> Numbers:
    """Voxels (dim, n), x first, that chords of edges so long would give to other phases."""
    edge, borders = longest.values[0], on_borders(block.phase)
    start = np.array(block.start)[:, None]
    if not borders.any():
        return np.empty((len(block.start), 0), np.int64)
    usual = float(np.median(edge[borders]))
    lead = np.full(block.phase.shape, -np.inf, np.float32)
    taken = np.zeros(block.phase.shape, np.uint8)
    for index, values in enumerate(smooth.values):
        moved = ndimage.gaussian_filter(values, [CHORD * usual / h for h in smooth.voxel[::-1]])
        taken[moved > lead] = index
        np.maximum(lead, moved, out=lead)
    return np.array(np.nonzero((taken != block.phase) & (edge > USUAL_EDGE * usual)))[::-1] + start


def _border_areas(phase: Phases, voxel: tuple[float, ...]) -> Array:
    """Area of the faces between two phases at each voxel, shaped as `phase`: half of it counts for either."""
    areas = np.zeros(phase.shape)
    for axis, height in enumerate(voxel[::-1]):
        low, high = neighbours(axis)
        half = np.where(phase[low] != phase[high], 0.5 * math.prod(voxel) / height, 0.0)
        areas[low] += half
        areas[high] += half
    return areas


def most_tetrahedra(volume: LabelVolume, options: MeshOptions, solved: Sequence[int]) -> float:
    """A number that `tetrahedra_count` does not exceed, known without reading the image."""
    voxel, sizes, more = _in_voxels(volume, options, solved)
    lattice = _lattice(volume, options, solved)
    edge = np.full(1, min(sizes.shortest_edge, sizes.longest_edge, lattice.longest))
    faces = np.full(1, sum(math.prod(voxel) / height for height in voxel))
    return math.prod(volume.shape) * _of_edges(edge, faces, voxel, lattice) + IN_VOLUME * more


def _lattice(volume: LabelVolume, options: MeshOptions, solved: Sequence[int]) -> Lattice:
    """The coarse boxes that `lattice_mesh` begins with."""
    sizes = edge_sizes(options, volume.names, solved, volume.unit, volume.frame)
    periodic = tuple(AXES.index(name) for name in options.periodic)
    return coarse_lattice(volume.frame, sizes.longest_edge, sizes.finest_edge, periodic)


def _in_voxels(
    volume: LabelVolume, options: MeshOptions, solved: Sequence[int]
) -> tuple[tuple[float, ...], EdgeSizes, float]:
    """Edges of a voxel, x first, the sizes at surfaces, and what sizes in parts of the image add.

    The latter is a volume in terms of the edges of cells, as blocks might miss such parts. All else is in units of the
    shortest edge of a voxel.
    """
    sizes = edge_sizes(options, volume.names, solved, volume.unit, volume.frame)
    largest = sizes.longest_edge
    more = sum(part.added(volume.frame, WHOLE, sizes.edge_growth, largest) for part in sizes.local)
    return volume.pixel, replace(sizes, local=()), more


def _of_block(
    block: Block, voxel: tuple[float, ...], lattice: Lattice, sizes: EdgeSizes, solved: Sequence[int]
) -> float:
    longest, _ = longest_edges(block.phase, block.start, voxel, sizes, solved)
    edge = np.minimum(longest.values[0][block.inner].astype(np.float64), lattice.longest)
    return _of_edges(edge, _border_areas(block.phase, voxel)[block.inner], voxel, lattice)


def _of_edges(edge: Array, faces: Array, voxel: tuple[float, ...], lattice: Lattice) -> float:
    """Tetrahedra in voxels with these longest edges and areas of faces between phases."""
    inside = math.prod(voxel) * np.sum(cells_per_volume(lattice, edge))
    return float(inside + AT_BORDER_PLAIN * np.sum(faces / np.square(edge)))
