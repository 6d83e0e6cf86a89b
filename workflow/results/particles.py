"""What is known of particles, as a file and as an entry of the summary."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from microlith.imaging.axes import AXES
from microlith.imaging.errors import InputError
from microlith.imaging.typing import Array
from microlith.meshing.mesh.cells import facet_corners
from microlith.meshing.mesh.distance import periods, smallest_distances
from microlith.meshing.mesh.phasemesh import PhaseMesh, interface_tag
from microlith.solver.physics.phases import Physics, Role
from microlith.solver.problem.problem import Problem
from microlith.solver.regions.shapes import SurfaceOf
from microlith.solver.regions.surface_means import SurfaceState, surface_state
from microlith.solver.times import first_times
from microlith.solver.transient import Transient
from microlith.workflow.prepare.particle_surfaces import Index, ParticleSurfaces
from microlith.workflow.results.csv_file import csv_records, write_csv
from microlith.workflow.results.particle_curves import ParticleCurves


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
    # When the mean over its surface is first at half of what it is in equilibrium or above, (n,) s: 0 where it starts
    # so, inf where it never is, nan where no surface faces solved phases
    t50: Array
    t90: Array  # (n,) s, the same of 90 %
    t50_falling: Array  # (n,) s, when a mean that starts with half first falls below it; inf: never; nan: as above
    snapshots: tuple[float, ...]  # s
    states: tuple[SurfaceState, ...]  # at the snapshots, mol/m^3
    # How far off t50 and t90 may be, (n,) s; nan: not known, or never there. None: not estimated
    t50_error: Array | None = None
    t90_error: Array | None = None


def ids_of(tables: Sequence[ParticleTable], count: int) -> NDArray[np.int64]:
    """Ids of all particles in particles.csv, (count,), in their numbering; 0 where one is in no table.

    Args:
        tables: Of the regions; where two are of one phase both have the same ids.
        count: Number of all particles.
    """
    ids = np.zeros(count, dtype=np.int64)
    for table in tables:
        ids[table.numbers] = np.arange(1, len(table.numbers) + 1)
    return ids


def write_particles(path: Path, title: str, tables: Sequence[ParticleTable]) -> None:
    """Write particles.csv: three comment lines (title, version, columns), a header, and one row per particle.

    What is not known or never happens is empty.

    Args:
        path: The file; it appears whole or not at all.
        title: Of the case.
        tables: Of the regions; where there are several, the first column names them.

    Raises:
        InputError: The file can't be written.
    """
    dim = tables[0].center.shape[1]
    size, surface = {2: ("area_m2", "surface_m"), 3: ("volume_m3", "surface_m2")}[dim]
    axes = [f"{axis}_m" for axis in AXES[:dim]]
    what = (
        f"{size}, {axes[0]} ...: size and middle of each particle in the image; diameter_m: of a "
        f"{'disk' if dim == 2 else 'sphere'} as large; on_frame: 1 where the image's frame cuts it; source_distance_m: "
        f"of its surface to the nearest source's, in a straight line; {surface}: what of its surface faces solved "
        "phases; facing: as a share of all that is not on the frame; t50_s, t90_s: when the mean over this surface "
        "is first at 50 and 90 % of the largest concentration that drives the case (of what is in equilibrium with "
        "it, where concentrations jump) or above, 0 where it starts so; t50_falling_s: when one that starts at 50 % or "
        "above first falls below that; t50_error_s, t90_error_s: estimated errors (plus or minus) of t50_s and t90_s; "
        f"at each snapshot: mean, std (standard deviation), min and max over this surface in mol/m^3, active: share "
        f"of it above {' and '.join(dict.fromkeys(f'{t.shape.threshold:g}' for t in tables))} of that; "
        "empty: never, or nothing to measure"
    )
    several = len(tables) > 1
    moments = [f"{moment:.6g}s" for moment in tables[0].snapshots]
    kinds = ("mean", "std", "min", "max", "active")
    head = ["region"] if several else []
    head += ["id", size, "diameter_m", *axes, "on_frame", "source_distance_m", surface, "facing"]
    head += ["t50_s", "t90_s", "t50_falling_s", "t50_error_s", "t90_error_s"]
    head += [f"{kind}_{moment}" for moment in moments for kind in kinds]
    rows: list[list[object]] = []
    for table in tables:
        state = [column for s in table.states for column in (s.mean, s.deviation, s.least, s.most, s.active)]
        columns = [table.measure, table.diameter, *table.center.T, table.on_frame, table.distance, table.surface]
        unknown = np.full(len(table.numbers), np.nan)
        errors = [unknown if error is None else error for error in (table.t50_error, table.t90_error)]
        columns += [table.facing, table.t50, table.t90, table.t50_falling, *errors, *state]
        for i, row in enumerate(np.stack([np.asarray(c, np.float64) for c in columns], axis=1), 1):
            shown = [f"{value:.8g}" if np.isfinite(value) else "" for value in row]
            rows.append([*([table.region] if several else []), i, *shown])
    write_csv(path, title, what, head, rows)


def read_particles(path: Path, shapes: Mapping[str, SurfaceOf]) -> tuple[ParticleTable, ...]:
    """What particles.csv says of particles, without their states at the snapshots.

    The particles' numbers are theirs within their tables.

    Args:
        path: The file.
        shapes: The regions `surface`, by name, in the order of the case.

    Raises:
        InputError: The file can't be read.
    """
    try:
        rows = csv_records(path)
        tables = []
        for name, shape in shapes.items():
            own = [row for row in rows if row.get("region", name) == name]
            tables.append(_table(name, shape, own))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: can't be read as the particles of a run ({error}); run the case again") from error
    return tuple(tables)


def _table(name: str, shape: SurfaceOf, rows: Sequence[Mapping[str, str]]) -> ParticleTable:
    def column(key: str, missing: float) -> Array:
        return np.array([float(row[key]) if row.get(key) else missing for row in rows])

    dim = 3 if rows and "volume_m3" in rows[0] else 2
    size, surface = ("area_m2", "surface_m") if dim == 2 else ("volume_m3", "surface_m2")
    bare = column(surface, 0.0) <= 0
    return ParticleTable(
        region=name,
        shape=shape,
        numbers=np.arange(len(rows)),
        measure=column(size, np.nan),
        diameter=column("diameter_m", np.nan),
        center=np.stack([column(f"{axis}_m", np.nan) for axis in AXES[:dim]], axis=1),
        on_frame=column("on_frame", 0.0) > 0,
        distance=column("source_distance_m", np.nan),
        surface=column(surface, 0.0),
        facing=column("facing", np.nan),
        t50=np.where(bare, np.nan, column("t50_s", np.inf)),
        t90=np.where(bare, np.nan, column("t90_s", np.inf)),
        t50_falling=np.where(bare, np.nan, column("t50_falling_s", np.inf)),
        snapshots=(),
        states=(),
        t50_error=column("t50_error_s", np.nan),
        t90_error=column("t90_error_s", np.nan),
    )


def particle_summary(table: ParticleTable) -> dict[str, Any]:
    """Entry of summary.json about the particles of one region; quantiles are over particles with a surface to solve at.

    A quantile is None where that particle is never reached.
    """
    there = table.surface > 0
    whole = max(float(table.surface.sum()), 1e-300)

    def quantiles(times: Array) -> dict[str, float | None]:
        ordered = np.sort(times[there])
        found = {}
        for name, share in (("p10", 0.1), ("median", 0.5), ("p90", 0.9)):
            place = max(0, int(np.ceil(share * len(ordered))) - 1)
            value = float(ordered[place]) if len(ordered) else np.inf
            found[name] = value if np.isfinite(value) else None
        return found

    return {
        "phase": table.shape.phase,
        "threshold": table.shape.threshold,
        "count": len(table.numbers),
        "count_with_surface": int(np.count_nonzero(there)),
        "count_half_from_the_start": int(np.count_nonzero(there & (table.t50 == 0.0))),
        "count_never_half": int(np.count_nonzero(there & np.isinf(table.t50))),
        "active_fraction": {
            f"{moment:.6g} s": float(np.nansum(state.active * table.surface) / whole)
            for moment, state in zip(table.snapshots, table.states, strict=True)
        },
        "t50_s": quantiles(table.t50),
        "t90_s": quantiles(table.t90),
        "t50_error_s": _errors(table.t50_error),
        "t90_error_s": _errors(table.t90_error),
    }


def _errors(errors: Array | None) -> dict[str, float | None]:
    """The median and the largest of what is known of errors (n,)."""
    known = np.array([]) if errors is None else errors[np.isfinite(errors) & (errors > 0)]
    if not len(known):
        return {"median": None, "largest": None}
    return {"median": float(np.median(known)), "largest": float(known.max())}


def particle_tables(
    surfaces: ParticleSurfaces,
    mesh: PhaseMesh,
    physics: Physics,
    problem: Problem,
    transient: Transient,
    end: float,
    snapshots: Sequence[float],
    curves: ParticleCurves | None = None,
    in_space: Array | None = None,
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
        curves: What reaches the particles, where errors of t50 and t90 are wanted.
        in_space: (particles, times of the curves) estimated error of them in space, mol/m^3; nan or None: not known.
    """
    comm, particles = mesh.mesh.comm, surfaces.particles
    reference = problem.scales.concentration
    held = np.concatenate([region.held for region in surfaces.regions])
    full = reference * held
    (t50, falling), (t90, _) = (first_times(transient.extra, level * full, end) for level in (0.5, 0.9))
    errors: list[Array | None] = [None, None]
    if curves is not None:  # in time as those of the regions
        in_time = transient.error * reference * np.minimum(1.0, held)
        off = in_time[:, None] + (0.0 if in_space is None else in_space) + np.zeros_like(curves.times)
        errors = [curves.time_errors(off, level * full, at) for level, at in ((0.5, t50), (0.9, t90))]
    states: list[list[SurfaceState]] = [[] for _ in surfaces.regions]
    unheld = np.full(len(problem.system.initial), np.nan)
    for moment in snapshots:
        if moment == 0.0:  # pictures show the held surfaces then, and so a step within the elements there
            given = problem.start_values
            values = problem.display.start(mesh, problem.start_of_phase, unheld) if given is None else given
            values = values * reference
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
    at_sources = _owned_facets(mesh, [interface_tag(i, s) for i in sources for s in physics.solved])
    fed = facet_corners(mesh.mesh, at_sources)
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
            periods(mesh.extent, mesh.periodic),
        )
        contacts = particles.interface_size[numbers]
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
                facing=np.where(
                    around > 0, contacts[:, list(physics.solved)].sum(axis=1) / np.maximum(around, 1e-300), np.nan
                ),
                t50=np.where(bare, np.nan, t50[mine]),
                t90=np.where(bare, np.nan, t90[mine]),
                t50_falling=np.where(bare, np.nan, falling[mine]),
                snapshots=tuple(snapshots),
                states=tuple(of_region),
                t50_error=None if errors[0] is None else np.where(bare, np.nan, errors[0][mine]),
                t90_error=None if errors[1] is None else np.where(bare, np.nan, errors[1][mine]),
            )
        )
    return tuple(tables)


def _owned_facets(mesh: PhaseMesh, tags: Sequence[int]) -> Index:
    facets = mesh.facet_tags.indices[np.isin(mesh.facet_tags.values, tags)]
    return facets[facets < mesh.mesh.topology.index_map(mesh.mesh.topology.dim - 1).size_local]
