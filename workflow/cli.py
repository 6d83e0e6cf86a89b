"""The command line. Nothing heavy is imported before a command needs it, so that `--help` answers at once."""

import argparse
import errno
import logging
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from microlith.imaging.errors import InputError
from microlith.workflow.console.launch import Ranks, launched_rank

if TYPE_CHECKING:
    from microlith.workflow.case.case import Case

BAD_INPUT = 2
OUR_FAILURE = 1
INTERRUPTED = 130  # 128 + SIGINT, as shells count
PIPE_CLOSED = 141  # 128 + SIGPIPE
TERMINATED = 143  # 128 + SIGTERM

MESH_SUFFIXES = (".msh", ".vtu", ".xdmf")
CASE_NAME = "case.toml"
log = logging.getLogger("microlith")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command.

    Returns:
        0, 2 for bad input, 1 for a failure of ours, 130 after an interrupt, 141 where the reader of the output left,
        143 after SIGTERM.
    """
    options = _parser().parse_args(argv)
    if options.verbose and options.quiet:
        _parser().error("-v and -q exclude each other")
    _set_up_log(options)
    ranks = Ranks()
    try:
        if options.parallel:
            ranks = Ranks.start()
        elif launched_rank():
            return 0  # rank 0 does it
        with _termination_as_exit():
            options.command(options, ranks)
        sys.stdout.flush()
    except (Exception, KeyboardInterrupt, SystemExit) as error:
        failure = _failure(error)
        if isinstance(error, OSError):
            _give_up_output()
        if options.verbose and failure.status == OUR_FAILURE:
            traceback.print_exc()
        return ranks.end(failure.status, failure.sentence, _say)
    return 0


@contextmanager
def _termination_as_exit() -> Iterator[None]:
    """SIGTERM, as batch systems send it when the time is up, ends the command with its cleaning up done."""
    if threading.current_thread() is not threading.main_thread():  # Python handles signals in that one only
        yield
        return

    def stop(*_: Any) -> None:
        raise SystemExit(TERMINATED)

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL if before is None else before)


# --- commands ---


def _init(options: argparse.Namespace, ranks: Ranks) -> None:
    path = options.folder / CASE_NAME
    template = Path(__file__).with_name("template.toml").read_text(encoding="utf-8")
    try:
        options.folder.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(template)
    except FileExistsError as error:
        what = "exists already; it is not overwritten" if path.exists() else "is a file; name a folder"
        raise InputError(f"{error.filename or path} {what}") from None
    log.info("wrote %s; put your image beside it, adapt it, then: microlith check %s", path, path)


def _check(options: argparse.Namespace, ranks: Ranks) -> None:
    from microlith.workflow.case.read import load_case

    case = load_case(options.case)
    from microlith.workflow.case.describe import print_case
    from microlith.workflow.prepare import assemble

    found = assemble.check(case)
    if not options.quiet:
        print_case(found.case, found.volume)


def _mesh(options: argparse.Namespace, ranks: Ranks) -> None:
    case = ranks.on_first(lambda: _ready_to_mesh(options))
    from microlith.workflow.prepare import assemble

    assemble.mesh(case, options.output, show=not options.quiet)


def _ready_to_mesh(options: argparse.Namespace) -> "Case":
    from microlith.workflow.case.read import load_case

    _check_file(options, MESH_SUFFIXES)
    return load_case(options.case)


def _check_file(options: argparse.Namespace, suffixes: tuple[str, ...]) -> None:
    """Refuses a file for the output, where one is named, that can't be written or would be overwritten."""
    target = options.output
    if target is not None:
        if target.suffix not in suffixes:
            raise InputError(f"-o {target}: expected a file name ending in {', '.join(suffixes)}")
        if target.is_dir():
            raise InputError(f"-o {target}: this is a folder; name a file")
        if target.exists() and not options.force:
            raise InputError(f"-o {target}: this file exists already; choose another, or overwrite it with --force")
        _check_writable(target.parent)


def _run(options: argparse.Namespace, ranks: Ranks) -> None:
    case, output = ranks.on_first(lambda: _ready_to_run(options))
    from microlith.workflow.run import pipeline

    pipeline.run(case, output, force=options.force)


def _converge(options: argparse.Namespace, ranks: Ranks) -> None:
    case, output = ranks.on_first(lambda: _ready_to_converge(options))
    from microlith.workflow.studies.converge import converge

    asked = options.levels, options.error, options.segmentation
    converge(case, output, options.force, *asked, show=not options.quiet)


def _ready_to_converge(options: argparse.Namespace) -> "tuple[Case, Path]":
    from microlith.workflow.studies.options import refuse_error, refuse_levels, refuse_phase

    refuse_levels(options.levels)
    refuse_error(options.error)
    if options.output is None:
        name = default_output(options.case)
        options.output = name.with_name(f"{name.name}-converge")
    case, output = _ready_to_run(options)
    refuse_phase(case, options.segmentation)
    return case, output


