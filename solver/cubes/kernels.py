"""Loops over cubes, their corners and their neighbours.

A cube has eight corners, numbered by their place along the axes: bit 0 says whether it is the upper one along x, bit 1
along y, bit 2 along z. `links` are pairs of neighbours across x, y and z, the lower one first, each (m, 2).
"""

import numpy as np

from microlith.imaging.parallel.compiled import compiled, kept
from microlith.imaging.typing import Array, Bits, Flags, Indices, Numbers, Reals, Singles

Links = tuple[Indices, Indices, Indices]


@compiled
def _root(parent: Indices, i: int) -> int:
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = parent[i]
    return i


@compiled
def _join(parent: Indices, i: int, j: int) -> None:
    a, b = _root(parent, i), _root(parent, j)
    if a < b:
        parent[b] = a
    else:
        parent[a] = b


@compiled
def _numbered(parent: Indices) -> int:
    """Replace each entry by the number of its set, sets in the order of their first members; how many there are."""
    count = 0
    for i in range(len(parent)):
        if parent[i] == i:
            parent[i] = -1 - count
            count += 1
        else:
            parent[i] = parent[parent[i]]  # a lower one, which has its number already
    for i in range(len(parent)):
        parent[i] = -1 - parent[i]
    return count


@kept
def corner_sets(count: int, links: Links) -> tuple[Indices, int]:
    """Number of the unknown at each corner (8 count,), and of unknowns: corners are one where cubes share a face."""
    parent = np.arange(8 * count).astype(np.int32)
    for axis in range(3):
        link, bit = links[axis], 1 << axis
        for i in range(len(link)):
            a, b = 8 * link[i, 0], 8 * link[i, 1]
            for corner in range(8):
                if not corner & bit:
                    _join(parent, a + corner + bit, b + corner)
    return parent, _numbered(parent)


@compiled
def _place(block: int, grid: tuple[int, int, int]) -> tuple[int, int, int]:
    return block // (grid[0] * grid[1]), block // grid[0] % grid[1], block % grid[0]


