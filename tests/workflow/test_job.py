"""Scripts of jobs: what they ask for and start, and what is refused. tests/system/test_slurm.py runs them."""

import os
import shlex
import signal
import subprocess

import pytest
from made_cases import write_case

from microlith.imaging.errors import InputError
from microlith.workflow.cli import main
from microlith.workflow.job.environment import RUN, environment_of
from microlith.workflow.job.request import megabytes_of, minutes_of, name_of, warning_of
from microlith.workflow.job.submit import submit


@pytest.fixture
def case(tmp_path, monkeypatch):
    """A case in a folder with a name that a shell would take apart."""
    folder = tmp_path / "it's a $HOME; case"
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MICROLITH_HOST_USR", raising=False)
    write_case(folder)
    return folder / "case.toml"


def job(case, *arguments, time="2h"):
    """The script, as lines."""
    assert main(["-q", "job", str(case), "--time", time, "--any-ranks", "-o", "job.sh", *arguments]) == 0
    script = case.parents[1] / "job.sh"
    assert subprocess.run(["bash", "-n", script], check=False).returncode == 0
    return script.read_text(encoding="utf-8").splitlines()


def command_of(lines):
    """Words of the line that runs microlith."""
    (line,) = [line for line in lines if " run " in line and "microlith" in line and line.endswith("&")]
    return shlex.split(line.removesuffix("&"))


@pytest.mark.parametrize(
    ("text", "minutes"),
    [
        ("2h", 120),
        ("90 min", 90),
        ("90 s", 2),
        ("1 day", 1440),
        ("1-12:30", 2190),
        ("02:00:01", 121),
        ("36:00:00", 2160),
    ],
)
def test_times(text, minutes):
    assert minutes_of(text) == minutes


def test_signal_comes_early_enough_for_a_checkpoint_and_not_at_once():
    assert [warning_of(None, minutes) for minutes in (1, 5, 60, 600)] == [30, 60, 360, 600]
    assert warning_of("2 min", 10) == 120


def test_memory_and_names():
    assert [megabytes_of(text) for text in ("900M", "4 GB", "1.5g", "2T")] == [900, 4000, 1500, 2_000_000]
    assert name_of("a b/ü$(x)") == "a-b-x"
    assert name_of("...") == "microlith"


def test_script_asks_for_what_was_said(case):
    lines = job(
        case, *("--ranks", "64", "--environment", "module:microlith/1.0 gcc", "--memory", "4G", "--partition", "short"),
        *("--account", "p-17", "--sbatch", "qos=long", "--sbatch=-C fast", "--requeues", "3", "--signal", "5 min"),
        time="1-12:00:00",
    )  # fmt: skip
    asked = {line.removeprefix("#SBATCH --") for line in lines if line.startswith("#SBATCH")}
    assert asked >= {"ntasks=64", "mem-per-cpu=4000M", "time=1-12:00:00", "signal=B:USR1@300", "requeue", "qos=long"}
    assert "#SBATCH -C fast" in lines
    assert asked >= {"partition=short", "account=p-17", "open-mode=append"}
    assert "module load microlith/1.0 gcc" in lines
    assert any("< 3))" in line for line in lines)
    words = command_of(lines)
    assert words == ["srun", "microlith", "run", str(case), "-o", words[5], "--resume"]
    folder = next(line for line in lines if line.startswith("cd "))
    assert shlex.split(folder.split("||")[0]) == ["cd", "--", str(case.parents[1])]


@pytest.mark.parametrize(
    ("environment", "launcher", "start"),
    [
        ("runtime", None, [str(RUN), "mpirun", "-n", "$SLURM_NTASKS"]),
        ("module:m", "srun --mpi=pmix", ["srun", "--mpi=pmix"]),
        ("conda:my env", None, ["mpirun", "-n", "$SLURM_NTASKS"]),
        ("apptainer:image", None, ["apptainer", "exec", "IMAGE", "mpirun", "-n", "$SLURM_NTASKS"]),
        ("apptainer:image", "srun --mpi=pmix", ["srun", "--mpi=pmix", "apptainer", "exec", "IMAGE"]),
    ],
)
def test_environments_start_ranks(case, environment, launcher, start):
    image = case.parents[1] / "image"
    image.touch()
    option = [] if launcher is None else ["--launcher", launcher]
    lines = job(case, "--ranks", "4", "--environment", environment, *option)
    words = command_of(lines)
    expected = [str(image) if word == "IMAGE" else word for word in start]
    assert words[: len(expected) + 1] == [*expected, "microlith"]
    one_machine = environment == "runtime" or (environment.startswith("apptainer") and launcher is None)
    assert ("#SBATCH --nodes=1" in lines) == one_machine
    assert any(line.startswith("#SBATCH --mem=" if one_machine else "#SBATCH --mem-per-cpu=") for line in lines)
    if environment.startswith("conda"):
        assert "conda activate 'my env'" in lines


