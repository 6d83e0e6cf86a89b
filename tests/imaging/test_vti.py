"""VTK's image data in every form that VTK itself writes, and with a part of it missing."""

from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from image_outcomes import assert_never_filled_in

from microlith.imaging.errors import InputError
from microlith.imaging.options import ImageSource
from microlith.imaging.readers.open import open_image, read_image

SHAPE = (3, 4, 5)
LABELS = np.random.default_rng(1).integers(0, 7, SHAPE)
MODES = ("ascii", "binary", "appended", "appended raw")
COMPRESSORS = (None, "ZLib", "LZ4", "LZMA")


def write(path: Path, mode: str, compressor: str | None, dtype: str = "u1", **options: Any) -> None:
    from vtkmodules import vtkIOXML
    from vtkmodules.util.numpy_support import numpy_to_vtk
    from vtkmodules.vtkCommonDataModel import vtkImageData
    from vtkmodules.vtkIOCore import vtkLZ4DataCompressor, vtkLZMADataCompressor, vtkZLibDataCompressor

    compressors = {"ZLib": vtkZLibDataCompressor, "LZ4": vtkLZ4DataCompressor, "LZMA": vtkLZMADataCompressor}
    image = vtkImageData()
    image.SetDimensions(*(n + 1 for n in SHAPE[::-1]))
    array = numpy_to_vtk(LABELS.astype(dtype).ravel(), deep=True)
    array.SetName("labels")
    image.GetCellData().AddArray(array)
    writer = vtkIOXML.vtkXMLImageDataWriter()
    writer.SetFileName(str(path))
    writer.SetInputData(image)
    {"ascii": writer.SetDataModeToAscii, "binary": writer.SetDataModeToBinary}.get(mode, writer.SetDataModeToAppended)()
    writer.SetEncodeAppendedData(mode == "appended")
    writer.SetCompressor(compressors[compressor]() if compressor else None)
    writer.SetBlockSize(options.get("block", 32))
    (writer.SetHeaderTypeToUInt64 if options.get("wide") else writer.SetHeaderTypeToUInt32)()
    (writer.SetByteOrderToBigEndian if options.get("big") else writer.SetByteOrderToLittleEndian)()
    writer.Write()


@pytest.mark.parametrize(
    ("mode", "compressor"), [(m, c) for m, c in product(MODES, COMPRESSORS) if m != "ascii" or not c]
)
@pytest.mark.parametrize("dtype", ["u1", "i2", "i8", "f4"])
@pytest.mark.parametrize("options", [{}, {"wide": True}, {"big": True}], ids=["", "64-bit", "big-endian"])
def test_every_form(tmp_path: Path, mode: str, compressor: str | None, dtype: str, options: dict[str, bool]) -> None:
    write(tmp_path / "a.vti", mode, compressor, dtype, **options)
    stored = open_image(ImageSource(f"{tmp_path}/a.vti"))
    assert stored.sliced is (mode == "appended raw" and compressor is None)
    np.testing.assert_array_equal(read_image(ImageSource(f"{tmp_path}/a.vti")).values, LABELS)
    windows = list(stored.layers(((1, 3), (0, 3), (2, 5)), 1))
    np.testing.assert_array_equal(np.concatenate(windows), LABELS[1:3, 0:3, 2:5])


@pytest.mark.parametrize(
    ("mode", "compressor"), [(m, c) for m, c in product(MODES, COMPRESSORS) if m != "ascii" or not c]
)
def test_no_part_is_filled_in(tmp_path: Path, mode: str, compressor: str | None) -> None:
    """VTK gives zeros for what is missing."""
    write(tmp_path / "a.vti", mode, compressor)
    start = (tmp_path / "a.vti").read_bytes().find(b"<Piece")
    assert_never_filled_in(tmp_path / "a.vti", LABELS, ("can't be read as VTI", "it holds no array"), start)


