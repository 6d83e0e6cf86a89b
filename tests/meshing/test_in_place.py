"""From cells on any ranks to the mesh of the solved phases: nothing lost, everything tagged, contacts cut."""

from dataclasses import replace

import numpy as np
import pytest
from made_meshes import voxels_as_cells
from voxel_counts import assert_counts, integral

import ufl
from dolfinx import fem
from dolfinx.mesh import compute_midpoints, exterior_facet_indices
from mpi4py import MPI

from microlith.imaging.errors import InputError
from microlith.meshing.distribution.in_place import mesh_in_place
from microlith.meshing.mesh.phasemesh import interface_tag

pytestmark = pytest.mark.mpi
COMM = MPI.COMM_WORLD
SHAPES = {"triangle": 2, "quadrilateral": 2, "tetrahedron": 3, "hexahedron": 3}
EDGE = np.array([1.0, 2.0, 0.5])  # of a voxel, x, y, z

# How the cells are spread over the ranks: which of a rank's neighbours share what must not matter.
SPREAD = {
    "slabs": lambda cell: cell * COMM.size // (cell[-1] + 1),
    "anyhow": lambda cell: np.random.default_rng(5).integers(0, COMM.size, len(cell)),
    "all on the last": lambda cell: np.full(len(cell), COMM.size - 1),
}


def labels_of(dim):
    """Three phases at random: point contacts, edge contacts, holes."""
    return np.random.default_rng(8).integers(0, 3, (4, 5, 6)[-dim:])


@pytest.mark.parametrize(
    ("spread", "solved"),
    [("anyhow", [0, 1]), ("anyhow", [2]), ("slabs", [0, 1, 2]), ("slabs", [0, 2]), ("all on the last", [0, 1])],
    ids=str,
)
@pytest.mark.parametrize("shape", SHAPES)
def test_all_that_can_be_counted(shape, spread, solved):
    dim = SHAPES[shape]
    labels = labels_of(dim)
    image_mesh = voxels_as_cells(labels, "abc", shape, COMM, SPREAD[spread], EDGE[:dim])
    mesh = mesh_in_place(image_mesh, solved, COMM)
    assert_counts(mesh, labels, solved, EDGE[:dim], sum(COMM.allgather(np.isin(image_mesh.phase, solved).sum())))
    assert (mesh.names, mesh.unit, mesh.extent) == (tuple("abc"), 1e-6, image_mesh.extent)


@pytest.mark.parametrize("shape", SHAPES)
def test_tags_of_ghosts_too_and_of_every_boundary_facet(shape):
    dim = SHAPES[shape]
    labels = labels_of(dim)
    mesh = mesh_in_place(voxels_as_cells(labels, "abc", shape, COMM, SPREAD["anyhow"]), [0, 1], COMM)
    topology = mesh.mesh.topology
    cells = topology.index_map(dim)
    every = np.arange(cells.size_local + cells.num_ghosts)
    assert (mesh.cell_tags.indices == every).all()
    middles = compute_midpoints(mesh.mesh, dim, every.astype(np.int32))[:, :dim].astype(int)
    assert (mesh.cell_tags.values == labels[tuple(middles.T[::-1])]).all()
    assert np.isin(exterior_facet_indices(topology), mesh.facet_tags.indices).all()
    # The facets of all cells of this rank, ghosts included: tagged where the phases differ, nowhere else inside.
    between = topology.connectivity(dim - 1, dim)
    tags = dict(zip(mesh.facet_tags.indices.tolist(), mesh.facet_tags.values.tolist(), strict=True))
    for facet in range(between.num_nodes):
        phases = mesh.cell_tags.values[between.links(facet)]
        if len(phases) == 2:
            assert tags.get(facet) == (interface_tag(*phases) if phases[0] != phases[1] else None)


