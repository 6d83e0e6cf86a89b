"""What curves may be off as surfaces that lithium passes in proportion to their area have others than in the image.

No comparison of meshes need show it: smooth ones all have areas of half a per cent to one per cent too much. What
curves change by with an area is known to first order, along with the solution (`Transient.by_areas`): nothing where a
current is given, and little where it is not the surface that holds lithium up.

Where that can't be told, as a transfer coefficient changes by jumps, it is bounded: if all rates of a case,
diffusivities and transfers, were larger by a part, all would happen so much earlier, and a curve c would change by
t dc/dt per part. A transfer has that part of it which its resistance has of all there is on the way, and where several
surfaces settle on what the curve ends at, no more than c (1 - c/c_max).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from microlith.imaging.typing import Array
from microlith.meshing.fidelity.surface_areas import SurfaceArea
from microlith.solver.problem.boundaries import boundary_conditions
from microlith.solver.surfaces.passages import Passage, passages_of
from microlith.solver.surfaces.passing import passing
from microlith.solver.transient import Transient
from microlith.workflow.prepare.assemble import Prepared
from microlith.workflow.results.particle_curves import ParticleCurves

AREAS = "; with what areas of surfaces that lithium passes in proportion to these are off the image's, or not known to"
ERRORS = 2.0  # standard errors of the image's areas that count
SAFETY = 1.1  # on what curves change by
OF_RESISTANCE = 2.0  # safety on the part of the resistance that a transfer has
LITTLE = 1e-5  # of an area: is not told
MOST = 4  # surfaces that are taken along step by step


@dataclass(frozen=True)
class AreaOff:
    """How far the area of a surface that lithium passes in proportion to it is off, per that in the image."""

    name: str  # as in `passing`
    tags: tuple[int, ...]  # of its facets
    image: float  # m^2 (m in 2D)
    too_large: float  # the area that counts less that in the image
    unknown: float  # by which that in the image may be off


def areas_off(ready: Prepared) -> list[AreaOff]:
    """Surfaces whose areas are off, or not known; none where errors are not asked for; collective."""
    if not ready.case.mesh.estimate:
        return []
    meshed = ready.meshed
    found = []
    for name, tags in passing(meshed.mesh, ready.case.physics).items():
        some = {tag: area for tag in tags if (area := meshed.areas.get(tag)) is not None}
        if some:
            off = _off(name, some, meshed.mesh.smooth)
            if max(abs(off.too_large), off.unknown) > LITTLE:
                found.append(off)
    return found


def _off(name: str, areas: Mapping[int, SurfaceArea], smooth: Mapping[int, float]) -> AreaOff:
    image = sum(area.image for area in areas.values())
    counts = sum(area.mesh * smooth.get(tag, 1.0) for tag, area in areas.items())
    unknown = sum(area.unknown(ERRORS) for area in areas.values())
    return AreaOff(name, tuple(areas), image, (counts - image) / image, unknown / image)


def followed(ready: Prepared, off: Sequence[AreaOff]) -> tuple[Passage, ...]:
    """What passes these surfaces, in their order; none where they are too many to take along; collective.

    Args:
        ready: The case on its mesh.
        off: The surfaces.
    """
    if not off or len(off) > MOST:
        return ()
    names = [one.name for one in off]
    found = {passage.name: passage for passage in passages_of(ready.problem, ready.case.physics, names)}
    return tuple(found[name] for name in names)


def area_errors(
    ready: Prepared, transient: Transient, off: Sequence[AreaOff], passages: Sequence[Passage]
) -> dict[str, Array]:
    """Error of the mean over each region by the areas of surfaces, (times,), mol/m^3; none where no area matters.

    Collective.

    Args:
        ready: The case on its mesh.
        transient: Its solution.
        off: Surfaces whose areas are off.
        passages: What passes these; none: they were too many.
    """
    if not off:
        return {}
    responses = transient.by_areas(passages, ready.means) if passages else None
    if responses is not None:
        return dict(zip(transient.curves, _of_responses(responses, off), strict=True))
    reference = np.array([ready.problem.reference_of(ready.means[name].phase_shares) for name in transient.curves])
    curves = np.array(list(transient.curves.values())).reshape(len(reference), -1)
    return dict(zip(transient.curves, _bounds(ready, curves, transient.times, reference, off), strict=True))


def area_errors_of_particles(
    ready: Prepared,
    transient: Transient,
    off: Sequence[AreaOff],
    passages: Sequence[Passage],
    of_particles: ParticleCurves | None,
) -> Array | None:
    """The same of the means over particles' surfaces, (particles, times of their curves), mol/m^3; None: no error.

    Collective.
    """
    if not off or of_particles is None or ready.surfaces is None:
        return None
    times = of_particles.times
    responses = transient.extra_by_areas(passages, ready.surfaces.rows, times) if passages else None
    if responses is not None:
        return _of_responses(responses, off)
    held = np.concatenate([region.held for region in ready.surfaces.regions])
    return _bounds(ready, of_particles.means, times, ready.problem.scales.concentration * held, off)


def _of_responses(responses: Array, off: Sequence[AreaOff]) -> Array:
    """Errors (functionals, times) of changes per part of each area, (surfaces, functionals, times)."""
    # To the mesh's areas all are off at once; what the image does not know of one it may know of another
    known = np.abs(np.tensordot([one.too_large for one in off], responses, 1))
    unknown = np.sqrt(np.tensordot(np.square([one.unknown for one in off]), np.square(responses), 1))
    return np.asarray(SAFETY * (known + unknown))


def _bounds(ready: Prepared, curves: Array, times: Array, reference: Array, off: Sequence[AreaOff]) -> Array:
    """What the errors are at most, (means, times), mol/m^3.

    Args:
        ready: The case on its mesh.
        curves: (means, times) mol/m^3; nan where there is none.
        times: (times,) s.
        reference: (means,) in equilibrium with what drives the case, mol/m^3.
        off: Surfaces whose areas are off.
    """
    physics, large = ready.case.physics, np.abs(curves)
    change = np.abs(_by_logarithm(curves, times))
    acting = [one for one in boundary_conditions(physics) if not one.is_idle]
    if len(acting) > 1 or any(phase.decay for phase in physics.phases):
        most = np.maximum(large.max(axis=1, initial=np.finfo(float).tiny), reference)[:, None]
        change = np.maximum(change, large * np.maximum(1.0 - large / most, 0.0))
    return _part(ready, times, off) * change


def _by_logarithm(curves: Array, times: Array) -> Array:
    """T dc/dt at the times, (means, times)."""
    found = np.zeros_like(curves)
    later = np.flatnonzero(times > 0)
    if len(later) > 1:
        found[:, later] = np.gradient(curves[:, later], np.log(times[later]), axis=1)
    return found


def _part(ready: Prepared, times: Array, off: Sequence[AreaOff]) -> Array:
    """By what part of the rate of all that happens the largest error of an area changes it, (times,)."""
    meshed, physics = ready.meshed, ready.case.physics
    found = np.zeros_like(times)
    filled = sum(meshed.volume.counts[i] for i in physics.solved) * meshed.volume.voxel_measure
    solved = [physics.phases[i] for i in physics.solved]
    fastest = max(((phase.effective_diffusivity or 0.0) / phase.porosity for phase in solved), default=0.0)
    conducts = max((phase.effective_diffusivity or 0.0 for phase in solved), default=0.0)
    least = _least(ready)
    for one in off:
        way = np.minimum(filled / one.image, np.sqrt(fastest * times))
        through = 1.0 + least.get(one.name, 0.0) * way / conducts if conducts > 0 else np.ones_like(times)
        share = np.minimum(OF_RESISTANCE / through, 1.0)
        found = np.maximum(found, (abs(one.too_large) + one.unknown) * share)
    return found


def _least(ready: Prepared) -> dict[str, float]:
    """Least coefficient of each transfer, m/s, by its name."""
    conditions = boundary_conditions(ready.case.physics)
    return {one.name: one.coefficient.smallest for one in conditions if one.coefficient is not None}
