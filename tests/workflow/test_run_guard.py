"""What a run says where its results can't be right, and that it says nothing where they can."""

import json
import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_cases import COMM, curves, run_case, write_case

from microlith.imaging.parallel.collective import on_root
from microlith.solver import transient
from microlith.solver.guard.curves import Breach
from microlith.solver.linear import shifted
from microlith.solver.problem import problem as assembly
from microlith.solver.problem.boundary_terms import add_transfers
from microlith.workflow.run.guard import ThinLayer, Verdict, thin_layers
from microlith.workflow.studies import spatial_error

GAS = """
[phases.pore]
label = 0
role = "source"
concentration = "40 mol/m^3"
mass_transfer = "1e-9 m/s"

[phases.gas]
label = 1
role = "transport"
diffusivity = "1e-5 m^2/s"
"""
MESH = '[mesh]\nsize_max = "100 nm"\n'
TIME = '[time]\nend = "3000 s"\ntolerance = 1e-4\nsnapshots = ["3000 s"]\n'
REGIONS = '[regions.gas]\nphase = "gas"\n'


def slab(folder, **more):
    """A slab of 1 µm behind a weak transfer."""
    path = Path(COMM.bcast(str(folder)))
    image = np.ones((8, 54), np.uint8)
    image[:, :4] = 0
    texts = {"phases": GAS, "mesh": MESH, "time": TIME, "regions": REGIONS} | more
    on_root(COMM, lambda: write_case(path, image, voxel="20 nm", **texts) and None)
    return path / "case.toml"


def outcome(path, caplog):
    """What is said, and `checks` of summary.json."""
    with caplog.at_level(logging.INFO):
        results = run_case(path)
    return [record.getMessage() for record in caplog.records], json.loads((results / "summary.json").read_text())


def test_a_sound_run_says_nothing(tmp_path, caplog):
    said, summary = outcome(slab(tmp_path), caplog)
    assert not any("do not use" in sentence for sentence in said)
    assert summary["warnings"] == []
    assert summary["checks"]["sound"] is True
    (gas,) = summary["checks"]["fields_at_snapshots"]
    assert gas["highest"] == pytest.approx(40 * (1 - np.exp(-3)), abs=0.01)
    assert gas["under"] is None


def table_of(path):
    return np.genfromtxt(path, delimiter=",", names=True, skip_header=3)


@pytest.mark.mpi
def test_a_term_that_is_dropped_condemns_the_curves(tmp_path, caplog, monkeypatch):
    """Without the transfer in K its load fills the slab for ever: 40 k t/L = 120 mol/m³."""

    def dropped(on, boundaries, stiffness):
        return add_transfers(on, boundaries, stiffness.copy()) * 0.0

    monkeypatch.setattr(assembly, "add_transfers", dropped)
    said, summary = outcome(slab(tmp_path), caplog)
    checks = summary["checks"]
    assert checks["sound"] is False
    (breach,) = checks["curves"]
    assert (breach["region"], breach["kind"], breach["time"]) == ("gas", "above", 3000.0)
    assert breach["value"] == pytest.approx(120.0, rel=1e-3)
    assert breach["limit"] == pytest.approx(40.0)
    assert breach["size"] == pytest.approx(80.0, rel=1e-3)
    assert summary["colour_scales"][0]["range_mol_per_m3"][1] == pytest.approx(120.0, rel=1e-3)  # shown, not hidden
    assert not any("elements of" in sentence or "raised" in sentence for sentence in said)
    assert summary["warnings"][0].startswith(
        "do not use the curve of region gas up to 3e+03 s: it is 120 mol/m³ at 3e+03 s, 80 above the largest that the "
        "case allows, 40; its estimated error is "
    )
    if COMM.rank == 0:
        with (tmp_path / "results/curves.csv").open() as file:
            assert next(file) == "# Small case (do not use: see checks in summary.json)\n"
        assert said[-1] == (
            "do not use these results: the curves of gas are off by far more than stated and lithium is unaccounted "
            "for; see the warnings, and checks in summary.json"
        )


