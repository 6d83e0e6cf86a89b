"""On several ranks each holds its share: none has, even for a moment, memory that grows with the whole image."""

import pickle
import tracemalloc

import numpy as np
import pytest
from made_cases import COMM, write_case
from scipy.ndimage import gaussian_filter

from mpi4py import MPI

from microlith.solver.transient import solve
from microlith.workflow.case.read import load_case
from microlith.workflow.console.terminal import Stages
from microlith.workflow.prepare import assemble
from microlith.workflow.prepare.meshed import mesh_of

WIDE, LONG = 16, 32  # voxels, across and for each rank along
MOST = 1.2  # of what the share takes alone: with cells beside it and what is sent
MESH = '[mesh]\nsize = { particle = "25 nm" }\ndegree = 1\n'
REGIONS = """
[regions.deep]
box = { x = ["100 nm", "200 nm"] }
[regions.near]
shell = { around = "particle", distance = "15 nm" }
"""


def _electrode(length):
    noise = np.random.default_rng(3).standard_normal((length, WIDE, WIDE))
    smooth = gaussian_filter(noise, 3.0)
    return np.digitize(smooth, np.quantile(smooth, (0.3, 0.75))).astype(np.uint8)


def _stages(path, comm):
    """Mesh, assemble and solve; after each of them its name is given."""
    case, stages = load_case(path), Stages()
    meshed = mesh_of(case, case.physics.solved, stages, comm)
    yield "mesh"
    prepared = assemble.assembled(meshed.case, meshed, stages)
    yield "assembly"
    solve(prepared.problem, prepared.means, prepared.case.time, prepared.case.solver)
    yield "solve"


class _Counting(MPI.Intracomm):
    """A communicator that adds up what arrives on this rank of what all send to one or to all, in bytes."""

    arrived = 0

    def _taken(self, found):
        self.arrived += len(pickle.dumps(found))
        return found

    def allgather(self, *given, **named):
        return self._taken(super().allgather(*given, **named))

    def allreduce(self, *given, **named):
        return self._taken(super().allreduce(*given, **named))

    def bcast(self, *given, **named):
        return self._taken(super().bcast(*given, **named))

    def gather(self, *given, **named):
        return self._taken(super().gather(*given, **named))

    def Allgather(self, sent, into):
        super().Allgather(sent, into)
        self._taken(into)

    def Allreduce(self, sent, into, *given):
        super().Allreduce(sent, into, *given)
        self._taken(into)


def _peaks(path, comm):
    """Stage -> largest memory of arrays at a time, in bytes."""
    tracemalloc.start()
    try:
        peaks = {}
        for stage in _stages(path, comm):
            peaks[stage] = tracemalloc.get_traced_memory()[1]
            tracemalloc.reset_peak()
        return peaks
    finally:
        tracemalloc.stop()


@pytest.mark.mpi
@pytest.mark.skipif(COMM.size == 1, reason="compares several ranks with one")
def test_memory_of_a_rank_does_not_grow_with_ranks_and_image(tmp_path):
    folder = COMM.bcast(tmp_path)
    if COMM.rank == 0:
        whole = _electrode(LONG * COMM.size)
        write_case(folder / "share", whole[:LONG], mesh=MESH, regions=REGIONS)
        write_case(folder / "whole", whole, mesh=MESH, regions=REGIONS)
    COMM.Barrier()
    list(_stages(folder / "share" / "case.toml", MPI.COMM_SELF))  # what is loaded and compiled once does not count
    alone = _peaks(folder / "share" / "case.toml", MPI.COMM_SELF)
    of_ranks = COMM.allgather(_peaks(folder / "whole" / "case.toml", COMM))
    ratios = {stage: max(peaks[stage] for peaks in of_ranks) / alone[stage] for stage in alone}
    assert max(ratios.values()) < MOST, f"most memory of a rank over that of its share alone: {ratios}"


def _arrived(path):
    """Bytes that arrived here of what all send to one or to all while the mesh is made, and bytes of its cells."""
    counting = _Counting(COMM)
    case = load_case(path)
    meshed = mesh_of(case, case.physics.solved, Stages(), counting)
    return counting.arrived, 16 * meshed.cells


@pytest.mark.mpi
@pytest.mark.skipif(COMM.size == 1, reason="counts what ranks send each other")
def test_no_rank_gets_the_cells_of_all(tmp_path):
    folder = COMM.bcast(tmp_path)
    if COMM.rank == 0:
        for length in (LONG, 3 * LONG):
            write_case(folder / str(length), _electrode(length), mesh=MESH, regions=REGIONS)
    COMM.Barrier()
    (few, small), (many, large) = (_arrived(folder / str(length) / "case.toml") for length in (LONG, 3 * LONG))
    assert large > 2 * small
    # A few histograms more of 33 kB; all cells once would be all of it.
    assert COMM.allreduce(many - few, MPI.MAX) < 0.5 * (large - small), f"of {large - small} bytes came {many - few}"
