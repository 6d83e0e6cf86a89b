"""What reaches each particle: the concentration on the surfaces of the regions `surface`, particle by particle."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, vstack

from microlith.imaging.image.volume import LabelVolume
from microlith.imaging.microstructure.particles import Particles, particles_of
from microlith.imaging.typing import Array, Numbers
from microlith.meshing.mesh.phasemesh import PhaseMesh
from microlith.solver.physics.phases import Physics
from microlith.solver.problem.problem import Problem
from microlith.solver.regions.means import RegionMean
from microlith.solver.regions.shapes import Shape, SurfaceOf
from microlith.solver.regions.surface_means import (
    SurfaceFacets,
    facet_parts,
    mean_rows,
    measures_of,
    surface_facets,
)

log = logging.getLogger(__name__)
Index = NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class SurfaceRegion:
    """The surface of one phase."""

    name: str  # of the region
    shape: SurfaceOf
    numbers: Numbers  # (n,) of its particles, among all
    facets: SurfaceFacets
    particle: Index  # (facets,) of each facet, row of `numbers`
    measure: Array  # (n,) surface of each particle that faces solved phases, m (m^2)
    held: Array  # (n,) mean concentration on it in equilibrium, per reference concentration


@dataclass(frozen=True, eq=False)
class ParticleSurfaces:
    """All surface regions of a case, and the means over each particle's surface as functionals of the unknowns."""

    particles: Particles  # of all phases that are wanted
    regions: tuple[SurfaceRegion, ...]
    rows: csr_array  # (particles of the first region and of the next and so on, owned)
    means: dict[str, RegionMean]  # by region name


def particle_surfaces(
    shapes: Mapping[str, Shape], volume: LabelVolume, mesh: PhaseMesh, physics: Physics, problem: Problem
) -> ParticleSurfaces | None:
    """Find the particles of the surface regions and their facets; None where there is no such region; collective.

    Args:
        shapes: All regions by name.
        volume: The image.
        mesh: The mesh of the solved phases.
        physics: Phases in the order of image and mesh.
        problem: On this mesh.
    """
    wanted = {name: shape for name, shape in shapes.items() if isinstance(shape, SurfaceOf)}
    if not wanted:
        return None
    comm = mesh.mesh.comm
    phases = list(dict.fromkeys(mesh.names.index(shape.phase) for shape in wanted.values()))
    solved = list(physics.solved)
    particles = particles_of(volume, phases, comm)
    found: list[SurfaceRegion] = []
    rows: list[csr_array] = []
    means: dict[str, RegionMean] = {}
    for name, shape in wanted.items():
        phase = mesh.names.index(shape.phase)
        numbers = np.flatnonzero(particles.phase == phase)
        facets = surface_facets(mesh, phase, solved)
        particle = particle_of_facets(particles, phase, numbers, facets, name)
        measure = measures_of(facets, particle, len(numbers), comm)
        row = mean_rows(problem.space, facets, particle, len(numbers), problem.factors)
        whole = float(measure.sum())
        scale = 1.0 / whole if whole > 0 else 0.0
        outside = comm.allreduce(np.bincount(facets.outside, facets.measure, len(mesh.names)))
        contacts = particles.interface_size[numbers].sum(axis=0)
        unit = mesh.unit ** (len(mesh.extent) - 1)
        means[name] = RegionMean(
            weights=(measure * scale) @ row,
            solved_measure=whole * unit,
            solved_share=float(contacts[solved].sum() / max(contacts.sum(), 1e-300)),
            phase_shares=outside * scale,
            parts=facet_parts(problem.space, facets),
        )
        held = comm.allreduce(np.bincount(particle, facets.measure * problem.factors[facets.outside], len(numbers)))
        held = np.where(measure > 0, held / np.where(measure > 0, measure, 1.0), 1.0)
        found.append(SurfaceRegion(name, shape, numbers, facets, particle, measure * unit, held))
        rows.append(row)
    return ParticleSurfaces(particles, tuple(found), vstack(rows, format="csr"), means)


def particle_of_facets(particles: Particles, phase: int, numbers: Numbers, facets: SurfaceFacets, name: str) -> Index:
    """Particle of each facet, as row of `numbers`; collective."""
    number, searched = particles.behind(phase, facets.center, facets.inwards)
    lost = np.flatnonzero(number < 0)
    # No voxel of the phase is near: the mesh is coarser than its particles there. The nearest middle has to do.
    edge = particles.volume.unit
    for i in lost:
        away = np.linalg.norm(particles.center[numbers] - facets.center[i] * edge, axis=1)
        number[i] = numbers[int(np.argmin(away))]
    count, far = particles.comm.allreduce(np.array([len(number), len(lost)]))
    log.debug("region %s: %d facets, %d found by a search, %d by the nearest middle", name, count, searched, far)
    return np.searchsorted(numbers, number).astype(np.int32)


# --- after the run ---
