"""What the commands share: how they are declared, and the checks of where they are to write."""

import argparse
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from microlith.imaging.errors import InputError
from microlith.imaging.writing import cannot_write, new_file_beside, refuse_link_to_nothing
from microlith.workflow.console.launch import Ranks, launched_rank

if TYPE_CHECKING:
    from microlith.workflow.case.case import Case
    from microlith.workflow.results.folder import Writer

CASE_NAME = "case.toml"
MESH_SUFFIXES = (".vtkhdf", ".msh", ".vtu", ".xdmf", ".inp", ".bdf", ".med")

Command = Callable[[argparse.Namespace, Ranks], None]


class Parser(argparse.ArgumentParser):
    """Speaks on the first rank only."""

    words: tuple[str, ...] = ()  # what it was given

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As ever."""
        self.words = tuple(sys.argv[1:] if args is None else args)
        return super().parse_known_args(args, namespace)

    def _print_message(self, message: str, file: Any = None) -> None:
        if not launched_rank():
            super()._print_message(message, file)


class Version(argparse.Action):
    """Prints the version, with -v before or after it those of all libraries, and ends."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        """Called by the parser."""
        from importlib.metadata import version

        text = f"microlith {version('microlith')}\n"
        if isinstance(parser, Parser) and {"-v", "--verbose"} & set(parser.words):
            from microlith.workflow.console.versions import versions

            text = "".join(f"{name}: {value}\n" for name, value in versions().items())
        parser._print_message(text, sys.stdout)
        parser.exit()


class Commands:
    """The commands of a parser, to which each group adds its own."""

    def __init__(self, parser: argparse.ArgumentParser) -> None:
        self._parsers = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def add(self, name: str, command: Command, text: str, *, parallel: bool = False) -> argparse.ArgumentParser:
        """Declare a command.

        Args:
            name: That the user types.
            command: What it does.
            text: What it is for, in a few words.
            parallel: Whether all ranks take part; else the first does it and the others end at once.

        Returns:
            The parser of its arguments.
        """
        parser = self._parsers.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        parser.set_defaults(command=command, parallel=parallel)
        add_verbosity(parser, argparse.SUPPRESS)
        return parser


def add_verbosity(parser: argparse.ArgumentParser, default: Any) -> None:
    """The options -v and -q, which stand before or after the command."""
    parser.add_argument("-v", "--verbose", action="store_true", default=default, help="explain what is done")
    parser.add_argument("-q", "--quiet", action="store_true", default=default, help="print errors only")


def add_case(parser: argparse.ArgumentParser, text: str = "case file") -> None:
    """The case file."""
    parser.add_argument("case", metavar="CASE", type=Path, help=text)


def add_output_folder(parser: argparse.ArgumentParser, default: str) -> None:
    """The folder of the results, and whether earlier ones are overwritten."""
    parser.add_argument(
        "-o", "--output", metavar="DIR", type=Path, help=f"folder of the results (default: results/{default})"
    )
    parser.add_argument("--force", action="store_true", help="overwrite earlier results")


def add_memory_check(parser: argparse.ArgumentParser) -> None:
    """A way past the refusal of what would not fit into memory."""
    parser.add_argument(
        "--no-memory-check", action="store_true", help="start also where the memory that is free looks too small"
    )


def with_memory_check(case: "Case", options: argparse.Namespace) -> "Case":
    """The case, with what the option says."""
    return replace(case, check_memory=not options.no_memory_check)


def add_output_file(parser: argparse.ArgumentParser, text: str) -> None:
    """The one file that a command writes, and whether it is overwritten."""
    parser.add_argument("-o", "--output", metavar="FILE", type=Path, help=text)
    parser.add_argument("--force", action="store_true", help="overwrite the file")


def check_output_file(options: argparse.Namespace, suffixes: tuple[str, ...], option: str = "-o") -> None:
    """Refuse a file for the output, where one is named, that can't be written or would be overwritten.

    Raises:
        InputError: As said.
    """
    target = options.output
    if target is not None:
        if target.suffix not in suffixes:
            raise InputError(f"{option} {target}: expected a file name ending in {', '.join(suffixes)}")
        if target.is_dir():
            raise InputError(f"{option} {target}: this is a folder; name a file")
        if os.path.lexists(target) and not options.force:
            raise InputError(
                f"{option} {target}: this file exists already; choose another, or overwrite it with --force"
            )
        if not target.parent.exists():
            raise InputError(f"{option} {target}: there is no folder {target.parent}; make it, or name another")
        check_writable(target.parent)


def check_output_folder(output: Path, force: bool, writer: "Writer") -> None:
    """Refuse a folder for results that can't be written to or that holds something that is not to be overwritten.

    Raises:
        InputError: As said.
    """
    from microlith.workflow.results.folder import refuse_held

    if output.exists() and not output.is_dir():
        raise InputError(f"{output}: this is a file; choose another folder for the results with -o")
    check_writable(output)
    if output.is_dir():
        refuse_held(output, force, writer)


def check_writable(folder: Path) -> None:
    """Refuse a folder that could not be made or written to, without making it.

    Raises:
        InputError: As said.
    """
    refuse_link_to_nothing(folder.absolute())
    try:
        existing = next(path for path in (folder.absolute(), *folder.absolute().parents) if _is_there(path))
        if not existing.is_dir():
            raise InputError(f"{folder}: {existing} is a file, not a folder; choose another folder with -o")
        if not os.access(existing, os.W_OK | os.X_OK):
            raise InputError(f"{folder}: there is no permission to write to {existing}; choose another folder with -o")
        new_file_beside(existing / "microlith").unlink()  # only trying tells what a file system allows
    except OSError as error:
        raise cannot_write(folder, error) from error


def _is_there(path: Path) -> bool:
    """As `exists`, which from Python 3.14 on is false for names that no file can have; these are an OSError here."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def output_of(options: argparse.Namespace, kind: str, writer: "Writer") -> Path:
    """The folder that is asked for, or results/NAME-KIND; refused where it can't be written.

    Raises:
        InputError: As said.
    """
    name = default_output(options.case)
    output: Path = options.output or name.with_name(f"{name.name}-{kind}")
    check_output_folder(output, options.force, writer)
    return output


def default_output(case: Path) -> Path:
    """Where the results of a case file go: results/NAME, of its folder if it is case.toml, else of itself."""
    name = case.stem if case.name != CASE_NAME else case.absolute().resolve().parent.name
    return Path("results") / (name or "case")
