"""Pictures opened again: right values on the raster, right colours in the right places, nothing blank."""

from dataclasses import replace
from itertools import combinations

import contourpy
import made_meshes
import numpy as np
import pytest
from matplotlib import colormaps
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image
from scipy.ndimage import gaussian_filter

from dolfinx import fem, mesh as dmesh
from mpi4py import MPI

from microlith.imaging.image.volume import LabelImage
from microlith.meshing.mesh.phasemesh import interface_tag
from microlith.solver.physics.phases import Role
from microlith.solver.regions.shapes import Ball, Box, LabelRegion, Polygon, Shell, WholePhase
from microlith.workflow.case.case import PictureOptions
from microlith.workflow.pictures import phase_raster
from microlith.workflow.pictures.colour_scales import ColourScale
from microlith.workflow.pictures.curves import RegionCurves, draw_curves
from microlith.workflow.pictures.figure import (
    COLOURS,
    length_unit,
    plain_power,
    round_length,
    save,
    say_log_ticks,
    snapshot_names,
    time_unit,
)
from microlith.workflow.pictures.labels import Named, write_names, write_phases
from microlith.workflow.pictures.sample import Sample, Snapshots
from microlith.workflow.pictures.snapshots import draw_snapshots
from microlith.workflow.rendering.raster import Raster, pixel_map, reduce_raster

COMM = MPI.COMM_WORLD
PIXEL = 1e-8
NAMES = ("pore", "sei_cb", "particle")
ROLES = (Role.SOURCE, Role.TRANSPORT, Role.BARRIER)
SCALE = ColourScale(("sei_cb",), 0.0, 400.0, 0.0, 400.0)
# 4 x 6 pixels: pore on the left, particle on the right, SEI/C/B between
LABELS = np.array([[0, 1, 1, 1, 1, 2]] * 3 + [[1, 1, 1, 1, 2, 2]], dtype=np.uint8)


def half_solved(comm):
    """Mesh of the middle columns 1 to 5 of a 6 x 4 image, with an interface to the particle at x = 5."""
    mesh = made_meshes.rectangle(comm, (8, 8), (4.0, 4.0), lambda x: np.ones(x.shape[1]), NAMES, PIXEL)
    mesh.mesh.geometry.x[:, 0] += 1.0
    old = mesh.facet_tags
    tags = dmesh.meshtags(mesh.mesh, 1, old.indices, np.where(old.values == 2, interface_tag(1, 2), old.values))
    return replace(mesh, facet_tags=tags, extent=(6.0, 4.0))


def picture_of(path):
    return np.asarray(Image.open(path).convert("RGB")).astype(int)


def axes_corner(picture):
    """Row and column of the picture's first pixel inside the frame, from the black frame itself."""
    dark = (picture < 60).all(axis=2)
    rows, columns = np.flatnonzero(dark.mean(axis=1) > 0.5), np.flatnonzero(dark.mean(axis=0) > 0.4)
    return rows[0], columns[0]


# --- raster ---


@pytest.mark.mpi
@pytest.mark.parametrize("degree", [1, 2, 3])
@pytest.mark.parametrize("cells", [(3, 2), (31, 17), (300, 90)])  # much larger, larger, smaller than pixels
def test_raster_has_the_polynomial_at_pixel_centres(degree, cells):
    mesh = made_meshes.rectangle(COMM, cells, (3.0, 2.0))
    space = fem.functionspace(mesh.mesh, ("Lagrange", degree))
    field = fem.Function(space)

    def polynomial(x):
        return 1 + x[0] ** degree - 2 * x[1] ** degree + x[0] * x[1] ** (degree - 1)

    field.interpolate(polynomial)
    raster = Raster(133, 200, (3.0, 2.0))
    picture = reduce_raster(COMM, pixel_map(space, raster).draw(field.x.array))
    if COMM.rank > 0:
        assert picture is None
        return
    x = np.meshgrid((np.arange(200) + 0.5) * 3 / 200, (np.arange(133) + 0.5) * 2 / 133)
    np.testing.assert_allclose(picture, polynomial(x), atol=2e-5)


