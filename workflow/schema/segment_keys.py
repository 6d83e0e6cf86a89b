"""The keys of the file that `microlith segment` takes; made as those of the case file are."""

# ruff: noqa: D102 -- what the methods of each kind do is said once, by `Kind`

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, get_args

from microlith.imaging.axes import FACES
from microlith.imaging.segmentation.options import Extent, Method, Size
from microlith.workflow.schema.keys import IMAGE
from microlith.workflow.schema.kinds import UNBOUNDED, Choice, Either, Flag, Kind, ListOf, Number, Place, Quantity, Text
from microlith.workflow.schema.shared_keys import length, per_axis, phase_name
from microlith.workflow.schema.tables import NAME, Key, Named, Several, Table
from microlith.workflow.schema.units import LENGTH

METHODS: tuple[str, ...] = get_args(Method)
FILTERS = ("destripe", "slices", "background", "median", "non_local_means", "gaussian")  # in their order


@dataclass(frozen=True)
class Converted(Kind):
    """What another kind parses to, made into something else."""

    kind: Kind
    convert: Callable[[Any], Any]

    def expected(self) -> str:
        return self.kind.expected()

    def accepts(self, value: object) -> bool:
        return self.kind.accepts(value)

    def _parse(self, value: Any, at: Place) -> Any:
        return self.convert(self.kind.parse(value, at))

    def json(self) -> dict[str, Any]:
        return self.kind.json()


def _voxels(value: float) -> Extent:
    return Extent(float(value), True)


def _length(value: float) -> Extent:
    return Extent(value, False)


def _size_voxels(value: float) -> Size:
    return Size(float(value), True)


def _size_length(value: float) -> Size:
    return Size(value, False)


extent = Either((Converted(Number(above=0), _voxels), Converted(Quantity(LENGTH, "40 nm"), _length)))
radius = Number(1, 20, whole=True)


def _image_key(key: Key) -> Key:
    """A key of [image] as it is for grey values."""
    if key.name == "file":
        doc = key.doc.replace("Segmented image", "Image of grey values").replace("case file", "segmentation file")
        return replace(key, doc=doc)
    if key.name == "voxel_size":
        return replace(key, doc=key.doc.replace("the case says", "is said here"))
    if key.name == "raw":
        assert isinstance(key.kind, Table)
        number = Text(
            'a number type such as "uint16" or "<f4"',
            r"^([<>=|]?([ui][1248]|f[48])|u?int(8|16|32|64)|float(32|64))$",
        )
        keys = tuple(
            replace(one, kind=number, doc="NumPy's name of the number type, with its byte order.")
            if one.name == "dtype"
            else one
            for one in key.kind.keys
        )
        return replace(key, kind=replace(key.kind, keys=keys))
    return key


GREY_IMAGE = Table(
    "the table [image]",
    (
        *(_image_key(key) for key in IMAGE.keys if key.name != "coarsen"),
        Key(
            "grey",
            Flag(),
            "Whether an image of at most 16 distinct values is taken for one of grey values; else it is refused, as it "
            "is most likely a label image.",
            default=False,
        ),
        Key(
            "outside",
            Either((Choice(("auto", "none")), Number(-UNBOUNDED, UNBOUNDED))),
            "Grey value of what is no part of the sample, such as the corners around a reconstructed cylinder or the "
            "edges that alignment leaves: it is followed from the edges of each slice inwards, gets label 0, and "
            "counts nowhere. auto: looked for, unless a phase has the name outside, exterior, background or "
            "surroundings. none: there is nothing of this kind, or it is a phase. Voxels without a number (NaN) are "
            "outside in any case.",
            default="auto",
        ),
    ),
    doc="The image of grey values; cropped before all else.",
    section=True,
)

DESTRIPE = Table(
    'a table such as { along = "y" }',
    (
        Key("along", Choice(("x", "y")), "Axis that the stripes run along.", default="y"),
        Key("width", Number(above=0, high=1000), "Voxels: changes much wider stay.", default=10),
        Key(
            "length",
            Number(8, whole=True),
            "Voxels over which a stripe keeps its brightness; if left out from end to end of the slice.",
        ),
    ),
    doc="How stripes are taken out.",
)

NON_LOCAL_MEANS = Table(
    "a table such as { strength = 0.8 }",
    (
        Key(
            "strength",
            Number(above=0, high=10),
            "Times the standard deviation of the noise, which is estimated.",
            default=0.8,
        ),
        Key("patch", Number(3, 21, whole=True), "Edge, in voxels, of the patches that are compared.", default=5),
        Key("distance", Number(1, 50, whole=True), "How far from a voxel, in voxels, patches are compared.", default=6),
    ),
    doc="Which patches are compared.",
)

