"""The command `segment`: from a segmentation file to labels, report and pictures in a folder."""

import logging
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

from mpi4py import MPI

from microlith.imaging.errors import LONGEST_SENTENCE, InputError, printable
from microlith.imaging.parallel.collective import on_first_rank, on_root
from microlith.imaging.parallel.machine import peak_memory
from microlith.imaging.segmentation.cleanup import BYTES
from microlith.imaging.segmentation.grey_image import open_grey, refuse_too_large
from microlith.imaging.segmentation.rescaling import on_voxels
from microlith.imaging.segmentation.segment import Segmented, segmented
from microlith.imaging.volumes.disk_volumes import Workshop
from microlith.imaging.writing import write_text
from microlith.workflow.console.terminal import Stages, table_console
from microlith.workflow.results.folder import (
    HISTOGRAM_PICTURE,
    LABELS,
    MARGIN,
    SEGMENT,
    SEGMENT_PICTURE,
    SEGMENT_TEXT,
    result_folder,
)
from microlith.workflow.results.json_file import write_summary
from microlith.workflow.run.provenance import Provenance
from microlith.workflow.segment import pictures, report
from microlith.workflow.segment.files import write_tiff
from microlith.workflow.segment.request import Request

log = logging.getLogger(__name__)
LIBRARIES = ("numpy", "scipy", "scikit-image", "scikit-learn", "connected-components-3d", "edt")
WORK = ".volumes"  # folder of what is removed at the end


def segment(
    request: Request,
    output: Path,
    force: bool,
    *,
    show: bool = True,
    comm: MPI.Intracomm = MPI.COMM_WORLD,
    seen: Callable[[Segmented], None] | None = None,
) -> dict[str, Any]:
    """Segment an image and leave labels, report and pictures in the folder `output`; collective.

    Args:
        request: What to do.
        output: The result folder.
        force: Whether the results of an earlier segmentation are overwritten.
        show: Whether to print a table.
        comm: The ranks that share the work; they all see the folder.
        seen: Gets the volumes before they are removed, on rank 0.

    Returns:
        What segment.json says.

    Raises:
        InputError: The file, its image or the folder is at fault.
    """
    stages = Stages()
    with result_folder(output, force, comm, "segment") as folder:
        with work_folder(folder, comm) as work:
            found, told = performed(request, work, stages, comm)
            with stages.stage("results", "writing results"):
                names = on_first_rank(comm, lambda: _write(request, found, told, folder))
            if seen is not None:
                on_root(comm, seen, found)
        memory = comm.allreduce(peak_memory())
        told |= {"timings_s": stages.timings, "peak_memory_bytes": memory}
        on_root(comm, write_summary, folder / SEGMENT, told)
    if show:
        on_root(comm, _print, told)
    log.info("labels: %s", output / LABELS)
    log.info("results: %s", ", ".join(str(output / name) for name in (*names, SEGMENT)))
    return told


def without_files(request: Request, seen: Callable[[Segmented], None], comm: MPI.Intracomm) -> dict[str, Any]:
    """Segment an image without leaving anything; collective.

    Args:
        request: What to do.
        seen: Gets the volumes before they are removed, on rank 0.
        comm: The ranks that share the work.

    Returns:
        What segment.json would say.

    Raises:
        InputError: The file or its image is at fault.
    """
    with work_folder(None, comm) as work:
        found, told = performed(request, work, Stages(), comm)
        on_root(comm, seen, found)
    return told


@contextmanager
def work_folder(within: Path | None, comm: MPI.Intracomm) -> Iterator[Path]:
    """A folder for volumes that are worked on, seen by all ranks and removed at the end; collective."""
    if within is None:
        path = Path(on_first_rank(comm, lambda: tempfile.mkdtemp(prefix="microlith-segment-")))
    else:
        path = within / WORK
        on_root(comm, lambda: path.mkdir(mode=0o700))
    try:
        yield path
        comm.Barrier()  # nobody reads any more
    finally:
        if comm.rank == 0:
            shutil.rmtree(path, ignore_errors=True)


def performed(request: Request, work: Path, stages: Stages, comm: MPI.Intracomm) -> tuple[Segmented, dict[str, Any]]:
    """Segment an image; collective.

    Args:
        request: What to do.
        work: Folder for volumes, seen by all ranks.
        stages: Takes the times.
        comm: All ranks.

    Returns:
        The volumes in that folder, and what segment.json says of them.

    Raises:
        InputError: The file or its image is at fault.
    """
    provenance = Provenance.begin(comm)
    try:
        with stages.stage("segmentation", "segmenting") as tell:
            image = open_grey(request.image, comm)
            provenance = provenance.of_image(image, comm)
            for sentence in image.origin.warnings if comm.rank == 0 else ():
                log.warning("%s: %s", request.path, printable(sentence, LONGEST_SENTENCE))
            workshop = Workshop(work, comm)
            options = request.options
            after = on_voxels(image, request.rescale)
            cleaning = BYTES * comm.size if options.cleanup else 0
            columns = len(options.phases) if options.method == "regions" and options.depth and image.dim == 3 else 0
            deblur = len(options.phases) if options.deblur else 0
            refuse_too_large(image, after, workshop, len(options.moved), cleaning, columns, deblur)
            found = segmented(
                image,
                request.rescale,
                request.filters,
                options,
                workshop,
                request.few_is_grey,
                request.outside,
                tell,
            )
    except InputError as error:
        if not str(error).startswith("["):
            raise
        raise InputError(f"{request.path}: {error}") from error
    head = {
        "versions": {"microlith": version("microlith")} | {name: version(name) for name in LIBRARIES},
        "run": provenance.run_entries(),
        "image": provenance.image_entries(),
    }
    told = head | report.entries(request, found)
    warnings = report.warnings(told)
    told["warnings"] = [*image.origin.warnings, *warnings]
    if comm.rank == 0 and found.outside is not None:
        log.info("%s", report.outside_line(told["outside"]))
    for sentence in warnings if comm.rank == 0 else ():
        log.warning("%s: %s", request.path, sentence)
    return found, told


def _write(request: Request, found: Segmented, told: dict[str, Any], folder: Path) -> list[str]:
    """Write all files but segment.json; on one rank."""
    names = [LABELS, MARGIN]
    write_tiff(folder / LABELS, found.labels, found.dim, found.voxel_size, add=1)
    write_tiff(folder / MARGIN, found.margin, found.dim, found.voxel_size)
    for phase, moved in found.moved.items():
        for side, volume in (("smaller", moved.smaller), ("larger", moved.larger)):
            names.append(f"{side}-{phase}.tif")
            write_tiff(folder / names[-1], volume, found.dim, found.voxel_size, add=1)
    pictures.draw_sections(folder / SEGMENT_PICTURE, request.title, found)
    pictures.draw_histogram(folder / HISTOGRAM_PICTURE, request.title, found)
    write_text(folder / SEGMENT_TEXT, report.text(told))
    return [*names, SEGMENT_PICTURE, HISTOGRAM_PICTURE, SEGMENT_TEXT]


def _print(told: dict[str, Any]) -> None:
    from rich.table import Table

    table = Table("label", "phase", "volume fraction", "smaller", "larger", title=told["title"], title_justify="left")
    for name, phase in told["phases"].items():
        span = [phase.get(f"volume_fraction_{side}") for side in ("smaller", "larger")]
        cells = ["" if share is None else f"{100 * share:.2f} %" for share in span]
        table.add_row(str(phase["label"]), name, f"{100 * phase['volume_fraction']:.2f} %", *cells)
    table_console().print(table)
