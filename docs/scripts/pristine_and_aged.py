"""
Pristine against aged
=====================

How much does ageing slow down an electrode? This lesson compares a part of a pristine and of an aged silicon anode,
after `Vorauer et al. (2020) <https://doi.org/10.1038/s42004-020-00386-x>`_. Both volumes are synthetic, with the voxels
and the statistics of their images. Materials, times and conditions are the same, so that all that differs is the
structure.

Run it in the project's folder: ``runtime/run python3 docs/scripts/pristine_and_aged.py``, or download it as a notebook
at the end of the page.
"""

# %%
# Two cases
# ---------
#
# A case in Python has the same tables and keys as a case file, and quantities are texts with units. The two volumes
# differ in their image only. To be quick, both are cropped to 75 × 75 × 30 voxels.

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import microlith as ml

images = Path(ml.__file__).resolve().parents[1] / "cases" / "aged-anode-3d"

aged = ml.case(
    {
        "title": "Aged",
        "image": {
            "file": "aged.tif",
            "voxel_size": {"x": "20 nm", "y": "20 nm", "z": "40 nm"},
            "crop": {"x": [75, 150], "y": [150, 225], "z": [10, 40]},
        },
        "phases": {
            "pore": {"label": 0, "role": "source", "concentration": "1 mol/L"},
            "sei_cb": {
                "label": 1,
                "role": "transport",
                "diffusivity": "3.01e-10 cm^2/s",
                "porosity": 0.63985,
                "effective": "bruggeman",
            },
            "particle": {"label": 2, "role": "barrier"},
        },
        "mesh": {"size": {"particle": "60 nm"}, "size_max": "200 nm", "growth": 0.5, "gap_elements": 1},
        "time": {"end": "100 s", "tolerance": 1e-3, "snapshots": ["2 s"]},
        "regions": {"near_particles": {"shell": {"around": "particle", "distance": "50 nm"}}},
    },
    folder=images,
)
pristine = aged.with_({"title": "Pristine", "image.file": "pristine.tif"})

# %%
# What is in them
# ---------------
#
# :func:`microlith.check` reads the images without solving anything. Ageing has filled pores with SEI.

for case in (pristine, aged):
    found = ml.check(case)
    print(case.title, {phase: round(share, 3) for phase, share in found.shares.items()})

# %%
# Solve them
# ----------
#
# Each run makes a mesh of tetrahedra, integrates over 100 s, and estimates its errors.

results = {case.title: ml.run(case) for case in (pristine, aged)}
for title, result in results.items():
    summary = result.summary
    t50 = summary["regions"]["near_particles"]["t50_s"]
    print(f"{title}: {summary['unknowns']} unknowns, half full near particles after {t50:.2f} s")

# %%
# The curves
# ----------
#
# ``curves`` and ``errors`` are arrays by region, in mol/m³. The band is the estimated error.

figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
for title, result in results.items():
    curve, error = result.curves["near_particles"], result.errors["near_particles"]
    axes.semilogx(result.times[1:], curve[1:], label=title)
    axes.fill_between(result.times[1:], (curve - error)[1:], (curve + error)[1:], alpha=0.3)
axes.set(xlabel="time / s", ylabel="mean concentration near particles / mol m⁻³", ylim=(0, 1050))
axes.legend()

# %%
# The field, at any time
# ----------------------
#
# ``field`` gives the concentration at any time as a grid of PyVista: points in µm, concentration in mol/m³. The pores
# and the particles are not solved for, so they are not in it.

import pyvista

plotter = pyvista.Plotter(shape=(1, 2), window_size=(1000, 480))
for column, (title, result) in enumerate(results.items()):
    plotter.subplot(0, column)
    plotter.add_mesh(
        result.field(1.5),
        scalars="concentration",
        cmap="RdYlBu_r",
        clim=(0, 1000),
        lighting=False,
        scalar_bar_args={"title": "concentration / mol m^-3"},
    )
    plotter.add_text(f"{title}, 1.5 s", font_size=10)
plotter.show()

# %%
# How fast, and how right
# -----------------------
#
# Each curve has an estimated error, in time and space together. The two curves differ by far more than that: ageing
# makes it slower, and a finer mesh would not change this.

half = {title: result.summary["regions"]["near_particles"]["t50_s"] for title, result in results.items()}
apart = np.abs(results["Aged"].curves["near_particles"] - results["Pristine"].curves["near_particles"]).max()
error = max(result.errors["near_particles"].max() for result in results.values())
print(f"half full after {half['Pristine']:.1f} and {half['Aged']:.1f} s")
print(f"the curves differ by up to {apart:.0f}, their errors are at most {error:.0f} mol/m^3")

# %%
# The site is built only if this still holds:

assert abs(half["Pristine"] / 3.09 - 1) < 0.03
assert abs(half["Aged"] / 9.77 - 1) < 0.03
assert apart > 5 * error
