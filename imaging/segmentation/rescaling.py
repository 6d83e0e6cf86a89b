"""Grey images on voxels of another size: means where voxels get larger, lines between where they get smaller."""

from dataclasses import replace
from typing import Any

import numpy as np

from microlith.imaging.axes import axis_names
from microlith.imaging.errors import InputError
from microlith.imaging.segmentation.filters import Filtered
from microlith.imaging.segmentation.grey_image import GreyImage
from microlith.imaging.typing import Array, Numbers, Singles
from microlith.imaging.volumes.disk_volumes import DiskVolume, Layers, Workshop

SAME = 1e-6  # relative difference of two voxel sizes that are one


def on_voxels(image: GreyImage, wanted: dict[str, float]) -> GreyImage:
    """What an image is on voxels of about the wanted size, before any is read. What it covers stays the same.

    Args:
        image: The image.
        wanted: Edges of the voxels, m, by axis; others stay.

    Raises:
        InputError: The image has no such axis, or nothing would be left along one.
    """
    names = axis_names(image.dim)
    for axis in wanted:
        if axis not in names and not (axis == "z" and len(set(wanted.values())) == 1 and len(wanted) == 3):
            raise InputError(f"[filters] rescale.{axis}: the image has only {', '.join(names[::-1])}; leave {axis} out")
    shape, sizes = list(image.shape), list(image.voxel_size)
    for i, axis in enumerate(names, 3 - image.dim):
        edge = wanted.get(axis, sizes[i])
        if abs(edge / sizes[i] - 1) > SAME:
            extent = shape[i] * sizes[i]
            shape[i] = max(1, round(extent / edge))
            if shape[i] < 2:
                raise InputError(f"[filters] rescale: voxels of {edge:g} m leave one along {axis}; choose smaller ones")
            sizes[i] = extent / shape[i]
    if tuple(shape) == image.shape:
        return image
    if image.dim == 2:
        sizes[0] = sizes[2]
    return replace(image, shape=(shape[0], shape[1], shape[2]), voxel_size=(sizes[0], sizes[1], sizes[2]))


def rescaled(
    image: GreyImage, raw: DiskVolume, wanted: dict[str, float], workshop: Workshop
) -> tuple[GreyImage, DiskVolume, tuple[Filtered, ...]]:
    """An image on other voxels, and its grey values there; collective.

    Args:
        image: The image.
        raw: Its grey values.
        wanted: As of `on_voxels`.
        workshop: Ranks and folder.

    Returns:
        Image, grey values, and in words what was done; the same ones where nothing was.

    Raises:
        InputError: As of `on_voxels`.
    """
    new = on_voxels(image, wanted)
    if new.shape == image.shape:
        return image, raw, ()
    weights = [_weights(before, after) for before, after in zip(image.shape, new.shape, strict=True)]

    def work(layers: Layers) -> Singles:
        # Layer by layer: all layers of the file that a block comes from may be many times its values.
        values, planes = raw.values(), []
        for z in range(layers.first, layers.last):
            row = weights[0][[z]]
            plane = np.zeros(image.shape[1:])
            for old, share in zip(row.indices, row.data, strict=True):
                plane += share * values[old]
            planes.append(weights[1] @ (weights[2] @ plane.T).T)
        return np.stack(planes).astype(np.float32)

    target = workshop.new("rescaled", new.shape, np.float32)
    workshop.fill(target, work)
    workshop.remove(raw)
    edges = " x ".join(f"{edge * 1e9:.4g}" for edge in new.voxel_size[::-1][: image.dim])
    voxels = " x ".join(str(n) for n in new.shape[::-1][: image.dim])
    return new, target, (Filtered("rescale", f"to {voxels} voxels of {edges} nm (x, y{', z'[: 3 * (image.dim - 2)]})"),)


def _weights(before: int, after: int) -> Any:
    """Sparse matrix (after, before): each row sums to one."""
    from scipy import sparse

    ratio = before / after
    rows: list[Numbers] = []
    columns: list[Numbers] = []
    values: list[Array] = []
    for i in range(after):
        if ratio > 1:  # overlap of the new voxel with each old one
            low, high = i * ratio, (i + 1) * ratio
            old: Numbers = np.arange(int(low), min(before, int(np.ceil(high - 1e-9))))
            share = np.minimum(high, old + 1) - np.maximum(low, old)
        else:  # between the middles of two old ones
            middle = (i + 0.5) * ratio - 0.5
            first = int(np.clip(np.floor(middle), 0, max(0, before - 2)))
            old = np.asarray([first, min(first + 1, before - 1)])
            step = float(np.clip(middle - first, 0.0, 1.0))
            share = np.array([1 - step, step])
        rows.append(np.full(len(old), i))
        columns.append(old)
        values.append(share / share.sum())
    place = np.concatenate(rows), np.concatenate(columns)
    return sparse.csr_array((np.concatenate(values), place), shape=(after, before))
