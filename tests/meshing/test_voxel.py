"""A cell for each voxel: what is counted in the image is what the mesh has, on any number of ranks."""

import numpy as np
import pytest
from label_images import label_image
from voxel_counts import assert_counts, fans, integral

import ufl
from dolfinx import fem
from mpi4py import MPI

from microlith.imaging.errors import InputError
from microlith.imaging.image.load import volume_of
from microlith.meshing import voxel
from microlith.meshing.distribution.in_place import mesh_in_place
from microlith.meshing.voxel import voxel_mesh

pytestmark = pytest.mark.mpi
COMM = MPI.COMM_WORLD
EDGE = (1e-6, 2e-6, 0.5e-6)  # of a voxel, x, y, z


def volume_from(labels):
    return volume_of(label_image(labels, EDGE[: labels.ndim][::-1]) if COMM.rank == 0 else None, COMM)


@pytest.mark.parametrize("blocks", [2, 128])
@pytest.mark.parametrize("solved", [[0, 1], [2], [0, 1, 2]], ids=str)
@pytest.mark.parametrize("shape", [(9, 7), (4, 6, 7)], ids=str)
def test_all_that_can_be_counted(monkeypatch, shape, solved, blocks):
    monkeypatch.setattr(voxel, "MOST_BLOCKS", blocks)
    labels = np.random.default_rng(3).integers(0, 3, shape)
    mesh = mesh_in_place(voxel_mesh(volume_from(labels), solved, COMM), solved, COMM)
    edge = np.array(EDGE[: len(shape)]) / min(EDGE[: len(shape)])
    assert_counts(mesh, labels, solved, edge, np.isin(labels, solved).sum())
    assert mesh.extent == pytest.approx(tuple(edge * shape[::-1]))
    assert mesh.unit == min(EDGE[: len(shape)])


def test_only_what_is_needed_and_each_voxel_once():
    labels = np.zeros((9, 10, 11), int)
    labels[4, 5, 6] = 1
    image_mesh = voxel_mesh(volume_from(labels), [1], COMM)
    middles = np.concatenate(COMM.allgather(image_mesh.points[image_mesh.cells].mean(axis=1))) / [2, 4, 1]
    expected = np.array([[6, 5, 4], [5, 5, 4], [7, 5, 4], [6, 4, 4], [6, 6, 4], [6, 5, 3], [6, 5, 5]]) + 0.5
    assert sorted(middles.tolist()) == sorted(expected.tolist())
    assert sorted(np.concatenate(COMM.allgather(image_mesh.phase)).tolist()) == [0] * 6 + [1]


def test_solved_voxels_are_shared_out_evenly():
    """All are in one corner: a rank that took its share of the image would have all of them or none."""
    labels = np.zeros((24, 24, 24), int)
    labels[:12, :12, :12] = 1
    image_mesh = voxel_mesh(volume_from(labels), [1], COMM)
    most = COMM.allreduce(int((image_mesh.phase == 1).sum()), MPI.MAX)
    assert most <= 1.1 * 12**3 / COMM.size


def test_fewer_voxels_than_ranks():
    labels = np.array([[0, 1], [0, 1]])
    mesh = mesh_in_place(voxel_mesh(volume_from(labels), [1], COMM), [1], COMM)
    assert integral(fem.Constant(mesh.mesh, 1.0) * ufl.dx(domain=mesh.mesh)) == pytest.approx(4)


def test_cubes_that_share_an_edge_or_a_corner_are_apart():
    """Else something would flow from one to the other through no width."""
    labels = np.ones((2, 2, 3), int)
    labels[0, 0, 0] = labels[0, 1, 1] = labels[1, 0, 2] = 0
    mesh = mesh_in_place(voxel_mesh(volume_from(labels), [0], COMM), [0], COMM)
    assert mesh.mesh.topology.index_map(0).size_global == 24 == fans(labels, [0])


def test_no_voxel_of_the_phase():
    image_mesh = voxel_mesh(volume_from(np.array([[0, 1], [0, 1]])), [], COMM)
    assert len(image_mesh.cells) == 0
    with pytest.raises(InputError, match="no quadrilateral"):
        mesh_in_place(image_mesh, [], COMM)
