"""Conjugate gradients on values that are spread over ranks."""

import math
from collections.abc import Callable

import numpy as np

from microlith.imaging.typing import Array, Indices, Singles
from microlith.solver.cubes.kernels import advanced, turned

MOST = 500  # iterations


def conjugate_gradients(
    times: Callable[[Array, Array], None],
    precondition: Callable[[Singles], Singles],
    dot: Callable[[Array, Array | Singles], float],
    x: Array,
    r: Array,
    held: Indices,
    tolerance: float,
    least: float,
) -> int:
    """Solve K x = b, the number of iterations; collective.

    Args:
        times: The product: from p to K p, in place.
        precondition: About K⁻¹ r, 0 where held.
        dot: Scalar product over all ranks.
        x: Start, and then the solution.
        r: b − K x; afterwards what is left.
        held: Where x stays as it is.
        tolerance: Of the residual in the norm of the preconditioner, relative to that at the start, and
        least: this norm itself, whichever is reached first.

    Raises:
        ArithmeticError: It does not converge.
    """
    p, kp = np.zeros_like(r), np.empty_like(r)
    before, wanted = 1.0, 0.0
    for iteration in range(MOST + 1):
        # In single precision, so scaled to what has digits there
        size = math.sqrt(dot(r, r))
        if size == 0.0:
            return iteration
        z = precondition((r / size).astype(np.float32))
        now = size * dot(r, z)
        if not now >= 0.0:
            break
        if iteration == 0:
            wanted = max(tolerance * math.sqrt(now), least)
        if math.sqrt(now) <= wanted:
            return iteration
        if iteration == MOST:
            break
        z *= np.float32(size)
        turned(now / before if iteration else 0.0, z, p)
        times(p, kp)
        kp[held] = 0.0
        advanced(now / dot(p, kp), p, kp, x, r)
        before = now
    raise ArithmeticError("conjugate gradients on the voxels gave up: they did not converge")
