"""The values of a case whose curves are nearest to measured ones, and how sure they are."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mpi4py import MPI

from microlith.imaging.errors import listed
from microlith.imaging.typing import Array
from microlith.workflow.case.case import Case
from microlith.workflow.fit.intervals import Uncertainty, runs_score, uncertainty
from microlith.workflow.fit.limits import allowed_end
from microlith.workflow.fit.measured import Measured
from microlith.workflow.fit.model import Model, led
from microlith.workflow.fit.parameters import Parameter, with_values
from microlith.workflow.fit.search import AT_END, LARGEST_STEP, STEP, Minimum, minimum, spread
from microlith.workflow.fit.subject import Subject

log = logging.getLogger(__name__)
STARTS = 6  # for each parameter
MOST_STARTS = 1000
TIMES = 60  # of the curves that are drawn, besides those of the data
RELATED = 0.95  # correlation from which on two parameters are said to be told apart badly
SYSTEMATIC = -3.0  # runs score below which residuals are no scatter


@dataclass(frozen=True, eq=False)
class Estimate:
    """What a fit says of one parameter; values in the unit in which it was given."""

    parameter: Parameter
    value: float
    statistical: tuple[float, float]  # 95 % interval from the scatter of the data alone; infinite where open
    interval: tuple[float, float]  # with the errors of the computed curves
    determined: bool  # whether the interval is narrower than the range of --vary
    at_end: str  # "", "lower" or "upper": the end of the range that it is at
    cut: tuple[str, ...] = ()  # "lower", "upper": ends of the intervals that lie where the case file allows no more


@dataclass(frozen=True, eq=False)
class Fit:
    """What a fit finds; the same on all ranks."""

    subject: Subject
    title: str
    estimates: tuple[Estimate, ...]
    uncertainty: Uncertainty
    values: Array  # (m,) computed, one for each measured one, mol/m^3
    errors: Array  # (m,) their estimated errors in time and space
    jacobian: Array  # (m, n) derivatives of the values, by the parameters per range
    times: Array  # (k,) s, of the curves
    curves: dict[str, Array]  # region -> (k,) mol/m^3
    curve_errors: dict[str, Array]  # region -> (k,)
    solves: int
    warnings: tuple[str, ...]
    tables: dict[str, Any]  # of the case with the values that were found
    case: Case  # the same, checked
    summary_of_regions: dict[str, float]  # region -> root mean square of the residuals, mol/m^3
    seconds: dict[str, float]  # stage -> s

    @property
    def measured(self) -> Measured:
        """What it was fitted to."""
        return self.subject.measured

    @property
    def scatter_of_fit(self) -> Array:
        """Standard deviations of the computed values that those of the parameters make, (m,), mol/m^3."""
        some = np.isfinite(self.uncertainty.standard_errors)
        jacobian = self.jacobian[:, some]
        return np.sqrt(np.einsum("mi,ij,mj->m", jacobian, self.uncertainty.covariance[np.ix_(some, some)], jacobian))

    @property
    def residuals(self) -> Array:
        """Computed less measured, (m,), mol/m^3."""
        return self.values - self.measured.values

    def __repr__(self) -> str:
        """The values with their intervals."""
        texts = (
            f"{one.parameter.key} = {one.parameter.said(one.value)} ({one.interval[0]:.4g} to {one.interval[1]:.4g})"
            for one in self.estimates
        )
        return f"<Fit {self.title!r}: {'; '.join(texts)}>"


def fitted(subject: Subject, starts: int | None = None, comm: MPI.Intracomm = MPI.COMM_WORLD) -> Fit:
    """Fit a case; nothing is printed or written; collective.

    Args:
        subject: What is fitted to what.
        starts: Number of points spread over the ranges that the best is looked for from; None: 6 for each parameter.
            The case's own values are one more where they are within the ranges.
        comm: The ranks that share each solve.

    Raises:
        InputError: The case or its image is at fault, or it can't be solved.
    """
    base = subject.of(subject.tables)
    model = Model(subject, base, comm)
    measured, parameters = subject.measured, subject.parameters
    steps = np.array([STEP / one.span if one.is_logarithmic else STEP for one in parameters])
    steps = np.minimum(steps, LARGEST_STEP)
    points = _starts(parameters, STARTS * len(parameters) if starts is None else starts)
    with model.stages.stage("fit", "fitting") as tell:
        found: Minimum = led(
            comm,
            model.curves,
            lambda curves: minimum(curves, measured.values, measured.deviations, steps, points, tell),
        )
    with model.stages.stage("errors", "estimating the errors of the curves"):
        end = float(measured.times[-1])
        first = min(1e-3 * end, 0.1 * float(measured.times[measured.times > 0][0]))
        times = np.union1d(measured.times, [*np.linspace(0.0, end, TIMES)[1:], *np.geomspace(first, end, TIMES)])
        solution = model.solution(found.x, times)
    at = np.searchsorted(solution.transient.times, measured.times)
    errors = measured.of({name: error[at] for name, error in solution.errors.items()})
    unsure = uncertainty(found.jacobian, found.values - measured.values, measured.deviations, errors)
    estimates = tuple(_estimate(subject, found.x, unsure, k) for k in range(len(parameters)))
    residuals = found.values - measured.values
    tables = with_values(subject.tables, parameters, found.x)
    warnings = (*_warnings(subject, estimates, unsure, residuals, errors, found), *solution.warnings)
    if solution.space is None:
        warnings = (*warnings, "the errors of the curves are of time alone: that in space could not be estimated")
    for sentence in warnings if comm.rank == 0 else ():
        log.warning("%s", sentence)
    squares = {
        name: float(np.sqrt(np.mean(residuals[measured.region == i] ** 2))) for i, name in enumerate(measured.regions)
    }
    transient = solution.transient
    return Fit(
        subject=subject,
        title=base.title,
        estimates=estimates,
        uncertainty=unsure,
        values=found.values,
        errors=errors,
        jacobian=found.jacobian,
        times=transient.times,
        curves={name: transient.curves[name] for name in measured.regions},
        curve_errors={name: solution.errors[name] for name in measured.regions},
        solves=model.solves,
        warnings=warnings,
        tables=tables,
        case=subject.case(found.x),
        summary_of_regions=squares,
        seconds=model.stages.timings,
    )


def _starts(parameters: Sequence[Parameter], count: int) -> Array:
    """Points to begin with: spread over the ranges, and the case's own where it is within them."""
    points = spread(count, len(parameters)) if count else np.empty((0, len(parameters)))
    own = [0.5 if one.start is None else one.scaled(one.start) for one in parameters]
    if not count or any(one.start is not None for one in parameters):
        points = np.vstack((points, own))
    return points


