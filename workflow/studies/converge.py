"""How much the curves of a case depend on its mesh, its degree, its tolerance and its segmentation.

The study of mesh independence that a careful publication has in its supplement, in one command: the case is solved with
all its element sizes times 2, √2 and 1, with elements of a degree more, and with a tenth of its tolerance.
"""

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np

from mpi4py import MPI

from microlith.imaging.image.volume import LabelVolume
from microlith.imaging.parallel.collective import on_first_rank, on_root
from microlith.workflow.case.case import Case
from microlith.workflow.console.terminal import Stages
from microlith.workflow.pictures.figure import files_of
from microlith.workflow.prepare.assemble import log_report
from microlith.workflow.prepare.meshed import Meshed, degree_of, mesh_of, with_areas
from microlith.workflow.report.of_folder import write_report
from microlith.workflow.results.folder import (
    CONVERGE,
    CONVERGE_PICTURE,
    CONVERGE_TABLE,
    REPORT,
    SEGMENTATION_PICTURE,
    result_folder,
)
from microlith.workflow.studies import figures as pictures, report
from microlith.workflow.studies.advice import advised
from microlith.workflow.studies.peaks import MATTERS
from microlith.workflow.studies.richardson import cell_size, convergence, enveloped
from microlith.workflow.studies.segmentation_error import check_images, segmentation
from microlith.workflow.studies.spatial_error import silent
from microlith.workflow.studies.study import RegionErrors, Study
from microlith.workflow.studies.variant import Outcome, Variant, is_everywhere, solved_variant

log = logging.getLogger(__name__)
LEVELS = 3  # where the user names no number
LEVELS_OF_CUBES = 2  # the same on cubes, of which each level has eight times as many, and 27 times
COARSEST = 2.0  # times the sizes of the case
STEP = 2.0**0.5  # from level to level
STRICTER = 0.1  # tolerance of the run that tells the true error in time
NOISE = 0.2  # of the estimated error in time: what differences between meshes may well owe to it
HIGHEST_DEGREE = 3
BY_DEGREE = 1.25  # on the difference to elements of a degree more, as these err by a fifth as much or less
CLOSE = 1e-6  # of a coarseness
MESHING = ("mesh", "distribution")  # stages that the case's own mesh took


def coarsenesses(method: str, dim: int, levels: int | None) -> list[float]:
    """Factors on the sizes of a case, decreasing; 1, the case itself, is always there.

    Squares and cubes can't be larger than the pixels and voxels, so they are halved, cut in three and so on.
    """
    if method == "voxel":
        return [1.0 / (i + 1) for i in range(levels or (LEVELS if dim == 2 else LEVELS_OF_CUBES))]
    if levels == 1:
        return [1.0]
    if levels == 2:
        return [COARSEST, 1.0]
    return [COARSEST / STEP**i for i in range(levels or LEVELS)]


def converge(
    case: Case,
    output: Path,
    force: bool,
    levels: int | None = None,
    wanted: float | None = None,
    moved: str | tuple[Path, Path] | None = None,
    *,
    show: bool = True,
    comm: MPI.Intracomm = MPI.COMM_WORLD,
) -> Study:
    """Study a case and leave table, figures and pictures in the folder `output`; collective.

    Args:
        case: What to study.
        output: The result folder.
        force: Whether the results of an earlier study are overwritten.
        levels: As of `studied`.
        wanted: As of `studied`.
        moved: As of `studied`.
        show: Whether to print tables.
        comm: The ranks that share the work.

    Raises:
        InputError: The case, its image, the phase or the folder is at fault.
    """
    with result_folder(output, force, comm, "converge") as folder:
        study = studied(case, levels, wanted, moved, comm)
        names = on_first_rank(comm, lambda: write_study(study, folder))
    on_root(comm, report.tell, study, show)
    log.info("results: %s", ", ".join(str(output / name) for name in names))
    return study


