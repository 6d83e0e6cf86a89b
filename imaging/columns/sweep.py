"""How probable the labels of a column of voxels are, given those of the columns beside it.

What is behind a voxel depends on the next one only, so the sums over all labels of a column are found exactly, going
through it from its end and back (Baum, Petrie, Soules and Weiss 1970).
"""

import numpy as np

from microlith.imaging.parallel.compiled import compiled, kept
from microlith.imaging.typing import Array, Indices, Phases, Singles

FAR = np.float32(1e30)
SURE = np.float32(255.0)  # a probability of 1, as it is stored
EXPONENT = np.float32(500.0)  # that all states of a pore of most slices may have together
CORNER = np.float32(0.7071)  # weight of a neighbour across an edge; that of one across a face is 1


@compiled
def _costs(
    z: int, row: int, x: int, probable: Phases, seen: Singles, pull: Singles, phase: Phases, mean: Singles,
    weight: Singles, log: Singles, own: np.float32, bond: Singles, beside: Singles, cost: Singles,
) -> None:  # fmt: skip
    """What each state of a voxel costs by itself, into `cost` (states,); `beside` is (2, phases) of any values."""
    columns = seen.shape[2]
    beside[:] = 0
    for dy in range(-1, 2):
        for dx in range(-1, 2):
            if dy != 0 or dx != 0:
                near = (np.float32(1.0) if dy == 0 or dx == 0 else CORNER) / SURE
                there = min(max(x + dx, 0), columns - 1)
                for k in range(len(bond)):
                    beside[0, k] += near * np.float32(probable[k, z, row + 1 + dy, there])
    for p in range(len(bond)):
        for k in range(len(bond)):
            beside[1, p] += bond[p, k] * beside[0, k]
    now, force = seen[z, row, x], pull[z, row, x]
    for s in range(len(mean)):
        step = mean[s] - now
        misfit = own * step * step - np.float32(2.0) * step * force + force * force
        cost[s] = np.float32(0.5) * weight[s] * misfit + log[s] + beside[1, phase[s]]


@compiled
def _solids(phase: Phases) -> int:
    """How many of the states are solids."""
    solids = 0
    while phase[solids] != phase[-1]:
        solids += 1
    return solids


@compiled
def _behind(z: int, cost: Singles, phase: Phases, change: Singles, along: Singles) -> None:
    """Add to the costs of a voxel's states those of the best way on through the voxels behind it."""
    solids = _solids(phase)
    last = cost.shape[1] - 1
    clear = phase[last]
    clearest = FAR
    for s in range(solids, last + 1):
        clearest = min(clearest, along[z + 1, s])
    for s in range(solids):
        on = clearest + change[phase[s], clear]
        for p in range(solids):
            on = min(on, along[z + 1, p] + change[phase[s], phase[p]])
        along[z, s] = cost[z, s] + on
        along[z, solids + s] = cost[z, solids + s] + along[z + 1, s] + change[clear, phase[s]]
    for s in range(2 * solids, last):
        along[z, s] = cost[z, s] + along[z + 1, s - solids]
    on = along[z + 1, last]
    for p in range(last - solids, last):
        on = min(on, along[z + 1, p])
    along[z, last] = cost[z, last] + on


@compiled
def _column(
    row: int, x: int, probable: Phases, seen: Singles, pull: Singles, phase: Phases, mean: Singles, weight: Singles,
    log: Singles, own: np.float32, bond: Singles, change: Singles, beside: Singles, cost: Singles, along: Singles,
) -> None:  # fmt: skip
    """What each state of a column's voxels costs, into `cost`, and with the best way on behind it, into `along`."""
    last = len(cost) - 1
    for z in range(last, -1, -1):
        _costs(z, row, x, probable, seen, pull, phase, mean, weight, log, own, bond, beside, cost[z])
        if z == last:
            along[z] = cost[z]
        else:
            _behind(z, cost, phase, change, along)


@compiled
def _ways_on(like: Array, phase: Phases, odds: Array, on: Array) -> None:
    """Sums over all ways on through the voxels behind each, per largest, into `on` (z, states).

    What is behind the last voxel is not known: pores there may be in any state, which count as one.
    """
    layers, count = like.shape
    solids = _solids(phase)
    last = count - 1
    clear = phase[last]
    for s in range(count):
        on[layers - 1, s] = 1.0 if s < solids else 1.0 / (count - solids)
    for z in range(layers - 2, -1, -1):
        pores = 0.0
        for s in range(solids, count):
            pores += like[z + 1, s] * on[z + 1, s]
        for s in range(solids):
            ways = pores * odds[phase[s], clear]
            for p in range(solids):
                ways += like[z + 1, p] * on[z + 1, p] * odds[phase[s], phase[p]]
            on[z, s] = ways
            on[z, solids + s] = like[z + 1, s] * on[z + 1, s] * odds[clear, phase[s]]
        for s in range(2 * solids, last):
            on[z, s] = like[z + 1, s - solids] * on[z + 1, s - solids]
        ways = like[z + 1, last] * on[z + 1, last]
        for p in range(last - solids, last):
            ways += like[z + 1, p] * on[z + 1, p]
        on[z, last] = ways
        largest = 0.0
        for s in range(count):
            largest = max(largest, on[z, s])
        scale = 1.0 / largest
        for s in range(count):
            on[z, s] *= scale


