"""Cases whose mesh comes from another program: what stands in for their image, and which tag is which phase."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from microlith.imaging.errors import listed
from microlith.workflow.case.files import file_path
from microlith.workflow.schema.keys import MESH
from microlith.workflow.schema.kinds import Place

if TYPE_CHECKING:
    from microlith.workflow.storage.foreign_mesh import ForeignMesh

SUFFIXES = (".msh", ".xdmf", ".vtu", ".med", ".inp")


def is_foreign(tables: Mapping[str, Any]) -> bool:
    """Whether a case has a mesh of another program in place of an image."""
    mesh = tables.get("mesh")
    name = mesh.get("file") if isinstance(mesh, Mapping) else None
    return isinstance(name, str) and "image" not in tables and Path(name).suffix.lower() != ".vtkhdf"


def with_foreign_image(tables: Mapping[str, Any], folder: Path, at: Place) -> tuple[dict[str, Any], NDArray[Any]]:
    """The tables with an image's voxel size, the mesh's name and labels, and its labels ([z,] y, x).

    Raises:
        InputError: The mesh can't be read, its unit is not given, or a phase has neither a label nor a group's name.
    """
    from microlith.workflow.storage.foreign_mesh import as_image, read_foreign

    place = at.child("mesh", section=True)
    raw = MESH.parse(dict(tables["mesh"]), place)
    if Path(raw["file"]).suffix.lower() not in SUFFIXES:
        raise place.child("file").error(
            f"as there is no table [image], expected a mesh of another program ({', '.join(SUFFIXES)}), "
            f'got "{raw["file"]}"'
        )
    if "unit" not in raw:
        raise place.error('the unit of the coordinates in file is missing; add unit = "1 um", say')
    path = file_path(raw["file"], folder, place.child("file"))
    mesh = read_foreign(Path(path), raw["unit"])
    image, sizes = as_image(mesh)
    voxel = {axis: f"{size!r} m" for axis, size in zip("xyz", sizes, strict=False)}
    phases = tables.get("phases", {})
    if isinstance(phases, Mapping):
        phases = {name: _with_label(name, phase, mesh, at) for name, phase in phases.items()}
    return {**tables, "phases": phases, "image": {"voxel_size": voxel, "file": path}}, image


def _with_label(name: str, phase: Any, mesh: "ForeignMesh", at: Place) -> Any:
    """The table of a phase with the tags of the group that has its name, where it has no label."""
    if not isinstance(phase, Mapping) or "label" in phase:
        return phase
    if name not in mesh.names:
        tags = f"give label, the tag of its cells: there are {listed(sorted({int(tag) for tag in mesh.tags}), 8)}"
        names = f"name it as one of its groups, {listed(sorted(mesh.names), 8)}, or {tags}" if mesh.names else tags
        raise (
            at.child("phases", section=True).child(name, section=True).error(f'the mesh has no group "{name}"; {names}')
        )
    tags_of_group = list(mesh.names[name])
    return {**phase, "label": tags_of_group[0] if len(tags_of_group) == 1 else tags_of_group}
