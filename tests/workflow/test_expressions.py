"""Diffusivities as formulas: what they mean, what is refused, and that nothing of them is ever run."""

import math
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from case_files import SMALL, edited, write_case

from microlith.imaging.errors import InputError
from microlith.solver.physics.laws import (
    OPERATIONS,
    Concentration,
    Constant,
    DiffusivityExpression,
    DiffusivityTable,
    Operation,
)
from microlith.workflow.case.expressions import NUMPY, diffusivity_at, diffusivity_expression, largest_diffusivity
from microlith.workflow.case.read import load_case
from microlith.workflow.schema.kinds import Place
from microlith.workflow.schema.units import any_to_si, measured

AT = Place("case.toml", ("phases", "sei"), "diffusivity")
D0 = "1e-14 m^2/s"
C = np.array([0.0, 1.0, 250.0, 1000.0])


def read(text: str, **parameters: str | float) -> DiffusivityExpression:
    """The law of a text and its parameters, as a case file gives them."""
    values: dict[str, Any] = {
        name: (*any_to_si(value), value) if isinstance(value, str) else (value, frozenset(), str(value))
        for name, value in parameters.items()
    }
    return diffusivity_expression(text, values, AT)


def test_the_tree_is_what_the_text_says() -> None:
    law = read("D0 * (1 + c / c0)", D0="1e-10 cm^2/s", c0="1 mol/L")
    ratio = Operation("divide", (Concentration(), Constant(1000.0)))
    assert law.expression == Operation("multiply", (Constant(1e-14), Operation("add", (Constant(1.0), ratio))))
    assert law.text == "D0 * (1 + c / c0) with D0 = 1e-10 cm^2/s, c0 = 1 mol/L"


def test_every_operation_can_be_evaluated() -> None:
    assert set(NUMPY) == set(OPERATIONS)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("D0", np.full(4, 1e-14)),
        ("-D0 * -2", np.full(4, 2e-14)),
        ("D0 + D0 - D0 / 4", np.full(4, 1.75e-14)),
        ("D0 * exp(-c / c0)", 1e-14 * np.exp(-C / 500)),
        ("D0 * (1 + log(1 + c / c0))", 1e-14 * (1 + np.log(1 + C / 500))),
        ("D0 * sqrt(c0 / (c + c0))", 1e-14 * np.sqrt(500 / (C + 500))),
        ("sqrt(D0 * D0)", np.full(4, 1e-14)),
        ("D0 * (2 + tanh((c - c0) / c0))", 1e-14 * (2 + np.tanh((C - 500) / 500))),
        ("D0 * min(1 + c / c0, 2)", 1e-14 * np.minimum(1 + C / 500, 2)),
        ("max(D0, 2 * D0, D0 * c / c0)", 1e-14 * np.maximum(2, C / 500)),
        ("max(0, D0)", np.full(4, 1e-14)),
        ("D0 * (1 + c ** 2 / c0 ** 2)", 1e-14 * (1 + (C / 500) ** 2)),
        ("D0 * (1 + c / c0) ** -1.5", 1e-14 * (1 + C / 500) ** -1.5),
        ("D0 * 2 ** (c / c0)", 1e-14 * 2 ** (C / 500)),
        ("D0 ** 0.5 * D0 ** (1 / 2)", np.full(4, 1e-14)),
        ("D0*2**3**0.5", np.full(4, 1e-14 * 2**3**0.5)),
        ("D0 * (1\n + c / c0)", 1e-14 * (1 + C / 500)),
        ("1e2 * D0 * (c + 0 + c0) / (c0 - 0)", 1e-12 * (C + 500) / 500),
        # two decades between amorphous and crystalline
        ("D0 * (1 + 99 / (1 + exp((c - c0) / w)))", 1e-14 * (1 + 99 / (1 + np.exp((C - 500) / 20)))),
    ],
)
def test_values(text: str, expected: Any) -> None:
    names = {"D0": D0, "c0": "0.5 mol/L", "w": "20 mol/m^3"}
    law = read(text, **{name: value for name, value in names.items() if name in text})
    np.testing.assert_allclose(diffusivity_at(law, C), expected, rtol=1e-13, atol=0)


def test_units_in_the_file_do_not_matter() -> None:
    one = read("D0 * (1 + c / c0) * 2 ** (L / 1)", D0="1e-10 cm^2/s", c0="2 mM", L="300 %")
    other = read("D0 * (1 + c / c0) * 2 ** (L / 1)", D0="1e-8 mm^2 s^-1", c0="2 mol/m^3", L=3)
    np.testing.assert_allclose(diffusivity_at(one, C), diffusivity_at(other, C), rtol=1e-13)


