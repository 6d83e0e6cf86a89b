"""How many triangles the fitted mesher makes, told from its outline and its sizes."""

from collections.abc import Sequence

import numpy as np

from microlith.imaging.image.volume import LabelImage
from microlith.imaging.options import MeshOptions
from microlith.meshing.fitted.outline import trace_interfaces
from microlith.meshing.fitted.segments import cut_chains
from microlith.meshing.fitted.sizing import size_field
from microlith.meshing.mesh.expected import ExpectedMesh, of_triangles

EQUILATERAL = 0.433  # area of a triangle of edge 1
BESIDE = 0.58  # triangles beside each side of an edge of the outline, besides those that the sizes ask for: measured on
# ten meshes of five images, of 7,000 to 140,000 triangles


def expected_triangles(image: LabelImage, options: MeshOptions, solved: Sequence[int]) -> ExpectedMesh:
    """About how large the mesh of `fitted_mesh` will be: all is done but the triangles.

    Args:
        image: 2D image.
        options: Element sizes.
        solved: Indices of the phases that the solver meshes.

    Raises:
        InputError: A phase in `options.size` that the image does not know.
    """
    outline = trace_interfaces(image)
    field = size_field(image, options, solved, outline.nodes[outline.triple])
    pieces = cut_chains(outline, field, options.times)
    field = field.limited(0.5 * (pieces.points[pieces.ends[:, 0]] + pieces.points[pieces.ends[:, 1]]), pieces.lengths)
    sizes = np.square(field.values, dtype=np.float64)
    area = image.pixel[0] * image.pixel[1] / EQUILATERAL
    of_phase = area * np.bincount(image.phase.ravel(), weights=1.0 / sizes.ravel(), minlength=len(image.names))
    more = field.between_pixels()
    is_solved = np.isin(np.arange(len(image.names)), list(solved))
    inside = np.append(is_solved, False)  # last what is beyond the frame, of index -1
    left, right = inside[pieces.left], inside[pieces.right]
    sides = float(np.count_nonzero(left) + np.count_nonzero(right))
    cells = float(of_phase.sum()) + more + BESIDE * 2 * len(pieces.ends)
    triangles = float(of_phase[is_solved].sum()) + more + BESIDE * sides
    return of_triangles(cells, triangles, float(np.count_nonzero(left != right)))
