"""The whole tensor of effective diffusivity of an image that comes again and again along its axes."""

from collections import deque
from dataclasses import dataclass
from functools import partial

import numpy as np

import basix
import ufl
from dolfinx import fem
from dolfinx.fem.petsc import assemble_matrix
from dolfinx.mesh import CellType
from mpi4py import MPI

from microlith.imaging.typing import Array, Flags, Numbers
from microlith.meshing.mesh.cells import nodes_of_cells
from microlith.meshing.mesh.components import Components, linked
from microlith.solver.conduction.conduction import Problem, volumes_of
from microlith.solver.conduction.lower_bound import are_voxels, tensor_by_fluxes_of_voxels
from microlith.solver.conduction.medium import Medium
from microlith.solver.conduction.steady import solved
from microlith.solver.options import SolverOptions
from microlith.solver.problem.assembly import vector_of
from microlith.solver.problem.multigrid import higher_degree
from microlith.solver.problem.transport import at_nodes

NEAR = 1e-9  # of the box: what rounding makes of places on its faces
ROUNDING = 1e-9  # of the largest entry: what is smaller is what the solver left
ALIKE = 1e-6  # of the largest principal value: what differs by less is equal, whatever the solver left

Steps = list[tuple[int, int, int]]  # parts a and b, and the axis along which b's next copy touches a


@dataclass(frozen=True)
class ConductionTensor:
    """What a periodic medium conducts, relative to the diffusivity of its first phase."""

    values: Array  # (dim, dim) symmetric, D_eff / D_phase
    fraction: float  # of the box that the medium takes up
    connected: float  # share of the medium in parts that go on from box to box
    unknowns: int  # over all ranks
    method: str  # "mumps", "cg", or "none" where nothing was to be solved
    iterations: int  # of CG, in all
    # (dim, dim) symmetric: no direction n conducts less than n·lower n; None: no bound was asked for, or there is none
    lower: Array | None = None

    @property
    def principal(self) -> tuple[Array, Array]:
        """Principal values (dim,), falling, and their axes as rows (dim, dim), the largest component positive.

        Where principal values are equal to rounding, all directions between their axes are as good; those nearest
        to x, y and z are taken, so that they do not depend on how numbers are rounded.
        """
        return principal_axes(self.values)


def principal_axes(tensor: Array) -> tuple[Array, Array]:
    """Principal values, falling, of a symmetric tensor that is nowhere negative, and their axes, as `principal` says.

    Args:
        tensor: (dim, dim).
    """
    values, vectors = np.linalg.eigh(tensor)
    values, axes = np.maximum(values[::-1], 0.0), vectors.T[::-1]
    values[values < ROUNDING * values[0]] = 0.0
    apart = np.flatnonzero(values[:-1] - values[1:] > ALIKE * values[0]) + 1
    groups = [_nearest_to_axes(group) for group in np.split(axes, apart)]
    return values, np.concatenate(groups)


def _nearest_to_axes(rows: Array) -> Array:
    """An orthonormal basis of what orthonormal rows span, near x, y and z as far as may be.

    The largest component of each, the first one of several that are as large, is positive.

    Args:
        rows: (few, dim).
    """
    rest, found = rows.T @ rows, []
    for _ in rows:
        near = np.diagonal(rest)
        k = int(np.flatnonzero(near > near.max() - ALIKE)[0])  # the first of those that are as near
        one = rest[k] / np.sqrt(rest[k, k])
        rest = rest - np.outer(one, one)
        largest = one[np.abs(one) > np.abs(one).max() - ALIKE][0]
        found.append(np.where(np.abs(one) > ROUNDING, one * np.sign(largest), 0.0))
    return np.array(found)


