"""Distances by which lattices are graded."""

import numpy as np
import pytest
from scipy import ndimage

from microlith.imaging.image.half_voxel import on_finer_voxels
from microlith.imaging.options import MeshOptions
from microlith.meshing.lattice import edge_lengths


@pytest.mark.parametrize("voxel", [(1.0, 1.0, 1.0), (1.0, 2.0, 5.0), (1.0, 1.3, 2.7), (1.0, 1.0)])
def test_distances_are_exact(voxel):
    """To the last digit, whatever the voxels, so that they are the same in any window of an image."""
    rng = np.random.default_rng(5)
    for share in (0.5, 0.01, 1e-4):
        voxels = rng.random((40, 50, 60)[: len(voxel)]) < share
        voxels[(-1,) * len(voxel)] = True
        for part in ((), tuple(slice(7, None) for _ in voxel)):
            exact = ndimage.distance_transform_edt(~voxels[part], sampling=voxel).astype(np.float32)
            assert (edge_lengths._distance(voxels[part], voxel) == exact).all()


def test_sizes_far_beyond_the_image_take_no_more_balls_than_fit(monkeypatch):
    """A size of a metre, as by a slip in its unit, once asked for a ball for each voxel of a metre."""
    phase = np.zeros((6, 7, 8), np.uint8)
    phase[:, :, 0], phase[2:4, 2:4, 4:6] = 1, 2
    measured, found = edge_lengths._distance, []
    for size in (40.0, 5e7):
        calls = []

        def counted(*of, calls=calls):
            calls.append(1)
            assert len(calls) < 40
            return measured(*of)

        monkeypatch.setattr(edge_lengths, "_distance", counted)
        sizes = edge_lengths.EdgeSizes({1: size}, other=2.5, largest=size, growth=0.25, gap_elements=3, gaps=True)
        found.append(edge_lengths.longest_edges(phase, (0, 0, 0), (1.0, 1.0, 1.0), sizes, [0])[0].values)
    assert np.array_equal(*found)


def test_the_largest_size_holds_at_surfaces_that_no_size_names():
    """Surfaces get elements of two voxels by default, but no larger ones than asked for anywhere."""
    names, extent, unit = ("pore", "solid"), (40.0, 30.0, 20.0), 1e-8
    sizes = edge_lengths.edge_sizes(MeshOptions(size_max=1e-8), names, [0], unit, extent)
    assert (sizes.named, sizes.other, sizes.largest) == ({0: 1.0}, 1.0, 1.0)
    sizes = edge_lengths.edge_sizes(MeshOptions(), names, [0], unit, extent)
    assert (sizes.named, sizes.other, sizes.largest) == ({0: 2.0}, 2.5, 6.0)


@pytest.mark.parametrize("options", [MeshOptions(), MeshOptions(size_max=5e-8), MeshOptions(size={"pore": 3e-8})])
@pytest.mark.parametrize("voxels", [20.0, 400.0])
def test_elements_are_as_large_on_finer_voxels(options, voxels):
    names, extent = ("pore", "solid"), np.array([voxels, 10.0, 10.0])
    own = edge_lengths.edge_sizes(options, names, [0], 1e-8, extent)
    finer = edge_lengths.edge_sizes(on_finer_voxels(options), names, [0], 0.5e-8, 2 * extent)
    for name in ("smallest", "other", "largest", "growth", "longest_edge", "edge_growth"):
        units = 1 if "growth" in name else 2
        assert getattr(finer, name) == pytest.approx(units * getattr(own, name)), name
