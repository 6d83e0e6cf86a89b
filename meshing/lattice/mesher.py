"""Conforming mesh of a 2D or 3D image: a lattice refined by bisection, cut and fitted to the smooth interfaces."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from mpi4py import MPI

from microlith.imaging.axes import AXES
from microlith.imaging.formats.stored import Window
from microlith.imaging.image.passes import Slab, slab_sum
from microlith.imaging.image.repeated import repeated
from microlith.imaging.image.volume import LabelVolume
from microlith.imaging.options import MeshOptions
from microlith.imaging.parallel.collective import together
from microlith.imaging.typing import Array, Flags, Numbers, Phases
from microlith.meshing.fidelity.agreement import mistaken
from microlith.meshing.lattice.bisection import BoxRange, Lattice, coarse_lattice, refined, simplices_of_box
from microlith.meshing.lattice.cell_count import CELLS
from microlith.meshing.lattice.cutting import CutCells, NearSeams, cut_cells
from microlith.meshing.lattice.edge_lengths import WHOLE, EdgeSizes, edge_sizes, longest_edges, shortened
from microlith.meshing.lattice.indicators import REACH, indicators
from microlith.meshing.lattice.placing import placed, surroundings
from microlith.meshing.lattice.rank_boxes import RankBoxes, boxes_of_ranks
from microlith.meshing.lattice.repair import repaired
from microlith.meshing.lattice.voxel_fields import VoxelFields
from microlith.meshing.mesh.few_layers import refuse_few_layers
from microlith.meshing.mesh.phasemesh import ImageMesh
from microlith.meshing.mesh.simplices import sharpness, signed_measures

RIM = 12  # voxels around a box beyond the reach of fields and indicators: thin parts, interpolation, moved vertices
WORK_PER_BOX, WORK_PER_FACE = 6, 10  # cells of a coarse box, and those that a voxel face between two phases adds
SAMPLES, MOST_SAMPLES = 4, 1e7  # places along a coarse box at which sizes in parts of the image are looked at; in all
PASSES = 6  # of moving the interfaces until the volumes of the phases are right
EXACT = 5e-4  # of a volume: what is right
LEAST = float(np.cos(np.radians(12.0)))  # sharper cells beside periodic faces are cut once more, each time with
SEAMS = (0.1, 0.2, 0.35, 0.5)  # vertices of these faces on interfaces that are so near, of their shortest edge
SLOPE = 0.8  # of the difference of two indicators across their interface, per voxel


def lattice_mesh(
    volume: LabelVolume,
    options: MeshOptions,
    solved: Sequence[int],
    comm: MPI.Intracomm,
    tell: Callable[[str], None] | None = None,
) -> ImageMesh:
    """Mesh an image with simplices, each in one phase, on all ranks; collective.

    A lattice of boxes is bisected to the wanted sizes, and cut along the interfaces of the smoothed phases; once more,
    and finer, around voxels whose centres come out in another phase, which chords of strong curves and coarse cells in
    corners do. Each rank has the cells of one box of the image; the mesh does not depend on the number of ranks.

    Args:
        volume: The image.
        options: Element sizes.
        solved: Indices of the phases that the solver meshes; the others are meshed, too, but may be coarser inside.
        comm: The ranks.
        tell: Called with a short sentence when a stage starts.

    Returns:
        This rank's cells.

    Raises:
        InputError: The image can't be read, or has too few voxels along a periodic axis.
    """
    say = tell or (lambda _: None)
    voxel, extent = volume.pixel, volume.frame
    periodic = tuple(AXES.index(name) for name in options.periodic)
    refuse_few_layers(volume, periodic)
    sizes = edge_sizes(options, volume.names, solved, volume.unit, extent)
    lattice = coarse_lattice(extent, sizes.longest_edge, sizes.finest_edge, periodic)
    weights, borders = _survey(volume, lattice, solved, comm)
    weights = weights + _local_work(lattice, sizes)
    where = RankBoxes(comm, lattice, boxes_of_ranks(weights, comm.size))

    say("reading and smoothing the image")
    phase, start = _around(where.own, lattice, volume, voxel, sizes)

    def fields() -> tuple[VoxelFields, VoxelFields]:
        longest, thin = longest_edges(phase, start, voxel, sizes, solved)
        return longest, indicators(phase, len(volume.names), start, voxel, thin)

    longest, smooth = together(comm, fields)
    say("refining the lattice and cutting its cells along the interfaces")
    cut = _cut(longest, smooth, where, sizes)
    wrong = together(comm, lambda: mistaken(cut.points, cut.cells, cut.phase, phase, start, voxel, volume.grid))
    wrong = np.concatenate(comm.allgather(wrong), axis=1)  # few: one voxel in a hundred
    for axis in periodic:
        copies = -(-max(phase.shape) // volume.grid[axis])
        ways = volume.grid[axis] * np.arange(-copies, copies + 1) * (np.arange(volume.dim) == axis)[:, None]
        wrong = (wrong[:, :, None] + ways[:, None]).reshape(volume.dim, -1)
    if wrong.size and sizes.coarseness <= 1.0:  # with larger cells these voxels would take most of them
        shorter = together(comm, lambda: shortened(longest, phase, wrong, sizes))
        if comm.allreduce(bool((shorter.values < longest.values).any()), MPI.LOR):
            say("refining it where cells are too coarse for the voxels")
            del cut
            longest = shorter
            cut = _cut(longest, smooth, where, sizes)
    say("placing vertices on the interfaces")
    points = _fitted(cut, smooth, where, volume, voxel, borders)
    seams: Numbers = np.empty(0, np.int64)
    for near in SEAMS if periodic else ():
        sharp = sharpness(points, cut.cells) > LEAST
        if not comm.allreduce(bool(sharp.any()), MPI.LOR):
            break
        say("cutting cells once more along periodic faces that do not match")
        seams = np.union1d(seams, cut.numbers[np.unique(cut.cells[sharp])])
        cut = _cut(longest, smooth, where, sizes, NearSeams(seams, near))
        points = _fitted(cut, smooth, where, volume, voxel, borders)
    return ImageMesh(
        points=points,
        vertex=lattice.united(cut.numbers, cut.doubled),
        cells=cut.cells,
        phase=cut.phase,
        shape="triangle" if volume.dim == 2 else "tetrahedron",
        names=volume.names,
        unit=volume.unit,
        extent=extent,
        periodic=periodic,
    )


def _cut(
    longest: VoxelFields, smooth: VoxelFields, where: RankBoxes, sizes: EdgeSizes, seams: NearSeams | None = None
) -> CutCells:
    """Refine the lattice to these lengths of edges and cut its cells along the interfaces; collective."""
    lattice = where.lattice

    def too_long(at: Array, edge: float) -> Flags:
        return np.asarray((edge > longest.at(at)[0]) | (edge > sizes.in_parts(at)))

    stages = refined(lattice, where.own, too_long, where.exchange)
    keys, cells = together(where.comm, lambda: simplices_of_box(lattice, where.own, stages))
    return cut_cells(keys, cells, smooth, where, seams)


def _survey(volume: LabelVolume, lattice: Lattice, solved: Sequence[int], comm: MPI.Intracomm) -> tuple[Numbers, Array]:
    """Look through the image slab by slab; collective.

    Returns:
        About how much work each coarse box makes (x, y[, z]), and the area of the voxel faces between each two phases.
    """
    phases, dim = len(volume.names), volume.dim
    found = slab_sum(volume, comm, partial(_counted, volume, lattice, solved), halo=(0, 1))
    weights = WORK_PER_BOX + found[: math.prod(lattice.boxes)].reshape(lattice.boxes)
    areas = np.zeros((phases, phases))
    for axis, pairs in enumerate(found[math.prod(lattice.boxes) :].reshape(dim, phases, phases)):
        areas += math.prod(volume.pixel) / volume.pixel[dim - 1 - axis] * (pairs + pairs.T)
    return weights, areas


def _local_work(lattice: Lattice, sizes: EdgeSizes) -> Numbers:
    """Cells in each coarse box (x, y[, z]) that sizes in parts of the image add, about."""
    if not sizes.local:
        return np.zeros(lattice.boxes, np.int64)
    dim = len(lattice.boxes)
    samples = max(1, min(SAMPLES, int((MOST_SAMPLES / math.prod(lattice.boxes)) ** (1 / dim))))
    fine = [samples * count for count in lattice.boxes]
    centres = [(np.arange(n) + 0.5) * length / n for n, length in zip(fine, lattice.extent, strict=True)][::-1]
    volume = math.prod(lattice.extent) / math.prod(fine)
    more = np.zeros(lattice.boxes[::-1])
    for part in sizes.local:
        edge = np.minimum(WHOLE * part.size + sizes.edge_growth * part.distance(centres), sizes.longest_edge)
        cells = CELLS[dim] * volume * (edge ** -float(dim) - sizes.longest_edge ** -float(dim))
        for axis in range(dim):
            cells = np.add.reduceat(cells, np.arange(0, cells.shape[axis], samples), axis=axis)
        more += cells
    return np.round(more.T).astype(np.int64)


def _counted(volume: LabelVolume, lattice: Lattice, solved: Sequence[int], slab: Slab) -> Numbers:
    """In one row: work in each coarse box at voxel faces between phases, then these faces by axis and phases."""
    phases, dim = len(volume.names), volume.dim
    matters = np.isin(np.arange(phases), solved)
    work = np.zeros(lattice.boxes, np.int64)
    faces = np.zeros((dim, phases**2), np.int64)
    for axis, step in enumerate(np.eye(dim, dtype=int).tolist()):
        low, high = slab.pairs(step)
        at = np.nonzero(low != high)
        one, other = low[at], high[at]
        faces[axis] = np.bincount(one.astype(np.int64) * phases + other, minlength=phases**2)
        place = []
        for i, (index, boxes, length, edge) in enumerate(
            zip(at[::-1], lattice.boxes, lattice.extent, volume.pixel, strict=True)
        ):
            middle = (index + (slab.layers[0] if i == dim - 1 else 0) + 0.5) * edge
            place.append(np.minimum((middle / length * boxes).astype(np.int64), boxes - 1))
        np.add.at(work, tuple(place), np.where(matters[one] | matters[other], WORK_PER_FACE, WORK_PER_FACE // 2))
    return np.concatenate([work.ravel(), faces.ravel()])


def _around(
    box: BoxRange, lattice: Lattice, volume: LabelVolume, voxel: tuple[float, ...], sizes: EdgeSizes
) -> tuple[Phases, tuple[int, ...]]:
    """Phases of the voxels that a rank must know to mesh its box, and the first of them, x first; collective.

    Along periodic axes they go on beyond the image.
    """
    rims = [max(math.ceil(sizes.reach / edge), REACH) + RIM for edge in voxel]
    farthest = max(rim * edge for rim, edge in zip(rims, voxel, strict=True)) * volume.unit
    beyond = repeated(replace(volume, periodic=lattice.periodic), farthest, nearest=False)
    margin = [low for low, _ in beyond.within]
    window = _window(box, lattice, volume, voxel, rims)
    portion = beyond.volume.read(tuple((a + m, b + m) for (a, b), m in zip(window, margin, strict=True)))
    return portion.phase, tuple(first - m for first, m in zip(portion.start, margin[::-1], strict=True))


def _window(
    box: BoxRange, lattice: Lattice, volume: LabelVolume, voxel: tuple[float, ...], rims: Sequence[int]
) -> Window:
    """Voxels of which a rank must know the phase to mesh its box, and `rims` of them on each side, x first."""
    if box.empty:
        return tuple((0, min(2, count)) for count in volume.shape)  # of no use, but not nothing
    window = []
    for axis, count in enumerate(volume.grid):
        edge = lattice.extent[axis] / lattice.boxes[axis] / voxel[axis]  # of a coarse box, in voxels
        low = math.floor(box.first[axis] * edge) - rims[axis]
        high = math.ceil(box.last[axis] * edge) + rims[axis]
        window.append((low, high) if axis in lattice.periodic else (max(0, low), min(count, high)))
    return tuple(window[::-1])


def _fitted(
    cut: CutCells,
    smooth: VoxelFields,
    where: RankBoxes,
    volume: LabelVolume,
    voxel: tuple[float, ...],
    borders: Array,
) -> Array:
    """Place the vertices so that the phases have their volumes and no cell is sharp; collective."""
    comm = where.comm
    extent = np.array(where.lattice.extent)
    phases = len(volume.names)
    shared = where.shared(cut.numbers, cut.doubled)
    about = surroundings(cut, phases, extent, shared, where.lattice.united(cut.numbers, cut.doubled))
    wanted = np.array(volume.counts) * math.prod(voxel)
    lead: Array = np.zeros(phases)
    points = repaired(placed(cut.points, cut, about, smooth, lead, extent), cut, about, extent)
    gain, before = 1.0, None
    for _ in range(PASSES):
        amounts = np.bincount(cut.phase, weights=signed_measures(points, cut.cells), minlength=phases)
        missing = wanted - comm.allreduce(amounts)
        if (np.abs(missing) <= np.maximum(EXACT * wanted, 1e-6)).all():
            break
        if before is not None:  # what the last step has brought tells how long the next one must be
            brought = float(before @ (before - missing)) / float(before @ before)
            gain = min(4.0, gain / max(brought, 0.25))
        before = missing
        # Rounded, so that it does not depend on the order in which ranks add volumes up.
        lead = lead + np.round(np.clip(gain * _leads(missing, borders), -0.1, 0.1), 7)
        points = placed(points, cut, about, smooth, lead, extent)
    return repaired(points, cut, about, extent)


def _leads(missing: Array, borders: Array) -> Array:
    """What to add to the indicators so that phases gain the volumes that they miss.

    A difference of leads d moves an interface of area A by d / SLOPE, and smooth interfaces have about two thirds of
    the area of their voxel faces.
    """
    flow = borders * (2 / 3) / SLOPE
    matrix = np.diag(flow.sum(axis=1)) - flow
    return np.asarray(np.linalg.lstsq(matrix, missing, rcond=1e-9)[0])
