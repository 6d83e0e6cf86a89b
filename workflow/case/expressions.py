"""Diffusivities written as formulas: read without running them, with their units checked."""

import ast
import math
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from fractions import Fraction
from typing import Any

import numpy as np

from microlith.imaging.axes import AXES
from microlith.imaging.typing import Array
from microlith.solver.physics.laws import (
    Concentration,
    Constant,
    DiffusivityExpression,
    DiffusivityLaw,
    DiffusivityTable,
    Expression,
    Operation,
    evaluated,
)
from microlith.workflow.schema.kinds import Place
from microlith.workflow.schema.units import CONCENTRATION, DIFFUSIVITY, Exponents, exponents_of, measured

LONGEST = 500  # characters of an expression
DEEPEST = 60  # operations within operations
LARGEST_EXPONENT = 20.0
SAMPLES = 200  # concentrations at which a law is tried
BEYOND = 1.2  # how far above the largest concentration it has to hold

VARIABLE = "c"
_BINARY = {ast.Add: "add", ast.Sub: "subtract", ast.Mult: "multiply", ast.Div: "divide", ast.Pow: "power"}
_FUNCTIONS = {"exp": "exp", "log": "log", "sqrt": "sqrt", "tanh": "tanh", "min": "minimum", "max": "maximum"}
_PURE = ("exp", "log", "tanh")  # take numbers without unit only
_KNOWN = "numbers, c, parameters, + - * / **, exp, log, sqrt, tanh, min and max"

NUMPY: Mapping[str, Callable[..., Any]] = {
    "add": np.add, "subtract": np.subtract, "multiply": np.multiply, "divide": np.divide, "power": np.power,
    "negative": np.negative, "exp": np.exp, "log": np.log, "sqrt": np.sqrt, "tanh": np.tanh,
    "minimum": np.minimum, "maximum": np.maximum,
}  # fmt: skip

Parameter = tuple[float, Exponents, str]  # value in SI, what it measures, text in the case file
Term = tuple[Expression, Exponents | None]  # with what it measures; None: the number zero, which goes with all


def diffusivity_expression(text: str, parameters: Mapping[str, Parameter], at: Place) -> DiffusivityExpression:
    """Read D(c) from a text such as "D0 * exp(-c / c0)".

    The text is parsed as a Python expression, of which a few kinds of nodes are let through and turned into an
    `Expression`; nothing of it is ever run.

    Args:
        text: The expression.
        parameters: What its names other than c stand for.
        at: Of the text in the case file.

    Raises:
        InputError: Something in the expression is not allowed, a name is unknown, a parameter is not used, or the units
            don't give a diffusivity; the message names the part.
    """
    text = " ".join(text.split())
    for name in parameters:
        if name == VARIABLE or name in _FUNCTIONS:
            taken = "the concentration" if name == VARIABLE else "a function"
            raise at.error(f'the name "{name}" is taken by {taken}; rename the parameter')
    tree = _tree(text, at)
    expression, exponents = _Reader(text, parameters, at).term(tree, 0)
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    for name in parameters:
        if name not in used:
            hint = "; a law of c is the same along all axes" if name in AXES else ""
            raise at.error(f'the parameter "{name}" is not in the expression; remove it{hint}')
    if exponents != exponents_of(DIFFUSIVITY):
        got = measured(exponents or frozenset())
        raise at.error(f'"{text}" gives {got}, expected a diffusivity; correct the units, as with D0 = "1e-14 m^2/s"')
    given = ", ".join(f"{name} = {words}" for name, (_, _, words) in parameters.items())
    return DiffusivityExpression(expression, f"{text} with {given}" if given else text)


def diffusivity_at(law: DiffusivityLaw, concentrations: Array) -> Array:
    """D in m^2/s at concentrations in mol/m^3; not finite where the law is not."""
    if isinstance(law, DiffusivityTable):
        values = np.log(law.values) if law.logarithmic else np.array(law.values)
        found = np.interp(concentrations, law.concentrations, values)
        return np.exp(found) if law.logarithmic else found
    with np.errstate(all="ignore"):
        found = evaluated(law.expression, concentrations, NUMPY)
    return np.broadcast_to(np.asarray(found, np.float64), concentrations.shape)


