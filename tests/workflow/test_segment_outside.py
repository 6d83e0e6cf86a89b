"""Segmentation of images with something around the sample that is no part of it."""

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from phantoms import PHASES, blurred, dice, mottled, painted, shining, write_segmentation

from mpi4py import MPI

from microlith.workflow import cli
from microlith.workflow.segment.read import load_request
from microlith.workflow.segment.run import segment

SIZE = 64
NAMES = ", ".join(f'"{name}"' for name in PHASES)
STAGES = f'[segmentation]\nphases = [{NAMES}]\nmethod = "multistage"\n[filters]\nmedian = 1\n'
REGIONS = STAGES.replace('"multistage"', '"regions"\nscribbles = "scribbles.tif"')
CLEANUP = "[cleanup]\npieces = { pore = 9 }\n"


@pytest.fixture
def bare(monkeypatch):
    """Without pictures, which take longer than all else."""
    for name in ("draw_sections", "draw_histogram"):
        monkeypatch.setattr(f"microlith.workflow.segment.pictures.{name}", lambda *_: None)


def _corners(size=SIZE):
    y, x = np.mgrid[:size, :size] - 0.5 * (size - 1)
    return y**2 + x**2 > (0.48 * size) ** 2


@pytest.mark.parametrize("text", [STAGES + CLEANUP, REGIONS])
def test_a_reconstructed_cylinder_is_segmented_as_what_is_within(tmp_path, bare, text):
    true, corners = mottled(SIZE, 4.0), _corners()
    grey = blurred(true) if text != REGIONS else shining(true)
    path = write_segmentation(tmp_path, np.where(corners, 0, grey), text)
    tifffile.imwrite(tmp_path / "scribbles.tif", painted(true, strokes=16), photometric="minisblack")
    told = segment(load_request(path), tmp_path / "out", False, show=False)
    labels = tifffile.imread(tmp_path / "out" / "labels.tif")
    assert (labels[:, corners] == 0).all()
    within = labels[:, ~corners]
    assert min(dice(within.astype(int) - 1, true[:, ~corners])) > 0.95
    assert told["outside"]["share"] == pytest.approx(corners.mean(), abs=1e-3)
    for index, name in enumerate(PHASES):
        low, high = (told["phases"][name][f"volume_fraction_{side}"] for side in ("smaller", "larger"))
        assert low < (true[:, ~corners] == index).mean() < high
        counted = (labels == index + 1).sum() / (labels > 0).sum()
        assert told["phases"][name]["volume_fraction"] == pytest.approx(counted)
        assert (tifffile.imread(tmp_path / "out" / f"larger-{name}.tif")[:, corners] == 0).all()
    assert f"{100 * told['outside']['share']:.2f} % of the voxels, of the value 0" in (
        tmp_path / "out" / "segment.txt"
    ).read_text(encoding="utf-8")


def test_what_is_outside_may_be_a_phase(tmp_path, bare, capsys):
    true, corners = mottled(SIZE, 4.0), _corners()
    grey = np.where(corners, 0, shining(true))
    strokes = painted(true, strokes=16)
    strokes[:, corners] = 0
    strokes[::8, :4, :4] = strokes[::8, -4:, -4:] = len(PHASES) + 1
    tifffile.imwrite(tmp_path / "scribbles.tif", strokes, photometric="minisblack")
    path = write_segmentation(tmp_path, grey, REGIONS.replace(NAMES, f'{NAMES}, "rim"'))
    assert cli.main(["segment", str(path), "-o", str(tmp_path / "refused"), "-q"]) == 2
    assert (
        'painted as rim is outside of the sample; paint within it, or say outside = "none"' in capsys.readouterr().err
    )
    text = path.read_text()
    for number, other in enumerate(
        (text.replace("voxel_size", 'outside = "none"\nvoxel_size'), text.replace('"rim"', '"Outside"'))
    ):
        path.write_text(other)
        told = segment(load_request(path), tmp_path / f"{number}", False, show=False)
        assert told["outside"] is None
        labels = tifffile.imread(tmp_path / f"{number}" / "labels.tif")
        assert (labels[:, corners] == len(PHASES) + 1).mean() > 0.9


@pytest.mark.mpi
def test_what_is_outside_is_the_same_on_any_number_of_ranks(tmp_path, bare):
    comm = MPI.COMM_WORLD
    folder = comm.bcast(str(tmp_path))
    grey = blurred(mottled(24, 3.0))
    grey[:, _corners(24)] = np.nan
    grey[:4] = np.nan
    for own in (MPI.COMM_SELF, comm):
        name = Path(folder) / ("one" if own is not comm else "all")
        if own is comm or comm.rank == 0:
            if comm.rank == 0:
                write_segmentation(name, grey, STAGES + 'rescale = "30 nm"\n', dtype=np.float32)
            own.Barrier()
            segment(load_request(name / "segment.toml"), name / "out", False, show=False, comm=own)
        comm.Barrier()
    if comm.rank == 0:
        one, all_ = (json.loads((Path(folder) / name / "out" / "segment.json").read_text()) for name in ("one", "all"))
        assert one["outside"] == all_["outside"]
        assert one["outside"]["value"] is None
        assert one["outside"]["without_number"] is True
        for file in ("labels.tif", "margin.tif", "larger-pore.tif"):
            labels = [tifffile.imread(f"{folder}/{name}/out/{file}") for name in ("one", "all")]
            assert np.array_equal(*labels)


def test_where_it_is_not_clear_the_user_is_asked(tmp_path, bare, capsys):
    grey = blurred(mottled(SIZE, 4.0), (5.0, 110.0, 180.0))
    grey[:, :13] = 0
    path = write_segmentation(tmp_path, grey, STAGES)
    told = segment(load_request(path), tmp_path / "out", False, show=False)
    assert told["outside"]["voxels"] == 0
    asked = 'say outside = 0 under [image], else outside = "none"'
    assert [sentence for sentence in told["warnings"] if asked in sentence]
    text = path.read_text()
    path.write_text(text.replace("voxel_size", 'outside = "none"\nvoxel_size'))
    assert segment(load_request(path), tmp_path / "out", True, show=False)["outside"] is None
    path.write_text(text.replace("voxel_size", "outside = 7\nvoxel_size"))
    assert cli.main(["segment", str(path), "-o", str(tmp_path / "other"), "-q"]) == 2
    assert "has the value 7, or all have; name the value" in capsys.readouterr().err
