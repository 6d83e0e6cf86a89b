"""Whole runs in 3D, and of the lattice and voxel meshers in 2D: closed forms, ranks, regions, what the summary says."""

import json

import closed_forms
import numpy as np
import pytest
import pyvista
import tifffile
from made_cases import COMM, PHASES, curves, electrode, run_case, write_case

from mpi4py import MPI

from microlith.imaging.errors import InputError
from microlith.imaging.image.load import label_volume
from microlith.imaging.parallel.collective import on_root
from microlith.solver.regions.shapes import Shell
from microlith.solver.times import output_times
from microlith.workflow.case.read import load_case
from microlith.workflow.console.terminal import Stages
from microlith.workflow.prepare import assemble
from microlith.workflow.prepare.first_time import element_length
from microlith.workflow.prepare.meshed import mesh_of
from microlith.workflow.prepare.region_shares import shell_share

D = 2e-14 / 0.5  # m²/s: of the SEI of the small case, by its porosity
SHORT = '[time]\nend = "20 s"\ntolerance = 1e-4\nsnapshots = []\n'
LENGTH = 400e-9


def summary(folder):
    return json.loads((folder / "summary.json").read_text(encoding="utf-8"))


def slab(rows=8, layers=6):
    """Pores in the first 4 of 44 columns of 10 nm."""
    image = np.ones((layers, rows, 44), np.uint8)
    image[:, :, :4] = 0
    return image


def ball(size=24, radius=7):
    """A particle in the SEI, a pore on one side."""
    z, y, x = np.indices((size,) * 3) + 0.5
    image = np.ones((size,) * 3, np.uint8)
    image[(x - 13) ** 2 + (y - 12) ** 2 + (z - 12) ** 2 < radius**2] = 2
    image[:, :, :3] = 0
    return image


def mesh(method, size_max="40 nm", degree=None):
    more = "" if degree is None else f"degree = {degree}\n"
    return f'[mesh]\nmethod = "{method}"\nsize_max = "{size_max}"\n{more}'


SLAB_REGIONS = '[regions.near]\nbox = { x = ["40 nm", "140 nm"] }\n[regions.all]\nphase = "sei"\n'
TWO = PHASES[: PHASES.index("[phases.particle]")]


@pytest.mark.parametrize(
    ("method", "degree", "bound"), [("lattice", None, 2e-3), ("voxel", None, 1e-3), ("lattice", 2, 3e-4)]
)
def test_slab_in_3d(tmp_path, method, degree, bound):
    """Against the closed form, from when the front is resolved; degree 1 unless asked for."""
    path = write_case(
        tmp_path, slab(), phases=TWO, mesh=mesh(method, "20 nm", degree), time=SHORT, regions=SLAB_REGIONS
    )
    folder = run_case(path, comm=MPI.COMM_SELF)
    table, found = curves(folder), summary(folder)
    late = table["time_s"] > 0.05
    for name, b in (("near", 100e-9), ("all", LENGTH)):
        exact = closed_forms.slab_mean(table["time_s"][late], 0.0, b, LENGTH, D)
        error = np.abs(table[name][late] / 1000 - exact).max()
        print(f"{method} {degree} {name}: {error:.1e}")
        assert error < bound
    assert found["solver"]["degree"] == (degree or 1)
    assert found["case"]["mesh"]["method"] == method
    assert found["case"]["mesh"]["degree"] == (degree or 1)
    assert found["mass_balance"]["unit"] == "mol"
    volume = 8 * 6 * 40 * 1e-24
    assert found["regions"]["all"]["solved_volume_m3"] == pytest.approx(volume, rel=1e-3)
    assert found["mass_balance"]["stored_change"] == pytest.approx(0.5 * 1000 * volume, rel=1e-2)
    assert found["phases"]["sei"]["volume_image_m3"] == pytest.approx(volume)
    assert sorted(p.name for p in folder.iterdir()) == [
        ".microlith.json",
        "curves.csv",
        "curves.png",
        "errors.csv",
        "fluxes.csv",
        "report.html",
        "spread.csv",
        "summary.json",
    ]


@pytest.mark.mpi
@pytest.mark.parametrize(("asked", "degree"), [(None, 1), (None, 2), ('first = "1 ms"', 1), ('times = ["2 ms"]', 1)])
def test_first_time_in_3d(tmp_path, asked, degree):
    """A quarter of the distance of nodes far; what a case asks for is kept. Variants have the same times."""
    folder = COMM.bcast(tmp_path)
    time = SHORT + (f"{asked}\n" if asked else "")
    words = {"mesh": mesh("lattice", "30 nm", degree), "time": time, "regions": SLAB_REGIONS, "phases": TWO}
    on_root(COMM, lambda: write_case(folder, slab(), **words))
    ready = assemble.prepared(load_case(folder / "case.toml"))
    found = ready.case.time
    assert ready.meshed.case.time == found
    if asked is None:
        apart = element_length(ready.problem, ready.case.physics) / degree
        assert 20e-9 < apart * degree < 45e-9
        assert np.sqrt(D * found.first) == pytest.approx(apart / 4, rel=0.05)
    assert output_times(found)[0] == {None: found.first, 'first = "1 ms"': 1e-3, 'times = ["2 ms"]': 2e-3}[asked]


