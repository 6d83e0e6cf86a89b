"""Effective diffusivity of spheres on a face-centred cubic lattice, pore and solid: error against CPU time.

    python benchmarks/deff.py [--voxels 20 30 50 100] [--overlaps 0 0.05 0.1 0.2] [--reference 160]
                              [--taufactor PYTHON] [--most VOXELS] [--only pore] [--by "voxel 1" taufactor]

A cube of N voxels holds one cell of the lattice: spheres of radius sqrt(2)/4 N/(1 - overlap/2) about its corners and
the middles of its faces; a voxel is solid where its middle is within one. microlith finds the tortuosity factor along z
from the image to the figure, on a lattice and on the voxels, with elements of degree 1 and 2; its bound is that of the
meshed shape. The error is against the lattice of degree 2 on --reference voxels, of which an eighth is enough: the cell
is its own mirror image, and its sides are sealed. TauFactor (finite volumes, on the CPU, to its own tolerance) runs on
the same images where the interpreter --taufactor can import it and torch. All take one thread; CPU seconds are those of
the process, without imports: each way solves a small image first, which loads what it needs.

The second table has, for each error, the CPU time from which on a way stays below it, whatever finer images are taken.
"""

import argparse
import contextlib
import json
import os
import subprocess
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from common import Table, say

from mpi4py import MPI

import microlith as ml
from microlith.imaging.typing import Flags

COLUMNS = {
    "phase": "<6s",
    "overlap": "7.2f",
    "voxels": "6d",
    "by": "<11s",
    "tau": "8.4f",
    "tau_at_most": "11.4f",
    "error_percent": "13.2f",
    "cpu_s": "8.2f",
}
SHORTEST = {
    "phase": "<6s",
    "overlap": "7.2f",
    "error_at_most": "13s",
    "microlith": "<24s",
    "taufactor": "<24s",
    "ratio": "8s",
}
WAYS = {f"{method} {degree}": (method, degree) for method in ("lattice", "voxel") for degree in (1, 2)}
MOST = {"lattice 1": 50, "lattice 2": 100, "voxel 1": 200, "voxel 2": 50, "taufactor": 400}  # voxels along an edge
WARMING = 16  # voxels along an edge of the image that is solved before time is taken
ERRORS = (5.0, 3.0, 2.0, 1.0)  # percent
TAUFACTOR = """
import json, sys, time
import numpy as np
import torch
import taufactor
torch.set_num_threads(1)
for line in sys.stdin:
    image = np.load(line.strip())
    start = time.process_time()
    solver = taufactor.Solver(image, device="cpu")
    solver.solve(verbose=False)
    print(json.dumps({"tau": float(np.ravel(solver.tau)[0]), "cpu_s": time.process_time() - start}), flush=True)
"""


def spheres(voxels: int, overlap: float) -> Flags:
    """Solid voxels of one cell."""
    radius = np.sqrt(2) / 4 * voxels / (1 - overlap / 2)
    x = (np.arange(voxels) + 0.5).astype(np.float32)
    solid = np.zeros((voxels,) * 3, dtype=bool)
    halves = np.indices((3, 3, 3)).reshape(3, -1).T
    for middle in halves[halves.sum(axis=1) % 2 == 0] * voxels / 2:  # corners, and middles of faces
        away = [(x - m) ** 2 for m in middle]
        solid |= away[0][:, None, None] + away[1][:, None] + away[2] <= radius**2
    return solid


def by_microlith(conducts: Flags, method: str, degree: int) -> dict[str, Any]:
    """Tortuosity factor along z, its upper bound, and CPU seconds from the image on."""
    start = time.process_time()
    tables = {
        "image": {"voxel_size": "10 nm"},
        "mesh": {"method": method, "degree": degree},
        "phases": {name: {"label": i, "role": "barrier"} for i, name in enumerate(("closed", "open"))},
    }
    found = ml.effective_diffusivity(ml.case(tables, image=conducts.astype(np.uint8)), "open", "z")
    (along,) = found.along
    at_most = along.fraction / along.lower if along.lower else np.inf
    return {"tau": along.tortuosity or np.inf, "tau_at_most": at_most, "cpu_s": time.process_time() - start}


