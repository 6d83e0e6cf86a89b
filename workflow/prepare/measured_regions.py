"""The regions of a case on one of its meshes."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from microlith.solver.problem.problem import Problem
from microlith.solver.regions.means import RegionMean, region_means
from microlith.solver.regions.shapes import Region, Shape, Shell
from microlith.workflow.case.case import Case
from microlith.workflow.prepare.label_images import expanded
from microlith.workflow.prepare.meshed import Meshed
from microlith.workflow.prepare.particle_surfaces import ParticleSurfaces, particle_surfaces
from microlith.workflow.prepare.region_shares import phase_counts, solved_flags


@dataclass(frozen=True, eq=False)
class MeasuredRegions:
    """Means over all regions of a case, as functionals of the unknowns."""

    shapes: dict[str, Shape]  # by name, one label each
    means: dict[str, RegionMean]  # by name, in the order of the shapes
    surfaces: ParticleSurfaces | None  # of the regions `surface`
    shares: dict[str, float]  # of regions that are drawn as label images: what part of their voxels is solved for
    of_shells: dict[str, float]  # the same of shells, where several phases are solved for


def measured_regions(case: Case, meshed: Meshed, problem: Problem, *, as_imaged: bool = True) -> MeasuredRegions:
    """Measure the regions of a case; collective.

    Args:
        case: With its regions.
        meshed: Its image and a mesh.
        problem: On that mesh.
        as_imaged: Whether the mesh is one of the image, whose voxels then tell how phases share regions.

    Raises:
        InputError: The label image of a region is at fault.
    """
    mesh = meshed.mesh
    regions = expanded(case, meshed.volume, mesh, mesh.mesh.comm)
    shapes = regions.shapes
    bodies = {name: shape for name, shape in shapes.items() if isinstance(shape, Region)}
    counts = {}
    if as_imaged and case.mesh.unit is None and meshed.method != "voxel":
        counts = phase_counts(case, meshed.volume, bodies, regions.counts, mesh.mesh.comm)
    solved = solved_flags(case)
    in_image = {name: np.where(solved, count, 0.0) / count[solved].sum() for name, count in counts.items()}
    of_shells = {
        name: count[solved].sum() / count.sum() for name, count in counts.items() if isinstance(shapes[name], Shell)
    }
    voxel = np.array(meshed.volume.voxel_size[::-1]) / mesh.unit if meshed.method == "voxel" else None
    means = region_means(
        problem.space, mesh, bodies, regions.fields, _phase_at(meshed), problem.factors, in_image, voxel
    )
    surfaces = particle_surfaces(shapes, meshed.volume, mesh, case.physics, problem)
    means |= surfaces.means if surfaces is not None else {}
    return MeasuredRegions(shapes, {name: means[name] for name in shapes}, surfaces, regions.shares, of_shells)


def _phase_at(meshed: Meshed) -> Any:
    """Phase of points in mesh units, looked up in the 2D image; on rank 0 only."""
    image = meshed.image
    if image is None:
        return None
    scale = meshed.mesh.unit / image.unit  # a mesh of finer pixels has a smaller unit
    return lambda x: image.phase[tuple(image.places(x * scale))]
