"""Standard errors from parts of an image, against many images of one kind."""

from dataclasses import replace

import numpy as np
import pytest
import tifffile
from measured import ball, volume_from
from scipy.ndimage import gaussian_filter, zoom

from mpi4py import MPI

from microlith.imaging.image.volume import LabelImage
from microlith.imaging.options import ImageSource
from microlith.workflow.analysis.no_error import with_reasons
from microlith.workflow.analysis.representativeness import representativeness, with_errors
from microlith.workflow.case.case import AnalysisOptions
from microlith.workflow.measurements.distributions import error_of_mean, error_of_quantile, weighted_quantile
from microlith.workflow.measurements.findings import Finding, Number
from microlith.workflow.measurements.scatter import Scatter, error_of_section, standard_error
from microlith.workflow.measurements.subject import Subject
from microlith.workflow.measurements.table import MEASUREMENTS


def spots(seed, n=120):
    """Disks of 4 pixels radius at random places."""
    rng = np.random.default_rng(seed)
    y, x = np.ogrid[:n, :n]
    phase = np.zeros((n, n), np.uint8)
    for row, column in rng.uniform(-4, n + 4, (rng.poisson(0.006 * (n + 8) ** 2), 2)):
        phase[(y - row) ** 2 + (x - column) ** 2 < 16] = 1
    return phase


def subject_of(phase, comm):
    return Subject(volume_from(phase, comm=comm), comm, AnalysisOptions(), None, (0,), (1,), "y_min", {})


@pytest.mark.mpi
def test_the_error_is_that_of_many_images():
    comm = MPI.COMM_WORLD
    subject = subject_of(spots(0), comm)
    numbers = MEASUREMENTS["volume_fractions"][0](subject).numbers
    _, errors = representativeness(subject, ["volume_fractions"], numbers)
    true = np.std([spots(seed).mean() for seed in range(1, 40)], ddof=1)
    assert true / 2 < errors["volume_fraction.b"] < 2 * true
    assert "volume_fraction_most_y.b" not in errors


@pytest.mark.parametrize("n", [40, 120])
def test_a_volume_of_few_layers_is_cut_across_the_others(n):
    """Layers that are alike have the errors of one of them, from parts of one size or two; a small volume has none."""
    found = []
    for phase in (spots(0, n), np.repeat(spots(0, n)[None], 6, axis=0), np.repeat(spots(0, 20)[None], 6, axis=0)):
        subject = subject_of(phase, MPI.COMM_SELF)
        numbers = MEASUREMENTS["volume_fractions"][0](subject).numbers
        found.append(representativeness(subject, ["volume_fractions"], numbers)[1])
    assert found[0]["volume_fraction.b"] > 0
    assert found[0] == pytest.approx(found[1], rel=1e-12)
    assert found[2] == {}


def test_errors_of_lengths_are_not_below_what_voxels_resolve():
    """Columns of particles at equal distances: all parts agree to the last digit, which is not how well one knows."""
    phase = np.zeros((48, 48), np.uint8)
    phase[:, ::6] = 1
    subject = subject_of(phase, MPI.COMM_SELF)
    subject.load()
    found = with_errors(subject, {name: MEASUREMENTS[name][0](subject) for name in ("distances", "thickness")})
    numbers = {number.name: number for name in ("distances", "thickness") for number in found[name].numbers}
    assert numbers["thickness_mean.b"].error == pytest.approx(0.7)
    assert numbers["distance_50_percent.a>b"].error == pytest.approx(0.5)
    assert numbers["distance_largest.a>b"].error is None


def ways(phase, edge):
    volume = volume_from(phase, edge, comm=MPI.COMM_SELF)
    subject = replace(subject_of(phase, MPI.COMM_SELF), volume=volume, face="z_min")
    subject.load()
    return MEASUREMENTS["tortuosity"][0](subject).numbers[0]


