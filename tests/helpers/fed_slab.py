"""A slab that is fed at one end, with regions, on meshes of a given number of columns."""

from made_meshes import COMM, brick, everywhere, rectangle

from dolfinx.mesh import CellType

from microlith.solver.physics.courses import Course
from microlith.solver.physics.phases import FaceCondition
from microlith.solver.regions.means import region_means
from microlith.solver.regions.shapes import Box

MICRO = 1e-6
LENGTH = 10 * MICRO
D = 4e-14
END = LENGTH**2 / D
REGIONS = {"near": (0.0, 1.0), "middle": (4.0, 5.03), "all": (0.0, 10.0)}  # µm
FED = {"x_min": FaceCondition(1000.0)}
JUMPS = Course((0.0, 0.3 * END, 0.3 * END, END), (1000.0, 1000.0, 200.0, 200.0))


def mesh_of(columns, dim=2, comm=COMM, **more):
    if dim == 2:
        return rectangle(comm, (columns, 2), (10.0, 1.0), **more)
    return brick(comm, (columns, 2, 2), (10.0, 1.0, 1.0), CellType.tetrahedron)


def means_of(problem, mesh):
    shapes = {name: Box({"x": (a * MICRO, b * MICRO)}) for name, (a, b) in REGIONS.items()}
    return region_means(problem.space, mesh, shapes, {}, everywhere(255), problem.factors)