def largest_diffusivity(law: DiffusivityLaw, top: float, at: Place) -> float:
    """Largest D in m^2/s from c = 0 to `top` in mol/m^3, tried at some concentrations.

    Where no concentration drives the case, `top` is 0: all of a table counts then, and of a formula D at c = 0.

    Raises:
        InputError: D is not finite and above zero somewhere from 0 to 1.2 `top`.
    """
    tried: Array = np.linspace(0.0, BEYOND * top, SAMPLES, dtype=np.float64)
    found = diffusivity_at(law, tried)
    wrong = np.flatnonzero(~(np.isfinite(found) & (found > 0)))
    if len(wrong):
        first = wrong[0]
        raise at.error(
            f"D is {found[first]:g} m^2/s at c = {tried[first]:g} mol/m^3; expected a finite value above zero for all "
            f"concentrations from 0 to {tried[-1]:g} mol/m^3, correct the law"
        )
    knots = [c for c in law.concentrations if c < top or top == 0] if isinstance(law, DiffusivityTable) else []
    within = np.array([*tried[tried < top], *knots, top])
    return float(diffusivity_at(law, within).max())


def _tree(text: str, at: Place) -> ast.expr:
    if len(text) > LONGEST:
        raise at.error(f"expected an expression of at most {LONGEST} characters, got {len(text)}")
    if "#" in text:
        raise at.error('expected an expression, got a "#" in it; remove it and what follows')
    try:
        with warnings.catch_warnings():  # about what is refused anyway, "1(2)" and the like
            warnings.simplefilter("ignore")
            return ast.parse(text, mode="eval").body
    except SyntaxError as error:
        place = f' near "{text[max(0, error.offset - 1) :][:20]}"' if error.offset else ""
        raise at.error(f'"{text}" can\'t be read{place}; expected {_KNOWN}') from None
    except (ValueError, RecursionError, MemoryError):
        raise at.error(f"the expression can't be read; expected {_KNOWN}") from None


