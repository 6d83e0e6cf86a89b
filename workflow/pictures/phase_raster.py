"""The phases of a 2D sample on the raster of a picture: those of the mesh where it is, of the image elsewhere.

Where two phases meet of which neither is solved for, the mesh has no edge and the image has stairs of pixels. Where the
mesh is smooth, these are rounded as much.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, uniform_filter

from dolfinx import fem, mesh as dmesh

from microlith.imaging.typing import Array, Flags
from microlith.meshing.mesh.frame_facets import off_frame
from microlith.meshing.mesh.phasemesh import PhaseMesh, interface_tag
from microlith.workflow.pictures.frames import FlatFrame
from microlith.workflow.pictures.sample import PhaseRaster, Sample
from microlith.workflow.rendering.raster import PixelMap, Raster, pixel_map, reduce_raster
from microlith.workflow.rendering.solids import nearest_of
from microlith.workflow.results.fields import phase_of_cells

ROUNDED = 0.7  # pixels of the image: standard deviation of the bell that rounds stairs
LEAST = 0.8  # pixels of the picture: a narrower bell would change nothing
WIDE = 8.0  # from here on moving means, whose time does not grow with their width, stand for the bell
MEANS = 4  # one after the other


def phase_raster(sample: Sample, raster: Raster, pixels: PixelMap | None = None) -> PhaseRaster | None:
    """Phases and the lines between them, on rank 0; made once for all pictures on one raster; collective.

    Args:
        sample: The image and its mesh.
        raster: Of the picture.
        pixels: Cells under the pixels, where they are known already.
    """
    if raster not in sample.rasters:
        sample.rasters[raster] = _phase_raster(sample, raster, pixels)
    return sample.rasters[raster]


def _phase_raster(sample: Sample, raster: Raster, pixels: PixelMap | None) -> PhaseRaster | None:
    mesh, comm = sample.mesh, sample.mesh.mesh.comm
    if pixels is None:
        pixels = pixel_map(fem.functionspace(mesh.mesh, ("DG", 0)), raster)
    of_mesh = reduce_raster(comm, pixels.of_cells(phase_of_cells(mesh)))
    outlines = _outlines(mesh)
    if of_mesh is None or outlines is None:
        return None
    assert sample.image is not None  # on rank 0
    image = sample.image.phase
    covered = ~np.isnan(of_mesh)
    smooth = mesh.mesh.topology.cell_type == dmesh.CellType.triangle
    bell = ROUNDED * min(raster.rows / image.shape[0], raster.columns / image.shape[1]) if smooth else 0.0
    unsolved = np.flatnonzero(~sample.solved)
    shares = _shares(_unsolved(image, raster, sample.solved), unsolved, bell)
    phase = _most(shares, unsolved)
    phase[covered] = of_mesh[covered]
    frame = FlatFrame(raster, sample.size)
    lines = [*frame.project(outlines), *_between(shares, covered, frame)]
    return PhaseRaster(phase, covered, lines)


def _outlines(mesh: PhaseMesh) -> Array | None:
    """Segments between phases, (n, 2, 2) in metres, on rank 0: lines only, so few even of a large mesh."""
    domain, tags = mesh.mesh, mesh.facet_tags
    mine = tags.indices < domain.topology.index_map(1).size_local
    facets = off_frame(mesh, tags.indices[mine & (tags.values >= interface_tag(0, 0))])
    domain.topology.create_connectivity(1, 2)
    ends = np.zeros((0, 2), dtype=np.int32)
    if len(facets) > 0:  # DOLFINx 0.9 divides by their number
        ends = dmesh.entities_to_geometry(domain, 1, facets)
    parts = domain.comm.gather(domain.geometry.x[:, :2][ends] * mesh.unit, root=0)
    return None if parts is None else _once(np.concatenate(parts), mesh.unit)


def _once(segments: Array, unit: float) -> Array:
    """Segments (n, 2, 2) without those that are there already: both sides of a jump have their own in stored fields."""
    places = np.round(segments / (1e-6 * unit)).astype(np.int64)
    turned = (places[:, 0, 0] > places[:, 1, 0]) | (
        (places[:, 0, 0] == places[:, 1, 0]) & (places[:, 0, 1] > places[:, 1, 1])
    )
    places[turned] = places[turned, ::-1]
    _, first = np.unique(places.reshape(-1, 4), axis=0, return_index=True)
    return segments[np.sort(first)]


def _unsolved(image: NDArray[np.uint8], raster: Raster, solved: Flags) -> NDArray[np.uint8]:
    """The phase at each pixel of the picture; of phases that are solved for, the nearest other one.

    The smooth mesh may leave a sliver of these free. The nearest one is looked for in the image or on the raster,
    whichever is smaller.
    """
    if image.size < raster.rows * raster.columns:
        pixel = raster.rows / image.shape[0], raster.columns / image.shape[1]
        return raster.sampled(nearest_of(image, solved, pixel))
    return nearest_of(raster.sampled(image), solved)


def _shares(phases: NDArray[np.uint8], unsolved: NDArray[np.intp], bell: float) -> NDArray[np.float32]:
    """How much of each phase that is not solved for there is around each pixel, (unsolved phases, rows, columns).

    Args:
        phases: (rows, columns) that are not solved for.
        unsolved: All of these.
        bell: Standard deviation, pixels.
    """
    shares = np.empty((len(unsolved), *phases.shape), np.float32)
    for share, phase in zip(shares, unsolved, strict=True):
        share[:] = phases == phase
        if bell > LEAST:
            _blur(share, bell)
    return shares


def _most(shares: NDArray[np.float32], unsolved: NDArray[np.intp]) -> NDArray[np.uint8]:
    """The phase of which there is most around each pixel, (rows, columns); of several the first."""
    found = np.zeros(shares.shape[1:], np.uint8)
    most = np.full(shares.shape[1:], -1.0, np.float32)
    for share, phase in zip(shares, unsolved, strict=True):
        more = share > most
        found[more] = phase
        np.maximum(most, share, out=most)
    return found


def _blur(share: NDArray[np.float32], bell: float) -> None:
    """Blur in place by a bell of a standard deviation in pixels, whatever its width in about the same time."""
    if bell < WIDE:
        gaussian_filter(share, bell, output=share, mode="nearest", truncate=3.0)
        return
    width = 2 * round((np.sqrt(12 * bell**2 / MEANS + 1) - 1) / 2) + 1  # odd, of the same variance
    for _ in range(MEANS):
        uniform_filter(share, width, output=share, mode="nearest")


def _between(shares: NDArray[np.float32], covered: Flags, frame: FlatFrame) -> list[Array]:
    """Lines between phases that are not solved for, in the drawing."""
    if len(shares) < 2 or covered.all() or min(covered.shape) < 2:
        return []
    rows, columns = covered.shape
    across, down = frame.drawn
    pixel = np.array((across / columns, down / rows))
    found: list[Array] = []
    for i, share in enumerate(shares[:-1]):
        margin = share - np.max(np.delete(shares, i, axis=0), axis=0)
        if not _changes(margin > 0, ~covered):
            continue  # phases that don't touch; contourpy takes fifty times as long to find that out
        from contourpy import contour_generator

        shown: Any = np.ma.masked_array(margin, covered)
        lines: Any = contour_generator(z=shown).lines(0.0)  # by pixels: x and y of each would take as long again
        found += [(line + 0.5) * pixel for line in lines]
    return found


def _changes(above: Flags, there: Flags) -> bool:
    """Whether two neighbours along a row or a column differ that are both there."""
    pairs = (np.s_[1:], np.s_[:-1]), (np.s_[:, 1:], np.s_[:, :-1])
    return any(((above[one] != above[other]) & there[one] & there[other]).any() for one, other in pairs)
