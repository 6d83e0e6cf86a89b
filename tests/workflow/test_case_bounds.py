"""Case files at and beyond the bounds: sizes, lengths, grammar of quantities, many faults at once, hostile texts."""

import re
from pathlib import Path

import jsonschema
import pytest
from case_files import CASE, RICH, SMALL, edited, write_case

from microlith.imaging.errors import LONGEST_SENTENCE, MOST_TOLD, InputError
from microlith.workflow import cli
from microlith.workflow.case.read import case_of
from microlith.workflow.case.toml_file import LARGEST_FILE, read_toml
from microlith.workflow.schema.kinds import MOST_ENTRIES, Place, Quantity
from microlith.workflow.schema.units import ALL, COORDINATE, DIFFUSIVITY, LENGTH, Dimension, to_si

AT = Place("case.toml")


def sentences(text: str, folder: Path) -> tuple[str, ...]:
    """What is wrong with a case file."""
    path = write_case(folder, text)
    with pytest.raises(InputError) as caught:
        case_of(read_toml(path), path)
    return caught.value.sentences


# --- sizes ---


@pytest.mark.parametrize("dimension", ALL, ids=lambda dimension: dimension.words)
def test_quantities_are_taken_up_to_the_bounds_that_the_reference_states(dimension: Dimension) -> None:
    from microlith.workflow.schema.reference import markdown_reference

    smallest, largest, unit = dimension.smallest, dimension.largest, dimension.si
    assert f"| {dimension.words} | {smallest:g} {unit} | {largest:g} {unit} |" in markdown_reference()
    kind = Quantity(dimension, sign="any")
    for size in (smallest, largest, -smallest, -largest):
        assert kind.parse(f"{size!r} {unit}", AT) == size
    for size in (smallest / 1.01, largest * 1.01, -smallest / 1.01, -largest * 1.01, 1e-300, 1e300):
        with pytest.raises(InputError, match=re.escape(f"from {smallest:g} to {largest:g} {unit}")):
            kind.parse(f"{size!r} {unit}", AT)
    assert kind.parse(f"0 {unit}", AT) == 0


def test_coordinates_may_be_as_small_as_rounding_leaves_them() -> None:
    assert Quantity(COORDINATE, sign="any").parse("-1e-30 m", AT) == -1e-30
    with pytest.raises(InputError, match=re.escape("at most 1e+06 m")):
        Quantity(COORDINATE, sign="any").parse("1e7 m", AT)


BEYOND = {
    "porosity": ("porosity = 0.64", "porosity = 1e-300", CASE, "at least 1e-06"),
    "tortuosity": ('effective = "bruggeman"', "effective = { tortuosity = 1e7 }", CASE, "at most 1e"),
    "effective diffusivity": ('"3.01e-10 cm^2/s"', '"1e-40 m^2/s"', CASE, "effective diffusivity"),
    "contrast": ("x = \"2e-10 m^2/s\"", "x = \"1e3 m^2/s\"", RICH, "less than 1/1e+15"),
    "partition": ("partition = 0.5", "partition = 1e300", RICH, "at most 1e+12"),
    "hundreds of digits": ("degree = 3", f"degree = {10**400}", CASE, "a whole number of about 400 digits"),
    "label of hundreds of digits": ("label = 2\nrole", f"label = {10**310}\nrole", CASE, "a whole number of about 310"),
    "porosity of hundreds of digits": ("porosity = 0.64", f"porosity = {10**310}", CASE, "about 310 digits"),
    "thousands of digits": ("degree = 3", f"degree = {'9' * 5000}", CASE, "too many digits"),
    "label beyond 64 bits": ("label = 2\nrole", f"label = {2**64}\nrole", CASE, "a whole number"),
    "size of elements": ('grain = "25 nm"', 'grain = "1e300 m"', CASE, "from 1e-15 to 1e+06 m"),
    "voxel": ('"12.5 nm"', '"1e-300 nm"', CASE, "from 1e-15 to 1e+06 m"),
}  # fmt: skip


