"""Small label images that are hard to mesh, and what tests want to know of a mesh."""

import numpy as np
from numpy.typing import NDArray

from mpi4py import MPI

from microlith.imaging.image.load import volume_of
from microlith.imaging.image.volume import LabelImage, LabelVolume
from microlith.meshing.mesh.phasemesh import ImageMesh

COMM = MPI.COMM_WORLD


def label_image(phase, voxel=None, names=None) -> LabelImage:
    """Image of phases a, b, c... on square pixels (cubic voxels) of 1 µm if nothing else is said."""
    phase = np.asarray(phase, np.uint8)
    names = tuple("abcdefgh"[: int(phase.max()) + 1]) if names is None else tuple(names)
    return LabelImage(phase, names, voxel or (1e-6,) * phase.ndim)


def label_volume(phase, voxel=None, names=None, comm=COMM) -> LabelVolume:
    """The same on all ranks, of which rank 0 has the pixels; collective."""
    return volume_of(label_image(phase, voxel, names) if comm.rank == 0 else None, comm)


def ball(radius: float, size: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Ones in a ball that lies a little off the middle of a cube of voxels, and its centre x, y, z."""
    centre = np.array([size / 2 + 0.13, size / 2 + 0.31, size / 2 - 0.22])
    z, y, x = np.indices((size,) * 3) + 0.5
    return ((x - centre[0]) ** 2 + (y - centre[1]) ** 2 + (z - centre[2]) ** 2 < radius**2).astype(np.int64), centre


def noise(shape: tuple[int, ...], phases: int = 3, seed: int = 1) -> NDArray[np.int64]:
    """Phases at random, voxel by voxel."""
    return np.random.default_rng(seed).integers(0, phases, shape)


def disk(size: int = 40, radius: float = 12.3, centre: tuple[float, float] = (20.2, 19.6)) -> NDArray[np.int64]:
    y, x = np.indices((size, size)) + 0.5
    return (np.hypot(x - centre[0], y - centre[1]) < radius).astype(np.int64)


def pieces_and_walls() -> NDArray[np.int64]:
    """Single pixels, an island in an island, one-pixel walls that cross, pixels at the frame and in a corner."""
    phase = np.zeros((40, 40), int)
    phase[5, 5] = 1
    phase[10:13, 10:13] = 1
    phase[11, 11] = 2
    phase[0, 0] = 1
    phase[39, 20] = 1
    phase[0, 20:25] = 2
    phase[30, :] = 1
    phase[:, 30] = 2
    return phase


def spiral() -> NDArray[np.int64]:
    y, x = np.indices((60, 60)) - 30.0
    return (((np.hypot(x, y) - 6 * np.arctan2(y, x) / (2 * np.pi) * 2) % 6) < 1.5).astype(np.int64)


def wedges() -> NDArray[np.int64]:
    """24 wedges of three phases that meet in one point."""
    y, x = np.indices((60, 60)) - 29.6
    return ((np.arctan2(y, x) + np.pi) / (2 * np.pi) * 24).astype(np.int64) % 3


HARD = {
    "checkerboard": np.indices((12, 12)).sum(0) % 2,
    "four phases": np.kron(np.array([[0, 1], [2, 3]]), np.ones((5, 5), int)),
    "quadruple point": np.array([[0, 1], [1, 0]]),
    "one phase": np.zeros((7, 9), int),
    "one pixel": np.zeros((1, 1), int),
    "one row": np.array([[0, 1, 1, 0, 2]]),
    "stripes": np.arange(24)[:, None] % 2 * np.ones((1, 24), int),
    "diagonal of pixels": np.eye(24, dtype=int),
    "diagonal wall": np.eye(24, dtype=int) | np.eye(24, k=1, dtype=int),
    "pieces and walls": pieces_and_walls(),
    "spiral": spiral(),
    "wedges": wedges(),
    "noise of two": np.random.default_rng(0).integers(0, 2, (24, 24)),
    "noise of three": np.random.default_rng(1).integers(0, 3, (24, 24)),
    "noise of five": np.random.default_rng(2).integers(0, 5, (24, 24)),
    "salt": (np.random.default_rng(3).random((40, 40)) < 0.1).astype(int),
}


def edges_of(triangles: NDArray[np.integer]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """All edges (3 m, 2) with sorted ends, and the triangle of each."""
    edges = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
    return np.sort(edges, axis=1).astype(np.int64), np.tile(np.arange(len(triangles)), 3)


def assert_conforming(mesh: ImageMesh) -> None:
    """Every edge inside the frame has two triangles, those on it one; areas are positive and fill the frame."""
    edges, _ = edges_of(mesh.cells)
    unique, count = np.unique(edges, axis=0, return_counts=True)
    middle = mesh.points[unique].mean(axis=1)
    width, height = mesh.extent
    on_frame = (middle[:, 0] == 0) | (middle[:, 0] == width) | (middle[:, 1] == 0) | (middle[:, 1] == height)
    assert (count[on_frame] == 1).all()
    assert (count[~on_frame] == 2).all()
    p = mesh.points[mesh.cells]
    u, v = p[:, 1] - p[:, 0], p[:, 2] - p[:, 0]
    area = 0.5 * (u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0])
    assert area.min() > 0
    assert abs(area.sum() / (width * height) - 1) < 1e-12
    assert len(np.unique(mesh.cells)) == len(mesh.points), "no point without a triangle"
