"""Small cases for whole runs: an image written on the spot and a case file beside it."""

import csv
from pathlib import Path

import numpy as np
import tifffile

from mpi4py import MPI

from microlith.workflow.case.read import load_case
from microlith.workflow.results.csv_file import COMMENT_LINES

COMM = MPI.COMM_WORLD


def transport(name, label, diffusivity):
    """Lines of a phase that is solved for; further keys of it may follow."""
    return f'[phases.{name}]\nlabel = {label}\nrole = "transport"\ndiffusivity = "{diffusivity}"\n'


def barrier(name, label):
    """Lines of a phase without flux through its surface."""
    return f'[phases.{name}]\nlabel = {label}\nrole = "barrier"\n'


PORE = '[phases.pore]\nlabel = 0\nrole = "source"\nconcentration = "1000 mol/m^3"\n'
SEI = transport("sei", 1, "2e-14 m^2/s")
BALL_IN_A_BATH = PORE.replace("pore", "bath") + transport("ball", 1, "1e-14 m^2/s")
PHASES = PORE + SEI + "porosity = 0.5\n" + barrier("particle", 2)
MESH = """
[mesh]
size = { particle = "15 nm" }
size_max = "60 nm"
"""
TIME = """
[time]
end = "20 s"
tolerance = 1e-4
snapshots = ["0 s", "2 s", "20 s"]
"""
REGIONS = """
[regions.left]
box = { x = ["60 nm", "200 nm"] }
[regions.deep]
disk = { center = ["480 nm", "200 nm"], radius = "60 nm" }
"""


def electrode():
    """40 x 60 pixels: pores left, two particles in the SEI."""
    image = np.ones((40, 60), np.uint8)
    image[:, :5] = 0
    y, x = np.mgrid[0:40, 0:60] + 0.5
    image[np.hypot(x - 22, y - 12) < 6] = 2
    image[np.hypot(x - 35, y - 29) < 7] = 2
    return image


def write_case(folder, image=None, voxel="10 nm", phases=PHASES, mesh=MESH, time=TIME, regions=REGIONS, more=""):
    """Write image.tif and case.toml; the case file's path."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(folder / "image.tif", electrode() if image is None else np.asarray(image, np.uint8))
    head = f'title = "Small case"\n[image]\nfile = "image.tif"\nvoxel_size = "{voxel}"\n'
    path = folder / "case.toml"
    path.write_text(head + phases + mesh + time + regions + more, encoding="utf-8")
    return path


def run_case(path, output=None, comm=COMM, force=False):
    """Run a case file on the ranks of `comm`; the result folder."""
    from microlith.workflow.run import pipeline

    output = output or path.parent / "results"
    pipeline.run(load_case(path), output, force, comm)
    return output


def curves(folder):
    """curves.csv as a structured array."""
    return np.genfromtxt(folder / "curves.csv", delimiter=",", names=True, skip_header=COMMENT_LINES)


def table_rows(path):
    """The rows of a table as dictionaries, its lines of comment left out."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(line for line in file if not line.startswith("#")))
