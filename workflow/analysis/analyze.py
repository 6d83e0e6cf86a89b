"""From the image of a case to all that is measured in it, and to the folder of these figures."""

import logging
from pathlib import Path

from mpi4py import MPI

from microlith.imaging.parallel.collective import on_first_rank, on_root
from microlith.imaging.parallel.machine import return_memory
from microlith.workflow.analysis.analysis import Analysis
from microlith.workflow.analysis.no_error import with_reasons
from microlith.workflow.analysis.report import print_numbers
from microlith.workflow.analysis.representativeness import REPRESENTATIVENESS, with_errors
from microlith.workflow.analysis.writing import write_analysis
from microlith.workflow.case.case import Case
from microlith.workflow.console.terminal import Stages
from microlith.workflow.measurements.findings import Finding
from microlith.workflow.measurements.subject import subject_of
from microlith.workflow.measurements.table import DIFFUSIVITY, MEASUREMENTS
from microlith.workflow.measurements.whole_image import ALONE, at_once, refuse_too_large
from microlith.workflow.prepare.meshed import file_named, read_image
from microlith.workflow.results.folder import result_folder
from microlith.workflow.run.provenance import Provenance

log = logging.getLogger(__name__)


def analyze(
    case: Case, output: Path, force: bool, *, show: bool = True, comm: MPI.Intracomm = MPI.COMM_WORLD
) -> Analysis:
    """Measure the image of a case and leave figures, tables and pictures in the folder `output`; collective.

    Args:
        case: Image, phases and [analysis] of it count.
        output: The result folder.
        force: Whether the results of an earlier analysis are overwritten.
        show: Whether to print the figures.
        comm: The ranks that share the work.

    Raises:
        InputError: The case, its image or the folder is at fault.
    """
    with result_folder(output, force, comm, "analyze") as folder:
        found = analyzed(case, comm)
        names = on_first_rank(comm, lambda: write_analysis(found, folder))
    if show:
        on_root(comm, print_numbers, case.title, found.numbers)
    if comm.rank == 0:
        log.info("results: %s", ", ".join(str(output / name) for name in names))
    return found


def analyzed(case: Case, comm: MPI.Intracomm = MPI.COMM_WORLD) -> Analysis:
    """Measure the image of a case; nothing is printed or written; collective.

    Args:
        case: Image, phases and [analysis] of it count.
        comm: The ranks that share the work.

    Raises:
        InputError: The case or its image is at fault.
    """
    stages = Stages()
    findings: dict[str, Finding] = {}
    together: dict[str, Finding] | None = None
    told: set[str] = set()
    provenance = Provenance.begin(comm)
    with file_named(case):
        with stages.stage("image", "reading the image"):
            volume = read_image(case, comm, check=False).volume
        provenance = provenance.of_image(volume, comm)
        subject = subject_of(case, volume, comm)
        # In the table's order, whatever the case's, so that areas and faces are found once for all that need them.
        every = (*MEASUREMENTS, REPRESENTATIVENESS)
        wanted = set(case.analysis.measure or every) - {DIFFUSIVITY} | ({DIFFUSIVITY} if case.analysis.deff else set())
        asked = tuple(name for name in every if name in wanted)
        refuse_too_large(case, subject, asked)
        return_memory()
        subject.load()
        for name in asked:
            if name == REPRESENTATIVENESS:
                continue
            if name in ALONE and together is None:
                together = at_once(subject, asked, stages)
            if together and name in together:
                findings[name] = together[name]
            else:
                measure, doing = MEASUREMENTS[name]
                with stages.stage(name, doing):
                    findings[name] = measure(subject)
            for note in findings[name].notes if comm.rank == 0 else ():
                why = note.partition(": ")[2] or note  # the same for all that is measured of a phase that is not there
                if why not in told:
                    log.warning("%s", note)
                told.add(why)
        if REPRESENTATIVENESS in asked:
            with stages.stage(REPRESENTATIVENESS, "measuring parts of the image"):
                findings = with_errors(subject, findings)
        findings = with_reasons(findings, REPRESENTATIVENESS in asked)
    return Analysis(case, volume, provenance, findings, stages.timings)
