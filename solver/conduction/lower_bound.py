"""Lower bound of what voxels conduct, from fluxes between their middles.

Thomson's principle: of all fluxes without divergence that let a total F through and nothing through closed surfaces,
the true one dissipates least, so that F²/∫ |q|²/D dx of any of them is a lower bound of the conductance. A two-point
flux between the middles of neighbours, F(a, b) = (u_a − u_b)/(r_a + r_b) with the resistance r of half a voxel each,
balances in each voxel; within a voxel its component along an axis goes from what enters to what leaves linearly
(Raviart and Thomas, of lowest order), and ∫ q²/D dx is (f² + f g + g²)/3 of them, less than the (f² + g²)/2 of the sum
of resistances.
"""

import numpy as np
from scipy.sparse import coo_array

from dolfinx import la
from mpi4py import MPI
from petsc4py import PETSc

from microlith.imaging.typing import Array, Flags, Indices, Numbers
from microlith.meshing.mesh.components import linked
from microlith.solver.conduction.medium import Medium
from microlith.solver.conduction.steady import solved
from microlith.solver.options import SolverOptions

SINGULAR = 1e-10  # of the largest eigenvalue of a matrix: smaller ones are rounding
NEAR = 1e-6  # of the shortest voxel edge: what rounding makes of equal lengths


def by_fluxes_of_voxels(
    medium: Medium, axis: int, conducts: Flags, ends: tuple[Indices, Indices], options: SolverOptions
) -> float:
    """Lower bound of the conductance along an axis in mesh units, from 0 on one end to 1 on the other; collective.

    Args:
        medium: On squares or cubes.
        axis: Of the current.
        conducts: (cells of this rank, ghosts included) those of parts that join the two ends.
        ends: Facets of these parts on the first and on the last face.
        options: Choice of the linear solver.

    Raises:
        ArithmeticError: The linear solver gave up.
    """
    mesh, comm = medium.mesh.mesh, medium.mesh.mesh.comm
    dim = mesh.topology.dim
    cell_map = mesh.topology.index_map(dim)
    owned = cell_map.size_local
    half = _half_resistances(medium, conducts)  # (cells, dim)

    # Each conducting cell, numbered over all ranks
    number = la.vector(cell_map, 1, dtype=np.int64)
    own = np.flatnonzero(conducts[:owned])
    start = comm.exscan(len(own), op=MPI.SUM) or 0
    number.array[:] = -1
    number.array[own] = start + np.arange(len(own))
    number.scatter_forward()

    first, second, along, resistance, facets = _links(medium, conducts, half)
    conductance = 1.0 / resistance
    rows, columns, entries = _coupled(number.array, first, second, np.asarray(conductance))
    at_ends = [_cells_at(medium, facets_) for facets_ in ends]
    mine = [cells[cells < owned] for cells in at_ends]
    for cells in mine:
        rows.append(number.array[cells])
        columns.append(number.array[cells])
        entries.append(1.0 / half[cells, axis])
    matrix = _matrix(comm, len(own), np.concatenate(rows), np.concatenate(columns), np.concatenate(entries))
    right = np.zeros(len(own))
    np.add.at(right, number.array[mine[1]] - start, 1.0 / half[mine[1], axis])
    scale = np.sqrt(comm.allreduce(float((right).sum()), op=MPI.SUM))
    (u,), *_ = solved(matrix, [right], options.linear, scale, dim, 1)
    matrix.destroy()

    potential = la.vector(cell_map, 1)
    potential.array[:] = 0.0
    potential.array[own] = u
    potential.scatter_forward()
    # Flux in the direction of the axis through the lower and upper side of each cell
    through = np.zeros((len(conducts), dim, 2))
    flux = (potential.array[second] - potential.array[first]) * conductance
    through[first, along, 1] = flux
    through[second, along, 0] = flux
    for cells, side, value in ((at_ends[0], 0, 0.0), (at_ends[1], 1, 1.0)):
        sign = 1.0 if side == 0 else -1.0
        through[cells, axis, side] = sign * (potential.array[cells] - value) / half[cells, axis]
    f, g = through[own, :, 0], through[own, :, 1]
    between = facets < mesh.topology.index_map(dim - 1).size_local
    exchanged = flux[between] ** 2 * (resistance - half[first, along] - half[second, along])[between]
    # What passes in all is the power of these fluxes, as the potential falls by 1. Their sum at a face would be one of
    # rounded differences where a phase that conducts far better than others lies there.
    power = (flux[between] ** 2 * resistance[between]).sum()
    for cells, side in ((mine[0], 0), (mine[1], 1)):
        power += (through[cells, axis, side] ** 2 * half[cells, axis]).sum()
    sums = np.array([(2.0 * half[own] * (f * f + f * g + g * g) / 3.0).sum() + exchanged.sum(), power])
    dissipated, total = comm.allreduce(sums, op=MPI.SUM)
    return float(total**2 / dissipated)


