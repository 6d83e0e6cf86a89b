"""What reaches each particle: the concentration on the surfaces of the regions `surface`, particle by particle."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, vstack

from microlith.imaging.image.volume import LabelVolume
from microlith.imaging.microstructure.particles import Particles, particles_of
from microlith.meshing.mesh.cells import facet_corners
from microlith.meshing.mesh.phasemesh import PhaseMesh, interface_tag
from microlith.meshing.mesh.surface_gaps import smallest_distances
from microlith.solver.physics.phases import Physics, Role, Shape, SurfaceOf
from microlith.solver.problem.problem import Problem
from microlith.solver.regions.means import RegionMean
from microlith.solver.regions.surface_means import (
    SurfaceFacets,
    SurfaceState,
    mean_rows,
    measures_of,
    surface_facets,
    surface_state,
)
from microlith.solver.times import first_times
from microlith.solver.transient import Transient

log = logging.getLogger(__name__)
Array = NDArray[np.float64]
Index = NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class SurfaceRegion:
    """The surface of one phase."""

    name: str  # of the region
    shape: SurfaceOf
    numbers: NDArray[np.intp]  # (n,) of its particles, among all
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
    solved = [i for i, phase in enumerate(physics.phases) if phase.role is Role.TRANSPORT]
    particles = particles_of(volume, phases, comm)
    found: list[SurfaceRegion] = []
    rows: list[csr_array] = []
    means: dict[str, RegionMean] = {}
    for name, shape in wanted.items():
        phase = mesh.names.index(shape.phase)
        numbers = np.flatnonzero(particles.phase == phase)
        facets = surface_facets(mesh, phase, solved)
        particle = _particle_of(particles, phase, numbers, facets, name)
        measure = measures_of(facets, particle, len(numbers), comm)
        row = mean_rows(problem.space, facets, particle, len(numbers), problem.factors)
        whole = float(measure.sum())
        scale = 1.0 / whole if whole > 0 else 0.0
        outside = comm.allreduce(np.bincount(facets.outside, facets.measure, len(mesh.names)))
        contacts = particles.contacts[numbers].sum(axis=0)
        unit = mesh.unit ** (len(mesh.extent) - 1)
        means[name] = RegionMean(
            weights=(measure * scale) @ row,
            solved_measure=whole * unit,
            solved_share=float(contacts[solved].sum() / max(contacts.sum(), 1e-300)),
            phase_shares=outside * scale,
        )
        held = comm.allreduce(np.bincount(particle, facets.measure * problem.factors[facets.outside], len(numbers)))
        held = np.where(measure > 0, held / np.where(measure > 0, measure, 1.0), 1.0)
        found.append(SurfaceRegion(name, shape, numbers, facets, particle, measure * unit, held))
        rows.append(row)
    return ParticleSurfaces(particles, tuple(found), vstack(rows, format="csr"), means)


def _particle_of(
    particles: Particles, phase: int, numbers: NDArray[np.intp], facets: SurfaceFacets, name: str
) -> Index:
    """Particle of each facet, as row of `numbers`; collective."""
    number, searched = particles.behind(phase, facets.center, facets.inwards)
    lost = np.flatnonzero(number < 0)
    # No voxel of the phase is near: the mesh is coarser than its particles there. The nearest middle has to do.
    edge = min(particles.volume.voxel_size)
    for i in lost:
        away = np.linalg.norm(particles.center[numbers] - facets.center[i] * edge, axis=1)
        number[i] = numbers[int(np.argmin(away))]
    count, far = particles.comm.allreduce(np.array([len(number), len(lost)]))
    log.debug("region %s: %d facets, %d found by a search, %d by the nearest middle", name, count, searched, far)
    return np.searchsorted(numbers, number).astype(np.int32)


# --- after the run ---


@dataclass(frozen=True, eq=False)
class ParticleTable:
    """What is known of the particles of one region; the same on all ranks."""

    region: str
    shape: SurfaceOf
    numbers: NDArray[np.intp]  # (n,) among the particles of all regions
    measure: Array  # (n,) area (volume), m^2 (m^3)
    diameter: Array  # (n,) of a disk (sphere) as large, m
    center: Array  # (n, dim) m
    on_frame: NDArray[np.bool_]  # (n,) whether the image's frame cuts it
    distance: Array  # (n,) between its surface and the nearest source's, m; nan where there is none
    surface: Array  # (n,) length (area) that faces solved phases, m (m^2)
    facing: Array  # (n,) share of its pixel edges (voxel faces) that face solved phases; nan where it has none
    t50: Array  # (n,) s, when the mean over its surface first reaches half of what it is in equilibrium; else inf
    t90: Array  # (n,) s, 90 % of it
    snapshots: tuple[float, ...]  # s
    states: tuple[SurfaceState, ...]  # at the snapshots, mol/m^3


def particle_tables(
    surfaces: ParticleSurfaces,
    mesh: PhaseMesh,
    physics: Physics,
    problem: Problem,
    transient: Transient,
    end: float,
    snapshots: Sequence[float],
) -> tuple[ParticleTable, ...]:
    """What the solution says of each particle, a table for each region; collective.

    Args:
        surfaces: As the solution was made with.
        mesh: The mesh of the solved phases.
        physics: Phases in the order of the mesh.
        problem: What was solved.
        transient: Its solution, with surfaces.rows as extra functionals.
        end: Of the run, s.
        snapshots: s.
    """
    comm, particles = mesh.mesh.comm, surfaces.particles
    reference = problem.scales.concentration
    full = reference * np.concatenate([region.held for region in surfaces.regions])
    times = [first_times(transient.extra, level * full, end) for level in (0.5, 0.9)]
    states: list[list[SurfaceState]] = [[] for _ in surfaces.regions]
    unheld = np.full(len(problem.system.initial), np.nan)
    for moment in snapshots:
        if moment == 0.0:  # pictures show the held surfaces then, and so a step within the elements there
            values = problem.display.start(mesh, problem.start_of_phase, unheld) * reference
        else:
            values = transient.concentration(moment)
        for of_region, region in zip(states, surfaces.regions, strict=True):
            threshold = region.shape.threshold * reference * problem.factors[region.facets.outside]
            of_region.append(
                surface_state(
                    problem.display.space, region.facets, region.particle, len(region.numbers), values, threshold
                )
            )
    sources = [i for i, phase in enumerate(physics.phases) if phase.role is Role.SOURCE]
    solved = [i for i, phase in enumerate(physics.phases) if phase.role is Role.TRANSPORT]
    fed = facet_corners(mesh.mesh, _owned_facets(mesh, [interface_tag(i, s) for i in sources for s in solved]))
    tables = []
    first = 0
    for region, of_region in zip(surfaces.regions, states, strict=True):
        numbers = region.numbers
        mine = slice(first, first + len(numbers))
        first = mine.stop
        bare = region.measure == 0
        corners = region.facets.corners
        distance = mesh.unit * smallest_distances(
            corners.reshape(-1, corners.shape[2]),
            np.repeat(region.particle, corners.shape[1]),
            len(numbers),
            fed,
            comm,
        )
        contacts = particles.contacts[numbers]
        distance[contacts[:, sources].sum(axis=1) > 0] = 0.0
        around = contacts.sum(axis=1)
        tables.append(
            ParticleTable(
                region=region.name,
                shape=region.shape,
                numbers=numbers,
                measure=particles.measure[numbers],
                diameter=particles.diameter[numbers],
                center=particles.center[numbers],
                on_frame=particles.on_frame[numbers],
                distance=np.where(np.isfinite(distance), distance, np.nan),
                surface=region.measure,
                facing=np.where(around > 0, contacts[:, solved].sum(axis=1) / np.maximum(around, 1e-300), np.nan),
                t50=np.where(bare, np.inf, times[0][mine]),
                t90=np.where(bare, np.inf, times[1][mine]),
                snapshots=tuple(snapshots),
                states=tuple(of_region),
            )
        )
    return tuple(tables)


def _owned_facets(mesh: PhaseMesh, tags: Sequence[int]) -> Index:
    facets = mesh.facet_tags.indices[np.isin(mesh.facet_tags.values, tags)]
    return facets[facets < mesh.mesh.topology.index_map(mesh.mesh.topology.dim - 1).size_local]
