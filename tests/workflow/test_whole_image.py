"""Measurements that need the whole image on one rank: two ranks share them, and what does not fit is refused."""

import numpy as np
import pytest
from measured import volume_from

from mpi4py import MPI

import microlith as ml
from microlith.imaging.image import passes
from microlith.imaging.image.passes import slabs
from microlith.imaging.measures.surface_faces import face_halo, slab_faces
from microlith.imaging.measures.surfaces import SHAPES_UP_TO, surfaces, surfaces_and_lines
from microlith.imaging.measures.whole_faces import GatheredFaces, faces_on_root
from microlith.imaging.parallel import memory

PHASES = {
    "pore": {"label": 0, "role": "source", "concentration": "1 mol/L"},
    "grain": {"label": 1, "role": "barrier"},
    "binder": {"label": 2, "role": "transport", "diffusivity": "1e-14 m^2/s"},
}


def spots(n=20):
    noise = np.random.default_rng(3).integers(0, 3, (n // 4 + 1,) * 3)
    return np.kron(noise, np.ones((4, 4, 4), int))[:n, :n, :n]


def case(image=None, **analysis):
    measure = ["particles", "thickness", "distances", "tortuosity"]
    tables = {"image": {"voxel_size": "50 nm"}, "phases": PHASES, "analysis": {"measure": measure, **analysis}}
    return ml.case(tables, image=spots() if image is None else image)


@pytest.mark.mpi
def test_ranks_that_share_the_work_find_what_one_finds():
    found = ml.analyze(case())
    alone = ml.analyze(case(), comm=MPI.COMM_SELF)
    assert list(found.numbers) == list(alone.numbers)
    values = [[number.value for number in of.numbers.values()] for of in (found, alone)]
    np.testing.assert_array_equal(*values)
    assert list(found.findings) == list(alone.findings)
    if MPI.COMM_WORLD.size > 1:
        assert "thickness+distances+tortuosity" in found.seconds  # at the same time
    if MPI.COMM_WORLD.rank == 0:
        for name, one in found.findings.items():
            assert [of.name for of in one.maps] == [of.name for of in alone.findings[name].maps]
            assert len(one.fields) == len(alone.findings[name].fields)


@pytest.mark.mpi
@pytest.mark.parametrize("with_areas", [False, True])
def test_faces_of_all_ranks_are_those_of_one(with_areas, monkeypatch):
    monkeypatch.setattr(passes, "VOXELS", 1500)
    phase = spots().astype(np.uint8)
    gathered = GatheredFaces(volume_from(phase), MPI.COMM_WORLD)
    if with_areas:  # on the way
        areas = surfaces_and_lines(volume_from(phase), MPI.COMM_WORLD, gathered)[0]
        np.testing.assert_array_equal(areas.between, surfaces(volume_from(phase), MPI.COMM_WORLD).between)
    found = gathered.whole() if with_areas else faces_on_root(volume_from(phase), MPI.COMM_WORLD)
    if MPI.COMM_WORLD.rank:
        assert found is None
        return
    volume = volume_from(phase, comm=MPI.COMM_SELF)
    (slab,) = slabs(volume, MPI.COMM_SELF, face_halo(volume), at_once=True)
    expected = dict(enumerate(slab_faces(volume, slab)))
    for axis, stride in enumerate(found.strides):
        place = np.concatenate([part[axis][0] for part in found.parts])
        area = np.concatenate([part[axis][1] for part in found.parts]) * found.unit
        np.testing.assert_array_equal(place, expected[axis].here)
        np.testing.assert_allclose(area, expected[axis].area, atol=found.unit)
        assert (phase.ravel()[place] != phase.ravel()[place + stride]).all()


@pytest.mark.mpi
def test_an_image_that_does_not_fit_is_refused_with_what_would(monkeypatch):
    monkeypatch.setattr(memory, "available_memory", lambda: 25.5 * 20**3)
    with pytest.raises(
        ml.InputError,
        match=r"the 8e\+03 voxels in which one rank finds tortuosity need .*coarsen = 2 would fit\), leave tortuosity "
        r"out of \[analysis\] measure, or go on all the same with --no-memory-check",
    ):
        ml.analyze(case())
    assert ml.analyze(case(measure=["volume_fractions", "tortuosity"]), check_memory=False).numbers
    ml.analyze(case(measure=["particles", "distances"]))
    monkeypatch.setattr(memory, "available_memory", lambda: 10.0 * 20**3)
    with pytest.raises(ml.InputError, match=r"finds particles need about 0\.0002 GB"):  # the one of most
        ml.analyze(case(measure=["particles", "thickness"]))
    monkeypatch.setattr(memory, "available_memory", lambda: 7.5 * 20**3)
    with pytest.raises(ml.InputError, match="finds surfaces need"):
        ml.analyze(case(measure=["surfaces"]))
    monkeypatch.setitem(SHAPES_UP_TO, 3, 20**3 - 1)  # no shapes are looked for in so large an image
    assert ml.analyze(case(measure=["surfaces"])).numbers


def test_pixels_take_more_than_voxels(monkeypatch):
    """Ways through an image in 2D are those through a volume of one layer, with one more on each side."""
    flat = spots(20)[0]
    monkeypatch.setattr(memory, "available_memory", lambda: 40.0 * flat.size)
    with pytest.raises(ml.InputError, match="the 400 pixels in which one rank finds tortuosity"):
        ml.analyze(case(flat, measure=["tortuosity"]))
    monkeypatch.setattr(memory, "available_memory", lambda: 48.0 * flat.size)
    assert ml.analyze(case(flat, measure=["tortuosity"])).numbers