def tensor_by_fluxes_of_voxels(medium: Medium, conducts: Flags, along: Flags, options: SolverOptions) -> Array:
    """Lower bound of what a medium conducts whose box comes again along all axes, (dim, dim); collective.

    With f_j the two-point fluxes for a mean gradient along axis j, J_j = <f_j> and Q_ij = <f_i·f_j/D> it is J Q⁻¹ Jᵀ:
    no direction n conducts less than n·(J Q⁻¹ Jᵀ) n.

    Args:
        medium: On squares or cubes of a mesh that closes on itself along all axes.
        conducts: (cells of this rank, ghosts included) those of parts that go on from box to box.
        along: (dim,) axes along which such parts go on.
        options: Choice of the linear solver.

    Raises:
        ArithmeticError: The linear solver gave up.
    """
    mesh, comm = medium.mesh.mesh, medium.mesh.mesh.comm
    dim = mesh.topology.dim
    cell_map = mesh.topology.index_map(dim)
    owned, start = cell_map.size_local, cell_map.local_range[0]
    half = _half_resistances(medium, conducts)  # (cells, dim)
    first, second, axis, resistance, facets = _links(medium, conducts, half)
    conductance, step = 1.0 / resistance, _edges(medium)
    number = la.vector(cell_map, 1, dtype=np.int64)
    number.array[:owned] = start + np.arange(owned)
    number.scatter_forward()
    rows, columns, entries = _coupled(number.array, first, second, np.asarray(conductance))
    rows.append(start + np.flatnonzero(~conducts[:owned]))
    columns.append(rows[-1])
    entries.append(np.ones(len(rows[-1])))
    matrix = _matrix(comm, owned, np.concatenate(rows), np.concatenate(columns), np.concatenate(entries))
    held = _first_of_each_set(medium, np.stack([first, second], axis=1))
    matrix.zeroRowsColumns((start + held).astype(PETSc.IntType), 1.0)
    rights: list[Array] = []
    for k in range(dim):
        right = np.zeros(len(conducts))
        np.add.at(right, first[axis == k], (conductance * step[k])[axis == k])
        np.subtract.at(right, second[axis == k], (conductance * step[k])[axis == k])
        right[held] = 0.0
        rights.append(right[:owned])
    between = facets < mesh.topology.index_map(dim - 1).size_local
    powers = [float((conductance * step[k] ** 2)[between & (axis == k)].sum()) for k in range(dim)]
    scale = float(np.sqrt(max(comm.allreduce(np.array(powers), op=MPI.SUM))))
    found, *_ = solved(matrix, rights, options.linear, scale, dim, 1)
    matrix.destroy()

    potential = la.vector(cell_map, 1)
    fluxes, sides = [], []  # through the links, and through the lower and upper side of each cell along each axis
    for k, values in enumerate(found):
        potential.array[:owned] = values
        potential.scatter_forward()
        flux = (potential.array[second] - potential.array[first] + np.where(axis == k, step[k], 0.0)) * conductance
        through = np.zeros((len(conducts), dim, 2))
        through[first, axis, 1] = flux
        through[second, axis, 0] = flux
        fluxes.append(flux)
        sides.append(through[:owned][conducts[:owned]])
    own_half = np.where(conducts[:owned, None], half[:owned], 0.0)[conducts[:owned]]
    exchanged = (resistance - half[first, axis] - half[second, axis])[between]
    means, losses = np.zeros((dim, dim)), np.zeros((dim, dim))
    for i in range(dim):
        for j in range(dim):
            a, b, c, d = sides[i][..., 0], sides[i][..., 1], sides[j][..., 0], sides[j][..., 1]
            losses[i, j] = (own_half * (2 * a * c + a * d + b * c + 2 * b * d) / 3).sum()
            losses[i, j] += (exchanged * fluxes[i][between] * fluxes[j][between]).sum()
            # The mean of f_j along i is its power against f_i, as both balance in each cell
            means[i, j] = (resistance * fluxes[i] * fluxes[j])[between].sum()
    means, losses = comm.allreduce(np.array([means, losses]), op=MPI.SUM) / np.prod(medium.mesh.extent)
    some = np.ix_(along, along)
    bound = np.zeros((dim, dim))
    size = np.sqrt(losses[some].diagonal())  # fluxes along one axis may be far smaller than along another
    scaled = means[some] / size
    bound[some] = (
        scaled @ np.linalg.pinv(losses[some] / np.outer(size, size), rcond=SINGULAR, hermitian=True) @ scaled.T
    )
    return (bound + bound.T) / 2


