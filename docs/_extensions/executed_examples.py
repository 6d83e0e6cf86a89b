"""Examples that run when the site is built, and fail the build where they do not give what the page says.

Each page has a folder of its own below docs/_build/examples, emptied when the page is built anew, with a link `cases`
to the cases. Two directives use it:

- `{file} NAME` shows its text and writes it to NAME there;
- `{run}` runs its lines as commands there, one after another, and shows them with what they print. A line that is
  indented belongs to the command before it. The exit status of each has to be 0, of the last what `:status:` says. What
  they print has to match `:expect:`: regular expressions with ` ;; ` between them. `:hide:` shows nothing (for checks),
  `:quiet:` the commands only.

A picture that a command has made is shown by its path: `![...](/_build/examples/PAGE/results/NAME/curves.png)`.
"""

import os
import re
import shutil
import subprocess
import textwrap
from pathlib import Path
from typing import Any, ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

PROJECT = Path(__file__).resolve().parents[2]
EXAMPLES = PROJECT / "docs" / "_build" / "examples"
LANGUAGES = {".toml": "toml", ".py": "python", ".json": "json", ".csv": "text"}
WIDTH = 96  # columns of what commands print
# As it is before a script of the gallery starts MPI in this process, which would stand in the way of mpirun.
ENVIRONMENT = {**os.environ, "COLUMNS": str(WIDTH), "PYVISTA_OFF_SCREEN": "true"}
LONGEST = 300  # seconds that one command may take
log = logging.getLogger(__name__)


def setup(app: Sphinx) -> dict[str, Any]:
    """Makes the directives known."""
    app.add_directive("file", File)
    app.add_directive("run", Run)
    app.connect("source-read", _fresh_folder)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _fresh_folder(app: Sphinx, name: str, source: list[str]) -> None:
    folder = EXAMPLES / name
    shutil.rmtree(folder, ignore_errors=True)
    if re.search(r"\{(file|run)\}", source[0]):
        folder.mkdir(parents=True)
        (folder / "cases").symlink_to(PROJECT / "cases")


class _Example(SphinxDirective):
    has_content = True

    @property
    def folder(self) -> Path:
        return EXAMPLES / self.env.docname


class File(_Example):
    """Shows a file and writes it."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Writes the file."""
        name = self.arguments[0]
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        text = "\n".join(self.content) + "\n"
        path.write_text(text, encoding="utf-8")
        block = nodes.literal_block(text, text, language=LANGUAGES.get(path.suffix, "text"))
        caption = nodes.caption("", "", nodes.literal(name, name))
        return [nodes.container("", caption, block, literal_block=True, classes=["literal-block-wrapper"])]


def _wrapped(line: str) -> list[str]:
    """A long line as several, as a terminal shows it; tables and rows of figures stay as they are."""
    if re.search(r"[│┃━─┏┓]", line) or line.count(",") > 8:
        return [line.rstrip()]
    return textwrap.wrap(line, WIDTH, break_long_words=False, break_on_hyphens=False) or [""]


class Run(_Example):
    """Runs commands and shows them with what they print."""

    option_spec: ClassVar[dict[str, Any]] = {
        "expect": directives.unchanged_required,
        "status": directives.nonnegative_int,
        "hide": directives.flag,
        "quiet": directives.flag,
    }

    def run(self) -> list[nodes.Node]:
        """Runs the commands."""
        shown, printed = [], []
        commands = self._commands()
        for command in commands:
            output = self._output_of(command, self.options.get("status", 0) if command is commands[-1] else 0)
            printed.append(output)
            shown.append(f"$ {command}")
            if output and "quiet" not in self.options:
                shown += [wrapped for line in output.rstrip().splitlines() for wrapped in _wrapped(line)]
        self._check("\n".join(printed))
        if "hide" in self.options:
            return []
        text = "\n".join(shown) + "\n"
        return [nodes.literal_block(text, text, language="console", classes=["executed"])]

    def _commands(self) -> list[str]:
        """One a line; a line that is indented goes on with the one before."""
        commands: list[str] = []
        for line in self.content:
            if line.startswith((" ", "\t")) and commands:
                commands[-1] += "\n" + line
            elif line.strip():
                commands.append(line)
        return commands

    def _output_of(self, command: str, wanted: int) -> str:
        log.info("running: %s", command)
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=self.folder,
            env=ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=LONGEST,
        )
        output = (
            re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", done.stdout).replace(f"{self.folder}/", "").replace(f"{PROJECT}/", "")
        )
        if done.returncode != wanted:
            raise ExtensionError(
                f"{self.env.docname}: expected exit status {wanted}, got {done.returncode} from\n{command}\n{output}"
            )
        return output

    def _check(self, output: str) -> None:
        for pattern in self.options.get("expect", "").split(";;"):
            if not re.search(pattern.strip(), output):
                raise ExtensionError(f"{self.env.docname}: expected {pattern.strip()} in what was printed:\n{output}")
