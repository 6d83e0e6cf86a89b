"""Checks of a case against its image."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from case_files import SMALL, edited, write_case
from numpy.typing import NDArray

from mpi4py import MPI

from microlith.imaging.errors import InputError
from microlith.imaging.formats.stored import Window
from microlith.imaging.image import passes
from microlith.imaging.image.load import volume_of
from microlith.imaging.image.volume import LabelImage, LabelVolume, Portion
from microlith.imaging.microstructure.adjacency import adjacency
from microlith.imaging.options import MeshOptions
from microlith.imaging.parallel import memory
from microlith.imaging.parallel.collective import on_first_rank
from microlith.meshing.lattice.cell_count import image_samples, most_tetrahedra, tetrahedra_count
from microlith.meshing.lattice.mesher import lattice_mesh
from microlith.solver.regions.shapes import Ball, Box, Polygon, Shape, Shell
from microlith.workflow.case.case import Case
from microlith.workflow.case.read import load_case
from microlith.workflow.prepare import checks as fit, footprint

COMM = MPI.COMM_WORLD
PIXEL = 1e-8
GRAIN = '\n[phases.grain]\nlabel = 2\nrole = "barrier"\n'


def picture(rows: int = 40, columns: int = 60) -> NDArray[np.uint8]:
    """Pore on the left third, SEI elsewhere, a grain of 10 x 10 pixels in its middle."""
    phase = np.ones((rows, columns), np.uint8)
    phase[:, : columns // 3] = 0
    phase[15:25, 35:45] = 2
    return phase


def checked(case: Case, image: LabelImage) -> list[str]:
    """What the check says of a case and its image, on this rank alone."""
    return fit.check_against_volume(case, volume_of(image, MPI.COMM_SELF), MPI.COMM_SELF)


def warnings(folder: Path, extra: str = "", phase: Any = None, pixel: float = PIXEL, base: str = SMALL) -> list[str]:
    """What the check says of a case of pore, sei, and grain with some more tables."""
    phase = picture() if phase is None else phase
    case = load_case(write_case(folder, base + GRAIN + extra))
    return checked(case, LabelImage(phase, ("pore", "sei", "grain"), (pixel,) * phase.ndim))


def region(shape: str) -> str:
    return f"[regions.R]\n{shape}\n"


@pytest.mark.parametrize(
    ("shape", "voxel", "method", "said"),
    [
        ((40, 60), (64 * PIXEL, PIXEL), "auto", "pixels are 64 times as long along y as along x, which takes about "),
        ((40, 60), (PIXEL, 16 * PIXEL), "fitted", "pixels are 16 times as long along x as along y, which takes about "),
        ((40, 60), (64 * PIXEL, PIXEL), "lattice", ""),  # 11 triangles a pixel
        ((40, 60), (64 * PIXEL, PIXEL), "voxel", ""),
        ((40, 60), (2 * PIXEL, PIXEL), "auto", ""),
        ((10, 40, 60), (60 * PIXEL, PIXEL, PIXEL), "auto", "voxels are 60 times as long along z as along x"),
        ((10, 40, 60), (2 * PIXEL, PIXEL, PIXEL), "auto", ""),
    ],
)
def test_oblong_voxels_that_take_many_elements_are_told(
    tmp_path: Path, shape: tuple[int, ...], voxel: tuple[float, ...], method: str, said: str
) -> None:
    phase = picture() if len(shape) == 2 else np.repeat(picture()[None], shape[0], axis=0)
    image = LabelImage(phase, ("pore", "sei", "grain"), voxel)
    case = load_case(write_case(tmp_path, SMALL + GRAIN + f'[mesh]\nmethod = "{method}"\n'))
    found = checked(case, image)
    assert len(found) == bool(said)
    if said:
        assert f"[mesh] method: {said}" in found[0]
        assert '"voxel"' in found[0]
        assert ('"lattice" takes far fewer' in found[0]) == (len(shape) == 2)


def test_a_good_case_has_no_warnings(tmp_path: Path) -> None:
    extra = region('box = { x = ["250 nm", "600 nm"], y = ["0 nm", "400 nm"] }')  # to the very edge of 60 x 40 pixels
    assert warnings(tmp_path, extra) == []


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        (region('box = { z = ["0 nm", "1 nm"] }'), ["[regions.R] box.z", "no axis z"]),
        (region('sphere = { center = ["1 nm", "1 nm", "1 nm"], radius = "1 nm" }'), ["[regions.R] sphere", "disk"]),
        (region('polygon = [["1 nm","1 nm"],["9 nm","9 nm"],["9 nm","1 nm"],["1 nm","8 nm"]]'), ["polygon", "cross"]),
        ('[faces.z_min]\nconcentration = "1 M"\n', ["[faces]", '"z_min"', "x_min"]),
        # outside
        (region('box = { x = ["600 nm", "900 nm"] }'), ["[regions.R]", "outside", "x 0 to 600 nm, y 0 to 400 nm"]),
        (region('box = { y = ["-9 nm", "-1 nm"] }'), ["[regions.R]", "outside"]),
        (region('disk = { center = ["0 nm", "-50 nm"], radius = "50 nm" }'), ["[regions.R]", "outside"]),
        (region('polygon = [["1 um","0 nm"],["2 um","0 nm"],["1 um","2 um"]]'), ["[regions.R]", "outside"]),
        # in no solved phase
        (region('box = { x = ["0 nm", "200 nm"] }'), ["[regions.R]", "no point of a transport phase"]),
        (region('box = { x = ["352 nm", "448 nm"], y = ["152 nm", "248 nm"] }'), ["[regions.R]", "no point"]),
        (region('disk = { center = ["100 nm", "200 nm"], radius = "99 nm" }'), ["[regions.R]", "no point"]),
        (region('disk = { center = ["400 nm", "200 nm"], radius = "49 nm" }'), ["[regions.R]", "no point"]),
        (region('polygon = [["0 nm","0 nm"],["199 nm","0 nm"],["0 nm","400 nm"]]'), ["[regions.R]", "no point"]),
    ],
)
def test_refused(tmp_path: Path, extra: str, words: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        warnings(tmp_path, extra)
    for word in [str(tmp_path / "case.toml"), *words]:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    "shape",
    [
        'box = { x = ["199 nm", "201 nm"], y = ["33.4 nm", "33.5 nm"] }',  # 1 nm of it in the SEI, pixels of 10 nm
        'box = { x = ["349 nm", "449 nm"], y = ["180 nm", "220 nm"] }',  # in the SEI with its first column only
        'disk = { center = ["195 nm", "200 nm"], radius = "6 nm" }',
        'disk = { center = ["400 nm", "200 nm"], radius = "52 nm" }',
        'polygon = [["190 nm","3 nm"],["190 nm","1 nm"],["204 nm","2 nm"]]',
        'shell = { around = "grain", distance = "1 nm" }',
        'shell = { around = "pore", distance = "1 nm" }',
        'shell = { around = "sei", distance = "1 nm" }',
    ],
)
def test_small_regions_that_touch_a_solved_phase_are_found(tmp_path: Path, shape: str) -> None:
    assert warnings(tmp_path, region(shape)) == []


def test_shell_about_a_phase_that_is_walled_in(tmp_path: Path) -> None:
    """Pore in a ring of grain 5 pixels wide: the SEI is 50 nm away."""
    phase = np.ones((40, 60), np.uint8)
    phase[:20, :20] = 2
    phase[:15, :15] = 0
    face = '[faces.x_max]\nconcentration = "1 M"\n'
    assert warnings(tmp_path, face + region('shell = { around = "pore", distance = "60 nm" }'), phase) == []
    with pytest.raises(InputError, match=r"\[regions.R\].*within 30 nm of pore"):
        warnings(tmp_path, face + region('shell = { around = "pore", distance = "30 nm" }'), phase)


def test_region_partly_outside_is_mentioned(tmp_path: Path) -> None:
    said = warnings(tmp_path, region('box = { x = ["500 nm", "700 nm"] }'))
    assert len(said) == 1
    assert "[regions.R]" in said[0]
    assert "outside" in said[0]


def test_nothing_that_feeds(tmp_path: Path) -> None:
    phase = picture()
    phase[:, 20] = 2  # a wall between pore and SEI
    with pytest.raises(InputError, match=r"\[phases\]: no pixel of a transport phase touches a source"):
        warnings(tmp_path, phase=phase)
    assert warnings(tmp_path, '[faces.x_max]\nconcentration = "1 M"\n', phase) == []
    assert warnings(tmp_path, '[faces.y_min]\nconcentration = "1 M"\n', phase) == []
    with pytest.raises(InputError, match="nothing would happen"):
        warnings(tmp_path, '[faces.x_min]\nconcentration = "1 M"\n', phase)  # only pores there


def test_idle_face_is_mentioned(tmp_path: Path) -> None:
    said = warnings(tmp_path, '[faces.x_min]\nconcentration = "1 M"\n')
    assert len(said) == 1
    assert "[faces.x_min]: no transport phase" in said[0]


PHASE_B = '\n[phases.deep]\nlabel = 3\nrole = "transport"\ndiffusivity = "1 m^2/s"\n'


def test_face_for_some_phases_only(tmp_path: Path) -> None:
    """At x_max there is SEI only; a face that feeds another phase there does nothing."""
    phase = picture()
    phase[:3, 20:30] = 3
    face = '[faces.x_max]\nconcentration = "1 M"\nphases = ["{}"]\n'
    names = ("pore", "sei", "grain", "deep")

    def said(of: str) -> list[str]:
        case = load_case(write_case(tmp_path, SMALL + GRAIN + PHASE_B + face.format(of)))
        return checked(case, LabelImage(phase, names, (PIXEL,) * 2))

    assert said("sei") == []
    (sentence,) = said("deep")
    assert "[faces.x_max]: none of deep touches this face" in sentence


def test_interface_of_phases_that_do_not_touch(tmp_path: Path) -> None:
    phase = picture()
    phase[:3, :10] = 3  # in the pore
    law = '[[interfaces]]\nbetween = ["sei", "deep"]\npartition = 2\n'
    case = load_case(write_case(tmp_path, SMALL + GRAIN + PHASE_B + law))
    image = LabelImage(phase, ("pore", "sei", "grain", "deep"), (PIXEL,) * 2)
    (sentence,) = checked(case, image)
    assert sentence.endswith("[[interfaces]], number 1: sei and deep do not touch")


def test_what_is_there_at_the_start_may_drive_a_case(tmp_path: Path) -> None:
    """No source, no face: a sink empties the SEI."""
    text = edited('role = "source"\nconcentration = "1 M"', 'role = "sink"\nuptake = "1 um/s"', SMALL)
    filled = edited('"1e-14 m^2/s"', '"1e-14 m^2/s"\ninitial = "1 M"', text)
    assert warnings(tmp_path, base=filled) == []


@pytest.mark.parametrize(("axes", "dim"), [("x, y", 3), ("x, y, z", 2)])
def test_axes_of_a_diffusivity(tmp_path: Path, axes: str, dim: int) -> None:
    each = ", ".join(f'{axis} = "1e-14 m^2/s"' for axis in axes.split(", "))
    base = edited('"1e-14 m^2/s"', f"{{ {each} }}", SMALL)
    phase = picture() if dim == 2 else np.repeat(picture()[None], 4, axis=0)
    match = rf"\[phases.sei\] diffusivity: expected the axes x.* of a {dim}D image, got {len(axes.split())} axes"
    with pytest.raises(InputError, match=match):
        warnings(tmp_path, phase=phase, base=base)
    other = picture() if dim == 3 else np.repeat(picture()[None], 4, axis=0)
    assert warnings(tmp_path, phase=other, base=base) == []


def test_surface_has_to_touch_a_solved_phase(tmp_path: Path) -> None:
    assert warnings(tmp_path, region('surface = "grain"')) == []
    phase = picture()
    phase[phase == 2] = 1
    phase[2:4, 2:4] = 2  # in the pore
    with pytest.raises(InputError, match=r"\[regions.R\] surface: no pixel of grain touches another transport phase"):
        warnings(tmp_path, region('surface = "grain"'), phase)
    with pytest.raises(InputError, match=r"\[regions.R\] surface: no pixel of sei touches another transport phase"):
        warnings(tmp_path, region('surface = "sei"'))


def test_dimension_of_the_options(tmp_path: Path) -> None:
    solid = np.repeat(picture()[None], 4, axis=0)
    with pytest.raises(InputError, match=r'\[mesh\] method: "fitted" is for 2D'):
        warnings(tmp_path, '[mesh]\nmethod = "fitted"\n', solid)
    with pytest.raises(InputError, match=r"\[regions.R\] disk: .*sphere"):
        warnings(tmp_path, region('disk = { center = ["1 nm", "1 nm"], radius = "1 nm" }'), solid)
    with pytest.raises(InputError, match=r"\[regions.R\] polygon: .*2D"):
        warnings(tmp_path, region('polygon = [["1 nm","1 nm"],["9 nm","9 nm"],["9 nm","1 nm"]]'), solid)
    axes = edited('file = "image.tif"', 'file = "image.tif"\nvoxel_size = { x = "1 nm", y = "1 nm" }', SMALL)
    with pytest.raises(InputError, match=r"\[image\] voxel_size: expected the axes x, y, z of a 3D image, got 2"):
        warnings(tmp_path, "", solid, base=axes)
    crop = edited('file = "image.tif"', 'file = "image.tif"\ncrop = { z = [0, 1] }', SMALL)
    with pytest.raises(InputError, match=r"\[image\] crop.z: a 2D image has no axis z"):
        warnings(tmp_path, base=crop)


def test_sphere_in_3d(tmp_path: Path) -> None:
    solid = np.repeat(picture()[None], 4, axis=0)
    sphere = region('sphere = { center = ["300 nm", "100 nm", "20 nm"], radius = "15 nm" }')
    assert warnings(tmp_path, sphere, solid) == []
    high = region('sphere = { center = ["300 nm", "100 nm", "90 nm"], radius = "50 nm" }')
    with pytest.raises(InputError, match="outside the image, which spans x 0 to 600 nm, y 0 to 400 nm, z 0 to 40 nm"):
        warnings(tmp_path, high, solid)


def test_size_finer_than_a_pixel_is_mentioned(tmp_path: Path) -> None:
    said = warnings(tmp_path, '[mesh]\nsize = { grain = "5 nm" }\n')
    assert len(said) == 1
    assert "[mesh] size.grain: 5 nm is finer than a pixel, 10 nm" in said[0]


@pytest.mark.parametrize("dim", [2, 3])
def test_sizes_beyond_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dim: int) -> None:
    """The size that the message advises is let pass, and not much larger than need be."""
    monkeypatch.setattr(memory, "available_memory", lambda: 8e9)
    phase = picture() if dim == 2 else np.repeat(picture()[None], 20, axis=0)
    with pytest.raises(InputError, match=r"\[mesh\] size: the elements .* 8 GB are free; make .* --no-mem") as caught:
        warnings(tmp_path, '[mesh]\nsize = { grain = "1 fm" }\nsize_max = "2 nm"\n', phase)
    advised = str(caught.value).partition("(")[2].partition(" would fit")[0]
    assert "grain = " in advised
    assert "size_max = " in advised
    grain, size_max = (part.partition("= ")[2] for part in advised.split(", "))
    warnings(tmp_path, f"[mesh]\nsize = {{ grain = {grain} }}\nsize_max = {size_max}\n", phase)


def test_size_max_finer_than_a_voxel_is_mentioned(tmp_path: Path) -> None:
    solid = np.repeat(picture(20, 60)[None], 4, axis=0)
    said = warnings(tmp_path, '[mesh]\nsize_max = "8 nm"\n', solid)
    assert len(said) == 1
    assert "[mesh] size_max: 8 nm is finer than a voxel, 10 nm, which adds elements but no information" in said[0]
    (said,) = warnings(tmp_path, '[mesh]\nsize_max = "16 nm"\nsize_factor = 0.5\n', solid)
    assert "[mesh] size_max: 16 nm times size_factor = 0.5 is finer than a voxel, 10 nm" in said


@pytest.mark.parametrize("dim", [2, 3])
def test_voxels_beyond_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dim: int) -> None:
    """Only the solved phases count; the advice is the smallest block that fits."""
    phase = picture() if dim == 2 else np.repeat(picture()[None], 20, axis=0)
    solved = int((phase == 1).sum())
    method = '[mesh]\nmethod = "voxel"\nsize = { grain = "1 fm" }\n'
    degree = "degree = 1\n"
    needed = solved * fit._BYTES_PER_VOXEL[dim, 1]
    monkeypatch.setattr(memory, "available_memory", lambda: 1.01 * needed)
    assert warnings(tmp_path, method + degree, phase) == []
    monkeypatch.setattr(memory, "available_memory", lambda: 0.99 * needed / 2**dim)
    with pytest.raises(InputError, match=r"\[mesh\] method: .* GB are free; coarsen .*\(coarsen = 3 would fit\)"):
        warnings(tmp_path, method + degree, phase)


def test_default_sizes_beyond_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "available_memory", lambda: 1e7)
    solid = np.repeat(picture()[None], 20, axis=0)
    with pytest.raises(InputError, match=r"\[mesh\] method: .* give larger sizes, coarsen .*coarsen = \d+ would fit"):
        warnings(tmp_path, "", solid)


def balls(shape: tuple[int, ...], radius: float) -> NDArray[np.uint8]:
    """Grain in balls on a grid of three radii, SEI elsewhere, two layers of pore at z = 0."""
    grid = (np.indices(shape) + 0.5) % (3 * radius) - 1.5 * radius
    phase = np.where((grid**2).sum(axis=0) < radius**2, 2, 1).astype(np.uint8)
    phase[:2] = 0
    return phase


@pytest.mark.mpi
@pytest.mark.parametrize(
    ("options", "voxel"),
    [
        (MeshOptions("lattice", {"grain": 1.5}, 6.0), (1.0, 1.0, 1.0)),
        (MeshOptions("lattice", {"grain": 2.0}, 8.0), (2.0, 1.0, 1.0)),
        (MeshOptions("lattice"), (1.0, 1.0, 1.0)),
    ],
    ids=str,
)
def test_tetrahedra_are_as_many_as_estimated(options: MeshOptions, voxel: tuple[float, ...]) -> None:
    """The image is larger than the blocks that the estimate looks at."""
    image = LabelImage(balls((34, 66, 66), 10.0), ("pore", "sei", "grain"), voxel)
    volume = volume_of(image, COMM)
    count = COMM.allreduce(len(lattice_mesh(volume, options, [1], COMM).cells))
    estimated = tetrahedra_count(image_samples(volume, COMM), options, [1], COMM)
    assert estimated == tetrahedra_count(
        image_samples(volume_of(image, MPI.COMM_SELF), MPI.COMM_SELF), options, [1], MPI.COMM_SELF
    )
    assert 0.7 < estimated / count < 1.3
    assert estimated <= most_tetrahedra(volume, options, [1])


# --- on several ranks ---


@pytest.mark.mpi
@pytest.mark.parametrize(
    ("extra", "outcome"),
    [
        ("", ""),
        ('[faces.x_min]\nconcentration = "1 M"\n[faces.z_max]\nconcentration = "1 M"\n', "[faces.x_min]: no transport"),
        (region('sphere = { center = ["300 nm", "100 nm", "20 nm"], radius = "15 nm" }'), ""),
        (region('box = { x = ["195 nm", "200.5 nm"], z = ["150 nm", "999 nm"] }'), "part of the region is outside"),
        (region('box = { x = ["100 nm", "200 nm"] }'), "the region holds no point of a transport phase"),
        (region('shell = { around = "deep", distance = "60 nm" }'), ""),
        (region('shell = { around = "deep", distance = "30 nm" }'), "no transport phase is within 30 nm of deep"),
        ('[mesh]\nsize = { grain = "4 nm" }\n', "[mesh] size: the elements asked for need about"),
        ('[mesh]\nmethod = "voxel"\n[regions.R]\nphase = "sei"\n', ""),
    ],
)
def test_ranks_come_to_the_verdict_of_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, extra: str, outcome: str
) -> None:
    """By layers, of which there are more than ranks; the phase named deep is five voxels inside the pore."""
    monkeypatch.setattr(passes, "VOXELS", 2 * 40 * 60)
    monkeypatch.setattr(memory, "available_memory", lambda: 3e8)
    phase = np.repeat(picture()[None], 20, axis=0)
    phase[8:11, 10:30, 5:15] = 3
    image = LabelImage(phase, ("pore", "sei", "grain", "deep"), (PIXEL,) * 3)
    deep = '\n[phases.deep]\nlabel = 3\nrole = "barrier"\n'
    case = load_case(on_first_rank(COMM, lambda: write_case(tmp_path, SMALL + GRAIN + deep + extra)))

    def verdict(volume: LabelVolume, comm: MPI.Intracomm) -> str:
        try:
            return "\n".join(fit.check_against_volume(case, volume, comm))
        except InputError as error:
            return str(error)

    said = verdict(volume_of(image, COMM), COMM)
    assert said == verdict(volume_of(image, MPI.COMM_SELF), MPI.COMM_SELF)
    assert outcome in said
    assert outcome or not said


@pytest.mark.mpi
@pytest.mark.parametrize(("distance", "found"), [(75e-9, True), (60e-9, False)])
def test_shell_that_reaches_from_block_to_block(monkeypatch: pytest.MonkeyPatch, distance: float, found: bool) -> None:
    """From layer 3 to layer 10 through seven layers of pore."""
    monkeypatch.setattr(passes, "VOXELS", 1)
    phase = np.zeros((30, 9, 8), np.uint8)
    phase[:3, 4, 4], phase[10:12] = 2, 1
    volume = volume_of(LabelImage(phase, ("pore", "sei", "grain"), (PIXEL,) * 3), COMM)
    wanted, neighbours = np.array([False, True, False]), adjacency(volume, COMM)
    assert footprint.shell_hits(Shell("grain", distance), volume, wanted, neighbours, COMM) is found


@pytest.mark.mpi
def test_no_rank_holds_the_image_to_check_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passes, "VOXELS", 4 * 40 * 60)
    monkeypatch.setattr(memory, "available_memory", lambda: 1e15)
    plain = volume_of(LabelImage(np.repeat(picture()[None], 200, axis=0), ("pore", "sei", "grain"), (PIXEL,) * 3), COMM)
    sizes = []

    def read(window: Window) -> Portion:
        portion = plain.read(window)
        sizes.append(portion.phase.size)
        return portion

    ball = region('sphere = { center = ["400 nm", "200 nm", "1000 nm"], radius = "190 nm" }')
    case = load_case(on_first_rank(COMM, lambda: write_case(tmp_path, SMALL + GRAIN + ball)))
    assert fit.check_against_volume(case, replace(plain, read=read), COMM) == []
    assert max(sizes) <= 5 * 40 * 60


@pytest.mark.parametrize(
    ("shape", "area"),
    [
        (Box({"x": (0.5, 3.25)}), 2.75 * 6),
        (Ball((4.0, 3.0), 2.5), np.pi * 2.5**2),
        (Polygon(((1.0, 1.0), (6.0, 2.0), (3.0, 5.0), (3.2, 2.4))), 6.0),
        (Polygon(((1.0, 1.0), (3.2, 2.4), (3.0, 5.0), (6.0, 2.0))), 6.0),  # the other way round
    ],
)
def test_shapes_cover_what_they_should(shape: Shape, area: float) -> None:
    """Area of the samples inside, by the test that `hits` uses."""
    assert isinstance(shape, Box | Ball | Polygon)
    image = LabelImage(np.zeros((6, 8), np.uint8), ("a",), (1.0, 1.0))
    (x0, x1), (y0, y1) = footprint.bounds(shape, volume_of(image, MPI.COMM_SELF))
    x, y = x0 + (np.arange(1000) + 0.5) * (x1 - x0) / 1000, y0 + (np.arange(1000) + 0.5) * (y1 - y0) / 1000
    inside = shape.covers([y, x])
    assert inside.mean() * (x1 - x0) * (y1 - y0) == pytest.approx(area, rel=2e-3)


def test_polygons_that_cross_themselves() -> None:
    square = ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0))
    bow = ((0.0, 0.0), (1.0, 1.0), (1.0, 0.0), (0.0, 1.0))
    assert not Polygon(square).crosses_itself()
    assert not Polygon(square[::-1]).crosses_itself()
    assert Polygon(bow).crosses_itself()
    assert Polygon(bow[1:] + bow[:1]).crosses_itself(), "whichever corner comes first"
    assert not Polygon(((0.0, 0.0), (4.0, 0.0), (2.0, 1.0))).crosses_itself()
    comb = ((0.0, 0.0), (5.0, 0.0), (5.0, 3.0), (4.0, 3.0), (4.0, 1.0), (1.0, 1.0), (1.0, 2.0), (0.0, 2.0))
    assert not Polygon(comb).crosses_itself(), "lines that edges lie on may cross others"
