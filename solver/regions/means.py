"""Mean concentrations of regions as exact integrals over region ∩ solved phases.

Elements that a region's edge cuts are split into simplices down to where the edge is straight within them, and cut
there; so a mean is an integral over the region itself, not over the elements that happen to lie in it.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dolfinx import fem
from mpi4py import MPI

from microlith.imaging.typing import Array, Flags
from microlith.meshing.mesh.cells import facet_corners
from microlith.meshing.mesh.distance import SurfaceDistance, with_copies, within_reach
from microlith.meshing.mesh.phasemesh import PhaseMesh, interface_tag
from microlith.solver.regions.cut_cells import Cut, Inside, within_box, within_distance, within_labels
from microlith.solver.regions.integrals import CELLS, Cells, Integrals
from microlith.solver.regions.parts import PartsOfCells
from microlith.solver.regions.sampled_edge import AtPoints, add_shell
from microlith.solver.regions.shapes import Distance, LabelField, Region, Spans
from microlith.solver.regions.smooth_surface import REACH, face_edges, smoothed

Index = NDArray[np.intp]
PhaseAt = Callable[[Array], NDArray[np.uint8]]

# By dimension: the layer between an edge and the chords that stand for it, per thickness of the region. The error of
# the region's measure is far less, as chords lie on both sides of the edge.
ACCURACY = {2: 2e-3, 3: 2e-2}
FEW = 1000  # cut cells; in more of them errors of either sign cancel, so that the accuracy may be looser
# Diameter, per size of the region, of the parts in which a corner of its edge is taken as it is. In 3D there are whole
# lines of corners, and their parts are many; the error falls with the square of the size.
SMALLEST = {2: 1e-2, 3: 1e-1}
SMALLEST_PIXEL = {2: 0.06, 3: 0.4}  # radius of the parts at the ragged edge of a label image, per smallest voxel edge
SAMPLES = 160_000  # points that measure a region's whole area
ROUNDING = 1e-9  # of shares


@dataclass(frozen=True)
class RegionMean:
    """The mean over a region as a linear functional of the unknowns."""

    weights: Array  # (owned,) mean = weights · u
    solved_measure: float  # area (volume) of region ∩ solved phases, m^2 (m^3)
    solved_share: float  # of the region's part inside the image; nan: not known here (shells in 3D)
    phase_shares: Array  # (phases,) that the means over the region in each phase have in its mean
    parts: PartsOfCells | None = None  # of this rank that fill it
    by_mesh: Array | None = None  # (owned,) the mean with the shares that phases have on the mesh; None: the same
    mesh_shares: Array | None = None  # (phases,) these shares
    missed: Array | None = None  # (phases,) share in the image of phases that the mesh has not there; None: none


def region_means(
    space: fem.FunctionSpace,
    mesh: PhaseMesh,
    shapes: Mapping[str, Region],
    label_fields: Mapping[str, LabelField],
    phase_at: PhaseAt | None,
    factors: Array | None = None,
    in_image: Mapping[str, Array] | None = None,
    voxel: Array | None = None,
) -> dict[str, RegionMean]:
    """Functionals of all regions; collective.

    Where a region lies over several phases, each counts by the share that it has in the image: on the mesh, whose
    interfaces are smooth, it may have some per cent more or less, and phases may hold very different concentrations.

    Args:
        space: Scalar Lagrange space on mesh.mesh, of the unknowns u.
        mesh: The solved phases, in triangles, tetrahedra, or axis-parallel squares or cubes.
        shapes: Regions by name.
        label_fields: What stands behind each LabelRegion, by region name.
        phase_at: Phase index of points (n, dim) in mesh units, anywhere in the image; needed on rank 0 only.
        factors: (phases,) κ of c = κ u, with u in the space; None: 1.
        in_image: Region -> (phases,) share that each phase has in the image; of others the mesh's own count.
        voxel: (dim,) edges of the image's voxels, x first, mesh units, where cells are voxels or even parts of these:
            shells then are around the smooth surface that their faces stand for. None: around the mesh's own.

    Returns:
        One entry per shape. A region that meets no solved phase has measure 0 and zero weights.
    """
    cells = Cells.of(space, mesh, factors)
    shares = in_image or {}
    return {
        name: shape.measured(
            _Measures(cells, mesh, label_fields.get(name), phase_at, shape.in_phase, shares.get(name), voxel)
        )
        for name, shape in shapes.items()
    }


@dataclass(frozen=True)
class _Measures:
    """Means over one region, by the way in which its kind is measured."""

    cells: Cells
    mesh: PhaseMesh
    labels: LabelField | None  # what stands behind the region, if that is drawn in a label image
    phase_at: PhaseAt | None
    in_phase: str | None  # what of the region is in this phase; None: in any
    shares: Array | None  # (phases,) that each phase has of it in the image; None: those on the mesh count
    voxel: Array | None  # (dim,) edges of those that cells are parts of, mesh units; None: cells follow surfaces

    @property
    def dim(self) -> int:
        """Of the mesh."""
        return len(self.mesh.extent)

    def of_box(self, spans: Spans) -> RegionMean:
        """Within spans along the axes."""
        low, high = np.full(self.dim, -np.inf), np.full(self.dim, np.inf)
        for axis, (first, last) in self._scaled(spans).items():
            low[axis], high[axis] = first, last
        wanted = self.cells.within(self._scaled(spans))
        integrals = self._cut(within_box(low, high), np.zeros(len(self.cells.points)), wanted)
        return self._mean(integrals, self._whole(spans))

    def of_body(self, distance: Callable[[float], Distance], spans: Spans, thickness: float) -> RegionMean:
        """Where a signed distance is negative."""
        signed = distance(self.mesh.unit)
        integrals = self._cut_at(signed, thickness / self.mesh.unit, self.cells.within(self._scaled(spans)))
        return self._mean(integrals, self._whole(spans, lambda x: signed(x) < 0))

    def of_shell(self, around: str, distance: float) -> RegionMean:
        """Within a distance of the surface of a phase, outside of the phase; through periodic faces, too."""
        phase, reach = self.mesh.names.index(around), distance / self.mesh.unit
        # Farther from the surface than this, no point has its cell cut.
        within = reach + 2 * self.cells.largest()
        facets, comm, faces, wider = _surface_of(self.mesh, phase), self.mesh.mesh.comm, None, within
        if self.voxel is not None:
            faces = face_edges(facets, self.voxel, self.cells.edges_of_boxes(), comm)
            wider += REACH * float(faces.max())
        facets = with_copies(facets, self.mesh.extent, self.mesh.periodic, wider)
        near = within_reach(comm, facets, self.cells.points, wider)
        to_surface = SurfaceDistance(near if faces is None else smoothed(near, faces))
        outside = np.flatnonzero(self.cells.tags != phase)

        if self.dim == 2:

            def beyond(x: Array) -> Array:
                return np.minimum(to_surface(x, within), 2 * within) - reach

            return self._mean(self._cut_at(beyond, reach, outside), self._whole_shell(facets, faces, phase, reach))
        known = AtPoints.of(to_surface, self.cells.points, within)
        integrals = self._integrals()
        add_shell(integrals, self.cells, known, self._wanted(outside), reach)
        return self._mean(integrals, np.nan)  # the whole shell is not known here

    def of_phase(self, phase: str) -> RegionMean:
        """All cells of a phase."""
        integrals = Integrals(self.cells)
        wanted = np.flatnonzero(self.cells.tags == self.mesh.names.index(phase))
        integrals.add_whole(wanted)
        return self._mean(integrals, None)

    def of_labels(self) -> RegionMean:
        """What the pixels of a label image cover."""
        assert self.labels is not None
        integrals = self._cut(within_labels(self.labels, SMALLEST_PIXEL[self.dim]), np.zeros(len(self.cells.points)))
        return self._mean(integrals, self._whole({}, self.labels.inside))

    def _cut_at(self, distance: Distance, thickness: float, wanted: Index) -> "Integrals":
        """Integrals where a signed distance (mesh units) is negative; collective.

        Args:
            distance: Negative inside.
            thickness: Measure of the region per measure of its edge, roughly, in mesh units: what a layer along the
                edge counts for.
            wanted: Cells that may lie inside.
        """
        at_points = np.full(len(self.cells.points), np.inf)
        corners = np.unique(self.cells.nodes[wanted])
        at_points[corners] = distance(self.cells.points[corners])
        looser = max(self.cells.crossed(at_points, wanted) / FEW, 1.0) ** (1 / 3)
        cut = within_distance(distance, ACCURACY[self.dim] * thickness * looser, SMALLEST[self.dim] * thickness)
        return self._cut(cut, at_points, wanted)

    def _cut(self, cut: Cut, at_points: NDArray[Any], wanted: Index | None = None) -> "Integrals":
        """Integrals over what a cut leaves of some cells, from the values (points,) that it takes at their corners."""
        integrals = self._integrals()
        wanted = self._wanted(np.arange(len(self.cells.tags)) if wanted is None else wanted)
        for start in range(0, len(wanted), CELLS):
            chunk = wanted[start : start + CELLS]
            corners = self.cells.corners(chunk)
            for found in _gathered(cut(corners, at_points[self.cells.nodes[chunk]])):
                integrals.add_whole(chunk[found.whole])
                integrals.add_parts(chunk[found.cut], found.parts)
        return integrals

    def _wanted(self, cells: Index) -> Index:
        """Those of some cells that are in the phase that the region is limited to."""
        if self.in_phase is None:
            return cells
        return cells[self.cells.tags[cells] == self.mesh.names.index(self.in_phase)]

    def _integrals(self) -> "Integrals":
        return Integrals(self.cells, by_phase=self.shares is not None)

    def _mean(self, integrals: "Integrals", whole: float | None) -> RegionMean:
        """The mean, of a region whose measure inside the image is given in mesh units; None: all of it is solved."""
        integral = integrals.over_all_ranks()
        measures = self.mesh.mesh.comm.allreduce(integrals.measures, op=MPI.SUM)
        measure = float(measures.sum())
        share = 1.0
        if whole is not None and self.in_phase is None:
            share = np.nan if np.isnan(whole) else min(measure / whole, 1.0) if whole > 0 else 0.0
        scale = 1.0 / measure if measure > 0 else 1.0
        solved = measure * self.mesh.unit**self.dim
        scales, missed = _to_image(measures * scale, self.shares)
        if scales is None:
            return RegionMean(integral * scale, solved, share, measures * scale, integrals.parts(), missed=missed)
        weights = integrals.over_all_ranks(scales) * scale
        on_mesh = measures * scale
        return RegionMean(
            weights, solved, share, on_mesh * scales, integrals.parts(scales), integral * scale, on_mesh, missed
        )

    def _whole(self, spans: Spans, hit: Callable[[Array], Flags] | None = None) -> float:
        """Measure of the region inside the image, in mesh units, solved for or not: on rank 0, for all; collective."""
        comm = self.mesh.mesh.comm
        return float(comm.bcast(_measure(self._scaled(spans), self.mesh.extent, hit) if comm.rank == 0 else 0.0))

    def _whole_shell(self, facets: Array, faces: Array | None, phase: int, reach: float) -> float:
        gathered = self.mesh.mesh.comm.gather(facets)
        if gathered is None:
            return self._whole({})
        assert self.phase_at is not None
        surface = np.concatenate(gathered)
        to_surface = SurfaceDistance(surface if faces is None else smoothed(surface, faces))
        phase_at = self.phase_at
        return self._whole({}, lambda x: (to_surface(x, reach) < reach) & (phase_at(x) != phase))

    def _scaled(self, spans: Spans) -> Spans:
        return {axis: (low / self.mesh.unit, high / self.mesh.unit) for axis, (low, high) in spans.items()}


def _to_image(on_mesh: Array, in_image: Array | None) -> tuple[Array | None, Array | None]:
    """What to scale phases with so that their shares are those in the image, and shares that the mesh misses.

    Args:
        on_mesh: (phases,) share of each on the mesh.
        in_image: (phases,) share of each in the image; None: not known.

    Returns:
        None in the place of 1, and of nothing missed. Of what the mesh has, shares are those in the image of one
        another.
    """
    if in_image is None:
        return None, None
    missed = np.where(on_mesh > 0.0, 0.0, in_image)
    shares = in_image - missed
    if shares.sum() <= 0.0:
        return None, missed if missed.any() else None
    shares = shares / shares.sum()
    scales = np.where(on_mesh > 0.0, shares / np.where(on_mesh > 0.0, on_mesh, 1.0), 1.0)
    same = np.abs(shares - on_mesh).max() <= ROUNDING
    return None if same else scales, missed if missed.any() else None


def _gathered(found: Iterator[Inside]) -> Iterator[Inside]:
    """The same in fewer pieces: each takes time, however little it holds."""
    waiting: list[Inside] = []
    for one in found:
        waiting.append(one)
        if sum(len(other.cut) for other in waiting) >= CELLS:
            yield Inside.joined(waiting)
            waiting = []
    if waiting:
        yield Inside.joined(waiting)


def _surface_of(mesh: PhaseMesh, phase: int) -> Array:
    """Corners of this rank's facets between a phase and the others, as far as they bound solved cells."""
    tags = [interface_tag(phase, other) for other in range(len(mesh.names)) if other != phase]
    facets = mesh.facet_tags.indices[np.isin(mesh.facet_tags.values, tags)]
    owned = mesh.mesh.topology.index_map(mesh.mesh.topology.dim - 1).size_local
    return facet_corners(mesh.mesh, facets[facets < owned])


def _measure(spans: Spans, extent: tuple[float, ...], hit: Callable[[Array], Flags] | None) -> float:
    """Measure of the points of the image that are hit, within spans, in mesh units: sampled on a lattice."""
    dim = len(extent)
    low, high = np.zeros(dim), np.asarray(extent)
    for k, (first, last) in spans.items():
        low[k], high[k] = max(low[k], first), min(high[k], last)
    if np.any(high <= low):
        return 0.0
    if hit is None:
        return float(np.prod(high - low))
    step = (np.prod(high - low) / SAMPLES) ** (1 / dim)
    counts = np.maximum(np.ceil((high - low) / step).astype(int), 1)
    axes = [(np.arange(n) + 0.5) / n * (b - a) + a for n, a, b in zip(counts, low, high, strict=True)]
    x = np.stack([g.ravel() for g in np.meshgrid(*axes, indexing="ij")], axis=1)
    return float(hit(x).mean() * np.prod(high - low))
