"""What regions lack because the mesh cuts parts off that the image has connected with what feeds them.

Where a neck is about a voxel wide, a mesh may close it, and what lies behind stays as it began. No comparison of meshes
of the kind need show that: a coarser one closes the neck as well.
"""

from collections.abc import Mapping

import numpy as np

from mpi4py import MPI

from microlith.imaging.image.volume import LabelVolume
from microlith.imaging.microstructure.image_pieces import image_pieces
from microlith.imaging.parallel.large_arrays import connected_sets
from microlith.imaging.typing import Array, Flags, Numbers
from microlith.meshing.mesh.cells import cell_nodes, measures
from microlith.meshing.mesh.phasemesh import PhaseMesh
from microlith.solver.problem.islands import fed_parts
from microlith.solver.problem.parts import Parts
from microlith.workflow.prepare.assemble import Prepared

BEHIND_CUTS = "; at least what is lacking in parts that the mesh cuts off and the image has connected"
NEARLY_ALL = 0.9  # of a region: if so much of it is cut off, the rest tells little of what it would hold


def cut_off_errors(ready: Prepared, curves: Mapping[str, Array]) -> dict[str, Array]:
    """Error of the mean over each region that holds parts cut off by the mesh alone, (times,), mol/m^3; collective.

    Had they been reached, these parts would hold at most about what the rest of the region does.

    Args:
        ready: The case on its mesh.
        curves: Region -> (times,) mean concentration, mol/m^3.
    """
    if not ready.apart or ready.case.mesh.unit is not None:
        return {}
    problem, mesh = ready.problem, ready.meshed.mesh
    parts = problem.system.parts
    fed = fed_parts(problem.discretization, parts, ready.case.physics)
    cut = _cut_off(ready.meshed.volume, mesh, parts, fed)
    if not cut.any():
        return {}
    comm, start = mesh.mesh.comm, problem.scales.concentration * problem.system.initial
    behind = cut[parts.of_dof[: len(start)]]
    found = {}
    for name, curve in curves.items():
        mean = ready.means[name]
        there = mean.weights[behind]
        sums = np.array([mean.weights.sum(), there.sum(), there @ start[behind]])
        whole, lacking, held = (float(part) for part in comm.allreduce(sums, op=MPI.SUM))
        share = lacking / whole
        if share <= 0.0:
            continue
        if share < NEARLY_ALL:
            rest = (curve - held) / (1.0 - share)
        else:
            rest = np.full_like(curve, problem.reference_of(mean.phase_shares))
        found[name] = np.abs(share * rest - held)
    return found


def _cut_off(volume: LabelVolume, mesh: PhaseMesh, parts: Parts, fed: Flags) -> Flags:
    """Parts that nothing feeds, but which lie in pieces of the image that are fed elsewhere, (parts,); collective.

    More than half of each is to lie in such pieces. A piece is fed if cells of fed parts fill at least a voxel of it.

    Args:
        volume: The image.
        mesh: The solved phases.
        parts: Of the problem.
        fed: (parts,) whether anything feeds them.
    """
    comm, dim = mesh.mesh.comm, mesh.mesh.topology.dim
    owned = mesh.mesh.topology.index_map(dim).size_local
    corners = mesh.mesh.geometry.x[cell_nodes(mesh.mesh)[:owned], :dim] * (mesh.unit / volume.unit)
    measure = measures(corners) / np.prod(volume.pixel)  # in voxels
    phase = np.zeros(len(parts.of_cell), np.int64)
    phase[mesh.cell_tags.indices] = mesh.cell_tags.values
    piece, count = _pieces_under(volume, corners, phase[:owned], comm)
    of_part, there = parts.of_cell[:owned], piece >= 0
    through = np.bincount(piece[there], measure[there] * fed[of_part[there]], minlength=count)
    reached = np.asarray(comm.allreduce(through, op=MPI.SUM) >= 1.0)
    joined = np.zeros(owned)
    joined[there] = reached[piece[there]]
    sums = np.array([np.bincount(of_part, measure * values, minlength=parts.count) for values in (1.0, joined)])
    whole, connected = comm.allreduce(sums, op=MPI.SUM)
    return np.asarray(~fed & (connected > 0.5 * whole))


def _pieces_under(volume: LabelVolume, corners: Array, phase: Numbers, comm: MPI.Intracomm) -> tuple[Numbers, int]:
    """Piece of the image at the middle of each cell, -1 where that is of another phase, and their number; collective.

    Args:
        volume: The image.
        corners: (cells, corners, dim) in units of the volume.
        phase: (cells,)
        comm: All ranks.
    """
    window = volume.empty_window
    if len(corners):
        window = volume.window(corners.min(axis=(0, 1)), corners.max(axis=(0, 1)))
    here, slab = image_pieces(volume, window, comm)
    count, of_number = connected_sets(np.concatenate(comm.allgather(slab.links)), sum(comm.allgather(len(slab.phase))))
    found = np.full(len(corners), -1, np.int64)
    if len(corners):
        start, shape = np.array([low for low, _ in window]), np.array(here.phase.shape)
        at = np.floor(corners.mean(axis=1) / np.array(volume.pixel)).astype(np.int64)[:, ::-1] - start
        place = tuple(np.clip(at, 0, shape - 1).T)
        same = here.phase[place] == phase
        found[same] = of_number[here.number[here.label[place][same]]]
    return found, count
