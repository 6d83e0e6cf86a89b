"""Sources of which only what is connected to an outer face feeds, from case to curves, on any number of ranks."""

import json
import tomllib

import numpy as np
import pytest
from made_cases import MESH, PHASES, TIME, curves, electrode, write_case
from numpy.typing import NDArray

from mpi4py import MPI

from microlith.imaging.parallel.collective import on_first_rank
from microlith.workflow.case.read import load_case
from microlith.workflow.console.terminal import Stages
from microlith.workflow.prepare import assemble
from microlith.workflow.prepare.meshed import mesh_of
from microlith.workflow.run import pipeline

COMM = MPI.COMM_WORLD
CONNECTED = PHASES.replace('concentration = "1000 mol/m^3"', 'concentration = "1000 mol/m^3"\nconnected_to = "x_min"')


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
