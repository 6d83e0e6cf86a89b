"""Entries of summary.json that take some thought."""

from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from microlith.solver.regions import RegionMean
from microlith.workflow.curves import time_to_fraction


def versions() -> dict[str, str]:
    """Versions of all that decides about the numbers."""
    import gmsh

    import dolfinx
    from petsc4py import PETSc

    return {
        "microlith": version("microlith"),
        "dolfinx": dolfinx.__version__,
        "petsc": ".".join(map(str, PETSc.Sys.getVersion())),
        "gmsh": gmsh.__version__,
        "numpy": np.__version__,
    }


def region_summary(
    times: NDArray[np.float64], curve: NDArray[np.float64], mean: RegionMean, reference: float
) -> dict[str, Any]:
    """Final mean concentration of a region, and when it first passed 50 and 90 % of the reference concentration.

    Args:
        times: (n,) s.
        curve: (n,) mol/m^3.
        mean: Of the region.
        reference: mol/m^3.
    """
    return {
        "final": float(curve[-1]),
        "final_unit": "mol/m^3",
        "t50_s": time_to_fraction(times, curve, 0.5 * reference),
        "t90_s": time_to_fraction(times, curve, 0.9 * reference),
        "solved_share": mean.solved_share,
        "solved_area_m2": mean.solved_measure,
    }
