"""microlith view: what it shows of results in 2D and 3D, off screen; and what it says of all it can't show."""

import itertools
import json
import sys
from itertools import pairwise

import made_meshes
import numpy as np
import pytest
from made_cases import PORE, SEI, barrier, run_case, transport, write_case
from matplotlib import colormaps
from PIL import Image

from dolfinx import fem
from mpi4py import MPI

from microlith.imaging.errors import InputError
from microlith.meshing.distribution.in_place import mesh_in_place
from microlith.workflow.cli import main
from microlith.workflow.pictures.figure import COLOURS
from microlith.workflow.results.fields import write_fields
from microlith.workflow.results.read import load_results
from microlith.workflow.viewer import movie, window as viewing
from microlith.workflow.viewer.controls import Controls
from microlith.workflow.viewer.scene import Show
from microlith.workflow.viewer.serve import drawn, point_curve
from microlith.workflow.viewer.window import ViewRequest, view

NAMES = ("pore", "left", "right")
TIMES = (0.0, 1.0, 4.0)
SUMMARY = {
    "case": {"title": "Two phases", "phases": {"left": {"initial_mol_per_m3": -1.0}, "pore": {"role": "source"}}},
    "error": {"reference_concentration_mol_per_m3": 4.0},
    "regions": {},
}
MESHES = [("triangle", 1), ("triangle", 2), ("triangle", 3), ("quadrilateral", 1)]
MESHES += [("tetrahedron", 1), ("tetrahedron", 2), ("hexahedron", 1), ("hexahedron", 2)]


def results(folder, shape="tetrahedron", degree=1, times=TIMES):
    """Image of 4 x 2 (x 2) voxels of 1 µm: left where x < 2, right beyond; c = time + x."""
    labels = np.ones((2, 4) if shape in ("triangle", "quadrilateral") else (2, 2, 4), np.uint8)
    labels[..., 2:] = 2
    parts = made_meshes.voxels_as_cells(labels, NAMES, shape, MPI.COMM_SELF, np.zeros_like)
    mesh = mesh_in_place(parts, [1, 2], MPI.COMM_SELF)
    space = fem.functionspace(mesh.mesh, ("Lagrange", degree))
    field = fem.Function(space)
    field.interpolate(lambda x: x[0])
    write_fields(folder / "fields.vtkhdf", mesh, space, times, (t + field.x.array for t in times))
    (folder / "summary.json").write_text(json.dumps(SUMMARY), encoding="utf-8")
    return folder


@pytest.fixture
def plotter():
    import pyvista

    plotter = pyvista.Plotter(off_screen=True, window_size=(400, 300), lighting="none")
    yield plotter
    plotter.close()


@pytest.fixture(autouse=True)
def _no_display(monkeypatch):
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.setenv("VTK_DEFAULT_OPENGL_WINDOW", "vtkEGLRenderWindow")


@pytest.mark.parametrize(("shape", "degree"), MESHES)
def test_results_are_read_whatever_the_cells(tmp_path, shape, degree):
    found = load_results(results(tmp_path, shape, degree))
    assert (found.title, found.names, found.times.tolist(), found.c_range) == ("Two phases", NAMES, [0, 1, 4], (-1, 4))
    assert found.dim == (2 if shape in ("triangle", "quadrilateral") else 3)
    per_voxel = {"triangle": 8 if degree == 2 else 2, "tetrahedron": 6}.get(shape, 1)
    assert len(found.cells) == len(found.phase) == per_voxel * (8 if found.dim == 2 else 16)
    np.testing.assert_allclose(found.concentration(2), 4 + found.points[:, 0], atol=1e-12)
    middles = found.points[found.cells].mean(axis=1)
    np.testing.assert_array_equal(found.phase, np.where(middles[:, 0] < 2, 1, 2))


