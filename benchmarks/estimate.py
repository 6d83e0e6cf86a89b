"""How near `microlith estimate` comes to what runs take: cells, unknowns, solves, memory, CPU seconds, disk.

    python benchmarks/estimate.py measure FILE [--set SET] [--only NAME ...] [--ranks N] [--folder DIR]
    python benchmarks/estimate.py compare FILE [--set SET] [--only NAME ...] [--ranks N] [--folder DIR]

`measure` runs each case of a set in a process of its own and adds what came out to FILE (JSON; what it has already is
not run again). `compare` estimates these cases and prints a table of measured figures and ratios, estimated over
measured, and which of them are outside a factor of 1.5. The constants of workflow/estimate are fitted to the set
`training` and, as benchmarks/README.md says, to runs of others; `held-out` has images of other kinds and, where
../shared/data is there, third-party ones; `cases` has all case files of the project whose images are there. With
`--folder` what is made for the cases is kept there.
"""

import argparse
import json
import logging
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from estimate_sets import SETS

from microlith.workflow.case.read import load_case
from microlith.workflow.estimate.estimate import estimate

FACTOR = 1.5

# --- measuring ---


# What each rank does: the command, and a file with what it took
RANK = """
import json, resource, sys
from pathlib import Path
from mpi4py import MPI
from microlith.imaging.parallel.machine import peak_memory
from microlith.workflow.cli import main
from microlith.workflow.rendering.renderer import drawing_memory
status = main(sys.argv[2:])
own = peak_memory()
usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
seconds = sum(each.ru_utime + each.ru_stime for each in usages)
text = json.dumps({"memory": own + drawing_memory(), "own": own, "cpu_s": seconds})
Path(sys.argv[1], f"rank-{MPI.COMM_WORLD.rank}.json").write_text(text)
sys.exit(status)
"""


def measured(case: Path, folder: Path, ranks: int = 1) -> dict[str, Any] | None:
    """What a run takes; None where it fails."""
    output = folder / "out"
    command = [sys.executable, "-c", RANK, str(folder), "-q", "run", str(case), "-o", str(output), "--force"]
    if ranks > 1:
        command = ["mpirun", "-n", str(ranks), *command]
    # This process has started MPI itself, and mpirun would take itself for a part of it.
    own = ("OMPI_MCA_btl", "OMPI_ALLOW", "PMIX_SYSCONFDIR")
    started = {key for key in os.environ if key.startswith(("OMPI_", "PMIX_")) and not key.startswith(own)}
    environment = {key: value for key, value in os.environ.items() if key not in started}
    if subprocess.run(command, stdout=subprocess.DEVNULL, check=False, env=environment).returncode != 0:
        return None
    summary = json.loads((output / "summary.json").read_text())
    took = [json.loads((folder / f"rank-{rank}.json").read_text()) for rank in range(ranks)]
    return {
        "cells": summary["cells"],
        "unknowns": summary["unknowns"],
        "solves": summary["solver"]["solves"],
        "iterations": summary["solver"]["inner_iterations"],
        "linear": summary["solver"]["method"],
        "effort": {key: summary["solver"].get(key) for key in ("steps", "rejected", "failures", "set_ups")},
        "degree": summary["solver"]["degree"],
        "method": summary["case"]["mesh"]["method"],
        "tolerance": summary["case"]["time"]["tolerance"],
        "space": summary["error"]["space"],
        "stages": summary["cpu_timings_s"],
        "cpu_s": sum(each["cpu_s"] for each in took),
        "memory": max(each["memory"] for each in took),
        "memory of the ranks": [each["own"] for each in took],
        "memory of all": sum(each["memory"] for each in took),
        "disk": sum(path.stat().st_size for path in output.rglob("*") if path.is_file()),
        "files": {path.name: path.stat().st_size for path in output.rglob("*") if path.is_file()},
    }


