"""Effective diffusivity of a phase or of several: mesh them, drive a flux along each axis, tell what gets through."""

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from mpi4py import MPI

from microlith.imaging.axes import AXES
from microlith.imaging.errors import InputError
from microlith.imaging.image.half_voxel import Shift, shifted
from microlith.imaging.image.volume import LabelVolume
from microlith.solver.conduction.conduction import Conduction, medium_conduction
from microlith.workflow.case.case import Case
from microlith.workflow.console.terminal import Stages, table_console
from microlith.workflow.prepare.meshed import CaseImage, file_named
from microlith.workflow.results.json_file import versions
from microlith.workflow.studies.conducting import (
    NO_ERROR,
    conducting,
    diffusivities_in_words,
    far_apart,
    hand_out,
    image_of,
    meshed_phases,
    phase_index,
    shape_only,
    tell_law,
    thin_parts,
    told_of_mesh,
)
from microlith.workflow.studies.moved_interfaces import moved_mesh
from microlith.workflow.voxel_conduction import is_for, voxel_conduction

log = logging.getLogger(__name__)

# Fluxes that differ by more were not solved well enough to print eight digits.
AGREEMENT = 1e-6

# What the figures mean, in words, for the file: others define some of them otherwise.
CONVENTIONS = {
    "relative_effective_diffusivity": "D_eff / D_phase: mean flux through the whole cross-section of the image, per "
    "gradient, relative to the same within the phase",
    "relative_effective_diffusivity_at_least": "lower bound of what the meshed shape conducts, to the tolerance of "
    "the solver; relative_effective_diffusivity is an upper one",
    "relative_effective_diffusivity_half_a_voxel_smaller": "relative_effective_diffusivity with the surface of the "
    "phases half a voxel farther in, as the segmentation may be off; ..._larger: farther out; null: not asked for",
    "volume_fraction_half_a_voxel_smaller": "volume_fraction with the surface there; ..._larger likewise",
    "tortuosity_factor": "tau = volume_fraction / (D_eff / D_phase); the fraction counts dead ends and "
    "closed parts too",
    "tortuosity": "square root of the tortuosity factor: length of the paths per distance, if all were alike",
    "macmullin_number": "D_phase / D_eff, also called formation factor",
    "faces": "the concentration is 0 and 1 on the two outer faces themselves, at the outer sides of the first "
    "and last voxels, the length of the whole image apart; no flux through other outer faces",
}


@dataclass(frozen=True, eq=False)
class EffectiveDiffusivity:
    """What one phase, or several together, conduct between opposite faces of the image, and how it was found.

    Of several phases D_phase is that of the first one; a tortuosity factor and a MacMullin number they have none.
    """

    case: Case
    phases: tuple[str, ...]  # names
    bulk: float | None  # D_bulk, m^2/s, as it stands in the case file; None: the case gives no single one
    in_phase: float | None  # D_phase, m^2/s: D_bulk with porosity and effective-medium model; None: no single one
    model: str  # that makes D_phase of D_bulk, and the porosity, in words
    along: tuple[Conduction, ...]  # one per axis
    method: str  # that made the mesh
    degree: int  # of the elements
    cells: int  # over all ranks
    ranks: int
    seconds: dict[str, float]  # stage -> s
    # D_eff / D_phase, one pair per axis, where the phases together are smaller by half a voxel on each side, and larger
    half_voxel: tuple[tuple[float, float], ...] = ()
    half_voxel_fractions: tuple[float, float] | None = None  # of the box that they take up then
    of_mesh: tuple[str, ...] = ()  # what to bear in mind of the mesh, in sentences,
    told: tuple[str, ...] = ()  # and what was warned of when it was made

    @property
    def phase(self) -> str:
        """Name of the phase, or names of the phases."""
        return " + ".join(self.phases)

    @property
    def is_composite(self) -> bool:
        """Whether several phases conduct."""
        return len(self.phases) > 1

    @property
    def has_bounds(self) -> bool:
        """Whether there are lower bounds."""
        return all(along.lower is not None for along in self.along)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What to bear in mind with the figures, in sentences."""
        told = (
            sentence
            for along in self.along
            for sentence in (_doubt(along), far_apart(along.axis, along.lower, along.relative))
        )
        doubts = (sentence for sentence in told if sentence is not None)
        return (*self.told, *doubts, *self.of_mesh, *shape_only(self.case, self.phases))

    def value(self, along: Conduction) -> float | None:
        """The effective diffusivity D_eff along an axis, m^2/s; None where the case gives none to multiply."""
        return None if self.in_phase is None else along.relative * self.in_phase

    def per_bulk(self, along: Conduction) -> float | None:
        """D_eff / D_bulk along an axis: what geometry, porosity and model make of the case file's value together."""
        value = self.value(along)
        return None if value is None or not self.bulk else value / self.bulk


