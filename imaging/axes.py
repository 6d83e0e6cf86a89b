"""Names of the axes and of the outer faces of an image; x is the last axis of its array, z the first of three."""

AXES = ("x", "y", "z")
FACES = tuple(axis + end for axis in AXES for end in ("_min", "_max"))  # outer faces, in the order of their facet tags


def axis_names(dim: int) -> tuple[str, ...]:
    """Names of the axes of an array, in array order: y, x or z, y, x."""
    return AXES[:dim][::-1]


def face_axis(face: str, dim: int) -> tuple[int, bool]:
    """Axis of an array that an outer face such as "x_min" is across, and whether the face is at its upper end."""
    return dim - 1 - AXES.index(face[0]), face.endswith("_max")


def neighbours(axis: int) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """Indices of an array's elements that have a next one along an axis, and of these next ones."""
    before = (slice(None),) * axis
    return (*before, slice(None, -1)), (*before, slice(1, None))
