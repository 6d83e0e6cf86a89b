"""The concentration at the start, from a snapshot of an earlier result, on the same mesh or on another."""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mpi4py import MPI

from microlith.imaging.errors import InputError, listed
from microlith.imaging.parallel.collective import on_first_rank, together
from microlith.imaging.typing import Array, Flags
from microlith.meshing.mesh.cells import cell_nodes
from microlith.meshing.mesh.phasemesh import PhaseMesh
from microlith.solver.interfaces.concentration import Display
from microlith.solver.problem.problem import Start, StartValues
from microlith.workflow.case.case import Case
from microlith.workflow.storage.cell_field import CellField, integrals
from microlith.workflow.storage.hdf5 import check_mesh, read_hdf5

if TYPE_CHECKING:
    import h5py

FILE = "fields.vtkhdf"  # of a result
MICROMETRE = 1e-6
SAME_SIZE = 1e-6  # times the longest edge, up to which two images are of one size
SAME_TIME = 1e-6  # relative difference up to which two times are one: summaries and case files round them
MARGIN = 0.1  # of a rank's own box: cells of the result that far around it are kept


def with_initial(case: Case, extent: tuple[float, ...], comm: MPI.Intracomm) -> Case:
    """The case with the least and the largest concentration in each phase at the start; collective.

    Args:
        case: With its image.
        extent: Edge lengths of the image, m, x, y[, z].
        comm: All ranks.

    Raises:
        InputError: The result can't be read, is of an image of another size, or has no such snapshot or phase.
    """
    if case.initial is None:
        return case
    ranges = on_first_rank(comm, lambda: read_hdf5(_path(case), partial(_ranges, case, extent)))
    missing = [case.physics.phases[i].name for i in case.physics.solved if case.physics.phases[i].name not in ranges]
    if missing:
        raise InputError(
            f"{case.path}: initial.from: {_path(case)} has no concentration in {listed(missing)}: it was not solved "
            "for there; take a result that solved for the same phases"
        )
    phases = tuple(
        replace(phase, initial=ranges[phase.name][1], initial_least=ranges[phase.name][0])
        if i in case.physics.solved
        else phase
        for i, phase in enumerate(case.physics.phases)
    )
    return replace(case, physics=replace(case.physics, phases=phases))


def start_of(case: Case, mesh: PhaseMesh) -> Start | None:
    """What gives the concentration at the start on a mesh; None where each phase starts even."""
    return None if case.initial is None else partial(_values, case, mesh)


def _path(case: Case) -> Path:
    assert case.initial is not None
    return Path(case.initial.folder) / FILE


def _step(case: Case, root: "h5py.Group") -> int:
    assert case.initial is not None
    times, wanted = root["Steps/Values"][:], case.initial.time
    if wanted is None:
        return len(times) - 1
    found = np.flatnonzero(np.abs(times - wanted) <= SAME_TIME * max(abs(wanted), 1e-300))
    if not len(found):
        known = listed([f"{time:g} s" for time in times])
        raise InputError(f"{case.path}: initial.time: {_path(case)} has snapshots at {known}, none at {wanted:g} s")
    return int(found[0])


def _nodes(root: "h5py.Group") -> tuple[Any, Any, list[str]]:
    """Nodes of each cell, its phase, and the names of the phases."""
    phase = root["CellData/phase"]
    nodes = root["Connectivity"][:].reshape(len(phase), -1)
    names = [str(name) for name in phase.attrs["names"]]
    check_mesh(root["Points"][:], nodes, phase[:], names)
    return nodes, phase[:], names


def _concentration(case: Case, root: "h5py.Group") -> Array:
    count, step = len(root["Points"]), _step(case, root)
    found = root["PointData/concentration"][step * count : (step + 1) * count]
    if len(found) != count or not np.isfinite(found).all():
        raise ValueError("a concentration is missing or no number")
    return np.asarray(found, dtype=np.float64)


def _check_extent(case: Case, own: tuple[float, ...], root: "h5py.Group") -> None:
    """Refuse a result of an image of another size; own: edge lengths of the case's image, m, x, y[, z]."""
    extent = np.array(root.parent["facets"].attrs["extent_m"]) if "facets" in root.parent else None
    if extent is None or len(extent) != len(own) or np.abs(extent - own).max() > SAME_SIZE * max(own):
        raise InputError(
            f"{case.path}: initial.from: {_path(case)} is of an image of another size; take a result of the same image"
        )


