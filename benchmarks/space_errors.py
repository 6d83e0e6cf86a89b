"""The error in space that a run states, in both ways, against the true one: small images in 3D.

    python benchmarks/space_errors.py [--images blobs ball ...] [--factors 1 0.7] [--degree 1] [--data FOLDER]

The true error is the difference to elements of degree 2 on a mesh twice as fine, the largest over the regions from a
thousandth of the end on, in mol/m³ for a source of 1000. Beside it, what recovered gradients say and what other
solutions say, per true error, and the CPU time of each: of degree 1 a mesh twice as coarse, of degree 2 one √2 times as
coarse and linear elements. Both are to err by a factor of 3 at most. Of degree 1 also `left`, the true error of
corrected curves, and what is told of it per true error, thin layers with it.

--data names a folder with nmc_bridge_64.tif, ellipsoids_64.tif and tau_electrode_64.tif, cubes of 64 voxels; without it
their parts are left out.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import tifffile
from common import Table
from small_images import BARRIER, PORE, VOXEL, blobs, case_in, length_of, regions_text, say_held, told, true_error

from mpi4py import MPI

from microlith.imaging.typing import Array
from microlith.solver.guard.thin_layers import layer_errors
from microlith.solver.transient import solve
from microlith.workflow.console.terminal import Stages
from microlith.workflow.prepare import assemble
from microlith.workflow.prepare.meshed import mesh_of
from microlith.workflow.results.particle_curves import ParticleCurves
from microlith.workflow.run.cut_off import cut_off_errors
from microlith.workflow.studies.spatial_error import corrected, recovered_error, silent, spatial_error
from microlith.workflow.studies.variant import Variant, solved_variant

AGED = Path(__file__).parent.parent / "cases" / "aged-anode-3d" / "aged.tif"
COLUMNS = {
    "image": "<10s",
    "factor": "6.2g",
    "unknowns": "8d",
    "true": "6.1f",
    "recovered": "9.2f",
    "other": "8.2f",
    "left": "6.1f",
    "corrected": "9.2f",
    "solve_s": "7.2f",
    "recov_s": "7.2f",
    "other_s": "8.2f",
}
MEDIUM = '[phases.medium]\nlabel = 1\nrole = "transport"\ndiffusivity = "2e-14 m^2/s"\n'
SLOW = '[phases.particle]\nlabel = 2\nrole = "transport"\ndiffusivity = "1e-15 m^2/s"\n'
FED = '[faces.x_min]\nconcentration = "1000 mol/m^3"\n'
TOLERANCE = 3e-4  # in time


def ball(radius: float, size: int = 24) -> Array:
    """Whether voxels are in a ball."""
    x = np.arange(size) + 0.5 - size / 2
    return np.asarray(x[:, None, None] ** 2 + x[:, None] ** 2 + x**2 < radius**2)


def slab(slits: bool = False, block: bool = False) -> Array:
    """A medium beside a pore, with walls or with a block in it."""
    image = np.ones((20, 20, 30), np.uint8)
    image[..., :4] = 0
    if slits:
        image[2:, :, 10:12], image[:-2, :, 20:22] = 2, 2
    if block:
        image[6:14, 6:14, 8:] = 2
    return image


def spheres() -> Array:
    """Particles on a face-centred cubic lattice that leave gaps of one voxel."""
    x = (np.arange(26) + 0.5) / 26
    places = np.stack(np.meshgrid(x, x, x, indexing="ij"))
    centres = [c for c in np.ndindex(4, 4, 4) if sum(c) % 2 == 1]  # the lattice, counted from half an edge before
    near = [((places - (np.reshape(c, (3, 1, 1, 1)) - 1) / 2) ** 2).sum(axis=0) < 0.33**2 for c in centres]
    image = np.where(np.any(near, axis=0), 2, 1).astype(np.uint8)
    image[..., :3] = 0
    return image


def bridge() -> Array:
    """Two balls of a medium that touch, cut off at a pore."""
    z, y, x = np.indices((26, 26, 26)) + 0.5
    off = (y - 13) ** 2 + (z - 13) ** 2
    image = np.where(((x - 8) ** 2 + off < 8.2**2) | ((x - 20) ** 2 + off < 5.5**2), 1, 2)
    image[..., :3] = 0
    return image.astype(np.uint8)


def laminate(*, across: bool) -> Array:
    """Layers of a slow medium in a fast one, across the way from the pore or along it."""
    image = np.ones((16, 18, 26), np.uint8)
    if across:
        image[..., 10:16], image[..., 21:] = 2, 2
    else:
        image[:, 6:12] = 2
    image[..., :3] = 0
    return image


def corner(z: int, y: int, x: int, size: int = 28) -> Array:
    """A cube of the 3D demo."""
    return np.asarray(tifffile.imread(AGED)[z : z + size, y : y + size, x : x + size])


def part(path: Path, size: int = 28, *, largest: bool = True) -> Array:
    """A corner of an image: the largest label, or all but it, as medium."""
    image = tifffile.imread(path)
    return ((image[:size, :size, :size] == image.max()) == largest).astype(np.uint8)


IMAGES: dict[str, tuple[Callable[[], Array], str]] = {
    **{f"blobs-{seed}": (lambda s=seed: blobs(s, 3.0), PORE + MEDIUM + BARRIER) for seed in (1, 2, 3)},
    **{f"fine-{seed}": (lambda s=seed: blobs(s, 2.0), PORE + MEDIUM + BARRIER) for seed in (4, 5)},
    "ball": (lambda: ball(9).astype(np.uint8), PORE + MEDIUM),
    "coat": (lambda: np.where(ball(5), 2, ball(10)).astype(np.uint8), PORE + MEDIUM + BARRIER),
    "slab": (slab, PORE + MEDIUM),
    "slits": (lambda: slab(slits=True), PORE + MEDIUM + BARRIER),
    "two-media": (lambda: slab(block=True), PORE + MEDIUM + SLOW),
    "aged": (lambda: tifffile.imread(AGED)[20:50, 30:60, 40:70], PORE + MEDIUM + BARRIER),
    "aged-2": (lambda: corner(60, 30, 80), PORE + MEDIUM + BARRIER),
    **{f"wide-{seed}": (lambda s=seed: blobs(s, 4.0), PORE + MEDIUM + BARRIER) for seed in (6, 7)},
    "small-ball": (lambda: ball(6).astype(np.uint8), PORE + MEDIUM),
    "thick-coat": (lambda: np.where(ball(4), 2, ball(11)).astype(np.uint8), PORE + MEDIUM + BARRIER),
    "two-blobs": (lambda: blobs(8, 3.0), PORE + MEDIUM + SLOW),
    "flat-ball": (lambda: ball(9).astype(np.uint8), PORE + MEDIUM),
    "flat-coat": (lambda: np.where(ball(5), 2, ball(10)).astype(np.uint8), PORE + MEDIUM + BARRIER),
    "flat-blobs": (lambda: blobs(11, 3.0), PORE + MEDIUM + BARRIER),
    "fcc": (spheres, PORE + MEDIUM + BARRIER),
    "bridge": (bridge, PORE + MEDIUM + BARRIER),
    "across": (lambda: laminate(across=True), PORE + MEDIUM + SLOW),
    "along": (lambda: laminate(across=False), PORE + MEDIUM + SLOW),
    "aged-3": (lambda: corner(40, 20, 20), PORE + MEDIUM + BARRIER),
    "aged-4": (lambda: corner(30, 90, 30), PORE + MEDIUM + BARRIER),
    "aged-big": (lambda: corner(24, 26, 58, 40), PORE + MEDIUM + BARRIER),
}
FLAT = {"flat-ball": (10, 10, 20), "flat-coat": (8, 10, 16), "flat-blobs": (10, 10, 20)}  # voxels, nm; others are cubes
STORED: dict[str, tuple[str, bool, str, str]] = {
    "nmc": ("nmc_bridge_64.tif", True, PORE + MEDIUM, ""),
    "tau": ("tau_electrode_64.tif", True, PORE + MEDIUM, ""),
    "ellipsoids": ("ellipsoids_64.tif", False, MEDIUM + BARRIER.replace("2", "0"), FED),
}


def case_text(
    image: Array, phases: str, factor: float, more: str, voxel: tuple[int, int, int] = (VOXEL, VOXEL, VOXEL)
) -> str:
    """A case file for an image beside it; voxel: its edges along x, y, z, nm."""
    edges = ", ".join(f'{axis} = "{edge} nm"' for axis, edge in zip("xyz", voxel, strict=True))
    end = (length_of(image) * 1e-9) ** 2 / 2e-14
    return (
        f'[image]\nfile = "image.tif"\nvoxel_size = {{ {edges} }}\n{phases}[mesh]\ndegree = 1\nsize_factor = {factor}\n'
        f'[time]\nend = "{end} s"\ntolerance = 1e-3\nsnapshots = []\n'
        f"{regions_text(image, smaller=60, larger=120, distance=20)}{more}"
    )


def measure(name: str, image: Array, text: str, factor: float, degree: int, table: Table, folder: Path) -> None:
    """One image at one size and degree of elements."""
    comm = MPI.COMM_WORLD
    case = case_in(folder, image, text, comm)
    with silent():
        meshed = mesh_of(case, case.physics.solved, Stages(), comm)
        case = replace(meshed.case, degree=degree, time=replace(meshed.case.time, tolerance=TOLERANCE))
        ready = assemble.assembled(case, replace(meshed, case=case), Stages())
        start = time.process_time()
        own = solve(ready.problem, ready.means, ready.case.time, ready.case.solver)
        solved = time.process_time()
        particles: ParticleCurves | None = None
        recovered = recovered_error(ready, own, particles)
        recovered_s = time.process_time() - solved
        nearer = corrected(ready, own, particles)
        start_other = time.process_time()
        other = spatial_error(ready.meshed, own.curves, comm)
        other_s = time.process_time() - start_other
        fine = solved_variant(ready.meshed, Variant(coarseness=0.5, degree=2), comm)
        layers = layer_errors(ready.problem, ready.case.physics, ready.means, own.times)
        behind = cut_off_errors(ready, own.curves)
        recovered, other = (None if found is None else found.at_least(behind) for found in (recovered, other))
    true = true_error(own, fine)
    left = np.nan if nearer is None else true_error(nearer[0], fine)
    table.add(
        image=name,
        factor=factor,
        unknowns=ready.problem.unknowns,
        true=true,
        recovered=told(recovered, own) / true,
        other=told(other, own) / true,
        left=left,
        corrected=np.nan if nearer is None else told(nearer[1].at_least(layers).at_least(behind), own) / left,
        solve_s=solved - start,
        recov_s=recovered_s,
        other_s=other_s,
    )


def main() -> None:
    """Measure all that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", nargs="+", choices=[*IMAGES, *STORED], default=None)
    parser.add_argument("--factors", type=float, nargs="+", default=[1.0], help="on all element sizes")
    parser.add_argument("--degree", type=int, choices=[1, 2], default=1, help="of the elements")
    parser.add_argument("--data", type=Path, default=None, help="folder of images")
    options = parser.parse_args()
    comm = MPI.COMM_WORLD
    table = Table(COLUMNS, comm)
    table.head()
    with tempfile.TemporaryDirectory() as made:
        folder = Path(comm.bcast(made))
        for factor in options.factors:
            for name in options.images or [*IMAGES, *STORED]:
                if name in IMAGES:
                    image, phases, more = IMAGES[name][0](), IMAGES[name][1], ""
                elif options.data is not None:
                    file, largest, phases, more = STORED[name]
                    image = part(options.data / file, largest=largest)
                else:
                    continue
                text = case_text(image, phases, factor, more, FLAT.get(name, (VOXEL, VOXEL, VOXEL)))
                measure(name, image, text, factor, options.degree, table, folder)
        comm.Barrier()
    say_held(table, comm)


if __name__ == "__main__":
    main()
