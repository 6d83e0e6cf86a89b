"""fields.vtkhdf as PyVista and VTK read it."""

from types import SimpleNamespace

import h5py
import made_meshes
import numpy as np
import pytest
import pyvista
from full_disks import files_of_at_most

from dolfinx import fem, mesh as dmesh
from mpi4py import MPI

from microlith.imaging.errors import InputError
from microlith.meshing.mesh.phasemesh import PhaseMesh
from microlith.workflow.results.fields import _tagged_facets, write_fields

COMM = MPI.COMM_WORLD
UNIT = 5e-7  # metres per mesh unit: one micrometre is two
TIMES = (0.0, 1.0, 4.0)
CELLS = {("triangle", 1): 5, ("triangle", 2): 22, ("triangle", 3): 69} | {
    ("tetrahedron", 1): 10,
    ("tetrahedron", 2): 24,
    ("tetrahedron", 3): 71,
    ("quadrilateral", 1): 9,
    ("quadrilateral", 2): 70,
    ("quadrilateral", 3): 70,
    ("hexahedron", 1): 12,
    ("hexahedron", 2): 72,
    ("hexahedron", 3): 72,
}


def rectangle(comm) -> PhaseMesh:
    return made_meshes.rectangle(
        comm, (5, 4), (4.0, 3.0), lambda x: (x[0] > 1.6).astype(int), names=("pore", "bü"), unit=UNIT
    )


def box(comm, kind=dmesh.CellType.tetrahedron) -> PhaseMesh:
    return tagged(dmesh.create_box(comm, [[0.0, 0.0, 0.0], [4.0, 3.0, 2.0]], [2, 2, 2], kind), (4.0, 3.0, 2.0))


def squares(comm) -> PhaseMesh:
    kind = dmesh.CellType.quadrilateral
    return tagged(dmesh.create_rectangle(comm, [[0.0, 0.0], [4.0, 3.0]], [4, 3], kind), (4.0, 3.0))


def cubes(comm) -> PhaseMesh:
    return box(comm, dmesh.CellType.hexahedron)


def tagged(mesh, size) -> PhaseMesh:
    dim = mesh.topology.dim
    index_map = mesh.topology.index_map(dim)
    cells = np.arange(index_map.size_local + index_map.num_ghosts, dtype=np.int32)
    phase = (dmesh.compute_midpoints(mesh, dim, cells)[:, 0] > 2.0).astype(np.int32)
    none = np.zeros(0, dtype=np.int32)
    tags = dmesh.meshtags(mesh, dim, cells, phase), dmesh.meshtags(mesh, dim - 1, none, none)
    return PhaseMesh(mesh, *tags, ("pore", "bü"), UNIT, size)


def polynomial(x, degree):
    return x[0] ** degree - 2 * x[1] ** degree + (x[0] + x[2]) * x[1] ** (degree - 1) + 3


def written(path, mesh, degree, comm):
    """Write a polynomial that grows with time, and give the path on which all ranks agree."""
    path = comm.bcast(path) / "fields.vtkhdf"
    space = fem.functionspace(mesh.mesh, ("Lagrange", degree))
    field = fem.Function(space)
    field.interpolate(lambda x: polynomial(x, degree))
    write_fields(path, mesh, space, TIMES, (time * field.x.array for time in TIMES))
    return path


def steps(path):
    """(time, grid) of every step, by VTK's own reader."""
    reader = pyvista.get_reader(path).reader
    reader.UpdateInformation()
    for step in range(reader.GetNumberOfSteps()):
        reader.SetStep(step)
        reader.Update()
        yield reader.GetTimeValue(), pyvista.wrap(reader.GetOutput()).copy()


@pytest.mark.mpi
@pytest.mark.parametrize("shape", [rectangle, box, squares, cubes])
@pytest.mark.parametrize("degree", [1, 2, 3])
def test_every_step_is_read_back(tmp_path, shape, degree):
    mesh = shape(COMM)
    path = written(tmp_path, mesh, degree, COMM)
    seen = []
    for time, grid in steps(path):
        seen.append(time)
        assert isinstance(grid, pyvista.UnstructuredGrid)
        assert set(grid.celltypes) == {CELLS[mesh.mesh.topology.cell_name(), degree]}
        assert grid.n_cells == mesh.mesh.topology.index_map(mesh.mesh.topology.dim).size_global
        # One conforming grid: no point twice, though ranks share some
        assert len(np.unique(np.round(grid.points, 9), axis=0)) == grid.n_points
        np.testing.assert_allclose(grid.bounds, (0, 2, 0, 1.5, 0, len(mesh.extent) - 2), atol=1e-12)
        exact = time * polynomial(grid.points.T / UNIT * 1e-6, degree)
        np.testing.assert_allclose(grid.point_data["concentration"], exact, atol=1e-10)
        middles = grid.cell_centers().points
        np.testing.assert_array_equal(grid.cell_data["phase"], middles[:, 0] * 2 > (1.6 if shape is rectangle else 2))
    assert seen == list(TIMES)
    COMM.barrier()


