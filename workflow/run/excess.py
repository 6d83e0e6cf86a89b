"""What regions over several phases hold too much or too little, as the mesh has their interfaces a little elsewhere.

Means over such a region count each phase by its share in the image (see `region_means`), so that they start right
wherever the mesh has its interfaces. But where phases begin with different concentrations the mesh holds so much more
or less lithium there, which shows once the phases even out, until it has spread beyond the region. No comparison of
meshes need show it, as none of them has the image's interfaces.
"""

import numpy as np
from scipy.special import erf

from microlith.imaging.typing import Array
from microlith.solver.regions.means import RegionMean
from microlith.solver.regions.shapes import Body, Shape, Shell
from microlith.solver.transient import Transient
from microlith.workflow.prepare.assemble import Prepared

WHERE_IT_LIES = "; with what the mesh holds too much or too little where it has interfaces elsewhere than the image"


def excess_errors(ready: Prepared, transient: Transient) -> dict[str, Array]:
    """Error of the mean over each region whose phases have other shares on the mesh, (times,), mol/m^3.

    Args:
        ready: The case on its mesh.
        transient: Its solution, not corrected.
    """
    found = {}
    scale = ready.problem.scales.concentration
    for name, curve in transient.curves.items():
        mean, error = ready.means[name], np.zeros_like(curve)
        by_mesh = transient.by_mesh.get(name)
        if by_mesh is not None and mean.mesh_shares is not None:
            differs = by_mesh - curve
            at_start = differs[0]
            if ready.problem.start_values is None:
                at_start = scale * float((mean.mesh_shares - mean.phase_shares) @ ready.problem.start_of_phase)
            spread = np.minimum(np.abs(at_start - differs), abs(at_start))
            error = spread * _remaining(ready, ready.shapes[name], mean, transient.times)
        if mean.missed is not None:
            error = error + _of_missed(ready, mean, curve)
        if error.any():
            found[name] = error
    return found


def _of_missed(ready: Prepared, mean: RegionMean, curve: Array) -> Array:
    """What the mean lacks of phases that the mesh has not in the region, (times,), mol/m^3, at most.

    They hold what they began with, or are in equilibrium with the region, or anything in between.
    """
    problem, total = ready.problem, np.zeros_like(curve)
    assert mean.missed is not None
    for phase in np.flatnonzero(mean.missed):
        start = problem.scales.concentration * float(problem.start_of_phase[phase])
        even = curve * float(problem.factors[phase]) / problem.share_held(mean.phase_shares)
        total += float(mean.missed[phase]) * np.maximum(np.abs(start - curve), np.abs(even - curve))
    return total


def _remaining(ready: Prepared, shape: Shape, mean: RegionMean, times: Array) -> Array:
    """Share, (times,), of what was spread evenly over a region that diffusion has left there; in the slowest phase."""
    phases = ready.case.physics.phases
    rates = [phases[i].effective_diffusivity or 0.0 for i in ready.case.physics.solved if mean.phase_shares[i] > 0.0]
    rate = min((rate for rate in rates if rate > 0.0), default=0.0)
    left = np.ones_like(times)
    for width in _widths(shape, mean, ready.meshed.volume.extent):
        x = width / np.sqrt(np.maximum(4.0 * rate * times, np.finfo(float).tiny))
        left *= erf(x) - (1.0 - np.exp(-(x**2))) / (np.sqrt(np.pi) * x)
    return left


def _widths(shape: Shape, mean: RegionMean, extent: tuple[float, ...]) -> list[float]:
    """Along each axis along which lithium can leave a region, m: twice as wide where it can do so on one side only."""
    if isinstance(shape, Shell):
        return [2.0 * shape.distance]
    if not isinstance(shape, Body):
        return [mean.solved_measure ** (1.0 / len(extent))] * len(extent)
    found = []
    for axis, (low, high) in shape.spans().items():
        open_sides = int(low > 0.0) + int(high < extent[axis])
        if open_sides:
            found.append((min(high, extent[axis]) - max(low, 0.0)) * (3 - open_sides))
    return found
