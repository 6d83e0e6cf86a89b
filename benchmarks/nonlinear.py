"""Nonlinear diffusion: time to a true error of the curves, against backward Euler; and FESTIM on a linear problem.

    python benchmarks/nonlinear.py [--case CASE] [--sizes 4/4] [--tolerances 1e-2 1e-3 1e-4] [--steps 100 400 1600]

puts a law into the case, D a hundredth of the case's below 0.3 of the source's concentration and the case's above it
(a jump in ln D 0.08 of it wide), and integrates with microlith's adaptive method and with backward Euler, whose steps
are equal or double from group to group (8 groups, as in transient.py). Both have the same Newton's method and linear
solver, with factors that are kept for as long as Newton's method converges well with them. The error is the largest
over the regions, over [end/1e4, end], per source concentration, against microlith at --reference. Euler is judged at
its own steps, where interpolation costs it nothing. Seconds of wall time depend on what else runs; CPU seconds less so.

--plain 1600 adds so many equal steps with DOLFINx's own Newton's method, assembled and factorised in each iteration.

    python benchmarks/nonlinear.py --festim [--sizes 1] [--festim-linear lu cg] [--festim-growth 1.1 1.05]

compares with FESTIM (2.x, which needs DOLFINx 0.10 or later) on the same mesh and linear problem, linear elements,
against rational Krylov at 1e-8. For that FESTIM has to be there, see README.md.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from common import Stopwatch, Table, resized, say, write_json

from mpi4py import MPI

from microlith.imaging.typing import Array
from microlith.solver.linear.solvers import choose_method
from microlith.solver.physics.laws import Concentration, Constant, DiffusivityExpression, Expression, Operation
from microlith.solver.physics.phases import Physics, Role
from microlith.solver.steps.dynamics import Dynamics
from microlith.solver.steps.solve import NEWTON_INNER
from microlith.solver.steps.stage_matrix import NotConverged, StageMatrix
from microlith.solver.steps.stepper import State, Stepper
from microlith.solver.steps.tableaus import EULER
from microlith.solver.transient import Transient, solve
from microlith.workflow.case.case import Case
from microlith.workflow.case.read import load_case
from microlith.workflow.prepare import assemble
from microlith.workflow.prepare.assemble import Prepared

CASE = Path(__file__).parent.parent / "cases" / "aged-anode-2d" / "case.toml"
LATE = 1e-4  # per end, from which errors count
GROUPS = 8
LEFT = 1e-6  # rms that Newton's method may leave in a step of backward Euler; its error is the same at 1e-8
COLUMNS = {
    "method": "<26s",
    "unknowns": "9d",
    "steps": "6d",
    "rejected": "8d",
    "solves": "7d",
    "set_ups": "7d",
    "wall_s": "8.1f",
    "cpu_s": "8.1f",
    "error": "9.1e",
    "estimate": "9.1e",
    "balance": "9.1e",
    "remark": "<s",
}


def jump(diffusivity: float, reference: float) -> DiffusivityExpression:
    """D of c with a hundredfold jump at 0.3 of the reference concentration."""

    def operation(name: str, *arguments: Expression | float) -> Operation:
        return Operation(name, tuple(Constant(a) if isinstance(a, float) else a for a in arguments))

    above = operation("subtract", Concentration(), 0.3 * reference)
    step = operation("tanh", operation("divide", above, 0.04 * reference))
    law = operation("multiply", 0.1 * diffusivity, operation("exp", operation("multiply", float(np.log(10.0)), step)))
    return DiffusivityExpression(law, "a hundredfold jump at 0.3 of the source's concentration")


def with_jump(physics: Physics) -> Physics:
    """The physics with the law in all transport phases."""
    phases = []
    for phase in physics.phases:
        if phase.role is Role.TRANSPORT:
            assert phase.diffusivity is not None
            assert phase.effective_diffusivity is not None
            law = jump(phase.diffusivity, physics.reference_concentration)
            factor = phase.effective_diffusivity / phase.diffusivity
            phase = replace(phase, law=law, effective_factor=factor)
        phases.append(phase)
    return replace(physics, phases=tuple(phases))


@dataclass
class Curves:
    """What a method found, at times of its own."""

    times: Array  # (n,) per end
    values: Array  # (regions, n) per reference concentration


def of_transient(found: Transient, prepared: Prepared) -> Curves:
    """Curves at the output times."""
    scales = prepared.problem.scales
    values = np.array(list(found.curves.values())) / scales.concentration
    return Curves(found.times / scales.time, values)


def adaptive(prepared: Prepared, tolerance: float, times: Array | None = None) -> Transient:
    """Microlith's own."""
    end = prepared.case.time.end
    asked = None if times is None else tuple((times * end).tolist())
    span = replace(prepared.case.time, tolerance=tolerance, snapshots=(), times=asked)
    return solve(prepared.problem, prepared.means, span, prepared.case.solver)


