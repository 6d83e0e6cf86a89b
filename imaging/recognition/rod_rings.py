"""Bores of tubes: what ends them is the plane of the ring around, where the tube ends."""

from microlith.imaging.recognition.rod_proof import Ends, Found, ended
from microlith.imaging.shapes.found import Lattice
from microlith.imaging.shapes.rod_fit import WIDTHS, end_of, no_others
from microlith.imaging.shapes.rods import NOWHERE

RING = 0.3, 2.3  # longest edges beyond the wall of a bore
BEYOND = 1.0  # longest edges after the wall ends as it is known, where the ring's end is looked for


def with_rings(lattice: Lattice, bore: Found) -> Found:
    """A cylinder with the ends of the ring around it in the place of ends that are not known, where planes part all."""
    rod = bore.rod
    if all(abs(known) == NOWHERE for known in rod.known):
        return bore
    longest = lattice.diagonal
    hollow, outer = (rod.radius + beyond for beyond in RING)
    ends: Ends = []
    for known, sign, plane in zip(rod.known, (-1.0, 1.0), rod.planes, strict=True):
        if abs(known) == NOWHERE:
            ends.append(None if plane is None else (plane, 0.0))
        else:
            ends.append(end_of(lattice, ~bore.of, rod, known + sign * BEYOND, outer, hollow=hollow))
    if all(end is None for end in ends):
        return bore
    none = no_others(rod)
    for widths in WIDTHS:
        found = ended(lattice, bore.of, rod, ends, longest, widths, none, flat=False)
        if found is not None:
            return found
    return bore
