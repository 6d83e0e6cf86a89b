"""The whole tensor of effective diffusivity of an image that comes again and again along its axes."""

from collections import deque
from dataclasses import dataclass

import numpy as np

import ufl
from dolfinx import cpp, fem, mesh as dmesh
from dolfinx.fem.petsc import assemble_matrix
from mpi4py import MPI

from microlith.imaging.typing import Array, Flags, Numbers
from microlith.meshing.mesh.components import Components, components, linked
from microlith.solver.conduction.conduction import Problem, volumes_of
from microlith.solver.conduction.medium import Medium
from microlith.solver.conduction.steady import solved
from microlith.solver.interfaces.periodic_space import opposite, outer_facets, periodic
from microlith.solver.linear.solvers import choose_method
from microlith.solver.options import SolverOptions
from microlith.solver.problem.assembly import vector_of
from microlith.solver.problem.multigrid import higher_degree

ROUNDING = 1e-9  # of the largest entry: what is smaller is what the solver left

Steps = list[tuple[int, int, int]]  # parts a and b, and the axis along which b's next copy touches a


@dataclass(frozen=True)
class ConductionTensor:
    """What a periodic medium conducts, relative to the diffusivity of its first phase."""

    values: Array  # (dim, dim) symmetric, D_eff / D_phase
    fraction: float  # of the box that the medium takes up
    connected: float  # share of the medium in parts that go on from box to box
    unmatched: Array  # (dim,) share of the medium's facets on the two faces across each axis that meet none opposite
    inside: Array  # (dim,) the same between layers of cells within the box; on squares and cubes
    unknowns: int  # over all ranks
    method: str  # "mumps", "cg", or "none" where nothing was to be solved
    iterations: int  # of CG, in all

    @property
    def principal(self) -> tuple[Array, Array]:
        """Principal values (dim,), falling, and their axes as rows (dim, dim), the largest component positive."""
        values, vectors = np.linalg.eigh(self.values)
        axes = vectors.T[::-1]
        largest = np.abs(axes).argmax(axis=1)
        return values[::-1], axes * np.sign(axes[np.arange(len(axes)), largest])[:, None]


def conduction_tensor(medium: Medium, degree: int, options: SolverOptions) -> ConductionTensor:
    """Effective diffusivity of a medium whose box comes again along all axes; collective.

    Solves div D (e_j + grad w_j) = 0 with w_j periodic, for each axis j, and takes D_ij = ∫ D (e_i + ∇w_i)·(e_j + ∇w_j)
    over the volume of the box: symmetric, and its quadratic form is an upper bound of the exact one. Only parts that go
    on from box to box conduct. Where the medium at a face meets none at the opposite one, nothing passes.

    Args:
        medium: What conducts, without jumps at interfaces; on a mesh with nodes opposite each other on opposite faces,
            as squares and cubes have.
        degree: Of the Lagrange elements.
        options: Choice of the linear solver.

    Raises:
        ArithmeticError: The linear solver gave up.
    """
    mesh, comm = medium.mesh, medium.mesh.mesh.comm
    dim = mesh.mesh.topology.dim
    whole = float(np.prod(mesh.extent))
    parts = components(mesh.mesh, medium.chosen, dim - 1)
    volumes = volumes_of(mesh, parts)
    steps, unmatched = _steps(medium, parts)
    inside = _unmatched_inside(medium)
    ways = winding(parts.count, steps, dim)
    goes_on: Flags = np.asarray(ways.any(axis=1))
    fraction = float(volumes.sum()) / whole
    values = np.zeros((dim, dim))
    space = periodic(fem.functionspace(mesh.mesh, ("Lagrange", degree)), mesh, medium.chosen)
    unknowns = space.dofmap.index_map.size_global
    if not goes_on.any():
        return ConductionTensor(values, fraction, 0.0, unmatched, inside, unknowns, "none", 0)
    problem = Problem(medium, space, degree, None, options)
    cells: Numbers = np.flatnonzero(np.logical_and(parts.of_cell >= 0, goes_on[parts.of_cell]))
    active = problem.switch_on(cells)
    held = ~active
    held[_one_of_each_part(space, cells)] = True
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
    method = choose_method(options.linear, dim, unknowns)
    multigrid = higher_degree(space, fixed) if method == "cg" and dim == 3 and degree > 1 else None
    found, iterations = solved(matrix, rights, method, float(np.sqrt(max(own))), dim, degree, multigrid)
    matrix.destroy()
    work = comm.allreduce(np.array(rights) @ np.array(found).T, op=MPI.SUM)
    values = (np.diag(own) - (work + work.T) / 2) / whole
    along = ways.any(axis=0)  # across other axes nothing passes, to the last digit
    values[~along] = 0.0
    values[:, ~along] = 0.0
    values[np.abs(values) < ROUNDING * values.max()] = 0.0
    share = float(volumes[goes_on].sum() / volumes.sum())
    return ConductionTensor(values, fraction, share, unmatched, inside, unknowns, method, iterations)


