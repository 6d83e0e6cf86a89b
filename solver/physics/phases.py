"""What the user asks of the physics, validated and in SI; no arrays, no heavy imports."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

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
    connected_to: str | None = None  # outer face; of a source, only what hangs together with that face feeds
    uptake: float | None = None  # m/s, of a sink
    capacity: float | None = None  # mol/m^2 that a sink's surface can take up, q_max; None: without end
    diffusivity: float | None = None  # m^2/s, bulk, of a transport phase; with a law or axes the largest
    effective_diffusivity: float | None = None  # m^2/s, with the effective-medium model applied
    anisotropy: tuple[float, ...] | None = None  # D_eff along x, y[, z] per effective_diffusivity; None: all 1
    law: DiffusivityLaw | None = None  # bulk D of c; None: constant
    effective_factor: float = 1.0  # D_eff per bulk D
    porosity: float = 1.0  # of a transport phase
    initial: float = 0.0  # mol/m^3, of a transport phase
    effective_model: str = "none"  # what gave effective_diffusivity, in words


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
class TimeSpan:
    """When the run ends and what is wanted of it."""

    end: float  # s
    tolerance: float = 1e-4  # of the region curves, relative to the source concentration
    snapshots: tuple[float, ...] = ()  # s
    times: tuple[float, ...] | None = None  # s; None: 200 log-spaced ones from end/1e5 and the snapshots


@dataclass(frozen=True)
class SolverOptions:
    """Choices of the linear algebra; "auto" picks by dimension and size."""

    linear: Literal["auto", "mumps", "cg"] = "auto"
    # Linear solves before the integration gives up: for the start and each course, anew where a transfer jumps
    max_solves: int = 200
    max_steps: int = 20_000  # steps, repeated ones included, before that of a nonlinear problem gives up
    inner_tolerance: float | None = None  # relative residual of CG; None: so tight that ranks do not matter


@dataclass(frozen=True)
class Box:
    """Axis-parallel box; a missing axis is unbounded."""

    bounds: dict[str, tuple[float, float]]  # axis name -> (low, high), metres


@dataclass(frozen=True)
class Ball:
    """Disk in 2D, sphere in 3D."""

    center: tuple[float, ...]  # metres, x, y[, z]
    radius: float  # metres


@dataclass(frozen=True)
class Polygon:
    """Simple polygon in 2D."""

    corners: tuple[tuple[float, float], ...]  # metres


@dataclass(frozen=True)
class Shell:
    """All within a distance of the surface of a phase."""

    around: str  # phase name
    distance: float  # metres


@dataclass(frozen=True)
class WholePhase:
    """All cells of one phase."""

    phase: str


@dataclass(frozen=True)
class LabelRegion:
    """Pixels of a second label image of the same shape as the first (before crop and coarsen)."""

    path: str  # absolute
    label: int | None  # None: each label but 0 becomes a region of its own, NAME_LABEL


@dataclass(frozen=True)
class SurfaceOf:
    """The surface that a phase turns to the other solved phases, particle by particle (connected components)."""

    phase: str
    threshold: float = 0.5  # of the reference concentration, above which a part of the surface counts as active


Shape = Box | Ball | Polygon | Shell | WholePhase | LabelRegion | SurfaceOf


@dataclass(frozen=True)
class Physics:
    """The whole transport problem."""

    phases: tuple[PhasePhysics, ...]  # index = phase index in image and mesh
    faces: dict[str, FaceCondition] = field(default_factory=dict)  # "x_min" etc.
    interfaces: tuple[InterfaceLaw, ...] = ()  # between transport phases; those left out are continuous

    @property
    def reference_concentration(self) -> float:
        """Largest concentration that drives the problem, mol/m^3: the scale of the unknown and of the tolerance.

        Where only fluxes drive it there is none: 0.
        """
        driving = [p.concentration for p in self.phases if p.concentration is not None]
        driving += [f.concentration for f in self.faces.values() if f.concentration is not None]
        held = [course_of(c).largest for c in driving]
        return max([*held, *(p.initial for p in self.phases if p.role is Role.TRANSPORT), 0.0])
