"""Commands that solve a case several times, or otherwise than a run does: `converge` and `deff`."""

import argparse
import re
from pathlib import Path
from typing import TYPE_CHECKING

from microlith.imaging.axes import AXES
from microlith.imaging.errors import InputError
from microlith.workflow.commands.arguments import (
    Commands,
    add_case,
    add_memory_check,
    add_output_folder,
    check_output_file,
    check_output_folder,
    default_output,
    with_memory_check,
)
from microlith.workflow.commands.runs import ready_to_run
from microlith.workflow.console.launch import Ranks

if TYPE_CHECKING:
    from microlith.workflow.case.case import Case


def add_converge(commands: Commands) -> None:
    """Declare `converge`."""
    text = "find how much the curves depend on mesh, degree, tolerance, segmentation"
    parser = commands.add("converge", converge, text, parallel=True)
    add_case(parser)
    add_memory_check(parser)
    add_output_folder(parser, "CASE-converge")
    parser.add_argument(
        "--levels",
        metavar="N",
        type=int,
        help="number of meshes, from twice the sizes by steps of 1.41 (default: 3, the finest the case's own)",
    )
    parser.add_argument(
        "--error",
        metavar="E",
        type=float,
        default=1e-3,
        help="wanted error to tell sizes for, of what a region holds (default: %(default)s)",
    )
    parser.add_argument(
        "--segmentation",
        metavar="PHASE",
        nargs="*",
        help="solve with interfaces moved, too: by half a voxel, of PHASE (default: of all solved phases), or as two "
        "label images have them (FILE FILE), such as those that segment writes; after CASE",
    )


def add_deff(commands: Commands) -> None:
    """Declare `deff`."""
    text = "find the effective diffusivity of one phase, or several, between opposite faces"
    parser = commands.add("deff", deff, text, parallel=True)
    add_case(parser, "case file; [image], [phases] and [mesh] of it count")
    parser.add_argument(
        "--phase",
        metavar="NAME",
        action="append",
        required=True,
        help="the phase that conducts, whatever its role; repeatable: several with diffusivities conduct together",
    )
    parser.add_argument("--axis", choices=AXES, action="append", default=[], help="one axis (default: all; repeatable)")
    parser.add_argument(
        "--no-bounds", action="store_true", help="leave lower bounds out, and save their time and memory"
    )
    parser.add_argument(
        "--half-voxel",
        action="store_true",
        help="find it also with the surface of the phase half a voxel farther in and out: what the image leaves open",
    )
    parser.add_argument(
        "--periodic",
        action="store_true",
        help="find the whole tensor, of the image repeated along all axes; on voxels or a lattice",
    )
    add_memory_check(parser)
    parser.add_argument(
        "-o",
        "--output",
        metavar="PATH",
        type=Path,
        help="write figures and a report: to a folder (deff.json, report.html), or to a file X.json and X.html",
    )
    parser.add_argument("--force", action="store_true", help="overwrite earlier results")


def converge(options: argparse.Namespace, ranks: Ranks) -> None:
    """Study the errors of a case."""
    case, output, moved = ranks.on_first(lambda: _ready_to_converge(options))
    from microlith.workflow.studies.converge import converge

    converge(case, output, options.force, options.levels, options.error, moved, show=not options.quiet)


def _ready_to_converge(options: argparse.Namespace) -> "tuple[Case, Path, str | tuple[Path, Path] | None]":
    """The case, the folder of the results and what is moved; other ranks know no more than what is given back."""
    from microlith.workflow.studies.options import moved_of, refuse_error, refuse_levels

    refuse_levels(options.levels)
    refuse_error(options.error)
    if options.output is None:
        name = default_output(options.case)
        options.output = name.with_name(f"{name.name}-converge")
    case, output = ready_to_run(options, "converge")
    return case, output, moved_of(case, options.segmentation)


def deff(options: argparse.Namespace, ranks: Ranks) -> None:
    """Find an effective diffusivity."""
    case = ranks.on_first(lambda: _ready_for_deff(options))
    if options.periodic:
        from microlith.workflow.studies.diffusivity_tensor import tensor

        show, bounds = not options.quiet, not options.no_bounds
        tensor(case, options.phase, options.output, show=show, force=options.force, bounds=bounds)
        return
    from microlith.workflow.studies.effective_diffusivity import deff

    axes = tuple(dict.fromkeys(options.axis))
    show, bounds = not options.quiet, not options.no_bounds
    asked = options.phase, axes, options.output
    deff(case, *asked, show=show, bounds=bounds, force=options.force, half_voxel=options.half_voxel)


def check_output_of_conduction(output: Path | None, force: bool) -> None:
    """Refuse a file or a folder for the figures, where one is named, that can't be written or would be overwritten.

    Raises:
        InputError: As said.
    """
    if output is None:
        return
    if output.suffix == ".json":
        for path in (output, output.with_suffix(".html")):
            check_output_file(argparse.Namespace(output=path, force=force), (".json", ".html"))
    elif re.fullmatch(r"\.[A-Za-z]\w{0,4}", output.suffix) and not output.is_dir():
        raise InputError(f"-o {output}: expected a file name ending in .json, or a folder, which has no such ending")
    else:
        check_output_folder(output, force, "deff")


def _ready_for_deff(options: argparse.Namespace) -> "Case":
    from microlith.workflow.case.read import load_case

    check_output_of_conduction(options.output, options.force)
    if options.periodic and options.axis:
        raise InputError("--axis and --periodic: the tensor is of all axes; leave one of the two out")
    if options.periodic and options.half_voxel:
        raise InputError(
            "--half-voxel and --periodic: the tensor is found of the image as it is; leave one of the two out"
        )
    return with_memory_check(load_case(options.case, transient=False), options)
