"""Values and slopes of diffusivity laws at many concentrations at once, in NumPy."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .laws import DiffusivityLaw, DiffusivityTable, evaluated

Array = NDArray[np.float64]


def values_of(law: DiffusivityLaw, c: Array, top: float = np.inf) -> Array:
    """Bulk diffusivity in m^2/s, as `diffusivity_of` gives it."""
    inside = np.clip(c, 0.0, top)
    with np.errstate(all="ignore"):
        if isinstance(law, DiffusivityTable):
            return _from_table(law, inside)[0]
        return np.broadcast_to(evaluated(law.expression, inside, _PLAIN), inside.shape)


def diffusivity_of(law: DiffusivityLaw, c: Array, top: float = np.inf) -> tuple[Array, Array]:
    """Bulk diffusivity and its derivative with respect to the concentration.

    Args:
        law: Expression or table.
        c: Concentrations in mol/m^3, any shape. Discrete solutions overshoot where lithium enters an empty medium, so
            what is below 0 counts as 0, and what is above `top` as `top`.
        top: Largest concentration that the exact solution takes.

    Returns:
        D in m^2/s and dD/dc in m^5/(mol s), in the shape of c; nan or inf where the law has no value.
    """
    inside = np.clip(c, 0.0, top)
    with np.errstate(all="ignore"):
        if isinstance(law, DiffusivityTable):
            value, slope = _from_table(law, inside)
        else:
            found = evaluated(law.expression, _Dual(inside, np.ones_like(inside)), _FUNCTIONS)
            dual = _dual(found)
            value, slope = (np.broadcast_to(part, inside.shape) for part in (dual.value, dual.slope))
    return value, np.where((c < 0.0) | (c > top), 0.0, slope)


def _from_table(law: DiffusivityTable, c: Array) -> tuple[Array, Array]:
    x, y = np.array(law.concentrations), np.array(law.values)
    y = np.log(y) if law.logarithmic else y
    slopes = np.concatenate([[0.0], np.diff(y) / np.diff(x), [0.0]])
    slope = slopes[np.searchsorted(x, c, side="right")]
    value = np.interp(c, x, y)
    if law.logarithmic:
        value = np.exp(value)
        slope = slope * value
    return value, slope


@dataclass(frozen=True)
class _Dual:
    """A value with its derivative with respect to c, carried through the operations (forward differentiation)."""

    value: Array | float
    slope: Array | float


Operand = _Dual | float


def _dual(x: Operand) -> _Dual:
    return x if isinstance(x, _Dual) else _Dual(x, 0.0)


def _add(x: Operand, y: Operand) -> _Dual:
    x, y = _dual(x), _dual(y)
    return _Dual(x.value + y.value, x.slope + y.slope)


def _negative(x: Operand) -> _Dual:
    x = _dual(x)
    return _Dual(-x.value, -x.slope)


def _multiply(x: Operand, y: Operand) -> _Dual:
    x, y = _dual(x), _dual(y)
    return _Dual(x.value * y.value, x.slope * y.value + x.value * y.slope)


def _divide(x: Operand, y: Operand) -> _Dual:
    x, y = _dual(x), _dual(y)
    return _Dual(np.divide(x.value, y.value), np.divide(x.slope * y.value - x.value * y.slope, np.square(y.value)))


def _power(x: Operand, y: Operand) -> _Dual:
    x, y = _dual(x), _dual(y)
    value = np.power(np.asarray(x.value, dtype=np.float64), y.value)
    # Exponents that do not depend on c leave no logarithm, which has no value at 0.
    slope = y.value * np.power(np.asarray(x.value, dtype=np.float64), y.value - 1.0) * x.slope
    if np.any(y.slope):
        slope = slope + value * np.log(x.value) * y.slope
    return _Dual(value, slope)


def _exp(x: Operand) -> _Dual:
    x = _dual(x)
    value = np.exp(x.value)
    return _Dual(value, value * x.slope)


def _log(x: Operand) -> _Dual:
    x = _dual(x)
    return _Dual(np.log(x.value), np.divide(x.slope, x.value))


def _sqrt(x: Operand) -> _Dual:
    x = _dual(x)
    value = np.sqrt(x.value)
    return _Dual(value, np.divide(x.slope, 2.0 * value))


def _tanh(x: Operand) -> _Dual:
    x = _dual(x)
    value = np.tanh(x.value)
    return _Dual(value, (1.0 - value**2) * x.slope)


def _minimum(x: Operand, y: Operand) -> _Dual:
    x, y = _dual(x), _dual(y)
    first = np.less(x.value, y.value)
    return _Dual(np.where(first, x.value, y.value), np.where(first, x.slope, y.slope))


def _maximum(x: Operand, y: Operand) -> _Dual:
    return _negative(_minimum(_negative(x), _negative(y)))


_FUNCTIONS: dict[str, Callable[..., _Dual]] = {
    "add": _add,
    "subtract": lambda x, y: _add(x, _negative(y)),
    "multiply": _multiply,
    "divide": _divide,
    "power": _power,
    "negative": _negative,
    "exp": _exp,
    "log": _log,
    "sqrt": _sqrt,
    "tanh": _tanh,
    "minimum": _minimum,
    "maximum": _maximum,
}

_PLAIN: dict[str, Callable[..., Array]] = {
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
