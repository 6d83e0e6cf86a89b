"""Volumes with a header: NRRD, MetaImage (MHA, MHD) and VTK's image data (VTI)."""

import re
from pathlib import Path
from typing import Any

import numpy as np

from microlith.imaging.errors import InputError
from microlith.imaging.formats import colours
from microlith.imaging.formats.decoding import decoding, silenced, unreadable
from microlith.imaging.formats.stored import RawImage, StoredImage, held
from microlith.imaging.formats.units import believed, metres

HEADER_BYTES = 65536  # of an NRRD file, at most


def read_nrrd(path: Path, where: str) -> StoredImage:
    """Read NRRD, also compressed or with a detached header.

    The spacing counts only where the header names its unit ("units" or "space units").

    Raises:
        InputError: The file is damaged or its data file is missing.
    """
    image, spacing = _read_itk(path, "NrrdImageIO", "NRRD", where)
    with path.open("rb") as file:
        header = file.read(HEADER_BYTES).split(b"\n\n")[0].split(b"\r\n\r\n")[0].decode("latin-1")
    field = re.search(r"^(?:space )?units:(.*)$", header, re.MULTILINE | re.IGNORECASE)
    units = re.findall(r'"([^"]*)"', field[1])[::-1] if field else []
    if len(units) < len(spacing):
        return held(image)
    sizes = tuple(metres(size, unit) for size, unit in zip(spacing, units, strict=False))
    return held(RawImage(image.values, sizes, image.colour))


def read_metaimage(path: Path, where: str) -> StoredImage:
    """Read MHA or MHD.

    The format has no unit; by convention its spacing is in millimetres, and 1 where nobody set it. It counts where it
    is fine enough to be that of a tomogram (see file_units.believed).

    Raises:
        InputError: The file is damaged or its data file is missing.
    """
    image, spacing = _read_itk(path, "MetaImageIO", "MetaImage", where)
    return held(RawImage(image.values, tuple(believed(metres(size, "mm")) for size in spacing), image.colour))


def _read_itk(path: Path, reader_name: str, kind: str, where: str) -> tuple[RawImage, tuple[float, ...]]:
    """Image without its voxel size, and the spacing in array order."""
    import SimpleITK

    with silenced(), decoding(where, kind):
        reader = SimpleITK.ImageFileReader()
        reader.SetFileName(str(path))
        reader.SetImageIO(reader_name)
        try:
            stored = reader.Execute()
        except RuntimeError as error:
            # The first lines of ITK's message are places in its own source; the last one is the reason.
            lines = [line for line in str(error).splitlines() if line.strip()]
            raise InputError(unreadable(where, kind, lines[-1])) from error
        values = SimpleITK.GetArrayFromImage(stored)
        coloured = stored.GetNumberOfComponentsPerPixel() > 1
        image = colours.from_samples(values, where) if coloured else RawImage(values)
        return image, stored.GetSpacing()[::-1]


def read_vti(path: Path, name: str | None, where: str) -> StoredImage:
    """Read VTK's XML image data. Its spacing has no unit and is left aside. One layer in z is a 2D image.

    Args:
        path: The file.
        name: Of the cell or point array; None takes the only one there is.
        where: Head of error messages: key and file.

    Raises:
        InputError: The file is damaged, or it isn't clear which array is meant.
    """
    from vtkmodules.util.numpy_support import vtk_to_numpy
    from vtkmodules.vtkIOXML import vtkXMLImageDataReader

    with decoding(where, "VTI"):
        with silenced() as printed:
            reader = vtkXMLImageDataReader()
            reader.SetFileName(str(path))
            reader.Update()
            data = reader.GetOutput()
        complaint = re.search(r"ERR\|\s*(.*)|ERROR: (.*)", "".join(printed))
        if reader.GetErrorCode() or complaint:
            raise InputError(unreadable(where, "VTI", complaint[0] if complaint else "VTK can't make sense of it"))
        points = data.GetDimensions()
        cells = tuple(max(1, n - 1) for n in points)
        arrays = {**_arrays(data.GetPointData(), points), **_arrays(data.GetCellData(), cells)}
        array, shape = _chosen(arrays, name, where)
        values = vtk_to_numpy(array)
    values = values.reshape(*shape[::-1], *values.shape[1:])  # x runs fastest
    if shape[2] == 1:
        values = values[0]
    return held(colours.from_samples(values, where) if array.GetNumberOfComponents() > 1 else RawImage(values))


# Name -> VTK's array and the number of values along x, y, z
Arrays = dict[str, tuple[Any, tuple[int, ...]]]


def _arrays(attributes: Any, shape: tuple[int, ...]) -> Arrays:
    arrays = [attributes.GetArray(i) for i in range(attributes.GetNumberOfArrays())]
    return {a.GetName(): (a, shape) for a in arrays if a is not None and a.GetNumberOfTuples() == np.prod(shape)}


def _chosen(arrays: Arrays, name: str | None, where: str) -> tuple[Any, tuple[int, ...]]:
    found = f"it holds {', '.join(arrays)}" if arrays else "it holds no array"
    if name is not None:
        if name.strip("/") in arrays:
            return arrays[name.strip("/")]
        raise InputError(f'{where}: there is no array "{name.strip("/")}"; {found}')
    if len(arrays) != 1:
        raise InputError(f'{where}: expected the name of an array, as in "file.vti:/labels", got none; {found}')
    return next(iter(arrays.values()))
