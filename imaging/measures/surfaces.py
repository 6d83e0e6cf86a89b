"""Area of the surfaces between phases (in 2D length of the lines between them)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import permutations

import numpy as np
from scipy.optimize import nnls

from mpi4py import MPI

from microlith.imaging.formats.stored import Window
from microlith.imaging.image.cuts import first_layers
from microlith.imaging.image.load import whole_on_root
from microlith.imaging.image.passes import Slab, slabs
from microlith.imaging.image.repeated import cut_elsewhere, repeated
from microlith.imaging.image.volume import LabelImage, LabelVolume
from microlith.imaging.measures.crossings import (
    Crossings,
    counted_crossings,
    crossing_halo,
    crossings,
    direction_weights,
    directions,
    row_length,
)
from microlith.imaging.measures.surface_faces import Blurred, exact_unit, face_areas, face_halo, slab_blurs, slab_faces
from microlith.imaging.measures.triple_lines import TripleLines, areas_at_corners, counted_lines, lines_of, slab_corners
from microlith.imaging.measures.volume_fractions import volume_fractions
from microlith.imaging.measures.whole_faces import Found, GatheredFaces, found_faces
from microlith.imaging.parallel.collective import together
from microlith.imaging.recognition.areas import FacesOfShapes, ShapeSurfaces, no_shape_surfaces, shape_surfaces
from microlith.imaging.recognition.prisms import Lines, prism_areas
from microlith.imaging.shapes.found import Balls, no_balls
from microlith.imaging.typing import Array, Numbers

NOISE = 4.0  # voxel faces by which counts are wrong where a smooth surface lies symmetrically among the voxels,
BY_DIRECTION = 3.0  # and times as many, for their number, in single directions
# Parts of the standard error: of the area by normals, of what no step shows, of what counts added and took away, and of
# what was added or taken away beside triple lines, and for faces along the voxels
SMOOTH, MISSED, ADDED, REMOVED, AT_CORNERS, ALONG = 0.005, 0.5, 0.1, 0.5, 0.2, 0.25
# and of voxel faces beside edges, for planes in step with the voxels may lie anywhere between two layers of these, and
# of what counts say that was left aside as noise
BESIDE_EDGES, LEFT_ASIDE = 0.125, 1.5
# Parts of what counts added, and for faces along the voxels, where voxels are so oblong or more: steps then lead in
# few directions, and at creases counts add up to twice what is missing
OBLONG, ADDED_OBLONG, ALONG_OBLONG = 3.0, 0.35, 1.0
BESIDE = 1.0  # longest edges from triple lines where normals are turned
# Part of the standard error, of ends of runs of one, two and three steps
THIN = {2: (0.12, 0.04, 0.01), 3: (0.05, 0.02, 0.005)}
NEAR_LINES = 0.25  # times the square of the share that is as near, part of the standard error: in fine structures much
UNLIKE = 3.0  # part of what directions tell that planes along the voxels leave, from one third on nothing is of planes
PART_AT_CORNERS = 0.5  # of the area by faces, that is added or taken away beside triple lines at most
MOST_ALONE = 16  # phases, up to which the surface of each is measured by itself as well
CHANGED = 0.5  # part of what this changed in the area of a pair, that it may be wrong by
# Voxels of an image that is looked at as a whole, for balls, cylinders and prisms
SHAPES_UP_TO = {2: 1 << 28, 3: 1 << 30}
PLACES = {2: 0.5, 3: 8.0}  # voxel faces by which the voxels of one body are too many or too few, by dimension


@dataclass(frozen=True, eq=False)
class Surfaces:
    """Areas between phases."""

    between: Array  # (phases, phases) m^2 (m in 2D); symmetric
    correction: Array  # (phases, phases) by which the local areas were multiplied
    error: Array  # (phases, phases) m^2 (m in 2D), standard error that the voxels leave open
    error_of_phase: Array  # (phases,) the same of all of a phase's surface
    agreement: Array  # (phases, phases) by which `agreed` multiplied; 1 where it did nothing
    balls: Balls | None = None  # (in 2D disks) that were recognised

    @property
    def of_phase(self) -> Array:
        """Area (phases,) of each phase towards all others."""
        return np.asarray(self.between.sum(axis=1))


def surfaces(volume: LabelVolume, comm: MPI.Intracomm) -> Surfaces:
    """Area between each pair of phases; collective; see `surfaces_and_lines`.

    Where the image comes again, its faces see what lies beyond, a surface on two opposite ones counts once, and it
    does not matter where it is cut.
    """
    if not volume.periodic:
        return surfaces_and_lines(volume, comm)[0]
    layers = first_layers(volume_fractions(volume, comm).sections)
    along = [volume.dim - 1 - axis in volume.periodic for axis in range(volume.dim)]
    volume = cut_elsewhere(
        volume, [layer if comes_again else 0 for layer, comes_again in zip(layers, along, strict=True)]
    )
    around = repeated(volume, face_halo(volume)[0] * volume.voxel_size[0], nearest=False)
    return surfaces_and_lines(around.volume, comm, within=around.within)[0]


def surfaces_and_lines(
    volume: LabelVolume,
    comm: MPI.Intracomm,
    gathered: GatheredFaces | None = None,
    whole: Surfaces | None = None,
    image: LabelImage | None = None,
    within: Window | None = None,
) -> tuple[Surfaces, TripleLines]:
    """Area between each pair of phases, and lines where three meet; collective. The image's frame is no surface.

    Beside triple lines faces leave out some area and show some that is not there, which `areas_at_corners` tells. The
    local areas of `surface_faces` are too small at creases and in narrow gaps, where the blur of normals reaches
    from one surface to another. So it is counted how often steps in 8 directions in 2D and 13 in 3D lead from one phase
    into another (Cauchy, Crofton), with those that steps leave out (`crossings`), and held against what the normals say
    of the same directions. The ratio corrects the area, as far as it is more than the counts' own error, and what it
    is by direction tells which part of the surface lies along the voxels (`along_the_voxels`).

    With three phases or more the surface of each is also measured by itself, towards all others as one phase. Then no
    triple lines are near, which in structures of two or three voxels are everywhere; the areas of pairs are made to
    agree with these (`agreed`).

    Of balls and cylinders that the voxels show without doubt (`shape_surfaces`) the area is known better. In the end it
    takes the place of what was found for their faces. Where the image is the same along an axis but for flat ends,
    areas are those of its sections (`prism_areas`).

    Args:
        volume: The image.
        comm: All ranks.
        gathered: Takes the faces that are found on the way.
        whole: Of the image that this one is a part of: what made its pairs agree is taken for this one, too.
        image: All of it, on the first rank, where that is there already; else it is read if need be.
        within: The part whose areas are wanted, with what lies on its first faces; the lines are those of all, and no
            shapes are looked for, which the rest cuts. None: all.

    Raises:
        InputError: The image can't be read.
    """
    dim, phases, steps = volume.dim, len(volume.names), np.array(directions(volume.dim))
    volumes = [volume]
    if whole is None and 2 < len(volume.names) <= MOST_ALONE:
        volumes += [replace(volume, names=("rest", name)) for name in volume.names]
    before, behind = face_halo(volume)
    halo = before, max(behind, crossing_halo(dim))
    in_sections, shapes = _recognised(volume, image, comm) if within is None else (None, no_shape_surfaces(phases))
    row: Numbers = np.zeros(0, np.int64)
    for slab in slabs(volume, comm, halo):
        faces: Found | None = None if gathered is None else []
        counted = together(comm, partial(_counted_all, volumes, steps, slab, shapes, faces, within))
        row = row + counted if row.size else counted
        if gathered is not None and faces is not None:
            gathered.add(faces)
    row, inside = np.split(comm.allreduce(row), [-(phases**2)])
    lengths = [sum(_lengths(one, steps)) for one in volumes[1:]]
    rows = np.split(row, len(row) - sum(lengths) + np.cumsum([0, *lengths])[:-1]) if lengths else [row]
    part_inside = _part_inside(volume, rows[0], inside)
    (found, lines, faces_of_shapes), *alone = [
        _measured(one, steps, part) for one, part in zip(volumes, rows, strict=True)
    ]
    if whole is not None:
        between, error = found.between * whole.agreement, found.error * whole.agreement
        correction = found.correction * whole.agreement
        found = Surfaces(between, correction, error, error.sum(axis=1), whole.agreement)
    elif alone:
        areas = np.array([one.between[0, 1] for one, *_ in alone])
        found = agreed(found, areas, np.array([one.error[0, 1] for one, *_ in alone]))
    if within is not None:
        return _of_part(found, part_inside), lines
    if in_sections is not None:
        return _in_their_place(found, *in_sections), lines
    return _with_shapes(found, faces_of_shapes, shapes), lines


def _part_inside(volume: LabelVolume, row: Numbers, inside: Numbers) -> Array:
    """Which part of the areas by faces (phases, phases) is within the part that is wanted."""
    phases = len(volume.names)
    of_all, of_part = (_both_ways(some, phases, 1.0)[0] for some in (row[phases**2 : 2 * phases**2], inside))
    return _per(of_part, of_all, 0.0)


def _of_part(found: Surfaces, part: Array) -> Surfaces:
    """The areas of a part of an image, and their errors."""
    between, error = found.between * part, found.error * part
    return replace(found, between=between, error=error, error_of_phase=error.sum(axis=1))


def _recognised(
    volume: LabelVolume, image: LabelImage | None, comm: MPI.Intracomm
) -> tuple[tuple[Array, Array] | None, ShapeSurfaces]:
    """Areas and errors where the image is a prism, in which no other shapes are looked for; else these; collective."""
    none = no_shape_surfaces(len(volume.names))
    if math.prod(volume.shape) > SHAPES_UP_TO[volume.dim]:
        return None, none
    if not comm.bcast(image is not None):
        image = whole_on_root(volume, comm)
    in_sections = prism_areas(volume, image, comm, partial(_in_section, comm)) if volume.dim == 3 else None
    return in_sections, none if in_sections is not None else shape_surfaces(volume, image, comm)


def _in_section(comm: MPI.Intracomm, section: LabelVolume) -> Lines:
    """Lines between phases in a section; collective."""
    found = surfaces(section, comm)
    return Lines(found.between, found.error, no_balls(len(section.names)) if found.balls is None else found.balls)


def _in_their_place(found: Surfaces, area: Array, error: Array) -> Surfaces:
    """Areas (phases, phases) that are known from elsewhere, with their errors, in the place of those found."""
    ratio = _per(area, found.between, 1.0)
    return Surfaces(area, found.correction * ratio, error, error.sum(axis=1), found.agreement)


def _lengths(volume: LabelVolume, steps: Numbers) -> list[int]:
    """Of the parts of the row that `_counted` gives, but for that of triple lines, which two phases don't have."""
    phases = len(volume.names)
    return [phases**2, (2 + len(steps)) * phases**2, (1 + 2 * len(steps)) * phases**2, row_length(volume.dim, phases)]


