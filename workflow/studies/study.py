"""What a study of a case finds: the solutions, and the errors that they tell."""

from dataclasses import dataclass

import numpy as np

from microlith.imaging.typing import Array
from microlith.workflow.case.case import Case
from microlith.workflow.studies.peaks import Peak, late_and_early
from microlith.workflow.studies.richardson import Convergence, cell_size
from microlith.workflow.studies.segmentation_error import Segmentation
from microlith.workflow.studies.variant import Outcome


@dataclass(frozen=True, eq=False)
class RegionErrors:
    """What the study says of one region; errors of the case as given, per reference concentration but in `peaks`."""

    law: Convergence | None  # in the size of the cells; None: there is one level only
    space: Array | None  # (times,) estimated error in space; None: nothing tells it
    time: float  # estimated error in time
    time_checked: float | None  # the true one on the coarsest mesh, from a tenth of the tolerance
    time_of_check: float | None  # what was estimated there
    by_degree: float | None  # largest difference to elements of a degree more
    holds: float  # largest mean that the region has, or would have in equilibrium, per reference concentration
    times: Array  # (times,) of the curves, s
    by_degree_late: float | None  # as by_degree, from a thousandth of the end on

    @property
    def largest(self) -> float | None:
        """Estimated error in space, over all times."""
        return None if self.space is None else float(self.space.max(initial=0.0))

    @property
    def peaks(self) -> tuple[Peak, Peak | None] | None:
        """The largest error in space from a thousandth of the end on, and that before, per what the region holds."""
        return None if self.space is None else late_and_early(self.times, np.divide(self.space, self.holds))


@dataclass(frozen=True)
class Advice:
    """Sizes for a wanted error in space."""

    wanted: float  # from a thousandth of the end on, per what a region holds
    needed: float  # factor on all sizes of the case that gives it
    needed_size: float  # the smallest of the sizes then, m
    factor: float  # the same, but so that no size falls below a pixel
    expected: float  # error with these sizes
    pixel: float  # shortest edge of a voxel, m
    size: dict[str, float]  # phase -> m
    size_max: float  # m
    unknowns: float  # about how many
    deciding: str  # region
    sentences: tuple[str, ...]  # what to be careful about


@dataclass(frozen=True, eq=False)
class Study:
    """All that was solved, and what it says."""

    case: Case  # with its degree
    dim: int
    levels: tuple[Outcome, ...]  # from coarse to fine
    base: Outcome  # of these, the case as given
    higher: Outcome | None  # of a degree more
    stricter: Outcome | None  # the coarsest with a tenth of the tolerance
    regions: dict[str, RegionErrors]
    segmentation: Segmentation | None  # None: not asked for
    advice: Advice | None  # None: not asked for, or there is one level only
    seconds: dict[str, float]  # stage -> s
    warnings: tuple[str, ...] = ()  # what could not be done, in sentences

    def size(self, outcome: Outcome) -> float:
        """Size of the cells of an outcome, per size of those of the case."""
        return cell_size(outcome.cells, self.dim) / cell_size(self.base.cells, self.dim)