@compiled
def _step(ways: Array, phase: Phases, odds: Array, then: Array) -> None:
    """Sums over all ways to each state of the voxel behind, into `then` (states,), from those to this one's."""
    solids = _solids(phase)
    last = len(ways) - 1
    clear = phase[last]
    then[:] = 0.0
    for s in range(solids):
        for p in range(solids):
            then[p] += ways[s] * odds[phase[s], phase[p]]
        pore = ways[s] * odds[phase[s], clear]
        for p in range(solids, last + 1):
            then[p] += pore
        then[s] += ways[solids + s] * odds[clear, phase[s]]
    for s in range(2 * solids, last):
        then[s - solids] += ways[s]
    for s in range(last - solids, last + 1):
        then[s] += ways[last]


@kept
def sweep(
    probable: Phases, seen: Singles, state: Indices, pull: Singles, phase: Phases, mean: Singles, weight: Singles,
    log: Singles, own: np.float32, bond: Singles, change: Singles, first: int, start: int, apart: int,
) -> None:  # fmt: skip
    """Find the probabilities of some columns of some rows; the columns beside each are others.

    Args:
        probable: (phases, z, rows + 2, x) probability of each phase, in parts of 255, of some rows and the row before
            and behind them; those of the columns change.
        seen: (z, rows, x) brightness expected of a voxel; that of the columns changes.
        state: (z, rows, x) takes the most probable state of each voxel of the columns.
        pull: (z, rows, x) what the image has more than what is expected, as a voxel counts it.
        phase: (states,) of each state.
        mean: (states,) grey value of each state.
        weight: (states,) 1 per variance.
        log: (states,) half the logarithm of the variance.
        own: What a voxel's own grey value counts of its change, 1 without a blur.
        bond: (phases, phases) what a neighbour of another phase costs; 0 of the same.
        change: (phases, phases) what a change of phase along the column costs.
        first: First of the rows, among those without the one before.
        start: First of the columns.
        apart: How many there are from one to the next, at least 2.
    """
    layers, rows, columns = pull.shape
    count, solids = len(mean), _solids(phase)
    most = min(np.float32(40.0), EXPONENT * solids / np.float32(count))  # or long pores would have no probability
    odds = np.exp(-change.astype(np.float64))
    cost = np.empty(count, np.float32)
    beside = np.empty((2, len(bond)), np.float32)
    like = np.empty((layers, count))
    on = np.empty((layers, count))
    ways, then, share = np.empty(count), np.empty(count), np.empty(len(bond))
    for row in range(first, rows, apart):
        for x in range(start, columns, apart):
            for z in range(layers):
                _costs(z, row, x, probable, seen, pull, phase, mean, weight, log, own, bond, beside, cost)
                least = cost.min()
                for s in range(count):
                    like[z, s] = np.exp(-min(cost[s] - least, most))
            _ways_on(like, phase, odds, on)
            then[:] = 1.0
            for z in range(layers):
                share[:] = 0.0
                total, expected, best, largest, highest = 0.0, 0.0, 0, 0.0, 0.0
                for s in range(count):
                    ways[s] = then[s] * like[z, s]
                    highest = max(highest, ways[s])
                    part = ways[s] * on[z, s]
                    share[phase[s]] += part
                    expected += part * mean[s]
                    if part > largest:
                        best, largest = s, part
                for k in range(len(share)):
                    total += share[k]
                for k in range(len(share)):
                    probable[k, z, row + 1, x] = np.uint8(SURE * share[k] / total + 0.5)
                seen[z, row, x], state[z, row, x] = expected / total, best
                scale = 1.0 / highest
                for s in range(count):
                    ways[s] *= scale
                _step(ways, phase, odds, then)


@kept
def gaps(
    probable: Phases, seen: Singles, pull: Singles, phase: Phases, mean: Singles, weight: Singles, log: Singles,
    own: np.float32, bond: Singles, change: Singles, found: Singles,
) -> None:  # fmt: skip
    """How much more each phase of each voxel costs than the best, with the rest of its column as fits it best.

    Args:
        probable: As of `sweep`; stays.
        seen: As there; stays.
        pull: As there.
        phase: As there.
        mean: As there.
        weight: As there.
        log: As there.
        own: As there.
        bond: As there.
        change: As there.
        found: (phases, z, rows, x) takes it.
    """
    layers, rows, columns = pull.shape
    last = len(mean) - 1
    solids = _solids(phase)
    cost = np.empty((layers, last + 1), np.float32)
    along = np.empty_like(cost)
    before = np.empty_like(cost)
    beside = np.empty((2, len(bond)), np.float32)
    for row in range(rows):
        for x in range(columns):
            _column(row, x, probable, seen, pull, phase, mean, weight, log, own, bond, change, beside, cost, along)
            before[0] = 0
            for z in range(layers - 1):  # from the front: the best way to each state
                for t in range(last + 1):
                    way = FAR
                    for s in range(solids):
                        way = min(way, before[z, s] + cost[z, s] + change[phase[s], phase[t]])
                    if t < solids:
                        way = min(way, before[z, solids + t] + cost[z, solids + t] + change[phase[-1], phase[t]])
                    elif t + solids < last:
                        way = min(way, before[z, t + solids] + cost[z, t + solids])
                    else:
                        way = min(way, before[z, last] + cost[z, last])
                    before[z + 1, t] = way
            for z in range(layers):
                least = FAR
                for k in range(len(found)):
                    found[k, z, row, x] = FAR
                for s in range(last + 1):
                    total = before[z, s] + along[z, s]
                    least = min(least, total)
                    found[phase[s], z, row, x] = min(found[phase[s], z, row, x], total)
                for k in range(len(found)):
                    found[k, z, row, x] -= least
