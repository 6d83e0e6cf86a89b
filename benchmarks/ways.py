"""Errors of the lengths of ways in channels at random places and directions, and around balls, against exact lengths.

    runtime/run python3 benchmarks/ways.py [placings] [kind ...]

Kinds: straight, bent, helical, ball; all by default, each with 200 placings in voxels 1:1:1, 1:1:2 and 1:2:3, whose
edges lie along the axes in any order. Lengths are in the longest edges. Widths are 3 to 12, and walls are smoothed, so
that what is left is what voxels leave open of where walls are. The table of docs/explained/analysis.md is from here.
"""

import sys
from typing import NamedTuple

import numpy as np
from scipy.spatial import cKDTree

from microlith.imaging.ways.front import taut_lengths
from microlith.imaging.ways.walls import solidness

RATIOS = (1, 1, 1), (1, 1, 2), (1, 2, 3)
DEPTH = 40.0  # of straight channels
BEND, SEEN = 160.0, 130.0  # degrees of bent channels, and where their lengths are looked at
NEAR_AXIS = 0.8  # places as near to a channel's middle are looked at


class Placing(NamedTuple):
    """What was found in one channel."""

    errors: np.ndarray  # (n,) relative, of single voxels; of helical channels one, of the rise
    width: float
    inner: float  # radius of the bend, infinite where there is none


def axes(size, voxel):
    """Coordinates of voxels' centres along each axis, in a box of some size at least."""
    counts = (int(np.ceil(s / h)) for s, h in zip(size, voxel, strict=True))
    return np.meshgrid(*((np.arange(n) + 0.5) * h for n, h in zip(counts, voxel, strict=True)), indexing="ij")


def lengths(inside, voxel):
    """Of the ways to each voxel of a set from the first layer's outer face."""
    return taut_lengths(inside, solidness(inside), tuple(float(h) for h in voxel))


def straight(rng, voxel):
    """A round channel that leads into the face at up to 64 degrees: a straight line from its rim."""
    coarse, width = voxel.max(), rng.uniform(3, 12)
    radius, tilt, azimuth = width / 2 * coarse, np.radians(rng.uniform(0, 64)), rng.uniform(0, 2 * np.pi)
    aside = np.array([np.sin(azimuth), np.cos(azimuth)])
    way, room = aside * np.tan(tilt) * DEPTH * coarse, radius / np.cos(tilt) + 2 * coarse
    z, y, x = axes((DEPTH * coarse, *(np.abs(way) + 2 * room)), voxel)
    dy, dx = room - np.minimum(way, 0) + rng.uniform(-0.5, 0.5, 2) * voxel[1:]
    y, x = y - dy, x - dx
    along = z * np.cos(tilt) + (y * aside[0] + x * aside[1]) * np.sin(tilt)
    apart = np.sqrt(np.maximum(z**2 + y**2 + x**2 - along**2, 0))
    found = lengths(apart < radius, voxel)
    core = (apart < NEAR_AXIS * coarse) & (z > 0.8 * DEPTH * coarse)
    turn = np.linspace(0, 2 * np.pi, 721)
    rim = np.outer(np.cos(turn), radius / np.cos(tilt) * aside) + np.outer(np.sin(turn), radius * aside[::-1] * (-1, 1))
    far = ((y[core][:, None] - rim[:, 0]) ** 2 + (x[core][:, None] - rim[:, 1]) ** 2).min(axis=1)
    up, over = np.hypot(y[core], x[core]), y[core] * aside[0] + x[core] * aside[1]
    above = (over * np.cos(tilt)) ** 2 + up**2 - over**2 < radius**2
    return Placing(found[core] / np.sqrt(z[core] ** 2 + np.where(above, 0, far)) - 1, width, np.inf)


def bent(rng, voxel):
    """A channel straight down and then along an arc, round or with plane sides: a line, an arc of its wall, a line."""
    coarse, width, inner, azimuth = voxel.max(), rng.uniform(3, 12), rng.uniform(4, 20), rng.uniform(0, 2 * np.pi)
    wide, radius, arm, is_round = width * coarse, inner * coarse, 8 * coarse, rng.random() < 0.5
    aside = np.array([np.sin(azimuth), np.cos(azimuth)])
    thick = wide / 2 if is_round else 3 * coarse
    room = (radius + wide) * np.abs(aside) + thick * np.abs(aside[::-1]) + 2 * coarse
    z, y, x = axes((arm + radius + wide + 2 * coarse, *(2 * room)), voxel)
    dz, dy, dx = rng.uniform(-0.5, 0.5, 3) * voxel
    y, x, until = y - room[0] - dy, x - room[1] - dx, arm + dz
    over, beside = y * aside[0] + x * aside[1], x * aside[0] - y * aside[1]
    apart = np.where(z < until, np.abs(over), np.hypot(z - until, over))
    angle = np.where(z > until, np.arctan2(z - until, -over), np.where(over < 0, 0, np.pi))
    off = apart - radius - wide / 2
    inside = np.hypot(off, beside) < wide / 2 if is_round else (np.abs(off) < wide / 2) & (np.abs(beside) < thick)
    found = lengths(inside & (angle < np.radians(BEND)), voxel)
    core = (np.abs(angle - np.radians(SEEN)) < 0.1) & inside & (np.abs(beside) < NEAR_AXIS * coarse)
    core &= (np.abs(off) < NEAR_AXIS * coarse) | (not is_round)
    line = np.sqrt(apart[core] ** 2 - radius**2)
    exact = until + radius * (angle[core] - np.arccos(radius / apart[core])) + line
    return Placing(found[core] / exact - 1, width, inner)


