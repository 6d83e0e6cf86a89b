"""What pictures show: a sample, and the concentration in it at some times."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from dolfinx import fem

from microlith.imaging.image.volume import LabelImage, LabelVolume
from microlith.imaging.typing import Array, Flags
from microlith.meshing.mesh.phasemesh import PhaseMesh
from microlith.solver.physics.phases import Role
from microlith.solver.regions.shapes import Shape


@dataclass(frozen=True, eq=False)
class Sample:
    """The segmented image of a case and its mesh."""

    title: str  # of the case
    mesh: PhaseMesh  # of the solved phases
    roles: tuple[Role, ...]  # of all phases, in the order of the image
    image: LabelImage | None = None  # the whole image: in 2D, on rank 0
    volume: LabelVolume | None = None  # the image, read in windows: in 3D
    regions: Mapping[str, Shape] = field(default_factory=dict)  # name -> shape, marked in pictures

    @property
    def dim(self) -> int:
        """Number of space dimensions, 2 or 3."""
        return len(self.mesh.extent)

    @property
    def solved(self) -> Flags:
        """Whether each phase is solved for, (phases,)."""
        return np.array([role is Role.TRANSPORT for role in self.roles])

    @property
    def size(self) -> Array:
        """Edge lengths of the image, (dim,), m."""
        return np.array(self.mesh.extent) * self.mesh.unit


@dataclass(frozen=True, eq=False)
class Snapshots:
    """The concentration at some times."""

    space: fem.FunctionSpace  # Lagrange space of degree 1, 2 or 3 on the mesh of the sample, broken or not
    times: Sequence[float]  # (k,) s
    concentrations: Iterable[Array]  # k arrays, taken in turn: local dofs of this rank with ghosts, mol/m^3
    c_range: tuple[float, float]  # at the two ends of the colour map, mol/m^3; values beyond take the end's colour
