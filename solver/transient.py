"""The transient run: region curves at all times, concentration fields on demand, and how far to trust them."""

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Protocol

import numpy as np
from scipy.sparse import csr_array

from mpi4py import MPI

from microlith.imaging.errors import InputError
from microlith.imaging.typing import Array
from microlith.solver.flows.curves import Flows, FluxCurves, LinearFlows, SteppedFlows, flux_curves, with_known
from microlith.solver.keeping import Keeper
from microlith.solver.krylov.area_response import area_responses
from microlith.solver.krylov.evolution import Evolution, evolve
from microlith.solver.krylov.spatial_error import SHARE, Lacking, spatial_deviation
from microlith.solver.krylov.superposition import SuperpositionProjection
from microlith.solver.linear.shifted import ShiftedSolvers
from microlith.solver.linear.solvers import choose_method, choose_package
from microlith.solver.options import SolverOptions, TimeSpan
from microlith.solver.physics.courses import MOST_KINKS
from microlith.solver.physics.phases import Physics
from microlith.solver.problem.multigrid import higher_degree
from microlith.solver.problem.problem import Problem
from microlith.solver.problem.surface_fluxes import SurfaceFlux
from microlith.solver.problem.system import LinearSystem
from microlith.solver.problem.transport import diffusivities
from microlith.solver.regions.means import RegionMean
from microlith.solver.steps.solve import Effort, Stepped, is_needed, solve_stepwise
from microlith.solver.surfaces.passages import Passage
from microlith.solver.times import EQUAL, after_kinks, crossing_within, output_times, time_errors

UNMOVED = 1e-6  # of the lithium that is there: less counts as none, and is known to rounding only
SAMPLES = 4000  # times at which first crossings are looked for
SEVERAL = 1_000_000  # unknowns, over all the solvers that are kept where transfer coefficients come back
INNER = 1e-2  # inner tolerance of CG per unit of outer tolerance
STIFF = 1e-12  # limit of what counts as stiff (see ShiftedSolvers), per inverse of the tolerance,
STIFF_RANGE = (1e-7, 1e-3)  # but within this
LACKING = 1e-6  # the same where what a solution lacks is looked for, in a space that need not be found so closely
REPEATABLE = 1e-9  # inner tolerance of CG at most: multigrid differs with the ranks, and the curves must not


class Curves(Protocol):
    """Functionals of the solution, the same on all ranks."""

    def values(self, times: Array) -> Array:
        """Values at increasing times in scaled units, (functionals, times); at a jump those before it."""


class States(Protocol):
    """The solution itself."""

    def state(self, time: float) -> Array:
        """Unknowns at one time in scaled units, owned entries."""


@dataclass(frozen=True)
class MassBalance:
    """Where the lithium went, in mol (3D) or mol per metre of depth (2D), from 0 to the end."""

    stored_change: float
    inflow: dict[str, float]  # through each surface
    # Largest |stored change - inflow| over all times, per largest amount exchanged; per a part UNMOVED of the lithium
    # that is there, where less than that is exchanged
    imbalance: float
    expected: float  # as much as that the estimated error and rounding may make


