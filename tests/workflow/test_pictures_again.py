"""microlith plot: the same pictures as those of the run, from its folder alone, and what it says of what is missing.

With it what makes that possible: the fields as the solver had them, and the image as the run took it.
"""

import json
import re
import shutil

import h5py
import numpy as np
import pytest
import pyvista
from made_cases import COMM, PORE, SEI, barrier, run_case, transport, write_case
from PIL import Image

from dolfinx import fem
from mpi4py import MPI

from microlith.imaging.errors import InputError
from microlith.imaging.parallel.collective import on_root
from microlith.meshing.mesh.phasemesh import interface_tag
from microlith.solver.regions.shapes import Ball, Box, LabelRegion, Polygon, Shell, SurfaceOf, WholePhase, shape_of
from microlith.workflow.case.read import load_case
from microlith.workflow.cli import main
from microlith.workflow.prepare.assemble import prepared
from microlith.workflow.results.fields import FACETS, write_fields
from microlith.workflow.results.phases import stored_image, stored_volume
from microlith.workflow.results.stored_fields import stored_fields
from microlith.workflow.viewer.plot import plot

PHASES = PORE + SEI + transport("silicon", 2, "1e-14 m^2/s") + barrier("stone", 3)
JUMP = '[[interfaces]]\nbetween = ["sei", "silicon"]\npartition = 20\n'
REGIONS = """
[regions.left]
box = { x = ["20 nm", "60 nm"] }
[regions.near]
shell = { around = "stone", distance = "15 nm" }
[regions.stones]
surface = "stone"
[regions.silicon]
surface = "silicon"
threshold = 0.25
"""
MESHES = {
    "fitted": '[mesh]\nmethod = "fitted"\nsize_max = "40 nm"\nestimate = false\n',
    "voxel": '[mesh]\nmethod = "voxel"\ndegree = 2\nestimate = false\n',
    "lattice": '[mesh]\nmethod = "lattice"\nsize_max = "40 nm"\nestimate = false\n',
}
TIME = '[time]\nend = "4 s"\ntolerance = 1e-3\nsnapshots = ["1 s", "4 s"]\n'


def image_of(dim):
    """Pores left; two bodies of silicon, two stones in the SEI and one that touches pores only."""
    image = np.ones((16, 24), np.uint8)
    image[:, :3] = 0
    image[2:7, 8:13], image[11:16, 15:20] = 2, 2
    image[9:12, 6:9], image[3:6, 17:21], image[6:8, 0:3] = 3, 3, 3
    if dim == 2:
        return image
    volume = np.repeat(image[None, ::2, ::2], 6, axis=0)
    volume[:2][volume[:2] == 3] = 1
    return volume