def euler(prepared: Prepared, steps: int, groups: int, time_limit: float) -> tuple[Curves, Stepper, str]:
    """Backward Euler; equal steps in each group, twice as long as in the one before.

    Where Newton's method does not converge, the step is halved, which adds to its cost.
    """
    problem = prepared.problem
    dynamics = Dynamics(problem)
    method = choose_method(prepared.case.solver.linear, problem.space.mesh.topology.dim, problem.unknowns)
    stepper = Stepper(dynamics, StageMatrix(dynamics, method, NEWTON_INNER, prepared.case.time.tolerance))
    lengths = np.repeat(2.0 ** np.arange(groups), [len(part) for part in np.array_split(np.arange(steps), groups)])
    ends = np.cumsum(lengths / lengths.sum())
    ends[-1] = 1.0
    state = State(problem.system.initial.copy(), (), None, ())
    comm = problem.space.mesh.comm
    clock, values, t, remark = Stopwatch(comm), [], 0.0, ""
    halved = 0
    for end in ends:
        left = [float(end)]  # ends of the parts of the step that are still to be taken
        while left:
            try:
                state = stepper.step(EULER, state, (0.0, 1.0), t, left[-1] - t, LEFT).state
            except NotConverged:
                halved += 1
                left.append(0.5 * (t + left[-1]))
            else:
                t = left.pop()
        values.append(comm.allreduce(prepared.watch @ state.u, op=MPI.SUM))
        if comm.bcast(clock.seconds) > time_limit:
            remark = f"stopped at {t:.1e} of the time; "
            break
    stepper.destroy()
    return Curves(ends[: len(values)], np.array(values).T), stepper, f"{remark}{halved} halved"


def error_of(curves: Curves, exact: Transient, prepared: Prepared) -> float:
    """Largest error over regions and late times; the exact curves are asked for at any time."""
    late = curves.times >= LATE * (1 - 1e-9)
    truth = exact._curves.values(curves.times[late])[: len(curves.values)]
    return float(np.abs(curves.values[:, late] - truth).max())


def timed(comm: MPI.Intracomm, work: Callable[[], Any]) -> tuple[Any, float, float]:
    """What some work gives, its wall time and its CPU time over all ranks."""
    clock, started = Stopwatch(comm), time.process_time()
    found = work()
    return found, clock.seconds, float(comm.allreduce(time.process_time() - started))


def nonlinear(case: Case, options: argparse.Namespace, comm: MPI.Intracomm) -> list[dict[str, Any]]:
    """The jump in D on the case's mesh."""
    prepared = assemble.prepared(replace(case, physics=with_jump(case.physics)), comm)
    unknowns = prepared.problem.unknowns
    adaptive(prepared, 0.1)  # imports and compiled forms are not to count
    exact, wall, cpu = timed(comm, lambda: adaptive(prepared, options.reference))
    assert exact.effort is not None
    table = Table(COLUMNS, comm)
    say(comm, f"reference: estimated {exact.error:.1e}, {exact.effort.steps} steps, {cpu:.0f} s of CPU time")
    table.head()
    for tolerance in options.tolerances:
        found, wall, cpu = timed(comm, lambda tolerance=tolerance: adaptive(prepared, tolerance))
        table.add(
            method=f"microlith {tolerance:.0e}", unknowns=unknowns, steps=found.effort.steps,
            rejected=found.effort.rejected + found.effort.failures, solves=found.solves, set_ups=found.effort.set_ups,
            wall_s=wall, cpu_s=cpu, error=error_of(of_transient(found, prepared), exact, prepared),
            estimate=found.error, balance=found.balance.imbalance,
        )  # fmt: skip
    for steps in options.steps:
        for groups in options.groups:
            (curves, stepper, remark), wall, cpu = timed(
                comm, lambda steps=steps, groups=groups: euler(prepared, steps, groups, options.time_limit)
            )
            table.add(
                method=f"backward Euler {'equal' if groups == 1 else 'doubling'}", unknowns=unknowns,
                steps=len(curves.times), solves=stepper.matrix.solves, set_ups=stepper.matrix.set_ups,
                wall_s=wall, cpu_s=cpu, error=error_of(curves, exact, prepared), remark=remark,
            )  # fmt: skip
    for steps in options.plain:
        curves, wall, cpu = timed(comm, lambda steps=steps: plain(prepared, steps))
        table.add(
            method="plain DOLFINx script", unknowns=unknowns, steps=steps, wall_s=wall, cpu_s=cpu,
            error=error_of(curves, exact, prepared),
        )  # fmt: skip
    return table.rows


