"""Facets on the image's frame, by where they are: on periodic faces they have the tags of what meets there, or none."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dolfinx import mesh as dmesh

from microlith.imaging.axes import FACES
from microlith.imaging.typing import Array, Flags, Indices
from microlith.meshing.mesh.cells import cell_nodes
from microlith.meshing.mesh.mesh_pieces import FACETS, ON_FRAME
from microlith.meshing.mesh.phasemesh import PhaseMesh


@dataclass(frozen=True, eq=False)
class FrameFacets:
    """Facets as seen from this rank's own cells."""

    cell: Indices  # (n,)
    local: Indices  # (n,) place in FACETS of the cell's shape
    face: Indices  # (n,) which of FACES each is on

    def corners(self, mesh: PhaseMesh, cells: Indices) -> Indices:
        """Entries (n, k) of a table of the cells' corners (owned cells, corners) at the corners of the facets."""
        places = np.array(FACETS[mesh.mesh.topology.cell_name()])[self.local]
        found: Indices = np.take_along_axis(cells[self.cell], places, axis=1)
        return found


def on_frame(mesh: PhaseMesh, faces: Sequence[str]) -> FrameFacets:
    """Facets of this rank's own cells on outer faces of the image, periodic or not; no communication."""
    nodes = cell_nodes(mesh.mesh)
    shape = FACETS[mesh.mesh.topology.cell_name()]
    found: list[tuple[Indices, int, int]] = []
    for face in (FACES.index(name) for name in faces):
        there = _at_end(mesh, mesh.mesh.geometry.x, face // 2, face % 2)[nodes]
        near = np.flatnonzero(there.sum(axis=1) >= len(shape[0])).astype(np.int32)
        for local, places in enumerate(shape):
            found.append((near[there[near][:, places].all(axis=1)], local, face))
    counts = [len(cells) for cells, _, _ in found]
    return FrameFacets(
        cell=np.concatenate([cells for cells, _, _ in found]),
        local=np.repeat(np.array([local for _, local, _ in found], np.int32), counts),
        face=np.repeat(np.array([face for _, _, face in found], np.int32), counts),
    )


def off_frame(mesh: PhaseMesh, facets: Indices) -> Indices:
    """Those of some facets of this rank that do not lie on periodic faces."""
    dim = mesh.mesh.topology.dim
    if not mesh.periodic or len(facets) == 0:  # DOLFINx 0.9 divides by their number
        return facets
    mesh.mesh.topology.create_connectivity(dim - 1, dim)
    x = mesh.mesh.geometry.x[dmesh.entities_to_geometry(mesh.mesh, dim - 1, facets)]
    across = np.zeros(len(facets), bool)
    for axis in mesh.periodic:
        for end in range(2):
            across |= _at_end(mesh, x, axis, end).all(axis=1)
    return facets[~across]


def _at_end(mesh: PhaseMesh, x: Array, axis: int, end: int) -> Flags:
    """Which points (..., 3) are on the lower (0) or upper (1) face across an axis."""
    size = mesh.extent[axis]
    return np.asarray(np.abs(x[..., axis] - end * size) <= ON_FRAME * size)
