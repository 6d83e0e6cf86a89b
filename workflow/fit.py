"""Checks of a case that need its image: dimensions, places, and sizes."""

import math
from collections.abc import Iterable
from dataclasses import replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from microlith.meshing.image import AXES, LabelImage
from microlith.meshing.memory import available_memory
from microlith.meshing.spec import MeshOptions
from microlith.solver.spec import Ball, Box, LabelRegion, Polygon, Role, Shape, Shell, WholePhase
from microlith.workflow import footprint
from microlith.workflow.case import Case
from microlith.workflow.footprint import Flags
from microlith.workflow.kinds import Place
from microlith.workflow.units import length_text

# Bytes per element at the peak, by (dimension, degree), of mesher and solver; on the low side, since a case that would
# just fit must not be refused.
_BYTES_PER_ELEMENT = {(2, 1): 1500, (2, 2): 2500, (2, 3): 5000, (3, 1): 1200, (3, 2): 3000, (3, 3): 8000}
_TETRAHEDRA_PER_CUBE = 8.5  # regular ones of edge 1 in a cube of edge 1
_SLACK = 1e-6  # of a pixel: how far a region may stand out of the image unmentioned


def check_against_image(case: Case, image: LabelImage) -> list[str]:
    """Checks what the case says against its image.

    Args:
        case: as loaded.
        image: as read, with the phases in the order of the case.

    Returns:
        Sentences about what is allowed but perhaps not meant.

    Raises:
        InputError: Axes, coordinates or faces of another dimension than the image's, nothing that feeds the transport
            phases, a region outside the image or in no transport phase, or element sizes that need more memory than
            there is.
    """
    at = Place(str(case.path))
    roles = [phase.role for phase in case.physics.phases]
    solved = np.array([role is Role.TRANSPORT for role in roles])
    sources = np.array([role is Role.SOURCE for role in roles])
    _check_dimension(case, image, at)
    warnings = _check_feeding(case, image, solved, sources, at)
    for name, shape in case.regions.items():
        warnings += _check_region(shape, image, solved, at.child("regions", True).child(name, True))
    return warnings + _check_sizes(case, image, solved, at.child("mesh", True))


# --- dimension ---


def _check_dimension(case: Case, image: LabelImage, at: Place) -> None:
    dim, known = image.dim, AXES[: image.dim]
    table = at.child("image", section=True)
    size = case.image.voxel_size
    sliced = len(image.stored_shape) == 3 and dim == 2  # one slice of a volume, cut out by crop.z
    if size is not None and len(size) not in (1, dim, 3 if sliced else dim):
        axes = ", ".join(known)
        raise table.child("voxel_size").error(f"expected the axes {axes} of a {dim}D image, got {len(size)} axes")
    _check_axes([axis for axis in case.image.crop if not (sliced and axis == "z")], image, table.child("crop"))
    if case.mesh.method == "fitted" and dim == 3:
        raise at.child("mesh", True).child("method").error('"fitted" is for 2D images; take "auto" or "lattice"')
    for face in case.physics.faces:
        if face[0] not in known:
            raise at.child("faces", True).error(f'there is no face "{face}" in 2D; take x_min, x_max, y_min or y_max')
    for name, shape in case.regions.items():
        _check_shape(shape, image, at.child("regions", True).child(name, True))


def _check_axes(axes: Iterable[str], image: LabelImage, at: Place) -> None:
    for axis in axes:
        if axis not in AXES[: image.dim]:
            raise at.child(axis).error(f"a 2D image has no axis {axis}; remove it")


def _check_shape(shape: Shape, image: LabelImage, at: Place) -> None:
    match shape:
        case Box():
            _check_axes(shape.bounds, image, at.child("box"))
        case Ball() if len(shape.center) != image.dim:
            given, wanted = ("sphere", "disk") if image.dim == 2 else ("disk", "sphere")
            raise at.child(given).error(f"a {given} is not for {image.dim}D images; take a {wanted}")
        case Polygon() if image.dim != 2:
            raise at.child("polygon").error("a polygon is for 2D images; take a box or a sphere")
        case Polygon() if footprint.crosses_itself(shape):
            raise at.child("polygon").error("the edges cross each other; list the corners in their order around it")


# --- what feeds ---


def _check_feeding(case: Case, image: LabelImage, solved: Flags, sources: Flags, at: Place) -> list[str]:
    """Something has to touch a transport phase; a face that doesn't is mentioned."""
    idle = [face for face in case.physics.faces if not solved[_layer(image, face)].any()]
    fed = len(idle) < len(case.physics.faces) or (sources.any() and footprint.touch(image, sources, solved))
    if not fed:
        raise at.child("phases", section=True).error(
            "no pixel of a transport phase touches a source or a face with a condition, so nothing would happen; "
            "check labels and roles"
        )
    table = at.child("faces", section=True)
    return [f"{table.child(face, section=True)}: no transport phase touches this face" for face in idle]


def _layer(image: LabelImage, face: str) -> NDArray[np.uint8]:
    """Phases of the pixels at an outer face."""
    axis = image.dim - 1 - AXES.index(face[0])
    return np.take(image.phase, 0 if face.endswith("min") else -1, axis=axis)


# --- regions ---


