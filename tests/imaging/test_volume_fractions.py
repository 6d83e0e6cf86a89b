"""Volume fractions, whole and by section."""

import numpy as np
import pytest
from measured import volume_from

from mpi4py import MPI

from microlith.imaging.image import passes
from microlith.imaging.measures.volume_fractions import volume_fractions

pytestmark = pytest.mark.mpi


@pytest.mark.parametrize("shape", [(7, 5, 6), (9, 4)])
def test_fractions_of_sections_on_any_number_of_ranks_and_slabs(shape, monkeypatch):
    monkeypatch.setattr(passes, "VOXELS", 40)
    phase = np.random.default_rng(0).integers(0, 3, shape)
    found = volume_fractions(volume_from(phase), MPI.COMM_WORLD)
    for value in range(3):
        assert found.whole[value] == (phase == value).mean()
        for axis, sections in enumerate(found.sections):
            others = tuple(other for other in range(len(shape)) if other != axis)
            np.testing.assert_allclose(sections[:, value], (phase == value).mean(axis=others), rtol=1e-14)
