"""Versions of all that matters for a report of a fault."""

import os
import platform
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

# By their names as packages. What is not installed is said to be missing, which may be the fault.
PACKAGES = (
    *("fenics-dolfinx", "fenics-basix", "fenics-ffcx", "fenics-ufl", "petsc4py", "mpi4py", "h5py", "numpy", "scipy"),
    *(
        "gmsh",
        "meshio",
        "vtk",
        "pyvista",
        "matplotlib",
        "pillow",
        "tifffile",
        "imagecodecs",
        "SimpleITK",
        "scikit-image",
    ),
    *("numba", "scikit-learn", "connected-components-3d", "edt", "pint", "rich", "zarr"),
)


def versions() -> dict[str, str]:
    """What runs here, by name; MPI and PETSc are started to ask them."""
    found = {
        "microlith": metadata.version("microlith"),
        "environment": Path(os.environ.get("MICROLITH_INSIDE", "not by runtime/run")).name,
        "system": f"{platform.platform()}, {os.cpu_count()} processors",
        "Python": f"{platform.python_version()} ({platform.python_implementation()})",
        "MPI": _or_why_not(_mpi),
        "PETSc": _or_why_not(_petsc),
        "HDF5": _or_why_not(_hdf5),
    }
    return found | {name: _or_why_not(lambda name=name: metadata.version(name)) for name in PACKAGES}  # type: ignore[misc]


def _or_why_not(ask: Callable[[], str]) -> str:
    try:
        return ask()
    except metadata.PackageNotFoundError:
        return "not installed"
    except Exception as error:  # whatever is broken is what the report is about
        return f"does not load: {type(error).__name__}: {error}"


def _mpi() -> str:
    from mpi4py import MPI

    return str(MPI.Get_library_version()).strip().splitlines()[0].rstrip("\0")


def _petsc() -> str:
    from petsc4py import PETSc

    version = ".".join(map(str, PETSc.Sys.getVersion()))
    packages = [
        name for name in ("mumps", "cholmod", "hypre", "ptscotch", "parmetis") if PETSc.Sys.hasExternalPackage(name)
    ]
    return f"{version} with {', '.join(packages) or 'no other solvers'}, {PETSc.ScalarType.__name__}"


def _hdf5() -> str:
    import h5py

    return f"{h5py.version.hdf5_version}, {'for MPI' if h5py.get_config().mpi else 'not for MPI'}"
