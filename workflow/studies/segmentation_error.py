"""What the segmentation leaves open: the case solved once more with its interfaces moved either way.

They are moved by half a voxel, or to where two more label images have them, such as those that `microlith segment`
writes: there the grey values say how far.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from mpi4py import MPI

from microlith.imaging.errors import InputError, listed
from microlith.imaging.image.half_voxel import Shift
from microlith.imaging.image.load import label_volume
from microlith.imaging.image.volume import LabelVolume
from microlith.workflow.case.case import Case
from microlith.workflow.console.terminal import Stages
from microlith.workflow.prepare.checks import lost_regions
from microlith.workflow.prepare.connectivity import as_loaded
from microlith.workflow.prepare.meshed import Meshed, degree_of, file_named, mesh_of, read_image
from microlith.workflow.studies.options import refuse_phase
from microlith.workflow.studies.peaks import MATTERS
from microlith.workflow.studies.spatial_error import silent
from microlith.workflow.studies.variant import Outcome, Tell, Variant, is_everywhere, solved_variant

log = logging.getLogger(__name__)
HALF = "half a voxel along each axis"
SAME = 1e-6  # relative difference up to which two voxel sizes are one
NOT_CONNECTED = " (not connected)"  # end of the name of what is split off a source


@dataclass(frozen=True, eq=False)
class Segmentation:
    """Three solutions: on voxels of half the edge, or of three label images."""

    what: str  # is moved, for the reader
    as_is: Outcome  # nothing moved
    smaller: Outcome | None  # half a voxel smaller on each side, or as in the first image; None: it can't be solved
    larger: Outcome | None
    by: str = HALF  # how far, for the reader
    ways: tuple[str, str] = ("half a voxel smaller", "half a voxel larger")  # words for the two

    @property
    def is_half_a_voxel(self) -> bool:
        """Whether interfaces were moved by half a voxel, and not to where images have them."""
        return self.by == HALF

    @property
    def curves(self) -> tuple[str, ...]:
        """Regions that have a curve where nothing is moved."""
        return tuple(self.as_is.curves)

    @property
    def moved(self) -> dict[str, Outcome | None]:
        """The two others, by what reports call them."""
        return {"smaller": self.smaller, "larger": self.larger}

    def deviation(self, outcome: Outcome | None, name: str) -> tuple[float, float] | None:
        """Largest change of a curve, signed, per reference concentration, and when it is, s; None: there is no curve.

        It is of times from MATTERS of the end on: before, what differs between the meshes is larger than what moves.
        """
        if outcome is None or name not in outcome.curves:
            return None
        late = outcome.times >= MATTERS * outcome.times[-1]
        change = (outcome.relative[name] - self.as_is.relative[name])[late]
        at = int(np.abs(change).argmax())
        return float(change[at]), float(outcome.times[late][at])


def _own(meshed: Meshed) -> Variant:
    """How a case is solved to see what its interfaces change: with elements that err by less than that.

    On triangles and tetrahedra of degree 1 each mesh errs otherwise: half a voxel off the surface of a ball of 7.6
    voxels' radius, which changes the curve by 0.03, was told to change it by -0.02.
    """
    linear = meshed.method != "voxel" and degree_of(meshed.case, meshed.volume.dim) == 1
    return Variant(degree=2 if linear else None)


def segmentation(
    meshed: Meshed, moved: str | tuple[Path, Path], stages: Stages, comm: MPI.Intracomm
) -> tuple[Segmentation | None, tuple[str, ...]]:
    """Solve a case with interfaces moved; collective.

    Args:
        meshed: The case and its image.
        moved: Phase whose interfaces move by half a voxel, as of `by_half_a_voxel`; or two label images, as of
            `by_images`.
        stages: Takes the times.
        comm: All ranks.

    Returns:
        The solutions, none where that with nothing moved fails; and what could not be solved, in sentences, which rank
        0 has logged.

    Raises:
        InputError: There is no such phase.
    """
    warnings: list[str] = []
    if isinstance(moved, str):
        found = by_half_a_voxel(meshed, moved, stages, comm, warnings)
    else:
        found = by_images(meshed, moved, stages, comm, warnings)
    return found, tuple(warnings)


def by_images(
    meshed: Meshed, files: tuple[Path, Path], stages: Stages, comm: MPI.Intracomm, warnings: list[str]
) -> Segmentation | None:
    """Solve a case with two more label images of the same sample; collective.

    All else of the case stays, the sizes of the elements too.

    Args:
        meshed: The case and its image.
        files: The images, with the same labels, as `check_images` found them; crop, coarsen and voxel size of the case
            hold for them.
        stages: Takes the times.
        comm: All ranks.
        warnings: Takes what could not be solved.
    """
    case, own = meshed.case, _own(meshed)
    with stages.stage("segmentation, as it is", "the case's own labels, solving") as tell:
        as_is = _solved(lambda: (meshed, ()), own, "nothing moved", comm, tell, warnings)
    if as_is is None:
        return None
    names = tuple(file.name for file in files)
    if names[0] == names[1]:
        names = tuple(map(str, files))
    found: list[Outcome | None] = []
    for file, name in zip(files, names, strict=True):
        with stages.stage(f"segmentation, {name}", f"{name}, solving") as tell:
            found.append(_solved(partial(_of_image, case, file, comm), own, str(file), comm, tell, warnings))
    smaller, larger = found
    return Segmentation(
        "interfaces", as_is, smaller, larger, by=f"as in {files[0]} and {files[1]}", ways=(names[0], names[1])
    )


def _of_image(case: Case, file: Path, comm: MPI.Intracomm) -> tuple[Meshed, tuple[str, ...]]:
    """A case meshed with another image, without regions of which that has nothing, and these; collective."""
    with file_named(case):
        image = read_image(replace(_with_image(case, file), regions={}), comm)
        whole = replace(image.case, regions=case.regions)
        assert image.neighbours is not None  # as the case was held against the image
        lost = lost_regions(whole, image.volume, image.neighbours, comm)
        left = {name: shape for name, shape in case.regions.items() if name not in lost}
        if not left:
            raise InputError(f"{case.path}: [regions.{lost[0]}]: no part of it lies in a solved phase")
        image = replace(image, case=replace(whole, regions=left))
    return mesh_of(image.case, case.physics.solved, Stages(), comm, image=image), lost


def _solved(
    meshed: Callable[[], tuple[Meshed, tuple[str, ...]]],
    variant: Variant,
    what: str,
    comm: MPI.Intracomm,
    tell: Tell,
    warnings: list[str],
) -> Outcome | None:
    """One of the solutions; what fails, and regions that are lost, are told here and in the list; collective.

    Args:
        meshed: Gives the case on its mesh, and regions that were left out.
        variant: How it is solved.
        what: Is solved, for the reader.
        comm: All ranks.
        tell: Called with a short sentence on how far it is.
        warnings: Takes the sentences.
    """
    try:
        with silent():
            on_mesh, left_out = meshed()
            outcome = solved_variant(on_mesh, variant, comm, tell, partly=True)
    except Exception as error:
        if not is_everywhere(error, comm):
            raise
        warnings.append(f"--segmentation, {what}: could not be solved and is left out ({error})")
        log.warning("%s", warnings[-1])
        return None
    outcome = replace(outcome, lost=left_out + outcome.lost)
    if outcome.lost:
        gone = f"region {outcome.lost[0]} has" if len(outcome.lost) == 1 else f"regions {listed(outcome.lost)} have"
        curves = "its curve is" if len(outcome.lost) == 1 else "their curves are"
        warnings.append(f"--segmentation, {what}: {gone} nothing left of the solved phases, so {curves} left out there")
        log.warning("%s", warnings[-1])
    log.info("%s: %d cells, %.1f s", what, outcome.cells, outcome.seconds)
    return outcome


def check_images(case: Case, files: tuple[Path, Path], volume: LabelVolume, comm: MPI.Intracomm) -> None:
    """Refuse label images that are none of the case's sample, before anything is meshed and solved; collective.

    Args:
        case: With its image.
        files: The other images.
        volume: The image of the case.
        comm: All ranks.

    Raises:
        InputError: One can't be read, has other labels, or has another shape or voxel size.
    """
    for file in files:
        try:
            with file_named(case):
                other = label_volume(_with_image(case, file).image, as_loaded(case).labels, comm)
            _refuse_other(volume, other)
        except InputError as error:
            raise InputError(f"--segmentation {file}: {error}") from error


def _with_image(case: Case, file: Path) -> Case:
    """The case with another image, of which it says the same."""
    path = file.absolute()
    return replace(case, image=replace(case.image, path=str(path), folder=str(path.parent), held=None))


def _refuse_other(mine: LabelVolume, its: LabelVolume) -> None:
    """Refuse an image of another shape or voxel size."""
    if mine.shape != its.shape:
        its_shape, shape = (" x ".join(str(n) for n in volume.shape[::-1]) for volume in (its, mine))
        raise InputError(f"has {its_shape} voxels, the image of the case {shape}; take all from one segmentation")
    if any(abs(a / b - 1) > SAME for a, b in zip(mine.voxel_size, its.voxel_size, strict=True)):
        raise InputError("its voxels have another size than those of the image of the case")


def by_half_a_voxel(
    meshed: Meshed, phase: str, stages: Stages, comm: MPI.Intracomm, warnings: list[str]
) -> Segmentation | None:
    """Solve a case with interfaces moved by half a voxel; collective.

    All three problems have meshes of the image on voxels of half the edge, so that nothing but the interfaces differs;
    the faces of the image stay where they are.

    Args:
        meshed: The case and its image.
        phase: Name of the phase that grows and shrinks at the cost and to the gain of all others; "": all solved
            phases together.
        stages: Takes the times.
        comm: All ranks.
        warnings: Takes what could not be solved.

    Raises:
        InputError: There is no such phase.
    """
    moving, what = _moving(meshed.case, phase)
    own = _own(meshed)
    others = tuple(i for i in range(len(meshed.case.labels)) if i not in moving)
    shifts = {
        "as it is": None,
        "half a voxel smaller": Shift(growing=others, yielding=moving),
        "half a voxel larger": Shift(growing=moving, yielding=others),
    }
    found: list[Outcome | None] = []
    for words, shift in shifts.items():
        variant = replace(own, finer_image=True, shift=shift)
        with stages.stage(f"segmentation, {words}", f"{what} {words}, solving") as tell:
            found.append(_solved(lambda: (meshed, ()), variant, f"{what} {words}", comm, tell, warnings))
        if found[0] is None:  # nothing to compare with
            return None
    as_is, smaller, larger = found
    assert as_is is not None
    return Segmentation(what, as_is, smaller, larger)


def _moving(case: Case, phase: str) -> tuple[tuple[int, ...], str]:
    """Indices of the phases that move together, and their name."""
    names = [labels.name for labels in case.labels]
    solved = case.physics.solved
    if not phase and len(solved) < len(names):
        return solved, "the solved phases" if len(solved) > 1 else names[solved[0]]
    if len(names) == 1:
        raise InputError(f"--segmentation: {case.path} has one phase only, so there is no interface to move")
    if not phase:
        phase = next(iter(case.mesh.size), names[0])
    refuse_phase(case, phase)
    return tuple(i for i, name in enumerate(names) if name in (phase, phase + NOT_CONNECTED)), phase
