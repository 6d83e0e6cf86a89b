"""What reaches each particle against time, and how far off the times may be at which it crosses a value."""

from dataclasses import dataclass

import numpy as np

from microlith.imaging.typing import Array
from microlith.solver.times import DECADES, time_errors
from microlith.solver.transient import Transient
from microlith.workflow.prepare.particle_surfaces import ParticleSurfaces

MOST_VALUES = 4_000_000  # which bounds the memory
TIMES = (60, 240)  # fewest and most


@dataclass(frozen=True, eq=False)
class ParticleCurves:
    """The means over the surfaces of particles, those of the first region `surface` and of the next and so on."""

    times: Array  # (k,) s, the same for the same number of particles and the same end
    means: Array  # (n, k) mol/m^3; nan where a particle has no surface that faces solved phases

    def time_errors(self, errors: Array, targets: Array, times: Array) -> Array:
        """How far off times may be at which the means cross targets.

        Args:
            errors: (n, k) of the means, mol/m^3; nan: not known.
            targets: (n,) mol/m^3.
            times: (n,) s, at which they cross them; 0: from the start, infinite: never, nan: nothing to measure.

        Returns:
            (n,) s, 0 where a mean is there from the start, nan where it is not known or never there.
        """
        known = np.isfinite(times) & (times > 0) & np.isfinite(errors).all(axis=1)
        found = np.where(times == 0.0, 0.0, np.nan)
        found[known] = time_errors(self.times, self.means[known], errors[known], targets[known])
        return found


def particle_curves(surfaces: ParticleSurfaces, transient: Transient, end: float) -> ParticleCurves:
    """What reaches particles, at times that serve to see where their curves cross a value.

    Args:
        surfaces: Of the particles.
        transient: The solution, with surfaces.rows as extra functionals.
        end: Of the run, s.
    """
    bare = np.concatenate([region.measure <= 0 for region in surfaces.regions])
    fewest, most = TIMES
    count = int(np.clip(MOST_VALUES // max(1, len(bare)), fewest, most))
    times: Array = np.append(0.0, np.geomspace(10.0**-DECADES, 1.0, count)) * end
    times[-1] = end
    return ParticleCurves(times, np.where(bare[:, None], np.nan, transient.extra(times)))
