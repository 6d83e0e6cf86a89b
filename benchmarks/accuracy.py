"""Total error, in space and time, of the region curves: what a mesh costs and what it is worth.

    python benchmarks/accuracy.py [--case CASE] [--factors 4 2 1 0.5] [--degrees 1 2 3] [--junctions none 2]

makes a mesh for each factor on the case's `size` and `size_max`, each `junction_size` and each `growth`, and solves on
it with each degree. The error is the largest over the regions and over [end/1e5, end], and as `late` over
[end/1e3, end], per reference concentration, against a reference that is finer in space (`--reference-degree` on the
smallest sizes) and in time (1e-7). It counts all that differs: elements, time, and the interfaces, which coarser
elements follow less closely. `elements` is the part of the elements alone: the difference to the highest degree on the
same mesh, `corrected` is `late` of curves with what recovered gradients say that they lack, of degree 1, for `recov_s`
CPU seconds more. --reference FILE.npz keeps the curves of the reference, and takes them from there where it is. In 3D
take --all-sizes, which puts the factors on `size_factor` and with it on the sizes that gaps ask for, factors from 3 to
0.7, and a reference of degree 2 on 0.6 or more (10 GB on the 3D demo).

Each is solved twice: at 1e-6, which gives the error in space, and then, for the time, with the tolerance that fits it,
a quarter. Wall and CPU time are of all that leads to the curves: image, mesh, comparison of the two, assembly, regions,
integration. CPU time, over all ranks, is what to compare on a busy machine. The peak of the memory is over all ranks.

In the end it prints, per degree and mesh settings, the elements and the time that 1e-2, 1e-3 and 1e-4 take, by
log-log interpolation between meshes; elements are those of the solved phases.
"""

import argparse
import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from common import Stopwatch, Table, interpolated, meshed, peak_memory, resized, say, write_json

from mpi4py import MPI

from microlith.imaging.options import MeshOptions
from microlith.imaging.typing import Array
from microlith.solver.times import EARLIEST
from microlith.solver.transient import Transient, solve
from microlith.workflow.case.case import Case
from microlith.workflow.case.read import load_case
from microlith.workflow.prepare import assemble

CASE = Path(__file__).parent.parent / "cases" / "aged-anode-2d" / "case.toml"
WANTED = (1e-2, 3e-3, 1e-3, 1e-4)
LATE = 1e-3  # of the end: from there on errors count as late
IN_SPACE = 1e-6  # tolerance in time at which the error in space is measured
SHARE = 0.25  # of the error that may come from time, when time is what is measured
REFERENCE_TOLERANCE = 1e-7
NANO = 1e-9

COLUMNS = {
    "factor": "6.3g",
    "junction": ">8s",
    "growth": "6.2f",
    "degree": "6d",
    "cells": "8d",
    "unknowns": "9d",
    "mesh_s": "7.2f",
    "solve_s": "7.2f",
    "wall_s": "7.2f",
    "cpu_s": "7.2f",
    "peak_MiB": "8.0f",
    "solves": "6d",
    "space": "9.1e",
    "elements": "9.1e",
    "error": "9.1e",
    "late": "9.1e",
    "corrected": "9.1e",
    "recov_s": "7.2f",
    "worst": "<s",
}


def solved(prepared: assemble.Prepared, tolerance: float) -> Transient:
    """The solution of a case at a tolerance in time."""
    span = replace(prepared.case.time, tolerance=tolerance)
    return solve(prepared.problem, prepared.means, span, replace(prepared.case.solver, max_solves=400))


def curves(prepared: assemble.Prepared, found: Transient) -> Array:
    """Region curves (regions, times) per reference concentration."""
    return np.array(list(found.curves.values())) / prepared.problem.scales.concentration


def corrected(prepared: assemble.Prepared, found: Transient) -> Array | None:
    """The same with what recovered gradients say that they lack; None where these don't tell it."""
    lacks = found.lacks(prepared.case.physics)
    return None if lacks is None else curves(prepared, found) + lacks.best.of(prepared.watch, found.times)


