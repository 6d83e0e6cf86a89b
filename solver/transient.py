"""The transient run: region curves at all times, concentration fields on demand, and how far to trust them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.sparse import csr_array

from mpi4py import MPI

from .krylov import Projection, Trajectory, integrate
from .linear import ShiftedSolvers, choose_method
from .problem import Problem
from .regions import RegionMean
from .spec import SolverOptions, TimeSpan

Array = NDArray[np.float64]
DECADES = 5  # of the default times
POINTS = 200
INNER = 1e-2  # inner tolerance of CG per unit of outer tolerance,
REPEATABLE = 1e-9  # but no looser than this: multigrid differs with the ranks, and the curves must not


def output_times(time: TimeSpan) -> Array:
    """Times of the curves in seconds: those asked for, or 200 log-spaced ones and the snapshots."""
    if time.times is not None:
        return np.unique(np.array(time.times, dtype=np.float64))
    spaced = np.geomspace(time.end * 10.0**-DECADES, time.end, POINTS)
    spaced[-1] = time.end
    return np.unique(np.concatenate([spaced, np.array(time.snapshots)]))


@dataclass(frozen=True)
class MassBalance:
    """Where the lithium went, in mol (3D) or mol per metre of depth (2D), from 0 to the end."""

    stored_change: float
    inflow: dict[str, float]  # through each surface
    imbalance: float  # largest |stored change - inflow| over all times, per largest amount exchanged


@dataclass(frozen=True)
class Transient:
    """The solution: curves at `times`, fields at any time in [0, end]."""

    times: Array  # s
    curves: dict[str, Array]  # region -> mean concentration, mol/m^3
    error: float  # estimated error in time of the curves, per reference concentration
    converged: bool  # whether it is below the tolerance
    balance: MassBalance
    method: str
    poles: tuple[float, ...]  # s
    solves: int
    inner_iterations: int
    history: tuple[tuple[int, float], ...]  # (solves, error estimate)
    _problem: Problem
    _trajectory: Trajectory
    _projection: Projection  # of the regions, in the order of curves
    _extra: Projection | None = None  # of the extra functionals

    def concentration(self, time: float) -> Array:
        """Concentration at one time (s) in mol/m^3: local dofs of the problem's display space, ghosts included."""
        problem = self._problem
        if time == 0.0:
            return problem.start_picture * problem.scales.concentration
        owned = self._trajectory.state(time / problem.scales.time)
        return problem.display.concentration(owned) * problem.scales.concentration

    def first_time(self, region: str, concentration: float) -> float | None:
        """When a region's mean first reaches a concentration (mol/m^3), s; None where it does not until the end.

        From the solution itself, not from the curve's points; 0 where it starts there.
        """
        scales = self._problem.scales
        row = list(self.curves).index(region)
        target = concentration / scales.concentration

        def value(t: float | Array) -> Array:
            return self._projection.values(np.atleast_1d(np.asarray(t, dtype=np.float64)))[row] - target

        t = np.append(0.0, np.geomspace(1e-9, 1.0, 4000))
        c = value(t)
        there = c >= 0 if c[0] < 0 else c <= 0
        if not there.any():
            return None
        i = int(np.argmax(there))
        if i == 0:
            return 0.0
        return float(brentq(lambda x: float(value(x)[0]), t[i - 1], t[i], xtol=1e-15, rtol=1e-10)) * scales.time

    def extra(self, times: Array) -> Array:
        """Extra functionals at increasing times (s) in mol/m^3, (functionals, times).

        Raises:
            ValueError: None were asked for.
        """
        if self._extra is None:
            raise ValueError("expected extra functionals, got none; name them to solve()")
        scales = self._problem.scales
        return self._extra.values(np.divide(times, scales.time)) * scales.concentration


def solve(
    problem: Problem,
    means: Mapping[str, RegionMean],
    time: TimeSpan,
    options: SolverOptions,
    progress: Callable[[int, float], None] | None = None,
    extra: csr_array | None = None,
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

    Raises:
        ArithmeticError: A linear solver failed.
    """
    scales = problem.scales
    dim = problem.space.mesh.topology.dim
    method = choose_method(options.linear, dim, problem.unknowns)
    comm = problem.space.mesh.comm
    whole = float(comm.allreduce(problem.amount.sum(), op=MPI.SUM))
    # The mean over everything is watched too: a run without regions, and the lithium balance, are to be right as well.
    watch = np.array([*(m.weights for m in means.values()), problem.amount / whole])
    times = output_times(time)
    scaled = np.divide(times, scales.time)
    watched_times: Array = np.unique(np.concatenate([scaled, np.array(time.snapshots) / scales.time, [1.0]]))
    inner = options.inner_tolerance or min(INNER * time.tolerance, REPEATABLE)
    degree = problem.space.element.basix_element.degree
    solvers = ShiftedSolvers(problem.system.mass, problem.system.stiffness, method, inner, dim, degree)
    integration = integrate(
        problem.system,
        solvers,
        watch,
        watched_times,
        time.tolerance,
        options.max_solves,
        np.array(time.snapshots) / scales.time,
        progress,
    )
    projection = integration.trajectory.project(watch)
    values = projection.values(scaled) * scales.concentration
    # At time 0 the concentration is what the case says, not its projection, which knows the held surfaces already.
    at_start = [mean.phase_shares @ problem.start_of_phase for mean in means.values()]
    values[: len(means), times == 0.0] = np.reshape(at_start, (-1, 1)) * scales.concentration
    transient = Transient(
        times=times,
        curves={name: values[i] for i, name in enumerate(means)},
        error=integration.error,
        converged=integration.converged,
        balance=_balance(problem, integration.trajectory, watched_times),
        method=method,
        poles=tuple(p * scales.time for p in solvers.poles),
        solves=solvers.solves,
        inner_iterations=solvers.iterations,
        history=integration.history,
        _problem=problem,
        _trajectory=integration.trajectory,
        _projection=projection,
        _extra=None if extra is None else integration.trajectory.project(extra),
    )
    solvers.destroy()
    return transient


def _balance(problem: Problem, trajectory: Trajectory, times: Array) -> MassBalance:
    """Stored change against the time integrals of all fluxes."""
    rows = np.array([problem.amount, *(f for s in problem.surfaces for f in (s.rate, s.level))])
    value, integral = trajectory.project(rows).evaluate(times)
    inflow = value[1::2] - np.array([[s.start] for s in problem.surfaces]).reshape(-1, 1) + integral[2::2]
    stored = value[0] - problem.start_amount
    exchanged = max(float(np.abs(stored).max()), float(np.abs(inflow).sum(axis=0).max(initial=0.0)), 1e-300)
    mismatch = float(np.abs(stored - inflow.sum(axis=0)).max())
    unit = problem.scales.amount(problem.space.mesh.topology.dim)
    return MassBalance(
        stored_change=float(stored[-1]) * unit,
        inflow={s.name: float(inflow[i, -1]) * unit for i, s in enumerate(problem.surfaces)},
        imbalance=mismatch / exchanged,
    )
