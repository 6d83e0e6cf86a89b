"""Time integrators on the same matrices: wall time against true error of the region curves.

    python benchmarks/transient.py [--case CASE] [--sizes 32/4 4 1] [--methods krylov euler bdf-amg ...] [--json FILE]

runs on each mesh, after a warm-up on the first, what --methods names:

    krylov          microlith's own, to each of --tolerances
    euler           backward Euler with 25, 100 and 400 steps that double from group to group, MUMPS Cholesky factors
                    reused within a group
    bdf-amg, bdf-mumps, arkimex-amg, arkimex-mumps
                    PETSc's TS to each of --ts-tolerances (relative and absolute local error), adaptive: BDF of order 4
                    and the stiffly accurate ARKIMEX 3, CG preconditioned by BoomerAMG or by MUMPS' Cholesky factors,
                    which are made anew only where the step has changed by more than a factor

The error is the largest over the regions and over time, per reference concentration: over [end/1e4, end] (`error`) and
over [end/1e5, end] (`error_early`), against rational Krylov at 1e-8. A step method is judged at its own steps, where
interpolation costs it nothing; Krylov at the output times. --check judges the reference itself, on the first mesh, by
inverse Laplace transform on Talbot's contour, which has nothing in common with it but the matrices.

    python benchmarks/transient.py --dim 3 [--unknowns 30000 ... 2000000] [--degree 1] [--json FILE]

integrates boxes of tetrahedra, a ball in a medium of 300 times its diffusivity, and fits the exponent of the cost.

It works under mpirun as well. Steps of euler and TS that end after --time-limit are cut short, and say so.
"""

import argparse
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from common import Stopwatch, Table, box_mesh, interpolated, peak_memory, resized, say, write_json

from mpi4py import MPI
from petsc4py import PETSc

from microlith.imaging.typing import Array
from microlith.solver.krylov.integrate import integrate
from microlith.solver.krylov.trajectory import Trajectory
from microlith.solver.linear.shifted import ShiftedSolvers
from microlith.solver.options import SolverOptions, TimeSpan
from microlith.solver.physics.phases import FaceCondition, PhasePhysics, Physics, Role
from microlith.solver.problem.problem import build
from microlith.solver.problem.system import LinearSystem
from microlith.solver.regions.means import region_means
from microlith.solver.regions.shapes import Ball, Box
from microlith.solver.transient import solve
from microlith.workflow.case.read import load_case
from microlith.workflow.prepare import assemble
from microlith.workflow.prepare.assemble import Prepared

CASE = Path(__file__).parent.parent / "cases" / "aged-anode-2d" / "paper-scale.toml"
REFERENCE_TOLERANCE = 1e-8
WINDOWS = {"error": 1e-4, "error_early": 1e-5}  # start of each, per end
EULER_STEPS = (25, 100, 400)
EULER_GROUPS = 8  # of equal steps, each twice as long as in the one before: 6, 10, 12 and 14 are less accurate
FIRST_STEP = 1e-7  # of TS, per end; it adapts
# Found best for TS: looser residuals of CG make its error estimate reject steps or miss errors, tighter ones only cost
# iterations; and likewise for the change of the step at which the preconditioner is made anew.
INNER = {"bdf": 1e-2, "arkimex": 1e-4}  # relative; BDF solves for a correction to a good prediction
REUSE = {"amg": 3.0, "mumps": 4.0}

COLUMNS = {
    "method": "<24s",
    "unknowns": "9d",
    "steps": "6d",
    "solves": "6d",
    "set_ups": "7d",
    "inner": "6d",
    "wall_s": "8.2f",
    "cpu_s": "8.2f",
    "error": "9.1e",
    "error_early": "11.1e",
    "peak_MiB": "8.0f",
    "remark": "<s",
}

COLUMNS_3D = {
    "unknowns": "9d",
    "method": "<6s",
    "solves": "6d",
    "inner": "6d",
    "assembly_s": "10.1f",
    "regions_s": "9.1f",
    "wall_s": "8.1f",
    "cpu_s": "8.1f",
    "estimate": "8.1e",
    "imbalance": "9.1e",
    "peak_MiB": "8.0f",
}


