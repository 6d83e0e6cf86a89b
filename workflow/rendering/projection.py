"""The parallel projection in which 3D runs are pictured: the first slice in front, x to the right, y downwards."""

from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from microlith.imaging.typing import Array
from microlith.solver.regions.shapes import box_edges
from microlith.workflow.rendering.cutaway import TOWARDS
from microlith.workflow.rendering.renderer import Layer, Scene, grey

LONG_SIDE = 1500  # pixels of the picture's longer side, where no other number is asked for
VIEW = np.array((0.52, -0.42, -1.0))  # towards the viewer
UP = np.array((0.0, -1.0, 0.0))
BORDER = 0.01  # of the rendering, free around the frame
LIFT = 0.002  # of half the height: of lines above the surface that they lie on, towards the viewer
SCALE_ROOM = 0.05  # of the height, below the frame: for the scale bar


@dataclass(frozen=True, eq=False)
class View:
    """Parallel projection of the image's frame onto a picture."""

    extent: Array  # (3,) edges of the frame, mesh units
    towards: Array  # (3,) unit vector to the viewer
    right: Array  # (3,) unit vector along the picture's rows
    up: Array  # (3,) unit vector against its columns
    focus: Array  # (3,) in the middle of the picture
    half_height: float  # mesh units
    columns: int
    rows: int

    @classmethod
    def of_frame(cls, extent: Array, long_side: int = LONG_SIDE) -> "View":
        """With the frame, and room for a scale bar below, just in the picture.

        Args:
            extent: (3,) edges of the frame, mesh units.
            long_side: Pixels of the picture's longer side.
        """
        towards = VIEW / np.linalg.norm(VIEW)
        right = np.cross(UP, towards)
        right /= np.linalg.norm(right)
        up = np.cross(towards, right)
        corners = np.array(list(product(*((0.0, length) for length in extent))))
        u, v = corners @ right, corners @ up
        border = BORDER * max(np.ptp(u), np.ptp(v))
        low_u, high_u, low_v, high_v = u.min() - border, u.max() + border, v.min() - border, v.max() + border
        low_v -= SCALE_ROOM * (high_v - low_v)
        width, height = high_u - low_u, high_v - low_v
        pixel = max(width, height) / long_side
        focus = (low_u + high_u) / 2 * right + (low_v + high_v) / 2 * up
        focus = focus + (corners.mean(axis=0) @ towards) * towards
        columns, rows = (max(1, round(length / pixel)) for length in (width, height))
        return cls(extent, towards, right, up, focus, height / 2, columns, rows)

    @property
    def pixel(self) -> float:
        """Edge of a pixel in mesh units."""
        return 2 * self.half_height / self.rows

    def project(self, x: Array) -> Array:
        """Column and row, (n, 2), of points (n, 3)."""
        aside, above = (x - self.focus) @ self.right, (x - self.focus) @ self.up
        return np.stack([self.columns / 2 + aside / self.pixel, self.rows / 2 - above / self.pixel], axis=-1)

    def lifted(self, points: Array) -> NDArray[np.float32]:
        """Points (n, 3) a little nearer to the viewer, so that lines don't sink into the surface that they lie on."""
        nearer: NDArray[np.float32] = (points + LIFT * self.half_height * self.towards).astype(np.float32)
        return nearer

    def behind(self, points: Array) -> NDArray[np.float32]:
        """Points (n, 3) as little farther away."""
        return self.lifted(points - 2 * LIFT * self.half_height * self.towards)

    def heights(self, x: Array) -> Array:
        """How much nearer to the viewer than the middle of the picture points (n, 3) are, (n,), mesh units."""
        nearer: Array = (x - self.focus) @ self.towards
        return nearer

    def scene(self, layers: tuple[Layer, ...], colours: str) -> Scene:
        """What the renderer needs, for values from 0 to 1.

        Args:
            layers: What is drawn.
            colours: Name of the colour map.
        """

        def triple(v: Array) -> tuple[float, float, float]:
            return float(v[0]), float(v[1]), float(v[2])

        directions = triple(self.focus), triple(self.towards), triple(self.up)
        return Scene(layers, *directions, self.half_height, (self.columns, self.rows), (0.0, 1.0), colours)

    def cut_frame(self) -> tuple[Layer, Layer]:
        """Edges of what is left of the frame and, lighter, of the corner that is taken away."""
        corner, middle = np.where(TOWARDS > 0, self.extent, 0.0), self.extent / 2
        whole, cut = box_edges(np.zeros(3), self.extent), box_edges(*np.sort([middle, corner], axis=0))
        halves = np.stack([whole, np.broadcast_to(whole.mean(axis=1, keepdims=True), whole.shape)], axis=2)
        edges = np.concatenate([halves.reshape(-1, 2, 3), cut])
        gone = (edges == corner).all(axis=2).any(axis=1)
        return self._lines(edges[~gone], 0.13), self._lines(edges[gone], 0.6)

    def whole_frame(self) -> Layer:
        """All edges of the frame."""
        return self._lines(box_edges(np.zeros(3), self.extent), 0.13)

    def _lines(self, edges: Array, level: float) -> Layer:
        points = self.lifted(edges.reshape(-1, 3))
        return Layer(
            points, np.arange(len(points), dtype=np.int32).reshape(-1, 2), colour=grey(level), lit=False, width=1.5
        )
