"""JSON files of results, and the versions that stand in them."""

import json
import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from microlith.imaging.writing import write_text


def write_summary(path: Path, summary: Mapping[str, Any]) -> None:
    """Write summary.json; NaN and infinity, which JSON has no word for, become null.

    NumPy numbers and arrays, paths, enumerations and data classes may occur anywhere in it.

    Raises:
        InputError: The file can't be written.
    """
    write_text(path, json.dumps(plain(summary), indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def plain(value: Any) -> Any:
    """The value in terms that JSON has words for: NaN and infinity become None, data classes mappings."""
    if isinstance(value, Mapping):
        return {str(key): plain(entry) for key, entry in value.items()}
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in fields(value) if not f.name.startswith("_")}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(entry) for entry in value]
    if isinstance(value, Enum):
        return plain(value.value)
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "tolist"):  # NumPy arrays and numbers
        return plain(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value


def versions() -> dict[str, str]:
    """Versions of all that decides about the numbers."""
    import gmsh

    import dolfinx
    from petsc4py import PETSc

    return {
        "microlith": version("microlith"),
        "dolfinx": dolfinx.__version__,
        "petsc": ".".join(map(str, PETSc.Sys.getVersion())),
        "gmsh": gmsh.__version__,
        "numpy": np.__version__,
    }
