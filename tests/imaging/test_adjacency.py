"""Which phases share faces, and how many voxels of each lie at the outer faces."""

import numpy as np
import pytest
from label_images import label_volume

from mpi4py import MPI

from microlith.imaging.axes import AXES, FACES
from microlith.imaging.image import passes
from microlith.imaging.microstructure.adjacency import adjacency

COMM = MPI.COMM_WORLD


def counted(phase, phases):
    """Faces and voxels at the outer faces, voxel by voxel."""
    between = np.zeros((phase.ndim, phases, phases), int)
    for place in np.ndindex(phase.shape):
        for axis in range(phase.ndim):
            beside = tuple(p + (axis == i) for i, p in enumerate(place))
            if beside[axis] < phase.shape[axis] and phase[place] != phase[beside]:
                between[axis, phase[place], phase[beside]] += 1
                between[axis, phase[beside], phase[place]] += 1
    at_faces = {}
    for face in FACES[: 2 * phase.ndim]:
        layer = np.take(phase, 0 if face.endswith("min") else -1, axis=phase.ndim - 1 - AXES.index(face[0]))
        at_faces[face] = [int((layer == index).sum()) for index in range(phases)]
    return between, at_faces


@pytest.mark.mpi
@pytest.mark.parametrize("shape", [(7, 5), (5, 4, 3), (1, 6), (2, 3, 2)])
@pytest.mark.parametrize("voxels", [1, 12, 1000])
def test_faces_and_layers_are_counted_once(monkeypatch, shape, voxels):
    monkeypatch.setattr(passes, "VOXELS", voxels)
    phase = np.random.default_rng(5).integers(0, 3, shape).astype(np.uint8)
    found = adjacency(label_volume(phase, names="abcd"), COMM)
    between, at_faces = counted(phase, 4)
    np.testing.assert_array_equal(found.between, between)
    assert {face: count.tolist() for face, count in found.at_faces.items()} == at_faces


def test_phases_touch_through_faces_and_not_through_corners():
    phase = np.array([[0, 0, 2], [0, 0, 2], [1, 1, 3]], np.uint8)
    found = adjacency(label_volume(phase, comm=MPI.COMM_SELF), MPI.COMM_SELF)
    a, b, c, d = np.eye(4, dtype=bool)
    assert found.touch(a, b)
    assert found.touch(b, a)
    assert found.touch(c, d)
    assert not found.touch(a, d)
    assert not found.touch(b, c)
    assert not found.touch(a, a)
    assert found.touch(a | d, b | d)
