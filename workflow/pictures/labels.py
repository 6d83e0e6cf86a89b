"""Places for names in a picture, so that none lies on another."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from microlith.imaging.typing import Array
from microlith.workflow.pictures.figure import halo

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.text import Text

GAP = 3.0  # points between a name and what it names
SIZES = (9.0, 7.5, 6.0, 5.0)  # of names, points: the largest at which none lies on another
FAR = (0.0, 14.0, 28.0, 42.0, 56.0, 70.0)  # points farther away, tried one after the other
LINE_FROM = 5.0  # points away, from which a line leads from a name to what it names
OVERLAP, OUTSIDE, CROSSING = 10.0, 4.0, 0.3  # prices per point of a name's area: on names, off the picture, on lines
MOST_IDS = 400  # in one picture
DIGIT = 0.64  # width of a digit per size of the letters
SMALLEST, LARGEST = 4.0, 8.0  # size of ids, points
PLACES = 300  # across the picture at least, that are tried for names of phases


@dataclass(frozen=True, eq=False)
class Named:
    """Something drawn that wants its name beside it."""

    name: str
    points: Array  # (n, 2) of its lines, in the drawing


@dataclass(frozen=True)
class Numbered:
    """Something drawn that wants a short text on it, or else beside it."""

    text: str
    x: float  # where there is most room on it, in the drawing
    y: float
    radius: float  # of the room, in pixels of the file


@dataclass(frozen=True)
class _Box:
    """Of a name or a thing, in points from the page's lower left corner."""

    left: float
    bottom: float
    right: float
    top: float

    def shared(self, other: "_Box") -> float:
        """Area in both."""
        wide = min(self.right, other.right) - max(self.left, other.left)
        tall = min(self.top, other.top) - max(self.bottom, other.bottom)
        return max(wide, 0.0) * max(tall, 0.0)

    @property
    def area(self) -> float:
        return (self.right - self.left) * (self.top - self.bottom)


# Of a name: its box, the point it belongs to, and how much farther from there it is than wanted
_Place = tuple[_Box, tuple[float, float], float]


def write_names(axes: "Axes", named: Sequence[Named]) -> None:
    """Write each name beside what it names: above its left end where there is room, else where it disturbs least.

    Args:
        axes: Of the picture, with all that is drawn in it.
        named: What wants a name, in the order in which they choose.
    """
    per_point = axes.figure.dpi / 72
    renderer = axes.figure.canvas.get_renderer()  # type: ignore[attr-defined]  # a canvas of Agg's
    window = axes.get_window_extent(renderer)
    page = _Box(window.x0 / per_point, window.y0 / per_point, window.x1 / per_point, window.y1 / per_point)
    lines = [axes.transData.transform(thing.points) / per_point for thing in named]
    texts = [
        axes.text(0, 0, thing.name, weight="bold", parse_math=False, path_effects=halo(2.5), clip_on=False)
        for thing in named
    ]
    best: list[_Place] = []
    least, chosen = np.inf, SIZES[-1]
    for size in SIZES:
        for text in texts:
            text.set_fontsize(size)
        extents = [text.get_window_extent(renderer) for text in texts]
        sizes = [(extent.width / per_point, extent.height / per_point) for extent in extents]
        places = _places(sizes, lines, page)
        shared = sum(at.shared(other) for (at, *_), (other, *_) in combinations(places, 2))
        if shared < least:
            best, least, chosen = places, shared, size
        if shared == 0:
            break
    for text, (at, leads_to, farther) in zip(texts, best, strict=True):
        text.set_fontsize(chosen)
        _put(axes, text, (at.left, at.bottom), leads_to if farther > LINE_FROM else None, per_point)


def _places(sizes: Sequence[tuple[float, float]], lines: Sequence[Array], page: _Box) -> list[_Place]:
    """Where names of some sizes disturb least, each beside its line; the first choose first."""
    found: list[_Place] = []
    for size, points in zip(sizes, lines, strict=True):
        inside = points[((points >= (page.left, page.bottom)) & (points <= (page.right, page.top))).all(axis=1)]
        taken = [at for at, *_ in found]
        found.append(_best(size, inside if len(inside) else points, page, taken, lines))
    return found


def write_ids(axes: "Axes", numbered: Sequence[Numbered]) -> None:
    """Write each text onto what it names where there is room, else beside it where that is free, else not at all.

    Args:
        axes: Of the picture, with all that is drawn in it.
        numbered: What wants a text, in the order in which they choose.
    """
    per_point = axes.figure.dpi / 72
    taken: list[_Box] = []
    for thing in numbered[:MOST_IDS]:
        at = np.asarray(axes.transData.transform((thing.x, thing.y))) / per_point
        radius = thing.radius / per_point
        size = float(np.clip(1.6 * radius / max(DIGIT * len(thing.text), 1.0), SMALLEST, LARGEST))
        wide, tall = DIGIT * size * len(thing.text), 0.75 * size
        if np.hypot(wide, tall) > 2.2 * radius:
            at[0] += radius + wide / 2 + 0.5
        box = _Box(at[0] - wide / 2, at[1] - tall / 2, at[0] + wide / 2, at[1] + tall / 2)
        if any(box.shared(other) > 0 for other in taken):
            continue
        taken.append(box)
        x, y = axes.transData.inverted().transform(at * per_point)
        axes.text(
            x, y, thing.text, fontsize=size, ha="center", va="center_baseline", path_effects=halo(1.2), clip_on=True
        )


