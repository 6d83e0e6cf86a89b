"""Times and memory of `microlith analyze`: a made image of three phases, all measurements.

    runtime/run mpirun -n 2 python3 benchmarks/analysis.py [voxels along an edge]

Target: 256^3 in two minutes and 4 GB on two cores. Prints wall-clock and CPU seconds, and the memory of all ranks.
"""

import resource
import sys
import time

import numpy as np
from scipy.ndimage import gaussian_filter

from mpi4py import MPI

import microlith as ml

PHASES = {
    "pore": {"label": 0, "role": "source", "concentration": "1 mol/L"},
    "sei": {"label": 1, "role": "transport", "diffusivity": "1e-14 m^2/s"},
    "particle": {"label": 2, "role": "barrier"},
}


def image(edge):
    """Three phases by the level sets of a blurred noise, 37, 38 and 25 %."""
    noise = np.random.default_rng(0).normal(size=(edge,) * 3).astype(np.float32)
    smooth = gaussian_filter(noise, 5, mode="wrap")
    return np.digitize(smooth, np.quantile(smooth[::4, ::4, ::4], [0.37, 0.75])).astype(np.uint8)


def main():
    edge = int(sys.argv[1]) if len(sys.argv) > 1 else 256
    comm = MPI.COMM_WORLD
    case = ml.case({"image": {"voxel_size": "50 nm"}, "phases": PHASES}, image=image(edge))
    wall, cpu = time.perf_counter(), time.process_time()
    found = ml.analyze(case)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    peak = comm.allreduce(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6)
    cpu = comm.allreduce(cpu)
    if comm.rank == 0:
        print(f"{edge}^3, {comm.size} ranks: {wall:.0f} s, {cpu:.0f} s of CPU, {peak:.1f} GB")
        for name, seconds in found.seconds.items():
            print(f"  {name}: {seconds:.1f} s")


if __name__ == "__main__":
    main()
