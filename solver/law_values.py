"""Values of diffusivity laws at many concentrations at once, in NumPy."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from .laws import DiffusivityLaw, DiffusivityTable, evaluated

Array = NDArray[np.float64]


def values_of(law: DiffusivityLaw, c: Array, top: float = np.inf) -> Array:
    """Bulk diffusivity.

    Args:
        law: Expression or table.
        c: Concentrations in mol/m^3, any shape. Discrete solutions overshoot where lithium enters an empty medium, so
            what is below 0 counts as 0, and what is above `top` as `top`.
        top: Largest concentration that the exact solution takes.

    Returns:
        D in m^2/s, in the shape of c; nan or inf where the law has no value.
    """
    inside = np.clip(c, 0.0, top)
    with np.errstate(all="ignore"):
        if isinstance(law, DiffusivityTable):
            x, y = np.array(law.concentrations), np.array(law.values)
            return np.exp(np.interp(inside, x, np.log(y))) if law.logarithmic else np.interp(inside, x, y)
        return np.broadcast_to(evaluated(law.expression, inside, _FUNCTIONS), inside.shape)


_FUNCTIONS: dict[str, Callable[..., Array]] = {
    "add": np.add,
    "subtract": np.subtract,
    "multiply": np.multiply,
    "divide": np.divide,
    "power": np.power,
    "negative": np.negative,
    "exp": np.exp,
    "log": np.log,
    "sqrt": np.sqrt,
    "tanh": np.tanh,
    "minimum": np.minimum,
    "maximum": np.maximum,
}