@dataclass(frozen=True)
class Transient:
    """The solution: curves at `times`, fields at any time in [0, end]."""

    times: Array  # s
    curves: dict[str, Array]  # region -> mean concentration, mol/m^3
    error: float  # estimated error in time of the curves, per reference concentration
    converged: bool  # whether it is below the tolerance
    balance: MassBalance
    method: str  # of linear algebra: all that solved
    poles: tuple[float, ...]  # s
    solves: int
    inner_iterations: int
    history: tuple[tuple[int, float], ...]  # (solves, error estimate)
    _problem: Problem
    _states: States
    _curves: Curves  # of the regions, in the order of curves
    _flows: Flows
    _solvers: Callable[[], ShiftedSolvers] | None = None  # of a linear problem's system, to be destroyed
    _weights: tuple[Array, ...] = ()  # (owned,) each, of the means over the regions, the smallest regions first
    _between: tuple[SurfaceFlux, ...] = ()  # fluxes recorded besides those of the problem
    _extra: Curves | None = None  # extra functionals
    effort: Effort | None = None  # where it was solved step by step
    # Of regions whose phases have other shares on the mesh than in the image: their curves by the mesh's, mol/m^3
    by_mesh: Mapping[str, Array] = field(default_factory=dict)

    def concentration(self, time: float) -> Array:
        """Concentration at one time (s) in mol/m^3: local dofs of the problem's display space, ghosts included."""
        problem = self._problem
        if time == 0.0:
            return problem.start_picture * problem.scales.concentration
        owned = self._states.state(time / problem.scales.time)
        return problem.display.concentration(owned) * problem.scales.concentration

    def fluxes(self) -> FluxCurves:
        """Fluxes through each surface, those recorded besides, and what is stored, at the times of the curves."""
        return flux_curves(self._problem, self._flows, self._between, self.times)

    def owned(self, time: float) -> Array:
        """Owned unknowns at one time (s), scaled."""
        return self._states.state(time / self._problem.scales.time)

    def first_time(self, region: str, concentration: float) -> float | None:
        """When a region's mean is first at a concentration (mol/m^3) or above, s; None where it is not until the end.

        From the solution itself, not from the curve's points; 0 where it starts there or above.
        """
        return 0.0 if self._starts_at(region, concentration) else self._first_crossing(region, concentration)

    def falling_time(self, region: str, concentration: float) -> float | None:
        """When a mean that starts at a concentration (mol/m^3) or above first falls below it, s; None if never."""
        return self._first_crossing(region, concentration) if self._starts_at(region, concentration) else None

    def time_error(self, region: str, concentration: float, errors: Array) -> float | None:
        """How far off `first_time` or `falling_time` may be when the curve is off by errors (times,) in mol/m^3, s.

        0 where the region starts at the concentration or above and is not asked when it falls below it.

        Args:
            region: Its name.
            concentration: That it crosses, mol/m^3.
            errors: (times,) of its curve, mol/m^3; between the times, and before the first, from the nearest.

        Returns:
            s; None where the curve comes no further beyond the concentration than its error, or never gets there.
        """
        t, values = self._samples
        row = list(self.curves).index(region)
        scales = self._problem.scales
        found = time_errors(
            t * scales.time,
            values[[row]] * scales.concentration,
            np.interp(t * scales.time, self.times, errors)[None],
            np.array([concentration]),
        )
        return float(found[0]) if np.isfinite(found[0]) else None

    def lacks(self, physics: Physics) -> Lacking | None:
        """What it lacks to the exact solution in space, from recovered gradients; collective.

        None where that can't be told: of what is solved step by step, and where `spatial_deviation` says so.

        Args:
            physics: Of the problem.
        """
        if not isinstance(self._states, Evolution) or self._solvers is None:
            return None
        diffusivity = diffusivities(self._problem.discretization, physics)
        solvers = self._solvers()
        found = None
        # Of small matrices that are the same on all ranks, or of a solve, which fails on all of them; the run has its
        # results
        with suppress(np.linalg.LinAlgError, ArithmeticError):
            found = spatial_deviation(self._problem, diffusivity, self._states, solvers, self._weights)
        # Not after another error: all ranks destroy together, and one that failed alone would wait for the others here
        solvers.destroy()
        return found

    def corrected(self, lacks: Lacking, means: Mapping[str, RegionMean]) -> "Transient":
        """The same with most of what the curves of regions lack in space added to them; collective.

        Fields, fluxes, the balance and extra functionals stay those of the elements.

        Args:
            lacks: What it lacks, as `lacks` tells it.
            means: The regions whose curves are corrected.
        """
        if not means:
            return self
        nothing = np.zeros_like(next(iter(means.values())).weights)
        rows = np.array([SHARE * means[name].weights if name in means else nothing for name in self.curves])
        curves = _Corrected(self._curves, lacks.best.project(rows))
        added = curves.added(np.divide(self.times, self._problem.scales.time)) * self._problem.scales.concentration
        found = {name: curve + more for (name, curve), more in zip(self.curves.items(), added, strict=True)}
        return replace(self, curves=found, _curves=curves)

    def steps_lack(self, times: Array, *, extra: bool = False) -> Array | None:
        """What curves found step by step lack to the exact ones in space, from recovered gradients, mol/m^3.

        Args:
            times: (times,) increasing, s.
            extra: Whether of the extra functionals in the place of the regions.

        Returns:
            (regions or functionals, times); None where it was not asked for, or can't be told.
        """
        if not isinstance(self._states, Stepped) or self._states.lacks is None:
            return None
        rows = self._states.extra.rows if extra else slice(0, len(self.curves))
        scales = self._problem.scales
        return self._states.lacks.at(np.divide(times, scales.time), rows) * scales.concentration

    def by_areas(self, passages: Sequence[Passage], means: Mapping[str, RegionMean]) -> Array | None:
        """Change of each region's curve per part by which a surface is larger, to first order; collective.

        Args:
            passages: The surfaces; those named to `solve` where it was solved step by step.
            means: The regions.

        Returns:
            (surfaces, regions, times) mol/m^3; None where it can't be told: as transfer coefficients change by jumps.
        """
        rows = np.array([means[name].weights for name in self.curves]).reshape(len(self.curves), -1)
        return self._by_areas(passages, rows, slice(0, len(self.curves)), self.times)

    def extra_by_areas(self, passages: Sequence[Passage], rows: csr_array, times: Array) -> Array | None:
        """The same of extra functionals, (surfaces, functionals, times) mol/m^3; collective.

        Args:
            passages: As in `by_areas`.
            rows: (functionals, owned), those named to `solve`.
            times: Increasing, s.
        """
        stepped = self._states.extra.rows if isinstance(self._states, Stepped) else slice(0)
        return self._by_areas(passages, rows, stepped, times)

    def _by_areas(
        self, passages: Sequence[Passage], rows: Array | csr_array, stepped: slice, times: Array
    ) -> Array | None:
        """Of functionals, by their rows or by their places among those that steps have."""
        scales = self._problem.scales
        if isinstance(self._states, Stepped):
            told = self._states.by_areas
            if any(one is None for one in told):
                return None
            at = np.divide(times, scales.time)
            found = np.array([one.at(at, stepped) for one in told if one is not None])
            return found.reshape(len(passages), rows.shape[0], len(times)) * scales.concentration
        if not isinstance(self._states, Evolution):
            return None
        responses = area_responses(self._problem, self._states, passages, rows, times)
        return None if responses is None else responses * scales.concentration

    def _starts_at(self, region: str, concentration: float) -> bool:
        """Whether a mean starts at a concentration or above, but for rounding."""
        start = float(self._samples[1][list(self.curves).index(region), 0]) * self._problem.scales.concentration
        return start >= concentration - EQUAL * abs(concentration)

    def _first_crossing(self, region: str, concentration: float) -> float | None:
        """When a mean first leaves the side of a concentration (at or above, or below) on which it starts, s."""
        row = list(self.curves).index(region)
        target = concentration / self._problem.scales.concentration
        t, values = self._samples
        c = values[row] - target
        there = c < -EQUAL * abs(target) if self._starts_at(region, concentration) else c >= 0
        if not there.any():
            return None
        i = int(np.argmax(there))

        def beyond(x: Array) -> Array:
            return np.asarray(self._curves.values(x)[row] - target)

        # Where it starts at the target but for rounding, it does not cross it on the way
        crossing = crossing_within(beyond, float(t[i - 1]), float(t[i]))
        return (float(t[i]) if crossing is None else crossing) * self._problem.scales.time

    @cached_property
    def _samples(self) -> tuple[Array, Array]:
        """Scaled times so close that no crossing is missed, and the curves there (regions, times)."""
        t = np.append(0.0, np.geomspace(1e-9, 1.0, SAMPLES))
        kinks = self._problem.system.kinks
        if kinks:
            points = max(SAMPLES // (len(kinks) + 1), 16)
            t = np.unique(np.append(t[t < kinks[0]], after_kinks(1.0, kinks, points, 1e-4)))
        return t, self._curves.values(t)

    def extra(self, times: Array) -> Array:
        """Extra functionals at increasing times (s) in mol/m^3, (functionals, times).

        Raises:
            ValueError: None were asked for.
        """
        if self._extra is None:
            raise ValueError("expected extra functionals, got none; name them to solve()")
        scales = self._problem.scales
        return self._extra.values(np.divide(times, scales.time)) * scales.concentration


@dataclass(frozen=True, eq=False)
class _Corrected:
    """Curves of regions with something added."""

    base: Curves  # of the regions first
    more: SuperpositionProjection  # of the regions

    def added(self, times: Array) -> Array:
        """At increasing times in scaled units, (regions, times)."""
        return self.more.evaluate(times, 0)[0]

    def values(self, times: Array) -> Array:
        """Values of the regions at increasing times in scaled units, (regions, times)."""
        added = self.added(times)
        return np.asarray(self.base.values(times)[: len(added)] + added)


def solve(
    problem: Problem,
    means: Mapping[str, RegionMean],
    time: TimeSpan,
    options: SolverOptions,
    progress: Callable[[int, float], None] | None = None,
    extra: csr_array | None = None,
    reached: Callable[[int, float, int], None] | None = None,
    seen: Callable[[float, Array], None] | None = None,
    between: Sequence[SurfaceFlux] = (),
    keeper: Keeper | None = None,
    lacking: Physics | None = None,
    passages: Sequence[Passage] = (),
) -> Transient:
    """Integrate from 0 to time.end, with the error of all region curves below time.tolerance.

    Args:
        problem: Made with end = time.end.
        means: Regions whose curves are wanted.
        time: End, tolerance and times.
        options: Linear solver and its limits.
        progress: Called with the number of solves and the error estimate.
        extra: Linear functionals (functionals, owned) that are wanted at any time besides; there may be thousands, and
            they do not decide about the error.
        reached: Called with the number of steps, the time reached (s), and the iterations of Newton's method so far,
            where the problem is solved step by step.
        seen: Called with times (s) and the owned unknowns there: some of the curves' times, or the ends of all steps
            from the first of these on.
        between: Fluxes that are wanted besides those of the problem; not where it is solved step by step.
        keeper: Takes down what is found, and gives back what an earlier process found.
        lacking: Physics of the problem, where it is wanted what the curves of one that is solved step by step lack in
            space: that is told along with the steps, see `Transient.steps_lack`.
        passages: Surfaces of which it is wanted what the curves of a problem that is solved step by step change by with
            their areas, see `Transient.by_areas`.

    Raises:
        InputError: Courses bend or jump more often than can be followed.
        ArithmeticError: A linear solver failed, or the steps of a nonlinear problem became too short or too many.
    """
    scales = problem.scales
    dim = problem.space.mesh.topology.dim
    method = choose_method(options.linear, dim, problem.unknowns)
    comm = problem.space.mesh.comm
    whole = float(comm.allreduce(problem.amount.sum(), op=MPI.SUM))
    # The mean over everything is watched too: a run without regions, and the lithium balance, are to be right as well.
    # A region that holds little in equilibrium is watched by what it holds.
    little = [(m.weights, problem.share_held(m.phase_shares)) for m in means.values()]
    more = [weights / held for weights, held in little if held < 1.0]
    on_mesh = {name: m.by_mesh for name, m in means.items() if m.by_mesh is not None}
    watch = np.array([*(m.weights for m in means.values()), problem.amount / whole, *more, *on_mesh.values()])
    kinks = problem.system.kinks
    if len(kinks) > MOST_KINKS:
        raise InputError(
            f"[time] end: the courses over time bend or jump {len(kinks)} times until {scales.time:g} s; expected at "
            f"most {MOST_KINKS}: check the units of their periods, or end earlier"
        )
    times = output_times(time, tuple(kink * scales.time for kink in kinks))
    scaled = np.divide(times, scales.time)
    snapshots = np.array(time.snapshots) / scales.time
    watched_times: Array = np.unique(np.concatenate([scaled, snapshots, [1.0]]))
    first = float(watched_times[watched_times > 0][0])
    look = None if seen is None else lambda t, u: seen(t * scales.time, u)
    if keeper is not None:
        keeper.begin(problem.space)
    if is_needed(problem):
        stepped = solve_stepwise(
            problem,
            watch,
            extra,
            watched_times,
            snapshots,
            time.tolerance,
            method,
            options.max_steps,
            None if reached is None else lambda steps, t, solves: reached(steps, t * scales.time, solves),
            seen=None if look is None else lambda t, u: look(t, u) if t >= first else None,
            keeper=keeper,
            lacking=lacking,
            passages=passages,
        )
        outcome = _from_steps(problem, means, times, stepped, time.tolerance, extra is not None)
        return replace(outcome, by_mesh=_last(problem, on_mesh, times, stepped.curves))
    method = choose_package(options.linear, method, dim, comm.size)
    inner = options.inner_tolerance or min(INNER * time.tolerance, REPEATABLE)
    degree = problem.space.element.basix_element.degree
    kept = int(np.clip(SEVERAL // problem.unknowns, 1, 4)) if problem.system.transfers else 1
    stiff = float(np.clip(STIFF / time.tolerance, *STIFF_RANGE))
    precondition = higher_degree(problem.space, problem.system.held) if method == "cg" and dim == 3 else None
    rows = LinearFlows.rows(problem, between)

    def solvers(system: LinearSystem, inner: float, keeper: Keeper | None = None) -> ShiftedSolvers:
        return ShiftedSolvers(
            system.mass, system.stiffness, system.taken, method, inner, dim, degree, kept, stiff, precondition, keeper
        )

    found = evolve(
        problem.system,
        lambda system: solvers(system, inner, keeper),
        [watch, rows] if extra is None else [watch, rows, extra],
        watched_times,
        time.tolerance,
        options.max_solves,
        snapshots,
        progress,
        look,
    )
    flows = LinearFlows((*problem.fluxes, *between), found.records[1], problem.start_amount)
    return Transient(
        times=times,
        curves=_curves(problem, means, times, found.records[0]),
        error=found.error,
        converged=found.converged,
        balance=_balance(problem, flows, watched_times, found.error),
        method=", ".join(found.methods) or method,
        poles=tuple(p * scales.time for p in found.poles),
        solves=found.solves,
        inner_iterations=found.iterations,
        history=found.history,
        _problem=problem,
        _states=found,
        _curves=found.records[0],
        _flows=flows,
        _solvers=lambda: solvers(problem.system, max(inner, LACKING)),
        _weights=tuple(mean.weights for mean in sorted(means.values(), key=lambda mean: mean.solved_measure)),
        _between=tuple(between),
        _extra=None if extra is None else found.records[2],
        by_mesh=_last(problem, on_mesh, times, found.records[0]),
    )


def _from_steps(
    problem: Problem, means: Mapping[str, RegionMean], times: Array, found: Stepped, tolerance: float, extra: bool
) -> Transient:
    """What steps have found."""
    ledger = found.ledger
    through = with_known(problem.fluxes, ledger.times, ledger.inflow.T)
    return Transient(
        times=times,
        curves=_curves(problem, means, times, found.curves),
        error=found.error,
        converged=found.error <= tolerance,
        balance=_mass_balance(problem, ledger.stored, through, found.error),
        method=found.method,
        poles=(),
        solves=found.effort.newton_iterations,
        inner_iterations=found.iterations,
        history=found.history,
        _problem=problem,
        _states=found,
        _curves=found.curves,
        _flows=SteppedFlows(ledger.times, through, ledger.stored),
        _extra=found.extra if extra else None,
        effort=found.effort,
    )


def _curves(problem: Problem, means: Mapping[str, RegionMean], times: Array, found: Curves) -> dict[str, Array]:
    """Curves of the regions, mol/m^3, the first of the functionals found."""
    values = found.values(np.divide(times, problem.scales.time)) * problem.scales.concentration
    # At time 0 the concentration is what the case says, not its projection, which knows the held surfaces already.
    if problem.start_values is not None:
        return {name: values[i] for i, name in enumerate(means)}
    at_start = [mean.phase_shares @ problem.start_of_phase for mean in means.values()]
    values[: len(means), times == 0.0] = np.reshape(at_start, (-1, 1)) * problem.scales.concentration
    return {name: values[i] for i, name in enumerate(means)}


def _last(problem: Problem, names: Collection[str], times: Array, found: Curves) -> dict[str, Array]:
    """Curves of the last of the functionals found, mol/m^3, by their names."""
    if not names:
        return {}
    values = found.values(np.divide(times, problem.scales.time)) * problem.scales.concentration
    return dict(zip(names, values[-len(names) :], strict=True))


def _balance(problem: Problem, flows: LinearFlows, times: Array, error: float) -> MassBalance:
    """Stored change against the time integrals of all fluxes."""
    inflow = flows.cumulated(times)[: len(problem.fluxes)]
    return _mass_balance(problem, flows.stored(times), inflow, error)


def _mass_balance(problem: Problem, stored: Array, inflow: Array, error: float) -> MassBalance:
    """Compare what is stored (times,) with what came through the surfaces (surfaces, times); both scaled.

    Args:
        problem: In scaled units.
        stored: (times,) change of the amount.
        inflow: (surfaces, times) through the surfaces.
        error: Estimated error of mean concentrations.
    """
    there = float(np.abs(stored + problem.start_amount).max())
    moved = max(float(np.abs(stored).max()), float(np.abs(inflow).sum(axis=0).max(initial=0.0)))
    exchanged = max(moved, UNMOVED * there, 1e-300)
    mismatch = float(np.abs(stored - inflow.sum(axis=0)).max())
    whole = float(problem.space.mesh.comm.allreduce(problem.amount.sum(), op=MPI.SUM))
    rounding = sum(flux.rounding for flux in problem.fluxes) * max(1.0, there / whole)
    unit = problem.scales.amount(problem.space.mesh.topology.dim)
    return MassBalance(
        stored_change=float(stored[-1]) * unit,
        inflow={s.name: float(inflow[i, -1]) * unit for i, s in enumerate(problem.fluxes)},
        imbalance=mismatch / exchanged,
        expected=(error * whole + rounding) / exchanged,
    )
