"""Checks of a case that need its image: dimensions, places, and sizes."""

import math
from collections.abc import Callable, Iterable
from dataclasses import replace

import numpy as np

from mpi4py import MPI

from microlith.imaging.axes import AXES
from microlith.imaging.errors import InputError
from microlith.imaging.image.volume import LabelImage, LabelVolume
from microlith.imaging.microstructure.adjacency import Adjacency, adjacency
from microlith.imaging.microstructure.percolation import NOT_CONNECTED
from microlith.imaging.options import DEGREE, MeshOptions
from microlith.imaging.parallel.memory import free_memory, shortage
from microlith.imaging.typing import Flags
from microlith.meshing.methods import METHODS, ImageToMesh, method_name
from microlith.solver.interfaces.partition import check_partitions
from microlith.solver.physics.phases import Role
from microlith.solver.regions.shapes import Body, Region, Shape, Shell, SurfaceOf
from microlith.workflow.case.case import Case
from microlith.workflow.case.physics import driven_from_within
from microlith.workflow.prepare import footprint
from microlith.workflow.prepare.region_shares import solved_flags
from microlith.workflow.schema.kinds import Place
from microlith.workflow.schema.units import length_text

# Bytes per element at the peak, by (dimension, degree), of mesher and solver; on the low side, since a case that would
# just fit must not be refused.
_BYTES_PER_SIMPLEX = {(2, 1): 1500, (2, 2): 2500, (2, 3): 5000, (3, 1): 1500, (3, 2): 4000, (3, 3): 10000}
_BYTES_PER_VOXEL = {(2, 1): 1200, (2, 2): 3500, (2, 3): 8000, (3, 1): 4000, (3, 2): 30000, (3, 3): 100000}
_SLACK = 1e-6  # of a pixel: how far a region may stand out of the image unmentioned
_OBLONG = 4.0  # times the shortest edge of a voxel: from there on its longest one is looked at
_OBLONG_ELEMENTS = 5.0  # per voxel: more of them in an image of such voxels are worth a sentence
# Across the faces of an image that repeats, some voxels meet another phase, as within it. Worth a word is more than so
# many times as many, and this share more.
TIMES, MORE = 2.0, 0.1
_TRIES = 12  # at sizes that would fit
PAST = "or go on all the same with --no-memory-check"


def check_against_volume(
    case: Case,
    volume: LabelVolume,
    comm: MPI.Intracomm,
    image: LabelImage | None = None,
    within: Adjacency | None = None,
) -> list[str]:
    """Checks what the case says against its image, of which no rank reads more than some layers at once; collective.

    Args:
        case: as loaded.
        volume: the image, with the phases in the order of the case.
        comm: all ranks.
        image: on rank 0: the whole image, where it is there already.
        within: neighbours in the image without what lies beyond periodic faces, where they are known already.

    Returns:
        Sentences about what is allowed but perhaps not meant, the same on all ranks.

    Raises:
        InputError: Axes, coordinates or faces of another dimension than the image's, nothing that feeds the transport
            phases, partitions that contradict each other, a region outside the image or in no transport phase, or
            element sizes that need more memory than there is; on all ranks.
    """
    at = Place(str(case.path))
    solved = solved_flags(case)
    sources = np.array([phase.role is Role.SOURCE for phase in case.physics.phases])
    _check_dimension(case, volume, at)
    _check_correct(case, volume, at.child("mesh", True).child("correct"))
    within = within or adjacency(volume, comm)
    neighbours = within.repeated(case.mesh.periodic)
    warnings = _check_feeding(case, neighbours, solved, sources, at)
    check_partitions(case.physics, within.touching)  # of phases that meet for sure, which opposite faces only may
    for name, shape in case.regions.items():
        place = at.child("regions", True).child(name, True)
        fault = _fault_of(shape, volume, neighbours, solved, place, comm)
        if fault is not None:
            raise fault
        warnings += _standing_out(shape, volume, place)
    warnings += [_mismatch(axis, volume, within, at, comm) for axis in case.mesh.periodic]
    return [sentence for sentence in warnings if sentence] + _check_sizes(
        case, volume, solved, at.child("mesh", True), comm, image
    )


def lost_regions(case: Case, volume: LabelVolume, neighbours: Adjacency, comm: MPI.Intracomm) -> tuple[str, ...]:
    """Regions of a case that have no point of a solved phase in an image, but for drawn ones; collective.

    Args:
        case: With the regions.
        volume: The image.
        neighbours: Of its phases, periodic faces included.
        comm: All ranks.
    """
    solved, at = solved_flags(case), Place(str(case.path))
    found = {name: _fault_of(shape, volume, neighbours, solved, at, comm) for name, shape in case.regions.items()}
    return tuple(name for name, fault in found.items() if fault is not None)


# --- dimension ---


