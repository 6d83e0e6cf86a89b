"""What of a phase is connected to an outer face, against labels of the whole image, on any number of ranks."""

import numpy as np
import pytest
from label_images import label_volume
from numpy.typing import NDArray
from scipy import ndimage

from mpi4py import MPI

from microlith.imaging.axes import AXES
from microlith.imaging.errors import InputError
from microlith.imaging.formats.stored import Window
from microlith.imaging.image.load import whole_on_root
from microlith.imaging.microstructure.percolation import percolation

COMM = MPI.COMM_WORLD
NAMES = ("pore", "sei", "grain")


def expected(phase: NDArray[np.uint8], faces: dict[int, str]) -> NDArray[np.uint8]:
    """The split image, by labelling all of it at once."""
    out, new = phase.copy(), int(phase.max()) + 1
    for index, face in faces.items():
        label, _ = ndimage.label(phase == index)
        at = np.take(label, 0 if face.endswith("min") else -1, axis=phase.ndim - 1 - AXES.index(face[0]))
        rest = (label > 0) & ~np.isin(label, at[at > 0])
        if rest.any():
            out[rest] = new
            new += 1
    return out


def noise(shape: tuple[int, ...], seed: int) -> NDArray[np.uint8]:
    """Three phases at random, the first two near their percolation thresholds."""
    shares = [0.55, 0.35, 0.1] if len(shape) == 2 else [0.35, 0.35, 0.3]
    return np.random.default_rng(seed).choice(3, shape, p=shares).astype(np.uint8)


FLAT = [("x_min", None), ("x_max", "y_min"), ("y_max", "x_min"), (None, "y_min")]
SOLID = [("x_min", None), ("x_max", "y_min"), ("z_max", "z_max"), (None, "z_min")]


@pytest.mark.mpi
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("shape", "faces"),
    [
        *((shape, faces) for shape in [(23, 17), (2, 40)] for faces in FLAT),
        *((shape, faces) for shape in [(11, 7, 9), (2, 5, 30)] for faces in SOLID),
    ],
)
def test_split_images_are_those_of_the_whole_image(
    shape: tuple[int, ...], faces: tuple[str | None, str | None], seed: int
) -> None:
    wanted = {i: face for i, face in enumerate(faces) if face is not None}
    phase = noise(shape, seed)
    at_face = [np.take(phase, 0 if face.endswith("min") else -1, axis=len(shape) - 1 - AXES.index(face[0])) == index
               for index, face in wanted.items()]  # fmt: skip
    for layer, face in zip(at_face, wanted.values(), strict=True):
        if not layer.any():
            with pytest.raises(InputError, match=f"lies at the face {face}"):
                percolation(label_volume(phase, names=NAMES), wanted, COMM)
            return
    found = percolation(label_volume(phase, names=NAMES), wanted, COMM)
    split = expected(phase, wanted)
    assert found.volume.counts == tuple(np.bincount(split.ravel(), minlength=len(found.volume.names)))
    assert found.volume.names == (*NAMES, *(f"{NAMES[i]} (not connected)" for i in found.rest_of))
    for index, share in found.connected.items():
        assert share == pytest.approx((split == index).sum() / (phase == index).sum(), rel=1e-14)
    image = whole_on_root(found.volume, COMM)
    if image is not None:
        np.testing.assert_array_equal(image.phase, split)
    rng = np.random.default_rng(COMM.rank)
    for _ in range(4):
        window: Window = tuple(sorted(map(int, rng.integers(0, n + 1, 2))) for n in shape)  # type: ignore[misc]
        window = tuple((a, b) for a, b in window)
        portion = found.volume.read(window)
        np.testing.assert_array_equal(portion.phase, split[tuple(slice(*ends) for ends in window)])
        assert portion.window == window


@pytest.mark.mpi
def test_the_image_itself_stays_as_it_is() -> None:
    phase = noise((12, 12), 5)
    before = phase.copy()
    volume = label_volume(phase, names=NAMES)
    split = percolation(volume, {0: "x_min"}, COMM)
    split.volume.read(((0, 12), (0, 12)))
    np.testing.assert_array_equal(phase, before)
    assert split.rest_of == (0,)


@pytest.mark.mpi
def test_a_path_that_winds_through_all_slabs() -> None:
    """A serpentine enters and leaves each slab many times; what lies between is cut off."""
    phase = np.ones((30, 41), np.uint8)
    phase[:, ::4] = 0
    phase[0, 1:3] = phase[-1, 5:7] = 0
    for k, first in enumerate(range(0, 40, 4)):
        phase[0 if k % 2 == 0 else -1, first + 1 : first + 4] = 0
    phase[10:12, 2] = 0  # an island
    volume = label_volume(phase, names=("pore", "sei"))
    found = percolation(volume, {0: "x_max"}, COMM)
    assert found.volume.counts[2] == 2
    assert found.volume.names[2] == "pore (not connected)"


@pytest.mark.mpi
def test_all_connected_leaves_the_image_alone() -> None:
    phase = np.repeat([[0, 0, 1, 1]], 6, axis=0).astype(np.uint8)
    volume = label_volume(phase, names=("pore", "sei"))
    found = percolation(volume, {0: "y_min"}, COMM)
    assert found.volume is volume
    assert found.connected == {0: 1.0}


@pytest.mark.mpi
def test_refused_on_all_ranks() -> None:
    phase = np.repeat([[0, 0, 1, 1]], 6, axis=0).astype(np.uint8)
    volume = label_volume(phase, names=("pore", "sei"))
    with pytest.raises(InputError, match=r"\[phases.pore\] connected_to: no pixel of pore lies at the face x_max"):
        percolation(volume, {0: "x_max"}, COMM)
    with pytest.raises(InputError, match=r'\[phases.pore\] connected_to: there is no face "z_min" in 2D'):
        percolation(volume, {0: "z_min"}, COMM)
    many = np.repeat([[0, 1, 0, *range(2, 255)]], 2, axis=0).astype(np.uint8)
    volume = label_volume(many, names=[f"p{i}" for i in range(255)])
    with pytest.raises(InputError, match=r"\[phases\]: expected at most 255 phases with those .* got 256"):
        percolation(volume, {0: "x_min"}, COMM)
