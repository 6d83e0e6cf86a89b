"""Whether a run's results can be: its curves, fields and lithium balance held against what physics allows, in words."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from microlith.imaging.typing import Array, Flags
from microlith.solver.guard.allowed import allowed
from microlith.solver.guard.curves import Breach, breaches_of, limits_of, raised
from microlith.solver.guard.fields import FieldRange, FieldWatch, Overshoot
from microlith.solver.times import output_times
from microlith.solver.transient import Transient
from microlith.workflow.prepare.assemble import Prepared
from microlith.workflow.prepare.first_time import element_length
from microlith.workflow.studies.peaks import MATTERS

IMBALANCE = 0.01  # of what is exchanged: more lithium than that must not be unaccounted for
TRUSTED = 3.0  # of the estimated error: two meshes can't tell it better, and for less it is raised
# Of the reference concentration: how far elements may take a curve where their error is not estimated, or where lithium
# has come less far than an element is long, which two meshes miss alike
UNKNOWN = 0.05
NOTABLE = 0.01  # of the reference concentration in a phase: fields that are farther beyond what is allowed are told
FRONT = 4.0  # elements that a front spans from which on they follow it
SIZED = "smaller elements at surfaces ([mesh] size) or in a region ([mesh] size_in)"
MOST_TOLD = 5  # curves that are told one by one


@dataclass(frozen=True)
class ThinLayer:
    """A region whose mean is poorly known at a time asked for, as lithium has come less far than elements are thick."""

    region: str
    time: float  # s, where its error is largest
    error: float  # mol/m^3
    holds: float  # mol/m^3 that it has in equilibrium with all that drives the case
    after: float | None  # s: the first of the times from which on it is known well enough; None: none


@dataclass(frozen=True, eq=False)
class Verdict:
    """What is wrong with a solution, beyond its estimated errors."""

    breaches: tuple[Breach, ...]  # of curves
    imbalance: float | None  # of what is exchanged, where it can't be; None: the lithium balance is right
    drawn: tuple[FieldRange, ...]  # of each phase at the snapshots after time 0
    between: tuple[FieldRange, ...]  # and at times of the curves or the ends of steps
    errors: Mapping[str, Array]  # region -> (times,) mol/m^3: as estimated, and no less than what is known
    raised: tuple[str, ...]  # regions whose errors are larger than estimated
    granted: float | None  # mol/m^3, the most that elements are granted; None: their error is estimated
    diffusivities: Mapping[str, float]  # m^2/s: diffusivity in the pores of each phase that is solved for, the largest
    lifetimes: Mapping[str, float]  # s: mean time until lithium decays there
    degree: int  # of the elements
    end: float  # s
    bends: tuple[float, ...]  # s: when what is given bends or jumps
    references: Mapping[str, float]  # mol/m^3: what a phase holds in equilibrium with all that drives the case
    thin: tuple[ThinLayer, ...] = ()  # regions of layers that elements don't follow
    remedy: str = SIZED  # what makes elements smaller

    @property
    def is_sound(self) -> bool:
        """Whether curves and amounts may be believed, within their errors."""
        return not self.breaches and self.imbalance is None

    @property
    def condemned(self) -> tuple[str, ...]:
        """Regions whose curves can't be right."""
        return tuple(dict.fromkeys(breach.region for breach in self.breaches))

    def sentences(self) -> list[str]:
        """All of it to warn of."""
        more = len(self.breaches) - MOST_TOLD
        return [
            *(_told(breach, self.granted) for breach in self.breaches[:MOST_TOLD]),
            *([f"and {more} more such curves: see checks in summary.json"] if more > 0 else []),
            *self._balance(),
            *self._fields(),
            *self._layers(),
        ]

    def last_line(self) -> str | None:
        """What is to be read last, where something is condemned."""
        if self.is_sound:
            return None
        names = self.condemned
        shown = ", ".join(names[:MOST_TOLD]) + (f" and {len(names) - MOST_TOLD} more" if len(names) > MOST_TOLD else "")
        curves = [f"the curves of {shown} are off by far more than stated"] if names else []
        balance = [] if self.imbalance is None else ["lithium is unaccounted for"]
        why = " and ".join(curves + balance)
        return f"do not use these results{self._until()}: {why}; see the warnings, and checks in summary.json"

    def marked(self, title: str) -> str:
        """The title of what is written, with a mark where something is condemned."""
        return title if self.is_sound else f"{title} (do not use{self._until()}: see checks in summary.json)".lstrip()

    def _until(self) -> str:
        """Until when the results are condemned, where not to the end."""
        until = max((breach.until for breach in self.breaches), default=self.end)
        return "" if self.imbalance is not None or until >= self.end else f" before {until:.3g} s"

    def notes(self) -> list[str]:
        """What is good to know, and nothing to worry about."""
        found = []
        raised = [name for name in self.raised if name not in self.condemned]
        if raised:
            shown = ", ".join(raised[:MOST_TOLD])
            more = f" and {len(raised) - MOST_TOLD} more" if len(raised) > MOST_TOLD else ""
            found.append(f"errors of {shown}{more} raised to how far their curves are beyond what is possible")
        worst = max(self._notable(self.between), key=lambda one: one.beyond, default=None)
        if worst is not None and self.is_sound:  # else elements are not what is wrong
            included = "; the errors of the curves include that" if self.granted is None else ""
            found.append(f"{self._early(worst)}{included}")
        return found

    def entries(self) -> dict[str, Any]:
        """For summary.json."""
        return {
            "sound": self.is_sound,
            "curves": [asdict(breach) | {"size": breach.size} for breach in self.breaches],
            "balance": self.imbalance is None,
            "fields_at_snapshots": [asdict(one) for one in self.drawn],
            "fields_at_curve_times": [asdict(one) for one in self.between],
            "notes": self.notes(),
            "unit": "mol/m^3, s, m",
        }

    def _balance(self) -> list[str]:
        if self.imbalance is None:
            return []
        return [
            f"the lithium balance is off by {100 * self.imbalance:.0f} % of what is exchanged, more than the estimated "
            "errors explain: distrust the amounts in summary.json, and the curves"
        ]

    def _notable(self, ranges: tuple[FieldRange, ...]) -> list[Overshoot]:
        sides = [side for one in ranges for side in (one.under, one.over) if side is not None]
        return [side for side in sides if side.beyond > NOTABLE * self.references[side.phase]]

    def _fields(self) -> list[str]:
        """Where what is drawn can't be."""
        worst = max(self._notable(self.drawn), key=lambda one: one.beyond / self.references[one.phase], default=None)
        if worst is None or not self.is_sound:
            return []
        advice = f"{self._advice()} or a later snapshot"
        return [f"the snapshot at {worst.time:.3g} s is beyond what is possible: {self._front(worst)}; {advice}"]

    def _layers(self) -> list[str]:
        """Regions of layers that elements don't follow."""
        said = [
            f"region {one.region} is known to ±{one.error:.2g} mol/m³ only at {one.time:.3g} s, "
            f"{100 * one.error / one.holds:.2g} % of what it holds, as the layer that fills is thinner than the "
            f"elements at the surface: {self._advice()} or later times"
            + ("" if one.after is None else f"; from {one.after:.3g} s on it is known to {100 * UNKNOWN:g} %")
            for one in sorted(self.thin, key=lambda one: -one.error / one.holds)
            if one.region not in self.condemned
        ]
        more = len(said) - MOST_TOLD
        return said[:MOST_TOLD] + ([f"and {more} more such regions: see errors.csv"] if more > 0 else [])

    def _advice(self) -> str:
        more = ", elements of [mesh] degree 2" if self.degree == 1 else ""
        return f"choose {self.remedy}{more}"

    def _early(self, worst: Overshoot) -> str:
        """A field that nothing draws: as every one where a surface is held from the start, and lithium just enters."""
        reach, at = self._reach(worst), f"at {worst.time:.3g} s"
        if reach > FRONT * worst.element:
            return f"{at} the field is beyond what is possible: {self._front(worst)}"
        why = f"which elements of {worst.element * 1e6:.2g} µm can't follow"
        return f"{at} lithium has come {reach * 1e6:.2g} µm far, {why}: {self._place(worst)}"

    def _reach(self, worst: Overshoot) -> float:
        """How far lithium has come since its source last changed, m."""
        since = worst.time - max((time for time in self.bends if time < worst.time), default=0.0)
        return float(np.sqrt(self.diffusivities[worst.phase] * min(since, self.lifetimes[worst.phase])))

    def _place(self, worst: Overshoot) -> str:
        """What the field is, where, and what is possible there."""
        where = ", ".join(f"{round(x * 1e6, 6) + 0.0:.3g}" for x in worst.place)  # 0, and not what rounding left of it
        bound = "least" if worst.below else "largest"
        return f"{worst.phase} is at {worst.value:.4g} mol/m³ near ({where}) µm, where {worst.limit:.6g} is the {bound}"

    def _front(self, worst: Overshoot) -> str:
        """Where elements are too coarse."""
        reach = self._reach(worst)
        why = f"too coarse for a front that has come {reach * 1e6:.2g} µm far"
        if reach > FRONT * worst.element:
            why = "too coarse there, or badly shaped"
        return f"{self._place(worst)}: elements of {worst.element * 1e6:.2g} µm are {why}"


