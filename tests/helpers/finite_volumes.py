"""An independent reference in one dimension: finite volumes in space, SciPy's BDF in time."""

from itertools import pairwise

import numpy as np
from scipy.integrate import cumulative_trapezoid, solve_ivp
from scipy.interpolate import CubicHermiteSpline
from scipy.sparse import diags


def slab(
    diffusivity,
    cells,
    times,
    regions,
    *,
    porosity=1.0,
    initial=0.0,
    held=None,
    transfer=None,
    kinks=(),
    uptake=None,
    capacity=None,
    top=1.0,
):
    """Means over regions of a slab of length 1, (regions, times), and what its far end has taken up, (times,).

    diffusivity(c) is vectorised; fluxes are differences of its integral, so jumps of D between cells do no harm.
    held(t): concentration at 0; with transfer(t) the coefficient of exchange with held(t). uptake: rate constant of
    the far end, which takes up k c, with a capacity k c (1 − q / capacity). Regions [a, b] lie on cell edges.
    """
    h = 1.0 / cells
    levels = np.linspace(0.0, top, 50_001)
    along = diffusivity(levels)
    spline = CubicHermiteSpline(levels, np.append(0.0, cumulative_trapezoid(along, levels)), along)

    def integral(c):
        beyond = along[-1] * np.maximum(c - top, 0.0) + along[0] * np.minimum(c, 0.0)
        return spline(np.clip(c, 0.0, top)) + beyond

    def rate(t, y):
        c, q = y[:-1], y[-1]
        p = integral(c)
        inner = (p[:-1] - p[1:]) / h
        flux = np.concatenate([[0.0], inner, [0.0]])
        if held is not None and transfer is None:
            flux[0] = (integral(np.array([held(t)]))[0] - p[0]) / (h / 2)
        elif held is not None:  # through half a cell to the surface, and from there by the coefficient
            resistance = 1.0 / transfer(t) + h / 2 / diffusivity(c[:1])[0] if transfer(t) > 0 else np.inf
            flux[0] = (held(t) - c[0]) / resistance
        taken = 0.0
        if uptake is not None:
            room = 1.0 if capacity is None else 1.0 - q / capacity
            d = diffusivity(c[-1:])[0]
            taken = uptake * room * c[-1] / (1.0 + uptake * room * h / 2 / d)
            flux[-1] = taken
        return np.append((flux[:-1] - flux[1:]) / (h * porosity), taken)

    sparsity = diags([1.0, 1.0, 1.0], [-1, 0, 1], shape=(cells + 1, cells + 1)).tolil()
    sparsity[-1, -2] = sparsity[-2, -1] = 1.0
    y = np.append(np.full(cells, float(initial)), 0.0)
    found = np.empty((cells + 1, len(times)))
    cuts = [0.0, *kinks, times[-1]]
    for start, end in pairwise(cuts):
        here = (times > start) & (times <= end)
        wanted = np.unique(np.append(times[here], end))
        # From just after a kink to just before the next, as courses jump there.
        inside = start + 1e-12 * times[-1], end - 1e-12 * times[-1]
        run = solve_ivp(
            lambda t, y, inside=inside: rate(np.clip(t, *inside), y),
            (start, end), y, "BDF", wanted, rtol=1e-7, atol=1e-9, jac_sparsity=sparsity, first_step=1e-9 * times[-1],
        )  # fmt: skip
        assert run.success, run.message
        found[:, here] = run.y[:, np.isin(wanted, times[here])]
        y = run.y[:, -1]
    edges = np.arange(cells) * h
    means = [found[:-1][(edges > a - h / 2) & (edges < b - h / 2)].mean(axis=0) for a, b in regions]
    return np.array(means), found[-1]
