"""Maps on surfaces in space: where the surface is, what is told on it, and their files."""

import numpy as np
import pytest
from measured import ball
from PIL import Image

import microlith as ml
from microlith.imaging.image.volume import LabelImage
from microlith.workflow.measurements import surface_maps
from microlith.workflow.measurements.surface_maps import surface_map

PHASES = {
    "pore": {"label": 0, "role": "source", "concentration": "1 mol/L"},
    "binder": {"label": 1, "role": "transport", "diffusivity": "1e-14 m^2/s"},
    "grain": {"label": 2, "role": "barrier"},
}


@pytest.mark.parametrize("most", [10**7, 5000])  # of cells: with voxels, and with blocks of two
def test_the_surface_of_a_ball_and_the_value_on_it(monkeypatch, most):
    monkeypatch.setattr(surface_maps, "MOST_CELLS", most)
    voxel, centre, radius = (1.0, 1.0, 2.0), (15.0, 16.0, 14.0), 9.0
    inside = ball((30, 32, 16), radius, centre, voxel)
    height = np.broadcast_to((np.arange(30) + 0.5)[:, None, None], inside.shape).astype(np.float32)
    value = np.where(inside, height, np.nan)  # outside it is not known
    image = LabelImage(inside.astype(np.uint8), ("a", "b"), voxel)
    found = surface_map(image, "", "", lambda part: inside[part], lambda part: value[part], "height")
    away = np.linalg.norm(found.points - np.array(centre[::-1]), axis=1)
    assert found.block == (1 if most > 10**6 else 2)
    assert np.abs(away - radius).mean() < 0.4 * found.block
    assert np.abs(found.values - found.points[:, 2]).mean() < 0.7 * found.block
    assert found.triangles.max() == len(found.points) - 1
    a, b, c = found.points[found.triangles].transpose(1, 0, 2)
    outwards = (np.cross(b - a, c - a) * (a - np.array(centre[::-1]))).sum(axis=1)
    assert (outwards > 0).mean() > 0.99


def test_the_distance_is_zero_where_surfaces_touch():
    image = np.zeros((16, 12, 12), int)
    image[7:] = 2
    phases = {name: PHASES[name] for name in ("pore", "grain")}
    tables = {"image": {"voxel_size": "50 nm"}, "phases": phases, "analysis": {"measure": ["distances"]}}
    there, back = ml.analyze(ml.case(tables, image=image)).findings["distances"].surfaces
    for plane in (there, back):
        assert plane.points[:, 2] == pytest.approx(350e-9)
        assert plane.values == pytest.approx(0.0, abs=1e-12)


def test_files_of_an_analysis(tmp_path):
    import pyvista

    image = np.ones((16, 12, 12), int)
    image[:5], image[11:] = 0, 2
    tables = {
        "image": {"voxel_size": "50 nm"},
        "phases": PHASES,
        "pictures": {"resolution": 50},
        "analysis": {"measure": ["distances", "tortuosity"]},
    }
    ml.analyze(ml.case(tables, image=image), tmp_path / "out")
    plane = pyvista.read(tmp_path / "out" / "distances-surface.vtp")
    assert plane.points[:, 2] == pytest.approx(0.25, abs=1e-6)  # µm
    assert plane["value"] == pytest.approx(300e-9, rel=1e-5)
    ways = pyvista.read(tmp_path / "out" / "tortuosity-surface.vtp")
    assert ways["value"] == pytest.approx(1.0, abs=1e-4)
    assert ways.is_manifold  # closed by the frame
    picture = np.asarray(Image.open(tmp_path / "out" / "distances-surface.png").convert("RGB")).astype(int)
    coloured = picture[np.ptp(picture, axis=-1) > 40]
    red, green, blue = np.median(coloured, axis=0)
    assert red < 0.5 * green
    assert abs(green - blue) < 0.2 * green
    for name in ("distances-surface", "distances-back-surface", "tortuosity-surface"):
        assert (tmp_path / "out" / f"{name}.png").stat().st_size > 3000
