"""Probabilities of the labels of voxels, given those of all others: mean field."""

from math import exp

import numpy as np

from microlith.imaging.parallel.compiled import kept
from microlith.imaging.typing import Phases, Singles

WHOLE = 255  # a probability of 1, as it is stored
STEPS = 40  # by Newton's method within bounds, at most, to the expected grey value
CLOSE = 1e-3  # contrasts, to which it is found


@kept
def softened(
    share: Phases, expected: Singles, pull: Singles, mean: Singles, own: np.float32, all_own: np.float32,
    bond: Singles, temperature: np.float32, found: Phases,
) -> None:  # fmt: skip
    """One round of all voxels at once.

    All change alongside, and the blur sums what they change: no more than if all changed alike, for which the blur is
    none. Counted so, no round goes too far: a voxel's expected grey value is the one at which its probabilities, with
    what that change costs, make this value.

    Args:
        share: (phases, z + 2, y + 2, x + 2) probabilities with a voxel more on all sides, of WHOLE.
        expected: (z, y, x) grey values, of these probabilities.
        pull: As of `gains`, for the expected grey values.
        mean: (phases,).
        own: The squares of the blur's weights, per variance of the noise.
        all_own: 1 per variance of the noise.
        bond: (3, 3, 3) what a neighbour surely of the same phase saves; 0 in the middle.
        temperature: In units of costs.
        found: (phases, z, y, x) takes the probabilities, of WHOLE.
    """
    phases = len(mean)
    cost, part = np.empty(phases, np.float32), np.empty(phases, np.float32)
    darkest, brightest = mean.min(), mean.max()
    layers, rows, columns = pull.shape
    for z in range(layers):
        for y in range(rows):
            for x in range(columns):
                begin = expected[z, y, x]
                for k in range(phases):
                    saved = np.float32(0.0)
                    for dz in range(3):
                        for dy in range(3):
                            for dx in range(3):
                                saved += bond[dz, dy, dx] * share[k, z + dz, y + dy, x + dx]
                    step = mean[k] - begin
                    cost[k] = np.float32(0.5) * own * step * step - step * pull[z, y, x] - saved / np.float32(WHOLE)
                low, high, now, total = darkest, brightest, begin, np.float32(1.0)
                for _ in range(STEPS):
                    least = np.float32(np.inf)
                    for k in range(phases):
                        part[k] = cost[k] + (all_own - own) * (now - begin) * mean[k]
                        least = min(least, part[k])
                    total, first, second = np.float32(0.0), np.float32(0.0), np.float32(0.0)
                    for k in range(phases):
                        part[k] = exp((least - part[k]) / temperature)
                        total += part[k]
                        first += part[k] * mean[k]
                        second += part[k] * mean[k] * mean[k]
                    first, second = first / total, second / total
                    left = first - now
                    if abs(left) < CLOSE:
                        break
                    if left > 0:
                        low = now
                    else:
                        high = now
                    now += left / (1 + (all_own - own) / temperature * (second - first * first))
                    if now <= low or now >= high:
                        now = np.float32(0.5) * (low + high)
                for k in range(phases):
                    found[k, z, y, x] = np.uint8(WHOLE * part[k] / total + np.float32(0.5))