def _check_dimension(case: Case, volume: LabelVolume, at: Place) -> None:
    dim, known = volume.dim, AXES[: volume.dim]
    table = at.child("image", section=True)
    size = case.image.voxel_size
    sliced = len(volume.stored_shape) == 3 and dim == 2  # one slice of a volume, cut out by crop.z
    if size is not None and len(size) not in (1, dim, 3 if sliced else dim):
        axes = ", ".join(known)
        raise table.child("voxel_size").error(f"expected the axes {axes} of a {dim}D image, got {len(size)} axes")
    _check_axes([axis for axis in case.image.crop if not (sliced and axis == "z")], volume, table.child("crop"))
    if case.mesh.method == "fitted" and dim == 3:
        raise at.child("mesh", True).child("method").error('"fitted" is for 2D images; take "auto" or "lattice"')
    for face in case.physics.faces:
        if face[0] not in known:
            raise at.child("faces", True).error(f'there is no face "{face}" in 2D; take x_min, x_max, y_min or y_max')
    for axis in case.mesh.periodic:
        if axis not in known:
            raise at.child("faces", True).child(axis).error(f"a 2D image has no axis {axis}; remove it")
    for phase in case.physics.phases:
        if phase.anisotropy is not None and len(phase.anisotropy) != dim:
            wanted = "x and y" if dim == 2 else "x, y and z"
            raise (
                at.child("phases", True)
                .child(phase.name, True)
                .child("diffusivity")
                .error(f"expected the axes {wanted} of a {dim}D image, got {len(phase.anisotropy)} axes")
            )
    for name, shape in case.regions.items():
        misfit = shape.misfit(dim)
        if misfit is not None:
            place = at.child("regions", True).child(name, True)
            for key in misfit.keys:
                place = place.child(key)
            raise place.error(misfit.why)


def _check_correct(case: Case, volume: LabelVolume, at: Place) -> None:
    """Curves are corrected where recovered gradients tell what they lack, which the error of the rest comes from."""
    if not case.correct:
        return
    physics, degree = case.physics, case.degree or DEGREE[volume.dim]
    why = ""
    if degree != 1:
        given = "" if case.degree else f", which are the default in {volume.dim}D"
        why = f"this is for elements of degree 1, not of {degree}{given}; take degree = 1 or remove correct"
    elif method_name(case.mesh, volume.dim) == "voxel":
        why = 'this is for triangles and tetrahedra; take method = "lattice" or remove correct'
    elif physics.is_stepped or physics.transfers_change:
        why = (
            "this is for linear problems whose transfer coefficients don't change with time, which this one is not; "
            "remove it, or take smaller elements or degree = 2"
        )
    if why:
        raise at.error(why)


def _check_axes(axes: Iterable[str], volume: LabelVolume, at: Place) -> None:
    for axis in axes:
        if axis not in AXES[: volume.dim]:
            raise at.child(axis).error(f"a 2D image has no axis {axis}; remove it")


# --- what feeds ---


def _check_feeding(case: Case, neighbours: Adjacency, solved: Flags, sources: Flags, at: Place) -> list[str]:
    """Something has to touch a transport phase, unless lithium that is there moves; what is idle is mentioned."""
    physics = case.physics
    idle = []
    table = at.child("faces", section=True)
    for name, face in physics.faces.items():
        fed = solved
        if face.phases is not None:
            fed = np.array([phase.name in face.phases for phase in physics.phases])
        if not neighbours.at_faces[name][fed].any():
            of = "no transport phase" if face.phases is None else f"none of {', '.join(face.phases)}"
            idle.append(f"{table.child(name, section=True)}: {of} touches this face")
    feeding = len(idle) < len(physics.faces) or neighbours.touch(sources, solved) or driven_from_within(physics)
    if not feeding and case.initial is None:
        raise at.child("phases", section=True).error(
            "no pixel of a transport phase touches a source or a face with a condition, so nothing would happen; "
            "check labels and roles"
        )
    return idle + _idle_interfaces(case, neighbours, at)


def _idle_interfaces(case: Case, neighbours: Adjacency, at: Place) -> list[str]:
    """Sentences about pairs of phases with a law that don't touch."""
    names = [phase.name for phase in case.physics.phases]
    section = at.child("interfaces", section=True)
    return [
        f"{section.table(i)}: {law.first} and {law.second} do not touch"
        for i, law in enumerate(case.physics.interfaces)
        if not neighbours.touching[names.index(law.first), names.index(law.second)]
    ]