@pytest.mark.mpi
def test_raster_is_empty_where_no_cell_is():
    mesh = half_solved(COMM)
    space = fem.functionspace(mesh.mesh, ("Lagrange", 1))
    picture = reduce_raster(COMM, pixel_map(space, Raster(40, 60, (6.0, 4.0))).draw(fem.Function(space).x.array))
    if picture is not None:
        expected = np.ones((40, 60), bool)
        expected[:, 10:50] = False
        np.testing.assert_array_equal(np.isnan(picture), expected)


def test_raster_of_a_mesh_between_pixel_centres():
    mesh = made_meshes.rectangle(MPI.COMM_SELF, (1, 1), (0.4, 0.4))
    space = fem.functionspace(mesh.mesh, ("Lagrange", 2))
    assert np.isneginf(pixel_map(space, Raster(2, 2, (2.0, 2.0))).draw(np.ones(9))).all()


# --- snapshots ---

REGIONS = {
    "I": Box({"x": (2e-8, 3e-8)}),
    "_b$": Ball((3e-8, 2e-8), 1e-8),
    "p": Polygon(((1e-8, 1e-8), (2e-8, 1e-8), (2e-8, 2e-8))),
    "near": Shell("particle", 1e-8),
    "all": WholePhase("sei_cb"),
    "seen": LabelRegion("/a/regions.tif", 3),
}


@pytest.mark.mpi
def test_snapshot_colours(tmp_path):
    """The field c = 100 (x - 1) mol/m^3 over 0..400: blue at x = 1, red at x = 5, greys beyond, y downwards."""
    folder = COMM.bcast(tmp_path)
    mesh = half_solved(COMM)
    space = fem.functionspace(mesh.mesh, ("Lagrange", 2))
    field = fem.Function(space)
    field.interpolate(lambda x: 100 * (x[0] - 1) * (x[1] > 2 - 1e-9))  # the upper half of the picture stays at 0
    image = LabelImage(LABELS, NAMES, (PIXEL, PIXEL)) if COMM.rank == 0 else None
    fields = [0 * field.x.array, field.x.array]
    names = draw_snapshots(
        folder, Sample("A $title_", mesh, ROLES, image), Snapshots(space, [0.0, 2.0], fields, (SCALE,))
    )
    assert names == ["snapshot-0s.png", "snapshot-2s.png"]
    COMM.barrier()
    assert sorted(p.name for p in folder.iterdir()) == names
    colours = colormaps[PictureOptions.colours]
    start, end = (picture_of(folder / name) for name in names)
    assert Image.open(folder / names[1]).info["Title"] == "A $title_, t = 2 s"
    assert Image.open(folder / names[1]).info["dpi"] == pytest.approx((300, 300), abs=0.1)
    row, column = axes_corner(end)
    pixel = 1600 / 6  # of the picture, per pixel of the image

    def at(picture, x, y):
        return picture[round(row + y * pixel), round(column + x * pixel)]

    for x, y, level in ((1.5, 3.5, 0.125), (3.0, 3.2, 0.5), (4.5, 3.5, 0.875), (4.5, 0.5, 0.0)):
        np.testing.assert_allclose(at(end, x, y), np.array(colours(level)[:3]) * 255, atol=4)
        np.testing.assert_allclose(at(start, x, y), np.array(colours(0.0)[:3]) * 255, atol=4)
    pore, particle = at(end, 0.5, 0.5), at(end, 5.5, 0.5)
    assert np.ptp(pore) == np.ptp(particle) == 0  # greys
    assert pore[0] - particle[0] > 80
    # Where the image has SEI/C/B and the mesh has nothing (x < 1, y > 3), the nearest phase that is not solved shows.
    np.testing.assert_array_equal(at(end, 0.5, 3.3), pore)
    # The outline of the particle, at x = 5, darker than its grey
    around = end[round(row + 1.5 * pixel), round(column + 5 * pixel) - 4 : round(column + 5 * pixel) + 4]
    assert around.max(axis=1).min() < 80
    COMM.barrier()


