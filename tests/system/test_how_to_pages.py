"""The pages for developers that say how to add something: their code is put into a copy of the project and tried.

Where a place that a page names has moved, `put` finds its anchor no more: correct the page first, then the anchor here.
"""

import os
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from places import CASES, PROJECT

PAGES = PROJECT / "docs" / "developers"
FLOORS = ("imaging", "meshing", "solver", "workflow")


class Copy:
    """A copy of the project's code, in which the code of a page is put."""

    def __init__(self, folder: Path, page: str) -> None:
        self.folder = folder
        without = shutil.ignore_patterns("__pycache__")
        self.package = folder / "microlith"
        shutil.copytree(PROJECT / "microlith", self.package, ignore=without)
        for floor in FLOORS:
            shutil.copytree(PROJECT / floor, self.package / floor, ignore=without)
        shutil.copytree(PROJECT / "tests", folder / "tests", ignore=without)
        text = (PAGES / page).read_text(encoding="utf-8")
        blocks = re.findall(r"^( *)```python\n(.*?)^ *```", text, re.MULTILINE | re.DOTALL)
        self.code = [textwrap.dedent(code) for _, code in blocks]

    def put(self, code: str, file: str, before: str, indent: int = 0) -> None:
        """Put code in front of the first line that begins with some text."""
        path = self.package / file if file.split("/")[0] in FLOORS else self.folder / file
        text = path.read_text(encoding="utf-8")
        found = re.search(rf"^{re.escape(before)}", text, re.MULTILINE)
        assert found, f"{file} has no line that begins with {before!r}: correct the page, then this test"
        code = textwrap.indent(textwrap.dedent(code), " " * indent)
        path.write_text(text[: found.start()] + code + text[found.start() :], encoding="utf-8")

    def change(self, file: str, old: str, new: str) -> None:
        """Replace some text."""
        path = self.package / file
        text = path.read_text(encoding="utf-8")
        assert old in text, f"{file} has no {old!r}: correct the page, then this test"
        path.write_text(text.replace(old, new, 1), encoding="utf-8")

    def again(self, code: str, file: str) -> None:
        """Put code that is there once more behind itself, under another name, if it has one."""
        path = self.package / file
        text = path.read_text(encoding="utf-8")
        indented = [textwrap.indent(code, " " * n) for n in range(0, 20, 4)]
        code = next((some for some in indented if f"\n{some}" in text), "")
        assert code, f"{file} has other code than the page: correct the page, then this test"
        if renamed(code) != code:
            path.write_text(text.replace(f"\n{code}", f"\n{code}{renamed(code)}", 1), encoding="utf-8")

    def run(self, *command: str) -> str:
        """Run Python in the copy; what it printed."""
        paths = os.pathsep.join([str(self.folder), str(self.folder / "tests" / "helpers")])
        done = subprocess.run(
            [sys.executable, *command],
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": paths},
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def test(self, *arguments: str) -> None:
        """Run tests in the copy."""
        out = self.run("-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", os.devnull, "--rootdir=.", *arguments)
        assert "passed" in out


def renamed(code: str) -> str:
    """Code of the term that a page shows, as code of another one."""
    return re.sub(r"(?<![A-Za-z])decay(?![a-z])", "trapping", code)


def test_add_physical_term(tmp_path):
    """The page shows code that is there; beside it, under another name, it makes another term."""
    copy = Copy(tmp_path, "add-physical-term.md")
    rate, key, field, told, form, scale, term, fluxes, within, test = copy.code
    lines, function = term.split("    return total\n")
    copy.again(rate, "workflow/schema/units.py")
    copy.again(key.rstrip() + ",\n", "workflow/schema/physics_keys.py")
    copy.again(field, "solver/physics/phases.py")
    copy.again(told, "workflow/case/describe_physics.py")
    copy.again(form, "solver/problem/forms.py")
    copy.again(scale, "solver/problem/scales.py")
    copy.again(lines, "solver/problem/transport.py")
    copy.again(function.lstrip("\n") + "\n\n", "solver/problem/transport.py")
    copy.again(fluxes + "\n\n", "solver/problem/surface_fluxes.py")
    copy.change("solver/problem/surface_fluxes.py", "import decay_rates", "import decay_rates, trapping_rates")
    first = within.splitlines()[0]
    copy.change("solver/problem/problem.py", first, f"{first} + trapping_fluxes(on, physics)")
    copy.change("solver/problem/problem.py", "    decay_fluxes,", "    decay_fluxes,\n    trapping_fluxes,")
    copy.change("solver/problem/problem.py", *2 * [within.splitlines()[1]])
    tests = (tmp_path / "tests" / "verification" / "test_decay.py").read_text(encoding="utf-8")
    assert test in tests, "test_decay.py has another test than the page: correct the page"
    (tmp_path / "tests" / "verification" / "test_trapping.py").write_text(renamed(tests), encoding="utf-8")
    copy.test("tests/verification/test_trapping.py", "-k", "test_uniform and triangles")
    case = (CASES / "slab" / "case.toml").read_text(encoding="utf-8")
    case = case.replace("image.png", str(CASES / "slab" / "image.png"))
    (tmp_path / "try.toml").write_text(re.sub(r"(?m)^(diffusivity.*)$", r'\1\ntrapping = "0.01 1/s"', case))
    look = "import microlith as ml; print(ml.run(ml.load_case('try.toml')).summary['mass_balance'])"
    balance = eval(copy.run("-c", look))
    assert balance["imbalance"] < 1e-6
    assert balance["inflow"]["slab, trapping"] < 0


def test_add_region_kind(tmp_path):
    copy = Copy(tmp_path, "add-region-kind.md")
    shape, key, read = copy.code
    copy.put(shape + "\n\n", "solver/regions/shapes.py", "@dataclass(frozen=True)\nclass Polygon")
    copy.put(key.rstrip() + ",\n", "workflow/schema/keys.py", '        Key("phase", Text(', 8)
    copy.change("workflow/schema/keys.py", '"polygon", "phase"', '"polygon", "ellipse", "phase"')
    copy.put(read, "workflow/case/read.py", '        case "shell":', 8)
    copy.change("workflow/case/read.py", "import Ball, Box,", "import Ball, Box, Ellipse,")
    (tmp_path / "look.py").write_text(
        "import numpy as np, microlith as ml\n"
        f"case = ml.load_case({str(CASES / 'slab' / 'case.toml')!r}).with_(\n"
        "    {'regions': {'egg': {'ellipse': {'center': ['540 nm', '100 nm'], 'semi_axes': ['300 nm', '80 nm']}}}}\n"
        ")\n"
        "result = ml.run(case, 'out')\n"
        "assert abs(result.summary['regions']['egg']['solved_area_m2'] / (np.pi * 300e-9 * 80e-9) - 1) < 1e-3\n",
        encoding="utf-8",
    )
    copy.run("look.py")
    assert list((tmp_path / "out").glob("snapshot-*.png"))


def test_add_command(tmp_path):
    copy = Copy(tmp_path, "add-command.md")
    (declared,) = copy.code
    copy.put(declared + "\n\n", "workflow/commands/cases.py", "def add_check(")
    copy.change("workflow/cli.py", "import add_check, ", "import add_shares, add_check, ")
    copy.change("workflow/cli.py", "add_estimate, add_mesh,", "add_shares, add_estimate, add_mesh,")
    out = copy.run("-m", "microlith.workflow.cli", "shares", str(CASES / "slab" / "case.toml"))
    assert out == "electrolyte\t0.0385\nslab\t0.9615\n"


def test_add_image_format(tmp_path):
    copy = Copy(tmp_path, "add-image-format.md")
    reader, test = copy.code
    (copy.package / "imaging" / "readers" / "pgm.py").write_text(reader, encoding="utf-8")
    copy.put('".pgm": read_pgm,\n', "imaging/readers/open.py", '    ".nrrd": read_nrrd,', 4)
    copy.put(
        "from microlith.imaging.readers.pgm import read_pgm\n",
        "imaging/readers/open.py",
        "from microlith.imaging.readers.vti",
    )
    test = f"from image_outcomes import assert_never_filled_in\n\n\n{test}\n\n"
    copy.put(test, "tests/imaging/test_images.py", '@pytest.mark.parametrize("compression"')
    copy.test("tests/imaging/test_images.py", "-k", "pgm")


def test_code_of_a_page_that_is_wrong_is_noticed(tmp_path):
    copy = Copy(tmp_path, "add-command.md")
    with pytest.raises(AssertionError, match="correct the page"):
        copy.put("", "workflow/cli.py", "def there_is_no_such_function(")
    with pytest.raises(AssertionError, match="ZeroDivisionError"):
        copy.run("-c", "1 / 0")