@pytest.mark.mpi
def test_small_elements_elsewhere_leave_the_first_time(tmp_path):
    """A mean over all elements made it a tenth; at the source they are as long as before."""
    first = {}
    for size_in in ("", 'size_in = { tip = "3 nm" }\n'):
        folder = COMM.bcast(tmp_path / str(len(size_in)))
        tip = '[regions.tip]\nsphere = { center = ["340 nm", "40 nm", "30 nm"], radius = "20 nm" }\n'
        words = {
            "mesh": mesh("lattice", "30 nm") + size_in,
            "time": SHORT,
            "regions": SLAB_REGIONS + tip,
            "phases": TWO,
        }
        on_root(COMM, lambda folder=folder, words=words: write_case(folder, slab(), **words))
        ready = assemble.prepared(load_case(folder / "case.toml"))
        first[size_in] = ready.case.time.first, len(ready.problem.space.dofmap.list)
    (plain, cells), (fine, more) = first.values()
    assert COMM.allreduce(more) > 3 * COMM.allreduce(cells)
    assert fine == pytest.approx(plain, rel=0.05)


@pytest.mark.mpi
@pytest.mark.parametrize("dim", [2, 3])
def test_elements_of_squares_and_cubes_are_as_long_as_their_edges(tmp_path, dim):
    """A diagonal would be 1.4 and 1.7 times as long, and the first time in 3D three times as late."""
    folder = COMM.bcast(tmp_path)
    image = slab() if dim == 3 else slab()[0]
    on_root(COMM, lambda: write_case(folder, image, "10 nm", mesh=mesh("voxel"), time=SHORT, regions="", phases=TWO))
    ready = assemble.prepared(load_case(folder / "case.toml"))
    problem, physics = ready.problem, ready.case.physics
    assert element_length(problem, physics) == pytest.approx(10e-9)
    assert element_length(problem, physics, 1) in (0.0, pytest.approx(10e-9))


def test_auto_is_lattice_in_3d_and_fitted_in_2d(tmp_path):
    for name, image, wanted in (("flat", electrode(), "fitted"), ("deep", ball(), "lattice")):
        case = load_case(write_case(tmp_path / name, image, mesh=mesh("auto"), regions=""))
        ready = assemble.prepared(case, MPI.COMM_SELF)
        assert (ready.case.mesh.method, ready.meshed.method) == (wanted, wanted)
        assert (ready.case.degree, ready.meshed.volume.dim) == ((2, 2) if name == "flat" else (1, 3))
        assert (ready.meshed.image is None) == (name == "deep"), "no rank holds a whole volume"


def test_fitted_is_refused_in_3d(tmp_path):
    case = load_case(write_case(tmp_path, ball(), mesh=mesh("fitted"), regions=""))
    with pytest.raises(InputError, match=r'case\.toml: \[mesh\] method: "fitted" is for 2D images'):
        assemble.check(case)
    with pytest.raises(InputError, match=r'case\.toml: \[mesh\] method: "fitted" is for 2D images'):
        mesh_of(case, [1], Stages(), MPI.COMM_SELF, check=False)


@pytest.mark.parametrize("method", ["lattice", "voxel"])
def test_other_meshers_in_2d(tmp_path, method):
    """The curves of the fitted mesh, nearly, with pictures and fields."""
    small = '[mesh]\nsize = { particle = "15 nm" }\nsize_max = "30 nm"\n'
    fitted = curves(run_case(write_case(tmp_path / "fitted", mesh=small), comm=MPI.COMM_SELF))
    folder = run_case(
        write_case(tmp_path / method, mesh=small.replace("[mesh]", f'[mesh]\nmethod = "{method}"')), comm=MPI.COMM_SELF
    )
    found, table = summary(folder), curves(folder)
    assert found["solver"]["degree"] == 2
    assert found["phases"]["sei"]["area_mesh_m2"] == pytest.approx(found["phases"]["sei"]["area_image_m2"], rel=3e-3)
    assert (folder / "snapshot-2s.png").exists()
    late = table["time_s"] > 0.05
    for name in ("left", "deep"):
        assert np.abs(table[name] - fitted[name])[late].max() < 0.01 * 1000


DRAWN = """
[regions.drawn]
labels = "regions.tif"
[regions.one]
labels = "regions.tif"
label = 7
[regions.rim]
shell = { around = "particle", distance = "30 nm" }
[regions.spot]
sphere = { center = ["130 nm", "120 nm", "120 nm"], radius = "100 nm" }
"""