@dataclass
class Run:
    """What a method did; curves at times of its own."""

    times: Array  # (n,) per end
    curves: Array  # (regions, n) per reference concentration
    steps: int | None = None
    solves: int = 0
    set_ups: int = 0  # factorisations, or set-ups of multigrid
    inner: int = 0  # iterations of CG
    remark: str = ""


Method = Callable[[Prepared], Run]


def krylov(tolerance: float, linear: str) -> Method:
    """Microlith's integrator with all that a run does, the lithium balance included."""

    def method(prepared: Prepared) -> Run:
        span = replace(prepared.case.time, tolerance=tolerance)
        options = replace(prepared.case.solver, linear=linear)
        found = solve(prepared.problem, prepared.means, span, options)
        scales = prepared.problem.scales
        curves = np.array(list(found.curves.values())) / scales.concentration
        return Run(
            found.times / scales.time,
            curves,
            solves=found.solves,
            set_ups=len(found.poles),
            inner=found.inner_iterations,
            remark=f"estimated {found.error:.1e}" + ("" if found.converged else ", not converged"),
        )

    return method


def euler(steps: int, groups: int, time_limit: float) -> Method:
    """Backward Euler with `steps` steps in groups of equal ones that double from group to group."""

    def method(prepared: Prepared) -> Run:
        system = prepared.problem.system
        comm = system.mass.comm.tompi4py()
        watch = prepared.watch
        lengths = np.repeat(2.0 ** np.arange(groups), [len(part) for part in np.array_split(np.arange(steps), groups)])
        lengths /= lengths.sum()
        solvers = ShiftedSolvers(system.mass, system.stiffness, system.taken, "mumps", 0.0)
        before, right = system.mass.createVecRight(), system.mass.createVecLeft()
        state = system.initial.copy()
        curves = []
        remark = ""
        clock = Stopwatch(comm)
        for length in lengths:
            before.array[:] = state
            system.mass.mult(before, right)
            right.array[:] += length * system.load
            solvers.solve(float(length), right, state)
            curves.append(comm.allreduce(watch @ state))
            if comm.bcast(clock.seconds) > time_limit:
                remark = f"stopped after {len(curves)} of {steps} steps"
                break
        done = len(curves)
        ends = np.minimum(np.cumsum(lengths), 1.0)
        run = Run(ends[:done], np.array(curves).T, done, solvers.solves, len(solvers.poles))
        run.remark = remark
        solvers.destroy()
        return run

    return method


class _Residual:
    """F(t, u, u') = M u' + K u − b for PETSc's TS, and its Jacobian with a preconditioner that is kept for a while."""

    def __init__(self, system: LinearSystem, reuse: float) -> None:
        self.set_ups = 0
        self.matrix, self.older = (system.stiffness.duplicate(copy=True) for _ in range(2))
        for matrix in (self.matrix, self.older):
            matrix.setOption(PETSc.Mat.Option.SPD, True)
        self._system = system
        self._reuse = reuse
        self._load = system.mass.createVecLeft()
        self._load.array[:] = system.load
        self._shift = self._prepared = 0.0

    def function(self, ts: PETSc.TS, t: float, u: PETSc.Vec, rate: PETSc.Vec, f: PETSc.Vec) -> None:
        """Residual."""
        self._system.mass.mult(rate, f)
        self._system.stiffness.multAdd(u, f, f)
        f.axpy(-1.0, self._load)

    def jacobian(
        self, ts: PETSc.TS, t: float, u: PETSc.Vec, rate: PETSc.Vec, shift: float, a: PETSc.Mat, p: PETSc.Mat
    ) -> None:
        """Jacobian, shift M + K, into a; into p, which the preconditioner is made from, if it has changed a lot.

        PETSc makes no new preconditioner while p stays untouched.
        """
        same = PETSc.Mat.Structure.SAME_NONZERO_PATTERN
        if shift != self._shift:
            self._shift = shift
            self._system.stiffness.copy(a, structure=same)
            a.axpy(shift, self._system.mass, structure=same)
        if not (self._prepared > 0 and 1 / self._reuse <= shift / self._prepared <= self._reuse):
            self._prepared = shift
            self.set_ups += 1
            a.copy(p, structure=same)

    def destroy(self) -> None:
        """Free the matrices."""
        self.matrix.destroy()
        self.older.destroy()


