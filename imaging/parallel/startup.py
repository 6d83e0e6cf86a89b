"""How MPI, PETSc and DOLFINx start: with options of ours and the user's, never with files of the folder we run in.

A case folder may come from anybody, and these libraries take settings from the working folder: ./.petscrc and
./petsc.cfg name libraries to load, ./dolfinx_jit_options.json names arguments for the C compiler. So whatever starts
them does so from another folder, and by the time they could look again they have their settings.
"""

import atexit
import importlib
import os
import shlex
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import partial
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from microlith.imaging.errors import InputError

if TYPE_CHECKING:
    from mpi4py.MPI import Comm

OPTIONS_VARIABLE = "MICROLITH_PETSC_OPTIONS"
# No settings from files; and no handler for signals: it calls MPI_Abort, which waits for ever where mpirun is gone.
PETSC_OPTIONS = ("-skip_petscrc", "-no_signal_handler")
_RANK_VARIABLES = ("OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK", "MV2_COMM_WORLD_RANK")
_BTL = "OMPI_MCA_btl"  # which ways of Open MPI between ranks are used
_PR_SET_PDEATHSIG = 1  # of Linux's prctl


def launched_rank() -> int | None:
    """Rank that mpirun, mpiexec or srun gave this process, known without starting MPI; None: not started by these."""
    ranks = [os.environ[name] for name in _RANK_VARIABLES if name in os.environ]
    return int(ranks[0]) if ranks and ranks[0].isdigit() else None


def settle() -> None:
    """Have these libraries start as said above when they are imported; to be called before that, as often as one likes.

    It imports none of them, and so takes no time.
    """
    if not any(isinstance(finder, _Starter) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Starter())


def without_extras() -> None:
    """Let libraries that are not imported yet leave out what no command asks for.

    That is the documentation that they make of themselves, and Matplotlib's axes in 3D and fonts of TeX.
    """
    _AROUND["matplotlib.artist"] = _undocumented
    _AROUND["matplotlib.projections"] = partial(_without, name="mpl_toolkits.mplot3d", holds="Axes3D")
    _AROUND["matplotlib.dviread"] = partial(_without, name="fontTools.agl", holds="AGL2UV")


@contextmanager
def elsewhere() -> Iterator[None]:
    """Do something with the root folder as the working folder, where only the administrator could leave files."""
    here = os.open(".", getattr(os, "O_PATH", os.O_RDONLY))
    try:
        os.chdir("/")
        yield
    finally:
        os.fchdir(here)
        os.close(here)


def petsc_options() -> list[str]:
    """Arguments that PETSc starts with: ours, and those that the user has set for microlith.

    Raises:
        InputError: MICROLITH_PETSC_OPTIONS has an open quotation mark, or words before its first option.
    """
    given = os.environ.get(OPTIONS_VARIABLE, "")
    try:
        words = shlex.split(given)
    except ValueError as error:
        raise InputError(f"{OPTIONS_VARIABLE} is {given!r}: {error}; expected options as PETSc takes them") from None
    if words and not words[0].startswith("-"):
        raise InputError(f"{OPTIONS_VARIABLE} is {given!r}: expected options that begin with '-', such as -log_view")
    return [*PETSC_OPTIONS, *words]


def share_without_names(comm: "Comm") -> None:
    """Take the files in /dev/shm by which ranks share memory off their names, once all have opened them; collective.

    So they are gone with the last rank, however it ends. Open MPI would remove them only where all end well.
    """
    for distance in range(1, comm.size):  # each sends to each, and so opens what that one listens at
        comm.sendrecv(None, (comm.rank + distance) % comm.size, source=(comm.rank - distance) % comm.size)
    comm.Barrier()
    own = f".{os.environ.get('OMPI_COMM_WORLD_LOCAL_RANK')}"
    with suppress(OSError):
        mapped = {line.split()[-1] for line in Path("/proc/self/maps").read_text().splitlines()}
        for path in map(Path, mapped):
            if path.match("/dev/shm/sm_segment.*") and path.suffix == own:
                path.unlink()
                # Where all ends well, Open MPI looks for it once more, and complains where there is none.
                atexit.register(path.touch, 0o600)


# --- what happens around the first import of a module ---


@contextmanager
def _around_mpi(module: ModuleType) -> Iterator[None]:
    """Start MPI when mpi4py loads."""
    if "HOME" not in os.environ:  # as in services; Open MPI does not start without
        home = os.path.expanduser("~")
        os.environ["HOME"] = home if os.path.isabs(home) else "/"
    if launched_rank() is not None:
        _end_with_launcher()
        yield
        return
    # One process needs no memory to share with others. Open MPI would reserve some in /dev/shm all the same, which
    # nobody clears away where the process is killed. What it starts, mpirun perhaps, is not to see this setting.
    before = os.environ.get(_BTL)
    if before in (None, "self,sm"):  # the latter is what runtime/run sets, for any number of ranks
        os.environ[_BTL] = "self"
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(_BTL, None)
        else:
            os.environ[_BTL] = before