def test_error_of_tortuosity_has_what_voxels_leave_open_of_walls():
    """Against voxels a third as wide; none where all ways are straight."""
    shares = []
    for seed in range(4):
        noise = gaussian_filter(np.random.default_rng(seed).standard_normal((36, 36, 36)), 3.0, mode="wrap")
        fine = zoom(noise, 3, order=3, mode="grid-wrap", grid_mode=True) < 0
        coarse, true = ways(fine[1::3, 1::3, 1::3].astype(np.uint8), 3.0), ways(fine.astype(np.uint8), 1.0)
        assert true.resolution == pytest.approx(coarse.resolution / 3, rel=0.3)
        shares.append((coarse.value - true.value) / coarse.resolution)
    assert 0.3 < np.sqrt(np.mean(np.square(shares))) < 1.5
    pillars = np.zeros((24, 12, 12), np.uint8)
    pillars[:, 2:5, 3:6] = 1
    assert ways(pillars, 1.0).resolution == 0


def test_distributions_of_distances_have_classes_that_voxels_resolve():
    """A ball before a wall: classes below a voxel are empty between distances that the grid has."""
    phase = np.where(ball((40, 40, 40), 8, (20.2, 19.9, 20.1)), 0, 2)
    phase[:, :, 36:] = 1
    subject = subject_of(phase, MPI.COMM_SELF)
    subject.load()
    columns = {column.name: column.values for column in MEASUREMENTS["distances"][0](subject).tables[0].columns}
    np.testing.assert_allclose(np.diff(columns["distance"]), 1)
    np.testing.assert_allclose(columns["distance"] % 1, 0.5)  # whole voxels are in the middle of classes
    assert columns["share_of_area"].sum() == pytest.approx(1)
    there = columns["share_of_area"][9:22]  # of a ball, the area per distance is the same from 8 to 24 voxels
    assert there == pytest.approx(1 / 16, rel=0.3)


def waves(seed, kind, n=48):
    """Where one of two random fields is the higher one, to both of which random or steady changes along z are added."""
    rng = np.random.default_rng(seed)
    fields = [gaussian_filter(rng.standard_normal((n, n, n)), 2.0, mode="wrap") for _ in range(2)]
    layers = gaussian_filter(rng.standard_normal(n + 40), 5.0)[20:-20]
    along = {"even": np.zeros(n), "layers": layers / layers.std() * 0.5, "gradient": np.linspace(-0.6, 0.6, n)}[kind]
    return (fields[0] / fields[0].std() + along[:, None, None] > fields[1] / fields[1].std()).astype(np.uint8)


def told_and_true(kind, count):
    """Errors of a volume fraction, the spread of that of many images, and notes."""
    told, true, notes = [], [], []
    for seed in range(count):
        subject = subject_of(waves(seed, kind), MPI.COMM_SELF)
        numbers = MEASUREMENTS["volume_fractions"][0](subject).numbers
        found, errors = representativeness(subject, ["volume_fractions"], numbers)
        told.append(errors["volume_fraction.b"])
        true.append(next(number.value for number in numbers if number.name == "volume_fraction.b"))
        notes += found.notes
    return np.median(told), np.std(true, ddof=1), notes


def test_layers_have_the_error_of_many_images():
    """By the scatter of parts it was 2.6 times too small."""
    told, true, notes = told_and_true("layers", 24)
    assert 0.6 < true / told < 1.5
    assert np.mean(["layers across z differ" in note for note in notes]) > 0.6


def test_gradients_have_the_error_of_images_with_the_same_gradient():
    """The scatter of parts holds the gradient, and was four times too large."""
    told, true, notes = told_and_true("gradient", 16)
    assert 0.6 < true / told < 1.7
    assert np.mean(["changes steadily along z; errors are those among" in note for note in notes]) > 0.8
    assert len(notes) > 12


def test_structures_without_layers_are_taken_for_such_once_in_many():
    assert len(told_and_true("even", 24)[2]) <= 2