def helical(rng, voxel):
    """A round channel along a helix: how the length rises, against the helix on its inner side."""
    coarse, width, inner = voxel.max(), rng.uniform(3, 12), rng.uniform(3, 12)
    radius = width / 2 * coarse
    axis = inner * coarse + radius
    lead = max(rng.uniform(24, 48) * coarse, 3.2 * radius + 6 * coarse) / (2 * np.pi)
    first = radius * np.hypot(axis, lead) / (lead * axis) + 2 * np.arccos(inner * coarse / axis)  # away from the rim
    long = (first + 1.6 * np.pi) * lead + radius
    wide = 2 * (axis + radius) + 4 * coarse
    place = np.stack(axes((long, wide, wide), voxel), axis=-1)
    dy, dx = wide / 2 + rng.uniform(-0.5, 0.5, 2) * voxel[1:]
    start, hand = rng.uniform(0, 2 * np.pi), rng.choice([-1, 1])
    turn = np.linspace(-0.6 * np.pi, long / lead + 0.6 * np.pi, 4000)
    across = dy + axis * np.sin(hand * turn + start), dx + axis * np.cos(hand * turn + start)
    line = cKDTree(np.stack([turn * lead, *across], axis=1))
    apart = line.query(place.reshape(-1, 3), distance_upper_bound=radius)[0].reshape(place.shape[:3])
    found, z = lengths(apart < radius, voxel), place[..., 0]
    core = (apart < NEAR_AXIS * coarse) & (z > first * lead) & (z < long - radius)
    rise = np.polyfit(z[core], found[core], 1)[0]
    return Placing(np.array([rise / (np.hypot(inner * coarse, lead) / lead) - 1]), width, inner)


def ball(rng, voxel):
    """In the shadow of a ball, more than a voxel from it: a line, an arc on it, a line."""
    coarse, inner = voxel.max(), rng.uniform(5, 12)
    radius = inner * coarse
    size = np.full(3, 2 * radius + 14 * coarse)
    z, y, x = axes(size, voxel)
    middle = size / 2 + rng.uniform(-0.5, 0.5, 3) * voxel - (2 * coarse, 0, 0)
    away, aside = z - middle[0], np.hypot(y - middle[1], x - middle[2])
    far = np.hypot(away, aside)
    found = lengths(far > radius, voxel)
    arc = np.arctan2(away, aside) - np.arccos(np.minimum(radius / far, 1))
    seen = (arc > 0) & (far > radius + coarse) & (away > 0) & (aside < 0.9 * radius)
    exact = middle[0] + radius * arc[seen] + np.sqrt(far[seen] ** 2 - radius**2)
    return Placing(found[seen] / exact - 1, np.nan, inner)


KINDS = {"straight": straight, "bent": bent, "helical": helical, "ball": ball}


def told(name, placings):
    """Prints what the placings of a kind show, per cent."""
    mean = 100 * np.array([one.errors.mean() for one in placings])
    worst = 100 * max(np.abs(one.errors).max() for one in placings)
    print(
        f"{name:32} {len(mean):4} {mean.min():+6.2f} {mean.max():+6.2f} {mean.mean():+6.2f} {mean.std():5.2f} "
        f"{np.count_nonzero(np.abs(mean) > 1):4} {worst:6.2f}",
        flush=True,
    )


def main(count=200, *kinds):
    """Makes and measures all placings."""
    print("kind, voxels, inner radius: placings, least, most, mean, deviation / %, above 1 %, worst voxel / %")
    for kind in kinds or KINDS:
        for ratio in RATIOS:
            seeds = (np.random.default_rng([seed, list(KINDS).index(kind)]) for seed in range(int(count)))
            placings = [KINDS[kind](rng, np.array(rng.permutation(ratio), float)) for rng in seeds]
            name = f"{kind} {':'.join(map(str, ratio))}"
            told(name, placings)
            if kind in ("bent", "helical"):
                for words, some in (("below 6", lambda one: one.inner < 6), ("6 and more", lambda one: one.inner >= 6)):
                    told(f"{name}, {words}", [one for one in placings if some(one)])


if __name__ == "__main__":
    main(*sys.argv[1:])
