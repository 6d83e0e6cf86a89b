"""Surfaces of phases: as .vtp with concentrations, as .stl without, as .glb in colour."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from microlith.imaging.errors import InputError
from microlith.imaging.writing import whole_file
from microlith.workflow.export import vtk_file
from microlith.workflow.export.glb import Part, glb
from microlith.workflow.export.source import Source
from microlith.workflow.viewer.scene import Look

if TYPE_CHECKING:
    import pyvista


def surface_of(source: Source, phase: int, step: int) -> "pyvista.PolyData":
    """All sides of a phase as triangles, in 2D the phase itself: `concentration` in mol/m^3, `phase`; points in µm."""
    surface = source.grid(step, (phase,)).extract_surface(algorithm="dataset_surface").triangulate()
    for name in list(surface.point_data) + list(surface.cell_data):
        if name not in ("concentration", "phase"):
            data: Any = surface.point_data if name in surface.point_data else surface.cell_data
            del data[name]
    return surface


def _surfaces(source: Source) -> "pyvista.PolyData":
    """Those of all phases; where two meet, each keeps points of its own, as concentrations may jump there."""
    import pyvista

    parts = [surface_of(source, phase, source.steps[0]) for phase in source.phases]
    return pyvista.merge(parts, merge_points=False)


def write_vtp(path: Path, source: Source) -> None:
    """The surface of each phase with its concentration at one snapshot; points in µm.

    Raises:
        InputError: The file can't be written.
    """
    surface = _surfaces(source)
    surface.field_data["phases"] = list(source.results.names)
    surface.field_data["time_s"] = np.array([source.times[0]])
    surface.field_data["unit"] = ["points in um, concentration in mol/m^3"]
    vtk_file.write_xml(path, surface)


def write_stl(path: Path, source: Source) -> None:
    """The surfaces, in µm, as binary STL, which has neither concentrations nor phases.

    Raises:
        InputError: The results are 2D, or the file can't be written.
    """
    if source.results.dim == 2:
        raise InputError(f"--to {path}: an .stl file is a surface in space, and this is a 2D result; take .vtp or .vtu")
    vtk_file.write_stl(path, _surfaces(source))


def write_glb(path: Path, source: Source) -> None:
    """The surfaces at one snapshot, coloured by concentration as the pictures are; a unit of length is 1 µm.

    As in the pictures, y of the image points down and its first slice lies in front.

    Raises:
        InputError: The file can't be written.
    """
    look = Look.of_folder(source.folder, source.results)
    parts = []
    for phase in source.phases:
        surface = surface_of(source, phase, source.steps[0]).compute_normals(split_vertices=True, cell_normals=False)
        name = source.results.names[phase]
        parts.append(
            Part(name, surface.points, surface["Normals"], _colours(surface, look, name), surface.regular_faces)
        )
    with whole_file(path) as temporary:
        temporary.write_bytes(glb(parts))


def _colours(surface: "pyvista.PolyData", look: Look, name: str) -> NDArray[np.uint8]:
    from matplotlib import colormaps

    level = look.scale_of(name).level(np.asarray(surface["concentration"]))
    colours: NDArray[np.uint8] = colormaps[look.colours](level, bytes=True)[:, :3]
    return colours
