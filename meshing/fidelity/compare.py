"""How well a mesh renders the image that it was made from."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from mpi4py import MPI

from microlith.imaging.axes import AXES
from microlith.imaging.formats.stored import Window
from microlith.imaging.image.volume import LabelVolume
from microlith.imaging.microstructure.image_pieces import SlabPieces, WindowPieces, image_pieces
from microlith.imaging.microstructure.periods import going_on
from microlith.imaging.parallel.collective import on_root
from microlith.imaging.parallel.large_arrays import connected_sets
from microlith.imaging.parallel.percentile import percentile
from microlith.imaging.typing import Array, Bits, Flags, Indices, Numbers, Phases
from microlith.meshing.fidelity.report import FidelityReport, Interface, PhaseFidelity, Piece
from microlith.meshing.mesh.mesh_pieces import MeshPieces, mesh_pieces
from microlith.meshing.mesh.phasemesh import ImageMesh
from microlith.meshing.mesh.quality import areas, box_measures, sicn, smallest_angles, tetrahedron_quality

COMPLETE = 1e-6  # share of the image that cells may miss by rounding
NAMED = 20  # pieces or groups of each kind and phase that are named
NAMED_IN_GROUP = 8
VOTERS = 1 << 16  # cells at a time


def fidelity(
    volume: LabelVolume, image_mesh: ImageMesh, solved: Sequence[int], comm: MPI.Intracomm
) -> FidelityReport | None:
    """Compare a mesh with its image; collective.

    Each rank compares its cells with the part of the image around them. To rank 0 go the sizes of phases, interfaces
    and connected pieces, and which piece of the mesh lies over which piece of the image.

    Args:
        volume: The image.
        image_mesh: The mesh. Where its cells don't fill the image, phases that are not solved count as left out.
        solved: Indices of the phases that are solved for.
        comm: All ranks.

    Returns:
        The report on rank 0, None elsewhere.
    """
    measure, of_each, of_all = _shapes(image_mesh)
    of_phase = comm.allreduce(np.bincount(image_mesh.phase, measure, minlength=len(image_mesh.names)))
    cells = comm.allreduce(np.bincount(image_mesh.phase, minlength=len(image_mesh.names)))
    whole = bool(of_phase.sum() > (1 - COMPLETE) * np.prod(image_mesh.extent))
    quality = [_quality(of_each, image_mesh.phase == index, comm) for index in range(len(image_mesh.names))]
    overall = _quality(of_all, None, comm)
    in_mesh = mesh_pieces(image_mesh, whole, comm)
    sizes = comm.allreduce(in_mesh.interfaces)
    # Pieces end at the frame, of image and mesh, so that what is divided there counts; ways do not.
    around = replace(volume, periodic=image_mesh.periodic)
    in_window, in_slab = image_pieces(around, _window(volume, image_mesh), comm)
    overlap = _overlap(volume, image_mesh, measure, in_window, in_mesh, comm)
    tables = comm.gather((in_slab, in_mesh.phase, in_mesh.faces, in_mesh.links, in_mesh.across, overlap))
    compared = on_root(comm, partial(_compared, tables or [], image_mesh.periodic))
    if compared is None:
        return None
    phases = []
    for index, name in enumerate(image_mesh.names):
        there = whole or index in solved
        image_size = volume.counts[index] * volume.voxel_measure
        mesh_size = float(of_phase[index]) * image_mesh.unit**volume.dim
        phases.append(
            PhaseFidelity(
                name=name,
                solved=index in solved,
                cells=int(cells[index]),
                image=image_size,
                mesh=mesh_size if there else None,
                relative_difference=mesh_size / image_size - 1 if there and image_size else None,
                quality=quality[index],
                **compared.of_phase(index, volume, there),
            )
        )
    low, high = np.nonzero(sizes)
    scale = image_mesh.unit ** (volume.dim - 1)
    return FidelityReport(
        shape=image_mesh.shape,
        voxel=volume.unit,
        phases=tuple(phases),
        interfaces=tuple(
            Interface((image_mesh.names[a], image_mesh.names[b]), float(sizes[a, b]) * scale)
            for a, b in zip(low, high, strict=True)
        ),
        cells=int(cells[list(solved)].sum()),
        all_cells=int(cells.sum()),
        quality=overall or {},
    )


# --- quality ---

Figures = dict[str, tuple[Array, float]]  # key of the report -> value of each cell, and percent of them below


def _shapes(image_mesh: ImageMesh) -> tuple[Array, Figures, Figures]:
    """Area (volume) of each cell, and what is told of the quality of each phase and of all cells."""
    if image_mesh.shape == "triangle":
        q, angle = sicn(image_mesh.points, image_mesh.cells), smallest_angles(image_mesh.points, image_mesh.cells)
        of_each: Figures = {"worst_sicn": (q, 0.0), "sicn_1_percent": (q, 1.0)}
        of_all: Figures = {**of_each, "median_sicn": (q, 50.0), "smallest_angle_deg": (angle, 0.0)}
        return areas(image_mesh.points, image_mesh.cells), of_each, of_all
    if image_mesh.shape == "tetrahedron":
        volume, angle, q = tetrahedron_quality(image_mesh.points, image_mesh.cells)
        of_each = {
            "worst_dihedral_angle_deg": (angle, 0.0),
            "dihedral_angle_0.1_percent_deg": (angle, 0.1),
            "dihedral_angle_1_percent_deg": (angle, 1.0),
            "worst_sicn": (q, 0.0),
        }
        return volume, of_each, {**of_each, "median_dihedral_angle_deg": (angle, 50.0)}
    return box_measures(image_mesh.points, image_mesh.cells), {}, {}


def _quality(figures: Figures, chosen: Flags | None, comm: MPI.Intracomm) -> dict[str, float] | None:
    """The figures of the chosen cells of all ranks; None where there is no cell or no figure. Collective."""
    found: dict[str, float] = {}
    for key, (values, percent) in figures.items():
        value = percentile(values if chosen is None else values[chosen], percent, comm)
        if value is not None:
            found[key] = value
    return found or None


# --- pieces ---


@dataclass(frozen=True, eq=False)
class _Overlap:
    """How much of which piece of the mesh lies in which piece of the image, in the numbers of all ranks."""

    image: Numbers  # (n,)
    mesh: Numbers  # (n,)
    measure: Array  # (n,)


def _window(volume: LabelVolume, image_mesh: ImageMesh) -> Window:
    """The voxels around this rank's cells."""
    if len(image_mesh.points) == 0:
        return volume.empty_window
    scale = image_mesh.unit / volume.unit
    return volume.window(image_mesh.points.min(axis=0) * scale, image_mesh.points.max(axis=0) * scale)


