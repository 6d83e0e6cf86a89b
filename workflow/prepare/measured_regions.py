"""The regions of a case on one of its meshes."""

from dataclasses import dataclass
from typing import Any

from microlith.solver.problem.problem import Problem
from microlith.solver.regions.means import RegionMean, region_means
from microlith.solver.regions.shapes import Region, Shape
from microlith.workflow.case.case import Case
from microlith.workflow.prepare.label_images import expanded
from microlith.workflow.prepare.meshed import Meshed
from microlith.workflow.prepare.particle_surfaces import ParticleSurfaces, particle_surfaces


@dataclass(frozen=True, eq=False)
class MeasuredRegions:
    """Means over all regions of a case, as functionals of the unknowns."""

    shapes: dict[str, Shape]  # by name, one label each
    means: dict[str, RegionMean]  # by name, in the order of the shapes
    surfaces: ParticleSurfaces | None  # of the regions `surface`
    shares: dict[str, float]  # of regions that are drawn as label images: what part of their voxels is solved for


def measured_regions(case: Case, meshed: Meshed, problem: Problem) -> MeasuredRegions:
    """Measure the regions of a case; collective.

    Args:
        case: With its regions.
        meshed: Its image and a mesh.
        problem: On that mesh.

    Raises:
        InputError: The label image of a region is at fault.
    """
    mesh = meshed.mesh
    regions = expanded(case, meshed.volume, mesh, mesh.mesh.comm)
    shapes = regions.shapes
    bodies = {name: shape for name, shape in shapes.items() if isinstance(shape, Region)}
    means = region_means(problem.space, mesh, bodies, regions.fields, _phase_at(meshed), problem.factors)
    surfaces = particle_surfaces(shapes, meshed.volume, mesh, case.physics, problem)
    means |= surfaces.means if surfaces is not None else {}
    return MeasuredRegions(shapes, {name: means[name] for name in shapes}, surfaces, regions.shares)


def _phase_at(meshed: Meshed) -> Any:
    """Phase of points in mesh units, looked up in the 2D image; on rank 0 only."""
    image = meshed.image
    if image is None:
        return None
    scale = meshed.mesh.unit / image.unit  # a mesh of finer pixels has a smaller unit
    return lambda x: image.phase[tuple(image.places(x * scale))]
