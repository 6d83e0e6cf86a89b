"""Sources that are connected to an outer face, against labels of the whole image, on any number of ranks."""

import json
import tomllib

import numpy as np
import pytest
from made_cases import MESH, PHASES, TIME, curves, electrode, write_case
from numpy.typing import NDArray
from scipy import ndimage

from mpi4py import MPI

from microlith.imaging.axes import AXES
from microlith.imaging.errors import InputError
from microlith.imaging.formats.stored import Window
from microlith.imaging.image.load import volume_of, whole_on_root
from microlith.imaging.image.volume import LabelImage
from microlith.imaging.microstructure.percolation import percolation
from microlith.imaging.parallel.collective import on_first_rank
from microlith.workflow.case.read import load_case
from microlith.workflow.console.terminal import Stages
from microlith.workflow.prepare import assemble
from microlith.workflow.prepare.meshed import mesh_of
from microlith.workflow.run import pipeline

COMM = MPI.COMM_WORLD
NAMES = ("pore", "sei", "grain")
CONNECTED = PHASES.replace('concentration = "1000 mol/m^3"', 'concentration = "1000 mol/m^3"\nconnected_to = "x_min"')


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
                percolation(volume_of(LabelImage(phase, NAMES, (1.0,) * len(shape)), COMM), wanted, COMM)
            return
    found = percolation(volume_of(LabelImage(phase, NAMES, (1.0,) * len(shape)), COMM), wanted, COMM)
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
    volume = volume_of(LabelImage(phase, NAMES, (1.0, 1.0)), COMM)
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
    volume = volume_of(LabelImage(phase, ("pore", "sei"), (1.0, 1.0)), COMM)
    found = percolation(volume, {0: "x_max"}, COMM)
    assert found.volume.counts[2] == 2
    assert found.volume.names[2] == "pore (not connected)"


@pytest.mark.mpi
def test_all_connected_leaves_the_image_alone() -> None:
    phase = np.repeat([[0, 0, 1, 1]], 6, axis=0).astype(np.uint8)
    volume = volume_of(LabelImage(phase, ("pore", "sei"), (1.0, 1.0)), COMM)
    found = percolation(volume, {0: "y_min"}, COMM)
    assert found.volume is volume
    assert found.connected == {0: 1.0}


@pytest.mark.mpi
def test_refused_on_all_ranks() -> None:
    phase = np.repeat([[0, 0, 1, 1]], 6, axis=0).astype(np.uint8)
    volume = volume_of(LabelImage(phase, ("pore", "sei"), (1.0, 1.0)), COMM)
    with pytest.raises(InputError, match=r"\[phases.pore\] connected_to: no pixel of pore lies at the face x_max"):
        percolation(volume, {0: "x_max"}, COMM)
    with pytest.raises(InputError, match=r'\[phases.pore\] connected_to: there is no face "z_min" in 2D'):
        percolation(volume, {0: "z_min"}, COMM)
    many = np.repeat([[0, 1, 0, *range(2, 255)]], 2, axis=0).astype(np.uint8)
    volume = volume_of(LabelImage(many, tuple(f"p{i}" for i in range(255)), (1.0, 1.0)), COMM)
    with pytest.raises(InputError, match=r"\[phases\]: expected at most 255 phases with those .* got 256"):
        percolation(volume, {0: "x_min"}, COMM)


# --- in a case ---


def with_island() -> NDArray[np.uint8]:
    """Pores left, and one that nothing reaches in the middle of the SEI."""
    image = electrode()
    image[30:36, 12:20] = 0
    return image


def test_an_island_of_pore_feeds_nothing(tmp_path, capsys, caplog):
    """What is cut off acts as a barrier of that shape does, and not as a source."""
    more = '\n[phases.wall]\nlabel = 3\nrole = "barrier"\n'
    size = '[mesh]\nsize = { pore = "25 nm" }\nsize_max = "60 nm"\n'
    time = '[time]\nend = "20 s"\ntolerance = 1e-8\nsnapshots = []\n'
    walled = np.where((with_island() == 0) & (np.arange(60) > 5), 3, with_island())
    cases = {
        "all": write_case(tmp_path / "all", with_island(), mesh=size, time=time),
        "connected": write_case(tmp_path / "connected", with_island(), phases=CONNECTED, mesh=size, time=time),
        "walled": write_case(
            tmp_path / "walled",
            walled,
            phases=PHASES + more,
            mesh=size.replace("pore", 'wall = "25 nm", pore'),
            time=time,
        ),
    }
    found = {}
    with caplog.at_level("INFO", logger="microlith"):
        for name, path in cases.items():
            pipeline.run(load_case(path), path.parent / "results", False, MPI.COMM_SELF)
            found[name] = curves(path.parent / "results")
    assert "pore: 80.6 % of it is connected to x_min; the rest is a barrier" in caplog.text
    left = {name: curve["left"] for name, curve in found.items()}
    assert abs(left["connected"] - left["walled"]).max() < 1e-6 * 1000
    assert abs(left["connected"] - left["all"]).max() > 0.1 * 1000, "the island would have fed the region"
    summary = json.loads((cases["connected"].parent / "results" / "summary.json").read_text())
    assert summary["case"]["phases"]["pore"]["connected_to"] == "x_min"
    assert summary["case"]["phases"]["pore (not connected)"] == {"labels": [], "role": "barrier"}
    assert summary["phases"]["pore (not connected)"]["pieces_image"] == 1
    assert abs(summary["phases"]["pore (not connected)"]["relative_difference"]) < 1e-2
    assert summary["mass_balance"]["imbalance"] < 1e-8


