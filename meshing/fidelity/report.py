"""How faithfully a mesh renders its image: the figures, as plain data and as text."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from microlith.imaging.axes import AXES

MEASURE = {2: "area", 3: "volume"}  # of a phase, by dimension
VOXEL = {2: "pixel", 3: "voxel"}
CELLS = {
    "triangle": "triangles",
    "tetrahedron": "tetrahedra",
    "quadrilateral": "squares",
    "hexahedron": "cubes",
}
QUALITY = {  # key -> heading of the table
    "worst_sicn": "worst SICN",
    "sicn_1_percent": "1 % below",
    "worst_dihedral_angle_deg": "smallest angle (deg)",
    "dihedral_angle_0.1_percent_deg": "0.1 % below",
    "dihedral_angle_1_percent_deg": "1 % below",
}
SAID = 5  # pieces or groups of each kind and phase that get a sentence of their own
MERGED_NAMED = 4  # members of a group in a sentence


@dataclass(frozen=True)
class Piece:
    """A connected piece of a phase in the image."""

    position: tuple[int, ...]  # x, y[, z] of its first voxel
    voxels: int  # its size

    def as_dict(self) -> dict[str, int]:
        """Position and size as plain data."""
        word = VOXEL[len(self.position)]
        return {f"{a}_{word}": p for a, p in zip(AXES, self.position, strict=False)} | {f"{word}s": self.voxels}

    def __str__(self) -> str:
        place = ", ".join(f"{axis} = {p}" for axis, p in zip(AXES, self.position, strict=False))
        return f"{self.voxels} {VOXEL[len(self.position)]}{'s' * (self.voxels != 1)} at {place}"


@dataclass(frozen=True)
class PhaseFidelity:
    """One phase in the image and in the mesh.

    Pieces are connected across faces of voxels in the image (edges of pixels in 2D) and across facets in the mesh: what
    touches in a single point or along an edge is apart in both. Of the pieces that are lost, merged or split the
    largest are named and all are counted.
    """

    name: str
    solved: bool
    cells: int
    image: float  # m^2 (m^3)
    mesh: float | None  # m^2 (m^3); None where the mesh leaves the phase out
    relative_difference: float | None  # of mesh and image; None for a phase without voxels or left out
    pieces_image: int
    pieces_mesh: int | None  # None where the mesh leaves the phase out
    lost: tuple[Piece, ...] = ()  # pieces of the image that the mesh has not
    lost_count: int = 0
    merged: tuple[tuple[Piece, ...], ...] = ()  # pieces of the image that are one in the mesh
    merged_count: int = 0  # pieces in such groups
    split: tuple[Piece, ...] = ()  # pieces of the image that are several in the mesh
    split_count: int = 0
    quality: Mapping[str, float] | None = None  # keys of QUALITY; None for a phase without simplices

    def as_dict(self, dim: int) -> dict[str, Any]:
        """The figures as plain data, SI units in the keys."""
        unit = f"{MEASURE[dim]}_{{}}_m{dim}"
        return {
            "name": self.name,
            "solved": self.solved,
            "cells": self.cells,
            unit.format("image"): self.image,
            unit.format("mesh"): self.mesh,
            "relative_difference": self.relative_difference,
            "pieces_image": self.pieces_image,
            "pieces_mesh": self.pieces_mesh,
            "lost_count": self.lost_count,
            "lost": [piece.as_dict() for piece in self.lost],
            "merged_count": self.merged_count,
            "merged": [[piece.as_dict() for piece in group] for group in self.merged],
            "split_count": self.split_count,
            "split": [piece.as_dict() for piece in self.split],
            **(self.quality or {}),
        }


@dataclass(frozen=True)
class Interface:
    """Interface between two phases."""

    phases: tuple[str, str]
    size: float  # m (m^2)


@dataclass(frozen=True)
class FidelityReport:
    """Areas (volumes), interfaces, connected pieces and element quality of a mesh."""

    shape: str  # of the cells, as in ImageMesh
    phases: tuple[PhaseFidelity, ...]
    interfaces: tuple[Interface, ...]
    cells: int  # of solved phases
    all_cells: int
    quality: Mapping[str, float]  # of all cells; empty where they are not simplices

    @property
    def dim(self) -> int:
        """Number of space dimensions."""
        return 2 if self.shape in ("triangle", "quadrilateral") else 3

    def as_dict(self) -> dict[str, Any]:
        """The report as plain data for JSON, SI units in the keys."""
        size = "length_m" if self.dim == 2 else "area_m2"
        return {
            "phases": [phase.as_dict(self.dim) for phase in self.phases],
            "interfaces": [{"phases": list(i.phases), size: i.size} for i in self.interfaces],
            "cells": self.cells,
            CELLS[self.shape]: self.all_cells,
            **self.quality,
        }

    def phase_rows(self) -> list[tuple[str, ...]]:
        """Table of the phases as text, the heading first."""
        shown = [key for key in QUALITY if key in self.quality]
        rows: list[tuple[str, ...]] = [
            (
                "phase",
                CELLS[self.shape],
                f"{MEASURE[self.dim]} in image (um{self.dim})",
                "in mesh",
                "difference",
                "pieces in image",
                "in mesh",
                *(QUALITY[key] for key in shown),
            )
        ]
        scale = 1e6**self.dim
        for p in self.phases:
            off = "-" if p.relative_difference is None else f"{100 * p.relative_difference:+.4f} %"
            sizes = (f"{p.image * scale:.5g}", "-" if p.mesh is None else f"{p.mesh * scale:.5g}")
            pieces = (str(p.pieces_image), "-" if p.pieces_mesh is None else str(p.pieces_mesh))
            quality = ["-" if p.quality is None else f"{p.quality[key]:.3g}" for key in shown]
            rows.append((p.name, str(p.cells), *sizes, off, *pieces, *quality))
        return rows

    def interface_rows(self) -> list[tuple[str, ...]]:
        """Table of the interfaces as text, the heading first."""
        rows: list[tuple[str, ...]] = [("interface", "length (um)" if self.dim == 2 else "area (um2)")]
        rows += [(" | ".join(i.phases), f"{i.size * 1e6 ** (self.dim - 1):.5g}") for i in self.interfaces]
        return rows

    def summary(self) -> str:
        """One line on size and quality."""
        what = CELLS[self.shape]
        count = f"{self.cells} {what} in solved phases ({self.all_cells} in all)"
        q = self.quality
        if self.shape == "triangle" and q:
            return (
                f"{count}, SICN worst {q['worst_sicn']:.3f}, 1 % below {q['sicn_1_percent']:.3f}, median"
                f" {q['median_sicn']:.3f}, smallest angle {q['smallest_angle_deg']:.1f} degrees"
            )
        if self.shape == "tetrahedron" and q:
            return (
                f"{count}, dihedral angles from {q['worst_dihedral_angle_deg']:.1f} degrees, 0.1 % below"
                f" {q['dihedral_angle_0.1_percent_deg']:.1f}, 1 % below {q['dihedral_angle_1_percent_deg']:.1f}, SICN"
                f" worst {q['worst_sicn']:.3f}"
            )
        return count

    def warnings(self) -> list[str]:
        """Sentences on pieces that are lost, merged or split, and on each phase whose area (volume) is off."""
        said = []
        total = sum(phase.image for phase in self.phases)
        for p in self.phases:
            if p.relative_difference is not None and abs(p.relative_difference) > 0.005 and p.image > 0.01 * total:
                off = f"{100 * p.relative_difference:+.2f} %"
                said.append(f"The {MEASURE[self.dim]} of {p.name} differs by {off} from the image's.")
            said += [f"A piece of {p.name} is lost: {piece}." for piece in p.lost[:SAID]]
            if p.lost_count > SAID:
                said.append(f"And {p.lost_count - SAID} more pieces of {p.name} are lost, none larger.")
            said += [f"Pieces of {p.name} have merged: {_listed(group)}." for group in p.merged[:SAID]]
            if len(p.merged) > SAID:
                said.append(f"In all, {p.merged_count} pieces of {p.name} have merged with others.")
            said += [f"A piece of {p.name} is divided in the mesh: {piece}." for piece in p.split[:SAID]]
            if p.split_count > SAID:
                said.append(f"And {p.split_count - SAID} more pieces of {p.name} are divided, none larger.")
        return said


def _listed(group: tuple[Piece, ...]) -> str:
    named = "; ".join(map(str, group[:MERGED_NAMED]))
    return named if len(group) <= MERGED_NAMED else f"{named}; and smaller ones"
