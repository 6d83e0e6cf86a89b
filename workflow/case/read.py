"""Reads a case file: TOML to a validated `Case` in SI."""

import math
from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from microlith.imaging.axes import AXES
from microlith.imaging.errors import Faults, printable
from microlith.imaging.options import ImageSource, MeshOptions, RawLayout, SizeWithin
from microlith.solver.options import SolverOptions, TimeSpan
from microlith.solver.physics.phases import Physics, Role
from microlith.solver.regions.shapes import Ball, Box, LabelRegion, Polygon, Region, Shape, Shell, SurfaceOf, WholePhase
from microlith.workflow.case.analysis import analysis_options
from microlith.workflow.case.case import Case, InitialState
from microlith.workflow.case.files import file_path, image_path
from microlith.workflow.case.foreign import is_foreign, with_foreign_image
from microlith.workflow.case.labels import phase_labels
from microlith.workflow.case.physics import (
    check_drive,
    check_periods,
    check_phase,
    check_transport,
    periodic_axes,
    physics_of,
    roles_of,
)
from microlith.workflow.case.pictures import picture_options
from microlith.workflow.case.toml_file import read_toml
from microlith.workflow.schema.keys import CASE, REGION_KINDS, STEADY_CASE
from microlith.workflow.schema.kinds import Place, nearest
from microlith.workflow.schema.units import length_text

IN_MEMORY = "labels in memory"  # in place of a file's name


def load_case(path: Path, transient: bool = True) -> Case:
    """Reads and checks a case file; everything is checked that can be without opening the image.

    Args:
        path: Of the TOML file; names of files in it are relative to its folder.
        transient: Whether there has to be all that a run needs; without, [time] and something that feeds the phases
            may be missing, and `Case.time` ends at 0 s then.

    Raises:
        InputError: The file can't be read or something in it is wrong.
    """
    return case_of(read_toml(path), path, transient)


def case_of(tables: Mapping[str, Any], path: Path, transient: bool = True, image: NDArray[Any] | None = None) -> Case:
    """Checks what a case file holds; everything is checked that can be without opening the image.

    Args:
        tables: Tables, keys and values as in a case file.
        path: Of the case file, or a name for messages beside which files are looked for.
        transient: As in `load_case`.
        image: ([z,] y, x) labels, any integer type, in place of a file.

    Raises:
        InputError: Something in it is wrong.
    """
    at, given = Place(str(path)), tables
    foreign = image is None and is_foreign(tables)
    if foreign:
        tables, image = with_foreign_image(tables, path.parent, at)
    elif image is not None:
        tables = {**tables, "image": {**tables.get("image", {}), "file": IN_MEMORY}}
    raw = (CASE if transient else STEADY_CASE).parse(dict(tables), at)
    roles = roles_of(raw["phases"])
    faults = Faults()
    with faults.gathered():
        labels = phase_labels(raw["phases"], at)
    with faults.gathered():
        physics = _physics(raw, transient, at)
    with faults.gathered():
        mesh = _mesh(raw["mesh"], list(roles), path.parent, foreign, at.child("mesh", section=True))
        mesh = replace(mesh, periodic=periodic_axes(raw))
    with faults.gathered():
        regions = _regions(raw["regions"], roles, path.parent, at)
        within = _sizes_within(raw["mesh"], regions, at.child("mesh", section=True))
    with faults.gathered():
        source = image_source(raw["image"], path.parent, at.child("image", section=True), image)
    with faults.gathered():
        time = _time(raw["time"], at.child("time", section=True)) if "time" in raw else TimeSpan(0.0)
    with faults.gathered():
        pictures = picture_options(raw["pictures"], roles, at.child("pictures", section=True))
    with faults.gathered():
        analysis = analysis_options(raw["analysis"], list(roles), path.parent, at.child("analysis", section=True))
    initial = None
    with faults.gathered():
        initial = _initial(raw, path.parent, at)
    faults.tell()
    return Case(
        path=path.absolute(),
        title=raw.get("title", path.stem),
        image=source,
        labels=labels,
        mesh=replace(mesh, size_in=within),
        degree=raw["mesh"].get("degree"),
        correct=raw["mesh"]["correct"],
        physics=physics,
        time=time,
        solver=SolverOptions(**raw["solver"]),
        regions=regions or {name: WholePhase(name) for name, role in roles.items() if role is Role.TRANSPORT},
        pictures=pictures,
        analysis=analysis,
        initial=initial,
        checkpoint=raw["run"].get("checkpoint"),
        tables=given,
    )


def _physics(raw: dict[str, Any], transient: bool, at: Place) -> Physics:
    physics = physics_of(raw, at)
    if transient:
        if "initial" not in raw:  # then what is there evens out
            check_drive(physics, at)
        check_periods(raw, raw["time"]["end"], at)
    return physics


