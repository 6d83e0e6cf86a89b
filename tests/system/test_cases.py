"""The images and case files of cases/: what their comments claim, checked on the files themselves."""

import json
import re
import runpy
import shutil
import tomllib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from closed_forms import slab_mean
from PIL import Image
from places import CASES
from scipy import ndimage
from scipy.optimize import brentq

from microlith.solver.regions.shapes import Box
from microlith.workflow.case.read import load_case

ANODE = CASES / "aged-anode-2d"
PORE, MATRIX, PARTICLE = 0, 1, 2
PIXEL = 12.5e-9


@pytest.fixture(scope="module")
def anode():
    return tifffile.imread(ANODE / "image.tif")


def test_anode_has_the_published_shares(anode):
    assert anode.shape == (640, 400)  # y, x
    assert anode.dtype == np.uint8
    shares = np.bincount(anode.ravel()) / anode.size
    assert shares[MATRIX] == pytest.approx(0.63985, abs=5e-6)  # to the pixel
    assert shares[PORE] == pytest.approx(0.3754 * (1 - 0.588), abs=1e-3)
    assert len(shares) == 3


def test_anode_has_the_published_particles(anode):
    pieces, count = ndimage.label(anode == PARTICLE)
    diameters = np.sqrt(4 / np.pi * np.bincount(pieces.ravel())[1:]) * PIXEL
    assert count > 60
    assert diameters.mean() == pytest.approx(0.33e-6, rel=0.05)
    assert diameters.max() < 1e-6
    # Rough: their edges are longer than those of disks in the same raster, whose edge is 4/pi times the circle
    edges = np.count_nonzero(np.diff(anode == PARTICLE, axis=0)) + np.count_nonzero(np.diff(anode == PARTICLE, axis=1))
    assert edges * PIXEL > 1.15 * 4 / np.pi * np.pi * diameters.sum()


def test_anode_pores_are_of_micrometres_and_everything_else_is_reached(anode):
    pieces, count = ndimage.label(anode == PORE)
    sizes = np.bincount(pieces.ravel())[1:] * PIXEL**2
    assert count == 5
    assert sizes.min() > 0.5e-12
    assert ndimage.label(anode == MATRIX)[1] == 1  # no island of SEI/C/B that lithium can't reach


def test_anode_file_holds_its_voxel_size():
    with tifffile.TiffFile(ANODE / "image.tif") as file:
        tags = file.pages[0].tags
        count, per = tags["XResolution"].value
        assert tags["XResolution"].value == tags["YResolution"].value
        assert file.imagej_metadata["unit"] == "um"
        assert per / count * 1e-6 == pytest.approx(PIXEL)
        assert tags["Compression"].value == 8  # deflate
    assert (ANODE / "image.tif").stat().st_size < 20_000


def test_anode_image_is_what_its_script_makes(anode):
    pytest.importorskip("skimage")
    made = runpy.run_path(str(ANODE / "make_image.py"))["make"]()
    # Rounding in other versions of the libraries may move a pixel.
    assert np.count_nonzero(made != anode) <= 20


def regions_of(case):
    """Slices of the boxes, in pixels."""
    for name, box in case.regions.items():
        if isinstance(box, Box):
            yield name, tuple(slice(*(round(edge / PIXEL) for edge in box.bounds[axis])) for axis in "yx")


@pytest.mark.parametrize("name", ["case.toml", "paper-scale.toml", "as-printed.toml"])
def test_anode_regions_go_from_pore_to_depth(anode, name):
    case = load_case(ANODE / name)
    assert list(case.regions) == ["I", "II", "III", "IV", "particles"]
    depth = ndimage.distance_transform_edt(anode != PORE) * PIXEL * 1e6
    near = {}
    for region, box in regions_of(case):
        labels = anode[box]
        assert labels.shape == (40, 40)
        assert PORE not in labels
        assert (labels == PARTICLE).mean() > 0.03  # particles to be reached
        near[region] = depth[box].mean()
    np.testing.assert_allclose(list(near.values()), [0.2, 0.7, 1.3, 2.1], atol=0.05)  # as the case file says
    assert near["IV"] < depth.max()


