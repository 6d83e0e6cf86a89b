"""Coloured triangles as a binary glTF 2.0 file (Khronos Group, "glTF 2.0 Specification"), which browsers show."""

import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from microlith.imaging.typing import Array, Numbers

GLTF, JSON, BINARY = 0x46546C67, 0x4E4F534A, 0x004E4942  # "glTF", "JSON", "BIN": words of the container
FLOAT, BYTE, NUMBER = 5126, 5121, 5125  # kinds of numbers
VERTICES, TRIANGLES = 34962, 34963  # what a stretch of the data holds
UPSIDE_DOWN = [1.0, 0.0, 0.0, 0.0]  # half a turn about x: y of an image grows downwards, that of a scene upwards


@dataclass(frozen=True, eq=False)
class Part:
    """Triangles that belong together."""

    name: str
    points: Array  # (n, 3)
    normals: Array  # (n, 3), of length 1
    colours: NDArray[np.uint8]  # (n, 3)
    triangles: Numbers  # (m, 3) rows of the points


def glb(parts: Sequence[Part]) -> bytes:
    """A scene with one mesh a part."""
    scene = _Scene()
    meshes = [_mesh(scene, part) for part in parts if len(part.triangles)]
    nodes: list[dict[str, Any]] = [{"name": mesh["name"], "mesh": i} for i, mesh in enumerate(meshes)]
    nodes.append({"name": "image", "rotation": UPSIDE_DOWN, "children": list(range(len(meshes)))})
    surface = {"doubleSided": True, "pbrMetallicRoughness": {"metallicFactor": 0.0, "roughnessFactor": 0.9}}
    head = {
        "asset": {"version": "2.0", "generator": "microlith"},
        "scene": 0,
        "scenes": [{"nodes": [len(meshes)]}],
        "nodes": nodes,
        "meshes": meshes,
        "materials": [surface],
        "accessors": scene.accessors,
        "bufferViews": scene.views,
        "buffers": [{"byteLength": len(scene.data)}],
    }
    text = json.dumps(head).encode()
    text += b" " * (-len(text) % 4)
    chunks = struct.pack("<II", len(text), JSON) + text + struct.pack("<II", len(scene.data), BINARY) + scene.data
    return struct.pack("<III", GLTF, 2, 12 + len(chunks)) + chunks


def _mesh(scene: "_Scene", part: Part) -> dict[str, Any]:
    opaque = np.full((len(part.colours), 1), 255, dtype=np.uint8)
    linear = (255.0 * (part.colours / 255.0) ** 2.2).astype(np.uint8)  # colours of vertices are no sRGB
    ends = {"min": part.points.min(axis=0).tolist(), "max": part.points.max(axis=0).tolist()}
    attributes = {
        "POSITION": scene.add(part.points.astype("<f4"), "VEC3", FLOAT, VERTICES, **ends),
        "NORMAL": scene.add(part.normals.astype("<f4"), "VEC3", FLOAT, VERTICES),
        "COLOR_0": scene.add(np.hstack([linear, opaque]), "VEC4", BYTE, VERTICES, normalized=True),
    }
    triangles = scene.add(part.triangles.astype("<u4").ravel(), "SCALAR", NUMBER, TRIANGLES)
    return {"name": part.name, "primitives": [{"attributes": attributes, "indices": triangles, "material": 0}]}


class _Scene:
    """The data of a scene, and what lies where in them."""

    def __init__(self) -> None:
        self.data = b""
        self.views: list[dict[str, Any]] = []
        self.accessors: list[dict[str, Any]] = []

    def add(self, values: NDArray[Any], kind: str, number: int, target: int, **further: Any) -> int:
        """Append an array, each of whose rows has a multiple of four bytes; returns its place among the accessors."""
        data = values.tobytes()
        self.views.append({"buffer": 0, "byteOffset": len(self.data), "byteLength": len(data), "target": target})
        self.data += data
        entry = {"bufferView": len(self.views) - 1, "componentType": number, "count": len(values), "type": kind}
        self.accessors.append(entry | further)
        return len(self.accessors) - 1