@pytest.mark.parametrize("shape", SHAPES)
def test_each_cell_stays_on_its_rank_and_knows_its_neighbours(shape):
    dim = SHAPES[shape]
    labels = labels_of(dim)
    image_mesh = voxels_as_cells(labels, "abc", shape, COMM, SPREAD["anyhow"])
    topology = mesh_in_place(image_mesh, [0, 1], COMM).mesh.topology
    assert topology.index_map(dim).size_local == np.isin(image_mesh.phase, [0, 1]).sum()
    # A facet with one cell on its rank has no other anywhere: so shared-facet ghosts are what interior integrals need.
    facets = topology.index_map(dim - 1)
    between = topology.connectivity(dim - 1, dim)
    alone = [f for f in range(facets.size_local) if len(between.links(f)) == 1]
    assert set(alone) == set(exterior_facet_indices(topology).tolist())


def test_an_edge_contact_is_cut_only_where_nothing_else_joins_it():
    """Two cubes that share an edge, and a bar over its upper end: the lower end is two vertices, the upper one."""
    labels = np.ones((2, 2, 2), int)
    labels[0, 0, 0] = labels[0, 1, 1] = 0
    for shape in ("tetrahedron", "hexahedron"):
        cut = mesh_in_place(voxels_as_cells(labels, "ab", shape, COMM, SPREAD["slabs"]), [0], COMM)
        assert cut.mesh.topology.index_map(0).size_global == 16
        bridged = labels.copy()
        bridged[1] = 0
        mesh = mesh_in_place(voxels_as_cells(bridged, "ab", shape, COMM, SPREAD["slabs"]), [0], COMM)
        assert mesh.mesh.topology.index_map(0).size_global == 27 - 2 + 1


def test_a_long_fan_over_many_ranks():
    """A ring of voxels around one vertex, open at one place, in pieces that alternate between the ranks."""
    labels = np.zeros((2, 2, 2), int)
    labels[0, 0, 0] = labels[1, 1, 1] = 1
    for shape in ("tetrahedron", "hexahedron"):
        image_mesh = voxels_as_cells(labels, "ab", shape, COMM, lambda cell: cell % COMM.size)
        assert mesh_in_place(image_mesh, [0], COMM).mesh.topology.index_map(0).size_global == 25
        assert mesh_in_place(image_mesh, [1], COMM).mesh.topology.index_map(0).size_global == 16


def test_no_solved_cell_anywhere():
    image_mesh = voxels_as_cells(labels_of(3), "abc", "tetrahedron", COMM, SPREAD["slabs"])
    with pytest.raises(InputError, match=r"no tetrahedron .* solved for \(none given\)"):
        mesh_in_place(image_mesh, [], COMM)
    missing = replace(image_mesh, names=(*"abc", "d"))
    with pytest.raises(InputError, match=r"solved for \(d\)"):
        mesh_in_place(missing, [3], COMM)


def test_one_cell_on_many_ranks():
    image_mesh = voxels_as_cells(np.array([[[0, 1]]]), "ab", "hexahedron", COMM, lambda cell: 0 * cell)
    mesh = mesh_in_place(image_mesh, [1], COMM)
    assert integral(fem.Constant(mesh.mesh, 1.0) * ufl.dx(domain=mesh.mesh)) == pytest.approx(1)


@pytest.mark.parametrize("spread", ["slabs", "anyhow"])
def test_a_mesh_that_does_not_conform_is_refused(spread):
    """A cell within the image gets a vertex of its own where its neighbours have another."""
    labels = np.zeros((3, 3, 3), int)
    labels[1, 1, 1] = 1
    image_mesh = voxels_as_cells(labels, "ab", "tetrahedron", COMM, SPREAD[spread])
    torn = image_mesh.cells.copy()
    torn[np.flatnonzero(image_mesh.phase)[:1], 0] = len(image_mesh.points)
    broken = replace(
        image_mesh,
        cells=torn,
        points=np.concatenate([image_mesh.points, [[1.0, 1.0, 1.1]]]),
        vertex=np.concatenate([image_mesh.vertex, [10**9 + COMM.rank]]),
    )
    with pytest.raises(RuntimeError, match="conform"):
        mesh_in_place(broken, [1], COMM)