def _measured(volume: LabelVolume, steps: Numbers, row: Numbers) -> tuple[Surfaces, TripleLines, Array]:
    """From what was counted in all slabs: areas, lines, and which part of the areas (phases, phases) is of shapes."""
    *areas, stepped, lines = np.split(row, np.cumsum(_lengths(volume, steps)))
    of_shapes, of_faces, of_corners = (_both_ways(part, len(volume.names), exact_unit(volume)) for part in areas)
    found = lines_of(volume, lines)
    part = _per(of_shapes[0], of_faces[0], 0.0)
    return _areas(volume, of_faces, of_corners, stepped, _beside_lines(volume, found)), found, part


def _with_shapes(found: Surfaces, part: Array, shapes: ShapeSurfaces) -> Surfaces:
    """Areas in which those of balls and cylinders take the place of what was found for their faces.

    Args:
        found: Areas of all the image, without them.
        part: (phases, phases) of these areas, by local ones, that is of faces of these.
        shapes: In the image.
    """
    if not len(shapes.balls) and not len(shapes.rods):
        return found
    # The rest may be the gaps and creases of which most is unsure: its relative error is taken to be larger.
    left = np.maximum(1 - part, 0.0)
    of_phase = (left * found.between).sum(axis=1) / np.maximum(found.of_phase, np.finfo(float).tiny)
    area = np.where(found.between > 0, left * found.between + shapes.between, 0.0)
    error = np.hypot(np.sqrt(left) * found.error, shapes.error)
    error_of_phase = np.hypot(np.sqrt(of_phase) * found.error_of_phase, shapes.error_of_phase)
    ratio = _per(area, found.between, 1.0)
    return Surfaces(area, found.correction * ratio, error, error_of_phase, found.agreement, shapes.balls)


