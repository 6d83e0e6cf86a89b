"""What a file of `deff` tells: effective diffusivities, and the intervals that they lie in.

D_eff as it is told is an upper bound of what the meshed shape conducts, and `deff` tells a lower one beside it. With
`--half-voxel` it also tells D_eff of the shape with its surface half a voxel farther in and out. The interval is then
from the least of these three, less as much of it as lies between the two bounds, to the largest of them.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from microlith.workflow.measurements.findings import Number

RELATIVE = "relative_effective_diffusivity"
FRACTION = "volume_fraction"
MOVED = ("_half_a_voxel_smaller", "_half_a_voxel_larger")  # endings of keys
SOLVED = 1e-8  # relative, what the linear solver leaves open of both bounds
ALONG = "along"  # stands between the name of a number and its axis
# Names of the numbers along an axis
DEFINITIONS = {
    "D_eff / D_phase": "flux through the whole cross-section per gradient, relative to the same within the phase",
    "D_eff": "effective diffusivity of the image",
    "tortuosity factor": "volume fraction / (D_eff / D_phase)",
    "tortuosity": "square root of the tortuosity factor",
    "MacMullin number": "D_phase / D_eff, also called formation factor",
}


@dataclass(frozen=True)
class _Shape:
    """Of which D_eff is known."""

    relative: float  # D_eff / D_phase
    fraction: float | None  # of the box; None: not told

    @property
    def tortuosity(self) -> float | None:
        """Tortuosity factor; None: not known."""
        if self.relative <= 0:
            return math.inf
        return None if self.fraction is None else self.fraction / self.relative


def diffusivities_of(entries: Mapping[str, Any]) -> tuple[list[Number], dict[str, str]]:
    """The numbers of a file of `deff` with their errors, and how they were found.

    Args:
        entries: Of the file.

    Returns:
        The numbers; and, for D_eff of each phase along each axis, mesh, sides and kind of its error in words.

    Raises:
        KeyError, TypeError, ValueError, AttributeError: They are not of `deff`.
    """
    phase, fraction = str(entries["phase"]), float(entries[FRACTION])
    fractions = [_float(entries.get(FRACTION + way)) for way in MOVED]
    numbers = [_share(phase, fraction, fractions)]
    kinds = {}
    for axis, found in entries["axes"].items():
        moved = [_float(found.get(RELATIVE + way)) for way in MOVED]
        shapes = [_Shape(float(found[RELATIVE]), fraction)]
        shapes += [_Shape(r, f) for r, f in zip(moved, fractions, strict=True) if r is not None]
        lower = _float(found.get(f"{RELATIVE}_at_least"))
        numbers += _along(f"{phase}: ", f" {ALONG} {axis}", entries, found, shapes, lower)
        kinds[f"D_eff of {phase} along {axis}"] = _kind(entries, lower is not None, len(shapes) > 1)
    return numbers, kinds


def _share(phase: str, fraction: float, fractions: list[float | None]) -> Number:
    """The volume fraction, with what half a voxel makes of it."""
    moved = [one for one in fractions if one is not None]
    interval = (min(fraction, *moved) * (1 - SOLVED), max(fraction, *moved) * (1 + SOLVED)) if moved else None
    return _number(f"{phase}: volume fraction (deff)", fraction, "1", "share of the box in the mesh", interval)


def _along(
    before: str,
    after: str,
    entries: Mapping[str, Any],
    found: Mapping[str, Any],
    shapes: list[_Shape],
    lower: float | None,
) -> list[Number]:
    """The numbers along an axis.

    Args:
        before: What their names begin with.
        after: What their names end in.
        entries: Of the file.
        found: Of the axis.
        shapes: As it is, and with its surface moved.
        lower: Bound of D_eff / D_phase of the shape as it is; None: not known.
    """
    value = shapes[0].relative
    interval = tau = None
    if lower is not None:
        gap = min(1.0, abs(1.0 - lower / value)) if value > 0 else 0.0
        # Fluxes that disagree by more than the bounds do say little
        solved = max(SOLVED, min(_float(found.get("flux_disagreement")) or 0.0, gap))
        factor = (1 - gap) * (1 - solved)  # of what is certain to the upper bound
        interval = min(one.relative for one in shapes) * factor, max(one.relative for one in shapes) * (1 + solved)
        factors = [one.tortuosity for one in shapes]
        known = [one for one in factors if one is not None]
        if len(known) == len(factors):
            tau = min(known) * (1 - solved), _ratio(max(known), factor)
    in_phase = _float(entries.get("phase_diffusivity_m2_per_s"))
    bounds = {
        "D_eff / D_phase": interval,
        "D_eff": None if interval is None or in_phase is None else (interval[0] * in_phase, interval[1] * in_phase),
        "tortuosity factor": tau,
        "tortuosity": None if tau is None else (math.sqrt(tau[0]), math.sqrt(tau[1])),
        "MacMullin number": None if interval is None else (_ratio(1.0, interval[1]), _ratio(1.0, interval[0])),
    }
    values = {
        "D_eff / D_phase": (value, "1"),
        "D_eff": (_float(found.get("effective_diffusivity_m2_per_s")), "m^2/s"),
        "tortuosity factor": (_float(found.get("tortuosity_factor")), "1"),
        "tortuosity": (_float(found.get("tortuosity")), "1"),
        "MacMullin number": (_float(found.get("macmullin_number")), "1"),
    }
    return [
        _number(f"{before}{name}{after}", number, unit, DEFINITIONS[name], bounds[name])
        for name, (number, unit) in values.items()
        if number is not None and math.isfinite(number)  # infinite where nothing gets through
    ]


def _number(name: str, value: float, unit: str, definition: str, interval: tuple[float, float] | None) -> Number:
    if interval is None:
        return Number(name, value, unit, definition)
    interval = min(interval[0], value), max(interval[1], value)
    return Number(name, value, unit, definition, max(value - interval[0], interval[1] - value), interval=interval)


def _ratio(one: float, other: float) -> float:
    return one / other if other > 0 else math.inf


def _kind(entries: Mapping[str, Any], bounds: bool, half_voxel: bool) -> str:
    """Mesh, sides and kind of the error, in words."""
    method = entries.get("mesh", {}).get("method")
    words = [] if method is None else [f"{method} mesh"]
    words.append("image repeated" if entries.get("faces") == "periodic" else "sides sealed")
    if not bounds:
        return ", ".join([*words, "error not known"])
    return ", ".join([*words, "error of elements and half a voxel" if half_voxel else "error of elements"])


def _float(value: Any) -> float | None:
    return None if value is None else float(value)
