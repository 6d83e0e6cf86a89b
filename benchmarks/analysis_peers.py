"""What other programs measure in an image, each in a process of its own; run by analysis.py where they are installed.

    python analysis_peers.py NAME IMAGE.npy ...

reads phases (z, y, x) and prints one line of JSON for each image: `value` (the area between phase 0 and all others in
voxel faces, or null), seconds of `wall` and `cpu` time, and `peak_mb` of memory above what the image and the imports
take; or `missing` with the reason. Only NumPy and the program itself are needed here.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
Work = Callable[[Image], float | None]
RADII = 24  # of local thickness, as many as microlith takes at most


def skimage_marching_cubes() -> Work:
    """scikit-image: triangles of the indicator at 1/2."""
    from skimage.measure import marching_cubes, mesh_surface_area

    def work(image: Image) -> float:
        points, triangles, _, _ = marching_cubes((image != 0).astype(np.float32), 0.5)
        return float(mesh_surface_area(points, triangles))

    return work


def skimage_smoothed() -> Work:
    """scikit-image: the same of the indicator after a Gaussian blur of one voxel."""
    from scipy.ndimage import gaussian_filter
    from skimage.measure import marching_cubes, mesh_surface_area

    def work(image: Image) -> float:
        points, triangles, _, _ = marching_cubes(gaussian_filter((image != 0).astype(np.float32), 1.0), 0.5)
        return float(mesh_surface_area(points, triangles))

    return work


def skimage_regionprops() -> Work:
    """scikit-image: volumes, extents and centroids of connected bodies of the last phase."""
    from skimage.measure import label, regionprops_table

    def work(image: Image) -> None:
        regionprops_table(label(image == image.max(), connectivity=1), properties=("area", "centroid", "bbox"))

    return work


def porespy_area() -> Work:
    """PoreSpy: region_surface_areas of all that is not phase 0, which is padded and meshed by marching cubes."""
    import porespy

    def work(image: Image) -> float:
        return float(np.sum(porespy.metrics.region_surface_areas((image != 0).astype(int))))

    return work


def porespy_thickness() -> Work:
    """PoreSpy: local thickness of phase 0."""
    import porespy

    def work(image: Image) -> None:
        porespy.filters.local_thickness(image == 0, sizes=RADII)

    return work


def porespy_correlation() -> Work:
    """PoreSpy: two-point correlation of phase 0."""
    import porespy

    def work(image: Image) -> None:
        porespy.metrics.two_point_correlation(image == 0)

    return work


def porespy_chords() -> Work:
    """PoreSpy: chords of phase 0 along one axis, and their distribution."""
    import porespy

    def work(image: Image) -> None:
        porespy.metrics.chord_length_distribution(porespy.filters.apply_chords(image == 0, spacing=0, axis=0))

    return work


def taufactor_area() -> Work:
    """TauFactor: surface area by the gradient of a smoothed indicator; needs torch."""
    import torch
    from taufactor.metrics import specific_surface_area

    def work(image: Image) -> float:
        solid = torch.as_tensor((image != 0).astype(np.uint8))
        return float(specific_surface_area(solid, phases={"solid": 1}, device="cpu")["solid"]) * image.size

    return work


PEERS: dict[str, Callable[[], Work]] = {
    "skimage area": skimage_marching_cubes,
    "skimage smoothed area": skimage_smoothed,
    "porespy area": porespy_area,
    "taufactor area": taufactor_area,
    "skimage regionprops": skimage_regionprops,
    "porespy thickness": porespy_thickness,
    "porespy correlation": porespy_correlation,
    "porespy chords": porespy_chords,
}


def peak_memory_mb() -> float:
    """Largest memory since `reset_peak`, MB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1e3


def reset_peak() -> None:
    """Forget the largest memory so far (Linux)."""
    Path("/proc/self/clear_refs").write_text("5")


def measured(work: Work, image: Image) -> dict[str, Any]:
    """Value, seconds and memory; or `missing`."""
    reset_peak()
    before, wall, cpu = peak_memory_mb(), time.perf_counter(), os.times()
    try:
        value = work(image)
    except Exception as error:  # whatever a foreign program fails with is what is told
        return {"missing": f"{type(error).__name__}: {error}"}
    seconds, after = time.perf_counter() - wall, os.times()
    return {
        "value": value,
        "wall": seconds,
        "cpu": sum(after[:4]) - sum(cpu[:4]),
        "peak_mb": peak_memory_mb() - before,
    }


def main() -> None:
    name, paths = sys.argv[1], sys.argv[2:]
    try:
        work = PEERS[name]()
    except Exception as error:
        for _ in paths:
            print(json.dumps({"missing": f"{type(error).__name__}: {error}"}))
        return
    warm = np.zeros((24, 24, 24), np.uint8)
    warm[8:16, 6:18, 4:20] = 1
    with suppress(Exception):
        work(warm)  # what is compiled at the first call is compiled
    for path in paths:
        print(json.dumps(measured(work, np.load(path))))


if __name__ == "__main__":
    main()
