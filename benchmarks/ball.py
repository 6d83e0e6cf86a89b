"""A ball of voxels in a bath, from image to curve: error of its mean concentration against Crank's closed form.

    python benchmarks/ball.py [--radii 16 32 64] [--size 3] [--growth 0.25] [--largest 20] [--degrees 2]

The lattice mesher gets the image of a ball of each radius (voxels), with elements of --size voxels at its surface that
grow by --growth per distance from there, to --largest voxels. Of several degrees, each is solved on the same mesh. The
error is the largest over [end/1e5, end], [end/1e4, end], [end/1e3, end] and [end/1e2, end], end = radius²/D, per
concentration of the bath (Crank, The Mathematics of Diffusion, 2nd ed., Oxford 1975, eq. 6.20). It works under mpirun
as well.
"""

import argparse

import numpy as np
from common import Stopwatch, Table, peak_memory

from mpi4py import MPI

from microlith.imaging.image.load import volume_of
from microlith.imaging.image.volume import LabelImage
from microlith.imaging.options import MeshOptions
from microlith.imaging.typing import Array
from microlith.meshing.distribution.in_place import mesh_in_place
from microlith.meshing.lattice.mesher import lattice_mesh
from microlith.solver.options import SolverOptions, TimeSpan
from microlith.solver.physics.phases import PhasePhysics, Physics, Role
from microlith.solver.problem.problem import build
from microlith.solver.regions.means import RegionMean, region_means
from microlith.solver.regions.shapes import WholePhase
from microlith.solver.transient import Transient, solve

VOXEL = 1e-8
DIFFUSIVITY = 1e-14
STARTS = {"first": 1e-5, "early": 1e-4, "middle": 1e-3, "late": 1e-2}  # of the times looked at, per end
COLUMNS = {
    "radius": "6d",
    "size": "5.1f",
    "growth": "6.2f",
    "degree": "6d",
    "cells": "9d",
    "unknowns": "9d",
    **dict.fromkeys(STARTS, "8.1e"),
    "mesh_s": "8.1f",
    "solve_s": "8.1f",
    "cpu_s": "8.1f",
    "peak_MiB": "8.0f",
}


def ball(radius: int) -> LabelImage:
    """Image of a ball in a box three voxels larger on all sides."""
    x = np.arange(2 * radius + 6) + 0.5 - radius - 3
    inside = x[:, None, None] ** 2 + x[:, None] ** 2 + x**2 < radius**2
    return LabelImage(inside.astype(np.uint8), ("bath", "ball"), (VOXEL,) * 3)


def exact(times: Array) -> Array:
    """Mean of a sphere of radius and diffusivity 1 that is held at 1 on its surface, empty at first."""
    n = np.arange(1, 3000)
    return 1 - (6 / (np.pi * n) ** 2) @ np.exp(-np.outer((n * np.pi) ** 2, times))


def corrections(found: Transient, physics: Physics, mean: RegionMean) -> Array:
    """What recovered gradients say that the curve of a region lacks, per concentration of the bath; collective."""
    lacks = found.lacks(physics)
    return np.zeros_like(found.times) if lacks is None else lacks.best.of(mean.weights[None], found.times)[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--radii", type=int, nargs="+", default=[16, 32, 64], help="voxels")
    parser.add_argument("--size", type=float, default=3.0, help="of elements at the surface, voxels")
    parser.add_argument("--growth", type=float, default=MeshOptions().growth, help="of sizes per distance from there")
    parser.add_argument("--largest", type=float, default=None, help="size, voxels (default: as in a case file)")
    parser.add_argument("--degrees", type=int, nargs="+", default=[2])
    parser.add_argument("--corrected", action="store_true", help="by what recovered gradients say (degree 1)")
    options = parser.parse_args()
    comm = MPI.COMM_WORLD
    physics = Physics(
        (
            PhasePhysics("bath", Role.SOURCE, concentration=1.0),
            PhasePhysics("ball", Role.TRANSPORT, effective_diffusivity=DIFFUSIVITY),
        )
    )
    table = Table(COLUMNS, comm)
    table.head()
    for radius in options.radii:
        with peak_memory(comm) as of_mesh:
            clock = Stopwatch(comm)
            largest = None if options.largest is None else options.largest * VOXEL
            sizes = MeshOptions(size={"bath": options.size * VOXEL}, size_max=largest, growth=options.growth)
            volume = volume_of(ball(radius) if comm.rank == 0 else None, comm)
            mesh = mesh_in_place(lattice_mesh(volume, sizes, (1,), comm), (1,), comm)
            meshing, mesh_work = clock.seconds, clock.cpu_seconds
        end = (radius * VOXEL) ** 2 / DIFFUSIVITY
        for degree in options.degrees:
            with peak_memory(comm) as peak:
                clock = Stopwatch(comm)
                problem = build(mesh, physics, degree, end)
                means = region_means(problem.space, mesh, {"ball": WholePhase("ball")}, {}, None)
                found = solve(problem, means, TimeSpan(end, 1e-5), SolverOptions())
                solving, work = clock.seconds, mesh_work + clock.cpu_seconds
            curve = found.curves["ball"]
            if options.corrected:
                curve = curve + corrections(found, physics, means["ball"])
            error = np.abs(curve - exact(found.times / end))
            table.add(
                radius=radius,
                size=options.size,
                growth=options.growth,
                degree=degree,
                cells=mesh.mesh.topology.index_map(3).size_global,
                unknowns=problem.unknowns,
                **{name: error[found.times >= start * end].max() for name, start in STARTS.items()},
                mesh_s=meshing,
                solve_s=solving,
                cpu_s=work,
                peak_MiB=max(of_mesh[0], peak[0]),
            )


if __name__ == "__main__":
    main()
