"""How bright what is seen in a voxel is: solids as such, pores by what is behind them and how far behind.

States of a voxel, with n solids and a depth of d slices: 0 to n - 1 are the solids; n + (k - 1) n + i is a pore whose
nearest solid behind, k slices on, is solid i; the last one, n (d + 1), is a pore with nothing within the depth.
"""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from microlith.imaging.typing import Array, Flags, Indices, Numbers, Phases, Singles

FEWEST = 30  # voxels from which the brightness of a state is taken
ENOUGH = 100  # voxels from which the brightness of a pore counts more than what pores before other solids say
FAR = 3, 6  # slices before a solid from which the brightness just before it follows
FALLS = 0.4, 1.0  # between which it falls from slice to slice
NEAR = 4  # slices before a solid, by which it is told whether labels let it begin too late
LATE = 0.12  # share by which brightness falls less from a solid to pores just before it than from slice to slice
ALIKE = 0.6  # of one of these shares, that the next is at least
CLEAN = 0.01  # of the range of brightness: noise of an image that has none, so that other labels are not impossible
LEAST_SPREAD = 0.5  # of the usual variance: of no state less is taken


@dataclass(frozen=True, eq=False)
class States:
    """The states of voxels."""

    phases: int
    clear: int  # index of the phase through which deeper slices shine
    depth: int  # slices behind a voxel of it that are looked at

    @property
    def solids(self) -> tuple[int, ...]:
        """Indices of the other phases."""
        return tuple(k for k in range(self.phases) if k != self.clear)

    @property
    def count(self) -> int:
        """How many states there are."""
        return (self.phases - 1) * (self.depth + 1) + 1

    @property
    def phase(self) -> Phases:
        """(states,) index of the phase of each."""
        found = np.full(self.count, self.clear, np.uint8)
        found[: self.phases - 1] = self.solids
        return found

    def of(self, labels: Phases, layers: int) -> Indices:
        """States of the first layers of a block.

        Args:
            labels: (z, y, x) phases of these layers and of those behind them, by the depth of the states.
            layers: How many.

        Returns:
            (layers, y, x).
        """
        n = self.phases - 1
        solid = np.zeros(self.phases, np.int32)
        solid[list(self.solids)] = np.arange(n)
        found = np.empty((layers, *labels.shape[1:]), np.int32)
        away = np.full(labels.shape[1:], self.depth + 1, np.int32)
        behind = np.zeros(labels.shape[1:], np.int32)
        for z in range(len(labels) - 1, -1, -1):
            clear, own = labels[z] == self.clear, solid[labels[z]]
            if z < layers:
                seen = np.where(away <= self.depth, n * away + behind, self.count - 1)
                found[z] = np.where(clear, seen, own)
            away = np.where(clear, np.minimum(away + 1, self.depth + 1), 1)
            behind = np.where(clear, behind, own)
        return found


@dataclass(frozen=True, eq=False)
class Appearance:
    """Grey values of the states."""

    mean: Array  # (states,)
    variance: Array  # (states,)
    voxels: Numbers  # (states,) from which they are taken; of those with fewer than FEWEST they are those of others


def sums_of(grey: Singles, state: Indices, inner: Flags, states: int) -> Array:
    """Number, sum and sum of squares of the grey values of each state in a slice.

    Args:
        grey: (y, x).
        state: (y, x).
        inner: (y, x) voxels that are counted.
        states: How many there are.

    Returns:
        (3, states).
    """
    own, values = state[inner], grey[inner].astype(np.float64)
    return np.stack([np.bincount(own, weights, states) for weights in (np.ones_like(values), values, values**2)])


def appearance(sums: Array, states: States, as_seen: Collection[int] = ()) -> Appearance | None:
    """Grey values of the states.

    Args:
        sums: (3, states) as of `sums_of`, of all slices.
        states: The states.
        as_seen: Numbers of solids before which pores are as bright as they are seen, however bright farther ones are.

    Returns:
        Those of which there are few voxels look like those one slice nearer to the solid, and these like the solid;
        None: there are too few voxels of a solid or of pores to tell.
    """
    n, count = states.phases - 1, sums[0].astype(np.int64)
    if (count[:n] < FEWEST).any() or count[n:].max() < FEWEST:
        return None
    mean = sums[1] / np.maximum(count, 1)
    variance = np.maximum(sums[2] / np.maximum(count, 1) - mean**2, 0.0)
    for state in range(n, states.count - 1):
        if count[state] < FEWEST:
            mean[state], variance[state] = mean[state - n], variance[state - n]
    if count[-1] < FEWEST:  # what is farthest from all solids
        seen = np.flatnonzero(count[n:-1] >= FEWEST) + n
        mean[-1], variance[-1] = mean[seen[-1]], variance[seen[-1]]
    for solid in set(range(n)).difference(as_seen):
        _near(mean, count, solid, n)
    _shared(mean, count, states)
    usual = max(float(np.median(variance[count >= FEWEST])), (CLEAN * float(np.ptp(mean))) ** 2)
    return Appearance(mean, np.maximum(variance, LEAST_SPREAD * usual), count)


