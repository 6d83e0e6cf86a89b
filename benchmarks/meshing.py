"""Meshers of 3D images: time, memory, quality, and how well the meshes render the image.

    python benchmarks/meshing.py [--sizes 64 96 128] [--methods lattice voxel] [--images FILE ...] [--json FILE]
    mpirun -n 2 python benchmarks/meshing.py ...
    python benchmarks/meshing.py --peers [NAME ...] --peers-python PYTHON ...

makes seeded cubes of three phases (two noises, smoothed by a Gaussian of 3 voxels and cut at quantiles: pores 0.4,
binder 0.4, particles 0.2) of so many voxels along an edge, stores them, and meshes them as `microlith run` would: from
the file to the distributed mesh of the solved phase, the binder. --films cuts one noise twice instead, so that all
binder is in films of two or three voxels. --images takes TIFF stacks of labels as well; the second label in their order
is solved for, and the third, or else the first, stands for the particles.

Elements have the size of 2 voxels at the particles' surfaces (--size), and elsewhere what the mesher takes by default.
Of the lattice's time, `of_parts` is what goes by until every cell of the image is there; the rest makes the DOLFINx
mesh. CPU time is the largest of a rank, where waiting for others counts. Memory is the resident peak of all ranks;
`GB/M` is that, less what the idle ranks had and twice the image, per million cells of all phases.

--peers runs other meshers on the same images, on one core, and compares them with the lattice; see peer_meshers.py for
what each is asked for. PYTHON is the interpreter of an environment that has them. One that takes more CPU time than
--time-limit has failed. `box` is the share of the image in cells; `agree` that of the voxels whose centre lies in a
cell of their phase, `inside` of those whose centre lies in any cell; `centroid` the share of the cells whose centroid
lies in a voxel of their phase; `near` and `far` mean edge lengths within 2 and beyond 6 voxels of the particles'
surfaces; `steps` the area of all interfaces per area of the voxel faces there, about 2/3 where they are smooth.
"""

import argparse
import contextlib
import ctypes
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from common import MEBI, Stopwatch, Table, peak_memory, say, write_json
from mesh_figures import MeshFigures, interface_area, mesh_figures, sizes_around, voxel_face_area
from numpy.typing import NDArray
from scipy import ndimage

from mpi4py import MPI

from microlith.imaging.image.load import label_volume
from microlith.imaging.image.volume import LabelVolume
from microlith.imaging.options import ImageSource, MeshOptions, PhaseLabels
from microlith.imaging.parallel.collective import on_first_rank, on_root
from microlith.meshing.distribution.in_place import mesh_in_place
from microlith.meshing.lattice.mesher import lattice_mesh
from microlith.meshing.mesh.phasemesh import ImageMesh
from microlith.meshing.voxel import voxel_mesh

NAMES = ("pore", "binder", "particle")
SHARES = (0.4, 0.4, 0.2)
SMOOTHING = 3.0  # voxels
UNIT = 1e-8  # metres per voxel edge
SOLVED = (1,)
PEER_SCRIPT = Path(__file__).with_name("peer_meshers.py")
PEERS = ("cgal", "cgal-exude", "cgal-default", "mmg", "nanomesh")

Phases = NDArray[np.uint8]

SERIES = {
    "method": "<8s",
    "image": "<14s",
    "ranks": "5d",
    "cells": "9d",
    "solved": "9d",
    "wall_s": "7.2f",
    "of_parts": "8.2f",
    "cpu_s": "7.2f",
    "cells/s": "8.0f",
    "per_cpu_s": "9.0f",
    "solved/s": "8.0f",
    "peak_MiB": "8.0f",
    "GB/M": "5.2f",
    "worst": "6.2f",
    "0.1%": "5.1f",
    "1%": "5.1f",
    "vol_err": "8.1e",
    "agree": "7.4f",
}
COMPARISON = {
    "method": "<14s",
    "image": "<14s",
    "cells": "9d",
    "wall_s": "7.2f",
    "cpu_s": "7.2f",
    "cells/s": "8.0f",
    "per_cpu_s": "9.0f",
    "worst": "6.2f",
    "0.1%": "5.1f",
    "1%": "5.1f",
    "vol_err": "8.1e",
    "box": "6.4f",
    "agree": "7.4f",
    "inside": "7.4f",
    "centroid": "8.4f",
    "near": "5.2f",
    "far": "5.2f",
    "steps": "5.3f",
    "remark": "<s",
}


