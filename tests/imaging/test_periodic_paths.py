"""What of a phase goes through an image, and on without end where the image comes again."""

from dataclasses import replace

import numpy as np
import pytest
from label_images import label_image

from mpi4py import MPI

from microlith.imaging.image.load import volume_of
from microlith.imaging.measures.connectivity import connectivity

COMM = MPI.COMM_WORLD


@pytest.mark.mpi
def test_what_crosses_a_periodic_face_does_not_go_through():
    """A body there is at both faces; layers at 45 degrees go on along both axes, though none within the image does."""
    y, x = np.indices((24, 24))
    image = ((x + y + 3) % 24 < 4).astype(np.uint8)
    image[2:5, :3] = image[2:5, -3:] = 2
    volume = volume_of(label_image(image), COMM)
    found = connectivity(replace(volume, periodic=(0, 1)), COMM).through
    assert found["x"][2] == found["y"][2] == 0
    assert found["x"][1] == found["y"][1] == 1
    along_y = connectivity(replace(volume, periodic=(1,)), COMM).through
    assert along_y["x"][1] == pytest.approx(1)  # through the faces across y
    assert along_y["y"][1] == along_y["x"][2] == 0
    assert connectivity(volume, COMM).through["x"][1] < 1
