"""How far the curves of a run are off in space: from its own gradients, a coarser mesh, or another way to solve it.

Of linear elements on triangles and tetrahedra, recovered gradients tell the error, with its sign, without another solve
(see solver/krylov/spatial_error). In the worst of the regions of 12 images that was 0.6 to 1.8 times the error; times
RECOVERED it is the estimate. It is least where the layer that fills is thinner than an element; there no estimate is
taken to be less than what such elements err by in a half space (see solver/guard/thin_layers). What is solved step by
step has it along its steps (see solver/steps/deviation).

Where transfer coefficients change in steps, or the degree is higher, the case is solved once more. The difference of
two solutions, on the mesh and on one of cells twice as large, is the error of the mesh times r^q − 1, r about 2 the
ratio of the sizes and q the order. q is not known from two meshes; taken as 1, the difference itself is the estimate.
Where the error falls faster, as it does on most images (q from 1.3 to 2: chords for curved interfaces, corners, and
early times decide, not the degree), it is two to four times too large, and more on images of few voxels, which the
coarser mesh follows no longer. It is too small where the coarser mesh misses what the finer one misses too.

On a lattice with degree 2 and more, what is left is mostly how closely the mesh follows the image, which a
mesh twice as coarse often does no longer: half of the difference to it was up to 25 times the error. So the other mesh
is √2 times as coarse. By the numbers of cells that of an image of few voxels comes out 1.0 to 2.3 times as coarse, so r
is measured, and q taken as ORDER. How closely meshes follow an image varies by chance, and falls with no power: so no
less than half of the difference is taken, HALF, unless the coarser mesh is more than twice as coarse. Where the coarser
mesh loses the image, as small gaps close on it, elements of degree 1 on the same mesh say so: they err by more than
four times as much, and a quarter of the difference to them is enough; half of it, where the difference to the coarser
mesh is more than LOST times as large, as necks of a voxel then decide, which the mesh itself follows poorly.
Elsewhere no less than CHANCE times what the coarser mesh says is taken: linear elements on the same mesh see nothing of
how closely it follows the image, and in thin regions little else may be left. There two meshes may agree by chance, so
no less is taken than a part of the difference to linear elements: PROPORTION times what the coarser mesh differs by in
the region in which it does most, per what linear elements do, and LITTLE at most.

Where an image has too few voxels for a coarser mesh to be any coarser, elements of one degree less tell
the error, or, of degree 1, those of degree 2 on the same mesh: the difference to the same mesh would be none. If it is
another mesh of as many cells, on a lattice with degree 2 and more, no less than what it says is taken.

Meshes of other programs can't be made coarser. With degree 2 on tetrahedra a quarter of the difference to linear
elements is the estimate: on the meshes of seven images the error, against degree 3, was 0.01 to 0.09 of the difference.

Squares and cubes can't be larger without being of another image. Of degree 2 and 3 they are compared with elements of
one degree less. Of degree 1 they are compared with finite differences on the same voxels: the same elements with the
integrals taken at their corners. Where the solution is smooth both err by the same, one too far and one not far enough
(modes decay with λ (1 ± λ h²/12)), and at corners of the voxels finite differences err in the same direction by twice
as much: the difference is twice the error, or the error. On images of blobs, slits and a maze it was 0.5 to 1.6 of the
error, and the estimate is twice the difference. In between, when a layer that fills is a few voxels thick, both may
agree where neither is right. There the error of earlier times counts, as it fades like t^(-3/2): beside a surface that
has been filled at once, where c = 1 − erf(x/√(4Dt)), that of both is in proportion to h² x t^(-3/2). What both
lack is what the concentration bends by between the nodes: h²/12 times its curvature in each mean. That is all that is
wrong where a held concentration rises steadily, and most of it where the diffusivity follows a law or lithium decays
within a few voxels. In these cases elements of degree 2 on the same voxels are compared as well, unless there are too
many of them. All of this tells nothing about stairs against smooth surfaces.
"""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np

from mpi4py import MPI

