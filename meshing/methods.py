"""The methods that make a mesh of an image, in one table: all other modules know them by their names only."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from mpi4py import MPI

from microlith.imaging.axes import AXES
from microlith.imaging.errors import InputError
from microlith.imaging.image.load import whole_on_root
from microlith.imaging.image.volume import LabelImage, LabelVolume
from microlith.imaging.options import LARGEST_SIZE, SIZE_AT_SURFACES, MeshMethod, MeshOptions
from microlith.imaging.parallel.collective import of_root, on_first_rank, on_root
from microlith.meshing.distribution.in_place import mesh_in_place
from microlith.meshing.distribution.partitioned import mesh_partitioned
from microlith.meshing.fitted.expected import expected_triangles
from microlith.meshing.fitted.mesher import fitted_mesh
from microlith.meshing.fitted.sizing import size_field
from microlith.meshing.mesh.expected import ExpectedMesh
from microlith.meshing.mesh.phasemesh import ImageMesh, PhaseMesh, no_triangles
from microlith.meshing.voxel import expected_voxels, voxel_mesh

Tell = Callable[[str], None]  # takes a short sentence when a stage starts
Sizes = tuple[dict[str, float], float]  # at the surfaces of phases, by name, and the largest: both in metres
Count = Callable[[MeshOptions], float]  # about how many cells sizes ask for; collective
FIRST_BLOCKS = 2  # of an image in 3D that are looked at first; where they say that
CLEARLY = 4.0  # times as many cells as they tell of are still few, that will do


@dataclass(frozen=True)
class ImageToMesh:
    """What a mesher is given; the same on all ranks, but for `whole`."""

    volume: LabelVolume
    options: MeshOptions
    solved: Sequence[int]  # indices of the phases that the solver meshes
    comm: MPI.Intracomm
    whole: LabelImage | None = None  # on rank 0: the whole image, where it is there already
    tell: Tell = lambda _: None
    check_memory: bool = True  # whether to refuse what would not fit into the memory that is free


@dataclass(frozen=True)
class Method:
    """A way from an image to a mesh. All of its functions but `sizes` are collective."""

    dims: tuple[int, ...]  # dimensions of the images that it meshes
    image_mesh: Callable[[ImageToMesh], ImageMesh]  # the cells of all phases that it meshes
    phase_mesh: Callable[[ImageMesh, Sequence[int], MPI.Intracomm], PhaseMesh]  # those of the solved phases
    count: Callable[[ImageToMesh, float], Count]  # without meshing; no closer look is taken where it is below a number
    expected: Callable[[ImageToMesh], ExpectedMesh]  # a closer look, without meshing
    # Of an image and its solved phases: sizes as it takes them, with defaults and limits, but for size_factor
    sizes: Callable[[LabelVolume, Sequence[int], MeshOptions], Sizes]
    # Share of the voxels of the solved phases in parts that it follows poorly, of one or two voxels; None: it has none
    thin_share: Callable[[ImageToMesh], float] | None = None


def _fitted(given: ImageToMesh) -> ImageMesh:
    volume, comm = given.volume, given.comm
    image = given.whole if comm.bcast(given.whole is not None) else whole_on_root(volume, comm)
    made = on_root(
        comm, lambda: fitted_mesh(of_root(image), given.options, given.solved, given.tell, given.check_memory)
    )
    return no_triangles(volume.names, volume.unit, volume.frame) if made is None else made


def _lattice(given: ImageToMesh) -> ImageMesh:
    from microlith.meshing.lattice.mesher import lattice_mesh  # late, here and below, as images in 2D need none of it

    return lattice_mesh(given.volume, given.options, given.solved, given.comm, given.tell)


def _voxel(given: ImageToMesh) -> ImageMesh:
    options = given.options
    axes = [AXES.index(name) for name in options.periodic]
    return voxel_mesh(given.volume, given.solved, given.comm, options.coarseness, axes)


def _count_triangles(given: ImageToMesh, few: float) -> Count:
    volume, solved, comm = given.volume, given.solved, given.comm
    image = given.whole if comm.bcast(given.whole is not None) else whole_on_root(volume, comm)

    def at_a_glance(asked: MeshOptions) -> float:
        nowhere = np.empty((0, 2))
        return on_first_rank(comm, lambda: size_field(of_root(image), asked, solved, nowhere).triangles())

    if CLEARLY * at_a_glance(given.options) < few:
        return lambda asked: CLEARLY * at_a_glance(asked)
    return lambda asked: on_first_rank(comm, lambda: expected_triangles(of_root(image), asked, solved).cells)


def _count_simplices(given: ImageToMesh, few: float) -> Count:
    from microlith.meshing.lattice.cell_count import (
        expected_simplices,
        image_samples,
        more_samples,
        most_tetrahedra,
        tetrahedra_count,
    )

    volume, solved, comm = given.volume, given.solved, given.comm
    if volume.dim == 3:
        if most_tetrahedra(volume, given.options, solved) < few:
            return lambda asked: most_tetrahedra(volume, asked, solved)
        few_blocks = image_samples(volume, comm, FIRST_BLOCKS)
        if CLEARLY * tetrahedra_count(few_blocks, given.options, solved, comm) < few:
            return lambda asked: CLEARLY * tetrahedra_count(few_blocks, asked, solved, comm)
    found = more_samples(volume, comm)
    return lambda asked: expected_simplices(volume, asked, solved, comm, found).cells


def _count_voxels(given: ImageToMesh, few: float) -> Count:
    return lambda asked: float(sum(given.volume.counts[index] for index in given.solved))


def _expected_fitted(given: ImageToMesh) -> ExpectedMesh:
    volume, comm = given.volume, given.comm
    image = given.whole if comm.bcast(given.whole is not None) else whole_on_root(volume, comm)
    return on_first_rank(comm, lambda: expected_triangles(of_root(image), given.options, given.solved))


def _expected_lattice(given: ImageToMesh) -> ExpectedMesh:
    from microlith.meshing.lattice.cell_count import expected_simplices

    return expected_simplices(given.volume, given.options, given.solved, given.comm)


def _expected_voxels(given: ImageToMesh) -> ExpectedMesh:
    return expected_voxels(given.volume, given.solved, given.comm)


def _fitted_sizes(volume: LabelVolume, solved: Sequence[int], options: MeshOptions) -> Sizes:
    largest = options.size_max or LARGEST_SIZE * max(volume.extent)
    sizes = options.size or {volume.names[index]: SIZE_AT_SURFACES * volume.unit for index in solved}
    return {name: min(size, largest) for name, size in sizes.items()}, largest


def _lattice_sizes(volume: LabelVolume, solved: Sequence[int], options: MeshOptions) -> Sizes:
    from microlith.meshing.lattice.edge_lengths import edge_sizes

    plain = replace(options, size_factor=1.0, coarseness=1.0)
    found = edge_sizes(plain, volume.names, solved, volume.unit, volume.frame)
    return {volume.names[index]: volume.unit * size for index, size in found.named.items()}, volume.unit * found.largest


def _voxel_sizes(volume: LabelVolume, solved: Sequence[int], _: MeshOptions) -> Sizes:
    return {volume.names[index]: volume.unit for index in solved}, volume.unit


def _thin_share(given: ImageToMesh) -> float:
    from microlith.meshing.lattice.thin_parts import thin_share

    return thin_share(given.volume, given.solved, given.comm)


METHODS: dict[MeshMethod, Method] = {
    "fitted": Method((2,), _fitted, mesh_partitioned, _count_triangles, _expected_fitted, _fitted_sizes),
    "lattice": Method(
        (2, 3), _lattice, mesh_in_place, _count_simplices, _expected_lattice, _lattice_sizes, _thin_share
    ),
    "voxel": Method((2, 3), _voxel, mesh_in_place, _count_voxels, _expected_voxels, _voxel_sizes),
}
IN_PLACE = tuple(name for name, method in METHODS.items() if method.phase_mesh is mesh_in_place)  # of which each rank
# has cells of its own; of the others rank 0 has all
USUAL: dict[int, MeshMethod] = {2: "fitted", 3: "lattice"}  # what `auto` means, by dimension
PERIODIC: MeshMethod = "voxel"  # what `auto` means where opposite faces are to be alike
ALIKE: tuple[MeshMethod, ...] = (PERIODIC, "lattice")  # what makes such meshes
FOREIGN: MeshMethod = "lattice"  # whose ways meshes of other programs go, as its cells may be on any rank


def method_name(options: MeshOptions, dim: int) -> MeshMethod:
    """The method that meshes an image of `dim` dimensions.

    Raises:
        InputError: The method that is asked for does not mesh such images.
    """
    if options.periodic and options.method not in ("auto", *ALIKE):
        raise InputError(
            f'[faces] {options.periodic[0]} = "periodic": a mesh by [mesh] method = "{options.method}" has other '
            f"elements on opposite faces; take {' or '.join(map(json.dumps, ALIKE))}, or leave method out"
        )
    if options.method == "auto":
        return PERIODIC if options.periodic else USUAL[dim]
    if dim not in METHODS[options.method].dims:
        raise InputError(
            f'[mesh] method: "{options.method}" is for {METHODS[options.method].dims[0]}D images; take "auto" or '
            f'"{USUAL[dim]}"'
        )
    return options.method
