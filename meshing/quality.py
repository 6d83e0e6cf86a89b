"""Shape of triangles."""

import numpy as np
from numpy.typing import NDArray


def edge_squares(points: NDArray[np.float64], triangles: NDArray[np.integer]) -> NDArray[np.float64]:
    """Squared edge lengths (m, 3); edge i lies opposite corner i."""
    p = points[triangles]
    d = p[:, [2, 0, 1]] - p[:, [1, 2, 0]]
    return np.einsum("ijk,ijk->ij", d, d)


def areas(points: NDArray[np.float64], triangles: NDArray[np.integer]) -> NDArray[np.float64]:
    """Signed areas (m,), positive where the corners run counter-clockwise."""
    a, b, c = (points[triangles[:, i]] for i in range(3))
    u, v = b - a, c - a
    return 0.5 * (u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0])


def sicn(points: NDArray[np.float64], triangles: NDArray[np.integer]) -> NDArray[np.float64]:
    """Signed inverse condition number (m,): 1 for equilateral, 0 for flat, negative for inverted triangles.

    The same as gmsh's minSICN; for a triangle 4 sqrt(3) area / (sum of squared edges).
    """
    total = edge_squares(points, triangles).sum(axis=1)
    return 4 * np.sqrt(3) * areas(points, triangles) / np.maximum(total, 1e-300)


def smallest_angles(points: NDArray[np.float64], triangles: NDArray[np.integer]) -> NDArray[np.float64]:
    """Smallest angle of each triangle (m,), in degrees."""
    e = edge_squares(points, triangles)
    a, b, c = e[:, 0], e[:, 1], e[:, 2]
    twice = 2 * np.abs(areas(points, triangles))
    cosines = np.stack([b + c - a, c + a - b, a + b - c], axis=1) / 2
    return np.rad2deg(np.arctan2(twice[:, None], cosines).min(axis=1))