def test_lithium_that_is_lost_condemns_the_amounts(tmp_path, caplog, monkeypatch):
    """Fluxes of half their size."""
    right = assembly.with_given

    def halves(*given):
        return [
            replace(flux, rate=0.5 * flux.rate, level=0.5 * flux.level, pushed=[(c, 0.5 * k) for c, k in flux.pushed])
            for flux in right(*given)
        ]

    monkeypatch.setattr(assembly, "with_given", halves)
    said, summary = outcome(slab(tmp_path), caplog)
    assert summary["checks"]["balance"] is False
    assert any(
        "the lithium balance is off by 50 % of what is exchanged, more than the estimated errors explain" in sentence
        for sentence in summary["warnings"]
    )
    assert said[-1].startswith("do not use these results: lithium is unaccounted for")


def test_without_an_error_in_space_small_overshoots_are_let_pass(tmp_path, caplog, monkeypatch):
    """5 % of the reference concentration, and no more."""

    def stronger(factor):
        def loads_of(*given):
            found = right(*given)
            for load in found:
                load.push[:] *= factor
            return found

        return loads_of

    right = assembly.loads_of
    mesh = MESH + "estimate = false\n"
    for factor, sound in ((1.04, True), (1.2, False)):
        monkeypatch.setattr(assembly, "loads_of", stronger(factor))
        folder = tmp_path / str(factor)
        _, summary = outcome(slab(folder, mesh=mesh, time=TIME.replace("3000", "20000")), caplog)
        assert (summary["checks"]["curves"] == []) is sound
        assert ("and elements are granted 2" in str(summary["warnings"])) is not sound


def test_results_are_condemned_until_they_are_right():
    breach = Breach("gas", "below", 1.0, -30.0, 0.0, 2.0, 4.0)
    phases = {"gas": 40.0}
    verdict = Verdict((breach,), None, (), (), {}, ("gas",), None, phases, phases, 1, 100.0, (), phases)
    assert verdict.last_line() == (
        "do not use these results before 4 s: the curves of gas are off by far more than stated; see the warnings, and "
        "checks in summary.json"
    )
    assert verdict.marked("Slab") == "Slab (do not use before 4 s: see checks in summary.json)"
    assert replace(verdict, breaches=()).marked("Slab") == "Slab"
    assert verdict.sentences() == [
        "do not use the curve of region gas up to 4 s: it is -30 mol/m³ at 1 s, 30 below the least that the case "
        "allows, 0; its estimated error is 2"
    ]


def test_errors_are_raised_to_what_is_known(tmp_path, caplog, monkeypatch):
    """Elements of degree 1 undershoot early on by more than an estimate that is too small tells, which is no alarm."""
    monkeypatch.setattr(spatial_error, "RECOVERED", 0.5)
    phases = GAS.replace("1e-5 m^2/s", "1e-14 m^2/s").replace('mass_transfer = "1e-9 m/s"\n', "")
    regions = REGIONS + '[regions.thin]\nbox = { x = ["144 nm", "184 nm"] }\n'
    mesh = '[mesh]\nmethod = "lattice"\ndegree = 1\nsize_max = "80 nm"\n'
    path = slab(tmp_path, phases=phases, regions=regions, mesh=mesh, time=TIME.replace("3000", "200"))
    said, summary = outcome(path, caplog)
    thin, error = (table_of(path.parent / "results" / f"{name}.csv") for name in ("curves", "errors"))
    assert thin["thin"].min() < -0.1
    assert (error["thin"] >= -thin["thin"]).all()
    assert "errors of thin raised to how far their curves are beyond what is possible" in said
    assert summary["checks"]["sound"] is True