def agreed(found: Surfaces, whole: Array, error: Array) -> Surfaces:
    """Areas of pairs that add up to the surfaces of the phases by themselves, as far as both are known.

    By least squares, each area and each sum weighted by its standard error. The areas of one phase's pairs have the
    same causes of error, which add up; so as independent ones they are taken to be wrong by more. What a sum differs by
    counts as far as it is more than the error of the surface by itself: at creases, which lines are for that, pairs are
    nearer.

    Args:
        found: Between pairs.
        whole: (phases,) surface of each phase towards all others, m^2 (m in 2D).
        error: (phases,) standard errors of these.
    """
    one, other = np.nonzero(np.triu(found.between > 0, 1))
    there = np.flatnonzero((found.between > 0).any(axis=1))
    adds: Array = np.zeros((len(whole), len(one)))
    adds[one, np.arange(len(one))] = adds[other, np.arange(len(one))] = 1
    partners = adds.sum(axis=1)
    area, told = found.between[one, other], found.error[one, other]
    variance = told**2 * np.maximum(partners[one], partners[other])
    adds, whole, error = np.asarray(adds[there]), whole[there], error[there]
    spread = adds * variance
    gain = np.linalg.solve(spread @ adds.T + np.diag(error**2), spread).T
    apart = whole - adds @ area
    apart *= apart**2 / (apart**2 + error**2)
    change = np.maximum(gain @ apart, -area)
    left = np.diag(variance) - gain @ spread
    of_pairs = np.sqrt(np.minimum(np.maximum(np.diag(left), 0), told**2) + (CHANGED * change) ** 2)
    least = np.minimum(error, adds @ told)
    between, errors, of_phase = found.between.copy(), found.error.copy(), found.error_of_phase.copy()
    between[one, other] = between[other, one] = area + change
    errors[one, other] = errors[other, one] = of_pairs
    of_phase[there] = np.sqrt(np.maximum(np.einsum("ij,jk,ik->i", adds, left, adds), least**2))
    agreement = _per(between, found.between, 1.0)
    return Surfaces(between, found.correction * agreement, errors, of_phase, agreement)


