"""Images of grey values: opened, held against what is asked of them, and brought into a file of 32-bit numbers."""

import math
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from microlith.imaging.axes import axis_names
from microlith.imaging.errors import InputError
from microlith.imaging.formats.colours import greys, is_grey
from microlith.imaging.formats.stored import StoredImage, Window, lengths
from microlith.imaging.image.origin import Origin
from microlith.imaging.image.sampling import crop_window
from microlith.imaging.image.voxel_sizes import voxel_sizes
from microlith.imaging.options import ImageSource
from microlith.imaging.parallel.collective import on_first_rank, on_root
from microlith.imaging.parallel.large_arrays import available_memory
from microlith.imaging.readers.open import IMAGE_KEY, open_image
from microlith.imaging.typing import Singles
from microlith.imaging.volumes.disk_volumes import DiskVolume, Layers, Tell, Workshop, quiet
from microlith.imaging.writing import as_known

if TYPE_CHECKING:
    from mpi4py.MPI import Comm

FEW = 16  # distinct values up to which an image is rather one of labels
SAMPLE = 200_000  # voxels among which they are looked for first
ON_DISK = 15  # bytes a voxel: grey values before and after the filters, regions, labels, margin, what is outside
# The same of what shines through: grey values not smoothed, pull, phases twice, values expected and states twice
OF_COLUMNS = 26
OF_DEBLURRED = 7  # the same of labels that explain a blurred image: grey values not smoothed, labels
OF_GREY = 4  # the same of one volume of grey values
OF_MOVED = 2  # the same for each phase of which there are two more label images
IN_MEMORY = 60  # bytes a voxel of one layer, where filters are at work on it
OF_BLUR = 25, 24  # bytes a voxel, and layers of a block with those around it for a blur of one voxel


@dataclass(frozen=True, eq=False)
class GreyImage:
    """A grey image before its pixels are read, cropped; a 2D image has one layer."""

    stored: StoredImage  # on rank 0; elsewhere without pixels where the format can be read only whole
    crop: Window  # along the axes of the file
    dim: int  # 2 or 3
    shape: tuple[int, int, int]  # (z, y, x) after crop
    voxel_size: tuple[float, float, float]  # m, (z, y, x); of a 2D image the first is that of x
    origin: Origin


def open_grey(source: ImageSource, comm: "Comm") -> GreyImage:
    """Open an image of grey values; collective.

    Args:
        source: The image, its crop and voxel size.
        comm: All ranks; they all see the file.

    Raises:
        InputError: The image can't be read, or is one of colours; crop or voxel size don't fit.
    """
    stored = on_root(comm, open_image, source)
    known = comm.bcast(stored if stored is None or stored.sliced else replace(stored, layers=_no_layers))
    if known.other_type:
        raise InputError(
            f"{IMAGE_KEY}: {source.path}: {known.other_type}, so that equal values are not equally bright; save all "
            "slices with one type"
        )
    sizes = voxel_sizes(known.scale, source)
    crop = crop_window(known.shape, source.crop, source.path)
    shape = lengths(crop)
    flat = len(shape) == 2 or shape[0] == 1
    layered = (1, *shape) if len(shape) == 2 else shape
    edges = (sizes.sizes[-1], *sizes.sizes) if len(shape) == 2 else sizes.sizes
    if min(layered[1:]) < 2:
        raise InputError(
            f"{IMAGE_KEY}: {source.path} is one voxel thick along "
            f"{axis_names(2)[int(np.argmin(layered[1:]))]}; it takes at least two along x and y"
        )
    origin = Origin(
        path=source.path,
        files=known.files,
        shape=known.shape,
        dtype=str(known.dtype),
        voxel_size=sizes.sizes,
        size_sources=sizes.sources,
        warnings=(*known.warnings, *sizes.warnings),
    )
    mine = stored if stored is not None and comm.rank == 0 else known
    return GreyImage(mine, crop, 2 if flat else 3, layered, edges, origin)  # type: ignore[arg-type]