def _mismatch(axis: str, volume: LabelVolume, within: Adjacency, at: Place, comm: MPI.Intracomm) -> str:
    """A sentence where the image does not look as if it came again along an axis, else nothing; collective."""
    k = volume.dim - 1 - AXES.index(axis)
    ends = [
        tuple((place, place + 1) if i == k else span for i, span in enumerate(volume.whole_window))
        for place in (0, volume.shape[k] - 1)
    ]
    of_one = [volume.read(end if comm.rank == 0 else volume.empty_window).phase for end in ends]
    across = comm.bcast(float(np.mean(of_one[0] != of_one[1])) if comm.rank == 0 else None)
    usual = within.unlike(axis, volume.shape)
    if across <= TIMES * usual + MORE:
        return ""
    return (
        f"{at.child('faces', section=True).child(axis)}: the image does not look periodic along {axis}: "
        f"{100 * across:.0f} % of what is at {axis}_min lies opposite another phase at {axis}_max, and within the "
        f'image {100 * usual:.0f} % does from layer to layer; for an image that does not repeat take "mirrored"'
    )


# --- regions ---


def _fault_of(
    shape: Shape, volume: LabelVolume, neighbours: Adjacency, solved: Flags, at: Place, comm: MPI.Intracomm
) -> InputError | None:
    """Why there is nothing of a region in the image; None where there is something; collective."""
    if isinstance(shape, SurfaceOf):
        phase = np.array([name == shape.phase for name in volume.names])
        if not neighbours.touch(phase, solved & ~phase):
            return at.child("surface").error(
                f"no pixel of {shape.phase} touches another transport phase, so it has no such surface; remove it"
            )
    if not isinstance(shape, Region):
        return None
    wanted = solved & np.array([shape.in_phase in (None, name) for name in volume.names])
    if isinstance(shape, Shell) and not footprint.shell_hits(shape, volume, wanted, neighbours, comm):
        reach = length_text(shape.distance)
        return at.error(
            f"no {shape.in_phase or 'transport phase'} is within {reach} of {shape.around}; enlarge the shell"
        )
    if not isinstance(shape, Body):
        return None
    spans = zip(footprint.bounds(shape, volume), volume.extent, strict=True)
    if any(high <= 0 or low >= size for (low, high), size in spans):
        return at.error(f"the region is outside the image, which spans {_extent(volume)}; move it")
    if not footprint.hits(shape, volume, wanted, comm):
        return at.error(f"the region holds no point of {shape.in_phase or 'a transport phase'}; move or enlarge it")
    return None


def _standing_out(shape: Shape, volume: LabelVolume, at: Place) -> list[str]:
    """A sentence where part of a region is outside the image."""
    if not isinstance(shape, Body):
        return []
    spans = zip(footprint.bounds(shape, volume), volume.extent, volume.voxel_size[::-1], strict=True)
    partly = any(low < -_SLACK * pixel or high > size + _SLACK * pixel for (low, high), size, pixel in spans)
    return [f"{at}: part of the region is outside the image, which spans {_extent(volume)}"] if partly else []


def _extent(volume: LabelVolume) -> str:
    return ", ".join(f"{axis} 0 to {length_text(size)}" for axis, size in zip(AXES, volume.extent, strict=False))


# --- sizes ---


def _check_sizes(
    case: Case, volume: LabelVolume, solved: Flags, at: Place, comm: MPI.Intracomm, image: LabelImage | None
) -> list[str]:
    pixel = volume.unit
    options = _scaled(case.mesh, 1.0, pixel / 1000)  # finer ones would only overflow: no memory holds these
    memory = free_memory(comm) if case.check_memory else math.inf
    given = ImageToMesh(volume, options, [int(i) for i in np.flatnonzero(solved)], comm, image)
    method = method_name(options, volume.dim)
    elements = METHODS[method].count(given, memory / _bytes(case, volume))
    count = elements(options)
    needed = count * _bytes(case, volume)
    if method == "voxel":
        if needed > memory:
            fitting = math.ceil((needed / memory) ** (1 / volume.dim)) * case.image.coarsen
            raise at.child("method").error(
                f"{shortage('squares' if volume.dim == 2 else 'cubes', needed, memory)}coarsen the image "
                f"(coarsen = {fitting} would fit), crop it, {PAST}"
            )
        return _without_sizes(case, volume.dim, at)
    if needed > memory:
        given_keys = (key for key in ("size", "size_in", "size_max") if getattr(case.mesh, key))
        key = next(given_keys, "method")
        advice = _advice(case, options, lambda asked: elements(asked) * _bytes(case, volume) / memory, volume.dim)
        raise at.child(key).error(shortage("elements asked for", needed, memory) + advice)
    oblong = _oblong_voxels(given, count, at)
    asked = {f"size.{name}": size for name, size in case.mesh.size.items() if not name.endswith(NOT_CONNECTED)}
    if case.mesh.size_max is not None:
        asked["size_max"] = case.mesh.size_max
    kind = "pixel" if volume.dim == 2 else "voxel"
    factor = "" if options.size_factor == 1.0 else f" times size_factor = {options.size_factor:g}"
    return oblong + [
        f"{at.child(key)}: {length_text(size)}{factor} is finer than a {kind}, {length_text(pixel)}, which adds "
        "elements but no information"
        for key, size in asked.items()
        if size * options.size_factor < pixel * (1 - _SLACK)
    ]


