"""Triangle mesh fitted to the smooth interfaces of a 2D image, by gmsh."""

import contextlib
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse
from scipy.sparse import csgraph

from microlith.imaging.errors import InputError
from microlith.imaging.image.volume import LabelImage
from microlith.imaging.options import MeshOptions
from microlith.imaging.parallel.large_arrays import available_memory
from microlith.imaging.typing import Array, Flags, Indices, Integers, Numbers, Phases
from microlith.meshing.fitted.division import MORE, divided
from microlith.meshing.fitted.expected import BESIDE
from microlith.meshing.fitted.improve import GOOD, improve_worst, smooth_free_points
from microlith.meshing.fitted.outline import Outline, trace_interfaces
from microlith.meshing.fitted.segments import Segments, cut_and_halved, cut_chains
from microlith.meshing.fitted.sizing import SizeField, size_field
from microlith.meshing.local_sizes import LocalSize
from microlith.meshing.mesh.phasemesh import ImageMesh

Progress = Callable[[str], None]

FRONTAL_DELAUNAY, DELAUNAY, MESH_ADAPT = 6, 5, 1  # gmsh's numbers, in the order of preference
MANY = 150_000  # triangles, from which on gmsh's time is what counts
GOOD_DIVIDED = 0.56  # SICN below which a divided triangle is worked on: few are, and none is worse than gmsh's own then
BYTES_PER_TRIANGLE = 1500  # what a triangle costs at the peak, gmsh's own data included


class MeshingError(RuntimeError):
    """gmsh made no valid mesh: a failure of ours, not of the input."""


def fitted_mesh(
    image: LabelImage,
    options: MeshOptions,
    solved: Sequence[int],
    progress: Progress | None = None,
    check_memory: bool = True,
) -> ImageMesh:
    """Triangulate a 2D image with smooth interfaces that the phases on both sides share.

    All phases are meshed; in those that are not solved, elements grow as fast as their surfaces let them. The mesh
    depends on proportions only: an image measured in nanometres and the same in metres give the same numbers.

    Args:
        image: 2D image.
        options: Element sizes.
        solved: Indices of the phases that the solver meshes.
        progress: Called with a short sentence when a stage starts.
        check_memory: Whether to refuse what would not fit into the memory that is free.

    Returns:
        All triangles, in units of the smallest pixel edge.

    Raises:
        InputError: The image is not 2D, an unknown phase is named, or the sizes ask for more triangles than fit into
            memory.
        MeshingError: No valid mesh came out of gmsh.
    """
    if image.dim != 2:
        raise InputError(f"[mesh] method 'fitted' is for 2D images, got {image.dim} dimensions; take 'lattice'.")
    tell = progress or (lambda _: None)
    tell("tracing interfaces")
    outline = trace_interfaces(image)
    field = size_field(image, options, solved, outline.nodes[outline.triple])
    if check_memory:
        _refuse_more_than_memory(field)
    pieces = cut_chains(outline, field, options.times)
    middle = 0.5 * (pieces.points[pieces.ends[:, 0]] + pieces.points[pieces.ends[:, 1]])
    field = field.limited(middle, pieces.lengths)
    if check_memory:
        _refuse_more_than_memory(field, BESIDE * 2 * len(pieces.ends))
    tell(f"meshing with gmsh, about {field.triangles():.0f} triangles")
    found = _divided(outline, pieces, field, options.times) or _whole(pieces, field)
    pieces, phase = found.pieces, found.phase
    points = smooth_free_points(found.points, found.triangles, pieces.ends)
    points, triangles = improve_worst(points, found.triangles, phase, pieces.ends, image.frame, found.good)
    return ImageMesh(
        points=points,
        vertex=np.arange(len(points), dtype=np.int64),
        cells=triangles,
        phase=phase,
        shape="triangle",
        names=image.names,
        unit=image.unit,
        extent=image.frame,
    )


@dataclass(frozen=True, eq=False)
class _Raw:
    """A mesh before its triangles are improved."""

    pieces: Segments
    points: Array  # (n, 2), those of the pieces first
    triangles: Indices  # (m, 3)
    phase: Phases  # (m,)
    good: float  # SICN that is asked for


def _whole(pieces: Segments, field: SizeField) -> _Raw:
    """The mesh as gmsh makes it."""
    points, triangles = _mesh(pieces, field)
    return _Raw(pieces, points, triangles, _phases(triangles, pieces), GOOD)


