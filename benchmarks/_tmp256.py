"""Times and memory of `microlith analyze`, all of it in a made image of three phases; and other programs beside it.

    runtime/run mpirun -n 2 python3 benchmarks/analysis.py [voxels along an edge]
    runtime/run python3 benchmarks/analysis.py [voxels along an edge] --peers PYTHON

Target: 256^3 in two minutes and 4 GB on two cores. Prints wall-clock and CPU seconds, and the memory of all ranks. With
--peers, areas of balls and of face-centred cubic balls by each program against the exact ones, and time and memory of
single measurements in the same image, each in a process of its own. PYTHON is that of an environment with porespy and
scikit-image, and with taufactor where it is to be had, whose areas need torch:

    python3 -m venv peers && peers/bin/pip install porespy scikit-image
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from analysis_peers import PEERS, peak_memory_mb, reset_peak
from scipy.ndimage import gaussian_filter

from mpi4py import MPI

import microlith as ml

PHASES = {
    "pore": {"label": 0, "role": "source", "concentration": "1 mol/L"},
    "sei": {"label": 1, "role": "transport", "diffusivity": "1e-14 m^2/s"},
    "particle": {"label": 2, "role": "barrier"},
}
AREAS = [name for name in PEERS if name.endswith("area")]
OWN = ("surfaces", "thickness", "correlation", "chords", "particles", "connectivity", "distances", "tortuosity")
PEER_SCRIPT = str(Path(__file__).parent / "analysis_peers.py")
LONGEST = 150  # seconds that one measurement may take


def image(edge):
    """Three phases by the level sets of a blurred noise, 37, 38 and 25 %."""
    noise = np.random.default_rng(0).normal(size=(edge,) * 3).astype(np.float32)
    smooth = gaussian_filter(noise, 5, mode="wrap")
    return np.digitize(smooth, np.quantile(smooth[::4, ::4, ::4], [0.37, 0.75])).astype(np.uint8)


def ball(radius):
    """A ball among voxels, at a place that has nothing to do with theirs, and its surface."""
    n = 2 * int(radius) + 14
    apart = [np.arange(n) + 0.5 - n / 2 - shift for shift in (0.2, -0.3, 0.1)]
    z, y, x = np.meshgrid(*apart, indexing="ij", sparse=True)
    return (z**2 + y**2 + x**2 <= radius**2).astype(np.uint8), 4 * np.pi * radius**2


def packed(voxels, overlap, shift):
    """Face-centred cubic balls in a cube, and the surface of the solid."""
    radius = np.sqrt(2) / 4 * voxels / (1 - overlap / 2)
    solid = np.zeros((voxels,) * 3, bool)
    place = np.arange(voxels) + 0.5
    for corner in np.array([(0, 0, 0), (1, 1, 0), (1, 0, 1), (0, 1, 1)]) * voxels / 2:
        apart = [(place - c - s + voxels / 2) % voxels - voxels / 2 for c, s in zip(corner, shift, strict=True)]
        z, y, x = np.meshgrid(*apart, indexing="ij", sparse=True)
        solid |= z**2 + y**2 + x**2 <= radius**2
    cap = radius - voxels * np.sqrt(2) / 4
    return solid.astype(np.uint8), 16 * np.pi * radius**2 - 96 * np.pi * radius * cap


def bodies():
    """Name -> image and exact area: single balls, and packed ones as in the published study and elsewhere."""
    elsewhere = (7.31, 3.77, 11.19)
    found = {f"ball, radius {radius}": ball(radius) for radius in (8, 16)}
    for voxels in (50, 100):
        for overlap in (0.0, 0.05, 0.2):
            found[f"packed, {voxels} voxels, overlap {overlap}, as published"] = packed(voxels, overlap, (0, 0, 0))
    for overlap in (0.0, 0.05, 0.2):
        found[f"packed, 50 voxels, overlap {overlap}, elsewhere"] = packed(50, overlap, elsewhere)
    return found


def tables(phases: int, measure: Sequence[str]) -> dict[str, Any]:
    """A case for an image of some phases."""
    names = list(PHASES)[:phases]
    return {
        "image": {"voxel_size": "50 nm"},
        "phases": {name: PHASES[name] for name in names},
        "analysis": {"measure": list(measure)},
    }


def area_by_microlith(phase) -> tuple[float, float]:
    """Area in voxel faces, and its standard error."""
    found = ml.analyze(ml.case(tables(2, ["surfaces"]), image=phase))
    (number,) = (n for finding in found.findings.values() for n in finding.numbers if n.name == "surface_area.sei")
    return number.value / 50e-9**2, (number.error or 0.0) / 50e-9**2


def alone(measure: str, path: str) -> None:
    """One measurement of microlith in an image, as `analysis_peers.py` does those of others."""
    ml.analyze(ml.case(tables(3, [measure]), image=image(24)))  # imports
    case = ml.case(tables(3, [measure]), image=np.load(path))
    reset_peak()
    before, wall, cpu = peak_memory_mb(), time.perf_counter(), time.process_time()
    ml.analyze(case)
    seconds = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
    print(json.dumps(seconds | {"peak_mb": peak_memory_mb() - before}))


def in_a_process(command: Sequence[str], images: Sequence[str]) -> list[dict[str, Any]]:
    """What a process prints last, a line of JSON for each image, or why there is none."""
    try:
        done = subprocess.run([*command, *images], capture_output=True, text=True, timeout=LONGEST, check=False)
    except subprocess.TimeoutExpired:
        return [{"missing": f"not done after {LONGEST} s"}] * len(images)
    lines = done.stdout.strip().splitlines()[-len(images) :]
    try:
        found = [json.loads(line) for line in lines]
    except ValueError:
        found = []
    if len(found) < len(images):
        reason = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        return [{"missing": reason}] * len(images)
    return found


def areas_beside_peers(python: str, folder: str) -> None:
    """Print errors of areas, by microlith with the standard error that it tells, and by others."""
    rows, paths = [], []
    for number, (phase, exact) in enumerate(bodies().values()):
        paths.append(f"{folder}/body-{number}.npy")
        np.save(paths[-1], phase)
        area, error = area_by_microlith(phase)
        rows.append((exact, [f"{100 * (area / exact - 1):+.1f} ({100 * error / exact:.1f})"]))
    for peer in AREAS:
        for found, (exact, cells) in zip(in_a_process([python, PEER_SCRIPT, peer], paths), rows, strict=True):
            cells.append(f"{100 * (found['value'] / exact - 1):+.1f}" if "value" in found else found["missing"])
    print("error of the area, %:", "microlith (told)", *AREAS, sep=" | ")
    for name, (_, cells) in zip(bodies(), rows, strict=True):
        print(name, *cells, sep=" | ", flush=True)


def times_beside_peers(python: str, folder: str, edge: int) -> None:
    """Print time and memory of single measurements."""
    path = f"{folder}/image.npy"
    np.save(path, image(edge))
    print(f"{edge}^3, three phases:", "wall s", "CPU s", "memory MB above the image", sep=" | ", flush=True)
    commands = {f"microlith {name}": [sys.executable, __file__, "--alone", name] for name in OWN}
    commands |= {name: [python, PEER_SCRIPT, name] for name in PEERS}
    for name, command in commands.items():
        (found,) = in_a_process(command, [path])
        figures = [found["missing"]] if "missing" in found else [f"{found[k]:.1f}" for k in ("wall", "cpu", "peak_mb")]
        print(name, *figures, sep=" | ", flush=True)


def all_of_it(edge: int) -> None:
    """Everything that `analyze` measures; collective."""
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("edge", nargs="?", type=int, default=256)
    parser.add_argument("--peers", metavar="PYTHON", help="interpreter of the environment that has them")
    parser.add_argument("--alone", nargs=2, metavar=("MEASUREMENT", "IMAGE"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.alone:
        alone(*given.alone)
    elif given.peers:
        with tempfile.TemporaryDirectory() as folder:
            pass
            times_beside_peers(given.peers, folder, given.edge)
    else:
        all_of_it(given.edge)


if __name__ == "__main__":
    main()
