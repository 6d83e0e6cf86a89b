"""The error in space that a run states of thin slabs and shells, each against its true one: small images on lattices.

    python benchmarks/space_errors_regions.py [--images balls fibres ...] [--degree 1] [--dim 3]

An image is cut into slabs a twentieth of its length thick, ten across x and four across each other axis, as profiles
are; to these come shells of one, two and four voxels around particles and pores, and the medium as a whole. The true
error is the difference to elements of degree 2 on a mesh twice as fine, from a thousandth of the end on, in mol/m³ for
a source of 1000. Of the regions of an image it is told how many are stated to a factor of 3, how many less than a third
of their error and how many more than three times, the least and the largest ratio, and that of the largest errors.
"""

import argparse
import math
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from common import Table, say
from small_images import BARRIER, HELD, PORE, VOXEL, blobs, case_in, late, length_of
from space_errors import FLAT, IMAGES, MEDIUM, SLOW, TOLERANCE

from mpi4py import MPI

from microlith.imaging.typing import Array
from microlith.solver.guard.thin_layers import layer_errors
from microlith.solver.transient import Transient, solve
from microlith.workflow.console.terminal import Stages
from microlith.workflow.prepare import assemble
from microlith.workflow.prepare.meshed import mesh_of
from microlith.workflow.run.cut_off import cut_off_errors
from microlith.workflow.studies.spatial_error import corrected, recovered_error, silent, spatial_error
from microlith.workflow.studies.variant import Variant, solved_variant

SIZE = 22  # voxels an edge, of images that are made here
SLABS = 20  # along an axis, each of which is as thin as one of a profile
COLUMNS = {
    "image": "<11s",
    "unknowns": "8d",
    "way": "<9s",
    "regions": "7d",
    "held": "5d",
    "under": "5d",
    "over": "5d",
    "least": "6.2f",
    "most": "6.1f",
    "true": "6.1f",
    "worst": "6.2f",
}


def balls() -> Array:
    """Particles that the frame cuts."""
    z, y, x = np.indices((SIZE,) * 3) + 0.5
    image = np.ones((SIZE,) * 3, np.uint8)
    for (c, b, a), radius in (((5, 6, 8), 5.2), ((14, 13, 12), 6.1), ((20, 4, 20), 6.0), ((3, 19, 19), 5.0)):
        image[(z - c) ** 2 + (y - b) ** 2 + (x - a) ** 2 < radius**2] = 2
    image[..., :3] = 0
    return image


def hollow() -> Array:
    """A shell with one way into it, five voxels wide."""
    z, y, x = np.indices((SIZE,) * 3) + 0.5 - SIZE / 2
    far = np.sqrt(x**2 + y**2 + z**2)
    image = np.where((far < 9) & (far > 5.5), 2, 1).astype(np.uint8)
    image[(abs(z) < 2.5) & (abs(y) < 2.5) & (far > 4)] = 1
    image[..., :2] = 0
    return image


def fibres() -> Array:
    """Three of them, along the three axes."""
    z, y, x = np.indices((SIZE,) * 3) + 0.5
    image = np.ones((SIZE,) * 3, np.uint8)
    image[(y - 6) ** 2 + (x - 8) ** 2 < 12] = 2
    image[(z - 14) ** 2 + (x - 15) ** 2 < 14] = 2
    image[(z - 5) ** 2 + (y - 17) ** 2 < 10] = 2
    image[-2:] = 0
    return image


def pores() -> Array:
    """Two round pores through a medium with two particles."""
    z, y, x = np.indices((SIZE,) * 3) + 0.5
    image = np.ones((SIZE,) * 3, np.uint8)
    image[((y - 5) ** 2 + (x - 6) ** 2 < 10) | ((y - 15) ** 2 + (x - 16) ** 2 < 10)] = 0
    image[(z - 12) ** 2 + (y - 12) ** 2 + (x - 5) ** 2 < 12] = 2
    image[(z - 6) ** 2 + (y - 6) ** 2 + (x - 15) ** 2 < 16] = 2
    return image