@pytest.mark.parametrize("name", BEYOND)
def test_sizes_beyond_the_bounds_are_refused(name: str, tmp_path: Path) -> None:
    old, new, case, words = BEYOND[name]
    (told,) = sentences(edited(old, new, case), tmp_path)
    assert words in told
    assert len(told) < 500


def test_lists_and_texts_have_a_longest(tmp_path: Path) -> None:
    corners = ", ".join(f'["{i} nm", "{i * i} nm"]' for i in range(2001))
    polygon = '[["0 um", "0 um"], ["1 um", "0 um"], ["0 um", "1 um"]]'
    (told,) = sentences(edited(polygon, f"[{corners}]"), tmp_path)
    assert "a list of 3 to 2000 corners [x, y], got 2001" in told
    times = ", ".join(["1"] * (MOST_ENTRIES + 1))
    (told,) = sentences(edited('times = ["1 s", "1 min"]', f"times = [{times}]"), tmp_path)
    assert f"at most {MOST_ENTRIES:,}" in told
    (told,) = sentences(edited('file = "image.tif"\nv', f'file = "{"a" * 5000}"\nv'), tmp_path)
    assert "a text of 5,000 characters" in told
    (told,) = sentences(
        CASE.replace("[phases.grain]", f"[phases.{'g' * 101}]").replace("{ grain", "{ metal"), tmp_path
    )[:1]
    assert "at most 100 characters" in told


# --- one grammar ---

RIGHT = [
    *("0.01 1/s", "0.01\t1/s", "5 1 / s", "1/s", "12.5 nm", "12.5nm", " 12.5 nm ", "+3 µm", "3 μm", ".5 nm", "5. nm"),
    *("1e-6 mol/m^2/s", "7 m² s⁻¹", "2 mol/(m^2 s)", "3 Å", "5 %", "1 (m/s)", "2 mol m^-3", "3 m**2/s", "1 mol·m⁻³"),
]
WRONG = [
    *("", "nm", "1", "1,5 nm", "1 000 nm", "1 1 nm", "1 m,s", "1 m;", "1 2/s", "0.011/s", "1 /s", "nan m", "inf m"),
    *("1 m\n/s", "1 $m", "1" + " " * 300 + "m", "1 " + "m" * 300, "1 m [x]", "1 'm'", "- 1 m", "1 -m"),
]


@pytest.mark.parametrize("text", [*RIGHT[:3], *RIGHT[4:], *WRONG])
def test_parser_and_json_schema_have_the_same_grammar(text: str) -> None:
    from microlith.workflow.schema.kinds import AnyQuantity

    kind = AnyQuantity()
    fits = jsonschema.Draft202012Validator(kind.json()).is_valid(text)
    assert fits == (text in RIGHT)
    if fits:
        kind.parse(text, AT)
    else:
        with pytest.raises(InputError):
            kind.parse(text, AT)


def test_a_unit_may_begin_with_one_over() -> None:
    rate = Dimension("a rate", "1 / [time]", "1/s", "0.01 1/s", 0.0, 1e9)
    assert to_si("0.01 1/s", rate) == 0.01
    assert to_si("3 1/min", rate) == 0.05


# --- all at once ---


def test_all_that_is_wrong_is_told_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    changes = {
        '"12.5 nm"': '"12.5 kg"',
        "porosity = 0.64": "porosity = 2",
        'uptake = "1e-6 m/s"': 'uptaek = "1e-6 m/s"',
        "degree = 3": "degree = 7",
        'end = "100 s"': 'end = "100"',
    }
    text = CASE
    for old, new in changes.items():
        text = edited(old, new, text)
    path = write_case(tmp_path, text)
    assert cli.main(["check", str(path)]) == 2
    lines = capsys.readouterr().err.splitlines()
    places = ["[image] voxel_size", "[phases.sei] porosity", "[phases.metal]", "[mesh] degree", "[time] end"]
    assert len(lines) == len(places)
    for line, place in zip(lines, places, strict=True):
        assert line.startswith(f"microlith: {path}: {place}"), line