# --- image ---


def image_source(raw: dict[str, Any], folder: Path, at: Place, image: NDArray[Any] | None) -> ImageSource:
    """Where an image comes from, as a table [image] says it.

    Args:
        raw: The table, parsed.
        folder: That files are looked for in.
        at: Of the table.
        image: ([z,] y, x) in place of a file.

    Raises:
        InputError: There is no such file, or the crop is empty.
    """
    crop = raw.get("crop", {})
    for axis, (first, last) in crop.items():
        if first >= last:
            raise at.child(f"crop.{axis}").error(f"expected [first, last + 1] with first < last, got [{first}, {last}]")
    size = raw.get("voxel_size")
    if isinstance(size, dict):
        size = tuple(size[axis] for axis in ("z", "y", "x") if axis in size)
    elif size is not None:
        size = (size,)
    return ImageSource(
        path=raw["file"] if image is not None else image_path(raw["file"], folder, at.child("file")),
        voxel_size=size,
        crop=crop,
        coarsen=raw["coarsen"],
        raw=RawLayout(**raw["raw"]) if "raw" in raw and image is None else None,
        folder=str(folder.absolute()),
        held=image,
    )


# --- mesh and time ---


def _initial(raw: dict[str, Any], folder: Path, at: Place) -> InitialState | None:
    if "initial" not in raw:
        return None
    place = at.child("initial.from")
    given = [name for name, phase in raw["phases"].items() if phase.get("initial", 0.0) != 0.0]
    if given:
        raise at.child("initial").error(f"[phases.{given[0]}] has an initial concentration as well; remove one of them")
    name = raw["initial"]["from"]
    # As other files, relative to the case file; results are also known by where the command ran.
    try:
        for path in (folder / Path(name).expanduser(), Path(name)):
            if (path / "fields.vtkhdf").is_file():
                return InitialState(str(path.absolute()), raw["initial"].get("time"))
    except (OSError, ValueError, RuntimeError) as error:  # name too long, no permission, no such ~user
        raise place.error(f'"{printable(name)}" can\'t be read: {error}') from error
    raise place.error(f'there is no "{printable(name)}/fields.vtkhdf"; name the folder of a result with snapshots')


def _mesh(raw: dict[str, Any], phases: list[str], folder: Path, foreign: bool, at: Place) -> MeshOptions:
    options = MeshOptions(**{key: value for key, value in raw.items() if key not in ("degree", "correct", "size_in")})
    if options.unit is not None and not foreign:
        ours = Path(options.file or "").suffix.lower() == ".vtkhdf"
        why = "one of microlith knows its unit; remove unit" if ours else "they take the place of [image]; remove it"
        raise at.child("unit").error(f"this is for meshes of other programs, and {why}")
    if options.file:
        options = replace(options, file=file_path(options.file, folder, at.child("file")))
    if raw["correct"] and not options.estimate:
        raise at.child("correct").error("the error that is left is told with the estimate; remove estimate = false")
    largest = length_text(options.size_max or 0)
    for name, size in options.size.items():
        check_phase(name, phases, at.child("size"))
        if options.size_max is not None and size > options.size_max:
            raise at.child(f"size.{name}").error(f"{length_text(size)} is more than size_max, {largest}")
    return options


def _sizes_within(mesh: Mapping[str, Any], regions: Mapping[str, Shape], at: Place) -> tuple[SizeWithin, ...]:
    """What `size_in` asks for.

    Args:
        mesh: The table [mesh], parsed.
        regions: Of the case.
        at: Of the table.

    Raises:
        InputError: There is no such region, it has no shape of its own, or the size is more than the largest one.
    """
    parts = []
    for name, size in mesh.get("size_in", {}).items():
        place = at.child(f"size_in.{name}")
        if name not in regions:
            raise place.error(f"there is no [regions.{name}]; {nearest(name, list(regions), 'regions')}")
        if "size_max" in mesh and size > mesh["size_max"]:
            raise place.error(f"{length_text(size)} is more than size_max, {length_text(mesh['size_max'])}")
        parts.append(_within(name, size, regions[name], place))
    return tuple(parts)


def _within(name: str, size: float, shape: Shape, at: Place) -> SizeWithin:
    match shape:
        case Ball(center=center, radius=radius):
            return SizeWithin(name, size, center, center, radius)
        case Box(bounds=bounds):
            low, high = zip(*(bounds.get(axis, (-math.inf, math.inf)) for axis in AXES), strict=True)
            return SizeWithin(name, size, low, high)
    raise at.error(
        f"[regions.{name}] is neither a box nor a disk or sphere; name one that is, or a phase in size for what lies "
        "at its surface"
    )


