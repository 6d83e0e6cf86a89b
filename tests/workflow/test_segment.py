"""The command segment: from grey values to labels that other commands take, and what it says of wrong input."""

import json
import re
import shutil
import tomllib
from itertools import combinations
from pathlib import Path

import closed_forms
import jsonschema
import numpy as np
import pytest
import tifffile
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text
from phantoms import PHASES, blurred, dice, mottled, painted, shining, truth, write_segmentation
from places import PROJECT
from scipy.ndimage import gaussian_filter

from mpi4py import MPI

import microlith as ml
from microlith.imaging.errors import InputError
from microlith.imaging.image.labels import label_image
from microlith.imaging.options import ImageSource, PhaseLabels
from microlith.imaging.segmentation import shine_through
from microlith.imaging.segmentation.classing import _right
from microlith.workflow import cli
from microlith.workflow.schema.reference import json_schema
from microlith.workflow.segment.pictures import phase_colours
from microlith.workflow.segment.read import load_request
from microlith.workflow.segment.run import segment

NAMES = ", ".join(f'"{name}"' for name in PHASES)
OTSU = f'[segmentation]\nphases = [{NAMES}]\nmethod = "multi-otsu"\n'


@pytest.fixture
def bare(monkeypatch):
    """Without pictures, which take longer than all else."""
    for name in ("draw_sections", "draw_histogram"):
        monkeypatch.setattr(f"microlith.workflow.segment.pictures.{name}", lambda *_: None)


STAGES = f'[segmentation]\nphases = [{NAMES}]\nmethod = "multistage"\n[filters]\nmedian = 1\n'
REGIONS = f"""
[filters]
median = 1
[segmentation]
phases = [{NAMES}]
method = "regions"
scribbles = "scribbles.tif"
"""

CLEANED = REGIONS.replace("[filters]\nmedian = 1", "[cleanup]\npieces = { pore = 9, particle = 9 }\n")
CLEANED += "[filters]\ndestripe = {}\nslices = 9\nbackground = 1\n"


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
@pytest.mark.parametrize("text", [STAGES, CLEANED])
def test_any_number_of_ranks_gives_the_same_labels(tmp_path, text, bare):
    comm = MPI.COMM_WORLD
    folder = comm.bcast(str(tmp_path))
    true = truth(24, (72, 24, 144), enlarge=1)
    grey = blurred(true)
    told = []
    for own in (MPI.COMM_SELF, comm):
        name = f"{folder}/{'one' if own is not comm else 'all'}"
        if own is comm or comm.rank == 0:
            if comm.rank == 0:
                write_segmentation(name, grey, text + "gaussian = 0.7\n")
                tifffile.imwrite(f"{name}/scribbles.tif", painted(true, 4), photometric="minisblack")
            own.Barrier()
            request = load_request(Path(name) / "segment.toml")
            told.append(segment(request, request.path.parent / "out", False, show=False, comm=own))
        comm.Barrier()
    if comm.rank == 0:
        one, all_ = told
        assert one["phases"] == all_["phases"]
        assert one.get("thresholds") == all_.get("thresholds")
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


def test_all_filters_and_clean_up_in_one_file_are_told(tmp_path, bare):
    true = truth(32, (144, 120, 72), "aged.tif", enlarge=1)
    grey = np.repeat(blurred(true), 2, axis=0) + np.random.default_rng(0).normal(0, 3, (64, 1, 32))
    text = (
        OTSU
        + """
[filters]
rescale = { z = "40 nm" }
destripe = { along = "y" }
slices = 10
non_local_means = {}
gaussian = 0.5
order = ["slices", "destripe", "gaussian", "non_local_means"]
[cleanup]
opening = { particle = 1 }
pieces = { pore = 5, particle = "40 nm" }
holes = { particle = 10 }
unreached = { pore = "any" }
[certainty]
phases = ["pore"]
"""
    )
    path = write_segmentation(tmp_path, grey, text)
    told = segment(load_request(path), tmp_path / "out", False, show=False)
    names = [done["name"] for done in told["filters"]]
    assert names == ["rescale", "slices", "destripe", "gaussian", "non_local_means"]
    assert told["shape"] == [32, 32, 32]
    assert told["voxel_size_m"] == pytest.approx([4e-8, 2e-8, 2e-8])
    steps = [(step["step"], step["phase"]) for step in told["cleanup"]]
    assert steps == [
        ("opening", "particle"), ("small pieces", "pore"), ("small pieces", "particle"), ("holes", "particle"),
        ("not reached", "pore"),
    ]  # fmt: skip
    assert not (tmp_path / "out" / "larger-particle.tif").exists()
    assert min(dice(tifffile.imread(tmp_path / "out" / "labels.tif") - 1, true)) > 0.8
    said = (tmp_path / "out" / "segment.txt").read_text()
    assert "filter 2: slices, offsets of" in said
    assert "clean-up, not reached of pore: " in said


# --- methods, each on what it is for ---


def test_stages_find_the_grey_values_of_the_phases_in_spite_of_blur(tmp_path, bare):
    """Otsu is off by the voxels at interfaces: 77 and 144 here."""
    true = truth(64, (120, 192, 200))
    path = write_segmentation(tmp_path, blurred(true, blur=1.5, noise=15), STAGES)
    told = segment(load_request(path), tmp_path / "out", False, show=False)
    labels = tifffile.imread(tmp_path / "out" / "labels.tif") - 1
    assert told["thresholds"] == pytest.approx((75, 145), abs=0.7)
    assert min(dice(labels, true)) > 0.95
    for index, name in enumerate(PHASES):
        low, high = (told["phases"][name][f"volume_fraction_{side}"] for side in ("smaller", "larger"))
        assert low < (true == index).mean() < high, "the error bar covers the truth"


