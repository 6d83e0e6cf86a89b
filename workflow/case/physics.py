"""What the tables of phases, faces and interfaces of a case file mean for the physics."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from itertools import pairwise
from typing import Any

from microlith.imaging.axes import AXES, FACES
from microlith.imaging.errors import Faults, listed
from microlith.solver.physics import effective
from microlith.solver.physics.courses import MOST_KINKS, Course, course_of
from microlith.solver.physics.laws import DiffusivityLaw, DiffusivityTable
from microlith.solver.physics.phases import FaceCondition, InterfaceLaw, PhasePhysics, Physics, Role
from microlith.workflow.case.expressions import diffusivity_expression, largest_diffusivity
from microlith.workflow.schema.kinds import Place, nearest
from microlith.workflow.schema.physics_keys import LARGEST_CONTRAST
from microlith.workflow.schema.units import DIFFUSIVITY, length_text

COURSES = ("concentration", "mass_transfer", "flux", "current_density")
SAID_ELSEWHERE = ("label", "role", "effective", "diffusivity", "uptake", *COURSES)


def physics_of(raw: dict[str, Any], at: Place) -> Physics:
    """The physics of a parsed case file.

    Args:
        raw: The case file as `keys.CASE` parses it.
        at: The file.

    Raises:
        InputError: What one of the tables says is contradictory, or names a phase that is not there.
    """
    section, outer = at.child("phases", section=True), at.child("faces", section=True)
    roles, faults = roles_of(raw["phases"]), Faults()
    phases, faces = [], {}
    for name, phase in raw["phases"].items():
        with faults.gathered():
            phases.append(_phase(name, phase, section.child(name, section=True)))
    with faults.gathered():
        check_periodic(raw, at)
    for name, face in raw["faces"].items():
        if name in FACES:
            with faults.gathered():
                faces[name] = _face(face, roles, outer.child(name, section=True))
    with faults.gathered():
        interfaces = _interfaces(raw["interfaces"], roles, at.child("interfaces", section=True))
    faults.tell()
    physics = Physics(tuple(phases), faces, interfaces)
    physics = replace(physics, phases=tuple(_with_largest(phase, physics, section) for phase in phases))
    check_contrast(physics, section)
    return physics


def roles_of(raw: Mapping[str, Mapping[str, Any]]) -> dict[str, Role]:
    """Roles of the phases of a parsed case file, by their names."""
    return {name: Role(table["role"]) for name, table in raw.items()}


def check_contrast(physics: Physics, section: Place) -> None:
    """Refuse effective diffusivities beyond what numbers can tell apart.

    Raises:
        InputError: One is outside of the sizes of diffusivities, or two differ by too much.
    """
    known = {p.name: p.effective_diffusivity for p in physics.phases if p.effective_diffusivity is not None}
    for name, value in known.items():
        if not DIFFUSIVITY.smallest <= value <= DIFFUSIVITY.largest:
            raise section.child(name, section=True).error(
                f"the effective diffusivity is {value:.3g} m^2/s; expected {DIFFUSIVITY.sizes()} m^2/s, correct "
                "diffusivity, porosity or effective"
            )
    if known and max(known.values()) > LARGEST_CONTRAST * (1 + 1e-9) * min(known.values()):
        slow, fast = min(known, key=known.__getitem__), max(known, key=known.__getitem__)
        raise section.child(slow, section=True).error(
            f"the effective diffusivity, {known[slow]:.3g} m^2/s, is less than 1/{LARGEST_CONTRAST:g} of that of "
            f'"{fast}", {known[fast]:.3g} m^2/s; make "{slow}" a barrier, in which nothing moves either'
        )


def driven(physics: Physics) -> bool:
    """Whether something feeds the transport phases or takes from them: sources, faces, and differences at the start."""
    return bool(physics.faces) or any(p.role is Role.SOURCE for p in physics.phases) or driven_from_within(physics)


def driven_from_within(physics: Physics) -> bool:
    """Whether lithium that is there at the start moves or decays: to a sink, between phases, or over an interface."""
    start = [physics.phases[i].initial for i in physics.solved]
    uneven = len(set(start)) > 1 or any(law.partition != 1 for law in physics.interfaces)
    leaves = any(phase.role is Role.SINK or phase.decay for phase in physics.phases)
    return any(start) and (uneven or leaves)


def check_drive(physics: Physics, at: Place) -> None:
    """Refuse a case in which nothing would happen.

    Raises:
        InputError: No phase is solved for, nothing feeds it, or all concentrations and fluxes are zero.
    """
    section = at.child("phases", section=True)
    if not physics.solved:
        raise section.error('no phase has the role "transport"; at least one is needed to solve for')
    if not driven(physics):
        raise section.error(
            'nothing feeds the transport phases; give a phase the role "source" or add a face such as [faces.x_min]'
        )
    fluxes = [value for face in physics.faces.values() for value in (face.flux, face.current_density)]
    flows = any(any(course_of(value).values) for value in fluxes if value is not None)
    if physics.reference_concentration == 0 and not flows:
        what = "concentrations and fluxes" if any(value is not None for value in fluxes) else "concentrations"
        raise section.error(f"all {what} are zero, so nothing would happen; at least one must be above zero")


def check_periods(raw: dict[str, Any], end: float, at: Place) -> None:
    """Refuse courses of phases and faces that come again more often until the end (s) than can be followed.

    Raises:
        InputError: One does.
    """
    for section in ("phases", "faces"):
        for name, table in raw[section].items():
            for key in COURSES if isinstance(table, dict) else ():
                _check_period(table.get(key), end, at.child(section, section=True).child(name, section=True).child(key))


def check_phase(name: str, phases: list[str], at: Place) -> None:
    """Refuse the name of a phase that is not there.

    Raises:
        InputError: There is none of that name.
    """
    if name not in phases:
        raise at.error(f'there is no phase "{name}"; {nearest(name, phases, "phases")}')


def check_transport(name: str, roles: Mapping[str, Role], at: Place) -> None:
    """Refuse the name of a phase that is not there or not solved for.

    Raises:
        InputError: As said.
    """
    check_phase(name, list(roles), at)
    solved = [phase for phase, role in roles.items() if role is Role.TRANSPORT]
    if name not in solved:
        raise at.error(f'"{name}" is not solved for; the transport phases are: {listed(solved) or "none"}')


def _courses(raw: dict[str, Any], at: Place) -> dict[str, float | Course]:
    return {
        key: _value_or_course(raw[key], at.child(key), positive=key == "mass_transfer") for key in COURSES if key in raw
    }


# --- phases ---


def _phase(name: str, raw: dict[str, Any], at: Place) -> PhasePhysics:
    role = Role(raw["role"])
    values: dict[str, Any] = {key: value for key, value in raw.items() if key not in SAID_ELSEWHERE}
    values |= _courses(raw, at)
    if role is Role.SINK:
        uptake = raw["uptake"]
        values |= (
            {"uptake": uptake}
            if not isinstance(uptake, dict)
            else {
                "uptake": uptake["rate"],
                "capacity": uptake["capacity"],
            }
        )
    if role is Role.TRANSPORT:
        model, words = _model(raw, at.child("effective"))
        values |= {"effective_factor": model(1.0), "effective_model": words}
        values |= _diffusivity(raw["diffusivity"], model, at.child("diffusivity"))
    return PhasePhysics(name, role, **values)


def _diffusivity(raw: float | dict[str, Any], model: Callable[[float], float], at: Place) -> dict[str, Any]:
    """Diffusivities, axes or law of a transport phase; of a law the largest values follow in `_with_largest`."""
    if not isinstance(raw, dict):
        return {"diffusivity": raw, "effective_diffusivity": model(raw)}
    if "expression" in raw:
        parameters = {name: value for name, value in raw.items() if name != "expression"}
        return {"law": diffusivity_expression(raw["expression"], parameters, at)}
    if "concentrations" in raw:
        return {"law": _table(raw, at)}
    along = [raw[axis] for axis in AXES if axis in raw]
    largest = max(along)
    return {
        "diffusivity": largest,
        "effective_diffusivity": model(largest),
        "anisotropy": tuple(value / largest for value in along),
    }


def _table(raw: dict[str, Any], at: Place) -> DiffusivityLaw:
    concentrations, values = raw["concentrations"], raw["values"]
    if len(concentrations) != len(values):
        raise at.error(
            f"expected as many values as concentrations, got {len(values)} values and {len(concentrations)} "
            "concentrations"
        )
    for i, (before, after) in enumerate(pairwise(concentrations), start=1):
        if after <= before:
            raise (
                at.child("concentrations")
                .item(i)
                .error(f"concentrations have to increase; {after:g} mol/m^3 follows {before:g} mol/m^3")
            )
    return DiffusivityTable(concentrations, values, raw["interpolation"] == "log")


def _with_largest(phase: PhasePhysics, physics: Physics, section: Place) -> PhasePhysics:
    """The phase with the largest diffusivity that its law takes between zero and the driving concentration."""
    if phase.law is None:
        return phase
    at = section.child(phase.name, section=True).child("diffusivity")
    ratios = [law.partition for law in physics.interfaces if law.second == phase.name]
    ratios += [1 / law.partition for law in physics.interfaces if law.first == phase.name]
    largest = largest_diffusivity(phase.law, physics.reference_concentration * max([1.0, *ratios]), at)
    return replace(phase, diffusivity=largest, effective_diffusivity=phase.effective_factor * largest)


def _model(raw: dict[str, Any], at: Place) -> tuple[Callable[[float], float], str]:
    """What makes an effective diffusivity of one in the bulk, and the model's name with its parameter."""
    porosity = raw.get("porosity", 1.0)
    chosen: dict[str, Any] = {"model": raw["effective"]} if isinstance(raw["effective"], str) else raw["effective"]
    if "tortuosity" in chosen:
        tau = chosen["tortuosity"]
        return partial(effective.tortuous, porosity=porosity, tortuosity=tau), f"tortuosity {tau:g}"
    model = chosen.get("model", "bruggeman")
    if "exponent" in chosen and model != "bruggeman":
        raise at.error(f'the model "{model}" has no exponent; remove it')
    if model == "none":
        return float, "none"
    if "porosity" not in raw:
        raise at.error(f'the model "{model}" needs the key "porosity"; add it')
    if model == "maxwell":
        return partial(effective.maxwell, porosity=porosity), "maxwell"
    exponent = chosen.get("bruggeman", chosen.get("exponent", effective.BRUGGEMAN_EXPONENT))
    return partial(effective.bruggeman, porosity=porosity, exponent=exponent), f"bruggeman, exponent {exponent:g}"