@dataclass(frozen=True)
class _Reader:
    """Turns nodes of Python's syntax tree into terms."""

    text: str
    parameters: Mapping[str, Parameter]
    at: Place

    def term(self, node: ast.expr, depth: int) -> Term:
        if depth > DEEPEST:
            raise self.at.error(f"the expression is nested more than {DEEPEST} deep; make it simpler")
        match node:
            case ast.Constant(value=int() | float() as value) if not isinstance(value, bool):
                return self._number(value, node)
            case ast.Name(id=name):
                return self._name(name)
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                inside, exponents = self.term(operand, depth + 1)
                return Operation("negative", (inside,)), exponents
            case ast.BinOp(op=op, left=left, right=right) if type(op) in _BINARY:
                terms = self.term(left, depth + 1), self.term(right, depth + 1)
                return self._binary(_BINARY[type(op)], *terms, node)
            case ast.BinOp(op=ast.BitXor()):
                raise self.at.error(f'"{self._source(node)}": "^" is no power here; write "**"')
            case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]) if name in _FUNCTIONS:
                return self._call(name, [self.term(argument, depth + 1) for argument in arguments], node)
            case ast.Call():
                raise self.at.error(
                    f'"{self._source(node)}" is not allowed in an expression; the functions are {", ".join(_FUNCTIONS)}'
                )
        raise self.at.error(f'"{self._source(node)}" is not allowed in an expression; use {_KNOWN}')

    def _source(self, node: ast.expr) -> str:
        source = ast.get_source_segment(self.text, node) or self.text
        return source if len(source) <= 60 else source[:57] + "..."

    def _number(self, value: float, node: ast.expr) -> Term:
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if not math.isfinite(number):
            raise self.at.error(f'"{self._source(node)}" is not a finite number')
        return Constant(number), None if number == 0 else frozenset()

    def _name(self, name: str) -> Term:
        if name == VARIABLE:
            return Concentration(), exponents_of(CONCENTRATION)
        if name in self.parameters:
            value, exponents, _ = self.parameters[name]
            return Constant(value), exponents
        close = get_close_matches(name, [VARIABLE, *self.parameters, *_FUNCTIONS], n=1, cutoff=0.5)
        hint = f'did you mean "{close[0]}"?' if close else f'give it beside the expression, such as {name} = "1 mol/L"'
        raise self.at.error(f'"{name}" is unknown in the expression; {hint}')

    def _binary(self, name: str, left: Term, right: Term, node: ast.BinOp) -> Term:
        (a, of_a), (b, of_b) = left, right
        match name:
            case "add" | "subtract":
                return Operation(name, (a, b)), self._common([of_a, of_b], node)
            case "multiply":
                return Operation(name, (a, b)), _times(of_a or frozenset(), of_b or frozenset(), 1)
            case "divide":
                return Operation(name, (a, b)), _times(of_a or frozenset(), of_b or frozenset(), -1)
        if of_b:
            raise self.at.error(
                f'"{self._source(node)}": the exponent is {measured(of_b)}, expected a number without unit'
            )
        exponent = _value(b)
        if exponent is None and of_a:
            raise self.at.error(
                f'"{self._source(node)}": the base is {measured(of_a)}, so the exponent has to be a constant; divide '
                "the base by a parameter of its unit"
            )
        if exponent is not None and not abs(exponent) <= LARGEST_EXPONENT:
            raise self.at.error(
                f'"{self._source(node)}": expected an exponent of at most {LARGEST_EXPONENT:g}, got {exponent:g}'
            )
        power = Fraction(exponent or 0).limit_denominator(1000)
        return Operation(name, (a, b)), _times(frozenset(), of_a or frozenset(), power)

    def _call(self, name: str, terms: list[Term], node: ast.Call) -> Term:
        wanted = "two or more values" if name in ("min", "max") else "one value"
        if (len(terms) < 2) if name in ("min", "max") else (len(terms) != 1):
            raise self.at.error(f'"{self._source(node)}": {name} takes {wanted}, got {len(terms)}')
        first, exponents = terms[0]
        if name in ("min", "max"):
            common = self._common([of for _, of in terms], node)
            for other, _ in terms[1:]:
                first = Operation(_FUNCTIONS[name], (first, other))
            return first, common
        if name in _PURE and exponents:
            raise self.at.error(
                f'"{self._source(node)}": {name} takes a number without unit, got {measured(exponents)}; divide it by '
                "a parameter of its unit"
            )
        return Operation(name, (first,)), _times(frozenset(), exponents or frozenset(), Fraction(1, 2))

    def _common(self, all_exponents: list[Exponents | None], node: ast.expr) -> Exponents | None:
        """What all terms of a sum measure."""
        there = [exponents for exponents in all_exponents if exponents is not None]
        for other in there[1:]:
            if other != there[0]:
                raise self.at.error(
                    f'"{self._source(node)}" puts {measured(there[0])} and {measured(other)} together; give all the '
                    "same unit"
                )
        return there[0] if there else None


def _times(one: Exponents, other: Exponents, power: Fraction | int) -> Exponents:
    """What one quantity times a power of another measures."""
    total = dict(one)
    for name, exponent in other:
        total[name] = total.get(name, Fraction(0)) + power * exponent
    return frozenset((name, exponent) for name, exponent in total.items() if exponent)


def _value(expression: Expression) -> float | None:
    """Value of an expression in which there is no concentration."""
    match expression:
        case Constant(value):
            return value
        case Concentration():
            return None
        case Operation(arguments=arguments):
            if any(_value(argument) is None for argument in arguments):
                return None
    with np.errstate(all="ignore"):
        return float(evaluated(expression, 0.0, NUMPY))
