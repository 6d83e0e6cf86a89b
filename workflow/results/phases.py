"""The segmented image as a run took it: one VTKHDF file of the phase, and the particle, of each voxel.

PyVista and ParaView open it beside the fields, which hold the phases that are solved for only. The layout is that of
ImageData (docs.vtk.org, "VTKHDF format specification"); a 2D image is one voxel thick.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mpi4py import MPI

from microlith.imaging.formats.stored import Window
from microlith.imaging.image.volume import LabelImage, LabelVolume, Portion
from microlith.imaging.microstructure.particles import Particles
from microlith.imaging.parallel.collective import on_root
from microlith.workflow.results.folder import PHASES
from microlith.workflow.storage.hdf5 import hdf5_errors, read_hdf5, whole_file_of_all

if TYPE_CHECKING:
    import h5py

MICROMETRE = 1e-6
VOXELS_AT_ONCE = 1 << 21  # voxels that rank 0 holds, or one layer of the image
VOXELS_COMPRESSED = 1 << 20  # voxels that are compressed together


def write_phases(
    path: Path,
    volume: LabelVolume,
    comm: MPI.Intracomm,
    particles: Particles | None = None,
    ids: NDArray[np.int64] | None = None,
) -> None:
    """Write phases.vtkhdf: cell data `phase`, with the names as its attribute `names`, and `particle`; collective.

    Rank 0 goes through the image layer by layer and holds no more than a few of them.

    Args:
        path: The file; it appears whole or not at all.
        volume: The image.
        comm: All ranks.
        particles: Of the image, where some are measured.
        ids: (particles,) in particles.csv; 0: not there.

    Raises:
        InputError: The image can't be read or the file can't be written.
    """
    with whole_file_of_all(path, comm) as temporary:
        on_root(comm, _frame, temporary, volume, particles is not None)
        for window in _windows(volume, comm):
            phase = volume.read(window).phase
            number = None if particles is None else _ids(particles, ids, phase, window)
            on_root(comm, _write, temporary, window, phase, number)


def _windows(volume: LabelVolume, comm: MPI.Intracomm) -> Iterator[Window]:
    """Layers of the image, for rank 0; nothing of them for all others."""
    layer = int(np.prod(volume.shape[1:]))
    step = max(1, VOXELS_AT_ONCE // layer)
    for start in range(0, volume.shape[0], step):
        layers = (start, min(start + step, volume.shape[0]) if comm.rank == 0 else start)
        yield (layers, *((0, n) for n in volume.shape[1:]))


def _ids(
    particles: Particles, ids: NDArray[np.int64] | None, phase: NDArray[np.uint8], window: Window
) -> NDArray[np.int32]:
    """Id of the particle at each voxel of a window, 0 where none is; collective."""
    at = np.nonzero(np.isin(phase, np.unique(particles.phase)))
    found = np.zeros(phase.shape, dtype=np.int32)
    voxels = np.stack([axis + ends[0] for axis, ends in zip(at, window, strict=True)][::-1], axis=1)
    number = particles.numbers_at(voxels.astype(np.int64))
    of_number = np.arange(1, len(particles) + 1) if ids is None else ids
    found[at] = np.where(number >= 0, of_number[number] if len(of_number) else 0, 0)
    return found


def _frame(path: Path, volume: LabelVolume, with_particles: bool) -> None:
    """Make the file with nothing in it yet."""
    import h5py

    shape = volume.shape if volume.dim == 3 else (1, *volume.shape)
    edges = volume.voxel_size if volume.dim == 3 else (min(volume.voxel_size), *volume.voxel_size)
    layers = max(1, min(shape[0], VOXELS_COMPRESSED // (shape[1] * shape[2])))
    with hdf5_errors(path, PHASES), h5py.File(path, "w") as file:
        root = file.create_group("VTKHDF")
        root.attrs["Version"] = np.array([2, 2], dtype=np.int64)
        root.attrs.create("Type", b"ImageData", dtype="S9")
        root.attrs["WholeExtent"] = np.array([(0, n) for n in shape[::-1]], dtype=np.int64).ravel()
        root.attrs["Origin"] = np.zeros(3)
        root.attrs["Spacing"] = np.array(edges[::-1]) / MICROMETRE
        root.attrs["Direction"] = np.eye(3).ravel()
        root.attrs["unit"] = "um"
        root.attrs["dim"] = volume.dim

        def new(name: str, kind: type) -> "h5py.Dataset":
            whole = (layers, min(shape[1], max(1, VOXELS_COMPRESSED // shape[2])), shape[2])
            return root.create_dataset(
                f"CellData/{name}", shape, kind, chunks=whole, compression="gzip", compression_opts=1, shuffle=True
            )

        new("phase", np.uint8).attrs["names"] = [str(name) for name in volume.names]
        if with_particles:
            new("particle", np.int32).attrs["meaning"] = "id in particles.csv; 0: none"


def _write(path: Path, window: Window, phase: NDArray[np.uint8], number: NDArray[np.int32] | None) -> None:
    """Write some layers."""
    import h5py

    with hdf5_errors(path, PHASES), h5py.File(path, "r+") as file:
        data = file["VTKHDF/CellData"]
        where = slice(*window[0]) if phase.ndim == 3 else (0, slice(*window[0]))
        data["phase"][where] = phase
        if number is not None:
            data["particle"][where] = number


def stored_volume(path: Path) -> LabelVolume:
    """The image of phases.vtkhdf, read in windows from there.

    Raises:
        InputError: The file can't be read.
    """

    def described(root: "h5py.Group") -> LabelVolume:
        phase = root["CellData/phase"]
        dim = int(root.attrs["dim"])
        names = tuple(str(name) for name in phase.attrs["names"])
        edges = tuple(float(edge) * MICROMETRE for edge in root.attrs["Spacing"][dim - 1 :: -1])
        counts = np.zeros(len(names), dtype=np.int64)
        for layers in phase.iter_chunks():
            counts += np.bincount(phase[layers].ravel(), minlength=len(names))
        shape = phase.shape[3 - dim :]
        return LabelVolume(shape, names, edges, tuple(int(n) for n in counts), shape, read)

    def read(window: Window) -> Portion:
        where = (*[0] * (3 - len(window)), *(slice(*ends) for ends in window))
        return Portion(read_hdf5(path, lambda root: root["CellData/phase"][where], "image"), window)

    volume: LabelVolume = read_hdf5(path, described, "image")
    return volume


def stored_image(volume: LabelVolume) -> LabelImage:
    """All of an image that is read in windows."""
    return LabelImage(volume.read(volume.whole_window).phase, volume.names, volume.voxel_size)
