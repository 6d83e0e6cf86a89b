"""Phases, faces and interfaces of a case as plain data for summary.json, and in words for people."""

from collections.abc import Sequence
from typing import Any

from microlith.imaging.axes import AXES
from microlith.solver.physics.courses import Course
from microlith.solver.physics.laws import DiffusivityExpression, DiffusivityLaw, DiffusivityTable
from microlith.solver.physics.phases import FaceCondition, InterfaceLaw, PhasePhysics

MOST_KNOTS = 6  # of a course that is told knot by knot

# --- data ---


def phase_data(phase: PhasePhysics) -> dict[str, Any]:
    """What applies to the role of the phase; SI units, named at the end of each key."""
    values: dict[str, Any] = {"role": str(phase.role)}
    match phase.role:
        case "source":
            values |= {
                "concentration_mol_per_m3": _course_data(phase.concentration),
                "mass_transfer_m_per_s": _course_data(phase.mass_transfer),
            }
            if phase.connected_to is not None:
                values["connected_to"] = phase.connected_to
        case "sink":
            values |= {"uptake_m_per_s": phase.uptake}
            if phase.capacity is not None:
                values["capacity_mol_per_m2"] = phase.capacity
        case "transport":
            values |= {
                "diffusivity_m2_per_s": phase.diffusivity,
                "porosity": phase.porosity,
                "effective_model": phase.effective_model,
                "effective_diffusivity_m2_per_s": phase.effective_diffusivity,
                "initial_mol_per_m3": phase.initial,
            }
            if phase.decay:
                values["decay_per_s"] = phase.decay
            if phase.anisotropy is not None:
                values["effective_diffusivity_along_m2_per_s"] = dict(zip(AXES, along_axes(phase), strict=False))
            if phase.law is not None:
                values["diffusivity_law"] = _law_data(phase.law)
                values["effective_factor"] = phase.effective_factor
    return values


def face_data(face: FaceCondition) -> dict[str, Any]:
    """The condition that is given."""
    values: dict[str, Any] = {}
    if face.concentration is not None:
        values["concentration_mol_per_m3"] = _course_data(face.concentration)
        values["mass_transfer_m_per_s"] = _course_data(face.mass_transfer)
    if face.flux is not None:
        values["flux_mol_per_m2_s"] = _course_data(face.flux)
    if face.current_density is not None:
        values["current_density_a_per_m2"] = _course_data(face.current_density)
    return values if face.phases is None else values | {"phases": list(face.phases)}


def interface_data(law: InterfaceLaw) -> dict[str, Any]:
    """The law between two phases."""
    values: dict[str, Any] = {"between": [law.first, law.second], "partition": law.partition}
    values["exchange_m_per_s"] = law.exchange
    return values | {"film": law.film} if law.film else values


def along_axes(phase: PhasePhysics) -> tuple[float, ...]:
    """Effective diffusivity of a phase along x, y[, z], m^2/s."""
    return tuple((phase.effective_diffusivity or 0.0) * share for share in phase.anisotropy or ())


def _course_data(value: float | Course | None) -> Any:
    """A number as it is; a course as its knots, between which it is linear."""
    if not isinstance(value, Course):
        return value
    return {"times_s": list(value.times), "values": list(value.values), "period_s": value.period}


def _law_data(law: DiffusivityLaw) -> dict[str, Any]:
    match law:
        case DiffusivityTable():
            return {
                "concentrations_mol_per_m3": list(law.concentrations),
                "values_m2_per_s": list(law.values),
                "interpolation": "log" if law.logarithmic else "linear",
            }
        case DiffusivityExpression():
            return {"expression": law.text}


# --- words ---


def phase_text(phase: PhasePhysics) -> str:
    """Role of a phase and what goes with it."""
    match phase.role:
        case "source":
            only = "" if phase.connected_to is None else f", only what is connected to {phase.connected_to}"
            return f"source, surface {_feed_text(phase.concentration, phase.mass_transfer)}{only}"
        case "sink":
            end = "" if phase.capacity is None else f" until its surface holds {phase.capacity:g} mol/m²"
            return f"sink, uptake {phase.uptake:g} m/s{end}"
        case "transport":
            decay = f", decays at {phase.decay:g} 1/s" if phase.decay else ""
            return f"transport, {_diffusivity_text(phase)}, {_start_text(phase)}{decay}"
    return "barrier"


def face_text(face: FaceCondition) -> str:
    """What is given at an outer face."""
    into = "" if face.phases is None else f", into {' and '.join(face.phases)} only"
    if face.flux is not None:
        return f"flux into the domain {course_text(face.flux, 'mol/(m² s)')}{into}"
    if face.current_density is not None:
        return f"current density of the whole face {course_text(face.current_density, 'A/m²')}{into}"
    return _feed_text(face.concentration, face.mass_transfer) + into


def interface_text(law: InterfaceLaw) -> str:
    """What happens between two phases."""
    factor = f"{law.partition:g} times " if law.partition != 1 else ""
    equilibrium = f"c of {law.second} = {factor}c of {law.first}"
    if law.exchange is None:
        return equilibrium
    film = f", a film of {law.film}" if law.film else ""
    return f"exchange {law.exchange:.4g} m/s{film}, towards {equilibrium}"


def interface_name(law: InterfaceLaw) -> str:
    """The two phases."""
    return f"{law.first} - {law.second}"


def course_text(value: float | Course | None, unit: str) -> str:
    """A number with its unit, or a course in few words."""
    if not isinstance(value, Course):
        return f"{value:g} {unit}"
    if len(value.times) <= MOST_KNOTS:
        knots = ", ".join(f"{v:g} at {t:g} s" for t, v in zip(value.times, value.values, strict=True))
        text = f"over time ({knots}) {unit}"
    else:
        ends = f"from {value.times[0]:g} s to {value.times[-1]:g} s"
        text = f"over time ({len(value.times)} knots {ends}, {value.smallest:g} to {value.largest:g}) {unit}"
    return text if value.period is None else f"{text}, repeated every {value.period:g} s"


def _feed_text(concentration: float | Course | None, mass_transfer: float | Course | None) -> str:
    how = "held at" if mass_transfer is None else f"mass transfer {course_text(mass_transfer, 'm/s')} to"
    return f"{how} {course_text(concentration, 'mol/m³')}"


def _diffusivity_text(phase: PhasePhysics) -> str:
    model = f"porosity {phase.porosity:g}, model {phase.effective_model}"
    if phase.anisotropy is not None:
        along: Sequence[str] = [f"{axis} {d:.4g}" for axis, d in zip(AXES, along_axes(phase), strict=False)]
        return f"D_eff along {', '.join(along)} m²/s ({model})"
    effective = f"{phase.effective_diffusivity:.4g} m²/s"
    match phase.law:
        case None:
            return f"D_eff {effective} (D {phase.diffusivity:g} m²/s, {model})"
        case DiffusivityTable() as table:
            law = f"D from a table of {len(table.values)} points, {'log' if table.logarithmic else 'linear'}"
        case DiffusivityExpression() as expression:
            law = f"D = {expression.text}"
    return f"D_eff of c at most {effective} ({law}; {model})"


def _start_text(phase: PhasePhysics) -> str:
    if phase.initial_least is None:
        return f"starts at {phase.initial:g} mol/m³"
    return f"starts as in the result, from {phase.initial_least:g} to {phase.initial:g} mol/m³"