def _first_of_each_set(medium: Medium, pairs: Numbers) -> Numbers:
    """Owned cells, one of each set that pairs of cells (n, 2) join, over all ranks; collective."""
    mesh = medium.mesh.mesh
    cell_map = mesh.topology.index_map(mesh.topology.dim)
    count, of_cell = linked(mesh.comm, cell_map, [pairs])
    owned, start = cell_map.size_local, cell_map.local_range[0]
    first = np.full(count, np.iinfo(np.int64).max)
    here = np.flatnonzero(of_cell[:owned] >= 0)
    np.minimum.at(first, of_cell[here], start + here)
    least = np.empty_like(first)
    mesh.comm.Allreduce(first, least, op=MPI.MIN)
    return least[(least >= start) & (least < start + owned)] - start


def are_voxels(medium: Medium) -> bool:
    """Whether all cells are boxes along the axes, of one size: what these bounds are for; collective."""
    mesh = medium.mesh.mesh
    dim = mesh.topology.dim
    corners = mesh.geometry.x[mesh.geometry.dofmap][:, :, :dim]
    low, high = corners.min(axis=1, keepdims=True), corners.max(axis=1, keepdims=True)
    at_ends = np.minimum(np.abs(corners - low), np.abs(high - corners)).max(initial=0.0)
    uneven = np.abs((high - low)[:, 0] - _edges(medium)).max(initial=0.0)
    return bool(mesh.comm.allreduce(max(at_ends, uneven) < NEAR, op=MPI.LAND))


def _edges(medium: Medium) -> Array:
    """Edge lengths of the cells, (dim,), all alike; collective."""
    mesh = medium.mesh.mesh
    dim = mesh.topology.dim
    edges = np.zeros(dim)
    if len(mesh.geometry.dofmap):
        corners = mesh.geometry.x[mesh.geometry.dofmap[0]][:, :dim]
        edges = np.ptp(corners, axis=0)
    everywhere = np.empty_like(edges)
    mesh.comm.Allreduce(edges, everywhere, op=MPI.MAX)
    return everywhere