def _overlap(
    volume: LabelVolume,
    image_mesh: ImageMesh,
    measure: Array,
    in_image: WindowPieces,
    in_mesh: MeshPieces,
    comm: MPI.Intracomm,
) -> _Overlap:
    """Votes of the cells: as centroids alone would miss pieces of one voxel, each corner, drawn half-way, votes too."""
    before = int(np.sum(comm.allgather(len(in_mesh.phase))[: comm.rank]))
    window = _window(volume, image_mesh)
    shape = in_image.phase.shape
    start = np.array([low for low, _ in window])
    per_unit = image_mesh.unit / np.array(volume.voxel_size)
    phase, label = in_image.phase.ravel(), in_image.label.ravel()
    pieces = len(in_mesh.phase)
    keys: list[Numbers] = []
    weights: list[NDArray[Any]] = []
    for first in range(0, len(image_mesh.cells), VOTERS):
        chunk = slice(first, first + VOTERS)
        corners = np.ascontiguousarray(image_mesh.points.T[::-1])[:, image_mesh.cells[chunk].T]  # (dim, corners, cells)
        centroid = corners.mean(axis=1, keepdims=True)
        votes = np.concatenate([centroid, 0.5 * (centroid + corners)], axis=1)
        place = np.zeros(votes.shape[1:], np.int64)
        for axis, size in enumerate(shape):
            at = (votes[axis] * per_unit[axis]).astype(np.int64) - start[axis]
            place = place * size + np.clip(at, 0, size - 1)
        valid = phase[place] == image_mesh.phase[chunk]
        key = label[place].astype(np.int64) * pieces + in_mesh.piece[chunk]
        vote = np.broadcast_to(measure[chunk], key.shape)[valid]
        found, weight = _summed(key[valid], vote)
        keys.append(found)
        weights.append(weight)
    if not keys:
        return _Overlap(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))
    found, total = _summed(np.concatenate(keys), np.concatenate(weights))
    return _Overlap(in_image.number[found // pieces], found % pieces + before, np.asarray(total))


def _summed(keys: Numbers, weights: NDArray[Any]) -> tuple[Numbers, NDArray[Any]]:
    """Keys (n,), none negative, once each in their order, and the sums of their weights (n,)."""
    if int(keys.max(initial=0)) < len(keys):  # so few that they need not be sorted
        found = np.flatnonzero(np.bincount(keys))
        return found, np.bincount(keys, weights)[found]
    found, of = np.unique(keys, return_inverse=True)
    return found, np.bincount(of.ravel(), weights, minlength=len(found))


@dataclass(frozen=True, eq=False)
class _Compared:
    """All pieces of image and mesh."""

    phase: Phases  # (n,) of the pieces of the image
    first: Numbers  # (n,) place of the first voxel in the flattened image
    voxels: Numbers  # (n,)
    mesh_phase: Phases  # (m,) of the pieces of the mesh
    over: Numbers  # (n,) piece of the mesh that most of the piece lies in, -1 for none
    under: Numbers  # (m,) piece of the image that holds most of the piece, -1 for none
    ways: "_Ways"  # of the pieces of the image
    mesh_ways: "_Ways"  # of the pieces of the mesh
    within: Array  # (m,) of its area (volume), what lies in the piece of the image that holds most of it

    def of_phase(self, index: int, volume: LabelVolume, there: bool) -> dict[str, Any]:
        """What PhaseFidelity says of the pieces of a phase, there in the mesh or left out."""
        mine = self.phase == index
        counts: dict[str, Any] = {"pieces_image": int(np.count_nonzero(mine)), "pieces_mesh": None}
        if not there:
            return counts
        counts["pieces_mesh"] = int(np.count_nonzero(self.mesh_phase == index))
        lost = np.flatnonzero(mine & (self.over < 0))
        found = np.flatnonzero(mine & (self.over >= 0))
        merged = found[_repeated(self.over, len(self.under))[self.over[found]]]
        split = np.flatnonzero(mine & _repeated(self.under, len(self.phase)))
        total = max(1, int(self.voxels[mine].sum()))
        image_paths, mesh_paths = self.ways.axes(mine), self.mesh_ways.axes(self.mesh_phase == index)
        return counts | {
            "lost_share": float(self.voxels[lost].sum() / total),
            "merged_share": float(_all_but_the_largest(self.over[merged], self.voxels[merged]) / total),
            "split_share": self._cut_off(split) / total,
            "opened": tuple(axis for axis in mesh_paths if axis not in image_paths),
            "closed": tuple(axis for axis in image_paths if axis not in mesh_paths),
            "interrupted": self._interrupted(mine, total),
            "lost": self._largest(lost, volume),
            "lost_count": len(lost),
            "merged": self._groups(merged, volume),
            "merged_count": len(merged),
            "split": self._largest(split, volume),
            "split_count": len(split),
        }

    def _interrupted(self, mine: Flags, total: int) -> dict[str, float]:
        """Of the voxels of a phase, what is in wholes that go on along an axis in the image, and nowhere in the mesh.

        By axes along which the image comes again, and some of the phase goes on in the mesh as well.
        """
        found = {}
        for axis in sorted(self.ways.periodic):
            goes, mesh_goes = self.ways.through[:, axis], self.mesh_ways.through[:, axis]
            there = self.under[mesh_goes & (self.under >= 0)]
            lost = mine & goes & ~np.isin(self.ways.whole, self.ways.whole[there])
            if lost.any() and (mine & goes & ~lost).any():
                found[AXES[axis]] = float(self.voxels[lost].sum() / total)
        return found

    def _cut_off(self, split: Numbers) -> float:
        """Voxels of pieces of the image that are not in the largest piece of the mesh that lies in each."""
        parts = np.flatnonzero(np.isin(self.under, split))
        whole = np.bincount(self.under[parts], self.within[parts], minlength=len(self.phase))
        cut = np.zeros(len(self.phase))
        np.maximum.at(cut, self.under[parts], self.within[parts])
        return float(sum((1 - cut[i] / whole[i]) * self.voxels[i] for i in split))

    def _groups(self, merged: Numbers, volume: LabelVolume) -> tuple[tuple[Piece, ...], ...]:
        """Pieces that are one in the mesh; first the groups whose second largest piece is the largest.

        Of equal ones that come first which do so in the image: numbers of the mesh's pieces depend on the ranks.
        """
        order = merged[np.lexsort((self.first[merged], -self.voxels[merged], self.over[merged]))]
        _, start = np.unique(self.over[order], return_index=True)
        if len(start) == 0:
            return ()
        largest = np.lexsort((self.first[order[start]], -self.voxels[order[start + 1]]))[:NAMED]
        ends = np.append(start[1:], len(order))
        groups = (order[start[i] : min(ends[i], start[i] + NAMED_IN_GROUP)] for i in largest)
        return tuple(self._largest(group, volume) for group in groups)

    def _largest(self, pieces: Numbers, volume: LabelVolume) -> tuple[Piece, ...]:
        chosen = pieces[np.lexsort((self.first[pieces], -self.voxels[pieces]))][:NAMED]
        places = np.stack(np.unravel_index(self.first[chosen], volume.shape)[::-1], axis=1)
        return tuple(
            Piece(tuple(place), size) for place, size in zip(places.tolist(), self.voxels[chosen].tolist(), strict=True)
        )


@dataclass(frozen=True, eq=False)
class _Ways:
    """Where pieces go through the image, together with others that they meet across faces where it comes again."""

    whole: Indices  # (n,) number of what each piece is a part of
    through: Flags  # (n, dim) whether that goes through all of the image along an axis, or on without end
    periodic: tuple[int, ...]  # axes along which the image comes again

    @staticmethod
    def of(faces: Bits, parts: Numbers, across: Indices, piece: Indices, periodic: tuple[int, ...]) -> "_Ways":
        """Those of pieces.

        Args:
            faces: (n,) outer faces that each reaches, bits as of FACES.
            parts: (k, 2) parts of pieces that meet across faces where the image comes again.
            across: (k, dim) periods from the first to the second.
            piece: Of each part.
            periodic: Axes along which it comes again.
        """
        links = piece[parts].astype(np.int64)
        count, whole = connected_sets(links, len(faces))
        reached = _united(faces, whole, count)[whole]
        through = np.stack([(reached >> np.uint8(2 * axis)) & 3 == 3 for axis in range(across.shape[1])], axis=1)
        goes_on = going_on(links, across, len(faces))
        for axis in periodic:
            through[:, axis] = goes_on[:, axis]
        return _Ways(whole, through, periodic)

    def axes(self, of: Flags) -> tuple[str, ...]:
        """Axes along which some of the chosen pieces go through."""
        return tuple(AXES[axis] for axis in range(self.through.shape[1]) if self.through[of, axis].any())


def _all_but_the_largest(group: Numbers, voxels: Numbers) -> int:
    """Sum of the voxels (n,) without the largest of each group (n,)."""
    _, place = np.unique(group, return_inverse=True)
    largest = np.zeros(int(place.max(initial=-1)) + 1, np.int64)
    np.maximum.at(largest, place.ravel(), voxels)
    return int(voxels.sum() - largest.sum())


Tables = list[tuple[SlabPieces, Phases, Bits, Numbers, Indices, _Overlap]]


def _compared(tables: Tables, periodic: tuple[int, ...]) -> _Compared:
    """Put the pieces that several ranks have seen together, and find those that lie over each other."""
    slabs, mesh_phases, mesh_bits, mesh_links, mesh_across, overlaps = zip(*tables, strict=True)
    phase = np.concatenate([slab.phase for slab in slabs])
    links, around = _at_the_frame([slab.links for slab in slabs], [slab.across for slab in slabs])
    count, piece = connected_sets(links, len(phase))
    first = np.concatenate([slab.first for slab in slabs])
    voxels = np.bincount(piece, np.concatenate([slab.voxels for slab in slabs]), minlength=count).astype(np.int64)
    begin = np.empty(count, np.int64)
    backwards = np.argsort(-first, kind="stable")
    begin[piece[backwards]] = first[backwards]
    mesh_phase = np.concatenate(mesh_phases)
    links, mesh_around = _at_the_frame(mesh_links, mesh_across)
    mesh_count, mesh_piece = connected_sets(links, len(mesh_phase))
    overlap = sparse.coo_array(
        (
            np.concatenate([o.measure for o in overlaps]),
            (
                piece[np.concatenate([o.image for o in overlaps])],
                mesh_piece[np.concatenate([o.mesh for o in overlaps])],
            ),
        ),
        shape=(count, mesh_count),
    ).tocsr()
    overlap.sum_duplicates()
    under = _largest_in_row(overlap.T.tocsr())
    within = np.zeros(mesh_count)
    held = np.flatnonzero(under >= 0)
    within[held] = np.asarray(overlap[under[held], held]).ravel()
    return _Compared(
        phase=_spread(phase, piece, count),
        first=begin,
        voxels=voxels,
        mesh_phase=_spread(mesh_phase, mesh_piece, mesh_count),
        over=_largest_in_row(overlap),
        under=under,
        ways=_Ways.of(_united(np.concatenate([slab.faces for slab in slabs]), piece, count), *around, piece, periodic),
        mesh_ways=_Ways.of(
            _united(np.concatenate(mesh_bits), mesh_piece, mesh_count), *mesh_around, mesh_piece, periodic
        ),
        within=within,
    )


def _at_the_frame(links: Sequence[Numbers], across: Sequence[Indices]) -> tuple[Numbers, tuple[Numbers, Indices]]:
    """The links within the image, and those across faces where it comes again with the periods that these lead by."""
    all_links, periods = np.concatenate(links), np.concatenate(across)
    around = periods.any(axis=1)
    return all_links[~around], (all_links[around], periods[around])


def _spread(values: Phases, to: Indices, count: int) -> Phases:
    """The value of each of `count` sets, of which all members have the same."""
    out = np.empty(count, np.uint8)
    out[to] = values
    return out


def _united(bits: Bits, to: Indices, count: int) -> Bits:
    """The bits that any member of each of `count` sets has."""
    out = np.zeros(count, np.uint8)
    np.bitwise_or.at(out, to, bits)
    return out


def _largest_in_row(matrix: sparse.csr_array) -> Numbers:
    """Column of the largest entry of each row, -1 for an empty row."""
    best = np.full(matrix.shape[0], -1, np.int64)
    row = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    order = np.argsort(matrix.data, kind="stable")
    best[row[order]] = matrix.indices[order]  # the last one written wins
    return best


def _repeated(values: Numbers, count: int) -> Flags:
    """Which of 0 ... count - 1 are there more than once."""
    return np.bincount(values[values >= 0], minlength=count) > 1
