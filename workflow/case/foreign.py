"""Cases whose mesh comes from another program: what stands in for their image, and which tag is which phase."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from microlith.workflow.case.files import file_path
from microlith.workflow.schema.keys import MESH
from microlith.workflow.schema.kinds import Place

SUFFIXES = (".msh", ".xdmf", ".vtu", ".med", ".inp")


def is_foreign(tables: Mapping[str, Any]) -> bool:
    """Whether a case has a mesh of another program in place of an image."""
    mesh = tables.get("mesh")
    name = mesh.get("file") if isinstance(mesh, Mapping) else None
    return isinstance(name, str) and Path(name).suffix in SUFFIXES and "image" not in tables


def with_foreign_image(tables: Mapping[str, Any], folder: Path, at: Place) -> tuple[dict[str, Any], NDArray[Any]]:
    """The tables with an image's voxel size and with labels, and its labels ([z,] y, x).

    Raises:
        InputError: The mesh can't be read, or its unit is not given.
    """
    from microlith.workflow.storage.foreign_mesh import as_image, read_foreign

    place = at.child("mesh", section=True)
    raw = MESH.parse(dict(tables["mesh"]), place)
    if "unit" not in raw:
        raise place.error('the unit of the coordinates in file is missing; add unit = "1 um", say')
    mesh = read_foreign(Path(file_path(raw["file"], folder, place.child("file"))), raw["unit"])
    image, sizes = as_image(mesh)
    voxel = {axis: f"{size!r} m" for axis, size in zip("xyz", sizes, strict=False)}
    phases = tables.get("phases", {})
    if isinstance(phases, Mapping):
        phases = {
            name: {**phase, "label": mesh.names[name]}
            if isinstance(phase, Mapping) and "label" not in phase and name in mesh.names
            else phase
            for name, phase in phases.items()
        }
    return {**tables, "phases": phases, "image": {"voxel_size": voxel}}, image
