"""Regions that are drawn as a second label image."""

from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from mpi4py import MPI

from microlith.meshing.collective import on_first_rank
from microlith.meshing.errors import InputError
from microlith.meshing.image import LabelImage
from microlith.meshing.labels import read_region_labels
from microlith.meshing.phasemesh import PhaseMesh
from microlith.solver.shapes import LabelField
from microlith.solver.spec import LabelRegion, Role, Shape
from microlith.workflow.case import Case


def expanded(
    case: Case, image: LabelImage | None, mesh: PhaseMesh, comm: MPI.Intracomm
) -> tuple[dict[str, Shape], dict[str, LabelField]]:
    """All regions with one label each, and what stands behind those of label images; collective.

    Args:
        case: With its regions.
        image: The segmented image, on rank 0.
        mesh: For its unit.
        comm: All ranks.

    Raises:
        InputError: A label image can't be read, does not fit, or lacks the label.
    """
    shapes: dict[str, Shape] = {}
    fields: dict[str, LabelField] = {}
    for name, shape in case.regions.items():
        if not isinstance(shape, LabelRegion):
            shapes[name] = shape
            continue
        labels, pixel = on_first_rank(comm, partial(_read, case, name, shape, image))
        found = [int(v) for v in np.unique(labels) if v != 0] if shape.label is None else [shape.label]
        for label in found:
            key = name if shape.label is not None else f"{name}_{label}"
            shapes[key] = replace(shape, label=label)
            fields[key] = _field(labels == label, np.divide(pixel, mesh.unit))
    return shapes, fields


def check_labels(case: Case, image: LabelImage) -> None:
    """Read all label images of regions and see that each region meets a solved phase; serial.

    Raises:
        InputError: A label image can't be read, does not fit, or lacks the label; a region misses the solved phases.
    """
    solved = np.array([phase.role is Role.TRANSPORT for phase in case.physics.phases])
    for name, shape in case.regions.items():
        if isinstance(shape, LabelRegion):
            labels, _ = _read(case, name, shape, image)
            for label in np.unique(labels) if shape.label is None else [shape.label]:
                if label != 0 and not solved[image.phase[labels == label]].any():
                    raise InputError(
                        f"{case.path}: [regions.{name}] labels: no pixel of label {label} in {shape.path} lies in a "
                        "transport phase; move or remove it"
                    )


def _read(
    case: Case, name: str, shape: LabelRegion, image: LabelImage | None
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    assert image is not None  # on rank 0, where this runs
    key = f"{case.path}: [regions.{name}] labels"
    labels = read_region_labels(shape.path, case.image, image.phase.shape, key, image.stored_shape)
    if shape.label is not None and not (labels == shape.label).any():
        raise InputError(f"{key}: no pixel of {shape.path} has the label {shape.label}; mend the label")
    if not labels.any():
        raise InputError(f"{key}: all pixels of {shape.path} are 0; label the regions 1, 2, ...")
    return labels, np.array(image.voxel_size[::-1])


def _field(member: NDArray[np.bool_], pixel: NDArray[np.float64]) -> LabelField:
    """Membership and distance to the edge at points in mesh units; `pixel` is the pixel's size x, y[, z] in them."""
    from scipy.ndimage import distance_transform_edt

    sampling = tuple(pixel[::-1])
    if member.all():
        away = np.full(member.shape, np.inf)
    else:
        away = np.where(
            member,
            distance_transform_edt(member, sampling=sampling),
            distance_transform_edt(~member, sampling=sampling),
        )
    # From centre to centre: a point may be half a diagonal off its pixel's centre, and so may the edge be.
    away = np.maximum(away - np.linalg.norm(pixel), 0.0)
    last = np.array(member.shape[::-1]) - 1

    def index(x: NDArray[np.float64]) -> tuple[NDArray[np.int64], ...]:
        return tuple(np.clip((x / pixel).astype(np.int64), 0, last).T[::-1])

    return LabelField(lambda x: member[index(x)], lambda x: away[index(x)])
