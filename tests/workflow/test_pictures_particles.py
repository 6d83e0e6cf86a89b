"""Pictures of particles: each in its colour, with its id, and a legend of what is there and of nothing else."""

from dataclasses import replace

import numpy as np
import pytest
from made_cases import PORE, SEI, barrier, run_case, write_case
from PIL import Image

from mpi4py import MPI

from microlith.solver.regions.shapes import SurfaceOf
from microlith.workflow.case.case import PictureOptions
from microlith.workflow.pictures import particle_distances
from microlith.workflow.pictures.labels import LARGEST, SMALLEST, Named, Numbered, write_ids, write_names
from microlith.workflow.pictures.particle_distances import draw_distances
from microlith.workflow.pictures.particle_page import BARE, NEVER, START, TimeColours, bars_of
from microlith.workflow.results.particles import ParticleTable

INF = np.inf
SVG = PictureOptions(("svg",))


def table_of(t50, surface=None, numbers=None, distance=None, dim=2):
    """A table of particles of which no more is known than pictures ask for."""
    t50 = np.array(t50, dtype=float)
    n = len(t50)
    none = np.full(n, np.nan)
    return ParticleTable(
        region="stones",
        shape=SurfaceOf("stone"),
        numbers=np.arange(n) if numbers is None else np.array(numbers),
        measure=none,
        diameter=np.full(n, 1e-7),
        center=np.zeros((n, dim)),
        on_frame=np.zeros(n, bool),
        distance=np.linspace(1e-7, 1e-6, n) if distance is None else np.array(distance),
        surface=np.ones(n) if surface is None else np.array(surface, dtype=float),
        facing=none,
        t50=t50,
        t90=np.full(n, INF),
        t50_falling=np.full(n, INF),
        snapshots=(),
        states=(),
    )


def rgb(colour):
    return [round(255 * part) for part in colour]


def test_every_kind_has_its_colour():
    table = table_of([0.1, 10.0, INF, 1.0, 0.0, np.nan, np.nan], [1, 1, 1, 1, 1, 0, 0])
    times = TimeColours.of([table], 7, 100.0)
    nan = np.nan
    assert times.level() == pytest.approx([0.0, 1.0, nan, 0.5, nan, nan, nan], nan_ok=True)
    colours = times.colours()
    for particle, colour in ((2, NEVER), (4, START), (5, BARE), (6, BARE)):
        assert colours[particle].tolist() == rgb(colour)
    assert {words: which.nonzero()[0].tolist() for words, (_, which) in times.others().items()} == {
        "half from the start": [4], "not half within 100 s": [2], "touches no phase that is solved for": [5, 6]
    }  # fmt: skip
    assert times.ids.tolist() == [1, 2, 3, 4, 5, 6, 7]
    assert bars_of(times) == 1


def test_times_that_differ_by_rounding_have_one_colour():
    """Not those of the two ends of a scale whose numbers are all the same."""
    times = TimeColours.of([table_of([0.0903491, 0.0903499])], 2, 100.0)
    assert times.level() == pytest.approx([0.5, 0.5], abs=1e-3)
    assert times.ends == pytest.approx((81.3, 99.4), rel=1e-2)  # ms


def test_no_entry_without_an_object():
    assert TimeColours.of([table_of([1.0, 5.0])], 2, 100.0).others() == {}
    for times, words in (([0.0, 0.0], "half from the start"), ([INF, INF], "not half within 100 s")):
        found = TimeColours.of([table_of(times)], 2, 100.0)
        assert list(found.others()) == [words]
        assert bars_of(found) == 0  # a scale of nothing


def test_ids_and_times_of_two_regions():
    """The first region decides where two are of one phase; ids count within each."""
    one, other = table_of([1.0, 2.0], numbers=[3, 1]), table_of([9.0, 8.0, 7.0], numbers=[0, 2, 4])
    times = TimeColours.of([one, other], 5, 100.0)
    assert times.times.tolist() == [9, 2, 8, 1, 7]
    assert times.ids.tolist() == [1, 2, 2, 1, 3]


@pytest.fixture
def axes():
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4, 3), dpi=100)
    FigureCanvasAgg(figure)
    found = figure.add_axes((0, 0, 1, 1))
    found.set_xlim(0, 400)
    found.set_ylim(300, 0)
    return found


def test_ids_lie_on_particles_or_beside_them_and_not_on_each_other(axes):
    things = [
        Numbered("7", 100, 100, 40.0),  # pixels of room
        Numbered("12", 200, 100, 2.0),
        Numbered("13", 201, 101, 2.0),  # no room left
        Numbered("800", 50, 250, 12.0),
    ]
    write_ids(axes, things)
    placed = {text.get_text(): text for text in axes.texts}
    assert list(placed) == ["7", "12", "800"]
    assert placed["7"].get_position() == pytest.approx((100, 100))
    assert placed["7"].get_fontsize() == LARGEST
    assert placed["12"].get_position()[0] > 204  # beside it
    assert SMALLEST <= placed["800"].get_fontsize() < LARGEST


def test_names_do_not_lie_on_each_other(axes):
    square = np.array([(0, 0), (30, 0), (30, 30), (0, 30), (0, 0)], dtype=float)
    named = [Named(f"region_{i}", square + np.array((150 + 4 * i, 120 + 3 * i))) for i in range(6)]
    named.append(Named("corner", square))
    write_names(axes, named)
    boxes = [text.get_window_extent() for text in axes.texts]
    assert [text.get_text() for text in axes.texts] == [thing.name for thing in named]
    for i, one in enumerate(boxes):
        assert not any(one.shrunk(0.95, 0.9).overlaps(other.shrunk(0.95, 0.9)) for other in boxes[:i])
        assert one.x0 >= 0
        assert one.y1 <= 300