def stepper(kind: str, preconditioner: str, tolerance: float, time_limit: float) -> Method:
    """PETSc's TS: "bdf" or "arkimex" with "amg" or "mumps", to a tolerance of its adaptor."""

    def method(prepared: Prepared) -> Run:
        system = prepared.problem.system
        comm = system.mass.comm.tompi4py()
        watch = prepared.watch
        residual = _Residual(system, REUSE[preconditioner])
        state = system.mass.createVecRight()
        state.array[:] = system.initial
        ts = PETSc.TS().create(comm)
        ts.setType(kind)
        choices = PETSc.Options()
        choices["ts_bdf_order"] = 4  # petsc4py has no function for it
        if kind == "arkimex":
            ts.setARKIMEXType("3")
            ts.setARKIMEXFullyImplicit(True)
        ts.setProblemType(PETSc.TS.ProblemType.LINEAR)  # SNES solves once and does not iterate
        ts.setIFunction(residual.function, system.mass.createVecLeft())
        ts.setIJacobian(residual.jacobian, residual.matrix, residual.older)
        ts.setTime(0.0)
        ts.setMaxTime(1.0)
        ts.setMaxSteps(1_000_000)
        ts.setTimeStep(FIRST_STEP)
        ts.setExactFinalTime(PETSc.TS.ExactFinalTime.MATCHSTEP)
        ts.setTolerances(rtol=tolerance, atol=tolerance)
        ksp = ts.getSNES().getKSP()
        ksp.setType("cg")
        ksp.setTolerances(rtol=INNER[kind], atol=0.0, max_it=500)
        pc = ksp.getPC()
        if preconditioner == "amg":
            pc.setType("hypre")
            pc.setHYPREType("boomeramg")
        else:
            pc.setType("cholesky")
            pc.setFactorSolverType("mumps")
        ts.setFromOptions()
        times: list[float] = []
        curves: list[Array] = []
        clock = Stopwatch(comm)
        remark = ""

        def accepted(ts: PETSc.TS) -> None:
            nonlocal remark
            times.append(ts.getTime())
            curves.append(comm.allreduce(watch @ ts.getSolution().array_r))
            if comm.bcast(clock.seconds) > time_limit:
                remark = f"stopped at {times[-1]:.1e} of the time"
                ts.setConvergedReason(PETSc.TS.ConvergedReason.CONVERGED_USER)

        ts.setPostStep(accepted)
        ts.solve(state)
        if ts.getConvergedReason() < 0:
            remark = f"failed: PETSc reason {ts.getConvergedReason()}"
        run = Run(
            np.array(times),
            np.array(curves).T,
            ts.getStepNumber(),
            ts.getSNESIterations(),
            residual.set_ups,
            ts.getKSPIterations(),
            remark,
        )
        ts.destroy()
        residual.destroy()
        return run

    return method


def methods(wanted: Iterable[str], options: argparse.Namespace) -> dict[str, Method]:
    """Label -> method, in the order asked for."""
    found: dict[str, Method] = {}
    for name in wanted:
        if name == "krylov":
            for tolerance in options.tolerances:
                label = f"krylov {tolerance:.0e} {options.linear}"
                found[label] = krylov(tolerance, options.linear)
        elif name == "euler":
            for steps in EULER_STEPS:
                found[f"euler {steps}"] = euler(steps, min(steps, options.groups), options.time_limit)
        else:
            for tolerance in options.ts_tolerances:
                kind, preconditioner = name.split("-")
                found[f"{name} {tolerance:.0e}"] = stepper(kind, preconditioner, tolerance, options.time_limit)
    return found


