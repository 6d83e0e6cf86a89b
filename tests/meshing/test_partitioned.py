"""From rank 0's triangles to the distributed mesh: nothing lost, everything tagged, failures on all ranks."""

import numpy as np
import pytest
from label_images import disk, label_image
from voxel_counts import integral

import ufl
from dolfinx import fem
from mpi4py import MPI

from microlith.imaging.errors import InputError
from microlith.imaging.image.load import volume_of
from microlith.imaging.options import MeshOptions
from microlith.imaging.parallel.collective import on_root
from microlith.meshing.distribution.partitioned import mesh_partitioned
from microlith.meshing.mesh.phasemesh import face_tag, interface_tag
from microlith.meshing.methods import METHODS, ImageToMesh

pytestmark = pytest.mark.mpi
COMM = MPI.COMM_WORLD


def spread(phase, solved, options=None, voxel=(1e-6, 1e-6)):
    serial = on_rank_0(label_image(phase, voxel), options or MeshOptions(gap_elements=1), solved)
    return serial, mesh_partitioned(serial, solved, COMM)


def on_rank_0(image, options, solved):
    return METHODS["fitted"].image_mesh(ImageToMesh(volume_of(image, COMM), options, solved, COMM))


def length(mesh, tag, inside=False):
    if inside:
        measure = ufl.Measure("dS", mesh.mesh, subdomain_data=mesh.facet_tags)
    else:
        measure = ufl.Measure("ds", mesh.mesh, subdomain_data=mesh.facet_tags)
    return integral(fem.Constant(mesh.mesh, 1.0) * measure(tag))


def two_transport_phases():
    phase = np.zeros((20, 30), int)
    phase[:, 15:] = 1
    phase[5:12, 5:12] = 2
    phase[14:, 20:25] = 2
    return phase


def test_areas_and_lengths_of_everything():
    phase = two_transport_phases()
    _, mesh = spread(phase, [0, 1], voxel=(1e-6, 2e-6))
    dx = ufl.Measure("dx", mesh.mesh, subdomain_data=mesh.cell_tags)
    one = fem.Constant(mesh.mesh, 1.0)
    assert integral(one * dx(0)) == pytest.approx(2 * (phase == 0).sum(), rel=1e-3)
    assert integral(one * dx(1)) == pytest.approx(2 * (phase == 1).sum(), rel=1e-3)
    assert length(mesh, face_tag("x_min")) == pytest.approx(20)
    assert length(mesh, face_tag("x_max")) == pytest.approx(20)
    assert length(mesh, face_tag("y_min")) == pytest.approx(60)
    assert length(mesh, face_tag("y_max")) == pytest.approx(60 - 10, abs=1)  # phase c touches it
    assert length(mesh, interface_tag(0, 1), inside=True) == pytest.approx(20, abs=1)
    assert 0.8 * 42 < length(mesh, interface_tag(0, 2)) < 42
    assert 0.8 * 22 < length(mesh, interface_tag(1, 2)) < 22
    assert mesh.extent == (60, 20)
    assert mesh.unit == 1e-6
    assert mesh.names == ("a", "b", "c")


def test_every_cell_is_tagged_ghosts_too_and_every_boundary_facet():
    serial, mesh = spread(two_transport_phases(), [0, 1])
    cells = mesh.mesh.topology.index_map(2)
    assert (mesh.cell_tags.indices == np.arange(cells.size_local + cells.num_ghosts)).all()
    if COMM.rank == 0:
        assert cells.size_global == np.sum(serial.phase != 2)
    from dolfinx.mesh import exterior_facet_indices

    mesh.mesh.topology.create_connectivity(1, 2)
    assert np.isin(exterior_facet_indices(mesh.mesh.topology), mesh.facet_tags.indices).all()


def test_only_the_asked_phase():
    _, mesh = spread(disk(), [1])
    assert set(np.concatenate(COMM.allgather(mesh.cell_tags.values))) == {1}
    assert set(np.concatenate(COMM.allgather(mesh.facet_tags.values))) == {interface_tag(0, 1)}


def test_few_cells_on_many_ranks():
    _, mesh = spread(np.array([[0, 1]]), [0], MeshOptions(size={"a": 1e-6}))
    assert integral(fem.Constant(mesh.mesh, 1.0) * ufl.dx(domain=mesh.mesh)) == pytest.approx(1)


def test_point_contacts_are_cut():
    """Two pixels that share a corner: with one point for both, something would flow through no width at all."""
    serial, mesh = spread(np.array([[0, 1], [1, 0]]), [0])
    vertices = mesh.mesh.topology.index_map(0).size_global
    if COMM.rank == 0:
        used = len(np.unique(serial.cells[serial.phase == 0]))
        assert vertices == used + 1
    _, joined = spread(np.array([[0, 1], [1, 0]]), [0, 1])
    if COMM.rank == 0:
        assert joined.mesh.topology.index_map(0).size_global == len(serial.points)


def test_failures_reach_all_ranks():
    with pytest.raises(InputError, match="is not one of the phases"):
        on_rank_0(label_image(disk()), MeshOptions(size={"no": 1.0}), [0])
    serial = on_rank_0(label_image(disk()), MeshOptions(), [0])
    with pytest.raises(InputError, match="no triangle"):
        mesh_partitioned(serial, [], COMM)


def test_failures_that_cannot_be_sent():
    class Odd(Exception):
        def __reduce__(self):
            raise TypeError

    def fail():
        raise Odd("strange")

    with pytest.raises((Odd, RuntimeError), match="strange"):
        on_root(COMM, fail)


def test_results_stay_on_rank_0():
    assert on_root(COMM, lambda: 7) == (7 if COMM.rank == 0 else None)