# --- faces and interfaces ---


def periodic_axes(raw: Mapping[str, Any]) -> tuple[str, ...]:
    """Axes along which the image of a parsed case file comes again and again."""
    return tuple(axis for axis in AXES if raw["faces"].get(axis) == "periodic")


def check_periodic(raw: Mapping[str, Any], at: Place) -> None:
    """Refuse what contradicts periodic or mirrored faces.

    Raises:
        InputError: One of the faces has a condition, or a source is what is connected to one of them.
    """
    outer = at.child("faces", section=True)
    for axis in AXES:
        for face in FACES:
            if axis in raw["faces"] and face[0] == axis and face in raw["faces"]:
                beyond = raw["faces"][axis]
                raise outer.child(axis).error(f'"{beyond}" leaves no condition to [faces.{face}]; remove one of them')
    for name, phase in raw["phases"].items():
        face = phase.get("connected_to")
        if face is not None and face[0] in periodic_axes(raw):
            raise (
                at.child("phases", section=True)
                .child(name, section=True)
                .child("connected_to")
                .error(f'there is no face "{face}" where {face[0]} is periodic; take one across another axis')
            )


def _face(raw: dict[str, Any], roles: Mapping[str, Role], at: Place) -> FaceCondition:
    names: tuple[str, ...] = raw.get("phases", ())
    for i, name in enumerate(names):
        check_transport(name, roles, at.child("phases").item(i))
        if name in names[:i]:
            raise at.child("phases").item(i).error(f'"{name}" is listed twice; remove one')
    return FaceCondition(**_courses(raw, at), phases=names or None)