def reference(prepared: Prepared) -> Trajectory:
    """Region curves of the exact solution of the discrete problem, to 1e-8, at all times: see `truth`."""
    system = prepared.problem.system
    comm = system.mass.comm.tompi4py()
    solvers = ShiftedSolvers(system.mass, system.stiffness, system.taken, "mumps", 0.0)
    times = np.geomspace(min(WINDOWS.values()), 1.0, 400)
    times[-1] = 1.0
    found = integrate(system, solvers, prepared.watch, times, REFERENCE_TOLERANCE, 1000, np.empty(0))
    solvers.destroy()
    if not found.converged:
        say(comm, f"the reference is known to {found.error:.1e} only")

    def watched(vectors: Array) -> Array:
        return comm.allreduce(vectors @ prepared.watch.T)

    # The fields are dropped, lest the peak memory of the methods contain them.
    segments = (replace(s, lift=watched(s.lift), basis=watched(s.basis)) for s in found.trajectory.segments)
    return Trajectory(tuple(segments), MPI.COMM_SELF)


def truth(exact: Trajectory, times: Array) -> Array:
    """Exact curves (regions, times)."""
    values = exact.project(np.eye(len(exact.segments[0].lift))).values(times)
    return values


def talbot(prepared: Prepared, times: Array, nodes: int = 24) -> Array:
    """Curves (regions, times) by numerical inversion of the Laplace transform (s M + K)⁻¹(M u0 + b/s); serial.

    Contour of Weideman, SIAM J. Numer. Anal. 44 (2006) 2342, doi 10.1137/050625837: errors fall as exp(−1.36 nodes).
    """
    from scipy.sparse import csr_array
    from scipy.sparse.linalg import splu

    system = prepared.problem.system
    mass, stiffness = (csr_array(m.getValuesCSR()[::-1], shape=m.getSize()) for m in (system.mass, system.stiffness))
    theta = (2 * np.arange(nodes // 2) + 1) * np.pi / nodes  # the other half is conjugate
    z = nodes * (0.5017 * theta / np.tan(0.6407 * theta) - 0.6122 + 0.2645j * theta)
    slope = 0.5017 / np.tan(0.6407 * theta) - 0.5017 * 0.6407 * theta / np.sin(0.6407 * theta) ** 2 + 0.2645j
    weights = np.exp(z) * slope * nodes
    curves = np.zeros((len(prepared.means), len(times)))
    for i, t in enumerate(times):
        for point, weight in zip(z, weights, strict=True):
            s = point / t
            right = system.initial_amount + system.load / s
            transform = splu((s * mass + stiffness).tocsc()).solve(right)
            curves[:, i] += 2 * np.real(weight / (1j * nodes * t) * (prepared.watch @ transform))
    return curves


def errors(run: Run, exact: Trajectory) -> dict[str, float | None]:
    """Largest error over regions and over the times of the run within each window."""
    wrong = np.abs(run.curves - truth(exact, run.times))
    found: dict[str, float | None] = {}
    for name, start in WINDOWS.items():
        inside = run.times >= start * (1 - 1e-9)
        found[name] = float(wrong[:, inside].max()) if inside.any() else None
    return found


def yardstick(prepared: Prepared) -> tuple[float, float]:
    """Seconds of one MUMPS factorisation of M + γK, γ = end/100, and of 25 solves with it."""
    system = prepared.problem.system
    comm = system.mass.comm.tompi4py()
    right = system.mass.createVecLeft()
    right.array[:] = system.initial_amount + 0.01 * system.load
    solution = np.empty_like(system.load)
    solvers = ShiftedSolvers(system.mass, system.stiffness, system.taken, "mumps", 0.0)
    laps = []
    for _ in range(26):
        clock = Stopwatch(comm)
        solvers.solve(0.01, right, solution)
        laps.append(clock.seconds)
    solvers.destroy()
    each = sum(laps[1:]) / 25
    return laps[0] - each, 25 * each


def measure(prepared: Prepared, table: Table, chosen: dict[str, Method], comm: MPI.Intracomm) -> dict[str, float]:
    """Run all methods on one mesh; returns yardstick and ratios."""
    unknowns = prepared.problem.unknowns
    factor, solves = yardstick(prepared)
    exact = reference(prepared)
    assembly = prepared.timings["assembly"] + prepared.timings["regions"]
    result = {"unknowns": unknowns, "cells": prepared.meshed.cells, "assembly_s": assembly, "factorisation_s": factor}
    result["solves_25_s"] = solves
    for label, method in chosen.items():
        with peak_memory(comm) as peak:
            clock, started = Stopwatch(comm), time.process_time()
            run = method(prepared)
            comm.Barrier()
            seconds, cpu = clock.seconds, comm.allreduce(time.process_time() - started)
        table.add(
            method=label,
            unknowns=unknowns,
            steps=run.steps,
            solves=run.solves,
            set_ups=run.set_ups,
            inner=run.inner,
            wall_s=seconds,
            cpu_s=cpu,
            **errors(run, exact),
            peak_MiB=peak[0],
            remark=run.remark,
        )
        if label.startswith("krylov"):
            result[f"(assembly + {label}) / (factorisation + 25 solves)"] = (assembly + seconds) / (factor + solves)
    result |= speed_ups([row for row in table.rows if row["unknowns"] == unknowns])
    say(comm, f"assembly {assembly:.2f} s, one factorisation {factor:.2f} s, 25 solves {solves:.2f} s")
    for name, value in result.items():
        if " / " in name:
            say(comm, f"  {name} = {value:.2f}")
    return result


def speed_ups(rows: list[dict[str, Any]]) -> dict[str, float]:
    """Time of each other method per time of Krylov, where Krylov's tolerance is what the other's true error is.

    Between runs of the other it is interpolated; one that is more accurate in its fastest run counts as that fast.
    """
    found = {}
    families: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        families.setdefault(row["method"].split()[0], []).append(row)
    for krylov_run in families.pop("krylov", []):
        wanted = float(krylov_run["method"].split()[1])
        for family, runs in families.items():
            whole = [run for run in runs if not run["remark"]]  # neither stopped nor failed
            if not whole:
                continue
            seconds = interpolated([run["error"] for run in whole], [run["wall_s"] for run in whole], wanted)
            if seconds is not None:
                found[f"{family} at {wanted:.0e} / {krylov_run['method']}"] = seconds / krylov_run["wall_s"]
    return found


def solids(options: argparse.Namespace, comm: MPI.Intracomm) -> list[dict[str, Any]]:
    """Cost of runs in 3D against the number of unknowns."""
    diffusivity = 1e-14
    end = (10e-6) ** 2 / diffusivity
    phases = (
        PhasePhysics("medium", Role.TRANSPORT, effective_diffusivity=diffusivity, porosity=0.6),
        PhasePhysics("ball", Role.TRANSPORT, effective_diffusivity=diffusivity / 300),
    )
    shapes = {"near": Box({"z": (0.0, 0.7e-6)}), "ball": Ball((5.5e-6, 5e-6, 4.5e-6), 2e-6)}
    table = Table(COLUMNS_3D, comm)
    for number, unknowns in enumerate([5000, *options.unknowns]):  # the first is not to count: imports, compiled forms
        if number == 1:
            table.head()
        mesh = box_mesh(unknowns, options.degree, comm)
        with peak_memory(comm) as peak:
            clock = Stopwatch(comm)
            problem = build(mesh, Physics(phases, {"z_min": FaceCondition(1000.0)}), options.degree, end)
            assembly, clock = clock.seconds, Stopwatch(comm)
            means = region_means(problem.space, mesh, shapes, {}, lambda x: np.zeros(len(x), np.uint8))
            regions, clock, started = clock.seconds, Stopwatch(comm), time.process_time()
            found = solve(problem, means, TimeSpan(end, 1e-4), SolverOptions(options.linear))
            wall, cpu = clock.seconds, comm.allreduce(time.process_time() - started)
        if number > 0:
            table.add(
                unknowns=problem.unknowns,
                method=found.method,
                solves=found.solves,
                inner=found.inner_iterations,
                assembly_s=assembly,
                regions_s=regions,
                wall_s=wall,
                cpu_s=cpu,
                estimate=found.error,
                imbalance=found.balance.imbalance,
                peak_MiB=peak[0],
            )
    if len(table.rows) > 1:
        sizes, costs = (np.log([row[key] for row in table.rows]) for key in ("unknowns", "cpu_s"))
        say(comm, f"CPU time grows with the power {np.polyfit(sizes, costs, 1)[0]:.2f} of the unknowns")
    return table.rows


def _size(text: str) -> tuple[float, int]:
    factor, _, coarsen = text.partition("/")
    return float(factor), int(coarsen or 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = ["krylov", "euler", "bdf-amg", "bdf-mumps", "arkimex-amg", "arkimex-mumps"]
    parser.add_argument("--case", type=Path, default=CASE, help="case file (default: the paper-scale case)")
    parser.add_argument(
        "--sizes",
        type=_size,
        nargs="+",
        default=[(32.0, 4), (4.0, 1), (1.0, 1)],
        metavar="FACTOR[/PIXELS]",
        help="multiples of the case's element sizes, on the image coarsened by blocks of PIXELS (default: 32/4 4 1)",
    )
    parser.add_argument("--methods", nargs="+", choices=names, default=names)
    parser.add_argument("--tolerances", type=float, nargs="+", default=[1e-2, 1e-3, 1e-4], help="of krylov")
    parser.add_argument(
        "--ts-tolerances",
        type=float,
        nargs="+",
        default=[1e-3, 1e-4, 1e-5],
        help="of TS: of the local error; that of the curves comes out several times larger",
    )
    parser.add_argument("--linear", choices=["auto", "mumps", "cg"], default="auto", help="linear solver of krylov")
    parser.add_argument("--groups", type=int, default=EULER_GROUPS, help="groups of equal steps of euler")
    parser.add_argument("--time-limit", type=float, default=300.0, metavar="SECONDS", help="of euler and TS, per run")
    parser.add_argument("--check", action="store_true", help="check the reference of the first size (serial)")
    parser.add_argument("--dim", type=int, choices=[2, 3], default=2, help="3: boxes instead of a case")
    sizes = [30_000, 100_000, 300_000, 1_000_000, 2_000_000]
    parser.add_argument("--unknowns", type=int, nargs="+", default=sizes, help="of --dim 3, roughly")
    parser.add_argument("--degree", type=int, default=1, help="of the elements of --dim 3")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there as well")
    options = parser.parse_args()
    comm = MPI.COMM_WORLD
    if options.dim == 3:
        write_json(options.json, comm, {"ranks": comm.size, "runs": solids(options, comm)})
        return
    case = load_case(options.case)
    chosen = methods(options.methods, options)
    table = Table(COLUMNS, comm)
    summaries = []
    for number, (factor, coarsen) in enumerate(options.sizes):
        image = replace(case.image, coarsen=case.image.coarsen * coarsen)
        sized = replace(case, image=image, mesh=resized(case.mesh, factor))
        if number == 0:
            warm_up = assemble.prepared(sized, comm)  # imports and compiled forms are not to count
            for method in chosen.values():
                method(warm_up)
            if options.check:
                check(warm_up, comm)
            del warm_up
            table.head()
        prepared = assemble.prepared(sized, comm)
        summaries.append(measure(prepared, table, chosen, comm))
    write_json(options.json, comm, {"ranks": comm.size, "runs": table.rows, "sizes": summaries})


def check(prepared: Prepared, comm: MPI.Intracomm) -> None:
    """Print how far the reference is from the inverse Laplace transform."""
    if comm.size > 1:
        say(comm, "--check is serial; left out")
        return
    times = np.geomspace(min(WINDOWS.values()), 1.0, 11)
    difference = float(np.abs(talbot(prepared, times) - truth(reference(prepared), times)).max())
    say(comm, f"reference and inverse Laplace transform differ by {difference:.1e} at most")


if __name__ == "__main__":
    main()