def results_of(folder, method, dim, comm=MPI.COMM_SELF, more=JUMP):
    if comm.rank == 0:
        write_case(folder, image_of(dim), phases=PHASES, mesh=MESHES[method], time=TIME, regions=REGIONS, more=more)
    comm.barrier()
    return run_case(folder / "case.toml", comm=comm)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A case of squares and its results; not to be changed."""
    folder = tmp_path_factory.mktemp("run")
    results_of(folder, "voxel", 2)
    return folder


@pytest.fixture
def results(run, tmp_path):
    """A copy of the results."""
    return shutil.copytree(run / "results", tmp_path / "results")


# --- fields ---


@pytest.mark.parametrize(
    ("method", "degree"), [("fitted", 2), ("fitted", 3), ("voxel", 1), ("voxel", 2), ("lattice", 1)]
)
@pytest.mark.parametrize("more", ["", JUMP])
def test_fields_are_as_the_solver_had_them(tmp_path, method, degree, more):
    """Whatever the mesh, the degree and the jumps: values at all nodes, phases of cells, tags of facets."""
    mesh = MESHES[method].replace("degree = 2\n", "") + f"degree = {degree}\n"
    ready = prepared(
        load_case(write_case(tmp_path, image_of(2), phases=PHASES, mesh=mesh, time=TIME, regions="", more=more)),
        MPI.COMM_SELF,
    )
    of_run, space = ready.meshed.mesh, ready.problem.display.space
    c = fem.Function(space)
    c.interpolate(lambda x: 1 + x[0] ** degree - 2 * x[1] * x[0] ** (degree - 1))
    c.x.array[:] += ready.problem.display.phase * 100.0 if more else 0.0  # a jump between phases
    write_fields(tmp_path / "fields.vtkhdf", of_run, space, [0.0, 3.0], [0 * c.x.array, c.x.array])
    found = stored_fields(tmp_path / "fields.vtkhdf")
    assert found.times.tolist() == [0, 3]
    assert (found.mesh.names, found.mesh.extent) == (of_run.names, pytest.approx(of_run.extent))
    assert found.mesh.unit == pytest.approx(of_run.unit)
    for tags in ("cell_tags", "facet_tags"):
        one, other = (np.unique(getattr(m, tags).values, return_counts=True) for m in (of_run, found.mesh))
        np.testing.assert_array_equal(one[0], other[0])
        if tags == "cell_tags" or not more:  # both sides of a jump have facets of their own
            np.testing.assert_array_equal(one[1], other[1])
    again = fem.Function(found.space)
    again.x.array[:] = found.concentration(1)
    for phase in np.unique(of_run.cell_tags.values):  # the integral over each phase, and of the square
        sums = []
        for function, m in ((c, of_run), (again, found.mesh)):
            import ufl

            dx = ufl.Measure("dx", domain=m.mesh, subdomain_data=m.cell_tags)(int(phase))
            sums.append([fem.assemble_scalar(fem.form(f * dx)) for f in (function, function**2)])
        np.testing.assert_allclose(sums[0], sums[1], rtol=1e-6)


def test_facets_lie_where_they_did(tmp_path):
    results_of(tmp_path, "voxel", 3)
    found = stored_fields(tmp_path / "results" / "fields.vtkhdf").mesh
    facets = found.facet_tags.indices[found.facet_tags.values == interface_tag(1, 3)]
    from dolfinx import mesh as dmesh

    middle = dmesh.compute_midpoints(found.mesh, 2, facets)
    labels = image_of(3)
    # Each such face has a voxel of stone on one side
    beside = [
        labels[tuple(np.clip(np.floor(middle + step).astype(int), 0, (11, 7, 5)).T[::-1])]
        for step in 0.6 * np.concatenate([np.eye(3), -np.eye(3)])
    ]
    assert len(facets) > 20
    assert (np.array(beside) == 3).any(axis=0).all()


def test_fields_without_what_lies_beside(results):
    with h5py.File(results / "fields.vtkhdf", "r+") as file:
        del file["facets"]
    with pytest.raises(InputError, match=r"fields.vtkhdf: an earlier version wrote it.*run the case again"):
        stored_fields(results / "fields.vtkhdf")


# --- image ---


@pytest.mark.mpi
@pytest.mark.parametrize("dim", [2, 3])
def test_image_and_ids_are_there(tmp_path, dim):
    folder = COMM.bcast(tmp_path)
    results = results_of(folder, "voxel", dim, COMM)
    if COMM.rank > 0:
        return
    labels = image_of(dim)
    volume = stored_volume(results / "phases.vtkhdf")
    assert (volume.names, volume.shape) == (("pore", "sei", "silicon", "stone"), labels.shape)
    assert volume.voxel_size == pytest.approx((1e-8,) * dim)
    assert volume.counts == tuple(np.bincount(labels.ravel(), minlength=4))
    np.testing.assert_array_equal(stored_image(volume).phase, labels)
    window = ((1, 3),) * dim
    np.testing.assert_array_equal(volume.read(window).phase, labels[(slice(1, 3),) * dim])
    grid = pyvista.read(results / "phases.vtkhdf")
    assert grid.spacing == pytest.approx((0.01,) * 3)
    assert grid.n_cells == labels.size
    np.testing.assert_array_equal(np.asarray(grid["phase"]).reshape(labels.shape), labels)
    # Ids as in particles.csv: middles of the voxels that have them
    lines = [line for line in (results / "particles.csv").read_text().splitlines() if not line.startswith("#")]
    header, *rows = (line.split(",") for line in lines)
    ids = np.asarray(grid["particle"]).reshape(labels.shape)
    assert (ids > 0).sum() == np.isin(labels, (2, 3)).sum()
    for row in rows:
        entry = dict(zip(header, row, strict=True))
        phase = {"stones": 3, "silicon": 2}[entry["region"]]
        at = np.argwhere((ids == int(entry["id"])) & (labels == phase))
        middle = (at.mean(axis=0) + 0.5) * 1e-8
        wanted = [float(entry[f"{axis}_m"]) for axis in "xyz"[:dim]]
        assert middle[::-1] == pytest.approx(wanted)


# --- pictures ---


def picture_of(path):
    return np.asarray(Image.open(path).convert("RGB")).astype(int)


@pytest.mark.parametrize(("method", "dim"), [("fitted", 2), ("voxel", 2), ("lattice", 3)])
def test_the_same_pictures_again(tmp_path, method, dim):
    """From a copy of the folder, without image and case file."""
    results = results_of(tmp_path / "case", method, dim)
    kept = shutil.copytree(results, tmp_path / "kept")
    shutil.rmtree(tmp_path / "case")
    files = plot(kept, tmp_path / "again", {})
    names = {"curves", "particles", "particles-distance", "snapshot-1s", "snapshot-4s"}
    assert {file.name for file in files} == {f"{name}.png" for name in names}
    for name in names:
        before, after = (picture_of(folder / f"{name}.png") for folder in (kept, tmp_path / "again"))
        assert before.shape == after.shape, name
        assert (np.abs(before - after).max(axis=2) > 30).mean() < 2e-3, name


def test_other_options_and_ranges(tmp_path, run, results, capsys):
    shutil.copy(run / "case.toml", tmp_path)
    shutil.copy(run / "image.tif", tmp_path)
    before = {path.name: path.read_bytes() for path in results.iterdir()}
    case = tmp_path / "case.toml"
    pictures = '[pictures]\ncolours = "cividis"\nrange = { sei = ["0 M", "0.5 M"] }\n'
    case.write_text(case.read_text() + pictures)
    out = tmp_path / "out"
    command = ["plot", str(results), "-o", str(out), "--case", str(case), "--format", "svg", "--format", "png"]
    assert main([*command, "--width", "120 mm", "--resolution", "100"]) == 0
    assert "picture: " in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in results.iterdir()} == before
    picture = picture_of(out / "snapshot-4s.png")
    assert picture.shape[1] == pytest.approx(120 / 25.4 * 100, abs=1)
    text = (out / "snapshot-4s.svg").read_text()
    assert "concentration in sei / mol" in text
    assert "concentration in silicon / mol" in text
    assert main([*command]) == 2
    assert "this file exists already; name another folder with -o, or add --force" in capsys.readouterr().err
    assert main([*command, "--force", "-q"]) == 0


def test_pictures_in_the_folder_of_the_run(tmp_path, capsys):
    """They replace its own, and are known as its own when it runs again; other files are not touched."""
    results = results_of(tmp_path, "voxel", 2)
    snapshot = (results / "snapshot-4s.png").read_bytes()
    (results / "curves.svg").write_text("mine")
    assert main(["plot", str(results), "--format", "svg"]) == 2
    assert "curves.svg: microlith did not write this file" in capsys.readouterr().err
    assert (results / "curves.svg").read_text() == "mine"
    (results / "curves.svg").unlink()
    assert main(["plot", str(results), "--format", "svg", "--colours", "cividis", "-q"]) == 0
    assert (results / "snapshot-4s.png").read_bytes() == snapshot
    listed = json.loads((results / ".microlith.json").read_text())["files"]["run"]
    assert {"curves.svg", "snapshot-4s.svg", "snapshot-4s.png", "summary.json"} <= set(listed)
    run_case(tmp_path / "case.toml", comm=MPI.COMM_SELF, force=True)
    assert not list(results.glob("*.svg"))


@pytest.mark.parametrize(
    ("missing", "told", "drawn"),
    [
        ("fields.vtkhdf", "there is no fields.vtkhdf, so snapshots can't be drawn", {"curves", "particles-distance"}),
        ("phases.vtkhdf", "there is no phases.vtkhdf, so snapshots can't be drawn", {"curves", "particles-distance"}),
        ("particles.csv", "so particles can't be drawn", {"curves", "snapshot-1s", "snapshot-4s"}),
        ("errors.csv", "curves are drawn without bands", {"curves", "particles", "particles-distance", "snapshot-1s",
                                                          "snapshot-4s"}),
    ],
)  # fmt: skip
def test_what_is_not_there_is_told_and_left_out(tmp_path, results, capsys, missing, told, drawn):
    (results / missing).unlink()
    assert main(["plot", str(results), "-o", str(tmp_path / "out")]) == 0
    assert told in capsys.readouterr().err
    assert {path.stem for path in (tmp_path / "out").iterdir()} == drawn


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--format", "jpg"], '[pictures] formats, item 1: "jpg" is unknown'),
        (["--width", "3 mm"], "[pictures] width: expected 60 mm to 1 m, got 3 mm"),
        (["--colours", "rainbov"], 'there is no colour map "rainbov"'),
        (["--resolution", "5"], "[pictures] resolution: expected a whole number of at least 50"),
    ],
)
def test_options_that_cannot_be(tmp_path, results, capsys, options, sentence):
    assert main(["plot", str(results), "-o", str(tmp_path / "out"), *options]) == 2
    said = capsys.readouterr().err
    assert sentence in said
    assert said.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_no_results(tmp_path, capsys):
    assert main(["plot", str(tmp_path)]) == 2
    assert "there is no summary.json, so this is no folder of results" in capsys.readouterr().err


def test_particles_of_another_image(tmp_path, results):
    with h5py.File(results / "phases.vtkhdf", "r+") as file:
        file["VTKHDF/CellData/phase"][0, 9:12, 6:9] = 1
    with pytest.raises(InputError, match=r"it has 3 particles of stone, the image 2; these are not of one run"):
        plot(results, tmp_path / "out", {})


@pytest.mark.parametrize(
    "shape",
    [
        Box({"x": (1e-7, 2e-7)}),
        Ball((1e-7, 2e-7), 5e-8),
        Ball((1e-7, 2e-7, 0.0), 5e-8),
        Polygon(((0.0, 0.0), (1e-7, 0.0), (0.0, 1e-7))),
        Shell("stone", 1e-8),
        WholePhase("sei"),
        LabelRegion("/a/b.tif", 3),
        LabelRegion("/a/b.tif", None),
        SurfaceOf("stone", 0.3),
    ],
)
def test_shapes_from_their_data(shape):
    assert shape_of(json.loads(json.dumps(shape.data()))) == shape


@pytest.mark.mpi
def test_results_of_ranks_are_drawn_again(tmp_path):
    """What several ranks wrote is one mesh with all tags."""
    folder = COMM.bcast(tmp_path)
    results = results_of(folder, "lattice", 3, COMM)

    def again():
        plot(results, folder / "again", {})
        for name in ("snapshot-4s", "particles"):
            before, after = (picture_of(where / f"{name}.png") for where in (results, folder / "again"))
            assert before.shape == after.shape, name
            assert (np.abs(before - after).max(axis=2) > 30).mean() < 2e-3, name

    on_root(COMM, again)


@pytest.mark.parametrize(
    ("name", "damage", "words"),
    [
        ("fields.vtkhdf", ("VTKHDF/Connectivity", 3, 1 << 40), "a corner that is not there"),
        ("fields.vtkhdf", ("VTKHDF/Connectivity", 3, -1), "a corner that is not there"),
        ("fields.vtkhdf", ("VTKHDF/CellData/phase", 0, 99), "a phase that is not there"),
        ("fields.vtkhdf", ("VTKHDF/Points", (0, 0), np.nan), "a point has a coordinate that is not a number"),
        ("fields.vtkhdf", (FACETS, (0, 0), 1 << 30), "a cell that is not there"),
        ("fields.vtkhdf", (FACETS, (0, 1), 77), "a cell that is not there"),
        ("curves.csv", None, "times do not increase"),
        ("errors.csv", "cut", "as many times as"),
    ],
)
def test_damaged_results_are_told(tmp_path, results, capsys, name, damage, words):
    """Numbers that point to nothing would have libraries read any memory."""
    if name.endswith(".csv"):
        rows = (results / name).read_text().splitlines()
        rows = rows[:-3] if damage else [*rows, rows[-5]]
        counted = re.sub(r"rows: \d+", f"rows: {len(rows) - 4}", "\n".join(rows))  # or the number of rows would be told
        (results / name).write_text(counted + "\n")
    else:
        dataset, place, value = damage
        with h5py.File(results / name, "r+") as file:
            file[dataset][place] = value
    assert main(["plot", str(results), "-o", str(tmp_path / "again")]) == 2
    error = capsys.readouterr().err
    assert words in error
    assert "Traceback" not in error
    if damage and damage[0].startswith("VTKHDF"):
        assert main(["view", str(results), "--screenshot", str(tmp_path / "a.png")]) == 2
        assert words in capsys.readouterr().err
