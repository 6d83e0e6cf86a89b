"""Conjugate gradients on values that are spread over ranks."""

import math
from collections.abc import Callable

import numpy as np

from microlith.imaging.typing import Array, Indices, Singles
from microlith.solver.cubes.kernels import advanced, turned

MOST = 500  # iterations
# Relative error in the energy norm, about: the figure has the square of it, fluxes through faces a few times this
TOLERANCE = 1e-7
ROUNDING = 1e-13  # of the energy of the start


def conjugate_gradients(
    times: Callable[[Array, Array], None],
    precondition: Callable[[Singles], Singles],
    dot: Callable[[Array, Array | Singles], float],
    x: Array,
    r: Array,
    held: Indices,
    energy: float,
) -> int:
    """Find the least energy, where K x = b, and the number of iterations that it took; collective.

    Args:
        times: The product: from p to K p, in place.
        precondition: About K⁻¹ r, 0 where held.
        dot: Scalar product over all ranks.
        x: Start, and then the solution.
        r: b − K x; afterwards what is left.
        held: Where x stays as it is.
        energy: Of the start. Each step is known to lower it by so much, and the residual is to be TOLERANCE of what
            is left, in the norm of the preconditioner: a long way lowers it by far more than it has in the end.

    Raises:
        ArithmeticError: It does not converge.
    """
    p, kp = np.zeros_like(r), np.empty_like(r)
    before, digits = 1.0, ROUNDING * energy
    for iteration in range(MOST + 1):
        # In single precision, so scaled to what has digits there
        size = math.sqrt(dot(r, r))
        if size == 0.0:
            return iteration
        z = precondition((r / size).astype(np.float32))
        now = size * dot(r, z)
        if not now >= 0.0:
            break
        if math.sqrt(now) <= TOLERANCE * math.sqrt(max(energy, digits)):
            return iteration
        if iteration == MOST:
            break
        z *= np.float32(size)
        turned(now / before if iteration else 0.0, z, p)
        times(p, kp)
        kp[held] = 0.0
        step = now / dot(p, kp)
        advanced(step, p, kp, x, r)
        energy -= step * now
        before = now
    raise ArithmeticError("conjugate gradients on the voxels gave up: they did not converge")