# --- distances ---


def legend_of(tmp_path, tables):
    assert draw_distances(tmp_path / "d.png", "t", tables, 100.0, SVG)
    return (tmp_path / "d.svg").read_text()


def test_distances_explain_what_is_there_only(tmp_path):
    plain = legend_of(tmp_path, [table_of([1.0, 2.0, 4.0])])
    assert "median" not in plain
    assert "not half" not in plain
    assert "from the start" not in plain
    text = legend_of(tmp_path, [table_of([0.0, INF, *np.linspace(1, 50, 40)])])
    for words in ("median at like distances", "not half within 100 s", "half from the start"):
        assert words in text


def test_distances_of_particles_that_all_touch_a_source(tmp_path, monkeypatch):
    """The axis goes as far as they are wide, 100 nm, not a part of a nanometre, and begins before them."""
    from matplotlib.figure import Figure

    drawn = []
    monkeypatch.setattr(particle_distances, "save", lambda figure, *_: drawn.append(figure))
    assert draw_distances(tmp_path / "d.png", "t", [table_of([1.0, 2.0], distance=[0.0, 0.0])], 100.0)
    [figure] = drawn
    assert isinstance(figure, Figure)
    [axes] = figure.axes
    assert axes.get_xlabel() == "distance to the nearest source / nm"
    low, high = axes.get_xlim()
    assert (low, high) == pytest.approx((-2.0, 100.0))


@pytest.mark.parametrize("times", [[0.0, 0.0], [INF, INF], []])
def test_no_picture_of_distances_without_a_time(tmp_path, times):
    assert not draw_distances(tmp_path / "d.png", "t", [table_of(times)], 100.0)
    assert not draw_distances(tmp_path / "d.png", "t", [replace(table_of([1.0]), surface=np.zeros(1))], 100.0)
    assert not list(tmp_path.iterdir())


# --- whole runs ---


def results_of(folder, image, end="20 s"):
    case = write_case(
        folder,
        image,
        phases=PORE + SEI + barrier("stone", 2),
        mesh='[mesh]\nmethod = "voxel"\ndegree = 1\nestimate = false\n',
        time=f'[time]\nend = "{end}"\ntolerance = 1e-3\nsnapshots = ["{end}"]\n',
        regions='[regions.stones]\nsurface = "stone"\n',
        more='[pictures]\nformats = ["png", "svg"]\n',
    )
    return run_case(case, comm=MPI.COMM_SELF)


def picture_of(path):
    return np.asarray(Image.open(path).convert("RGB")).astype(int)


def test_picture_in_2d(tmp_path):
    """A stone near the pores, one far away, and one that touches pores only, in their colours and with their ids."""
    image = np.ones((24, 60), np.uint8)
    image[:, :12] = 0
    image[4:8, 3:7] = 2  # amid pores
    image[8:14, 16:22] = 2
    image[8:14, 50:56] = 2
    results = results_of(tmp_path, image, "3 s")
    lines = [line for line in (results / "particles.csv").read_text().splitlines() if not line.startswith("#")]
    header = lines[0].split(",")
    t50 = [dict(zip(header, line.split(","), strict=True))["t50_s"] for line in lines[1:]]
    assert t50[0] == t50[2] == ""
    times = TimeColours.of([table_of([np.nan, float(t50[1]), INF], [0, 1, 1])], 3, 3.0)
    picture = picture_of(results / "particles.png")
    scale = 1600 / 60  # pixels of the picture per pixel of the image
    for colour, size in zip(times.colours(), (16, 36, 36), strict=True):
        found = (np.abs(picture - colour) <= 1).all(axis=-1).sum()
        if colour.tolist() != rgb(BARE):  # as white as the page
            assert found == pytest.approx(size * scale**2, rel=0.12)  # ids and outlines lie on it
    text = (results / "particles.svg").read_text()
    for words in ("touches no phase that is solved for", "not half within 3 s", "numbers: id in particles.csv"):
        assert words in text
    assert "from the start" not in text


def test_picture_in_3d(tmp_path):
    image = np.ones((8, 8, 24), np.uint8)
    image[..., :4] = 0
    image[2:6, 0:4, 7:11], image[2:6, 2:6, 19:23] = 2, 2
    image[3:5, 3:5, 1:3] = 2  # amid pores
    results = results_of(tmp_path, image, "0.3 s")
    picture = picture_of(results / "particles.png")[200:-200, :1500]
    spread = picture.max(axis=-1) - picture.min(axis=-1)
    assert (spread > 60).sum() > 20_000  # coloured
    assert ((spread < 3) & (picture[..., 0] > 40) & (picture[..., 0] < 200)).sum() > 10_000  # grey, in light and shade
    text = (results / "particles.svg").read_text()
    assert "touches no phase that is solved for" in text


def test_pixels_of_smooth_edges_go_to_the_nearest_particle_of_their_phase():
    """As distances to all pixels tell; between two that are as near either will do."""
    from microlith.workflow.pictures.particles import _numbers

    rng = np.random.default_rng(4)
    number = rng.integers(-30, 3, (30, 41)).clip(-1).astype(np.int32)
    of_phase = np.array([2, 1, 2])
    phase = rng.integers(0, 3, number.shape).astype(np.uint8)
    found = _numbers(number, phase, of_phase)
    assert ((found >= 0) == (phase > 0)).all()
    for i, j in np.argwhere(phase > 0):
        here = np.argwhere((number >= 0) & (of_phase[number] == phase[i, j]))
        distance = ((here - (i, j)) ** 2).sum(axis=1)
        assert found[i, j] in number[tuple(here[distance == distance.min()].T)]
    alone = np.zeros((4, 5), np.int32)
    assert (_numbers(alone, np.full((4, 5), 2, np.uint8), of_phase) == 0).all()
