"""What a user has to hear of a solution before it is taken for right: each function gives sentences, and logs none."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from microlith.imaging.errors import InputError
from microlith.imaging.parallel.collective import on_first_rank
from microlith.solver.guard.faces import Emptied
from microlith.solver.problem.problem import Problem
from microlith.solver.transient import Transient
from microlith.workflow.case.case import Case
from microlith.workflow.prepare.assemble import Prepared
from microlith.workflow.prepare.first_time import element_length
from microlith.workflow.prepare.initial import amounts_in_result
from microlith.workflow.results.csv_file import csv_records
from microlith.workflow.results.folder import FLUXES
from microlith.workflow.run.region_figures import known_at
from microlith.workflow.run.shown_range import ShownRange

# Of an element: when lithium has come that far into a half space, equal elements of degree 1, 2, 3 hold 9, 4, 4 % too
# much of it, and half as far 38, 35, 40 %.
FOLLOWED = {1: (0.5, "half an element"), 2: (0.2, "a fifth of an element"), 3: (0.1, "a tenth of an element")}
UNFILLED = 0.01  # of its capacity: a sink is as good as empty
CUMULATED = " cumulated"  # columns of fluxes.csv end so
OTHERWISE = 0.01  # of the amount that a phase has in the result: further off the two runs don't join
SEEN = 1e-4  # of all that is in the result: less in a phase is next to nothing
EMPTIED = 1e-3  # of the reference concentration: further below 0 than errors go


def warnings_of(ready: Prepared, transient: Transient, shown: ShownRange, at_face: Emptied | None) -> tuple[str, ...]:
    """All there is to warn of in a solution, in sentences; collective, the same on all ranks.

    Args:
        ready: The case on its mesh.
        transient: The solution.
        shown: Concentrations that its fields reach to.
        at_face: A face out of which more is taken than there is.
    """
    return (
        *unresolved(ready.case, ready.problem),
        *early(ready, transient),
        *unconverged(ready.case, transient),
        *emptied(ready.problem, transient, shown, at_face),
        *filled_before(ready),
        *started_otherwise(ready),
    )


def unresolved(case: Case, problem: Problem) -> list[str]:
    """Where lithium comes less far than elements can follow until the end, or until it decays; collective.

    The curves show the mesh then.
    """
    share, than = FOLLOWED[problem.discretization.degree]
    sentences = []
    for i in case.physics.solved:
        phase, element = case.physics.phases[i], element_length(problem, case.physics, i)
        if phase.effective_diffusivity is not None:
            lasts = min(case.time.end, phase.lifetime)
            reach = np.sqrt(phase.effective_diffusivity / phase.porosity * lasts)
            if reach < share * element:
                until, what = ("it decays", "decay") if lasts < case.time.end else ("the end", "end")
                sentences.append(
                    f"in {phase.name} lithium diffuses {reach * 1e6:.2g} µm until {until}, less than {than} "
                    f"of {element * 1e6:.2g} µm: the curves show the mesh; check diffusivity and {what}, or choose "
                    "smaller elements"
                )
    return sentences


def early(ready: Prepared, transient: Transient) -> list[str]:
    """Where a region is half full long before its curve starts."""
    first = min(transient.times[transient.times > 0], default=0.0)
    sentences = []
    for name, mean in ready.means.items():
        half = transient.first_time(name, 0.5 * ready.problem.reference_of(mean.phase_shares))
        if half is not None and not known_at(transient.times, half):
            sentences.append(
                f"region {name} is half full at {half:.3g} s, long before the first time of its curve, {first:.3g} s, "
                "so the error of its t50 is not known; shorten [time] end, or give an earlier first or earlier times"
            )
    return sentences


def unconverged(case: Case, transient: Transient) -> list[str]:
    """Where the tolerance is not reached."""
    if transient.converged:
        return []
    missed = f"the tolerance {case.time.tolerance:g} is not reached"
    if transient.effort is not None:
        known = f"between steps the curves are known to {transient.error:.1e} only"
        return [f"{missed}: {known}; lower [time] tolerance"]
    return [f"{missed} after {transient.solves} solves; raise [solver] max_solves or [time] tolerance"]


def emptied(problem: Problem, transient: Transient, shown: ShownRange, at_face: Emptied | None) -> list[str]:
    """Where a flux takes out more lithium than there is: of a whole region, or else of a part of it, or at its face."""
    if not shown.takes:
        return []
    lowest = {name: float(curve.min()) for name, curve in transient.curves.items()}
    worst = min(lowest, key=lambda name: lowest[name], default=None)
    if worst is not None and lowest[worst] < -EMPTIED * problem.scales.concentration:
        where = f"of region {worst} falls to {lowest[worst]:.3g} mol/m³"
    elif shown.emptied_at is not None:
        where = f"falls to {shown.low:.3g} mol/m³ in places at {shown.emptied_at:.3g} s"
    elif at_face is not None:
        level = "below zero" if at_face.value is None else f"to {at_face.value:.3g} mol/m³"
        where = f"at {at_face.face} falls {level} on average over the face at {at_face.time:.3g} s"
    else:
        return []
    return [
        f"the concentration {where}: a flux or current takes out more lithium than there is; check its sign, its "
        "duration and the initial concentration"
    ]


def filled_before(ready: Prepared) -> list[str]:
    """Sinks that fill up and start empty, though they are not in the result that the run starts from; collective."""
    case, mesh = ready.case, ready.meshed.mesh
    if case.initial is None or all(phase.capacity is None for phase in case.physics.phases):
        return []
    folder, time = Path(case.initial.folder), case.initial.time
    holding = on_first_rank(mesh.mesh.comm, lambda: _filled(ready, _taken_up(folder, time)))
    return [
        f"{name} starts empty, though its surface has taken up {100 * share:.3g} % of its capacity in {folder}: it can "
        "take up that much once more; solve both parts in one run where that matters"
        for name, share in holding.items()
    ]


def started_otherwise(ready: Prepared) -> list[str]:
    """Phases that start with more or less than they have in the result that the run starts from; collective.

    Each element starts with what the result has within it, but phases have other shapes on other meshes.
    """
    case, here = ready.case, ready.problem.start_in_phases
    if case.initial is None or here is None:
        return []
    there = on_first_rank(ready.meshed.mesh.mesh.comm, lambda: _amounts(case))
    least = SEEN * sum(abs(amount) for amount in there.values())
    sentences = []
    for index in case.physics.solved:
        name = case.physics.phases[index].name
        if name not in there:
            continue
        more, earlier = float(here[index]) - there[name], max(abs(there[name]), least)
        if abs(more) > max(OTHERWISE * earlier, least):
            sentences.append(
                f"{name} starts with {100 * abs(more) / earlier:.2g} % {'more' if more > 0 else 'less'} lithium than "
                f"it has in {case.initial.folder}, as its shape is another on this mesh; on the mesh of the result, or "
                "on one of its kind and with as small elements, it starts with as much"
            )
    return sentences


def _amounts(case: Case) -> dict[str, float]:
    """Of lithium in the phases of the result, on the first rank; nothing where it has gone: it is only told."""
    try:
        return amounts_in_result(case)
    except InputError:
        return {}


def _filled(ready: Prepared, taken: Mapping[str, float]) -> dict[str, float]:
    """Which part of their capacity sinks have taken up, where it is more than next to nothing; on the first rank."""
    physics, report, found = ready.case.physics, ready.meshed.report, {}
    solved = {physics.phases[i].name for i in physics.solved}
    for phase in physics.phases:
        if phase.capacity is not None and report is not None:
            meets = [one for one in report.interfaces if phase.name in one.phases and solved & set(one.phases)]
            surface = sum(one.size for one in meets)
            share = taken.get(phase.name, 0.0) / (phase.capacity * surface) if surface > 0.0 else 0.0
            if share > UNFILLED:
                found[phase.name] = share
    return found


def _taken_up(folder: Path, time: float | None) -> dict[str, float]:
    """What has left the phases of a result through each surface by a time (s; None: its end), mol (mol/m in 2D).

    Nothing where it can't be read: a run is not to end by what it only tells.
    """
    try:
        rows = csv_records(folder / FLUXES)
        times = [float(row["time_s"]) for row in rows]
        at = times[-1] if time is None else time
        return {
            key.removesuffix(CUMULATED): -float(np.interp(at, times, [float(row[key]) for row in rows]))
            for key in rows[0]
            if key.endswith(CUMULATED)
        }
    except (OSError, ValueError, KeyError, TypeError, IndexError):
        return {}
