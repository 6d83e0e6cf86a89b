"""The keys of the file that `microlith segment` takes; made as those of the case file are."""

# ruff: noqa: D102 -- what the methods of each kind do is said once, by `Kind`

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from microlith.imaging.segmentation.options import Extent
from microlith.workflow.schema.keys import IMAGE
from microlith.workflow.schema.kinds import Choice, Either, Flag, Kind, ListOf, Number, Place, Quantity, Text
from microlith.workflow.schema.shared_keys import phase_name
from microlith.workflow.schema.tables import NAME, Key, Several, Table
from microlith.workflow.schema.units import LENGTH

METHODS = ("thresholds", "otsu", "multi-otsu", "multistage", "regions")
FILTERS = ("median", "gaussian")  # in their order


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


extent = Either((Converted(Number(above=0), _voxels), Converted(Quantity(LENGTH, "40 nm"), _length)))
radius = Number(1, 20, whole=True)


def _image_key(key: Key) -> Key:
    """A key of [image] as it is for grey values."""
    if key.name == "file":
        doc = key.doc.replace("Segmented image", "Image of grey values")
        return replace(key, doc=doc)
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
            "is rather segmented already.",
            default=False,
        ),
    ),
    doc="The image of grey values; cropped before all else.",
    section=True,
)

FILTERS_TABLE = Table(
    "the table [filters]",
    (
        Key("median", radius, "Median of a cube; the number of voxels from its middle to its sides."),
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

SEGMENTATION = Table(
    "the table [segmentation]",
    (
        Key(
            "phases",
            ListOf(replace(phase_name, pattern=f"^{NAME}$"), "names of phases", 2, 255),
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
            "later stages, and a layer this thin between a darker and a brighter phase is their interface.",
            default=1,
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

CERTAINTY = Table(
    "the table [certainty]",
    (
        Key(
            "shift",
            Number(above=0, below=0.5),
            "How far thresholds are moved to either side, as a share of the contrast between the two phases; of the "
            "trees of a forest, the share that may vote otherwise. Voxels whose label this can change are doubtful.",
            default=0.1,
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
        Key("rules", Several(RULE, "tables [[rules]]"), "Rules for regions, tried in their order.", default=[]),
        Key("certainty", CERTAINTY, "How sure the labels are.", default={}),
    ),
)