def sized(options: MeshOptions, factor: float, all_sizes: bool, **changes: Any) -> MeshOptions:
    """Mesh options with the sizes that the case gives, or all sizes, multiplied, and other fields changed."""
    if all_sizes:
        return replace(options, size_factor=options.size_factor * factor, **changes)
    return resized(options, factor, **changes)


def reference(
    case: Case, factor: float, junction: float, degree: int, comm: MPI.Intracomm, *, all_sizes: bool
) -> Array:
    """Curves on the finest mesh, with their own uncertainty printed: what a mesh of twice its sizes changes."""
    found = []
    for coarser in (2.0, 1.0):
        options = sized(case.mesh, factor * coarser, all_sizes, junction_size=junction * coarser)
        prepared = assemble.prepared(replace(case, mesh=options, degree=degree), comm)
        found.append(curves(prepared, solved(prepared, REFERENCE_TOLERANCE)))
        say(comm, f"reference: {prepared.meshed.cells} cells, {prepared.problem.unknowns} unknowns of degree {degree}")
    say(comm, f"twice the sizes change it by {np.abs(found[1] - found[0]).max():.1e}")
    return found[1]


def kept(file: Path | None, comm: MPI.Intracomm, made: Callable[[], Array]) -> Array:
    """The curves in a file; where it isn't there, those that are made, which are then kept there; collective."""
    there = comm.bcast(file is not None and file.exists())
    if there:
        return np.asarray(comm.bcast(np.load(file)["curves"] if comm.rank == 0 and file is not None else None))
    found = made()
    if file is not None and comm.rank == 0:
        np.savez(file, curves=found)
    return found


def measure(
    case: Case, factor: float, options: MeshOptions, degrees: Sequence[int], truth: Array, table: Table
) -> None:
    """One mesh, all degrees."""
    comm = MPI.COMM_WORLD
    clock = Stopwatch(comm)
    with peak_memory(comm) as of_mesh:
        product, stages = meshed(replace(case, mesh=options), comm)
    mesh_seconds, mesh_work = sum(stages.timings.values()), clock.cpu_seconds
    finest: Array | None = None  # curves of the highest degree
    for degree in sorted(degrees, reverse=True):
        clock = Stopwatch(comm)
        prepared = assemble.assembled(replace(case, mesh=options, degree=degree), product, stages)
        assembly_seconds, assembly_work = clock.seconds, clock.cpu_seconds
        fine = curves(prepared, solved(prepared, IN_SPACE))
        in_space = float(np.abs(fine - truth).max())
        elements = None if finest is None else float(np.abs(fine - finest).max())
        finest = fine if finest is None else finest
        clock = Stopwatch(comm)
        with peak_memory(comm) as peak:
            found = solved(prepared, float(np.clip(SHARE * in_space, IN_SPACE, 1e-2)))
        solve_seconds, solve_work = assembly_seconds + clock.seconds, assembly_work + clock.cpu_seconds
        difference = np.abs(curves(prepared, found) - truth)
        late = found.times >= LATE * case.time.end
        clock = Stopwatch(comm)
        better = corrected(prepared, found)
        recovery_work = clock.cpu_seconds
        table.add(
            factor=factor,
            junction=_nanometres(options.junction_size),
            growth=options.growth,
            degree=degree,
            cells=prepared.meshed.cells,
            unknowns=prepared.problem.unknowns,
            mesh_s=mesh_seconds,
            solve_s=solve_seconds,
            wall_s=mesh_seconds + solve_seconds,
            cpu_s=mesh_work + solve_work,
            peak_MiB=max(of_mesh[0], peak[0]),
            solves=found.solves,
            space=in_space,
            elements=elements,
            error=float(difference.max()),
            late=float(difference[:, late].max()),
            corrected=None if better is None else float(np.abs(better - truth)[:, late].max()),
            recov_s=None if better is None else recovery_work,
            worst=list(prepared.means)[int(difference.max(axis=1).argmax())],
        )


def _nanometres(length: float | None) -> str:
    return "none" if length is None else f"{length / NANO:g} nm"