from microlith.imaging.typing import Array
from microlith.solver.keeping import Keeper
from microlith.solver.krylov.deviation import Deviation
from microlith.solver.transient import Transient
from microlith.workflow.prepare.assemble import Prepared
from microlith.workflow.prepare.meshed import (
    COARSER,
    LESS_COARSE,
    Meshed,
    degree_of,
    is_less_coarse,
    is_told_by_quadratic,
    stays_bent,
)
from microlith.workflow.results.particle_curves import ParticleCurves
from microlith.workflow.studies.richardson import enveloped
from microlith.workflow.studies.variant import Tell, Variant, correctable, is_everywhere, solved_variant

log = logging.getLogger(__name__)

LOOSER = 3.0  # tolerance in time of the coarse run per that of the run
FADING = 1.5  # power of the time
ORDER = 3.5  # of degree 2 and more on a lattice: any from 3.25 to 4.5 told 21 of 24 in 3D to a factor of 3, 3.0 told 18
LEAST_RATIO = 1.3  # of sizes, in ratio^ORDER - 1: meshes that are closer than that differ by chance as much as by size
HALF = 0.5  # of the difference to a mesh that is coarser, but no more than TWICE as coarse, is the least error
TWICE = 2.0
LOST = 3.0  # times the difference to linear elements: if that to a coarser mesh is larger, it has lost the image
OF_LINEAR = 0.25  # on the difference to elements of degree 1
CHANCE = 0.3  # of what a coarser mesh says is the least error: how closely a mesh follows an image others don't see
# Two meshes may agree in a region by chance: of the difference to linear elements the least error is PROPORTION times
# what the coarser mesh differs by where it does most, per what linear elements do, and this at most
LITTLE, PROPORTION = 0.08, 0.3
COARSE = 1.25  # least size of a coarser mesh, per size of the mesh, that is worth a comparison,
LESS = 1.1  # and of one that is only √2 times as coarse, as well as of both within each phase
FEWEST_CELLS = 0.01  # share of all cells in a phase, below which it is not looked at by itself
RECOVERED = 1.5  # on the deviation that recovered gradients tell
LEFT = 0.7  # on the same, where curves are corrected by it
# What a mean over a surface lacks is no less than this part of the root mean square over it: recovered gradients know
# less at surfaces, and not how much of what has both signs there cancels
OF_SPREAD = 1.0 / 3.0
OF_STEPS = 2.0  # times what such a mean lacks, where there are no bases to take the root mean square in
BENT = 1.25  # on the difference to elements of degree 2, which err by a tenth as much on two voxels
SAFETY = 2.0  # on the difference between finite elements and finite differences

# What estimates are, for the reader
THE_DIFFERENCE = (
    "the difference of the two solutions, which is the error of the finer one if that falls with the element size, and "
    "more than it where it falls faster"
)
BY_ORDER = (
    f"what the difference of the two solutions says of the finer one if errors fall with the power {ORDER:g} of the "
    "element size, and no less than half of it"
)
THE_LESSER = (  # with the part of the second
    "the lesser, at each time, of what the difference to the coarser mesh says if errors fall with the power "
    f"{ORDER:g} of the element size, no less than half of it, and of "
    "{part} of the difference to the linear elements"
)
NO_LESS = (
    f", and no less than {CHANCE:g} times the first, nor than {PROPORTION:g} times the difference to the coarser mesh "
    "where that is largest, in proportion to that to linear elements"
)
OF_LOWER_DEGREE = (
    "the difference of the two solutions, which is the error of the one of lower degree; stairs are not in it"
)
ON_THIS_MESH = (
    "the difference of the two solutions, which is the error of the one of lower degree; how closely the mesh follows "
    "what it is of is not in it"
)
A_QUARTER = (
    "a quarter of the difference of the two solutions, as linear elements err by more than four times as much; how "
    "closely the mesh follows what it is of is not in it"
)
OF_GRADIENTS = (
    "1.5 times what the curves change by if the elements' energies are those of gradients that are "
    "recovered from them; how closely the mesh follows the image is not in it"
)
OF_SURFACES = "; for means over surfaces no less than half of the root mean square over the surface"
OF_SURFACES_IN_STEPS = "; for means over surfaces twice that"
OF_WHAT_IS_LEFT = (
    f"{LEFT:g} times what the curves would change by if the elements' energies were those of gradients that are "
    f"recovered from them, most of which has been added to the curves, but for those of surfaces, of which "
    f"{RECOVERED:g} times is told; how closely the mesh follows the image is not in it"
)
TWICE_THE_DIFFERENCE = (
    "twice the difference of the two solutions, which err by about as much to either side; stairs are not in it"
)
UNTOLD = ", nor is what the concentration bends by between corners of voxels"
BY_QUADRATIC = f"; at least {BENT:g} times the difference to elements of degree 2 on the same mesh"
BY_CHANCE = (
    "; at least what another mesh of elements of about that size says, as each mesh follows an image of few voxels a "
    "little otherwise"
)
AT_LEAST = (
    "; while the layer that fills is thinner than the elements at the surface, at least what such elements err by in a "
    "half space"
)