def _interfaces(raw: tuple[dict[str, Any], ...], roles: Mapping[str, Role], section: Place) -> tuple[InterfaceLaw, ...]:
    laws: list[InterfaceLaw] = []
    numbers: dict[frozenset[str], int] = {}
    for i, entry in enumerate(raw):
        at = section.table(i)
        pair = entry["between"]
        for k, name in enumerate(pair):
            check_transport(name, roles, at.child("between").item(k))
        if pair[0] == pair[1]:
            raise at.child("between").error(f'expected two different phases, got "{pair[0]}" twice')
        earlier = numbers.setdefault(frozenset(pair), i + 1)
        if earlier != i + 1:
            raise at.child("between").error(
                f'the interface of "{pair[0]}" and "{pair[1]}" is in table number {earlier} already; keep one'
            )
        exchange, film = entry.get("exchange"), ""
        if "film" in entry:
            thickness, diffusivity = entry["film"]["thickness"], entry["film"]["diffusivity"]
            exchange, film = diffusivity / thickness, f"{length_text(thickness)} with D {diffusivity:g} m^2/s"
        laws.append(InterfaceLaw(pair[0], pair[1], entry.get("partition", 1.0), exchange, film))
    return tuple(laws)


# --- courses over time: linear between times, or in steps; once, or again and again ---