@pytest.mark.mpi
@pytest.mark.parametrize("kind", ["layers", "gradient"])
def test_layers_are_the_same_on_all_ranks(kind):
    found = []
    for comm in (MPI.COMM_WORLD, MPI.COMM_SELF):
        subject = subject_of(waves(3, kind), comm)
        numbers = MEASUREMENTS["volume_fractions"][0](subject).numbers
        found.append(representativeness(subject, ["volume_fractions"], numbers)[1])
    assert found[0] == found[1]


def test_independent_parts_scatter_as_one_over_the_root_of_the_volume():
    scatters = [Scatter(4, 16, 1.0, 0.8), Scatter(2, 8, 1.0, 0.8 / np.sqrt(8))]
    assert standard_error(scatters, 3) == pytest.approx(0.1)
    slower = [Scatter(4, 16, 1.0, 0.8), Scatter(2, 8, 1.0, 0.4)]
    assert standard_error(slower, 3) == pytest.approx(0.2)
    assert standard_error(slower[1:], 3) == pytest.approx(0.4 / np.sqrt(8))


def test_parts_that_are_all_alike_tell_no_error():
    """They told an error of 0, so that compare called any change larger than both errors."""
    alike = Scatter(2, 8, 1.0, 1e-16)
    assert standard_error([alike], 3) is None
    assert standard_error([Scatter(4, 16, 1.0, 0.8), alike], 3) == pytest.approx(0.1)


def test_few_bodies_have_no_error_of_their_number():
    """A disk in the middle of each quarter: all parts have the same numbers, by chance."""
    phase = np.zeros((40, 40), np.uint8)  # which is cut into halves only
    y, x = np.ogrid[:40, :40]
    for row, column in ((10, 10), (10, 30), (30, 10), (30, 30)):
        phase[(y - row) ** 2 + (x - column) ** 2 < 36] = 1
    subject = subject_of(phase, MPI.COMM_SELF)
    subject._known["image"] = LabelImage(phase, ("a", "b"), (1.0, 1.0))
    found = with_errors(subject, {"particles": MEASUREMENTS["particles"][0](subject)})
    errors = {number.name: number.error for number in found["particles"].numbers}
    assert errors["particle_density.b"] is None
    assert errors["particle_contact.b+a"] is None


def balls_of_one_size(n, radius, seed):
    """Apart from each other, at random places, where the frame cuts many."""
    rng = np.random.default_rng(seed)
    phase, centres = np.zeros((n, n, n), np.uint8), np.empty((0, 3))
    for centre in rng.uniform(-radius, n + radius, (4000, 3)):
        if (np.linalg.norm(centres - centre, axis=1) > 2 * radius + 2).all():
            centres = np.vstack([centres, centre])
            phase[ball((n, n, n), radius, centre)] = 1
    return phase


def test_the_frame_does_not_change_mean_sizes_of_particles():
    """Without its bodies' weights they were 30 % (sections 21 %) too small, with a tenth of that as their error."""
    radius = 6.0
    subject = subject_of(balls_of_one_size(64, radius, 2), MPI.COMM_SELF)
    subject.load()
    found = with_errors(subject, {"particles": MEASUREMENTS["particles"][0](subject)})["particles"]
    numbers = {number.name: number for number in found.numbers}
    for what in ("mean", "median", "mean_by_volume", "median_by_volume"):
        assert numbers[f"particle_diameter_{what}.b"].value == pytest.approx(2 * radius, rel=0.005)
        assert numbers[f"particle_diameter_{what}.b"].error < 0.05
    section = numbers["section_diameter_mean.b"]
    assert section.value == pytest.approx(np.pi / 2 * radius, rel=0.02)
    assert abs(section.value - np.pi / 2 * radius) < 2 * section.error
    extent = numbers["particle_extent_mean.b"]
    assert abs(extent.value - 2 * radius) < extent.error < 0.7  # half a voxel, and the scatter
    sizes = next(table for table in found.tables if table.name == "particle-sizes-b")
    assert max(sizes.columns[1].values) > 0.9


