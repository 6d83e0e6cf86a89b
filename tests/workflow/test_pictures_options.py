"""What a case says of its pictures, [pictures]: understood, refused in one sentence, and seen in the files."""

import re
import warnings

import made_meshes
import numpy as np
import pytest
from case_files import CASE, write_case
from matplotlib import colormaps
from PIL import Image

from dolfinx import fem
from mpi4py import MPI

from microlith.imaging.errors import InputError
from microlith.imaging.image.volume import LabelImage
from microlith.solver.physics.phases import Role
from microlith.workflow.case.case import PictureOptions
from microlith.workflow.case.describe import interpreted
from microlith.workflow.case.read import load_case
from microlith.workflow.pictures.canvas import MARGINS, Canvas, ColourBar, add_outlines, pixels_of
from microlith.workflow.pictures.colour_scales import ColourScale, PhaseValues, colour_scales
from microlith.workflow.pictures.curves import RegionCurves, draw_curves
from microlith.workflow.pictures.figure import halo
from microlith.workflow.pictures.frames import FlatFrame, SolidFrame
from microlith.workflow.pictures.sample import Sample, Snapshots, raster_of
from microlith.workflow.pictures.snapshots import draw_snapshots
from microlith.workflow.rendering.projection import View


def options_of(folder, table):
    return load_case(write_case(folder, f"{CASE}\n[pictures]\n{table}")).pictures


def test_pictures_are_understood(tmp_path):
    found = options_of(
        tmp_path,
        'formats = ["svg", "png", "svg"]\nwidth = "85 mm"\nresolution = 600\ncolours = "cividis"\n'
        'range = { sei = ["-1 mol/L", "2 mol/L"] }\n',
    )
    assert found == PictureOptions(("svg", "png"), 0.085, 600, "cividis", {"sei": (-1000.0, 2000.0)})
    case = load_case(write_case(tmp_path, CASE))
    assert case.pictures == PictureOptions()
    assert interpreted(case)["pictures"] == {
        "formats": ["png"], "width_m": None, "resolution_per_inch": 300, "colours": "viridis", "ranges_mol_per_m3": {}
    }  # fmt: skip


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        ('formats = ["jpg"]', r"\[pictures\] formats, item 1: \"jpg\" is unknown; .*png"),
        ("formats = []", "expected a list of one or more formats"),
        ('width = "10 mm"', r"\[pictures\] width: expected 60 mm to 1 m, got 10 mm"),
        ('width = "100"', "expected a length with its unit"),
        ("resolution = 20", "expected a whole number of at least 50"),
        ('colours = "virdis"', r'there is no colour map "virdis" in Matplotlib; did you mean "viridis"\?'),
        ('range = { sie = ["0 M", "1 M"] }', 'there is no phase "sie"; did you mean "sei"'),
        ('range = { grain = ["0 M", "1 M"] }', '"grain" is not solved for; the transport phases are: sei'),
        ('range = { sei = ["1 M", "1 M"] }', r"range.sei: expected \[low, high\], got 1000 and 1000 mol/m\^3"),
    ],
)
def test_pictures_that_cannot_be(tmp_path, table, sentence):
    with pytest.raises(InputError, match=sentence):
        options_of(tmp_path, table)


# --- scales of colours ---


def values(driven, lowest, highest, least=None, most=None):
    least, most = lowest if least is None else least, highest if most is None else most
    return PhaseValues(*(np.array(v, dtype=float) for v in (driven, lowest, highest, least, most)))


