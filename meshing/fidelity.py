"""How faithfully a triangulation renders the image that it was made from."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, sparse
from scipy.sparse import csgraph

from mpi4py import MPI

from microlith.meshing.image import LabelImage
from microlith.meshing.outline import pixel_units
from microlith.meshing.phasemesh import Parts, Triangulation
from microlith.meshing.quality import areas, sicn, smallest_angles
from microlith.meshing.volume import LabelVolume


@dataclass(frozen=True)
class Piece:
    """A connected piece of a phase in the image."""

    x_pixel: int  # column of one of its pixels
    y_pixel: int  # row of that pixel
    pixels: int  # its size


@dataclass(frozen=True)
class PhaseFidelity:
    """One phase in the image and in the mesh.

    Pieces are connected across pixel edges in the image (4-connected) and across triangle edges in the mesh: what
    touches in a single point is apart in both.
    """

    name: str
    solved: bool
    cells: int
    area_image_m2: float
    area_mesh_m2: float
    relative_difference: float | None  # of the areas; None for a phase without pixels
    pieces_image: int
    pieces_mesh: int
    lost: tuple[Piece, ...]  # pieces of the image that the mesh has not
    merged: tuple[tuple[Piece, ...], ...]  # pieces of the image that are one in the mesh
    split: tuple[Piece, ...]  # pieces of the image that are several in the mesh
    worst_sicn: float | None  # None for a phase without triangles
    sicn_1_percent: float | None  # one of its triangles in a hundred is worse


@dataclass(frozen=True)
class InterfaceLength:
    """Interface between two phases."""

    phases: tuple[str, str]
    length_m: float


@dataclass(frozen=True)
class FidelityReport:
    """Areas, interfaces, connected pieces and element quality of a triangulation."""

    phases: tuple[PhaseFidelity, ...]
    interfaces: tuple[InterfaceLength, ...]
    cells: int  # of solved phases
    triangles: int  # of all phases
    worst_sicn: float
    sicn_1_percent: float  # one triangle in a hundred is worse
    median_sicn: float
    smallest_angle_deg: float

    def as_dict(self) -> dict[str, Any]:
        """The report as plain data for JSON, SI units in the keys."""
        return asdict(self)

    def phase_rows(self) -> list[tuple[str, ...]]:
        """Table of the phases as text, the heading first."""
        areas_and_pieces = ("area in image (um2)", "in mesh (um2)", "difference", "pieces in image", "in mesh")
        rows: list[tuple[str, ...]] = [("phase", "triangles", *areas_and_pieces, "worst SICN", "1 % below")]
        for p in self.phases:
            off = "-" if p.relative_difference is None else f"{100 * p.relative_difference:+.4f} %"
            sizes = (f"{p.area_image_m2 * 1e12:.5g}", f"{p.area_mesh_m2 * 1e12:.5g}")
            quality = ["-" if q is None else f"{q:.3f}" for q in (p.worst_sicn, p.sicn_1_percent)]
            rows.append((p.name, str(p.cells), *sizes, off, str(p.pieces_image), str(p.pieces_mesh), *quality))
        return rows

    def interface_rows(self) -> list[tuple[str, ...]]:
        """Table of the interfaces as text, the heading first."""
        rows: list[tuple[str, ...]] = [("interface", "length (um)")]
        rows += [(f"{i.phases[0]} | {i.phases[1]}", f"{i.length_m * 1e6:.5g}") for i in self.interfaces]
        return rows

    def summary(self) -> str:
        """One line on size and quality."""
        return (
            f"{self.cells} triangles in solved phases ({self.triangles} in all), SICN worst {self.worst_sicn:.3f},"
            f" 1 % below {self.sicn_1_percent:.3f}, median {self.median_sicn:.3f},"
            f" smallest angle {self.smallest_angle_deg:.1f} degrees"
        )

    def warnings(self) -> list[str]:
        """One sentence for each piece that is lost, merged or split, and for each phase whose area is off."""
        said = []
        for p in self.phases:
            share = p.area_image_m2 / sum(q.area_image_m2 for q in self.phases)
            if p.relative_difference is not None and abs(p.relative_difference) > 0.005 and share > 0.01:
                said.append(f"The area of {p.name} differs by {100 * p.relative_difference:+.2f} % from the image's.")
            said += [f"A piece of {p.name} is lost: {_where(piece)}." for piece in p.lost]
            said += [f"Pieces of {p.name} have merged: {'; '.join(map(_where, group))}." for group in p.merged]
            said += [f"A piece of {p.name} has come apart: {_where(piece)}." for piece in p.split]
        return said


def _where(piece: Piece) -> str:
    return f"{piece.pixels} pixels at x = {piece.x_pixel}, y = {piece.y_pixel}"


def fidelity(image: LabelImage, triangulation: Triangulation, solved: Sequence[int]) -> FidelityReport:
    """Compare a triangulation with its image.

    Args:
        image: 2D image.
        triangulation: made from it, all phases included.
        solved: indices of the phases that are solved for.
    """
    points, triangles = triangulation.points, triangulation.triangles
    count = len(image.names)
    _, pixel, _ = pixel_units(image)
    area = areas(points, triangles)
    area_mesh = np.bincount(triangulation.phase, area, minlength=count)
    pixels = np.bincount(image.phase.ravel(), minlength=count)
    area_image = pixels * (pixel[0] * pixel[1])
    cells = np.bincount(triangulation.phase, minlength=count)
    one, other, ends = _shared_edges(triangles)
    piece = _mesh_pieces(triangulation.phase, one, other)
    square = triangulation.unit**2
    quality = sicn(points, triangles)
    phases = []
    for index, name in enumerate(image.names):
        of_phase = quality[triangulation.phase == index]
        lost, merged, split, in_image, in_mesh = _compare_pieces(image, triangulation, index, piece, area, pixel)
        phases.append(
            PhaseFidelity(
                name=name,
                solved=index in solved,
                cells=int(cells[index]),
                area_image_m2=float(area_image[index] * square),
                area_mesh_m2=float(area_mesh[index] * square),
                relative_difference=float(area_mesh[index] / area_image[index] - 1) if pixels[index] else None,
                pieces_image=in_image,
                pieces_mesh=in_mesh,
                lost=lost,
                merged=merged,
                split=split,
                worst_sicn=float(of_phase.min()) if len(of_phase) else None,
                sicn_1_percent=float(np.percentile(of_phase, 1)) if len(of_phase) else None,
            )
        )
    worst, low, median = np.percentile(quality, [0, 1, 50])
    return FidelityReport(
        phases=tuple(phases),
        interfaces=_interfaces(triangulation, one, other, ends),
        cells=int(cells[list(solved)].sum()),
        triangles=len(triangles),
        worst_sicn=float(worst),
        sicn_1_percent=float(low),
        median_sicn=float(median),
        smallest_angle_deg=float(smallest_angles(points, triangles).min()),
    )


def parts_fidelity(
    volume: LabelVolume, parts: Parts, solved: Sequence[int], comm: MPI.Intracomm
) -> FidelityReport | None:
    """Compare the cells of all ranks with their image; collective, the report on rank 0."""
    raise NotImplementedError


def _shared_edges(
    triangles: NDArray[np.int32],
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Triangles on both sides of every inner edge, and the edges' ends (n, 2)."""
    edges = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]]).astype(np.int64)
    key = edges.min(axis=1) * (int(triangles.max()) + 1) + edges.max(axis=1)
    order = np.argsort(key, kind="stable")
    twin = np.flatnonzero(key[order][1:] == key[order][:-1])
    count = len(triangles)
    return order[twin] % count, order[twin + 1] % count, edges[order[twin]]


