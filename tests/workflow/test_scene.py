"""Scenes of 3D runs: surfaces of known area on any ranks, exact concentrations, few bytes, and what a browser draws."""

import base64
import json

import made_meshes
import numpy as np
import pytest
from browser import browser
from made_cases import PHASES, run_case, write_case

from dolfinx import fem
from mpi4py import MPI

from microlith.meshing.distribution.in_place import mesh_in_place
from microlith.solver.physics.phases import Role
from microlith.workflow.pictures.colour_scales import ColourScale
from microlith.workflow.pictures.sample import Sample, Snapshots
from microlith.workflow.rendering.cutaway import vertices_of
from microlith.workflow.report.page import Page
from microlith.workflow.scene import scene as scenes
from microlith.workflow.scene.scene import shown_times, write_scene
from microlith.workflow.scene.surfaces import surfaces

COMM = MPI.COMM_WORLD
NAMES = ("pore", "sei", "particle", "active")
PORE, SEI, PARTICLE, ACTIVE = range(4)
ROLES = (Role.SOURCE, Role.TRANSPORT, Role.BARRIER, Role.TRANSPORT)
HOSTILE = "</script><script>document.title='taken'</script>"


def sample_of(shape, comm=COMM, names=NAMES):
    """6 x 6 x 6 voxels: SEI, a particle and an active one of 2 x 2 x 2 voxels within it, and a pore at x_min."""
    labels = np.full((6, 6, 6), SEI, np.uint8)  # z, y, x
    labels[:, :, 0] = PORE
    labels[1:3, 1:3, 2:4] = PARTICLE
    labels[3:5, 3:5, 3:5] = ACTIVE
    parts = made_meshes.voxels_as_cells(labels, names, shape, comm, lambda cell: cell // 7 % comm.size)
    return Sample("Block", mesh_in_place(parts, [SEI, ACTIVE], comm), ROLES)


def linear(sample, degree=1):
    """Space and values x + 10 z of the concentration, in units of voxels."""
    space = fem.functionspace(sample.mesh.mesh, ("Lagrange", degree))
    function = fem.Function(space)
    function.interpolate(lambda x: x[0] + 10 * x[2])
    return space, function.x.array


def scale(high=66.0):
    return (ColourScale(("sei", "active"), 0.0, high, 0.0, high),)


@pytest.mark.mpi
@pytest.mark.parametrize("shape", ["tetrahedron", "hexahedron"])
def test_areas_of_surfaces(shape):
    """Each facet once, whichever rank has it: faces of 1 x 1 voxels can be counted."""
    sample = sample_of(shape)
    vertices = vertices_of(fem.functionspace(sample.mesh.mesh, ("Lagrange", 1)))
    areas = {}
    for one in surfaces(sample.mesh, sample.solved, sample.empty, vertices):
        p, q, r = np.moveaxis((one.sheet.weights @ vertices.x)[one.sheet.cells], 1, 0)
        area = 0.5 * np.linalg.norm(np.cross(q - p, r - p), axis=1).sum()
        areas[one.phase, one.towards] = COMM.allreduce(area)
    assert areas[SEI, PARTICLE] == pytest.approx(24)
    assert areas[SEI, ACTIVE] == pytest.approx(24) == areas[ACTIVE, SEI]
    assert areas[SEI, None] == pytest.approx(2 * 36 + 4 * 30)  # the pore's face, x_max, and four sides of five voxels
    assert areas[ACTIVE, None] == 0


def read(path):
    """Scene, and points, cells and levels of each layer."""
    scene = json.loads(path.read_text(encoding="utf-8"))

    def array(text, kind):
        return np.frombuffer(base64.b64decode(text), kind)

    layers = {}
    for layer in scene["layers"]:
        places = array(layer["position"], "<u2").reshape(-1, 3) / 65535 * max(scene["extent_um"])
        levels = [array(values, "<u2") / 65535 for values in layer["values"]]
        layers[layer["phase"], layer["towards"]] = places, array(layer["cells"], "<u4").reshape(-1, 3), levels
    return scene, layers


@pytest.mark.mpi
@pytest.mark.parametrize("most", [scenes.MOST_TRIANGLES, 150])
def test_concentrations_on_the_surfaces(tmp_path, monkeypatch, most):
    """Right where they are, on any ranks and with points left out; to 16 bits."""
    monkeypatch.setattr(scenes, "MOST_TRIANGLES", most)
    sample = sample_of("tetrahedron")
    space, values = linear(sample)
    path = COMM.bcast(tmp_path) / "scene.json"
    write_scene(path, sample, Snapshots(space, (1.0, 2.0), iter((values, 0.5 * values)), scale()))
    scene, layers = COMM.bcast(read(path) if COMM.rank == 0 else None)
    assert set(layers) == {("sei", "particle"), ("sei", "active"), ("sei", None), ("active", "sei")}
    assert scene["times"] == ["1 s", "2 s"]
    edge = max(scene["extent_um"]) / 6
    for places, cells, (whole, half) in layers.values():
        assert cells.max() < len(places)
        x = places / edge
        assert np.abs(66 * whole - (x[:, 0] + 10 * x[:, 2])).max() < 0.01
        assert np.abs(half - 0.5 * whole).max() < 1e-4
    assert scene["triangles"] == sum(len(cells) for _, cells, _ in layers.values()) <= most
    assert scene["triangles_of_mesh"] == 2 * (3 * 24 + 192)
    if most > 1000:
        places = layers["sei", "particle"][0] / edge
        assert places.min(axis=0) == pytest.approx([2, 1, 1], abs=1e-3)
        assert places.max(axis=0) == pytest.approx([4, 3, 3], abs=1e-3)


@pytest.mark.mpi
def test_run_in_3d_has_a_scene(tmp_path):
    """In its folder, among its files, and in its report; as many triangles on any ranks."""
    folder = COMM.bcast(tmp_path)
    image = np.ones((5, 5, 12), np.uint8)
    image[:, :, :2] = 0
    time = '[time]\nend = "1 s"\ntolerance = 1e-3\nsnapshots = ["0 s", "1 s"]\n'
    mesh = '\n[mesh]\nmethod = "voxel"\nestimate = false\n'
    if COMM.rank == 0:
        write_case(folder, image, phases=PHASES[: PHASES.index("[phases.particle]")], mesh=mesh, time=time, regions="")
    COMM.barrier()
    results = run_case(folder / "case.toml")
    scene = json.loads((results / "scene.json").read_text(encoding="utf-8"))
    assert scene["triangles"] == 2 * (2 * 25 + 4 * 50)
    assert [len(layer["values"]) for layer in scene["layers"]] == [2]
    assert scene["extent_um"] == [0.12, 0.05, 0.05]
    page = (results / "report.html").read_text(encoding="utf-8")
    assert '<div class="scene">' in page
    assert "gl.drawElements" in page
    assert len(page) < 4e6
    assert "scene.json" in json.loads((results / ".microlith.json").read_text())["files"]["run"]


def test_snapshots_of_a_scene():
    assert shown_times([]) == []
    assert shown_times([5.0]) == [0]
    assert shown_times([0.0, 1.0, 2.0]) == [0, 1, 2]
    assert shown_times(list(range(50))) == [0, 10, 20, 29, 39, 49]


def test_size_of_a_scene():
    """With as many triangles and snapshots as it may have, in bytes: a few MB."""
    points = scenes.MOST_TRIANGLES / 2 * 1.2
    size = 4 / 3 * (points * (6 + 2 * scenes.MOST_SNAPSHOTS) + 12 * scenes.MOST_TRIANGLES)
    assert size < 4e6


def test_browser_draws_turns_and_cuts(tmp_path):
    """WebGL by the processor: colours in the middle that change with the snapshot, another view after a drag."""
    from PIL import Image
    from selenium.webdriver import ActionChains
    from selenium.webdriver.common.by import By

    sample = sample_of("tetrahedron", MPI.COMM_SELF, (*NAMES[:2], HOSTILE, NAMES[3]))
    space, values = linear(sample)
    write_scene(tmp_path / "scene.json", sample, Snapshots(space, (1.0, 2.0), iter((0 * values, values)), scale()))
    Image.new("RGB", (30, 20), (9, 8, 7)).save(tmp_path / "shot.png")
    page = Page("Block")
    page.picture(tmp_path / "shot.png", "after 2 s", "snapshot")
    page.scene(tmp_path / "scene.json")
    (tmp_path / "page.html").write_text(page.html(), encoding="utf-8")
    pixel = """const gl = document.querySelector('.scene-view').getContext('webgl2'), found = new Uint8Array(4);
        gl.readPixels(gl.drawingBufferWidth / 2, gl.drawingBufferHeight / 2, 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, found);
        return [...found]"""
    change = "arguments[0].value = arguments[1]; arguments[0].dispatchEvent(new Event(arguments[2]))"
    with browser(tmp_path) as chrome:
        chrome.get((tmp_path / "page.html").as_uri())
        assert chrome.title == "Block"
        box = chrome.find_element(By.CLASS_NAME, "scene")
        if box.get_attribute("data-drawn") is None:
            pytest.skip("this Chromium has no WebGL")
        assert not [entry for entry in chrome.get_log("browser") if entry["level"] == "SEVERE"]
        names = [button.text for button in box.find_elements(By.TAG_NAME, "button")]
        assert names == [
            f"{HOSTILE}, in sei",
            "active, in sei",
            "sei, sources and faces",
            "sei, in active",
            "as at first",
        ]
        assert "66 mol/m³" in box.text
        box.find_elements(By.TAG_NAME, "button")[2].click()  # the faces, too: something is in the middle
        late = chrome.execute_script(pixel)
        assert late[:3] != [255, 255, 255]
        moments, _ = box.find_elements(By.TAG_NAME, "select")
        chrome.execute_script(change, moments, 0, "change")
        early = chrome.execute_script(pixel)
        assert early[2] > early[1], "nothing is there yet: the dark end of the map"
        assert early != late
        chrome.execute_script(change, moments, 1, "change")
        canvas = box.find_element(By.CLASS_NAME, "scene-view")
        whole = canvas.screenshot_as_png
        ActionChains(chrome).move_to_element(canvas).click_and_hold().move_by_offset(90, 40).release().perform()
        turned = canvas.screenshot_as_png
        assert turned != whole
        chrome.execute_script(change, box.find_element(By.CSS_SELECTOR, "input"), 0.0, "input")
        assert canvas.screenshot_as_png != turned
        box.find_elements(By.TAG_NAME, "button")[-1].click()
        assert canvas.screenshot_as_png == whole
        without = "HTMLCanvasElement.prototype.getContext = () => null"
        chrome.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": without})
        chrome.refresh()
        box = chrome.find_element(By.CLASS_NAME, "scene")
        assert "no WebGL" in box.text
        assert box.find_element(By.TAG_NAME, "img").get_attribute("naturalWidth") == "30"
