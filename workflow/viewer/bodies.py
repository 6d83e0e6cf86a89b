"""What of the phases that are not solved for can be viewed: their surfaces in 3D, their areas in 2D.

Their smooth surfaces are facets of the mesh; where they touch each other or the image's frame, the mesh ends and the
faces of voxels close them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from microlith.imaging.axes import neighbours
from microlith.imaging.image.volume import LabelImage
from microlith.imaging.typing import Array, Flags, Numbers
from microlith.meshing.mesh.phasemesh import interface_tag
from microlith.solver.physics.phases import Role
from microlith.workflow.rendering.solids import nearest_of, runs
from microlith.workflow.results.fields import MICROMETRE
from microlith.workflow.results.folder import FIELDS, PHASES
from microlith.workflow.results.phases import stored_image, stored_volume
from microlith.workflow.results.stored_fields import facet_points
from microlith.workflow.storage.hdf5 import read_hdf5

if TYPE_CHECKING:
    import pyvista

BEHIND = 1e-3  # of the image's diagonal: areas in 2D lie so far behind the mesh, which covers stairs of pixels


@dataclass(frozen=True, eq=False)
class Body:
    """A phase that is not solved for."""

    phase: int
    source: bool
    surface: "pyvista.PolyData"  # in 2D the area; points in µm


def bodies_of(folder: Path, roles: Mapping[str, Role]) -> list[Body]:
    """The phases that are not solved for, of a run that left its image; none of one that did not.

    Args:
        folder: The results.
        roles: Of all phases, by name.

    Raises:
        InputError: A file can't be read.
    """
    if not (folder / PHASES).is_file():
        return []
    image = stored_image(stored_volume(folder / PHASES))
    facets = read_hdf5(folder / FIELDS, facet_points)
    if facets is None:
        return []
    unsolved = [i for i, name in enumerate(image.names) if roles.get(name, Role.BARRIER) is not Role.TRANSPORT]
    solved = [i for i in range(len(image.names)) if i not in unsolved]
    # Behind the smooth edge of the mesh, and behind all of it, the nearest phase that is not solved for
    near = nearest_of(image.phase, np.isin(np.arange(len(image.names)), solved)) if image.dim == 2 else image.phase
    found = []
    for phase in unsolved:
        tags = [interface_tag(phase, other) for other in solved]
        quads = _bare_faces(image, phase, [other for other in unsolved if other != phase])
        own = facets[0][np.isin(facets[1], tags)]
        surface = _area(image, near == phase) if image.dim == 2 else _surface(own, quads)
        source = roles.get(image.names[phase]) is Role.SOURCE
        if surface.n_cells:
            found.append(Body(phase, source, surface))
    return found


def _surface(facets: Array, quads: Array) -> "pyvista.PolyData":
    """Facets (n, corners, 3) of the mesh and faces of voxels (m, 4, 3) as one surface."""
    import pyvista

    points = np.concatenate([facets.reshape(-1, 3), quads.reshape(-1, 3)])
    starts = 0
    cells: list[Numbers] = []
    for polygons in (facets, quads):
        count, corners = polygons.shape[:2]
        rows = starts + np.arange(count * corners).reshape(count, corners)
        cells.append(np.column_stack([np.full(count, corners), rows]).ravel())
        starts += count * corners
    return pyvista.PolyData(points, faces=np.concatenate(cells)) if len(points) else pyvista.PolyData()


def _bare_faces(image: LabelImage, phase: int, others: list[int]) -> Array:
    """Faces of voxels (n, 4, 3) in µm that a phase turns to others that are not solved for, and to the frame."""
    found: list[Array] = [np.empty((0, 4, 3))]
    if image.dim == 2:
        return found[0]
    inside, beside = image.phase == phase, np.isin(image.phase, others)
    edge = np.array(image.voxel_size[::-1]) / MICROMETRE
    for axis in range(3):
        wide = [(1, 1) if i == axis else (0, 0) for i in range(3)]
        body, bare = np.pad(inside, wide), np.pad(beside, wide, constant_values=True)
        near, far = neighbours(axis)
        at = np.argwhere((body[near] & bare[far]) | (bare[near] & body[far]))
        rows, columns = (i for i in range(3) if i != axis)
        corners = np.repeat(at[:, None], 4, axis=1).astype(np.float64)  # z, y, x
        corners[..., rows] += (0, 0, 1, 1)
        corners[..., columns] += (0, 1, 1, 0)
        found.append(corners[..., ::-1] * edge)
    return np.concatenate(found)


def _area(image: LabelImage, inside: Flags) -> "pyvista.PolyData":
    """Pixels of a 2D image, a little behind the mesh."""
    import pyvista

    behind = BEHIND * float(np.linalg.norm(image.extent)) / MICROMETRE
    points, triangles = runs(inside, 2, behind, np.array(image.voxel_size[::-1]) / MICROMETRE)
    if not len(points):
        return pyvista.PolyData()
    return pyvista.PolyData(points, faces=np.column_stack([np.full(len(triangles), 3), triangles]).ravel())
