"""The public functions: cases, runs, results and studies in Python.

Each checks and does what the command of the same name does, and gives data instead of text. Under mpirun all ranks call
the same functions in the same order. What is wrong with a case is raised as InputError, with the sentence that the
command would print; progress and warnings go to the logger "microlith".
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from microlith.imaging.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    import pandas
    import pyvista
    from numpy.typing import ArrayLike, NDArray

    from mpi4py.MPI import Intracomm

    from microlith.imaging.typing import Array
    from microlith.meshing.fidelity.report import FidelityReport
    from microlith.workflow.analysis.analysis import Analysis
    from microlith.workflow.case.case import Case as CheckedCase
    from microlith.workflow.comparison.comparison import Comparison
    from microlith.workflow.estimate.estimate import Estimate
    from microlith.workflow.fit.fitted import Fit
    from microlith.workflow.run.solved import Solved
    from microlith.workflow.studies.diffusivity_tensor import DiffusivityTensor
    from microlith.workflow.studies.effective_diffusivity import EffectiveDiffusivity
    from microlith.workflow.studies.study import Study


@dataclass(frozen=True, eq=False, repr=False)
class Case:
    """A case, with all checked that can be without its image. Made by `load_case` or `case`; never changed in place."""

    tables: Mapping[str, Any]  # as in a case file
    path: Path  # of the case file, or a name in its place; files are looked for beside it
    image: "NDArray[np.integer[Any]] | None" = None  # ([z,] y, x) labels, in place of a file
    _checked: "CheckedCase" = field(init=False)

    def __post_init__(self) -> None:
        """Check it.

        Raises:
            InputError: Something in it is wrong.
        """
        object.__setattr__(self, "_checked", self._as("time" in self.tables))

    def _as(self, transient: bool, check_memory: bool = True) -> "CheckedCase":
        from microlith.workflow.case.read import case_of

        return replace(case_of(self.tables, self.path, transient, self.image), check_memory=check_memory)

    def __repr__(self) -> str:
        """Title and phases."""
        return f"<Case {self.title!r}: {', '.join(self.phases)}>"

    @property
    def title(self) -> str:
        """Of the case file, or its name."""
        return self._checked.title

    @property
    def phases(self) -> tuple[str, ...]:
        """Names of the phases."""
        return tuple(labels.name for labels in self._checked.labels)

    @property
    def regions(self) -> tuple[str, ...]:
        """Names of the regions; of an image of regions its table's name."""
        return tuple(self._checked.regions)

    def with_(
        self, changes: Mapping[str, Any] | None = None, *, image: "NDArray[np.integer[Any]] | None" = None
    ) -> "Case":
        """The case with some keys changed, or with another image.

        Args:
            changes: Dotted key of the case file -> new value, None to take the key away.
            image: ([z,] y, x) labels, in place of the file; [image] voxel_size has to be there.

        Raises:
            InputError: A key is none, or the changed case is wrong.

        >>> import microlith as ml
        >>> case = ml.load_case("cases/slab/case.toml").with_({"time.end": "50 s", "time.snapshots": None})
        >>> float(ml.run(case).times[-1])
        50.0
        """
        from microlith.workflow.case.changes import changed

        return Case(changed(self.tables, changes or {}), self.path, self.image if image is None else image)


def load_case(path: str | Path) -> Case:
    """Read and check a case file; its image is not looked at yet.

    Args:
        path: Of the TOML file.

    Raises:
        InputError: The file can't be read, or something in it is wrong.

    >>> import microlith as ml
    >>> ml.load_case("cases/slab/case.toml").phases
    ('electrolyte', 'slab')
    """
    from microlith.workflow.case.toml_file import read_toml

    path = Path(path)
    return Case(read_toml(path), path)