def _ranges(case: Case, extent: tuple[float, ...], root: "h5py.Group") -> dict[str, tuple[float, float]]:
    _check_extent(case, extent, root)
    nodes, phase, names = _nodes(root)
    c = _concentration(case, root)
    of_cells = c[nodes]
    return {
        name: (float(of_cells[phase == i].min()), float(of_cells[phase == i].max()))
        for i, name in enumerate(names)
        if (phase == i).any()
    }


def _values(case: Case, mesh: PhaseMesh, display: Display) -> StartValues:
    """Concentration at the start, mol/m^3; collective."""
    found = together(mesh.mesh.comm, lambda: _interpolated(case, mesh, display))
    return replace(found, in_phases=mesh.mesh.comm.allreduce(found.in_phases, op=MPI.SUM))


def _interpolated(case: Case, mesh: PhaseMesh, display: Display) -> StartValues:
    space = display.space
    x = space.tabulate_dof_coordinates() * (mesh.unit / MICROMETRE)
    phase = np.zeros(len(x), np.int32)
    if display.phase is None:  # where phases meet the concentration is one
        phase[space.dofmap.list[mesh.cell_tags.indices]] = mesh.cell_tags.values[:, None]
    else:
        phase[:] = display.phase
    element, corners_of = space.element.basix_element, cell_nodes(mesh.mesh)
    owned = mesh.cell_tags.indices < mesh.mesh.topology.index_map(mesh.mesh.topology.dim).size_local
    cells, of_cells = mesh.cell_tags.indices[owned], mesh.cell_tags.values[owned]
    at_nodes, within = np.zeros(len(x)), np.zeros((len(cells), element.dim))
    in_phases = np.zeros(len(mesh.names))  # of the cells that this rank owns

    def read(root: "h5py.Group") -> None:
        nodes, of_earlier, names = _nodes(root)
        points, c, kind = root["Points"][:], _concentration(case, root), int(root["Types"][0])
        for index in np.unique(np.concatenate([phase, of_cells])):  # a thin phase may have no nodes of its own
            here, mine, name = phase == index, of_cells == index, mesh.names[index]
            corners = mesh.mesh.geometry.x[corners_of[cells[mine]]] * (mesh.unit / MICROMETRE)
            there = of_earlier == names.index(name)
            there[there] = _near(points, nodes[there], np.concatenate([x[here], corners.reshape(-1, 3)]))
            field = CellField(points, c, nodes[there], kind)
            if here.any():
                at_nodes[here] = field.at(x[here])
            if not mine.any():
                continue
            of_phase = case.physics.phases[index]
            within[mine] = field.within(element, corners, of_phase.initial - (of_phase.initial_least or 0.0))
            size = MICROMETRE**mesh.mesh.topology.dim
            in_phases[index] = size * integrals(element, corners, within[mine]).sum()

    if len(x):
        read_hdf5(_path(case), read)
    return StartValues(at_nodes, cells, within, in_phases)


def amounts_in_result(case: Case) -> dict[str, float]:
    """∫ c dx over each phase of the result that a case starts from, at that snapshot; mol/m in 2D, mol in 3D.

    Raises:
        InputError: The result can't be read.
    """

    def read(root: "h5py.Group") -> dict[str, float]:
        nodes, phase, names = _nodes(root)
        points, c, kind = root["Points"][:], _concentration(case, root), int(root["Types"][0])
        dim = 2 if np.ptp(points[:, 2]) == 0.0 else 3
        return {
            name: MICROMETRE**dim * CellField(points, c, nodes[phase == index], kind).integral()
            for index, name in enumerate(names)
        }

    return read_hdf5(_path(case), read)


def _near(points: Array, nodes: Any, x: Array) -> Flags:
    """Which cells are within the box of some places, or just around it."""
    low, high = x.min(axis=0), x.max(axis=0)
    margin = MARGIN * (high - low).max()
    corners = points[nodes]
    near = (corners.min(axis=1) <= high + margin) & (corners.max(axis=1) >= low - margin)
    return np.asarray(near.all(axis=1)) if near.all(axis=1).any() else np.ones(len(nodes), bool)