def _remedy(ready: Prepared) -> str:
    """What makes elements smaller: sizes count on meshes that are made of the image with them only."""
    if ready.case.mesh.unit is not None:
        return "a finer mesh"
    return 'elements with sizes of their own ([mesh] method = "lattice")' if ready.meshed.method == "voxel" else SIZED


def thin_layers(
    times: Array, asked: Flags, errors: Mapping[str, Array], layers: Mapping[str, Array], holds: Mapping[str, float]
) -> tuple[ThinLayer, ...]:
    """Regions that layers thinner than elements make poorly known, at times that are asked for.

    Args:
        times: (times,) s.
        asked: (times,) which of them are asked for.
        errors: Region -> (times,) estimated error, mol/m^3.
        layers: Region -> (times,) part of it that layers thinner than elements make, mol/m^3.
        holds: Region -> what it has in equilibrium with all that drives the case, mol/m^3.
    """
    found = []
    for name, layer in layers.items():
        error = np.maximum(errors[name], layer)
        unknown = asked & (error > UNKNOWN * holds[name])
        poor = unknown & (layer > 0.5 * error)
        if poor.any():
            worst = int(np.where(poor, error, 0.0).argmax())
            later = np.flatnonzero(unknown)[-1] + 1  # whatever makes it unknown until then
            after = float(times[later]) if later < len(times) else None
            found.append(ThinLayer(name, float(times[worst]), float(error[worst]), holds[name], after))
    return tuple(found)