def conduction_tensor(medium: Medium, degree: int, options: SolverOptions, bounds: bool = False) -> ConductionTensor:
    """Effective diffusivity of a medium whose box comes again along all axes; collective.

    Solves div D (e_j + grad w_j) = 0 with w_j periodic, for each axis j, and takes D_ij = ∫ D (e_i + ∇w_i)·(e_j + ∇w_j)
    over the volume of the box, with what exchange between phases dissipates: symmetric, and its quadratic form is an
    upper bound of the exact one. Only parts that go on from box to box conduct. Where the medium at a face meets
    none at the opposite one, nothing passes.

    A lower bound comes from fluxes q_j without divergence, as in `conduction.medium_conduction`. With J_j their means
    and Q_ij = <q_i·q_j/D>, no direction n conducts less than n·(J Q⁻¹ Jᵀ) n, by Thomson's principle for all sums of
    them. On simplices they are those of Crouzeix and Raviart's elements, of which J and Q are the tensor.

    Args:
        medium: What conducts, on a mesh that closes on itself along all axes (`PhaseMesh.periodic`).
        degree: Of the Lagrange elements.
        options: Choice of the linear solver.
        bounds: Whether a lower bound is wanted, too.

    Raises:
        ArithmeticError: The linear solver gave up.
        ValueError: The mesh does not close on itself.
    """
    mesh = medium.mesh
    dim = mesh.mesh.topology.dim
    if mesh.periodic != tuple(range(dim)):
        raise ValueError("the mesh does not close on itself along all axes")
    parts, steps = _parts_and_steps(medium)
    volumes = volumes_of(mesh, parts)
    ways = winding(parts.count, steps, dim)
    goes_on: Flags = np.asarray(ways.any(axis=1))
    fraction = float(volumes.sum() / np.prod(mesh.extent))
    space = medium.space(fem.functionspace(mesh.mesh, ("Lagrange", degree)))
    unknowns = space.dofmap.index_map.size_global
    if not goes_on.any():
        nothing = np.zeros((dim, dim))
        return ConductionTensor(nothing, fraction, 0.0, unknowns, "none", 0, nothing if bounds else None)
    conducts = np.logical_and(parts.of_cell >= 0, goes_on[parts.of_cell])
    along: Flags = np.asarray(ways.any(axis=0))  # across other axes nothing passes, to the last digit
    conforming = Problem(medium, space, degree, at_nodes(mesh, degree), options)
    found, method, iterations = _of_elements(conforming, medium, np.flatnonzero(conducts))
    lower = None
    if bounds and mesh.mesh.topology.cell_type in (CellType.triangle, CellType.tetrahedron):
        space = medium.space(fem.functionspace(mesh.mesh, ("CR", 1)))
        broken = Problem(medium, space, 1, {"quadrature_degree": 1}, options)
        lower = _cleared(_of_elements(broken, medium, np.flatnonzero(conducts))[0], along)
    elif bounds and are_voxels(medium):
        lower = _cleared(tensor_by_fluxes_of_voxels(medium, conducts, along, options), along)
    share = float(volumes[goes_on].sum() / volumes.sum())
    return ConductionTensor(_cleared(found, along), fraction, share, unknowns, method, iterations, lower)


def _of_elements(problem: Problem, medium: Medium, cells: Numbers) -> tuple[Array, str, int]:
    """Tensor of some cells, (dim, dim), from elements; how its equations were solved, in how many iterations."""
    mesh, space = problem.mesh, problem.space
    comm, dim = mesh.mesh.comm, mesh.mesh.topology.dim
    active = problem.switch_on(cells)
    held = ~active
    held[_one_of_each_part(problem, cells)] = True
    test, position = ufl.TestFunction(space), ufl.SpatialCoordinate(mesh.mesh)
    rights, own = [], []
    for axis in range(dim):
        flux = problem.conducts * ufl.dot(problem.coefficient * ufl.grad(position[axis]), ufl.grad(test)) * ufl.dx
        right = -vector_of(flux)
        right[held] = 0.0
        rights.append(right)
        form = fem.form(problem.conducts * medium.on_cells(axis) * ufl.dx)
        own.append(comm.allreduce(fem.assemble_scalar(form), op=MPI.SUM))
    matrix = assemble_matrix(problem.stiffness)
    matrix.assemble()
    fixed = np.flatnonzero(held).astype(np.int32)
    matrix.zeroRowsColumnsLocal(fixed, 1.0)
    multigrid = partial(higher_degree, space, fixed) if dim == 3 and problem.degree > 1 else None
    scale = float(np.sqrt(max(own)))
    found, method, iterations = solved(matrix, rights, problem.options.linear, scale, dim, problem.degree, multigrid)
    matrix.destroy()
    work = comm.allreduce(np.array(rights) @ np.array(found).T, op=MPI.SUM)
    return (np.diag(own) - (work + work.T) / 2) / np.prod(mesh.extent), method, iterations


def _cleared(values: Array, along: Flags) -> Array:
    """A tensor without what rounding has left beside its diagonal, and 0 for axes along which nothing goes on."""
    values = np.where(along & along[:, None], values, 0.0)
    diagonal = np.diag(np.maximum(values.diagonal(), 0.0))  # what goes on conducts, be it little beside other axes
    beside = values - np.diag(values.diagonal())
    return diagonal + np.where(np.abs(beside) < ROUNDING * values.max(), 0.0, beside)


