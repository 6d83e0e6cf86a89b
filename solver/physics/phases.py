"""What the user asks of the physics, validated and in SI; no arrays, no heavy imports."""

import math
from dataclasses import dataclass, field
from enum import StrEnum

from microlith.solver.physics.courses import Course, course_of
from microlith.solver.physics.laws import DiffusivityLaw

FARADAY = 96485.33212  # C/mol, exact to the digits given (SI of 2019)


class Role(StrEnum):
    """Part that a phase plays in the transport problem."""

    SOURCE = "source"  # not meshed; its surface feeds its neighbours
    BARRIER = "barrier"  # not meshed; no flux through its surface
    SINK = "sink"  # not meshed; first-order uptake at its surface
    TRANSPORT = "transport"  # meshed, solved for


@dataclass(frozen=True)
class PhasePhysics:
    """Physical behaviour of one phase."""

    name: str
    role: Role
    concentration: float | Course | None = None  # mol/m^3, of a source
    mass_transfer: float | Course | None = None  # m/s, Robin coefficient k_f of a source; None: c is held there
    connected_to: str | None = None  # outer face; of a source, only what is connected to that face feeds
    uptake: float | None = None  # m/s, of a sink
    capacity: float | None = None  # mol/m^2 that a sink's surface can take up, q_max; None: without end
    diffusivity: float | None = None  # m^2/s, bulk, of a transport phase; with a law or axes the largest
    effective_diffusivity: float | None = None  # m^2/s, with the effective-medium model applied
    anisotropy: tuple[float, ...] | None = None  # D_eff along x, y[, z] per effective_diffusivity; None: all 1
    law: DiffusivityLaw | None = None  # bulk D of c; None: constant
    effective_factor: float = 1.0  # D_eff per bulk D
    porosity: float = 1.0  # of a transport phase
    initial: float = 0.0  # mol/m^3, of a transport phase; where it starts uneven the largest,
    initial_least: float | None = None  # and the least; None: it starts even
    decay: float = 0.0  # 1/s, of a transport phase: rate constant k of a loss in its pores, ε k c per volume
    effective_model: str = "none"  # what gave effective_diffusivity, in words

    @property
    def lifetime(self) -> float:
        """Mean time until lithium decays, s; infinite without decay."""
        return 1.0 / self.decay if self.decay else math.inf


@dataclass(frozen=True)
class FaceCondition:
    """Condition on an outer face of the image: concentration held, mass transfer to it, or a given flux.

    Exactly one of concentration, flux and current_density is given.
    """

    concentration: float | Course | None = None  # mol/m^3
    mass_transfer: float | Course | None = None  # m/s; None: c is held
    flux: float | Course | None = None  # mol/(m^2 s) into the domain, per area of the solved phases at the face
    current_density: float | Course | None = None  # A/m^2 of the whole face; positive: lithium enters, z = 1
    phases: tuple[str, ...] | None = None  # transport phases that the condition holds for; None: all


@dataclass(frozen=True)
class InterfaceLaw:
    """What happens between two transport phases: flux from first to second = exchange (c_first − c_second/partition).

    Without `exchange` the two sides are in equilibrium, c_second = partition · c_first.
    """

    first: str
    second: str
    partition: float = 1.0
    exchange: float | None = None  # m/s; of a film its diffusivity per thickness
    film: str = ""  # the film in words, where exchange stands for one


@dataclass(frozen=True)
class Physics:
    """The whole transport problem."""

    phases: tuple[PhasePhysics, ...]  # index = phase index in image and mesh
    faces: dict[str, FaceCondition] = field(default_factory=dict)  # "x_min" etc.
    interfaces: tuple[InterfaceLaw, ...] = ()  # between transport phases; those left out are continuous

    @property
    def solved(self) -> tuple[int, ...]:
        """Indices of the phases that are solved for, increasing."""
        return tuple(i for i, phase in enumerate(self.phases) if phase.role is Role.TRANSPORT)

    @property
    def reference_concentration(self) -> float:
        """Largest concentration that drives the problem, mol/m^3: the scale of the unknown and of the tolerance.

        Where only fluxes drive it there is none: 0.
        """
        driving = [p.concentration for p in self.phases if p.concentration is not None]
        driving += [f.concentration for f in self.faces.values() if f.concentration is not None]
        held = [course_of(c).largest for c in driving]
        return max([*held, *(self.phases[i].initial for i in self.solved), 0.0])

    @property
    def changes(self) -> bool:
        """Whether anything given changes with time: concentrations, fluxes, transfer coefficients."""
        given = [x for phase in self.phases for x in (phase.concentration, phase.mass_transfer)]
        for face in self.faces.values():
            given += [face.concentration, face.mass_transfer, face.flux, face.current_density]
        return any(x is not None and not course_of(x).is_constant for x in given)

    @property
    def transfers(self) -> tuple[Course, ...]:
        """Transfer coefficients of sources and outer faces, m/s."""
        given = [phase.mass_transfer for phase in self.phases] + [face.mass_transfer for face in self.faces.values()]
        return tuple(course_of(x) for x in given if x is not None)

    @property
    def transfers_change(self) -> bool:
        """Whether transfer coefficients change with time."""
        return any(not course.is_constant for course in self.transfers)

    @property
    def is_stepped(self) -> bool:
        """Whether it is solved step by step: nonlinear, or with transfer coefficients that change gradually."""
        nonlinear = any(phase.law is not None or phase.capacity is not None for phase in self.phases)
        return nonlinear or any(not course.is_stepwise for course in self.transfers)