def deff(
    case: Case,
    phase: str | Sequence[str],
    axes: Sequence[str],
    output: Path | None,
    show: bool = True,
    comm: MPI.Intracomm = MPI.COMM_WORLD,
    bounds: bool = True,
    *,
    force: bool = False,
    half_voxel: bool = False,
) -> EffectiveDiffusivity:
    """Find the effective diffusivity of a phase or several, print it and, if asked to, write it to a file; collective.

    Args:
        case: Image, phases and mesh of it count.
        phase: Name of the phase; its role does not matter. Or names of several phases with diffusivities, which conduct
            together, with the interfaces of the case between them.
        axes: Any of "x", "y" and "z"; none means all that the image has.
        output: The JSON file, beside which a page goes, or the result folder.
        show: Whether to print a table.
        comm: The ranks that share the work.
        bounds: Whether lower bounds are wanted, too.
        force: Whether earlier results in the folder are replaced.
        half_voxel: As in `effective_diffusivity`.

    Raises:
        InputError: The case, its image, the phase or an axis is at fault.
    """
    found = effective_diffusivity(case, phase, axes, comm, bounds, half_voxel)
    hand_out(comm, partial(_print, found) if show else None, partial(_entries, found), output, force)
    return found


def effective_diffusivity(
    case: Case,
    phase: str | Sequence[str],
    axes: Sequence[str] = (),
    comm: MPI.Intracomm = MPI.COMM_WORLD,
    bounds: bool = True,
    half_voxel: bool = False,
) -> EffectiveDiffusivity:
    """Find the effective diffusivity of a phase or several; nothing is printed or written; collective.

    Args:
        case: Image, phases and mesh of it count.
        phase: Name of the phase; its role does not matter. Or names of several phases with diffusivities, which conduct
            together, with the interfaces of the case between them.
        axes: Any of "x", "y" and "z"; none means all that the image has.
        comm: The ranks that share the work.
        bounds: Whether lower bounds are wanted, too.
        half_voxel: Whether to solve three times more, on voxels of half the edge, with the surface of the phases half a
            voxel farther in and out: what the segmentation leaves open.

    Raises:
        InputError: The case, its image, the phase or an axis is at fault.
    """
    stages = Stages()
    way = _way(case, phase, axes, stages, comm, half_voxel)
    if case.mesh.periodic and comm.rank == 0:
        log.info(
            "[faces] periodic: sides are sealed all the same; --periodic finds the tensor of the image that repeats"
        )
    several = len(way.indices) > 1
    with stages.stage("solve", "solving"):
        along = way.along(axes or AXES[: way.volume.dim], bounds)
    half_a_voxel, fractions = _half_voxel(way, along, case, stages) if half_voxel else ((), None)
    phase_physics = case.physics.phases[way.indices[0]]
    # What D_eff is told relative to: of several phases the first one's; of one that has axes or a law, nothing
    single = several or (phase_physics.law is None and phase_physics.anisotropy is None)
    found = EffectiveDiffusivity(
        case=case,
        phases=way.names,
        bulk=phase_physics.diffusivity if single else None,
        in_phase=phase_physics.effective_diffusivity if single else None,
        model=f"porosity {phase_physics.porosity:g}, model {phase_physics.effective_model}",
        along=along,
        method=way.method,
        degree=way.degree,
        cells=way.cells,
        ranks=comm.size,
        seconds=stages.timings,
        half_voxel=half_a_voxel,
        half_voxel_fractions=fractions,
        of_mesh=(*thin_parts(way.case, way.volume, way.indices, comm), *way.of_interfaces),
        told=way.told,
    )
    if comm.rank == 0:
        for sentence in found.warnings[len(found.told) :]:
            log.warning("%s", sentence)
        tell_law(case, found.phases)
    return found