class TauFactor:
    """TauFactor in an interpreter of its own."""

    def __init__(self, python: str) -> None:
        threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        self._run = subprocess.Popen(
            [python, "-c", TAUFACTOR],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, **threads},
        )

    def __call__(self, conducts: Flags) -> dict[str, Any]:
        """Tortuosity factor along the first axis, and CPU seconds."""
        assert self._run.stdin is not None
        assert self._run.stdout is not None
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "image.npy"
            np.save(path, conducts.astype(np.uint8))
            self._run.stdin.write(f"{path}\n")
            self._run.stdin.flush()
            for line in self._run.stdout:
                with contextlib.suppress(ValueError):  # what it says besides
                    found = json.loads(line)
                    return {**found, "tau": found["tau"] if found["tau"] > 0 else np.inf}
        raise RuntimeError("TauFactor ended before it answered")

    def close(self) -> None:
        """End the interpreter."""
        self._run.communicate()


Found = list[tuple[float, float, int]]  # error in percent, CPU seconds, voxels


def cheapest(found: Found, most: float) -> tuple[float, int] | None:
    """CPU seconds and voxels from which on the error stays below `most` percent; None where it does not."""
    answer = None
    for error, seconds, voxels in sorted(found, key=lambda one: -one[2]):
        if not abs(error) <= most:
            break
        answer = seconds, voxels
    return answer


def shortest(found: dict[str, Found], most: float) -> tuple[float, str] | None:
    """Least CPU time of some ways that stay below an error, and which it is."""
    there = {way: cheapest(of, most) for way, of in found.items()}
    some = [(answer[0], f"{way}, {answer[1]}") for way, answer in there.items() if answer is not None]
    return min(some, default=None)


def tell_shortest(runs: dict[tuple[str, float], dict[str, Found]], comm: MPI.Intracomm) -> None:
    """Table of the CPU time that each error takes."""
    table = Table(SHORTEST, comm)
    table.head()
    for (phase, overlap), found in runs.items():
        other = {way: of for way, of in found.items() if way == "taufactor"}
        mine = {way: of for way, of in found.items() if way != "taufactor"}
        for most in ERRORS:
            a, b = shortest(mine, most), shortest(other, most)
            text = ["not reached" if one is None else f"{one[0]:.2f} s ({one[1]})" for one in (a, b)]
            ratio = "" if a is None or b is None else f"{b[0] / a[0]:.1f}"
            row = {"error_at_most": f"{most:g} %", "microlith": text[0], "taufactor": text[1], "ratio": ratio}
            table.add(phase=phase, overlap=overlap, **row)


def main() -> None:
    """Run all and print two tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--voxels", type=int, nargs="+", default=[20, 30, 50, 100])
    parser.add_argument("--overlaps", type=float, nargs="+", default=[0.0, 0.05, 0.1, 0.2])
    parser.add_argument("--reference", type=int, default=160)
    parser.add_argument("--taufactor", metavar="PYTHON", help="an interpreter that can import taufactor")
    parser.add_argument("--most", type=int, default=200, help="voxels along an edge up to which microlith runs")
    parser.add_argument("--only", choices=("pore", "solid"))
    parser.add_argument("--by", choices=(*WAYS, "taufactor"), nargs="+", default=[*WAYS, "taufactor"])
    options = parser.parse_args()
    comm = MPI.COMM_WORLD
    taufactor = None if options.taufactor is None else TauFactor(options.taufactor)
    ways = [way for way in options.by if way in WAYS or taufactor]
    for way in ways:
        conducts = spheres(WARMING, 0.1)
        _ = taufactor(conducts) if way == "taufactor" and taufactor else by_microlith(conducts, *WAYS[way])
    table = Table(COLUMNS, comm)
    table.head()
    runs: dict[tuple[str, float], dict[str, Found]] = {}
    for overlap in options.overlaps:
        for phase, solid in (("pore", False), ("solid", True)):
            if options.only not in (None, phase) or (solid and overlap == 0):  # these spheres touch in points
                continue
            of_ways: dict[str, Found] = defaultdict(list)
            runs[phase, overlap] = of_ways
            half = (slice(options.reference // 2),) * 3
            exact = by_microlith((spheres(options.reference, overlap) == solid)[half], "lattice", 2)
            table.add(phase=phase, overlap=overlap, voxels=options.reference, by="reference", **exact)
            for voxels in options.voxels:
                conducts = spheres(voxels, overlap) == solid
                for way in ways:
                    if voxels > (MOST[way] if way == "taufactor" else min(MOST[way], options.most)):
                        continue
                    found = (
                        taufactor(conducts) if way == "taufactor" and taufactor else by_microlith(conducts, *WAYS[way])
                    )
                    error = 100 * (found["tau"] / exact["tau"] - 1)
                    table.add(phase=phase, overlap=overlap, voxels=voxels, by=way, error_percent=error, **found)
                    of_ways[way].append((error, found["cpu_s"], voxels))
    if taufactor is not None:
        taufactor.close()
    say(comm, "")
    tell_shortest(runs, comm)


if __name__ == "__main__":
    main()
