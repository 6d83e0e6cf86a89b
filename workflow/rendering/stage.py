"""The child process of the renderer: a scene as VTK has it, and pictures of it.

It takes VTK's own modules and no more of them than it needs: PyVista would bring Matplotlib's windows, and a second of
work before the first picture. Colours of values come with the scene, as Matplotlib takes longer to load than VTK.
"""

import os
import pickle
import sys
from collections.abc import Sequence
from functools import reduce
from itertools import product
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from microlith.workflow.rendering.renderer import HEIGHTS, SEEN, Layer, Picture, Scene

if TYPE_CHECKING:
    from vtkmodules.vtkCommonCore import vtkLookupTable
    from vtkmodules.vtkCommonDataModel import vtkPolyData
    from vtkmodules.vtkRenderingCore import vtkActor

SMOOTH_BELOW = 50.0  # degrees: edges between triangles that meet at less are shaded as one round surface
FINER = 2  # pixels rendered for one of the picture, along each side
AMBIENT, DIFFUSE = 0.35, 0.65  # of what is lit


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Take a scene with its colours, then values until there are no more; answer with a picture or an error's text."""
    try:
        stage = Stage(*pickle.load(requests))
        answer: Any = True
    except Exception as error:
        stage, answer = None, f"{type(error).__name__}: {error}"
    while True:
        pickle.dump(answer, answers, protocol=5)
        answers.flush()
        try:
            values = pickle.load(requests)
        except EOFError:
            return
        try:
            if stage is not None:
                answer = _ASKED[values](stage) if isinstance(values, str) else stage.picture(values)
        except Exception as error:
            answer = f"{type(error).__name__}: {error}"