def _ready_to_run(options: argparse.Namespace) -> "tuple[Case, Path]":
    from microlith.workflow.case.read import load_case
    from microlith.workflow.results.folder import abandoned

    case = load_case(options.case)
    output = options.output or default_output(options.case)
    if output.exists() and not output.is_dir():
        raise InputError(f"{output}: this is a file; choose another folder for the results with -o")
    if output.is_dir() and set(output.iterdir()) - set(abandoned(output)) and not options.force:
        raise InputError(
            f"{output}: the results folder is not empty; choose another with -o, or overwrite it with --force"
        )
    _check_writable(output)
    log.debug("%s is valid; the results go to %s", options.case, output)
    return case, output


def default_output(case: Path) -> Path:
    """Where the results of a case file go: results/NAME, of its folder if it is case.toml, else of itself."""
    name = case.stem if case.name != CASE_NAME else case.absolute().resolve().parent.name
    return Path("results") / (name or "case")


def _check_writable(folder: Path) -> None:
    """Refuses a folder that could not be made or written to, without making it."""
    existing = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    if not existing.is_dir():
        raise InputError(f"{folder}: {existing} is a file, not a folder; choose another folder with -o")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise InputError(f"{folder}: there is no permission to write to {existing}; choose another folder with -o")


def _deff(options: argparse.Namespace, ranks: Ranks) -> None:
    case = ranks.on_first(lambda: _ready_for_deff(options))
    from microlith.workflow.studies.effective_diffusivity import deff

    deff(case, options.phase, tuple(dict.fromkeys(options.axis)), options.output, show=not options.quiet)


def _ready_for_deff(options: argparse.Namespace) -> "Case":
    from microlith.workflow.case.read import load_case

    _check_file(options, (".json",))
    return load_case(options.case, transient=False)


def _view(options: argparse.Namespace, ranks: Ranks) -> None:
    from microlith.workflow.viewer.window import Wish, view

    wish = Wish(options.variable, options.time, options.screenshot, options.movie, options.force)
    view(options.results, wish)


def _schema(options: argparse.Namespace, ranks: Ranks) -> None:
    import json

    from microlith.workflow.schema.keys import json_schema, markdown_reference

    print(markdown_reference() if options.markdown else json.dumps(json_schema(), indent=2, ensure_ascii=False))


# --- arguments ---


class _Parser(argparse.ArgumentParser):
    """Speaks on the first rank only."""

    def _print_message(self, message: str, file: Any = None) -> None:
        if not launched_rank():
            super()._print_message(message, file)


