"""What pictures show: a sample, and the concentration in it at some times."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from dolfinx import fem

from microlith.imaging.image.volume import LabelImage, LabelVolume
from microlith.imaging.typing import Array, Flags
from microlith.meshing.mesh.phasemesh import PhaseMesh
from microlith.solver.physics.phases import Role
from microlith.solver.regions.shapes import Shape
from microlith.workflow.case.case import PictureOptions
from microlith.workflow.pictures.canvas import pixels_of
from microlith.workflow.pictures.colour_scales import ColourScale
from microlith.workflow.rendering.projection import View
from microlith.workflow.rendering.raster import Raster

SOURCES, OTHERS = (0.93, 0.8), (0.45, 0.65)  # first and last grey of phases that are sources, and of others


@dataclass(frozen=True, eq=False)
class PhaseRaster:
    """On rank 0: which phase is where in a picture, and the lines between phases."""

    phase: NDArray[np.uint8]  # (rows, columns)
    covered: Flags  # (rows, columns) by the mesh
    lines: list[Array]  # (points, 2) each, in the drawing


@dataclass(frozen=True, eq=False)
class Sample:
    """The segmented image of a case and its mesh."""

    title: str  # of the case
    mesh: PhaseMesh  # of the solved phases
    roles: tuple[Role, ...]  # of all phases, in the order of the image
    image: LabelImage | None = None  # the whole image: in 2D, on rank 0
    volume: LabelVolume | None = None  # the image, read in windows: in 3D
    regions: Mapping[str, Shape] = field(default_factory=dict)  # name -> shape, marked in pictures
    options: PictureOptions = field(default_factory=PictureOptions)
    # In 2D, by `phase_raster` for all pictures on one raster; None on ranks other than 0
    rasters: dict[Raster, PhaseRaster | None] = field(default_factory=dict, init=False, repr=False)

    @property
    def dim(self) -> int:
        """Number of space dimensions, 2 or 3."""
        return len(self.mesh.extent)

    @property
    def solved(self) -> Flags:
        """Whether each phase is solved for, (phases,)."""
        return np.array([role is Role.TRANSPORT for role in self.roles])

    @property
    def greys(self) -> dict[int, float]:
        """Grey of each phase that is not solved for: sources light, all others darker."""
        found: dict[int, float] = {}
        for source, (first, last) in ((True, SOURCES), (False, OTHERS)):
            phases = [i for i, r in enumerate(self.roles) if r is not Role.TRANSPORT and (r is Role.SOURCE) is source]
            levels = np.linspace(first, last, len(phases)) if len(phases) > 1 else [first]
            found |= {phase: float(level) for phase, level in zip(phases, levels, strict=False)}
        return dict(sorted(found.items()))

    @property
    def empty(self) -> list[int]:
        """Phases that pictures of 3D samples leave empty: the sources."""
        return [phase for phase, role in enumerate(self.roles) if role is Role.SOURCE]

    @property
    def periodic(self) -> tuple[int, ...]:
        """Axes along which the image comes again and again; a stored mesh does not know them."""
        return self.mesh.periodic or (self.volume.periodic if self.volume is not None else ())

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
    scales: tuple[ColourScale, ...]  # of all phases that are solved for

    def scale_of(self, phase: str) -> ColourScale:
        """The scale of a phase that is solved for."""
        return next(scale for scale in self.scales if phase in scale.phases)


def raster_of(sample: Sample, bars: int) -> Raster:
    """The raster of a picture of a 2D sample.

    Args:
        sample: The image and its mesh.
        bars: Number of colour bars beside the picture.
    """
    width, height = sample.mesh.extent[:2]
    columns, rows = pixels_of(2, width / height, bars, sample.options)
    return Raster(rows, columns, (width, height))


def view_of(sample: Sample, bars: int) -> View:
    """The projection of a picture of a 3D sample.

    Args:
        sample: The image and its mesh.
        bars: Number of colour bars beside the picture.
    """
    extent = np.array(sample.mesh.extent)
    view = View.of_frame(extent)
    return View.of_frame(extent, max(pixels_of(3, view.columns / view.rows, bars, sample.options)))
