"""NIfTI, MRC, Avizo, MATLAB, DICOM and OME-Zarr, written here: axes in the right order, voxel sizes with their unit."""

import gzip
import struct
import zlib

import h5py
import numpy as np
import pytest
import SimpleITK as sitk
from scipy.io import savemat

from microlith.imaging.errors import InputError
from microlith.imaging.formats.stored import all_values
from microlith.imaging.image.voxel_sizes import voxel_sizes
from microlith.imaging.options import ImageSource
from microlith.imaging.readers.open import open_image, read_image

LABELS = (np.arange(4 * 5 * 6).reshape(4, 5, 6) % 7).astype(np.uint8)  # z, y, x, all of different lengths
SIZES = (40e-9, 20e-9, 10e-9)  # z, y, x


def check(path, sizes=SIZES, labels=LABELS, rel=1e-6):
    """Values, their axes, and voxel sizes; a window is read as the same part of the whole."""
    stored = open_image(ImageSource(str(path)))
    assert stored.shape == labels.shape
    assert np.array_equal(all_values(stored), labels)
    window = tuple((1, n - 1) for n in labels.shape)
    inner = np.concatenate(list(stored.layers(window, 1)))
    assert np.array_equal(inner, labels[tuple(slice(*ends) for ends in window)])
    if sizes is None:
        assert not any(stored.voxel_size)
    else:
        assert stored.voxel_size == pytest.approx(sizes, rel=rel)
    assert np.array_equal(read_image(ImageSource(str(path))).values, labels)


def itk(labels, spacing):
    image = sitk.GetImageFromArray(labels)
    image.SetSpacing(spacing)
    return image


@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
def test_nifti_of_another_program(tmp_path, ending):
    """SimpleITK writes mm."""
    path = tmp_path / f"labels{ending}"
    sitk.WriteImage(itk(LABELS, (1e-5, 2e-5, 4e-5)), str(path))
    check(path)


def nifti2(labels, units, order="<", slope=1.0):
    header = bytearray(544)
    struct.pack_into(order + "i", header, 0, 540)
    struct.pack_into(order + "hh", header, 12, 2, 8)
    struct.pack_into(order + "8q", header, 16, 3, *labels.shape[::-1], 1, 1, 1, 1)
    struct.pack_into(order + "8d", header, 104, 1, 0.01, 0.02, 0.04, 1, 1, 1, 1)
    struct.pack_into(order + "q2d", header, 168, 544, slope, 0.0)
    struct.pack_into(order + "i", header, 500, units)
    return bytes(header) + labels.tobytes()


@pytest.mark.parametrize("order", ["<", ">"])
def test_nifti_2(tmp_path, order):
    path = tmp_path / "labels.nii"
    path.write_bytes(nifti2(LABELS, 3, order))
    check(path)
    path.write_bytes(nifti2(LABELS, 0, order))
    check(path, None)
    assert open_image(ImageSource(str(path))).scale.unitless == pytest.approx((0.04, 0.02, 0.01))


def test_mrc(tmp_path):
    """By SimpleITK, whose spacing is in ångströms there; and bytes of IMOD, which have no sign."""
    path = tmp_path / "labels.mrc"
    labels = LABELS.astype(np.int16)
    sitk.WriteImage(itk(labels, (100.0, 200.0, 400.0)), str(path))
    check(path, labels=labels)
    header = bytearray(1024)
    struct.pack_into(">4i", header, 0, *LABELS.shape[::-1], 0)
    struct.pack_into(
        ">3i3f", header, 28, *LABELS.shape[::-1], *(n * s for n, s in zip((6, 5, 4), (100, 200, 400), strict=True))
    )
    struct.pack_into(">3i", header, 64, 1, 2, 3)
    struct.pack_into(">i", header, 92, 16)
    struct.pack_into(">2i", header, 152, 1146047817, 0)
    path.write_bytes(bytes(header) + bytes(16) + (LABELS + 200).tobytes())
    check(path, labels=LABELS + 200)
    struct.pack_into(">3i", header, 64, 3, 2, 1)
    path.write_bytes(bytes(header) + bytes(16) + LABELS.tobytes())
    with pytest.raises(InputError, match="turns the axes"):
        open_image(ImageSource(str(path)))