@pytest.mark.parametrize("phases", [4, 5])
def test_stages_go_from_the_outer_to_the_inner_phases(tmp_path, bare, phases):
    true = np.zeros((24, 40, 50), np.uint8)
    for k in range(1, phases):
        true[:, :, 10 * k :] = (k * 3) % phases  # not in the order of their grey values
    greys = 30.0 + 50 * np.arange(phases)
    names = ", ".join(f'"p{k}"' for k in range(phases))
    text = f'[segmentation]\nphases = [{names}]\nmethod = "multistage"\npartial_volume = 2\n[filters]\nmedian = 1\n'
    path = write_segmentation(tmp_path, blurred(true, greys, blur=1.0, noise=5), text)
    told = segment(load_request(path), tmp_path / "out", False, show=False)
    labels = tifffile.imread(tmp_path / "out" / "labels.tif") - 1
    assert [stage["phases"] for stage in told["stages"]][:2] == [["p0", f"p{phases - 1}"], ["p1", f"p{phases - 2}"]]
    assert told["thresholds"] == pytest.approx(greys[:-1] + 25, abs=1)
    assert min(dice(labels, true, range(phases))) > 0.97


def test_a_blurred_interface_of_the_darkest_and_the_brightest_phase_is_none_of_the_third(tmp_path, bare):
    true = np.zeros((20, 40, 60), np.uint8)
    true[..., 20:40] = 2
    true[:, 20:, :] = 1
    grey = blurred(true, blur=1.0, noise=4)
    found = {}
    for rim in (0, 1):
        path = write_segmentation(
            tmp_path / str(rim), grey, STAGES.replace("[filters]", f"partial_volume = {rim}\ndeblur = false\n[filters]")
        )
        segment(load_request(path), path.parent / "out", False, show=False)
        found[rim] = tifffile.imread(path.parent / "out" / "labels.tif") - 1
    interface = np.s_[4:-4, 4:14, 15:25]
    assert (found[0][interface] == 1).mean() > 0.05
    assert (found[1][interface] == 1).mean() == 0
    assert min(dice(found[1], true)) > 0.97


@pytest.mark.parametrize("blur", [0.5, 0.8])
def test_layers_of_two_voxels_between_pore_and_particle_are_kept(tmp_path, bare, blur):
    """Straight and inclined ones, beside an interface without a layer; all of them were taken for such interfaces."""
    z, y, x = np.indices((16, 60, 60))
    behind = np.where(y < 20, x - 30, (2 * x + y - 100) / np.sqrt(5))  # voxels behind the layer's front
    true = np.select([behind < 0, (behind < 2) & (z >= 8)], [0, 1], 2).astype(np.uint8)
    true[:, :, :6] = 1  # more of it elsewhere
    path = write_segmentation(tmp_path, blurred(true, blur=blur, noise=4), STAGES)
    segment(load_request(path), tmp_path / "out", False, show=False)
    labels = tifffile.imread(tmp_path / "out" / "labels.tif") - 1
    for rows in (np.s_[:18], np.s_[24:]):
        with_layer, without = np.s_[10:, rows, 8:], np.s_[:6, rows, 8:]
        layer = true[with_layer] == 1
        assert (labels[with_layer][layer] == 1).mean() > 0.8
        assert (labels[with_layer] == 1).mean() == pytest.approx(layer.mean(), rel=0.25)
        assert (labels[without] == 1).mean() < 0.001


def test_regions_tell_pores_through_which_deeper_slices_shine(tmp_path, bare):
    true = truth(96, (72, 24, 144), enlarge=3)[::-1]
    grey = shining(true)
    path = write_segmentation(tmp_path, grey, REGIONS)
    tifffile.imwrite(tmp_path / "scribbles.tif", painted(true), photometric="minisblack")
    told = segment(load_request(path), tmp_path / "out", False, show=False)
    labels = tifffile.imread(tmp_path / "out" / "labels.tif") - 1
    plain = write_segmentation(tmp_path / "plain", grey, STAGES)
    segment(load_request(plain), tmp_path / "plain" / "out", False, show=False)
    by_thresholds = dice(tifffile.imread(tmp_path / "plain" / "out" / "labels.tif") - 1, true)
    assert min(dice(labels, true)) > 0.98
    assert min(by_thresholds) < 0.94, "thresholds take what shines through for solid"
    assert told["forest"]["right_out_of_bag"] > 0.95
    for index, name in enumerate(PHASES):
        low, high = (told["phases"][name][f"volume_fraction_{side}"] for side in ("smaller", "larger"))
        assert low <= (true == index).mean() <= high, "the error bar covers the truth"


