"""The mesh between mesher and solver: cells tagged by phase, facets by what lies on their two sides."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dolfinx.mesh import Mesh, MeshTags

from microlith.imaging.axes import FACES


def face_tag(name: str) -> int:
    """Facet tag of an outer face such as "x_min"."""
    return FACES.index(name) + 1


def interface_tag(a: int, b: int) -> int:
    """Facet tag of the interface between the phases of indices a and b, in either order (at most 255 phases)."""
    low, high = sorted((a, b))
    return (low + 1) * 256 + high + 1


@dataclass(frozen=True)
class Triangulation:
    """All triangles of the image, every phase included, on one rank (serial meshers make this)."""

    points: NDArray[np.float64]  # (n, 2), x and y in units of `unit` metres
    triangles: NDArray[np.int32]  # (m, 3), counter-clockwise
    phase: NDArray[np.uint8]  # (m,) index into names
    names: tuple[str, ...]
    unit: float  # metres per coordinate unit (the smallest voxel edge)
    extent: tuple[float, ...]  # edge lengths of the frame in coordinate units


@dataclass(frozen=True)
class Parts:
    """All cells of the image, every phase included, each on exactly one rank (parallel meshers make this)."""

    points: NDArray[np.float64]  # (n, dim) vertices of this rank's cells, in units of `unit` metres
    vertex: NDArray[np.int64]  # (n,) number of each point, the same on every rank that has the point; not contiguous
    cells: NDArray[np.int32]  # (m, k) rows of `points`; simplices positively oriented, else DOLFINx's (tensor) order
    phase: NDArray[np.uint8]  # (m,) index into names
    shape: str  # of the cells: "triangle", "tetrahedron", "quadrilateral" or "hexahedron"
    names: tuple[str, ...]
    unit: float  # metres per coordinate unit (the smallest voxel edge)
    extent: tuple[float, ...]  # edge lengths of the image in coordinate units, x, y[, z]; the origin is a corner of it


@dataclass(frozen=True)
class PhaseMesh:
    """Distributed conforming mesh of the solved phases only.

    Coordinates are in units of `unit` metres (the smallest voxel edge), so that numbers are of order one whatever the
    unit of the image; x is the last array axis of the image, the origin is the image's first corner.
    """

    mesh: Mesh  # only the cells of solved phases
    cell_tags: MeshTags  # phase index of every owned and ghost cell
    facet_tags: MeshTags  # face_tag() on outer faces, interface_tag() between phases (solved or not); others untagged
    names: tuple[str, ...]  # names of all phases, index = cell tag
    unit: float  # metres per coordinate unit
    extent: tuple[float, ...]  # edge lengths of the image in coordinate units, x, y[, z]
