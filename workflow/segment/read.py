"""Reads a segmentation file: TOML to a validated `Request` in SI."""

from collections import Counter
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from microlith.imaging.axes import AXES
from microlith.imaging.segmentation.classing import Rule
from microlith.imaging.segmentation.corrections import Background, Destripe, NonLocalMeans, SliceBrightness
from microlith.imaging.segmentation.filters import Filter, Gaussian, Median
from microlith.imaging.segmentation.options import Certainty, CleanupOptions, SegmentOptions
from microlith.imaging.segmentation.regions import RegionOptions
from microlith.imaging.segmentation.scribbles import Scribbles
from microlith.imaging.segmentation.thresholds import MOST_OTSU
from microlith.workflow.case.files import image_path
from microlith.workflow.case.read import IN_MEMORY, image_source
from microlith.workflow.case.toml_file import read_toml
from microlith.workflow.schema.kinds import Place, nearest
from microlith.workflow.schema.segment_keys import FILTERS, SEGMENT
from microlith.workflow.segment.request import Request


def load_request(path: Path) -> Request:
    """Reads and checks a segmentation file; everything is checked that can be without opening the image.

    Args:
        path: Of the TOML file; names of files in it are relative to its folder.

    Raises:
        InputError: The file can't be read or something in it is wrong.
    """
    return request_of(read_toml(path, "segmentation"), path)


def request_of(
    tables: Mapping[str, Any], path: Path, image: NDArray[Any] | None = None, scribbles: NDArray[Any] | None = None
) -> Request:
    """Checks what a segmentation file holds.

    Args:
        tables: Tables, keys and values as in the file.
        path: Of the file, or a name for messages beside which files are looked for.
        image: ([z,] y, x) grey values, in place of a file.
        scribbles: ([z,] y, x) labels, in place of a file.

    Raises:
        InputError: Something in it is wrong.
    """
    at = Place(str(path))
    if image is not None:
        tables = {**tables, "image": {**tables.get("image", {}), "file": IN_MEMORY}}
    raw = SEGMENT.parse(dict(tables), at)
    few_is_grey, outside = raw["image"].pop("grey"), raw["image"].pop("outside")
    return Request(
        path=path.absolute(),
        title=raw.get("title", path.stem),
        image=image_source({**raw["image"], "coarsen": 1}, path.parent, at.child("image", section=True), image),
        few_is_grey=few_is_grey,
        outside=outside,
        rescale=_per_axis(raw["filters"].get("rescale")),
        filters=_filters(raw["filters"], at.child("filters", section=True)),
        options=_options(raw, path, scribbles, at),
    )


def _per_axis(size: Any) -> dict[str, float]:
    """A voxel size for some axes, by name."""
    if size is None:
        return {}
    return dict(size) if isinstance(size, dict) else dict.fromkeys(AXES, size)


def _filters(raw: dict[str, Any], at: Place) -> tuple[Filter, ...]:
    """The filters in their order."""
    asked = [name for name in FILTERS if name in raw]
    order = raw.get("order", asked)
    for name in order:
        if name not in asked:
            raise at.child("order").error(f'"{name}" is not asked for; add its key, or leave it out of the order')
    if sorted(order) != sorted(asked):
        missing = [name for name in asked if name not in order]
        what = f'"{missing[0]}" is missing' if missing else "a filter is named twice"
        raise at.child("order").error(f"{what}; name each filter that is asked for once")
    return tuple(_filter(name, raw[name]) for name in order)


def _filter(name: str, value: Any) -> Filter:
    match name:
        case "destripe":
            return Destripe(**value)
        case "slices":
            return SliceBrightness(value)
        case "background":
            return Background(value)
        case "median":
            return Median(value)
        case "non_local_means":
            return NonLocalMeans(**value)
        case _:
            return Gaussian(value)