def test_columns_tell_fine_structures_that_regions_do_not(tmp_path, bare):
    """By regions alone the worst phase of six seeds has 0.90 to 0.92, by columns 0.94 to 0.98."""
    true = mottled()
    grey = shining(true, strength=0.8, depth=6)
    found = {}
    for depth in (0, 12):
        text = REGIONS.replace("[segmentation]", f"[segmentation]\ndepth = {depth}")
        path = write_segmentation(tmp_path / str(depth), grey, text)
        tifffile.imwrite(path.parent / "scribbles.tif", painted(true), photometric="minisblack")
        told = segment(load_request(path), path.parent / "out", False, show=False)
        found[depth] = dice(tifffile.imread(path.parent / "out" / "labels.tif") - 1, true)
    assert min(found[0]) < 0.93
    assert min(found[12]) > 0.97
    shown = told["shine_through"]
    assert shown["through"] == "pore"
    assert shown["mean_grey"] == pytest.approx({"sei_cb": 110, "particle": 180}, abs=2)
    assert shown["mean_grey_empty"] == pytest.approx(40, abs=5)
    expected = 40 + 70 * 0.8 * np.exp(-np.arange(6) / 6)
    assert shown["mean_grey_before"]["sei_cb"][:6] == pytest.approx(expected, abs=6)
    for index, name in enumerate(PHASES):
        low, high = (told["phases"][name][f"volume_fraction_{side}"] for side in ("smaller", "larger"))
        assert low <= (true == index).mean() <= high, "the error bar covers the truth"


def test_solids_do_not_begin_a_slice_too_late(monkeypatch):
    """Of an image whose dark end is cut off: pores just before them were as bright as they, which explains it, too."""
    true = mottled(48, 4)
    grey = np.array([30.0, 110.0, 190.0])[true]
    behind = np.zeros(true.shape[1:])
    for z in range(len(true) - 1, -1, -1):  # 0.6 of what is behind comes through each slice
        behind = np.where(true[z] == 0, 0.6 * behind, grey[z] - 30)
        grey[z] = 30 + behind
    grey = np.maximum(1.5 * (grey - 40), 0)
    grey = gaussian_filter(grey, (0, 0.8, 0.8)) + np.random.default_rng(1).normal(0, 10, grey.shape)
    tables = {"image": {"voxel_size": "20 nm"}, "segmentation": {"phases": list(PHASES), "method": "regions"}}

    def worst():
        found = ml.segment(tables, image=grey, scribbles=painted(true))
        return min(dice(found.labels - 1, true))

    now = worst()
    monkeypatch.setattr(shine_through, "late_solids", lambda looks, states: [])
    before = worst()
    assert now > 0.96
    assert now > before + 0.01


@pytest.mark.parametrize("method", ["otsu", "multi-otsu", "multistage"])
def test_fewer_phases_than_the_histogram_has_peaks_are_told(method):
    """Two of three were taken for one without a word."""
    grey = blurred(mottled(48, 4))

    def told(phases):
        tables = {"image": {"voxel_size": "20 nm"}, "segmentation": {"phases": phases, "method": method}}
        warned = ml.segment(tables, image=grey).report["warnings"]
        return [one for one in warned if one.startswith("the histogram has 3 peaks, at ")]

    (sentence,) = told(["pore", "solid"])
    found = [float(value) for value in re.findall(r"[\d.]+", sentence[len("the histogram has 3 peaks") :])[:3]]
    assert found == pytest.approx([40, 110, 180], abs=6)
    if method != "otsu":
        assert told(list(PHASES)) == []


@pytest.mark.parametrize("swapped", [False, True], ids=["into the depth", "out of it"])
@pytest.mark.parametrize("method", ["multistage", "multi-otsu"])
def test_thresholds_misled_by_shine_through_say_so(tmp_path, method, swapped):
    """Pores lost volume, far outside of the range that was told, without a word."""
    true = mottled(48, 4)
    grey = shining(true)[:: -1 if swapped else 1]
    tables = {"image": {"voxel_size": "20 nm"}, "segmentation": {"phases": list(PHASES), "method": method}}
    misled = ml.segment(tables, image=grey).report
    (told,) = [one for one in misled["warnings"] if "shine through" in one]
    assert ("reverse order" in told) == swapped
    assert misled["phases"]["pore"]["volume_fraction_larger"] < (true == 0).mean()
    bare = ml.segment(tables, image=blurred(true)).report
    assert not [one for one in bare["warnings"] if "shine through" in one]
    assert abs(bare["seen_through"]["share"]) < 0.02


@pytest.mark.parametrize("swapped", [False, True])
def test_regions_without_shine_through_are_taken_to_the_blurred_image(tmp_path, bare, swapped):
    """Stripes that are taken out leave noise in common, which columns took for a wider blur."""
    true = truth(96, (60, 24, 120))[::-1]
    if swapped:  # phases need not be in the order of their brightness
        true = np.array([0, 2, 1], np.uint8)[true]
    stripes = np.random.default_rng(7).normal(0, 12, (96, 1, 96))
    grey = blurred(true, (40, 180, 110) if swapped else (40, 110, 180), blur=1.0, noise=8) + stripes
    path = write_segmentation(tmp_path, grey, REGIONS.replace("[filters]", "[filters]\ndestripe = {}"))
    tifffile.imwrite(tmp_path / "scribbles.tif", painted(true, 24, 16), photometric="minisblack")
    told = segment(load_request(path), tmp_path / "out", False, show=False)
    assert min(dice(tifffile.imread(tmp_path / "out" / "labels.tif") - 1, true)) > 0.98
    assert told["shine_through"]["share"] + 2 * told["shine_through"]["share_error"] < 0.05
    assert told["deblurred"]["blur_voxels"] == pytest.approx([1, 1, 1], abs=0.25)
    assert told["warnings"] == []
    assert "nothing shines through pore" in (tmp_path / "out" / "segment.txt").read_text()
    for index, name in enumerate(PHASES):
        low, high = (told["phases"][name][f"volume_fraction_{side}"] for side in ("smaller", "larger"))
        assert low <= (true == index).mean() <= high, "the error bar covers the truth"


