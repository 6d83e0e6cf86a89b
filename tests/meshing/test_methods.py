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