def _end_with_launcher() -> None:
    """Have the system end this process when the one that started it ends, also where that one is killed.

    A rank that waits for a message from a rank that is gone would wait for ever. Known to Linux only.
    """
    if sys.platform == "linux":
        import ctypes  # not where it is not needed: `--help` answers at once

        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


@contextmanager
def _around_petsc(module: ModuleType) -> Iterator[None]:
    """Start PETSc as soon as petsc4py loads, before anything else could."""
    yield
    options = petsc_options()
    importlib.import_module("mpi4py.MPI")  # MPI is ours to start, not PETSc's
    with elsewhere():
        module.init(["microlith", *options])


@contextmanager
def _around_forms(module: ModuleType) -> Iterator[None]:
    """Let DOLFINx and FFCx look for files with options, which they do once, where there are none but the user's own.

    Raises:
        InputError: Python runs without docstrings, of which pycparser makes its parser of C.
    """
    if sys.flags.optimize > 1:
        raise InputError("Python runs with PYTHONOPTIMIZE=2 or -OO, with which no form compiles; expected at most 1")
    yield
    with elsewhere():
        module.get_options()
        importlib.import_module("ffcx").get_options()


@contextmanager
def _from_elsewhere(module: ModuleType) -> Iterator[None]:
    """DOLFINx looks for PETSc once more; a ./matplotlibrc would change all pictures."""
    with elsewhere():
        yield


@contextmanager
def _without_numba(module: ModuleType) -> Iterator[None]:
    """DOLFINx would load numba, where there is one, and give PETSc's symbols to all libraries, which none needs.

    It takes 0.1 s; and gmsh, which has a PETSc of its own, then complains of two kinds of MPI.
    """
    hidden = ("llvmlite", "numba")
    before = {name: sys.modules[name] for name in hidden if name in sys.modules}
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]  # as if they were not installed
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]
        sys.modules.update(before)


@contextmanager
def _undocumented(module: ModuleType) -> Iterator[None]:
    """Matplotlib goes through all its classes for the documentation of their properties: a third of its import."""
    yield

    def mark(of: Any) -> None:
        of.set._autogenerated_signature = True  # the next class down looks for it

    module.Artist._update_set_signature_and_docstring = classmethod(mark)
    vars(module)["kwdoc"] = lambda artist: ""


@contextmanager
def _petsc_forms(module: ModuleType) -> Iterator[None]:
    """Of DOLFINx, in later releases: looks for PETSc as DOLFINx itself does, and for numba."""
    with _from_elsewhere(module), _without_numba(module):
        yield


@contextmanager
def _without(module: ModuleType, name: str, holds: str) -> Iterator[None]:
    """Matplotlib loads its axes in 3D, and names of letters in the fonts of TeX, of which no picture is made."""
    nothing = ModuleType(name)
    vars(nothing)[holds] = None  # as where axes in 3D don't load
    there = sys.modules.setdefault(name, nothing)
    try:
        yield
    finally:
        if there is nothing:
            del sys.modules[name]


@contextmanager
def _without_tools_of_numpy(module: ModuleType) -> Iterator[None]:
    """SciPy takes all names of NumPy, and so would load its tools for Fortran and for tests, which take 0.1 s."""
    numpy = importlib.import_module("numpy")
    hidden = [name for name in ("f2py", "testing") if name not in vars(numpy)]
    for name in hidden:
        setattr(numpy, name, None)
    try:
        yield
    finally:
        for name in hidden:
            if vars(numpy)[name] is None:  # nobody has loaded it meanwhile
                delattr(numpy, name)


_AROUND: dict[str, Callable[[ModuleType], AbstractContextManager[None]]] = {
    "mpi4py.MPI": _around_mpi,
    "petsc4py": _around_petsc,
    "dolfinx": _from_elsewhere,
    "dolfinx.fem.petsc": _petsc_forms,  # of later releases
    "dolfinx.jit": _around_forms,
    "dolfinx.utils": _without_numba,  # of 0.9; later releases have this in the module above, and in the next
    "ffcx.codegeneration.utils": _without_numba,
    "matplotlib": _from_elsewhere,
    "scipy._lib.array_api_compat.numpy": _without_tools_of_numpy,
}


class _Starter(MetaPathFinder):
    """Finds the modules above as Python does, and loads them with what is to happen around that."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name not in _AROUND:
            return None
        others = (finder for finder in sys.meta_path if finder is not self)
        found = (finder.find_spec(name, path, target) for finder in others if hasattr(finder, "find_spec"))
        spec = next((spec for spec in found if spec is not None), None)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader, _AROUND[name])
        return spec


class _Loader(Loader):
    def __init__(self, loader: Any, around: Callable[[ModuleType], AbstractContextManager[None]]) -> None:
        self._loader = loader
        self._around = around

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        module: ModuleType | None = self._loader.create_module(spec)
        return module

    def exec_module(self, module: ModuleType) -> None:
        module.__loader__ = self._loader  # from here on, all is as if this one had never been there
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        with self._around(module):
            self._loader.exec_module(module)