def _doubt(along: Conduction) -> str | None:
    """How many digits of a figure can be trusted, in a sentence, where it is fewer than are printed.

    Where phases differ by many orders of magnitude, fluxes through the faces are differences of almost equal numbers,
    and say little. Bounds that all but meet then tell more than they do.
    """
    between = math.inf if along.lower is None or along.relative == 0 else abs(1 - along.lower / along.relative)
    unsure = min(along.disagreement, between)
    if unsure <= AGREEMENT:
        return None
    if unsure >= 1:
        return f"along {along.axis} the fluxes through the two faces contradict the energy: don't trust the figure"
    what = "the fluxes through the two faces differ from the energy" if unsure < between else "the bounds differ"
    return f"along {along.axis} {what} by {unsure:.1e}: trust no more digits"


@dataclass(frozen=True, eq=False)
class _Way:
    """How the figures of a case are found: on a mesh, or on its voxels themselves."""

    case: Case  # as it was meshed
    names: tuple[str, ...]  # of the phases
    indices: tuple[int, ...]
    volume: LabelVolume
    method: str  # of the mesh
    degree: int  # of the elements
    cells: int  # over all ranks
    along: Callable[[Sequence[str], bool], tuple[Conduction, ...]]  # from axes, and whether bounds are wanted
    # With interfaces moved: D_eff / D_phase along each axis, and the share of the box that the phases take up
    moved: Callable[[Shift | None, Sequence[str]], tuple[list[float], float]]
    told: tuple[str, ...] = ()  # what was warned of when the mesh was made, in sentences
    of_interfaces: tuple[str, ...] = ()  # between the phases: what to bear in mind, in sentences


def _way(
    case: Case, phase: str | Sequence[str], axes: Sequence[str], stages: Stages, comm: MPI.Intracomm, half_voxel: bool
) -> _Way:
    """Voxels of a volume as they are, where the case allows it, else a mesh; collective.

    Raises:
        InputError: The case, its image, the phase or an axis is at fault.
    """
    names = (phase,) if isinstance(phase, str) else tuple(dict.fromkeys(phase))
    indices = tuple(phase_index(case, name) for name in names)
    image = image_of(case, stages, comm)
    _refuse_axes(case, axes, image.volume.dim)
    if half_voxel and not _others(image.volume, indices):
        raise InputError(f"--half-voxel: {case.path}: no other phase is in the image, so there is no surface to move")
    room = 0 if not case.check_memory else 2**image.volume.dim if half_voxel else 1
    if is_for(case, len(names)) and image.volume.dim == 3:
        return _by_voxels(case, names[0], indices[0], image.volume, comm, room)
    return _by_mesh(case, names, stages, comm, image, room)


def _refuse_axes(case: Case, axes: Sequence[str], dim: int) -> None:
    """Refuse axes that the image does not have.

    Raises:
        InputError: As said.
    """
    known = AXES[:dim]
    for axis in axes:
        if axis not in known:
            has = f"{', '.join(known[:-1])} and {known[-1]}"
            raise InputError(f"--axis {axis}: {case.path}: the image is {dim}D and has the axes {has} only")


def _others(volume: LabelVolume, indices: Sequence[int]) -> tuple[int, ...]:
    """The phases of an image but these."""
    return tuple(i for i in range(len(volume.names)) if i not in indices)