def _divided(outline: Outline, pieces: Segments, field: SizeField, coarseness: float) -> _Raw | None:
    """A mesh of twice the sizes whose triangles are divided in four: gmsh takes a quarter of the time.

    None where that is little, or where segments of twice the length would have to be cut short to follow the outline,
    so that their halves were smaller than wanted.
    """
    if len(field.centres) or field.triangles() < MANY:
        return None
    twice = field.of_halved()
    segments = cut_and_halved(outline, twice, coarseness)
    if len(segments.halves.ends) > MORE * len(pieces.ends):
        return None
    points, triangles = _mesh(segments.whole, twice)
    found = divided(points, triangles, _phases(triangles, segments.whole), segments)
    if found is None:
        return None
    return _Raw(segments.halves, found.points, found.triangles, found.phase, GOOD_DIVIDED)


def _refuse_more_than_memory(field: SizeField, more: float = 0.0) -> None:
    count = field.triangles() + more
    memory = available_memory()
    if count * BYTES_PER_TRIANGLE > memory:
        raise InputError(
            f"[mesh] size and size_max ask for about {count:,.0f} triangles, which need"
            f" {count * BYTES_PER_TRIANGLE / 1e9:.0f} GB where {memory / 1e9:.0f} GB are free; raise them or crop"
        )


def _keep_signal_handlers() -> None:
    """Put Python's handlers back where gmsh took them away: without them Ctrl-C ends the process uncleaned."""
    if threading.current_thread() is threading.main_thread():  # Python sets handlers in that one only
        for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
            handler = signal.getsignal(number)
            if handler not in (None, signal.SIG_DFL):
                signal.signal(number, handler)


@contextlib.contextmanager
def _gmsh_session() -> Iterator[Any]:
    """A silent gmsh, closed again whatever happens; one that the caller has open keeps its models and options."""
    import gmsh

    running = bool(gmsh.isInitialized())
    if not running:
        gmsh.initialize(readConfigFiles=False, interruptible=False)
        _keep_signal_handlers()
    kept = {name: gmsh.option.getNumber(name) for name in ("General.Terminal", "Mesh.Algorithm")}
    current = gmsh.model.getCurrent() if running else None
    try:
        gmsh.option.setNumber("General.Terminal", 0)
        gmsh.model.add("microlith")
        yield gmsh
    finally:
        if running:
            gmsh.model.remove()
            for name, value in kept.items():
                gmsh.option.setNumber(name, value)
            if current is not None:
                gmsh.model.setCurrent(current)
        else:
            gmsh.finalize()
            _keep_signal_handlers()


def _mesh(pieces: Segments, field: SizeField) -> tuple[Array, Indices]:
    problem = ""
    for algorithm in (FRONTAL_DELAUNAY, DELAUNAY, MESH_ADAPT):
        with _gmsh_session() as gmsh:
            try:
                points, triangles = _generate(gmsh, pieces, field, algorithm)
            except (MemoryError, InputError):
                raise
            except Exception as error:  # gmsh raises nothing more specific, and says nothing of lack of memory
                problem = str(error).strip() or "it gave no reason, which most likely is lack of memory"
                continue
        if _holds_all(triangles, pieces):
            return points, triangles
        problem = "interface edges are missing from the mesh"
    raise MeshingError(f"gmsh could not mesh the image: {problem}.")


