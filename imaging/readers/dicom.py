"""DICOM: one file, or a folder of them that are the slices of one series; SimpleITK reads them."""

from dataclasses import replace
from pathlib import Path

from microlith.imaging.errors import InputError
from microlith.imaging.files.decoding import decoding
from microlith.imaging.formats.stored import RawImage, StoredImage, held
from microlith.imaging.formats.units import Scale, metres

SUFFIX = ".dcm"


def is_dicom_folder(folder: Path) -> bool:
    """Whether a folder holds DICOM files by their names."""
    return any(path.suffix.lower() == SUFFIX for path in folder.iterdir())


def read_dicom(path: Path, where: str) -> StoredImage:
    """Open a DICOM file, or the series in a folder in the order of the slices' places, with the voxel size.

    Raises:
        InputError: The file is damaged, or the folder holds several series.
    """
    import SimpleITK as sitk

    with decoding(where, "DICOM"):
        reader: sitk.ImageFileReader | sitk.ImageSeriesReader
        if path.is_dir():
            series = sitk.ImageSeriesReader.GetGDCMSeriesIDs(str(path))
            if len(series) != 1:
                raise InputError(
                    f"{where}: holds {len(series)} series of DICOM files; put the slices of one in a folder"
                )
            names = sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(path), series[0])
            reader = sitk.ImageSeriesReader()
            reader.SetFileNames(names)
        else:
            names = (str(path),)
            reader = sitk.ImageFileReader()
            reader.SetFileName(str(path))
        image = reader.Execute()
        values = sitk.GetArrayFromImage(image)
        sizes = tuple(metres(size, "mm") for size in image.GetSpacing()[::-1])
        if image.GetNumberOfComponentsPerPixel() > 1:
            raise InputError(f"{where}: holds colours; save the labels as one channel")
    files = tuple(Path(name) for name in names)
    return replace(held(RawImage(values, Scale(sizes, "the file's spacing"))), files=files, axes_named=True)