@dataclass(frozen=True, eq=False)
class SpatialError:
    """Estimated error in space of the region curves."""

    how: str  # it was estimated, for the reader
    cells: int  # of the mesh that is compared with
    unknowns: int  # of the problem there
    curves: dict[str, Array]  # region -> (times,) at the times of the curves, mol/m^3
    meaning: str  # what the figure is, for the reader
    particles: Array | None = None  # (particles, times of ParticleCurves) mol/m^3; nan: not known
    phase_cells: tuple[int, ...] = ()  # of the mesh that is compared with, in each phase

    def largest(self, name: str) -> float:
        """Of one region over all times, mol/m^3."""
        return float(self.curves[name].max(initial=0.0))

    def at_least(self, curves: Mapping[str, Array], why: str = AT_LEAST) -> "SpatialError":
        """No less than other errors, such as that of layers thinner than elements.

        Args:
            curves: Region -> (times,) mol/m^3; regions that are not there have none.
            why: What these are, for the reader; what `meaning` goes on with.
        """
        if all((curves[name] <= own).all() for name, own in self.curves.items() if name in curves):
            return self
        found = {name: np.maximum(own, curves.get(name, 0.0)) for name, own in self.curves.items()}
        return replace(self, curves=found, meaning=self.meaning + why)

    def with_more(self, curves: Mapping[str, Array], why: str) -> "SpatialError":
        """With errors besides that come from elsewhere.

        Args:
            curves: Region -> (times,) mol/m^3; regions that are not there have none.
            why: What these are, for the reader; what `meaning` goes on with.
        """
        if not curves:
            return self
        found = {name: own + curves.get(name, 0.0) for name, own in self.curves.items()}
        return replace(self, curves=found, meaning=self.meaning + why)


@dataclass(frozen=True)
class Comparison:
    """Another way to solve a case that its error is told from."""

    variant: Variant
    how: str  # for the reader
    factor: float | None  # on the difference of the two solutions; None: from the ratio of sizes, with ORDER
    meaning: str  # of the difference, for the reader
    limit: "Comparison | None" = None  # whose estimate is taken where it is less; it tells how both were found
    least: float = COARSE  # ratio of sizes that a coarser mesh is to have
    least_of: "Comparison | None" = None  # whose estimate is taken where it is more

    def error(self, times: Array, own: Array, other: Array, ratio: float) -> Array:
        """Estimated error of curves (..., times) from those of the other solution.

        Args:
            times: (times,)
            own: The curves.
            other: Those of the other solution.
            ratio: Size of its elements per size of the own ones, from the numbers of cells.
        """
        found = self.share(ratio) * enveloped(times, np.abs(own - other))
        return fading(times, found) if self.variant.at_corners else found

    def share(self, ratio: float) -> float:
        """Estimated error per difference of the two solutions, at a ratio of sizes as in `error`."""
        if self.factor is not None:
            return self.factor
        by_order = 1.0 / (max(ratio, LEAST_RATIO) ** ORDER - 1.0)
        return max(HALF, by_order) if ratio <= TWICE else by_order