def three_phases(size: int, seed: int = 0) -> Phases:
    """A cube (z, y, x) of three phases with the shares SHARES, which meet along lines."""
    smooth = _noises(size, seed)
    matrix, particle = next(smooth), next(smooth)
    rest = particle <= np.quantile(particle, 1 - SHARES[2])
    pores = matrix < np.quantile(matrix[rest], SHARES[0] / (1 - SHARES[2]))
    return np.where(rest, np.where(pores, 0, 1), 2).astype(np.uint8)


def films(size: int, seed: int = 0) -> Phases:
    """As `three_phases`, but all binder is in films of two or three voxels between pores and particles."""
    smooth = next(_noises(size, seed))
    return np.digitize(smooth, np.quantile(smooth, np.cumsum(SHARES)[:-1])).astype(np.uint8)


def _noises(size: int, seed: int) -> Iterator[NDArray[np.float32]]:
    generator = np.random.default_rng(seed)
    while True:
        yield ndimage.gaussian_filter(generator.standard_normal((size,) * 3, np.float32), SMOOTHING)


def stored_images(options: argparse.Namespace, folder: Path) -> dict[str, Path]:
    """Name -> NPY file of phases, smallest image first."""
    images = {f"noise {size}": three_phases(size) for size in options.sizes}
    images |= {f"films {size}": films(size) for size in options.films}
    for path in options.images:
        import tifffile

        values, phase = np.unique(tifffile.imread(path), return_inverse=True)
        if len(values) > len(NAMES):
            raise SystemExit(f"{path}: {len(values)} labels, expected at most {len(NAMES)}")
        images[path.stem] = phase.astype(np.uint8)
    files = {}
    for name, phase in sorted(images.items(), key=lambda item: item[1].size):
        files[name] = folder / f"{name.replace(' ', '-')}.npy"
        np.save(files[name], phase)
    return files


def opened(file: Path, comm: MPI.Intracomm) -> LabelVolume:
    """Open an image of phases; collective."""
    count = on_first_rank(comm, lambda: int(np.load(file, mmap_mode="r").max()) + 1)
    source = ImageSource(path=str(file), voxel_size=(UNIT,))
    return label_volume(source, [PhaseLabels(name, (index,)) for index, name in enumerate(NAMES[:count])], comm)


def mesh_options(volume: LabelVolume, size: float) -> MeshOptions:
    return MeshOptions(size={volume.names[_particle(volume)]: size * UNIT})


def _particle(volume: LabelVolume) -> int:
    return 2 if len(volume.names) > 2 else 0


def measured(
    method: str, file: Path, size: float, comm: MPI.Intracomm
) -> tuple[dict[str, Any], LabelVolume, ImageMesh]:
    """Time and memory from the image in its file to the mesh of the solved phase; collective."""
    cpu = time.process_time()
    with peak_memory(comm) as peak:
        clock = Stopwatch(comm)
        volume = opened(file, comm)
        if method == "lattice":
            image_mesh = lattice_mesh(volume, mesh_options(volume, size), SOLVED, comm)
        else:
            image_mesh = voxel_mesh(volume, SOLVED, comm)
        of_parts = clock.seconds
        product = mesh_in_place(image_mesh, SOLVED, comm)
        comm.Barrier()
        wall = clock.seconds
    cpu = comm.allreduce(time.process_time() - cpu, MPI.MAX)
    cells = comm.allreduce(len(image_mesh.cells))
    solved = product.mesh.topology.index_map(3).size_global
    row = {
        "method": method,
        "image": file.stem,
        "ranks": comm.size,
        "cells": cells,
        "solved": solved,
        "wall_s": wall,
        "of_parts": comm.allreduce(of_parts, MPI.MAX),
        "cpu_s": cpu,
        "cells/s": cells / wall,
        "per_cpu_s": cells / cpu,
        "solved/s": solved / wall,
        "peak_MiB": peak[0],
    }
    return row, volume, image_mesh