@compiled
def _parent_place(block: int, grid: tuple[int, int, int]) -> int:
    z, y, x = _place(block, grid)
    return (z // 2 * ((grid[1] + 1) // 2) + y // 2) * ((grid[0] + 1) // 2) + x // 2


@kept
def merged(block: Numbers, grid: tuple[int, int, int], links: Links) -> tuple[Indices, Bits, Numbers, Links]:
    """Join elements of a block of 2 x 2 x 2 where they are connected within it.

    Args:
        block: (n,) place of each element on its grid, flattened, x fastest.
        grid: Places along x, y and z.
        links: Of the elements.

    Returns:
        Parent (n,) of each element, its kind (n,), place of each parent on the coarser grid, and links of parents, some
        of them several times. A kind is 0 for the lower half of a block along an axis, 1 for the upper one, 2 for all
        of it; x + 3 y + 9 z.
    """
    parent = np.arange(len(block)).astype(np.int32)
    for axis in range(3):
        link = links[axis]
        for i in range(len(link)):
            if _parent_place(block[link[i, 0]], grid) == _parent_place(block[link[i, 1]], grid):
                _join(parent, link[i, 0], link[i, 1])
    count = _numbered(parent)
    place = np.empty(count, np.int64)
    kind = np.empty(len(block), np.uint8)
    for i in range(len(block)):
        z, y, x = _place(block[i], grid)
        place[parent[i]] = _parent_place(block[i], grid)
        along_x = 2 if x + 1 == grid[0] and x % 2 == 0 else x % 2
        along_y = 2 if y + 1 == grid[1] and y % 2 == 0 else y % 2
        along_z = 2 if z + 1 == grid[2] and z % 2 == 0 else z % 2
        kind[i] = along_x + 3 * along_y + 9 * along_z
    return (
        parent,
        kind,
        place,
        (
            _between(links[0], parent, place),
            _between(links[1], parent, place),
            _between(links[2], parent, place),
        ),
    )


@compiled
def _between(link: Indices, parent: Indices, place: Numbers) -> Indices:
    count = 0
    for i in range(len(link)):
        count += place[parent[link[i, 0]]] != place[parent[link[i, 1]]]
    found = np.empty((count, 2), np.int32)
    count = 0
    for i in range(len(link)):
        a, b = parent[link[i, 0]], parent[link[i, 1]]
        if place[a] != place[b]:
            found[count, 0], found[count, 1] = a, b
            count += 1
    return found


@kept
def renumbered(corners: Indices, count: int) -> tuple[Indices, Indices]:
    """Number the unknowns in the order of these corners (n, 8), in place.

    Returns:
        New number of each of the `count` old ones, -1 where it has none, and a corner (8 element + corner) of each.
    """
    new = np.full(count, -1).astype(np.int32)
    seat = np.empty(count, np.int32)
    found = 0
    for element in range(len(corners)):
        for corner in range(8):
            old = corners[element, corner]
            if new[old] < 0:
                new[old] = found
                seat[found] = 8 * element + corner
                found += 1
            corners[element, corner] = new[old]
    return new, seat[:found].copy()


@kept
def coordinates(seat: Indices, block: Numbers, grid: tuple[int, int, int], axis: int) -> Indices:
    """Place along an axis of each unknown, 0 to the number of elements there."""
    found = np.empty(len(seat), np.int32)
    for i in range(len(seat)):
        z, y, x = _place(block[seat[i] >> 3], grid)
        at = (x, y, z)[axis]
        found[i] = at + (seat[i] >> axis & 1)
    return found


@compiled
def _paired(v: Reals, step: int) -> None:
    """Sums and differences of neighbours along an axis."""
    for i in range(8):
        if not i & step:
            a, b = v[i], v[i + step]
            v[i], v[i + step] = a + b, a - b


@kept
def times_cubes(corners: Indices, eigenvalues: Reals, x: Reals, y: Reals) -> None:
    """Y = K x for cubes that are all alike: sums and differences of corners are eigenvectors of their matrix.

    Args:
        corners: (n, 8) unknowns.
        eigenvalues: (8,) of the matrix of a cube, by 8.
        x: (unknowns,).
        y: (unknowns,), the result.
    """
    y[:] = 0
    v = np.empty(8, x.dtype)
    for element in range(len(corners)):
        for i in range(8):
            v[i] = x[corners[element, i]]
        _paired(v, 1)
        _paired(v, 2)
        _paired(v, 4)
        for i in range(8):
            v[i] *= eigenvalues[i]
        _paired(v, 1)
        _paired(v, 2)
        _paired(v, 4)
        for i in range(8):
            y[corners[element, i]] += v[i]


@kept
def times_elements(corners: Indices, matrices: Singles, x: Singles, y: Singles) -> None:
    """Y = K x for elements (n, 8) of which each has a symmetric matrix (n, 8, 8)."""
    y[:] = 0
    v = np.empty(8, x.dtype)
    for element in range(len(corners)):
        v[:] = 0
        for j in range(8):
            xj = x[corners[element, j]]
            for i in range(8):
                v[i] += matrices[element, j, i] * xj
        for i in range(8):
            y[corners[element, i]] += v[i]


@kept
def diagonal_of(corners: Indices, matrices: Singles, one: Array, count: int) -> Array:
    """Diagonal of K; where there are no matrices of their own, `one` (8, 8) is that of all elements."""
    found = np.zeros(count)
    for element in range(len(corners)):
        for i in range(8):
            found[corners[element, i]] += matrices[element, i, i] if len(matrices) else one[i, i]
    return found


@kept
def sums_of_cubes(parent: Indices, kind: Bits, of_kind: Array, count: int) -> Singles:
    """Matrices (count, 8, 8) of parents; `of_kind` (27, 8, 8) is what a child adds."""
    found = np.zeros((count, 8, 8), np.float32)
    for child in range(len(parent)):
        found[parent[child]] += of_kind[kind[child]]
    return found


@kept
def sums_of_elements(parent: Indices, kind: Bits, matrices: Singles, weights: Array, count: int) -> Singles:
    """Matrices (count, 8, 8) of parents, of those of children and of weights (27, 8, 8) that interpolate."""
    found = np.zeros((count, 8, 8), np.float32)
    half = np.empty((8, 8))
    for child in range(len(parent)):
        w, own, above = weights[kind[child]], matrices[child], found[parent[child]]
        for i in range(8):
            for j in range(8):
                half[i, j] = 0.0
                for k in range(8):
                    half[i, j] += own[i, k] * w[k, j]
        for i in range(8):
            for j in range(8):
                value = 0.0
                for k in range(8):
                    value += w[k, i] * half[k, j]
                above[i, j] += value
    return found


@kept
def add_from_coarse(
    seat: Indices, parent: Indices, kind: Bits, weights: Singles, corners: Indices, coarse: Singles, x: Singles
) -> None:
    """X += P coarse: what the trilinear functions of parents are at the unknowns of their children."""
    for i in range(len(seat)):
        element = seat[i] >> 3
        w, at = weights[kind[element], seat[i] & 7], corners[parent[element]]
        for j in range(8):
            x[i] += w[j] * coarse[at[j]]


@kept
def to_coarse(
    seat: Indices, parent: Indices, kind: Bits, weights: Singles, corners: Indices, r: Singles, coarse: Singles
) -> None:
    """Coarse = Pᵀ r, the transpose of `add_from_coarse`."""
    coarse[:] = 0
    for i in range(len(seat)):
        element = seat[i] >> 3
        w, at = weights[kind[element], seat[i] & 7], corners[parent[element]]
        for j in range(8):
            coarse[at[j]] += w[j] * r[i]


@kept
def smoothed(b: Singles, kx: Singles, inverse: Singles, d: Singles, x: Singles, keep: float, add: float) -> None:
    """A step of Chebyshev's: d = keep d + add D⁻¹ (b − K x), x = x + d."""
    a, c = np.float32(keep), np.float32(add)
    for i in range(len(x)):
        d[i] = a * d[i] + c * inverse[i] * (b[i] - kx[i])
        x[i] += d[i]


@kept
def advanced(alpha: float, p: Array, kp: Array, x: Array, r: Array) -> None:
    """A step of conjugate gradients: x = x + alpha p, r = r − alpha K p."""
    for i in range(len(x)):
        x[i] += alpha * p[i]
        r[i] -= alpha * kp[i]


@kept
def turned(beta: float, z: Singles, p: Array) -> None:
    """The next direction: p = z + beta p."""
    for i in range(len(p)):
        p[i] = z[i] + beta * p[i]


@kept
def marked(of: Indices, count: int) -> Flags:
    """Which of `count` numbers occur."""
    found = np.zeros(count, np.bool_)
    for i in range(len(of)):
        found[of[i]] = True
    return found


@kept
def times_links(links: Links, conductances: Array, x: Reals, y: Reals) -> None:
    """Y = K x for currents between the middles of neighbours, of these conductances across x, y and z."""
    y[:] = 0
    for axis in range(3):
        link, factor = links[axis], conductances[axis]
        for i in range(len(link)):
            a, b = link[i, 0], link[i, 1]
            current = factor * (x[a] - x[b])
            y[a] += current
            y[b] -= current


@kept
def sides(link: Indices, conductance: float, u: Array, lower: Array, upper: Array) -> None:
    """Currents up an axis through the lower and the upper sides of cubes, as far as neighbours make them."""
    for i in range(len(link)):
        a, b = link[i, 0], link[i, 1]
        upper[a] = conductance * (u[b] - u[a])
        lower[b] = upper[a]


@kept
def dissipated(lower: Array, upper: Array) -> float:
    """Sum of (f² + f g + g²)/3 over the currents f and g through the two sides of each cube."""
    total = 0.0
    for i in range(len(lower)):
        f, g = lower[i], upper[i]
        total += (f * f + f * g + g * g) / 3
    return total
