"""Size and shape of cells."""

import numpy as np

from microlith.imaging.typing import Array, Integers

CELLS_AT_ONCE = 1 << 15  # cells at a time: their corners fit the processor's cache


def edge_squares(points: Array, triangles: Integers) -> Array:
    """Squared edge lengths (m, 3); edge i lies opposite corner i."""
    x, y = _columns(points, triangles)
    return np.stack([(x[j] - x[i]) ** 2 + (y[j] - y[i]) ** 2 for i, j in ((1, 2), (2, 0), (0, 1))], axis=1)


def areas(points: Array, triangles: Integers) -> Array:
    """Signed areas (m,), positive where the corners run counter-clockwise."""
    (ax, bx, cx), (ay, by, cy) = _columns(points, triangles)
    return np.asarray(0.5 * ((bx - ax) * (cy - ay) - (by - ay) * (cx - ax)))


def _columns(points: Array, triangles: Integers) -> list[list[Array]]:
    """Coordinates of the corners, [axis][corner] (m,): in a row each, which takes a third of the time of (m, 3, 2)."""
    corners = [np.ascontiguousarray(corner) for corner in triangles.T]
    return [[axis[corner] for corner in corners] for axis in np.ascontiguousarray(points.T)]


def sicn(points: Array, triangles: Integers) -> Array:
    """Signed inverse condition number (m,): 1 for equilateral, 0 for flat, negative for inverted triangles.

    The same as gmsh's minSICN; for a triangle 4 sqrt(3) area / (sum of squared edges).
    """
    (ax, bx, cx), (ay, by, cy) = _columns(points, triangles)
    ux, uy, vx, vy = bx - ax, by - ay, cx - ax, cy - ay
    total = ((cx - bx) ** 2 + (cy - by) ** 2) + (vx**2 + vy**2) + (ux**2 + uy**2)
    return np.asarray(4 * np.sqrt(3) * (0.5 * (ux * vy - uy * vx)) / np.maximum(total, 1e-300))


def smallest_angles(points: Array, triangles: Integers) -> Array:
    """Smallest angle of each triangle (m,), in degrees."""
    e = edge_squares(points, triangles)
    a, b, c = e[:, 0], e[:, 1], e[:, 2]
    twice = 2 * np.abs(areas(points, triangles))
    cosines = np.stack([b + c - a, c + a - b, a + b - c], axis=1) / 2
    return np.rad2deg(np.arctan2(twice[:, None], cosines).min(axis=1))


def tetrahedron_quality(points: Array, cells: Integers) -> tuple[Array, Array, Array]:
    """Volume, smallest dihedral angle in degrees and signed inverse condition number of each tetrahedron, all (m,).

    The last is the same as gmsh's minSICN: 1 for regular, 0 for flat, negative for inverted ones. With J the map from
    the regular tetrahedron of edge 1 it is 3 det J / (|J| |adj J|) in Frobenius norms, and by the symmetry of that
    tetrahedron |J|^2 is half the sum of the squared edges, |adj J|^2 four times that of the squared faces.

    Args:
        points: (n, 3).
        cells: (m, 4) rows of `points`.
    """
    volume, angle, shape = np.empty((3, len(cells)))
    axes = np.ascontiguousarray(points.T)
    for first in range(0, len(cells), CELLS_AT_ONCE):
        part = slice(first, first + CELLS_AT_ONCE)
        corner = [axes[:, cells[part, i]] for i in range(4)]
        volume[part], angle[part], shape[part] = _tetrahedra(corner)
    return volume, angle, shape


def _tetrahedra(
    corner: list[Array],
) -> tuple[Array, Array, Array]:
    """Of tetrahedra given by four arrays (3, m): one array per axis keeps all passes over memory in a row."""
    u, v, w = (corner[i] - corner[0] for i in (1, 2, 3))
    # Twice the areas as vectors: those of the faces opposite corners 1, 2, 3, pointing inwards; all four sum to zero.
    normal = [_cross(v, w), _cross(w, u), _cross(u, v)]
    six = _dot(u, normal[0])
    normal.insert(0, -(normal[0] + normal[1] + normal[2]))
    square = [_dot(n, n) for n in normal]
    edges = sum(_dot(e, e) for e in (u, v, w, v - u, w - u, w - v))
    length = [np.sqrt(np.maximum(s, 1e-300)) for s in square]
    sharpest = np.full(len(six), -1.0)
    for i in range(4):
        for j in range(i):
            np.maximum(sharpest, -_dot(normal[i], normal[j]) / (length[i] * length[j]), out=sharpest)
    angle = np.degrees(np.arccos(np.minimum(sharpest, 1.0)))
    # |adj J|^2 = 4 times the squared areas = the squares here, as these are of twice the areas.
    shape = 3 * np.sqrt(2) * six / np.sqrt(np.maximum(edges / 2 * sum(square), 1e-300))
    return six / 6, angle, shape


def _dot(a: Array, b: Array) -> Array:
    return np.asarray(a[0] * b[0] + a[1] * b[1] + a[2] * b[2])


def _cross(a: Array, b: Array) -> Array:
    return np.stack([a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]])


def box_measures(points: Array, cells: Integers) -> Array:
    """Area (volume) of parallelograms (parallelepipeds) with their corners in tensor order, (m,)."""
    dim = points.shape[1]
    measure = np.empty(len(cells))
    for first in range(0, len(cells), CELLS_AT_ONCE):
        part = cells[first : first + CELLS_AT_ONCE]
        corner = points[part[:, 0]]
        edges = [points[part[:, 1 << k]] - corner for k in range(dim)]
        if dim == 2:
            measure[first : first + CELLS_AT_ONCE] = edges[0][:, 0] * edges[1][:, 1] - edges[0][:, 1] * edges[1][:, 0]
        else:
            measure[first : first + CELLS_AT_ONCE] = np.einsum("ij,ij->i", edges[0], np.cross(edges[1], edges[2]))
    return measure
