"""Parts that reports of several commands have in common."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from microlith.imaging.errors import InputError
from microlith.workflow.report.of_run import flat, words
from microlith.workflow.report.page import Page, said

MadeOf = Callable[[Path, dict[str, Any]], Page]


def page_of(path: Path, made: MadeOf) -> Page:
    """The page of a JSON file of results.

    Args:
        path: Of the file.
        made: Makes it of the file's folder and what is in the file.

    Raises:
        InputError: The file can't be read, or is of another version.
    """
    try:
        return made(path.parent, json.loads(path.read_text(encoding="utf-8")))
    except InputError:  # names its file
        raise
    except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise InputError(
            f"{path}: can't be shown ({type(error).__name__}: {error}); it may be of another version of microlith: "
            "make it again"
        ) from error


def begun(entries: dict[str, Any], title: str, what: str) -> Page:
    """A page with a title, or what it is of in its place, and a line below it."""
    version = entries.get("versions", {}).get("microlith", "")
    return Page(title or what, f"{what} · microlith {version}")


def warnings(page: Page, sentences: list[Any]) -> None:
    """What there is to warn of."""
    for sentence in sentences:
        page.text(str(sentence), "warning")
    if not sentences:
        page.text("No warnings.", "quiet")


def pictures(page: Page, folder: Path) -> None:
    """All pictures in a folder."""
    found = sorted(folder.glob("*.png"))
    if found:
        page.section("Pictures")
    for path in found:
        page.picture(path, words(path.stem.replace("-", " ")))


def asked(page: Page, entries: dict[str, Any]) -> None:
    """The case as understood, and what the command took."""
    page.section("What was asked")
    page.table(["key", "value"], flat(entries["case"]))
    made(page, entries)


def made(page: Page, entries: dict[str, Any]) -> None:
    """Times and versions."""
    page.section("How it was made")
    page.table(["stage", "s"], _timings(entries))
    page.table(["versions", ""], [[name, str(value)] for name, value in entries.get("versions", {}).items()])


def _timings(entries: dict[str, Any]) -> Iterator[list[str]]:
    for name, value in entries.get("timings_s", {}).items():
        yield [words(name), said(value)]