def test_what_contradicts_itself_is_told_at_once_too(tmp_path: Path) -> None:
    changes = {
        '{ grain = "25 nm" }': '{ grian = "25 nm" }',
        'around = "grain"': 'around = "gain"',
        '["1 s", "1 min"]': '["1 s", "1 s"]',
        'phase = "sei"': 'phase = "grain"',
        "label = 2\nrole": "label = 1\nrole",
        'initial = "0 mol/L"': 'effective = "bruggeman"\ninitial = "0 mol/L"',
    }
    text = edited("porosity = 0.64\n", "")
    for old, new in list(changes.items())[:5]:
        text = edited(old, new, text)
    told = sentences(text, tmp_path)
    for words in ("claimed by", '"porosity"; add it', '"grian"', '"gain"', "not solved for", "have to increase"):
        assert sum(words in sentence for sentence in told) == 1, told
    assert len(told) == 6


def test_no_more_than_some_are_told(tmp_path: Path) -> None:
    times = ", ".join(["1"] * 5000)
    told = sentences(edited('times = ["1 s", "1 min"]', f"times = [{times}]"), tmp_path)
    assert len(told) == MOST_TOLD
    assert "more" in told[-1]


# --- hostile texts ---

LONG = 100_000
HOSTILE = {
    "blanks in a quantity": edited('"12.5 nm"', f'"12.5{" " * LONG}nm"'),
    "dots in a quantity": edited('"12.5 nm"', f'"{"." * LONG}"'),
    "digits in a quantity": edited('"12.5 nm"', f'"{"1" * LONG} nm"'),
    "blanks in a label": edited("label = 2\nrole", f'label = "{" " * LONG}x"\nrole'),
    "a long label": edited("label = 2\nrole", f'label = "{"1" * LONG}"\nrole'),
    "a long choice": edited('"barrier"', f'"{"barrier" * LONG}"'),
    "a long unknown key": edited('"12.5 nm"', f'"12.5 nm"\n{"k" * LONG} = 1'),
    "a key of many names": f"{'a.' * LONG}a = 1",
    "a key of many quoted names": '"a" . ' * 3000 + "a = 1",
    "a table of many names": f"[{'a.' * LONG}a]",
    "an inline key of many names": f"a = {{ {'b.' * LONG}c = 1 }}",
    "a long name": f"[phases.{'a' * LONG}]\nlabel = 1\nrole = 1\n" + SMALL,
    "control characters": edited('"barrier"', '"\\u001b[2J\\u0007\\u0000barrier\\n\\n"'),
    "exponent of a unit": edited('"12.5 nm"', '"12.5 m^999999999999"'),
    "exponents of exponents": edited('"12.5 nm"', '"12.5 m**9**9**9**9**9"'),
    "an exponent of a number": edited('"12.5 nm"', '"12.5e999999999999999999999 nm"'),
    "a zero with an exponent": edited('"12.5 nm"', '"0e-99999999999999999999999 nm"'),
    "brackets": edited('"12.5 nm"', f'"1 {"(" * 190}"'),
    "many unknown keys": edited('"12.5 nm"', '"12.5 nm"\n' + "\n".join(f"k{i} = 1" for i in range(10_000))),
    "too large a file": "#" * (LARGEST_FILE + 1),
}  # fmt: skip


@pytest.mark.timeout(20)  # the square of the lengths would take minutes
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_texts_get_a_line_that_a_terminal_can_take_and_no_time(name: str, tmp_path: Path) -> None:
    told = sentences(HOSTILE[name], tmp_path)
    for sentence in told:
        assert sentence.isprintable()
        assert len(sentence) <= LONGEST_SENTENCE


def test_dots_in_texts_and_comments_are_no_keys(tmp_path: Path) -> None:
    dots = ".".join("a" * 50)
    text = f"# {dots}\n" + edited('"Test case"', f'"{dots}" # {dots}') + f'\n# """ {dots}\n'
    path = write_case(tmp_path, text)
    assert case_of(read_toml(path), path).title == dots
    numbers = edited('"Test case"', f"'''\n{dots}\n'''")
    assert dots in read_toml(write_case(tmp_path, numbers))["title"]


def test_names_of_dimensions_are_said_in_the_schema() -> None:
    assert LENGTH.sizes() in Quantity(LENGTH).json()["description"]
    assert DIFFUSIVITY.si in Quantity(DIFFUSIVITY).json()["description"]