class Stage:
    """The scene as VTK has it."""

    def __init__(self, scene: Scene, colours: NDArray[np.uint8]) -> None:
        """Set it up, with colours (n, 4) of red, green, blue and opacity from the lowest value to the highest."""
        import vtkmodules.vtkRenderingOpenGL2  # noqa: F401  # what all of VTK's rendering is made of
        from vtkmodules.vtkRenderingCore import vtkRenderer, vtkRenderWindow

        self._coloured: list[tuple[vtkPolyData, NDArray[np.int32]] | None] = []  # with the row of each of its points
        self._actors: dict[int, vtkActor] = {}  # of the layers, by their number
        self._rendered = False  # with some values, and so with all depths
        self._renderer = vtkRenderer()
        self._renderer.SetBackground(1.0, 1.0, 1.0)
        self._renderer.SetAutomaticLightCreation(False)
        self._window = vtkRenderWindow()
        self._window.SetOffScreenRendering(True)
        self._window.SetMultiSamples(0)  # which takes memory; there are pixels enough to be averaged
        self._window.SetSize(*(FINER * n for n in scene.size))
        self._window.AddRenderer(self._renderer)
        table = _colour_table(scene, colours)
        for number, layer in enumerate(scene.layers):
            if len(layer.cells) > 0:
                self._actors[number] = self._add(layer, table)
            elif layer.colour is None:
                self._coloured.append(None)
        self._light(scene)
        camera = self._renderer.GetActiveCamera()
        camera.SetFocalPoint(*scene.focus)
        camera.SetPosition(*(np.array(scene.focus) + 10 * scene.half_height * _unit(scene.towards)))
        camera.SetViewUp(*scene.up)
        camera.SetParallelProjection(True)
        camera.SetParallelScale(scene.half_height)
        self._renderer.ResetCameraClippingRange()

    def picture(self, values: Sequence[NDArray[np.float32]]) -> Picture:
        """With values at the points of each layer without a colour."""
        from vtkmodules.util.numpy_support import numpy_to_vtk, vtk_to_numpy
        from vtkmodules.vtkCommonCore import vtkUnsignedCharArray

        for coloured, at_points in zip(self._coloured, values, strict=True):
            if coloured is not None:
                surface, row = coloured
                surface.GetPointData().SetScalars(numpy_to_vtk(at_points[row], deep=True))
        self._window.Render()
        self._rendered = True
        columns, rows = self._window.GetSize()
        found = vtkUnsignedCharArray()
        self._window.GetPixelData(0, 0, columns - 1, rows - 1, False, found, 0)
        image = vtk_to_numpy(found).reshape(rows, columns, 3)[::-1]
        return _mean(_in_blocks(image))

    def heights(self) -> NDArray[np.float32]:
        """How much nearer than the focus each pixel's surface is, (rows, columns); -inf: nothing."""
        from vtkmodules.util.numpy_support import vtk_to_numpy
        from vtkmodules.vtkCommonCore import vtkFloatArray

        if not self._rendered:
            self._window.Render()
        camera = self._renderer.GetActiveCamera()
        columns, rows = self._window.GetSize()
        found = vtkFloatArray()
        self._window.GetZbufferData(0, 0, columns - 1, rows - 1, found)
        fine = _in_blocks(vtk_to_numpy(found).reshape(rows, columns)[::-1])
        # The farthest of the fine pixels, from the near plane, 0, to the far one, 1
        depth = reduce(np.maximum, (fine[:, i, :, j] for i, j in product(range(FINER), repeat=2)))
        near, far = camera.GetClippingRange()
        nearer = np.where(depth < 1.0, camera.GetDistance() - (near + depth * (far - near)), -np.inf)
        return nearer.astype(np.float32)

    def seen(self) -> NDArray[np.int32]:
        """Number of the layer that is seen at each pixel, (rows, columns); -1: none.

        Each layer is rendered in one colour, which is its number.
        """
        from vtkmodules.util.numpy_support import vtk_to_numpy
        from vtkmodules.vtkCommonCore import vtkUnsignedCharArray
        from vtkmodules.vtkRenderingCore import vtkActor, vtkPolyDataMapper

        numbered = []  # actors of their own: VTK does not bear that those of the pictures have other looks for once
        for number, pictured in self._actors.items():
            mapper, actor = vtkPolyDataMapper(), vtkActor()
            mapper.SetInputData(pictured.GetMapper().GetInput())
            mapper.SetScalarVisibility(False)
            actor.SetMapper(mapper)
            look = actor.GetProperty()
            look.SetColor((number % 255) / 255, (number // 255) / 255, 0.0)
            look.SetLighting(False)
            look.SetLineWidth(pictured.GetProperty().GetLineWidth())
            pictured.SetVisibility(False)
            self._renderer.AddActor(actor)
            numbered.append(actor)
        self._window.Render()
        columns, rows = self._window.GetSize()
        found = vtkUnsignedCharArray()
        self._window.GetPixelData(0, 0, columns - 1, rows - 1, False, found, 0)
        for actor, pictured in zip(numbered, self._actors.values(), strict=True):
            self._renderer.RemoveActor(actor)
            pictured.SetVisibility(True)
        fine = _in_blocks(vtk_to_numpy(found).reshape(rows, columns, 3)[::-1])[:, 0, :, 0].astype(np.int32)
        return np.where(fine[..., 2] == 0, fine[..., 0] + 255 * fine[..., 1], -1)  # the background is white

    def _add(self, layer: Layer, table: "vtkLookupTable") -> "vtkActor":
        from vtkmodules.vtkRenderingCore import vtkActor, vtkPolyDataMapper, vtkProperty

        surface, row = _poly_data(layer)
        mapper, actor = vtkPolyDataMapper(), vtkActor()
        mapper.SetInputData(surface)
        actor.SetMapper(mapper)
        look = actor.GetProperty()
        look.SetLighting(layer.lit)
        look.SetAmbient(AMBIENT)
        look.SetDiffuse(DIFFUSE)
        look.SetSpecular(0.0)
        look.SetLineWidth(FINER * layer.width)
        if layer.lit:
            look.SetInterpolationToPhong()
        if layer.colour is not None:
            look.SetColor(*layer.colour)
            mapper.SetScalarVisibility(False)
        else:
            assert row is not None
            self._coloured.append((surface, row))
            mapper.SetLookupTable(table)
            mapper.SetUseLookupTableScalarRange(True)
            mapper.SetInterpolateScalarsBeforeMapping(True)  # else colours would be mixed between points, not values
        if layer.inside is not None:
            # Switching its light off would do nothing: VTK takes that from the front
            back = vtkProperty()
            back.SetColor(*layer.inside)
            back.SetAmbient(1.0)
            back.SetDiffuse(0.0)
            back.SetSpecular(0.0)
            actor.SetBackfaceProperty(back)
        self._renderer.AddActor(actor)
        return actor

    def _light(self, scene: Scene) -> None:
        from vtkmodules.vtkRenderingCore import vtkLight

        towards, up = _unit(scene.towards), _unit(scene.up)
        aside = np.cross(up, towards)
        for direction, strength in ((towards + 0.5 * up - 0.4 * aside, 0.85), (towards + 0.6 * aside, 0.35)):
            light = vtkLight()
            light.SetPosition(*direction)
            light.SetFocalPoint(0.0, 0.0, 0.0)
            light.SetIntensity(strength)
            light.SetPositional(False)
            self._renderer.AddLight(light)


_ASKED = {HEIGHTS: Stage.heights, SEEN: Stage.seen}


def _unit(direction: Sequence[float]) -> NDArray[np.float64]:
    found: NDArray[np.float64] = np.array(direction) / np.linalg.norm(direction)
    return found


def _in_blocks(fine: NDArray[Any]) -> NDArray[Any]:
    """The fine pixels (rows, FINER, columns, FINER, ...) of each one of the picture."""
    rows, columns = (n // FINER for n in fine.shape[:2])
    return fine[: rows * FINER, : columns * FINER].reshape(rows, FINER, columns, FINER, *fine.shape[2:])


def _mean(fine: NDArray[np.uint8]) -> Picture:
    """The mean of the fine pixels of each one; in whole numbers, ten times as fast as NumPy's mean over short axes."""
    lines = fine[:, 0].astype(np.uint16)  # (rows, columns, FINER, 3)
    for i in range(1, FINER):
        lines += fine[:, i]
    found = np.empty((*lines.shape[:2], lines.shape[3]), np.uint8)
    for colour in range(found.shape[2]):  # one after the other: all three of a pixel at once take longer
        total = reduce(np.add, (lines[:, :, j, colour] for j in range(FINER)))
        total += FINER * FINER // 2
        found[:, :, colour] = total // (FINER * FINER)
    return found


def _colour_table(scene: Scene, colours: NDArray[np.uint8]) -> "vtkLookupTable":
    """The colours between the two ends of the values."""
    from vtkmodules.util.numpy_support import numpy_to_vtk
    from vtkmodules.vtkCommonCore import vtkLookupTable

    table = vtkLookupTable()
    table.SetTable(numpy_to_vtk(colours, deep=True))
    table.SetTableRange(*scene.value_range)
    return table


def _poly_data(layer: Layer) -> "tuple[vtkPolyData, NDArray[np.int32] | None]":
    """Points in the same place as one, with normals where light falls; and which of the layer's each was."""
    from vtkmodules.util.numpy_support import numpy_to_vtk, numpy_to_vtkIdTypeArray, vtk_to_numpy
    from vtkmodules.vtkCommonCore import vtkPoints
    from vtkmodules.vtkCommonDataModel import vtkCellArray, vtkPolyData
    from vtkmodules.vtkFiltersCore import vtkCleanPolyData, vtkPolyDataNormals

    if layer.cells.min() < 0 or layer.cells.max() >= len(layer.points):
        raise ValueError("a cell has a point that is not there")
    count, k = layer.cells.shape
    entries = np.column_stack([np.full(count, k, dtype=np.int64), layer.cells]).ravel()
    surface, points, cells = vtkPolyData(), vtkPoints(), vtkCellArray()
    points.SetData(numpy_to_vtk(np.ascontiguousarray(layer.points), deep=True))
    cells.SetCells(count, numpy_to_vtkIdTypeArray(entries, deep=True))
    surface.SetPoints(points)
    if k == 2:
        surface.SetLines(cells)
        return surface, None
    surface.SetPolys(cells)
    row = np.arange(len(layer.points), dtype=np.int32)
    if not layer.lit:
        return surface, row
    of_point = numpy_to_vtk(row, deep=True)
    of_point.SetName("row")
    surface.GetPointData().AddArray(of_point)
    extent = float(np.ptp(layer.points, axis=0).max())
    clean, normals = vtkCleanPolyData(), vtkPolyDataNormals()
    clean.SetInputData(surface)
    clean.SetToleranceIsAbsolute(True)
    clean.SetAbsoluteTolerance(1e-7 * extent)
    normals.SetInputConnection(clean.GetOutputPort())
    normals.SetComputeCellNormals(False)
    normals.SetSplitting(True)
    normals.SetFeatureAngle(SMOOTH_BELOW)
    normals.SetConsistency(False)
    normals.SetAutoOrientNormals(False)
    normals.Update()
    found = normals.GetOutput()
    return found, vtk_to_numpy(found.GetPointData().GetArray("row"))


def serve_pipes() -> None:
    """Serve through standard input and output; what libraries print goes to standard error, where it can't intrude."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    with answers:
        serve(sys.stdin.buffer, answers)
    os._exit(0)  # else window, scene and libraries are given back one by one, which takes a tenth of a second