def _one_of_each_part(problem: Problem, cells: Numbers) -> Numbers:
    """Owned unknowns, one for each part of these cells that is connected, through interfaces too, over all ranks."""
    space = problem.space
    comm, index_map, topology = space.mesh.comm, space.dofmap.index_map, space.mesh.topology
    dofs = space.dofmap.list.astype(np.int64)
    of_facets = topology.connectivity(topology.dim - 1, topology.dim)
    two = np.flatnonzero(np.diff(of_facets.offsets) == 2)
    pairs = np.stack([of_facets.array[of_facets.offsets[two] + side] for side in (0, 1)], axis=1)
    pairs = pairs[np.isin(pairs, cells).all(axis=1)]
    count, part = linked(comm, index_map, [dofs[cells], dofs[pairs, 0]])
    part = part[: index_map.size_local]
    first = np.full(count, np.iinfo(np.int64).max)
    here = np.flatnonzero(part >= 0)
    start = index_map.local_range[0]
    np.minimum.at(first, part[here], start + here)
    least = np.empty_like(first)
    comm.Allreduce(first, least, op=MPI.MIN)
    return least[(least >= start) & (least < start + index_map.size_local)] - start


def _parts_and_steps(medium: Medium) -> tuple[Components, Steps]:
    """Parts of the medium, cut at the faces of the box, and which of them meet there; the same on all ranks."""
    mesh, chosen = medium.mesh.mesh, medium.chosen
    topology = mesh.topology
    dim = topology.dim
    topology.create_connectivity(dim, dim - 1)
    topology.create_connectivity(dim - 1, dim)
    places = np.array(basix.topology(mesh.basix_cell())[dim - 1])
    facets = topology.connectivity(dim, dim - 1).array.reshape(-1, len(places)).astype(np.int64)
    nodes = nodes_of_cells(mesh)
    ends = []  # for each axis, which facets of which cells (cells, facets) lie on its lower and on its upper face
    for axis, size in enumerate(medium.mesh.extent):
        at = mesh.geometry.x[:, axis][nodes]
        ends.append([(np.abs(at - end) < NEAR * size)[:, places].all(axis=2) for end in (0, size)])
    within = ~np.any(ends, axis=(0, 1))
    # A facet on a face links nothing: in its place the cell has another one of its own, which lies within.
    other = np.take_along_axis(facets, within.argmax(axis=1)[:, None], axis=1)
    count, of_link = linked(mesh.comm, topology.index_map(dim - 1), [np.where(within, facets, other)[chosen]])
    of_cell = np.full(len(chosen), -1, np.int64)
    of_cell[chosen] = of_link[other[chosen, 0]]
    steps: Steps = []
    for axis, both in enumerate(ends):
        sides = np.full((2, len(of_link)), -1, np.int64)
        for side, at in zip(sides, both, strict=True):
            at = at & chosen[:, None]
            side[facets[at]] = np.repeat(of_cell, at.sum(axis=1))
        pairs = np.unique(sides[:, (sides >= 0).all(axis=0)].T, axis=0)
        pairs = np.unique(np.concatenate(mesh.comm.allgather(pairs)), axis=0)
        steps += [(int(high), int(low), axis) for low, high in pairs]
    return Components(count, of_cell, of_link), steps


def winding(count: int, steps: Steps, dim: int) -> Flags:
    """Along which axes each part goes on from box to box, (count, dim).

    Parts get the box that they are reached in, from one part to the next; where a part is reached in two boxes, it goes
    on along the axes in which these differ.

    Args:
        count: Number of parts.
        steps: (a, b, axis): leaving a through the last face across an axis, one enters b in the next box.
        dim: Number of axes.
    """
    ways: list[list[tuple[int, int, int]]] = [[] for _ in range(count)]
    for a, b, axis in steps:
        ways[a].append((b, axis, 1))
        ways[b].append((a, axis, -1))
    box = np.zeros((count, dim), np.int64)
    label = np.full(count, -1)
    goes_on = np.zeros((count, dim), dtype=bool)
    for root in range(count):
        if label[root] >= 0:
            continue
        label[root] = root
        queue = deque([root])
        while queue:
            part = queue.popleft()
            for other, axis, sense in ways[part]:
                reached = box[part].copy()
                reached[axis] += sense
                if label[other] < 0:
                    label[other], box[other] = root, reached
                    queue.append(other)
                else:
                    goes_on[root] |= reached != box[other]
    return goes_on[label] if count else goes_on
