"""A case: everything that one TOML file says, validated and in SI."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from microlith.imaging.options import ImageSource, MeshOptions, PhaseLabels
from microlith.solver.options import SolverOptions, TimeSpan
from microlith.solver.physics.phases import Physics
from microlith.solver.regions.shapes import Shape


@dataclass(frozen=True)
class PictureOptions:
    """How pictures of the results look."""

    formats: tuple[str, ...] = ("png",)  # endings of the files, of PICTURE_FORMATS
    width: float | None = None  # of a picture with all around it, m; None: as its content asks for
    resolution: int = 300  # pixels per inch of what is no line or letter
    colours: str = "viridis"  # Matplotlib's name of the colour map of concentrations
    ranges: dict[str, tuple[float, float]] = field(default_factory=dict)  # phase -> ends of its colours, mol/m^3


@dataclass(frozen=True)
class AnalysisOptions:
    """What is measured in the image."""

    measure: tuple[str, ...] = ()  # names of measurements; none: all
    pores: tuple[str, ...] = ()  # phases; none: the sources
    particles: tuple[str, ...] = ()  # phases; none: the barriers and sinks
    face: str = ""  # outer face that ways start from; empty: z_min, in 2D y_min
    reach: dict[str, str] = field(default_factory=dict)  # phase -> outer face; none: the pores with `face`
    split: float | None = None  # necks narrower than this share of a particle are cut; None: none are
    particle_labels: str = ""  # absolute path of an image of labels, one a particle
    deff: tuple[str, ...] = ()  # phases whose effective diffusivity is found; none: it is of none
    deff_voxels: int = 1_000_000  # to which the image is coarsened for that


@dataclass(frozen=True)
class InitialState:
    """An earlier result whose concentration is that at the start."""

    folder: str  # absolute
    time: float | None  # s, of a snapshot; None: the last


@dataclass(frozen=True)
class Case:
    """The case file as understood."""

    path: Path  # of the case file
    title: str
    image: ImageSource
    labels: tuple[PhaseLabels, ...]  # one per phase, same order as physics.phases
    mesh: MeshOptions
    degree: int | None  # of the Lagrange elements; None: 2 in 2D, 1 in 3D
    physics: Physics
    time: TimeSpan
    solver: SolverOptions
    regions: dict[str, Shape]  # name -> shape; one LabelRegion entry in the file may give several, NAME_LABEL
    correct: bool = False  # whether curves get what recovered gradients say that they lack
    pictures: PictureOptions = field(default_factory=PictureOptions)
    analysis: AnalysisOptions = field(default_factory=AnalysisOptions)
    initial: InitialState | None = None  # None: each phase starts even
    checkpoint: float | None = None  # s between checkpoints of a run; None: only when a signal asks it to end
    tables: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)  # as written, in a file or not
    # Whether what would not fit into the memory that is free is refused; said to the command, not in the file
    check_memory: bool = field(default=True, compare=False, repr=False)