def write_phases(
    axes: "Axes", phase: NDArray[np.integer[Any]], names: Mapping[int, str], drawn: tuple[float, float]
) -> None:
    """Write names of phases, each where its phase has most room beside the texts that are there already.

    Args:
        axes: Of the picture, with all other texts in it.
        phase: (rows, columns) of the picture's pixels.
        names: Of the phases that want one.
        drawn: Width and height of the picture in the drawing.
    """
    import edt

    step = max(1, min(phase.shape) // PLACES)
    coarse = phase[::step, ::step]
    rows, columns = coarse.shape
    across, down = drawn
    per_point = axes.figure.dpi / 72
    renderer = axes.figure.canvas.get_renderer()  # type: ignore[attr-defined]  # a canvas of Agg's
    window = axes.get_window_extent(renderer)
    free = np.ones(coarse.shape, bool)
    for text in axes.texts:
        box = text.get_window_extent(renderer).padded(GAP * per_point)
        corners = axes.transData.inverted().transform(box.get_points()) * (columns / across, rows / down)
        (left, top), (right, bottom) = np.sort(corners, axis=0)
        free[max(0, int(top)) : max(0, int(bottom) + 1), max(0, int(left)) : max(0, int(right) + 1)] = False
    for index, name in names.items():
        room = edt.edt(np.ascontiguousarray((coarse == index) & free), black_border=True, parallel=1)
        row, column = np.unravel_index(np.argmax(room), room.shape)
        if room[row, column] == 0:
            continue
        points = 2 * float(room[row, column]) * window.width / columns / per_point
        size = float(np.clip(points / max(DIGIT * len(name), 1.0), SIZES[-1], SIZES[0]))
        x, y = (column + 0.5) * across / columns, (row + 0.5) * down / rows
        look: dict[str, Any] = {"ha": "center", "va": "center", "style": "italic", "path_effects": halo(2.0)}
        axes.text(x, y, name, fontsize=size, parse_math=False, clip_on=True, **look)


def _best(
    size: tuple[float, float], points: Array, page: _Box, taken: Sequence[_Box], lines: Sequence[Array]
) -> _Place:
    """Box of the name, the point it belongs to, and how much farther from there it is than wanted."""
    wide, tall = size
    (left, bottom), (right, top) = points.min(axis=0), points.max(axis=0)
    middle, centre = (left + right) / 2, (bottom + top) / 2
    best = None
    for farther in FAR:
        gap = GAP + farther
        places = (  # lower left corner of the name, and the point that it belongs to
            ((left + 2, top + gap), (left, top)),
            ((middle - wide / 2, top + gap), (middle, top)),
            ((right + gap, centre - tall / 2), (right, centre)),
            ((left - gap - wide, centre - tall / 2), (left, centre)),
            ((left + 2, bottom - gap - tall), (left, bottom)),
            ((middle - wide / 2, bottom - gap - tall), (middle, bottom)),
            ((right + 0.7 * gap, top + 0.7 * gap), (right, top)),
            ((left - 0.7 * gap - wide, top + 0.7 * gap), (left, top)),
        )
        for rank, ((x, y), to) in enumerate(places):
            box = _Box(x, y, x + wide, y + tall)
            on_lines = sum(
                np.count_nonzero(((p >= (box.left, box.bottom)) & (p <= (box.right, box.top))).all(axis=1)) > 0
                for p in lines
            )
            price = OVERLAP * sum(box.shared(other) for other in taken)
            price += OUTSIDE * (box.area - box.shared(page)) + CROSSING * box.area * on_lines
            price += 0.02 * box.area * (rank + farther)
            if best is None or price < best[0]:
                best = price, box, to, farther
    assert best is not None
    return best[1:]


def _put(
    axes: "Axes", text: "Text", at: tuple[float, float], leads_to: tuple[float, float] | None, per_point: float
) -> None:
    """Move a name to its place, and draw the line that leads to what it names."""
    to_drawing = axes.transData.inverted().transform
    text.set_position(tuple(to_drawing(np.array(at) * per_point)))
    text.set_verticalalignment("bottom")
    if leads_to is not None:
        extent = text.get_window_extent()
        box = np.array(((extent.x0, extent.y0), (extent.x1, extent.y1)))
        end = np.array(leads_to) * per_point
        start = np.clip(end, *box)
        axes.plot(
            *to_drawing(np.stack([start, end])).T,
            color="black",
            linewidth=0.6,
            path_effects=halo(1.6),
            clip_on=False,
            scalex=False,
            scaley=False,
        )
