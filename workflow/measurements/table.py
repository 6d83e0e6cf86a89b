"""Which measurements there are, by the names that a case file gives them."""

from collections.abc import Callable

from microlith.workflow.measurements.diffusivity import measure_diffusivity
from microlith.workflow.measurements.findings import Finding
from microlith.workflow.measurements.fractions import measure_fractions
from microlith.workflow.measurements.particles import measure_particles
from microlith.workflow.measurements.structure import (
    measure_chords,
    measure_connectivity,
    measure_correlation,
    measure_thickness,
)
from microlith.workflow.measurements.subject import Subject
from microlith.workflow.measurements.surface_areas import measure_surfaces
from microlith.workflow.measurements.surface_distances import measure_distances
from microlith.workflow.measurements.ways import measure_ways

DIFFUSIVITY = "diffusivity"  # made where [analysis] deff asks for it

# Name -> what it does, and what the user reads meanwhile
MEASUREMENTS: dict[str, tuple[Callable[[Subject], Finding], str]] = {
    "volume_fractions": (measure_fractions, "counting voxels"),
    "particles": (measure_particles, "measuring particles"),
    "surfaces": (measure_surfaces, "measuring surfaces"),
    "connectivity": (measure_connectivity, "finding what is connected"),
    "thickness": (measure_thickness, "measuring local thickness"),
    "chords": (measure_chords, "measuring chords"),
    "correlation": (measure_correlation, "correlating"),
    "distances": (measure_distances, "measuring distances"),
    "tortuosity": (measure_ways, "finding ways"),
    DIFFUSIVITY: (measure_diffusivity, "solving for effective diffusivities"),
}