def case(
    tables: Mapping[str, Any],
    *,
    image: "NDArray[np.integer[Any]] | None" = None,
    folder: str | Path = ".",
) -> Case:
    """A case from a mapping with the tables and keys of a case file.

    Args:
        tables: Table -> key -> value; quantities are text with a unit, as in a case file.
        image: ([z,] y, x) labels, in place of [image] file; [image] voxel_size has to be there.
        folder: Where files that the case names are looked for.

    Raises:
        InputError: Something in it is wrong.

    >>> import microlith as ml, numpy as np
    >>> labels = np.ones((8, 40), int)
    >>> labels[:, :4] = 0
    >>> case = ml.case(
    ...     {
    ...         "image": {"voxel_size": "25 nm"},
    ...         "phases": {
    ...             "pore": {"label": 0, "role": "source", "concentration": "1 mol/L"},
    ...             "binder": {"label": 1, "role": "transport", "diffusivity": "1e-14 m^2/s"},
    ...         },
    ...         "time": {"end": "100 s"},
    ...     },
    ...     image=labels,
    ... )
    >>> result = ml.run(case)
    >>> round(float(result.curves["binder"][-1]) / 1000, 3)
    0.961
    """
    return Case(dict(tables), Path(folder) / "case", image)


@dataclass(frozen=True, eq=False)
class Check:
    """What can be known of a case without solving it."""

    shape: tuple[int, ...]  # voxels, ([z,] y, x), after crop and coarsen
    voxel_size: tuple[float, ...]  # m, ([z,] y, x)
    shares: dict[str, float]  # phase -> share of the image
    method: str  # that makes the mesh
    degree: int  # of the elements


def check(case: Case) -> Check:
    """Hold a case against its image; serial.

    Raises:
        InputError: The image can't be read, or the case does not fit it.

    >>> import microlith as ml
    >>> found = ml.check(ml.load_case("cases/slab/case.toml"))
    >>> found.method, found.degree
    ('fitted', 2)
    """
    from math import prod

    from microlith.workflow.prepare import assemble

    found = assemble.check(case._as(True))
    volume = found.volume
    shares = {name: count / prod(volume.shape) for name, count in zip(volume.names, volume.counts, strict=True)}
    degree = found.case.degree
    assert degree is not None  # set by check
    return Check(volume.shape, volume.voxel_size, shares, found.case.mesh.method, degree)


def estimate(case: Case, ranks: int = 1) -> "Estimate":
    """Tell what a run of a case will take, before anything is made; serial.

    Args:
        case: The case.
        ranks: On which it is to run.

    Raises:
        InputError: The image can't be read, the case does not fit it, or there are no such numbers of ranks.

    >>> import microlith as ml
    >>> found = ml.estimate(ml.load_case("cases/slab/case.toml"), ranks=2)
    >>> found.ranks, 500 < found.unknowns < 1200, found.memory_per_rank < 1e9
    (2, True, True)
    """
    from microlith.workflow.estimate import estimate as estimating

    if ranks < 1:
        raise InputError(f"ranks: expected a whole number from 1 on, got {ranks}")
    return estimating.estimate(case._as(True), ranks)


@dataclass(frozen=True, eq=False)
class MeshOfCase:
    """The mesh of the phases that are solved for."""

    method: str  # that made it
    cells: int  # over all ranks
    grid: "pyvista.UnstructuredGrid"  # cells of this rank, points in µm; cell data `phase`, field data `phases`
    report: "FidelityReport | None"  # how it differs from the image; on rank 0


def mesh(case: Case, output: str | Path | None = None, comm: "Intracomm | None" = None) -> MeshOfCase:
    """Mesh the image of a case; collective.

    Args:
        case: What to mesh and how.
        output: File to write the mesh of all phases to: .vtkhdf (for [mesh] file), .msh, .vtu, .xdmf, .inp, .bdf or
            .med.
        comm: The ranks that share the mesh; None: all.

    Raises:
        InputError: The case, its image or the file is at fault.

    >>> import microlith as ml
    >>> found = ml.mesh(ml.load_case("cases/slab/case.toml"))
    >>> found.method, found.grid.n_cells == found.cells
    ('fitted', True)
    """
    from mpi4py import MPI

    from microlith.workflow.prepare import assemble
    from microlith.workflow.results.grid import grid_of_cells

    comm = MPI.COMM_WORLD if comm is None else comm
    meshed = assemble.mesh(case._as("time" in case.tables), None if output is None else Path(output), comm, show=False)
    return MeshOfCase(meshed.method, meshed.cells, grid_of_cells(meshed.mesh), meshed.report)