@pytest.mark.mpi
def test_regions_and_scale_bar_are_marked(tmp_path):
    folder = COMM.bcast(tmp_path)
    mesh = half_solved(COMM)
    space = fem.functionspace(mesh.mesh, ("Lagrange", 1))
    image = LabelImage(LABELS, NAMES, (PIXEL, PIXEL)) if COMM.rank == 0 else None
    fields = [fem.Function(space).x.array + 200]
    pictures = {}
    for name, regions in ({"none": {}} | {key: {key: shape} for key, shape in REGIONS.items()}).items():
        sample = Sample("t", mesh, ROLES, image, regions=regions)
        draw_snapshots(folder, sample, Snapshots(space, [1.0], fields, (SCALE,)))
        COMM.barrier()
        pictures[name] = picture_of(folder / "snapshot-1s.png")
        COMM.barrier()
    row, column = axes_corner(pictures["none"])
    pixel = 1600 / 6

    def changed(name, x, y):
        """Whether the region draws something within 6 pixels of this place."""
        r, c = round(row + y * pixel), round(column + x * pixel)
        window = np.s_[r - 6 : r + 7, c - 6 : c + 7]
        return np.abs(pictures[name][window] - pictures["none"][window]).max() > 80

    assert changed("I", 2, 2)
    assert changed("I", 3, 2)
    assert not changed("I", 2.5, 2)
    assert all(changed("_b$", 3 + dx, 2 + dy) for dx, dy in ((1, 0), (-1, 0), (0, 1), (0, -1)))
    assert changed("p", 1.5, 1.5)
    assert changed("p", 2, 1.5)
    assert not changed("p", 1.5, 1.8)
    assert changed("near", 4, 1.0) or changed("near", 4, 1.1)  # dashed, 1 pixel from the particle
    assert not changed("near", 3, 1.0)
    below = round(row + 4 * pixel) + 100
    for name in ("near", "all", "seen"):  # noted under the picture
        assert (pictures[name][below:] != pictures["none"][below:]).any()
    # The scale bar, lower left: 1 pixel is 10 nm, 30 % of the width is 18 nm, so it is 10 nm long
    bar = pictures["none"][round(row + 3.6 * pixel) : row + round(4 * pixel) - 10, column + 10 : column + 800]
    black = (bar < 40).all(axis=2).sum(axis=1).max()
    assert black == pytest.approx(pixel, abs=3)


def test_no_interface_no_outline(tmp_path):
    mesh = made_meshes.rectangle(MPI.COMM_SELF, (2, 2), (4.0, 3.0), unit=PIXEL)
    space = fem.functionspace(mesh.mesh, ("Lagrange", 1))
    image = LabelImage(np.zeros((3, 4), np.uint8), ("medium",), (PIXEL, PIXEL))
    sample = Sample("t", mesh, (Role.TRANSPORT,), image)
    scale = ColourScale(("medium",), 0.0, 0.0, 7.0, 7.0)
    draw_snapshots(tmp_path, sample, Snapshots(space, [0.0], [np.full(9, 7.0)], (scale,)))
    assert np.ptp(picture_of(tmp_path / "snapshot-0s.png")) > 200


def test_snapshot_names():
    assert snapshot_names([0.0, 2.0, 10.0, 100.0]) == [f"snapshot-{t}s.png" for t in (0, 2, 10, 100)]
    assert snapshot_names([1e-5, 0.0002]) == ["snapshot-1e-05s.png", "snapshot-0.0002s.png"]
    assert len(set(snapshot_names([1.0, 1.0000001]))) == 2


def test_units_of_time_and_length():
    texts = {
        t: f"{t / time_unit(t)[0]:g} {time_unit(t)[1]}"
        for t in (0.0, 2e-7, 2e-4, 0.5, 100.0, 1200.0, 36000.0, 864000.0)
    }
    assert list(texts.values()) == ["0 s", "200 ns", "200 µs", "500 ms", "100 s", "20 min", "10 h", "10 d"]
    assert [length_unit(x)[1] for x in (1e-12, 5e-9, 8e-6, 2e-3, 3.0)] == ["nm", "nm", "µm", "mm", "m"]
    assert [round_length(x) for x in (1.0, 1.9, 2.0, 4.9, 7.0, 0.03, 1500.0)] == pytest.approx(
        [1, 1, 2, 2, 5, 0.02, 1000]
    )


# --- curves ---


