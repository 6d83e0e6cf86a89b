"""Fields of data classes with what the comments beside them say (unit, shape), which Sphinx would leave out."""

import ast
import dataclasses
import inspect
import io
import textwrap
import tokenize
from typing import Any

from sphinx.application import Sphinx


def setup(app: Sphinx) -> dict[str, Any]:
    """Has the fields added to the docstrings."""
    app.connect("autodoc-process-docstring", _add_fields)
    app.connect("autodoc-process-signature", _without_arguments)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _add_fields(app: Sphinx, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    if what == "class" and dataclasses.is_dataclass(thing):
        lines += ["", *(f":ivar {field}: {comment}" for field, comment in field_comments(thing)), ""]


def _without_arguments(app: Sphinx, what: str, name: str, thing: Any, *_: Any) -> tuple[str, str] | None:
    """Users do not make these objects; functions do."""
    return ("", "") if what == "class" and dataclasses.is_dataclass(thing) else None


def field_comments(thing: type) -> list[tuple[str, str]]:
    """Public fields of a data class, and the comments at the ends of their lines."""
    source = textwrap.dedent(inspect.getsource(thing))
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    comments = {token.start[0]: token.string.lstrip("# ") for token in tokens if token.type == tokenize.COMMENT}
    (definition,) = ast.parse(source).body
    assert isinstance(definition, ast.ClassDef)
    return [
        (node.target.id, comments.get(node.end_lineno or node.lineno, ""))
        for node in definition.body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and not node.target.id.startswith("_")
    ]
