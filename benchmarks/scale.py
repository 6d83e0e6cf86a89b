"""What a run costs as its image grows and as ranks are added: time, memory, iterations, and what ranks send each other.

    python benchmarks/scale.py [--sides 24 48 96 192] [--size 3] [--degree 1] [--json FILE]
    mpirun --oversubscribe -n 8 python benchmarks/scale.py --sides 96

makes an image of an electrode of each number of voxels on a side (smoothed noise of one correlation length, cut into
pores, a conducting medium and particles, so that a larger image is more of the same), meshes it with the lattice
mesher, and lets lithium diffuse from the pores for a fixed time. Elements have --size voxels at the particles.

Columns: cells (tetrahedra that are solved) and the largest share of them on a rank over the mean share; unknowns; CPU
seconds over all ranks of mesh, assembly and integration, and wall seconds of all; solves, and iterations of CG per
solve; peak memory over all ranks per cell, and of the fullest rank over the mean; what PETSc's matrices and vectors
send in the integration, per rank and iteration of CG (messages, kB), and reductions over all ranks per iteration.
Messages are counted by PETSc, not timed: on a machine with fewer cores than ranks only counts mean something.
"""

import argparse
import ast
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from common import MEBI, Stopwatch, Table, peak_memory, write_json
from scipy.ndimage import gaussian_filter

from mpi4py import MPI
from petsc4py import PETSc

from microlith.imaging.image.load import volume_of
from microlith.imaging.image.volume import LabelImage
from microlith.imaging.options import MeshOptions
from microlith.meshing.distribution.in_place import mesh_in_place
from microlith.meshing.lattice.mesher import lattice_mesh
from microlith.solver.options import SolverOptions, TimeSpan
from microlith.solver.physics.phases import PhasePhysics, Physics, Role
from microlith.solver.problem.problem import build
from microlith.solver.regions.means import region_means
from microlith.solver.regions.shapes import WholePhase
from microlith.solver.transient import solve

VOXEL = 1e-7  # m
DIFFUSIVITY = 1e-12  # m²/s
END = 100 * VOXEL**2 / DIFFUSIVITY  # s: lithium gets ten voxels far
CORRELATION = 3.0  # voxels
SHARES = (0.3, 0.75)  # of the volume: below are pores, above are particles
STAGE = "integration"
PHYSICS = Physics(
    (
        PhasePhysics("pore", Role.SOURCE, concentration=1.0),
        PhasePhysics("medium", Role.TRANSPORT, effective_diffusivity=DIFFUSIVITY),
        PhasePhysics("particle", Role.BARRIER),
    )
)
COLUMNS = {
    "side": "5d",
    "ranks": "5d",
    "cells": "9d",
    "uneven": "6.2f",
    "unknowns": "9d",
    "mesh_s": "7.1f",
    "assembly_s": "7.1f",
    "solve_s": "7.1f",
    "wall_s": "7.1f",
    "solves": "6d",
    "iterations": "6.1f",
    "kB_per_cell": "6.2f",
    "fullest": "7.2f",
    "messages": "6.1f",
    "sent_kB": "8.1f",
    "reductions": "6.1f",
}


def electrode(side: int) -> LabelImage:
    """Image of side³ voxels: pores, medium and particles of a few voxels each."""
    noise = np.random.default_rng(3).standard_normal((side,) * 3, np.float32)
    smooth = gaussian_filter(noise, CORRELATION, mode="wrap")
    labels = np.digitize(smooth, np.quantile(smooth, SHARES)).astype(np.uint8)
    return LabelImage(labels, ("pore", "medium", "particle"), (VOXEL,) * 3)


def traffic(comm: MPI.Intracomm) -> list[dict[str, float]]:
    """What PETSc counted in the integration on each rank; collective."""
    with tempfile.TemporaryDirectory() as folder:
        path = comm.bcast(str(Path(folder) / "log.py"))
        viewer = PETSc.Viewer().createASCII(path, "w", comm)
        viewer.pushFormat(PETSc.Viewer.Format.ASCII_INFO_DETAIL)
        PETSc.Log.view(viewer)
        viewer.destroy()
        comm.Barrier()
        found = _summaries(Path(path).read_text()) if comm.rank == 0 else None
        return comm.bcast(found)


def _summaries(log: str) -> list[dict[str, float]]:
    """The lines `Stages["integration"]["summary"][rank] = {...}` of PETSc's log."""
    start = f'Stages["{STAGE}"]["summary"]['
    lines = [line for line in log.splitlines() if line.startswith(start)]
    return [ast.literal_eval(line.split(" = ", 1)[1]) for line in lines]


def run(side: int, size: float, degree: int, comm: MPI.Intracomm) -> dict[str, Any]:
    """Mesh, assemble and solve one image; collective."""
    with peak_memory(comm) as peak:
        volume = volume_of(electrode(side) if comm.rank == 0 else None, comm)
        whole = clock = Stopwatch(comm)
        options = MeshOptions(size={"particle": size * VOXEL})
        mesh = mesh_in_place(lattice_mesh(volume, options, (1,), comm), (1,), comm)
        meshing, clock = clock.cpu_seconds, Stopwatch(comm)
        problem = build(mesh, PHYSICS, degree, END)
        means = region_means(problem.space, mesh, {"medium": WholePhase("medium")}, {}, None)
        assembly, clock = clock.cpu_seconds, Stopwatch(comm)
        with PETSc.Log.Stage(STAGE):  # known to PETSc from here on
            before = traffic(comm)
            found = solve(problem, means, TimeSpan(END, 1e-3), SolverOptions())
        integration, wall = clock.cpu_seconds, whole.seconds
    sent = {key: [now[key] for now in traffic(comm)] for key in ("numMessages", "messageLength", "numReductions")}
    for key, counts in sent.items():
        sent[key] = [now - then[key] for now, then in zip(counts, before, strict=True)]
    own = mesh.mesh.topology.index_map(3).size_local
    cells = comm.allreduce(own)
    memory = comm.allgather(_peak_here())
    return {
        "side": side,
        "ranks": comm.size,
        "cells": cells,
        "uneven": comm.allreduce(own, MPI.MAX) * comm.size / cells,
        "unknowns": problem.unknowns,
        "mesh_s": meshing,
        "assembly_s": assembly,
        "solve_s": integration,
        "wall_s": wall,
        "solves": found.solves,
        "iterations": found.inner_iterations / found.solves,
        "kB_per_cell": peak[0] * MEBI / 1e3 / cells,
        "fullest": max(memory) * comm.size / sum(memory),
        "messages": np.mean(sent["numMessages"]) / found.inner_iterations,
        "sent_kB": np.mean(sent["messageLength"]) / 1e3 / found.inner_iterations,
        "reductions": np.mean(sent["numReductions"]) / found.inner_iterations,
    }


def _peak_here() -> float:
    """Peak memory of this rank since `peak_memory` reset it, kB; not beyond Linux."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return float(next(line for line in lines if line.startswith("VmHWM")).split()[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sides", type=int, nargs="+", default=[24, 48, 96, 192], help="voxels")
    parser.add_argument("--size", type=float, default=3.0, help="of elements at particles, voxels")
    parser.add_argument("--degree", type=int, default=1)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    comm = MPI.COMM_WORLD
    PETSc.Log.begin()
    table = Table(COLUMNS, comm)
    table.head()
    for side in options.sides:
        table.add(**run(side, options.size, options.degree, comm))
    write_json(options.json, comm, {"runs": table.rows})


if __name__ == "__main__":
    main()
