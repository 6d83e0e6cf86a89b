"""What pixels leave open of the length around a bend in 2D, beside what is found.

    runtime/run python3 benchmarks/bends_left_open.py [placings]

The wall on the inner side of a bend may lie anywhere between the pixels on its sides, if its curvature is between half
and one and a half times that of the circle. To first order its distance from the circle is the solution of a linear
program, whose objective is the length around it. The table of docs/explained/analysis.md is from here.
"""

import sys

import numpy as np
from scipy.optimize import linprog

from microlith.imaging.ways.front import taut_lengths
from microlith.imaging.ways.walls import solidness

WIDE, ARM = 6.0, 6.0  # pixels of the channel, and of the straight part before the bend
SEEN, END, BEYOND = np.radians(130), np.radians(150), 0.5  # places looked at, end of the wall, share of the curvature
REACH = 1.6  # pixels from the circle that may limit the wall


def bend(radius, shift):
    """Length around a bend, the relative error of what is found, and the least and most that pixels leave open."""
    arm, middle = ARM + shift[0], radius + WIDE + 3 + shift[1]
    shape = int(arm + radius + WIDE + 3), int(2 * (radius + WIDE) + 6)
    z, x = np.meshgrid(*(np.arange(n) + 0.5 for n in shape), indexing="ij")
    apart = np.where(z < arm, np.abs(x - middle), np.hypot(z - arm, x - middle))
    angle = np.arctan2(z - arm, middle - x)
    inside = (apart > radius) & (apart < radius + WIDE) & ((z > arm) | (x < middle))
    found = taut_lengths(inside[:, None], solidness(inside[:, None]), (1.0, 1.0, 1.0))[:, 0]
    seen = inside & (z > arm + 1) & (np.abs(angle - SEEN) < 0.15) & (np.abs(apart - radius - WIDE / 2) < WIDE / 4)
    exact = arm + radius * (angle - np.arccos(np.minimum(1, radius / apart)))
    exact = exact[seen] + np.sqrt(apart[seen] ** 2 - radius**2)

    count = 151
    step = END / (count - 1)
    rows, limits = [], []
    near = (np.abs(apart - radius) < REACH) & (angle <= END) & ((z >= arm) | (x < middle))
    for far, at in zip(apart[near], np.maximum(angle[near], 0) / step, strict=True):
        k = min(int(at), count - 2)
        row = np.zeros(count)
        row[k], row[k + 1] = 1 - (at - k), at - k
        sign = 1 if far > radius else -1  # open pixels are beyond the wall, solid ones before it
        rows.append(sign * row)
        limits.append(sign * (far - radius))
    for k in range(count):
        row = np.zeros(count)
        row[k] = 1 - 2 / step**2
        row[min(k + 1, count - 1)] += 1 / step**2
        row[abs(k - 1)] += 1 / step**2  # the wall goes straight on before the bend
        if k < count - 1:
            rows += [row, -row]
            limits += [BEYOND * radius] * 2
    length = np.where(np.arange(count) * step <= SEEN - np.arccos(radius / (radius + WIDE / 2)), step, 0.0)
    length[0] /= 2
    least, most = (linprog(sign * length, np.array(rows), limits, bounds=(-2, 2)).fun * sign for sign in (1, -1))
    whole = exact.mean()
    return whole, (found[seen] / exact).mean() - 1, least / whole, most / whole


def main(placings=20):
    """Prints a line for each radius, per cent."""
    print("inner radius; half of the range, mean and most; middle of it; found; found outside the range")
    rng = np.random.default_rng(5)
    for radius in (3, 4, 5, 6, 8, 10, 15):
        found = np.array([bend(radius, rng.uniform(-0.5, 0.5, 2))[1:] for _ in range(int(placings))])
        error, least, most = 100 * found.T
        half, middle = (most - least) / 2, (most + least) / 2
        print(
            f"{radius:3} {half.mean():5.2f} {half.max():5.2f}  {middle.mean():+.2f} ± {middle.std():.2f}  "
            f"{error.mean():+.2f} ± {error.std():.2f}  {np.count_nonzero((error < least) | (error > most))}",
            flush=True,
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
