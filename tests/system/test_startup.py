"""A case folder is data: whatever lies beside the case file, nothing of it runs, and no library is set by it."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from places import CASES

from microlith.imaging.errors import InputError
from microlith.imaging.parallel.startup import elsewhere, petsc_options

TRAP = "open({marker!r}, 'w').close()"


@pytest.fixture
def folder(tmp_path):
    """A folder with all that libraries would run or read, and what a run in it would leave if they did."""
    marker = tmp_path / "it-ran"
    here = tmp_path / "downloaded"
    for name in [
        "numpy",
        "pyvista",
        "vtkmodules",
        "dolfinx",
        "venv",
        "pip",
        "matplotlib",
        "gmsh",
        "tempfile",
        "pickle",
    ]:
        (here / name).mkdir(parents=True)
        (here / name / "__init__.py").write_text(TRAP.format(marker=str(marker)))
    library = here / "PETSC" / "PETSc.py"
    library.parent.mkdir()
    library.write_text(TRAP.format(marker=str(marker)))
    (here / "petsc.cfg").write_text(f"PETSC_ARCH = {library.parent}\n")
    (here / ".petscrc").write_text("-from_a_file 1\n")
    (here / "petscrc").write_text("-from_a_file 1\n")
    (here / "dolfinx_jit_options.json").write_text('{"cffi_verbose": true, "cffi_extra_compile_args": ["-Dodd"]}')
    (here / "ffcx_options.json").write_text('{"verbosity": 7}')
    (here / "matplotlibrc").write_text("lines.linewidth: 77\n")
    (here / ".gmshrc").write_text(f'SystemCall "touch {marker}";\n')
    return here


SETTINGS = """
import microlith, sys
import dolfinx, ffcx, gmsh, matplotlib
from dolfinx import jit
from petsc4py import PETSc
print(sorted(PETSc.Options().getAll()), jit.get_options()["cffi_verbose"], jit.get_options()["cffi_extra_compile_args"])
print(ffcx.get_options()["verbosity"], matplotlib.rcParams["lines.linewidth"])
"""


def call(folder, *words, **variables):
    variables = {name: value for name, value in os.environ.items() if name != "HOME"} | variables
    return subprocess.run(words, cwd=folder, env=variables, capture_output=True, text=True, check=False, timeout=240)


def test_no_library_takes_settings_from_the_working_folder(folder):
    done = call(folder, sys.executable, "-P", "-c", SETTINGS)
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.splitlines()
    assert first == "['no_signal_handler', 'skip_petscrc'] False ['-O2', '-g0']"
    assert second == "30 1.5"
    assert not (folder.parent / "it-ran").exists()


def test_a_run_and_its_pictures_import_nothing_from_the_working_folder(folder):
    """3D, so that pictures are rendered in a child process."""
    microlith = Path(sys.prefix) / "bin" / "microlith"
    if not microlith.exists():
        pytest.skip("microlith is not installed as a command here")
    case = CASES / "slab" / "case.toml"
    for words in (["check", case], ["run", case, "-o", "out", "-q"], ["view", "out", "--screenshot", "seen.png"]):
        done = call(folder, microlith, *words)
        assert done.returncode == 0, done.stderr
    check = "from microlith.workflow.rendering.renderer import check_rendering; check_rendering()"
    done = call(folder, sys.executable, "-P", "-c", check)
    assert done.returncode == 0, done.stderr
    assert not (folder.parent / "it-ran").exists()


def test_names_that_are_no_utf_8(tmp_path):
    """Of files from an old disk: DOLFINx reads the words of the command once more, and took no such bytes."""
    microlith, folder = Path(sys.prefix) / "bin" / "microlith", tmp_path / os.fsdecode(b"gr\xfcn")
    if not microlith.exists():
        pytest.skip("microlith is not installed as a command here")
    try:
        shutil.copytree(CASES / "slab", folder / "slab")
    except OSError:
        pytest.skip("the file system takes names in UTF-8 only")
    done = call(tmp_path, microlith, "-q", "run", folder / "slab" / "case.toml", "-o", folder / "out")
    assert done.returncode == 0, done.stderr
    assert (folder / "out" / "curves.csv").exists()


def test_options_for_petsc_come_from_the_environment(folder):
    done = call(folder, sys.executable, "-P", "-c", SETTINGS, MICROLITH_PETSC_OPTIONS="-mine 3")
    assert done.stdout.startswith("['mine', 'no_signal_handler', 'skip_petscrc']"), done.stderr


@pytest.mark.parametrize("given", ["mine", "-name 'open"])
def test_options_that_are_none_are_refused(monkeypatch, given):
    monkeypatch.setenv("MICROLITH_PETSC_OPTIONS", given)
    with pytest.raises(InputError, match="MICROLITH_PETSC_OPTIONS"):
        petsc_options()


def test_python_without_docstrings_is_refused_in_one_sentence(tmp_path):
    command = [sys.executable, "-OO", "-m", "microlith.workflow.cli", "run", CASES / "slab" / "case.toml"]
    done = call(tmp_path, *command)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert "PYTHONOPTIMIZE" in done.stderr


def test_elsewhere_comes_back(tmp_path, monkeypatch):
    """Also into a folder that has gone."""
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(FileNotFoundError):
        os.getcwd()
    with elsewhere():
        assert os.getcwd() == "/"
    monkeypatch.chdir(tmp_path)
    with elsewhere():
        pass
    assert os.getcwd() == str(tmp_path)


def test_importing_microlith_imports_no_library():
    heavy = "{'mpi4py', 'petsc4py', 'dolfinx', 'matplotlib', 'ctypes'} & set(sys.modules)"
    code = f"import microlith, sys; found = {heavy}; assert not found, found"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_signals_are_pythons_own():
    """PETSc's handler calls MPI_Abort, which waits for ever where mpirun is gone."""
    code = (
        "import microlith, os, signal; from petsc4py import PETSc; signal.signal(signal.SIGTERM, lambda *_: exit(5)); "
        "os.kill(os.getpid(), signal.SIGTERM); import time; time.sleep(30)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 5
    caught = "import microlith; from petsc4py import PETSc; print(open('/proc/self/status').read())"
    status = subprocess.run([sys.executable, "-c", caught], check=True, capture_output=True, text=True).stdout
    mask = int(next(line for line in status.splitlines() if line.startswith("SigCgt")).split()[1], 16)
    taken = {number for number in signal.Signals if mask & 1 << (number - 1)}
    assert not taken & {signal.SIGTERM, signal.SIGQUIT, signal.SIGPIPE, signal.SIGURG}


@pytest.mark.parametrize("without", [False, True])
def test_commands_make_no_documentation_of_matplotlib(without):
    """Its artists take their properties all the same."""
    code = f"""
import microlith
from microlith.imaging.parallel.startup import without_extras
if {without}:
    without_extras()
import matplotlib.lines, matplotlib.text
line, text = matplotlib.lines.Line2D([], []), matplotlib.text.Annotation("", (0, 0))
line.set(linewidth=3.0)
text.set(color="red")
print(line.get_linewidth(), text.get_color(), "linewidth" in str(matplotlib.lines.Line2D.set.__doc__))
"""
    said = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert said.split() == ["3.0", "red", str(not without)]


@pytest.mark.parametrize("without", [False, True])
def test_commands_have_no_axes_in_3d_of_matplotlib(without):
    code = f"""
import warnings
warnings.simplefilter("error")
import sys, microlith
from microlith.imaging.parallel.startup import without_extras
if {without}:
    without_extras()
from matplotlib.projections import projection_registry
print("3d" in projection_registry.get_projection_names(), "mpl_toolkits.mplot3d" in sys.modules)
from mpl_toolkits.mplot3d import Axes3D
print(Axes3D.name)
"""
    said = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert said.split() == [str(not without), str(not without), "3d"]


@pytest.mark.parametrize("without", [False, True])
def test_commands_have_no_fonts_of_tex_but_those_of_pdf(without, tmp_path):
    pytest.importorskip("fontTools.agl")
    code = f"""
import sys, microlith
from microlith.imaging.parallel.startup import without_extras
if {without}:
    without_extras()
from matplotlib.figure import Figure
if "fontTools" in vars(sys.modules["matplotlib.dviread"]):
    assert ("fontTools.agl" in sys.modules) is (not {without})
figure = Figure()
figure.text(0.5, 0.5, "letters")
figure.savefig({str(tmp_path / "a.pdf")!r})
import fontTools.agl
print(fontTools.agl.toUnicode("alpha"))
"""
    said = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert said.split() == ["α"]


@pytest.mark.parametrize("first", ["", "import numpy.testing as before"])
def test_scipy_loads_no_tools_of_numpy_which_load_all_the_same(first):
    code = (
        f"{first}\nimport sys, microlith\nimport scipy.sparse\nassert 'numpy.f2py' not in sys.modules\n"
        "import numpy as np\nfrom scipy._lib import array_api_compat\n"
        "np.testing.assert_allclose(scipy.sparse.eye_array(2) @ np.ones(2), 1.0)\nassert np.f2py.get_include\n"
        "assert sys.modules['numpy.testing'] is np.testing"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.mark.parametrize("first", ["", "import numba as before"])
def test_dolfinx_does_not_load_numba_which_loads_all_the_same(first):
    """With it, gmsh complains of two kinds of MPI."""
    code = (
        f"{first}\nimport sys, microlith\nhad = 'numba' in sys.modules\nimport dolfinx.fem.petsc\n"
        "assert ('numba' in sys.modules) == had\nassert 'llvmlite' not in sys.modules or had\nimport numba\n"
        "assert not had or numba is before\nassert numba.njit(lambda x: x + 1)(1) == 2"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.mark.parametrize("module", ["numba", "llvmlite.binding"])
def test_numba_that_does_not_load_is_told_in_a_sentence(module):
    code = f"""
import sys
sys.modules[{module!r}] = None
from microlith.workflow.console.failures import failure_of
try:
    import microlith.imaging.measures.loops
except Exception as error:
    found = failure_of(error)
    print(found.status, found.sentence)
"""
    said = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert said.startswith("2 numba can't be loaded, with which loops over voxels are compiled (ModuleNotFoundError: ")
    assert said.endswith("install releases of numba and NumPy that fit each other\n")


@pytest.mark.parametrize(("error", "told"), [("ValueError", True), ("MemoryError", False)])
def test_numba_that_raises_is_told_as_a_misfit_where_it_may_be_one(tmp_path, error, told):
    (tmp_path / "numba.py").write_text(f"raise {error}('as it loads')")
    code = f"""
import sys
sys.path.insert(0, {str(tmp_path)!r})
try:
    import microlith.imaging.parallel.compiled
except Exception as error:
    print(type(error).__name__, error)
"""
    said = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert said.startswith("InputError numba can't be loaded, with which" if told else f"{error} as it loads")