class Guard:
    """Looks at the fields of a solution as it comes about, and holds all of it against what physics allows."""

    def __init__(self, ready: Prepared) -> None:
        """Find out what physics allows; collective."""
        problem, time = ready.problem, ready.case.time
        kinks = tuple(kink * problem.scales.time for kink in problem.system.kinks)
        times = np.concatenate([[0.0], output_times(time, kinks), time.snapshots, [time.end]])
        self._ready = ready
        self._bounds = allowed(problem, ready.case.physics, np.unique(times))
        self._between = FieldWatch(problem, self._bounds)

    def see(self, time: float, owned: Array) -> None:
        """Look at the owned unknowns at a time (s); collective."""
        self._between.see(time, owned)

    @property
    def watch(self) -> FieldWatch:
        """What has looked at the fields on the way."""
        return self._between

    def judged(
        self, transient: Transient, errors: Mapping[str, Array], layers: Mapping[str, Array], *, in_space: bool
    ) -> Verdict:
        """What is wrong with the solution; collective, the same on all ranks.

        Args:
            transient: The solution.
            errors: Region -> (times,) estimated error of its curve, mol/m^3.
            layers: Region -> (times,) part of it that layers thinner than elements make, mol/m^3.
            in_space: Whether the errors hold those of the mesh.
        """
        ready, problem, times = self._ready, self._ready.problem, transient.times
        element = element_length(problem, ready.case.physics)
        limits = limits_of(problem, self._bounds, ready.means, times)
        unknown = {name: UNKNOWN * problem.reference_of(mean.phase_shares) for name, mean in ready.means.items()}
        granted = {
            name: TRUSTED * error + unknown[name] * _unresolved(ready, name, times, element)
            if in_space
            else error + unknown[name]
            for name, error in errors.items()
        }
        known = raised(transient.curves, errors, limits) if in_space else dict(errors)
        balance, phases = transient.balance, ready.case.physics.phases
        off = balance.imbalance > max(IMBALANCE, balance.expected) or np.isnan(balance.imbalance)
        return Verdict(
            breaches=breaches_of(times, transient.curves, errors, granted, limits),
            imbalance=balance.imbalance if off else None,
            drawn=self._at_snapshots(transient),
            between=self._between.ranges(),
            errors=known,
            raised=tuple(name for name, error in errors.items() if (known[name] > error).any()),
            granted=None if in_space else max(unknown.values(), default=0.0),
            diffusivities={phase.name: (phase.effective_diffusivity or 0.0) / phase.porosity for phase in phases},
            lifetimes={phase.name: phase.lifetime for phase in phases},
            bends=tuple(kink * problem.scales.time for kink in problem.system.kinks),
            degree=problem.discretization.degree,
            end=float(times[-1]),
            references=dict(
                zip(problem.discretization.mesh.names, problem.scales.concentration * problem.factors, strict=True)
            ),
            remedy=_remedy(ready),
            thin=thin_layers(
                times, self._asked(times), known, layers, {name: limit / UNKNOWN for name, limit in unknown.items()}
            ),
        )

    def _asked(self, times: Array) -> Flags:
        """Which of the times (s) are asked for."""
        if self._ready.case.time.times is not None:
            return np.asarray(times > 0)
        late = times >= MATTERS * times[-1]
        return np.asarray((times > 0) & (late | np.isin(times, self._ready.case.time.snapshots)))

    def _at_snapshots(self, transient: Transient) -> tuple[FieldRange, ...]:
        """Ranges of what is drawn; at time 0 that is what the case says."""
        drawn = FieldWatch(self._ready.problem, self._bounds)
        for time in self._ready.case.time.snapshots:
            if time > 0:
                drawn.look(time, transient.concentration(time))
        return drawn.ranges()