class _Version(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        from importlib.metadata import version

        parser._print_message(f"microlith {version('microlith')}\n", sys.stdout)
        parser.exit()


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="microlith",
        description="Lithium diffusion in segmented images of battery electrodes, from one case file.",
        epilog="Exit status: 0, 2 for bad input, 1 for a failure of microlith.",
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version and exit")
    _add_verbosity(parser, False)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def add(name: str, command: Callable[..., None], text: str, parallel: bool = False) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        sub.set_defaults(command=command, parallel=parallel)
        _add_verbosity(sub, argparse.SUPPRESS)
        return sub

    sub = add("init", _init, "write a commented case file to start from")
    sub.add_argument("folder", metavar="DIR", nargs="?", type=Path, default=Path(), help="folder for it (default: .)")

    sub = add("check", _check, "check all that can be known without solving, and show the case as understood")
    sub.add_argument("case", metavar="CASE", type=Path, help="case file")

    sub = add("mesh", _mesh, "make the mesh and report how true it is to the image", parallel=True)
    sub.add_argument("case", metavar="CASE", type=Path, help="case file")
    endings = ", ".join(MESH_SUFFIXES)
    sub.add_argument("-o", "--output", metavar="FILE", type=Path, help=f"write the mesh to a file ({endings})")
    sub.add_argument("--force", action="store_true", help="overwrite the file")

    sub = add("run", _run, "do all of it, from the image to curves, fields and pictures", parallel=True)
    sub.add_argument("case", metavar="CASE", type=Path, help="case file")
    sub.add_argument("-o", "--output", metavar="DIR", type=Path, help="folder of the results (default: results/CASE)")
    sub.add_argument("--force", action="store_true", help="overwrite earlier results")

    sub = add(
        "converge", _converge, "find how much the curves depend on mesh, degree, tolerance, segmentation", parallel=True
    )
    sub.add_argument("case", metavar="CASE", type=Path, help="case file")
    sub.add_argument(
        "-o", "--output", metavar="DIR", type=Path, help="folder of the results (default: results/CASE-converge)"
    )
    sub.add_argument(
        "--levels",
        metavar="N",
        type=int,
        help="number of meshes, from twice the sizes by steps of 1.41 (default: 3, the finest the case's own)",
    )
    sub.add_argument(
        "--error", metavar="E", type=float, default=1e-3, help="wanted error to tell sizes for (default: %(default)s)"
    )
    sub.add_argument(
        "--segmentation",
        metavar="PHASE",
        nargs="?",
        const="",
        help="solve with interfaces moved by half a voxel, too: of PHASE (default: of all solved phases); after CASE",
    )
    sub.add_argument("--force", action="store_true", help="overwrite earlier results")

    sub = add("deff", _deff, "find the effective diffusivity of one phase between opposite faces", parallel=True)
    sub.add_argument("case", metavar="CASE", type=Path, help="case file; [image], [phases] and [mesh] of it count")
    sub.add_argument("--phase", metavar="NAME", required=True, help="the phase that conducts, whatever its role")
    sub.add_argument(
        "--axis", choices=("x", "y", "z"), action="append", default=[], help="one axis (default: all; repeatable)"
    )
    sub.add_argument("-o", "--output", metavar="FILE", type=Path, help="write the figures to a file (.json)")
    sub.add_argument("--force", action="store_true", help="overwrite the file")

    sub = add("view", _view, "show the results of a run in a window, or as a picture or a movie")
    sub.add_argument("results", metavar="RESULTS", type=Path, help="folder that a run wrote")
    sub.add_argument("--screenshot", metavar="FILE", type=Path, help="write a picture (.png), without a window")
    sub.add_argument("--movie", metavar="FILE", type=Path, help="write all snapshots (.gif, .mp4), without a window")
    variables = ("concentration", "phase")
    sub.add_argument(
        "--variable", choices=variables, default=variables[0], help="what to colour (default: %(default)s)"
    )
    sub.add_argument("--time", metavar="T", help='snapshot to show, such as "10 s" (default: the last)')
    sub.add_argument("--force", action="store_true", help="overwrite the files")

    sub = add("schema", _schema, "print the JSON Schema of the case file, for editors")
    sub.add_argument("--markdown", action="store_true", help="print a reference of its keys for people instead")
    return parser


def _add_verbosity(parser: argparse.ArgumentParser, default: Any) -> None:
    parser.add_argument("-v", "--verbose", action="store_true", default=default, help="explain what is done")
    parser.add_argument("-q", "--quiet", action="store_true", default=default, help="print errors only")


# --- messages ---


def _set_up_log(options: argparse.Namespace) -> None:
    """Progress and warnings go to standard error, from the first rank."""

    class Form(logging.Formatter):
        def format(self, record: logging.LogRecord) -> str:
            text = super().format(record)
            return f"warning: {text}" if record.levelno == logging.WARNING else text

    handler = logging.StreamHandler()
    handler.setFormatter(Form("%(message)s"))
    log.handlers[:] = [handler]
    level = logging.DEBUG if options.verbose else logging.ERROR if options.quiet else logging.INFO
    log.setLevel(logging.CRITICAL + 1 if launched_rank() else level)


@dataclass(frozen=True)
class _Failure:
    status: int
    sentence: str  # empty: nothing to say


_DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
_REFUSED = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR)


def _failure(error: BaseException) -> _Failure:
    """Exit status and sentence for what went wrong."""
    match error:
        case InputError():
            return _Failure(BAD_INPUT, str(error))
        case KeyboardInterrupt():
            return _Failure(INTERRUPTED, "interrupted")
        case SystemExit(code=code) if code == TERMINATED:
            return _Failure(TERMINATED, "terminated")
        case BrokenPipeError():
            return _Failure(PIPE_CLOSED, "")
        case OSError(errno=number) if number in _DISK_FULL:
            return _Failure(BAD_INPUT, f"{_where(error)}: the disk is full; make room or choose another folder with -o")
        case OSError(errno=number) if number in _REFUSED:
            return _Failure(BAD_INPUT, f"{_where(error)}: {error.strerror}; mend this or choose another path")
        case MemoryError():
            return _Failure(OUR_FAILURE, "out of memory; choose larger element sizes in [mesh] or a larger machine")
    if type(error) is ArithmeticError:  # the solver's own, which says what to do; not a division by zero
        return _Failure(OUR_FAILURE, str(error))
    if "No space left on device" in str(error):  # HDF5 and VTK say so in their own exceptions
        return _Failure(BAD_INPUT, "the disk is full; make room or choose another folder with -o")
    name = type(error).__name__
    return _Failure(
        OUR_FAILURE,
        f"internal error, please report it with the case file and the output of -v: {name}: {error or 'no message'}",
    )


def _give_up_output() -> None:
    """Where standard output takes no more, keeps Python from trying once more, and complaining, as it exits."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _where(error: OSError) -> str:
    return str(error.filename) if error.filename else "standard output or the results folder"


def _say(sentence: str) -> None:
    if sentence:
        print(f"microlith: {sentence}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