def quality(figures: MeshFigures) -> dict[str, Any]:
    """Columns of the tables."""
    return {
        "worst": figures.worst,
        "0.1%": figures.permille,
        "1%": figures.percent,
        "vol_err": figures.volume_error,
        "box": figures.meshed,
        "agree": figures.agreement,
        "inside": figures.agreement_inside,
        "centroid": figures.agreement_centroids,
    }


def series(files: dict[str, Path], options: argparse.Namespace, comm: MPI.Intracomm) -> list[dict[str, Any]]:
    """The own meshers on all images; collective."""
    for method in options.methods:  # imports are not to count
        measured(method, next(iter(files.values())), 4.0, comm)
    _trim()
    with peak_memory(comm) as idle:
        pass
    say(comm, f"idle ranks: {idle[0]:.0f} MiB")
    table = Table(SERIES, comm)
    table.head()
    for name, file in files.items():
        for method in options.methods:
            row, volume, image_mesh = measured(method, file, options.size, comm)
            image = 2 * np.prod(volume.shape) / MEBI
            row["GB/M"] = (row["peak_MiB"] - idle[0] - image) * MEBI / 1e9 / (row["cells"] / 1e6)
            if method == "lattice":
                figures = mesh_figures(volume, image_mesh, comm)
                row |= quality(figures) | {"figures": asdict(figures)}
            table.add(**row | {"image": name})
            del volume, image_mesh
            _trim()
    for method in options.methods:
        rows = [row for row in table.rows if row["method"] == method]
        if len({row["cells"] for row in rows}) > 1:
            cells = np.log([row["cells"] for row in rows])
            exponents = [np.polyfit(cells, np.log([row[key] for row in rows]), 1)[0] for key in ("wall_s", "cpu_s")]
            say(comm, f"{method}: wall time grows as cells^{exponents[0]:.2f}, CPU time as cells^{exponents[1]:.2f}")
    return table.rows