@pytest.mark.parametrize(
    ("driven", "lowest", "highest", "ends"),
    [
        (1000, 0, 997, (0, 1000)),  # up to what drives the case, so that times and cases compare
        (1000, -20, 1010, (0, 1000)),  # elements overshoot by so much
        (1000, 0, 37.2, (0, 38)),  # else nothing would be seen
        (1000, 944.8, 1345.2, (940, 1360)),  # a current charges and discharges: not from 0
        (1000, -131, 1000, (-200, 1000)),  # a current may take out more than there is: shown
        (1000, 0, 0, (0, 1000)),
        (0, 7, 7, (0, 7)),
        (0, 0, 0, (0, 1)),
    ],
)
def test_scale_fits_what_is_shown(driven, lowest, highest, ends):
    (scale,) = colour_scales(["a"], values([driven], [lowest], [highest]), {})
    assert (scale.low, scale.high) == pytest.approx(ends)
    assert (scale.lowest, scale.highest) == (lowest, highest)


def test_scale_ends_where_concentrations_are_no_longer_possible():
    """Elements that are too coarse for a front overshoot by as much as they like; the bar has arrows for that."""
    (scale,) = colour_scales(["a"], values([3000], [-800], [3250], [0], [3000]), {})
    assert (scale.low, scale.high) == (0, 3000)
    assert (scale.lowest, scale.highest) == (-800, 3250)
    (bar,) = ColourBar.of_scales([scale], "viridis")
    assert bar.extend == "both"


def test_phases_that_compare_share_a_scale():
    names = ["pore", "a", "b", "silicon"]
    found = values([1000, 1000, 1000, 50000], [np.inf, 0, 10, 0], [-np.inf, 900, 400, 42000])
    first, second = colour_scales(names, found, {})
    assert (first.phases, first.low, first.high, first.highest) == (("a", "b"), 0, 1000, 900)
    assert (second.phases, second.high) == (("silicon",), 50000)
    scales = colour_scales(names, found, {"b": (100.0, 500.0)})
    assert [(s.phases, s.low, s.high) for s in scales] == [
        (("a",), 0, 1000), (("b",), 100, 500), (("silicon",), 0, 50000)
    ]  # fmt: skip
    assert ColourScale.of_entry(scales[1].entry()) == scales[1]


# --- files ---


def flat_sample(options, width=4.0, height=3.0):
    mesh = made_meshes.rectangle(MPI.COMM_SELF, (4, 4), (width, height), unit=1e-8)
    image = LabelImage(np.zeros((round(height), round(width)), np.uint8), ("medium",), (1e-8, 1e-8))
    return Sample("A $title", mesh, (Role.TRANSPORT,), image, options=options)


def draw(folder, sample, concentration, scale):
    space = fem.functionspace(sample.mesh.mesh, ("Lagrange", 1))
    count = space.dofmap.index_map.size_local
    return draw_snapshots(folder, sample, Snapshots(space, [0.5], [np.full(count, concentration)], (scale,)))


@pytest.mark.parametrize("shape", [(4.0, 3.0), (1.0, 8.0), (40.0, 1.0)])
@pytest.mark.parametrize("width", [None, 0.085, 0.18])
def test_width_resolution_and_colour_map(tmp_path, shape, width):
    options = PictureOptions(width=width, resolution=150, colours="cividis")
    scale = ColourScale(("medium",), 0.0, 8.0, 0.0, 8.0)
    draw(tmp_path, flat_sample(options, *shape), 6.0, scale)
    with Image.open(tmp_path / "snapshot-0.5s.png") as image:
        picture = np.asarray(image.convert("RGB")).astype(int)
        assert image.info["dpi"] == pytest.approx((150, 150), abs=0.1)
    if width is not None:
        assert picture.shape[1] == pytest.approx(width / 0.0254 * 150, abs=1)
    columns, rows = pixels_of(2, shape[0] / shape[1], 1, options)
    assert columns == pytest.approx(rows * shape[0] / shape[1], abs=max(shape[0] / shape[1], 1.0))
    colour = np.array(colormaps["cividis"](0.75, bytes=True)[:3])
    there = np.abs(picture - colour).max(axis=2) <= 2
    # Nearly all of the picture's pixels, but for bar, letters and frame on them; and in its place
    assert there.sum() > 0.5 * columns * rows
    assert np.flatnonzero(there.any(axis=0))[0] == pytest.approx(MARGINS[2].left * 150, abs=6)


