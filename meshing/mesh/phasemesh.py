"""What meshers make of an image, and the mesh that solvers take: cells and facets tagged by phase."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from dolfinx.mesh import Mesh, MeshTags

from microlith.imaging.axes import FACES
from microlith.imaging.typing import Array, Indices, Numbers, Phases


def face_tag(name: str) -> int:
    """Facet tag of an outer face such as "x_min"."""
    return FACES.index(name) + 1


def interface_tag(a: int, b: int) -> int:
    """Facet tag of the interface between the phases of indices a and b, in either order (at most 255 phases)."""
    low, high = sorted((a, b))
    return (low + 1) * 256 + high + 1


def pair_of(tag: int) -> tuple[int, int]:
    """Indices of the phases whose `interface_tag` this is, the lower one first."""
    low, high = divmod(tag, 256)
    return low - 1, high - 1


@dataclass(frozen=True)
class ImageMesh:
    """All cells that a mesher makes of an image, each in one phase and on exactly one rank; a rank may have none.

    Points with x first, in units of `unit` metres, and the image's first corner as origin.
    """

    points: Array  # (n, dim) vertices of this rank's cells
    vertex: Numbers  # (n,) number of each point, the same on every rank that has the point; not contiguous
    cells: Indices  # (m, k) rows of `points`; simplices positively oriented, else DOLFINx's (tensor) order
    phase: Phases  # (m,) index into names
    shape: str  # of the cells: "triangle", "tetrahedron", "quadrilateral" or "hexahedron"
    names: tuple[str, ...]
    unit: float  # metres per coordinate unit (the shortest voxel edge)
    extent: tuple[float, ...]  # edge lengths of the image in coordinate units, x, y[, z]
    # Axes, x first, along which the image comes again and again: points opposite each other on its faces are one vertex
    periodic: tuple[int, ...] = ()


def no_triangles(names: tuple[str, ...], unit: float, extent: tuple[float, ...]) -> ImageMesh:
    """What a rank has of a mesh of triangles that all are on another one."""
    return ImageMesh(
        points=np.empty((0, 2)),
        vertex=np.empty(0, np.int64),
        cells=np.empty((0, 3), np.int32),
        phase=np.empty(0, np.uint8),
        shape="triangle",
        names=names,
        unit=unit,
        extent=extent,
    )


@dataclass(frozen=True)
class PhaseMesh:
    """Distributed conforming mesh of the solved phases only.

    Coordinates are in units of `unit` metres (the shortest voxel edge), so that numbers are of order one whatever the
    unit of the image; x is the last array axis of the image, the origin is the image's first corner.
    """

    mesh: Mesh  # only the cells of solved phases
    cell_tags: MeshTags  # phase index of every owned and ghost cell
    facet_tags: MeshTags  # face_tag() on outer faces, interface_tag() between phases (solved or not); others untagged
    names: tuple[str, ...]  # names of all phases, index = cell tag
    unit: float  # metres per coordinate unit
    extent: tuple[float, ...]  # edge lengths of the image in coordinate units, x, y[, z]
    # Axes, x first, along which the mesh closes on itself: vertices (of the topology) on opposite faces are one, nodes
    # (of the geometry) are not. A facet there has the tag of what meets across it
    periodic: tuple[int, ...] = ()
    # Area of a smooth surface per that of the steps of voxels that stand for it, by the tag of its facets: what passes
    # through them in proportion to their area is that much less. Others are what they are
    smooth: Mapping[int, float] = field(default_factory=dict)
