"""What quantities cannot be, whatever their errors."""

import math
from dataclasses import replace

from microlith.workflow.measurements.findings import Number

# Beginnings of names; nothing that is compared is below 0
AT_LEAST_1 = ("tortuosity_geodesic", "tortuosity_factor", "particle_roughness")
AT_MOST_1 = (
    *("volume_fraction", "connected_", "particle_contact", "particle_share_", "particle_volume_meeting"),
    *("particle_sphericity", "tortuosity_not_reached", "relative_diffusivity_"),
)


def limited(number: Number) -> Number:
    """A number that lies between no more than its quantity can be: its error may reach beyond."""
    if number.bounds is None or not math.isfinite(number.value):
        return number
    least = 1.0 if number.name.startswith(AT_LEAST_1) else 0.0
    most = 1.0 if number.name.startswith(AT_MOST_1) else math.inf
    low, high = number.bounds
    if low >= least and high <= most:
        return number
    return replace(number, interval=(min(max(low, least), number.value), max(min(high, most), number.value)))
