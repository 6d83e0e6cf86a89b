"""Segmentation of phantoms of known truth: Dice coefficient of each phase, whether the error bar holds the truth, time.

    runtime/run python3 benchmarks/segmentation.py --size 192
    runtime/run mpirun -n 2 python3 benchmarks/segmentation.py --size 192

The phantoms are parts of the volumes of cases/aged-anode-3d on voxels of half the edge, blurred, with noise, stripes or
shine-through (tests/helpers/phantoms.py); seeded.
"""

import argparse
import resource
import sys
import time
from pathlib import Path

import numpy as np

from mpi4py import MPI

import microlith as ml

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "helpers"))
from phantoms import PHASES, blurred, dice, painted, shining, truth

COMM = MPI.COMM_WORLD


def phantoms(size):
    """Name -> true labels and grey values."""
    pristine = truth(size, (60, 24, 120), "pristine.tif")[::-1]
    aged = truth(size, (0, 0, 130), "aged.tif")[::-1]
    stripes = np.random.default_rng(7).normal(0, 12, (size, 1, size))
    steps = np.random.default_rng(8).normal(0, 8, (size, 1, 1))
    found = {}
    for name, labels in (("pristine", pristine), ("aged", aged)):
        found[f"{name}, blur 1, noise 12"] = labels, blurred(labels, blur=1.0, noise=12)
        found[f"{name}, blur 1.5, noise 20"] = labels, blurred(labels, blur=1.5, noise=20)
        found[f"{name}, shine-through"] = labels, shining(labels)
    found["pristine, stripes and steps"] = pristine, blurred(pristine, blur=1.0, noise=8) + stripes + steps
    return found


def segmented(grey, true, method, filters, comm=COMM):
    """Segment on all ranks; what was found, and CPU seconds of the slowest rank."""
    tables = {
        "image": {"voxel_size": "20 nm"},
        "filters": filters,
        "segmentation": {"phases": list(PHASES), "method": method},
    }
    scribbles = painted(true, every=24, strokes=16) if method == "regions" else None
    start = time.process_time()
    found = ml.segment(tables, image=grey.astype(np.float32), scribbles=scribbles, comm=comm)
    return found, comm.allreduce(time.process_time() - start, op=MPI.MAX)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=128, help="voxels along each edge")
    parser.add_argument("--only", default="", help="phantoms whose name begins with this")
    options = parser.parse_args()
    for name, (true, grey) in phantoms(options.size).items():
        if not name.startswith(options.only):
            continue
        filters = {"median": 1}
        if "stripes" in name:
            filters = {"destripe": {}, "slices": 10, "median": 1}
        for method, used in (
            *((method, filters) for method in ("multi-otsu", "multistage", "regions")),
            *([("multistage", {"median": 1})] if "stripes" in name else []),
        ):
            found, seconds = segmented(grey, true, method, used)
            memory = COMM.allreduce(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, op=MPI.MAX)
            if COMM.rank:
                continue
            bars = []
            for index, phase in enumerate(PHASES):
                share = (true == index).mean()
                told = found.report["phases"][phase]
                low, high = told["volume_fraction_smaller"], told["volume_fraction_larger"]
                bars.append(
                    f"{100 * low:.2f} < {100 * share:.2f} < {100 * high:.2f}{'' if low <= share <= high else ' NO'}"
                )
            scores = ", ".join(f"{value:.3f}" for value in dice(found.labels - 1, true))
            cost = f"{seconds:.1f} | {memory:.2f}"
            print(f"| {name} | {method} ({', '.join(used)}) | {scores} | {'; '.join(bars)} | {cost} |", flush=True)


if __name__ == "__main__":
    main()