def _without_sizes(case: Case, dim: int, at: Place) -> list[str]:
    """That sizes count for nothing on squares and cubes, of which a case may know nothing that has not asked for these.

    What `size` and `size_max` say stays in cases that are solved with one method and another; `size_in` is given for
    what one region is to gain.
    """
    keys = ("size_in",) if case.mesh.method == "voxel" else ("size", "size_in", "size_max")
    given = [key for key in keys if getattr(case.mesh, key)]
    cells, voxels = ("squares", "pixels") if dim == 2 else ("cubes", "voxels")
    return [
        f'{at.child(key)} does nothing: the {cells} of this mesh are as large as {voxels}; method = "lattice" makes '
        "elements of other sizes"
        for key in given
    ]


def _oblong_voxels(given: ImageToMesh, most: float, at: Place) -> list[str]:
    """A sentence where voxels are so oblong that elements as small as their short edge get many; collective.

    Args:
        given: The image and what is asked for.
        most: Elements that it has at most.
        at: The table [mesh].
    """
    volume, few = given.volume, _OBLONG_ELEMENTS * math.prod(given.volume.shape)
    method = method_name(given.options, volume.dim)
    ratio = max(volume.pixel)
    if ratio < _OBLONG or most < few or (method == "lattice" and volume.dim == 2):
        return []
    count = METHODS[method].count(given, 0.0)(given.options)
    if count < few:
        return []
    long, short = (AXES[volume.pixel.index(edge)] for edge in (ratio, 1.0))
    pixels, elements = ("pixels", "triangles") if volume.dim == 2 else ("voxels", "tetrahedra")
    other = '"lattice" takes far fewer, and "voxel"' if method == "fitted" else '"voxel" takes'
    return [
        f"{at.child('method')}: {pixels} are {ratio:.3g} times as long along {long} as along {short}, which takes "
        f"about {count:,.0f} {elements} for {math.prod(volume.shape):,} {pixels}, as elements are as wide as long; "
        f"{other} one for each of the solved {pixels}; or resample the image to {pixels} of more equal edges"
    ]


def _scaled(options: MeshOptions, factor: float, least: float = 0.0) -> MeshOptions:
    size = {name: max(least, factor * size) for name, size in options.size.items()}
    within = tuple(replace(part, size=max(least, factor * part.size)) for part in options.size_in)
    largest = None if options.size_max is None else max(least, factor * options.size_max)
    return replace(options, size=size, size_in=within, size_max=largest)


def _advice(case: Case, options: MeshOptions, excess: Callable[[MeshOptions], float], dim: int) -> str:
    """What to do about sizes that are too fine; `excess` says how many times the memory they need."""
    times = excess(options)
    if not options.size and not options.size_in and options.size_max is None:
        fitting = math.ceil(times ** (1 / dim)) * case.image.coarsen
        return f"give larger sizes, coarsen the image (coarsen = {fitting} would fit), crop it, {PAST}"
    for _ in range(_TRIES):
        if times <= 1:
            break
        options = _rounded_up(_scaled(options, max(1.1, times ** (1 / dim))))
        times = excess(options)
    else:
        return f"coarsen or crop the image, {PAST}"
    # What is cut off of a source has its size and is no name of the case file.
    asked = {name: size for name, size in options.size.items() if not name.endswith(NOT_CONNECTED)}
    sizes = [f'{name} = "{length_text(size)}"' for name, size in asked.items()]
    sizes += [f'size_in.{part.region} = "{length_text(part.size)}"' for part in options.size_in]
    sizes += [] if options.size_max is None else [f'size_max = "{length_text(options.size_max)}"']
    return f"make them coarser ({', '.join(sizes)} would fit), crop the image, {PAST}"


def _rounded_up(options: MeshOptions) -> MeshOptions:
    """Sizes of two digits."""

    def rounded(metres: float) -> float:
        digit = 10.0 ** (math.floor(math.log10(metres)) - 1)
        return math.ceil(metres / digit - _SLACK) * digit

    largest = None if options.size_max is None else rounded(options.size_max)
    within = tuple(replace(part, size=rounded(part.size)) for part in options.size_in)
    size = {name: rounded(size) for name, size in options.size.items()}
    return replace(options, size=size, size_in=within, size_max=largest)


def _bytes(case: Case, volume: LabelVolume) -> float:
    """Of an element."""
    table = _BYTES_PER_VOXEL if method_name(case.mesh, volume.dim) == "voxel" else _BYTES_PER_SIMPLEX
    return table[volume.dim, case.degree or DEGREE[volume.dim]]
