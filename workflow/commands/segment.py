"""The command `segment`: from grey values to labels."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from microlith.workflow.commands.arguments import (
    Commands,
    add_case,
    add_output_folder,
    check_output_folder,
    default_output,
)
from microlith.workflow.console.launch import Ranks

if TYPE_CHECKING:
    from microlith.workflow.segment.request import Request

SEGMENT_STEM = "segment"  # name of the file, where its folder names the results


def add_segment(commands: Commands) -> None:
    """Declare `segment`."""
    text = "make labels of grey values, and tell how sure they are"
    parser = commands.add("segment", segment, text, parallel=True)
    add_case(parser, "segmentation file, with [image], [filters] and [segmentation]")
    add_output_folder(parser, "CASE-segment")


def segment(options: argparse.Namespace, ranks: Ranks) -> None:
    """Segment an image."""
    request, output = ranks.on_first(lambda: _ready(options))
    from microlith.workflow.segment.run import segment

    segment(request, output, options.force, show=not options.quiet)


def _ready(options: argparse.Namespace) -> "tuple[Request, Path]":
    from microlith.workflow.segment.read import load_request

    request = load_request(options.case)
    output = options.output
    if output is None:
        name = default_output(options.case)
        is_named = options.case.stem == SEGMENT_STEM
        folder = options.case.absolute().resolve().parent.name
        output = name.with_name(f"{folder or 'case'}-segment" if is_named else f"{name.name}-segment")
    check_output_folder(output, options.force, "segment")
    return request, output
