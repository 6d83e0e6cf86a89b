"""Pages made when the site is built: from the schema, the parsers, the rooms' docstrings, and files of the repository.

They go to docs/generated, which Git ignores: whole pages beside each other, and below fragments/ what other pages
include. A file is written only where its text has changed, so that Sphinx reads it again only then.
"""

import argparse
import ast
import io
import logging
import re
from collections.abc import Callable
from contextlib import redirect_stdout
from importlib.metadata import entry_points
from pathlib import Path, PurePosixPath
from posixpath import normpath, relpath
from typing import Any

from sphinx.application import Sphinx

PROJECT = Path(__file__).resolve().parents[2]
DOCS = PROJECT / "docs"
GENERATED = DOCS / "generated"
CASES = sorted(path.parent.name for path in PROJECT.glob("cases/*/README.md"))
# Files of the repository that are pages as well
PAGES = {
    "CHANGELOG.md": "changelog.md",
    "benchmarks/README.md": "benchmarks.md",
    "docs/verification.md": "verification.md",
    **{
        f"cases/{path.parent.name}/README.md": f"cases/{path.parent.name}.md"
        for path in PROJECT.glob("cases/*/README.md")
    },
}
LINK = re.compile(r"\]\(([^()\s#]*)(#[^()\s]*)?\)")
PICTURES = (".png", ".svg", ".jpg")


def setup(app: Sphinx) -> dict[str, Any]:
    """Has the pages made before Sphinx looks for them."""
    app.connect("config-inited", lambda app, config: generate(), priority=100)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def generate() -> None:
    """Makes all pages and fragments, and removes what is no longer made."""
    made = {
        **{page: mirrored(source) + case_files(source) for source, page in PAGES.items()},
        "fragments/case-file.md": keys_of("case"),
        "fragments/segment-file.md": keys_of("segment"),
        "fragments/commands.md": commands(),
        "fragments/rooms.md": rooms(),
        "fragments/gallery.md": gallery(),
    }
    for old in GENERATED.rglob("*.md"):
        name = old.relative_to(GENERATED).as_posix()
        if name not in made and not name.startswith("scripts/"):
            old.unlink()
    for name, text in made.items():
        path = GENERATED / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")


# --- files of the repository ---


def mirrored(source: str) -> str:
    """The text of a Markdown file, its links turned to where things are on the site; others become plain text."""
    text = (PROJECT / source).read_text(encoding="utf-8")
    return LINK.sub(lambda match: _link(match, PurePosixPath(source).parent), text)


def _link(match: re.Match[str], folder: PurePosixPath) -> str:
    target, anchor = match[1], match[2] or ""
    if not target or "://" in target or target.startswith("mailto:"):
        return match[0]
    path = normpath(str(folder / target))
    page = PAGES.get(path) or PAGES.get(f"{path}/README.md")
    if page is not None:
        return f"](/generated/{page}{anchor})"
    if path.endswith(PICTURES) and path.startswith("docs/"):
        return f"](/{relpath(path, 'docs')})"
    name = re.match(r"cases/([\w-]+)/([\w-]+)\.toml$", path)
    if name:
        return f"](/generated/cases/{name[1]}.md#{name[1]}-{name[2]})"
    if not (PROJECT / path).exists():
        raise FileNotFoundError(f"a link to {target} leads nowhere: there is no {path}")
    return f"]{{title='{path}'}}"


def case_files(source: str) -> str:
    """For the page of a case its case files, so that they can be read there."""
    folder = (PROJECT / source).parent
    paths = sorted(folder.glob("*.toml"), key=lambda path: (path.name != "case.toml", path.name))
    if source.partition("/")[0] != "cases" or not paths:
        return ""
    parts = ["\n## Case files\n"]
    for path in paths:
        text = path.read_text(encoding="utf-8").rstrip()
        parts.append(f"({path.parent.name}-{path.stem})=\n### `{path.name}`\n\n````toml\n{text}\n````\n")
    return "\n".join(parts)


def gallery() -> str:
    """A card for each case: its first picture, its title, what its first paragraph says."""
    cards = []
    for name in CASES:
        text = mirrored(f"cases/{name}/README.md")
        page = f"/generated/cases/{name}.md"
        heading = re.search(r"^# (.+)$", text, re.MULTILINE)
        picture = re.search(r"^!\[[^\]]*\]\((\S+)\)", text, re.MULTILINE)
        paragraph = next(part for part in text.split("\n\n")[1:] if part[0].isalpha())
        title = f"**[{heading[1] if heading else name}]({page})**"
        shown = f"[![]({picture[1]})]({page})\n\n" if picture else ""
        cards.append(f"::::{{container}} card-of-case\n{shown}{title}\n\n{paragraph}\n::::\n")
    return ":::::{container} cards-of-cases\n" + "\n".join(cards) + ":::::\n"


