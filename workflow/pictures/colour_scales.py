"""Which concentrations the colours of a picture stand for: a scale for phases that can be compared."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from microlith.imaging.typing import Array
from microlith.workflow.pictures.figure import round_length

FILLED = 0.5  # of what drives the case: where the snapshots stay below, the scale follows them
BEYOND = 0.05  # of the scale: what is farther beyond it, and may be so, widens it
STEPS = 10  # at least, of a round size, from end to end of a scale that follows the snapshots


@dataclass(frozen=True)
class ColourScale:
    """Concentrations of some phases in colours, mol/m^3."""

    phases: tuple[str, ...]
    low: float  # at the first colour of the map
    high: float  # at the last one
    lowest: float  # of the snapshots
    highest: float

    def level(self, concentration: Any) -> Any:
        """Places on the colour map, 0 to 1, or beyond."""
        return (concentration - self.low) / ((self.high - self.low) or 1.0)

    def entry(self) -> dict[str, Any]:
        """For summary.json."""
        return {
            "phases": self.phases,
            "range_mol_per_m3": (self.low, self.high),
            "snapshots_mol_per_m3": (self.lowest, self.highest),
        }

    @classmethod
    def of_entry(cls, entry: Mapping[str, Any]) -> "ColourScale":
        """From summary.json."""
        low, high = map(float, entry["range_mol_per_m3"])
        lowest, highest = map(float, entry["snapshots_mol_per_m3"])
        return cls(tuple(entry["phases"]), low, high, lowest, highest)


@dataclass(frozen=True, eq=False)
class PhaseValues:
    """What is known of the concentration in each phase, (phases,) each, mol/m^3."""

    driven: Array  # in equilibrium with what drives the case
    lowest: Array  # at the snapshots; inf where the phase is not solved for
    highest: Array  # -inf there
    least: Array  # what of these is possible: as above, or the bound of an exact solution that elements overshoot
    most: Array


def colour_scales(
    names: Sequence[str], values: PhaseValues, given: Mapping[str, tuple[float, float]]
) -> tuple[ColourScale, ...]:
    """A scale for all phases that hold the same in equilibrium, and for each whose ends the case gives.

    A scale goes from 0 to what is in equilibrium with what drives the case, so that pictures of different times, and
    of like cases, compare. Where that would leave most of it unused, it follows the snapshots, as far as they are
    possible.

    Args:
        names: Of all phases.
        values: Of all phases; those that are not solved for have no scale.
        given: Ends of the scales of some phases.
    """
    solved = np.flatnonzero(np.isfinite(values.lowest))
    groups: dict[tuple[Any, ...], list[int]] = {}
    for phase in solved:
        key = given.get(names[phase]) or (float(f"{values.driven[phase]:.9g}"),)
        groups.setdefault(key, []).append(int(phase))
    found = []
    for key, phases in groups.items():
        lowest, highest = float(values.lowest[phases].min()), float(values.highest[phases].max())
        least, most = float(values.least[phases].min()), float(values.most[phases].max())
        low, high = key if len(key) == 2 else _ends(least, most, key[0])
        found.append(ColourScale(tuple(names[phase] for phase in phases), low, high, lowest, highest))
    return tuple(found)


def _ends(lowest: float, highest: float, driven: float) -> tuple[float, float]:
    """Ends of a scale."""
    high = driven if FILLED * driven <= highest <= (1 + BEYOND) * driven else highest
    low = 0.0 if -BEYOND * abs(high) <= lowest <= FILLED * high else lowest
    if highest <= lowest or high <= low:  # the same everywhere, at all times, or all of it a little beyond the end
        return min(0.0, lowest), max(driven, highest) or 1.0
    step = round_length((high - low) / STEPS)
    if high != driven:
        high = step * np.ceil(high / step - 1e-6)
    if low != 0.0:
        low = step * np.floor(low / step + 1e-6)
    return float(low), float(high)
