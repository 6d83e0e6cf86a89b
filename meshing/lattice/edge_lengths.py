"""How long the edges of the lattice may be, before its cells are cut along the interfaces."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import edt
import numpy as np
from scipy import ndimage

from microlith.imaging.options import LARGEST_SIZE, SIZE_AT_SURFACES, MeshOptions
from microlith.imaging.typing import Array, Flags, Numbers, Phases, Singles
from microlith.meshing.lattice.thin_parts import critical_voxels, thin_voxels
from microlith.meshing.lattice.voxel_fields import VoxelFields, on_borders
from microlith.meshing.local_sizes import LocalSize, local_sizes

OTHER_SIZE = 2.5  # voxels, at surfaces that no size names
CUT = 1.9  # longest edge at an interface per size there: the cells are cut in about half
WHOLE = 1.3  # longest edge per size where cells are not cut
GROWTH_UNSOLVED = 0.75  # of edges per distance in phases that the solver never sees
GROWTH_LARGEST = 0.75  # more, and a long edge near a surface might not notice it from its middle
THIN, CRITICAL = 2.2, 1.3  # voxels: longest edges that notice parts of two voxels' thickness, and of one
SHORTENED = 0.8  # longest edge per size around voxels whose centres came out in a cell of another phase
FINE = 2.5  # voxels: where sizes are larger, edges are not shortened around such voxels, as few cells are asked for
LOST = 0.3  # longest edge per size around such voxels that touch none of their own phase that came out right
SPECK = 0.6  # voxels: shortest of these edges, which is short enough to find a voxel that stands alone
EXACT = 2000.0  # voxels: distances whose squares are whole numbers in single precision
NOWHERE = 1e9  # voxels: distance from what is not in a window
THINNEST = 0.65  # shortest edge per size: what thin parts may take beyond what is asked for


@dataclass(frozen=True)
class EdgeSizes:
    """What the user asks for, in units of the smallest voxel edge."""

    named: dict[int, float]  # size at the surfaces of a phase
    other: float  # size at all other surfaces
    largest: float
    growth: float  # of size per distance
    gap_elements: int
    gaps: bool  # whether narrow gaps are resolved with that many elements
    coarseness: float = 1.0  # factor that the sizes and their growth have in them
    local: tuple[LocalSize, ...] = ()  # sizes in parts of the image

    @property
    def smallest(self) -> float:
        """Size at the finest surfaces."""
        return min([*self.named.values(), self.other])

    @property
    def longest_edge(self) -> float:
        """Of cells far from all interfaces."""
        return WHOLE * self.largest

    @property
    def shortest_edge(self) -> float:
        """Longest edge of the smallest cells, but for those around lost voxels."""
        finer = min(1.0, self.coarseness)
        return min(CUT * self.smallest, max(CRITICAL * finer, THINNEST * self.smallest), CUT * finer)

    @property
    def lost_edge(self) -> float:
        """Longest edge around voxels that are lost with all their neighbours; there are few."""
        return min(self.shortest_edge, max(SPECK * min(1.0, self.coarseness), LOST * self.smallest))

    @property
    def finest_edge(self) -> float:
        """Longest edge of the smallest cells there may be."""
        return min([self.lost_edge, *(WHOLE * part.size for part in self.local)])

    def in_parts(self, points: Array) -> Array:
        """Longest edges at points (n, dim) that sizes in parts of the image ask for, which may lie between voxels.

        They grow fast from there: how fast they may is known of voxels.
        """
        found = np.full(len(points), np.inf)
        for part in self.local:
            np.minimum(found, WHOLE * part.size + GROWTH_LARGEST * part.distance_at(points), out=found)
        return found

    @property
    def reach(self) -> float:
        """Distance from an interface beyond which edges are of the largest size."""
        return max(0.0, self.longest_edge - self.lost_edge) / min(self.edge_growth, GROWTH_UNSOLVED)

    @property
    def edge_growth(self) -> float:
        """Of edges per distance."""
        return min(WHOLE * self.growth, GROWTH_LARGEST)


def edge_sizes(
    options: MeshOptions, names: Sequence[str], solved: Sequence[int], unit: float, extent: Sequence[float]
) -> EdgeSizes:
    """Take sizes from metres to voxels, and put defaults where nothing is said.

    Args:
        options: Sizes in metres.
        names: Of all phases.
        solved: Indices of the solved phases.
        unit: Metres per smallest voxel edge.
        extent: Edge lengths of the image in units.
    """
    named = {names.index(name): size / unit for name, size in options.size.items()}
    gaps = bool(named)
    asked = math.inf if options.size_max is None else options.size_max / unit
    if not named:
        named = dict.fromkeys(solved, min(SIZE_AT_SURFACES, asked))
    smallest = min(named.values())
    by_default = max(max(extent) * LARGEST_SIZE / options.subdivided, 3 * smallest)
    largest = by_default if options.size_max is None else asked
    largest = max(smallest, min(largest, max(extent) / 2))
    factor = options.times
    return EdgeSizes(
        named={index: factor * min(size, largest) for index, size in named.items()},
        other=factor * min(max(OTHER_SIZE, smallest), largest),
        largest=factor * largest,
        growth=factor * options.growth,
        gap_elements=options.gap_elements,
        gaps=gaps,
        coarseness=factor,
        local=local_sizes(options, unit, extent),
    )


def longest_edges(
    phase: Phases, start: tuple[int, ...], voxel: tuple[float, ...], sizes: EdgeSizes, solved: Sequence[int]
) -> tuple[VoxelFields, Flags]:
    """Find the longest edges wanted at the centres of the voxels of a window, and the voxels in thin parts.

    Args:
        phase: Phases of the voxels, ([z,] y, x).
        start: First voxel of the window, x first.
        voxel: Edges of a voxel, x first.
        sizes: What is asked for.
        solved: Indices of the solved phases.

    Returns:
        One field, right up to `sizes.reach` and a few voxels from the rim of the window; and a mask shaped as `phase`.
    """
    sampling = voxel[::-1]
    growth = np.where(np.isin(np.arange(256), solved), sizes.edge_growth, GROWTH_UNSOLVED).astype(np.float32)[phase]
    length = np.full(phase.shape, sizes.longest_edge, np.float32)
    border = on_borders(phase)
    distance = _distance(border, sampling)
    np.minimum(length, CUT * sizes.other + growth * distance, out=length)
    near = {}  # by size, the distance from the surfaces that have it
    for size in set(sizes.named.values()):
        chosen = [index for index, value in sizes.named.items() if value == size]
        near[size] = _distance(on_borders(phase, chosen), sampling)
        np.minimum(length, CUT * size + growth * near[size], out=length)
    narrow = thin_voxels(phase)
    least = THINNEST * sizes.smallest
    vital = critical_voxels(phase, narrow)
    # A coarser mesh does not lose thin parts: it would be one of another structure.
    finer = min(1.0, sizes.coarseness)
    for voxels, edge in ((narrow, max(THIN * finer, least)), (vital, max(CRITICAL * finer, least))):
        np.minimum(length, edge + GROWTH_LARGEST * _distance(ndimage.binary_dilation(voxels), sampling), out=length)
    centres = [
        (np.arange(n) + (0.5 + first)) * edge for n, first, edge in zip(phase.shape, start[::-1], sampling, strict=True)
    ]
    for part in sizes.local:
        for layer in range(len(phase)):  # so that no more than a layer is held in double precision
            away = part.distance([centres[0][layer : layer + 1], *centres[1:]])[0]
            np.minimum(length[layer], WHOLE * part.size + growth[layer] * away, out=length[layer])
    if sizes.gaps:
        _refine_gaps(length, phase, distance, near, sampling, sizes, solved)
    return VoxelFields(length[None], start, voxel), narrow


def shortened(lengths: VoxelFields, phase: Phases, mistaken: Numbers, sizes: EdgeSizes) -> VoxelFields:
    """Shorter edges around voxels whose centres came out in cells of another phase.

    Args:
        lengths: What `longest_edges` gave for a window.
        phase: Phases of its voxels, ([z,] y, x).
        mistaken: Those voxels (dim, n), x first; some may lie outside the window.
        sizes: What is asked for.
    """
    place = mistaken[::-1] - np.array(lengths.start[::-1])[:, None]
    place = place[:, ((place >= 0) & (place < np.array(phase.shape)[:, None])).all(axis=0)]
    usual = max(CRITICAL * min(1.0, sizes.coarseness), SHORTENED * sizes.smallest)
    shorter = lengths.values[0]
    lost = place[:, ~_beside_right_ones(phase, place)]
    everywhere = [(place, usual)] if sizes.smallest <= FINE else []
    for where, edge in [*everywhere, (lost, sizes.lost_edge)]:
        around = np.zeros(phase.shape, bool)
        around[tuple(where)] = True
        away = _distance(around, lengths.voxel[::-1])
        shorter = np.minimum(shorter, np.float32(edge) + np.float32(GROWTH_LARGEST) * away)
    return VoxelFields(shorter[None], lengths.start, lengths.voxel)


def _beside_right_ones(phase: Phases, mistaken: Numbers) -> Flags:
    """Which of the mistaken voxels (dim, n) touch one of their own phase that is not mistaken."""
    wrong = np.zeros(phase.shape, bool)
    wrong[tuple(mistaken)] = True
    own = phase[tuple(mistaken)]
    last = np.array(phase.shape)[:, None] - 1
    found = np.zeros(len(own), bool)
    for offset in product((-1, 0, 1), repeat=phase.ndim):
        beside = tuple(np.clip(mistaken + np.array(offset)[:, None], 0, last))
        found |= (phase[beside] == own) & ~wrong[beside]
    return found


def _refine_gaps(
    length: Singles,
    phase: Phases,
    distance: Singles,
    near_surfaces: Mapping[float, Singles],
    sampling: tuple[float, ...],
    sizes: EdgeSizes,
    solved: Sequence[int],
) -> None:
    """Shorten edges in solved parts narrower than the wanted number of elements, where a named surface bounds them.

    A voxel is in a part wider than 2 r where a ball of radius r fits into the part and has the voxel. Balls that are
    larger than any part, and than half the way to the named surface, change nothing more, however large the size is.
    """
    inside = np.isin(phase, solved)
    for size, near in near_surfaces.items():
        farthest = max(float(of.max(initial=0.0, where=of < NOWHERE)) for of in (distance + 1.0, near / 2))
        widest = min(sizes.gap_elements * size / sizes.coarseness / 2 + 0.5, farthest + 1.0)
        for radius in np.arange(1.5, widest):
            centres = inside & (distance + 0.5 > radius)
            narrow = inside & (near < 2 * radius) & (_distance(centres, sampling) > radius + 0.7)
            edge = CUT * sizes.coarseness * max(1.0, float(2 * radius - 1) / sizes.gap_elements)
            if edge < CUT * size and narrow.any():
                np.minimum(length, edge + sizes.edge_growth * _distance(narrow, sampling), out=length)


def _distance(voxels: Flags, sampling: tuple[float, ...]) -> Singles:
    if not voxels.any():
        return np.full(voxels.shape, NOWHERE, np.float32)
    if all(edge.is_integer() for edge in sampling) and math.hypot(*sampling) * max(voxels.shape) < EXACT:
        # In single precision, in half of the time: exact as long as all squares are whole numbers that it holds.
        # Others would depend on where a window starts, and so on the number of ranks.
        return np.asarray(edt.edt(~voxels, anisotropy=sampling, black_border=False, parallel=1))
    return np.asarray(ndimage.distance_transform_edt(~voxels, sampling=sampling), np.float32)