def comparison(meshed: Meshed) -> Comparison:
    """What a case is compared with: cheaper than itself, or on voxels of degree 1 as dear."""
    tolerance = min(0.5, LOOSER * meshed.case.time.tolerance)
    dim = meshed.volume.dim
    degree = degree_of(meshed.case, dim)
    if meshed.method != "voxel" and meshed.case.mesh.unit is None:
        if is_less_coarse(meshed.method, degree):
            coarser = "from a mesh 1.4 times as coarse"
            both = f"{coarser}, and linear elements on the same mesh"
            words = THE_LESSER.format(part="a quarter") + NO_LESS
            linear = Comparison(Variant(degree=1, tolerance=tolerance), both, OF_LINEAR, words)
            variant = Variant(LESS_COARSE, tolerance=tolerance)
            return Comparison(variant, coarser, None, BY_ORDER, linear, LESS)
        how = "from a mesh twice as coarse"
        least = _of_quadratic(meshed, how) if degree == 1 else None
        return Comparison(Variant(COARSER, tolerance=tolerance), how, 1.0, THE_DIFFERENCE, least_of=least)
    if degree > 1:
        return of_degrees(meshed)
    how, meaning = "from finite differences on the same voxels", TWICE_THE_DIFFERENCE
    least = _of_quadratic(meshed, how)
    if least is None and stays_bent(meshed.case.physics):
        meaning += UNTOLD
    return Comparison(Variant(at_corners=True, tolerance=tolerance), how, SAFETY, meaning, least_of=least)


def _of_quadratic(meshed: Meshed, how: str) -> Comparison | None:
    """Elements of degree 2 on the mesh of a case, where they tell of its error as well; `how`: what else tells it."""
    case, dim = meshed.case, meshed.volume.dim
    if not is_told_by_quadratic(case.physics, meshed.method, degree_of(case, dim), meshed.cells, dim):
        return None
    tolerance = min(0.5, LOOSER * case.time.tolerance)
    return Comparison(Variant(degree=2, tolerance=tolerance), how, BENT, "")


def of_degrees(meshed: Meshed) -> Comparison:
    """What a case is compared with on its own mesh: elements of another degree."""
    tolerance = min(0.5, LOOSER * meshed.case.time.tolerance)
    dim = meshed.volume.dim
    degree = degree_of(meshed.case, dim)
    if degree == 2 and (meshed.method == "lattice" or (dim == 3 and meshed.method != "voxel")):
        how = "from linear elements"
        return Comparison(Variant(degree=1, tolerance=tolerance), how, OF_LINEAR, A_QUARTER)
    other = degree - 1 if degree > 1 else 2
    how = f"from elements of degree {other}"
    meaning = OF_LOWER_DEGREE if meshed.method == "voxel" else ON_THIS_MESH
    return Comparison(Variant(degree=other, tolerance=tolerance), how, 1.0, meaning)


def recovered_error(ready: Prepared, transient: Transient, particles: ParticleCurves | None) -> SpatialError | None:
    """Estimate the error in space of the curves of a run from recovered gradients; collective.

    None where these don't tell it.

    Args:
        ready: The case on its mesh.
        transient: Its solution.
        particles: What reaches particles in it.
    """
    lacks = transient.steps_lack(transient.times)
    if lacks is None:
        lacking = transient.lacks(ready.case.physics)
        return None if lacking is None else _told_by(lacking.cautious, ready, transient, particles)
    surfaces = _surfaces(ready, transient)
    lacks[surfaces] *= OF_STEPS
    of_particles = None if particles is None else transient.steps_lack(particles.times, extra=True)
    told = _recovered(ready, transient, particles, lacks, of_particles)
    return replace(told, meaning=OF_GRADIENTS + OF_SURFACES_IN_STEPS) if surfaces else told


def corrected(
    ready: Prepared, transient: Transient, particles: ParticleCurves | None
) -> tuple[Transient, SpatialError] | None:
    """A linear problem's solution with corrected curves, and the error in space that is left; collective.

    None where recovered gradients don't tell what the curves lack.

    Args:
        ready: The case on its mesh.
        transient: Its solution.
        particles: What reaches particles in it, which is not corrected.
    """
    lacking = transient.lacks(ready.case.physics)
    if lacking is None:
        return None
    told = _told_by(lacking.cautious, ready, transient, particles)
    means = correctable(ready.means, ready.shapes)
    left = {name: fading(transient.times, LEFT / RECOVERED * told.curves[name]) for name in means}
    meaning = OF_WHAT_IS_LEFT + (OF_SURFACES if _surfaces(ready, transient) else "")
    found = replace(told, curves=told.curves | left, meaning=meaning)
    return transient.corrected(lacking, means), found


