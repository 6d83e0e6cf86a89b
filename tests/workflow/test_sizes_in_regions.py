"""Smaller elements in a region of a case: what its curve gains, and that others keep theirs."""

import re

import numpy as np
import pytest
from made_cases import COMM, write_case
from slab_case import END, LENGTH, PIXEL, SLAB, filled, slab_image

from microlith.imaging.parallel import large_arrays, memory
from microlith.imaging.parallel.collective import on_first_rank
from microlith.meshing.fitted import mesher
from microlith.workflow import cli
from microlith.workflow.case.read import load_case
from microlith.workflow.run.solved import solved

FED = (2 * PIXEL, 4 * PIXEL)  # from the source on
SPANS = {"fed": FED, "all": (0.0, LENGTH)}
REGIONS = """
[regions.fed]
box = { x = ["100 nm", "120 nm"] }
[regions.source_side]
box = { x = ["80 nm", "130 nm"] }
[regions.all]
phase = "slab"
"""
TIME = f'[time]\nend = "{END} s"\ntolerance = 1e-6\nfirst = "{1e-4 * END} s"\nsnapshots = []\n'
MESH = '[mesh]\nmethod = "{}"\ndegree = 1\nsize_max = "60 nm"\nsize = {{ slab = "60 nm" }}\n'


def errors(folder, mesh):
    """Largest difference of each region to the closed form, mol/m³."""
    path = on_first_rank(COMM, lambda: write_case(folder, slab_image(), "10 nm", SLAB, mesh, TIME, REGIONS))
    found = solved(load_case(path), COMM)
    times = found.transient.times
    exact = {name: 1000 * filled(times, *span) for name, span in SPANS.items()}
    return {name: np.abs(found.transient.curves[name] - of).max() for name, of in exact.items()}


@pytest.mark.mpi
@pytest.mark.parametrize("method", ["fitted", "lattice"])
def test_a_region_beside_a_source(tmp_path_factory, method, verified):
    """Of a region in the layer that fills first most of the error goes, against the closed form of a slab."""
    folder = COMM.bcast(str(tmp_path_factory.mktemp("slab")) if COMM.rank == 0 else None)
    mesh = MESH.format(method)
    coarse = errors(f"{folder}/plain", mesh)
    fine = errors(f"{folder}/fine", mesh + 'size_in = { source_side = "4 nm" }\n')
    verified(
        term="element size within a region",
        against="Fourier series of a slab, region beside the source (Crank 1975)",
        dim=2,
        cells="triangles",
        degree=1,
        error=fine["fed"] / 1000,
    )
    assert fine["fed"] < 0.1 * coarse["fed"]
    assert fine["all"] < 1.2 * coarse["all"]


@pytest.mark.parametrize(
    ("mesh", "periodic", "idle"),
    [
        ('method = "voxel"\n', False, {"size_in"}),
        ("", True, {"size_in", "size_max"}),  # voxels, though the case does not say so
        ('method = "lattice"\n', True, set()),
        ("", False, set()),
    ],
)
def test_sizes_that_do_nothing_are_told(tmp_path, capsys, mesh, periodic, idle):
    given = f'[mesh]\n{mesh}size_max = "60 nm"\nsize_in = {{ source_side = "20 nm" }}\n'
    faces = '[faces]\ny = "periodic"\n' if periodic else ""
    case = write_case(tmp_path, slab_image(), "10 nm", SLAB, given, TIME, REGIONS, faces)
    assert cli.main(["check", str(case)]) == 0
    told = "".join(capsys.readouterr())
    assert {key for key in ("size", "size_in", "size_max") if f"[mesh] {key} does nothing: the squares" in told} == idle


def test_a_size_in_a_region_that_would_fit_is_told(tmp_path, capsys, monkeypatch):
    for place in (memory, mesher, large_arrays):
        monkeypatch.setattr(place, "available_memory", lambda: 2e7)
    given = '[mesh]\nsize_in = {{ source_side = "{}" }}\n'
    case = write_case(tmp_path, slab_image(), "10 nm", SLAB, given.format("0.1 nm"), TIME, REGIONS)
    assert cli.main(["check", str(case)]) == 2
    told = capsys.readouterr().err
    assert "[mesh] size_in: the elements asked for need about" in told
    fits = re.search(r'\(size_in.source_side = "([^"]*)" would fit\)', told)
    write_case(tmp_path, slab_image(), "10 nm", SLAB, given.format(fits[1]), TIME, REGIONS)
    assert cli.main(["check", str(case)]) == 0
