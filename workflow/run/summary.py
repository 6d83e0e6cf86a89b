"""Entries of summary.json that take some thought."""

from typing import Any

from microlith.solver.regions.means import RegionMean
from microlith.solver.transient import Transient
from microlith.workflow.studies.spatial_error import SpatialError

AREA_OR_VOLUME = {2: "area_m2", 3: "volume_m3"}  # by dimension: name of the measure, with its unit
LENGTH_OR_AREA = {2: "length_m", 3: "area_m2"}  # of a surface


def error_in_space(space: SpatialError, scale: float) -> dict[str, Any]:
    """Estimate of the error in space, over all regions and of each.

    Args:
        space: The estimate.
        scale: Concentration that it is relative to, mol/m^3.
    """
    largest = {name: space.largest(name) / scale for name in space.curves}
    return {
        "of": "the region curves, in space, relative to the reference concentration",
        "estimate": max(largest.values(), default=0.0),
        "regions": largest,
        "how": f"{space.how}: the difference of the two solutions, which is the error of the finer one if that falls "
        "with the element size, and more than it where it falls faster",
        "cells": space.cells,
        "unknowns": space.unknowns,
    }


def region_summary(
    transient: Transient, name: str, mean: RegionMean, reference: float, dim: int, surface: bool = False
) -> dict[str, Any]:
    """Final mean concentration of a region, and when it first reached 50 and 90 % of the reference concentration.

    Args:
        transient: The solution.
        name: Of the region.
        mean: Of the region.
        reference: mol/m^3.
        dim: Of the space.
        surface: Whether the region is a surface.
    """
    measure = LENGTH_OR_AREA[dim] if surface else AREA_OR_VOLUME[dim]
    return {
        "final": float(transient.curves[name][-1]),
        "final_unit": "mol/m^3",
        "t50_s": transient.first_time(name, 0.5 * reference),
        "t90_s": transient.first_time(name, 0.9 * reference),
        "solved_share": mean.solved_share,
        f"solved_{measure}": mean.solved_measure,
    }
