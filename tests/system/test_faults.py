"""Inputs that once gave a wrong number or a dead end, each with the value or the sentence that is right."""

import logging
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from made_meshes import COMM
from places import FAULTS

from microlith.imaging.errors import InputError
from microlith.imaging.image.load import label_volume
from microlith.imaging.image.volume import LabelVolume
from microlith.imaging.options import ImageSource
from microlith.imaging.readers.open import read_image
from microlith.workflow.case.read import load_case
from microlith.workflow.run.solved import solved

pytestmark = pytest.mark.skipif(not FAULTS.is_dir(), reason=f"the collection of faults in {FAULTS} is absent")


def volume_of(name: str) -> LabelVolume:
    case = load_case(FAULTS / name)
    return label_volume(case.image, case.labels, COMM)


def refusal(name: str) -> str:
    with pytest.raises(InputError) as caught:
        volume_of(name)
    return str(caught.value)


# --- labels ---


def test_jpeg_in_tiff() -> None:
    assert "compressed with loss (JPEG), which blurs labels" in refusal("jpeg-in-tiff/case.toml")
    assert volume_of("jpeg-in-tiff/case-clean.toml").counts == (300, 2678, 622)


def test_grey_palette() -> None:
    assert volume_of("grey-palette/case.toml").counts == (640, 13011, 2733)
    assert "palette of greys whose numbers are not their grey levels" in refusal("grey-palette/case-shrunk.toml")


def test_instance_labels() -> None:
    volume = volume_of("instance-labels/case.toml")
    assert volume.counts == (320, 4480, 1600)
    assert len(volume.origin.labels) == 82


def test_slices_gap() -> None:
    message = refusal("slices-gap/case.toml")
    assert "holds overview.tif beside files named like seg_001.tif" in message
    assert '"slices/seg_*.tif"' in message
    case = load_case(FAULTS / "slices-gap/case.toml")
    source = ImageSource(str(FAULTS / "slices-gap/slices/seg_*.tif"), case.image.voxel_size)
    volume = label_volume(source, case.labels, COMM)
    assert volume.shape[0] == 11
    assert any("number 5 is missing" in sentence for sentence in volume.origin.warnings)


# --- lengths ---


def test_voxel_size_without_a_unit() -> None:
    assert "says 0.005 x 0.005 x 0.005 (x, y, z) without a unit" in refusal("voxel-size-mha-um/case.toml")
    volume = volume_of("voxel-size-mha-um/case-given.toml")
    assert volume.voxel_size == pytest.approx((5e-9,) * 3)
    assert volume.origin.warnings == ()


@pytest.mark.parametrize("name", ["case.toml", "case-nrrd.toml"])
def test_voxel_size_beside_axes_of_length_one(name: str) -> None:
    assert volume_of(f"voxel-size-shifted/{name}").voxel_size == pytest.approx((40e-9, 20e-9, 12.5e-9))


# --- names ---


@pytest.mark.parametrize("name", ["case.toml", "case-h5.toml"])
def test_characters_of_a_folder(name: str) -> None:
    assert volume_of(f"path-characters/run [1] 12:30/{name}").counts == (400, 4757, 1243)


# --- readers ---

