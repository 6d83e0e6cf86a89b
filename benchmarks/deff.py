"""Effective diffusivity of spheres on a face-centred cubic lattice, pore and solid: error against CPU time.

    python benchmarks/deff.py [--voxels 20 30 50] [--overlaps 0.05 0.1] [--reference 80]

A cube of N voxels holds one cell of the lattice: spheres of radius sqrt(2)/4 N/(1 - overlap/2) about its corners and
the middles of its faces; a voxel is solid where its middle is within one. microlith meshes it by lattice (degree 2) and
by voxels (degree 1) and finds the tortuosity factor along z from the image to the figure; its bound is that of the
meshed shape. The error is against the lattice on --reference voxels. TauFactor (pip install taufactor, and a CPU build
of torch) runs beside it on the same images where it can be imported: finite volumes, on the CPU, to its own tolerance.
"""

import argparse
import time
from typing import Any

import numpy as np
from common import Table, say

from mpi4py import MPI

import microlith as ml
from microlith.imaging.typing import Array, Flags

try:
    import taufactor
except ImportError:
    taufactor = None

COLUMNS = {
    "phase": "<6s",
    "overlap": "7.2f",
    "voxels": "6d",
    "by": "<9s",
    "tau": "8.4f",
    "tau_at_most": "11.4f",
    "error_percent": "13.2f",
    "cpu_s": "7.2f",
}


def spheres(voxels: int, overlap: float) -> Flags:
    """Solid voxels of one cell."""
    radius = np.sqrt(2) / 4 * voxels / (1 - overlap / 2)
    x = (np.indices((voxels,) * 3) + 0.5).astype(np.float32)
    solid = np.zeros((voxels,) * 3, dtype=bool)
    halves = np.indices((3, 3, 3)).reshape(3, -1).T
    for middle in halves[halves.sum(axis=1) % 2 == 0] * voxels / 2:  # corners, and middles of faces
        solid |= ((x - middle[:, None, None, None]) ** 2).sum(axis=0) <= radius**2
    return solid


def by_microlith(conducts: Flags, method: str) -> dict[str, Any]:
    """Tortuosity factor along z, its upper bound, and CPU seconds from the image on."""
    start = time.process_time()
    tables = {
        "image": {"voxel_size": "10 nm"},
        "mesh": {"method": method},
        "phases": {name: {"label": i, "role": "barrier"} for i, name in enumerate(("closed", "open"))},
    }
    found = ml.effective_diffusivity(ml.case(tables, image=conducts.astype(np.uint8)), "open", "z")
    (along,) = found.along
    at_most = along.fraction / along.lower if along.lower else np.inf
    return {"tau": along.tortuosity, "tau_at_most": at_most, "cpu_s": time.process_time() - start}


def by_taufactor(conducts: Flags) -> dict[str, Any]:
    """The same by TauFactor, along its first axis."""
    start = time.process_time()
    image: Array = conducts.astype(np.uint8)
    solver = taufactor.Solver(image, device="cpu")
    solver.solve(verbose=False)
    return {"tau": float(np.ravel(solver.tau)[0]), "cpu_s": time.process_time() - start}


def main() -> None:
    """Run all and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--voxels", type=int, nargs="+", default=[20, 30, 50])
    parser.add_argument("--overlaps", type=float, nargs="+", default=[0.05, 0.1])
    parser.add_argument("--reference", type=int, default=80)
    options = parser.parse_args()
    comm = MPI.COMM_WORLD
    table = Table(COLUMNS, comm)
    if taufactor is None:
        say(comm, "taufactor can't be imported: microlith alone")
    table.head()
    for overlap in options.overlaps:
        for phase, solid in (("pore", False), ("solid", True)):
            exact = by_microlith(spheres(options.reference, overlap) == solid, "lattice")
            table.add(phase=phase, overlap=overlap, voxels=options.reference, by="reference", **exact)
            for voxels in options.voxels:
                conducts = spheres(voxels, overlap) == solid
                runs = {method: by_microlith(conducts, method) for method in ("lattice", "voxel")}
                if taufactor is not None:
                    runs["taufactor"] = by_taufactor(conducts)
                for name, found in runs.items():
                    error = 100 * (found["tau"] / exact["tau"] - 1)
                    row = {"phase": phase, "overlap": overlap, "voxels": voxels, "by": name, "error_percent": error}
                    table.add(**row, **found)


if __name__ == "__main__":
    main()