REFUSED = {
    # what is not arithmetic
    "__import__('os').system('touch x')": ["__import__('os').system", "not allowed", "exp, log"],
    "c.__class__": ["c.__class__", "not allowed"],
    "exp.__globals__": ["exp.__globals__", "not allowed"],
    "D0[0]": ["D0[0]", "not allowed"],
    "[D0][0]": ["[D0][0]", "not allowed"],
    "(lambda: D0)()": ["(lambda: D0)()", "not allowed"],
    "D0 if c > 1 else D0": ["not allowed"],
    "D0 * (c > 1)": ["c > 1", "not allowed"],
    "D0 and D0": ["not allowed"],
    "D0 * True": ["True", "not allowed"],
    "D0 * 1j": ["1j", "not allowed"],
    "D0 * 'a'": ["'a'", "not allowed"],
    "f'{D0}'": ["not allowed"],
    "D0 // 2": ["D0 // 2", "not allowed"],
    "D0 % 2": ["D0 % 2", "not allowed"],
    "+D0": ["+D0", "not allowed"],
    "~D0": ["not allowed"],
    "D0 * (c := 1)": ["not allowed"],
    "D0 * c^2": ['"^"', '"**"'],
    "eval(D0)": ["eval(D0)", "not allowed", "exp"],
    "D0(1)": ["D0(1)", "not allowed"],
    "exp(x=1)": ["exp(x=1)", "not allowed"],
    "exp(*D0)": ["*D0", "not allowed"],
    "[D0 for c in c]": ["not allowed"],
    # what can't be read
    "": ["can't be read"],
    "D0 *": ["can't be read"],
    "D0; c": ["can't be read", "near"],
    "D0 = c": ["can't be read"],
    "import os": ["can't be read"],
    "D0 # * 2": ['"#"'],
    "D0 * 1e999": ["1e999", "not a finite number"],
    "D0 * " + "9" * 400: ["not a finite number"],
    "(" * 245 + "D0" + ")" * 245: ["can't be read"],
    "-" * 490 + "c": ["expression"],
    "D0" + "*1" * 70: ["nested more than 60 deep"],
    "D0 * 1" + " " * 600 + "* 2" + "+ 1" * 200: ["at most 500 characters"],
    # names and numbers of arguments
    "D0 * c1": ["c1", "unknown"],
    "D1 + D0": ["D1", 'did you mean "D0"?'],
    "D0 * exp(1, 2)": ["exp takes one value, got 2"],
    "D0 * min(1)": ["min takes two or more values, got 1"],
    # units
    "D0 * c": ["D0 * c", "expected a diffusivity"],
    "1e-14": ["a number without unit", "expected a diffusivity"],
    "c": ["gives a concentration"],
    "D0 + 1": ["D0 + 1", "a diffusivity and a number without unit"],
    "D0 * (1 + c)": ["1 + c", "a number without unit and a concentration"],
    "D0 * exp(c)": ["exp(c)", "exp takes a number without unit, got a concentration"],
    "D0 * log(c)": ["log(c)", "log takes a number without unit"],
    "D0 * tanh(c)": ["tanh(c)"],
    "D0 * 2 ** c": ["2 ** c", "the exponent is a concentration"],
    "D0 * min(1, c)": ["min(1, c)", "a concentration"],
    "sqrt(D0)": ["expected a diffusivity", "[length]"],
    "D0 * c ** (D0 / D0 * c / c)": ["c ** (D0 / D0 * c / c)", "has to be a constant"],
    "D0 * (c / c) ** 21": ["(c / c) ** 21", "at most 20, got 21"],
    "D0 * 2 ** -99": ["2 ** -99", "at most 20"],
    "D0 * 2 ** 9 ** 9 ** 9": ["9 ** 9", "at most 20"],
    "D0 * 2 ** (1 / 0)": ["at most 20, got inf"],
}