def _by_mesh(
    case: Case, names: Sequence[str], stages: Stages, comm: MPI.Intracomm, image: CaseImage, room: int
) -> _Way:
    """Mesh the phases; collective."""
    ready = meshed_phases(case, names, stages, comm, image, room)
    options = replace(ready.meshed.case.mesh, method=ready.meshed.method)

    def along(axes: Sequence[str], bounds: bool) -> tuple[Conduction, ...]:
        return medium_conduction(ready.medium, axes, ready.degree, case.solver, bounds)

    def moved(shift: Shift | None, axes: Sequence[str]) -> tuple[list[float], float]:
        mesh = moved_mesh(ready.meshed, options, ready.indices, shift, comm)
        if mesh is None:
            return [0.0] * len(axes), 0.0
        medium = conducting(mesh, case, ready.indices)
        return _relative(medium_conduction(medium, axes, ready.degree, case.solver, False))

    meshed = ready.meshed
    told, what = told_of_mesh(meshed, comm), (ready.names, ready.indices, meshed.volume, meshed.method)
    return _Way(meshed.case, *what, ready.degree, meshed.cells, along, moved, told, ready.of_interfaces)


def _by_voxels(case: Case, name: str, index: int, volume: LabelVolume, comm: MPI.Intracomm, room: int) -> _Way:
    """Take the voxels as they are."""

    def along(axes: Sequence[str], bounds: bool) -> tuple[Conduction, ...]:
        with file_named(case):
            return voxel_conduction(volume, index, axes, comm, bounds, room)

    def moved(shift: Shift | None, axes: Sequence[str]) -> tuple[list[float], float]:
        finer = shifted(volume, shift, comm)
        with file_named(case):
            return _relative(voxel_conduction(finer, index, axes, comm, False, 0))

    return _Way(case, (name,), (index,), volume, "voxel", 1, volume.counts[index], along, moved)


def _relative(along: Sequence[Conduction]) -> tuple[list[float], float]:
    return [one.relative for one in along], along[0].fraction


def _half_voxel(
    way: _Way, along: tuple[Conduction, ...], case: Case, stages: Stages
) -> tuple[tuple[tuple[float, float], ...], tuple[float, float]]:
    """D_eff / D_phase along each axis with the phases smaller and larger by half a voxel on each side; collective.

    They are those found, times what half a voxel changes on one and the same mesh of finer voxels; so are the shares of
    the box, which come with them.
    """
    others = _others(way.volume, way.indices)
    shifts = None, Shift(growing=others, yielding=way.indices), Shift(growing=way.indices, yielding=others)
    axes, found = [one.axis for one in along], []
    for shift, words in zip(shifts, ("as it is", "half a voxel smaller", "half a voxel larger"), strict=True):
        with stages.stage(f"half voxel, {words}", f"{words}, solving"):
            found.append(way.moved(shift, axes))
    relative = tuple(
        (a, b) if same == 0 else (one.relative * a / same, one.relative * b / same)
        for one, same, a, b in zip(along, *(values for values, _ in found), strict=True)
    )
    same, smaller, larger = (fraction for _, fraction in found)
    share = along[0].fraction / same if same else 1.0
    return relative, (share * smaller, share * larger)


def _print(found: EffectiveDiffusivity) -> None:
    from rich.table import Table

    title = f"{found.phase}: {found.along[0].fraction:.5f} of the box"
    table = Table("along", *(along.axis for along in found.along), title=title, title_justify="left")
    for name, values in _rows(found).items():
        table.add_row(name, *values)
    console = table_console()
    console.print(table)
    for line in _names(found):
        console.print(line, markup=False, soft_wrap=True)


def _rows(found: EffectiveDiffusivity) -> dict[str, list[str]]:
    """Names and values, one per axis, of what is told in the table."""
    name = f"D_eff / D_phase of {found.phases[0]}" if found.is_composite else "D_eff / D_phase"
    rows = {name: [f"{along.relative:.6g}" for along in found.along]}
    if found.has_bounds:
        rows["  at least"] = [f"{along.lower:.6g}" for along in found.along]
    if found.half_voxel:
        rows["  half a voxel smaller"] = [f"{low:.6g}" for low, _ in found.half_voxel]
        rows["  half a voxel larger"] = [f"{high:.6g}" for _, high in found.half_voxel]
    if found.in_phase is not None:
        if found.in_phase != found.bulk and not found.is_composite:
            rows["D_eff / D_bulk"] = [f"{found.per_bulk(along):.6g}" for along in found.along]
        rows["D_eff in m²/s"] = [f"{found.value(along):.6g}" for along in found.along]
    if not found.is_composite:
        rows["tortuosity factor τ"] = [f"{along.tortuosity:.6g}" for along in found.along]
        rows["tortuosity √τ"] = [f"{math.sqrt(along.tortuosity):.6g}" for along in found.along]
        rows["MacMullin number"] = [f"{along.macmullin:.6g}" for along in found.along]
    rows["joined to both faces"] = [f"{100 * along.connected:.3f} %" for along in found.along]
    return rows