# --- reference ---


def keys_of(file: str) -> str:
    """The keys of the case file or the segmentation file, without the title."""
    text = io.StringIO()
    with redirect_stdout(text):
        status = _program()(["schema", "--markdown", "--of", file])
    logging.getLogger("microlith").handlers.clear()  # that the command has set: scripts of the gallery are to be quiet
    if status:
        raise ChildProcessError(f"microlith schema --markdown ended with status {status}")
    return text.getvalue().partition("\n")[2].lstrip()


def _program() -> Callable[[list[str]], int]:
    """What the command `microlith` calls."""
    (entry,) = entry_points(group="console_scripts", name="microlith")
    return entry.load()  # type: ignore[no-any-return]


class _Caught(Exception):
    """Carries the parser out of the program."""

    def __init__(self, parser: argparse.ArgumentParser) -> None:
        super().__init__()
        self.parser = parser


def _parser() -> argparse.ArgumentParser:
    """The parser of the command line, taken as it is about to read its arguments."""

    def caught(parser: argparse.ArgumentParser, *_: Any, **__: Any) -> None:
        raise _Caught(parser)

    original = argparse.ArgumentParser.parse_args
    argparse.ArgumentParser.parse_args = caught  # type: ignore[assignment, method-assign]
    try:
        _program()([])
    except _Caught as carrier:
        return carrier.parser
    finally:
        argparse.ArgumentParser.parse_args = original  # type: ignore[method-assign]
    raise LookupError("microlith read no command line")


def commands() -> str:
    """All commands with their arguments."""
    parser = _parser()
    (subcommands,) = (a for a in parser._actions if isinstance(a, argparse._SubParsersAction))
    general = {tuple(a.option_strings) for a in parser._actions if a.option_strings}
    parts = ["## All commands\n", _arguments(parser, set())]
    for sub in subcommands.choices.values():
        usage = " ".join(sub.format_usage().removeprefix("usage: ").split())
        usage = re.sub(r" \[-h\]| \[-v\]| \[-q\]", "", usage)
        parts.append(f"## `{sub.prog}`\n\n{sub.description}\n\n```text\n{usage}\n```\n\n{_arguments(sub, general)}")
    return "\n".join(parts)


def _arguments(parser: argparse.ArgumentParser, known: set[tuple[str, ...]]) -> str:
    formatter = parser._get_formatter()
    rows = []
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction) or tuple(action.option_strings) in known:
            continue
        value = formatter._format_args(action, formatter._get_default_metavar_for_optional(action))
        names = ", ".join(f"`{f'{name} {value}'.strip()}`" for name in action.option_strings) or f"`{value}`"
        text = formatter._expand_help(action) if action.help else ""
        rows.append(f"| {names} | {text} |".replace("\\|", "|"))
    if not rows:
        return ""
    return "\n".join(["| argument | meaning |", "| --- | --- |", *rows]) + "\n"


# --- developers ---


def rooms() -> str:
    """A table for each floor: its rooms from the ground up, and what their docstrings say of them."""
    parts = []
    floor = ""
    for room in _rooms():
        if room.partition("/")[0] != floor:
            floor = room.partition("/")[0]
            parts.append(f"\n### {floor}/\n\n{_docstring(floor)}\n\n| room | what it holds |\n| --- | --- |")
        parts.append(f"| `{room}{'' if (PROJECT / room).is_dir() else '.py'}` | {_docstring(room)} |")
    return "\n".join(parts) + "\n"


def _rooms() -> list[str]:
    """All rooms in their order, from the test that guards it."""
    tree = ast.parse((PROJECT / "tests/system/test_architecture.py").read_text(encoding="utf-8"))
    (value,) = (
        node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == "ROOMS"
    )
    names = [node for node in ast.walk(value) if isinstance(node, ast.Constant)]
    return [str(node.value) for node in sorted(names, key=lambda node: (node.lineno, node.col_offset))]


def _docstring(room: str) -> str:
    folder = PROJECT / room
    path = folder / "__init__.py" if folder.is_dir() else folder.with_suffix(".py")
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return " ".join(text.split("\n\n")[0].split()).replace("|", "\\|")