def test_environment_of_this_process():
    assert environment_of(None, None, {"MICROLITH_INSIDE": "x"}).name == "runtime"
    assert environment_of(None, None, {}).name == "path"
    assert environment_of(None, None, {"APPTAINER_CONTAINER": str(RUN)}).name == f"apptainer:{RUN}"


def test_one_rank_needs_no_launcher(case):
    assert command_of(job(case, "--environment", "module:m"))[0] == "microlith"


def test_memory_grows_with_the_cells(case):
    def asked():
        (line,) = [line for line in job(case, "--environment", "module:m", "--force") if "mem-per-cpu" in line]
        return int(line.split("=")[1].removesuffix("M"))

    coarse = asked()
    text = case.read_text(encoding="utf-8").replace('"15 nm"', '"0.3 nm"').replace('"60 nm"', '"1.2 nm"')
    case.write_text(text, encoding="utf-8")
    assert asked() > 2 * coarse > 500


def test_memory_of_an_array_is_that_of_its_largest_case(case):
    def asked(*more):
        lines = job(case, *more, "--environment", "module:m", "--force")
        (line,) = [line for line in lines if "mem-per-cpu" in line]
        return int(line.split("=")[1].removesuffix("M"))

    sizes = [
        "--set",
        "mesh.size={ particle = '15 nm' }, { particle = '0.3 nm' }",
        "--set",
        "mesh.size_max=60 nm, 1.2 nm",
    ]
    assert asked("--array", "sweep", *sizes) > 2 * asked()


@pytest.mark.parametrize(("memory", "told"), [([], True), (["--memory", "4G"], False)])
def test_meshes_of_an_array_that_were_not_looked_at_are_told_where_memory_is_estimated(
    case, capsys, monkeypatch, memory, told
):
    monkeypatch.setattr("microlith.workflow.commands.job.LOOKED_AT", 1)
    arguments = ["--array", "sweep", "--set", "mesh.size_max=60 nm, 50 nm", "--environment", "module:m"]
    assert main(["job", str(case), "--time", "2h", "-o", "job.sh", *arguments, *memory]) == 0
    assert ("memory is that of the first 1 of 2 meshes" in capsys.readouterr().err) == told


def test_array_of_a_sweep(case):
    setting = "time.end=10 s, 20 s, 30 s"
    lines = job(case, "--array", "sweep", "--set", setting, "--environment", "module:m")
    assert "#SBATCH --array=0-2" in lines
    commands = [shlex.split(line.replace("exec ", "").removesuffix("&")) for line in lines if "microlith sweep" in line]
    assert all(words[words.index("--set") + 1] == setting for words in commands)
    assert [words[-1] for words in commands] == ["--collect", "$part"]
    assert 'part="$((SLURM_ARRAY_TASK_ID + 1))/3"' in lines
    lines = job(case, "--array", "sweep", "--set", setting, "--parts", "2", "--environment", "module:m", "--force")
    assert "#SBATCH --array=0-1" in lines


def test_array_into_a_folder_of_something_else(case, tmp_path, capsys):
    """Told here, not when the job has waited in the queue."""
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "notes.txt").touch()
    asked = ["job", str(case), "--array", "sweep", "--set", "time.end=10 s, 20 s", "--environment", "module:m"]
    asked += ["--time", "2h", "--results", str(tmp_path / "kept"), "-o", str(tmp_path / "a.sbatch")]
    assert main(asked) == 2
    assert "kept: this folder is not empty and holds no sweep" in capsys.readouterr().err
    assert not (tmp_path / "a.sbatch").exists()


FAKES = {
    "module": "true",
    "microlith": "trap 'echo ends; exit 75' USR1; echo runs; for i in {1..300}; do sleep 0.1; done",
    "scontrol": 'echo "$@" >scontrol.called',
}