def test_curves_picture(tmp_path):
    t = np.geomspace(1e-3, 100, 50)
    names = ["I", "_hidden", "$x", *(f"r{i}" for i in range(6))]
    curves = {name: 1000 * (1 - np.exp(-t / 2**i)) for i, name in enumerate(names)}
    references, errors = dict.fromkeys(names, 1000.0), {name: np.full(50, 20.0) for name in names}
    draw_curves(tmp_path / "curves.png", "A $title", RegionCurves(t, curves, references, errors))
    image = Image.open(tmp_path / "curves.png")
    assert image.mode == "RGB"  # opacity, full everywhere, would take a third more time to write
    assert (image.info["Title"], image.info["Software"]) == ("A $title", "microlith")
    picture = np.asarray(image).astype(int)
    assert image.info["dpi"] == pytest.approx((300, 300), abs=0.1)
    for colour in COLOURS:  # every curve is there, on both sides and in the legend
        rgb = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
        columns = np.flatnonzero((np.abs(picture - rgb).max(axis=2) < 12).any(axis=0))
        assert columns.min() < 0.45 * picture.shape[1]
        assert columns.max() > 0.85 * picture.shape[1]
    # The band round the first curve: blue, but pale
    pale = 0.25 * np.array([0x00, 0x72, 0xB2]) + 0.75 * 255
    assert (np.abs(picture - pale).max(axis=2) < 3).sum() > 500


def test_curves_begin_on_the_logarithmic_axis_where_they_are_known(tmp_path):
    """Not with a level from the edge of the axes to the first time, which is that of time 0 nowhere."""
    t, c = np.array([0.0, 1.0, 10.0, 100.0]), np.array([0.0, 300.0, 500.0, 600.0])
    band = {"x": np.full(4, 50.0)}
    draw_curves(tmp_path / "curves.png", "t", RegionCurves(t, {"x": c}, {}, band))
    picture = np.asarray(Image.open(tmp_path / "curves.png")).astype(int)
    blue = picture[..., 2] - picture[..., 0] > 40  # of the line and of its band
    spine = np.flatnonzero((picture.max(axis=2) < 30).mean(axis=0) > 0.5)[0]
    first = np.flatnonzero(blue.any(axis=0))[0]
    assert first - spine > 0.01 * picture.shape[1]
    draw_curves(tmp_path / "one.png", "t", RegionCurves(t[:2], {"x": c[:2]}, {}))
    picture = np.asarray(Image.open(tmp_path / "one.png")).astype(int)
    blue = np.flatnonzero((picture[..., 2] - picture[..., 0] > 100).any(axis=0))
    assert blue[0] < 0.45 * picture.shape[1]  # one time makes a mark there


def test_curves_from_time_zero_without_source_or_regions(tmp_path):
    draw_curves(tmp_path / "a.png", "t", RegionCurves(np.arange(3.0), {"x": np.zeros(3)}, {"x": 0.0}))
    draw_curves(tmp_path / "b.png", "t", RegionCurves(np.zeros(1), {}, {}))
    assert np.ptp(picture_of(tmp_path / "a.png")) > 200
    assert np.ptp(picture_of(tmp_path / "b.png")) > 200


@pytest.mark.parametrize(
    ("scale", "ends", "expected"),
    [
        ({"value": "log"}, (1e-3, 10.0), {"10⁻³", "10⁻²", "10⁻¹", "10⁰", "10¹"}),
        ({"value": "log"}, (2e-3, 5e-3), {"2×10⁻³", "3×10⁻³", "4×10⁻³", "5×10⁻³"}),
        ({"value": "symlog", "linthresh": 0.1}, (-10.0, 1.0), {"−10¹", "−10⁰", "−10⁻¹", "0", "10⁻¹", "10⁰"}),
    ],
)
def test_powers_of_ten_are_letters(tmp_path, scale, ends, expected):
    """Where Matplotlib has formulas for the same numbers, which take time to set."""
    figure = Figure()
    axes = figure.subplots()
    axes.set_xscale(**scale)
    axes.set_xlim(ends)
    save(figure, tmp_path / "a.png", "a")
    ticks = [*axes.get_xticklabels(), *axes.get_xticklabels(minor=True)]
    shown = [tick for tick in ticks if ends[0] <= tick.get_position()[0] <= ends[1]]
    assert {tick.get_text() for tick in shown} - {""} == expected


def test_formulas_that_are_no_powers_stay():
    assert plain_power(r"$\mathdefault{10^{0.50}}$") == r"$\mathdefault{10^{0.50}}$"


@pytest.mark.parametrize("bell", [8.0, 12.3, 57.0])
def test_wide_bells_are_bells(bell):
    """What stands for them takes no longer for images of few pixels, and puts the same lines in the same places."""
    step = np.zeros((40, 600), np.float32)
    step[:, 290:] = 1.0
    expected = gaussian_filter(step, bell, mode="nearest")
    phase_raster._blur(step, bell)
    assert np.abs(step - expected).max() < 0.02
    assert np.argmin(np.abs(step[20] - 0.5)) in (289, 290)


