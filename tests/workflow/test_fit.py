"""microlith fit: values come back from curves of closed forms, intervals cover, and what data do not say is told."""

import gc
import json
import tomllib

import numpy as np
import pytest
from case_files import RICH
from closed_forms import robin_slab_mean
from made_cases import write_case
from malloc_in_use import malloc_in_use
from scipy.stats import t as student
from slab_case import LENGTH, REGIONS, SPANS, D, filled, slab_image, slab_phases

from mpi4py import MPI

import microlith as ml
from microlith.imaging.errors import InputError
from microlith.workflow.case.read import case_of, load_case
from microlith.workflow.case.toml_file import read_toml
from microlith.workflow.cli import main
from microlith.workflow.fit.case_file import case_text
from microlith.workflow.fit.intervals import runs_score, uncertainty
from microlith.workflow.fit.limits import allowed_end
from microlith.workflow.fit.model import Model, led
from microlith.workflow.fit.parameters import parameters_of
from microlith.workflow.fit.search import minimum, spread
from microlith.workflow.fit.subject import subject_of
from microlith.workflow.fit.writing import lines_of

COMM = MPI.COMM_WORLD
KEY = "phases.slab.diffusivity"
RANGE = "1e-16 m^2/s .. 1e-12 m^2/s"
TIMES = np.array([0.2, 0.5, 1.0, 1.7, 2.5, 4.0, 6.0, 9.0, 13.0, 18.0])  # s
TIME = '\n[time]\nend = "20 s"\ntolerance = 1e-4\nsnapshots = ["20 s"]\n'
MESH = "\n[mesh]\nsize_max = {}\n"


def slab(folder, phases=None, size="40 nm", start="5e-16 m^2/s", rows=4):
    """The slab with another diffusivity than the one that is looked for."""
    phases = (phases or slab_phases()).replace("1e-14 m^2/s", start)
    return write_case(folder, slab_image(rows), "10 nm", phases, MESH.format(f'"{size}"'), TIME, REGIONS)


def exact(name, times=TIMES):
    return 1000 * filled(times, *SPANS[name])


