"""Jobs in a real Slurm: one that is signalled goes on, an array does a sweep, and a table is made of it."""

import os
import re
import tempfile
from pathlib import Path

import numpy as np
import pytest
from made_cases import MESH, TIME, curves, run_case, table_rows, write_case
from slurm import Slurm, slurm

from mpi4py import MPI

from microlith.workflow.cli import main

# A rate of transfer that jumps many times takes many solves of few unknowns.
JUMPS = [f"{20 * i / 7:.4f} s" for i in range(8)]
SLOW = f"""
[faces.x_max]
concentration = "500 mol/m^3"
mass_transfer = {{ times = {JUMPS}, values = {["1e-8 m/s", "3e-8 m/s"] * 4}, interpolation = "step" }}
"""
COARSE = MESH.replace("15 nm", "30 nm")
SHORT = TIME.replace('"0 s", "2 s", "20 s"', "").replace("1e-4", "1e-3")
SWEEP = "time.end=1 s, 2 s, nonsense"


@pytest.fixture
def cluster(monkeypatch):
    """Slurm, with its commands on the PATH, and all in a folder whose name is short enough for sockets."""
    with tempfile.TemporaryDirectory(prefix="slurm-") as folder, slurm(Path(folder)) as found:
        monkeypatch.setenv("PATH", str(found.commands), prepend=os.pathsep)
        yield found


def handed_in(capsys, *arguments):
    """Numbers of the jobs that `microlith job ... --submit` made."""
    assert main(["job", *arguments, "--time", "10 min", "--submit"]) == 0
    numbers = re.findall(r"^job (\d+)", capsys.readouterr().err, re.MULTILINE)
    assert numbers
    return numbers


def test_jobs(cluster: Slurm, tmp_path, monkeypatch, capsys):
    """All in one, since starting Slurm and waiting for a job to return take seconds."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "it's slow").mkdir()
    slow = str(write_case("it's slow", mesh=COARSE, time=SHORT, more=SLOW).absolute())
    quick = str(write_case("quick", mesh=COARSE, time=SHORT).absolute())

    (number,) = handed_in(capsys, slow, "--ranks", "2", "--any-ranks", "--sbatch", "comment=tests", "--results", "slow")
    array, last = handed_in(capsys, quick, "--array", "sweep", "--set", SWEEP, "--results", "swept", "--parts", "2")
    assert main(["job", quick, "--time", "10 min", "--submit", "--partition", "none"]) == 2
    assert "Slurm does not take the job: " in capsys.readouterr().err

    # as Slurm does before the limit, to which it looks twice a minute only
    log = tmp_path / f"it-s-slow-{number}.log"
    cluster.wait_for(lambda: log.exists() and "of it is solved for" in log.read_text(encoding="utf-8"))
    cluster.call("scancel", "--batch", "--signal=USR1", number)
    whole = curves(run_case(Path(slow), tmp_path / "whole", MPI.COMM_SELF))
    cluster.wait_for(lambda: cluster.has_ended(number, array, last))

    told = log.read_text(encoding="utf-8")
    assert cluster.told(number)["JobState"] == "COMPLETED", told
    assert cluster.told(number)["Restarts"] == "1"
    assert "back to the queue, to go on from here: 1 of at most 20 times" in told
    assert "going on from the checkpoint of" in told
    assert "2 ranks" in told
    for stray in ("srun", "not found", "prterun", "internal error"):
        assert stray not in told
    found = curves(tmp_path / "slow")
    for name in whole.dtype.names:
        np.testing.assert_allclose(found[name], whole[name], rtol=1e-6, atol=1e-6)
    assert not (tmp_path / "slow.checkpoint").exists()

    rows = table_rows(tmp_path / "swept" / "sweep.csv")
    assert sorted(row["status"] for row in rows) == ["done", "done", "failed"]
    assert cluster.told(f"{array}_0")["JobState"] == "COMPLETED"
    assert len(list(tmp_path.glob(f"quick-{array}_*.log"))) == 2