def _options(raw: dict[str, Any], path: Path, held: NDArray[Any] | None, at: Place) -> SegmentOptions:
    own, section = raw["segmentation"], at.child("segmentation", section=True)
    phases = own["phases"]
    twice = [name for name, count in Counter(phases).items() if count > 1]
    if twice:
        raise section.child("phases").error(f'"{twice[0]}" is named twice; each phase has one name')
    if own["method"] == "otsu" and len(phases) > 2:
        raise section.child("method").error(
            f'"otsu" tells two phases apart, got {len(phases)}; take "multi-otsu" or "multistage"'
        )
    if own["method"] == "multi-otsu" and len(phases) > MOST_OTSU:
        raise section.child("method").error(
            f'"multi-otsu" tells at most {MOST_OTSU} phases apart, got {len(phases)}; take "multistage"'
        )
    _check_thresholds(own.get("thresholds"), len(phases), section)
    rules = tuple(
        _rule(rule, phases, own["method"], at.child("rules", section=True).table(i))
        for i, rule in enumerate(raw["rules"])
    )
    scribbles = _scribbles(own, rules, path, held, section)
    cleanup = _cleanup(raw["cleanup"], phases, at.child("cleanup", section=True))
    if "transparent" in own:
        _check_phase(own["transparent"], phases, section.child("transparent"))
    certainty = raw["certainty"]
    moved = certainty.get("phases")
    for i, name in enumerate(moved or ()):
        _check_phase(name, phases, at.child("certainty", section=True).child("phases").item(i))
    return SegmentOptions(
        phases=phases,
        method=own["method"],
        thresholds=own.get("thresholds", ()),
        regions=_region_options(own),
        depth=own.get("depth", 0),
        transparent=own.get("transparent"),
        rules=rules,
        scribbles=scribbles,
        rim=own.get("partial_volume", 0),
        deblur=own.get("deblur", False),
        cleanup=cleanup,
        certainty=Certainty(certainty["shift"], certainty["votes"], moved),
    )


def _region_options(own: dict[str, Any]) -> RegionOptions:
    names = {"regions": "count", "scale": "scale", "smoothing": "smoothing", "smallest": "smallest"}
    names |= {"levels": "levels", "reach": "reach"}
    return RegionOptions(**{field: own[key] for key, field in names.items() if key in own})


def _cleanup(raw: dict[str, Any], phases: tuple[str, ...], at: Place) -> CleanupOptions:
    for key, of_phases in raw.items():
        for name in of_phases:
            _check_phase(name, phases, at.child(key))
    unreached = {name: () if faces == "any" else faces for name, faces in raw.get("unreached", {}).items()}
    return CleanupOptions(**{**raw, "unreached": unreached})


def _check_phase(name: str, phases: tuple[str, ...], at: Place) -> None:
    if name not in phases:
        raise at.error(f'"{name}" is no phase of [segmentation]; {nearest(name, list(phases), "phases")}')


def _rule(raw: dict[str, Any], phases: tuple[str, ...], method: str, at: Place) -> Rule:
    if method != "regions":
        raise at.error(f'rules are for the method "regions", not for "{method}"; remove them')
    phase = raw["phase"]
    _check_phase(phase, phases, at.child("phase"))
    bounds = []
    for key, value in raw.items():
        if key == "phase":
            continue
        several = key in ("above", "before", "after")
        for k, (low, high) in enumerate(value if several else (value,), 1):
            if low > high:
                raise at.child(key).error(f"expected the lowest and the highest value, got {low:g} and {high:g}")
            bounds.append((f"{key}_{k}" if several else key, low, high))
    return Rule(phases.index(phase), tuple(bounds))


def _scribbles(
    own: dict[str, Any], rules: tuple[Rule, ...], path: Path, held: NDArray[Any] | None, at: Place
) -> Scribbles | None:
    if own["method"] != "regions":
        return None
    named = "scribbles" in own or held is not None
    if named == bool(rules):
        what = "got both; keep one of them" if named else "got none"
        raise at.error(f'method "regions" needs either scribbles or [[rules]], {what}')
    if not named:
        return None
    if held is not None:
        return Scribbles(IN_MEMORY, held=held)
    return Scribbles(image_path(own["scribbles"], path.parent, at.child("scribbles")), str(path.parent.absolute()))


def _check_thresholds(values: tuple[float, ...] | None, phases: int, section: Place) -> None:
    if values is None:
        return
    at = section.child("thresholds")
    if len(values) != phases - 1:
        raise at.error(f"expected {phases - 1}, one less than there are phases, got {len(values)}")
    for i, (low, high) in enumerate(pairwise(values), start=1):
        if high <= low:
            raise at.item(i).error(f"thresholds have to increase; {high:g} follows {low:g}")