def _check_region(shape: Shape, image: LabelImage, solved: Flags, at: Place) -> list[str]:
    match shape:
        case WholePhase() | LabelRegion():  # the reader of the image has found the phase; labels are read later
            return []
        case Shell():
            if not footprint.shell_hits(shape, image, solved):
                reach = length_text(shape.distance)
                raise at.error(f"no transport phase is within {reach} of {shape.around}; enlarge the shell")
            return []
    extent = ", ".join(f"{axis} 0 to {length_text(size)}" for axis, size in zip(AXES, image.extent, strict=False))
    partly = False
    for (low, high), size, pixel in zip(
        footprint.bounds(shape, image), image.extent, image.voxel_size[::-1], strict=True
    ):
        if high <= 0 or low >= size:
            raise at.error(f"the region is outside the image, which spans {extent}; move it")
        partly |= low < -_SLACK * pixel or high > size + _SLACK * pixel
    if not footprint.hits(shape, image, solved):
        raise at.error("the region holds no point of a transport phase; move or enlarge it")
    return [f"{at}: part of the region is outside the image, which spans {extent}"] if partly else []


# --- sizes ---


def _check_sizes(case: Case, image: LabelImage, solved: Flags, at: Place) -> list[str]:
    pixel = min(image.voxel_size)
    options = _scaled(case.mesh, 1.0, pixel / 1000)  # finer ones would only overflow: no memory holds these
    needed = _bytes(case, options, image, solved)
    memory = available_memory()
    if needed > memory:
        advice = _advice(case, options, image, solved, memory)
        raise at.child("size" if case.mesh.size else "size_max").error(
            f"the elements asked for need about {needed / 1e9:.3g} GB of memory where {memory / 1e9:.3g} GB are free; "
            + advice
        )
    return [
        f"{at.child(f'size.{name}')}: {length_text(size)} is finer than a pixel, {length_text(pixel)}"
        for name, size in case.mesh.size.items()
        if size < pixel * (1 - _SLACK)
    ]


def _scaled(options: MeshOptions, factor: float, least: float = 0.0) -> MeshOptions:
    size = {name: max(least, factor * size) for name, size in options.size.items()}
    largest = None if options.size_max is None else max(least, factor * options.size_max)
    return replace(options, size=size, size_max=largest)


def _advice(case: Case, options: MeshOptions, image: LabelImage, solved: Flags, memory: float) -> str:
    """What to do about sizes that are too fine."""
    if not options.size and options.size_max is None:
        return "give larger sizes, or coarsen or crop the image"
    excess = _bytes(case, options, image, solved) / memory
    for _ in range(50):
        if excess <= 1:
            break
        options = _scaled(options, max(1.1, excess ** (1 / image.dim)))
        excess = _bytes(case, options, image, solved) / memory
    sizes = [f'{name} = "{_rounded_up(size)}"' for name, size in options.size.items()]
    sizes += [] if options.size_max is None else [f'size_max = "{_rounded_up(options.size_max)}"']
    return f"make them coarser ({', '.join(sizes)} would fit), or crop the image"


def _rounded_up(metres: float) -> str:
    """A length of two digits."""
    digit = 10.0 ** (math.floor(math.log10(metres)) - 1)
    return length_text(math.ceil(metres / digit) * digit)


def _bytes(case: Case, options: MeshOptions, image: LabelImage, solved: Flags) -> float:
    degree = case.degree or (2 if image.dim == 2 else 1)
    return _elements(options, image, solved) * _BYTES_PER_ELEMENT[image.dim, degree]


def _elements(options: MeshOptions, image: LabelImage, solved: Flags) -> float:
    """About how many elements the sizes ask for."""
    if options.method == "voxel":
        return float(np.count_nonzero(solved[image.phase])) * (2 if image.dim == 2 else 6)
    if image.dim == 2:
        from microlith.meshing.sizing import size_field

        indices = [i for i, wanted in enumerate(solved) if wanted]
        return size_field(image, options, indices, np.empty((0, 2))).triangles()
    return _tetrahedra(options, image, solved)


def _tetrahedra(options: MeshOptions, image: LabelImage, solved: Flags) -> float:
    """Those of the layer of voxels at each named surface, where they are smallest, and of all else at size_max."""
    volume = math.prod(image.voxel_size)
    count = 0.0
    if options.size_max:
        cells = sum(int(np.count_nonzero(solved[layer])) for layer in image.phase)
        count += cells * volume / options.size_max**3
    for name, size in options.size.items():
        surface = _surface_area(image, image.names.index(name), solved)
        thick, growth = min(image.voxel_size), options.growth
        # integral of 1/(size + growth*d)^3 over the distance d from 0 to `thick`
        count += surface * (1 / size**2 - 1 / (size + growth * thick) ** 2) / (2 * growth)
    return count * _TETRAHEDRA_PER_CUBE


def _surface_area(image: LabelImage, index: int, solved: Flags) -> float:
    """Area of the voxel faces between a phase and the solved ones, in m^2."""
    area = 0.0
    for axis, size in enumerate(image.voxel_size):
        layers = np.moveaxis(image.phase, axis, 0)
        pairs = 0
        for low, high in pairwise(layers):
            pairs += int(np.count_nonzero((low == index) & solved[high]))
            pairs += int(np.count_nonzero(solved[low] & (high == index)))
        area += pairs * math.prod(image.voxel_size) / size
    return area