def key_of(name: str, ranks: int) -> str:
    """Under which a set is kept in a file."""
    return name if ranks == 1 else f"{name} on {ranks} ranks"


@contextmanager
def kept_in(folder: Path | None) -> Iterator[Path]:
    """A folder for what is made: one that is kept, or one for now."""
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        yield folder.resolve()
        return
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def measure(options: argparse.Namespace) -> None:
    """Run the cases of a set."""
    kept = json.loads(options.file.read_text()) if options.file.exists() else {}
    key = key_of(options.set, options.ranks)
    with kept_in(options.folder) as folder, tempfile.TemporaryDirectory() as name:
        for case, path in SETS[options.set](folder).items():
            if case in kept.get(key, {}) or (options.only and case not in options.only):
                continue
            found = measured(path, Path(name), options.ranks)
            print(
                case, "failed" if found is None else f"{found['cells']:,} cells, {found['cpu_s']:.1f} CPU s", flush=True
            )
            if found is not None:
                kept.setdefault(key, {})[case] = found
                options.file.write_text(json.dumps(kept, indent=1) + "\n")


# --- comparing ---

FIGURES = {
    "cells": "cells",
    "unknowns": "unknowns",
    "solves": "solves",
    "memory": "memory_per_rank",
    "memory of all": "memory",
    "cpu_s": "cpu_seconds",
    "disk": "disk",
}  # measured -> of the estimate
SHOWN: dict[str, Callable[[float], str]] = {
    "cells": "{:,}".format,
    "unknowns": "{:,}".format,
    "solves": "{:,}".format,
    "memory": lambda value: f"{value / 1e6:,.0f} MB",
    "memory of all": lambda value: f"{value / 1e6:,.0f} MB",
    "cpu_s": "{:.1f}".format,
    "disk": lambda value: f"{value / 1e6:.1f} MB",
}


def compare(options: argparse.Namespace) -> None:
    """Estimate cases and print a table of measured figures with ratios, estimated over measured."""
    logging.disable(logging.WARNING)
    kept = json.loads(options.file.read_text()).get(key_of(options.set, options.ranks), {})
    figures = {name: field for name, field in FIGURES.items() if name != "memory of all" or options.ranks > 1}
    print("| case | " + " | ".join(figures) + " | estimated in |\n|" + " --- |" * (len(figures) + 2))
    outside: dict[str, list[str]] = {name: [] for name in figures}
    with kept_in(options.folder) as folder:
        found = SETS[options.set](folder).items()
        cases = {case: path for case, path in found if case in kept and not (options.only and case not in options.only)}
        for case, path in cases.items():
            start = time.process_time()
            found = estimate(load_case(path), options.ranks)
            seconds = time.process_time() - start
            cells = []
            for figure, field in figures.items():
                ratio = getattr(found, field) / kept[case][figure]
                mark = "**" if not 1 / FACTOR <= ratio <= FACTOR else ""
                if mark:
                    outside[figure].append(f"{case} ({ratio:.2f})")
                cells.append(f"{SHOWN[figure](kept[case][figure])}, {mark}{ratio:.2f}{mark}")
            print(f"| {case} | " + " | ".join(cells) + f" | {seconds:.1f} s |", flush=True)
    for figure, names in outside.items():
        inside = len(cases) - len(names)
        print(f"{figure}: {inside} of {len(cases)} within {FACTOR}; outside: {', '.join(names) or 'none'}")


def main() -> None:
    """Measure or compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    for name, command in (("measure", measure), ("compare", compare)):
        one = commands.add_parser(name)
        one.add_argument("file", type=Path)
        one.add_argument("--set", choices=SETS, default="training")
        one.add_argument("--only", nargs="*")
        one.add_argument("--ranks", type=int, default=1)
        one.add_argument("--folder", type=Path)
        one.set_defaults(command=command)
    options = parser.parse_args()
    options.command(options)


if __name__ == "__main__":
    main()