def _trim() -> None:
    """Give free memory back to the system, where the C library can: else it would count as that of the idle ranks."""
    with contextlib.suppress(AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


# --- other meshers ---


class PeerError(Exception):
    """Another mesher has made no mesh."""


def comparison(files: dict[str, Path], options: argparse.Namespace) -> list[dict[str, Any]]:
    """The lattice and other meshers on the same images, on one rank."""
    comm = MPI.COMM_WORLD
    measured("lattice", next(iter(files.values())), 4.0, comm)
    table = Table(COMPARISON, comm)
    table.head()
    for name, file in files.items():
        row, volume, image_mesh = measured("lattice", file, options.size, comm)
        judged(table, name, row, volume, image_mesh, "")
        for peer in options.peers:
            row = {"method": peer}
            try:
                found = asked(peer, file, options)
            except PeerError as error:
                table.add(**row, image=name, remark=str(error))
                continue
            cells = len(found["cells"])
            wall, cpu = (float(found[key]) for key in ("wall", "cpu"))
            row |= {"cells": cells, "wall_s": wall, "cpu_s": cpu, "cells/s": cells / wall, "per_cpu_s": cells / cpu}
            judged(table, name, row, volume, _as_parts(found, volume), str(found["remark"]))
    return table.rows


def judged(
    table: Table, image: str, row: dict[str, Any], volume: LabelVolume, image_mesh: ImageMesh, remark: str
) -> None:
    """Add a row with the quality of its mesh."""
    comm = MPI.COMM_SELF
    figures = mesh_figures(volume, image_mesh, comm)
    near, far = sizes_around(volume, image_mesh, _particle(volume), comm)
    if figures.inverted:
        remark = f"{figures.inverted} inverted; {remark}".removesuffix("; ")
    row |= quality(figures) | {
        "image": image,
        "near": near,
        "far": far,
        "steps": interface_area(image_mesh) / voxel_face_area(volume),
        "remark": remark,
        "figures": asdict(figures),
    }
    table.add(**row)


def asked(peer: str, file: Path, options: argparse.Namespace) -> dict[str, NDArray[Any]]:
    """Have another mesher mesh an image, in a process of its own.

    Raises:
        PeerError: It failed or took too long.
    """
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "mesh.npz"
        command = [str(options.peers_python), str(PEER_SCRIPT), peer, str(file), str(out)]
        limited = ["bash", "-c", f'ulimit -t {options.time_limit:.0f}; exec "$@"', "bash", *command]
        path = f"{options.peers_python.parent}:{os.environ['PATH']}"  # where the programs are that they call
        with (Path(folder) / "stderr").open("w+") as stderr:
            result = subprocess.run(
                limited, stdout=subprocess.DEVNULL, stderr=stderr, check=False, env=os.environ | {"PATH": path}
            )
            stderr.seek(0)
            lines = stderr.read().strip().splitlines()
        if -result.returncode in (signal.SIGXCPU, signal.SIGKILL):
            raise PeerError(f"not done after {options.time_limit:g} s, or out of memory")
        if result.returncode:
            raise PeerError(f"failed: {lines[-1] if lines else f'exit status {result.returncode}'}")
        with np.load(out) as content:
            return dict(content)


def _as_parts(found: dict[str, NDArray[Any]], volume: LabelVolume) -> ImageMesh:
    """The other's mesh, in voxels with the origin at the image's corner."""
    return ImageMesh(
        points=np.ascontiguousarray(found["points"], np.float64),
        vertex=np.arange(len(found["points"])),
        cells=found["cells"].astype(np.int32),
        phase=found["phase"].astype(np.uint8),
        shape="tetrahedron",
        names=volume.names,
        unit=min(volume.voxel_size),
        extent=tuple(float(count) for count in volume.shape[::-1]),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="*", default=[64, 96, 128], help="voxels along an edge of the cubes")
    parser.add_argument("--films", type=int, nargs="+", default=[], help="the same, of the hard kind")
    parser.add_argument("--images", type=Path, nargs="+", default=[], metavar="FILE", help="label images as well")
    parser.add_argument("--methods", nargs="+", choices=["lattice", "voxel"], default=["lattice"])
    parser.add_argument("--size", type=float, default=2.0, help="of elements at the particles, in voxels")
    parser.add_argument("--peers", nargs="*", choices=PEERS, help="compare with these; without a name, with all")
    parser.add_argument("--peers-python", type=Path, metavar="PYTHON", default=Path("python3"))
    parser.add_argument(
        "--time-limit", type=float, default=300.0, metavar="SECONDS", help="CPU time of a peer per image"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there as well")
    options = parser.parse_args()
    comm = MPI.COMM_WORLD
    if options.peers is not None and comm.size > 1:
        parser.error("--peers is for one rank")
    options.peers = PEERS if options.peers == [] else options.peers
    with tempfile.TemporaryDirectory() as temporary:  # each rank has one, the first one's is used
        folder = comm.bcast(Path(temporary))
        files = comm.bcast(on_root(comm, lambda: stored_images(options, folder)))
        if options.peers is None:
            content = {"ranks": comm.size, "runs": series(files, options, comm)}
        else:
            content = {"ranks": 1, "comparison": comparison(files, options)}
        write_json(options.json, comm, content)
        comm.Barrier()


if __name__ == "__main__":
    main()
