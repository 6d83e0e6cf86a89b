"""Which measurements there are, by the names that a case file gives them."""

from collections.abc import Callable

from microlith.workflow.analysis.findings import Finding
from microlith.workflow.analysis.fractions import measure_fractions
from microlith.workflow.analysis.particles import measure_particles
from microlith.workflow.analysis.subject import Subject
from microlith.workflow.analysis.surface_areas import measure_surfaces
from microlith.workflow.analysis.surface_distances import measure_distances
from microlith.workflow.analysis.ways import measure_ways

# Name -> what it does, and what the user reads meanwhile
MEASUREMENTS: dict[str, tuple[Callable[[Subject], Finding], str]] = {
    "volume_fractions": (measure_fractions, "counting voxels"),
    "particles": (measure_particles, "measuring particles"),
    "surfaces": (measure_surfaces, "measuring surfaces"),
    "distances": (measure_distances, "measuring distances"),
    "tortuosity": (measure_ways, "finding ways"),
}