def refuse_too_large(
    image: GreyImage,
    after: GreyImage,
    workshop: Workshop,
    moved: int,
    on_one_rank: int,
    columns: int = 0,
    deblur: int = 0,
) -> None:
    """Refuse an image whose files don't fit on the disk, or of which some layers don't fit into memory; collective.

    Args:
        image: The image.
        after: The same on the voxels on which it is segmented.
        workshop: Where its files are to lie.
        moved: Phases of which two more label images are made.
        on_one_rank: Bytes a voxel that a step needs which is done by the first rank for the whole image.
        columns: Phases of columns that are looked at for what shines through; 0: none are.
        deblur: Phases of which labels are to explain a blurred image; 0: none are.

    Raises:
        InputError: As said, with what would fit.
    """

    def check() -> None:
        before, voxels = math.prod(image.shape), math.prod(after.shape)
        layer = max(math.prod(image.shape[1:]), math.prod(after.shape[1:]))
        size = " x ".join(map(str, after.shape[::-1]))
        free = shutil.disk_usage(workshop.folder).free
        files = (
            ON_DISK
            + OF_MOVED * moved
            + (OF_COLUMNS + 2 * columns if columns else 0)
            + (OF_DEBLURRED + deblur if deblur else 0)
        ) * voxels
        if after.shape != image.shape:
            files = max(files, OF_GREY * (before + voxels))
        if files > free:
            raise InputError(
                f"{IMAGE_KEY}: {size} voxels take {_giga(files)} of files while they are segmented, and "
                f"{as_known(workshop.folder).parent} has {_giga(free)} free; crop the image "
                f"({_fitting(image.shape, free / files)} voxels would fit), or name another folder with -o"
            )
        memory = available_memory()
        a_layer = max(IN_MEMORY, OF_BLUR[0] * min(after.shape[0], OF_BLUR[1]) * bool(deblur))
        needed = a_layer * layer * workshop.comm.size
        if needed > memory:
            ranks = int(memory // (a_layer * layer))
            fewer = "" if ranks < 1 else f", or take fewer ranks ({ranks} would fit)"
            raise InputError(
                f"{IMAGE_KEY}: layers of {size} voxels need {_giga(needed)} of memory, and {_giga(memory)} are free; "
                f"crop the image (layers of {_fitting(image.shape[1:], memory / needed)} voxels would fit){fewer}"
            )
        needed = on_one_rank * voxels
        if needed > memory:
            longer = (needed / memory) ** (1 / image.dim)
            raise InputError(
                f"{IMAGE_KEY}: clean-up of {size} voxels needs {_giga(needed)} of memory, and {_giga(memory)} are "
                f"free; crop the image ({_fitting(image.shape, memory / needed)} voxels would fit), rescale it to "
                f"voxels of {longer:.2g} times the edge, or leave [cleanup] out"
            )

    on_first_rank(workshop.comm, check)


def read_grey(image: GreyImage, workshop: Workshop, few_is_grey: bool = False, tell: Tell = quiet) -> DiskVolume:
    """Bring the grey values into a file of 32-bit numbers; collective.

    Args:
        image: The image.
        workshop: Where the file goes.
        few_is_grey: Whether an image of few distinct values is taken for one of greys all the same.
        tell: Hears how far it is.

    Raises:
        InputError: The image can't be read, has colours or values that are no numbers, or holds labels.
    """
    volume = workshop.new("grey-0", image.shape, np.float32)
    path = image.origin.path
    if image.stored.sliced:
        workshop.fill(volume, lambda layers: _layers(image, layers), tell=tell)
    else:

        def whole() -> None:
            values = volume.values(writable=True)
            values[:] = _layers(image, Layers(0, image.shape[0], 0, image.shape[0]))
            values.flush()  # type: ignore[attr-defined]

        on_root(workshop.comm, whole)
    if not few_is_grey:
        on_first_rank(workshop.comm, lambda: _refuse_labels(volume, path))
    return volume


def _layers(image: GreyImage, layers: Layers) -> Singles:
    """Some layers of the cropped image."""
    stored, crop = image.stored, image.crop
    if len(crop) == 3:
        start = crop[0][0]
        crop = ((start + layers.first, start + layers.last), *crop[1:])
    pieces = [_as_greys(piece, stored, image.origin.path) for piece in stored.layers(crop, crop[0][1] - crop[0][0])]
    values = np.concatenate(pieces) if len(pieces) > 1 else pieces[0]
    return values.reshape(layers.last - layers.first, *image.shape[1:])


def _as_greys(values: NDArray[Any], stored: StoredImage, path: str) -> Singles:
    shown = stored.palette[values] if stored.palette is not None else None
    if (stored.colour and not is_grey(values)) or (shown is not None and (shown != shown[..., :1]).any()):
        raise InputError(f"{IMAGE_KEY}: {path} is a picture in colours; segment takes grey values, of one channel")
    if stored.colour:
        return greys(values).astype(np.float32)
    if shown is not None:
        return shown[..., 0].astype(np.float32)
    with np.errstate(over="ignore"):
        out = values.astype(np.float32)
    if values.dtype.kind == "f" and np.isinf(out).any():
        if not np.isinf(values).any():
            raise InputError(
                f"{IMAGE_KEY}: {path} holds values of up to {np.nanmax(np.abs(values)):.3g}, beyond what single "
                "precision holds (3.4e38); divide all by one number"
            )
        raise InputError(
            f"{IMAGE_KEY}: {path} holds infinite values; give these voxels a grey value, crop them away, or make them "
            "NaN if they are none of the sample"
        )
    return out


def _refuse_labels(volume: DiskVolume, path: str) -> None:
    """Refuse an image of few distinct values."""
    values = volume.values()
    flat = values.reshape(-1)
    if len(np.unique(flat[:: max(1, flat.size // SAMPLE)])) > FEW:
        return
    found: set[float] = set()
    for layer in values:
        found |= set(np.unique(layer[~np.isnan(layer)]).tolist())
        if len(found) > FEW:
            return
    if not found:
        raise InputError(f"{IMAGE_KEY}: {path} holds no number, only NaN; there is nothing to tell apart")
    if len(found) == 1:
        raise InputError(
            f"{IMAGE_KEY}: all voxels of {path} have the value {found.pop():g}; there is nothing to tell apart"
        )
    raise InputError(
        f"{IMAGE_KEY}: {path} holds {len(found)} distinct values only, so it is probably segmented already; name "
        "the grey image, or say grey = true if these are grey values"
    )


def _no_layers(window: Window, step: int) -> Iterator[NDArray[Any]]:
    raise AssertionError("rank 0 has the pixels")


def _giga(count: float) -> str:
    return f"{count / 1e9:.3g} GB"


def _fitting(shape: tuple[int, ...], share: float) -> str:
    """Voxels x, y[, z] of an image of the same proportions whose count is no more than a share of the given one's."""
    long = sum(n > 1 for n in shape)
    return " x ".join(str(max(1, int(n * share ** (1 / max(long, 1)))) if n > 1 else 1) for n in shape[::-1])