@pytest.mark.parametrize(("shape", "degree"), [("tetrahedron", 1), ("tetrahedron", 2), ("hexahedron", 1)])
def test_cut_phases_and_snapshots(tmp_path, plotter, shape, degree):
    show = Show(load_results(results(tmp_path, shape, degree)), "concentration", plotter, 2)
    left = show.surfaces[1]
    assert left.bounds == pytest.approx((0, 2, 0, 2, 1, 2))  # the half before the viewer is taken away
    np.testing.assert_allclose(left["concentration"], 4 + left.points[:, 0], atol=1e-6)
    show.go_to(0)
    show.cut((1.0, 0.0, 0.0), (1.5, 1.0, 1.0))
    left = show.surfaces[1]
    assert left.bounds == pytest.approx((0, 1.5, 0, 2, 0, 2))
    np.testing.assert_allclose(left["concentration"], left.points[:, 0], atol=1e-6)
    assert list(show.surfaces) == [1] == [i for i in (1, 2) if f"cells {i}" in plotter.actors]  # all of it lies beyond
    show.cut((0.0, 1.0, 0.0), (1.5, 1.0, 1.0))
    show.switch(1, False)
    assert list(show.surfaces) == [2] == [i for i in (1, 2) if f"cells {i}" in plotter.actors]
    assert show.surfaces[2].bounds == pytest.approx((2, 4, 0, 1, 0, 2))
    show.switch(1, True)
    assert show.surfaces[1].bounds == pytest.approx((0, 2, 0, 1, 0, 2))


def test_what_a_browser_asks_for(tmp_path, plotter):
    """Turned, cut, zoomed and set back in 3D; times between snapshots are linear; a point's curve is that of its x."""
    show = Show(load_results(results(tmp_path)), "concentration", plotter, 0)
    first = drawn(show, {})
    asked = ({"turn": "60,20"}, {"cut": "x", "depth": "0.3"}, {"zoom": "1.5"}, {"time": "2.5"}, {"phase1": "0"})
    pictures = [first, *(drawn(show, one) for one in asked)]
    assert all(one != other for one, other in pairwise(pictures))
    drawn(show, {"home": "1", "cut": "", "time": "0", "phase1": "1"})
    assert drawn(show, {}) != pictures[-1]
    show.go_to_time(2.5)
    for surface in show.surfaces.values():
        assert np.allclose(surface.point_data["concentration"], 2.5 + surface.points[:, 0])
    show.go_to_time(99.0)
    assert show.step == 2
    found = point_curve(show, {"x": "0.45", "y": "0.5"})
    (series,) = found["series"]
    assert np.allclose(np.subtract(series["y"], series["y"][0]), TIMES)
    assert point_curve(show, {"x": "0.001", "y": "0.999"}) is None
    with pytest.raises(ValueError, match="there is no phase 7"):
        drawn(show, {"phase7": "1"})
    for wrong in ("nan,1", "1"):
        with pytest.raises(ValueError, match="turn: expected two numbers"):
            drawn(show, {"turn": wrong})


def test_a_point_is_said_to_be_in_the_phase_that_was_clicked_on(tmp_path, plotter):
    """The nearest point lies on the border of both phases, whichever was clicked on."""
    show = Show(load_results(results(tmp_path, "quadrilateral")), "concentration", plotter, 0)
    plotter.render()
    titles = []
    for x in (1.9, 2.1):
        plotter.renderer.SetWorldPoint(x, 1.1, 0.0, 1.0)
        plotter.renderer.WorldToDisplay()
        across, up = np.array(plotter.renderer.GetDisplayPoint()[:2]) / plotter.window_size
        titles.append(point_curve(show, {"x": str(across), "y": str(1.0 - up)})["title"])
    assert [title.split(", at the")[0] for title in titles] == ["left at (2, 1) µm", "right at (2, 1) µm"]


def test_flat_results_are_moved(tmp_path, plotter):
    """By half of the picture's width, which puts what was in its middle at its edge."""
    show = Show(load_results(results(tmp_path, "triangle")), "concentration", plotter, 0)
    drawn(show, {})
    assert point_curve(show, {"x": "0.45", "y": "0.5"}) is not None
    drawn(show, {"move": "-0.3,0.1"})
    at = point_curve(show, {"x": "0.15", "y": "0.6"})["title"]
    drawn(show, {"home": "1"})
    assert point_curve(show, {"x": "0.45", "y": "0.5"})["title"] == at


def colours_of(picture):
    """The colours that fill at least a hundredth of a picture, white left out."""
    colours, counts = np.unique(np.asarray(picture).reshape(-1, 3), axis=0, return_counts=True)
    return [tuple(map(int, c)) for c in colours[counts > picture.shape[0] * picture.shape[1] / 100] if c.min() < 255]


def test_flat_results_have_the_colours_of_the_bar(tmp_path, plotter):
    folder = results(tmp_path, "quadrilateral")
    found = load_results(folder)
    object.__setattr__(found, "concentration", lambda step: np.full(len(found.points), float(step)))
    show = Show(found, "concentration", plotter, 1)
    for step in (1, 2):
        show.go_to(step)
        expected = np.array(colormaps["viridis"]((step + 1) / 5, bytes=True)[:3])
        (colour,) = colours_of(show.picture())
        assert np.abs(np.array(colour) - expected).max() <= 4


