"""Figures of the benchmark of meshers, on meshes of which they are known."""

import sys
from dataclasses import replace

import numpy as np
import pytest
from label_images import label_volume
from places import PROJECT

from mpi4py import MPI

from microlith.meshing.mesh.phasemesh import ImageMesh

sys.path.insert(0, str(PROJECT / "benchmarks"))
from mesh_figures import interface_area, mesh_figures, sizes_around, voxel_face_area
from peer_meshers import _box_edges, _majority, _voxel_tetrahedra

COMM = MPI.COMM_WORLD
NAMES = ("pore", "binder", "particle")
MEAN_EDGE = (3 + 2 * np.sqrt(2) + np.sqrt(3)) / 6  # of a sixth of a cube


def _image():
    return np.random.default_rng(3).integers(0, 3, (5, 6, 7)).astype(np.uint8)


def _volume(phase, voxel=(1e-8,) * 3, comm=COMM):
    return label_volume(phase, voxel, NAMES, comm)


def _parts(points, cells, phase, extent, stretch=(1.0, 1.0, 1.0)):
    return ImageMesh(
        points=points * stretch,
        vertex=np.arange(len(points)),
        cells=cells,
        phase=phase.astype(np.uint8),
        shape="tetrahedron",
        names=NAMES,
        unit=1e-8,
        extent=tuple(np.array(extent) * stretch),
    )


def _exact(phase, comm=COMM, stretch=(1.0, 1.0, 1.0)):
    """The image itself as tetrahedra, dealt to the ranks."""
    points, cells, label = _voxel_tetrahedra(phase)
    mine = slice(comm.rank, None, comm.size)
    return _parts(points, cells[mine], label[mine], phase.shape[::-1], stretch)


@pytest.mark.mpi
@pytest.mark.parametrize("aspect", [1.0, 2.0])
def test_a_mesh_of_the_voxels_themselves_is_true(aspect):
    phase = _image()
    found = mesh_figures(_volume(phase, (aspect * 1e-8, 1e-8, 1e-8)), _exact(phase, stretch=(1, 1, aspect)), COMM)
    assert (found.cells, found.inverted) == (6 * phase.size, 0)
    assert found.volume_errors == pytest.approx([0, 0, 0], abs=1e-12)
    assert found.agreement == found.agreement_inside == found.agreement_centroids == 1
    assert found.meshed == pytest.approx(1)
    if aspect == 1:
        assert [found.worst, found.permille, found.percent] == pytest.approx([45, 45, 45])
        assert sizes_around(_volume(phase), _exact(phase), 2, COMM)[0] == pytest.approx(MEAN_EDGE)


@pytest.mark.mpi
def test_what_is_wrong_shows():
    phase = np.zeros((4, 4, 4), np.uint8)
    phase[:, :, 2:] = 1
    volume = _volume(phase)
    image_mesh = _exact(phase)
    # Half of the first phase is given to the second one.
    layer = (image_mesh.points[image_mesh.cells].mean(axis=1)[:, 0] > 1) & (image_mesh.phase == 0)
    found = mesh_figures(volume, replace(image_mesh, phase=np.where(layer, 1, image_mesh.phase).astype(np.uint8)), COMM)
    assert found.volume_errors == pytest.approx([-0.5, 0.5])
    assert found.agreement == found.agreement_centroids == 0.75
    # A quarter of the box is left out.
    kept = image_mesh.points[image_mesh.cells].mean(axis=1)[:, 0] < 3
    found = mesh_figures(volume, replace(image_mesh, cells=image_mesh.cells[kept], phase=image_mesh.phase[kept]), COMM)
    assert (found.meshed, found.agreement, found.agreement_inside) == pytest.approx((0.75, 0.75, 1))
    # One cell is turned inside out, another is flat.
    cells = image_mesh.cells.copy()
    cells[0] = cells[0, [0, 1, 3, 2]]
    cells[1, 3] = cells[1, 2]
    found = mesh_figures(volume, replace(image_mesh, cells=cells), COMM)
    assert (found.inverted, found.worst) == (2 * COMM.size, 0)


@pytest.mark.mpi
def test_sizes_near_and_far_from_a_surface():
    phase = np.zeros((4, 4, 24), np.uint8)
    phase[:, :, :4] = 2
    fine, fine_cells, fine_phase = _voxel_tetrahedra(phase[:, :, :10])
    coarse, coarse_cells, coarse_phase = _voxel_tetrahedra(phase[::2, ::2, 10::2])
    points = np.concatenate([fine, coarse * 2 + [10, 0, 0]])
    cells = np.concatenate([fine_cells, coarse_cells + len(fine)])[COMM.rank :: COMM.size]
    label = np.concatenate([fine_phase, coarse_phase])[COMM.rank :: COMM.size]
    found = sizes_around(_volume(phase), _parts(points, cells, label, (24, 4, 4)), 2, COMM)
    assert found == pytest.approx((MEAN_EDGE, 2 * MEAN_EDGE))
    absent = sizes_around(_volume(phase), _parts(points, cells, label, (24, 4, 4)), 1, COMM)
    assert absent[0] is None


def test_area_of_interfaces():
    phase = _image()
    alone = MPI.COMM_SELF
    assert interface_area(_exact(phase, alone)) == voxel_face_area(_volume(phase, comm=alone))
    stretched = _volume(phase, (2e-8, 1e-8, 1e-8), alone)
    assert interface_area(_exact(phase, alone, (1, 1, 2))) == pytest.approx(voxel_face_area(stretched))


def test_edges_of_the_box():
    edges = _box_edges((2, 3, 4))
    points = _voxel_tetrahedra(np.zeros((2, 3, 4), np.uint8))[0]
    at_end = (points == 0) | (points == [4, 3, 2])
    assert len(edges) == 4 * (2 + 3 + 4)
    assert (at_end[edges].all(axis=1).sum(axis=1) == 2).all()


def test_regions_without_a_name_get_the_phase_that_they_lie_in():
    phase = np.zeros((3, 3, 4), np.uint8)
    phase[:, :, 2:] = 1
    points, cells, label = _voxel_tetrahedra(phase)
    region = 1 - label
    region[:5] = label[:5]  # a few are on the wrong side
    assert (_majority(phase, points, cells, region) == np.where(np.arange(len(label)) < 5, 1 - label, label)).all()