def plain(prepared: Prepared, steps: int) -> Curves:
    """Backward Euler as one writes it first; DOLFINx 0.9."""
    import nonlinear_plain

    import ufl

    scales, physics = prepared.problem.scales, prepared.case.physics
    (medium,) = (phase for phase in physics.phases if phase.role is Role.TRANSPORT)
    assert medium.diffusivity is not None
    assert medium.effective_factor is not None
    largest = 0.1 * medium.diffusivity * medium.effective_factor
    shape = scales.concentration / physics.reference_concentration

    def diffusivity(c: Any) -> Any:
        return largest * ufl.exp(float(np.log(10.0)) * ufl.tanh((shape * c - 0.3) / 0.04))

    return Curves(np.arange(1, steps + 1) / steps, nonlinear_plain.run(prepared, diffusivity, steps))


def festim(case: Case, options: argparse.Namespace, comm: MPI.Intracomm) -> list[dict[str, Any]]:
    """FESTIM and rational Krylov on the case's mesh, its source's concentration held."""
    import nonlinear_festim

    phases = tuple(
        replace(phase, mass_transfer=None) if phase.role is Role.SOURCE else phase for phase in case.physics.phases
    )
    prepared = assemble.prepared(replace(case, degree=1, physics=replace(case.physics, phases=phases)), comm)
    unknowns = prepared.problem.unknowns
    adaptive(prepared, 1e-2)
    exact = adaptive(prepared, 1e-8)
    table = Table(COLUMNS, comm)
    table.head()
    for tolerance in options.tolerances:
        found, wall, cpu = timed(comm, lambda tolerance=tolerance: adaptive(prepared, tolerance))
        table.add(
            method=f"microlith {tolerance:.0e}", unknowns=unknowns, solves=found.solves, set_ups=len(found.poles),
            wall_s=wall, cpu_s=cpu, error=error_of(of_transient(found, prepared), exact, prepared),
            estimate=found.error, balance=found.balance.imbalance,
        )  # fmt: skip
    for linear in options.festim_linear:
        for growth in options.festim_growth:
            (times, values), wall, cpu = timed(
                comm, lambda linear=linear, growth=growth: nonlinear_festim.run(prepared, linear, growth)
            )
            table.add(
                method=f"FESTIM {linear}, growth {growth:g}", unknowns=unknowns, steps=len(times), wall_s=wall,
                cpu_s=cpu, error=error_of(Curves(times, values), exact, prepared),
            )  # fmt: skip
    return table.rows


def _size(text: str) -> tuple[float, int]:
    factor, _, coarsen = text.partition("/")
    return float(factor), int(coarsen or 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case", type=Path, default=CASE, help="case file (default: the demo's)")
    parser.add_argument(
        "--sizes",
        type=_size,
        nargs="+",
        default=[(4.0, 4)],
        metavar="FACTOR[/PIXELS]",
        help="multiples of the case's element sizes, on the image coarsened by blocks of PIXELS (default: 4/4)",
    )
    parser.add_argument("--degree", type=int, help="of the elements of the nonlinear problem (default: the case's)")
    parser.add_argument("--tolerances", type=float, nargs="+", default=[1e-2, 1e-3, 1e-4])
    parser.add_argument("--reference", type=float, default=5e-5, help="tolerance of the reference")
    parser.add_argument("--steps", type=int, nargs="+", default=[100, 400, 1600], help="of backward Euler")
    parser.add_argument("--groups", type=int, nargs="+", default=[1, GROUPS], help="of equal steps of backward Euler")
    parser.add_argument("--plain", type=int, nargs="*", default=[], help="steps of a plain DOLFINx script")
    parser.add_argument("--time-limit", type=float, default=600.0, metavar="SECONDS", help="of backward Euler, per run")
    parser.add_argument("--festim", action="store_true", help="compare with FESTIM on the linear problem")
    parser.add_argument("--festim-linear", nargs="+", choices=["lu", "cg"], default=["lu", "cg"])
    parser.add_argument("--festim-growth", type=float, nargs="+", default=[1.1], help="of FESTIM's step, each step")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there as well")
    options = parser.parse_args()
    comm = MPI.COMM_WORLD
    case = load_case(options.case)
    case = replace(case, degree=options.degree or case.degree)
    rows: list[dict[str, Any]] = []
    for factor, coarsen in options.sizes:
        image = replace(case.image, coarsen=case.image.coarsen * coarsen)
        sized = replace(case, image=image, mesh=resized(case.mesh, factor))
        rows += festim(sized, options, comm) if options.festim else nonlinear(sized, options, comm)
    write_json(options.json, comm, {"ranks": comm.size, "runs": rows})


if __name__ == "__main__":
    main()