def _half_resistances(medium: Medium, conducts: Flags) -> Array:
    """Resistance of half a cell along each axis, (cells, dim); infinite where it does not conduct."""
    edges = _edges(medium)
    sections = edges.prod() / edges
    half = np.full((len(conducts), len(edges)), np.inf)
    for axis, (edge, section) in enumerate(zip(edges, sections, strict=True)):
        values = medium.on_cells(axis).x.array[: len(conducts)]
        half[conducts, axis] = edge / (2.0 * section * values[conducts])
    return half


def _middles(medium: Medium, cells: Numbers) -> Array:
    geometry = medium.mesh.mesh.geometry
    return geometry.x[geometry.dofmap[cells]].mean(axis=1)[:, : medium.mesh.mesh.topology.dim]


def _links(medium: Medium, conducts: Flags, half: Array) -> tuple[Indices, Indices, Numbers, Array, Indices]:
    """Pairs of conducting neighbours, the lower one first, their axis, resistance, and facet, of all facets here."""
    topology = medium.mesh.mesh.topology
    dim = topology.dim
    topology.create_connectivity(dim - 1, dim)
    cells = topology.connectivity(dim - 1, dim)
    two = np.flatnonzero(np.diff(cells.offsets) == 2).astype(np.int32)
    pairs = np.stack([cells.array[cells.offsets[two] + k] for k in (0, 1)], axis=1)
    both = conducts[pairs].all(axis=1)
    two, pairs = two[both], pairs[both]
    apart = _middles(medium, pairs[:, 1]) - _middles(medium, pairs[:, 0])
    along = np.abs(apart).argmax(axis=1) if len(pairs) else np.empty(0, np.int64)
    between = apart[np.arange(len(pairs)), along]
    # Across a face of a box that comes again the first layer lies behind the last one
    down = (between < 0) != (np.abs(between) > 1.5 * _edges(medium)[along])
    pairs[down] = pairs[down][:, ::-1]
    first, second = pairs[:, 0], pairs[:, 1]
    resistance = half[first, along] + half[second, along]
    edges = _edges(medium)
    sections = edges.prod() / edges
    slow = [link for link in medium.links if link.exchange is not None]
    tag = np.zeros(int(topology.index_map(dim - 1).size_local + topology.index_map(dim - 1).num_ghosts), np.int64)
    tag[medium.mesh.facet_tags.indices] = medium.mesh.facet_tags.values
    for link, value in zip(slow, medium.exchanges, strict=True):
        there = tag[two] == link.tag
        resistance[there] += 1.0 / (value * sections[along[there]])
    return first, second, along, resistance, two


def _cells_at(medium: Medium, facets: Indices) -> Indices:
    topology = medium.mesh.mesh.topology
    topology.create_connectivity(topology.dim - 1, topology.dim)
    cells = topology.connectivity(topology.dim - 1, topology.dim)
    found: Indices = cells.array[cells.offsets[facets]]
    return found


def _coupled(
    number: Numbers, first: Indices, second: Indices, conductance: Array
) -> tuple[list[Numbers], list[Numbers], list[Array]]:
    """Rows, columns and entries of links: each in the rows of both of its cells, of which ranks keep their own."""
    rows = [number[cells] for cells in (first, second, first, second)]
    columns = [number[cells] for cells in (first, second, second, first)]
    return rows, columns, [conductance, conductance, -conductance, -conductance]


def _matrix(comm: MPI.Intracomm, size: int, rows: Numbers, columns: Numbers, entries: Array) -> PETSc.Mat:
    """Matrix whose owned rows get these entries, added up; entries of rows of other ranks are left out."""
    start = comm.exscan(size, op=MPI.SUM) or 0
    here = (rows >= start) & (rows < start + size)
    total = comm.allreduce(size)
    some = coo_array((entries[here], (rows[here] - start, columns[here])), shape=(size, total)).tocsr()
    csr = (some.indptr.astype(PETSc.IntType), some.indices.astype(PETSc.IntType), some.data)
    matrix = PETSc.Mat().createAIJ(((size, PETSc.DETERMINE), (size, PETSc.DETERMINE)), csr=csr, comm=comm)
    matrix.assemble()
    return matrix