def _value_or_course(raw: float | dict[str, Any], at: Place, *, positive: bool = False) -> float | Course:
    """A parsed quantity, or the course that a parsed table of times and values stands for.

    Args:
        raw: As `shared_keys.over_time` parses it, in SI.
        at: Its place.
        positive: Whether some value has to be above zero.

    Raises:
        InputError: The lists differ in length, times decrease, a time comes three times, the period is too short.
    """
    if not isinstance(raw, dict):
        return raw
    times, values, step = raw["times"], raw["values"], raw["interpolation"] == "step"
    if len(times) != len(values):
        raise at.error(f"expected as many values as times, got {len(values)} values and {len(times)} times")
    for i, (before, after) in enumerate(pairwise(times), start=1):
        if after < before or (step and after == before):
            raise at.child("times").item(i).error(f"times have to increase; {after:g} s follows {before:g} s")
        if i > 1 and after == before == times[i - 2]:
            raise (at.child("times").item(i).error(f"{after:g} s is given three times; a jump has two values"))
    period = raw.get("period")
    if period is not None and period < times[-1]:
        raise at.child("period").error(f"the period, {period:g} s, ends before the last of the times, {times[-1]:g} s")
    if positive and max(values) == 0:
        raise at.child("values").error("all values are zero; at least one has to be above zero")
    if step:
        times, values = _stairs(times, values)
    return Course(times, values, period)


def _check_period(raw: Any, end: float, at: Place) -> None:
    """Refuse a course that comes again more often until the end (s) than can be followed.

    Raises:
        InputError: It does.
    """
    if isinstance(raw, dict) and raw.get("period") is not None:
        turns = end / raw["period"]
        if turns * len(raw["times"]) > MOST_KINKS:
            raise at.child("period").error(
                f"the period, {raw['period']:g} s, comes {turns:.3g} times until the end, {end:g} s; expected at most "
                f"{MOST_KINKS // len(raw['times'])} times of such a course: check its unit, or end earlier"
            )


def _stairs(times: tuple[float, ...], values: tuple[float, ...]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Knots of a course in which each value holds until the next: a jump at each time where the value changes."""
    knots = [(times[0], values[0])]
    for time, (before, after) in zip(times[1:], pairwise(values), strict=True):
        if after != before:
            knots += [(time, before), (time, after)]
    return tuple(time for time, _ in knots), tuple(value for _, value in knots)
