"""Errors from parts that a mesh cuts off though the image has them connected with what feeds them."""

from pathlib import Path

import numpy as np
import pytest
import tifffile

from mpi4py import MPI

from microlith.imaging.typing import Array
from microlith.solver.transient import solve
from microlith.workflow.case.read import load_case
from microlith.workflow.prepare.assemble import Prepared, prepared
from microlith.workflow.run.cut_off import cut_off_errors

pytestmark = pytest.mark.mpi

CASE = """
[image]
file = "image.tif"
voxel_size = "10 nm"
[phases.pore]
label = 0
role = "source"
concentration = "1000 mol/m^3"
[phases.medium]
label = 1
role = "transport"
diffusivity = "1e-14 m^2/s"
[phases.wall]
label = 2
role = "barrier"
[mesh]
method = "{method}"
degree = 1
size = {{ medium = "40 nm" }}
[time]
end = "1 s"
tolerance = 1e-3
[regions.before]
box = {{ x = ["30 nm", "90 nm"] }}
[regions.behind]
box = {{ x = ["120 nm", "200 nm"] }}
[regions.all]
phase = "medium"
"""


def solved(folder: Path, method: str, *, hole: bool) -> tuple[Prepared, dict[str, Array]]:
    """A medium beside a pore, divided by a wall with a hole of one voxel or without."""
    image = np.ones((12, 16, 20), np.uint8)
    image[..., :3], image[..., 9:12] = 0, 2
    if hole:
        image[6, 8, 9:12] = 1
    comm = MPI.COMM_WORLD
    folder = comm.bcast(folder)
    if comm.rank == 0:
        tifffile.imwrite(folder / "image.tif", image)
        (folder / "case.toml").write_text(CASE.format(method=method))
    comm.Barrier()
    ready = prepared(load_case(folder / "case.toml"), comm)
    found = solve(ready.problem, ready.means, ready.case.time, ready.case.solver)
    return ready, found.curves


def test_what_lies_behind_a_hole_that_the_mesh_closes_is_told(tmp_path: Path) -> None:
    """The mean behind stays 0 where it would rise to 1000 mol/m³: that is the error, and that of all its share."""
    ready, curves = solved(tmp_path, "lattice", hole=True)
    assert len(ready.apart) == 1
    found = cut_off_errors(ready, curves)
    assert set(found) == {"behind", "all"}
    np.testing.assert_allclose(found["behind"], 1000.0, rtol=1e-6)  # nothing of it tells more
    before = curves["before"]
    lacking = ready.apart[0].measure / (14 * 16 * 12 * 1e-24)
    np.testing.assert_allclose(found["all"], lacking * before, rtol=0.05)


def test_what_the_image_has_apart_is_no_error(tmp_path: Path) -> None:
    """Without a hole there is an island, and all is as it should be."""
    ready, curves = solved(tmp_path, "lattice", hole=False)
    assert len(ready.apart) == 1
    assert cut_off_errors(ready, curves) == {}


def test_what_the_mesh_keeps_connected_is_no_error(tmp_path: Path) -> None:
    """Voxels keep the hole open."""
    ready, curves = solved(tmp_path, "voxel", hole=True)
    assert not ready.apart
    assert cut_off_errors(ready, curves) == {}