def test_columns_do_not_all_change_at_once_under_a_wide_blur(tmp_path, bare, monkeypatch):
    """Where every second one did, each counted what its neighbours change again; the worst phase had 0.89."""
    for limit in ("LEAST", "UNSURE"):
        monkeypatch.setattr(f"microlith.imaging.columns.through.{limit}", -9.0)  # so that columns say the labels
    true = truth(96, (60, 24, 120))[::-1]
    grey = blurred(true, blur=1.0, noise=8) + np.random.default_rng(7).normal(0, 12, (96, 1, 96))
    path = write_segmentation(tmp_path, grey, REGIONS.replace("[filters]", "[filters]\ndestripe = {}"))
    tifffile.imwrite(tmp_path / "scribbles.tif", painted(true, 24, 16), photometric="minisblack")
    told = segment(load_request(path), tmp_path / "out", False, show=False)
    assert "deblurred" not in told
    assert min(dice(tifffile.imread(tmp_path / "out" / "labels.tif") - 1, true)) > 0.97


def test_slices_that_run_out_of_the_depth_are_told(tmp_path, bare):
    true = mottled()
    path = write_segmentation(tmp_path, shining(true, strength=0.8, depth=6)[::-1], REGIONS)
    tifffile.imwrite(tmp_path / "scribbles.tif", painted(true)[::-1], photometric="minisblack")
    told = segment(load_request(path), tmp_path / "out", False, show=False)
    assert "z runs out of the depth; reverse the order of the slices" in " ".join(told["warnings"])


def test_few_dim_pores_among_brighter_solids_are_kept(tmp_path, bare):
    """They look much like the solid behind them: with one bond for all phases 3.1 % were left of 5.0 %."""
    true = mottled(shares=(0.7, 0.2, 0.1), width=6.0, seed=101) + 1
    field = gaussian_filter(np.random.default_rng(1).normal(size=true.shape), 2.5, mode="wrap")
    true[field >= np.quantile(field, 0.95)] = 0
    grey = shining(true, greys=(40.0, 110.0, 165.0, 220.0))
    names = ["pore", "sei_cb", "graphite", "particle"]
    found = {}
    for depth in (0, 12):
        segmentation = (
            f'phases = {json.dumps(names)}\nmethod = "regions"\nscribbles = "scribbles.tif"\nscale = 4\nsmallest = 3'
        )
        path = write_segmentation(tmp_path / str(depth), grey, f"[segmentation]\n{segmentation}\ndepth = {depth}\n")
        tifffile.imwrite(path.parent / "scribbles.tif", painted(true, 10, 60), photometric="minisblack")
        told = segment(load_request(path), path.parent / "out", False, show=False)
        found[depth] = dice(tifffile.imread(path.parent / "out" / "labels.tif") - 1, true, range(4))
    assert told["phases"]["pore"]["volume_fraction"] == pytest.approx(0.05, rel=0.2)
    assert found[12][0] > found[0][0] + 0.12
    assert min(found[12][1:]) > 0.96
    for index, name in enumerate(names):
        low, high = (told["phases"][name][f"volume_fraction_{side}"] for side in ("smaller", "larger"))
        assert low <= (true == index).mean() <= high, "the error bar covers the truth"


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_an_image_without_noise_gets_its_labels(tmp_path, bare):
    """Its variances are 0; labels other than those of regions were impossible, 0.5 % of the voxels wrong."""
    true = mottled(48, shares=(0.2, 0.7, 0.1), width=3.0)
    rules = '[[rules]]\nphase = "particle"\nmean = [145, 999]\n[[rules]]\nphase = "sei_cb"\nmean = [75, 145]\n'
    segmentation = (
        'phases = ["pore", "sei_cb", "particle"]\nmethod = "regions"\n' + rules + '[[rules]]\nphase = "pore"\n'
    )
    path = write_segmentation(tmp_path, np.array([40.0, 110.0, 180.0])[true], "[segmentation]\n" + segmentation)
    path.write_text(path.read_text().replace("[segmentation]", "grey = true\n[segmentation]"), encoding="utf-8")
    segment(load_request(path), tmp_path / "out", False, show=False)
    assert min(dice(tifffile.imread(tmp_path / "out" / "labels.tif") - 1, true)) > 0.995


def test_a_transparent_phase_that_is_none_is_refused(tmp_path, capsys):
    text = REGIONS.replace("[segmentation]", '[segmentation]\ntransparent = "poer"')
    path = write_segmentation(tmp_path, _two(), text)
    tifffile.imwrite(tmp_path / "scribbles.tif", np.ones((6, 20, 24), np.uint8), photometric="minisblack")
    assert cli.main(["segment", str(path), "-o", str(tmp_path / "out")]) == 2
    told = " ".join(capsys.readouterr().err.split())
    assert 'transparent: "poer" is no phase of [segmentation]; did you mean "pore"?' in told


def test_phases_as_bright_as_each_other_are_told_by_their_regions_alone(tmp_path, bare):
    """One is rough, the other smooth: grey values by themselves would make one of both."""
    true = np.zeros((6, 60, 60), np.uint8)
    true[:, :, 20:] = 1
    true[:, 30:, 20:] = 2
    rng = np.random.default_rng(4)
    grey = np.array([40.0, 120.0, 120.0])[true] + rng.normal(0, 1, true.shape) * np.array([4.0, 2.0, 25.0])[true]
    text = REGIONS.replace("[filters]\nmedian = 1\n", "").replace("[segmentation]", "[segmentation]\nscale = 300")
    path = write_segmentation(tmp_path, grey, text)
    tifffile.imwrite(tmp_path / "scribbles.tif", painted(true, 2), photometric="minisblack")
    told = segment(load_request(path), tmp_path / "out", False, show=False)
    assert told["shine_through"] is None
    assert "what shines through pores could not be learnt" in (tmp_path / "out" / "segment.txt").read_text()
    assert min(dice(tifffile.imread(tmp_path / "out" / "labels.tif") - 1, true)) > 0.9