FILTERS_TABLE = Table(
    "the table [filters]",
    (
        Key(
            "rescale",
            Either((length, per_axis(length, 'a table such as { z = "20 nm" }', at_least=1))),
            "Wanted voxel size, for all axes or some: means of voxels, or lines between them where they get smaller. "
            "Comes first, whatever the order.",
        ),
        Key(
            "destripe",
            DESTRIPE,
            "Takes out stripes within each slice, as the ion beam leaves them (curtaining).",
        ),
        Key(
            "slices",
            Number(above=0, high=10000),
            "Takes out steps of brightness from slice to slice, against this many slices around; slower changes stay, "
            "unless it is as many as there are slices or more: then a drift through the volume goes as well.",
        ),
        Key(
            "background",
            Number(1, 6, whole=True),
            "Takes out uneven brightness across the slices: a polynomial of this degree in x and y, the same for all.",
        ),
        Key("median", radius, "Median of a cube; the number of voxels from its middle to its sides."),
        Key(
            "non_local_means",
            NON_LOCAL_MEANS,
            "Non-local means (Buades et al. 2005), slice by slice.",
        ),
        Key(
            "gaussian",
            extent,
            "Gaussian: its standard deviation, in voxels or as a length.",
        ),
        Key(
            "order",
            ListOf(Choice(FILTERS), "names of filters"),
            f"Order of the filters, where it is another than: {', '.join(FILTERS)}.",
        ),
    ),
    doc="Filters of the grey values, in the order of this list unless `order` says another.",
    section=True,
)


def _name(_: str) -> str:
    return '; a name holds letters without accents, digits, "_", "." and "-", and no space'


SEGMENTATION = Table(
    "the table [segmentation]",
    (
        Key(
            "phases",
            ListOf(replace(phase_name, pattern=f"^{NAME}$", hint=_name), "names of phases", 2, 255),
            "The phases; from dark to bright, unless the method is regions. The first has label 1 in the result, the "
            "second 2, and so on.",
            required=True,
        ),
        Key(
            "method",
            Choice(METHODS),
            "thresholds: as given. otsu, multi-otsu: thresholds between two, or several, phases that make the grey "
            "values within each vary least. multistage, for tomograms: thresholds in stages, first of the darkest and "
            "the brightest phase, then of what is between them. regions, for images in which deeper slices shine "
            "through: each slice is cut into regions (Felzenszwalb and Huttenlocher 2004), and [[rules]] or scribbles "
            "say which phase each belongs to.",
            required=True,
        ),
        Key(
            "thresholds",
            ListOf(Number(), "grey values", 1),
            "Grey values after the filters, ascending, one less than phases; a voxel of just this value belongs to the "
            "brighter phase.",
            only=("thresholds",),
            needed_by=("thresholds",),
        ),
        Key(
            "partial_volume",
            Number(0, 10, whole=True),
            "Voxels on either side of an interface that may hold two phases: they don't count in the histograms of "
            "later stages, and a layer this thin between a darker and a brighter phase is their interface; so is one "
            "up to twice as thick through which the grey values rise as steeply as at an interface. 1 for a blur of up "
            "to one voxel (standard deviation), 2 for more.",
            default=1,
            only=("multistage",),
        ),
        Key(
            "deblur",
            Flag(),
            "Whether the labels are changed so that the phases' grey values, blurred by a Gaussian whose width is "
            "found, explain the image before the filters that smooth.",
            default=True,
            only=("multistage",),
        ),
        Key(
            "scribbles",
            Text('the name of an image file, such as "scribbles.tif"'),
            "Sparse label image of the shape of the image before its crop: 0 where nothing is painted, 1 where the "
            "first phase is, and so on. A random forest learns from the regions that it touches.",
            only=("regions",),
        ),
        Key(
            "regions",
            Number(2, 10**7, whole=True),
            "Wanted number of regions in the middle slice; sets scale.",
            only=("regions",),
            instead="scale",
        ),
        Key(
            "scale",
            Number(above=0, high=1e6),
            "How much regions join: larger values give larger regions; 10 if left out.",
            only=("regions",),
        ),
        Key(
            "smoothing",
            Number(0, 20),
            "Standard deviation, in voxels, of a Gaussian before slices are cut; what is described is not smoothed.",
            default=0.5,
            only=("regions",),
        ),
        Key("smallest", Number(1, 10**6, whole=True), "Voxels of the smallest region.", default=10, only=("regions",)),
        Key(
            "levels",
            ListOf(Number(), "grey values", 1, 20),
            "Grey values above which the shares of a region's voxels are features; if left out the thresholds of "
            "multi-otsu.",
            only=("regions",),
        ),
        Key(
            "reach",
            Number(0, 20, whole=True),
            "How many slices before and after are looked at, at the place of each region.",
            default=3,
            only=("regions",),
        ),
        Key(
            "depth",
            Number(0, 50, whole=True),
            "How many slices behind a pore may shine through it. How bright is learnt from the classed regions; "
            "then each column of voxels along z gets the labels that explain its grey values best. 0: all voxels of a "
            "region have the same label.",
            default=12,
            only=("regions",),
        ),
        Key(
            "transparent",
            phase_name,
            "The phase through which deeper slices shine; if left out the darkest.",
            only=("regions",),
        ),
    ),
    doc="How voxels get their labels.",
    section=True,
    tag="method",
)

