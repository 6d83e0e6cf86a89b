"""The likeliest labels of a column of voxels, given those of the columns beside it (Viterbi 1967)."""

import numpy as np

from microlith.imaging.parallel.compiled import compiled, kept
from microlith.imaging.typing import Indices, Phases, Singles

FAR = np.float32(1e30)
CORNER = np.float32(0.7071)  # weight of a neighbour across an edge; that of one across a face is 1


@compiled
def _costs(
    z: int, row: int, x: int, state: Indices, pull: Singles, phase: Phases, mean: Singles, weight: Singles,
    log: Singles, own: np.float32, bond: Singles, beside: Singles, cost: Singles,
) -> None:  # fmt: skip
    """What each state of a voxel costs by itself, into `cost` (states,); `beside` is (2, phases) of any values."""
    columns = state.shape[2]
    beside[:] = 0
    for dy in range(-1, 2):
        for dx in range(-1, 2):
            if dy != 0 or dx != 0:
                there = phase[state[z, row + 1 + dy, min(max(x + dx, 0), columns - 1)]]
                beside[0, there] += np.float32(1.0) if dy == 0 or dx == 0 else CORNER
    for p in range(len(bond)):
        for k in range(len(bond)):
            beside[1, p] += bond[p, k] * beside[0, k]
    now, force = mean[state[z, row + 1, x]], pull[z, row, x]
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
def _next(s: int, z: int, phase: Phases, solids: int, change: Singles, along: Singles) -> int:
    """The state behind a state on the best way."""
    last = along.shape[1] - 1
    if solids <= s < last:
        return s - solids
    first = last - solids if s == last else 0  # of those that it can be, the last among them
    best = last
    for p in range(first, last):
        if along[z + 1, p] + change[phase[s], phase[p]] < along[z + 1, best] + change[phase[s], phase[best]]:
            best = p
    return best


@compiled
def _column(
    row: int, x: int, state: Indices, pull: Singles, phase: Phases, mean: Singles, weight: Singles, log: Singles,
    own: np.float32, bond: Singles, change: Singles, beside: Singles, cost: Singles, along: Singles,
) -> None:  # fmt: skip
    """What each state of a column's voxels costs, into `cost`, and with the best way on behind it, into `along`."""
    last = len(cost) - 1
    for z in range(last, -1, -1):
        _costs(z, row, x, state, pull, phase, mean, weight, log, own, bond, beside, cost[z])
        if z == last:
            along[z] = cost[z]
        else:
            _behind(z, cost, phase, change, along)


@kept
def sweep(
    state: Indices, pull: Singles, phase: Phases, mean: Singles, weight: Singles, log: Singles, own: np.float32,
    bond: Singles, change: Singles, first: int, odd: int,
) -> None:  # fmt: skip
    """Give every second column of every second row its likeliest states; the columns beside it are others.

    Args:
        state: (z, rows + 2, x) of some rows and the row before and behind them; those of the columns change.
        pull: (z, rows, x) what the image has more than what the states look like, as a voxel counts it.
        phase: (states,) of each state.
        mean: (states,) grey value of each state.
        weight: (states,) 1 per variance.
        log: (states,) half the logarithm of the variance.
        own: What a voxel's own grey value counts of its change, 1 without a blur.
        bond: (phases, phases) what a neighbour of another phase costs; 0 of the same.
        change: (phases, phases) what a change of phase along the column costs.
        first: Row of this parity, 0 or 1, among those without the one before.
        odd: The same of the columns.
    """
    layers, rows, columns = pull.shape
    solids = _solids(phase)
    cost = np.empty((layers, len(mean)), np.float32)
    along = np.empty_like(cost)
    beside = np.empty((2, len(bond)), np.float32)
    for row in range(first, rows, 2):
        for x in range(odd, columns, 2):
            _column(row, x, state, pull, phase, mean, weight, log, own, bond, change, beside, cost, along)
            s = int(np.argmin(along[0]))
            state[0, row + 1, x] = s
            for z in range(layers - 1):
                s = _next(s, z, phase, solids, change, along)
                state[z + 1, row + 1, x] = s


@kept
def gaps(
    state: Indices, pull: Singles, phase: Phases, mean: Singles, weight: Singles, log: Singles, own: np.float32,
    bond: Singles, change: Singles, found: Singles,
) -> None:  # fmt: skip
    """How much more each phase of each voxel costs than the best, with the rest of its column as fits it best.

    Args:
        state: As of `sweep`; stays.
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
            _column(row, x, state, pull, phase, mean, weight, log, own, bond, change, beside, cost, along)
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