def coat(inner: float = 6, outer: float = 10, size: int = SIZE, dim: int = 3) -> Array:
    """A medium around a particle, in a bath."""
    far = np.sqrt(((np.indices((size,) * dim) + 0.5 - size / 2) ** 2).sum(axis=0))
    return np.where(far < inner, 2, far < outer).astype(np.uint8)


def walls() -> Array:
    """Slits of three pixels between walls, in 2D."""
    image = np.ones((40, 50), np.uint8)
    image[:, :5], image[3:, 16:19], image[:-3, 30:33] = 0, 2, 2
    return image


MADE = {
    "balls": (balls, PORE + MEDIUM + BARRIER),
    "balls-slow": (balls, PORE + MEDIUM + SLOW),
    "hollow": (hollow, PORE + MEDIUM + BARRIER),
    "fibres": (fibres, PORE + MEDIUM + BARRIER),
    "pores": (pores, PORE + MEDIUM + BARRIER),
    "coat-slow": (coat, PORE + MEDIUM + SLOW),
    **{f"blobs-{s}": (lambda s=s, w=w: blobs(s, w, SIZE), PORE + MEDIUM + BARRIER) for s, w in ((21, 3), (22, 2.5))},
    "blobs-slow": (lambda: blobs(23, 3.0, SIZE), PORE + MEDIUM + SLOW),
    "flat": (lambda: blobs(24, 3.0, SIZE), PORE + MEDIUM + BARRIER),
    "blobs-31": (lambda: blobs(31, 2.0, SIZE), PORE + MEDIUM + BARRIER),
    "blobs-32": (lambda: blobs(32, 3.5, SIZE), PORE + MEDIUM + BARRIER),
}
IN_2D = {
    **{
        f"blobs-{size}-{seed}": (lambda s=seed, w=w, n=size: blobs(s, w, n, 2), PORE + MEDIUM + BARRIER)
        for seed, w, size in (
            (1, 3, 40), (2, 2, 40), (3, 2.5, 40), (7, 2, 60), (4, 4, 60), (5, 3, 80), (6, 5, 100), (24, 6, 120),
            (22, 4, 160), (21, 8, 200),
        )
    },
    "slow-40": (lambda: blobs(8, 3, 40, 2), PORE + MEDIUM + SLOW),
    "slow-80": (lambda: blobs(9, 4, 80, 2), PORE + MEDIUM + SLOW),
    "disk": (lambda: coat(0, 14, 40, 2), PORE + MEDIUM),
    "coat-2d": (lambda: coat(7, 15, 40, 2), PORE + MEDIUM + BARRIER),
    "walls": (walls, PORE + MEDIUM + BARRIER),
}  # fmt: skip
OTHERS = ("aged", "aged-2", "aged-3", "wide-6", "fine-4", "across", "along", "bridge", "slits", "fcc", "coat")
VOXELS = {"flat": (10, 10, 20)} | FLAT  # nm; others are cubes