DAMAGED = {
    "cut.vti": "can't be read as VTI",
    "short.mha": "can't be read as MetaImage",
    "s0.ome.tif": "can't be read as TIFF",
    "h5_null.h5:/image": "has no shape and no values",
    "h5_vdsself.h5:/image": "leads to itself",
    "vti_2e9.vti": "can't be read as VTI",
    "n100.mha": "it has 100 axes",
    "n1000.mha": "it has 1000 axes",
    "nrrd_stdin.nhdr": "its data file is the standard input",
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damaged_files_are_refused(name: str) -> None:
    with pytest.raises(InputError) as caught:
        read_image(ImageSource(str(FAULTS / "readers" / name)))
    assert DAMAGED[name] in str(caught.value)


def test_an_attribute_that_is_a_word() -> None:
    image = read_image(ImageSource(str(FAULTS / "readers/h5_attr.h5")))
    assert image.voxel_size == (None, None)
    assert image.values.shape == (12, 20)


@pytest.mark.parametrize("name", DAMAGED)
def test_damaged_files_end_a_command_with_one_sentence(tmp_path: Path, name: str) -> None:
    """None of them may take down the process, hang it, or leave a traceback."""
    text = f'[image]\nfile = "{FAULTS / "readers" / name}"\nvoxel_size = "10 nm"\n[time]\nend = "1 s"\n'
    text += '[phases.a]\nlabel = 0\nrole = "source"\nconcentration = "1 mol/L"\n'
    text += '[phases.b]\nlabel = 1\nrole = "transport"\ndiffusivity = "1e-14 m^2/s"\n'
    (tmp_path / "case.toml").write_text(text)
    command = [sys.executable, "-m", "microlith.workflow.cli", "check", str(tmp_path / "case.toml")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)
    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.strip().splitlines()) == 1
    assert DAMAGED[name] in done.stderr


def test_what_is_read_is_what_was_saved() -> None:
    """The counts above are those of the pixels."""
    image = read_image(ImageSource(str(FAULTS / "jpeg-in-tiff/clean.tif")))
    assert np.bincount(image.values.ravel()).tolist() == [300, 2678, 622]


# --- numbers of the solver ---

FINAL = {  # region, mol/m^3 at the end, and how far that is from what elements, or a form for good mixing, can give
    "weak-transfer/case.toml": ("gas", 40 * (1 - np.exp(-3)), 1e-7),
    "weak-transfer/case-sink.toml": ("gas", 40 * np.exp(-3), 1e-7),
    "contrast/case-1e-10.toml": ("liquid", 878.516, 0.0),
    "contrast/case.toml": ("liquid", 878.516, 0.0),
    "contrast/case-1e-7.toml": ("liquid", 878.516, 0.0),
    "contrast/case-1e-5.toml": ("liquid", 878.516, 0.0),
    "closed-box-alarm/case.toml": ("b", 500.0, 0.01),
}


@pytest.mark.parametrize("name", FINAL)
def test_final_concentrations(name: str) -> None:
    region, expected, in_space = FINAL[name]
    found = solved(load_case(FAULTS / name), COMM)
    stated = found.transient.error * found.ready.problem.scales.concentration
    assert found.transient.curves[region][-1] == pytest.approx(expected, abs=stated + in_space)
    assert stated < 1e-4 * found.ready.problem.scales.concentration
    assert found.verdict.is_sound
    assert found.warnings == ()


def test_a_closed_box_raises_no_alarm(caplog: pytest.LogCaptureFixture) -> None:
    """Once "off by 100 %", rounding over rounding; and "keeps its initial concentration", of 0 that becomes 500."""
    with caplog.at_level(logging.WARNING):
        found = solved(load_case(FAULTS / "closed-box-alarm/case.toml"), COMM)
    assert found.transient.balance.imbalance < 1e-6
    (said,) = [record.getMessage() for record in caplog.records]
    assert said.startswith("no source reaches the part of a and b around (0.25, 0.04) µm")
    assert said.endswith("it keeps its lithium, which evens out to 500 mol/m³")


@pytest.mark.parametrize("name", ["De9expr_noitf", "De10expr_noitf", "init1", "lin0", "realistic_initial0"])
def test_a_law_beside_a_fast_phase(name: str) -> None:
    """They came to a stop at 2e-12 s; where the law is a constant they are to give what the number gives."""
    run = solved(load_case(FAULTS / f"nonlinear-stop/{name}.toml"), COMM)
    assert run.verdict.is_sound
    found = run.transient
    assert found.converged
    assert found.balance.imbalance < 1e-6
    if name == "lin0":
        linear = solved(load_case(FAULTS / "nonlinear-stop/linear.toml"), COMM).transient
        for region, curve in linear.curves.items():
            assert found.curves[region] / 1000 == pytest.approx(curve / 1000, abs=found.error + linear.error)