def _names(found: EffectiveDiffusivity) -> list[str]:
    """What the diffusivities in the table are."""
    lines = [
        "D_eff: of the image along the axis, other phases impermeable; concentrations are held on the two outer faces",
    ]
    if found.has_bounds:
        lines.append("at least: the meshed shape conducts no less than this, and no more than D_eff / D_phase says")
    else:
        lines.append(NO_ERROR)
    if found.half_voxel:
        what = "the phases together" if found.is_composite else found.phase
        lines.append(f"half a voxel smaller, larger: D_eff / D_phase with the surface of {what} so far in or out")
    if found.is_composite:
        return [*lines, *diffusivities_in_words(found.case, found.phases)]
    lines.append("τ = volume fraction / (D_eff / D_phase), MacMullin number = D_phase / D_eff")
    if found.in_phase is None or found.bulk is None:
        return [*lines, f"D_phase: within {found.phase}, porosity and effective-medium model included"]
    if found.in_phase == found.bulk:
        return [*lines, f"D_phase = {found.in_phase:.6g} m²/s: within {found.phase}, as the case file gives it"]
    return [
        *lines,
        f"D_phase = {found.in_phase:.6g} m²/s: within {found.phase}, D_bulk with its {found.model}",
        f"D_bulk = {found.bulk:.6g} m²/s: diffusivity in the case file, of what fills the pores of {found.phase}",
    ]


def _entries(found: EffectiveDiffusivity) -> dict[str, Any]:
    smaller, larger = found.half_voxel_fractions or (None, None)
    return {
        "versions": versions(),
        "case": found.case.path,
        "image": found.case.image.path,
        "phase": found.phase,
        "phases": list(found.phases),
        "warnings": list(found.warnings),
        "volume_fraction": found.along[0].fraction,
        "volume_fraction_half_a_voxel_smaller": smaller,
        "volume_fraction_half_a_voxel_larger": larger,
        "diffusivity_m2_per_s": found.in_phase,
        "diffusivity_is": "D_phase, within the phase, porosity and effective-medium model included; "
        "relative_effective_diffusivity is D_eff / D_phase",
        "phase_diffusivity_m2_per_s": found.in_phase,
        "bulk_diffusivity_m2_per_s": found.bulk,
        "effective_model": found.model,
        "conventions": CONVENTIONS,
        "no_error": None if found.has_bounds else NO_ERROR,
        "axes": {along.axis: _axis_entries(found, i) for i, along in enumerate(found.along)},
        "mesh": {
            "method": found.method,
            "degree": found.degree,
            "cells": found.cells,
            "unknowns": found.along[0].unknowns,
        },
        "ranks": found.ranks,
        "timings_s": found.seconds,
    }


def _axis_entries(found: EffectiveDiffusivity, number: int) -> dict[str, Any]:
    along, one = found.along[number], not found.is_composite
    smaller, larger = found.half_voxel[number] if found.half_voxel else (None, None)
    return {
        "relative_effective_diffusivity": along.relative,
        "relative_effective_diffusivity_at_least": along.lower,
        "relative_effective_diffusivity_half_a_voxel_smaller": smaller,
        "relative_effective_diffusivity_half_a_voxel_larger": larger,
        "effective_per_bulk_diffusivity": found.per_bulk(along) if one else None,
        "effective_diffusivity_m2_per_s": found.value(along),
        # null where nothing gets through, and where several phases conduct
        "tortuosity_factor": along.tortuosity if one else None,
        "tortuosity": math.sqrt(along.tortuosity) if one else None,
        "macmullin_number": along.macmullin if one else None,
        "connected_share": along.connected,
        "flux_disagreement": along.disagreement,
        "solver": along.method,
        "iterations": along.iterations,
    }