@pytest.mark.parametrize(("width", "count"), [(0.06, 1), (0.06, 2), (0.085, 2), (0.085, 3), (0.18, 2), (None, 2)])
def test_colour_bars_leave_the_picture_its_room(tmp_path, width, count):
    """Two bars beside it left a picture in 60 mm or 85 mm no width, and lay beyond the edge of the page."""
    sample = flat_sample(PictureOptions(width=width, resolution=150), 40.0, 20.0)
    scales = [ColourScale((f"a phase with a long name {i}",), 0.0, 3e5, 0.0, 3e5) for i in range(count)]
    frame = FlatFrame(raster_of(sample, count), sample.size)
    canvas = Canvas("title", frame, ColourBar.of_scales(scales, "viridis"), {"a": "0.5"}, options=sample.options)
    canvas.figure.draw_without_rendering()
    dpi, page = canvas.figure.dpi, canvas.figure.bbox
    boxes = [axes.get_tightbbox() for axes in canvas.figure.axes]
    assert len(boxes) == count + 1
    boxes += [legend.get_window_extent() for legend in canvas.figure.legends]
    assert canvas.axes.get_window_extent().width >= 1.2 * dpi
    assert all(page.x0 <= box.x0 and box.x1 <= page.x1 and page.y0 <= box.y0 and box.y1 <= page.y1 for box in boxes)
    assert not any(one.overlaps(other) for i, one in enumerate(boxes) for other in boxes[:i])


SCALE = [ColourScale(("medium",), 0.0, 1.0, 0.0, 1.0)]


def assert_apart(canvas, parts):
    """Parts of a page that are on it and do not cover each other."""
    canvas.figure.draw_without_rendering()
    page = canvas.figure.bbox
    boxes = [part.get_window_extent() for part in parts]
    assert all(page.x0 <= box.x0 and box.x1 <= page.x1 and page.y0 <= box.y0 and box.y1 <= page.y1 for box in boxes)
    assert not any(one.overlaps(other) for i, one in enumerate(boxes) for other in boxes[:i])


@pytest.mark.parametrize(("shape", "names"), [((60, 1), ("x / nm", "y: 10 nm")), ((1, 60), ("x: 10 nm", "y / nm"))])
def test_a_picture_too_flat_for_numbers_and_a_scale_bar_has_the_length_of_its_short_side(shape, names):
    """The bar covered it, and the name of an axis without numbers the numbers of the other."""
    sample = flat_sample(PictureOptions(resolution=150), *shape)
    frame = FlatFrame(raster_of(sample, 1), sample.size)
    canvas = Canvas("title", frame, ColourBar.of_scales(SCALE, "viridis"), {}, options=sample.options)
    axes = canvas.axes
    assert (axes.get_xlabel(), axes.get_ylabel()) == names
    assert not axes.texts
    assert not axes.lines
    numbers = [text for axis in (axes.xaxis, axes.yaxis) for text in axis.get_ticklabels() if text.get_text()]
    assert len(numbers) > 3
    assert_apart(canvas, [axes.xaxis.label, axes.yaxis.label, *numbers])


@pytest.mark.parametrize(
    ("extent", "texts"),
    [
        ((150.0, 3.0, 3.0), 4),
        ((40.0, 30.0, 20.0), 4),
        ((3.0, 3.0, 150.0), 3),  # without a scale bar, which would be a dot
        ((3.0, 150.0, 3.0), 3),
        ((10.0, 120.0, 10.0), 3),
        ((3.0, 60.0, 60.0), 3),
        ((8.0, 8.0, 120.0), 3),
        ((20.0, 20.0, 60.0), 4),
    ],
)
def test_names_of_edges_of_a_long_thin_box_keep_off_each_other_and_the_colour_bar(extent, texts):
    frame = SolidFrame(View.of_frame(np.array(extent), 750), 1e-8)
    options = PictureOptions(resolution=150)
    canvas = Canvas("title", frame, ColourBar.of_scales(SCALE, "viridis"), {}, options=options)
    bar = canvas.figure.axes[1]
    assert len(canvas.axes.texts) == texts
    assert_apart(canvas, canvas.axes.texts)
    for text in canvas.axes.texts:
        assert_apart(canvas, [text, bar])


