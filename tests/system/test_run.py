"""Whole runs of small cases: all files, all conditions a case file can name, closed forms, ranks, interruption."""

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import textwrap
from datetime import datetime
from pathlib import Path

import closed_forms
import numpy as np
import pytest
import pyvista
import tifffile
from made_cases import COMM, MESH, PHASES, REGIONS, TIME, curves, electrode, run_case, write_case
from PIL import Image

from mpi4py import MPI

from microlith.imaging.errors import InputError
from microlith.imaging.parallel.collective import on_root
from microlith.meshing import methods
from microlith.workflow.case.read import load_case
from microlith.workflow.prepare import assemble

D = 2e-14 / 0.5  # m²/s: of the SEI of the small case, by its porosity
PICTURES = ["curves.png", "snapshot-0s.png", "snapshot-20s.png", "snapshot-2s.png"]
TABLES = ["curves.csv", "errors.csv", "fluxes.csv", "profile.csv", "spread.csv"]
FILES = [*TABLES, "fields.vtkhdf", "phases.vtkhdf", "report.html", *PICTURES]


def summary(folder):
    return json.loads((folder / "summary.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """The small case, run once."""
    return run_case(write_case(tmp_path_factory.mktemp("done")), comm=MPI.COMM_SELF)


# --- files ---


def test_all_files_are_there_and_no_other(done):
    assert sorted(p.name for p in done.iterdir()) == sorted([".microlith.json", *FILES, "summary.json"])


def test_curves_file(done):
    lines = (done / "curves.csv").read_text().splitlines()
    assert [line.startswith("#") for line in lines[:5]] == [True, True, True, False, False]
    assert "Small case" in lines[0]
    assert "microlith 0" in lines[1]
    assert "mol/m^3" in lines[2]
    assert lines[3] == "time_s,left,deep"
    table = curves(done)
    expected = np.unique(np.concatenate([[0.0, 2.0], np.geomspace(20e-5, 20.0, 200)]))
    assert table["time_s"] == pytest.approx(expected, rel=1e-9)
    assert table["left"][0] == 0.0
    assert 990.0 < table["deep"][-1] < table["left"][-1] < 1000.0
    # Concentrations grow, but for what the tolerance allows
    assert np.diff(table["deep"]).min() > -1000.0 * 1e-4


def test_summary(done):
    found = summary(done)
    image = found["image"]
    assert image["voxel_size_m"] == pytest.approx([1e-8, 1e-8])
    assert image["voxel_size_from"] == "the case file"
    assert image["shape"] == [40, 60]
    (file,) = image["files"]
    assert image["sha256"] == hashlib.sha256(Path(file).read_bytes()).hexdigest()
    assert sum(image["voxels_of_labels"].values()) == 40 * 60
    assert datetime.fromisoformat(found["run"]["started"]).tzinfo is not None
    assert found["run"]["host"]
    assert found["run"]["total_s"] >= sum(found["timings_s"].values()) - 0.1
    assert {"microlith", "dolfinx", "petsc", "gmsh", "numpy"} <= set(found["versions"])
    assert "Small case" in str(found["case"])
    assert found["cells"] > 500
    assert 1.8 * found["cells"] < found["unknowns"] < 2.5 * found["cells"]
    assert set(found["phases"]) == {"pore", "sei", "particle"}
    sei = found["phases"]["sei"]
    assert sei["area_image_m2"] == pytest.approx((electrode() == 1).sum() * 1e-16, rel=1e-6, abs=0)
    assert sei["area_mesh_m2"] == pytest.approx(sei["area_image_m2"], rel=5e-3)
    assert found["quality"]["worst_sicn"] >= 0.3
    solver = found["solver"]
    assert solver["method"] in ("cholmod", "mumps")
    assert solver["degree"] == 2
    assert solver["ranks"] == 1
    assert solver["inner_iterations"] == 0
    assert 8 <= solver["solves"] <= 60
    assert all(0 < p < 20.0 for p in solver["poles_s"])
    assert 0 < found["error"]["estimate"] <= found["error"]["tolerance"] == 1e-4
    assert found["error"]["converged"] is True
    balance = found["mass_balance"]
    assert balance["imbalance"] < 1e-4
    assert balance["stored_change"] == pytest.approx(0.5 * 1000.0 * sei["area_mesh_m2"], rel=1e-2)
    assert balance["inflow"]["pore"] == pytest.approx(balance["stored_change"], rel=1e-4)
    assert found["islands"] == []
    table = curves(done)
    for name in ("left", "deep"):
        region = found["regions"][name]
        assert region["final"] == pytest.approx(table[name][-1], rel=1e-9)
        for key, share in (("t50_s", 500.0), ("t90_s", 900.0)):
            assert np.interp(region[key], table["time_s"], table[name]) == pytest.approx(share, rel=2e-3)
    assert 0.9 < found["regions"]["left"]["solved_share"] < 1.0  # a particle reaches into it
    assert found["regions"]["left"]["solved_area_m2"] < 140e-9 * 400e-9
    stages = {"image", "mesh", "fidelity", "distribution", "assembly", "regions", "integration", "results"}
    assert stages <= set(found["timings_s"])
    assert all(t >= 0 for t in found["timings_s"].values())
    assert 5e7 < found["peak_memory_bytes"] < 5e10


def test_fields_file(done):
    reader = pyvista.get_reader(done / "fields.vtkhdf").reader
    reader.UpdateInformation()
    assert reader.GetNumberOfSteps() == 3
    reader.SetStep(2)
    reader.Update()
    assert reader.GetTimeValue() == 20.0
    grid = pyvista.wrap(reader.GetOutput())
    assert grid.n_cells == summary(done)["cells"]
    assert set(grid.celltypes) == {22}  # quadratic triangles
    assert set(grid.cell_data["phase"]) == {1}
    values = grid.point_data["concentration"]
    assert 985.0 < values.min() < values.max() < 1000.1
    assert grid.bounds[:4] == pytest.approx((0.05, 0.6, 0.0, 0.4), abs=1e-3)  # µm
    # The region's mean again, from the field: by points, so roughly
    x, y = grid.points[:, 0], grid.points[:, 1]
    near = np.hypot(x - 0.48, y - 0.2) < 0.06
    assert values[near].mean() == pytest.approx(curves(done)["deep"][-1], rel=1e-3)


def test_pictures(done):
    for path in done.glob("*.png"):
        with Image.open(path) as picture:
            picture.load()
            assert min(picture.size) > 400, path.name
            assert len(set(picture.convert("RGB").resize((90, 90)).tobytes())) > 20, path.name


def test_mesh_only(tmp_path, capsys):
    assemble.mesh(load_case(write_case(tmp_path)), tmp_path / "mesh.vtu", MPI.COMM_SELF)
    assert "SICN" in capsys.readouterr().out
    grid = pyvista.read(tmp_path / "mesh.vtu")
    assert grid.compute_cell_sizes()["Area"].sum() == pytest.approx(0.6 * 0.4, rel=1e-9)  # µm²


# --- overwriting and interruption ---


def test_results_are_overwritten_with_force_only(tmp_path):
    path = write_case(tmp_path, mesh='[mesh]\nsize_max = "80 nm"\ndegree = 1\n', time=TIME.replace('"2 s", ', ""))
    results = run_case(path, comm=MPI.COMM_SELF)
    (results / "notes.txt").write_text("mine")
    before = (results / "summary.json").stat().st_mtime_ns
    with pytest.raises(InputError, match="--force"):
        run_case(path, comm=MPI.COMM_SELF)
    assert (results / "summary.json").stat().st_mtime_ns == before
    path.write_text(path.read_text().replace('snapshots = ["0 s", "20 s"]', "snapshots = []"))
    run_case(path, comm=MPI.COMM_SELF, force=True)
    kept = [".microlith.json", "curves.csv", "curves.png", "errors.csv", "fluxes.csv", "notes.txt"]
    assert sorted(p.name for p in results.iterdir()) == [*kept, "report.html", "spread.csv", "summary.json"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError, SystemExit])
@pytest.mark.parametrize("step", ["write.write_fields", "write.write_summary", "solved.solve"])
def test_interrupted_run_leaves_nothing(tmp_path, monkeypatch, error, step):
    """Even where curves and fields are written already."""

    def stop(*_, **__):
        raise error("stop")

    path = write_case(tmp_path, mesh='[mesh]\nsize_max = "80 nm"\ndegree = 1\n')
    monkeypatch.setattr(f"microlith.workflow.run.{step}", stop)
    with pytest.raises(error):
        run_case(path, comm=MPI.COMM_SELF)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["case.toml", "image.tif"]


SCRIPT = """
import os, sys, time
from microlith.workflow import cli
from microlith.workflow.run import write
def wait(*_, **__):
    print("writing in process", os.getpid(), flush=True)
    while True:
        time.sleep(0.05)
write.write_summary = wait
sys.exit(cli.main(["run", sys.argv[1], "-o", sys.argv[2], "-q"]))
"""


@pytest.mark.parametrize("ranks", [1, 2])
@pytest.mark.skipif(COMM.size > 1, reason="starts ranks itself")
def test_terminated_run_leaves_nothing(tmp_path, ranks):
    """SIGTERM to the rank that writes; the other, which waits for it, is ended too. mpirun itself may just kill."""
    path = write_case(tmp_path, mesh='[mesh]\nsize_max = "80 nm"\ndegree = 1\n')
    command = [sys.executable, "-c", SCRIPT, str(path), str(tmp_path / "results")]
    command = command if ranks == 1 else ["mpirun", "-n", str(ranks), *command]
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("OMPI_COMM", "PMIX", "PMI"))}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment) as run:
        said = run.stdout.readline()
        assert said.startswith("writing"), run.stderr.read()
        assert (tmp_path / "results").is_dir()
        os.kill(int(said.split()[-1]), signal.SIGTERM)
        _, said = run.communicate(timeout=60)
    assert run.returncode == 143, said
    assert sorted(p.name for p in tmp_path.iterdir()) == ["case.toml", "image.tif"]


def test_bad_input_names_the_case_file(tmp_path, monkeypatch):
    """What the reader of the image finds wrong with a key is known by its table only there."""
    path = write_case(tmp_path, phases=PHASES.replace("label = 2", "label = 5"))
    with pytest.raises(InputError, match=r"^/.*case\.toml: \[phases"):
        assemble.check(load_case(path))

    def refuse(*_):
        raise InputError("[mesh] size asks for too much")

    monkeypatch.setattr(methods, "fitted_mesh", refuse)
    with pytest.raises(InputError, match=r"^/.*case\.toml: \[mesh\] size"):
        run_case(write_case(tmp_path), comm=MPI.COMM_SELF)


@pytest.mark.mpi
def test_bad_input_on_all_ranks(tmp_path):
    path = COMM.bcast(tmp_path) / "case.toml"
    on_root(COMM, write_case, path.parent, phases=PHASES.replace("label = 2", "label = 5"))
    with pytest.raises(InputError, match=r"case\.toml: \[phases"):
        run_case(path)
    COMM.Barrier()
    assert not (path.parent / "results").exists()


# --- what a case file can ask for ---


def slab_image(columns=50, source=5, rows=8, sink=0):
    image = np.ones((rows, source + columns + sink), np.uint8)
    image[:, :source] = 0
    if sink:
        image[:, -sink:] = 2
    return image


LENGTH = 500e-9
SLAB_REGIONS = {"near": (50, 150), "middle": (253, 401), "far": (450, 550)}  # nm, the slab starts at 50
SLAB = "".join(f'[regions.{n}]\nbox = {{ x = ["{a} nm", "{b} nm"] }}\n' for n, (a, b) in SLAB_REGIONS.items())
FED = PHASES[: PHASES.index("[phases.particle]")]
MEDIUM = FED[FED.index("[phases.sei]") :]
FINE = '[mesh]\nsize_max = "15 nm"\n'
SLAB_TIME = '[time]\nend = "10 s"\ntolerance = 1e-5\nsnapshots = []\n'


def against(folder, closed_form, bound, scale=1000.0, regions=SLAB_REGIONS, start=50, late=1e-2):
    """Largest difference of the curves to closed_form(times, a, b), a and b in metres from the slab's start."""
    table = curves(folder)
    keep = table["time_s"] > late * table["time_s"][-1]
    times = table["time_s"][keep]
    for name, (a, b) in regions.items():
        exact = closed_form(times, (a - start) * 1e-9, (b - start) * 1e-9)
        assert np.abs(table[name][keep] / scale - exact).max() < bound, name


@pytest.mark.parametrize(("degree", "bound"), [(1, 2e-3), (2, 5e-5), (3, 3e-5)])
def test_slab(tmp_path, degree, bound):
    mesh = FINE + f"degree = {degree}\n"
    path = write_case(tmp_path, slab_image(), phases=FED, mesh=mesh, time=SLAB_TIME, regions=SLAB)
    results = run_case(path, comm=MPI.COMM_SELF)
    against(results, lambda t, a, b: closed_forms.slab_mean(t, a, b, LENGTH, D), bound)
    assert not list(results.glob("snapshot*")) + list(results.glob("fields*"))
    assert summary(results)["solver"]["degree"] == degree


def test_mass_transfer(tmp_path):
    phases = FED.replace('concentration = "1000 mol/m^3"', 'concentration = "1 mol/L"\nmass_transfer = "30 nm/s"')
    path = write_case(tmp_path, slab_image(), phases=phases, mesh=FINE, time=SLAB_TIME, regions=SLAB)
    velocity = 30e-9 / 0.5
    against(
        run_case(path, comm=MPI.COMM_SELF),
        lambda t, a, b: closed_forms.robin_slab_mean(t, a, b, LENGTH, D, velocity),
        5e-5,
    )


def test_sink(tmp_path):
    phases = PHASES.replace('role = "barrier"', 'role = "sink"\nuptake = "50 nm/s"')
    path = write_case(tmp_path, slab_image(sink=4), phases=phases, mesh=FINE, time=SLAB_TIME, regions=SLAB)
    results = run_case(path, comm=MPI.COMM_SELF)
    against(results, lambda t, a, b: closed_forms.sink_slab_mean(t, a, b, LENGTH, D, 50e-9 / 0.5), 5e-5)
    inflow = summary(results)["mass_balance"]["inflow"]
    assert inflow["particle"] < 0 < inflow["pore"]


def test_two_sources(tmp_path):
    phases = PHASES.replace('role = "barrier"', 'role = "source"\nconcentration = "250 mol/m^3"')
    path = write_case(tmp_path, slab_image(sink=4), phases=phases, mesh=FINE, time=SLAB_TIME, regions=SLAB)
    results = run_case(path, comm=MPI.COMM_SELF)
    against(results, lambda t, a, b: closed_forms.two_sided_slab_mean(t, a, b, LENGTH, D, 1.0, 0.25), 5e-5)


def test_outer_faces_and_initial_concentration(tmp_path):
    """No source phase: fed by two faces, 400 mol/m³ in it at first."""
    image = np.full((8, 50), 1, np.uint8)
    phases = MEDIUM + 'initial = "400 mol/m^3"\n'
    faces = '[faces.x_min]\nconcentration = "1000 mol/m^3"\n[faces.x_max]\nconcentration = "600 mol/m^3"\n'
    regions = {name: (a - 50, b - 50) for name, (a, b) in SLAB_REGIONS.items()}
    text = "".join(f'[regions.{n}]\nbox = {{ x = ["{a} nm", "{b} nm"] }}\n' for n, (a, b) in regions.items())
    path = write_case(tmp_path, image, phases=phases, mesh=FINE, time=SLAB_TIME, regions=text, more=faces)

    def exact(t, a, b):
        return 0.4 + closed_forms.two_sided_slab_mean(t, a, b, LENGTH, D, 0.6, 0.2)

    against(run_case(path, comm=MPI.COMM_SELF), exact, 5e-5, regions=regions, start=0)


def test_face_with_mass_transfer(tmp_path):
    image = np.full((8, 50), 1, np.uint8)
    faces = '[faces.x_min]\nconcentration = "1000 mol/m^3"\nmass_transfer = "30 nm/s"\n'
    text = '[regions.near]\nbox = { x = ["0 nm", "100 nm"] }\n'
    path = write_case(tmp_path, image, phases=MEDIUM, mesh=FINE, time=SLAB_TIME, regions=text, more=faces)
    against(
        run_case(path, comm=MPI.COMM_SELF),
        lambda t, a, b: closed_forms.robin_slab_mean(t, a, b, LENGTH, D, 30e-9 / 0.5),
        5e-5,
        regions={"near": (0, 100)},
        start=0,
    )


def test_disk_in_a_bath(tmp_path):
    """A pixelated disk of 60 pixels' radius: the mesh's smooth outline is what Crank's disk is compared with."""
    y, x = np.mgrid[0:130, 0:130] + 0.5
    image = (np.hypot(x - 65, y - 65) < 60).astype(np.uint8)
    mesh = '[mesh]\nsize = { sei = "20 nm" }\nsize_max = "50 nm"\n'
    regions = (
        '[regions.all]\nphase = "sei"\n[regions.core]\ndisk = { center = ["650 nm", "650 nm"], radius = "200 nm" }\n'
    )
    path = write_case(tmp_path, image, phases=FED, mesh=mesh, time=SLAB_TIME, regions=regions)
    results = run_case(path, comm=MPI.COMM_SELF)
    table = curves(results)
    late = table["time_s"] > 0.01
    times = table["time_s"][late]
    radius = np.sqrt(image.sum() / np.pi) * 10e-9  # of the disk with as many pixels
    whole = np.abs(table["all"][late] / 1000 - closed_forms.disk_mean(times, radius, D)).max()
    core = np.abs(table["core"][late] / 1000 - closed_forms.disk_inner_mean(times, 200e-9, radius, D)).max()
    print(f"disk: whole {whole:.2e}, core {core:.2e}")
    assert whole < 2e-3
    assert core < 2e-3


def test_times_of_the_users_choice(tmp_path):
    time = '[time]\nend = "20 s"\ntolerance = 1e-4\ntimes = ["1 s", "3 s", "20 s"]\nsnapshots = ["2 s"]\n'
    folder = run_case(write_case(tmp_path, mesh=MESH + "degree = 1\n", time=time), comm=MPI.COMM_SELF)
    assert list(curves(folder)["time_s"]) == [1.0, 3.0, 20.0]
    assert [p.name for p in folder.glob("snapshot*")] == ["snapshot-2s.png"]


def test_the_start_as_the_only_time(tmp_path):
    time = '[time]\nend = "20 s"\ntolerance = 1e-3\ntimes = ["0 s"]\nsnapshots = []\n'
    folder = run_case(write_case(tmp_path, mesh=MESH + "degree = 1\n", time=time), comm=MPI.COMM_SELF)
    assert curves(folder)["time_s"].tolist() == 0.0
    assert all(entry["t50_s"] is None or entry["t50_s"] > 0 for entry in summary(folder)["regions"].values())


KINDS = """
[regions.box]
box = { x = ["60 nm", "200 nm"] }
[regions.disk]
disk = { center = ["480 nm", "200 nm"], radius = "60 nm" }
[regions.polygon]
polygon = [["100 nm", "200 nm"], ["200 nm", "220 nm"], ["120 nm", "390 nm"]]
[regions.shell]
shell = { around = "particle", distance = "30 nm" }
[regions.at_pore]
shell = { around = "pore", distance = "30 nm" }
[regions.phase]
phase = "sei"
[regions.one]
labels = "regions.tif"
label = 7
[regions.drawn]
labels = "regions.tif"
"""


@pytest.mark.mpi
def test_every_kind_of_region(tmp_path):
    folder = COMM.bcast(tmp_path)
    drawn = np.zeros((40, 60), np.uint8)
    drawn[25:35, 8:20] = 7
    drawn[2:10, 40:58] = 3

    def write():
        write_case(folder, mesh=MESH + "degree = 1\n", regions=KINDS)
        tifffile.imwrite(folder / "regions.tif", drawn)

    on_root(COMM, write)
    results = run_case(folder / "case.toml")
    found = summary(results)["regions"]
    names = ["box", "disk", "polygon", "shell", "at_pore", "phase", "one", "drawn_3", "drawn_7"]
    assert list(found) == list(curves(results).dtype.names[1:]) == names
    area = {name: entry["solved_area_m2"] * 1e18 for name, entry in found.items()}  # nm²
    assert area["disk"] == pytest.approx(np.pi * 60**2, rel=1e-3)
    assert area["polygon"] == pytest.approx(0.5 * abs(100 * 190 - 20 * 20), rel=1e-3)
    assert area["at_pore"] == pytest.approx(30 * 400, rel=1e-3)
    rings = sum(np.pi * ((r + 30) ** 2 - r**2) for r in (60, 70))
    assert area["shell"] == pytest.approx(rings, rel=0.02)  # the particles are as round as their pixels
    assert area["phase"] == pytest.approx((electrode() == 1).sum() * 100, rel=5e-3)
    assert area["one"] == area["drawn_7"] == pytest.approx(120 * 100, rel=1e-3)
    assert area["drawn_3"] == pytest.approx(144 * 100, rel=1e-3)
    final = {name: entry["t50_s"] for name, entry in found.items()}
    assert final["at_pore"] < final["box"] < final["drawn_3"]


# --- scales and ranks ---


def test_nanometres_and_millimetres(tmp_path):
    """The same image with pixels of 10 mm, all else to match: the same curves to 1e-10, and not a stalled solver."""
    found = []
    for unit, coefficient in (("nm", "2e-14"), ("mm", "2e-2")):
        mesh, regions = MESH.replace(" nm", f" {unit}"), REGIONS.replace(" nm", f" {unit}")
        phases = PHASES.replace("2e-14", coefficient)
        path = write_case(tmp_path / unit, voxel=f"10 {unit}", phases=phases, mesh=mesh, regions=regions)
        found.append(curves(run_case(path, comm=MPI.COMM_SELF)))
    for name in ("left", "deep"):
        assert np.abs(found[0][name] - found[1][name]).max() < 1e-10 * 1000.0


@pytest.mark.skipif(COMM.size == 1, reason="compares ranks with one alone")
@pytest.mark.mpi
@pytest.mark.parametrize("linear", ["mumps", "cg"])
def test_any_number_of_ranks_gives_the_same_curves(tmp_path, linear):
    folder = COMM.bcast(tmp_path)
    solver = textwrap.dedent(f"""
        [solver]
        linear = "{linear}"
        inner_tolerance = 1e-11
        """)
    on_root(COMM, write_case, folder, more=solver)
    shared = run_case(folder / "case.toml")
    alone = run_case(folder / "case.toml", Path(tmp_path) / "alone", MPI.COMM_SELF)
    found, expected = curves(shared), curves(alone)
    for name in ("left", "deep"):
        assert np.abs(found[name] - expected[name]).max() < 1e-8 * 1000.0, name
    one, other = summary(shared), summary(alone)
    assert one["solver"]["ranks"] == COMM.size
    assert one["solver"]["method"] == linear
    assert (one["cells"], one["unknowns"]) == (other["cells"], other["unknowns"])
    assert (one["solver"]["inner_iterations"] > 0) == (linear == "cg")
    grid, same = (pyvista.read(r / "fields.vtkhdf") for r in (shared, alone))
    assert (grid.n_cells, grid.n_points) == (same.n_cells, same.n_points)
    assert grid.compute_cell_sizes()["Area"].sum() == pytest.approx(same.compute_cell_sizes()["Area"].sum())


def test_region_labels_are_checked_before_meshing(tmp_path):
    """`check` refuses what `run` would: a label image of another size, without the label, or outside solved phases."""
    import tifffile

    from microlith.imaging.errors import InputError
    from microlith.workflow.case.read import load_case
    from microlith.workflow.prepare.assemble import check

    wrong = {
        "small": (np.ones((5, 5), np.uint8), "", "size"),
        "empty": (np.zeros((40, 60), np.uint8), "", "all pixels"),
        "absent": (np.ones((40, 60), np.uint8), "label = 9", "label 9"),
        "pore": ((electrode() == 0).astype(np.uint8), "", "transport phase"),
        "twice": ((electrode() == 1).astype(np.uint8), '[regions.r_1]\nphase = "sei"', "called r_1"),
    }
    for name, (labels, more, words) in wrong.items():
        path = write_case(tmp_path / name, regions=f'[regions.r]\nlabels = "r.tif"\n{more}\n')
        tifffile.imwrite(path.parent / "r.tif", labels)
        with pytest.raises(InputError, match=words):
            check(load_case(path))


def test_one_slice_of_a_volume(tmp_path):
    """A stack and crop.z give the curves of that slice as a 2D image."""
    import tifffile

    flat = run_case(write_case(tmp_path / "flat"), comm=MPI.COMM_SELF)
    path = write_case(tmp_path / "stack")
    other = np.where(electrode() == 2, 1, electrode()).astype(np.uint8)
    tifffile.imwrite(path.parent / "image.tif", np.stack([other, electrode(), other]), photometric="minisblack")
    path.write_text(path.read_text().replace("[phases.pore]", "crop = { z = [1, 2] }\n[phases.pore]", 1))
    assert np.array_equal(curves(run_case(path, comm=MPI.COMM_SELF)), curves(flat))


# --- runs that can't be done ---

LAW = 'diffusivity = { concentrations = ["0 mol/L", "1 mol/L"], values = ["1e-14 m^2/s", "2e-14 m^2/s"] }'


@pytest.mark.parametrize(
    ("phases", "more", "status", "sentence"),
    [
        (
            PHASES.replace('diffusivity = "2e-14 m^2/s"', LAW),
            "[solver]\nmax_steps = 3\n",
            1,
            r"microlith: the integration used up its 3 steps at \S+ s of 20 s; raise \[solver\] max_steps or .*",
        ),
        (
            PHASES.replace(
                'concentration = "1000 mol/m^3"',
                'concentration = { times = ["0 s", "1 us"], values = ["1 mol/L", "0 mol/L"], period = "2 us" }',
            ),
            "",
            2,
            r"microlith: \S+case.toml: \[phases\.\w+\] concentration\.period: the period, .*",
        ),
    ],
    ids=["steps", "kinks"],
)
def test_integration_that_is_given_up(tmp_path, phases, more, status, sentence):
    path = write_case(tmp_path, phases=phases, more=more)
    output = tmp_path / "results"
    command = [sys.executable, "-m", "microlith.workflow.cli", "run", str(path), "-o", str(output), "-q"]
    run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert run.returncode == status
    assert re.fullmatch(sentence, run.stderr.strip())
    assert not output.exists()
