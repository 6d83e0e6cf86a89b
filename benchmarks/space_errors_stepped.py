"""The error in space that runs state which are solved step by step, against the true one: 20 small images with laws.

    python benchmarks/space_errors_stepped.py [--images blobs-growing ...] [--degree 1]

Diffusivities that grow or fall with the concentration, fronts, sinks that fill up, and transfer coefficients that
change gradually; 14 images in 2D, 6 in 3D. The true error is the difference to elements of degree 2 on a finer mesh
(twice as fine in 2D, 1.4 times in 3D), the largest over the regions from a thousandth of the end on, in mol/m³ for a
source of 1000. Beside it, per true error, what recovered gradients say and what a mesh twice as coarse says, and the
CPU time of the solution alone, of the solution with recovered gradients along its steps, and of the other one with its
mesh. The estimates are to err by a factor of 3 at most.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from common import Table
from small_images import BARRIER, PORE, VOXEL, blobs, case_in, length_of, regions_text, say_held, told, true_error

from mpi4py import MPI

from microlith.imaging.typing import Array
from microlith.solver.transient import Transient, solve
from microlith.workflow.console.terminal import Stages
from microlith.workflow.prepare import assemble
from microlith.workflow.prepare.assemble import Prepared
from microlith.workflow.prepare.meshed import mesh_of
from microlith.workflow.studies.spatial_error import recovered_error, silent, spatial_error
from microlith.workflow.studies.variant import Variant, solved_variant

COLUMNS = {
    "image": "<18s",
    "unknowns": "8d",
    "true": "6.1f",
    "recovered": "9.2f",
    "other": "8.2f",
    "solve_s": "7.2f",
    "with_s": "7.2f",
    "other_s": "8.2f",
}
TOLERANCE = 1e-3  # in time
FINER = {2: 0.5, 3: 0.7}  # of the mesh of the reference
D = 2e-14  # m²/s, the largest
PLAIN = f'"{D} m^2/s"'
EXPRESSIONS = {
    "growing": "D0 * (0.1 + 0.9 * c / c0)",
    "falling": "D0 * (1 - 0.8 * c / c0)",
    "front": "D0 * (0.01 + 0.99 / (1 + exp((0.3 - c / c0) / 0.05)))",
    "peak": "D0 * (0.05 + 0.95 * exp(-((c / c0 - 0.5) / 0.15)**2))",
}


def law(name: str) -> str:
    """Diffusivity of a medium, as the case file says it."""
    return f'{{ expression = "{EXPRESSIONS[name]}", D0 = "{D} m^2/s", c0 = "1 mol/L" }}'


def medium(diffusivity: str, name: str = "medium", label: int = 1) -> str:
    """A phase that is solved for."""
    return f'[phases.{name}]\nlabel = {label}\nrole = "transport"\ndiffusivity = {diffusivity}\n'


def sink(length: float) -> str:
    """Particles whose surface fills up: quickly at first, half full at about half of the run."""
    rate, capacity = 4 * D / length, 0.3 * 1000 * length
    return (
        f'[phases.particle]\nlabel = 2\nrole = "sink"\nuptake = {{ rate = "{rate} m/s", '
        f'capacity = "{capacity} mol/m^2" }}\n'
    )


def opening(length: float) -> str:
    """Pores through whose surface more and more comes."""
    end, velocity = length**2 / D, D / length
    values = f'["{0.5 * velocity} m/s", "{50 * velocity} m/s"]'
    return PORE + f'mass_transfer = {{ times = ["0 s", "{end} s"], values = {values} }}\n'


def ball(outer: float, inner: float, size: int, dim: int) -> Array:
    """A ball or disk in a pore, perhaps with another phase inside."""
    x = np.arange(size) + 0.5 - size / 2
    squares = sum(axis**2 for axis in np.meshgrid(*[x] * dim, indexing="ij", sparse=True))
    return np.where(squares < inner**2, 2, squares < outer**2).astype(np.uint8)


def slab(size: int, dim: int, *, slits: bool = False, block: bool = False) -> Array:
    """A medium beside a pore, with walls or with a block in it."""
    shape = (2 * size // 3,) * (dim - 1) + (size,)
    image, part = np.ones(shape, np.uint8), size // 10
    image[..., : size // 8] = 0
    if slits:
        image[part:, ..., size // 3 : size // 3 + part // 2 + 1] = 2
        image[:-part, ..., 2 * size // 3 : 2 * size // 3 + part // 2 + 1] = 2
    if block:
        image[(slice(2 * part, -2 * part),) * (dim - 1) + (slice(3 * part, None),)] = 2
    return image


LENGTH = {2: 60, 3: 24}  # pixels or voxels along an edge


def images() -> dict[str, tuple[Callable[[], Array], str]]:
    """Image and phases of each case."""
    two, three = LENGTH[2], LENGTH[3]
    long, short = two * VOXEL * 1e-9, three * VOXEL * 1e-9
    slow = medium(f'"{D / 20} m^2/s"', "particle", 2)
    found: dict[str, tuple[Callable[[], Array], str]] = {
        f"blobs-{name}": (lambda seed=seed: blobs(seed, 4.0, two, 2), PORE + medium(law(name)) + BARRIER)
        for seed, name in enumerate(EXPRESSIONS, start=1)
    }
    found |= {
        f"slab-{name}": (lambda: slab(two, 2), PORE + medium(law(name))) for name in ("growing", "falling", "front")
    }
    found |= {
        "disk-falling": (lambda: ball(22, 0, two, 2), PORE + medium(law("falling"))),
        "coat-front": (lambda: ball(25, 17, two, 2), PORE + medium(law("front")) + BARRIER),
        "slits-growing": (lambda: slab(two, 2, slits=True), PORE + medium(law("growing")) + BARRIER),
        "block-falling": (lambda: slab(two, 2, block=True), PORE + medium(law("falling")) + slow),
        "blobs-sink": (lambda: blobs(5, 4.0, two, 2), PORE + medium(PLAIN) + sink(long)),
        "blobs-opening": (lambda: blobs(6, 4.0, two, 2), opening(long) + medium(PLAIN) + BARRIER),
        "large-growing": (lambda: blobs(7, 4.0, 2 * two, 2), PORE + medium(law("growing")) + BARRIER),
        "3d-blobs-growing": (lambda: blobs(1, 4.0, three, 3), PORE + medium(law("growing")) + BARRIER),
        "3d-ball-falling": (lambda: ball(9, 0, three, 3), PORE + medium(law("falling"))),
        "3d-slab-front": (lambda: slab(three, 3), PORE + medium(law("front"))),
        "3d-block-growing": (lambda: slab(three, 3, block=True), PORE + medium(law("growing")) + slow),
        "3d-coat-sink": (lambda: ball(10, 5, three, 3), PORE + medium(PLAIN) + sink(short)),
        "3d-slits-opening": (lambda: slab(three, 3, slits=True), opening(short) + medium(PLAIN) + BARRIER),
    }
    return found


def case_text(image: Array, phases: str, degree: int) -> str:
    """A case file for an image beside it."""
    length = length_of(image)
    return (
        f'[image]\nfile = "image.tif"\nvoxel_size = "{VOXEL} nm"\n{phases}[mesh]\ndegree = {degree}\n'
        f'[time]\nend = "{(length * 1e-9) ** 2 / D} s"\ntolerance = {TOLERANCE}\nsnapshots = []\n'
        f"{regions_text(image, smaller=length // 5, larger=length // 3, distance=length // 12)}"
    )


def timed(ready: Prepared, *, lacking: bool) -> tuple[Transient, float]:
    """The solution, and CPU seconds."""
    start = time.process_time()
    physics = ready.case.physics if lacking else None
    own = solve(ready.problem, ready.means, ready.case.time, ready.case.solver, lacking=physics)
    return own, time.process_time() - start


def measure(name: str, image: Array, text: str, table: Table, folder: Path) -> None:
    """One image."""
    comm = MPI.COMM_WORLD
    case = case_in(folder, image, text, comm)
    with silent():
        meshed = mesh_of(case, case.physics.solved, Stages(), comm)
        ready = assemble.assembled(meshed.case, replace(meshed, case=meshed.case), Stages())
        _, alone = timed(ready, lacking=False)
        own, both = timed(ready, lacking=True)
        recovered = recovered_error(ready, own, None)
        start = time.process_time()
        other = spatial_error(ready.meshed, own.curves, comm)
        other_s = time.process_time() - start
        fine = solved_variant(ready.meshed, Variant(coarseness=FINER[image.ndim], degree=2), comm)
    true = true_error(own, fine)
    table.add(
        image=name,
        unknowns=ready.problem.unknowns,
        true=true,
        recovered=told(recovered, own) / true,
        other=told(other, own) / true,
        solve_s=alone,
        with_s=both,
        other_s=other_s,
    )


def main() -> None:
    """Measure all that is asked for."""
    known = images()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", nargs="+", choices=list(known), default=list(known))
    parser.add_argument("--degree", type=int, choices=[1, 2], default=1, help="of the elements")
    options = parser.parse_args()
    comm = MPI.COMM_WORLD
    table = Table(COLUMNS, comm)
    table.head()
    with tempfile.TemporaryDirectory() as made:
        folder = Path(comm.bcast(made))
        for name in options.images:
            image, phases = known[name][0](), known[name][1]
            measure(name, image, case_text(image, phases, options.degree), table, folder)
        comm.Barrier()
    say_held(table, comm)


if __name__ == "__main__":
    main()