def test_rules_class_regions_in_their_order(tmp_path, bare):
    true = truth(48, (72, 24, 144), enlarge=2)[::-1]
    rules = """
[[rules]]
phase = "particle"
mean = [150, 999]
[[rules]]
phase = "sei_cb"
mean = [75, 150]
[[rules]]
phase = "pore"
"""
    path = write_segmentation(
        tmp_path, blurred(true, blur=0.7), REGIONS.replace('scribbles = "scribbles.tif"\n', "") + rules
    )
    told = segment(load_request(path), tmp_path / "out", False, show=False)
    labels = tifffile.imread(tmp_path / "out" / "labels.tif") - 1
    assert min(dice(labels, true)) > 0.97
    low, high = (told["phases"]["sei_cb"][f"volume_fraction_{side}"] for side in ("smaller", "larger"))
    assert low < told["phases"]["sei_cb"]["volume_fraction"] < high


@pytest.mark.parametrize(
    ("rules", "sentence"),
    [
        ('[[rules]]\nphase = "pore"\nmean = [0, 90]\n', "regions fit no rule, the first with mean = "),
        ('[[rules]]\nphase = "poer"\n', 'did you mean "pore"?'),
        ('[[rules]]\nphase = "pore"\nafter = [[0, 9], [0, 9], [0, 9], [0, 9]]\n', "regions have no feature after_4"),
        ('[[rules]]\nphase = "pore"\nmean = [90, 0]\n', "the lowest and the highest value, got 90 and 0"),
        ("", 'needs either scribbles or [[rules]], got none'),
    ],
)  # fmt: skip
def test_rules_that_do_not_fit_are_refused(tmp_path, capsys, rules, sentence):
    text = REGIONS.replace('scribbles = "scribbles.tif"\n', "") + rules
    path = write_segmentation(tmp_path, blurred(truth(24, (72, 24, 144))), text)
    assert cli.main(["segment", str(path), "-o", str(tmp_path / "out")]) == 2
    assert sentence in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda s: s[:-1], "expected the shape of the image before its crop, 24 x 24 x 24 (x, y, z), got 24 x 24 x 23"),
        (lambda s: np.where(s == 2, 2, 0).astype(np.uint8), "has only sei_cb; paint some of each phase"),
        (lambda s: s * 0, "has nothing painted"),
        (lambda s: s * 2, "has the label 4, 6; expected 1 for pore"),
    ],
)  # fmt: skip
def test_scribbles_that_do_not_fit_are_refused_before_the_image_is_read(
    tmp_path, capsys, monkeypatch, change, sentence
):
    monkeypatch.delattr("microlith.imaging.segmentation.segment.read_grey")
    true = truth(24, (72, 24, 144), enlarge=1)
    path = write_segmentation(tmp_path, blurred(true), REGIONS)
    tifffile.imwrite(tmp_path / "scribbles.tif", change(painted(true)), photometric="minisblack")
    assert cli.main(["segment", str(path), "-o", str(tmp_path / "out")]) == 2
    assert sentence in capsys.readouterr().err


