"""Outer walls of tubes: cylinders of a phase and of what other cylinders hold within them."""

from dataclasses import replace

import numpy as np

from microlith.imaging.recognition.rod_proof import Found, parted
from microlith.imaging.recognition.rod_search import alike, seen_in, told
from microlith.imaging.shapes.found import Lattice
from microlith.imaging.shapes.rods import Rod, Rods
from microlith.imaging.typing import Array

APART = 2.0  # radii between places on an axis around which tubes are looked for
TUBES = 1.2, 1.6, 2.2  # radii, about which outer walls of tubes are looked for


def rods_around(lattice: Lattice, bores: Rods, phases: int) -> tuple[Lattice, Rods]:
    """Cylinders of a phase and of what others hold within them: the outer walls of tubes.

    Args:
        lattice: Voxels in 3D.
        bores: These others.
        phases: How many phases there are.

    Returns:
        The voxels, those that the others hold as one more phase, and the cylinders with this phase.
    """
    from microlith.imaging.shapes.rod_loops import hold  # numba, late as in `path_lengths`

    filled = lattice.phase.astype(np.promote_types(lattice.phase.dtype, np.min_scalar_type(phases)))
    for of in np.unique(bores.of, axis=0):
        inside = np.zeros(filled.shape, bool)
        hold(bores.rows_of(of), lattice.size, 0, 0.0, inside)
        inside &= of[lattice.phase]
        filled[inside] = phases
    around = replace(lattice, phase=filled)
    places = [_along(lattice, rod) for rod in bores.rods]
    found: list[Found] = []
    for phase in range(phases):
        there = [some for some, of in zip(places, bores.of, strict=True) if not of[phase]]
        if there:
            of = np.isin(np.arange(phases + 1), (phase, phases))
            seen = seen_in(around, of, np.concatenate(there))
            known = [*bores.rods, *(one.rod for one in found)]
            found += parted(around, of, [rod for rod in seen if not any(alike(one, rod) for one in known)])
    return around, told(found, phases + 1)


def _along(lattice: Lattice, rod: Rod) -> Array:
    """Places (n, 4) on a rod's axis within the image, with how deep they may lie in a tube around it."""
    ends = np.array(lattice.phase.shape) * lattice.size
    longest = float(np.linalg.norm(ends))
    along = np.arange(-longest, longest, APART * rod.radius)
    places = rod.place + along[:, None] * rod.axis
    places = places[((places > 0) & (places < ends)).all(axis=1)]
    return np.concatenate([np.column_stack([places, np.full(len(places), times * rod.radius)]) for times in TUBES])
