"""Shells around phases of voxels: their steps reach farther out than the surfaces that they stand for."""

from dataclasses import replace

import numpy as np
import pytest
from made_cases import PORE, transport, write_case

from mpi4py import MPI

from microlith.imaging.parallel.collective import on_first_rank
from microlith.workflow.case.read import load_case
from microlith.workflow.prepare.assemble import prepared

pytestmark = pytest.mark.mpi
COMM = MPI.COMM_WORLD
PHASES = {  # by what the shell is around
    "body": PORE.replace("pore", "body").replace("0", "1", 1) + transport("medium", 0, "1e-14 m^2/s"),
    "medium": PORE.replace("pore", "medium") + transport("body", 1, "1e-14 m^2/s"),
}
DISTANCES = (1.0, 2.0, 3.0)  # voxels


def middles(shape, edges=1.0):
    """Coordinates of the middles of voxels from the middle of the image, along the array's axes."""
    edges = np.broadcast_to(edges, len(shape))
    along = [(np.arange(n) + 0.5 - n / 2) * edge for n, edge in zip(shape, edges, strict=True)]
    return np.meshgrid(*along, indexing="ij")


def measured(folder, image, *, around="body", edges=None, divided=1):
    """Measures of shells of all `DISTANCES`, per that of a voxel of 10 nm; collective."""
    regions = "".join(
        f'[regions.s{i}]\nshell = {{ around = "{around}", distance = "{10 * far} nm" }}\n'
        for i, far in enumerate(DISTANCES)
    )

    def write():
        mesh, time = '[mesh]\nmethod = "voxel"\n', '[time]\nend = "1 s"\n'
        path = write_case(folder, image, phases=PHASES[around], mesh=mesh, regions=regions, time=time)
        if edges is not None:
            sizes = ", ".join(f'{axis} = "{10 * e} nm"' for axis, e in zip("zyx"[-image.ndim :], edges, strict=True))
            path.write_text(path.read_text().replace('"10 nm"', f"{{ {sizes} }}", 1))
        return path

    case = load_case(on_first_rank(COMM, write))
    ready = prepared(replace(case, mesh=replace(case.mesh, coarseness=1.0 / divided)), COMM)
    return [ready.means[f"s{i}"].solved_measure / 1e-8**image.ndim for i in range(len(DISTANCES))]


BALLS = {  # shape, middle, radius, edges of voxels, parts that voxels are divided into along each axis
    "disk": ((27, 28), (0.3, -0.1), 7.4, None, 1),
    "disk, pixels divided": ((27, 28), (0.3, -0.1), 7.4, None, 2),
    "disk, oblong pixels": ((19, 29), (0.3, -0.1), 7.4, (1.5, 1.0), 1),
    "ball": ((24, 25, 24), (0.3, -0.1, 0.2), 6.4, None, 1),
    "larger ball": ((32, 33, 32), (0.4, -0.3, 0.1), 10.7, None, 1),
    "ball, voxels divided": ((21, 20, 20), (0.3, -0.1, 0.2), 5.3, None, 2),
    "half a ball": ((24, 25, 12), (0.3, -0.1, -6.0), 6.4, None, 1),
}


@pytest.mark.parametrize("around", PHASES)
@pytest.mark.parametrize("which", BALLS)
def test_shells_of_balls(tmp_path, verified, which, around):
    """Around and within balls; around the steps themselves they are 13 to 37 % larger."""
    shape, middle, radius, edges, divided = BALLS[which]
    dim = len(shape)
    at = middles(shape, 1.0 if edges is None else edges)
    image = sum((x - m) ** 2 for x, m in zip(at, middle, strict=True)) < radius**2
    found = measured(tmp_path, image, around=around, edges=edges, divided=divided)
    ball = np.pi if dim == 2 else 4 / 3 * np.pi
    ball /= 2.0 if which.startswith("half") else 1.0
    sign = 1 if around == "body" else -1
    exact = [sign * ball * ((radius + sign * far) ** dim - radius**dim) for far in DISTANCES]
    error = max(abs(one / other - 1) for one, other in zip(found, exact, strict=True))
    verified(
        term="regions", against="shells around balls and disks", dim=dim, cells="squares" if dim == 2 else "cubes",
        degree=1, error=error, of="volume",
    )  # fmt: skip
    assert error < 0.035


@pytest.mark.parametrize("turned", [0.1, 0.3, 0.46, np.pi / 4])
def test_shells_of_turned_bars(tmp_path, turned):
    """Long sides at any angle to the pixels, and edges that are no steps; around the steps it is up to 30 % more."""
    y, x = middles((56, 60))
    across, along = np.cos(turned) * y + np.sin(turned) * x, np.cos(turned) * x - np.sin(turned) * y
    found = measured(tmp_path, (np.abs(across) < 3.3) & (np.abs(along) < 20))
    assert found == pytest.approx([2 * 46.6 * far + np.pi * far**2 for far in DISTANCES], rel=0.04)


@pytest.mark.parametrize("divided", [1, 2])
def test_planes_along_the_voxels_and_their_edges_stay(tmp_path, divided):
    """The shells of a box are those of a box, and of a single row of voxels, too."""
    for edges in ((6, 9, 5), (1, 9, 1)):
        body = np.zeros((15, 18, 14), bool)
        body[tuple(slice(4, 4 + edge) for edge in edges)] = True
        found = measured(tmp_path / str(edges[0]), body, divided=divided)
        a, b, c = edges
        exact = [
            2 * (a * b + b * c + c * a) * far + np.pi * far**2 * (a + b + c) + 4 / 3 * np.pi * far**3
            for far in DISTANCES
        ]
        assert found == pytest.approx(exact, rel=1e-3)