@dataclass(frozen=True)
class RegionResult:
    """What there is to quote of one region. An error is ±, in time and space, as far as they were estimated."""

    final: float  # mean concentration at the end, mol/m^3
    final_error: float | None  # mol/m^3
    t50: float | None  # s, when its mean is first at 50 % of what drives it; 0: from the start; None: not until the end
    t50_error: float | None  # s; None: there is no t50, or the curve ends as near to 50 % as its error
    t90: float | None  # s, the same of 90 %
    t90_error: float | None  # s
    t50_falling: float | None  # s, when one that starts at 50 % or above first falls below that
    t50_falling_error: float | None  # s
    holds: float | None  # mol/m^3, the largest mean that it has, or would have in equilibrium
    error: float | None  # largest error of its curve from a thousandth of the end on, per `holds`
    early_error: float | None  # the same of all times before


@dataclass(frozen=True, eq=False, repr=False)
class Result:
    """What a run found, from memory or from its folder."""

    title: str
    times: "Array"  # (n,) s
    curves: "dict[str, Array]"  # region -> (n,) mean concentration, mol/m^3
    errors: "dict[str, Array]"  # region -> (n,) estimated error of it in time and space, mol/m^3
    snapshots: "Array"  # (k,) s
    summary: dict[str, Any]  # as in summary.json
    _field: "Callable[[float], pyvista.UnstructuredGrid]"
    _write: Callable[[Path, bool], None]

    def __repr__(self) -> str:
        """Title, regions and times."""
        return f"<Result {self.title!r}: {', '.join(self.curves)}; {self.times[0]:g} to {self.times[-1]:g} s>"

    @property
    def regions(self) -> dict[str, RegionResult]:
        """Region -> its last value, t50 and t90, each with its error.

        >>> import microlith as ml
        >>> found = ml.run(ml.load_case("cases/slab/case.toml")).regions["slab"]
        >>> abs(found.t50 - 19.6732) < found.t50_error < 0.01
        True
        """
        return {name: _region(entries) for name, entries in self.summary["regions"].items()}

    def frame(self) -> "pandas.DataFrame":
        """The curves as a table of pandas: a row a time (s), a column a region (mol/m^3).

        Raises:
            InputError: pandas is not installed.
        """
        try:
            import pandas
        except ImportError as error:
            raise InputError("a frame needs pandas; install it, or take curves and times") from error
        return pandas.DataFrame(self.curves, index=pandas.Index(self.times, name="time_s"))

    def field(self, time: float) -> "pyvista.UnstructuredGrid":
        """The concentration at a time: point data `concentration` in mol/m^3, points in µm, cell data `phase`.

        On several ranks each gets its own cells. A result from a folder knows the snapshots only.

        Args:
            time: s, from 0 to the end of the run.

        Raises:
            InputError: There is none at that time, or the file can't be read.

        >>> import microlith as ml
        >>> result = ml.run(ml.load_case("cases/slab/case.toml"))
        >>> round(float(result.field(12.34)["concentration"].max()))
        1000
        """
        return self._field(float(time))

    def write(self, folder: str | Path, force: bool = False) -> None:
        """Leave in a folder what the command `run` does; collective.

        Args:
            folder: The result folder.
            force: Whether the results of an earlier run are overwritten.

        Raises:
            InputError: The folder can't be written, or the result is one from a folder.
        """
        self._write(Path(folder), force)


def _region(entries: Mapping[str, Any]) -> RegionResult:
    """A region's entry of summary.json; one of an earlier version lacks some."""
    error = entries.get("error", {})
    return RegionResult(
        final=entries["final"],
        final_error=entries.get("final_error"),
        t50=entries["t50_s"],
        t50_error=entries.get("t50_error_s"),
        t90=entries["t90_s"],
        t90_error=entries.get("t90_error_s"),
        t50_falling=entries.get("t50_falling_s"),
        t50_falling_error=entries.get("t50_falling_error_s"),
        holds=entries.get("holds_mol_per_m3"),
        error=error.get("largest"),
        early_error=error.get("early"),
    )