def csv_of(path, head, *columns):
    rows = [",".join("" if np.isnan(value) else f"{value:.6f}" for value in row) for row in np.column_stack(columns)]
    path.write_text("# measured\n" + "\n".join([head, *rows]) + "\n", encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def noisy(tmp_path_factory):
    """Folder of a fit to two noisy curves, one in mol/L with gaps, times in minutes."""
    folder = tmp_path_factory.mktemp("fit")
    rng = np.random.default_rng(3)
    means = exact("all") + rng.normal(0, 8, len(TIMES))
    far = exact("far") + rng.normal(0, 8, len(TIMES))
    far[[0, 4]] = np.nan
    sd = np.full(len(TIMES), 8.0)
    data = csv_of(folder / "m.csv", "time (min),all,far (mol/L),all sd,far sd", TIMES / 60, means, far / 1000, sd, sd)
    case = slab(folder)
    command = ["-q", "fit", str(case), "--data", str(data), "--vary", f"{KEY}={RANGE}", "-o", str(folder / "out")]
    assert main(command) == 0
    return folder / "out"


def test_diffusivity_of_a_slab_comes_back(noisy):
    found = json.loads((noisy / "fit.json").read_text())
    one = found["parameters"][KEY]
    assert one["interval"][0] < D < one["interval"][1]
    assert one["interval"][1] / one["interval"][0] < 1.1
    assert one["interval"][0] <= one["interval_from_scatter"][0] < one["value"]
    assert one["determined"] is True
    assert one["varied_in_logarithm"] is True
    assert found["data"]["values"] == 18
    assert 0.5 < found["residuals"]["per_standard_deviation"] < 1.5
    assert found["warnings"] == []


def test_files_of_a_fit(noisy, monkeypatch):
    table = [line for line in (noisy / "fit.csv").read_text().splitlines() if not line.startswith("#")]
    assert table[0].startswith("time_s,all measured,all sd,all fitted,all error,all residual,far measured")
    assert len(table) == 1 + len(TIMES)
    assert table[1].endswith(",,,,,")  # far has a gap there
    page = (noisy / "report.html").read_text(encoding="utf-8")
    for words in (
        "Fit to measured curves",
        KEY,
        "95 % interval",
        "far, measured",
        "Residuals",
        "data:image/png;base64,",
    ):
        assert words in page, words
    monkeypatch.chdir("/")
    best = tomllib.loads((noisy / "best.toml").read_text())
    value = json.loads((noisy / "fit.json").read_text())["parameters"][KEY]["value"]
    assert float(best["phases"]["slab"]["diffusivity"].split()[0]) == pytest.approx(value, rel=1e-8)
    case = load_case(noisy / "best.toml")  # its image is found from there
    assert case.physics.phases[1].diffusivity == pytest.approx(value, rel=1e-8)


SWEPT = """
[faces]
x = "periodic"

[sweep]
list = [{ name = "one", "time.end" = "2 s" }, { name = "a \\"b\\"", "time.end" = "3 s" }]
"""
NAMED = RICH.replace("phases.film", 'phases."a.b"').replace("label = 4", 'label = [4, "6-8"]')


@pytest.mark.parametrize("text", [RICH, NAMED + SWEPT, 'faces = { x = "mirrored" }'])
def test_a_case_file_written_again_says_the_same(text):
    assert tomllib.loads(case_text(tomllib.loads(text), ["of a test"])) == tomllib.loads(text)


def test_fit_of_a_periodic_case(tmp_path):
    """The slab, the image repeated along it: its case file has a word in [faces]."""
    path = slab(tmp_path)
    path.write_text(path.read_text() + '\n[faces]\ny = "periodic"\n')
    data = csv_of(tmp_path / "data.csv", "time_s,all", TIMES, exact("all"))
    where = ["--vary", f"{KEY}=1e-15 .. 1e-13 m^2/s"]
    assert main(["fit", str(path), "--data", str(data), *where, "--starts", "1", "-o", str(tmp_path / "out")]) == 0
    assert load_case(tmp_path / "out" / "best.toml").tables["faces"] == {"y": "periodic"}


def test_coarse_meshes_shift_no_farther_than_the_errors_of_the_curves_say(tmp_path):
    """Exact data: what is off comes from the mesh alone, and is within the part of the interval that says so."""
    case = ml.load_case(slab(tmp_path, size="100 nm", rows=20)).with_({"mesh.degree": 1, "time.tolerance": 1e-3})
    found = ml.fit(case, {"time_s": TIMES, "all": exact("all")}, {KEY: "3e-15 m^2/s .. 3e-14 m^2/s"}, starts=1)
    (one,) = found.estimates
    off = abs(np.log(one.value / D))
    shift = float(found.uncertainty.of_curves[0]) * one.parameter.span
    print(f"off by {off:.2e}, errors of the curves allow {shift:.2e}")
    assert 2e-3 < off <= shift
    assert one.interval[0] < D < one.interval[1]
    assert shift < 10 * off


def test_two_parameters_and_a_mass_transfer_coefficient(tmp_path):
    """Diffusivity and mass-transfer coefficient of a slab behind a film (Crank eq. 4.50)."""
    velocity = 5e-8  # m/s: Biot number 2
    phases = slab_phases().replace('"1000 mol/m^3"', '"1000 mol/m^3"\nmass_transfer = "1e-6 m/s"', 1)
    case = ml.load_case(slab(tmp_path, phases))
    times = np.array([0.5, 1.5, 3.0, 5.0, 8.0, 12.0, 20.0])
    columns = {
        "time_s": times,
        "all": 1000 * robin_slab_mean(times, *SPANS["all"], LENGTH, D, velocity),
        "far": 1000 * robin_slab_mean(times, *SPANS["far"], LENGTH, D, velocity),
    }
    vary = {KEY: "1e-15 .. 1e-13 m^2/s", "phases.pore.mass_transfer": "1e-9 m/s .. 1e-6 m/s"}
    found = ml.fit(case, columns, vary, starts=3)
    for one, true in zip(found.estimates, (D, velocity), strict=True):
        assert one.value == pytest.approx(true, rel=5e-3)
        assert one.interval[0] < true < one.interval[1]
    assert found.uncertainty.correlation[0, 1] < -0.3


PARTITION = """
[[interfaces]]
between = ["near", "deep"]
partition = 1.0
"""


def test_partition_coefficient(tmp_path):
    """In the end a phase holds the partition coefficient times what its neighbour does."""
    image = np.full((4, 20), 1)
    image[:, 10:], image[:, :2] = 2, 0
    phases = slab_phases().replace("[phases.slab]", "[phases.near]").replace("1e-14", "1e-13")
    phases += '[phases.deep]\nlabel = 2\nrole = "transport"\ndiffusivity = "1e-13 m^2/s"\n'
    regions = '[regions.near]\nphase = "near"\n[regions.deep]\nphase = "deep"\n'
    path = write_case(tmp_path, image, "10 nm", phases, MESH.format('"40 nm"'), TIME, regions, PARTITION)
    case = ml.load_case(path)
    columns = {"time (s)": [15.0, 20.0], "near (mol/L)": [1.0, 1.0], "deep (mol/L)": [0.3, 0.3]}
    found = ml.fit(case, columns, {"interfaces.1.partition": "0.05 .. 20"}, starts=2)
    ends = {one.value for one in found.estimates}
    (value,) = ends
    assert min(abs(value - 0.3), abs(value - 1 / 0.3)) < 1e-3
    assert found.tables["interfaces"][0]["partition"] == pytest.approx(value)


@pytest.mark.parametrize(
    ("times", "vary", "words"),
    [
        ([15.0, 18.0, 20.0], "1e-12 m^2/s .. 1e-10 m^2/s", "is not determined by these data"),
        ([0.5, 2.0, 5.0], "1e-16 m^2/s .. 5e-15 m^2/s", "is at the upper end of its range"),
        ([0.5, 2.0, 5.0], "2e-14 m^2/s .. 4e-14 m^2/s", "is at the lower end of its range"),
    ],
)
def test_what_the_data_do_not_say_is_told(tmp_path, times, vary, words):
    case, times = ml.load_case(slab(tmp_path)), np.array(times)
    values = exact("all", times) if "deter" not in words else 1000.0 + np.array([1.0, -2.0, 1.5])
    found = ml.fit(case, {"time_s": times, "all": values}, {KEY: vary}, starts=2)
    assert any(words in sentence for sentence in found.warnings), found.warnings


def test_the_least_that_a_value_can_be_is_no_end_to_widen(tmp_path):
    """Of a decay of 0 a run said to widen the range, which the case file does not allow."""
    case = ml.load_case(slab(tmp_path))
    found = ml.fit(
        case, {"time_s": TIMES, "all": 1.002 * exact("all")}, {"phases.slab.decay": "0 .. 0.1 1/s"}, starts=2
    )
    (one,) = found.estimates
    assert one.value == 0.0
    (told,) = [sentence for sentence in found.warnings if "phases.slab.decay is at" in sentence]
    assert told.startswith(
        "phases.slab.decay is at 0 1/s, the least that it can be: the data do not ask for a value above"
    )


def test_intervals_end_where_the_case_file_allows_no_more(tmp_path):
    """Around the solution all is linear, and a diffusivity would reach below 0."""
    values = exact("all") + np.array([300, -350, 200, -250, 300, -300, 250, -200, 350, -300])
    found = ml.fit(ml.load_case(slab(tmp_path)), {"time_s": TIMES, "all": values}, {KEY: "4e-15 .. 3e-14 m^2/s"})
    (one,) = found.estimates
    assert one.cut == ("lower",)
    assert one.interval[0] == one.statistical[0] == 0.0 < one.value < one.interval[1]
    assert "cut off at the lower end, where the case file allows no more" in "".join(lines_of(found))


@pytest.mark.parametrize(
    ("key", "vary", "end", "limit"),
    [
        ("phases.slab.diffusivity", "4e-15 m^2/s .. 3e-14 m^2/s", -2.0, 0.0),
        ("phases.slab.diffusivity", "4e-15 m^2/s .. 3e-14 m^2/s", 5.0, None),
        ("phases.slab.porosity", "0.3 .. 0.8", 3.0, 1.0),
        ("phases.slab.porosity", "0.3 .. 0.8", 1.2, None),
        ("faces.y_max.flux", "1e-6 mol/(m^2 s) .. 2e-6 mol/(m^2 s)", -4.0, None),
    ],
)
def test_the_case_file_says_how_far_an_interval_goes(tmp_path, key, vary, end, limit):
    tables = read_toml(slab(tmp_path))
    tables["faces"] = {"y_max": {"flux": "1e-6 mol/(m^2 s)"}}
    subject = subject_of(tables, tmp_path / "case.toml", {"time_s": TIMES, "all": exact("all")}, {key: vary})
    found = allowed_end(subject, np.array([0.5]), 0, end)
    assert found == (limit if limit is None else pytest.approx(limit, abs=1e-9))


# --- the algebra of intervals ---


@pytest.mark.parametrize("given", [True, False])
def test_intervals_cover(given):
    """Of a linear model, whose intervals are exact: 95 % of them hold the true values, each parameter's."""
    rng = np.random.default_rng(1)
    x = np.linspace(0, 1, 12)
    jacobian, count = np.stack([np.ones(12), x, x**2], axis=1), 1000
    deviations = 0.1 + 0.3 * x if given else np.full(12, 0.2)
    weights = 1 / deviations
    inside = np.zeros(3)
    for _ in range(count):
        noise = rng.normal(0, deviations)
        shift = np.linalg.lstsq(jacobian * weights[:, None], noise * weights, rcond=None)[0]
        found = uncertainty(jacobian, jacobian @ shift - noise, deviations if given else None, np.zeros(12))
        inside += np.abs(shift) <= found.statistical
    print(inside / count)
    assert np.all(np.abs(inside / count - 0.95) < 0.02)


def test_errors_of_curves_bound_the_shift():
    """By any signs of the errors: the worst of them reaches the bound."""
    rng = np.random.default_rng(2)
    jacobian, errors = rng.normal(size=(9, 2)), rng.uniform(0, 1, 9)
    found = uncertainty(jacobian, rng.normal(size=9), None, errors)
    inverse = np.linalg.pinv(jacobian)
    for k in range(2):
        assert (inverse @ (errors * np.sign(inverse[k])))[k] == pytest.approx(found.of_curves[k])
    for _ in range(100):
        assert np.all(np.abs(inverse @ (errors * rng.choice([-1, 1], 9))) <= found.of_curves + 1e-12)


def test_what_no_datum_sees_has_no_interval():
    jacobian = np.stack([np.ones(5), np.linspace(0, 1, 5), np.zeros(5)], axis=1)
    found = uncertainty(jacobian, np.array([1.0, -1, 1, -1, 0]), None, np.full(5, 0.1))
    assert np.isfinite(found.statistical[:2]).all()
    assert np.isinf(found.statistical[2])
    assert np.isinf(found.of_curves[2])
    together = uncertainty(np.ones((5, 2)), np.array([1.0, -1, 1, -1, 0]), None, np.full(5, 0.1))  # their sum alone
    assert np.isinf(together.statistical).all()


def test_intervals_are_widened_where_residuals_exceed_the_standard_deviations():
    jacobian, residuals = np.ones((8, 1)), np.array([3.0, -3, 2, -2, 4, -4, 1, -1])
    found = uncertainty(jacobian, residuals, np.ones(8), np.zeros(8))
    assert found.inflated
    variance = float(np.sum(residuals**2)) / 7
    assert found.statistical[0] == pytest.approx(student.ppf(0.975, 7) * np.sqrt(variance / 8))


def test_residuals_with_a_course_of_their_own_are_known():
    rng = np.random.default_rng(0)
    assert runs_score(np.sin(np.linspace(0, 6, 40))) < -3
    assert np.mean([abs(runs_score(rng.normal(size=40))) < 3 for _ in range(200)]) > 0.98


def test_values_at_which_the_case_cannot_be_solved_are_passed_over():
    """Some starts fail, and so do steps on the way; where nothing can be solved that is said."""
    t = np.linspace(0.0, 2.0, 9)

    def curves(x):
        if x[0] > 0.55:
            raise ArithmeticError("no convergence")
        return np.exp(-4 * x[0] * t)

    found = minimum(curves, np.exp(-4 * 0.5 * t), None, np.array([0.01]), spread(6, 1))
    assert found.x[0] == pytest.approx(0.5, abs=1e-4)
    assert found.failed == 3
    assert found.jacobian[:, 0] == pytest.approx(-4 * t * np.exp(-2 * t), abs=1e-3)
    with pytest.raises(InputError, match=r"can't be solved for any values .* no convergence"):
        minimum(curves, t, None, np.array([0.01]), np.array([[0.7], [0.9]]))


# --- ranks ---


@pytest.mark.mpi
def test_ranks_go_together_and_hear_of_failures():
    """Rank 0 decides how often; sums over ranks, results and errors reach all."""

    def evaluate(x):
        total = COMM.allreduce(x)
        if total < 0:
            raise InputError("negative")
        return total

    def lead(curves):
        assert COMM.rank == 0
        return [curves(k) for k in (1, 2, 3)]

    assert led(COMM, evaluate, lead) == [COMM.size * k for k in (1, 2, 3)]
    with pytest.raises(InputError, match="negative"):
        led(COMM, evaluate, lambda curves: curves(-1))
    with pytest.raises((RuntimeError, ZeroDivisionError)):
        led(COMM, evaluate, lambda curves: 1 / 0)


@pytest.mark.mpi
def test_the_same_fit_on_all_ranks(tmp_path):
    folder = COMM.bcast(str(tmp_path))
    case = COMM.bcast(slab(folder, start="2e-14 m^2/s") if COMM.rank == 0 else None)
    columns = {"time_s": TIMES[::3], "all": exact("all", TIMES[::3])}
    found = ml.fit(ml.load_case(case), columns, {KEY: "5e-15 m^2/s .. 5e-14 m^2/s"}, starts=0)
    assert COMM.allgather(found.estimates[0].value) == [found.estimates[0].value] * COMM.size
    assert found.estimates[0].value == pytest.approx(D, rel=1e-3)


@pytest.mark.mpi
def test_solves_leave_no_memory_behind(tmp_path):
    """On several ranks PETSc keeps matrices and vectors that are not destroyed: here 0.7 MB a solve."""
    folder = COMM.bcast(str(tmp_path))
    path = COMM.bcast(slab(folder, size="10 nm", rows=20) if COMM.rank == 0 else None)
    columns = {"time_s": TIMES, "all": exact("all")}
    subject = subject_of(read_toml(path), path, columns, {KEY: RANGE})
    model = Model(subject, case_of(subject.tables, path), COMM)

    def solve(x):
        model.curves([x])
        gc.collect()  # problems refer to themselves
        return malloc_in_use()

    first, *_, last = [solve(x) for x in (0.3, 0.4, 0.5, 0.5, 0.4, 0.6, 0.5, 0.4)][3:]
    print(COMM.rank, last - first)
    assert last - first < 2e5


# --- bad input ---


@pytest.mark.parametrize(
    ("vary", "words"),
    [
        ("phases.slab.diffusivity", "expected KEY="),
        ("phases.slab.diffusivity=1e-15 m^2/s", "expected KEY="),
        ("phases.slab.diffusivity=1e-15 m .. 1e-14 m^2/s", 'the units "m" and "m^2/s" differ'),
        ("phases.slab.diffusivity=1e-13 .. 1e-14 m^2/s", "expected the lower end first"),
        ("phases.slab.diffusivity=1e-15 .. 1e-14 m", "which measures a length"),
        ("phases.slap.diffusivity=1e-15 .. 1e-14 m^2/s", 'there is no phase "slap"; did you mean "slab"?'),
        ("mesh.size_max=10 .. 100 nm", "expected such a key"),
        ("phases.slab.label=1 .. 3", "[phases.slab] label"),
        ("interfaces.1.partition=0.1 .. 10", "interfaces"),
    ],
)
def test_bad_ranges(tmp_path, capsys, vary, words):
    data = csv_of(tmp_path / "m.csv", "time_s,all", TIMES, exact("all"))
    assert main(["fit", str(slab(tmp_path)), "--data", str(data), "--vary", vary, "-o", str(tmp_path / "o")]) == 2
    said = capsys.readouterr().err
    assert words in said
    assert "Traceback" not in said
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "expected a header such as time_s,all"),
        ("time,all\n1,2\n", "expected its unit"),
        ("time_s,al\n1,2\n", 'did you mean "all"? Times are'),
        ("t,all\n1,2\n", 'Times are in a column such as "time (s)"'),
        ("time_s\n1\n", "there is no column of a region"),
        ("all\n1\n2\n", "there is no column of times"),
        ("time_s,all,all\n1,2,3\n", "is there twice"),
        ("time_s,all (g)\n1,2\n", "which measures [mass]"),
        ("time_s,all (%)\n1,2\n", "which makes a number without unit"),
        ("time_s,all\n1,2\n2\n", "line 3: 1 columns, where the header has 2"),
        ("time_s;all\n1;2,5\n", "the decimal sign is a point"),
        ("time_s,all\n1,x\n", 'column "all": expected a number, got "x"'),
        (f"time_s,all\n1,{'9' * 200_000}\n2,3\n", "is no table of numbers"),
        ("time_s,all\n-1,2\n2,3\n", "expected a time from the start"),
        ("time_s,all\n1,2\n30,3\n", "30 s is after the end of the case, 20 s; raise [time] end"),
        ("time_s,all\n1,2\n", "too few values (1) for this number of parameters (1), which take at least 2"),
        ("0.5,2\n1,3\n", "the first line is of numbers, expected a header such as time_s,all"),
        ("time_s,all,all sd\n1,2,0\n2,3,1\n", "expected a standard deviation above 0"),
        ("time_s,all,far sd\n1,2,1\n2,3,1\n", "give both for the same regions"),
    ],
)
def test_bad_data(tmp_path, capsys, text, words):
    (tmp_path / "m.csv").write_text(text)
    vary = f"{KEY}={RANGE}"
    assert main(["fit", str(slab(tmp_path)), "--data", str(tmp_path / "m.csv"), "--vary", vary]) == 2
    assert words in capsys.readouterr().err