def late_solids(looks: Appearance, states: States) -> list[int]:
    """Solids that labels let begin a slice too late: where their first slice is taken for pores just before them.

    What shines through falls by equal shares from slice to slice, or more from a solid itself to pores just before it.
    If it falls less there, these pores are the solid itself, seen as it is, for one part, and the labels have no reason
    to leave it: pores as bright as the solid are no worse explanation. The pores before them are then those just before
    the solid, from which it falls on by about the share that it has fallen to.

    Args:
        looks: What states look like.
        states: The states.

    Returns:
        Numbers of the solids.
    """
    n, found = states.phases - 1, []
    for solid in range(n):
        place = np.arange(1, NEAR + 1) * n + solid
        if place[-1] >= states.count - 1 or (looks.voxels[place] < ENOUGH).any():
            continue
        full = looks.mean[solid] - looks.mean[-1]
        over = (looks.mean[place] - looks.mean[-1]) / full if full else np.zeros(NEAR)
        if not (over[:-1] > 0).all():
            continue
        fall = (over[1:] @ over[:-1]) / (over[:-1] @ over[:-1])
        if over[0] > fall + LATE and over[2] > ALIKE * over[1] ** 2:
            found.append(solid)
    return found


def _near(mean: Array, count: Numbers, solid: int, n: int) -> None:
    """Brightness of pores just before a solid, as that farther away falls: where it is nearly as bright as the solid.

    Of such pores only those count that noise has made darker; the others are taken for the solid. What is farther away
    is told from it.

    Args:
        mean: (states,) changes.
        count: (states,) voxels.
        solid: Which one.
        n: How many there are.
    """
    far = np.arange(FAR[0], FAR[1] + 1) * n + solid
    if far[-1] >= len(mean) - 1 or (count[far] < FEWEST).any():
        return
    sign = np.sign(mean[solid] - mean[-1])
    over = sign * (mean[far] - mean[-1])
    if (over <= 0).any():
        return
    fall = float(np.clip((over[1:] @ over[:-1]) / (over[:-1] @ over[:-1]), *FALLS))
    full = sign * (mean[solid] - mean[-1])
    for away in range(FAR[0] - 1, 0, -1):
        state = away * n + solid
        ahead = sign * (mean[state + n] - mean[-1]) / fall
        mean[state] = mean[-1] + sign * max(sign * (mean[state] - mean[-1]), min(ahead, full))


def _shared(mean: Array, count: Numbers, states: States) -> None:
    """Brightness of pores of which there are few voxels, as solids shine through them by the same shares.

    Of the difference between a solid and an empty pore, a share comes through the slices between. That of all solids,
    weighted by their voxels, stands in where there are few. A solid that is hardly ever seen just behind a pore is left
    out, as its pores then look like itself (see `appearance`).

    Args:
        mean: (states,) changes.
        count: (states,) voxels.
        states: The states.
    """
    n = states.phases - 1
    seen, voxels = mean[n:-1].reshape(-1, n), count[n:-1].reshape(-1, n)
    full = mean[:n] - mean[-1]
    weight = voxels * full**2
    known = (voxels.sum(axis=1) >= FEWEST) & (weight.sum(axis=1) > 0)
    if not known.any():
        return
    through = (voxels * full * (seen - mean[-1])).sum(axis=1)[known] / weight.sum(axis=1)[known]
    nearest = np.maximum(np.searchsorted(np.flatnonzero(known), np.arange(len(seen)), side="right") - 1, 0)
    by_all = mean[-1] + through[nearest][:, None] * full
    own = np.where(voxels < FEWEST, 0.0, voxels / (voxels + ENOUGH))
    own = np.where(voxels[0] < FEWEST, 1.0, own)
    mean[n:-1] = (own * seen + (1 - own) * by_all).ravel()
