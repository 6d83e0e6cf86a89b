"""Files of VTK, put together in memory: VTK's own writers crash on a full disk, and leave what they have begun."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from microlith.imaging.writing import whole_file

if TYPE_CHECKING:
    import pyvista

STL = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attributes", "<u2")])


def write_xml(path: Path, data: "pyvista.DataSet") -> None:
    """A grid as .vtu or a surface as .vtp, in binary.

    Raises:
        InputError: The file can't be written.
    """
    from vtkmodules.vtkIOXML import vtkXMLPolyDataWriter, vtkXMLUnstructuredGridWriter

    writer = vtkXMLPolyDataWriter() if path.suffix == ".vtp" else vtkXMLUnstructuredGridWriter()
    writer.SetInputData(data)
    writer.SetDataModeToBinary()
    writer.WriteToOutputStringOn()
    writer.Write()
    text = writer.GetOutputString()
    with whole_file(path) as temporary:
        temporary.write_bytes(text.encode() if isinstance(text, str) else text)


def write_stl(path: Path, surface: "pyvista.PolyData") -> None:
    """A surface of triangles as binary STL.

    Raises:
        InputError: The file can't be written.
    """
    corners = np.asarray(surface.points)[surface.regular_faces]  # (triangle, corner, xyz)
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    lengths = np.linalg.norm(normals, axis=1, keepdims=True)
    triangles = np.zeros(len(corners), STL)
    triangles["corners"] = corners
    triangles["normal"] = normals / np.where(lengths == 0, 1.0, lengths)
    head = b"microlith, lengths in um".ljust(80) + np.array(len(triangles), "<u4").tobytes()
    with whole_file(path) as temporary:
        temporary.write_bytes(head + triangles.tobytes())