def test_the_only_region_of_a_phase_says_nothing_of_trees_that_have_not_seen_it(tmp_path, bare):
    """They don't know the phase: 0 % of three painted regions were told as classed correctly."""
    true = truth(24, (72, 24, 144), enlarge=1)
    scribbles = np.zeros(true.shape, np.uint8)
    for phase in range(3):
        places = np.argwhere(true == phase)
        scribbles[tuple(places[len(places) // 2])] = phase + 1
    path = write_segmentation(tmp_path, blurred(true), REGIONS)
    tifffile.imwrite(tmp_path / "scribbles.tif", scribbles, photometric="minisblack")
    told = segment(load_request(path), tmp_path / "out", False, show=False)
    assert told["forest"]["right_out_of_bag"] is None
    assert not any("have not seen them" in sentence for sentence in told["warnings"])
    assert "have not seen" not in (tmp_path / "out" / "segment.txt").read_text()
    assert any("1 of pore, 1 of sei_cb, 1 of particle" in sentence for sentence in told["warnings"])
    counts, labels = np.array([1, 3, 2]), np.array([0, 1, 1, 1, 2, 2])
    votes = np.eye(3)[[1, 1, 1, 0, 2, 2]]
    votes[5] = np.nan  # all trees have seen it
    assert _right(votes, labels, counts) == 0.75


@pytest.mark.parametrize("shape", [(3, 200), (200, 3), (40, 3, 50), (40, 50, 3), (3, 40, 60), (3, 3, 3)])
def test_words_of_the_picture_of_sections_lie_apart(tmp_path, monkeypatch, shape):
    """Beside flat sections the bars of the margin wrote over each other and beyond the page."""
    figures = []
    monkeypatch.setattr("microlith.workflow.segment.pictures.save", lambda figure, *_: figures.append(figure))
    grey = np.random.default_rng(0).integers(0, 200, shape).astype(np.uint8)
    path = write_segmentation(tmp_path, grey, TWO + 'method = "otsu"\n')
    segment(load_request(path), tmp_path / "out", False, show=False)
    figure = figures[0]
    drawn, draw = [], Text.draw
    monkeypatch.setattr(Text, "draw", lambda text, renderer: (drawn.append(text), draw(text, renderer)))
    FigureCanvasAgg(figure).draw()
    texts = [text for text in dict.fromkeys(drawn) if text.get_text().strip()]
    assert len(texts) > 8
    boxes = [t.get_window_extent() for t in texts]
    page = figure.bbox
    for text, box in zip(texts, boxes, strict=True):
        assert min(box.x0 - page.x0, page.x1 - box.x1, box.y0 - page.y0, page.y1 - box.y1) > -1, text
    for (one, a), (other, b) in combinations(zip(texts, boxes, strict=True), 2):
        assert not (a.x0 < b.x1 - 1 and b.x0 < a.x1 - 1 and a.y0 < b.y1 - 1 and b.y0 < a.y1 - 1), (one, other)


@pytest.mark.parametrize("count", [2, 8, 9, 40])
def test_each_phase_has_a_colour_of_its_own(count):
    colours = phase_colours(count)
    assert len(colours) == len(set(colours)) == count
    assert colours[:2] == phase_colours(2)[:2] or count > 8


def test_one_slice_has_no_steps_of_brightness(tmp_path, capsys):
    path = write_segmentation(tmp_path, blurred(truth(24, (72, 24, 144)))[4], STAGES + "slices = 5\n")
    assert cli.main(["segment", str(path), "-o", str(tmp_path / "out")]) == 2
    assert "[filters] slices: the image is one slice" in capsys.readouterr().err


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
        (np.where(np.arange(1600).reshape(4, 20, 20) == 77, np.inf, _two((4, 20, 20))), "infinite values"),
        (np.full((4, 20, 20), np.nan), "only NaN"),
    ],
)
def test_an_image_without_grey_values_is_refused(tmp_path, capsys, grey, sentence):
    path = write_segmentation(tmp_path, grey, TWO + 'method = "otsu"\n', dtype=np.float32)
    assert cli.main(["segment", str(path), "-o", str(tmp_path / "out")]) == 2
    assert sentence in capsys.readouterr().err


def test_slices_of_different_types_are_refused(tmp_path, capsys):
    """One of 8 bits among those of 16 was taken for a dark one."""
    grey = (257 * blurred(truth(24))).clip(0, 65535).astype(np.uint16)
    path = write_segmentation(tmp_path, grey, STAGES, dtype=np.uint16)
    (tmp_path / "slices").mkdir()
    for number, layer in enumerate(grey):
        tifffile.imwrite(
            tmp_path / "slices" / f"s{number}.tif", (layer >> 8).astype(np.uint8) if number == 9 else layer
        )
    path.write_text(re.sub('file = ".*"', 'file = "slices"', path.read_text()))
    assert cli.main(["segment", str(path), "-o", str(tmp_path / "out")]) == 2
    assert "s9.tif holds uint8 values, s0.tif uint16" in capsys.readouterr().err
    tifffile.imwrite(tmp_path / "slices" / "s9.tif", grey[9])
    assert cli.main(["segment", str(path), "-o", str(tmp_path / "out"), "-q"]) == 0


def test_values_beyond_single_precision_are_told_as_such(tmp_path, capsys):
    grey = 1e290 * (100 + np.arange(1600.0).reshape(4, 20, 20))
    path = write_segmentation(tmp_path, grey, TWO + 'method = "otsu"\n', dtype=np.float64)
    assert cli.main(["segment", str(path), "-o", str(tmp_path / "out")]) == 2
    assert "values of up to 1.7e+293, beyond what single precision holds" in capsys.readouterr().err


@pytest.mark.parametrize("factor", [1e-30, 1e25])
def test_stages_do_not_depend_on_the_unit_of_grey_values(tmp_path, bare, factor):
    """Whose squares single precision does not hold."""
    grey = blurred(truth(24), blur=1.3)
    labels = []
    for name, unit in (("one", 1.0), ("other", factor)):
        folder = tmp_path / name
        folder.mkdir()
        path = write_segmentation(folder, unit * grey, STAGES, dtype=np.float32)
        assert cli.main(["segment", str(path), "-o", str(folder / "out"), "-q"]) == 0
        labels.append(tifffile.imread(folder / "out" / "labels.tif"))
    assert np.count_nonzero(labels[0] != labels[1]) < 1e-3 * grey.size


def test_few_grey_values_are_taken_where_the_file_says_so(tmp_path, bare):
    grey = np.where(_two() > 100, 3, 1) + np.arange(24) % 2
    path = write_segmentation(tmp_path, grey, TWO + 'method = "otsu"\n')
    path.write_text(path.read_text().replace("[image]", "[image]\ngrey = true"))
    assert cli.main(["segment", str(path), "-o", str(tmp_path / "out"), "-q"]) == 0


def test_what_does_not_fit_is_refused_before_it_is_read(tmp_path, monkeypatch, capsys):
    path = write_segmentation(tmp_path, _two(), TWO + 'method = "otsu"\n')
    monkeypatch.setattr("microlith.imaging.segmentation.grey_image.available_memory", lambda: 1e4)
    assert cli.main(["segment", str(path), "-o", str(tmp_path / "out")]) == 2
    assert "crop the image (layers of 14 x 11 voxels would fit)" in capsys.readouterr().err
    # 14 x 11 voxels of a layer, 60 bytes each
    small = write_segmentation(tmp_path / "small", _two((6, 11, 14)), TWO + 'method = "otsu"\n')
    assert cli.main(["segment", str(small), "-o", str(tmp_path / "out"), "-q"]) == 0


def test_a_rescaled_image_is_cleaned_where_the_one_on_the_voxels_of_the_file_is_too_large(
    tmp_path, bare, monkeypatch, capsys
):
    path = write_segmentation(tmp_path, _two(), TWO + 'method = "otsu"\n[cleanup]\npieces = { dark = 3 }\n')
    monkeypatch.setattr("microlith.imaging.segmentation.grey_image.available_memory", lambda: 13.0 * _two().size)
    assert cli.main(["segment", str(path), "-o", str(tmp_path / "out")]) == 2
    told = capsys.readouterr().err
    assert "clean-up of 24 x 20 x 6 voxels" in told
    assert re.search(r"crop the image \(\d+ x \d+ x \d+ voxels would fit\)", told)
    path.write_text(path.read_text() + '[filters]\nrescale = "40 nm"\n')
    assert cli.main(["segment", str(path), "-o", str(tmp_path / "out"), "-q"]) == 0


def test_each_phase_that_is_moved_takes_space_on_the_disk(tmp_path, bare, monkeypatch, capsys):
    path = write_segmentation(tmp_path, _two(), TWO + 'method = "otsu"\n')
    usage = shutil.disk_usage(tmp_path)._replace(free=17 * _two().size)
    monkeypatch.setattr("microlith.imaging.segmentation.grey_image.shutil.disk_usage", lambda _: usage)
    assert cli.main(["segment", str(path), "-o", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    assert "of files while they are segmented" in said
    assert f"{tmp_path / 'out'} has" in said
    path.write_text(path.read_text() + '[certainty]\nphases = ["dark"]\n')
    assert cli.main(["segment", str(path), "-o", str(tmp_path / "out"), "-q"]) == 0


def test_a_phase_without_a_voxel_is_told_with_what_took_it(tmp_path, capsys):
    grey = np.where(_two() > 105, 150, 60) + np.arange(24) % 9  # none between 68 and 150
    three = '[segmentation]\nphases = ["dark", "between", "bright"]\nmethod = "thresholds"\nthresholds = [90, 120]\n'
    for name, text, sentence in (
        ("thresholds", three, "[segmentation] phases: no voxel is left for between; correct thresholds"),
        (
            "cleanup",
            TWO + 'method = "otsu"\n[cleanup]\npieces = { bright = 9999 }\n',
            "[cleanup]: no voxel is left for bright; clean up less",
        ),
    ):
        path = write_segmentation(tmp_path / name, grey, text)
        assert cli.main(["segment", str(path), "-o", str(tmp_path / "out")]) == 2
        assert sentence in capsys.readouterr().err


# --- what depends on it ---


def test_curves_have_a_band_from_the_grey_values_that_holds_the_truth(tmp_path, bare):
    """A slab of 40 pixels, blurred, whose threshold is set a little wrong."""
    true = np.zeros((16, 48), np.uint8)
    true[:, 8:] = 1
    grey = blurred(true, (60.0, 160.0), blur=1.5, noise=3)
    path = write_segmentation(tmp_path, grey, TWO + 'method = "thresholds"\nthresholds = [102]\n', voxel="10 nm")
    segment(load_request(path), tmp_path / "out", False, show=False)
    case = {
        "image": {"file": "out/labels.tif"},
        "phases": {
            "dark": {"label": 1, "role": "source", "concentration": "1 mol/L"},
            "bright": {"label": 2, "role": "transport", "diffusivity": "1e-14 m^2/s"},
        },
        "mesh": {"method": "voxel"},
        "time": {"end": "32 s", "snapshots": []},
    }
    files = tmp_path / "out" / "smaller-bright.tif", tmp_path / "out" / "larger-bright.tif"
    found = ml.converge(ml.case(case, folder=tmp_path), levels=1, segmentation=files).segmentation
    length = 40 * 1e-8
    true_mean = closed_forms.slab_mean(found.as_is.times, 0.0, length, length, 1e-14)
    fast, slow = (outcome.relative["bright"] for outcome in (found.smaller, found.larger))
    assert (fast > true_mean - 1e-3).all()
    assert (slow < true_mean + 1e-3).all()
    assert (fast - slow).max() > 5e-3


def test_what_is_doubtful_is_told(tmp_path, bare, caplog):
    grey = np.random.default_rng(0).normal(100, 20, (4, 30, 30))
    path = write_segmentation(tmp_path, grey, TWO + 'method = "otsu"\n[certainty]\nshift = 0.2\n')
    with caplog.at_level("WARNING"):
        told = segment(load_request(path), tmp_path / "out", False, show=False)
    assert "do not tell the phases apart" in caplog.text
    assert told["warnings"]
    true = truth(32, (72, 24, 144), enlarge=1)
    path = write_segmentation(tmp_path / "few", blurred(true), REGIONS)
    scribbles = np.zeros_like(true)
    for k in range(3):
        scribbles[tuple(np.argwhere(true == k)[100])] = k + 1
    tifffile.imwrite(tmp_path / "few" / "scribbles.tif", scribbles, photometric="minisblack")
    caplog.clear()
    segment(load_request(path), tmp_path / "few" / "out", False, show=False)
    assert "they touch are few, 1 of pore, 1 of sei_cb, 1 of particle; with fewer than 10 of a phase" in caplog.text
    assert "Warning: [segmentation] scribbles:" in (tmp_path / "few" / "out" / "segment.txt").read_text()


def test_phases_without_a_peak_of_their_own_are_told(tmp_path, bare):
    """0.3 % of pores have no peak beside the binder's where the blur is wide: a threshold cuts that one instead."""
    true = np.ones((20, 60, 60), np.uint8)
    true[:, :, 30:] = 2
    true[:, 10:16, 4:10] = 0
    wrong, told = {}, {}
    for blur in (1.0, 1.5):
        path = write_segmentation(tmp_path / str(blur), blurred(true, blur=blur, noise=20), STAGES)
        told[blur] = segment(load_request(path), path.parent / "out", False, show=False)
        wrong[blur] = (tifffile.imread(path.parent / "out" / "labels.tif") - 1 != true).mean()
    assert wrong[1.0] < 0.01
    assert told[1.0]["warnings"] == []
    assert wrong[1.5] > 0.3
    (sentence,) = told[1.5]["warnings"]
    assert sentence.startswith("the histogram has no peak for sei_cb:")
    assert sentence in (tmp_path / "1.5" / "out" / "segment.txt").read_text()


def test_what_is_painted_within_regions_of_other_phases_is_refused(tmp_path, bare):
    true = truth(32, (72, 24, 144), enlarge=1)
    path = write_segmentation(tmp_path, blurred(true, noise=2), REGIONS)
    scribbles = painted(true, 4)
    scribbles[scribbles == 1] = 0
    z, y, x = np.argwhere(scribbles == 2)[3]
    scribbles[z, y, x] = 1
    tifffile.imwrite(tmp_path / "scribbles.tif", scribbles, photometric="minisblack")
    with pytest.raises(InputError, match="painted as pore lies only in regions that are painted more with other"):
        segment(load_request(path), tmp_path / "out", False, show=False)
    assert not (tmp_path / "out").exists()


def test_a_face_that_the_image_has_not_is_refused(tmp_path, capsys):
    path = write_segmentation(
        tmp_path, _two((20, 24)), TWO + 'method = "otsu"\n[cleanup]\nunreached = { dark = ["z_min"] }\n'
    )
    assert cli.main(["segment", str(path), "-o", str(tmp_path / "out")]) == 2
    assert "has no face z_min, only those across x and y" in capsys.readouterr().err


# --- what is around it ---


def test_the_reference_of_keys_and_the_template_are_those_of_the_program(tmp_path, monkeypatch, capsys):
    assert cli.main(["schema", "--of", "segment", "--markdown"]) == 0
    text = capsys.readouterr().out
    kept = PROJECT / "docs" / "segment-file.md"
    assert kept.read_text(encoding="utf-8") == text, "renew it: microlith schema --of segment --markdown > " + kept.name
    assert cli.main(["init", "--segment", str(tmp_path)]) == 0
    template = (tmp_path / "segment.toml").read_text(encoding="utf-8")
    tifffile.imwrite(tmp_path / "grey.tif", _two().astype(np.uint8))
    assert load_request(tmp_path / "segment.toml").options.method == "multistage"
    schema = json_schema("segment")
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.Draft202012Validator(schema).validate(tomllib.loads(template))
    assert cli.main(["init", "--segment", str(tmp_path)]) == 2


def test_python_gives_what_the_command_writes(tmp_path, bare):
    true = truth(32, (72, 24, 144), enlarge=1)
    grey = blurred(true)
    tables = {
        "image": {"voxel_size": "20 nm"},
        "segmentation": {"phases": list(PHASES), "method": "regions"},
        "certainty": {"phases": ["pore"]},
    }
    found = ml.segment(tables, tmp_path / "out", image=grey, scribbles=painted(true, 4))
    assert found.phases == {"pore": 1, "sei_cb": 2, "particle": 3}
    assert found.labels.shape == (32, 32, 32)
    assert (found.labels == tifffile.imread(tmp_path / "out" / "labels.tif")).all()
    smaller, larger = found.moved["pore"]
    assert ((smaller == 1).sum(), (larger == 1).sum()) == tuple(
        round(found.report["phases"]["pore"][f"volume_fraction_{side}"] * true.size) for side in ("smaller", "larger")
    )
    z = max(range(32), key=lambda z: np.bincount(true[z].ravel(), minlength=3).min())
    flat = ml.segment(tables, image=grey[z], scribbles=painted(true[z : z + 1], 1)[0])
    assert flat.labels.shape == (32, 32)
    assert len(flat.voxel_size) == 2
    with pytest.raises(ml.InputError, match="distinct values"):
        ml.segment(tables, image=true, scribbles=painted(true, 4))


def test_a_file_of_the_other_kind_is_told_so(tmp_path, capsys):
    """With the command that takes it, not as a list of unknown keys."""
    segment, case = tmp_path / "my segment.toml", tmp_path / "case.toml"
    segment.write_text('[image]\nfile = "a.tif"\n[segmentation]\nphases = ["a", "b"]\nmethod = "otsu"\n')
    case.write_text('[image]\nfile = "a.tif"\n[phases.a]\nlabel = 1\n[time]\nend = "1 s"\n')
    assert cli.main(["check", str(segment)]) == 2
    (said,) = capsys.readouterr().err.splitlines()
    assert "this is a segmentation file, expected a case file" in said
    assert f"with microlith segment '{segment}'" in said
    assert cli.main(["segment", str(case)]) == 2
    (said,) = capsys.readouterr().err.splitlines()
    assert "this is a case file, expected a segmentation file; `microlith init --segment` writes one" in said
    assert cli.main(["segment", str(tmp_path / "none.toml")]) == 2
    assert "there is no such segmentation file; `microlith init --segment`" in capsys.readouterr().err
