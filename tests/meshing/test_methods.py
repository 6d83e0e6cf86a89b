"""The table of mesh methods: what `auto` means, and that each makes the mesh it counts on."""

import numpy as np
import pytest
from label_images import disk, label_image

from mpi4py import MPI

from microlith.imaging.errors import InputError
from microlith.imaging.image.load import volume_of
from microlith.imaging.options import MeshOptions
from microlith.meshing.methods import METHODS, ImageToMesh, method_name

COMM = MPI.COMM_WORLD
BALL = np.linalg.norm(np.indices((16, 16, 16)) - 7.6, axis=0) < 5.3


def given(phase, options, whole=False):
    image = label_image(phase, (1e-6,) * phase.ndim)
    return ImageToMesh(volume_of(image, COMM), options, [1], COMM, image if whole and COMM.rank == 0 else None)


def test_auto_is_fitted_in_2d_and_lattice_in_3d():
    assert method_name(MeshOptions(), 2) == "fitted"
    assert method_name(MeshOptions(), 3) == "lattice"
    for name, method in METHODS.items():
        for dim in method.dims:
            assert method_name(MeshOptions(method=name), dim) == name


def test_a_method_for_the_other_dimension_is_refused():
    with pytest.raises(InputError, match=r'\[mesh\] method: "fitted" is for 2D images; take "auto" or "lattice"'):
        method_name(MeshOptions(method="fitted"), 3)


@pytest.mark.mpi
@pytest.mark.parametrize(
    ("name", "dim", "off"),
    [("fitted", 2, 1.3), ("lattice", 2, 6), ("voxel", 2, 1), ("lattice", 3, 4), ("voxel", 3, 1)],
)
def test_each_method_makes_about_the_cells_that_it_counts_on(name, dim, off):
    """And each cell of the solved phases once, on whichever rank."""
    asked = given(disk() if dim == 2 else BALL, MeshOptions(method=name))
    method = METHODS[name]
    mesh = method.image_mesh(asked)
    cells = COMM.allreduce(len(mesh.cells))
    solved = COMM.allreduce(int(np.isin(mesh.phase, asked.solved).sum()))
    made = solved if name == "voxel" else cells
    assert made / off <= method.count(asked, 0.0)(asked.options) <= made * off
    distributed = method.phase_mesh(mesh, asked.solved, COMM)
    assert distributed.mesh.topology.index_map(dim).size_global == solved
    assert distributed.unit == mesh.unit == 1e-6


@pytest.mark.mpi
def test_the_image_that_rank_0_has_is_not_read_again():
    asked = given(disk(), MeshOptions(), whole=True)
    again = given(disk(), MeshOptions())
    one, other = (METHODS["fitted"].image_mesh(each) for each in (asked, again))
    np.testing.assert_array_equal(one.points, other.points)
    assert len(one.cells) == 0 or COMM.rank == 0


@pytest.mark.parametrize("factor", [1.0, 2.0])
@pytest.mark.parametrize(("name", "dim"), [("fitted", 2), ("lattice", 2), ("voxel", 2), ("lattice", 3), ("voxel", 3)])
def test_what_is_expected_of_a_mesh_is_about_what_is_made(name, dim, factor):
    """All cells, those of the solved phase, and its vertices within 1.5; of squares and cubes all to the last one."""
    phase = disk() if dim == 2 else BALL
    asked = given(phase, MeshOptions(method=name, size={"b": factor * 2e-6}))
    found = METHODS[name].expected(asked)
    mesh = METHODS[name].image_mesh(asked)
    solved = mesh.cells[np.isin(mesh.phase, asked.solved)]
    cells, own, vertices = (COMM.allreduce(n) for n in (len(mesh.cells), len(solved), len(np.unique(solved))))
    assert found.shape == mesh.shape
    off = 1.0 if name == "voxel" else 1.5
    for expected, made in ((found.cells, cells), (found.solved, own), (found.entities[0], vertices)):
        assert made / off <= expected <= made * off, (expected, made)


def exterior_facets(mesh):
    """Facets of this rank at the surface of a mesh."""
    from dolfinx.mesh import exterior_facet_indices

    mesh.topology.create_connectivity(mesh.topology.dim - 1, mesh.topology.dim)
    return len(exterior_facet_indices(mesh.topology))


@pytest.mark.parametrize("phase", [disk(), 1 - disk(), BALL, ~BALL], ids=["disk", "plate", "ball", "box"])
def test_entities_of_voxels_are_counted_once_in_slabs(monkeypatch, phase):
    """Unknowns of each degree against those of DOLFINx, with the image in slabs of one layer and in one."""
    from dolfinx import fem

    asked = given(phase, MeshOptions(method="voxel"))
    mesh = METHODS["voxel"].phase_mesh(METHODS["voxel"].image_mesh(asked), asked.solved, COMM).mesh
    for voxels in (1, 1 << 22):
        monkeypatch.setattr("microlith.imaging.image.passes.VOXELS", voxels)
        found = METHODS["voxel"].expected(asked)
        for degree in (1, 2, 3):
            space = fem.functionspace(mesh, ("Lagrange", degree))
            assert found.unknowns(degree) == space.dofmap.index_map.size_global
            assert found.nodes(degree) == space.dofmap.dof_layout.num_dofs
        assert found.facets == COMM.allreduce(exterior_facets(mesh))


def test_unknowns_of_simplices_follow_from_their_entities():
    """Of a mesh that is there: exact for triangles and for degree 1 of tetrahedra; close to it for degree 2."""
    from dolfinx import fem

    from microlith.meshing.mesh.expected import of_mesh

    for phase in (disk(), BALL):
        asked = given(phase, MeshOptions(method="lattice"))
        made = METHODS["lattice"].image_mesh(asked)
        mesh = METHODS["lattice"].phase_mesh(made, asked.solved, COMM).mesh
        found = of_mesh(made, asked.solved)
        assert found.solved == mesh.topology.index_map(mesh.topology.dim).size_global
        assert found.facets == COMM.allreduce(exterior_facets(mesh))
        for degree in (1, 2, 3):
            space = fem.functionspace(mesh, ("Lagrange", degree))
            assert found.nodes(degree) == space.dofmap.dof_layout.num_dofs
            assert found.unknowns(degree) == pytest.approx(space.dofmap.index_map.size_global, rel=2e-3, abs=4)