def test_errors_of_means_and_quantiles_are_those_of_many_draws():
    """Sizes that spread widely, weighted by their cubes, as diameters are by volume."""
    rng = np.random.default_rng(1)
    sizes = rng.lognormal(0, 0.2, (400, 200))
    for weights in (np.ones_like(sizes), sizes**3):
        means = np.average(sizes, axis=1, weights=weights)
        medians = [weighted_quantile(one, of, 0.5) for one, of in zip(sizes, weights, strict=True)]
        of_means = [error_of_mean(one, of) for one, of in zip(sizes, weights, strict=True)]
        of_medians = [error_of_quantile(one, of, 0.5) for one, of in zip(sizes, weights, strict=True)]
        assert np.median(of_means) == pytest.approx(means.std(), rel=0.1)
        assert np.median(of_medians) == pytest.approx(np.std(medians), rel=0.25)
    assert error_of_mean(np.ones(5), np.ones(5)) == 0
    assert error_of_mean(np.array([1.0, 2.0]), np.array([1.0, 0.1])) is None
    assert error_of_quantile(np.array([3.0]), np.ones(1), 0.5) is None


def test_errors_of_sizes_are_those_of_many_images_where_parts_cut_the_large_bodies():
    """Without those parts the others agreed: errors were a third to a tenth of the spread."""
    found = []
    for seed in range(8):
        waves = np.random.default_rng(seed).standard_normal((3, 144, 144))
        phase = np.argmax([gaussian_filter(wave, 3.0, mode="wrap") for wave in waves], axis=0).astype(np.uint8)
        subject = subject_of(phase, MPI.COMM_SELF)
        subject.load()
        numbers = with_errors(subject, {"particles": MEASUREMENTS["particles"][0](subject)})["particles"].numbers
        found.append({number.name: number for number in numbers})
    for what in ("mean", "mean_by_volume", "median_by_volume"):
        those = [one[f"particle_diameter_{what}.b"] for one in found if one[f"particle_diameter_{what}.b"].sampled]
        spread = np.std([number.value for number in those], ddof=1)
        assert len(those) > 4
        assert spread < 1.7 * np.sqrt(np.mean([number.error**2 for number in those]))


@pytest.mark.mpi
def test_parts_have_the_particles_that_labels_name(tmp_path):
    """Of squares that all touch; parts of one connected body each said nothing of their sizes, and a wrong density."""
    comm = MPI.COMM_WORLD
    n, edge, path = 97, 8, comm.bcast(tmp_path) / "labels.tif"
    row, column = (np.arange(n)[:, None] + 3) // edge, (np.arange(n) + 5) // edge
    odd = (row + column) % 2 == 1
    phase = np.full((n, n), 1, np.uint8)
    phase[::5, ::9] = 0
    if comm.rank == 0:
        tifffile.imwrite(path, np.where(odd, 1000 + 50 * row + column, 50 * row + column + 1).astype(np.uint16))
    comm.Barrier()
    subject = replace(
        subject_of(phase, comm), options=AnalysisOptions(particle_labels=str(path)), source=ImageSource("unused.tif")
    )
    subject.load()
    found = with_errors(subject, {"particles": MEASUREMENTS["particles"][0](subject)})["particles"]
    numbers = {number.name: number for number in found.numbers}
    assert numbers["particle_density.b"].value == pytest.approx(1 / edge**2, rel=0.02)
    assert 0 < numbers["particle_density.b"].error < 0.02 / edge**2  # of cut squares, that count half
    assert numbers["particle_diameter_mean.b"].value == pytest.approx(
        2 * np.sqrt((edge**2 - 64 / 45) / np.pi), rel=0.01
    )
    assert 0 < numbers["particle_diameter_mean.b"].error < 0.1


