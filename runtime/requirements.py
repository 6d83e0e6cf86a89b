"""What runtime/provision has to know about packages, one item a line; run by the environment's own base Python.

requirements.py wanted PYPROJECT    what pip is to install: dependencies, extras and the build backend
requirements.py present             name==version of what comes with DOLFINx and must not be replaced
requirements.py paths               folders of installed packages that this Python sees
"""

import sys
import tomllib
from importlib import metadata
from pathlib import Path

BUILT_TOGETHER = (
    "fenics-basix",
    "fenics-dolfinx",
    "fenics-ffcx",
    "fenics-ufl",
    "h5py",
    "mpi4py",
    "numpy",
    "petsc4py",
    "scipy",
)


def wanted(pyproject: str) -> list[str]:
    tables = tomllib.loads(Path(pyproject).read_text(encoding="utf-8"))
    project = tables["project"]
    extras = project["optional-dependencies"].values()
    return [*tables["build-system"]["requires"], *project["dependencies"], *(r for e in extras for r in e)]


def present() -> list[str]:
    found = {d.metadata["Name"].lower(): d.version for d in metadata.distributions()}
    return [f"{name}=={found[name]}" for name in BUILT_TOGETHER if name in found]


def paths() -> list[str]:
    return [p for p in sys.path if Path(p).name in ("site-packages", "dist-packages")]


if __name__ == "__main__":
    command, *arguments = sys.argv[1:]
    print(*{"wanted": wanted, "present": present, "paths": paths}[command](*arguments), sep="\n")