def amira(kind, packed, data, unit="nm", note=""):
    z, y, x = LABELS.shape
    box = f"0 {(x - 1) * 10} 5 {5 + (y - 1) * 20} -1 {-1 + (z - 1) * 40}"
    units = f'    Units {{ Coordinates "{unit}" }}\n' if unit else ""
    return (
        f"# AmiraMesh {kind} 2.1\n\ndefine Lattice {x} {y} {z}\n\nParameters {{\n{units}"
        f'    BoundingBox {box},\n    CoordType "uniform"\n{note}}}\n\n'
        f"Lattice {{ byte Labels }} @1{packed}\n\n# Data section follows\n@1\n"
    ).encode() + data


def unrolled(data):
    """HxByteRLE: the first ten bytes as they are, then runs of one."""
    return bytes([128 + 10]) + data[:10] + b"".join(bytes([1, value]) for value in data[10:])


def test_avizo(tmp_path):
    path, data = tmp_path / "labels.am", LABELS.tobytes()
    path.write_bytes(amira("BINARY-LITTLE-ENDIAN", "", data))
    check(path)
    packed = unrolled(data)
    path.write_bytes(amira("BINARY-LITTLE-ENDIAN", f"(HxByteRLE,{len(packed)})", packed))
    check(path)
    path.write_bytes(amira("BINARY-LITTLE-ENDIAN", f"(HxZip,{len(zlib.compress(data))})", zlib.compress(data)))
    check(path)
    path.write_bytes(amira("3D ASCII", "", " \n".join(map(str, data)).encode() + b"\n"))
    check(path)
    path.write_bytes(amira("BINARY-LITTLE-ENDIAN", "", data, unit=""))
    check(path, None)


def test_matlab(tmp_path):
    """Rows, columns, slices, in version 5 and 7.3, where the file has them backwards."""
    path = tmp_path / "labels.mat"
    rows = np.moveaxis(LABELS, 0, 2)
    savemat(path, {"labels": rows, "element_size_um": [0.04, 0.02, 0.01]}, do_compression=True)
    check(path)
    savemat(path, {"labels": rows, "other": rows})
    with pytest.raises(InputError, match=r"labels, other.*say which, as in .labels.mat:/labels"):
        open_image(ImageSource(str(path)))
    check(f"{path}:/labels", None)
    with h5py.File(tmp_path / "new.mat", "w", userblock_size=512) as file:
        file["labels"] = rows.T
        file["element_size_um"] = np.array([[0.04], [0.02], [0.01]])
    with (tmp_path / "new.mat").open("r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM")
    check(f"{tmp_path / 'new.mat'}:/labels")
    savemat(path, {"labels": LABELS[0]})
    check(path, None, LABELS[0])


def test_dicom_series(tmp_path):
    """Slices in the order of their places, not of their names; the spacing is in mm."""
    writer = sitk.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    for z, labels in enumerate(LABELS):
        image = itk(labels[None].astype(np.uint16), (1e-3, 2e-3, 4e-3))
        tags = {"0008|0060": "CT", "0020|000e": "1.2.3", "0020|000d": "1.2.4", "0020|0032": f"0\\0\\{z * 4e-3}"}
        tags |= {"0020|0037": "1\\0\\0\\0\\1\\0", "0020|0013": str(z), "0008|0018": f"1.2.3.{z + 1}"}
        for tag, value in tags.items():
            image.SetMetaData(tag, value)
        writer.SetFileName(str(tmp_path / f"{9 - z}.dcm"))
        writer.Execute(image)
    check(tmp_path, (4e-6, 2e-6, 1e-6), LABELS.astype(np.uint16), rel=1e-3)


