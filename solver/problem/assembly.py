"""From weak forms to distributed matrices and vectors."""

import numpy as np

import ufl
from dolfinx import fem
from dolfinx.fem.petsc import assemble_matrix, assemble_vector
from petsc4py import PETSc

from microlith.imaging.typing import Array
from microlith.meshing.mesh.phasemesh import PhaseMesh

SAME_PATTERN = PETSc.Mat.Structure.SAME_NONZERO_PATTERN
MESH = "mesh"  # attribute of matrices
SUBSET_PATTERN = PETSc.Mat.Structure.SUBSET_NONZERO_PATTERN


def per_phase(mesh: PhaseMesh, values: list[float]) -> fem.Function:
    """Cell-wise constant function with one value per phase."""
    function = fem.Function(fem.functionspace(mesh.mesh, ("DG", 0)))
    tags = mesh.cell_tags
    function.x.array[tags.indices] = np.asarray(values, dtype=np.float64)[tags.values]
    return function


def matrix_of(form: ufl.Form) -> PETSc.Mat:
    """The matrix of a bilinear form; collective."""
    compiled = fem.form(form)
    matrix = assemble_matrix(compiled)
    matrix.assemble()
    # The matrix has the mesh's communicator, which is freed with the mesh: so it keeps that, however it is passed on.
    matrix.setAttr(MESH, compiled.mesh)
    return matrix


def matrix_like(other: PETSc.Mat, form: ufl.Form) -> PETSc.Mat:
    """The matrix of a bilinear form with the entries of another matrix, which has all of its own and more."""
    matrix = other.duplicate()
    matrix.zeroEntries()
    matrix.setAttr(MESH, other.getAttr(MESH))
    return add_to(matrix, form)


def add_to(matrix: PETSc.Mat, form: ufl.Form) -> PETSc.Mat:
    """Add a bilinear form to a matrix that has its entries."""
    assemble_matrix(matrix, fem.form(form))
    matrix.assemble()
    return matrix


def vector_of(form: ufl.Form) -> Array:
    """Owned entries of the vector of a linear form; collective."""
    vector = assemble_vector(fem.form(form))
    vector.ghostUpdate(addv=PETSc.InsertMode.ADD, mode=PETSc.ScatterMode.REVERSE)
    entries = vector.array_r.copy()
    vector.destroy()
    return entries


def project(mass: PETSc.Mat, right: Array) -> Array:
    """Solve M x = right: the L2 projection, which starts with the right amount (nodal values would not)."""
    b, x = mass.createVecLeft(), mass.createVecRight()
    b.array[:] = right
    ksp = PETSc.KSP().create(mass.comm)
    ksp.setOperators(mass)
    ksp.setType("cg")
    ksp.getPC().setType("jacobi")
    ksp.setTolerances(rtol=1e-13, atol=0.0, max_it=1000)
    ksp.solve(b, x)
    found = x.array_r.copy()
    for held in (ksp, b, x):
        held.destroy()
    return found