@pytest.mark.parametrize(
    ("law", "what"),
    [
        (
            {"expression": "D0 * exp(-c / c0)", "D0": "1e-14 m^2/s", "c0": "1 mol/L"},
            "vary phases.a.diffusivity.D0 or phases.a.diffusivity.c0, or give one value",
        ),
        ({"x": "1e-14 m^2/s", "y": "5e-15 m^2/s"}, "vary phases.a.diffusivity.x or phases.a.diffusivity.y,"),
        (
            {
                "concentrations": ["0 mol/L", "1 mol/L"],
                "values": ["1e-14 m^2/s", "2e-14 m^2/s"],
                "interpolation": "log",
            },
            'write the law as { expression = "D0 * ...", D0 = ... } and vary phases.a.diffusivity.D0, or',
        ),
    ],
)
def test_a_law_is_not_replaced_by_one_value(law, what):
    tables = {"phases": {"a": {"diffusivity": law}}}
    with pytest.raises(InputError) as refused:
        parameters_of(tables, ["phases.a.diffusivity=1e-15 .. 1e-12 m^2/s"])
    assert what in str(refused.value)
    assert "in whose place a fit would put one value" in str(refused.value)
    for key, value in law.items():
        if isinstance(value, str) and "m^2/s" in value:
            (found,) = parameters_of(tables, [f"phases.a.diffusivity.{key}=1e-15 .. 1e-12 m^2/s"])
            assert found.start is not None


