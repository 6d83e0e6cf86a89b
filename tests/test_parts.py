"""From cells on any ranks to the mesh of the solved phases: nothing lost, everything tagged, contacts cut."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from made_meshes import voxel_parts_of
from scipy import sparse
from scipy.sparse import csgraph

import ufl
from dolfinx import fem
from dolfinx.mesh import exterior_facet_indices
from mpi4py import MPI

from microlith.meshing.errors import InputError
from microlith.meshing.parts import phase_mesh
from microlith.meshing.phasemesh import FACES, face_tag, interface_tag

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


def integral(form):
    return COMM.allreduce(fem.assemble_scalar(fem.form(form)))


def size_of(mesh, tag, kind):
    measure = ufl.Measure(kind, mesh.mesh, subdomain_data=mesh.facet_tags)
    return integral(fem.Constant(mesh.mesh, 1.0) * measure(tag))


def faces_between(labels, edge):
    """Area of the voxel faces between two phases {(a, b): area}, a < b."""
    dim = labels.ndim
    areas = {}
    for axis in range(dim):
        size = np.prod(edge[:dim]) / edge[dim - 1 - axis]
        low = labels[tuple(slice(0, -1) if i == axis else slice(None) for i in range(dim))]
        high = labels[tuple(slice(1, None) if i == axis else slice(None) for i in range(dim))]
        for a, b in itertools.combinations(range(3), 2):
            count = ((low == a) & (high == b)).sum() + ((low == b) & (high == a)).sum()
            areas[a, b] = areas.get((a, b), 0) + count * size
    return areas


def on_faces(labels, edge, solved):
    """Area of the solved phases on each outer face, in the order of FACES."""
    dim = labels.ndim
    areas = []
    for axis, end in itertools.product(range(dim), (0, -1)):
        face = np.take(labels, end, axis=dim - 1 - axis)
        areas.append(np.isin(face, solved).sum() * np.prod(edge[:dim]) / edge[axis])
    return areas


def fans(labels, solved):
    """Number of vertices if each has a copy for each set of solved voxels around it that faces join."""
    padded = np.pad(np.isin(labels, solved), 1)
    count = 0
    around = list(itertools.product((0, 1), repeat=labels.ndim))
    for at in itertools.product(*(range(n + 1) for n in labels.shape)):
        there = [tuple(np.add(at, step)) for step in around if padded[tuple(np.add(at, step))]]
        joined = [[np.abs(np.subtract(a, b)).sum() == 1 for b in there] for a in there]
        count += csgraph.connected_components(sparse.csr_array(np.array(joined)))[0] if there else 0
    return count


@pytest.mark.parametrize("solved", [[0, 1], [2], [0, 1, 2]], ids=str)
@pytest.mark.parametrize("spread", SPREAD)
@pytest.mark.parametrize("shape", SHAPES)
def test_all_that_can_be_counted(shape, spread, solved):
    dim = SHAPES[shape]
    labels = labels_of(dim)
    parts = voxel_parts_of(labels, "abc", shape, COMM, SPREAD[spread], EDGE[:dim])
    mesh = phase_mesh(parts, solved, COMM)
    one = fem.Constant(mesh.mesh, 1.0)
    dx = ufl.Measure("dx", mesh.mesh, subdomain_data=mesh.cell_tags)
    for phase in solved:
        assert integral(one * dx(phase)) == pytest.approx((labels == phase).sum() * np.prod(EDGE[:dim]))
    for name, area in zip(FACES, on_faces(labels, EDGE, solved), strict=False):
        assert size_of(mesh, face_tag(name), "ds") == pytest.approx(area)
    for (a, b), area in faces_between(labels, EDGE).items():
        inner = a in solved and b in solved
        outer = (a in solved) != (b in solved)
        assert size_of(mesh, interface_tag(a, b), "dS") == pytest.approx(area if inner else 0)
        assert size_of(mesh, interface_tag(a, b), "ds") == pytest.approx(area if outer else 0)
    topology = mesh.mesh.topology
    assert topology.index_map(dim).size_global == COMM.allreduce(np.isin(parts.phase, solved).sum())
    assert topology.index_map(0).size_global == fans(labels, solved)
    assert (mesh.names, mesh.unit, mesh.extent) == (tuple("abc"), 1e-6, parts.extent)


@pytest.mark.parametrize("shape", SHAPES)
def test_tags_of_ghosts_too_and_of_every_boundary_facet(shape):
    dim = SHAPES[shape]
    labels = labels_of(dim)
    mesh = phase_mesh(voxel_parts_of(labels, "abc", shape, COMM, SPREAD["anyhow"]), [0, 1], COMM)
    topology = mesh.mesh.topology
    cells = topology.index_map(dim)
    every = np.arange(cells.size_local + cells.num_ghosts)
    assert (mesh.cell_tags.indices == every).all()
    middles = mesh.mesh.geometry.x[mesh.mesh.geometry.dofmap].mean(axis=1)[:, :dim].astype(int)
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
    parts = voxel_parts_of(labels, "abc", shape, COMM, SPREAD["anyhow"])
    topology = phase_mesh(parts, [0, 1], COMM).mesh.topology
    assert topology.index_map(dim).size_local == np.isin(parts.phase, [0, 1]).sum()
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
        cut = phase_mesh(voxel_parts_of(labels, "ab", shape, COMM, SPREAD["slabs"]), [0], COMM)
        assert cut.mesh.topology.index_map(0).size_global == 16
        bridged = labels.copy()
        bridged[1] = 0
        mesh = phase_mesh(voxel_parts_of(bridged, "ab", shape, COMM, SPREAD["slabs"]), [0], COMM)
        assert mesh.mesh.topology.index_map(0).size_global == 27 - 2 + 1


def test_a_long_fan_over_many_ranks():
    """A ring of voxels around one vertex, open at one place, in pieces that alternate between the ranks."""
    labels = np.zeros((2, 2, 2), int)
    labels[0, 0, 0] = labels[1, 1, 1] = 1
    for shape in ("tetrahedron", "hexahedron"):
        parts = voxel_parts_of(labels, "ab", shape, COMM, lambda cell: cell % COMM.size)
        assert phase_mesh(parts, [0], COMM).mesh.topology.index_map(0).size_global == 25
        assert phase_mesh(parts, [1], COMM).mesh.topology.index_map(0).size_global == 16


def test_no_solved_cell_anywhere():
    parts = voxel_parts_of(labels_of(3), "abc", "tetrahedron", COMM, SPREAD["slabs"])
    with pytest.raises(InputError, match=r"no tetrahedron .* solved for \(none given\)"):
        phase_mesh(parts, [], COMM)
    missing = replace(parts, names=(*"abc", "d"))
    with pytest.raises(InputError, match=r"solved for \(d\)"):
        phase_mesh(missing, [3], COMM)


def test_one_cell_on_many_ranks():
    parts = voxel_parts_of(np.array([[[0, 1]]]), "ab", "hexahedron", COMM, lambda cell: 0 * cell)
    mesh = phase_mesh(parts, [1], COMM)
    assert integral(fem.Constant(mesh.mesh, 1.0) * ufl.dx(domain=mesh.mesh)) == pytest.approx(1)


@pytest.mark.parametrize("spread", ["slabs", "anyhow"])
def test_a_mesh_that_does_not_conform_is_refused(spread):
    """A cell within the image gets a vertex of its own where its neighbours have another."""
    labels = np.zeros((3, 3, 3), int)
    labels[1, 1, 1] = 1
    parts = voxel_parts_of(labels, "ab", "tetrahedron", COMM, SPREAD[spread])
    torn = parts.cells.copy()
    torn[np.flatnonzero(parts.phase)[:1], 0] = len(parts.points)
    broken = replace(
        parts,
        cells=torn,
        points=np.concatenate([parts.points, [[1.0, 1.0, 1.1]]]),
        vertex=np.concatenate([parts.vertex, [10**9 + COMM.rank]]),
    )
    with pytest.raises(RuntimeError, match="conform"):
        phase_mesh(broken, [1], COMM)
