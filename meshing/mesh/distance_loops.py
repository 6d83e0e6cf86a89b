"""Loops over points and the triangles near them, which numba compiles."""

import math

from microlith.imaging.parallel.compiled import compiled, kept
from microlith.imaging.typing import Array, Numbers


@compiled
def _dot(a, b):  # type: ignore[no-untyped-def]
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


@compiled
def _from(a, b):  # type: ignore[no-untyped-def]
    return a[0] - b[0], a[1] - b[1], a[2] - b[2]


@compiled
def _less(a, share, b):  # type: ignore[no-untyped-def]
    return a[0] - share * b[0], a[1] - share * b[1], a[2] - share * b[2]


@compiled
def _from_segment(x, a, b):  # type: ignore[no-untyped-def]
    """The way to a point from the nearest one of a segment."""
    along, way = _from(b, a), _from(x, a)
    return _less(way, min(max(_dot(way, along) / max(_dot(along, along), 1e-300), 0.0), 1.0), along)


@compiled
def _from_triangle(x, a, b, c):  # type: ignore[no-untyped-def]
    """The way to a point from the nearest one of a triangle."""
    ab, ac, ax = _from(b, a), _from(c, a), _from(x, a)
    bb, bc, cc, xb, xc = _dot(ab, ab), _dot(ab, ac), _dot(ac, ac), _dot(ax, ab), _dot(ax, ac)
    gram = max(bb * cc - bc * bc, 1e-300)
    v, w = (cc * xb - bc * xc) / gram, (bb * xc - bc * xb) / gram  # foot of the perpendicular: shares of ab and ac
    if v >= 0 and w >= 0 and v + w <= 1:
        return _less(_less(ax, v, ab), w, ac)
    best = _from_segment(x, a, b)
    for p, q in ((b, c), (c, a)):
        way = _from_segment(x, p, q)
        if _dot(way, way) < _dot(best, best):
            best = way
    return best


@compiled
def _corner(facets, facet, corner):  # type: ignore[no-untyped-def]
    return facets[facet, corner, 0], facets[facet, corner, 1], facets[facet, corner, 2]


@compiled
def _way(points, row, facets, facet):  # type: ignore[no-untyped-def]
    """The way to a point from the nearest one of a facet."""
    x = (points[row, 0], points[row, 1], points[row, 2])
    return _from_triangle(x, _corner(facets, facet, 0), _corner(facets, facet, 1), _corner(facets, facet, 2))


@kept
def find_ways(points: Array, facets: Array, facet: Numbers, found: Array) -> None:
    """The way (n, 3) to each point (n, 3) from the nearest one of its facet (n,), of all (m, 3, 3)."""
    for i in range(len(points)):
        way = _way(points, i, facets, facet[i])
        found[i, 0], found[i, 1], found[i, 2] = way


@kept
def find_nearest(
    points: Array,
    facets: Array,
    place: Array,
    even: float,
    sample: Numbers,
    to_sample: Array,
    owner: Numbers,
    found: Array,
    facet: Numbers,
) -> None:
    """The nearest of the facets that own some samples.

    Args:
        points: (n, 3)
        facets: (m, 3, 3)
        place: (m,) by which one of two facets is taken that are as near as each other.
        even: Relative difference of distances that are as near.
        sample: (n, k) samples to look at.
        to_sample: (n, k) their distance; infinite: no sample.
        owner: (samples,) facet of each.
        found: (n,) distance, changed.
        facet: (n,) that is so near, changed where there is one.
    """
    for i in range(len(points)):
        nearest, best = math.inf, -1
        for j in range(sample.shape[1]):
            if to_sample[i, j] == math.inf:
                continue
            one = owner[sample[i, j]]
            new = True
            for before in range(j):
                if to_sample[i, before] < math.inf and owner[sample[i, before]] == one:
                    new = False
                    break
            if not new:
                continue
            way = _way(points, i, facets, one)
            distance = math.sqrt(_dot(way, way))
            if best < 0:
                better = True
            elif abs(distance - nearest) <= even * distance:
                better = place[one] < place[best]
            else:
                better = distance < nearest
            nearest = min(nearest, distance)
            if better:
                best = one
        found[i] = nearest
        if best >= 0:
            facet[i] = best


@kept
def find_facets_at(
    points: Array, key: Numbers, facets: Array, key_of_corner: Numbers, place: Array, table: Numbers, found: Numbers
) -> None:
    """The facet of each point that is a corner of one, by a table of the points' places in a hash of their keys.

    Args:
        points: (n, 3)
        key: (n,) the same for points of the same coordinates.
        facets: (m, 3, 3)
        key_of_corner: (m, 3), in the same way.
        place: (m,) of several facets the one with the least is taken.
        table: As many as a power of 2, more than n; -1, changed.
        found: (n,) changed where a point is a corner.
    """
    last = len(table) - 1
    for i in range(len(points)):
        at = _hash(key[i]) & last
        while table[at] >= 0:
            at = (at + 1) & last
        table[at] = i
    for facet in range(len(facets)):
        for corner in range(3):
            at = _hash(key_of_corner[facet, corner]) & last
            while table[at] >= 0:
                i = table[at]
                at = (at + 1) & last
                same = key[i] == key_of_corner[facet, corner]
                for k in range(3):
                    same = same and points[i, k] == facets[facet, corner, k]
                if same and (found[i] < 0 or place[facet] < place[found[i]]):
                    found[i] = facet


@compiled
def _hash(key):  # type: ignore[no-untyped-def]
    mixed = key ^ (key >> 29)
    mixed = mixed * 0x2545F4914F6CDD1D
    return mixed ^ (mixed >> 32)
