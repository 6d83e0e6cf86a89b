"""Nonlinear problems, and linear ones whose coefficients change gradually, solved step by step."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from scipy.sparse import csr_array

from microlith.imaging.typing import Array
from microlith.solver.keeping import Keeper
from microlith.solver.physics.phases import Physics
from microlith.solver.problem.problem import Problem
from microlith.solver.steps.dense_output import Recorded
from microlith.solver.steps.deviation import Deviation, Lacks, Larger, Smoothness, Source
from microlith.solver.steps.dynamics import Dynamics
from microlith.solver.steps.integrator import Integrator, Ledger
from microlith.solver.steps.stage_matrix import StageMatrix
from microlith.solver.steps.stepper import Stepper
from microlith.solver.steps.tableaus import ESDIRK4, TRBDF2, Tableau
from microlith.solver.surfaces.passages import Passage

SECOND_ORDER = 2e-3  # tolerance from which steps of order 2 are taken: more, whose equations are easier to solve
NEWTON_INNER = 1e-3  # relative residual of iterative linear solvers: Newton's method goes on anyway


@dataclass(frozen=True)
class Effort:
    """What the steps took."""

    steps: int
    rejected: int  # repeated because their estimated error was too large
    failures: int  # repeated because Newton's method did not converge
    newton_iterations: int
    set_ups: int  # factorisations, or set-ups of multigrid


@dataclass(frozen=True)
class Stepped:
    """The solution, and how accurate it is."""

    method: str
    curves: Recorded  # of the watched functionals
    extra: Recorded
    error: float  # estimated error of the watched functionals over the times, absolute
    history: tuple[tuple[int, float], ...]  # (solves, error up to there)
    ledger: Ledger
    effort: Effort
    iterations: int  # of iterative linear solvers
    lacks: Lacks | None  # what the watched functionals and the extra ones lack in space; None: not told
    by_areas: tuple[Lacks | None, ...]  # change of these per part by which each surface is larger; None: not told
    _fields: dict[float, Array]

    def state(self, time: float) -> Array:
        """u(time), owned entries.

        Raises:
            ValueError: At a time that was not asked for.
        """
        if time not in self._fields:
            known = ", ".join(f"{t:g}" for t in self._fields)
            raise ValueError(f"expected one of the times asked for, {known}, got {time:g}")
        return self._fields[time]


def is_needed(problem: Problem) -> bool:
    """Whether a problem has to be solved step by step."""
    return bool(problem.nonlinear) or not problem.system.is_stepwise


def solve_stepwise(
    problem: Problem,
    watch: Array,
    extra: csr_array | None,
    times: Array,
    stops: Array,
    tolerance: float,
    method: str,
    max_steps: int,
    progress: Callable[[int, float, int], None] | None = None,
    tableau: Tableau | None = None,
    seen: Callable[[float, Array], None] | None = None,
    keeper: Keeper | None = None,
    lacking: Physics | None = None,
    passages: Sequence[Passage] = (),
) -> Stepped:
    """Integrate from 0 to 1; collective.

    Args:
        problem: In scaled units.
        watch: (functionals, owned) linear functionals of u whose error counts.
        extra: (functionals, owned) more of them, whose error does not count.
        times: Times at which it counts; the last is the end.
        stops: Times at which the field is wanted.
        tolerance: Wanted absolute error of the watched functionals.
        method: "mumps" or "cg".
        max_steps: Steps at which to give up.
        progress: Called with the number of steps, the time reached, and the iterations of Newton's method so far.
        tableau: The method; by default one that suits the tolerance.
        seen: Called with the end of each step and the owned unknowns there.
        keeper: Takes down where the integration is after each step.
        lacking: Physics of the problem, where it is wanted what the functionals lack in space.
        passages: Surfaces of which it is wanted what the functionals change by with their areas.

    Raises:
        ArithmeticError: The steps became too short or too many.
    """
    tableau = tableau or (ESDIRK4 if tolerance <= SECOND_ORDER else TRBDF2)
    dynamics = Dynamics(problem)
    stepper = Stepper(dynamics, StageMatrix(dynamics, method, NEWTON_INNER, tolerance))
    smoothness = None if lacking is None else Smoothness.of(dynamics, lacking)
    sources: list[Source] = [
        *([] if smoothness is None else [smoothness]),
        *(Larger(dynamics, passage) for passage in passages),
    ]
    deviations = [Deviation(dynamics, source) for source in sources]
    integrator = Integrator(
        dynamics, stepper, watch, extra, tolerance, max_steps, tableau, progress, seen, keeper, deviations
    )
    run = integrator.run(float(times[times > 0][0]), stops)
    used = stepper.matrix.solver
    stepper.destroy()
    curves = run.of(slice(0, len(watch)))
    between = float(curves.spread(times).max(initial=0.0))
    return Stepped(
        method=f"{tableau.name}, {used}",
        curves=curves,
        extra=run.of(slice(len(watch), None)),
        error=run.error + between,
        history=run.history,
        ledger=run.ledger,
        effort=Effort(run.steps, run.rejected, run.failures, stepper.matrix.solves, stepper.matrix.set_ups),
        iterations=stepper.matrix.iterations,
        lacks=None if smoothness is None else run.apart[0],
        by_areas=run.apart[len(run.apart) - len(passages) :],
        _fields=run.fields,
    )