def run(
    case: Case,
    output: str | Path | None = None,
    *,
    force: bool = False,
    comm: "Intracomm | None" = None,
    check_memory: bool = True,
) -> Result:
    """Mesh and solve a case; collective. All ranks get the same curves.

    Args:
        case: What to do.
        output: Folder for the results, as the command leaves them; None: nothing is written.
        force: Whether the results of an earlier run in it are overwritten.
        comm: The ranks that share the work; None: all.
        check_memory: Whether to refuse what would not fit into the memory that is free.

    Raises:
        InputError: The case, its image or the folder is at fault.

    >>> import microlith as ml
    >>> result = ml.run(ml.load_case("cases/slab/case.toml"))
    >>> round(result.summary["regions"]["slab"]["t50_s"], 2)
    19.67
    """
    from mpi4py import MPI

    from microlith.workflow.run.pipeline import run as run_into
    from microlith.workflow.run.solved import solved

    comm = MPI.COMM_WORLD if comm is None else comm
    checked = case._as(True, check_memory)
    found = solved(checked, comm) if output is None else run_into(checked, Path(output), force, comm)
    return _result(found, comm)


def _result(found: "Solved", comm: "Intracomm") -> Result:
    """A run as a result; collective."""
    import numpy as np

    from microlith.workflow.results.grid import grid_of
    from microlith.workflow.results.json_file import plain
    from microlith.workflow.run.pipeline import leave
    from microlith.workflow.run.summary import summary

    def field(time: float) -> "pyvista.UnstructuredGrid":
        end = found.case.time.end
        if not 0 <= time <= end:
            raise InputError(f"there is no concentration at {time:g} s: the run goes from 0 to {end:g} s")
        concentration = found.transient.concentration(time)
        return grid_of(found.ready.meshed.mesh, found.ready.problem.display.space, concentration)

    return Result(
        title=found.case.title,
        times=found.transient.times,
        curves=dict(found.transient.curves),
        errors=found.errors,
        snapshots=np.array(found.case.time.snapshots),
        summary=comm.bcast(plain(summary(found, comm))),
        _field=field,
        _write=lambda folder, force: leave(found, folder, force, comm),
    )


def open_results(folder: str | Path) -> Result:
    """Open what a run left in a folder; serial.

    Raises:
        InputError: There are no results of a run in it, or they can't be read.

    >>> import microlith as ml
    >>> result = ml.open_results(slab)
    >>> result.field(result.snapshots[-1]).n_points > 100
    True
    """
    import numpy as np

    from microlith.workflow.results.folder import CURVES, FIELDS
    from microlith.workflow.results.read import load_results, read_curves, read_errors, read_summary

    folder = Path(folder)
    summary = read_summary(folder)
    times, curves = read_curves(folder / CURVES)
    errors = read_errors(folder)
    snapshots = load_results(folder).times if (folder / FIELDS).exists() else np.empty(0)

    def field(time: float) -> "pyvista.UnstructuredGrid":
        near = np.flatnonzero(np.isclose(snapshots, time, rtol=1e-9, atol=0.0))
        if not near.size:
            known = ", ".join(f"{t:g}" for t in snapshots)
            there = f"the snapshots at {known} s" if known else "no snapshots"
            raise InputError(f"{folder}: holds {there} and no concentration at {time:g} s; run the case again for it")
        return load_results(folder).grid(int(near[0]))

    def write(*_: object) -> None:
        raise InputError(f"{folder}: these results lie in a folder already; copy it")

    return Result(str(summary["case"]["title"] or ""), times, curves, errors, snapshots, summary, field, write)


@dataclass(frozen=True, eq=False)
class SweptCase:
    """One case of a sweep."""

    name: str  # of its folder
    changes: Mapping[str, Any]  # dotted key -> value, all that were set
    status: str  # "done" or "failed"
    message: str  # of one that failed
    folder: Path  # of its results

    @property
    def result(self) -> Result:
        """What it found.

        Raises:
            InputError: It failed.
        """
        if self.status != "done":
            raise InputError(f"{self.name}: {self.message or 'this case is not done'}")
        return open_results(self.folder)


