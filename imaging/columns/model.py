"""What the image looks like, given the labels: brightness of the states, blur within slices, noise, and bonds."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from math import ceil, sqrt

import numpy as np

from microlith.imaging.columns.appearance import CLEAN, Appearance, States, appearance, sums_of
from microlith.imaging.columns.through import LEAST_CONTRAST, away_from_others
from microlith.imaging.columns.volumes import Volumes
from microlith.imaging.deblurring.gaussian import blurred, weights
from microlith.imaging.typing import Array, Singles
from microlith.imaging.volumes.disk_volumes import Layers, Workshop

WIDTHS = np.arange(0.2, 2.05, 0.1)  # voxels, standard deviations of the blur that are tried
LOOKED_AT = 16  # slices at which they are
TRUNCATE = 4.0  # standard deviations at which the blur ends
# Deviations of the blur between columns that change at once: where they are nearer, all together change too much
APART = 2.5
BOND = 0.37  # likelihood that a neighbour of the same phase adds, per root of what a voxel's own grey value tells
PLAIN_BOND = 0.5, 1.0  # the same without the blur, and what a change along the column costs
ALIKE = 0.85  # power of the contrast of two phases that their bond goes with


@dataclass(frozen=True, eq=False)
class Model:
    """What the image looks like, given the labels."""

    states: States
    looks: Appearance
    blur: float  # voxels, standard deviation within slices; 0: none
    noise: float  # standard deviation of what it leaves of the grey values
    bond: float  # what a neighbour of another phase costs in a slice, if the phases differ as much as usual
    change: float  # the same along the column

    @property
    def contrast(self) -> float:
        """Difference of the brightest solid and of an empty pore, per step between phases."""
        n = self.states.phases - 1
        return float(abs(self.looks.mean[:n].max() - self.looks.mean[-1])) / n

    @property
    def parts(self) -> Singles:
        """(phases, phases) parts of the bond that two phases have, 1 at most, 0 for one phase.

        It is weaker where their brightness differs less, that of pores on average over what shines through: a bond that
        suits bright phases would close pores that look much like the solid behind them.
        """
        n, mean, voxels = self.states.phases - 1, self.looks.mean, self.looks.voxels
        apart = np.zeros((n + 1, n + 1))
        for i, solid in enumerate(self.states.solids):
            apart[solid, list(self.states.solids)] = np.abs(mean[:n] - mean[i])
            apart[solid, self.states.clear] = np.average(np.abs(mean[n:] - mean[i]), weights=voxels[n:])
        apart[self.states.clear] = apart[:, self.states.clear]
        return np.minimum((apart / (self.contrast or 1.0)) ** ALIKE, 1.0).astype(np.float32)

    @property
    def apart(self) -> int:
        """Columns from one that changes to the next that changes with it: so far that their blur hardly meets."""
        return max(2, ceil(APART * self.blur))

    @property
    def own(self) -> float:
        """What a voxel's own grey value counts of its change: the squares of the blur's weights."""
        return float((weights(self.blur, TRUNCATE) ** 2).sum() ** 2)


def learnt(
    volumes: Volumes, states: States, before: Model | None, with_blur: bool, early: Collection[int], workshop: Workshop
) -> Model | None:
    """What the image looks like, from the labels so far; collective.

    Of the last slices it is not known what is behind them: they are left out, unless there are hardly others.

    Args:
        volumes: Grey values and labels.
        states: The states.
        before: What was learnt last.
        with_blur: Whether a blur within slices is looked for.
        early: See `appearance`.
        workshop: Ranks and folder.

    Returns:
        None: of a phase there are too few voxels away from others, or without a blur two phases are about as bright.
    """
    shape, phase = volumes.grey.shape, states.phase
    known = shape[0] - states.depth if shape[0] >= 2 * states.depth else shape[0]

    def summed(layers: Layers) -> list[Array]:
        grey, state = volumes.grey.values(), volumes.state.values()
        return [
            sums_of(grey[z], state[z], away_from_others(phase[state[z]]), states.count)
            for z in range(layers.first, min(layers.last, known))
        ]

    sums = np.sum([one for block in workshop.each(shape, summed) for one in block], axis=0)
    looks = appearance(sums, states, early)
    if looks is None:
        return None
    if not with_blur:
        noise = sqrt(float(np.median(looks.variance)))
        levels = np.sort([*looks.mean[: states.phases - 1], looks.mean[-1]])
        if np.diff(levels).min() < LEAST_CONTRAST * noise:
            return None
        return Model(states, looks, 0.0, noise, *PLAIN_BOND)
    widths = WIDTHS if before is None or not before.blur else WIDTHS[np.abs(WIDTHS - before.blur) < 0.25]
    mean = looks.mean.astype(np.float32)
    wanted = {int(z) for z in np.linspace(0, shape[0] - 1, min(LOOKED_AT, shape[0]))}

    def misfits(layers: Layers) -> list[list[float]]:
        grey, state = volumes.grey.values(), volumes.state.values()
        return [
            [
                float(((grey[z] - blurred(mean[state[z]], (width, width), TRUNCATE)) ** 2).mean(dtype=np.float64))
                for width in widths
            ]
            for z in range(layers.first, layers.last)
            if z in wanted
        ]

    left = np.mean([one for block in workshop.each(shape, misfits) for one in block], axis=0)
    best = int(np.argmin(left))
    noise = max(sqrt(float(left[best])), CLEAN * float(np.ptp(looks.mean)))
    model = Model(states, looks, float(widths[best]), noise, 0.0, 0.0)
    bond = BOND * sqrt(model.own) * model.contrast / noise
    return replace(model, bond=bond, change=bond)