@pytest.mark.mpi
@pytest.mark.parametrize("shape", [rectangle, box, squares, cubes])
@pytest.mark.parametrize("degree", [1, 2, 3])
def test_values_between_the_points(tmp_path, shape, degree):
    """VTK's own interpolation gives the polynomial: the nodes are in VTK's order and where VTK expects them."""
    mesh = shape(COMM)
    path = written(tmp_path, mesh, degree, COMM)
    grid = list(steps(path))[-1][1]
    points = np.random.default_rng(0).uniform(0.01, (1.99, 1.49, 0.99), (40, 3))
    points[:, 2] *= len(mesh.extent) - 2
    tolerance = 1e-6 if shape is rectangle else 2e-4  # how well VTK finds the place in a curved tetrahedron
    sampled = pyvista.PolyData(points).sample(grid)["concentration"]
    np.testing.assert_allclose(sampled, 4.0 * polynomial(points.T / UNIT * 1e-6, degree), rtol=tolerance)
    COMM.barrier()


def test_geometry_is_stored_once(tmp_path):
    path = written(tmp_path, rectangle(MPI.COMM_SELF), 2, MPI.COMM_SELF)
    with h5py.File(path) as file:
        root = file["VTKHDF"]
        assert root["Points"].shape == (11 * 9, 3)
        assert root["CellData/phase"].shape == (40,)
        assert root["PointData/concentration"].shape == (3 * 99,)
        assert list(root["CellData/phase"].attrs["names"]) == ["pore", "bü"]
        assert root["Steps/Values"].attrs["unit"] == "s"
        assert root.attrs.get_id("Type").dtype == np.dtype("S16")


def test_without_snapshots_the_mesh_is_there(tmp_path):
    mesh = rectangle(MPI.COMM_SELF)
    write_fields(tmp_path / "f.vtkhdf", mesh, fem.functionspace(mesh.mesh, ("Lagrange", 1)), [], [])
    grid = pyvista.read(tmp_path / "f.vtkhdf")
    assert (grid.n_cells, grid.array_names) == (40, ["phase"])


def test_pyvista_reads_it_in_one_line(tmp_path):
    grid = pyvista.read(written(tmp_path, rectangle(MPI.COMM_SELF), 2, MPI.COMM_SELF))
    assert {"concentration", "phase"} <= set(grid.array_names)


@pytest.mark.mpi
def test_a_full_disk_is_told_to_all_ranks(tmp_path):
    mesh = rectangle(COMM)
    with (
        files_of_at_most(3000),
        pytest.raises(InputError, match=r"fields\.vtkhdf: can't write here \(file too large\)"),
    ):
        written(tmp_path, mesh, 2, COMM)
    COMM.barrier()
    assert not list(COMM.bcast(tmp_path).iterdir())


def test_an_error_in_the_solver_leaves_no_file(tmp_path):
    mesh = rectangle(MPI.COMM_SELF)
    space = fem.functionspace(mesh.mesh, ("Lagrange", 1))

    def fields():
        yield fem.Function(space).x.array
        raise ArithmeticError("diverged")

    with pytest.raises(ArithmeticError):
        write_fields(tmp_path / "fields.vtkhdf", mesh, space, TIMES, fields())
    assert not list(tmp_path.iterdir())


def test_a_rank_may_have_no_cell():
    """As of a small image on many ranks."""
    none = np.empty(0, np.int32)
    nothing = SimpleNamespace(size_local=0, num_ghosts=0, array=none, offsets=np.zeros(1, np.int32))
    topology = SimpleNamespace(
        dim=3,
        cell_type=dmesh.CellType.tetrahedron,
        create_connectivity=lambda *_: None,
        index_map=lambda _: nothing,
        connectivity=lambda *_: nothing,
    )
    tags = SimpleNamespace(indices=none, values=none)
    mesh = SimpleNamespace(mesh=SimpleNamespace(topology=topology), facet_tags=tags, periodic=())
    assert _tagged_facets(mesh).shape == (0, 3)
