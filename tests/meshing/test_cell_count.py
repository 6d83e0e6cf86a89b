"""How many cells the meshers are expected to make, held against how many they make."""

import math

import numpy as np
import pytest
from label_images import label_volume
from scipy import ndimage

from mpi4py import MPI

from microlith.imaging.options import MeshOptions
from microlith.meshing.lattice.bisection import Lattice, cells_per_volume
from microlith.meshing.mesh.expected import of_mesh
from microlith.meshing.methods import METHODS, ImageToMesh

COMM = MPI.COMM_SELF
UNIT = 1e-8


def blobs(shape, width):
    field = ndimage.gaussian_filter(np.random.default_rng(1).standard_normal(shape), width)
    return (field > np.quantile(field, 0.6)).astype(np.uint8)


def balls(shape, radius):
    """On a grid of three radii."""
    grid = (np.indices(shape) + 0.5) % (3 * radius) - 1.5 * radius
    return ((grid**2).sum(axis=0) < radius**2).astype(np.uint8)


IMAGES = {
    # Far thinner than the largest size, which the boxes of the lattice then are not as large as.
    "plate": ("lattice", np.zeros((3, 300, 300), np.uint8), {"size_max": 50.0}),
    "rod": ("lattice", np.zeros((4, 700, 5), np.uint8), {"size_max": 80.0}),
    "strip": ("lattice", np.zeros((5, 900), np.uint8), {"size_max": 60.0}),
    "strip of triangles": ("fitted", np.zeros((3, 640), np.uint8), {}),
    "periodic plate": ("lattice", blobs((3, 80, 110), 3.0), {"coarseness": 2.0, "periodic": ("x", "z")}),
    "thin layers": ("lattice", (np.indices((4, 118, 53))[2] > 25).astype(np.uint8), {}),
    "bare": ("lattice", np.zeros((26, 38, 58), np.uint8), {}),
    "noise": ("lattice", blobs((14, 15, 23), 0.5), {}),
    "balls": ("lattice", balls((30, 45, 45), 3.0), {}),
    "coarse balls": ("lattice", balls((30, 60, 60), 8.0), {"size": {"phase1": 5.0}, "growth": 0.6}),
    "long blobs": ("fitted", blobs((4, 1000), 2.0), {"growth": 0.6}),
    "blobs": ("lattice", blobs((150, 220), 4.0), {"size_max": 5.5}),
}


@pytest.mark.parametrize("name", IMAGES)
def test_as_many_cells_as_expected(name):
    """Both by the closer look of an estimate and by that of the check of memory."""
    method, phase, sizes = IMAGES[name]
    sizes = dict(sizes)
    if "size" in sizes:
        sizes["size"] = {phase: size * UNIT for phase, size in sizes["size"].items()}
    if "size_max" in sizes:
        sizes["size_max"] *= UNIT
    volume = label_volume(phase, (UNIT,) * phase.ndim, tuple(f"phase{i}" for i in range(int(phase.max()) + 1)))
    options = MeshOptions(method=method, **sizes)
    given = ImageToMesh(volume, options, [0], COMM)
    made = of_mesh(METHODS[method].image_mesh(given), [0])
    expected = METHODS[method].expected(given)
    assert 0.6 < expected.cells / made.cells < 1.67
    assert all(0.5 < said / there < 2 for said, there in zip(expected.entities, made.entities, strict=True))
    assert 0.6 < METHODS[method].count(given, 0.0)(options) / made.cells < 1.67


@pytest.mark.parametrize("boxes", [(2, 3), (2, 3, 2)], ids=str)
def test_bisection_goes_by_whole_steps(boxes):
    """In boxes of edge 1, whose diagonals are halved first, then those of their faces."""
    dim = len(boxes)
    lattice = Lattice(boxes, 3, tuple(map(float, boxes)))
    edges = [2.0, *(math.sqrt(k) for k in range(dim, 0, -1)), math.sqrt(dim) / 2]
    halvings = [0, *range(dim + 1)]
    found = cells_per_volume(lattice, np.array(edges) * (1 + 1e-9))
    assert found == pytest.approx([math.factorial(dim) * 2.0**k for k in halvings])
    assert cells_per_volume(lattice, np.array([0.999 * edges[-1]])) == pytest.approx(2 * found[-1])