@pytest.mark.skipif(COMM.size == 1, reason="compares ranks with one alone")
@pytest.mark.mpi
@pytest.mark.parametrize("method", ["lattice", "voxel"])
def test_ranks_and_regions_in_3d(tmp_path, method):
    """The same curves on any number of ranks, with the label image read in windows, shares from the voxels."""
    folder = COMM.bcast(tmp_path)
    image = ball()
    drawn = np.zeros_like(image)
    drawn[3:9, 4:20, 5:22] = 7
    drawn[14:22, 2:22, 1:12] = 3

    def write():
        write_case(
            folder,
            image,
            mesh=mesh(method, "60 nm") + "estimate = false\n",
            time=SHORT,
            regions=DRAWN,
            more='[solver]\nlinear = "mumps"\n',
        )
        tifffile.imwrite(folder / "regions.tif", drawn)

    on_root(COMM, write)
    shared = run_case(folder / "case.toml")
    alone = run_case(folder / "case.toml", tmp_path / "alone", MPI.COMM_SELF)
    one, other = summary(shared), summary(alone)
    assert list(one["regions"]) == ["drawn_3", "drawn_7", "one", "rim", "spot"]
    assert (one["cells"], one["unknowns"]) == (other["cells"], other["unknowns"])
    for name in curves(alone).dtype.names:
        assert np.abs(curves(shared)[name] - curves(alone)[name]).max() < 1e-8 * 1000, name
    for name, entry in one["regions"].items():
        assert entry["solved_share"] == pytest.approx(other["regions"][name]["solved_share"], abs=1e-9)
        assert entry["solved_volume_m3"] == pytest.approx(other["regions"][name]["solved_volume_m3"], rel=1e-9)
    for label in (3, 7):
        in_label = drawn == label
        entry = one["regions"][f"drawn_{label}"]
        assert entry["solved_share"] == pytest.approx((image[in_label] == 1).mean(), abs=1e-12)
        solved = (image[in_label] == 1).sum() * 1e-24
        assert entry["solved_volume_m3"] == pytest.approx(solved, rel=1e-6 if method == "voxel" else 0.02)
    assert one["regions"]["one"] == one["regions"]["drawn_7"]
    assert one["phases"]["particle"]["pieces_image"] == 1
    for key in ("cells", "pieces_image", "pieces_mesh", "lost", "merged", "split"):
        assert [p[key] for p in one["phases"].values()] == [p[key] for p in other["phases"].values()]


@pytest.mark.mpi
def test_share_of_a_shell(tmp_path):
    """A shell of 40 nm around half a ball whose flat side faces the pore: only the round side counts."""
    folder = COMM.bcast(tmp_path)
    image = ball(40, 8)
    image[:, :, :13] = 0
    on_root(COMM, write_case, folder, image, regions="")
    case = load_case(folder / "case.toml")
    volume = label_volume(case.image, case.labels, COMM)
    share = shell_share(volume, Shell("particle", 40e-9), np.array([False, True, False]), COMM)
    z, y, x = (np.indices((120,) * 3) + 0.5) / 3 - np.array([12, 12, 13])[:, None, None, None]  # thirds of voxels
    to_ball = np.abs(np.sqrt(x**2 + y**2 + z**2) - 8)
    to_rim = np.hypot(np.hypot(y, z) - 8, x)
    near = np.where(x > 0, to_ball, to_rim) < 4
    phase = np.where(x < 0, 0, np.where(x**2 + y**2 + z**2 < 64, 2, 1))
    exact = (phase == 1)[near].sum() / (phase != 2)[near].sum()
    assert share == pytest.approx(exact, abs=0.03)
    assert share == pytest.approx(shell_share(volume_alone(case), Shell("particle", 40e-9),
                                              np.array([False, True, False]), MPI.COMM_SELF), abs=1e-14)  # fmt: skip


def volume_alone(case):
    return label_volume(case.image, case.labels, MPI.COMM_SELF)


@pytest.mark.mpi
@pytest.mark.parametrize("suffix", [".vtu", ".xdmf", ".msh"])
def test_mesh_files_in_3d(tmp_path, capsys, suffix):
    folder = COMM.bcast(tmp_path)
    on_root(COMM, write_case, folder, ball(), mesh=mesh("lattice", "60 nm"), regions="")
    assemble.mesh(load_case(folder / "case.toml"), folder / f"mesh{suffix}", COMM)
    said = capsys.readouterr().out
    if COMM.rank > 0:
        assert said == ""
        return
    assert "smallest angle" in said
    assert max(map(len, said.split("\n")[:-2])) <= 80
    if suffix == ".vtu":
        grid = pyvista.read(folder / "mesh.vtu")
        assert grid.compute_cell_sizes()["Volume"].sum() == pytest.approx(0.24**3, rel=1e-9)  # µm³
