"""Values of diffusivity laws at many concentrations at once, in NumPy."""

from collections.abc import Callable

import numpy as np

from microlith.imaging.typing import Array
from microlith.solver.physics.laws import DiffusivityLaw, DiffusivityTable, evaluated


def values_of(law: DiffusivityLaw, c: Array) -> Array:
    """Bulk diffusivity.

    Args:
        law: Expression or table.
        c: Concentrations in mol/m^3, not below 0, any shape.

    Returns:
        D in m^2/s, in the shape of c; nan or inf where the law has no value.
    """
    with np.errstate(all="ignore"):
        if isinstance(law, DiffusivityTable):
            x, y = np.array(law.concentrations), np.array(law.values)
            return np.exp(np.interp(c, x, np.log(y))) if law.logarithmic else np.interp(c, x, y)
        return np.broadcast_to(evaluated(law.expression, c, _FUNCTIONS), c.shape)


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
