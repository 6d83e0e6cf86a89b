"""What runtime/provision has to know about packages, one item a line; run by the environment's own base Python.

requirements.py wanted PYPROJECT         what pip is to install: dependencies, extras and the build backend
requirements.py missing PYPROJECT LOCK   those of them that the lock file does not have; status 1 if there are any
requirements.py wheels LOCK KIND         the lock file without what is here already
requirements.py present                  name==version of what comes with DOLFINx and must not be replaced
requirements.py paths                    folders of installed packages that this Python sees
"""

import re
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


def missing(pyproject: str, lock: str) -> list[str]:
    known = {*entries(lock), *BUILT_TOGETHER}
    absent = [requirement for requirement in wanted(pyproject) if plain_name(requirement) not in known]
    if absent:
        sys.exit("\n".join(absent))
    return []


def wheels(lock: str, kind: str) -> list[str]:
    """Of a Python that has more than DOLFINx, as one from conda-forge, all packages stay as they are."""
    here = {plain_name(d.metadata["Name"]) for d in metadata.distributions()} if kind == "host" else set()
    return [
        text
        for name, texts in entries(lock).items()
        if name not in here and name not in BUILT_TOGETHER
        for text in texts
    ]


def entries(lock: str) -> dict[str, list[str]]:
    """Of each package its entries: one, or several for different Pythons, each with hashes on lines of their own."""
    found: dict[str, list[str]] = {}
    for entry in re.findall(r"^[A-Za-z0-9].*(?:\n .*)*", Path(lock).read_text(encoding="utf-8"), re.MULTILINE):
        found.setdefault(plain_name(entry), []).append(entry)
    return found


def plain_name(requirement: str) -> str:
    name = re.match(r"[\w.-]+", requirement)
    assert name, requirement
    return re.sub(r"[-_.]+", "-", name[0]).lower()


def present() -> list[str]:
    found = {d.metadata["Name"].lower(): d.version for d in metadata.distributions()}
    return [f"{name}=={found[name]}" for name in BUILT_TOGETHER if name in found]


def paths() -> list[str]:
    return [p for p in sys.path if Path(p).name in ("site-packages", "dist-packages")]


if __name__ == "__main__":
    command, *arguments = sys.argv[1:]
    known = {f.__name__: f for f in (wanted, missing, wheels, present, paths)}
    print(*known[command](*arguments), sep="\n")
