"""Areas of surfaces on a mesh beside those that the image tells."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from mpi4py import MPI

from microlith.imaging.image.volume import LabelVolume
from microlith.imaging.measures.surfaces import surfaces
from microlith.meshing.fidelity.stairs import stairs
from microlith.meshing.mesh.cells import facet_corners
from microlith.meshing.mesh.phasemesh import PhaseMesh, pair_of

ON_FRAME = 1e-9  # of the extent
ROUGHEST = {2: 2.0**-0.5, 3: 3.0**-0.5}  # area of a plane per that of steps that stand for it, at least


@dataclass(frozen=True)
class SurfaceArea:
    """Area of the surface between two phases (in 2D length of the line), in a mesh and in its image."""

    mesh: float  # m^2 (m)
    image: float  # m^2 (m)
    error: float  # m^2 (m), standard error of that in the image
    least: float = 0.0  # m^2 (m) that a surface has which follows the steps of the image within half a voxel
    largest: float = np.inf  # m^2 (m) that such a surface has

    @property
    def of_steps(self) -> float:
        """Area of the smooth surface per that of steps of voxels that stand for it."""
        return self.image / self.mesh

    def unknown(self, errors: float) -> float:
        """By how much the surface in the image may be larger or smaller, m^2 (m), by so many standard errors."""
        return min(errors * self.error, max(self.largest - self.image, self.image - self.least))


def surface_areas(
    volume: LabelVolume, mesh: PhaseMesh, tags: Sequence[int], comm: MPI.Intracomm
) -> dict[int, SurfaceArea | None]:
    """Areas of interfaces, by their facet tags; collective. What lies in the frame of the image is none of it.

    Where the image comes again, there is no frame along that axis, and what lies between two copies counts once.
    None for those that are not there both in the mesh and in the image, and for planes along the voxels.

    Args:
        volume: The image.
        mesh: Its mesh.
        tags: Of the interfaces.
        comm: All ranks.

    Raises:
        InputError: The image can't be read.
    """
    on_mesh = {tag: size for tag in tags if has_steps(mesh, (tag,)) and (size := _area(mesh, tag, comm)) > 0.0}
    if not on_mesh:
        return dict.fromkeys(tags)
    none = np.zeros((len(volume.names),) * 2)
    in_image, limits = surfaces(volume, comm), (none, none + np.inf) if volume.periodic else stairs(volume, comm)
    found: dict[int, SurfaceArea | None] = dict.fromkeys(tags)
    for tag, size in on_mesh.items():
        area, *more = (float(some[pair_of(tag)]) for some in (in_image.between, in_image.error, *limits))
        if area > 0.0:
            found[tag] = SurfaceArea(size, area, *more)
    return found


def with_areas_of_image(mesh: PhaseMesh, areas: Mapping[int, SurfaceArea | None]) -> PhaseMesh:
    """A mesh of voxels on which lithium passes through surfaces by their areas in the image."""
    least = ROUGHEST[len(mesh.extent)]
    there = {tag: area for tag, area in areas.items() if area is not None}
    return replace(mesh, smooth={tag: float(np.clip(area.of_steps, least, 1.0)) for tag, area in there.items()})


def has_steps(mesh: PhaseMesh, tags: tuple[int, ...]) -> bool:
    """Whether facets are not all at right angles to one and the same axis, as those of planes along the voxels are.

    Collective.
    """
    dim = mesh.mesh.topology.dim
    facets = mesh.facet_tags.indices[np.isin(mesh.facet_tags.values, tags)]
    corners = facet_corners(mesh.mesh, facets)
    widest = np.ptp(corners, axis=1).max(axis=0) if len(facets) else np.zeros(dim)
    mesh.mesh.comm.Allreduce(MPI.IN_PLACE, widest, op=MPI.MAX)
    return bool((widest > 1e-6 * max(mesh.extent)).all())


def _area(mesh: PhaseMesh, tag: int, comm: MPI.Intracomm) -> float:
    """Of the facets of a tag within the image, m^2 (m in 2D); collective."""
    dim = mesh.mesh.topology.dim
    facets = mesh.facet_tags.indices[mesh.facet_tags.values == tag]
    corners = facet_corners(mesh.mesh, facets[facets < mesh.mesh.topology.index_map(dim - 1).size_local])
    extent = np.array(mesh.extent)
    ends = [axis for axis in range(dim) if axis not in mesh.periodic]
    on_frame = np.zeros(len(corners), bool)
    for end in (np.zeros(dim), extent):
        on_frame |= np.any(np.all(np.abs(corners - end) <= ON_FRAME * extent, axis=1)[:, ends], axis=1)
    sides = (corners[:, 1:] - corners[:, :1])[~on_frame]
    if dim == 2:
        size = np.linalg.norm(sides[:, 0], axis=1)
    else:
        size = 0.5 * np.linalg.norm(np.cross(sides[:, 0], sides[:, 1]), axis=1)
    return float(comm.allreduce(size.sum(), op=MPI.SUM)) * mesh.unit ** (dim - 1)
