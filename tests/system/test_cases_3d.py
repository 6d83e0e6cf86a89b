"""The volumes and case files of cases/aged-anode-3d: what their comments claim, checked on the files themselves."""

import runpy
import tomllib
from dataclasses import replace

import numpy as np
import pytest
import tifffile
from places import CASES
from scipy import ndimage

from microlith.solver.regions.shapes import Ball, Shell, WholePhase
from microlith.workflow.case.read import load_case

ANODE = CASES / "aged-anode-3d"
NAMES = ("aged", "pristine")
PORE, MATRIX, PARTICLE = 0, 1, 2
VOXEL = np.array([40e-9, 20e-9, 20e-9])  # z, y, x


@pytest.fixture(scope="module")
def volumes():
    return {name: tifffile.imread(ANODE / f"{name}.tif") for name in NAMES}


@pytest.fixture(scope="module")
def script():
    pytest.importorskip("skimage")
    return runpy.run_path(str(ANODE / "make_images.py"))


@pytest.fixture(scope="module")
def depth(volumes):
    """Distance to the nearest pore in the corner of the aged volume that the demo takes, metres."""
    corner = volumes["aged"][:150, :150, :150]
    return ndimage.distance_transform_edt(corner != PORE, sampling=VOXEL)[:125, :125, :125]


def sections(volume):
    """Areas of the particles in every tenth slice, m^2, without specks; and the area of those slices."""
    areas = [np.bincount(ndimage.label(page == PARTICLE)[0].ravel())[1:] for page in volume[::10]]
    areas = np.concatenate(areas)
    return areas[areas >= 10] * VOXEL[1] * VOXEL[2], volume[::10].size * VOXEL[1] * VOXEL[2]


