"""Integrals of fields as files have them, against those of polynomials."""

import numpy as np
import pytest

import basix.ufl
from dolfinx import fem, mesh as dmesh, plot
from mpi4py import MPI

from microlith.workflow.storage.cell_field import SHAPES, CellField, integrals

KINDS = [("triangle", 1), ("triangle", 2), ("triangle", 3), ("quadrilateral", 1), ("quadrilateral", 2)]
KINDS += [("tetrahedron", 1), ("tetrahedron", 2), ("tetrahedron", 3), ("hexahedron", 1), ("hexahedron", 2)]


def made(shape, degree):
    """Space on a box 2 long, 1 high and 0.5 deep, and a polynomial of its degree there with its integral."""
    cell = getattr(dmesh.CellType, shape)
    if shape in ("triangle", "quadrilateral"):
        mesh, depth = dmesh.create_rectangle(MPI.COMM_SELF, [(0, 0), (2, 1)], (3, 2), cell), 1.0
    else:
        mesh, depth = dmesh.create_box(MPI.COMM_SELF, [(0, 0, 0), (2, 1, 0.5)], (3, 2, 2), cell), 0.5
    even = basix.LagrangeVariant.equispaced
    element = basix.ufl.element("Lagrange", mesh.basix_cell().name, degree, lagrange_variant=even)
    field = fem.Function(fem.functionspace(mesh, element))
    field.interpolate(lambda x: 1 + x[0] ** degree + 3 * x[1])
    return field, depth * (2 + 2 ** (degree + 1) / (degree + 1) + 3)


@pytest.mark.parametrize(("shape", "degree"), KINDS)
def test_over_the_cells_of_a_file(shape, degree):
    field, exact = made(shape, degree)
    cells, kinds, points = plot.vtk_mesh(field.function_space)
    nodes = cells.reshape(len(kinds), -1)[:, 1:]
    assert kinds[0] in SHAPES[shape]
    assert CellField(points, field.x.array, nodes, int(kinds[0])).integral() == pytest.approx(exact, rel=1e-12)


@pytest.mark.parametrize(("shape", "degree"), KINDS)
def test_over_cells_from_coefficients(shape, degree):
    field, exact = made(shape, degree)
    space = field.function_space
    corners = space.mesh.geometry.x[space.mesh.geometry.dofmap]
    found = integrals(space.element.basix_element, corners, field.x.array[space.dofmap.list])
    assert found.shape == (len(corners),)
    assert found.sum() == pytest.approx(exact, rel=1e-12)


def test_of_no_cells():
    assert CellField(np.zeros((3, 3)), np.zeros(3), np.zeros((0, 3), np.int64), 5).integral() == 0.0
