"""The parameters whose curves are nearest to measured ones, in the sense of least squares."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from microlith.imaging.errors import InputError
from microlith.imaging.typing import Array

log = logging.getLogger(__name__)
STEP = 0.02  # of a difference quotient: in the logarithm, or per range where there is none
LARGEST_STEP = 0.05  # per range
AT_END = 2e-3  # distance from an end, per range, that counts as at it
EXACT = dict(xtol=1e-6, ftol=1e-9, gtol=1e-12)  # noqa: C408 -- they are the keywords of least_squares
MOST = 60  # Jacobians

Curves = Callable[[Array], Array]


@dataclass(frozen=True, eq=False)
class Minimum:
    """Where a search has ended."""

    x: Array  # (n,) each from 0 to 1
    values: Array  # (m,) computed there
    jacobian: Array  # (m, n) there, by central differences
    converged: bool
    failed: int  # starts that could not be solved


def spread(count: int, dimension: int) -> Array:
    """Points spread over the unit cube, (count, dimension); the same ones always."""
    from scipy.stats.qmc import LatinHypercube

    if dimension == 1:
        return (np.arange(count) + 0.5)[:, None] / max(count, 1)
    return np.asarray(LatinHypercube(dimension, seed=0).random(count))


def minimum(
    curves: Curves,
    values: Array,
    deviations: Array | None,
    steps: Array,
    starts: Array,
    tell: Callable[[str], None] = lambda _: None,
) -> Minimum:
    """Find the parameters of least squares between 0 and 1: from the best of some starts by a trust-region method.

    Branch, Coleman and Li, *SIAM J. Sci. Comput.* 21 (1999) 1-23, as SciPy has it.

    Args:
        curves: Computed values (m,) at x (n,).
        values: (m,) measured.
        deviations: (m,) standard deviations; None: all alike.
        steps: (n,) of the difference quotients.
        starts: (k, n) to begin with.
        tell: Called with how far it is.

    Raises:
        InputError: No start can be solved, or the case can't be solved on the way.
    """
    from scipy.optimize import least_squares

    scale = float(np.abs(values).max(initial=0.0)) or 1.0
    weights = np.full(len(values), 1.0 / scale) if deviations is None else 1.0 / deviations
    known: dict[bytes, Array] = {}
    failures: list[Exception] = []

    def residuals(x: Array) -> Array:
        """Infinite where the case can't be solved: the method then tries a smaller step."""
        key = x.tobytes()
        if key not in known:
            try:
                known[key] = curves(x)
            except (ArithmeticError, InputError) as error:
                known[key] = np.full(len(values), np.inf)
                failures.append(error)
            else:
                tell(f"{len(known)} solves, squares {np.sum(((known[key] - values) * weights) ** 2):.4g}")
        return (known[key] - values) * weights

    def slopes(x: Array) -> Array:
        columns = []
        for k, step in enumerate(steps):
            ahead = x.copy()
            ahead[k] += step if x[k] + step <= 1.0 else -step
            if not np.isfinite(residuals(ahead)).all():
                ahead[k] = 2 * x[k] - ahead[k]
            columns.append((residuals(ahead) - residuals(x)) / (ahead[k] - x[k]))
        return _sound(np.stack(columns, axis=1), failures)

    start = _best(residuals, starts, failures)
    failed = len(failures)
    found = least_squares(
        residuals, np.clip(start, 1e-3, 1 - 1e-3), jac=slopes, bounds=(0.0, 1.0), method="trf", max_nfev=MOST, **EXACT
    )
    x = np.where(found.x < AT_END, 0.0, np.where(found.x > 1 - AT_END, 1.0, found.x))
    if np.any(x != found.x) and np.sum(residuals(x) ** 2) > 2 * found.cost * (1 + 1e-9):
        x = found.x  # the end itself is worse than near to it
    jacobian = _sound(_central(lambda at: residuals(at) / weights, x, steps), failures)
    return Minimum(x, residuals(x) / weights + values, jacobian, bool(found.status > 0), failed)


def _best(residuals: Curves, starts: Array, failures: Sequence[Exception]) -> Array:
    """The start with the least squares.

    Raises:
        InputError: None can be solved.
    """
    squares = np.array([np.sum(residuals(start) ** 2) for start in starts])
    if not np.isfinite(squares).any():
        raise InputError(
            f"the case can't be solved for any values that were tried within the ranges of --vary: {failures[-1]}"
        ) from failures[-1]
    return np.asarray(starts[int(np.argmin(squares))])


def _sound(jacobian: Array, failures: Sequence[Exception]) -> Array:
    """Derivatives that are known.

    Raises:
        InputError: The case can't be solved right beside where it can.
    """
    if np.isfinite(jacobian).all():
        return jacobian
    raise InputError(
        f"the case can't be solved beside values at which it can, so that there are no derivatives: {failures[-1]}; "
        "narrow the ranges of --vary"
    ) from failures[-1]


def _central(curves: Curves, x: Array, steps: Array) -> Array:
    """Derivatives of second order, one-sided at an end."""
    columns = []
    for k, step in enumerate(steps):
        low, high = x.copy(), x.copy()
        low[k], high[k] = x[k] - step, x[k] + step
        if low[k] < 0.0 or high[k] > 1.0:
            sign = 1.0 if low[k] < 0.0 else -1.0
            one, two = x.copy(), x.copy()
            one[k], two[k] = x[k] + sign * step, x[k] + 2 * sign * step
            columns.append(sign * (4 * curves(one) - curves(two) - 3 * curves(x)) / (2 * step))
        else:
            columns.append((curves(high) - curves(low)) / (2 * step))
    return np.stack(columns, axis=1)
