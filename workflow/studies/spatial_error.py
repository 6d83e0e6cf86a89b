"""How far the curves of a run are off in space: the case solved once more on a coarser mesh.

The difference of two solutions, on the mesh and on one of cells twice as large, is the error of the mesh times
r^q − 1, r about 2 the ratio of the sizes and q the order. q is not known from two meshes; taken as 1, the difference
itself is the estimate. Where the error falls faster, as it does on most images (q from 1.3 to 2: chords for curved
interfaces, corners, and early times decide, not the degree), it is two to four times too large. It is too small where
the coarser mesh misses what the finer one misses too. On squares and cubes, which can't be larger without being of
another image, elements of one degree less are compared: this tells nothing about stairs against smooth surfaces.
"""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from mpi4py import MPI

from microlith.imaging.typing import Array
from microlith.workflow.prepare.meshed import Meshed, degree_of
from microlith.workflow.studies.richardson import enveloped
from microlith.workflow.studies.variant import Tell, Variant, is_everywhere, solved_variant

log = logging.getLogger(__name__)

COARSER = 2.0  # at 1.6, with its r − 1 = 0.6, some curves of the demo were off by more than the estimate
LOOSER = 3.0  # tolerance in time of the coarse run per that of the run


@dataclass(frozen=True, eq=False)
class SpatialError:
    """Estimated error in space of the region curves."""

    how: str  # it was estimated, for the reader
    cells: int  # of the coarser mesh
    unknowns: int  # of the coarser problem
    curves: dict[str, Array]  # region -> (times,) at the times of the curves, mol/m^3

    def largest(self, name: str) -> float:
        """Of one region over all times, mol/m^3."""
        return float(self.curves[name].max(initial=0.0))


def cheaper_variant(meshed: Meshed) -> tuple[Variant, str] | None:
    """The cheaper way to solve a case that its error is told from, and its description; None where there is none."""
    tolerance = min(0.5, LOOSER * meshed.case.time.tolerance)
    if meshed.method != "voxel":
        return Variant(coarseness=COARSER, tolerance=tolerance), "from a mesh twice as coarse"
    degree = degree_of(meshed.case, meshed.volume.dim)
    if degree == 1:
        return None
    return Variant(degree=degree - 1, tolerance=tolerance), f"from elements of degree {degree - 1}"


def spatial_error(
    meshed: Meshed, curves: Mapping[str, Array], comm: MPI.Intracomm, tell: Tell | None = None
) -> SpatialError | None:
    """Estimate the error in space of the curves of a run; collective.

    Where the coarser problem can't be solved a warning says why and there is no estimate: the run has its results.

    Args:
        meshed: The case and its mesh.
        curves: Region -> mean concentration, mol/m^3.
        comm: All ranks.
        tell: Called with a short sentence on how far it is.
    """
    cheaper = cheaper_variant(meshed)
    if cheaper is None:
        log.info("error in space not estimated: on voxels of degree 1 nothing cheaper tells it; see microlith converge")
        return None
    variant, how = cheaper
    try:
        with silent():
            other = solved_variant(meshed, variant, comm, tell)
    except Exception as error:
        if not is_everywhere(error, comm):
            raise
        log.warning("error in space not estimated: the coarser problem could not be solved (%s)", error)
        return None
    found = {name: enveloped(other.times, np.abs(curve - other.curves[name])) for name, curve in curves.items()}
    return SpatialError(how, other.cells, other.unknowns, found)


@contextmanager
def silent() -> Iterator[None]:
    """What a coarser or finer problem would warn of is not about the case."""
    logger = logging.getLogger("microlith")
    level = logger.level
    logger.setLevel(max(level, logging.ERROR))
    try:
        yield
    finally:
        logger.setLevel(level)