def studied(
    case: Case,
    levels: int | None = None,
    wanted: float | None = None,
    moved: str | tuple[Path, Path] | None = None,
    comm: MPI.Intracomm = MPI.COMM_WORLD,
) -> Study:
    """Study a case; nothing is printed or written; collective.

    Args:
        case: What to study.
        levels: Number of meshes; 1: the case's alone, nothing is extrapolated; None: 3, of cubes 2.
        wanted: Error in space for which sizes are told; None: they are not.
        moved: Phase whose interfaces are moved by half a voxel, "": all between solved and unsolved phases; or two
            label images with interfaces moved either way; None: none.
        comm: The ranks that share the work.

    Raises:
        InputError: The case, its image or the phase is at fault.
    """
    stages = Stages()

    def others_fit(volume: LabelVolume) -> None:
        if isinstance(moved, tuple):
            check_images(case, moved, volume, comm)

    meshed = mesh_of(case, case.physics.solved, stages, comm, seen=others_fit)
    on_root(comm, log_report, meshed)
    meshed = with_areas(_as_taken(meshed), meshed.case.physics)
    study = _study(meshed, levels, stages, comm)
    if moved is not None:
        found, said = segmentation(meshed, moved, stages, comm)
        study = replace(study, segmentation=found, warnings=study.warnings + said)
    return study if wanted is None else replace(study, advice=advised(study, meshed, wanted))


def write_study(study: Study, folder: Path) -> list[str]:
    """Write table, figures and pictures of a study into a folder; on one rank.

    Returns:
        Names of the files.

    Raises:
        InputError: A file can't be written.
    """
    report.write_table(folder / CONVERGE_TABLE, study)
    report.write_figures(folder / CONVERGE, study)
    names = [CONVERGE, CONVERGE_TABLE]
    if len(study.levels) > 1:
        pictures.draw_convergence(folder / CONVERGE_PICTURE, study)
        names += [file.name for file in files_of(folder / CONVERGE_PICTURE, study.case.pictures)]
    if study.segmentation is not None:
        pictures.draw_segmentation(folder / SEGMENTATION_PICTURE, study.segmentation, study.case)
        names += [file.name for file in files_of(folder / SEGMENTATION_PICTURE, study.case.pictures)]
    write_report(folder, "converge")
    return [*names, REPORT]


def _as_taken(meshed: Meshed) -> Meshed:
    """The same with the method and degree that the case leaves open."""
    case = meshed.case
    mesh = replace(case.mesh, method=meshed.method)
    return replace(meshed, case=replace(case, mesh=mesh, degree=degree_of(case, meshed.volume.dim)))


def _study(meshed: Meshed, levels: int | None, stages: Stages, comm: MPI.Intracomm) -> Study:
    case, dim = meshed.case, meshed.volume.dim
    degree = degree_of(case, dim)
    wanted = coarsenesses(meshed.method, dim, levels)
    variants = [Variant(1.0 if abs(k - 1.0) < CLOSE else k) for k in wanted]
    several = len(variants) > 1
    more = (1 + (degree < HIGHEST_DEGREE)) if several else 0
    count = len(variants) + more
    found: list[Outcome] = []
    warnings: list[str] = []
    for number, variant in enumerate(variants, 1):
        own = variant.coarseness == 1.0
        outcome = _solved(meshed, variant, f"run {number} of {count}", stages, comm, warnings, needed=own)
        if outcome is not None and own:  # whose mesh is there already
            outcome = replace(outcome, seconds=outcome.seconds + sum(stages.timings[key] for key in MESHING))
        found += [outcome] if outcome is not None else []
    base = next(outcome for outcome in found if outcome.variant.coarseness == 1.0)
    higher = stricter = None
    if several:
        variant = replace(found[0].variant, tolerance=STRICTER * case.time.tolerance)
        stricter = _solved(meshed, variant, f"run {len(variants) + 1} of {count}", stages, comm, warnings)
        if degree < HIGHEST_DEGREE:
            higher = _solved(meshed, Variant(degree=degree + 1), f"run {count} of {count}", stages, comm, warnings)
    outcomes = _decreasing(found, base)
    regions = {name: _region(name, outcomes, base, higher, stricter, found[0], degree, dim) for name in base.curves}
    return Study(case, dim, tuple(found), base, higher, stricter, regions, None, None, stages.timings, tuple(warnings))