@pytest.mark.parametrize("version", [2, 3])
def test_ome_zarr(tmp_path, version):
    zarr = pytest.importorskip("zarr", reason="zarr is not installed")
    path = tmp_path / "labels.ome.zarr"
    group = zarr.open_group(str(path), mode="w", zarr_format=version)
    array = group.create_array("0", shape=(1, *LABELS.shape), chunks=(1, 2, 3, 3), dtype="u1")
    array[0] = LABELS
    axes = [{"name": "c", "type": "channel"}]
    axes += [{"name": name, "type": "space", "unit": "micrometer"} for name in "zyx"]
    scale = [{"type": "scale", "scale": [1, 0.04, 0.02, 0.01]}]
    images = [{"axes": axes, "datasets": [{"path": "0", "coordinateTransformations": scale}]}]
    if version == 2:
        group.attrs["multiscales"] = images
    else:
        group.attrs["ome"] = {"version": "0.5", "multiscales": images}
    check(path)
    check(path / "0", None)


@pytest.mark.parametrize(
    ("unit", "scale", "told"),
    [
        (None, [40.0, 20.0, 10.0], "says 10 x 20 x 40 (x, y, z) without a unit; give it with one, as in voxel_size"),
        ("pixel", [40.0, 20.0, 10.0], "says 10 x 20 x 40 (x, y, z) without a unit"),
        (None, [1.0, 1.0, 1.0], "says nothing about it along x, y, z"),
        ("micrometer", None, "says nothing about it along x, y, z"),
    ],
)
def test_ome_zarr_without_a_unit_or_a_scale(tmp_path, unit, scale, told):
    """What the file says is told, as of all formats, and no unit is guessed; the case's own goes with its ratios."""
    zarr = pytest.importorskip("zarr", reason="zarr is not installed")
    group = zarr.open_group(str(tmp_path / "labels.zarr"), mode="w", zarr_format=2)
    group.create_array("0", shape=LABELS.shape, dtype="u1")[:] = LABELS
    axes = [{"name": name, "type": "space"} | ({"unit": unit} if unit else {}) for name in "zyx"]
    steps = {"coordinateTransformations": [{"type": "scale", "scale": scale}]} if scale else {}
    group.attrs["multiscales"] = [{"axes": axes, "datasets": [{"path": "0", **steps}]}]
    found = open_image(ImageSource(str(tmp_path / "labels.zarr")))
    with pytest.raises(InputError) as refused:
        voxel_sizes(found.scale, ImageSource(str(tmp_path / "labels.zarr")))
    assert told in str(refused.value)
    if scale == [40.0, 20.0, 10.0]:
        same = ImageSource(str(tmp_path / "labels.zarr"), voxel_size=(1e-8,))
        (warning,) = voxel_sizes(found.scale, same).warnings
        assert "have other ratios than 10 x 20 x 40" in warning


def test_what_is_damaged_is_refused_in_one_sentence(tmp_path):
    """Cut short, of another kind, or scaled: said with the file, and never filled in."""
    zipped = gzip.compress(nifti2(LABELS, 3))
    cases = {
        "short.nii": nifti2(LABELS, 3)[:-1],
        "short.nii.gz": zipped[: len(zipped) // 2],
        "scaled.nii": nifti2(LABELS, 3, slope=2.0),
        "other.nii": b"x" * 600,
        "short.mrc": bytes(500),
        "short.am": amira("BINARY-LITTLE-ENDIAN", "", LABELS.tobytes()[:-1]),
        "run.am": amira("BINARY-LITTLE-ENDIAN", "(HxByteRLE,2)", b"\x7f\x00"),
        "other.am": b"# something else\n",
        "other.mat": b"MATLAB 5.0 MAT-file" + bytes(300),
        "other.dcm": b"x" * 300,
    }
    for name, data in cases.items():
        path = tmp_path / name
        path.write_bytes(data)
        with pytest.raises(InputError, match=name) as refused:
            read_image(ImageSource(str(path)))
        assert "\n" not in str(refused.value)
