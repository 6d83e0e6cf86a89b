"""Radii that several balls have in common: then those of which voxels show little have them, too."""

import math
from dataclasses import dataclass

import numpy as np

from microlith.imaging.typing import Array, Flags

SPREAD = 0.3  # part of the radius over which radii that have nothing in common are spread
CHANCE = 1e-3  # that radii agree by chance, up to which they are taken to be the same
FEWEST = 2


@dataclass(frozen=True, eq=False)
class Common:
    """A radius that several balls have, longest edges."""

    of: Flags  # (phases,) those within these
    least: float
    most: float

    @property
    def radius(self) -> float:
        """The middle of what is possible."""
        return (self.least + self.most) / 2

    @property
    def gap(self) -> float:
        """Its standard error."""
        return (self.most - self.least) / math.sqrt(12)


def common_radii(of: Flags, ranges: Array) -> list[Common]:
    """Radii that lie in so many ranges (n, 2) that chance would not do it, one after the other."""
    out: list[Common] = []
    while len(ranges) >= FEWEST:
        starts = np.sort(ranges[:, 0])
        hits = ((ranges[:, 0] <= starts[:, None]) & (ranges[:, 1] >= starts[:, None])).sum(axis=1)
        place = starts[hits.argmax()]
        mine = (ranges[:, 0] <= place) & (ranges[:, 1] >= place)
        if mine.sum() < FEWEST:
            break
        least, most = ranges[mine, 0].max(), ranges[mine, 1].min()
        wide = np.sort((ranges[mine, 1] - ranges[mine, 0]) / (SPREAD * (least + most) / 2))[:-1]
        count, of_all = int(mine.sum()), len(ranges)
        choices = math.lgamma(of_all + 1) - math.lgamma(count + 1) - math.lgamma(of_all - count + 1)
        if choices + np.log(np.clip(wide, 1e-6, 1)).sum() > math.log(CHANCE):
            break
        out.append(Common(of, float(least), float(most)))
        ranges = ranges[~mine]
    return out