def parts(*extents: tuple[int, ...], whole: tuple[int, ...]) -> str:
    text = '<VTKFile type="ImageData" version="0.1" byte_order="LittleEndian">'
    text += f'<ImageData WholeExtent="{" ".join(map(str, whole))}">'
    for x0, x1, y0, y1, z0, z1 in extents:
        values = " ".join(map(str, LABELS[z0:z1, y0:y1, x0:x1].ravel()))
        text += f'<Piece Extent="{x0} {x1} {y0} {y1} {z0} {z1}"><CellData>'
        text += f'<DataArray type="UInt8" Name="labels" format="ascii">{values}</DataArray></CellData></Piece>'
    return text + "</ImageData></VTKFile>"


def test_pieces_make_one_image(tmp_path: Path) -> None:
    whole = (0, 5, 0, 4, 0, 3)
    (tmp_path / "a.vti").write_text(parts((0, 2, 0, 4, 0, 3), (2, 5, 0, 4, 0, 3), whole=whole))
    np.testing.assert_array_equal(read_image(ImageSource(f"{tmp_path}/a.vti")).values, LABELS)
    (tmp_path / "a.vti").write_text(parts((0, 2, 0, 4, 0, 3), (2, 5, 0, 4, 0, 2), whole=whole))
    with pytest.raises(InputError, match="leave out a part"):
        read_image(ImageSource(f"{tmp_path}/a.vti"))
    (tmp_path / "a.vti").write_text(parts((0, 2, 0, 4, 0, 3), whole=whole))
    with pytest.raises(InputError, match="its piece is not the whole image"):
        read_image(ImageSource(f"{tmp_path}/a.vti"))


def test_one_name_on_points_and_cells(tmp_path: Path) -> None:
    """Cells won over points without a word, of another shape."""
    import pyvista

    grid = pyvista.ImageData(dimensions=[n + 1 for n in SHAPE[::-1]])
    grid.cell_data["labels"] = LABELS.ravel()
    grid.point_data["labels"] = np.zeros(grid.n_points, np.uint8)
    grid.save(tmp_path / "a.vti")
    with pytest.raises(InputError, match=r'points and cells both have an array "labels".*"file.vti:/cells/labels"'):
        read_image(ImageSource(f"{tmp_path}/a.vti:/labels"))
    with pytest.raises(InputError, match="it holds points/labels, cells/labels"):
        read_image(ImageSource(f"{tmp_path}/a.vti"))
    np.testing.assert_array_equal(read_image(ImageSource(f"{tmp_path}/a.vti:/cells/labels")).values, LABELS)
    assert read_image(ImageSource(f"{tmp_path}/a.vti:/points/labels")).values.shape == (4, 5, 6)


def test_spacing_has_no_unit(tmp_path: Path) -> None:
    import pyvista

    grid = pyvista.ImageData(dimensions=[n + 1 for n in SHAPE[::-1]], spacing=(12.5, 20, 40))
    grid.cell_data["labels"] = LABELS.ravel()
    grid.save(tmp_path / "a.vti")
    stored = open_image(ImageSource(f"{tmp_path}/a.vti"))
    assert stored.voxel_size == (None, None, None)
    assert stored.scale.unitless == (40, 20, 12.5)


def test_entities_are_not_expanded(tmp_path: Path) -> None:
    bomb = '<!DOCTYPE a [<!ENTITY b "bbbbbbbb">]>' + parts((0, 5, 0, 4, 0, 3), whole=(0, 5, 0, 4, 0, 3))
    (tmp_path / "a.vti").write_text(bomb)
    with pytest.raises(InputError, match="defines entities"):
        read_image(ImageSource(f"{tmp_path}/a.vti"))


@pytest.mark.parametrize("extent", ["0 2000000000 0 1 0 1", "0 4 0 3", "4 0 0 3 0 2", "0 99999999999 0 1 0 1", "a"])
def test_extents_without_sense(tmp_path: Path, extent: str) -> None:
    text = parts((0, 5, 0, 4, 0, 3), whole=(0, 5, 0, 4, 0, 3)).replace("0 5 0 4 0 3", extent)
    (tmp_path / "a.vti").write_text(text)
    with pytest.raises(InputError, match=r"can't be read as VTI|GB of pixels"):
        read_image(ImageSource(f"{tmp_path}/a.vti"))