def _beside_lines(volume: LabelVolume, lines: TripleLines) -> Array:
    """Area (phases, phases) within `BESIDE` of the longest edge of triple lines, m^2 (m in 2D)."""
    out = np.zeros((len(volume.names),) * 2)
    for three, length in lines.of_three.items():
        for one, other in permutations(three, 2):
            out[one, other] += BESIDE * length * max(volume.voxel_size)
    return out


def _areas(volume: LabelVolume, of_faces: Array, of_corners: Array, stepped: Numbers, at_lines: Array) -> Surfaces:
    """From what was found by faces and by triple lines, (rows, phases, phases), by steps, and how much is at lines."""
    phases, dim, unit = len(volume.names), volume.dim, exact_unit(volume)
    by_faces, beside_edges, at_corners = of_faces[0], of_faces[1], of_corners[0]
    part = _part(at_corners, PART_AT_CORNERS * by_faces)
    local = by_faces + part * at_corners
    seen, unseen = np.split(of_corners[1:], 2)
    weights = direction_weights(volume.voxel_size)[:, None, None]
    of_each = weights * (of_faces[2:] + part * seen)
    told: Array = of_each.sum(axis=0)
    shown_by_each = of_each - weights * part * unseen
    counted = crossings(stepped, volume.voxel_size, phases)
    face = float(face_areas(volume).max())
    ratio, left_aside = _correction(told, shown_by_each.sum(axis=0), counted, NOISE * face, unit)
    area = local * ratio
    beside = part * at_corners
    unsure = BY_DIRECTION * NOISE * face + np.abs(beside)
    along_voxels = along_the_voxels(local, shown_by_each, counted.along, volume.voxel_size, unsure, at_lines)
    oblong = min(1.0, (max(volume.voxel_size) / min(volume.voxel_size) - 1) / (OBLONG - 1))
    uncertain_along = (ALONG + oblong * (ALONG_OBLONG - ALONG)) * np.abs(along_voxels - 1) * area
    area = area * along_voxels
    correction = _per(area, by_faces, 1.0)
    next_term = _per(beside**2, by_faces, 0.0)
    by_planes = BESIDE_EDGES * beside_edges, LEFT_ASIDE * left_aside * local, uncertain_along
    near_lines = NEAR_LINES * _per(np.minimum(at_lines, area) ** 2, area, 0.0)
    uncertain = np.sqrt(sum(part**2 for part in (*by_planes, AT_CORNERS * beside, next_term, near_lines)))
    added = ADDED + oblong * (ADDED_OBLONG - ADDED)
    error = _error(local, area, uncertain, counted, dim, PLACES[dim] * face, added)
    return Surfaces(area, correction, error, error.sum(axis=1), np.ones_like(area))


