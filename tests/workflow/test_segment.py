"""The command segment: from grey values to labels that other commands take, and what it says of wrong input."""

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from phantoms import PHASES, blurred, dice, truth, write_segmentation

from mpi4py import MPI

from microlith.imaging.image.labels import label_image
from microlith.imaging.options import ImageSource, PhaseLabels
from microlith.workflow import cli
from microlith.workflow.segment.read import load_request
from microlith.workflow.segment.run import segment

NAMES = ", ".join(f'"{name}"' for name in PHASES)
OTSU = f'[segmentation]\nphases = [{NAMES}]\nmethod = "multi-otsu"\n'


@pytest.fixture
def bare(monkeypatch):
    """Without pictures, which take longer than all else."""
    for name in ("draw_sections", "draw_histogram"):
        monkeypatch.setattr(f"microlith.workflow.segment.pictures.{name}", lambda *_: None)


def _two(shape=(6, 20, 24), seed=3):
    """Dark left, bright right, with noise."""
    grey = np.random.default_rng(seed).normal(60, 6, shape)
    grey[..., shape[-1] // 2 :] += 90
    return grey


TWO = '[segmentation]\nphases = ["dark", "bright"]\n'


def test_a_volume_goes_from_grey_values_to_labels_that_commands_take(tmp_path):
    path = write_segmentation(tmp_path, _two(), TWO + 'method = "otsu"\n[filters]\nmedian = 1\n', voxel="30 nm")
    assert cli.main(["segment", str(path), "-o", str(tmp_path / "out"), "-q"]) == 0
    out = tmp_path / "out"
    assert {file.name for file in out.iterdir()} == {
        ".microlith.json", "labels.tif", "margin.tif", "segment.json", "segment.txt", "segment.png", "histogram.png",
        *(f"{side}-{phase}.tif" for side in ("smaller", "larger") for phase in ("dark", "bright")),
    }  # fmt: skip
    phases = PhaseLabels("dark", (1,)), PhaseLabels("bright", (2,))
    image = label_image(ImageSource(str(out / "labels.tif")), phases)
    assert image.voxel_size == pytest.approx((30e-9,) * 3)
    assert (image.phase == (np.arange(24) >= 12)).all()
    told = json.loads((out / "segment.json").read_text())
    assert told["phases"]["bright"]["volume_fraction"] == 0.5
    assert told["thresholds"][0] == pytest.approx(105, abs=15)
    assert "dark: 50.00 %" in (out / "segment.txt").read_text()


def test_a_picture_keeps_its_two_axes_and_edges(tmp_path, bare):
    path = write_segmentation(
        tmp_path, _two((20, 24)), TWO + 'method = "thresholds"\nthresholds = [100]\n[filters]\ngaussian = "30 nm"\n'
    )
    path.write_text(path.read_text().replace('"20 nm"', '{ x = "20 nm", y = "35 nm" }'))
    assert cli.main(["segment", str(path), "-o", str(tmp_path / "out"), "-q"]) == 0
    image = label_image(
        ImageSource(str(tmp_path / "out" / "labels.tif")), (PhaseLabels("dark", (1,)), PhaseLabels("bright", (2,)))
    )
    assert image.shape == (20, 24)
    assert image.voxel_size == pytest.approx((35e-9, 20e-9))


@pytest.mark.mpi
def test_any_number_of_ranks_gives_the_same_labels(tmp_path, bare):
    comm = MPI.COMM_WORLD
    folder = comm.bcast(str(tmp_path))
    grey = blurred(truth(24, (72, 24, 144)))
    told = []
    for own in (MPI.COMM_SELF, comm):
        name = f"{folder}/{'one' if own is not comm else 'all'}"
        if own is comm or comm.rank == 0:
            if comm.rank == 0:
                write_segmentation(name, grey, OTSU + "[filters]\nmedian = 1\ngaussian = 0.7\n")
            own.Barrier()
            request = load_request(Path(name) / "segment.toml")
            told.append(segment(request, request.path.parent / "out", False, show=False, comm=own))
        comm.Barrier()
    if comm.rank == 0:
        one, all_ = told
        assert one["phases"] == all_["phases"]
        assert one["thresholds"] == all_["thresholds"]
        for file in ("labels.tif", "margin.tif", "larger-pore.tif"):
            assert (tifffile.imread(f"{folder}/one/out/{file}") == tifffile.imread(f"{folder}/all/out/{file}")).all()


def test_moved_thresholds_hold_the_truth_between_them(tmp_path, bare):
    true = truth(48, (72, 24, 144))
    path = write_segmentation(tmp_path, blurred(true, blur=0.6), OTSU + "[filters]\nmedian = 1\n")
    told = segment(load_request(path), tmp_path / "out", False, show=False)
    labels = tifffile.imread(tmp_path / "out" / "labels.tif") - 1
    assert min(dice(labels, true)) > 0.93
    for index, name in enumerate(PHASES):
        low, high = (told["phases"][name][f"volume_fraction_{side}"] for side in ("smaller", "larger"))
        assert low < told["phases"][name]["volume_fraction"] < high
        smaller = tifffile.imread(tmp_path / "out" / f"smaller-{name}.tif") - 1 == index
        larger = tifffile.imread(tmp_path / "out" / f"larger-{name}.tif") - 1 == index
        assert (larger | ~smaller).all()


# --- wrong input ---


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (TWO + 'method = "thresholds"\n', 'needs the key "thresholds"'),
        (TWO + 'method = "thresholds"\nthresholds = [3, 4]\n', "expected 1, one less than there are phases, got 2"),
        (TWO + 'method = "thresholds"\nthresholds = [900]\n', "900 is outside the grey values after the filters"),
        (TWO + 'method = "otsu"\nthresholds = [3]\n', 'takes no thresholds'),
        ('[segmentation]\nphases = ["a", "b", "a"]\nmethod = "multi-otsu"\n', '"a" is named twice'),
        ('[segmentation]\nphases = ["a", "b", "c"]\nmethod = "otsu"\n', 'take "multi-otsu"'),
        (TWO + 'method = "otsu"\n[filters]\norder = ["median"]\n', '"median" is not asked for'),
        (TWO + 'method = "otsu"\n[filters]\nmedian = 1\ngaussian = 1\norder = ["median"]\n', '"gaussian" is missing'),
        (TWO + 'method = "otsu"\n[certainty]\nphases = ["drak"]\n', 'did you mean "dark"?'),
    ],
)  # fmt: skip
def test_a_wrong_file_is_told_in_one_sentence(tmp_path, capsys, more, sentence):
    path = write_segmentation(tmp_path, _two(), more)
    assert cli.main(["segment", str(path), "-o", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert sentence in said
    assert str(path) in said
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("grey", "sentence"),
    [
        (np.arange(4 * 20 * 20).reshape(4, 20, 20) % 3, "3 distinct values only"),
        (np.full((4, 20, 20), 7), "nothing to tell apart"),
        (np.where(np.arange(1600).reshape(4, 20, 20) == 77, np.nan, _two((4, 20, 20))), "no numbers"),
    ],
)
def test_an_image_without_grey_values_is_refused(tmp_path, capsys, grey, sentence):
    path = write_segmentation(tmp_path, grey, TWO + 'method = "otsu"\n', dtype=np.float32)
    assert cli.main(["segment", str(path), "-o", str(tmp_path / "out")]) == 2
    assert sentence in capsys.readouterr().err


def test_few_grey_values_are_taken_where_the_file_says_so(tmp_path, bare):
    grey = np.where(_two() > 100, 3, 1) + np.arange(24) % 2
    path = write_segmentation(tmp_path, grey, TWO + 'method = "otsu"\n')
    path.write_text(path.read_text().replace("[image]", "[image]\ngrey = true"))
    assert cli.main(["segment", str(path), "-o", str(tmp_path / "out"), "-q"]) == 0


def test_what_does_not_fit_is_refused_before_it_is_read(tmp_path, monkeypatch, capsys):
    path = write_segmentation(tmp_path, _two(), TWO + 'method = "otsu"\n')
    monkeypatch.setattr("microlith.imaging.segmentation.grey_image.available_memory", lambda: 1e4)
    assert cli.main(["segment", str(path), "-o", str(tmp_path / "out")]) == 2
    assert "of memory" in capsys.readouterr().err