def sweep(
    case: Case,
    output: str | Path,
    values: "Mapping[str, Sequence[Any]] | Sequence[Mapping[str, Any]] | None" = None,
    *,
    force: bool = False,
    comm: "Intracomm | None" = None,
) -> tuple[SweptCase, ...]:
    """Run many cases that differ in some keys, one after the other in this process; collective.

    Called again, it goes on with those that are not done. A case that fails does not stop the others.

    Args:
        case: What all have in common; its image is in a file.
        output: Folder of the sweep, as the command leaves it.
        values: Dotted key -> its values, each combination of which is a case; or a mapping of keys to values for each
            case, perhaps with its "name"; None: the case's own [sweep].
        force: Whether cases are done anew that were made from another state of the case.
        comm: The ranks that share each case; None: all.

    Raises:
        InputError: The case, the values or the folder is at fault, or no case can be right.

    >>> import microlith as ml, tempfile
    >>> case = ml.load_case("cases/slab/case.toml").with_({"mesh.estimate": False, "mesh.size_max": "100 nm"})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     slow, fast = ml.sweep(case, folder, {"phases.slab.diffusivity": ["1e-14 m^2/s", "4e-14 m^2/s"]})
    ...     ratio = slow.result.regions["slab"].t50 / fast.result.regions["slab"].t50
    >>> fast.name, fast.status, round(ratio, 2)
    ('diffusivity=4e-14_m2_per_s', 'done', 4.0)
    """
    from mpi4py import MPI

    from microlith.imaging.parallel.collective import on_first_rank
    from microlith.workflow.sweep.cases import sweep_of
    from microlith.workflow.sweep.record import refuse_foreign, refuse_other
    from microlith.workflow.sweep.sweep import sweep as run_all

    comm = MPI.COMM_WORLD if comm is None else comm
    folder = Path(output)
    if case.image is not None:
        raise InputError("a sweep takes its image from a file; write the labels to one and name it in [image] file")
    tables = dict(case.tables)
    if values is not None:
        tables["sweep"] = {"grid": dict(values)} if isinstance(values, Mapping) else {"list": [*map(dict, values)]}

    def ready() -> Any:
        refuse_foreign(folder, force)
        found = sweep_of(tables, case.path, (), folder)
        refuse_other(folder, found.plan, case.path, force)
        return found, found.waiting(force)

    found, waiting = on_first_rank(comm, ready)
    return tuple(
        SweptCase(
            row.variation.name,
            row.variation.changes,
            row.status,
            row.record.message if row.record else "",
            folder / row.variation.name,
        )
        for row in run_all(found, waiting, 1, comm, here=True)
    )


def compare(
    results: "Mapping[str, str | Path | Sequence[str | Path]]",
    output: str | Path,
    *,
    reference: str | None = None,
    force: bool = False,
) -> "Comparison":
    """Put the results of several states side by side, in a table, pictures and a page; serial.

    Args:
        results: Name of each state, with its results: folders of runs and analyses, JSON files of `deff`.
        output: Folder for the files.
        reference: Name of the state that others are compared to; None: the first.
        force: Whether an earlier comparison in the folder is overwritten.

    Raises:
        InputError: Results can't be read or compared, or the folder can't be written.

    >>> import microlith as ml
    >>> found = ml.compare({"one": slab, "the same": slab}, slab / "comparison")
    >>> [row.changes[1].exceeds for row in found.rows if row.name == "slab: t50"]
    [False]
    """
    from microlith.workflow.comparison import compare as comparing

    pairs = [
        (name, Path(path))
        for name, given in results.items()
        for path in ([given] if isinstance(given, str | Path) else given)
    ]
    return comparing.compare(pairs, Path(output), reference, force)


def export(folder: str | Path, path: str | Path, time: float | None = None, phases: Sequence[str] = ()) -> None:
    """Write what a run left in a folder to a file of another program; serial. A file that is there is overwritten.

    Args:
        folder: The results.
        path: The file; its ending is .vtu, .xdmf (fields), .vtp, .stl, .glb (surfaces), .tif, .nrrd (concentrations at
            the voxels of the image, mol/m^3), .msh, .inp, .bdf or .med (mesh). Lengths in it are in µm.
        time: s, of a snapshot; None: the last one, in .xdmf all.
        phases: Names of solved phases; none: all.

    Raises:
        InputError: There are no such results, snapshots or phases, or the file can't be written.

    >>> import microlith as ml
    >>> ml.export(slab, slab / "slab.tif")
    >>> (slab / "slab.tif").stat().st_size > 1000
    True
    """
    from microlith.workflow.export import export as exports

    exports.export(Path(folder), Path(path), time, phases=phases)