def along_the_voxels(
    local: Array, told: Array, counted: Array, voxel_size: tuple[float, ...], unsure: Array, at_lines: Array
) -> Array:
    """What areas (phases, phases) are to be multiplied by where part of a surface lies along the voxels' faces.

    Steps cross a plane along the voxels less often, by the sum over their directions, than one that is turned a little.
    Beside an edge the blur turns the normals of such planes, so that what they say is to be crossed is too much, and
    the area too small by that. The counts by direction tell: they are taken to be those of the surface that the
    normals describe and of planes along the voxels, in parts that are not negative and fit best.

    Args:
        local: (phases, phases) m^2 (m in 2D) by normals.
        told: (directions, phases, phases) what is to be crossed by these, with the weights of the directions.
        counted: The same as counted.
        voxel_size: Edges along the array's axes, m.
        unsure: (phases, phases) m^2 (m in 2D) by which counts in single directions may be wrong, per number of all.
        at_lines: (phases, phases) m^2 (m in 2D) beside triple lines, where the third phase turns normals: as unsure,
            but where planes along the voxels leave nothing else to tell.
    """
    weights = direction_weights(voxel_size)
    steps = np.array(directions(len(voxel_size))) * np.array(voxel_size)
    of_planes = weights[:, None] * np.abs(steps) / np.linalg.norm(steps, axis=1)[:, None]
    some = weights > 0
    evened = 1 / np.sqrt(weights[some])
    factor = np.ones_like(local)
    for one, two in np.argwhere(np.triu((told.sum(axis=0) > unsure) & (counted.sum(axis=0) > unsure), 1)):
        area, by_normals, by_counts = local[one, two], np.maximum(told[:, one, two], 0), counted[:, one, two]
        kinds = np.column_stack([by_normals, of_planes * area])
        parts, left = nnls(kinds[some] * evened[:, None], by_counts[some] * evened)
        if parts.sum() == 0:
            continue
        per_crossing = parts.sum() * area / (kinds @ parts).sum()
        ratio = by_counts / np.where(by_normals > 0, by_normals, 1.0)
        scatter = np.average((ratio - np.average(ratio, weights=by_normals)) ** 2, weights=by_normals)
        alone = nnls(kinds[some, :1] * evened[:, None], by_counts[some] * evened)[1]
        turned = at_lines[one, two] * min(1.0, UNLIKE * left / alone) if alone > 0 else 0.0
        share = scatter / (scatter + ((unsure[one, two] + turned) / by_counts.sum()) ** 2)
        factor[one, two] = factor[two, one] = 1 + share * (per_crossing * by_normals.sum() / area - 1)
    return factor


def _both_ways(rows: Numbers, phases: int, unit: float) -> Array:
    """What pairs (rows, phases, phases) have in either order of phases."""
    half = rows.reshape(-1, phases, phases)
    return np.asarray((half + half.swapaxes(1, 2)) * unit, np.float64)


def _per(part: Array, whole: Array, none: float) -> Array:
    """Ratios, and what there is instead of them where the whole is none."""
    return np.asarray(np.where(whole > 0, part / np.where(whole > 0, whole, 1.0), none))


def _part(found: Array, most: Array) -> Array:
    """How much of what was found is no more than the most, either way."""
    much = np.abs(found)
    return np.asarray(np.where(much > most, most / np.where(much > 0, much, 1.0), 1.0))


def _error(
    local: Array, area: Array, beside: Array, counted: Crossings, dim: int, places: float, added: float
) -> Array:
    """Standard error (phases, phases) of areas.

    That of what was added `beside` triple lines, and the like, is given. What no step shows is uncertain: where all
    gaps lie alike among the voxels, none of it may be missed or twice as much. The parts were set by bodies of known
    area, see docs/explained/areas.md.
    """
    missed = _per(counted.missed, counted.seen, 0.0)
    change = area - local
    by_counts = added * np.maximum(change, 0), REMOVED * np.minimum(change, 0)
    thin = np.tensordot(THIN[dim], counted.ends[: len(THIN[dim])], 1)
    parts = SMOOTH * area, MISSED * missed * area, thin * area, *by_counts, beside
    return np.asarray(np.sqrt(sum(part**2 for part in parts) + np.where(area > 0, places, 0.0) ** 2))


