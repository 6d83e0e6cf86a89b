"""Lengths of the shortest ways from a layer of voxels, each way as a string pulled taut around the walls."""

from typing import NamedTuple

import numpy as np

from microlith.imaging.parallel.compiled import compiled, inlined, kept
from microlith.imaging.typing import Array, Bits, Flags, Indices, Numbers, Singles
from microlith.imaging.ways.sight import LEG, OPEN, Grid, grazed, onto_wall, sight
from microlith.imaging.ways.walls import CLEAR

BAND = 0.5  # of the shortest edge: lengths that are made sure of together
GAIN = 0.005  # of the shortest edge: ways that are shorter by less are not looked for
SAME = 0.05  # of the shortest edge: lengths by which a neighbour is known to see an anchor, too
EDGES = 3  # that a way is led around from one voxel to the next
DONE = -1  # in place of a voxel in the queue
FACE = 50  # hundredths of solidness at the rim of the face's openings
NONE = -1  # owner of a voxel that no way has led to yet; below: -2 - anchor, which it may not see


class Ways(NamedTuple):
    """The shortest ways to the voxels of a set from the outer face of the first layer."""

    length: Singles  # (nz, ny, nx) m from the face to the centres; infinite where no way leads, -inf outside the set
    turned: Array  # (nz,) angles that the ways to the voxels of a layer turn by, summed over these


def taut_lengths(there: Flags, solid: Bits, edges: tuple[float, float, float]) -> Singles:
    """The lengths of `taut_ways`."""
    return taut_ways(there, solid, edges).length