def _estimate(subject: Subject, x: Array, unsure: Uncertainty, k: int) -> Estimate:
    parameter, at = subject.parameters[k], float(x[k])
    alone = float(unsure.statistical[k])
    both = alone + float(unsure.of_curves[k])
    ends = tuple(allowed_end(subject, x, k, at + side * both) if np.isfinite(both) else None for side in (-1, 1))
    return Estimate(
        parameter=parameter,
        value=parameter.value(at),
        statistical=_ends(parameter, at, alone, ends),
        interval=_ends(parameter, at, both, ends),
        determined=both < 0.5,
        at_end="lower" if at < AT_END else "upper" if at > 1 - AT_END else "",
        cut=tuple(side for side, end in zip(("lower", "upper"), ends, strict=True) if end is not None),
    )


def _ends(parameter: Parameter, x: float, half: float, limits: Sequence[float | None]) -> tuple[float, float]:
    """The interval, as far as the case file allows it."""
    if not np.isfinite(half):
        return (0.0 if parameter.is_logarithmic else -np.inf), np.inf
    low, high = parameter.value(x - half), parameter.value(x + half)
    least, most = limits
    return low if least is None else max(low, least), high if most is None else min(high, most)


def _is_last_allowed(one: Estimate) -> bool:
    """Whether the end of the range that a value is at is where the case file allows no more, as a decay of 0."""
    low, high = one.parameter.low, one.parameter.high
    end, limit = (low, one.interval[0]) if one.at_end == "lower" else (high, one.interval[1])
    return one.at_end in one.cut and abs(limit - end) <= AT_END * (high - low)


def _warnings(
    subject: Subject,
    estimates: Sequence[Estimate],
    unsure: Uncertainty,
    residuals: Array,
    errors: Array,
    found: Minimum,
) -> list[str]:
    """What there is to hear before the values are taken for right."""
    sentences = []
    if not found.converged:
        sentences.append("the search has not ended: the values are the best so far; narrow the ranges of --vary")
    if found.failed:
        sentences.append(f"{found.failed} of the starting points could not be solved and were left out")
    for one in estimates:
        key, said = one.parameter.key, one.parameter.said
        if not one.determined:
            sentences.append(
                f"{key} is not determined by these data: its interval is as wide as the range of --vary, "
                f"{said(one.parameter.low)} to {said(one.parameter.high)}; fix it, or measure what depends on it"
            )
        if one.at_end and _is_last_allowed(one):
            least, further = ("least", "above") if one.at_end == "lower" else ("largest", "below")
            sentences.append(
                f"{key} is at {said(one.value)}, the {least} that it can be: the data do not ask for a value {further} "
                "it, and the interval says how far from it the value may be"
            )
        elif one.at_end:
            sentences.append(
                f"{key} is at the {one.at_end} end of its range, {said(one.value)}: the data ask for a value beyond "
                "it, and its interval means little; widen --vary"
            )
    names = [one.parameter.key for one in estimates]
    pairs = [
        f"{names[i]} and {names[j]} ({unsure.correlation[i, j]:+.3f})"
        for i in range(len(names))
        for j in range(i)
        if abs(unsure.correlation[i, j]) > RELATED
    ]
    if pairs:
        sentences.append(f"the data tell these apart badly (correlation of the estimates): {listed(pairs)}")
    if unsure.inflated:
        sentences.append(
            f"the residuals are {unsure.scatter:.3g} times the standard deviations that the data give: model or "
            "standard deviations are wrong; the intervals are widened by as much"
        )
    measured = subject.measured
    for i, name in enumerate(measured.regions):
        mine = measured.region == i
        if _is_systematic(residuals[mine], errors[mine]):
            sentences.append(
                f"the residuals of {name} do not scatter, neighbours have the same sign: the model lacks something, "
                "and the intervals, which take them for scatter, are too narrow"
            )
    return sentences


def _is_systematic(residuals: Array, errors: Array) -> bool:
    """Whether residuals are no scatter, and more than the errors of the curves explain."""
    return runs_score(residuals) < SYSTEMATIC and bool(np.mean(residuals**2) > np.mean(errors**2))
