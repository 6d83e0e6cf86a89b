"""Particles: the connected pieces of a phase of an image that is spread over ranks, and what lies around them."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mpi4py import MPI

from microlith.imaging.image.volume import LabelVolume
from microlith.imaging.microstructure.image_pieces import LabelledSlab, ask_owners, labelled_slab, opposite_ends
from microlith.imaging.microstructure.periods import piece_periods
from microlith.imaging.parallel.large_arrays import connected_sets, row_slices
from microlith.imaging.typing import Array, Flags, Indices, Integers, Numbers

DEPTHS = (0.5, 1.0, 0.25, 1.5, 2.0)  # voxels under a surface at which its particle is looked for, one after the other
FARTHEST = 8  # voxels around these in which it is looked for then


@dataclass(frozen=True, eq=False)
class Particles:
    """Connected pieces of some phases, in the order of their first voxels, phase after phase; the same on all ranks.

    Where the image is periodic, a piece goes on through opposite faces.

    Voxels are connected through faces (edges in 2D). Only `numbers_at` knows where they are, of a slab on each rank.
    """

    phase: Numbers  # (n,) index
    voxels: Numbers  # (n,) how many
    center: Array  # (n, dim) centroid, m, x, y[, z]; within the image, of one that goes on through periodic faces, too
    interface_size: Array  # (n, phases) length of pixel edges (area of voxel faces) towards each phase, m (m^2)
    on_frame: Flags  # (n,) whether the image's frame cuts it, where that is not periodic
    volume: LabelVolume
    comm: MPI.Intracomm
    _slab: LabelledSlab
    _of_label: Indices  # (labels of the slab,) particle, -1 where it is none

    def __len__(self) -> int:
        """How many there are, of all the phases."""
        return len(self.phase)

    @property
    def measure(self) -> Array:
        """Areas (volumes), (n,), m^2 (m^3)."""
        return np.multiply(self.voxels, self.volume.voxel_measure, dtype=np.float64)

    @property
    def diameter(self) -> Array:
        """Diameters of disks (spheres) as large, (n,), m."""
        measure = self.measure
        diameter: Array = 2 * np.sqrt(measure / np.pi) if self.volume.dim == 2 else np.cbrt(6 * measure / np.pi)
        return diameter

    def numbers_at(self, voxels: Integers) -> Indices:
        """Particle at each voxel, (m,), -1 where there is none; collective.

        Args:
            voxels: (m, dim) indices x, y[, z], within the image.
        """
        flat = np.ravel_multi_index(tuple(voxels.T[::-1]), self.volume.shape) if len(voxels) else np.empty(0, np.int64)
        label = self._slab.label.ravel()
        return ask_owners(self.volume, np.asarray(flat, np.int64), lambda i: self._of_label[label[i]], self.comm)

    def behind(self, phase: int, points: Array, inwards: Array) -> tuple[Indices, int]:
        """Particle of a phase that lies behind each point of its surface on a mesh; collective.

        A smooth surface leaves its voxels by a fraction of one, so that what lies a little deeper tells; where
        nothing of the phase does, the nearest voxel of it tells.

        Args:
            phase: Index.
            points: (m, dim) on the surface, in mesh units.
            inwards: (m, dim) unit vectors into the phase.

        Returns:
            Particles, (m,), -1 where none is near, and how many points on all ranks took the search around them.
        """
        edge = np.array(self.volume.pixel)
        grid = np.array(self.volume.grid)
        around_ends = np.isin(np.arange(len(grid)), self.volume.periodic)
        at, step = points / edge, inwards / edge
        step = step / np.maximum(np.abs(step).max(axis=1, initial=1e-300), 1e-300)[:, None]
        found = np.full(len(points), -1, np.int32)

        def look(of: Numbers, where: Array) -> Indices:
            voxel = np.floor(where).astype(np.int64)
            number = self.numbers_at(np.where(around_ends, voxel % grid, np.clip(voxel, 0, grid - 1)))
            return np.where((number >= 0) & (self.phase[number] == phase), number, -1) if len(self) else number

        for depth in DEPTHS:
            rest = np.flatnonzero(found < 0)
            found[rest] = look(rest, at[rest] + depth * step[rest])
        searched = self.comm.allreduce(int(np.count_nonzero(found < 0)))
        for radius in range(1, FARTHEST + 1):
            rest = np.flatnonzero(found < 0)
            if not self.comm.allreduce(len(rest)):
                break
            around = np.array(list(product(range(-radius, radius + 1), repeat=len(edge))))
            around = around[np.abs(around).max(axis=1) == radius]
            around = around[np.argsort(np.linalg.norm(around * edge, axis=1), kind="stable")]
            near = look(np.repeat(rest, len(around)), (at[rest, None] + around).reshape(-1, len(edge)))
            near = near.reshape(len(rest), len(around))
            found[rest] = near[np.arange(len(rest)), (near >= 0).argmax(axis=1)] if len(rest) else found[rest]
        return found, int(searched)

    def bare_faces(self, phases: Sequence[int]) -> tuple[Indices, Indices]:
        """Voxel faces of this rank's slab that particles turn to some phases or to the image's frame, in 3D.

        Args:
            phases: Indices of the phases.

        Returns:
            Corners (n, 4, 3), in voxels x, y, z, around the normal out of the particle; and the particle of each, (n,).
        """
        first, last = self._slab.layers
        towards = np.isin(np.arange(len(self.volume.names)), list(phases))
        number, beside = self._of_label[self._slab.label], towards[self._slab.phase]
        corners: list[Indices] = [np.empty((0, 4, 3), np.int32)]
        of_face: list[Indices] = [np.empty(0, np.int32)]
        for axis in range(3 if last > first else 0):
            own = slice(None) if axis == 0 else slice(None, last - first)
            ends = (1, 1) if axis else (int(first == 0), int(last == self.volume.shape[0]))
            wide = (ends, (0, 0), (0, 0))
            of = np.pad(np.moveaxis(number[own], axis, 0), wide, constant_values=-1)
            other = np.pad(np.moveaxis(beside[own], axis, 0), wide, constant_values=True)
            for turned, mine, beyond in ((0, slice(None, -1), slice(1, None)), (1, slice(1, None), slice(None, -1))):
                inside = of[mine]
                at = np.nonzero((inside >= 0) & other[beyond] & (of[beyond] != inside))
                around = np.empty((len(at[0]), 4, 3), np.int32)  # z, y, x
                around[..., axis] = at[0][:, None] + 1 - ends[0]
                rows, columns = (i for i in range(3) if i != axis)
                around[..., rows] = at[1][:, None] + (0, 0, 1, 1)
                around[..., columns] = at[2][:, None] + (0, 1, 1, 0)
                around[..., 0] += first
                # Around the outward normal: towards the end of z and of x they are, of y the other way round.
                corners.append((around[:, ::-1] if turned != (axis == 1) else around)[..., ::-1])
                of_face.append(inside[at])
        return np.concatenate(corners), np.concatenate(of_face)


def particles_of(volume: LabelVolume, phases: Sequence[int], comm: MPI.Intracomm) -> Particles:
    """Find the connected pieces of some phases of an image; collective.

    Each rank labels a slab of the image; only what is known of the pieces travels, and labels where slabs meet.

    Args:
        volume: The image.
        phases: Indices of the phases.
        comm: All ranks.
    """
    slab = labelled_slab(volume, comm)
    pieces = slab.pieces
    of_phase, first = (np.concatenate(comm.allgather(part)) for part in (pieces.phase, pieces.first))
    links = np.concatenate(comm.allgather(pieces.links))
    _, body = connected_sets(links, len(of_phase))
    rank = np.full(256, len(phases))
    rank[list(phases)] = np.arange(len(phases))
    wanted = np.flatnonzero(rank[of_phase] < len(phases))
    body_first = np.full(len(of_phase), np.iinfo(np.int64).max)
    np.minimum.at(body_first, body[wanted], first[wanted])
    bodies, place = np.unique(body[wanted], return_index=True)
    phase = of_phase[wanted[place]].astype(np.int64)
    order = np.lexsort((body_first[bodies], rank[phase]))
    number = np.full(len(of_phase), -1, np.int32)
    number[bodies[order]] = np.arange(len(order))
    of_label = number[body[slab.start : slab.start + len(pieces.phase)]]
    sums = comm.allreduce(_sums(volume, slab, of_label, len(order), comm))
    count, dim = sums[:, 0], volume.dim
    if volume.periodic:  # the parts of a particle are put where they meet
        voxels, across = (np.concatenate(comm.allgather(part)) for part in (pieces.voxels, pieces.across))
        periods = piece_periods(links, across, len(of_phase))[wanted]
        np.add.at(sums[:, 1 : 1 + dim], number[body[wanted]], voxels[wanted, None] * periods * volume.grid)
    edges = np.array(volume.voxel_size[::-1])
    center = sums[:, 1 : 1 + dim] / np.maximum(count, 1)[:, None] + 0.5
    for axis in volume.periodic:
        center[:, axis] %= volume.grid[axis]
    return Particles(
        phase=phase[order],
        voxels=count.astype(np.int64),
        center=center * edges,
        interface_size=sums[:, 2 + dim :],
        on_frame=sums[:, 1 + dim] > 0,
        volume=volume,
        comm=comm,
        _slab=slab,
        _of_label=of_label,
    )


def _sums(volume: LabelVolume, slab: LabelledSlab, of_label: Indices, count: int, comm: MPI.Intracomm) -> Array:
    """Of each particle's part in the slab: voxels, sums of their indices x, y[, z], voxels on the frame, contacts.

    Collective where the image is periodic, for the contacts across its faces.
    """
    dim, phases = volume.dim, len(volume.names)
    sums = np.zeros((count, 2 + dim + phases))
    faces = np.zeros((dim, count * phases))
    first, last = slab.layers
    for part in row_slices((last - first, *slab.label.shape[1:])):
        stop = min(part.stop, last - first)
        label, phase = slab.label[part.start : stop + 1], slab.phase[part.start : stop + 1]
        number = of_label[label]
        own = number[: stop - part.start]
        at = np.nonzero(own >= 0)
        here = own[at]
        sums[:, 0] += np.bincount(here, minlength=count)
        edge = np.zeros(len(here), bool)
        for axis in range(dim):
            index = at[axis] + (first + part.start if axis == 0 else 0)
            sums[:, dim - axis] += np.bincount(here, index, minlength=count)
            if dim - 1 - axis not in volume.periodic:
                edge |= (index == 0) | (index == volume.shape[axis] - 1)
        sums[:, 1 + dim] += np.bincount(here[edge], minlength=count)
        for axis in range(dim):
            inner = slice(None, stop - part.start) if axis else slice(None)
            of, beside = (np.moveaxis(values[inner], axis, 0) for values in (number, phase))
            faces[axis] += _contacts((of[:-1], of[1:]), (beside[:-1], beside[1:]), count, phases)
    for axis in volume.periodic:
        of_ends = opposite_ends(volume, of_label[slab.label], slab.layers, axis, comm)
        phase_ends = opposite_ends(volume, slab.phase, slab.layers, axis, comm)
        faces[dim - 1 - axis] += _contacts(of_ends, phase_ends, count, phases)
    face = np.prod(volume.voxel_size) / np.array(volume.voxel_size)
    sums[:, 2 + dim :] = (face @ faces).reshape(count, phases)
    return sums


def _contacts(
    number: tuple[NDArray[Any], NDArray[Any]], phase: tuple[NDArray[Any], NDArray[Any]], count: int, phases: int
) -> NDArray[np.int64]:
    """Faces (particles * phases,) that particles turn to other phases, from what lies on one side and on the other."""
    apart = phase[0] != phase[1]
    found = np.zeros(count * phases, np.int64)
    for mine, theirs in ((number[0][apart], phase[1][apart]), (number[1][apart], phase[0][apart])):
        key = mine[mine >= 0].astype(np.int64) * phases + theirs[mine >= 0]
        found += np.bincount(key, minlength=count * phases)
    return found