def report(folder: str | Path) -> str:
    """The report of what `run`, `converge`, `deff`, `fit` or `analyze` left in a folder: HTML that needs nothing else.

    Args:
        folder: The results; or a JSON file of `deff`.

    Raises:
        InputError: There are no such results, or they can't be read.

    >>> import microlith as ml
    >>> ml.report(slab).startswith("<!DOCTYPE html>")
    True
    """
    from microlith.workflow.report.of_folder import folder_page

    return folder_page(Path(folder))[0].html()


def effective_diffusivity(
    case: Case,
    phase: str | Sequence[str],
    axes: Sequence[str] = (),
    comm: "Intracomm | None" = None,
    *,
    half_voxel: bool = False,
    check_memory: bool = True,
) -> "EffectiveDiffusivity":
    """The effective diffusivity of one phase of a case or of several, between opposite faces of the image; collective.

    Args:
        case: Image, phases and mesh of it count; [time] may be missing.
        phase: Name of the phase; its role does not matter. Or names of several phases with diffusivities, which conduct
            together, with the interfaces of the case between them.
        axes: Any of "x", "y" and "z"; none means all that the image has.
        comm: The ranks that share the work; None: all.
        half_voxel: Whether to find it also with the surface of the phases half a voxel farther in and out (`half_voxel`
            of what it returns).
        check_memory: Whether to refuse what would not fit into the memory that is free.

    Raises:
        InputError: The case, its image, the phase or an axis is at fault.

    Three diffusivities are in what it returns: `bulk`, the case file's; `in_phase`, which is that with porosity and
    effective-medium model; `value(along)`, that of the image along an axis, `along.relative` times `in_phase`. Of
    several phases these are the first one's. `along.lower` is a lower bound, where `along.relative` is an upper one.

    >>> import microlith as ml
    >>> found = ml.effective_diffusivity(ml.load_case("cases/slab/case.toml"), "slab", "y")
    >>> [(along.axis, round(along.relative, 4)) for along in found.along]
    [('y', 0.9615)]
    """
    from mpi4py import MPI

    from microlith.workflow.studies import effective_diffusivity as studies

    ranks = MPI.COMM_WORLD if comm is None else comm
    return studies.effective_diffusivity(case._as(False, check_memory), phase, axes, ranks, half_voxel=half_voxel)


def effective_diffusivity_tensor(
    case: Case, phase: str | Sequence[str], comm: "Intracomm | None" = None, *, check_memory: bool = True
) -> "DiffusivityTensor":
    """The tensor of effective diffusivity of an image that repeats along all its axes; collective.

    Args:
        case: Image, phases and mesh of it count; [time] may be missing.
        phase: Name of the phase; its role does not matter. Or names of several phases with diffusivities, which conduct
            together, with the interfaces of the case between them.
        comm: The ranks that share the work; None: all.
        check_memory: Whether to refuse what would not fit into the memory that is free.

    Raises:
        InputError: The case, its image or the phase is at fault.

    `relative` is D_eff / D_phase, x first, `values` D_eff in m²/s, `found.principal` principal values and axes.

    >>> import numpy as np
    >>> import microlith as ml
    >>> labels = np.array([[1, 1, 0, 0], [1, 1, 0, 0]])
    >>> tables = {"image": {"voxel_size": "10 nm"}, "mesh": {"method": "voxel"}}
    >>> tables["phases"] = {"solid": {"label": 0, "role": "barrier"}, "liquid": {"label": 1, "role": "barrier"}}
    >>> ml.effective_diffusivity_tensor(ml.case(tables, image=labels), "liquid").relative.round(3).tolist()
    [[0.0, 0.0], [0.0, 0.5]]
    """
    from mpi4py import MPI

    from microlith.workflow.studies import diffusivity_tensor as studies

    ranks = MPI.COMM_WORLD if comm is None else comm
    return studies.diffusivity_tensor(case._as(False, check_memory), phase, ranks)


