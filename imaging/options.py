"""What the user asks of the image and of the mesh, validated and in SI; no heavy imports."""

from dataclasses import dataclass, field
from typing import Any, Literal

from numpy.typing import NDArray

Colour = tuple[int, int, int]
MeshMethod = Literal["fitted", "lattice", "voxel"]  # the keys of the table in meshing/methods

# What holds where the case says nothing of it
SIZE_AT_SURFACES = 2.0  # of the shortest voxel edge, at the surfaces of the solved phases
LARGEST_SIZE = 1 / 25  # of the longest edge of the image
DEGREE = {2: 2, 3: 1}  # of the elements, by dimension


@dataclass(frozen=True)
class RawLayout:
    """Layout of a headerless file."""

    shape: tuple[int, ...]  # array order: ([z,] y, x)
    dtype: str  # NumPy name, with byte order where it matters, e.g. "<u2"
    offset: int = 0  # bytes before the first voxel


@dataclass(frozen=True)
class ImageSource:
    """Where the labels come from and which part of them is wanted."""

    path: str  # absolute: a file, a folder, a glob of slices, or "file.h5:/dataset"
    voxel_size: tuple[float, ...] | None = None  # metres, array order ([z,] y, x); one entry = all axes
    crop: dict[str, tuple[int, int]] = field(default_factory=dict)  # axis name -> [first, last) in voxels
    coarsen: int = 1  # edge of the blocks that a majority vote turns into one voxel
    raw: RawLayout | None = None
    folder: str = ""  # that `path` begins with and whose characters are taken literally; empty: no part of it is
    held: NDArray[Any] | None = field(default=None, compare=False, repr=False)  # ([z,] y, x) labels, in place of a file


@dataclass(frozen=True)
class PhaseLabels:
    """Which pixel values belong to a phase; its index is its place in the tuple of all phases.

    Three whole numbers from 0 to 255 written as a list, `label = [255, 136, 0]`, are three labels in an image of
    labels and one colour in a colour-coded picture. Only the reader of the image knows which it is, so `labels` holds
    the numbers and a reader that finds colours takes `for_colour_image()` instead.
    """

    name: str
    labels: tuple[int | Colour, ...]
    ranges: tuple[tuple[int, int], ...] = ()  # first and last of labels that are all meant
    rest: bool = False  # whether all labels are meant that no other phase claims

    @property
    def any(self) -> bool:
        """Whether the phase claims labels; what was split off another claims none."""
        return bool(self.labels or self.ranges or self.rest)

    def for_colour_image(self) -> tuple[int | Colour, ...]:
        """What to look for in a colour-coded picture; any number left in it can't be there and is the user's error."""
        match () if self.ranges else self.labels:
            case (int(red), int(green), int(blue)) if all(0 <= part <= 255 for part in (red, green, blue)):
                return ((red, green, blue),)
        return self.labels


def range_text(ends: tuple[int, int]) -> str:
    """A range of labels as a case file writes it."""
    return f"{ends[0]}-{ends[1]}"


@dataclass(frozen=True)
class SizeWithin:
    """An element size asked for in a part of the image: all within a distance of a box, which may be a point."""

    region: str  # that the part is named by
    size: float  # m
    low: tuple[float, ...]  # m, of the box, x first; -inf along an axis along which it has no end
    high: tuple[float, ...]
    radius: float = 0.0  # m, the distance: of a disk or sphere about a point


@dataclass(frozen=True)
class MeshOptions:
    """Element sizes in metres and the method that makes the mesh."""

    method: MeshMethod | Literal["auto"] = "auto"
    size: dict[str, float] = field(
        default_factory=dict
    )  # phase name -> element size at its surface; none: SIZE_AT_SURFACES
    size_max: float | None = None  # None: LARGEST_SIZE
    growth: float = 0.25  # increase of element size per distance from a refined surface
    gap_elements: int = 3  # elements wanted across gaps between the surfaces named in `size`
    junction_size: float | None = None  # size where three phases meet; None: the mesher's default
    estimate: bool = True  # whether a run tells its error in space from a coarser mesh
    file: str = ""  # absolute path of a mesh that is taken instead of making one; empty: none is
    size_factor: float = 1.0  # on all sizes, those above and the defaults
    unit: float | None = (
        None  # m, of the coordinates in `file` where that is a mesh of another program; None: it is not
    )
    coarseness: float = 1.0  # all elements are made this many times as large as all of these ask, to be compared with
    subdivided: int = 1  # voxels along the edge of a voxel of the image that the default of size_max is for
    periodic: tuple[str, ...] = ()  # axes along which the image comes again and again, so that opposite faces are one
    size_in: tuple[SizeWithin, ...] = ()  # smaller elements in parts of the image

    @property
    def times(self) -> float:
        """All factors on the sizes together."""
        return self.size_factor * self.coarseness
