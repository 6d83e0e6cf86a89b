"""The README and the pages of the site, as far as they can be checked without building it."""

import re
import sys
import tomllib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import meshio
import numpy as np
import pytest
from places import PROJECT

from microlith.workflow.case.read import case_of

DOCS = PROJECT / "docs"
PAGES = [
    PROJECT / "README.md",
    *(path for path in DOCS.rglob("*.md") if not {"_build", "generated"} & set(path.relative_to(DOCS).parts)),
    *PROJECT.glob("cases/*/README.md"),
]
LINK = re.compile(r"\]\(([^()\s#]+)(?:#[^()\s]*)?\)")
MADE = ("/generated/", "/_build/")  # paths on the site that only a build makes
BASE: dict[str, Any] = {
    "image": {"file": "image.tif", "voxel_size": "10 nm"},
    "phases": {
        "pore": {"label": 0, "role": "source", "concentration": "1 mol/L"},
        "sei_cb": {"label": 1, "role": "transport", "diffusivity": "1e-14 m^2/s"},
        "particle": {"label": 2, "role": "barrier"},
    },
    "time": {"end": "100 s"},
}


def named(path: Path) -> str:
    return path.relative_to(PROJECT).as_posix()


def without_code(text: str) -> str:
    return re.sub(r"^(`{3,4}|:{3,5}).*?^\1", "", text, flags=re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_links_lead_somewhere(page):
    for target in LINK.findall(without_code(page.read_text(encoding="utf-8"))):
        if "://" not in target and not target.startswith(("mailto:", *MADE)):
            path = DOCS / target[1:] if target.startswith("/") else page.parent / target
            assert path.exists(), f"{named(page)}: there is no {target}"


def test_readme_is_a_front_page():
    assert len((PROJECT / "README.md").read_text(encoding="utf-8").splitlines()) <= 120


def fragments() -> list[Any]:
    found = []
    for page in PAGES:
        blocks = re.findall(r"^```toml\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
        found += [pytest.param(block, id=f"{named(page)}-{i}") for i, block in enumerate(blocks)]
    return found


def _write_mesh(path: Path) -> None:
    """Two triangles of a square, the physical groups `matrix` (1) and `ball` (7)."""
    corners = [[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [1.0, 1.0, 0.0], [0.0, 1.0, 0.0]]
    groups = {"matrix": np.array([1, 2]), "ball": np.array([7, 2])}
    tags = [np.array([1, 7])]
    data = {"gmsh:physical": tags, "gmsh:geometrical": tags}
    mesh = meshio.Mesh(corners, [("triangle", [[0, 1, 2], [0, 2, 3]])], cell_data=data, field_data=groups)
    mesh.write(path, file_format="gmsh22")


@pytest.mark.parametrize("text", fragments())
def test_parts_of_case_files_are_right(text, tmp_path):
    """Each, put into a small case, is understood; keys outside of a table are those of a transport phase."""
    part = tomllib.loads(text)
    tables = {key: value for key, value in part.items() if isinstance(value, dict | list) and key != "diffusivity"}
    loose = {key: value for key, value in part.items() if key not in tables and key != "title"}
    case = {**BASE, **{key: BASE.get(key, {}) | value for key, value in tables.items() if isinstance(value, dict)}}
    case |= {key: value for key, value in tables.items() if isinstance(value, list)}
    phases = {
        name: value if "role" in value else BASE["phases"][name] | value for name, value in case["phases"].items()
    }
    case["phases"] = phases | {"sei_cb": phases["sei_cb"] | loose}
    if "unit" in case.get("mesh", {}):  # a mesh of another program: its phases only, and no image
        case = {key: value for key, value in case.items() if key != "image"} | {"phases": part["phases"]}
        _write_mesh(tmp_path / case["mesh"]["file"])
    else:
        file = tmp_path / case["image"]["file"]
        file.touch() if file.suffix else file.mkdir()
    if case.get("mesh", {}).keys() & {"file", "unit"} == {"file"}:
        (tmp_path / case["mesh"]["file"]).touch()
    if "initial" in case:
        result = tmp_path / case["initial"]["from"]
        result.mkdir(parents=True)
        (result / "fields.vtkhdf").touch()
    case_of(case, tmp_path / "case.toml", True)


@pytest.fixture
def examples(monkeypatch):
    """The extension that runs the examples, if Sphinx is there."""
    pytest.importorskip("sphinx")
    monkeypatch.syspath_prepend(str(DOCS / "_extensions"))
    yield pytest.importorskip("executed_examples")
    sys.modules.pop("executed_examples", None)


@pytest.mark.parametrize(
    ("options", "wrong"),
    [
        ({}, None),
        ({"expect": r"t50 19\.67 ;; done"}, None),
        ({"expect": "t50 19.68"}, "page: expected t50 19.68 in"),
        ({"expect": "19.67 ;; not there"}, "page: expected not there in"),
    ],
)
def test_an_example_with_another_number_fails_the_build(examples, options, wrong):
    directive = SimpleNamespace(options=options, env=SimpleNamespace(docname="page"))
    if wrong is None:
        examples.Run._check(directive, "t50 19.67 s\ndone\n")
        return
    with pytest.raises(examples.ExtensionError, match=wrong):
        examples.Run._check(directive, "t50 19.67 s\ndone\n")


def test_a_command_that_fails_fails_the_build(examples, tmp_path):
    directive = SimpleNamespace(folder=tmp_path, env=SimpleNamespace(docname="page"))
    assert examples.Run._output_of(directive, "echo right", 0) == "right\n"
    assert examples.Run._output_of(directive, "exit 2", 2) == ""
    with pytest.raises(examples.ExtensionError, match="expected exit status 0, got 3"):
        examples.Run._output_of(directive, "exit 3", 0)