def test_sizes_of_bodies_that_the_frame_cuts_have_no_error():
    """Two networks through each other: a phase that is one body, and spans the image as well as its parts."""
    z, y, x = np.mgrid[:64, :64, :64] * 2 * np.pi / 16
    phase = (np.sin(x) * np.cos(y) + np.sin(y) * np.cos(z) + np.sin(z) * np.cos(x) > 0).astype(np.uint8)
    subject = subject_of(phase, MPI.COMM_SELF)
    subject.load()
    found = with_errors(subject, {"particles": MEASUREMENTS["particles"][0](subject)})["particles"]
    numbers = {number.name: number for number in found.numbers}
    for name in ("particle_diameter_mean.b", "particle_diameter_median_by_volume.b", "particle_extent_mean.b"):
        assert numbers[name].value > 0
        assert numbers[name].error is None
    assert "frame cuts bodies that hold most of b" in found.notes[0]


def test_errors_of_sections_of_independent_pixels():
    """Blurred over five pixels they depend on each other, and the mean of a section has a larger error."""
    rng = np.random.default_rng(4)
    single = [rng.normal(size=(96, 120)) for _ in range(20)]
    wide = [gaussian_filter(one, 5.0) for one in single]
    for sections in (single, wide):
        told = np.median([error_of_section(one) for one in sections])
        spread = np.std([one.mean() for one in sections], ddof=1)
        assert 0.5 < told / spread < 2.0
    with_holes = [error_of_section(np.where(rng.random((96, 120)) < 0.75, np.nan, one)) for one in single]
    assert np.median(with_holes) == pytest.approx(2 * np.median([error_of_section(one) for one in single]), rel=0.4)
    assert error_of_section(np.ones((20, 20))) is None
    assert error_of_section(np.full((96, 96), np.nan)) is None


def test_ways_to_the_opposite_face_have_an_error():
    """It scatters among ten images as told; along a line in 2D it is not known, and that is said."""
    found = []
    for seed in range(10):
        field = gaussian_filter(np.random.default_rng(seed).standard_normal((64, 64, 64)), 3.0)[8:-8, 8:-8, 8:-8]
        phase = (field > np.quantile(field, 0.6)).astype(np.uint8)
        subject = replace(subject_of(phase, MPI.COMM_SELF), face="z_min")
        subject.load()
        numbers = {number.name: number for number in MEASUREMENTS["tortuosity"][0](subject).numbers}
        found.append(numbers["tortuosity_geodesic_through.a@z_min"])
    assert all(number.error is not None for number in found)
    spread = np.std([number.value for number in found], ddof=1)
    assert 0.4 < spread / np.median([number.error for number in found]) < 2.5
    flat_subject = subject_of(spots(1), MPI.COMM_SELF)
    flat_subject.load()
    flat = MEASUREMENTS["tortuosity"][0](flat_subject)
    through = next(number for number in with_reasons({"": flat}, True)[""].numbers if "_through" in number.name)
    assert through.error is None
    assert "few ways end" in through.no_error


@pytest.mark.parametrize(
    ("number", "in_parts", "reason"),
    [
        (Number("pieces.a", 3.0, "1", ""), True, "it grows with the image"),
        (Number("connected_through.a@x", 0.5, "1", ""), True, "what is connected within parts"),
        (Number("chord_mean_x.a", 1e-6, "m", ""), False, "was not measured"),
        (Number("chord_mean_x.a", 1e-6, "m", ""), True, "edges below 24 voxels are not cut"),
        (Number("chord_mean_x.a", float("nan"), "m", ""), True, "there is no value"),
        (Number("chord_mean_x.a", 1e-6, "m", "", error=1e-8), True, None),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_why_there_is_no_error_is_told(number, in_parts, reason):
    told = with_reasons({"some": Finding([number])}, in_parts)["some"].numbers[0].no_error
    assert told == "" if reason is None else reason in told