def analyze(
    case: Case,
    output: str | Path | None = None,
    *,
    deff: bool = False,
    force: bool = False,
    comm: "Intracomm | None" = None,
    check_memory: bool = True,
) -> "Analysis":
    """Measure the image of a case; collective. All ranks get the same numbers and tables.

    Args:
        case: Image, phases and [analysis] of it count; [time] may be missing.
        output: Folder for figures, tables and pictures, as the command leaves them; None: nothing is written.
        deff: Whether to find effective diffusivities, too, of the phases in [analysis] deff, else of the pores and of
            the phases that transport.
        force: Whether the results of an earlier analysis in it are overwritten.
        comm: The ranks that share the work; None: all.
        check_memory: Whether to refuse what would not fit into the memory that is free.

    Raises:
        InputError: The case, its image or the folder is at fault.

    >>> import microlith as ml
    >>> case = ml.load_case("cases/slab/case.toml").with_({"analysis.measure": ["volume_fractions"]})
    >>> number = ml.analyze(case).numbers["volume_fraction.slab"]
    >>> round(number.value, 4), number.unit
    (0.9615, '1')
    """
    from mpi4py import MPI

    from microlith.workflow.analysis import analyze as analysis
    from microlith.workflow.measurements.subject import with_deff

    comm = MPI.COMM_WORLD if comm is None else comm
    checked = case._as(False, check_memory)
    checked = with_deff(checked) if deff else checked
    if output is None:
        return analysis.analyzed(checked, comm)
    return analysis.analyze(checked, Path(output), force, show=False, comm=comm)


def fit(
    case: Case,
    data: "str | Path | Mapping[str, ArrayLike]",
    vary: Mapping[str, str],
    output: str | Path | None = None,
    *,
    starts: int | None = None,
    force: bool = False,
    comm: "Intracomm | None" = None,
) -> "Fit":
    """Find values of a case from measured curves, by least squares, with 95 % intervals; collective.

    Args:
        case: With regions of the names of the measured curves.
        data: CSV file, or name of a column -> its values, with the names that a header has: "time_s" or "time (min)",
            names of regions, perhaps with a unit as in "slab (mol/L)", and of their standard deviations, "slab sd". nan
            where there is nothing.
        vary: Dotted key of the case file -> where to look for its value, "1e-15 m^2/s .. 1e-12 m^2/s".
        output: Folder for the results, as the command leaves them; None: nothing is written.
        starts: Points within the ranges to begin with; None: 6 for each key.
        force: Whether the results of an earlier fit in it are overwritten.
        comm: The ranks that share each solve; None: all.

    Raises:
        InputError: The case, the data, a key or the folder is at fault.

    >>> import microlith as ml
    >>> measured = {"time (s)": [5, 10, 20, 40], "slab": [252, 357, 504, 698]}
    >>> case = ml.load_case("cases/slab/case.toml").with_({"mesh.size_max": "100 nm"})
    >>> found = ml.fit(case, measured, {"phases.slab.diffusivity": "1e-15 m^2/s .. 1e-13 m^2/s"})
    >>> low, high = found.estimates[0].interval
    >>> bool(0.9e-14 < low < high < 1.1e-14)
    True
    """
    from mpi4py import MPI

    from microlith.workflow.fit.fit import fit as fit_into
    from microlith.workflow.fit.fitted import fitted
    from microlith.workflow.fit.subject import subject_of

    comm = MPI.COMM_WORLD if comm is None else comm
    given = data if isinstance(data, Mapping) else Path(data)
    subject = subject_of(case.tables, case.path, given, vary, case.image)
    if output is None:
        return fitted(subject, starts, comm)
    return fit_into(subject, Path(output), force, starts, show=False, comm=comm)


def converge(
    case: Case,
    levels: int | None = None,
    error: float | None = None,
    segmentation: "str | tuple[str | Path, str | Path] | None" = None,
    comm: "Intracomm | None" = None,
) -> "Study":
    """Solve a case on meshes finer and finer, and tell its errors from them; collective.

    Args:
        case: What to study.
        levels: Number of meshes; None: 3, of cubes 2.
        error: Error in space for which the study says what element sizes it takes; None: it does not.
        segmentation: Phase whose interfaces are moved by half a voxel either way, "": all between solved and unsolved
            phases; or two label images that have them moved either way, such as those of `segment`; None: none.
        comm: The ranks that share the work; None: all.

    Raises:
        InputError: The case, its image or the phase is at fault.

    >>> import microlith as ml
    >>> study = ml.converge(ml.load_case("cases/slab/case.toml").with_({"mesh.size_max": "100 nm"}), levels=2)
    >>> float(study.regions["slab"].space.max()) < 0.01
    True
    """
    from mpi4py import MPI

    from microlith.workflow.studies.converge import studied
    from microlith.workflow.studies.options import moved_of

    comm = MPI.COMM_WORLD if comm is None else comm
    checked = case._as(True)
    words = segmentation if isinstance(segmentation, tuple) or segmentation is None else (segmentation,)
    return studied(checked, levels, error, moved_of(checked, words), comm)