def _told_by(
    deviation: Deviation, ready: Prepared, transient: Transient, particles: ParticleCurves | None
) -> SpatialError:
    """The error of a linear problem's solution; collective."""
    scale = ready.problem.scales.concentration
    rows = np.array([ready.means[name].weights for name in transient.curves]).reshape(len(transient.curves), -1)
    lacks, of_particles = scale * deviation.of(rows, transient.times), None
    surfaces = _surfaces(ready, transient)
    if surfaces:
        least = OF_SPREAD * scale * deviation.root_mean_squares(rows[surfaces], transient.times)
        lacks[surfaces] = np.maximum(np.abs(lacks[surfaces]), least)
    if particles is not None and ready.surfaces is not None:
        of_particles = scale * deviation.of(ready.surfaces.rows, particles.times)
    told = _recovered(ready, transient, particles, lacks, of_particles)
    return replace(told, meaning=OF_GRADIENTS + OF_SURFACES) if surfaces else told


def _surfaces(ready: Prepared, transient: Transient) -> list[int]:
    """Numbers of the curves that are means over surfaces."""
    return [i for i, name in enumerate(transient.curves) if ready.shapes[name].is_surface]


def _recovered(
    ready: Prepared,
    transient: Transient,
    particles: ParticleCurves | None,
    lacks: Array,
    of_particles: Array | None,
) -> SpatialError:
    """The error from what curves (regions, times) and those of particles lack, mol/m^3."""
    found = RECOVERED * enveloped(transient.times, np.abs(lacks))
    if particles is not None and of_particles is not None:
        of_particles = RECOVERED * enveloped(particles.times, np.abs(of_particles))
    curves = dict(zip(transient.curves, found, strict=True))
    cells, unknowns = ready.meshed.cells, ready.problem.unknowns
    return SpatialError("from recovered gradients", cells, unknowns, curves, OF_GRADIENTS, of_particles)


def spatial_error(
    meshed: Meshed,
    curves: Mapping[str, Array],
    comm: MPI.Intracomm,
    tell: Tell | None = None,
    particles: ParticleCurves | None = None,
    keeper: Keeper | None = None,
) -> SpatialError | None:
    """Estimate the error in space of the curves of a run; collective.

    Where the other problem can't be solved a warning says why and there is no estimate: the run has its results.

    Args:
        meshed: The case and its mesh.
        curves: Region -> mean concentration, mol/m^3.
        comm: All ranks.
        tell: Called with a short sentence on how far it is.
        particles: What reaches particles in the run.
        keeper: Of what its integration finds.
    """
    if meshed.case.mesh.unit is not None and degree_of(meshed.case, meshed.volume.dim) == 1:
        log.warning("error in space not estimated: on a mesh of another program that takes [mesh] degree = 2 or 3")
        return None
    compared = comparison(meshed)
    found = _compared(meshed, compared, curves, comm, tell, particles, keeper, "error in space not estimated")
    if found is not None and compared.variant.coarseness > 1 and _is_hardly_coarser(meshed, found, compared):
        other = found if compared.factor is None else None
        compared = of_degrees(meshed)
        found = _compared(meshed, compared, curves, comm, tell, particles, None, "error in space not estimated")
        if found is not None and other is not None:
            found = _greater(found, other, BY_CHANCE)
    if found is not None and compared.least_of is not None:
        more = _compared(
            meshed, compared.least_of, curves, comm, tell, particles, None, "error in space perhaps underestimated"
        )
        return found if more is None else _greater(found, more, BY_QUADRATIC)
    if found is None or compared.limit is None:
        return found
    limit = _compared(
        meshed, compared.limit, curves, comm, tell, particles, None, "error in space perhaps overestimated"
    )
    if limit is None:
        return found
    share = compared.share(_ratio(meshed, found.cells)), compared.limit.share(1.0)
    differs, of_linear = (_largest(one) / part for one, part in zip((found, limit), share, strict=True))
    if compared.variant.coarseness > 1 and differs > LOST * of_linear:
        return _lesser(found, _doubled(limit), 0.0, 0.0)
    least = min(LITTLE, PROPORTION * differs / of_linear) if of_linear > 0.0 else 0.0
    return _lesser(found, limit, CHANCE, least / share[1])