def taut_ways(there: Flags, solid: Bits, edges: tuple[float, float, float]) -> Ways:
    """The shortest way to each voxel of a set from the outer face of the first layer.

    A front goes from voxel to voxel, in the order of the lengths. Each voxel has an anchor, the place where its way
    was last bent, or from which it came, and hands it on. The voxel that gets it sees the anchor, or the line to it
    meets a wall. Then its way bends there: the place of the line that is deepest in the wall, moved to the wall's
    surface, is a new anchor. So lengths are those of straight lines, in any direction (as in the any-angle searches
    of Nash et al. 2007 and 2010, whose ways bend at voxels' centres only), and walls are where `solidness` has them.

    If all walls come nearer by a small length, a way gets longer by that times the angle that it turns by in all. So
    this angle, from the face's normal on, tells what an error of the walls' place makes of the length.

    Args:
        there: (nz, ny, nx) the set.
        solid: (nz + 2, ny + 2, nx + 2) solidness of the places.
        edges: Of voxels along z, y, x, m.
    """
    shape = solid.shape
    least = min(edges)
    edge = (edges[0] / least, edges[1] / least, edges[2] / least)
    last = (shape[0] - 2, shape[1] - 2, shape[2] - 2)
    grid = Grid(solid.reshape(-1), shape[1] * shape[2], shape[2], last, edge)
    node = np.empty((solid.size, 2), np.float32)  # of a voxel both are asked for together
    length, owner = node[:, 0], node.view(np.int32)[:, 1]
    length.reshape(shape)[:] = -np.inf
    length.reshape(shape)[1:-1, 1:-1, 1:-1][there] = np.inf
    owner[:] = NONE
    anchors = _start(grid, shape, length, owner)
    count = len(anchors.place)
    waiting = np.zeros(solid.size, bool)
    band = np.flatnonzero(owner >= 0)
    waiting[band] = True
    while len(band):
        now = length[band]
        limit = float(BAND * (np.floor(now.min() / BAND) + 1.0))
        soon = now < limit
        batch, later = np.sort(band[soon]), band[~soon]  # in the order of the memory
        if count + 2 * len(batch) > len(anchors.place):
            more = len(anchors.place) + max(len(anchors.place) // 4, 2 * len(batch))
            anchors.place.resize((more, 4), refcheck=False)  # large ones without a copy
            anchors.arrival.resize((more, 4), refcheck=False)
        queue = np.empty(8 * len(batch) + 4096, np.int64)
        many, count = _settle(batch, limit, grid, length, owner, waiting, anchors, count, queue)
        band = np.concatenate([later, queue[:many][queue[:many] != DONE]])
    turned = np.zeros(shape[0])
    _add_turns(grid, length, owner, anchors, turned)
    del waiting, owner, anchors
    found: Singles = length.reshape(shape)[1:-1, 1:-1, 1:-1] * np.float32(least)
    return Ways(found, turned[1:-1])


class Anchors(NamedTuple):
    """Places where ways bend or begin."""

    place: Singles  # (n, 4) z, y, x and the length of the way until there; the first are those straight on the face
    arrival: Singles  # (n, 4) direction z, y, x in which the way comes there, and the angle that it has turned by
    rims: (
        Indices  # (voxels of the first layer + 1,) those from one to the next are at the rim beside a place on the face
    )


def _start(grid: Grid, shape: tuple[int, ...], length: Singles, owner: Indices) -> Anchors:
    """Anchors on the face: straight before each voxel of the first layer, and at the rim of what is open.

    The rim is where the wall, as extrapolated to the face, lies between the places before two voxels. Aslant ways come
    from there. So do those of the voxels for which the wall covers the place straight before them; if no rim is beside
    that, theirs is by a voxel's edge longer, which is made less if the neighbour hands its anchor on.

    Returns:
        All of these.
    """
    first = grid.layer + np.flatnonzero(np.isposinf(length[grid.layer : 2 * grid.layer]))
    many, before = len(first), first - grid.layer
    y, x = np.unravel_index(before, shape[1:])
    wall = grid.solid[: grid.layer].astype(np.float32)
    wall[wall > CLEAR] = 0
    here = wall[before]
    covered = here > FACE
    found = []
    for dy, dx in ((-1, 0), (0, -1), (0, 1), (1, 0)):
        beyond = wall[before + dy * grid.row + dx]
        within = (y + dy >= 1) & (y + dy <= grid.last[1]) & (x + dx >= 1) & (x + dx <= grid.last[2])
        at = np.flatnonzero(within & ((beyond > FACE) != covered))
        part = (FACE - here[at]) / (beyond[at] - here[at])
        found.append(np.stack([at, y[at] + part * dy, x[at] + part * dx], axis=1))
    rim = np.concatenate(found)
    rim = rim[np.argsort(rim[:, 0], kind="stable")]
    place = np.zeros((many + len(rim), 4), np.float32)
    place[:, 0] = 0.5
    place[:many, 1], place[:many, 2] = y, x
    place[many:, 1:3] = rim[:, 1:]
    rims = many + np.searchsorted(rim[:, 0], np.arange(many + 1)).astype(np.int32)
    arrival = np.zeros_like(place)
    arrival[:, 0] = 1
    anchors = Anchors(place, arrival, rims)
    _begin(first, covered, grid, length, owner, anchors)
    return anchors


@kept
def _begin(first: Numbers, covered: Flags, grid: Grid, length: Singles, owner: Indices, anchors: Anchors) -> None:
    """Lengths and anchors of the voxels of the first layer."""
    for anchor in range(len(first)):
        voxel = first[anchor]
        owner[voxel], length[voxel] = anchor, 0.5 * grid.edge[0]
        if not covered[anchor]:
            continue
        # Until something is beside it: its own centre, reached aslant.
        z, y, x = _place(grid, voxel)
        anchors.place[anchor, 0] = z
        anchors.place[anchor, 3] = 0.5 * grid.edge[0] + min(grid.edge[1], grid.edge[2])
        owner[voxel] = _from_rim(grid, anchors, anchor, z, y, x)
        length[voxel] = _along(grid, anchors, owner[voxel], z, y, x)


@kept
def _settle(
    batch: Numbers,
    limit: float,
    grid: Grid,
    length: Singles,
    owner: Indices,
    waiting: Flags,
    anchors: Anchors,
    count: int,
    queue: Numbers,
) -> tuple[int, int]:
    """Makes sure of the lengths of some voxels below a limit, hands their anchors on, and so on from those.

    Stops before the queue or the anchors are full.

    Returns:
        How many voxels of the queue there are, with those that are done; how many anchors.
    """
    deepest, other = np.empty(3), np.empty(3)
    many = len(batch)
    queue[:many] = batch
    head = 0
    while head < many and many + 7 <= len(queue) and count < len(anchors.place):
        voxel = queue[head]
        head += 1
        if length[voxel] >= limit:
            continue
        queue[head - 1] = DONE
        waiting[voxel] = False
        if owner[voxel] < NONE:
            count = _make_sure(voxel, grid, length, owner, anchors, count, deepest, other)
            if length[voxel] >= limit:
                waiting[voxel] = True
                queue[head - 1] = voxel
                continue
        many = _hand_on(voxel, grid, length, owner, waiting, anchors, queue, many, other)
    return many, count


@inlined
def _place(grid: Grid, voxel: int) -> tuple[float, float, float]:
    """Place of a voxel's centre."""
    k = voxel // grid.layer
    rest = voxel - k * grid.layer
    j = rest // grid.row
    return float(k), float(j), float(rest - j * grid.row)


@inlined
def _beside(grid: Grid, side: int) -> tuple[int, float, float, float, float]:
    """From a voxel to one of its six neighbours: in the memory, in places, and how far."""
    sign = 1 if side >= 3 else -1
    axis = side - 3 if side >= 3 else 2 - side
    if axis == 2:
        return sign * grid.layer, float(sign), 0.0, 0.0, grid.edge[0]
    if axis == 1:
        return sign * grid.row, 0.0, float(sign), 0.0, grid.edge[1]
    return sign, 0.0, 0.0, float(sign), grid.edge[2]


@inlined
def _along(grid: Grid, anchors: Anchors, anchor: int, z: float, y: float, x: float) -> float:
    """Length of the way to a place that comes straight from an anchor."""
    dz, dy, dx = z - anchors.place[anchor, 0], y - anchors.place[anchor, 1], x - anchors.place[anchor, 2]
    ez, ey, ex = grid.edge
    return float(anchors.place[anchor, 3] + np.sqrt((dz * ez) ** 2 + (dy * ey) ** 2 + (dx * ex) ** 2))


@inlined
def _angle(az: float, ay: float, ax: float, bz: float, by: float, bx: float) -> float:
    """Angle between two directions; 0 if one has no length."""
    squares = (az * az + ay * ay + ax * ax) * (bz * bz + by * by + bx * bx)
    if squares < 1e-12:
        return 0.0
    return float(np.arccos(min(max((az * bz + ay * by + ax * bx) / np.sqrt(squares), -1.0), 1.0)))


@inlined
def _turned(grid: Grid, anchors: Anchors, anchor: int, z: float, y: float, x: float) -> float:
    """Angle that the way turns by, from the face on, that comes to a place straight from an anchor."""
    ez, ey, ex = grid.edge
    dz, dy, dx = z - anchors.place[anchor, 0], y - anchors.place[anchor, 1], x - anchors.place[anchor, 2]
    came = anchors.arrival
    return float(came[anchor, 3] + _angle(came[anchor, 0], came[anchor, 1], came[anchor, 2], dz * ez, dy * ey, dx * ex))


@inlined
def _arrive(grid: Grid, anchors: Anchors, from_: int, new: int) -> None:
    """Notes how the way comes from an anchor to a new one."""
    z, y, x = anchors.place[new, 0], anchors.place[new, 1], anchors.place[new, 2]
    ez, ey, ex = grid.edge
    dz, dy, dx = z - anchors.place[from_, 0], y - anchors.place[from_, 1], x - anchors.place[from_, 2]
    anchors.arrival[new, 3] = _turned(grid, anchors, from_, z, y, x)
    anchors.arrival[new, 0], anchors.arrival[new, 1], anchors.arrival[new, 2] = dz * ez, dy * ey, dx * ex
    if dz * dz + dy * dy + dx * dx < 1e-12:
        anchors.arrival[new, :3] = anchors.arrival[from_, :3]


@kept
def _add_turns(grid: Grid, length: Singles, owner: Indices, anchors: Anchors, turned: Array) -> None:
    """Adds the angles that the ways to the voxels of each layer turn by."""
    for voxel in range(len(length)):
        if owner[voxel] >= 0 and length[voxel] < np.inf:
            z, y, x = _place(grid, voxel)
            turned[voxel // grid.layer] += _turned(grid, anchors, owner[voxel], z, y, x)


@inlined
def _from_rim(grid: Grid, anchors: Anchors, anchor: int, z: float, y: float, x: float) -> int:
    """An anchor, or that at the rim beside it from which the way to a place is shorter."""
    if anchor + 1 >= len(anchors.rims):
        return anchor
    best, least = anchor, _along(grid, anchors, anchor, z, y, x)
    for rim in range(anchors.rims[anchor], anchors.rims[anchor + 1]):
        length = _along(grid, anchors, rim, z, y, x)
        if length < least:
            best, least = rim, length
    return best


@inlined
def _looks(grid: Grid, anchors: Anchors, anchor: int, z: float, y: float, x: float, deepest: Array) -> float:
    """Largest solidness between an anchor and a place."""
    return sight(
        grid, anchors.place[anchor, 0], anchors.place[anchor, 1], anchors.place[anchor, 2], z, y, x, OPEN, deepest
    )


@inlined
def _between(grid: Grid, length: Singles, owner: Indices, anchors: Anchors, voxel: int, anchor: int) -> bool:
    """Whether all neighbours of a voxel on the side of an anchor see it: then so does the voxel behind them."""
    z, y, x = _place(grid, voxel)
    for side in range(3):
        off, dz, dy, dx, _ = _beside(grid, side)
        apart = -(
            dz * (z - anchors.place[anchor, 0])
            + dy * (y - anchors.place[anchor, 1])
            + dx * (x - anchors.place[anchor, 2])
        )
        if abs(apart) < 0.01 or (side == 0 and z < 1.5):
            continue
        if apart < 0:
            off, dz, dy, dx = -off, -dz, -dy, -dx
        near = voxel + off
        if owner[near] == anchor:
            continue
        if owner[near] < 0:
            return False
        if abs(length[near] - _along(grid, anchors, anchor, z + dz, y + dy, x + dx)) > SAME:
            return False
    return True


@compiled
def _make_sure(
    voxel: int,
    grid: Grid,
    length: Singles,
    owner: Indices,
    anchors: Anchors,
    count: int,
    deepest: Array,
    other: Array,
) -> int:
    """Whether a voxel sees its anchor; if not, its way bends at the wall, or it has the anchor of another neighbour.

    Returns:
        How many anchors there are.
    """
    first = -2 - owner[voxel]
    z, y, x = _place(grid, voxel)
    if _between(grid, length, owner, anchors, voxel, first) or _looks(grid, anchors, first, z, y, x, deepest) <= OPEN:
        owner[voxel] = first
        return count
    # Straight from a neighbour is always possible.
    best, best_side = np.inf, 0
    costs, owners = np.full(6, np.inf), np.empty(6, np.int64)
    for side in range(6):
        off, dz, dy, dx, edge = _beside(grid, side)
        theirs = owner[voxel + off]
        if theirs < 0:
            continue
        theirs = _from_rim(grid, anchors, theirs, z, y, x)
        if length[voxel + off] + edge < best:
            best, best_side = length[voxel + off] + edge, side
        known = theirs == first
        for known_side in range(side):
            known = known or (costs[known_side] < np.inf and owners[known_side] == theirs)
        if not known:
            costs[side], owners[side] = _along(grid, anchors, theirs, z, y, x), theirs
    chosen = NONE
    cost = _bend(grid, anchors, first, count, z, y, x, best, deepest, other)
    if cost < best:
        best, chosen = cost, count
    for attempt in range(6):
        side = int(np.argmin(costs))
        if costs[side] >= best - GAIN:
            break
        if _looks(grid, anchors, owners[side], z, y, x, deepest) <= OPEN:
            best, chosen = costs[side], owners[side]
            break
        if attempt == 0:
            cost = _bend(grid, anchors, owners[side], count, z, y, x, best, deepest, other)
            if cost < best:
                best, chosen = cost, count
        costs[side] = np.inf
    off, dz, dy, dx, edge = _beside(grid, best_side)
    if chosen == NONE:
        cost = _around(grid, anchors, owner[voxel + off], count, z, y, x, dz, dy, dx, best, deepest, other)
        if cost < best:
            best, chosen = cost, count
    if chosen == NONE:
        anchors.place[count, 0], anchors.place[count, 1], anchors.place[count, 2] = z + dz, y + dy, x + dx
        anchors.place[count, 3] = best - edge
        _arrive(grid, anchors, owner[voxel + off], count)
        chosen = count
    length[voxel], owner[voxel] = best, chosen
    return count + 1 if chosen == count else count


@compiled
def _bend(
    grid: Grid,
    anchors: Anchors,
    anchor: int,
    new: int,
    z: float,
    y: float,
    x: float,
    best: float,
    bend: Array,
    other: Array,
) -> float:
    """Length of the way from an anchor that bends at the wall in between; it becomes a new anchor if it is shorter.

    Returns:
        Infinity if it is not shorter than the best, or leads through walls.
    """
    if not onto_wall(grid, bend):
        return np.inf
    bz, by, bx = bend[0], bend[1], bend[2]
    ez, ey, ex = grid.edge
    until = _along(grid, anchors, anchor, bz, by, bx)
    cost = until + np.sqrt(((z - bz) * ez) ** 2 + ((y - by) * ey) ** 2 + ((x - bx) * ex) ** 2)
    if cost >= best - GAIN or sight(grid, bz, by, bx, z, y, x, LEG, other) > LEG:
        return np.inf
    az, ay, ax = anchors.place[anchor, 0], anchors.place[anchor, 1], anchors.place[anchor, 2]
    if sight(grid, az, ay, ax, bz, by, bx, LEG, other) > LEG:
        return np.inf
    anchors.place[new, 0], anchors.place[new, 1], anchors.place[new, 2], anchors.place[new, 3] = bz, by, bx, until
    _arrive(grid, anchors, anchor, new)
    return float(cost)


@compiled
def _around(
    grid: Grid,
    anchors: Anchors,
    anchor: int,
    new: int,
    z: float,
    y: float,
    x: float,
    dz: float,
    dy: float,
    dx: float,
    best: float,
    bend: Array,
    other: Array,
) -> float:
    """The same around edges, where the wall's normal does not lead to where the way bends.

    The string is turned from the neighbour, a step from the place, that sees the anchor, until it meets the wall; then
    from where it does, until it reaches the place.
    """
    az, ay, ax, until = anchors.place[anchor]
    cz, cy, cx, turned = anchors.arrival[anchor]
    ez, ey, ex = grid.edge
    for _ in range(EDGES):
        if not grazed(grid, az, ay, ax, z, y, x, dz, dy, dx, bend):
            break
        bz, by, bx = bend[0], bend[1], bend[2]
        until += np.sqrt(((bz - az) * ez) ** 2 + ((by - ay) * ey) ** 2 + ((bx - ax) * ex) ** 2)
        turned += _angle(cz, cy, cx, (bz - az) * ez, (by - ay) * ey, (bx - ax) * ex)
        cz, cy, cx = (bz - az) * ez, (by - ay) * ey, (bx - ax) * ex
        cost = until + np.sqrt(((z - bz) * ez) ** 2 + ((y - by) * ey) ** 2 + ((x - bx) * ex) ** 2)
        if cost >= best - GAIN or sight(grid, az, ay, ax, bz, by, bx, LEG, other) > LEG:
            break
        if sight(grid, bz, by, bx, z, y, x, LEG, other) <= LEG:
            anchors.place[new, 0], anchors.place[new, 1], anchors.place[new, 2] = bz, by, bx
            anchors.place[new, 3] = until
            anchors.arrival[new, 0], anchors.arrival[new, 1], anchors.arrival[new, 2] = cz, cy, cx
            anchors.arrival[new, 3] = turned
            return float(cost)
        az, ay, ax = bz, by, bx
    return np.inf


@inlined
def _hand_on(
    voxel: int,
    grid: Grid,
    length: Singles,
    owner: Indices,
    waiting: Flags,
    anchors: Anchors,
    queue: Numbers,
    many: int,
    other: Array,
) -> int:
    """Offers the anchor of a voxel to its neighbours.

    Returns:
        How many voxels of the queue there are.
    """
    mine = owner[voxel]
    z, y, x = _place(grid, voxel)
    for side in range(6):
        off, dz, dy, dx, edge = _beside(grid, side)
        to = voxel + off
        if length[voxel] - edge >= length[to] - GAIN or owner[to] == mine:
            continue
        anchor = _from_rim(grid, anchors, mine, z + dz, y + dy, x + dx)
        cost = _along(grid, anchors, anchor, z + dz, y + dy, x + dx)
        if cost >= length[to] - GAIN:
            continue
        if owner[to] < 0:
            owner[to] = -2 - anchor
        elif _looks(grid, anchors, anchor, z + dz, y + dy, x + dx, other) > OPEN:
            continue  # what is sure is not given up for what is not
        else:
            owner[to] = anchor
        length[to] = cost
        if not waiting[to]:
            waiting[to] = True
            queue[many] = to
            many += 1
    return many
