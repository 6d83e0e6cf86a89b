"""The range of concentrations that pictures and summary show where fluxes drive a case, and what is told of it."""

import json
import logging
import re
from pathlib import Path

import numpy as np
import pytest
from made_cases import COMM, run_case, write_case
from scipy.special import erfc

from microlith.imaging.parallel.collective import on_root

FLUX = 1.6e-4  # mol/(m² s), in at one face and out at the other
SLAB = """
[phases.sei]
label = 1
role = "transport"
diffusivity = "2e-14 m^2/s"
initial = "1000 mol/m^3"
"""
MESH = '[mesh]\nmethod = "voxel"\nestimate = false\n'
TIME = '[time]\nend = "60 s"\nsnapshots = ["0 s", "1 ms", "60 s"]\n'


def slab(folder, faces, comm, initial="1000", time=TIME):
    """A slab of 500 nm, fed by its faces alone: its results."""
    path = Path(comm.bcast(str(folder)))
    phases = SLAB.replace("1000", initial)
    more = "".join(f'[faces.{face}]\n{key} = "{value}"\n' for face, key, value in faces)
    image = np.ones((8, 50), np.uint8)
    on_root(comm, write_case, path, image, phases=phases, mesh=MESH, time=time, regions="", more=more)
    return run_case(path / "case.toml", comm=comm)


def shown(results):
    return json.loads((results / "summary.json").read_text())["concentration_range_mol_per_m3"]


@pytest.mark.mpi
def test_what_fluxes_make_is_shown_and_told(tmp_path, caplog):
    """In the end a straight line, 1000 ∓ J L/(2 D) at the faces; its mean, the only curve, never changes."""
    faces = [("x_min", "flux", f"{FLUX} mol/m^2/s"), ("x_max", "flux", f"{-FLUX} mol/m^2/s")]
    with caplog.at_level(logging.WARNING):
        results = slab(tmp_path, faces, COMM)
    half = FLUX * 500e-9 / (2 * 2e-14)
    assert shown(results) == pytest.approx([1000 - half, 1000 + half], rel=1e-3)
    said = [r.getMessage() for r in caplog.records]
    if COMM.rank == 0:
        assert any("falls to -1e+03 mol/m³ in places at 60 s: a flux or current takes out more" in s for s in said), (
            said
        )


@pytest.mark.mpi
def test_range_of_what_is_held_is_what_is_given(tmp_path, caplog):
    """Elements of degree 2 undershoot where a held concentration jumps; that is neither shown nor told."""
    faces = [("x_min", "concentration", "3000 mol/m^3"), ("x_max", "flux", "-1e-9 mol/m^2/s")]
    with caplog.at_level(logging.WARNING):
        results = slab(tmp_path, faces, COMM, initial="0")
    assert shown(results) == [0.0, 3000.0]
    assert not [r for r in caplog.records if "takes out" in r.getMessage()]


def emptied_face(flux, source):
    """Concentration at x_max of an empty slab whose x_min is held at `source`, least over time (Carslaw and Jaeger)."""
    time, n = np.geomspace(1e-3, 60, 4000)[:, None], np.arange(1, 60)
    far = 500e-9 / np.sqrt(2e-14 * time)
    ierfc = np.exp(-((n * far) ** 2)) / np.sqrt(np.pi) - n * far * erfc(n * far)
    taken = 2 * flux * np.sqrt(time[:, 0] / 2e-14) * (1 / np.sqrt(np.pi) + 2 * ((-1.0) ** n * ierfc).sum(axis=1))
    come = 2 * source * ((-1.0) ** (n - 1) * erfc((2 * n - 1) * far / 2)).sum(axis=1)
    return (come - taken).min()


@pytest.mark.mpi
@pytest.mark.parametrize("share", [0.03, 0.003])
def test_what_a_flux_takes_between_snapshots_is_told(tmp_path, caplog, share):
    """Lithium is taken out at one face before any has come from the other; the only mean is above zero at all times."""
    flux = 1.2e-5 * share / 0.03
    least = emptied_face(flux, 3000.0)
    assert -least / 3000 == pytest.approx(share, rel=0.5)
    faces = [("x_min", "concentration", "3000 mol/m^3"), ("x_max", "flux", f"{-flux} mol/m^2/s")]
    time = '[time]\nend = "60 s"\nsnapshots = ["60 s"]\n'
    with caplog.at_level(logging.WARNING):
        slab(tmp_path, faces, COMM, initial="0", time=time)
    said = [r.getMessage() for r in caplog.records if "takes out" in r.getMessage()]
    if COMM.rank == 0:
        assert len(said) == (share > 0.01), said
        for sentence in said:
            told = re.search(r"the concentration at x_max falls to (\S+) mol/m³ on average over the face", sentence)
            assert told is not None, sentence
            assert float(told[1]) == pytest.approx(least, rel=0.03)


def test_elements_that_undershoot_where_a_flux_brings_lithium_in_take_nothing_out(tmp_path, caplog):
    """A layer just behind a steep front has a mean below zero on coarse elements, which no flux has emptied."""
    path = write_case(
        tmp_path,
        np.ones((8, 50), np.uint8),
        phases=SLAB.replace('initial = "1000 mol/m^3"\n', ""),
        mesh='[mesh]\nmethod = "lattice"\ndegree = 1\nsize_max = "100 nm"\n',
        time='[time]\nend = "3 ms"\nsnapshots = ["3 ms"]\n',
        regions='[regions.behind]\nbox = { x = ["100 nm", "200 nm"], y = ["0 nm", "80 nm"] }\n',
        more='[faces.x_min]\nflux = "1e-3 mol/m^2/s"\n',
    )
    with caplog.at_level(logging.WARNING):
        run_case(path, comm=COMM)
    said = [r.getMessage() for r in caplog.records]
    assert any("region behind" in one and "below the least that the case allows" in one for one in said), said
    assert not [one for one in said if "takes out" in one]
