"""Whole runs on segmented images that nobody in this project made."""

import json

import numpy as np
import pytest
from made_cases import curves
from places import DATA

from mpi4py import MPI

from microlith.workflow.case.read import load_case
from microlith.workflow.run import pipeline

pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason=f"the third-party images in {DATA} are absent")

CATHODE = """
title = "NMC111 after 1000 cycles"
[image]
file = "{file}"
voxel_size = "100 nm"
[phases.pore]
label = 0
role = "source"
concentration = "1 mol/L"
[phases.cracks]
label = 1
role = "source"
concentration = "1 mol/L"
mass_transfer = "1 um/s"
[phases.nmc]
label = 2
role = "barrier"
[phases.binder]
label = 3
role = "transport"
diffusivity = "1e-13 m^2/s"
porosity = 0.4
effective = "bruggeman"
"""
ALLOY = """
title = "Alloy"
[image]
file = "{file}"
voxel_size = "50 nm"
[phases.dark]
label = 85
role = "source"
concentration = "1 mol/L"
[phases.grey]
label = 170
role = "transport"
diffusivity = "1e-13 m^2/s"
[phases.bright]
label = 255
role = "barrier"
"""
REST = """
[mesh]
degree = 1
[time]
end = "1000 s"
tolerance = 1e-3
snapshots = ["100 s"]
"""


@pytest.mark.parametrize(
    ("name", "text", "solved"),
    [("nmc111_sem_256.tif", CATHODE, ["binder"]), ("alloy_512.tif", ALLOY, ["grey"])],
    ids=["cathode", "alloy"],
)
def test_real_image(tmp_path, name, text, solved):
    path = tmp_path / "case.toml"
    path.write_text(text.format(file=(DATA / name).resolve()) + REST)
    pipeline.run(load_case(path), tmp_path / "results", False, MPI.COMM_SELF)
    summary = json.loads((tmp_path / "results" / "summary.json").read_text())
    assert summary["quality"]["worst_sicn"] >= 0.3
    shares = {n: p["area_image_m2"] for n, p in summary["phases"].items()}
    for phase, entry in summary["phases"].items():
        if shares[phase] > 0.01 * sum(shares.values()):
            assert abs(entry["relative_difference"]) < 5e-3, phase
    assert summary["error"]["converged"]
    assert summary["mass_balance"]["imbalance"] < 1e-3
    table = curves(tmp_path / "results")
    assert list(table.dtype.names[1:]) == solved  # without regions, one for each transport phase
    for phase in solved:
        assert np.diff(table[phase]).min() > -1.0
        assert 0.0 <= table[phase][0] < table[phase][-1] <= 1001.0
    print(summary["cells"], summary["quality"], len(summary["islands"]), summary["timings_s"])
