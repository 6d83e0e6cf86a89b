"""The first lines of a run say when, where, and of which image in which voxels."""

import hashlib
import json
import logging
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mpi4py import MPI

from microlith.imaging.image.load import label_volume
from microlith.imaging.image.volume import LabelVolume
from microlith.imaging.options import ImageSource, PhaseLabels
from microlith.workflow.results.json_file import plain
from microlith.workflow.run.provenance import MOST_LABELS, Provenance

COMM = MPI.COMM_SELF
FLAT = (np.arange(200) % 2).reshape(10, 20).astype(np.uint8)
PHASES = [PhaseLabels("a", (0,)), PhaseLabels("b", (), rest=True)]


def volume_of(path: Path, size: tuple[float, ...] | None = (1e-8, 2e-8), **options: object) -> LabelVolume:
    return label_volume(ImageSource(str(path), size, **options), PHASES, COMM)


def test_first_lines(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    Image.fromarray(FLAT).save(tmp_path / "a.png")
    with caplog.at_level(logging.INFO, "microlith"):
        found = Provenance.begin(COMM).of_image(volume_of(tmp_path / "a.png"), COMM)
    first, second, third = (record.getMessage() for record in caplog.records)
    assert first.startswith("microlith ")
    assert found.started in first
    assert found.host in first
    assert second == f"image {tmp_path}/a.png: 20 x 10 pixels of 20 nm x 10 nm (from the case file)"
    assert third == f"its SHA-256: {hashlib.sha256((tmp_path / 'a.png').read_bytes()).hexdigest()}"
    assert abs(datetime.fromisoformat(found.started).timestamp() - datetime.now().timestamp()) < 3600


def test_entries_of_the_file_s_own_size(tmp_path: Path) -> None:
    """`"voxel_size_m": null` stood there where the file gave it."""
    Image.fromarray(FLAT.repeat(2, 0).repeat(2, 1)).save(tmp_path / "a.png", dpi=(0.0254 / 25e-9, 0.0254 / 50e-9))
    entries = Provenance.begin(COMM).of_image(volume_of(tmp_path / "a.png", None, coarsen=2), COMM).image_entries()
    assert entries["voxel_size_m"] == pytest.approx([50e-9, 25e-9], rel=1e-6)
    assert entries["voxel_size_from"] == "the file's resolution"
    assert entries["shape"] == [20, 40]
    assert entries["voxels_of_labels"] == {"0": 400, "1": 400}
    json.dumps(plain(entries), allow_nan=False)


def test_several_files_are_summed_in_order(tmp_path: Path) -> None:
    for i in (1, 2, 10):
        Image.fromarray((FLAT + i) % 2).save(tmp_path / f"s{i}.png")
    found = Provenance.begin(COMM).of_image(volume_of(tmp_path, (1e-8,)), COMM)
    whole = b"".join((tmp_path / f"s{i}.png").read_bytes() for i in (1, 2, 10))
    assert found.checksum == hashlib.sha256(whole).hexdigest()
    entries = found.image_entries()
    assert entries["number_of_files"] == 3
    assert [Path(name).name for name in entries["files"]] == ["s1.png", "s10.png"]


def test_labels_in_memory_have_no_checksum(caplog: pytest.LogCaptureFixture) -> None:
    source = ImageSource("labels in memory", (1e-8,), held=FLAT)
    volume = label_volume(source, PHASES, COMM)
    with caplog.at_level(logging.INFO, "microlith"):
        entries = Provenance.begin(COMM).of_image(volume, COMM).image_entries()
    assert entries["sha256"] is None
    assert entries["files"] == []
    assert "SHA" not in caplog.text


def test_labels_by_the_thousand_are_not_listed(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.arange(600).reshape(20, 30))
    entries = Provenance.begin(COMM).of_image(volume_of(tmp_path / "a.npy"), COMM).image_entries()
    assert entries["number_of_labels"] == 600 > MOST_LABELS
    assert entries["voxels_of_labels"] is None
