"""A mesh that was made before, in place of one of the case's own: whether it is of this image and of these phases."""

import shlex
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path

from mpi4py import MPI

from microlith.imaging.errors import InputError, listed
from microlith.imaging.image.digest import digest_of
from microlith.imaging.image.volume import LabelVolume
from microlith.imaging.options import MeshMethod, MeshOptions
from microlith.meshing.mesh.phasemesh import ImageMesh
from microlith.meshing.methods import IN_PLACE
from microlith.workflow.case.case import Case
from microlith.workflow.schema.units import length_text
from microlith.workflow.storage.mesh_file import Recipe, read_mesh_file, read_recipe

FREE = (
    "file",
    "unit",
    "estimate",
    "coarseness",
    "size",
    "size_in",
    "periodic",
)  # options that are compared otherwise, or don't change the mesh


def recipe_of(
    case: Case, volume: LabelVolume, method: MeshMethod, solved: Sequence[int], comm: MPI.Intracomm
) -> Recipe:
    """What a mesh of a case is made of; collective."""
    return Recipe(
        method=method,
        options=replace(case.mesh, method=method, file="", coarseness=1.0),
        solved=tuple(volume.names[i] for i in solved),
        names=volume.names,
        image=digest_of(volume, comm),
        shape=volume.shape,
        unit=volume.unit,
        extent=volume.frame,
    )


def stored_recipe(case: Case, volume: LabelVolume, solved: Sequence[int], comm: MPI.Intracomm) -> Recipe:
    """What the mesh of `[mesh] file` was made of, held against the case and its image; collective.

    Raises:
        InputError: It is of another image or of other phases, or was made with other sizes than the case says.
    """
    path = Path(case.mesh.file)
    recipe = read_recipe(path, comm)
    _check(case, recipe, recipe_of(case, volume, recipe.method, solved, comm))
    return recipe


def stored_mesh(case: Case, recipe: Recipe, comm: MPI.Intracomm) -> ImageMesh:
    """The mesh of `[mesh] file`; collective.

    Raises:
        InputError: The file can't be read.
    """
    found = read_mesh_file(Path(case.mesh.file), recipe, comm, on_first=recipe.method not in IN_PLACE)
    assert found is not None  # only the coarser one may be missing
    return found


def stored_coarser_mesh(case: Case, comm: MPI.Intracomm) -> ImageMesh | None:
    """The mesh of larger cells in `[mesh] file`; None where there is none. Collective.

    Raises:
        InputError: The file can't be read.
    """
    path = Path(case.mesh.file)
    recipe = read_recipe(path, comm)
    return read_mesh_file(path, recipe, comm, on_first=recipe.method not in IN_PLACE, coarser=True)


def with_options_of(case: Case, recipe: Recipe) -> Case:
    """The case with the options that its mesh was made with."""
    return replace(case, mesh=replace(recipe.options, file=case.mesh.file, estimate=case.mesh.estimate))


def _check(case: Case, recipe: Recipe, own: Recipe) -> None:
    """Refuse a mesh that is not of this case."""
    command = f"microlith mesh {shlex.quote(case.path.name)} -o FILE.vtkhdf"
    again = f"write one with {command}, without [mesh] file, or leave file out"
    place = f"[mesh] file: {case.mesh.file}"
    if recipe.names != own.names:
        raise InputError(
            f"{place} was made for the phases {listed(recipe.names)}, and the case has {listed(own.names)}; {again}"
        )
    if recipe.shape != own.shape or abs(recipe.unit - own.unit) > 1e-9 * own.unit or recipe.extent != own.extent:
        raise InputError(f"{place} was made of {_image(recipe)}, and the case has {_image(own)}; {again}")
    if recipe.image != own.image:
        raise InputError(
            f"{place} was made of another image, or with other labels, than the case has: their voxels are not in the "
            f"same phases; {again}"
        )
    missing = [name for name in own.solved if name not in recipe.solved]
    if missing:
        raise InputError(f"{place} was made for a case that does not solve for {listed(missing)}; {again}")
    _check_options(case.mesh, recipe.options, place, again)


def _image(recipe: Recipe) -> str:
    shape = " x ".join(str(n) for n in recipe.shape[::-1])
    return (
        f"an image of {shape} {'pixels' if len(recipe.shape) == 2 else 'voxels'}, the shortest edge {recipe.unit:.6g} m"
    )


def _check_options(asked: MeshOptions, made: MeshOptions, place: str, again: str) -> None:
    """Refuse keys about elements that the mesh was not made with; what the case leaves out is as in the mesh."""
    usual = MeshOptions()
    for field in fields(MeshOptions):
        want, got = getattr(asked, field.name), getattr(made, field.name)
        if field.name not in FREE and want not in (got, getattr(usual, field.name)):
            raise InputError(f"{place} was made with {field.name} = {_shown(got)}, not {_shown(want)}; {again}")
    if asked.periodic != made.periodic:
        ours, theirs = (
            f"periodic along {listed(axes)}" if axes else "not periodic" for axes in (asked.periodic, made.periodic)
        )
        raise InputError(f"{place} is {theirs}, and [faces] of the case say {ours}; {again}")
    for name, size in asked.size.items():
        if made.size.get(name) != size:
            other = "none" if name not in made.size else length_text(made.size[name])
            raise InputError(f"{place} was made with size.{name} = {other}, not {length_text(size)}; {again}")
    here = {part.region: part for part in made.size_in}
    for part in asked.size_in:
        if here.get(part.region) != part:
            raise InputError(
                f"{place} was made with another size_in.{part.region}, or another place of this region; {again}"
            )


def _shown(value: object) -> str:
    return length_text(value) if isinstance(value, float) and value < 1e-3 else "none" if value is None else str(value)