@pytest.mark.parametrize("resolution", [100, 300])
def test_pixels_of_a_picture_are_those_of_the_file(tmp_path, resolution):
    sample = flat_sample(PictureOptions(resolution=resolution))
    frame = FlatFrame(raster_of(sample, 0), sample.size)
    columns, rows = frame.pixels
    picture = np.random.default_rng(0).integers(0, 256, (rows, columns, 3), dtype=np.uint8)
    canvas = Canvas("title", frame, [], {}, options=sample.options)
    canvas.draw(tmp_path / "a.png", picture, "t = 0 s", "start")
    file = np.asarray(Image.open(tmp_path / "a.png"))[..., :3]
    left, top = round(canvas.axes.bbox.x0), file.shape[0] - round(canvas.axes.bbox.y1)
    part = np.s_[rows // 10 : rows // 2, columns // 10 : -columns // 10]  # without lines at its edges and the scale bar
    np.testing.assert_array_equal(file[top : top + rows, left : left + columns][part], picture[part])


def test_pages_in_layers_are_as_matplotlib_draws_them(tmp_path):
    """What stays the same is drawn once and laid over each picture: lines, letters, and rims that are half clear."""
    sample = flat_sample(PictureOptions(resolution=150))
    scales = [ColourScale(("a phase",), 0.0, 1.0, 0.0, 1.0)]
    frame = FlatFrame(raster_of(sample, 1), sample.size)
    bars = ColourBar.of_scales(scales, "viridis")
    canvas = Canvas("A title", frame, bars, {"a": "0.5", "b": "white"}, ["a note"], sample.options)
    across, down = frame.drawn
    waves = np.stack([np.linspace(0, across, 200), down * (0.5 + 0.4 * np.sin(np.arange(200) / 9))], axis=1)
    add_outlines(canvas.axes, [waves])
    canvas.axes.text(0.3 * across, 0.4 * down, "I", path_effects=halo(2.0))
    random = np.random.default_rng(1)
    for heading in ("t = 1 s", "t = 2 s"):
        picture = random.integers(0, 256, (*frame.pixels[::-1], 3), dtype=np.uint8)
        canvas.draw(tmp_path / "a.png", picture, heading, heading)
        found = np.asarray(Image.open(tmp_path / "a.png"))[..., :3].astype(int)
        canvas.figure.canvas.draw()
        at_once = np.asarray(canvas.figure.canvas.buffer_rgba())[..., :3].astype(int)
        assert np.abs(found - at_once).max() <= 4  # rounded in another order


def test_every_format_holds_the_same_picture(tmp_path):
    options = PictureOptions(formats=("png", "svg", "pdf"))
    sample = flat_sample(options)
    scale = ColourScale(("medium",), 0.0, 8.0, 0.0, 8.0)
    assert draw(tmp_path, sample, 6.0, scale) == ["snapshot-0.5s.png"]
    times = np.geomspace(0.1, 10, 20)
    draw_curves(tmp_path / "curves.png", "A $title", RegionCurves(times, {"I": times}, {"I": 10.0}), options)
    names = {f"{name}.{ending}" for name in ("snapshot-0.5s", "curves") for ending in ("png", "svg", "pdf")}
    assert {path.name for path in tmp_path.iterdir()} == names
    svg = (tmp_path / "snapshot-0.5s.svg").read_text()
    assert "t = 500 ms" in svg  # letters are letters
    assert "A $title" in svg
    assert len(re.findall("<image", svg)) >= 1  # the field
    assert (tmp_path / "curves.pdf").read_bytes().startswith(b"%PDF")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    draw(tmp_path, sample, 6.0, scale)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before  # no date, no random names


def test_colours_beyond_the_bar_are_told(tmp_path):
    """A bar with a tip where the snapshots go beyond its end: the file differs."""
    sample = flat_sample(PictureOptions())
    draw(tmp_path, sample, 6.0, ColourScale(("medium",), 0.0, 8.0, 0.0, 8.0))
    within = np.asarray(Image.open(tmp_path / "snapshot-0.5s.png"))
    draw(tmp_path, sample, 6.0, ColourScale(("medium",), 0.0, 8.0, -1.0, 8.0))
    beyond = np.asarray(Image.open(tmp_path / "snapshot-0.5s.png"))
    right = within.shape[1] - round(MARGINS[2].right * 300)
    changed = np.argwhere((within != beyond).any(axis=2))
    assert len(changed) > 100
    assert changed[:, 1].min() >= right


# --- curves ---


def test_curves_of_other_sizes_have_their_own_axes(tmp_path):
    times = np.geomspace(1e-2, 100, 60)
    filling = 1 - np.exp(-times / 20)
    small, large = 1000 * filling, 50000 * filling
    curves = RegionCurves(times, {"s": small, "l": large, "m": 0.5 * small}, {"s": 1e3, "l": 5e4, "m": 1e3})
    draw_curves(tmp_path / "curves.png", "t", curves, PictureOptions(formats=("svg",)))
    text = (tmp_path / "curves.svg").read_text()
    assert "% of 1000 mol" in text
    assert "% of 50000 mol" in text
    assert text.count("mean conc. / mol") == 2
    draw_curves(tmp_path / "alone.png", "t", RegionCurves(times, {"s": small}, {"s": 1e3}), PictureOptions(("svg",)))
    assert (tmp_path / "alone.svg").read_text().count("mean concentration / mol") == 1


@pytest.mark.parametrize("width", [0.06, 0.085, 0.12, 0.18, None])
@pytest.mark.parametrize(("count", "name"), [(4, "region_"), (12, "near_the_particles_"), (30, "r"), (2, 40 * "long")])
def test_axes_and_legend_have_room_at_any_width(tmp_path, monkeypatch, width, count, name):
    """In 60 mm axes lay under the legend, and letters beyond the edge; so were 30 names in a picture of any width."""
    times = np.geomspace(1e-3, 100, 50)
    means = {f"{name}{i}": 1000 * (1 + 30 * (i % 2)) * (1 - np.exp(-times / (i + 1))) for i in range(count)}
    curves = RegionCurves(times, means, dict.fromkeys(means, 1000.0), {key: 0.03 * c for key, c in means.items()})
    drawn = []
    monkeypatch.setattr("microlith.workflow.pictures.curves.save", lambda figure, *_: drawn.append(figure))
    draw_curves(tmp_path / "curves.png", "A title of some length", curves, PictureOptions(width=width))
    (figure,) = drawn
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure.draw_without_rendering()
    page, (legend,) = figure.bbox, figure.legends
    boxes = [legend.get_window_extent(), *(axes.get_tightbbox() for axes in figure.axes)]
    assert all(page.x0 - 1 <= box.x0 and box.x1 <= page.x1 + 1 for box in boxes)
    assert all(page.y0 - 1 <= box.y0 and box.y1 <= page.y1 + 1 for box in boxes)
    assert not any(boxes[0].overlaps(box) for box in boxes[1:])
    assert min(axes.get_window_extent().width for axes in figure.axes) > 0.7 * figure.dpi
    if width is not None:
        assert page.width / figure.dpi * 0.0254 == pytest.approx(width)


def test_no_share_of_a_reference_that_says_nothing(tmp_path):
    """A closed cell that a current charges to many times its initial concentration: no "4000 % of"."""
    times = np.linspace(0, 10, 30)
    draw_curves(tmp_path / "a.png", "t", RegionCurves(times, {"x": 4e4 * times}, {"x": 1e3}), PictureOptions(("svg",)))
    assert "% of" not in (tmp_path / "a.svg").read_text()
