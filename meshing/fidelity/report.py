"""How well a mesh renders its image: the figures, as plain data and as text."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from microlith.imaging.axes import AXES
from microlith.imaging.image.voxel_sizes import length
from microlith.imaging.microstructure.percolation import NOT_CONNECTED
from microlith.imaging.options import MeshOptions

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
MATTERS = 0.01  # of a phase: more of it in pieces that are lost, joined or divided is worth a warning
NO_PATH = "no path from one outer face to the other opens or closes"
AS_IT_IS = '[mesh] method = "voxel" takes the image as it is'
COARSE = 2.0  # of the shortest voxel edge: elements larger than that join and lose thin parts


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
    lost_share: float = 0.0  # of the phase's area (volume) in the image, what is in pieces that are lost,
    merged_share: float = 0.0  # what has become one with a larger piece,
    split_share: float = 0.0  # and what is cut off from a larger piece
    opened: tuple[str, ...] = ()  # axes along which the phase goes through the image in the mesh only
    closed: tuple[str, ...] = ()  # axes along which it goes through in the image only
    # Where the image comes again along an axis: of the area (volume), what goes on from box to box in the image, and
    # nowhere in the mesh, while other parts do; axis -> share
    interrupted: Mapping[str, float] = field(default_factory=dict)
    quality: Mapping[str, float] | None = None  # keys of QUALITY; None for a phase without simplices

    @property
    def matters(self) -> bool:
        """Whether the pieces of the mesh differ so from those of the image that results do, too."""
        changed = self.lost_share + self.merged_share + self.split_share
        interrupted = max(self.interrupted.values(), default=0.0) > MATTERS
        # Nothing flows in phases that are not solved for
        return changed > MATTERS or (self.solved and bool(self.opened or self.closed or interrupted))

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
            "lost_share": self.lost_share,
            "merged_share": self.merged_share,
            "split_share": self.split_share,
            "paths_opened_along": list(self.opened),
            "paths_closed_along": list(self.closed),
            "paths_interrupted_share": dict(self.interrupted),
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
    voxel: float  # shortest edge of a voxel, m
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

    def warnings(self, asked: MeshOptions | None = None) -> list[str]:
        """Sentences on each phase whose area (volume) is off, or whose pieces are others than in the image.

        Args:
            asked: What the mesh was made with, to tell what would help.
        """
        said = []
        total = sum(phase.image for phase in self.phases)
        for p in self.phases:
            there = p.solved or p.image > 0.01 * total
            if p.relative_difference is not None and abs(p.relative_difference) > 0.005 and there:
                off = f"{100 * p.relative_difference:+.2f} %"
                said.append(f"The {MEASURE[self.dim]} of {p.name} differs by {off} from the image's.")
                said[-1] += "" if p.matters else f" {self._remedy(p, asked)}"
            if p.matters:
                said.append(f"{self._pieces_of(p)}. {self._remedy(p, asked)}")
        return said

    def notes(self) -> list[str]:
        """Sentences on pieces that are others than in the image where that hardly matters."""
        changed = (p for p in self.phases if not p.matters and p.lost_count + p.merged_count + p.split_count)
        return [f"{self._pieces_of(p)}, which hardly matters." for p in changed]

    def _pieces_of(self, p: PhaseFidelity) -> str:
        """What has become of the pieces of a phase, without the full stop."""
        kinds = (
            (p.lost_count, p.lost_share, "lost in the mesh", p.lost),
            (p.merged_count, p.merged_share, "joined to others", tuple(group[1] for group in p.merged)),
            (p.split_count, p.split_share, "divided", p.split),
        )
        changed = [
            f"{count} {'is' if count == 1 else 'are'} {what} ({_percent(share)} of its {MEASURE[self.dim]}"
            f"{', the largest' if count > 1 else ''}: {pieces[0]})"
            for count, share, what, pieces in kinds
            if count
        ]
        paths = [f"a path along {axis} opens" for axis in p.opened] + [
            f"no path along {axis} is left" for axis in p.closed
        ]
        paths += [
            f"{_percent(share)} of its {MEASURE[self.dim]} no longer goes on along {axis} from box to box"
            for axis, share in p.interrupted.items()
        ]
        of = f"of its {p.pieces_image} pieces in the image " if p.pieces_image > 1 else "its only piece in the image "
        of = of if changed else ""
        return f"{p.name}: {of}{', '.join(changed)}{'; ' * bool(changed)}{' and '.join(paths or [NO_PATH])}"

    def _remedy(self, p: PhaseFidelity, asked: MeshOptions | None) -> str:
        """What to set to keep the pieces of a phase as they are in the image."""
        voxel, name = VOXEL[self.dim], p.name.removesuffix(NOT_CONNECTED)
        size = COARSE * self.voxel if asked is None else asked.times * asked.size.get(name, COARSE * self.voxel)
        factor = 1.0 if asked is None else asked.size_factor
        for voxels in (COARSE, 1.0):
            if size > 1.01 * voxels * self.voxel:
                return (
                    f'Smaller elements at its surfaces help, as with [mesh] size = {{ {name} = "'
                    f'{length(voxels * self.voxel / factor)}" }}, {voxels:g} {voxel}{"s" * (voxels > 1)}; {AS_IT_IS}.'
                )
        return AS_IT_IS + "."


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %" if share >= 1e-5 else "less than 0.001 %"
