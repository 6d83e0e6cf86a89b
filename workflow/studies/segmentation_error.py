"""What the segmentation leaves open: the case solved once more with its interfaces moved by half a voxel either way."""

import logging
from dataclasses import dataclass

import numpy as np

from mpi4py import MPI

from microlith.imaging.errors import InputError
from microlith.imaging.image.half_voxel import Shift
from microlith.workflow.case.case import Case
from microlith.workflow.console.terminal import Stages
from microlith.workflow.prepare.meshed import Meshed
from microlith.workflow.studies.options import refuse_phase
from microlith.workflow.studies.spatial_error import silent
from microlith.workflow.studies.variant import Outcome, Variant, solved_variant

log = logging.getLogger(__name__)
NOT_CONNECTED = " (not connected)"  # end of the name of what is split off a source


@dataclass(frozen=True, eq=False)
class Segmentation:
    """Three solutions on voxels of half the edge."""

    what: str  # is moved, for the reader
    as_is: Outcome  # nothing moved
    smaller: Outcome  # it is half a voxel smaller on each side
    larger: Outcome

    def deviation(self, outcome: Outcome, name: str) -> tuple[float, float]:
        """Largest change of a curve, signed, per reference concentration, and when it is, s."""
        change = outcome.relative[name] - self.as_is.relative[name]
        at = int(np.abs(change).argmax())
        return float(change[at]), float(outcome.times[at])


def segmentation(meshed: Meshed, phase: str, stages: Stages, comm: MPI.Intracomm) -> Segmentation:
    """Solve a case with interfaces moved by half a voxel; collective.

    All three problems have meshes of the image on voxels of half the edge, so that nothing but the interfaces differs;
    the faces of the image stay where they are.

    Args:
        meshed: The case and its image.
        phase: Name of the phase that grows and shrinks at the cost and to the gain of all others; "": all solved
            phases together.
        stages: Takes the times.
        comm: All ranks.

    Raises:
        InputError: There is no such phase, or nothing is left of the solved phases where they shrink.
    """
    moving, what = _moving(meshed.case, phase)
    others = tuple(i for i in range(len(meshed.case.labels)) if i not in moving)
    shifts = {
        "as it is": None,
        "half a voxel smaller": Shift(growing=others, yielding=moving),
        "half a voxel larger": Shift(growing=moving, yielding=others),
    }
    found = []
    for words, shift in shifts.items():
        with stages.stage(f"segmentation, {words}", f"{what} {words}, solving") as tell, silent():
            found.append(solved_variant(meshed, Variant(finer_image=True, shift=shift), comm, tell))
        log.info("%s %s: %d cells, %.1f s", what, words, found[-1].cells, found[-1].seconds)
    return Segmentation(what, *found)


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