def test_snapshots_that_undershoot_are_told(tmp_path, caplog):
    """Elements of 60 nm, where lithium has come 10 nm far."""
    phases = GAS.replace("1e-5 m^2/s", "1e-18 m^2/s").replace('mass_transfer = "1e-9 m/s"\n', "")
    path = slab(tmp_path, phases=phases, time=TIME.replace('"3000 s"]', '"100 s", "3000 s"]'))
    said, summary = outcome(path, caplog)
    assert summary["checks"]["sound"] is True
    early = summary["checks"]["fields_at_snapshots"][0]["under"]
    assert early["time"] == 100.0
    assert early["value"] < -0.4
    (told,) = [sentence for sentence in summary["warnings"] if "the snapshot" in sentence]
    assert told in said
    assert f"100 s is beyond what is possible: gas is at {early['value']:.4g} mol/m³ near (" in told
    assert "where 0 is the least: elements of 0.0" in told
    assert (
        "are too coarse for a front that has come 0.01 µm far; choose smaller elements at surfaces ([mesh] size) or"
        in told
    )
    (note,) = [sentence for sentence in said if sentence.startswith("at 0.03 s lithium has come 0.00017 µm far, ")]
    assert "which elements of 0.0" in note
    assert " can't follow: gas is at -" in note
    assert note.endswith("; the errors of the curves include that")
    assert "e-" not in note[note.index("near (") : note.index(") µm")], "places on faces are at 0"
    assert summary["checks"]["notes"] == [note]
    assert note.replace("'", "&#x27;") in (path.parent / "results" / "report.html").read_text()


@pytest.mark.mpi
def test_colours_end_at_what_is_possible(tmp_path, caplog):
    """Elements of 80 nm and degree 1, where lithium has come 10 nm far."""
    phases = GAS.replace("1e-5 m^2/s", "1e-18 m^2/s").replace('mass_transfer = "1e-9 m/s"\n', "")
    mesh = '[mesh]\nmethod = "lattice"\ndegree = 1\nsize_max = "80 nm"\n'
    path = slab(tmp_path, phases=phases, mesh=mesh, time=TIME.replace('"3000 s"]', '"100 s", "3000 s"]'))
    _, summary = outcome(path, caplog)
    (scale,) = summary["colour_scales"]
    assert scale["snapshots_mol_per_m3"][0] < -0.06 * 40
    assert scale["range_mol_per_m3"] == [0.0, 40.0]


def test_on_voxels_no_sizes_are_advised(tmp_path, caplog):
    """They have none."""
    phases = GAS.replace("1e-5 m^2/s", "1e-18 m^2/s").replace('mass_transfer = "1e-9 m/s"\n', "")
    mesh = '[mesh]\nmethod = "voxel"\n'
    path = slab(tmp_path, phases=phases, mesh=mesh, time=TIME.replace('"3000 s"]', '"1 s", "3000 s"]'))
    said, _ = outcome(path, caplog)
    assert any('choose elements with sizes of their own ([mesh] method = "lattice")' in one for one in said)
    assert not any("[mesh] size" in one for one in said)


def coarse(folder, time):
    """A slab of 80 nm that is held at its surface, in elements of 23 nm."""
    path = Path(COMM.bcast(str(folder)))
    image = np.ones((6, 11), np.uint8)
    image[:, :3] = 0
    held = GAS.replace("1e-5 m^2/s", "1e-14 m^2/s").replace('mass_transfer = "1e-9 m/s"\n', "")
    mesh = '[mesh]\nmethod = "lattice"\ndegree = 1\n'
    on_root(COMM, lambda: write_case(path, image, phases=held, mesh=mesh, time=time, regions=REGIONS) and None)
    return path / "case.toml"


@pytest.mark.parametrize(
    ("degree", "voxels", "told"),
    [(1, 0.4, True), (1, 0.9, False), (2, 0.15, True), (2, 0.35, False), (3, 0.07, True), (3, 0.3, False)],
)
def test_how_far_lithium_comes_is_told_where_elements_hold_a_tenth_too_much(tmp_path, caplog, degree, voxels, told):
    """Until the end √(D t) is some voxels; what has come into the slab is 2 √(D t / π) per area (Crank 1975)."""
    image = np.ones((4, 44), np.uint8)
    image[:, :4] = 0
    phases = """
[phases.pore]
label = 0
role = "source"
concentration = "1000 mol/m^3"
[phases.slab]
label = 1
role = "transport"
diffusivity = "1e-16 m^2/s"
"""
    mesh = f'[mesh]\nmethod = "voxel"\ndegree = {degree}\n'
    time = f'[time]\nend = "{voxels**2} s"\nsnapshots = []\ntimes = ["{voxels**2} s"]\n'  # D t = 1 voxel² at 1 s
    with caplog.at_level(logging.WARNING):
        results = run_case(write_case(tmp_path, image, phases=phases, mesh=mesh, time=time, regions=""))
    mean = float(curves(results)["slab"]) * 40 / 1000
    assert (abs(mean / (2 * voxels / np.sqrt(np.pi)) - 1) > 0.1) == told
    said = [r.getMessage() for r in caplog.records if "show the mesh" in r.getMessage()]
    assert len(said) == told, said