def test_phases_have_colours_of_their_own(tmp_path, plotter):
    show = Show(load_results(results(tmp_path, "triangle", 2)), "phase", plotter, 0)
    seen = colours_of(show.picture())
    assert sorted("#{:02x}{:02x}{:02x}".format(*c) for c in seen) == sorted(COLOURS[i].lower() for i in (1, 2))


# --- command ---


def test_screenshot_and_movie(tmp_path, capfd):
    folder = results(tmp_path, "triangle", 2)
    picture, film = tmp_path / "a.png", tmp_path / "a.gif"
    command = ["view", str(folder), "--screenshot", str(picture), "--movie", str(film)]
    assert main([*command, "--time", "1.2 s"]) == 2
    said = "--time: the results hold snapshots at 0, 1, 4 s, and none at 1.2 s; choose one of them"
    assert said in " ".join(capfd.readouterr().err.split())
    assert main([*command, "--time", "0.01667 min"]) == 0
    told = capfd.readouterr().err
    assert "WARN" not in told  # of VTK
    with Image.open(picture) as image:
        assert image.size == viewing.SIZE
        assert image.info["Title"] == "Two phases"
    with Image.open(film) as image:
        assert image.n_frames == 3
        assert image.info["duration"] == 1000
        frames = []
        for i in range(3):
            image.seek(i)
            frames.append(np.asarray(image.convert("RGB")))
    assert all((a != b).any() for a, b in pairwise(frames))
    assert main(command) == 2
    assert "a.png: this file exists already; choose another, or overwrite it with --force" in capfd.readouterr().err
    assert main([*command, "--force", "-q"]) == 0
    assert not list(tmp_path.glob(".*"))


def broken(name, text):
    def breaking(folder):
        (folder / name).write_text(text)

    return breaking


@pytest.mark.parametrize(
    ("breaking", "sentence"),
    [
        (
            lambda folder: (folder / "summary.json").unlink(),
            "there is no summary.json, so this is no folder",
        ),
        (lambda folder: (folder / "fields.vtkhdf").unlink(), "there is no fields.vtkhdf, which a run writes where"),
        (broken("fields.vtkhdf", "x"), r"fields.vtkhdf: can't be read as the fields of a run"),
        (broken("summary.json", "{}"), r"summary.json: expected the summary of a run \(KeyError"),
        (broken("summary.json", "{"), "summary.json: expected the summary of a run"),
    ],
)
def test_folders_that_are_none_of_a_run(tmp_path, breaking, sentence):
    folder = results(tmp_path)
    breaking(folder)
    with pytest.raises(InputError, match=sentence):
        view(folder, ViewRequest(screenshot=tmp_path / "new.png"))


def test_no_folder_at_all(tmp_path):
    with pytest.raises(InputError, match="there is no such folder"):
        view(tmp_path / "none", ViewRequest())
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="this is a file; name the folder"):
        view(tmp_path / "file", ViewRequest())
    (tmp_path / "case.toml").touch()
    with pytest.raises(InputError, match=r"this is a case file, expected results; .* microlith run .*case\.toml"):
        view(tmp_path / "case.toml", ViewRequest())


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({}, r"there is no display to open a window on; ask for --serve, --screenshot FILE.png or --movie FILE.gif"),
        ({"screenshot": "a.jpg"}, r"a.jpg: expected a file name ending in .png"),
        ({"movie": "a.avi"}, r"a.avi: expected a file name ending in .gif or .mp4"),
        ({"movie": "none/a.gif"}, "there is no folder .*none; make it, or name another"),
        ({"screenshot": "dir.png"}, "dir.png: this is a folder; name a file"),
        ({"movie": "a.gif", "variable": "phase"}, "phases don't change with time"),
        ({"movie": "a.gif", "time": "1 s"}, "a movie shows all snapshots"),
        ({"screenshot": "a.png", "time": "1"}, 'expected a time such as "10 s", got "1" without a unit'),
        ({"screenshot": "a.png", "time": "5 s"}, "snapshots at 0, 1, 4 s, and none at 5 s; choose one of them"),
    ],
)
def test_requests_that_cannot_be_met(tmp_path, options, sentence):
    folder = results(tmp_path)
    (tmp_path / "dir.png").mkdir()
    files = {key: tmp_path / value for key, value in options.items() if key in ("screenshot", "movie")}
    with pytest.raises(InputError, match=sentence):
        view(folder, ViewRequest(**(options | files)))
    assert {p.name for p in tmp_path.iterdir()} == {"fields.vtkhdf", "summary.json", "dir.png"}