@dataclass(frozen=True, eq=False, repr=False)
class Segmented:
    """What a segmentation found; arrays are on rank 0 only, as a segmentation has no ranks of its own afterwards."""

    phases: dict[str, int]  # name -> label
    voxel_size: tuple[float, ...]  # m, ([z,] y, x)
    labels: "NDArray[np.uint8] | None"  # ([z,] y, x)
    margin: "NDArray[np.uint8] | None"  # ([z,] y, x) %, how far each voxel is from belonging to another phase
    moved: "dict[str, tuple[NDArray[np.uint8], NDArray[np.uint8]]]"  # phase -> labels with it smaller, and larger
    report: dict[str, Any]  # as in segment.json

    def __repr__(self) -> str:
        """Phases and their shares."""
        shares = (f"{name} {100 * phase['volume_fraction']:.2f} %" for name, phase in self.report["phases"].items())
        return f"<Segmented {self.report['title']!r}: {', '.join(shares)}>"


def segment(
    source: "str | Path | Mapping[str, Any]",
    output: str | Path | None = None,
    *,
    image: "NDArray[Any] | None" = None,
    scribbles: "NDArray[np.integer[Any]] | None" = None,
    folder: str | Path = ".",
    force: bool = False,
    comm: "Intracomm | None" = None,
) -> Segmented:
    """Make labels of an image of grey values; collective.

    Args:
        source: A segmentation file, or a mapping with its tables and keys.
        output: Folder for the results, as the command leaves them; None: nothing is written.
        image: ([z,] y, x) grey values, in place of [image] file; [image] voxel_size has to be there.
        scribbles: ([z,] y, x) labels of painted voxels, 0 elsewhere, in place of [segmentation] scribbles.
        folder: Where files that a mapping names are looked for.
        force: Whether the results of an earlier segmentation in it are overwritten.
        comm: The ranks that share the work; None: all. They all see the folder for temporary files.

    Raises:
        InputError: The file, its image or the folder is at fault.

    >>> import microlith as ml, numpy as np
    >>> grey = np.random.default_rng(0).normal(60, 10, (8, 40, 40))
    >>> grey[:, :, 20:] += 80
    >>> found = ml.segment(
    ...     {
    ...         "image": {"voxel_size": "25 nm"},
    ...         "filters": {"median": 1},
    ...         "segmentation": {"phases": ["pore", "solid"], "method": "otsu"},
    ...     },
    ...     image=grey,
    ... )
    >>> found
    <Segmented 'segment': pore 50.00 %, solid 50.00 %>
    >>> found.labels[0, 0, 18:22]
    array([1, 1, 2, 2], dtype=uint8)
    """
    from mpi4py import MPI

    from microlith.workflow.case.toml_file import read_toml
    from microlith.workflow.segment.read import request_of
    from microlith.workflow.segment.run import segment as segment_into, without_files

    comm = MPI.COMM_WORLD if comm is None else comm
    if isinstance(source, Mapping):
        tables, path = dict(source), Path(folder) / "segment"
    else:
        path = Path(source)
        tables = read_toml(path)
    request = request_of(tables, path, image, scribbles)
    arrays: dict[str, Any] = {}

    def kept(found: Any) -> None:
        arrays["labels"] = found.as_image(found.labels) + 1
        arrays["margin"] = found.as_image(found.margin)
        arrays["moved"] = {
            name: (found.as_image(pair.smaller) + 1, found.as_image(pair.larger) + 1)
            for name, pair in found.moved.items()
        }

    if output is None:
        report = without_files(request, kept, comm)
    else:
        report = segment_into(request, Path(output), force, show=False, comm=comm, seen=kept)
    phases = {name: phase["label"] for name, phase in report["phases"].items()}
    size = tuple(report["voxel_size_m"])
    return Segmented(phases, size, arrays.get("labels"), arrays.get("margin"), arrays.get("moved", {}), report)