def _largest(error: SpatialError) -> float:
    """Over all regions and times, mol/m^3."""
    return max((error.largest(name) for name in error.curves), default=0.0)


def _doubled(error: SpatialError) -> SpatialError:
    curves = {name: 2.0 * errors for name, errors in error.curves.items()}
    of_particles = None if error.particles is None else 2.0 * error.particles
    return replace(error, curves=curves, meaning=THE_LESSER.format(part="half"), particles=of_particles)


def _ratio(meshed: Meshed, cells: int) -> float:
    """Size of the elements of another mesh of `cells` per that of the mesh; of an image of few voxels it may be 1."""
    return float(meshed.cells / cells) ** (1.0 / meshed.volume.dim)


def _is_hardly_coarser(meshed: Meshed, found: SpatialError, compared: Comparison) -> bool:
    """Whether another mesh is too little coarser than the mesh, on the whole or, of a lattice, in a phase; collective.

    Within layers of a few voxels two lattices may have the same elements. Meshes that are twice as coarse are so in all
    phases.
    """
    if _ratio(meshed, found.cells) < compared.least:
        return True
    if compared.factor is not None:
        return False
    own, other = meshed.cells_of_phases(), np.array(found.phase_cells)
    counts = (own >= FEWEST_CELLS * own.sum()) & (other > 0)
    return bool((own[counts] < LESS**meshed.volume.dim * other[counts]).any())


def _compared(
    meshed: Meshed,
    compared: Comparison,
    curves: Mapping[str, Array],
    comm: MPI.Intracomm,
    tell: Tell | None,
    particles: ParticleCurves | None,
    keeper: Keeper | None,
    failing: str,
) -> SpatialError | None:
    """What one other solution tells, as `spatial_error`; `failing`: what it means if there is none."""
    try:
        with silent():
            other = solved_variant(meshed, compared.variant, comm, tell, particles=particles is not None, keeper=keeper)
    except Exception as error:
        if not is_everywhere(error, comm):
            raise
        log.warning("%s: the problem to compare with could not be solved (%s)", failing, error)
        return None
    ratio = _ratio(meshed, other.cells)
    found = {name: compared.error(other.times, curve, other.curves[name], ratio) for name, curve in curves.items()}
    of_particles = None
    if particles is not None and other.particles is not None:
        of_particles = compared.error(particles.times, particles.means, other.particles.means, ratio)
    return SpatialError(
        compared.how, other.cells, other.unknowns, found, compared.meaning, of_particles, other.phase_cells
    )


def _lesser(one: SpatialError, other: SpatialError, part: float, least: float) -> SpatialError:
    """The lesser of two estimates at each time, and no less than a part of the first, and another of the other.

    Sizes are those of the first, words those of the other.
    """
    of_particles = one.particles
    if one.particles is not None and other.particles is not None:
        of_particles = np.fmin(one.particles, np.fmax(other.particles, part * one.particles))
        of_particles = np.fmax(of_particles, least * other.particles)
    curves = {
        name: np.maximum(np.minimum(errors, np.maximum(other.curves[name], part * errors)), least * other.curves[name])
        for name, errors in one.curves.items()
    }
    return replace(one, how=other.how, meaning=other.meaning, curves=curves, particles=of_particles)


def _greater(one: SpatialError, other: SpatialError, why: str) -> SpatialError:
    """The greater of two estimates at each time; sizes and words are those of the first, which go on with `why`."""
    found = one.at_least(other.curves, why)
    if one.particles is None or other.particles is None:
        return found
    return replace(found, particles=np.fmax(one.particles, other.particles))


def fading(times: Array, errors: Array) -> Array:
    """Errors that fade no faster than t^(-3/2) after each of the times, (..., times).

    Args:
        times: (times,) increasing.
        errors: (..., times) not negative.
    """
    weights = np.where(times > 0, times, 0.0) ** FADING
    least = np.maximum.accumulate(errors * weights, axis=-1) / np.where(weights > 0, weights, 1.0)
    return np.maximum(errors, least)


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
