"""Tomograms that nobody in this project made, meshed by both meshers of volumes."""

import numpy as np
import pytest
from made_meshes import COMM
from places import DATA

from microlith.imaging.image.load import label_volume
from microlith.imaging.options import ImageSource, MeshOptions, PhaseLabels
from microlith.meshing.distribution.in_place import mesh_in_place
from microlith.meshing.fidelity.agreement import agreement
from microlith.meshing.lattice.mesher import lattice_mesh
from microlith.meshing.mesh.simplices import angles, sharpness, signed_measures
from microlith.meshing.voxel import voxel_mesh

pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason=f"the third-party images in {DATA} are absent")
COLOURS = ((89, 89, 243), (254, 254, 254), (243, 89, 89), (243, 243, 89), (89, 243, 89))
IMAGES = {
    "nmc_bridge_64.tif": (0, 1, 2),
    "tau_electrode_64.tif": (0, 85, 170),
    "ellipsoids_64.tif": (0, 1),
    "blobs_100_1bit.tif": (0, 1),
    "blobs2_100.hdf5:/image": (0, 1),
    "nrrd/BallBinary30x30x30_gz.nrrd": (0, 257),
    "colour-slices": COLOURS,
}


def _volume(name, voxel):
    labels = IMAGES[name]
    crop = {"x": (0, 24), "y": (10, 34), "z": (0, 24)} if "64" in name or "100" in name else {}
    source = ImageSource(str(DATA / name), tuple(v * 1e-7 for v in voxel), crop=crop)
    return label_volume(source, [PhaseLabels(f"phase{i}", (label,)) for i, label in enumerate(labels)], COMM)


@pytest.mark.parametrize("name", IMAGES)
@pytest.mark.parametrize("voxel", [(1, 1, 1), (2, 1, 1)])
def test_tetrahedra_are_true_to_the_image(name, voxel):
    volume = _volume(name, voxel)
    sizes = dict.fromkeys(volume.names, 1e-7)
    image_mesh = lattice_mesh(volume, MeshOptions(size=sizes, size_max=5e-7), (0,), COMM)
    volumes = np.bincount(
        image_mesh.phase, weights=signed_measures(image_mesh.points, image_mesh.cells), minlength=len(volume.names)
    )
    image = np.array(volume.counts) * voxel[0]
    large = image > 0.01 * image.sum()
    right, covered = agreement(volume, image_mesh, COMM)
    assert angles(sharpness(image_mesh.points, image_mesh.cells)).min() > 12
    assert volumes[large] == pytest.approx(image[large], rel=3e-3)
    assert volumes.sum() == pytest.approx(image.sum(), rel=1e-12)
    assert covered == 1
    assert right > 0.98
    mesh = mesh_in_place(image_mesh, (0,), COMM)
    assert mesh.mesh.topology.index_map(3).size_global == (image_mesh.phase == 0).sum()


@pytest.mark.parametrize("name", IMAGES)
def test_cubes_are_the_voxels(name):
    volume = _volume(name, (1, 1, 1))
    mesh = mesh_in_place(voxel_mesh(volume, (0,), COMM), (0,), COMM)
    assert mesh.mesh.topology.index_map(3).size_global == volume.counts[0]
