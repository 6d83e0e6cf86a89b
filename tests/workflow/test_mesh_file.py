"""Meshes that are made once: `[mesh] file`, on any number of ranks, and what is refused of them."""

import shutil

import h5py
import numpy as np
import pytest
from label_images import noise
from made_cases import MESH, PHASES, REGIONS, TIME, curves, electrode, run_case, write_case

from mpi4py import MPI

from microlith.imaging.errors import InputError
from microlith.imaging.parallel.collective import on_first_rank
from microlith.workflow.case.read import load_case
from microlith.workflow.prepare import assemble
from microlith.workflow.results.csv_file import COMMENT_LINES

COMM = MPI.COMM_WORLD
WITH_FILE = MESH.replace("[mesh]\n", '[mesh]\nfile = "mesh.vtkhdf"\n')
LOOSE = TIME.replace("1e-4", "1e-2").replace('"0 s", "2 s", "20 s"', '"20 s"')

SWAPPED = PHASES.replace("label = 0", "label = 9").replace("label = 2", "label = 0").replace("label = 9", "label = 2")


def meshed(folder, comm=COMM, **case):
    """A case whose mesh has been written, and the same case with that file."""
    plain = on_first_rank(comm, lambda: write_case(folder / "plain", time=LOOSE, regions="", **case))
    other = {**case, "mesh": case.get("mesh", MESH).replace("[mesh]\n", '[mesh]\nfile = "mesh.vtkhdf"\n')}
    path = on_first_rank(comm, lambda: write_case(folder / "file", time=LOOSE, regions="", **other))
    assemble.mesh(load_case(plain), path.parent / "mesh.vtkhdf", comm, show=False)
    return plain, path


@pytest.mark.mpi
@pytest.mark.parametrize("method", ["fitted", "lattice"])
def test_same_curves_as_from_meshing_anew(tmp_path_factory, method):
    """Written by all ranks, read by all and by one: cells, curves and errors are those of the mesh made anew."""
    folder = on_first_rank(COMM, lambda: tmp_path_factory.mktemp("mesh"))
    if method == "fitted":
        case = {}
    else:
        blobs = noise((9, 8, 10), 3)
        blobs[:, :, :2] = 0
        case = {"image": blobs, "mesh": '\n[mesh]\nsize_max = "40 nm"\n'}
    plain, path = meshed(folder, **case)
    found = {name: run_case(p, folder / name) for name, p in (("anew", plain), ("read", path))}
    for name in ("curves", "errors"):
        on_first_rank(COMM, lambda name=name: _alike(found["anew"] / f"{name}.csv", found["read"] / f"{name}.csv"))
    if COMM.size > 1 and COMM.rank == 0:  # on another number of ranks
        alone = run_case(path, folder / "alone", MPI.COMM_SELF)
        _alike(found["anew"] / "curves.csv", alone / "curves.csv")


def _alike(one, other):
    a, b = (np.loadtxt(path, delimiter=",", skiprows=1 + COMMENT_LINES) for path in (one, other))
    assert abs(a - b).max() < 1e-5  # of 1000


def test_the_file_has_the_coarser_mesh_and_nothing_is_meshed_again(tmp_path, monkeypatch):
    _, path = meshed(tmp_path, MPI.COMM_SELF)
    with h5py.File(path.parent / "mesh.vtkhdf") as file:
        fine, coarse = file["microlith/points"], file["microlith/coarser/points"]
        assert len(coarse) < 0.6 * len(fine)
    monkeypatch.setattr("microlith.meshing.methods.fitted_mesh", lambda *_: pytest.fail("meshed again"))
    folder = run_case(path, comm=MPI.COMM_SELF)
    assert curves(folder)["sei"][-1] > 100


