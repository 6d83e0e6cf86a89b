"""Boxes and shells over two phases that begin with different concentrations: their errors, and what is told of them.

    python benchmarks/space_errors_phases.py [--dim 2] [--ways "lattice 1" "lattice 2" "fitted 2"] [--seeds 1 2 ...]

Pores of 1000 and a medium of 0 mol/m³ even out among sealed particles, in images of 40² pixels or 18³ voxels. The true
error is the difference to cubes of degree 2, or squares, whose voxels are those of the image divided along each axis,
in four in 2D and two in 3D. Of each way: the root mean square of the first errors and of the largest from a thousandth
of the end on, and of the latter how many are told to a factor of 3, how many less than a third and how many more than
three times; errors below a half count as a half.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
from common import Table
from small_images import BARRIER, HELD, LATE, VOXEL, blobs, case_in

from mpi4py import MPI

from microlith.imaging.typing import Array
from microlith.workflow.run.solved import Solved, solved
from microlith.workflow.studies.spatial_error import silent

SIZE = {2: 40, 3: 18}
DIVIDED = {2: 4, 3: 2}  # parts of each edge of a voxel in the reference
WIDTHS = (3.0, 2.0, 2.5)  # of the blobs, in turn
BOXES = 8  # that are tried; those with few voxels of a phase are left out
FEW = 3
LEAST = 0.5  # mol/m³
PHASES = (
    '[phases.pore]\nlabel = 0\nrole = "transport"\ndiffusivity = "1e-14 m^2/s"\ninitial = "1000 mol/m^3"\n'
    '[phases.medium]\nlabel = 1\nrole = "transport"\ndiffusivity = "1e-14 m^2/s"\n' + BARRIER
)
COLUMNS = {
    "way": "<10s",
    "regions": "7d",
    "first": "6.1f",
    "late": "6.1f",
    "held": "5d",
    "under": "5d",
    "over": "5d",
}


def regions_text(image: Array, seed: int) -> str:
    """Boxes of a sixth to a half of the edge, wherever they come to lie, and a shell around the particles."""
    chance, size = np.random.default_rng(seed), len(image)
    found = f'[regions.shell]\nshell = {{ around = "particle", distance = "{3 * VOXEL} nm" }}\n'
    for number in range(BOXES):
        edges = chance.integers(size // 6, size // 2, image.ndim)
        low = np.array([chance.integers(0, size - edge + 1) for edge in edges])
        part = image[tuple(slice(a, a + n) for a, n in zip(low, edges, strict=True))]
        if min((part == 0).sum(), (part == 1).sum()) >= FEW:
            ends = (
                f'{axis} = ["{VOXEL * a} nm", "{VOXEL * (a + n)} nm"]'
                for axis, a, n in zip("zyx"[-image.ndim :], low, edges, strict=True)
            )
            found += f"[regions.box{number}]\nbox = {{ {', '.join(ends)} }}\n"
    return found


def run(image: Array, voxel: float, mesh: str, regions: str, end: float, folder: Path) -> Solved:
    """A case, at 25 times of four decades."""
    times = ", ".join(f'"{time:.9g} s"' for time in end * np.geomspace(0.1 * LATE, 1, 25))
    text = (
        f'[image]\nfile = "image.tif"\nvoxel_size = "{voxel} nm"\n{PHASES}[mesh]\n{mesh}'
        f'[time]\nend = "{end:.9g} s"\ntolerance = 1e-4\nsnapshots = []\ntimes = [{times}]\n{regions}'
    )
    with silent():
        return solved(case_in(folder, image, text, MPI.COMM_WORLD), MPI.COMM_WORLD)


def errors(seed: int, width: float, dim: int, ways: list[str], folder: Path) -> dict[str, list[tuple[float, ...]]]:
    """Way -> of each region the first error, the largest late one, and what is told of that."""
    image = blobs(seed, width, SIZE[dim], dim)
    regions, end = regions_text(image, seed), (SIZE[dim] * VOXEL * 1e-9) ** 2 / 2e-14
    fine, parts = image, DIVIDED[dim]
    for axis in range(dim):
        fine = np.repeat(fine, parts, axis=axis)
    exact = run(fine, VOXEL / parts, 'method = "voxel"\ndegree = 2\nestimate = false\n', regions, end, folder)
    found: dict[str, list[tuple[float, ...]]] = {}
    for way in ways:
        method, degree = way.split()
        own = run(image, VOXEL, f'method = "{method}"\ndegree = {degree}\n', regions, end, folder)
        late = own.transient.times >= 0.99 * LATE * end
        for name, curve in own.transient.curves.items():
            true = np.abs(curve - exact.transient.curves[name])
            found.setdefault(way, []).append((true[0], true[late].max(), own.errors[name][late].max()))
    return found


def main() -> None:
    """Measure all that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dim", type=int, choices=[2, 3], default=2)
    parser.add_argument("--ways", nargs="+", help="method and degree")
    parser.add_argument("--seeds", type=int, nargs="+", help="of the images")
    options = parser.parse_args()
    comm = MPI.COMM_WORLD
    ways = options.ways or ["lattice 1", "lattice 2", *(["fitted 2"] if options.dim == 2 else [])]
    seeds = options.seeds or ([1, 2, 3, 4, 11, 12, 13, 14, 15] if options.dim == 2 else [1, 2, 3])
    every: dict[str, list[tuple[float, ...]]] = {way: [] for way in ways}
    with tempfile.TemporaryDirectory() as made:
        folder = Path(comm.bcast(made))
        for number, seed in enumerate(seeds):
            for way, some in errors(seed, WIDTHS[number % len(WIDTHS)], options.dim, ways, folder).items():
                every[way] += some
        comm.Barrier()
    table = Table(COLUMNS, comm)
    table.head()
    for way, some in every.items():
        first, late, told = np.array(some).T
        ratio = told / np.maximum(late, LEAST)
        under, over = int((ratio < 1 / HELD).sum()), int((ratio > HELD).sum())
        sizes = (float(np.sqrt((values**2).mean())) for values in (first, late))
        table.add(
            way=way, regions=len(some), **dict(zip(("first", "late"), sizes, strict=True)),
            held=len(some) - under - over, under=under, over=over,
        )  # fmt: skip


if __name__ == "__main__":
    main()
