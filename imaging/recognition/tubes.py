"""Outer walls of tubes: cylinders of a phase and of what other cylinders hold within them."""

from dataclasses import replace

import numpy as np

from microlith.imaging.recognition.rod_proof import Ends, Found, ended, parted, proven
from microlith.imaging.recognition.rod_search import ALONG, alike, seen_in, told
from microlith.imaging.shapes.found import Lattice
from microlith.imaging.shapes.rod_fit import INNER, RIM, WIDTHS, end_of, no_others
from microlith.imaging.shapes.rods import NOWHERE, Rod, Rods, distance
from microlith.imaging.typing import Array

APART = 2.0  # radii between places on an axis around which tubes are looked for
TUBES = 1.2, 1.6, 2.2  # radii, about which outer walls of tubes are looked for
COAXIAL = 0.2  # radii of a tube between its axis and that of its bore
STRAIGHT = 0.15  # tangent of the largest angle between the end of a ring and the axis
BEFORE = 0.5  # longest edges before it, from where it is looked for


def rods_around(lattice: Lattice, bores: Rods, phases: int) -> tuple[Lattice, Rods, Rods]:
    """Cylinders of a phase and of what others hold within them: the outer walls of tubes.

    Args:
        lattice: Voxels in 3D.
        bores: These others.
        phases: How many phases there are.

    Returns:
        The voxels, those that the others hold as one more phase; these others, with the ends that tubes have, too; the
        cylinders with this phase.
    """
    around = _filled(lattice, bores, phases)
    places = [_along(lattice, rod) for rod in bores.rods]
    found: list[Found] = []
    for phase in range(phases):
        there = [some for some, of in zip(places, bores.of, strict=True) if not of[phase]]
        if there:
            of = np.isin(np.arange(phases + 1), (phase, phases))
            seen = seen_in(around, of, np.concatenate(there))
            known = [*bores.rods, *(one.rod for one in found)]
            found += parted(around, of, [rod for rod in seen if not any(alike(one, rod) for one in known)])
    for number, one in enumerate(found):
        better = _with_common_ends(lattice, bores, one)
        if better is not None:
            around, bores, found[number] = better
    return around, bores, told(found, phases + 1)


def _filled(lattice: Lattice, bores: Rods, phases: int) -> Lattice:
    """The voxels, those that cylinders hold as one more phase."""
    from microlith.imaging.shapes.rod_loops import hold  # numba, late as in `path_lengths`

    filled = lattice.phase.astype(np.promote_types(lattice.phase.dtype, np.min_scalar_type(phases)))
    for of in np.unique(bores.of, axis=0):
        inside = np.zeros(filled.shape, bool)
        rows = bores.rows_of(of)
        rows[:, 6] += RIM  # at the rims of ends nothing tells how wide they are, as other voxels of the set are beside
        hold(rows, lattice.size, 0, 0.0, inside)
        inside &= of[lattice.phase]
        filled[inside] = phases
    return replace(lattice, phase=filled)


def _with_common_ends(lattice: Lattice, bores: Rods, tube: Found) -> tuple[Lattice, Rods, Found] | None:
    """What `rods_around` gives, where the ring between the walls of a tube and of its bore ends in planes.

    None where it does not, and where the tube has the ends already that its bore has.
    """
    phases = bores.of.shape[1]
    for number, bore in enumerate(bores.rods):
        apart = bore.place - tube.rod.place
        coaxial = abs(bore.axis @ tube.rod.axis) > ALONG and distance(bore, tube.rod) < COAXIAL * tube.rod.radius
        if not coaxial or bore.radius > tube.rod.radius or (bores.of[number] & tube.of[:phases]).any():
            continue
        turned = float(np.sign(bore.axis @ tube.rod.axis))
        at = sorted(float(apart @ tube.rod.axis) + turned * end for end in bore.between)
        finite = [abs(end) < NOWHERE / 2 for end in at]
        if not any(finite) or all((p is not None) == is_end for p, is_end in zip(tube.rod.planes, finite, strict=True)):
            continue
        middle = float(np.mean([end for end, is_end in zip(at, finite, strict=True) if is_end])) if all(finite) else 0.0
        rod = replace(tube.rod, planes=(None, None)).about(middle)
        ring = (rod.radius - INNER, (STRAIGHT,), bore.radius + INNER)
        of = tube.of[:phases]
        ends: Ends = [
            end_of(lattice, of, rod, end - middle - sign * BEFORE, *ring) if is_end else None
            for end, is_end, sign in zip(at, finite, (-1.0, 1.0), strict=True)
        ]
        if any((end is not None) != is_end for end, is_end in zip(ends, finite, strict=True)):
            continue
        planes = [None if end is None else _about(end[0], rod.place, bore.place) for end in ends]
        first, last = planes if turned > 0 else planes[::-1]
        known = (bore.known[0] if first is None else -NOWHERE, bore.known[1] if last is None else NOWHERE)
        again = replace(bore, planes=(first, last), known=known)
        longest = lattice.diagonal
        part = max(known[0], -longest), min(known[1], longest)
        if not any(proven(lattice, bores.of[number], again, part, widths) for widths in WIDTHS):
            continue
        others = replace(bores, rods=(*bores.rods[:number], again, *bores.rods[number + 1 :]))
        filled = _filled(lattice, others, phases)
        none = no_others(rod)
        for widths in WIDTHS:
            found = ended(filled, tube.of, rod, ends, longest, widths, none)
            if found is not None:
                return filled, others, found
    return None


def _about(plane: Array, old: Array, new: Array) -> Array:
    """A plane (4,) less another place."""
    return np.append(plane[:3], plane[3] - plane[:3] @ (new - old))


def _along(lattice: Lattice, rod: Rod) -> Array:
    """Places (n, 4) on a rod's axis within the image, with how deep they may lie in a tube around it."""
    ends = np.array(lattice.phase.shape) * lattice.size
    along = np.arange(-lattice.diagonal, lattice.diagonal, APART * rod.radius)
    places = rod.place + along[:, None] * rod.axis
    places = places[((places > 0) & (places < ends)).all(axis=1)]
    return np.concatenate([np.column_stack([places, np.full(len(places), times * rod.radius)]) for times in TUBES])
