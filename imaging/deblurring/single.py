"""What it costs to give a single voxel another label, all others as they are."""

import numpy as np

from microlith.imaging.parallel.compiled import compiled, kept
from microlith.imaging.typing import Phases, Singles

NONE, ALL = 255, 254  # in the place of a label that is barred


@compiled
def _costs(
    z: int, y: int, x: int, label: Phases, pull: Singles, mean: Singles, own: np.float32, bond: Singles, cost: Singles
) -> None:
    """How much each label of a voxel costs more than the one it has, into `cost` (phases,)."""
    cost[:] = 0
    now = label[z + 1, y + 1, x + 1]
    for dz in range(3):
        for dy in range(3):
            for dx in range(3):
                cost[label[z + dz, y + dy, x + dx]] -= bond[dz, dy, dx]
    kept_bonds = cost[now]
    for s in range(len(mean)):
        step = mean[s] - mean[now]
        cost[s] += np.float32(0.5) * own * step * step - step * pull[z, y, x] - kept_bonds


@kept
def gains(
    label: Phases, pull: Singles, mean: Singles, own: np.float32, bond: Singles, barred: Phases,
    best: Phases, gain: Singles,
) -> None:  # fmt: skip
    """The best label of each voxel, all others as they are.

    Args:
        label: (z + 2, y + 2, x + 2) with a voxel more on all sides.
        pull: (z, y, x) what the image has more than its model, as a voxel counts it, per variance of the noise.
        mean: (phases,) grey values.
        own: The squares of the blur's weights, per variance of the noise.
        bond: (3, 3, 3) what a neighbour of the same phase saves; 0 in the middle.
        barred: (z, y, x) the label that a voxel does not take, NONE, or ALL where it stays as it is.
        best: (z, y, x) takes the labels.
        gain: (z, y, x) takes what they cost more than those so far, at most 0.
    """
    cost = np.empty(len(mean), np.float32)
    layers, rows, columns = pull.shape
    for z in range(layers):
        for y in range(rows):
            for x in range(columns):
                now = label[z + 1, y + 1, x + 1]
                best[z, y, x], gain[z, y, x] = now, 0
                if barred[z, y, x] == ALL:
                    continue
                _costs(z, y, x, label, pull, mean, own, bond, cost)
                to, least = now, np.float32(0.0)
                for s in range(len(mean)):
                    if cost[s] < least and s != barred[z, y, x]:
                        to, least = s, cost[s]
                best[z, y, x] = to
                gain[z, y, x] = least


@kept
def parted(label: Phases, bond: Singles, found: Singles) -> None:
    """What neighbours of other phases cost, half of it at each of a pair.

    Args:
        label: As of `gains`.
        bond: As there.
        found: (z, y, x) takes it.
    """
    layers, rows, columns = label.shape
    for z in range(1, layers - 1):
        for y in range(1, rows - 1):
            for x in range(1, columns - 1):
                total = np.float32(0.0)
                for dz in range(3):
                    for dy in range(3):
                        for dx in range(3):
                            if label[z + dz - 1, y + dy - 1, x + dx - 1] != label[z, y, x]:
                                total += bond[dz, dy, dx]
                found[z - 1, y - 1, x - 1] = np.float32(0.5) * total


@kept
def accepted(label: Phases, best: Phases, gain: Singles, margins: tuple[int, int, int], new: Phases) -> None:
    """Change the voxels that gain more than any other within a box around them; of equal ones the first.

    Args:
        label: (z, y, x).
        best: (z, y, x) see `gains`.
        gain: As there.
        margins: (z, y, x) voxels from the middle of the box to its sides.
        new: (z, y, x) takes the labels.
    """
    layers, rows, columns = label.shape
    for z in range(layers):
        for y in range(rows):
            for x in range(columns):
                new[z, y, x] = label[z, y, x]
                own = gain[z, y, x]
                if own >= 0:
                    continue
                first = True
                for k in range(max(0, z - margins[0]), min(layers, z + margins[0] + 1)):
                    for j in range(max(0, y - margins[1]), min(rows, y + margins[1] + 1)):
                        for i in range(max(0, x - margins[2]), min(columns, x + margins[2] + 1)):
                            before = k < z or (k == z and (j < y or (j == y and i < x)))
                            if gain[k, j, i] < own or (before and gain[k, j, i] == own):
                                first = False
                if first:
                    new[z, y, x] = best[z, y, x]


@kept
def shifts(
    label: Phases, said: Phases, pull: Singles, mean: Singles, own: np.float32, bond: Singles, unit: np.float32,
    otherwise: np.float32, found: Phases,
) -> None:  # fmt: skip
    """From which shift on each voxel belongs to each phase, in whole hundredths, 100 at most; 0 to its own.

    Args:
        label: As of `gains`.
        said: (z, y, x) labels of the method before.
        pull: As of `gains`.
        mean: As there.
        own: As there.
        bond: As there.
        unit: Times what a label costs more, per squared contrast, makes a shift.
        otherwise: The largest shift to the label of the method before.
        found: (phases, z, y, x) takes the shifts; to a phase that no neighbour has it is 100.
    """
    cost = np.empty(len(mean), np.float32)
    near = np.empty(len(mean), np.bool_)
    layers, rows, columns = pull.shape
    for z in range(layers):
        for y in range(rows):
            for x in range(columns):
                now, before = label[z + 1, y + 1, x + 1], said[z, y, x]
                _costs(z, y, x, label, pull, mean, own, bond, cost)
                near[:] = False
                for dz in range(3):
                    for dy in range(3):
                        for dx in range(3):
                            near[label[z + dz, y + dy, x + dx]] = True
                for s in range(len(mean)):
                    shift = np.float32(0.0)
                    if s != now:
                        step = mean[s] - mean[now]
                        shift = max(cost[s], np.float32(0.0)) * unit / (step * step) if near[s] else np.float32(1.0)
                        if s == before:
                            shift = min(shift, otherwise)
                    found[s, z, y, x] = np.uint8(np.float32(100.0) * min(shift, np.float32(1.0)))