def _time(raw: dict[str, Any], at: Place) -> TimeSpan:
    end = raw["end"]
    snapshots = raw.get("snapshots", (0.0, end / 50, end / 10, end))
    times = raw.get("times", ())
    first = raw.get("first")
    if first is not None and first >= end:
        raise at.child("first").error(f"{first:g} s is not before the end of the run, {end:g} s")
    for key, values in (("snapshots", snapshots), ("times", times)):
        for i, value in enumerate(values):
            if value > end:
                raise at.child(key).item(i).error(f"{value:g} s is after the end of the run, {end:g} s")
    for i, (before, after) in enumerate(pairwise(times), start=1):
        if after <= before:
            raise at.child("times").item(i).error(f"times have to increase; {after:g} s follows {before:g} s")
    return TimeSpan(end, raw["tolerance"], tuple(sorted(set(snapshots))), times or None, first)


# --- regions ---


def _regions(raw: dict[str, Any], roles: Mapping[str, Role], folder: Path, at: Place) -> dict[str, Shape]:
    section = at.child("regions", section=True)
    faults = Faults()
    regions = {}
    for name, region in raw.items():
        with faults.gathered():
            regions[name] = _region(name, region, roles, folder, section)
    faults.tell()
    return regions


def _region(name: str, raw: dict[str, Any], roles: Mapping[str, Role], folder: Path, section: Place) -> Shape:
    if name == "time_s":
        raise section.error('the name "time_s" is taken by the first column of curves.csv; choose another')
    at = section.child(name, section=True)
    kind = next(key for key in REGION_KINDS if key in raw)
    shape = _shape(kind, raw, roles, folder, at)
    phase = raw.get("in_phase")
    if phase is None:
        return shape
    if not isinstance(shape, Region) or isinstance(shape, WholePhase):
        raise at.child("in_phase").error(f"a region that is given by {kind} is of one phase already; remove this key")
    check_phase(phase, list(roles), at.child("in_phase"))
    check_transport(phase, roles, at.child("in_phase"))
    if isinstance(shape, Shell) and shape.around == phase:
        raise at.child("in_phase").error(f"a shell around {phase} has nothing of {phase} in it; name another phase")
    return replace(shape, in_phase=phase)


def _shape(kind: str, raw: dict[str, Any], roles: Mapping[str, Role], folder: Path, at: Place) -> Shape:
    value, names = raw[kind], list(roles)
    match kind:
        case "box":
            return _box(value, at)
        case "disk" | "sphere":
            return Ball(**value)
        case "polygon":
            return _polygon(value, at.child("polygon"))
        case "shell":
            check_phase(value["around"], names, at.child("shell.around"))
            return Shell(**value)
        case "phase":
            check_phase(value, names, at.child("phase"))
            check_transport(value, roles, at.child("phase"))
            return WholePhase(value)
        case "surface":
            return _surface(value, raw, roles, at)
    return LabelRegion(image_path(value, folder, at.child("labels")), raw.get("label"))


def _surface(phase: str, raw: dict[str, Any], roles: Mapping[str, Role], at: Place) -> SurfaceOf:
    check_phase(phase, list(roles), at.child("surface"))
    if roles[phase] is Role.SOURCE:
        raise at.child("surface").error(f'"{phase}" is a source, the concentration at its surface is given; remove it')
    return SurfaceOf(phase, **{key: raw[key] for key in ("threshold",) if key in raw})


def _box(bounds: dict[str, tuple[float, float]], at: Place) -> Box:
    for axis, (low, high) in bounds.items():
        if low >= high:
            what = "the corners are reversed; swap them" if low > high else "the box is empty"
            got = f"{length_text(low)} and {length_text(high)}"
            raise at.child(f"box.{axis}").error(f"expected [low, high], got {got}; {what}")
    return Box(bounds)


def _polygon(corners: tuple[tuple[float, float], ...], at: Place) -> Polygon:
    if len(corners) > 3 and corners[0] == corners[-1]:
        corners = corners[:-1]  # closed explicitly, as many formats do
    first = corners[0]
    legs = [(x - first[0], y - first[1]) for x, y in corners]  # from the first corner, lest a far-off polygon cancel
    twice_area = math.fsum(x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in pairwise(legs))
    span = max(abs(part) for leg in legs for part in leg)
    if abs(twice_area) <= 1e-12 * span * span:
        crossed = Polygon(corners).misfit(2)  # as of a bow tie, whose halves cancel
        if crossed is not None:
            raise at.error(crossed.why)
        raise at.error("the polygon has no area; give at least three corners that are not on one line")
    return Polygon(corners)
