"""Where the voxels of an image are, in metres and in mesh units."""

import numpy as np
import pytest

from microlith.imaging.axes import AXES, FACES, axis_names, face_axis
from microlith.imaging.image.volume import LabelImage


def image(shape, voxel_size):
    return LabelImage(np.zeros(shape, np.uint8), ("a",), voxel_size)


SLAB = image((2, 3, 4), (40e-9, 20e-9, 30e-9))  # z, y, x


def test_sizes_run_x_first_and_the_shortest_edge_is_the_unit():
    assert SLAB.dim == 3
    assert SLAB.unit == 20e-9
    assert SLAB.pixel == (1.5, 1.0, 2.0)
    assert SLAB.grid == (4, 3, 2)
    assert SLAB.frame == (6.0, 3.0, 4.0)
    assert SLAB.extent == pytest.approx((120e-9, 60e-9, 80e-9))
    assert SLAB.voxel_measure == pytest.approx(24e-24)


@pytest.mark.parametrize("unit", [1.0, 1e-9, 1e-6, 1e-3])
def test_the_unit_of_the_image_leaves_no_trace_in_mesh_units(unit):
    assert image((5, 7), (0.3 * unit, 0.1 * unit)).pixel == (1.0, 3.0)


@pytest.mark.parametrize(
    ("low", "high", "rim", "window"),
    [
        ((0, 0, 0), (6, 3, 4), 0, ((0, 2), (0, 3), (0, 4))),
        ((1.6, 1.0, 2.1), (3.0, 1.9, 3.9), 0, ((1, 2), (1, 2), (1, 2))),
        ((1.6, 1.0, 2.1), (3.1, 1.9, 3.9), 0, ((1, 2), (1, 2), (1, 3))),
        ((1.6, 1.0, 2.1), (3.0, 1.9, 3.9), 1, ((0, 2), (0, 3), (0, 3))),
        ((6, 3, 4), (6, 3, 4), 0, ((1, 2), (2, 3), (3, 4))),
        ((-9, -9, -9), (-8, -8, -8), 0, ((0, 1), (0, 1), (0, 1))),
    ],
)
def test_windows_around_boxes_have_a_voxel_and_stay_in_the_image(low, high, rim, window):
    assert SLAB.window(low, high, rim) == window


def test_windows_of_all_and_of_nothing():
    assert SLAB.whole_window == ((0, 2), (0, 3), (0, 4))
    assert SLAB.empty_window == ((0, 0), (0, 0), (0, 0))


def test_places_of_points_are_indices_of_the_array():
    points = np.array([[0.1, 0.1, 0.1], [5.9, 2.9, 3.9], [1.6, 1.2, 2.1], [-1.0, 9.0, 1.0]])
    np.testing.assert_array_equal(SLAB.places(points).T, [[0, 0, 0], [1, 2, 3], [1, 1, 1], [0, 2, 0]])


def test_axes_and_faces_by_name():
    assert axis_names(2) == ("y", "x")
    assert axis_names(3) == ("z", "y", "x")
    assert FACES[:3] == ("x_min", "x_max", "y_min")
    for dim in (2, 3):
        for face in FACES[: 2 * dim]:
            axis, upper = face_axis(face, dim)
            assert axis_names(dim)[axis] == face[0] == AXES[dim - 1 - axis]
            assert upper == (face[1:] == "_max")
