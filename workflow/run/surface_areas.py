"""What curves may be off as surfaces with a transfer have other areas on the mesh than in the image.

What passes a surface in proportion to its area is off by as much as that. No comparison of meshes need show it: smooth
ones all have areas of half a per cent to one per cent too much. If all rates of a case, diffusivities and transfers,
were so much larger, all would happen so much earlier: a curve c would change by t dc/dt per part. A transfer has that
part of it which its resistance has of all there is on the way, and where several surfaces settle on what the curve ends
at, no more than c (1 - c/c_max).
"""

from collections.abc import Mapping

import numpy as np

from microlith.imaging.typing import Array
from microlith.solver.interfaces.partition import links_of
from microlith.solver.problem.boundaries import boundary_conditions
from microlith.workflow.prepare.assemble import Prepared

AREAS = "; with what areas of surfaces that lithium passes in proportion to these are off the image's, or not known to"
ERRORS = 2.0  # standard errors of the image's areas that count
SAFETY = 2.0  # on the part of the resistance that a transfer has


def area_errors(ready: Prepared, curves: Mapping[str, Array], times: Array) -> dict[str, Array]:
    """Error of the mean over each region by the areas of surfaces, (times,), mol/m^3; none where no area matters.

    Args:
        ready: The case on its mesh.
        curves: Region -> (times,) mean concentration, mol/m^3.
        times: (times,) s.
    """
    physics, problem = ready.case.physics, ready.problem
    part = _part(ready, times)
    if not part.any():
        return {}
    acting = [one for one in boundary_conditions(physics) if not one.is_idle]
    several = len(acting) > 1 or any(phase.decay for phase in physics.phases)
    found = {}
    for name, curve in curves.items():
        change = np.abs(_by_logarithm(curve, times))
        if several:
            most = max(problem.held_at_most(ready.means[name].phase_shares, curve), np.finfo(float).tiny)
            change = np.maximum(change, np.abs(curve) * np.maximum(1.0 - np.abs(curve) / most, 0.0))
        found[name] = part * change
    return found


def _by_logarithm(curve: Array, times: Array) -> Array:
    """T dc/dt at the times, (times,)."""
    found = np.zeros_like(curve)
    later = np.flatnonzero(times > 0)
    if len(later) > 1:
        found[later] = np.gradient(curve[later], np.log(times[later]))
    return found


def _part(ready: Prepared, times: Array) -> Array:
    """By what part of the rate of all that happens the largest error of an area changes it, (times,)."""
    meshed, physics = ready.meshed, ready.case.physics
    found = np.zeros_like(times)
    filled = sum(meshed.volume.counts[i] for i in physics.solved) * meshed.volume.voxel_measure
    solved = [physics.phases[i] for i in physics.solved]
    fastest = max(((phase.effective_diffusivity or 0.0) / phase.porosity for phase in solved), default=0.0)
    conducts = max((phase.effective_diffusivity or 0.0 for phase in solved), default=0.0)
    for tags, coefficient in _transfers(ready):
        some = [area for tag in tags if (area := meshed.areas.get(tag)) is not None]
        if not some:
            continue
        whole = sum(area.image for area in some)
        off = ERRORS * sum(area.error for area in some)
        if not meshed.mesh.smooth:
            off += sum(abs(area.mesh - area.image) for area in some)
        way = np.minimum(filled / whole, np.sqrt(fastest * times))
        through = 1.0 + coefficient * way / conducts if conducts > 0 else np.ones_like(times)
        found = np.maximum(found, off / whole * np.minimum(SAFETY / through, 1.0))
    return found


def _transfers(ready: Prepared) -> list[tuple[tuple[int, ...], float]]:
    """Facet tags of each surface that lithium passes in proportion to its area, and its least coefficient, m/s."""
    physics = ready.case.physics
    found = [
        (one.tags, one.coefficient.smallest) for one in boundary_conditions(physics) if one.coefficient is not None
    ]
    links = links_of(ready.meshed.mesh, physics)
    return found + [((link.tag,), link.exchange) for link in links if link.exchange is not None]
