"""How sure fitted parameters are: what the scatter of the data and the errors of the computed curves let them be.

Linear least squares around the solution (Seber and Wild, *Nonlinear Regression*, 1989, section 5.1). The scatter is
random and goes down with the number of values; errors of the computed curves are of the mesh and of the steps in time,
the same whenever the case is solved: they shift the parameters, and no number of values takes that away. The two are
therefore told apart, and the interval is the sum of both.
"""

from dataclasses import dataclass

import numpy as np

from microlith.imaging.typing import Array

LEVEL = 0.95
RANK = 1e-9  # singular values below this share of the largest are none


@dataclass(frozen=True, eq=False)
class Uncertainty:
    """How sure n parameters are, in the units in which they were varied."""

    standard_errors: Array  # (n,) inf where the data say nothing
    statistical: Array  # (n,) half widths of the 95 % intervals from the scatter of the data
    of_curves: Array  # (n,) largest shifts that curves off by no more than their errors can make
    correlation: Array  # (n, n) of the estimates, nan where a standard error is not finite
    covariance: Array  # (n, n) of the estimates
    scatter: float  # root mean square of the residuals, per standard deviation where these are given, else mol/m^3
    freedom: int  # number of values less that of parameters
    inflated: bool  # whether the residuals are larger than the standard deviations, and intervals widened by that


def uncertainty(jacobian: Array, residuals: Array, deviations: Array | None, errors: Array) -> Uncertainty:
    """Intervals of the parameters of a least-squares fit.

    Args:
        jacobian: (m, n) derivatives of the computed values by the parameters, at the solution.
        residuals: (m,) computed less measured values.
        deviations: (m,) standard deviations of the measured values; None: one for all, which the residuals tell.
        errors: (m,) bounds of the errors of the computed values.

    With standard deviations these count, and where the residuals scatter more, intervals are widened by as much. The
    shift by errors e of the curves is the pseudo-inverse A of the Jacobian times e; with any signs of them it is no
    more than the sum of |A| e, which is what is told.
    """
    from scipy.stats import chi2, norm, t

    count, free = jacobian.shape[0], jacobian.shape[0] - jacobian.shape[1]
    weights = np.ones(count) if deviations is None else 1.0 / deviations
    left, values, right = np.linalg.svd(jacobian * weights[:, None], full_matrices=False)
    known = values > RANK * values.max(initial=0.0)
    inverse = np.where(known, 1.0 / np.where(known, values, 1.0), 0.0)
    squares = float(np.sum((residuals * weights) ** 2))
    if deviations is None:
        variance, quantile, inflated = squares / max(free, 1), float(t.ppf(0.5 + LEVEL / 2, max(free, 1))), False
    else:
        inflated = free > 0 and squares > float(chi2.ppf(0.99, free))
        variance = squares / free if inflated else 1.0
        quantile = float(t.ppf(0.5 + LEVEL / 2, free) if inflated else norm.ppf(0.5 + LEVEL / 2))
    covariance = variance * (right.T * inverse**2) @ right
    # A direction that the data do not see leaves every parameter open that has a part in it
    open_ = (np.abs(right[~known]) > 1e-6).any(axis=0)
    standard = np.where(open_, np.inf, np.sqrt(np.diagonal(covariance)))
    shifts = np.abs((right.T * inverse) @ left.T * weights) @ np.abs(errors)
    with np.errstate(invalid="ignore", divide="ignore"):
        correlation = covariance / np.outer(standard, standard)
        correlation[~np.isfinite(np.outer(standard, standard))] = np.nan
    return Uncertainty(
        standard_errors=standard,
        statistical=quantile * standard,
        of_curves=np.where(open_, np.inf, shifts),
        correlation=correlation,
        covariance=covariance,
        scatter=float(np.sqrt(squares / count)),
        freedom=free,
        inflated=inflated,
    )


def runs_score(residuals: Array) -> float:
    """How far the number of changes of sign of residuals in their order is from that of random ones.

    In standard deviations; negative where neighbours have the same sign too often (Wald and Wolfowitz, 1940). 0 for
    few values.
    """
    signs = np.sign(residuals[residuals != 0])
    above, below = int((signs > 0).sum()), int((signs < 0).sum())
    n = above + below
    if n < 8:
        return 0.0
    if not above or not below:
        return -np.inf
    runs = 1 + int((signs[1:] != signs[:-1]).sum())
    mean = 2.0 * above * below / n + 1.0
    variance = (mean - 1.0) * (mean - 2.0) / (n - 1.0)
    return float((runs - mean) / np.sqrt(variance)) if variance > 0 else 0.0