def _generate(gmsh: Any, pieces: Segments, field: SizeField, algorithm: int) -> tuple[Array, Indices]:
    """Mesh the frame with all segments as edges; the segments' points keep their numbers.

    The interfaces enter as one discrete curve with all its nodes and edges, not as thousands of curves: gmsh takes
    these at once and never remeshes them.
    """
    model, mesh = gmsh.model, gmsh.model.mesh
    count = len(pieces.points)
    tags = np.arange(1, count + 1)
    coordinates = np.zeros((count, 3))
    coordinates[:, :2] = pieces.points
    on_frame = (pieces.left < 0) | (pieces.right < 0)
    low, high = pieces.points.min(axis=0), pieces.points.max(axis=0)
    corners = np.array([[low[0], low[1]], [high[0], low[1]], [high[0], high[1]], [low[0], high[1]]])
    corner = [int(np.flatnonzero((pieces.points == c).all(axis=1))[0]) for c in corners]
    vertices = [model.addDiscreteEntity(0) for _ in corner]
    sides = [model.addDiscreteEntity(1, -1, [vertices[i], vertices[(i + 1) % 4]]) for i in range(4)]
    placed = np.zeros(count, bool)
    for entity, point in zip(vertices, corner, strict=True):
        mesh.addNodes(0, entity, [point + 1], coordinates[point])
        placed[point] = True
    middle = 0.5 * (pieces.points[pieces.ends[:, 0]] + pieces.points[pieces.ends[:, 1]])
    edges = []
    for axis, value in ((1, low[1]), (0, high[0]), (1, high[1]), (0, low[0])):
        edges.append(pieces.ends[on_frame & (middle[:, axis] == value)])
    for entity, edge in zip(sides, edges, strict=True):
        _add_curve(mesh, entity, edge, tags, coordinates, placed)
    surface = model.geo.addPlaneSurface([model.geo.addCurveLoop(sides)])
    model.geo.synchronize()
    inner = pieces.ends[~on_frame]
    if len(inner):
        interfaces = model.addDiscreteEntity(1)
        _add_curve(mesh, interfaces, inner, tags, coordinates, placed)
        mesh.embed(1, [interfaces], 2, surface)
    # Numbers must stay those of `pieces`; smoothing is done here, in a fraction of gmsh's time.
    for option in (
        "MeshSizeExtendFromBoundary",
        "MeshSizeFromPoints",
        "MeshSizeFromCurvature",
        "Renumber",
        "Smoothing",
    ):
        gmsh.option.setNumber(f"Mesh.{option}", 0)
    gmsh.option.setNumber("Mesh.Algorithm", algorithm)
    with _scratch_folder() as folder:
        _set_background(gmsh, field, folder / "sizes.bin")
        mesh.generate(2)
    return _read_back(mesh, surface, count)


@contextlib.contextmanager
def _scratch_folder() -> Iterator[Path]:
    """A folder for what gmsh takes from a file.

    Raises:
        InputError: There is no room for it.
    """
    try:
        with tempfile.TemporaryDirectory(prefix="microlith-") as folder:
            yield Path(folder)
    except OSError as error:
        where, reason = tempfile.gettempdir(), (error.strerror or str(error)).lower()
        raise InputError(
            f"{where}: can't write here ({reason}), where temporary files are kept; make room, or set TMPDIR to "
            "another folder"
        ) from error


def _add_curve(
    mesh: Any,
    entity: int,
    edges: Numbers,
    tags: Numbers,
    coordinates: Array,
    placed: Flags,
) -> None:
    """Put edges, and those of their points that lie on no other entity yet, on a discrete curve."""
    points = np.unique(edges)
    points = points[~placed[points]]
    placed[points] = True
    mesh.addNodes(1, entity, tags[points], coordinates[points].ravel())
    mesh.addElementsByType(entity, 1, [], tags[edges].ravel())


def _set_background(gmsh: Any, field: SizeField, path: Path) -> None:
    fields = gmsh.model.mesh.field
    rows, columns = field.values.shape
    with path.open("wb") as file:
        # Not `tofile`, which does not say why it fails
        file.write(np.array([0.5 * field.pixel[0], 0.5 * field.pixel[1], 0.0]).tobytes())
        file.write(np.array([*field.pixel, 1.0]).tobytes())
        file.write(np.array([columns, rows, 1], np.int32).tobytes())
        file.write(np.ascontiguousarray(field.values.T, np.float64).data)  # y runs fastest
    grid = fields.add("Structured")
    fields.setString(grid, "FileName", str(path))
    finer = [_around_part(fields, field, part) for part in field.local]
    if len(field.centres):
        finer.append(_around_centres(gmsh, field))
    if not finer:
        fields.setAsBackgroundMesh(grid)
        return
    all_of_them = fields.add("Min")
    fields.setNumbers(all_of_them, "FieldsList", [grid, *finer])
    fields.setAsBackgroundMesh(all_of_them)


def _around_centres(gmsh: Any, field: SizeField) -> int:
    """A field of gmsh that grows from the centres."""
    fields, points = gmsh.model.mesh.field, []
    for x, y in field.centres:
        points.append(gmsh.model.addDiscreteEntity(0))
        gmsh.model.setCoordinates(points[-1], float(x), float(y), 0.0)
    distance = fields.add("Distance")
    fields.setNumbers(distance, "PointsList", points)
    ramp = int(fields.add("Threshold"))
    fields.setNumber(ramp, "InField", distance)
    fields.setNumber(ramp, "SizeMin", field.centre_size)
    fields.setNumber(ramp, "SizeMax", field.centre_size + 50 * field.growth)
    fields.setNumber(ramp, "DistMin", 0)
    fields.setNumber(ramp, "DistMax", 50)
    fields.setNumber(ramp, "StopAtDistMax", 1)
    return ramp