def regions_text(image: Array) -> str:
    """Slabs that hold some of the medium, shells, and all of it."""
    found = ""
    axes = "zyx"[-image.ndim :]
    for axis, step in (("x", 2), ("y", 5), ("z", 5))[: image.ndim]:
        along = axes.index(axis)
        n = image.shape[along]
        for k in range(0, SLABS, step):
            if (np.take(image, range(k * n // SLABS, math.ceil((k + 1) * n / SLABS)), axis=along) == 1).any():
                low, high = k * n * VOXEL / SLABS, (k + 1) * n * VOXEL / SLABS
                found += f'[regions.{axis}{k}]\nbox = {{ {axis} = ["{low} nm", "{high} nm"] }}\n'
    for phase, label in (("particle", 2), ("pore", 0)):
        for distance in (1, 2, 4) if (image == label).any() else ():
            shell = f'shell = {{ around = "{phase}", distance = "{distance * VOXEL} nm" }}'
            found += f'[regions.{phase}_{distance}]\n{shell}\nin_phase = "medium"\n'
    return found + '[regions.all]\nphase = "medium"\n'


def figures(own: Transient, fine: Mapping[str, Array], told: Mapping[str, Array]) -> dict[str, float]:
    """What is told of an image."""
    counts = late(own)
    true = np.array([np.abs(curve - fine[name])[counts].max() for name, curve in own.curves.items()])
    stated = np.array([told[name][counts].max() for name in own.curves])
    ratios = stated / true
    under, over = int((ratios < 1 / HELD).sum()), int((ratios > HELD).sum())
    return {
        "regions": len(true),
        "held": len(true) - under - over,
        "under": under,
        "over": over,
        "least": ratios.min(),
        "most": ratios.max(),
        "true": true.max(),
        "worst": stated.max() / true.max(),
    }


def measure(name: str, degree: int, table: Table, folder: Path) -> None:
    """One image with elements of one degree."""
    comm = MPI.COMM_WORLD
    make, phases = MADE.get(name) or IN_2D.get(name) or IMAGES[name]
    image = make()
    sizes = zip("xyz", VOXELS.get(name, (VOXEL,) * 3)[: image.ndim], strict=False)
    edges = ", ".join(f'{axis} = "{edge} nm"' for axis, edge in sizes)
    text = (
        f'[image]\nfile = "image.tif"\nvoxel_size = {{ {edges} }}\n{phases}'
        f'[mesh]\nmethod = "lattice"\ndegree = {degree}\n'
        f'[time]\nend = "{(length_of(image) * 1e-9) ** 2 / 2e-14} s"\ntolerance = {TOLERANCE}\nsnapshots = []\n'
        f"{regions_text(image)}"
    )
    case = case_in(folder, image, text, comm)
    with silent():
        meshed = mesh_of(case, case.physics.solved, Stages(), comm)
        ready = assemble.assembled(meshed.case, meshed, Stages())
        own = solve(ready.problem, ready.means, ready.case.time, ready.case.solver)
        fine = solved_variant(ready.meshed, Variant(coarseness=0.5, degree=2), comm)
        layers = layer_errors(ready.problem, ready.case.physics, ready.means, own.times)
        behind = cut_off_errors(ready, own.curves)
        found = {"as told": (own, recovered_error(ready, own, None))} if degree == 1 else {}
        nearer = corrected(ready, own, None) if degree == 1 else None
        if nearer is not None:
            found["corrected"] = nearer
        if degree > 1:
            found["as told"] = own, spatial_error(ready.meshed, own.curves, comm)
    for way, (curves, error) in found.items():
        if error is not None:
            told = error.at_least(layers).at_least(behind).curves
            table.add(image=name, unknowns=ready.problem.unknowns, way=way, **figures(curves, fine.curves, told))


def main() -> None:
    """Measure all that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", nargs="+", choices=[*MADE, *OTHERS, *IN_2D])
    parser.add_argument("--dim", type=int, choices=[2, 3], default=3, help="of the images, where none are named")
    parser.add_argument("--degree", type=int, choices=[1, 2], default=1, help="of the elements")
    options = parser.parse_args()
    comm = MPI.COMM_WORLD
    table = Table(COLUMNS, comm)
    table.head()
    with tempfile.TemporaryDirectory() as made:
        folder = Path(comm.bcast(made))
        for name in options.images or (IN_2D if options.dim == 2 else [*MADE, *OTHERS]):
            measure(name, options.degree, table, folder)
        comm.Barrier()
    for way in dict.fromkeys(row["way"] for row in table.rows):
        rows = [row for row in table.rows if row["way"] == way]
        sums = {key: sum(row[key] for row in rows) for key in ("regions", "held", "under", "over")}
        say(comm, f"{way}: {sums['held']} of {sums['regions']} held, {sums['under']} under, {sums['over']} over")


if __name__ == "__main__":
    main()