def test_the_only_snapshot_is_named(tmp_path):
    folder = results(tmp_path, times=(4.0,))
    with pytest.raises(InputError, match="snapshots at 4 s, and none at 5 s; choose one of them"):
        view(folder, ViewRequest(screenshot=tmp_path / "a.png", time="5 s"))


def test_without_graphics_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.executable", "/bin/false")
    with pytest.raises(InputError, match="pictures can't be rendered here, which needs EGL"):
        view(results(tmp_path), ViewRequest(screenshot=tmp_path / "a.png"))


# --- movies ---


def test_mp4_without_ffmpeg(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(InputError, match=r"an .mp4 needs ffmpeg \(pip install imageio-ffmpeg\).*name a .gif"):
        movie.write_movie(tmp_path / "a.mp4", iter([]), 1)


def test_mp4_gets_every_picture_for_its_time(tmp_path, monkeypatch):
    """A program in place of ffmpeg keeps what it is told and given."""
    program = tmp_path / "ffmpeg"
    program.write_text('#!/bin/sh\nprintf "%s " "$@" >"$0.told"\nfor last; do :; done\ncat >"$last"\n')
    program.chmod(0o755)
    monkeypatch.setattr(movie, "ffmpeg", lambda: str(program))
    pictures = [np.full((4, 6, 3), i, np.uint8) for i in range(2)]
    movie.write_movie(tmp_path / "a.mp4", iter(pictures), 2)
    frames = np.frombuffer((tmp_path / "a.mp4").read_bytes(), np.uint8).reshape(-1, 72)
    assert frames.shape[0] == 2 * movie.RATE
    assert frames[:, 0].tolist() == [0] * movie.RATE + [1] * movie.RATE
    assert "-s 6x4" in (tmp_path / "ffmpeg.told").read_text()


def test_ffmpeg_that_fails_leaves_no_file(tmp_path, monkeypatch):
    program = tmp_path / "ffmpeg"
    program.write_text("#!/bin/sh\necho no such codec >&2\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setattr(movie, "ffmpeg", lambda: str(program))
    with pytest.raises(InputError, match=r"a.mp4: can't write here \(ffmpeg: no such codec\)"):
        movie.write_movie(tmp_path / "a.mp4", iter([np.zeros((400, 600, 3), np.uint8)] * 3), 3)
    assert {p.name for p in tmp_path.iterdir()} == {"ffmpeg"}


# --- pores, particles, colours ---

PHASES = PORE + SEI + transport("silicon", 2, "2e-14 m^2/s") + barrier("stone", 3)


@pytest.fixture(scope="module", params=[2, 3])
def run(request, tmp_path_factory):
    """Results of a case with pores at the left, silicon that holds 20 times as much, and two stones."""
    labels = np.ones((8, 12) if request.param == 2 else (6, 8, 12), np.uint8)
    labels[..., :2] = 0
    labels[..., 2:5, 6:9] = 2
    labels[..., 5:7, 4:6] = 3
    labels[..., :2, :2] = 3  # amid pores and the frame
    case = write_case(
        tmp_path_factory.mktemp("view"),
        labels,
        voxel="1 um",
        phases=PHASES,
        mesh='[mesh]\nmethod = "voxel"\ndegree = 1\nestimate = false\n',
        time='[time]\nend = "20000 s"\ntolerance = 1e-3\nsnapshots = ["1 s", "20000 s"]\n',
        regions="",
        more='[[interfaces]]\nbetween = ["sei", "silicon"]\npartition = 20\n[pictures]\ncolours = "cividis"\n',
    )
    return run_case(case, comm=MPI.COMM_SELF), labels


def shown(run, plotter, phases=None):
    folder, _ = run
    found = load_results(folder)
    return Show(found, "concentration", plotter, 1, viewing.look_of(folder, found, phases))


def test_bodies_have_the_areas_of_their_voxels(run, plotter):
    """In 2D all that is not solved for is covered; in 3D surfaces are closed: their volumes are those of the voxels."""
    show = shown(run, plotter)
    _, labels = run
    bodies = {show.results.names[body.phase]: body for body in show.look.bodies}
    assert list(bodies) == ["pore", "stone"]
    assert [body.source for body in bodies.values()] == [True, False]
    if labels.ndim == 2:
        # Behind the mesh too, where the nearest phase is that covers it, so that there is no gap at its edge
        assert sum(body.surface.area for body in bodies.values()) == pytest.approx(labels.size)
        assert bodies["pore"].surface.bounds[4] > 0
        return
    for name, index in (("pore", 0), ("stone", 3)):
        surface = bodies[name].surface.triangulate().clean(tolerance=1e-6)
        closed = surface.compute_normals(auto_orient_normals=True, consistent_normals=True)
        assert closed.n_open_edges == 0
        expected = np.count_nonzero(labels == index)
        assert abs(closed.volume) == pytest.approx(expected, rel=1e-6), name


def test_a_body_that_is_cut_open_covers_what_is_behind_it(tmp_path, plotter):
    """Its surface is that of the phase around it, too: of two colours in one place stripes came through."""
    z, y, x = np.indices((14, 14, 14)) + 0.5
    labels = np.where((x - 7) ** 2 + (y - 7) ** 2 + (z - 7) ** 2 < 30, 3, 1).astype(np.uint8)
    labels[..., :1] = 0
    case = write_case(
        tmp_path,
        labels,
        voxel="1 um",
        phases=PORE + SEI + barrier("stone", 3),
        mesh="[mesh]\nestimate = false\n",
        time='[time]\nend = "2 s"\ntolerance = 1e-2\nsnapshots = ["0 s"]\n',
        regions="",
    )
    found = load_results(run_case(case, comm=MPI.COMM_SELF))
    show = Show(found, "concentration", plotter, 0, viewing.look_of(tmp_path / "results", found, ("sei", "stone")))
    show.look_along((0.0, 0.0, -1.0))
    picture = show.picture().astype(int)
    grey = np.ptp(picture, axis=2) < 12
    rows, columns = np.nonzero(grey & (picture.max(axis=2) < 200))
    middle = np.abs(columns - np.median(columns)) + np.abs(rows - np.median(rows)) < 25
    top, left = int(np.median(rows)) - 15, int(np.median(columns)) - 15
    assert middle.sum() > 1000
    assert grey[top : top + 30, left : left + 30].all()


def test_pores_are_hidden_at_first(run, plotter):
    show = shown(run, plotter)
    assert {show.results.names[phase]: on for phase, on in show.shown.items()} == {
        "pore": False, "sei": True, "silicon": True, "stone": True
    }  # fmt: skip
    show.switch(0, True)
    assert sorted(show.surfaces) == [0, 1, 2, 3]
    assert shown(run, plotter, ("pore", "silicon")).shown == {0: True, 1: False, 2: True, 3: False}


def test_a_hidden_phase_leaves_white_where_it_is(run, plotter):
    """In 2D the areas of others go on behind it, and were seen in its place; in 3D there is nothing."""
    show = shown(run, plotter, ("pore", "stone"))
    show.uncut()
    show.look_along((0.0, 0.0, -1.0))
    picture = show.picture()
    _, labels = run
    seen = labels if labels.ndim == 2 else labels[0]  # pixels of 1 µm
    for phase, colour in ((0, None), (1, (255, 255, 255)), (2, (255, 255, 255)), (3, None)):
        for row, column in np.argwhere(seen == phase):
            if labels.ndim == 3 and phase in (1, 2) and (labels[:, row, column] == 3).any():
                continue
            plotter.renderer.SetWorldPoint(column + 0.5, row + 0.5, 0.0, 1.0)
            plotter.renderer.WorldToDisplay()
            across, up, _ = plotter.renderer.GetDisplayPoint()
            found = tuple(picture[picture.shape[0] - 1 - round(up), round(across)])
            assert (found == (255, 255, 255)) == (colour is not None), (phase, row, column, found)


def test_names_of_phases_stand_on_their_colours_beside_the_picture(run, plotter):
    folder, _ = run
    found = load_results(folder)
    Show(found, "phase", plotter, 1, viewing.look_of(folder, found, None))
    names = {name: actor for name, actor in plotter.actors.items() if name.startswith("name ")}
    assert [actor.GetInput().strip() for actor in names.values()] == ["sei", "silicon", "stone"]
    corners = np.array(list(itertools.product(*np.array(plotter.bounds).reshape(3, 2))))
    across = []
    for corner in corners:
        plotter.renderer.SetWorldPoint(*corner, 1.0)
        plotter.renderer.WorldToDisplay()
        across.append(plotter.renderer.GetDisplayPoint()[0])
    for actor in names.values():
        box = np.zeros(4)
        actor.GetBoundingBox(plotter.renderer, box)
        assert max(across) < actor.GetPositionCoordinate().GetComputedDisplayValue(plotter.renderer)[0] + box[0]


def test_each_scale_has_its_bar(run, plotter):
    show = shown(run, plotter)
    assert [(scale.phases, scale.high) for scale in show.look.scales] == [(("sei",), 1000), (("silicon",), 20000)]
    bars = [actor for name, actor in plotter.actors.items() if name.startswith("bar")]
    assert sorted(bar.GetLookupTable().GetRange()[1] for bar in bars) == [1000, 20000]
    assert {bar.GetTitle() for bar in bars} == {"sei\nmol/m³", "silicon\nmol/m³"}
    assert show.look.colours == "cividis"
    # What is full has the last colour, whatever it holds
    colour = np.array(colormaps["cividis"](1.0, bytes=True)[:3])
    values = {1: 1000.0, 2: 20000.0}
    rows = np.zeros(len(show.results.points))
    for phase, value in values.items():
        rows[np.unique(show.results.cells[show.results.phase == phase])] = value
    object.__setattr__(show.results, "concentration", lambda step: rows)
    if show.results.dim == 2:
        show.go_to(1)
        assert (np.abs(show.picture().astype(int) - colour).max(axis=2) <= 4).mean() > 0.1


def test_numbers_are_upright_and_in_micrometres(run, plotter):
    from vtkmodules.vtkRenderingCore import vtkBillboardTextActor3D

    shown(run, plotter)
    labels = [actor for actor in plotter.actors.values() if isinstance(actor, vtkBillboardTextActor3D)]
    texts = [label.GetInput() for label in labels]
    assert {"x / µm", "y / µm"} <= set(texts)
    assert {"0", "2", "5", "10"} <= set(texts)
    assert all(label.GetTextProperty().GetOrientation() == 0 for label in labels)  # billboards: along the screen


def test_keys_do_what_their_hints_say(run, plotter):
    show = shown(run, plotter)
    controls = Controls(show)
    text = controls.hint_text()
    assert "left/right: snapshots" in text
    assert ("c: cut on/off" in text) == (show.results.dim == 3)
    assert "hints" in plotter.actors
    keys = set(controls.keys())
    events = {key: calls[0] for key, calls in plotter.iren._key_press_event_callbacks.items() if key in keys}
    assert set(events) == keys
    events["Left"]()
    assert show.step == 0
    events["Left"]()  # no further
    assert show.step == 0
    events["Right"]()
    assert show.step == 1
    events["h"]()
    assert "hints" not in plotter.actors
    if show.results.dim == 3:
        volume = show.surfaces[1].bounds
        events["c"]()
        assert show.plane is None
        assert show.surfaces[1].bounds != volume
        events["c"]()
        assert show.surfaces[1].bounds == volume
        events["x"]()
        assert np.allclose(np.array(plotter.camera.direction), (-1, 0, 0), atol=1e-9)


@pytest.mark.parametrize(
    ("screen", "size"),
    [((1920, 1080), (1224, 918)), ((3840, 2160), (1280, 960)), ((1366, 768), (870, 653)), ((0, 0), (1280, 960))],
)
def test_window_fits_the_screen(screen, size):
    assert viewing.fitting((1280, 960), screen) == size


@pytest.mark.parametrize(
    ("phase", "sentence"),
    [("rihgt", 'there is no such phase; did you mean "right"'), ("pore", "this run left nothing of it to show")],
)
def test_phases_that_cannot_be_shown(tmp_path, phase, sentence):
    with pytest.raises(InputError, match=rf"--show {phase}: {sentence}"):
        view(results(tmp_path), ViewRequest(screenshot=tmp_path / "a.png", show=(phase,)))


def test_screenshot_of_pores_and_stones(run, tmp_path, capsys):
    folder, _ = run
    picture = tmp_path / "a.png"
    assert main(["view", str(folder), "--show", "pore", "--show", "stone", "--screenshot", str(picture)]) == 0
    with Image.open(picture) as image:
        assert len(np.unique(np.asarray(image.convert("RGB")).reshape(-1, 3), axis=0)) > 20