def _decreasing(found: list[Outcome], base: Outcome) -> list[Outcome]:
    """The outcomes whose cells get smaller one after the other, the case among them.

    Coarser meshes than the voxels let be do not exist: two of them may be the same.
    """
    kept = [base]
    place = found.index(base)
    for outcome in found[:place][::-1]:
        kept = [outcome, *kept] if outcome.cells < kept[0].cells else kept
    for outcome in found[place + 1 :]:
        kept = [*kept, outcome] if outcome.cells > kept[-1].cells else kept
    return kept


def _solved(
    meshed: Meshed,
    variant: Variant,
    number: str,
    stages: Stages,
    comm: MPI.Intracomm,
    warnings: list[str],
    *,
    needed: bool = False,
) -> Outcome | None:
    """One run of the study; where it fails and is not needed, a warning says so, here and in the list; collective."""
    with stages.stage(described(variant, degree_of(meshed.case, meshed.volume.dim)), f"{number}, solving") as tell:
        try:
            with silent():
                outcome = solved_variant(meshed, variant, comm, tell)
        except Exception as error:
            if needed or not is_everywhere(error, comm):
                raise
            warnings.append(f"{number}: {_words(variant)} could not be solved and is left out ({error})")
            log.warning("%s", warnings[-1])
            return None
    log.info(
        "%s, %s: %d cells, %d unknowns of degree %d, %.1f s",
        number,
        _words(variant),
        outcome.cells,
        outcome.unknowns,
        outcome.degree,
        outcome.seconds,
    )
    return outcome


def _words(variant: Variant) -> str:
    if variant.tolerance is not None:
        return f"sizes × {variant.coarseness:.3g} with a tenth of the tolerance"
    if variant.degree is not None:
        return "the case with a degree more"
    return "the case as given" if variant.coarseness == 1.0 else f"sizes × {variant.coarseness:.3g}"


def described(variant: Variant, degree: int) -> str:
    """A variant as a key of timings."""
    text = f"sizes_x_{variant.coarseness:.3g}_degree_{variant.degree or degree}"
    return text if variant.tolerance is None else f"{text}_tolerance_{variant.tolerance:g}"


def _region(
    name: str,
    levels: list[Outcome],
    base: Outcome,
    higher: Outcome | None,
    stricter: Outcome | None,
    coarsest: Outcome,
    degree: int,
    dim: int,
) -> RegionErrors:
    own = base.relative[name]
    law = space = None
    if len(levels) > 1:
        sizes = np.array([cell_size(outcome.cells, dim) for outcome in levels])
        noise = NOISE * max(outcome.error_in_time for outcome in levels)
        law = convergence(sizes, np.array([outcome.relative[name] for outcome in levels]), degree, noise)
        space = law.error(cell_size(base.cells, dim))
        # A coarser mesh that differs by less than its law says has the last word where no order is established.
        if law.order is None:
            space = np.max([np.abs(own - outcome.relative[name]) for outcome in levels], axis=0)
    # Meshes that are hardly coarser have much the same errors, of which elements of a degree more tell most.
    if higher is not None:
        least = BY_DEGREE * np.abs(higher.relative[name] - own)
        space = least if space is None else np.maximum(space, least)
    if space is not None:
        space = enveloped(base.times, space)
    return RegionErrors(
        law=law,
        space=space,
        time=base.error_in_time,
        time_checked=None if stricter is None else _apart(stricter, coarsest, name),
        time_of_check=None if stricter is None else coarsest.error_in_time,
        by_degree=None if higher is None else _apart(higher, base, name),
        holds=base.holds[name] / base.reference,
        times=base.times,
        by_degree_late=None if higher is None else _apart(higher, base, name, MATTERS * base.times[-1]),
    )


def _apart(one: Outcome, other: Outcome, name: str, start: float = 0.0) -> float:
    """Largest difference of two curves from a time (s) on."""
    late = other.times >= start
    return float(np.abs(one.relative[name] - other.relative[name])[late].max(initial=0.0))
