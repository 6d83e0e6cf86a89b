"""Effective diffusivity of one phase: what a steady flux between two opposite outer faces feels of its shape."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

import ufl
from dolfinx import fem, la
from dolfinx.fem.petsc import assemble_matrix, assemble_vector
from dolfinx.mesh import CellType
from mpi4py import MPI
from petsc4py import PETSc

from microlith.imaging.axes import AXES
from microlith.imaging.typing import Array
from microlith.meshing.mesh.components import Components, components
from microlith.meshing.mesh.phasemesh import PhaseMesh, face_tag
from microlith.solver.conduction.lower_bound import are_voxels, by_fluxes_of_voxels
from microlith.solver.conduction.medium import Medium, one_phase
from microlith.solver.conduction.steady import solved
from microlith.solver.options import SolverOptions
from microlith.solver.problem import forms
from microlith.solver.problem.multigrid import higher_degree
from microlith.solver.problem.transport import at_nodes


@dataclass(frozen=True)
class Conduction:
    """Steady diffusion through one phase along one axis, relative to the bulk of that phase."""

    axis: str  # "x", "y" or "z"
    relative: float  # D_eff / D_phase, from the energy; exactly 0 where no part of the phase joins the two faces
    fraction: float  # of the box that the phase takes up, in the mesh
    connected: float  # share of the phase in parts that join the two faces
    disagreement: float  # of the fluxes through the two faces with the energy, relative
    unknowns: int  # over all ranks, those held out included
    method: str  # "mumps", "cg", or "none" where nothing was to be solved
    iterations: int  # of CG
    lower: float | None = None  # lower bound of `relative`, which is the upper one; None: none was asked for

    @property
    def tortuosity(self) -> float:
        """Tortuosity factor tau = fraction / relative, infinite where nothing gets through.

        Epstein, Chem. Eng. Sci. 44 (1989) 777, doi 10.1016/0009-2509(89)85053-5.
        """
        return self.fraction / self.relative if self.relative > 0 else math.inf

    @property
    def macmullin(self) -> float:
        """MacMullin number D_phase / D_eff, also called formation factor, infinite where nothing gets through."""
        return 1.0 / self.relative if self.relative > 0 else math.inf


def conduction(
    mesh: PhaseMesh, phase: int, axes: Sequence[str], degree: int, options: SolverOptions, bounds: bool = False
) -> tuple[Conduction, ...]:
    """Effective diffusivity of a phase along axes of the box; collective.

    As `medium_conduction` of that phase alone, relative to its own diffusivity.

    Args:
        mesh: With the phase among its cells; other phases in it count as closed.
        phase: Index of the phase.
        axes: Any of "x", "y" and "z" that the mesh has.
        degree: Of the Lagrange elements.
        options: Choice of the linear solver.
        bounds: Whether lower bounds are wanted, too.

    Returns:
        The figures along each of the axes.

    Raises:
        ArithmeticError: The linear solver gave up.
    """
    return medium_conduction(one_phase(mesh, phase), axes, degree, options, bounds)


def medium_conduction(
    medium: Medium, axes: Sequence[str], degree: int, options: SolverOptions, bounds: bool = False
) -> tuple[Conduction, ...]:
    """Effective diffusivity of a medium along axes of the box; collective.

    Solves div D grad c = 0 with c = 0 and 1 on the outer faces at both ends of the axis and no flux through
    all other surfaces. The flux is then ∫ D |∇c|² dx: by Dirichlet's principle an upper bound of the exact one, with an
    error quadratic in that of c. Only parts whose cells are connected through facets from one face to the other
    conduct; parts that touch one face or none have no share in it, so that the problem is never singular.

    A lower bound comes from a flux without divergence (Prager and Synge, Q. Appl. Math. 5 (1947) 241): the fluxes of
    Crouzeix and Raviart's elements on simplices are such ones, as nothing is produced within (Marini, SIAM J. Numer.
    Anal. 22 (1985) 493, doi 10.1137/0722029), so that their energy is the bound; on voxels, see `lower_bound`.

    Args:
        medium: What conducts. Cells that share only a vertex or an edge conduct through it if their parts do, unless
            the mesher has parted them there.
        axes: Any of "x", "y" and "z" that the mesh has.
        degree: Of the Lagrange elements.
        options: Choice of the linear solver.
        bounds: Whether lower bounds are wanted, too; none on quadrilaterals and hexahedra of many shapes.

    Returns:
        The figures along each of the axes, relative to the diffusivity of the first phase of the medium.

    Raises:
        ArithmeticError: The linear solver gave up.
    """
    mesh = medium.mesh
    parts = components(mesh.mesh, medium.chosen, mesh.mesh.topology.dim - 1)
    volumes = volumes_of(mesh, parts)
    space = medium.space(fem.functionspace(mesh.mesh, ("Lagrange", degree)))
    conforming = Problem(medium, space, degree, at_nodes(mesh, degree), options)
    simplices = mesh.mesh.topology.cell_type in (CellType.triangle, CellType.tetrahedron)
    other = None
    if bounds and simplices:
        space = medium.space(fem.functionspace(mesh.mesh, ("CR", 1)))
        other = Problem(medium, space, 1, {"quadrature_degree": 1}, options)
    elif bounds and not are_voxels(medium):
        bounds = False  # squares and cubes of other meshers need not be alike
    found = []
    for axis in axes:
        along = _along(axis, conforming, parts, volumes)
        if bounds and along.relative > 0 and other is not None:
            along = replace(along, lower=_along(axis, other, parts, volumes).relative)
        elif bounds and along.relative > 0:
            along = replace(along, lower=_by_voxels(axis, medium, parts, options))
        elif bounds:
            along = replace(along, lower=0.0)
        found.append(along)
    return tuple(found)


def _by_voxels(axis: str, medium: Medium, parts: Components, options: SolverOptions) -> float:
    mesh, k = medium.mesh, AXES.index(axis)
    low, high = (_facets(mesh, f"{axis}_{end}") for end in ("min", "max"))
    joins = _touched(mesh.mesh.comm, parts, low) & _touched(mesh.mesh.comm, parts, high)
    conducts = np.zeros(len(parts.of_cell), dtype=bool)
    conducts[_of_parts(joins, parts.of_cell)] = True
    first, last = (facets[_of_parts(joins, parts.of_link[facets])] for facets in (low, high))
    conductance = by_fluxes_of_voxels(medium, k, conducts, (first, last), options)
    return conductance * mesh.extent[k] ** 2 / math.prod(mesh.extent)


class Problem:
    """What is the same for all axes: the space, and forms with a coefficient of 0 where a cell does not conduct."""

    def __init__(
        self,
        medium: Medium,
        space: fem.FunctionSpace,
        degree: int,
        at_interfaces: dict[str, str | int] | None,
        options: SolverOptions,
    ) -> None:
        """Set the forms up; collective.

        Args:
            medium: What conducts.
            space: Of the unknowns.
            degree: Of its elements.
            at_interfaces: Metadata of the quadrature at interfaces.
            options: Choice of the linear solver.
        """
        self.mesh, self.options = medium.mesh, options
        self.space, self.degree = space, degree
        self.conducts = fem.Function(fem.functionspace(self.mesh.mesh, ("DG", 0)))
        self.c = fem.Function(self.space)
        u, v = ufl.TrialFunction(self.space), ufl.TestFunction(self.space)
        self.coefficient = medium.coefficient()
        coefficient = self.conducts * self.coefficient
        stiffness, rows = forms.diffusion(coefficient, u, v), forms.diffusion(coefficient, self.c, v)
        for exchange, interface in medium.interfaces(at_interfaces):
            stiffness += forms.exchange(exchange, u, v, interface)
            rows += forms.exchange(exchange, self.c, v, interface)
        self.stiffness, self.rows = fem.form(stiffness), fem.form(rows)
        self.owned = self.space.dofmap.index_map.size_local
        self.unknowns = self.space.dofmap.index_map.size_global

    def switch_on(self, cells: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Let only these cells (ghosts included) conduct; which owned unknowns they have."""
        self.conducts.x.array[:] = 0.0
        self.conducts.x.array[self.conducts.function_space.dofmap.list[cells].ravel()] = 1.0
        touched = fem.Function(self.space)
        touched.x.array[self.space.dofmap.list[cells].ravel()] = 1.0
        touched.x.scatter_reverse(la.InsertMode.add)  # an owner need not have the cell
        return touched.x.array[: self.owned] > 0

    def on(self, facets: NDArray[np.int32]) -> NDArray[np.int32]:
        """Owned unknowns on facets."""
        dofs = fem.locate_dofs_topological(self.space, self.mesh.mesh.topology.dim - 1, facets)
        return dofs[dofs < self.owned]

    def flux(self) -> Array:
        """Rows of the stiffness times c, (owned,): what enters at each unknown."""
        self.c.x.scatter_forward()
        vector = assemble_vector(self.rows)
        vector.ghostUpdate(addv=PETSc.InsertMode.ADD, mode=PETSc.ScatterMode.REVERSE)
        entries = vector.array_r.copy()
        vector.destroy()
        return entries


