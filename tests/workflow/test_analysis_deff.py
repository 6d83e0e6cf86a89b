"""Effective diffusivities among the numbers of an analysis, and their standard errors."""

import numpy as np
import pytest
from measured import ball, volume_from

from mpi4py import MPI

import microlith as ml
from microlith.imaging.image.coarser import coarser
from microlith.imaging.image.sampling import majority
from microlith.workflow.analysis.representativeness import representativeness
from microlith.workflow.case.case import AnalysisOptions
from microlith.workflow.measurements.diffusivity import measure_diffusivity
from microlith.workflow.measurements.subject import Subject

PHASES = {
    "pore": {"label": 0, "role": "source", "concentration": "1 mol/L"},
    "binder": {"label": 1, "role": "transport", "diffusivity": "1e-14 m^2/s"},
    "grain": {"label": 2, "role": "barrier"},
}


def subject_of(phase, conducting=(0,), coarsening=1):
    comm = MPI.COMM_WORLD
    volume = volume_from(phase, comm=comm)
    return Subject(volume, comm, AnalysisOptions(), None, (), (), "y_min", {}, conducting, coarsening)


def values(finding):
    return {number.name: number.value for number in finding.numbers}


@pytest.mark.mpi
def test_layers_conduct_by_their_share_along_them_and_not_at_all_across():
    phase = np.zeros((12, 9, 9), np.uint8)
    phase[3:9] = 1
    found = values(measure_diffusivity(subject_of(phase, (0, 1))))
    assert [found[f"relative_diffusivity_{axis}.b"] for axis in "xyz"] == pytest.approx([0.5, 0.5, 0.0])
    assert found["tortuosity_factor_y.b"] == pytest.approx(1.0)
    assert found["tortuosity_factor_z.a"] == np.inf
    coarse = values(measure_diffusivity(subject_of(phase, (1,), 3)))
    assert coarse["relative_diffusivity_x.b"] == pytest.approx(0.5)


@pytest.mark.mpi
def test_blocks_are_voted_window_by_window():
    phase = np.random.default_rng(0).integers(0, 3, (20, 13, 17)).astype(np.uint8)
    volume = coarser(volume_from(phase), 3, MPI.COMM_WORLD)
    expected = majority(phase, 3, "")
    assert volume.shape == expected.shape
    assert volume.counts == tuple(np.bincount(expected.ravel()))
    assert volume.voxel_size == (3.0,) * 3
    assert (volume.read(((1, 5), (0, 4), (2, 5))).phase == expected[1:5, :, 2:5]).all()


def test_values_are_those_of_the_study_of_voxels():
    phase = np.where(ball((16, 16, 16), 6.3, (8, 8, 9)), 2, 1)
    phase[0] = 0
    tables = {"image": {"voxel_size": "50 nm"}, "phases": PHASES, "mesh": {"method": "voxel", "degree": 1}}
    case = ml.case(tables, image=phase)
    found = ml.analyze(case.with_({"analysis.measure": ["volume_fractions"]}), deff=True).numbers
    study = ml.effective_diffusivity(case, "binder")
    for along in study.along:
        assert found[f"relative_diffusivity_{along.axis}.binder"].value == pytest.approx(along.relative, rel=1e-7)
    assert "relative_diffusivity_x.pore" in found
    assert "relative_diffusivity_x.grain" not in found


def test_the_error_is_that_of_many_images():
    """Also: a size in whose parts nothing conducts gives no error of the tortuosity factor."""

    def noise(seed, n=64):
        phase = np.zeros((n, n), np.uint8)
        rng = np.random.default_rng(seed)
        for row, column in rng.integers(0, n, (rng.poisson(n * n / 40), 2)):
            phase[max(0, row - 1) : row + 2, max(0, column - 1) : column + 2] = 1
        return phase

    subject = subject_of(noise(0))
    _, errors = representativeness(subject, ["diffusivity"], measure_diffusivity(subject).numbers)
    name = "relative_diffusivity_x.a"
    true = np.std([values(measure_diffusivity(subject_of(noise(seed))))[name] for seed in range(1, 25)], ddof=1)
    assert true / 2 < errors[name] < 2 * true
    closed = noise(0)
    closed[10] = 1
    subject = subject_of(closed)
    _, errors = representativeness(subject, ["diffusivity"], measure_diffusivity(subject).numbers)
    assert "tortuosity_factor_y.a" not in errors
    assert errors["relative_diffusivity_y.a"] > 0


def test_a_case_without_such_phases_says_so():
    case = ml.case({"image": {"voxel_size": "1 um"}, "phases": {"grain": PHASES["grain"]}}, image=np.full((9, 9), 2))
    with pytest.raises(ml.InputError, match="no phase transports"):
        ml.analyze(case, deff=True)
    with pytest.raises(ml.InputError, match=r'analysis.*deff.*"gran"'):
        case.with_({"analysis.deff": ["gran"]})