@pytest.mark.mpi
@pytest.mark.parametrize("method", ["fitted", "lattice", "voxel"])
def test_meshes_on_ranks_have_the_barrier(tmp_path_factory, method):
    """The same phases in case, image and mesh; and the same cells on any number of ranks."""
    folder = on_first_rank(COMM, lambda: tmp_path_factory.mktemp("island"))
    mesh = MESH + f'method = "{method}"\ndegree = 1\n'
    path = on_first_rank(COMM, lambda: write_case(folder, with_island(), phases=CONNECTED, mesh=mesh))
    ready = assemble.prepared(load_case(path), COMM)
    names = ("pore", "sei", "particle", "pore (not connected)")
    assert ready.meshed.mesh.names == ready.meshed.volume.names == names
    assert tuple(phase.name for phase in ready.case.physics.phases) == names
    assert ready.meshed.volume.counts[3] == 48
    assert ready.meshed.image is None or (ready.meshed.image.phase == 3).sum() == 48
    alone = assemble.prepared(load_case(path), MPI.COMM_SELF)
    assert ready.meshed.cells == alone.meshed.cells
    again = mesh_of(ready.case, (1,), Stages(), COMM)
    assert again.volume.names == names, "a case that was split is read as the one before"


@pytest.mark.mpi
@pytest.mark.parametrize("method", ["lattice", "voxel"])
def test_volume_after_crop_and_coarsen(tmp_path_factory, method):
    """What is connected is decided on the voxels that are meshed: here the way to the island is cropped away."""
    solid = np.ones((12, 24, 24), np.uint8)
    solid[:, :, :6] = 0
    solid[4:8, 8:16, 12:18] = 0  # connected to the pore through the rows that the crop leaves out
    solid[4:8, 0:8, 4:14] = 0
    folder = on_first_rank(COMM, lambda: tmp_path_factory.mktemp("volume"))
    phases = CONNECTED.partition("[phases.particle]")[0]
    path = on_first_rank(
        COMM, lambda: write_case(folder, solid, phases=phases, mesh=f'[mesh]\nmethod = "{method}"\n', regions="")
    )

    def prepared(more, comm):
        text = f'file = "image.tif"\n{more}'
        name = folder / f"{'part' if more else 'whole'}-{comm.size}.toml"
        # By one rank of all, whichever `comm` is: another might read what is half-written.
        on_first_rank(COMM, lambda: name.write_text(path.read_text().replace('file = "image.tif"\n', text)))
        return assemble.prepared(load_case(name), comm)

    whole = prepared("", COMM).meshed.volume
    assert whole.names == ("pore", "sei")
    part = prepared("crop = { y = [8, 24] }\ncoarsen = 2\n", COMM)
    assert part.meshed.volume.names == ("pore", "sei", "pore (not connected)")
    assert part.meshed.volume.counts == (6 * 8 * 3, 6 * 8 * 12 - 6 * 8 * 3 - 2 * 4 * 3, 2 * 4 * 3)
    assert part.meshed.cells == prepared("crop = { y = [8, 24] }\ncoarsen = 2\n", MPI.COMM_SELF).meshed.cells


@pytest.mark.parametrize("suffix", [".msh", ".vtu", ".xdmf"])
def test_meshes_are_written_with_the_name(tmp_path, suffix):
    path = write_case(tmp_path, with_island(), phases=CONNECTED)
    assemble.mesh(load_case(path), tmp_path / f"mesh{suffix}", MPI.COMM_SELF, show=False)
    assert (tmp_path / f"mesh{suffix}").stat().st_size > 1000


def test_check_shows_what_is_cut_off(tmp_path, capsys):
    from microlith.workflow import cli

    path = write_case(tmp_path, with_island(), phases=CONNECTED, time=TIME, mesh=MESH)
    assert cli.main(["check", str(path)]) == 0
    captured = capsys.readouterr()
    shown = " ".join(captured.out.replace("│", " ").split())
    for words in (
        "60 x 40 pixels of 10 nm x 10 nm, 600 nm x 400 nm",
        "only what is connected to x_min; label 0, 8.333 % of the image",
        "pore (not connected) barrier; 2 % of the image",
        "method fitted",
        "degree 2",
    ):
        assert words in shown, (words, shown)
    assert "pore: 80.6 % of it is connected to x_min" in captured.err
    assert tomllib.loads(path.read_text())["phases"]["pore"]["connected_to"] == "x_min"