@pytest.mark.parametrize(
    ("sent", "restarts", "status", "returns"),
    [
        ("USR1", "19", 0, True),
        ("USR1", "20", 75, False),  # often enough
        ("TERM", "0", 75, False),  # by scancel
    ],
)
def test_script_hands_signals_on_and_returns_to_the_queue(case, sent, restarts, status, returns):
    folder = case.parents[1]
    job(case, "--environment", "module:m")
    for name, text in FAKES.items():
        (folder / name).write_text(f"#!/bin/bash\n{text}\n", encoding="utf-8")
        (folder / name).chmod(0o755)
    variables = {"PATH": f"{folder}:{os.environ['PATH']}", "SLURM_RESTART_COUNT": restarts, "SLURM_JOB_ID": "17"}
    with subprocess.Popen(["bash", "job.sh"], stdout=subprocess.PIPE, text=True, env=variables) as process:
        assert process.stdout.readline() == "runs\n"
        process.send_signal(signal.Signals[f"SIG{sent}"])
        assert process.stdout.readline() == "ends\n"
        assert process.wait(20) == status
    called = folder / "scontrol.called"
    assert called.exists() == returns
    assert not returns or called.read_text(encoding="utf-8") == "requeue 17\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--time", "2"], "--time 2: expected a time such as"),
        (["--time", "0 s"], "--time 0 s: expected"),
        (["--time", "10:30"], "--time 10:30: expected"),
        (["--time", "2 m"], "which measures a length"),
        (["--time", "9 years"], "expected from 1 minute to 366 days"),
        (["--ranks", "0"], "--ranks 0: expected a number of ranks from 1"),
        (["--ranks", "5000"], "cells are too few for so many ranks; take at most"),
        (["--memory", "4"], "--memory 4: expected the memory of each rank, with its unit"),
        (["--memory", "0G"], "--memory 0G: expected"),
        (["--signal", "3 h"], "shorter than --time, 120 min"),
        (["--requeues", "-1"], "--requeues -1: expected"),
        (["--environment", "docker:x"], "--environment docker:x: expected one of module:NAME"),
        (["--environment", "module:a;b"], "expected one of module:NAME"),
        (["--environment", "apptainer:none.sif"], "there is no such file"),
        (["--environment", "runtime", "--launcher", "srun"], "has an mpirun of its own"),
        (["--launcher", "srun 'x"], "the quotes do not match"),
        (["--partition", "a b"], "--partition a b: expected a name"),
        (["--sbatch", "rm -rf /"], "--sbatch rm -rf /: expected an option of sbatch"),
        (["--sbatch", "qos=x\ny"], "expected an option of sbatch"),
        (["--sbatch", "time=3:00"], "--sbatch time=3:00: the script says that already; give it with --time"),
        (["--sbatch=--mem-per-cpu=9G"], "give it with --memory"),
        (["--sbatch=-n4"], "give it with --ranks"),
        (["--set", "time.end=1 s"], "--set: this is of a sweep; add --array sweep"),
        (["--array", "sweep"], "nothing to vary"),
        (["--array", "sweep", "--set", "time.end=1 s, 2 s", "--parts", "3"], "expected a number from 1 to 2"),
        (["-o", "job.txt"], "expected a file name ending in .sbatch"),
        (["--submit"], "there is no sbatch here"),
    ],
)
def test_bad_input_is_one_sentence(case, capsys, monkeypatch, arguments, said):
    monkeypatch.setenv("PATH", "/nowhere")
    before = sorted(case.parents[1].rglob("*"))
    given = [] if "--time" in arguments else ["--time", "2h"]
    assert main(["job", str(case), *given, *arguments]) == 2
    told = capsys.readouterr().err
    assert said in told
    assert told.count("\n") == 1
    assert sorted(case.parents[1].rglob("*")) == before


def test_broken_case_and_results_that_are_there(case, capsys):
    (case.parents[1] / "results" / case.parent.name).mkdir(parents=True)
    (case.parents[1] / "results" / case.parent.name / "curves.csv").touch()
    assert main(["job", str(case), "--time", "2h"]) == 2
    assert "the result folder is not empty" in capsys.readouterr().err
    case.write_text("[image", encoding="utf-8")
    assert main(["job", str(case), "--time", "2h"]) == 2
    assert "case.toml" in capsys.readouterr().err
    assert main(["job", str(case.with_name("none.toml")), "--time", "2h"]) == 2


@pytest.mark.parametrize(
    ("said", "number"),
    [
        ("77", "77"),
        ("77;cluster", "77"),
        ("Your project has 12 hours left.\n77", "77"),
        ("Submitted batch job 77", "77"),
        ("77\nThank you for 3 jobs", "77"),
    ],
)
def test_the_number_of_a_job_is_read_from_what_sites_make_of_it(tmp_path, said, number):
    assert submit(_sbatch(tmp_path, said), ["--parsable", "a.sbatch"]) == number


def test_a_job_that_may_have_been_taken_is_not_called_refused(tmp_path, monkeypatch):
    """Who believed that handed it in twice."""
    with pytest.raises(InputError, match=r"without the number of a job \(it said: hello\); see with squeue"):
        submit(_sbatch(tmp_path, "hello"), ["a.sbatch"])
    monkeypatch.setattr("microlith.workflow.job.submit.PATIENCE", 0.2)
    with pytest.raises(InputError, match=r"has not answered for .*; see with squeue"):
        submit(["sleep"], ["5"])


def _sbatch(folder, said):
    path = folder / "sbatch"
    path.write_text(f"#!/bin/sh\ncat << 'END'\n{said}\nEND\n")
    path.chmod(0o755)
    return [str(path)]