def test_sizes_in_regions_are_held_against_those_of_the_file(tmp_path):
    asked = MESH + 'size_in = { deep = "5 nm" }\n'
    path = write_case(tmp_path, mesh=asked)
    write_case(tmp_path / "again", mesh=asked + 'file = "../mesh.vtkhdf"\n')
    assemble.mesh(load_case(path), tmp_path / "mesh.vtkhdf", MPI.COMM_SELF, show=False)
    assemble.check(load_case(tmp_path / "again" / "case.toml"))
    moved = REGIONS.replace('"480 nm"', '"470 nm"')
    for mesh, regions in ((asked.replace('"5 nm"', '"6 nm"'), REGIONS), (asked, moved)):
        path = write_case(tmp_path / "other", mesh=mesh + 'file = "../mesh.vtkhdf"\n', regions=regions)
        with pytest.raises(InputError, match=r"another size_in\.deep, or another place of this region"):
            assemble.check(load_case(path))


def test_pyvista_reads_it(tmp_path):
    import pyvista

    _, path = meshed(tmp_path, MPI.COMM_SELF)
    grid = pyvista.read(path.parent / "mesh.vtkhdf")
    assert grid.bounds[1] == pytest.approx(0.6, rel=1e-6)  # µm
    assert set(grid.cell_data["phase"]) == {0, 1, 2}
    assert grid.compute_cell_sizes()["Area"].sum() == pytest.approx(0.24, rel=1e-5)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"image": np.where(np.arange(60) < 6, 0, electrode())}, "another image"),
        ({"image": electrode()[:30]}, "60 x 30 pixels"),
        ({"phases": PHASES.replace("particle", "grain")}, "for the phases pore, sei, particle"),
        ({"phases": SWAPPED}, "with other labels"),
        ({"mesh": WITH_FILE.replace("60 nm", "50 nm")}, "size_max = 60 nm, not 50 nm"),
        ({"mesh": WITH_FILE.replace("15 nm", "10 nm")}, "size.particle = 15 nm, not 10 nm"),
        (
            {"phases": PHASES.replace('role = "barrier"', 'role = "transport"\ndiffusivity = "1e-14 m^2/s"')},
            "does not solve for particle",
        ),
    ],
)
def test_a_mesh_of_another_case_is_refused(tmp_path_factory, written, change, words):
    folder = tmp_path_factory.mktemp("other")
    mesh = change.pop("mesh", WITH_FILE if "phases" not in change else '\n[mesh]\nfile = "mesh.vtkhdf"\n')
    shutil.copy(written, folder / "mesh.vtkhdf")
    path = write_case(folder, regions="", mesh=mesh, **change)
    with pytest.raises(InputError, match=r"\[mesh\] file: .*mesh\.vtkhdf") as error:
        assemble.check(load_case(path))
    assert words in str(error.value)
    assert len(error.value.sentences) == 1


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A mesh file of the electrode."""
    _, path = meshed(tmp_path_factory.mktemp("written"), MPI.COMM_SELF)
    return path.parent / "mesh.vtkhdf"


def test_damaged_and_foreign_files_are_refused(tmp_path, written):
    path = write_case(tmp_path, regions="", mesh=WITH_FILE, time=LOOSE)
    (tmp_path / "mesh.vtkhdf").touch()
    with pytest.raises(InputError, match="can't be read as a mesh"):
        assemble.check(load_case(path))
    shutil.copy(written, tmp_path / "mesh.vtkhdf")
    with h5py.File(tmp_path / "mesh.vtkhdf", "r+") as file:
        file["VTKHDF/Connectivity"][7] = 10**7
    with pytest.raises(InputError, match="a corner that is not there"):
        run_case(path, comm=MPI.COMM_SELF)
    (tmp_path / "mesh.vtkhdf").unlink()
    with pytest.raises(InputError, match=r'\[mesh\] file: there is no file ".*mesh.vtkhdf"'):
        load_case(path)
    assert not (tmp_path / "results").exists() or not list((tmp_path / "results").glob("*.csv"))