def _along(axis: str, problem: Problem, parts: Components, volumes: Array) -> Conduction:
    mesh, comm = problem.mesh, problem.mesh.mesh.comm
    k = AXES.index(axis)
    length, section = mesh.extent[k], math.prod(mesh.extent) / mesh.extent[k]
    low, high = (_facets(mesh, f"{axis}_{end}") for end in ("min", "max"))
    joins = _touched(comm, parts, low) & _touched(comm, parts, high)
    whole = float(volumes.sum())
    fraction = whole / math.prod(mesh.extent)
    if not joins.any():
        return Conduction(axis, 0.0, fraction, 0.0, 0.0, problem.unknowns, "none", 0)

    active = problem.switch_on(_of_parts(joins, parts.of_cell))
    ends = [problem.on(facets[_of_parts(joins, parts.of_link[facets])]) for facets in (low, high)]
    free = active.copy()
    free[np.concatenate(ends)] = False
    # A linear profile is a far better start than nought; the solver finds what is missing.
    problem.c.interpolate(lambda x: x[k] / length)
    c = problem.c.x.array
    c[: problem.owned][~active] = 0.0
    for dofs, value in zip(ends, (0.0, 1.0), strict=True):
        c[dofs] = value
    start = problem.flux()
    scale = math.sqrt(comm.allreduce(float(c[: problem.owned] @ start), op=MPI.SUM))
    correction, method, iterations = _solved(problem, np.where(free, -start, 0.0), ~free, scale)
    c[: problem.owned] += correction
    rows = problem.flux()
    sums = np.array([c[: problem.owned] @ rows, -rows[ends[0]].sum(), rows[ends[1]].sum()])
    energy, entering, leaving = (float(s) for s in comm.allreduce(sums, op=MPI.SUM))
    return Conduction(
        axis,
        energy * length / section,
        fraction,
        float(volumes[joins].sum()) / whole,
        max(abs(entering - energy), abs(leaving - energy)) / energy,
        problem.unknowns,
        method,
        iterations,
    )