_bounds = ListOf(Number(), "numbers, the lowest and the highest", 2, 2)

RULE = Table(
    "a table [[rules]]",
    (
        Key("phase", phase_name, "The phase of regions that are within all bounds.", required=True),
        Key("mean", _bounds, "Mean grey value."),
        Key("deviation", _bounds, "Standard deviation of the grey values."),
        Key(
            "above",
            ListOf(_bounds, "pairs of bounds", 1, 20),
            "Shares of voxels above each of the grey values of levels, in their order.",
        ),
        Key(
            "neighbours", _bounds, "Mean grey value of the neighbouring regions, weighted by the length of the border."
        ),
        Key(
            "before",
            ListOf(_bounds, "pairs of bounds", 1, 20),
            "Mean at its place in the slice before, in the one before that, and so on.",
        ),
        Key(
            "after",
            ListOf(_bounds, "pairs of bounds", 1, 20),
            "Mean at its place in the slice after, in the one after that, and so on.",
        ),
        Key("size", _bounds, "Number of voxels."),
    ),
    doc="A rule for regions: the first that a region fits says its phase; one without bounds takes all that are left.",
)

size = Either((Converted(Number(1), _size_voxels), Converted(Quantity(LENGTH, "100 nm"), _size_length)))


def _by_phase(entry: Kind, example: str) -> Named:
    return Named(entry, "phases", f"a table such as {{ {example} }}", at_least=1)


CLEANUP = Table(
    "the table [cleanup]",
    (
        Key(
            "opening",
            _by_phase(Number(above=0, high=50), "particle = 1.5"),
            "By phase: radius, in voxels, of a ball; parts of the phase in which it does not fit go to what is beside.",
        ),
        Key(
            "closing",
            _by_phase(Number(above=0, high=50), "particle = 1.5"),
            "By phase: radius, in voxels, of a ball; gaps in which it does not fit go to the phase.",
        ),
        Key(
            "pieces",
            _by_phase(size, "pore = 50"),
            "By phase: size below which an isolated piece goes to the phase that surrounds most of it, in voxels or as "
            "the diameter of a sphere (in 2D a disk) as large.",
        ),
        Key(
            "holes",
            _by_phase(size, "particle = 50"),
            "By phase: size below which what lies wholly within the phase goes to it.",
        ),
        Key(
            "unreached",
            _by_phase(Either((Choice(("any",)), ListOf(Choice(FACES), "outer faces", 1, 6))), 'pore = ["z_min"]'),
            "By phase: outer faces; pieces that reach none of them go to what surrounds them. any: all faces count.",
        ),
    ),
    doc="Clean-up of the labels, in the order of this list; voxels are neighbours where they share a face.",
    section=True,
)

CERTAINTY = Table(
    "the table [certainty]",
    (
        Key(
            "shift",
            Number(above=0, below=0.5),
            "How far thresholds, bounds of rules and borders of regions are moved to either side, as a share of the "
            "contrast between the two phases. Voxels whose label this can change are doubtful.",
            default=0.1,
        ),
        Key(
            "votes",
            Number(above=0, below=0.5),
            "Share of the trees of a forest that may vote otherwise: with 0.25 regions are doubtful whose votes "
            "for the first and the second phase differ by less than a half.",
            default=0.25,
        ),
        Key(
            "phases",
            ListOf(phase_name, "names of phases"),
            "Phases of which two more label images are written, one where it loses and one where it gets what is "
            "doubtful; if left out all.",
        ),
    ),
    doc="How sure the labels are.",
    section=True,
)

SEGMENT = Table(
    "a segmentation file",
    (
        Key("title", Text("a text"), "Title; if left out the file's name."),
        Key("image", GREY_IMAGE, "The image of grey values.", required=True),
        Key("filters", FILTERS_TABLE, "Filters of the grey values.", default={}),
        Key("segmentation", SEGMENTATION, "How voxels get their labels.", required=True),
        Key("cleanup", CLEANUP, "Clean-up of the labels.", default={}),
        Key("rules", Several(RULE, "tables [[rules]]"), "Rules for regions, tried in their order.", default=[]),
        Key("certainty", CERTAINTY, "How sure the labels are.", default={}),
    ),
)
