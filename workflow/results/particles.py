"""What is known of particles, as a file and as an entry of the summary."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from microlith.workflow.prepare.particle_surfaces import ParticleTable
from microlith.workflow.results.folder import write_text

Array = NDArray[np.float64]


def write_particles(path: Path, title: str, tables: Sequence[ParticleTable]) -> None:
    """Write particles.csv: three comment lines (title, version, columns), a header, and one row per particle.

    What is not known or never happens is empty.

    Args:
        path: The file; it appears whole or not at all.
        title: Of the case.
        tables: Of the regions; where there are several, the first column names them.

    Raises:
        InputError: The file can't be written.
    """
    from importlib.metadata import version

    dim = tables[0].center.shape[1]
    size, surface = {2: ("area_m2", "surface_m"), 3: ("volume_m3", "surface_m2")}[dim]
    axes = [f"{axis}_m" for axis in "xyz"[:dim]]
    text = io.StringIO()
    text.write(f"# {' '.join(title.split())}\n")
    text.write(f"# microlith {version('microlith')}\n")
    text.write(
        f"# {size}, {axes[0]} ...: size and middle of each particle in the image; diameter_m: of a "
        f"{'disk' if dim == 2 else 'sphere'} as large; on_frame: 1 where the image's frame cuts it; source_distance_m: "
        f"of its surface to the nearest source's, in a straight line; {surface}: what of its surface faces solved "
        "phases; facing: as a share of all that is not on the frame; t50_s, t90_s: when the mean over this surface "
        "first reaches 50 and 90 % of the largest concentration that drives the case (of what is in equilibrium with "
        "it, where concentrations jump); "
        f"at each snapshot: mean, std (standard deviation), min and max over this surface in mol/m^3, active: share "
        f"of it above {' and '.join(dict.fromkeys(f'{t.shape.threshold:g}' for t in tables))} of that; "
        "empty: never, or nothing to measure\n"
    )
    several = len(tables) > 1
    rows = csv.writer(text, lineterminator="\n")
    moments = [f"{moment:.6g}s" for moment in tables[0].snapshots]
    kinds = ("mean", "std", "min", "max", "active")
    head = ["region"] if several else []
    head += ["id", size, "diameter_m", *axes, "on_frame", "source_distance_m", surface, "facing", "t50_s", "t90_s"]
    rows.writerow(head + [f"{kind}_{moment}" for moment in moments for kind in kinds])
    for table in tables:
        state = [column for s in table.states for column in (s.mean, s.deviation, s.least, s.most, s.active)]
        columns = [table.measure, table.diameter, *table.center.T, table.on_frame, table.distance, table.surface]
        columns += [table.facing, table.t50, table.t90, *state]
        for i, row in enumerate(np.stack([np.asarray(c, np.float64) for c in columns], axis=1), 1):
            shown = [f"{value:.8g}" if np.isfinite(value) else "" for value in row]
            rows.writerow([*([table.region] if several else []), i, *shown])
    write_text(path, text.getvalue())


def particle_summary(table: ParticleTable) -> dict[str, Any]:
    """Entry of summary.json about the particles of one region; quantiles are over particles with a surface to solve at.

    A quantile is None where that particle is never reached.
    """
    there = table.surface > 0
    whole = max(float(table.surface.sum()), 1e-300)

    def quantiles(times: Array) -> dict[str, float | None]:
        ordered = np.sort(times[there])
        found = {}
        for name, share in (("p10", 0.1), ("median", 0.5), ("p90", 0.9)):
            place = max(0, int(np.ceil(share * len(ordered))) - 1)
            value = float(ordered[place]) if len(ordered) else np.inf
            found[name] = value if np.isfinite(value) else None
        return found

    return {
        "phase": table.shape.phase,
        "threshold": table.shape.threshold,
        "count": len(table.numbers),
        "count_with_surface": int(np.count_nonzero(there)),
        "count_never_half": int(np.count_nonzero(there & np.isinf(table.t50))),
        "active_fraction": {
            f"{moment:.6g} s": float(np.nansum(state.active * table.surface) / whole)
            for moment, state in zip(table.snapshots, table.states, strict=True)
        },
        "t50_s": quantiles(table.t50),
        "t90_s": quantiles(table.t90),
    }