@pytest.mark.parametrize("text", REFUSED)
def test_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In one sentence that names the place and the part; and nothing is compiled or run."""
    any_to_si(D0)  # loads the units, which runs files of theirs
    for name in ("eval", "exec"):
        monkeypatch.setattr(f"builtins.{name}", lambda *_: pytest.fail("run"))
    with pytest.raises(InputError) as caught:
        read(text, **({"D0": D0} if "D0" in text else {}))
    message = str(caught.value)
    assert message.startswith("case.toml: [phases.sei] diffusivity: ")
    assert "\n" not in message
    assert len(message) < 700
    for word in REFUSED[text]:
        assert word in message, message


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"c": "1 mol/L"}, '"c" is taken by the concentration'),
        ({"exp": "1 mol/L"}, '"exp" is taken by a function'),
        ({"w": "1 mol/L"}, 'the parameter "w" is not in the expression; remove it'),
        ({"x": "1 mol/L"}, "the same along all axes"),
    ],
)
def test_parameters_refused(parameters: dict[str, str], words: str) -> None:
    with pytest.raises(InputError, match=words):
        read("D0", D0=D0, **parameters)


def test_what_units_measure() -> None:
    assert measured(any_to_si("1 cm^2/s")[1]) == "a diffusivity"
    assert measured(any_to_si("5 %")[1]) == "a number without unit"
    assert measured(frozenset({("[length]", Fraction(1, 2)), ("[mass]", Fraction(1))})) == (
        "a quantity in [length]^1/2 [mass]"
    )
    with pytest.raises(ValueError, match="does not start from zero"):
        any_to_si("25 degC")
    assert any_to_si("25 K")[0] == 25.0


# --- where it is positive, and how large it gets ---


def test_largest_is_over_the_driving_concentrations() -> None:
    bump = read("D0 * (1 + 9 * exp(-((c - c0) / w) ** 2))", D0=D0, c0="500 mol/m^3", w="100 mol/m^3")
    assert largest_diffusivity(bump, 1000.0, AT) == pytest.approx(1e-13, rel=1e-2)
    assert largest_diffusivity(bump, 300.0, AT) == pytest.approx(1e-14 * (1 + 9 * math.exp(-4)), rel=1e-12)
    table = DiffusivityTable((100.0, 123.4, 200.0), (1e-15, 7e-15, 2e-15))
    assert largest_diffusivity(table, 1000.0, AT) == pytest.approx(7e-15, rel=1e-14), "knots count"
    assert largest_diffusivity(table, 100.0, AT) == pytest.approx(1e-15, rel=1e-14)
    assert largest_diffusivity(table, 0.0, AT) == pytest.approx(7e-15, rel=1e-14), "driven by fluxes: all of it"
    assert largest_diffusivity(bump, 0.0, AT) == pytest.approx(1e-14, rel=1e-8)


def test_tables_between_their_points() -> None:
    table = DiffusivityTable((0.0, 100.0), (1e-16, 1e-14))
    np.testing.assert_allclose(
        diffusivity_at(table, np.array([-1.0, 0.0, 50.0, 100.0, 900.0])), [1e-16, 1e-16, 5.05e-15, 1e-14, 1e-14]
    )
    log = DiffusivityTable((0.0, 100.0), (1e-16, 1e-14), logarithmic=True)
    np.testing.assert_allclose(diffusivity_at(log, np.array([0.0, 50.0, 200.0])), [1e-16, 1e-15, 1e-14])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("D0 * (1 - c / c0)", r"D is -?[0-9.e-]+ m\^2/s at c = 50\d(\.\d+)? mol/m\^3; .* from 0 to 1200 mol/m\^3"),
        ("D0 * c / c0", r"D is 0 m\^2/s at c = 0 mol/m\^3"),
        ("D0 * c0 / c", r"D is inf m\^2/s at c = 0 mol/m\^3"),
        ("D0 * log(c / c0 - 1)", r"D is nan m\^2/s at c = 0"),
        ("D0 * exp(2000 * c / c0)", r"D is inf m\^2/s at c = "),
        ("D0 * exp(-2000 * c / c0)", r"D is 0 m\^2/s at c = "),
    ],
)
def test_laws_that_fail_somewhere(text: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        largest_diffusivity(read(text, D0=D0, c0="500 mol/m^3"), 1000.0, AT)


# --- in a case file ---


def test_a_law_in_a_case_file(tmp_path: Path) -> None:
    law = '{ expression = "D0 * (1 + c / c0)", D0 = "1e-14 m^2/s", c0 = "500 mol/m^3" }'
    text = edited('"1e-14 m^2/s"', law + "\nporosity = 0.5\neffective = { tortuosity = 2 }", SMALL)
    sei = load_case(write_case(tmp_path, text)).physics.phases[1]
    assert sei.law == read("D0 * (1 + c / c0)", D0="1e-14 m^2/s", c0="500 mol/m^3")
    assert sei.effective_factor == 0.25
    assert sei.diffusivity == pytest.approx(3e-14, rel=1e-14)
    assert sei.effective_diffusivity == pytest.approx(7.5e-15, rel=1e-14)


@pytest.mark.parametrize(("between", "partition"), [('["sei", "grain"]', 5), ('["grain", "sei"]', 0.2)])
def test_range_of_a_law_beyond_a_partition(tmp_path: Path, between: str, partition: float) -> None:
    """Where c of a phase is five times that of the source, its law has to hold up to there."""
    law = '{ expression = "D0 * (1 - c / c0)", D0 = "1e-14 m^2/s", c0 = "2 mol/L" }'
    grain = f'\n[phases.grain]\nlabel = 2\nrole = "transport"\ndiffusivity = {law}\n'
    assert load_case(write_case(tmp_path, SMALL + grain)).physics.phases[2].law is not None
    interface = f"[[interfaces]]\nbetween = {between}\npartition = {partition}\n"
    with pytest.raises(InputError, match=r"\[phases.grain\] diffusivity: D is .* from 0 to 6000 mol/m\^3"):
        load_case(write_case(tmp_path, SMALL + grain + interface))
