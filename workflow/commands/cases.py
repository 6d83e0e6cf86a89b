"""Commands about case files: `init`, `check`, `estimate`, `schema`."""

import argparse
import logging
import shlex
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from microlith.imaging.errors import InputError
from microlith.imaging.writing import cannot_write
from microlith.workflow.commands.arguments import CASE_NAME, Commands, add_case, add_memory_check, with_memory_check
from microlith.workflow.console.launch import Ranks

if TYPE_CHECKING:
    from microlith.workflow.case.case import Case
    from microlith.workflow.estimate.estimate import Estimate

log = logging.getLogger(__name__)
TEMPLATE = Path(__file__).parents[1] / "template.toml"
MOST_RANKS = 10_000_000
SEGMENT_NAME = "segment.toml"
SEGMENT_TEMPLATE = Path(__file__).parents[1] / "segment" / "template.toml"


def add_init(commands: Commands) -> None:
    """Declare `init`."""
    parser = commands.add("init", init, "write a commented case file to start from")
    parser.add_argument(
        "folder", metavar="DIR", nargs="?", type=Path, default=Path(), help="folder for it (default: .)"
    )
    parser.add_argument("--segment", action="store_true", help="a segmentation file, for grey values, instead")


def _command(name: str, path: Path) -> str:
    """As a shell takes it, whatever the name of the file."""
    return shlex.join(["microlith", name, str(path)])


def _check_after(name: str) -> str:
    return "check" if name == CASE_NAME else "segment"


def add_check(commands: Commands) -> None:
    """Declare `check`."""
    text = "check all that can be known without solving, and show the case as understood"
    parser = commands.add("check", check, text, parallel=True)
    add_case(parser)
    add_memory_check(parser)


def add_estimate(commands: Commands) -> None:
    """Declare `estimate`."""
    text = "tell what a run will take, before anything is made: cells, memory, time, disk"
    parser = commands.add("estimate", estimate, text, parallel=True)
    add_case(parser)
    parser.add_argument(
        "--ranks",
        metavar="N,...",
        type=_rank_counts,
        default=(1,),
        help="numbers of ranks to tell it for, e.g. 1,8,64 (default: 1)",
    )
    parser.add_argument("--json", action="store_true", help="print it as JSON")


def _rank_counts(text: str) -> tuple[int, ...]:
    counts = tuple(int(word) if word.strip().isdecimal() else 0 for word in text.split(","))
    if not all(0 < count <= MOST_RANKS for count in counts):
        raise argparse.ArgumentTypeError(
            f"expected whole numbers from 1 to {MOST_RANKS:,} with commas between them, such as 1,8,64, got {text!r}"
        )
    return counts


def add_schema(commands: Commands) -> None:
    """Declare `schema`."""
    parser = commands.add("schema", schema, "print the JSON Schema of case or segmentation files, for editors")
    parser.add_argument(
        "--of", choices=("case", "segment"), default="case", help="which kind of file (default: %(default)s)"
    )
    parser.add_argument("--markdown", action="store_true", help="print a reference of its keys for people instead")


def init(options: argparse.Namespace, ranks: Ranks) -> None:
    """Write a case file to start from."""
    name, source = (SEGMENT_NAME, SEGMENT_TEMPLATE) if options.segment else (CASE_NAME, TEMPLATE)
    path = options.folder / name
    template = source.read_text(encoding="utf-8")
    missing = [folder for folder in (options.folder, *options.folder.parents) if not folder.exists()]
    begun = False
    try:
        options.folder.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            begun = True
            file.write(template)
    except FileExistsError as error:
        what = "exists already; it is not overwritten" if path.exists() else "is a file; name a folder"
        raise InputError(f"{error.filename or path} {what}") from None
    except OSError as error:
        with suppress(OSError):
            if begun:
                path.unlink()
            for folder in missing:
                folder.rmdir()
        raise cannot_write(path, error) from error
    log.info("wrote %s; put your image beside it, adapt it, then: %s", path, _command(_check_after(name), path))


def check(options: argparse.Namespace, ranks: Ranks) -> None:
    """Check a case on the first rank, and show it."""
    case = ranks.on_first(lambda: with_memory_check(_loaded(options.case), options))
    from microlith.workflow.prepare import assemble  # on all ranks: PETSc starts on all together

    def checked() -> None:
        found = assemble.check(case)
        if not options.quiet:
            from microlith.workflow.case.describe import print_case
            from microlith.workflow.estimate.estimate import of_checked
            from microlith.workflow.estimate.told import short_form

            print_case(found.case, found.volume)
            print(f"\nA run takes {short_form(of_checked(found))}; more: {_command('estimate', options.case)}")

    ranks.on_first(checked)


def estimate(options: argparse.Namespace, ranks: Ranks) -> None:
    """Tell on the first rank what a run of a case will take."""
    case = ranks.on_first(lambda: _loaded(options.case))
    from microlith.workflow.estimate.estimate import estimates  # on all ranks, as in `check`

    ranks.on_first(lambda: _print_estimates(estimates(case, options.ranks), options.json))


def _print_estimates(found: "Sequence[Estimate]", as_json: bool) -> None:
    from microlith.workflow.estimate.told import as_data, print_estimates

    if as_json:
        import json

        print(json.dumps(as_data(found), indent=2))
    else:
        print_estimates(found)


def _loaded(path: Path) -> "Case":
    from microlith.workflow.case.read import load_case

    return load_case(path)


def schema(options: argparse.Namespace, ranks: Ranks) -> None:
    """Print the keys of the case file, for editors or for people."""
    if options.markdown:
        from microlith.workflow.schema.reference import markdown_reference

        print(markdown_reference(options.of))
        return
    import json

    from microlith.workflow.schema.reference import json_schema

    print(json.dumps(json_schema(options.of), indent=2, ensure_ascii=False))