def _correction(told: Array, shown: Array, counted: Crossings, noise: float, unit: float) -> tuple[Array, Array]:
    """Ratio (phases, phases) of counts to normals, and how much of it was left aside as noise.

    Few crossings tell little: what the ratio of a pair is above that of both its phases, and what that is above 1,
    counts as d^3/(d^2 + e^2) with the error e. Between what there is to cross (told) and what of it steps show beside
    triple lines the counts tell nothing.
    """

    def above(told: Array, shown: Array, counted: Array, expected: Array) -> tuple[Array, Array]:
        known = (told > unit) & (shown > unit) & (counted > 0)
        of_told, of_shown = (counted / np.where(known, part, 1.0) - 1 - expected for part in (told, shown))
        nearest = np.clip(0.0, np.minimum(of_told, of_shown), np.maximum(of_told, of_shown))
        more = np.where(known, nearest, 0.0)
        error = noise / np.where(known, counted, noise)
        counts = more**3 / (more**2 + error**2)
        return np.asarray(expected + counts), np.abs(more - counts)

    all_counted = counted.seen + counted.missed
    of_phase, _ = above(told.sum(axis=1), shown.sum(axis=1), all_counted.sum(axis=1), np.zeros(len(told)))
    found, left_aside = above(told, shown, all_counted, (of_phase[:, None] + of_phase) / 2)
    return 1 + found, left_aside


def _counted_all(
    volumes: Sequence[LabelVolume],
    steps: Numbers,
    slab: Slab,
    shapes: ShapeSurfaces,
    kept: Found | None,
    within: Window | None,
) -> Numbers:
    """In one row: of the image, of each phase against the rest where these are wanted, and areas within a part."""
    volume, *alone = volumes
    near = slab.within(face_halo(volume))
    blurred = [] if slab.empty else slab_blurs(volume, near)
    of_shape = FacesOfShapes(volume, shapes.balls, shapes.rods, near)
    inside: Numbers = np.zeros(len(volume.names) ** 2, np.int64)
    rows = [_counted(volume, steps, slab, near, blurred, of_shape, kept, within, inside)]
    for phase, one in enumerate(alone):
        two = replace(slab, phase=(slab.phase == phase).astype(slab.phase.dtype))
        rows.append(_counted(one, steps, two, two.within(face_halo(one)), [b.against_rest(phase) for b in blurred]))
    return np.concatenate([*rows, inside])


def _counted(
    volume: LabelVolume,
    steps: Numbers,
    slab: Slab,
    near: Slab,
    blurred: Sequence[Blurred],
    of_shape: FacesOfShapes | None = None,
    kept: Found | None = None,
    within: Window | None = None,
    inside: Numbers | None = None,
) -> Numbers:
    """In one row, by pairs of phases: areas of shapes' faces, of all and projections, what these leave out, crossings.

    At its end the triple lines. Areas within a part are added to those `inside`.
    """
    from microlith.imaging.measures.loops import add_projections  # numba, late as in `path_lengths`

    phases, areas, unit = len(volume.names), face_areas(volume), exact_unit(volume)
    size = np.array(volume.voxel_size)
    out, of_shapes = np.zeros((2 + len(steps), phases**2), np.int64), np.zeros(phases**2, np.int64)
    along = steps * size / np.linalg.norm(steps * size, axis=1)[:, None]
    for faces in slab_faces(volume, near, blurred):
        if kept is not None:
            kept.append(found_faces(volume, near, faces))
        pair = faces.phase[0].astype(np.int64) * phases + faces.phase[1]
        whole = np.rint(faces.area / unit)
        out[0] += np.bincount(pair, whole, phases**2).astype(np.int64)
        if within is not None and inside is not None:
            part = np.all([(low <= x) & (x < high) for x, (low, high) in zip(faces.place, within, strict=True)], axis=0)
            inside += np.bincount(pair[part], whole[part], phases**2).astype(np.int64)
        if of_shape is not None:
            here = of_shape.among(faces.here, faces.there)
            of_shapes += np.bincount(pair[here], whole[here], phases**2).astype(np.int64)
        out[1] += np.bincount(pair[faces.beside_edge], minlength=phases**2) * round(areas[faces.axis] / unit)
        place, shape = np.array(faces.place), np.array(faces.shape)
        part = unit / areas[faces.axis]
        add_projections(faces.axis, pair, *faces.normals, faces.beyond, place, shape, steps, along, part, out[2:])
    corners = list(slab_corners(volume, near, blurred))
    beside, lines = areas_at_corners(volume, corners, steps), counted_lines(volume, corners)
    return np.concatenate([of_shapes, out.ravel(), beside.ravel(), counted_crossings(slab, phases), lines])
