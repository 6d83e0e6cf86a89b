"""Names of files and functions in pages for developers have to exist: a page that is out of date fails the build.

`solver/problem/forms.py` is a file, `solver/problem/forms.py::storage` something that it defines at its top level,
`solver/problem/scales.py::Scales.flux` something in a class.
"""

import ast
import re
from functools import cache
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util import logging

PROJECT = Path(__file__).resolve().parents[2]
NAME = re.compile(r"(?P<path>[\w.-]+(?:/[\w.-]+)*/?(?:\.py|\.md|\.toml|/))(?:::(?P<name>[\w.]+))?")
# What is made by running something
MADE = re.compile(r"docs/(_build|generated)|results/")
log = logging.getLogger(__name__)


def setup(app: Sphinx) -> dict[str, Any]:
    """Looks at each page once it is read."""
    app.connect("doctree-read", _check)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _check(app: Sphinx, doctree: nodes.document) -> None:
    if not app.env.docname.startswith("developers/"):
        return
    for literal in doctree.findall(nodes.literal):
        match = NAME.fullmatch(literal.astext())
        if match is None or "/" not in match["path"] or MADE.match(match["path"]):
            continue
        path = PROJECT / match["path"]
        if not path.exists():
            log.warning("there is no %s", match["path"], location=literal)
        elif match["name"] and match["name"] not in _names_in(path):
            log.warning("%s has no %s", match["path"], match["name"], location=literal)


@cache
def _names_in(path: Path) -> frozenset[str]:
    """What a module defines, and what its classes define."""
    found = set(_defined(ast.parse(path.read_text(encoding="utf-8")).body, ""))
    return frozenset(found)


def _defined(body: list[ast.stmt], within: str) -> list[str]:
    names = []
    for node in body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            names.append(within + node.name)
            if isinstance(node, ast.ClassDef):
                names += _defined(node.body, f"{within}{node.name}.")
        elif isinstance(node, ast.Assign):
            names += [within + target.id for target in node.targets if isinstance(target, ast.Name)]
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names.append(within + node.target.id)
    return names