def _around_part(fields: Any, field: SizeField, part: LocalSize) -> int:
    """A field of gmsh that grows from a part of the image with a size of its own; it comes once, as no axis repeats."""
    largest = max(float(field.values.max()), part.size)
    ball = part.low == part.high
    found = int(fields.add("Ball" if ball else "Box"))
    fields.setNumber(found, "VIn", part.size)
    fields.setNumber(found, "VOut", largest)
    fields.setNumber(found, "Thickness", max((largest - part.size) / field.part_growth, 1e-9))
    if ball:
        fields.setNumber(found, "Radius", part.radius)
    for name, low, high in zip("XY", part.low, part.high, strict=True):
        for end, value in (("Center", low),) if ball else (("Min", low), ("Max", high)):
            fields.setNumber(found, f"{name}{end}", value)
    if not ball:
        fields.setNumber(found, "ZMin", -1.0)
        fields.setNumber(found, "ZMax", 1.0)
    return found


def _read_back(mesh: Any, surface: int, fixed: int) -> tuple[Array, Indices]:
    _, nodes = mesh.getElementsByType(2, surface)
    tag, coordinates, _ = mesh.getNodes()
    place = np.zeros(int(tag.max()) + 1, np.int32)
    triangles = nodes.reshape(-1, 3)
    used = np.zeros(len(place), bool)
    used[triangles] = True
    new = np.flatnonzero(used)
    new = new[new > fixed]
    place[1 : fixed + 1] = np.arange(fixed)
    place[new] = fixed + np.arange(len(new))
    points = np.zeros((fixed + len(new), 2))
    wanted = (tag <= fixed) | used[tag]
    points[place[tag[wanted]]] = coordinates.reshape(-1, 3)[wanted, :2]
    triangles = place[triangles]
    a, b, c = (points[triangles[:, i]] for i in range(3))
    turn = (b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0]
    triangles[turn < 0] = triangles[turn < 0][:, ::-1]
    return points, triangles


def _edge_keys(edges: Integers, count: int) -> Numbers:
    low, high = edges.min(axis=1).astype(np.int64), edges.max(axis=1).astype(np.int64)
    return low * count + high


def _holds_all(triangles: Indices, pieces: Segments) -> bool:
    count = int(max(triangles.max(), pieces.ends.max())) + 1
    mesh_edges = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
    return bool(np.isin(_edge_keys(pieces.ends, count), _edge_keys(mesh_edges, count)).all())


def _phases(triangles: Indices, pieces: Segments) -> Phases:
    """Phase of each triangle: flooded from the segments, each of which knows the phase on its two sides."""
    cells = len(triangles)
    count = int(triangles.max()) + 1
    edges = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
    cell = np.tile(np.arange(cells), 3)
    # A directed edge of a counter-clockwise triangle has the triangle on its left.
    ahead = edges[:, 0].astype(np.int64) * count + edges[:, 1]
    order = np.argsort(ahead)
    ends = np.concatenate([pieces.ends, pieces.ends[:, ::-1]])
    beside = np.concatenate([pieces.left, pieces.right])
    inside = beside >= 0
    key = ends[inside, 0] * count + ends[inside, 1]
    place = np.searchsorted(ahead[order], key)
    place = np.minimum(place, len(order) - 1)
    found = ahead[order[place]] == key
    if not found.all():
        raise MeshingError("an interface edge has no triangle on one of its sides.")
    seed_cell, seed_phase = cell[order[place]], beside[inside]

    undirected = _edge_keys(edges, count)
    by_edge = np.argsort(undirected, kind="stable")
    same = np.flatnonzero(undirected[by_edge][1:] == undirected[by_edge][:-1])
    open_edge = ~np.isin(undirected[by_edge][same], _edge_keys(pieces.ends, count))
    a, b = cell[by_edge[same[open_edge]]], cell[by_edge[same[open_edge] + 1]]
    graph = sparse.coo_array((np.ones(len(a), bool), (a, b)), shape=(cells, cells))
    pieces_count, piece = csgraph.connected_components(graph, directed=False)
    phase_of = np.full(pieces_count, -1, np.int16)
    phase_of[piece[seed_cell]] = seed_phase
    if (phase_of < 0).any() or (phase_of[piece[seed_cell]] != seed_phase).any():
        raise MeshingError("the triangles on one side of an interface belong to two phases.")
    return phase_of[piece].astype(np.uint8)
