"""What coarsen does to phases is told: shares before and after, and pieces."""

from pathlib import Path

import numpy as np
import pytest
from made_meshes import COMM
from scipy import ndimage

from microlith.imaging.image.load import label_volume
from microlith.imaging.microstructure.coarsening import LARGEST, coarsening, piece_counts
from microlith.imaging.options import ImageSource, PhaseLabels
from microlith.imaging.parallel.collective import on_first_rank

pytestmark = pytest.mark.mpi
PHASES = [PhaseLabels("pore", (0,)), PhaseLabels("sei", (1,)), PhaseLabels("particle", (2,))]


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return on_first_rank(COMM, lambda: tmp_path_factory.mktemp("coarse"))


def membranes() -> np.ndarray:
    """Pores with a membrane of SEI, a voxel thick, in the middle of blocks, and a large particle."""
    values = np.zeros((24, 24, 24), np.uint8)
    values[:, :, 4] = 1
    values[:, :6, 12:] = 1
    values[12:, 12:, 12:] = 2
    return values


def volume_of(folder: Path, values: np.ndarray, edge: int, name: str = "a.npy"):
    path = folder / name
    on_first_rank(COMM, lambda: np.save(path, values) if path.suffix == ".npy" else write(path, values))
    return label_volume(ImageSource(str(path), (1e-8,), coarsen=edge), PHASES, COMM)


def write(path: Path, values: np.ndarray) -> None:
    """A format that only rank 0 reads."""
    import SimpleITK

    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(values), str(path), True)


@pytest.mark.parametrize("name", ["a.npy", "a.nrrd"])
def test_a_membrane_that_is_lost_is_told(folder: Path, name: str) -> None:
    """The vote took it away, and joined the pores that it parted, without a word."""
    values = membranes()
    changes = {change.name: change for change in coarsening(volume_of(folder, values, 3, name), COMM)}
    assert changes["sei"].before == pytest.approx((values == 1).mean())
    assert changes["sei"].after < 0.9 * changes["sei"].before
    assert (changes["pore"].pieces_before, changes["pore"].pieces_after) == (2, 1)
    assert (changes["sei"].pieces_before, changes["sei"].pieces_after) == (2, 1)
    assert changes["sei"].much
    assert changes["pore"].much
    assert not changes["particle"].much
    assert changes["pore"].words() == f"pore {pore(values)} in 2 pieces before, 1 after"


def pore(values: np.ndarray) -> str:
    before = 100 * (values == 0).mean()
    after = 100 * (1 - (4 * 8 * 2 + 4**3) / 8**3)
    return f"{before:.3g} % before, {after:.3g} % after,"


def test_nothing_to_tell_without_coarsen(folder: Path) -> None:
    assert coarsening(volume_of(folder, membranes(), 1), COMM) == ()


def test_pieces_of_large_images_are_not_counted(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("microlith.imaging.microstructure.coarsening.LARGEST", 10)
    changes = coarsening(volume_of(folder, membranes(), 3), COMM)
    assert [change.pieces_before for change in changes] == [None] * 3
    assert changes[1].much
    assert "pieces" not in changes[1].words()
    assert LARGEST > 10


@pytest.mark.parametrize("seed", range(3))
def test_pieces_against_scipy(folder: Path, seed: int) -> None:
    values = np.random.default_rng(seed).integers(0, 3, (7, 9, 8)).astype(np.uint8)
    expected = tuple(ndimage.label(values == label)[1] for label in range(3))
    assert piece_counts(volume_of(folder, values, 1), COMM) == expected
    flat = values[0].repeat(3, 0)
    assert piece_counts(volume_of(folder, flat, 1), COMM) == tuple(ndimage.label(flat == i)[1] for i in range(3))
