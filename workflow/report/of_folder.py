"""The report of what a command left in a folder: a run, a sweep, an analysis, a convergence study, or what conducts."""

from pathlib import Path

from microlith.imaging.writing import write_text
from microlith.workflow.report.of_analysis import analysis_page
from microlith.workflow.report.of_conduction import conduction_page
from microlith.workflow.report.of_convergence import convergence_page
from microlith.workflow.report.of_fit import fit_page
from microlith.workflow.report.of_run import run_page
from microlith.workflow.report.of_sweep import sweep_page
from microlith.workflow.report.page import Page
from microlith.workflow.report.sections import MadeOf, page_of
from microlith.workflow.results.folder import (
    ANALYSIS,
    CONDUCTION,
    CONVERGE,
    FIT,
    REPORT,
    SUMMARY,
    SWEEP,
    Writer,
    finish_if_free,
)
from microlith.workflow.results.read import refuse_case_file

# Command -> the file of its results that a report is made of, and what makes it
KINDS: dict[Writer, tuple[str, MadeOf]] = {
    "analyze": (ANALYSIS, analysis_page),
    "converge": (CONVERGE, convergence_page),
    "deff": (CONDUCTION, conduction_page),
    "fit": (FIT, fit_page),
    "sweep": (SWEEP, sweep_page),
}


def folder_page(folder: Path) -> tuple[Page, Writer]:
    """The report of a folder, and the command whose results it shows: those of a run where there are several.

    Args:
        folder: Of results; or the JSON file of `deff`.

    Raises:
        InputError: There is no such folder, nothing in it that has a report, or it can't be read.
    """
    if folder.is_file():
        refuse_case_file(folder)
        return page_of(folder, conduction_page), "deff"
    if folder.is_dir():
        finish_if_free(folder)
        if not (folder / SUMMARY).is_file():
            for writer, (name, made) in KINDS.items():
                if (folder / name).is_file():
                    return page_of(folder / name, made), writer
    return run_page(folder), "run"


def write_report(folder: Path, writer: Writer) -> None:
    """Write report.html into a folder that holds the other files of a command.

    Raises:
        InputError: One of them can't be read, or the report can't be written.
    """
    name, made = KINDS[writer]
    write_text(folder / REPORT, page_of(folder / name, made).html())
