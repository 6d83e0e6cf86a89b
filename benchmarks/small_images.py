"""What the benchmarks of the error in space share: small images with their regions, the true error, what was held."""

from pathlib import Path

import numpy as np
import tifffile
from common import Table, say
from scipy.ndimage import gaussian_filter

from mpi4py import MPI

from microlith.imaging.typing import Array, Flags
from microlith.solver.transient import Transient
from microlith.workflow.case.case import Case
from microlith.workflow.case.read import load_case
from microlith.workflow.studies.spatial_error import SpatialError
from microlith.workflow.studies.variant import Outcome

PORE = '[phases.pore]\nlabel = 0\nrole = "source"\nconcentration = "1000 mol/m^3"\n'
BARRIER = '[phases.particle]\nlabel = 2\nrole = "barrier"\n'
VOXEL = 10  # nm
LATE = 1e-3  # of the end, from which on errors count
HELD = 3.0  # factor by which an estimate may err


def blobs(seed: int, width: float, size: int = 24, dim: int = 3) -> Array:
    """Particles and pores in a medium, of a correlation length in voxels."""
    first, second = (
        gaussian_filter(np.random.default_rng(s).standard_normal((size,) * dim), width, mode="nearest")
        for s in (seed, seed + 100)
    )
    image = np.ones(first.shape, np.uint8)
    image[first > np.quantile(first, 0.65)] = 2
    image[(second > np.quantile(second, 0.8)) & (image == 1)] = 0
    return image


def length_of(image: Array) -> int:
    """The longest edge, nm."""
    return VOXEL * max(image.shape)


def regions_text(image: Array, smaller: int, larger: int, distance: int) -> str:
    """Regions of an image of a medium, in the case file; lengths in nm.

    Args:
        image: Labels.
        smaller: Radius of the disk or ball in the middle where there is medium,
        larger: and where there is none.
        distance: From the particles, where there are any.
    """
    length, middle = length_of(image), length_of(image) // 2
    radius = smaller if image[tuple(n // 2 for n in image.shape)] == 1 else larger
    kind = "disk" if image.ndim == 2 else "sphere"
    shell = f'[regions.near]\nshell = {{ around = "particle", distance = "{distance} nm" }}\n'
    return (
        f'[regions.low]\nbox = {{ x = ["0 nm", "{length // 3} nm"] }}\n'
        f'[regions.high]\nbox = {{ x = ["{2 * length // 3} nm", "{length} nm"] }}\n'
        f"[regions.mid]\n{kind} = {{ center = {[f'{middle} nm'] * image.ndim}, radius = '{radius} nm' }}\n"
        f'[regions.all]\nphase = "medium"\n{shell if (image == 2).any() else ""}'
    )


def case_in(folder: Path, image: Array, text: str, comm: MPI.Intracomm) -> Case:
    """A case of an image beside it, written and read; collective."""
    if comm.rank == 0:
        tifffile.imwrite(folder / "image.tif", image)
        (folder / "case.toml").write_text(text, encoding="utf-8")
    comm.Barrier()
    return load_case(folder / "case.toml")


def late(own: Transient) -> Flags:
    """Times at which errors count."""
    return np.asarray(own.times >= LATE * own.times[-1])


def true_error(own: Transient, fine: Outcome) -> float:
    """The largest difference over the regions."""
    return max(float(np.abs(curve - fine.curves[key])[late(own)].max()) for key, curve in own.curves.items())


def told(found: SpatialError | None, own: Transient) -> float:
    """The largest error in space that is stated; not a number where none is."""
    return np.nan if found is None else max(float(error[late(own)].max()) for error in found.curves.values())


def say_held(table: Table, comm: MPI.Intracomm) -> None:
    """How near the estimates came, way by way."""
    for way in ("recovered", "other", "corrected"):
        ratios = np.array([row.get(way, np.nan) for row in table.rows])
        if np.isfinite(ratios).any():
            held = int(((ratios >= 1 / HELD) & (ratios <= HELD)).sum())
            least, most = np.nanmin(ratios), np.nanmax(ratios)
            say(comm, f"{way}: {least:.2f} to {most:.2f} of the true errors, {held} of {len(ratios)} held")
