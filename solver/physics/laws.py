"""Diffusivities that depend on the concentration: tables and expressions, and their values at many concentrations."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from microlith.imaging.typing import Array

# name -> number of arguments, of the operations in an expression
OPERATIONS = {
    "add": 2, "subtract": 2, "multiply": 2, "divide": 2, "power": 2, "negative": 1,
    "exp": 1, "log": 1, "sqrt": 1, "tanh": 1, "minimum": 2, "maximum": 2,
}  # fmt: skip


@dataclass(frozen=True)
class Constant:
    """A number, in SI."""

    value: float


@dataclass(frozen=True)
class Concentration:
    """The concentration c, mol/m^3."""


@dataclass(frozen=True)
class Operation:
    """An operation of OPERATIONS on other expressions."""

    name: str
    arguments: tuple["Expression", ...]


Expression = Constant | Concentration | Operation


@dataclass(frozen=True)
class DiffusivityExpression:
    """D(c) in m^2/s as an expression of c in mol/m^3."""

    expression: Expression
    text: str  # as in the case file


@dataclass(frozen=True)
class DiffusivityTable:
    """D(c) between given points: linear in c, or the logarithm of D linear in c; constant beyond the first and last."""

    concentrations: tuple[float, ...]  # mol/m^3, increasing, at least two
    values: tuple[float, ...]  # m^2/s, above zero
    logarithmic: bool = False


DiffusivityLaw = DiffusivityExpression | DiffusivityTable


def evaluated(expression: Expression, c: Any, functions: Mapping[str, Callable[..., Any]]) -> Any:
    """Value of an expression.

    Args:
        expression: What to evaluate.
        c: Concentration, of whatever type the functions take (NumPy arrays, UFL expressions, quantities).
        functions: What to do for each name in OPERATIONS.
    """
    match expression:
        case Constant(value):
            return value
        case Concentration():
            return c
        case Operation(name, arguments):
            return functions[name](*(evaluated(argument, c, functions) for argument in arguments))


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