def voxels_of(ball):
    """Slices that bound a ball, and the mask of its voxels in there."""
    low = [int((c - ball.radius) / edge) for c, edge in zip(ball.center[::-1], VOXEL, strict=True)]
    high = [int((c + ball.radius) / edge) + 1 for c, edge in zip(ball.center[::-1], VOXEL, strict=True)]
    at = np.ogrid[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
    squares = sum(((i + 0.5) * edge - c) ** 2 for i, edge, c in zip(at, VOXEL, ball.center[::-1], strict=True))
    return tuple(slice(a, b) for a, b in zip(low, high, strict=True)), squares <= ball.radius**2


def test_volumes_have_the_published_shares(volumes):
    pristine_pores = 0.3754
    pores = {"aged": pristine_pores * (1 - 0.588), "pristine": pristine_pores}
    matrix = {"aged": 0.63985, "pristine": 0.63985 / 1.333}
    for name, volume in volumes.items():
        assert volume.shape == (200, 250, 250)
        assert volume.dtype == np.uint8
        shares = [np.count_nonzero(volume == label) / volume.size for label in range(3)]
        assert sum(shares) == 1
        assert shares[MATRIX] == pytest.approx(matrix[name], abs=5e-6), name
        assert shares[PORE] == pytest.approx(pores[name], abs=1e-3), name
    by_slice = (volumes["pristine"] == PORE).mean(axis=(1, 2))
    assert 0.2836 < by_slice.min() < 0.34  # published: 0.2836 to 0.4465
    assert 0.42 < by_slice.max() < 0.4465


def test_particles_shrink_and_multiply_as_published(volumes):
    number = {}
    for name, mean in (("aged", 0.33e-6), ("pristine", 0.90e-6)):
        areas, total = sections(volumes[name])
        assert np.sqrt(4 / np.pi * areas).mean() == pytest.approx(mean, rel=0.05), name
        number[name] = len(areas) / total
    assert number["aged"] / number["pristine"] == pytest.approx(10, rel=0.15)


def test_lithium_can_reach_all_of_both_anodes(volumes):
    for name, volume in volumes.items():
        assert ndimage.label(volume == MATRIX)[1] == 1, name
        pores, count = ndimage.label(volume == PORE)
        sizes = np.bincount(pores[pores > 0])[1:] * VOXEL.prod()
        if name == "pristine":  # open everywhere
            assert sizes.max() > 0.99 * sizes.sum()
        else:  # what is left is closed off, and micrometres across
            assert count == 11
            assert sizes.min() > 0.3e-18
            assert np.cbrt(6 / np.pi * sizes).mean() > 1e-6


def test_pores_of_the_aged_anode_keep_a_skin(volumes):
    aged = volumes["aged"]
    assert not (ndimage.binary_dilation(aged == PORE) & (aged == PARTICLE)).any()
    pristine = volumes["pristine"]  # bare particles here and there
    assert (ndimage.binary_dilation(pristine == PORE) & (pristine == PARTICLE)).any()


@pytest.mark.parametrize("name", NAMES)
def test_files_hold_their_voxel_size(name, tmp_path):
    with tifffile.TiffFile(ANODE / f"{name}.tif") as file:
        assert len(file.pages) == 200
        tags = file.pages[0].tags
        count, per = tags["XResolution"].value
        assert tags["XResolution"].value == tags["YResolution"].value
        assert file.imagej_metadata["unit"] == "um"
        assert (file.imagej_metadata["spacing"] * 1e-6, per / count * 1e-6) == pytest.approx(VOXEL[:2])
        assert tags["Compression"].value == 8  # deflate
    assert sum((ANODE / f"{other}.tif").stat().st_size for other in NAMES) < 2_000_000


@pytest.mark.parametrize("name", NAMES)
def test_volumes_are_what_their_script_makes(volumes, script, name):
    made = script["make"](script["ANODES"][name])
    # Rounding in other versions of the libraries may move a voxel.
    assert np.count_nonzero(made != volumes[name]) <= 200


@pytest.mark.parametrize("name", ["case.toml", "full.toml"])
def test_regions_go_from_pore_to_depth(volumes, depth, name):
    case = load_case(ANODE / name)
    near = {}
    for region, shape in case.regions.items():
        if isinstance(shape, Ball):
            box, inside = voxels_of(shape)
            labels = volumes["aged"][box][inside]
            assert max(part.stop for part in box) <= 125  # within the demo's part
            assert (labels == PORE).mean() < 1e-3, region
            near[region] = depth[box][inside & (volumes["aged"][box] == MATRIX)].mean() * 1e6
            if region in ("I", "II", "III", "IV"):
                assert 0.1 < (labels == PARTICLE).mean() < 0.35  # particles to be reached
    measured = [near[region] for region in ("I", "II", "III", "IV", "pore_side", "far_side")]
    np.testing.assert_allclose(measured, [0.2, 0.6, 1.2, 2.1, 0.2, 1.1], atol=0.06)  # as the case file says


def test_two_sides_are_those_of_one_particle(volumes):
    case = load_case(ANODE / "case.toml")
    bodies, _ = ndimage.label(volumes["aged"][:125, :125, :125] == PARTICLE)
    touched = []
    for region in ("pore_side", "far_side"):
        box, inside = voxels_of(case.regions[region])
        touched.append(np.bincount(bodies[box][inside])[1:].argmax() + 1)
    assert touched[0] == touched[1]
    diameter = np.cbrt(6 / np.pi * np.count_nonzero(bodies == touched[0]) * VOXEL.prod())
    assert diameter == pytest.approx(0.6e-6, rel=0.05)


def test_script_names_the_regions_of_the_case(script):
    case = load_case(ANODE / "case.toml")
    for name, sphere in script["SPHERES"].items():
        ball = case.regions[name]
        assert (*ball.center, ball.radius) == pytest.approx(np.array(sphere) * 1e-6)


def test_cases_differ_only_where_they_say():
    demo, full, pristine = (
        tomllib.loads((ANODE / name).read_text(encoding="utf-8"))
        for name in ("case.toml", "full.toml", "pristine.toml")
    )
    assert {key for key in demo if demo[key] != full[key]} == {"title", "image"}
    assert {key for key in demo if demo[key] != pristine[key]} == {"title", "image", "regions"}
    assert full["image"] == {key: value for key, value in demo["image"].items() if key != "crop"}
    assert {**demo["image"], "file": "pristine.tif"} == pristine["image"]


def test_physics_is_that_of_the_2d_case():
    flat, solid = (load_case(CASES / name / "case.toml") for name in ("aged-anode-2d", "aged-anode-3d"))
    assert flat.physics == solid.physics
    assert flat.time.snapshots == solid.time.snapshots


def curves_of(name):
    """Curves of a case on cubes of 100 x 100 x 200 nm at 0.5, 2, 10 and 100 s, over the source concentration."""
    from microlith.solver.transient import solve
    from microlith.workflow.prepare import assemble

    case = load_case(ANODE / name)
    regions = {region: shape for region, shape in case.regions.items() if not isinstance(shape, Shell)}
    case = replace(
        case,
        image=replace(case.image, coarsen=5),
        mesh=replace(case.mesh, method="voxel", size={}, size_max=None),
        regions={**regions, "all": WholePhase("sei_cb")},
    )
    ready = assemble.prepared(case)
    found = solve(ready.problem, ready.means, replace(case.time, times=(0.5, 2.0, 10.0, 100.0)), case.solver)
    return {region: np.array(curve) / 1000.0 for region, curve in found.curves.items()}


def test_ageing_makes_lithium_slow_and_uneven():
    """What the paper concludes, on a mesh that a test can afford; the README has the figures of a fine one."""
    aged, pristine = curves_of("case.toml"), curves_of("pristine.toml")
    at_10 = {region: curve[2] for region, curve in aged.items()}
    assert at_10["I"] > 0.9  # beside a pore, in under 10 s
    assert at_10["I"] > at_10["II"] > at_10["III"] > at_10["IV"]
    assert aged["IV"][3] < 0.4
    assert at_10["pore_side"] > 4 * at_10["far_side"]  # two sides of one particle
    assert pristine["all"][1] > 2 * aged["all"][2]  # sooner after 2 s than after 10 s
    np.testing.assert_allclose(pristine["near"][1:], pristine["deep"][1:], atol=0.15)  # deep is not far from a pore