def _one_of_each_part(space: fem.FunctionSpace, cells: Numbers) -> Numbers:
    """Owned unknowns, one for each connected part of these cells over all ranks."""
    comm, index_map = space.mesh.comm, space.dofmap.index_map
    dofs = space.dofmap.list[cells].astype(np.int64)
    count, part = linked(comm, index_map, [dofs])
    part = part[: index_map.size_local]
    first = np.full(count, np.iinfo(np.int64).max)
    here = np.flatnonzero(part >= 0)
    start = index_map.local_range[0]
    np.minimum.at(first, part[here], start + here)
    least = np.empty_like(first)
    comm.Allreduce(first, least, op=MPI.MIN)
    return least[(least >= start) & (least < start + index_map.size_local)] - start


def _steps(medium: Medium, parts: Components) -> tuple[Steps, Array]:
    """Which parts meet across opposite faces, the same on all ranks; share of the area that meets none; collective."""
    dim, chosen = medium.mesh.mesh.topology.dim, medium.chosen
    steps: Steps = []
    unmatched = np.zeros(dim)
    for axis in range(dim):
        outer = outer_facets(medium.mesh, axis, chosen)
        pairs, unmatched[axis] = opposite(medium.mesh, outer, parts.of_link[outer.facets][:, None])
        steps += [(int(a), int(b), axis) for a, b in np.unique(pairs[:, :, 0], axis=0)]
    return steps, unmatched


def _unmatched_inside(medium: Medium) -> Array:
    """Share of the sides of cells within the box that meet no cell of the medium, (dim,) across each axis; collective.

    Of an image that comes again, this is what to expect at its faces, wherever it is cut.
    """
    mesh, chosen = medium.mesh.mesh, medium.chosen
    topology = mesh.topology
    dim = topology.dim
    topology.create_connectivity(dim, dim - 1)
    count = cpp.mesh.cell_num_entities(topology.cell_type, dim - 1)
    owned = np.flatnonzero(chosen[: topology.index_map(dim).size_local])
    facets = topology.connectivity(dim, dim - 1).array.reshape(-1, count)[owned]
    facet_map = topology.index_map(dim - 1)
    sides = np.zeros(facet_map.size_local + facet_map.num_ghosts, np.int64)
    every = topology.connectivity(dim, dim - 1).array.reshape(-1, count)[chosen]
    np.add.at(sides, every.ravel(), 1)
    outer = np.zeros(len(sides), dtype=bool)
    outer[medium.mesh.facet_tags.indices[medium.mesh.facet_tags.values <= 2 * dim]] = True
    used = np.unique(facets).astype(np.int32)
    middle = np.zeros((len(sides), 3))
    middle[used] = dmesh.compute_midpoints(mesh, dim - 1, used).reshape(-1, 3)
    centres = dmesh.compute_midpoints(mesh, dim, owned.astype(np.int32)).reshape(-1, 3)
    across = np.abs(middle[facets] - centres[:, None]).argmax(axis=2)
    alone, all_sides = np.zeros(dim), np.zeros(dim)
    for axis in range(dim):
        here = facets[(across == axis) & ~outer[facets]]
        alone[axis], all_sides[axis] = (sides[here] == 1).sum(), len(here)
    sums = mesh.comm.allreduce(np.stack([alone, all_sides]), op=MPI.SUM)
    share: Array = sums[0] / np.maximum(sums[1], 1)
    return share


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