def test_anode_script_names_the_regions_of_the_case():
    script = runpy.run_path(str(ANODE / "make_image.py"))["REGIONS"]
    for name, (y, x) in regions_of(load_case(ANODE / "case.toml")):
        first_x, first_y, edge = (round(v * 1e-6 / PIXEL) for v in script[name])
        assert (x, y) == (slice(first_x, first_x + edge), slice(first_y, first_y + edge))


def test_anode_cases_differ_only_where_they_say():
    demo, paper, printed = (
        tomllib.loads((ANODE / name).read_text(encoding="utf-8"))
        for name in ("case.toml", "paper-scale.toml", "as-printed.toml")
    )
    assert {key for key in demo if demo[key] != paper[key]} == {"title", "mesh"}
    assert {key for key in demo if demo[key] != printed[key]} == {"title", "phases", "time"}
    assert demo["phases"]["sei_cb"].pop("diffusivity") == "3.01e-10 cm^2/s"
    assert printed["phases"]["sei_cb"].pop("diffusivity") == "3.01e-10 m^2/s"
    assert demo["phases"] == printed["phases"]


def test_anode_physics_is_the_papers():
    case, printed = load_case(ANODE / "case.toml"), load_case(ANODE / "as-printed.toml")
    pore, matrix, particle = case.physics.phases
    assert (pore.concentration, pore.mass_transfer) == (1000.0, 1e-3)
    assert matrix.effective_diffusivity == pytest.approx(3.01e-14 * 0.63985**1.5, rel=1e-6, abs=0)
    assert particle.role == "barrier"
    assert case.time.snapshots == (0.0, 2.0, 10.0, 100.0)
    ratio = printed.physics.phases[1].effective_diffusivity / matrix.effective_diffusivity
    assert ratio == pytest.approx(1e4)
    assert np.array(case.time.snapshots) / ratio == pytest.approx(printed.time.snapshots)


def test_slab_is_a_slab():
    labels = np.asarray(Image.open(CASES / "slab" / "image.png"))
    assert labels.shape == (20, 104)
    assert (labels[:, :4] == 0).all()
    assert (labels[:, 4:] == 1).all()
    case = load_case(CASES / "slab" / "case.toml")
    slab = case.physics.phases[1]
    length = 100 * case.image.voxel_size[0]
    assert length**2 * slab.porosity / slab.effective_diffusivity == pytest.approx(100.0)  # s
    # Times that the case file gives for the mean (Crank 1975, section 4.3.2)
    n = np.arange(200) * 2 + 1
    for seconds, share in ((19.67, 0.5), (84.8, 0.9)):
        mean = 1 - 8 / np.pi**2 * np.sum(np.exp(-(n**2) * np.pi**2 * seconds / 100 / 4) / n**2)
        assert mean == pytest.approx(share, abs=1e-3)


MADE = (
    "ageing",
    "depth-of-discharge",
    "fibres",
    "framework",
)  # cases whose images are made by their script and not kept


CASE_FILES = [path for path in sorted(CASES.rglob("*.toml")) if not path.stem.endswith("-segment")]


@pytest.mark.parametrize("path", CASE_FILES, ids=lambda p: f"{p.parent.name}/{p.name}")
def test_every_case_file_is_valid(path, tmp_path):
    if path.parent.name in MADE:  # images and labels are looked for, not into
        folder = tmp_path / "cases" / "case"  # images may lie in ../../results
        folder.mkdir(parents=True)
        path = Path(shutil.copy(path, folder))
        for name in re.findall(r'"([^"]+\.tif)"', path.read_text()):
            file = (folder / name).resolve()
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch()
    case = load_case(path)
    assert Path(case.image.path).exists()
    assert case.regions


def test_slab_case_against_its_closed_form(tmp_path):
    """The figures of cases/slab/README.md."""
    from microlith.workflow.run import pipeline

    pipeline.run(load_case(CASES / "slab" / "case.toml"), tmp_path / "out", force=False)
    found = json.loads((tmp_path / "out" / "summary.json").read_text())["regions"]
    for name, (a, b) in {"slab": (0.0, 1.0), "near": (0.0, 0.2), "far": (0.8, 1.0)}.items():
        for key, value in (("t50_s", 0.5), ("t90_s", 0.9)):
            exact = brentq(lambda t, a=a, b=b, v=value: slab_mean([t], a, b, 1.0, 1e-2)[0] - v, 1e-3, 400.0)
            assert found[name][key] == pytest.approx(exact, rel=3e-5), (name, key)
