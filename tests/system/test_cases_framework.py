"""cases/framework: the image is what its README claims, and lithium leaves as it says; on smaller particles."""

import runpy
import shutil

import numpy as np
import pytest
from places import CASES
from scipy import ndimage
from scipy.integrate import solve_ivp

import microlith as ml

FOLDER = CASES / "framework"
PORE, SILICON, OUTSIDE = 0, 1, 2
START, END, SLOW, FAST, JUMP = (
    315.2e3,
    124.4e3,
    3e-17,
    3e-15,
    (310.7e3, 311.5e3),
)  # mol/m^3, m^2/s, as in the case files


@pytest.fixture(scope="module")
def script():
    return runpy.run_path(str(FOLDER / "make_image.py"))


@pytest.fixture(scope="module")
def particle(script):
    return script["make"](40.0)


def shipped(name, folder):
    """A case of the folder; its image, which is not kept, stands there empty until another takes its place."""
    shutil.copy(FOLDER / name, folder)
    (folder / "particle.tif").touch()
    return ml.load_case(folder / name)


def time_of(left, times, mean):
    """When a share of the lithium between start and end is left."""
    return np.interp(-left, -(mean - END) / (START - END), times)


def test_particle_depends_on_the_seed_alone_and_is_open(script, particle):
    np.testing.assert_array_equal(script["make"](40.0), particle)
    pore, silicon, _ = np.bincount(particle.ravel())
    assert pore / (pore + silicon) == pytest.approx(0.484, abs=1e-3)
    assert ndimage.label(particle == SILICON)[1] == 1
    void, _ = ndimage.label(particle != SILICON)
    assert (void[particle == PORE] == void[0, 0, 0]).mean() > 0.998


def test_analyze_measures_ligaments_and_pores_as_published(particle, tmp_path):
    n, half = len(particle) // 2, 28  # the cube that fits into the ball
    box = (slice(n - half, n + half),) * 3
    case = shipped("interior.toml", tmp_path).with_(
        {"image.file": None, "image.crop": None, "analysis.measure": ["thickness"]}, image=particle[box]
    )
    numbers = ml.analyze(case).numbers
    for key, low, high in (
        ("thickness_mean.silicon", 1.6, 2.0),
        ("thickness_deviation.silicon", 0.3, 0.5),
        ("thickness_mean.pore", 2.8, 4.0),
        ("thickness_deviation.pore", 0.6, 1.0),
    ):
        assert low < numbers[key].value * 1e9 < high, key


def radial(radius, ramp, times, n=200):
    """Mean concentration of a ball by finite volumes along its radius, with a law of its own making."""
    face = np.linspace(0, radius, n + 1)
    volume, middle = np.diff(face**3) / 3, 0.5 * (face[1:] + face[:-1])
    low, high = JUMP
    rate = np.log(FAST / SLOW) / (high - low)

    def potential(c):
        between = SLOW * np.expm1(rate * (np.clip(c, low, high) - low)) / rate
        return SLOW * np.minimum(c, low) + between + FAST * np.maximum(c - high, 0)

    def change(t, c):
        held, inner = potential(START + (END - START) * min(t / ramp, 1)), potential(c)
        flux = np.zeros(n + 1)
        flux[1:-1] = face[1:-1] ** 2 * np.diff(inner) / np.diff(middle)
        flux[-1] = radius**2 * (held - inner[-1]) / (radius - middle[-1])
        return np.diff(flux) / volume

    start = np.full(n, START)
    found = solve_ivp(change, (0, times[-1]), start, method="LSODA", t_eval=times, rtol=1e-6, atol=1, lband=1, uband=1)
    return volume @ found.y / volume.sum()


def test_lithium_leaves_the_framework_a_thousand_times_faster(particle, tmp_path):
    """Solid against the independent solution; a wrong law, or lithium lost, moves its times by more than 2 %."""
    edge = 31  # voxels of 2 nm
    centred = (np.arange(edge) + 0.5 - edge) ** 2
    ball = centred[:, None, None] + centred[None, :, None] + centred < 30.0**2
    changes = {"image.file": None, "image.crop": None, "image.coarsen": None, "mesh.estimate": False}
    times = {"time.times": [f"{t:.4g} s" for t in np.geomspace(0.05, 100, 60)], "time.snapshots": ["100 s"]}
    case = shipped("solid.toml", tmp_path).with_(
        {**changes, **times, "image.voxel_size": "2 nm", "mesh.size": {"silicon": "3 nm"}, "mesh.size_max": "6 nm"},
        image=np.where(ball, SILICON, OUTSIDE),
    )
    solid = ml.run(case)
    exact = radial(60e-9, 0.1, np.geomspace(1e-2, 100, 300))
    for left in (0.5, 0.1, 0.05):
        expected = time_of(left, np.geomspace(1e-2, 100, 300), exact)
        assert time_of(left, solid.times, solid.curves["silicon"]) == pytest.approx(expected, rel=0.02), left

    n = len(particle) // 2
    case = shipped("open.toml", tmp_path).with_(
        {
            **{key: value for key, value in changes.items() if key != "image.coarsen"},
            "time.times": [f"{t:.4g} s" for t in np.geomspace(1e-4, 0.1, 40)],
            "time.snapshots": ["0.1 s"],
            "time.tolerance": 1e-2,
            "regions.outer": None,
            "regions.inner": None,
        },
        image=particle[n - 8 : n + 8, n - 8 : n + 8, :n],
    )
    framework = ml.run(case)
    for left in (0.5, 0.1):
        ratio = time_of(left, solid.times, solid.curves["silicon"]) / time_of(
            left, framework.times, framework.curves["silicon"]
        )
        assert 600 < ratio < 2000, left