def test_a_course_is_not_replaced_by_one_value(tmp_path, capsys):
    """As any table; there is nothing in it that is one value."""
    data = csv_of(tmp_path / "m.csv", "time_s,all", TIMES, exact("all"))
    phases = slab_phases().replace('"1000 mol/m^3"', '{ times = ["0 s", "5 s"], values = ["1 mol/L", "2 mol/L"] }')
    assert "times" in phases
    vary = "phases.pore.concentration=0.5 .. 2 mol/L"
    asked = ["fit", str(slab(tmp_path, phases)), "--data", str(data), "--vary", vary, "-o", str(tmp_path / "o")]
    assert main(asked) == 2
    said = capsys.readouterr().err
    assert "{ times = ..., values = ... }, in whose place a fit would put one value; vary another key" in said
    assert not (tmp_path / "o").exists()


def test_ranges_in_words(tmp_path):
    tables = {"phases": {"a": {"diffusivity": "3 um^2/s", "porosity": 0.4}}}
    diffusivity, porosity = parameters_of(
        tables, ["phases.a.diffusivity=1e-14...1e-10 m^2/s", "phases.a.porosity=0.2..0.5"]
    )
    assert (diffusivity.is_logarithmic, porosity.is_logarithmic) == (True, False)
    assert diffusivity.start == pytest.approx(3e-12)
    assert diffusivity.value(0.5) == pytest.approx(1e-12)
    assert diffusivity.written(1.0) == "1e-10 m^2/s"
    assert (porosity.start, porosity.written(0.5)) == (0.4, 0.35)
    with pytest.raises(InputError, match="given twice"):
        parameters_of(tables, ["phases.a.porosity=0.2..0.5", 'phases."a".porosity=0.2..0.5'])