def needed(table: Table, comm: MPI.Intracomm) -> list[dict[str, object]]:
    """Print and return cells, unknowns and seconds per wanted error, for each way to mesh and each degree."""
    say(comm, "\nneeded (cells, unknowns, seconds), by interpolation:")
    found: list[dict[str, object]] = []
    ways = sorted({(r["degree"], r["junction"], r["growth"]) for r in table.rows})
    for degree, junction, growth in ways:
        rows = [r for r in table.rows if (r["degree"], r["junction"], r["growth"]) == (degree, junction, growth)]
        entry: dict[str, object] = {"degree": degree, "junction": junction, "growth": growth}
        texts = []
        for wanted in WANTED:
            costs = {
                key: interpolated([r["error"] for r in rows], [r[key] for r in rows], wanted)
                for key in ("cells", "unknowns", "wall_s")
            }
            entry[f"{wanted:.0e}"] = costs
            if costs["cells"] is None or costs["unknowns"] is None or costs["wall_s"] is None:
                texts.append(f"{wanted:.0e}: not reached")
            elif min(r["cells"] for r in rows) == round(costs["cells"]):
                texts.append(f"{wanted:.0e}: fewer than {costs['cells']:.0f}")
            else:
                texts.append(f"{wanted:.0e}: {costs['cells']:.0f}, {costs['unknowns']:.0f}, {costs['wall_s']:.1f} s")
        found.append(entry)
        say(comm, f"  degree {degree}, junction {junction}, growth {growth}:  " + ";  ".join(texts))
    return found


def _length(text: str) -> float | None:
    return None if text == "none" else float(text) * NANO


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case", type=Path, default=CASE, help="case file (default: the demo)")
    parser.add_argument(
        "--factors",
        type=float,
        nargs="+",
        default=[8.0, 4.0, 2.0, 1.41, 1.0, 0.71, 0.5],
        help="on the case's size and size_max",
    )
    parser.add_argument("--all-sizes", action="store_true", help="factors on all element sizes, as [mesh] size_factor")
    parser.add_argument("--degrees", type=int, nargs="+", choices=[1, 2, 3], default=[1, 2, 3])
    parser.add_argument(
        "--junctions",
        type=_length,
        nargs="+",
        default=[None],
        metavar="NM",
        help="element size in nm where three phases meet, or none for the mesher's default; the demo has no such place",
    )
    parser.add_argument("--growths", type=float, nargs="+", default=None, help="default: the case's")
    parser.add_argument("--reference-factor", type=float, default=0.25, help="as --factors, of the reference")
    parser.add_argument("--reference-junction", type=_length, default=0.5 * NANO, metavar="NM")
    parser.add_argument("--reference-degree", type=int, choices=[1, 2, 3], default=3)
    parser.add_argument("--reference", type=Path, metavar="FILE", help="of its curves, made where it isn't there")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there as well")
    options = parser.parse_args()
    comm = MPI.COMM_WORLD
    case = load_case(options.case)
    if case.time.times is None:  # in 3D the first of the default times depends on the mesh
        first = EARLIEST * case.time.end if case.time.first is None else case.time.first
        case = replace(case, time=replace(case.time, first=first))
    finest = (options.reference_factor, options.reference_junction, options.reference_degree)
    truth = kept(options.reference, comm, lambda: reference(case, *finest, comm, all_sizes=options.all_sizes))
    table = Table(COLUMNS, comm)
    coarsest = max(options.factors)
    for degree in options.degrees:  # imports and compiled forms are not to count
        assemble.prepared(replace(case, mesh=sized(case.mesh, coarsest, options.all_sizes), degree=degree), comm)
    table.head()
    growths = options.growths or [case.mesh.growth]
    for growth, junction, factor in itertools.product(growths, options.junctions, options.factors):
        mesh = sized(case.mesh, factor, options.all_sizes, junction_size=junction, growth=growth)
        measure(case, factor, mesh, options.degrees, truth, table)
    write_json(options.json, comm, {"ranks": comm.size, "runs": table.rows, "needed": needed(table, comm)})


if __name__ == "__main__":
    main()