def _mesh_pieces(phase: NDArray[np.uint8], one: NDArray[np.int64], other: NDArray[np.int64]) -> NDArray[np.int64]:
    """Number of the connected piece of one phase that each triangle belongs to."""
    same = phase[one] == phase[other]
    graph = sparse.coo_array(
        (np.ones(np.count_nonzero(same), bool), (one[same], other[same])), shape=(len(phase), len(phase))
    )
    _, piece = csgraph.connected_components(graph, directed=False)
    return np.asarray(piece, np.int64)


def _interfaces(
    triangulation: Triangulation, one: NDArray[np.int64], other: NDArray[np.int64], ends: NDArray[np.int64]
) -> tuple[InterfaceLength, ...]:
    phase, names = triangulation.phase.astype(np.int64), triangulation.names
    a, b = np.minimum(phase[one], phase[other]), np.maximum(phase[one], phase[other])
    unlike = a != b
    span = np.diff(triangulation.points[ends[unlike]], axis=1)[:, 0]
    kinds, kind = np.unique(a[unlike] * 256 + b[unlike], return_inverse=True)
    lengths = np.bincount(kind.ravel(), np.hypot(span[:, 0], span[:, 1]), minlength=len(kinds))
    return tuple(
        InterfaceLength((names[int(k) // 256], names[int(k) % 256]), float(length) * triangulation.unit)
        for k, length in zip(kinds, lengths, strict=True)
    )


def _compare_pieces(
    image: LabelImage,
    triangulation: Triangulation,
    index: int,
    piece: NDArray[np.int64],
    area: NDArray[np.float64],
    pixel: tuple[float, float],
) -> tuple[tuple[Piece, ...], tuple[tuple[Piece, ...], ...], tuple[Piece, ...], int, int]:
    """Lost, merged and split pieces of one phase, and how many pieces there are in image and mesh.

    A piece of the mesh stands for the piece of the image that it covers most of, by area; smoothing moves interfaces
    by less than half a pixel, so that each covers its own.
    """
    labels, in_image = ndimage.label(image.phase == index)  # connected across pixel edges
    mine = np.flatnonzero(triangulation.phase == index)
    _, mesh_piece = np.unique(piece[mine], return_inverse=True)
    mesh_piece = mesh_piece.ravel()
    in_mesh = int(mesh_piece.max()) + 1 if len(mine) else 0
    if in_image == 0 or in_mesh == 0:
        return _describe(labels, np.arange(in_image)), (), (), in_image, in_mesh
    corners = triangulation.points[triangulation.triangles[mine]]
    # Centroids alone would miss pieces of one pixel now and then: each corner, drawn half-way in, votes too.
    centroid = corners.mean(axis=1)
    votes = np.concatenate([centroid, *(0.5 * (centroid + corners[:, i]) for i in range(3))])
    row = np.clip((votes[:, 1] / pixel[1]).astype(np.int64), 0, labels.shape[0] - 1)
    column = np.clip((votes[:, 0] / pixel[0]).astype(np.int64), 0, labels.shape[1] - 1)
    hit = labels[row, column] - 1
    valid = hit >= 0
    overlap = sparse.coo_array(
        (np.tile(area[mine], 4)[valid], (hit[valid], np.tile(mesh_piece, 4)[valid])), shape=(in_image, in_mesh)
    ).tocsr()
    overlap.sum_duplicates()
    image_best = _largest_in_row(overlap)  # mesh piece of each image piece
    mesh_best = _largest_in_row(overlap.T.tocsr())  # image piece of each mesh piece
    lost = np.flatnonzero(image_best < 0)
    found = np.flatnonzero(image_best >= 0)
    groups = [found[image_best[found] == m] for m in _repeated(image_best[found])]
    split = _repeated(mesh_best[mesh_best >= 0])
    merged = tuple(_describe(labels, group) for group in groups)
    return _describe(labels, lost), merged, _describe(labels, split), in_image, in_mesh


def _largest_in_row(matrix: sparse.csr_array) -> NDArray[np.int64]:
    """Column of the largest entry of each row, -1 for an empty row."""
    best = np.full(matrix.shape[0], -1, np.int64)
    row = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    order = np.argsort(matrix.data, kind="stable")
    best[row[order]] = matrix.indices[order]  # the last one written wins
    return best


def _repeated(values: NDArray[np.int64]) -> NDArray[np.int64]:
    unique, count = np.unique(values, return_counts=True)
    return np.asarray(unique[count > 1])


def _describe(labels: NDArray[np.int32], pieces: NDArray[np.int64]) -> tuple[Piece, ...]:
    if len(pieces) == 0:
        return ()
    found, first, sizes = np.unique(labels, return_index=True, return_counts=True)
    place = np.searchsorted(found, pieces + 1)
    rows, columns = np.divmod(first[place], labels.shape[1])
    return tuple(Piece(int(x), int(y), int(n)) for x, y, n in zip(columns, rows, sizes[place], strict=True))
