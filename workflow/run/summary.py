"""summary.json: the case as understood, what was done, how right it is, and the figures to quote."""

from dataclasses import asdict
from typing import Any

from mpi4py import MPI

from microlith.imaging.parallel.machine import peak_memory
from microlith.meshing.mesh.phasemesh import pair_of
from microlith.solver.problem.problem import Problem
from microlith.solver.regions.means import RegionMean
from microlith.workflow.case.describe import interpreted
from microlith.workflow.prepare.fidelity import fidelity_entries
from microlith.workflow.rendering.renderer import drawing_memory
from microlith.workflow.results.json_file import versions
from microlith.workflow.results.particles import particle_summary
from microlith.workflow.run.region_figures import RegionFigures, worst
from microlith.workflow.run.solved import Solved
from microlith.workflow.studies.peaks import MATTERS, Peak
from microlith.workflow.studies.spatial_error import SpatialError

AREA_OR_VOLUME = {2: "area_m2", 3: "volume_m3"}  # by dimension: name of the measure, with its unit
LENGTH_OR_AREA = {2: "length_m", 3: "area_m2"}  # of a surface


def summary(solved: Solved, comm: MPI.Intracomm) -> dict[str, Any]:
    """All entries; collective.

    Args:
        solved: What the run found.
        comm: The ranks that solved it.
    """
    ready, transient = solved.ready, solved.transient
    dim = ready.meshed.volume.dim
    # Volumes are drawn by a process beside the first rank, which has ended by now.
    memory = comm.allreduce(peak_memory() + drawing_memory())
    cpu = {name: comm.allreduce(seconds) for name, seconds in solved.stages.work.items()}
    report = ready.meshed.report
    return {
        "versions": versions(),
        "run": solved.provenance.run_entries(),
        "image": solved.provenance.image_entries(),
        "case": _case_entries(solved),
        "warnings": (*solved.provenance.origin.warnings, *solved.warnings),
        "checks": solved.verdict.entries(),
        "cells": ready.meshed.cells,
        "unknowns": ready.problem.unknowns,
        **(fidelity_entries(report) if report is not None else {}),
        "solver": _solver_entries(solved, comm.size),
        "error": _error_entries(solved),
        "mass_balance": {
            "unit": "mol per metre of depth" if dim == 2 else "mol",
            "stored_change": transient.balance.stored_change,
            "inflow": transient.balance.inflow,
            "imbalance": transient.balance.imbalance,
        },
        "concentration_range_mol_per_m3": (solved.shown.low, solved.shown.high),
        "surface_areas": _area_entries(solved),
        "islands": [{"phases": i.phases, AREA_OR_VOLUME[dim]: i.measure, "center_m": i.center} for i in ready.apart],
        "regions": {
            figures.name: region_summary(
                figures, ready.means[figures.name], ready.problem, dim, ready.shapes[figures.name].is_surface
            )
            for figures in solved.figures
        },
        **({"particles": {table.region: particle_summary(table) for table in solved.tables}} if solved.tables else {}),
        "timings_s": solved.stages.timings,
        "cpu_timings_s": cpu,
        "cpu_s": comm.allreduce(solved.stages.all_work),
        "peak_memory_bytes": memory,
    }


def _case_entries(solved: Solved) -> dict[str, Any]:
    """The case as understood, with the voxel size of the image file where the case gives none."""
    entries = interpreted(solved.case)
    if entries["image"]["voxel_size_m"] is None:
        entries["image"]["voxel_size_m"] = list(solved.provenance.origin.voxel_size)
    return entries


def _area_entries(solved: Solved) -> list[dict[str, Any]]:
    """Of surfaces that lithium passes in proportion to their area: in the mesh, in the image, and what counts."""
    meshed, key = solved.ready.meshed, LENGTH_OR_AREA[solved.ready.meshed.volume.dim]
    names = meshed.mesh.names
    return [
        {
            "phases": [names[i] for i in pair_of(tag)],
            f"mesh_{key}": area.mesh,
            f"image_{key}": area.image,
            f"image_error_{key}": area.error,
            f"counts_as_{key}": area.mesh * meshed.mesh.smooth.get(tag, 1.0),
        }
        for tag, area in meshed.areas.items()
        if area is not None
    ]


def _solver_entries(solved: Solved, ranks: int) -> dict[str, Any]:
    transient = solved.transient
    return {
        "method": transient.method,
        "degree": solved.case.degree,
        "poles_s": transient.poles,
        "solves": transient.solves,
        **({} if transient.effort is None else asdict(transient.effort)),
        "inner_iterations": transient.inner_iterations,
        "ranks": ranks,
    }


def _error_entries(solved: Solved) -> dict[str, Any]:
    scale = solved.ready.problem.scales.concentration
    return {
        "of": "the region curves, in time, relative to the reference concentration",
        "estimate": solved.transient.error,
        "tolerance": solved.case.time.tolerance,
        "converged": solved.transient.converged,
        "reference_concentration_mol_per_m3": scale,
        "space": None if solved.space is None else error_in_space(solved.space, scale),
        "curves": _curve_error_entries(solved),
    }


def _curve_error_entries(solved: Solved) -> dict[str, Any]:
    """The largest errors of all curves; those of each stand with its region."""
    largest, early = (worst(solved.figures, early=early) for early in (False, True))

    def entries(found: tuple[str, Peak] | None) -> dict[str, Any] | None:
        return None if found is None else {"region": found[0], "error": found[1].error, "at_s": found[1].time}

    return {
        "of": f"the region curves, {solved.errors_are}, relative to the largest mean that each region holds, or would "
        "hold in equilibrium",
        "from_s": MATTERS * solved.case.time.end,
        "largest": entries(largest),
        "before": entries(early),
    }


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
        "how": f"{space.how}: {space.meaning}",
        "cells": space.cells,
        "unknowns": space.unknowns,
    }


def region_summary(
    figures: RegionFigures, mean: RegionMean, problem: Problem, dim: int, surface: bool = False
) -> dict[str, Any]:
    """What there is to quote of a region with its errors, and how much of it is solved for.

    Args:
        figures: Of the region.
        mean: Of the region.
        problem: What was solved.
        dim: Of the space.
        surface: Whether the region is a surface.
    """
    measure = LENGTH_OR_AREA[dim] if surface else AREA_OR_VOLUME[dim]
    return figures.entries() | {
        "reference_mol_per_m3": problem.reference_of(mean.phase_shares),
        "solved_share": mean.solved_share,
        f"solved_{measure}": mean.solved_measure,
    }