def _unresolved(ready: Prepared, name: str, times: Array, element: float) -> Flags:
    """Whether lithium has come less far into a region than an element is long.

    Since what is given last changed, or until it decays.

    Args:
        ready: The case on its mesh.
        name: Of the region.
        times: (times,) s.
        element: Length of an element, m.
    """
    problem, shares = ready.problem, ready.means[name].phase_shares
    bends = np.array([0.0, *(kink * problem.scales.time for kink in problem.system.kinks)])
    since = times - bends[np.searchsorted(bends, times, side="right") - 1]
    least = np.min(
        [
            (phase.effective_diffusivity or 0.0) / phase.porosity * np.minimum(since, phase.lifetime)
            for phase, share in zip(ready.case.physics.phases, shares, strict=True)
            if share > 0
        ],
        axis=0,
    )
    return np.asarray(least < element**2)


def _told(breach: Breach, granted: float | None) -> str:
    """One curve that can't be right."""
    known = f"its estimated error is {breach.stated:.2g}"
    if granted is not None:
        known = f"its estimated error in time is {breach.stated:.2g}, and elements are granted {granted:.2g}"
    at = f"{breach.value:.6g} mol/m³ at {breach.time:.3g} s"
    match breach.kind:
        case "undefined":
            return f"do not use the curve of region {breach.region}: it has no value at {breach.time:.3g} s"
        case "above":
            why = f"is {at}, {breach.size:.2g} above the largest that the case allows, {breach.limit:.6g}"
        case "below":
            why = f"is {at}, {breach.size:.2g} below the least that the case allows, {breach.limit:.6g}"
        case "falls":
            why = f"falls by {breach.size:.2g} to {at}, though all that acts on it only raises it from its start"
        case "rises":
            why = f"rises by {breach.size:.2g} to {at}, though all that acts on it only lowers it from its start"
    return f"do not use the curve of region {breach.region} up to {breach.until:.3g} s: it {why}; {known}"