@pytest.mark.parametrize("covered", [0.0, 0.4, 0.8])
def test_lines_are_looked_for_wherever_there_are_some(covered):
    """Small fields of noise, parts of which the mesh covers: some have lines and some have none."""
    noise = np.random.default_rng(8)
    seen = set()
    for _ in range(300):
        margin, hidden = noise.random((4, 5)) - 0.03, noise.random((4, 5)) < covered
        lines = contourpy.contour_generator(z=np.ma.masked_array(margin, hidden)).lines(0.0)
        looked = phase_raster._changes(margin > 0, ~hidden)
        assert looked or not lines
        seen.add((looked, bool(lines)))
    assert {(True, True), (False, False)} <= seen


@pytest.mark.parametrize("count", [4, 12, 24])
def test_names_of_regions_do_not_lie_on_each_other_in_narrow_pictures(count):
    """They get smaller where there is no room for all, and are as large as ever where there is."""
    figure = Figure((60 / 25.4, 60 / 25.4), dpi=300)
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0.2, 0.2, 0.75, 0.75))
    axes.set(xlim=(0, 5), ylim=(0, 5))
    square = np.array([[0, 0], [0.5, 0], [0.5, 0.5], [0, 0.5], [0, 0]])
    corners = [(0.2 + i % 4 * 1.2, 0.2 + i // 4 * 0.8) for i in range(count)]
    write_names(axes, [Named(f"region_{i}", square + at) for i, at in enumerate(corners)])
    assert len(axes.texts) == count
    extents = [text.get_window_extent() for text in axes.texts]
    assert not any(one.overlaps(other) for one, other in combinations(extents, 2))
    sizes = {text.get_fontsize() for text in axes.texts}
    assert len(sizes) == 1
    assert (sizes == {9.0}) is (count == 4)


def test_names_of_phases_are_in_them_and_beside_other_texts():
    """Where all phases are solved for, colours do not say which is which."""
    figure = Figure(figsize=(4, 3))
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, 8), ylim=(6, 0))
    phase = np.ones((300, 400), np.uint8)
    phase[:, 300:] = 2
    phase[100:110, :100] = 0
    axes.text(3.0, 3.0, "region", ha="center", va="center", fontsize=20)
    write_phases(axes, phase, {0: "$a_$", 1: "b", 2: "c", 3: "nowhere"}, (8.0, 6.0))
    region, *written = axes.texts
    assert [text.get_text() for text in written] == ["$a_$", "b", "c"]
    for index, text in enumerate(written):
        x, y = text.get_position()
        assert phase[int(y * 50), int(x * 50)] == index
    renderer = figure.canvas.get_renderer()
    taken = region.get_window_extent(renderer)
    assert not any(taken.overlaps(text.get_window_extent(renderer)) for text in written[1:])
    sizes = [text.get_fontsize() for text in written]
    assert sizes[0] < sizes[1] == sizes[2]


@pytest.mark.parametrize(
    ("ends", "expected"),
    [
        ((15.0, 350.0), ["20", "30", "50", "100", "200", "300"]),
        ((2.0, 8.0), ["2", "3", "4", "5", "6", "7", "8"]),
        ((0.01, 9.0), ["0.01", "0.02", "0.05", "0.1", "0.2", "0.5", "1", "2", "5"]),
        ((1e-5, 1e-4), None),
        ((1e-2, 1e3), None),
    ],
)
def test_numbers_of_logarithmic_axes_are_said_as_they_are_over_few_decades(ends, expected):
    """Ticks were 2×10¹, 3×10¹, 100."""
    figure = Figure()
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.set_xscale("log")
    say_log_ticks(axes.xaxis)
    axes.set_xlim(*ends)
    ticks = [*axes.xaxis.get_major_ticks(), *axes.xaxis.get_minor_ticks()]
    figure.canvas.draw()
    within = sorted((tick.get_loc(), tick.label1.get_text()) for tick in ticks if ends[0] <= tick.get_loc() <= ends[1])
    labels = [text for _, text in within if text]
    assert labels == expected if expected else all("10^" in label for label in labels) and labels