def _solved(problem: Problem, right: Array, held: NDArray[np.bool_], scale: float) -> tuple[Array, str, int]:
    """Owned entries of K⁻¹ right with the held unknowns at 0, how they were found, and the iterations of CG.

    Args:
        problem: With the conducting cells switched on.
        right: (owned,), 0 where held.
        held: (owned,) unknowns at the two faces, and those of no conducting cell.
        scale: Energy norm of the solution, roughly; CG goes no further than is worth it.
    """
    matrix = assemble_matrix(problem.stiffness)
    matrix.assemble()
    fixed = np.flatnonzero(held).astype(np.int32)
    matrix.zeroRowsColumnsLocal(fixed, 1.0)
    dim = problem.mesh.mesh.topology.dim
    multigrid = partial(higher_degree, problem.space, fixed) if dim == 3 and problem.degree > 1 else None
    linear = problem.options.linear
    (found,), method, iterations = solved(matrix, [right], linear, scale, dim, problem.degree, multigrid)
    matrix.destroy()
    return found, method, iterations


def volumes_of(mesh: PhaseMesh, parts: Components) -> Array:
    """Volume of each part in mesh units, (parts,), the same on all ranks."""
    space = fem.functionspace(mesh.mesh, ("DG", 0))
    measured = fem.assemble_vector(fem.form(ufl.TestFunction(space) * ufl.dx)).array
    owned = mesh.mesh.topology.index_map(mesh.mesh.topology.dim).size_local
    cells = np.flatnonzero(parts.of_cell[:owned] >= 0)
    volumes = measured[space.dofmap.list[cells, 0]]
    sums = np.bincount(parts.of_cell[cells], volumes, minlength=parts.count)
    return mesh.mesh.comm.allreduce(sums, op=MPI.SUM)


def _facets(mesh: PhaseMesh, face: str) -> NDArray[np.int32]:
    """Facets of this rank on an outer face."""
    return mesh.facet_tags.indices[mesh.facet_tags.values == face_tag(face)]


def _touched(comm: MPI.Comm, parts: Components, facets: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Which parts have one of these facets on any rank, (parts,)."""
    found = parts.of_link[facets]
    here = np.zeros(parts.count, dtype=np.int8)
    here[found[found >= 0]] = 1
    everywhere = np.empty_like(here)
    comm.Allreduce(here, everywhere, op=MPI.MAX)
    return everywhere.astype(bool)


def _of_parts(wanted: NDArray[np.bool_], part: NDArray[np.int64]) -> NDArray[np.int64]:
    """Places where `part` is one of the wanted parts."""
    return np.flatnonzero((part >= 0) & wanted[part])