@pytest.mark.mpi
def test_layers_thinner_than_elements_are_told(tmp_path, caplog):
    """After 10 µs lithium has come 0.3 nm far, and 2 √(D t/π) of the slab's 80 nm are full."""
    time = '[time]\nend = "1 s"\ntimes = ["10 us", "0.1 s", "1 s"]\ntolerance = 1e-4\nsnapshots = []\n'
    path = coarse(tmp_path, time)
    said, summary = outcome(path, caplog)
    (told,) = [sentence for sentence in summary["warnings"] if "layer" in sentence]
    curve, errors = (table_of(path.parent / "results" / f"{name}.csv")["gas"] for name in ("curves", "errors"))
    true = curve[0] - 40 * 2 * np.sqrt(1e-14 * 1e-5 / np.pi) / 80e-9
    assert 3.0 < true < errors[0] < 3 * true
    assert told == (
        f"region gas is known to ±{errors[0]:.2g} mol/m³ only at 1e-05 s, {100 * errors[0] / 40:.2g} % of what it "
        "holds, as the layer that fills is thinner than the elements at the surface: choose smaller elements at "
        "surfaces ([mesh] size) or in a region ([mesh] size_in), elements of [mesh] degree 2 or later times; from "
        "0.1 s on it is known to 5 %"
    )
    assert "at least what such elements err by in a half space" in summary["error"]["space"]["how"]
    if COMM.rank == 0:
        assert told in said[said.index(next(line for line in said if line.startswith("region  "))) :], "at the end"


def test_a_region_is_known_from_when_all_its_errors_are_small():
    """Also those that no layer makes, which come later here."""
    times, asked = np.arange(6.0), np.arange(6) > 0
    errors, layers = {"gas": np.array([9.0, 6.0, 7.0, 8.0, 5.0, 1.0])}, {"gas": np.array([9.0, 6.0, 1.0, 0, 0, 0])}
    assert thin_layers(times, asked, errors, layers, {"gas": 100.0}) == (ThinLayer("gas", 1.0, 6.0, 100.0, 4.0),)
    assert thin_layers(times, asked, errors, layers, {"gas": 10.0}) == (ThinLayer("gas", 1.0, 6.0, 10.0, None),)
    assert thin_layers(times, asked, errors, layers, {"gas": 1000.0}) == ()


def test_layers_are_not_told_where_nobody_asks_for_their_times(tmp_path, caplog):
    """Before a thousandth of the end, by default times."""
    _, summary = outcome(coarse(tmp_path, '[time]\nend = "10 s"\ntolerance = 1e-4\nsnapshots = []\n'), caplog)
    assert summary["regions"]["gas"]["error"]["early"] > 0.05
    assert not any("layer" in sentence for sentence in summary["warnings"])


def test_the_method_told_is_the_one_that_solved(tmp_path, caplog, monkeypatch):
    """Where CHOLMOD gives up, here as there is none of that name, MUMPS takes over."""
    right = shifted.new_ksp

    def without_cholmod(comm, method, *others):
        ksp = right(comm, "mumps", *others)
        if method == "cholmod":
            ksp.getPC().setFactorSolverType("none-such")
        return ksp

    monkeypatch.setattr(shifted, "new_ksp", without_cholmod)
    monkeypatch.setattr(transient, "choose_package", lambda *_: "cholmod")
    said, summary = outcome(slab(tmp_path), caplog)
    assert summary["solver"]["method"] == "mumps"
    assert any(" unknowns, mumps: " in sentence for sentence in said)
