"""Where and when silicon is lithium-rich, x > 3.75, from the results of the sweep.

    python rich.py FOLDER           reads what `microlith sweep` wrote there, and adds rich.csv and rich.png

Times are those at which the largest x of a slice passes 3.75, between those of spread.csv. Shares are exact areas: x is
linear within each triangle, which is cut where it is 3.75.
"""

import argparse
import csv
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.tri import Triangulation

import microlith as ml

PER_X = 83e3  # mol/m^3 of silicon for each x of Li_xSi
RICH = 3.75
SLICES, THICK_UM = 5, 30.0
MOMENTS = "charge", "rest", "half_hour", "discharge"  # of which the four snapshots are the end


def above(values: np.ndarray, level: float) -> np.ndarray:
    """Share of each triangle in which a linear function is above a level, from its values (n, 3) at the corners."""
    low, middle, high = np.sort(values, axis=1).T
    with np.errstate(divide="ignore", invalid="ignore"):
        one = (high - level) ** 2 / ((high - low) * (high - middle))  # the highest corner is above
        two = 1 - (level - low) ** 2 / ((middle - low) * (high - low))  # the lowest is not
    return np.select([high <= level, low >= level, middle <= level], [0.0, 1.0, one], two)


def triangles(result: ml.Result, time: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Corners (points, 2) in um, x at them, and the triangles (n, 3) of silicon."""
    field = result.field(time)
    cells = field.cells.reshape(-1, 4)[:, 1:]
    silicon = list(result.summary["phases"]).index("silicon")
    return field.points[:, :2], field["concentration"] / PER_X, cells[field["phase"] == silicon]


def shares(result: ml.Result, time: float) -> np.ndarray:
    """Share of silicon that is beyond, of all and of the silicon in each slice, by the middles of triangles."""
    points, x, cells = triangles(result, time)
    (ax, ay), (bx, by), (cx, cy) = points[cells].transpose(1, 2, 0)
    area = np.abs((bx - ax) * (cy - ay) - (cx - ax) * (by - ay))
    beyond = area * above(x[cells], RICH)
    number = np.minimum((points[cells, 0].mean(axis=1) / THICK_UM * SLICES).astype(int), SLICES - 1)
    by_slice = np.bincount(number, beyond, SLICES) / np.bincount(number, area, SLICES)
    return np.append(beyond.sum() / area.sum(), by_slice)


def spread(folder: Path) -> dict[str, np.ndarray]:
    """Columns of spread.csv."""
    lines = [line for line in (folder / "spread.csv").read_text().splitlines() if not line.startswith("#")]
    names = next(csv.reader(lines))
    return dict(zip(names, np.loadtxt(lines[1:], delimiter=",").T, strict=True))


def passes(times: np.ndarray, values: np.ndarray, level: float) -> tuple[float, float]:
    """When values rise above a level for the first time and when they fall below it for good; nan where they don't."""
    over = values > level
    if not over.any():
        return np.nan, np.nan
    first, last = int(np.argmax(over)), len(over) - 1 - int(np.argmax(over[::-1]))

    def between(i: int) -> float:
        """Where the straight line from one time to the next is at the level."""
        return times[i] + (level - values[i]) / (values[i + 1] - values[i]) * (times[i + 1] - times[i])

    return between(first - 1) if first else times[0], between(last) if last + 1 < len(times) else np.nan


def rows(name: str, result: ml.Result, folder: Path) -> list[dict[str, float | str]]:
    """One row for all of silicon and one for each slice."""
    columns, moments = spread(folder), result.snapshots[-len(MOMENTS) :]
    found = [shares(result, time) for time in moments]
    table = []
    for number, region in enumerate(("silicon", *(f"depth_{i + 1}" for i in range(SLICES)))):
        first, last = passes(columns["time_s"], columns[f"{region} largest"] / PER_X, RICH)
        row: dict[str, float | str] = {"case": name, "region": region, "first_h": first / 3600, "last_h": last / 3600}
        for moment, time, share in zip(MOMENTS, moments, found, strict=True):
            row[f"x_{moment}"] = np.interp(time, result.times, result.curves[region]) / PER_X
            row[f"beyond_{moment}"] = share[number]
        row["largest_x"] = columns[f"{region} largest"].max() / PER_X
        table.append(row)
    return table


def draw(path: Path, results: dict[str, ml.Result], table: list[dict[str, float | str]]) -> None:
    """The electrode at the end of each charge, the share of rich silicon by depth, and the largest x by time."""
    names = [name for name in results if name.isdigit()]
    figure = plt.figure(figsize=(11, 7.6), layout="constrained")
    axes = figure.subplot_mosaic([names[:2], names[2:], ["depth", "time"]], height_ratios=(1, 1, 1.3))
    colours = dict(zip(names, plt.get_cmap("plasma")(np.linspace(0.05, 0.85, len(names))), strict=True))
    for name in names:
        points, x, cells = triangles(results[name], results[name].snapshots[-len(MOMENTS)])
        mesh = Triangulation(*points.T, cells)
        shown = axes[name].tripcolor(mesh, x, shading="gouraud", vmin=1.5, vmax=RICH)
        axes[name].tricontourf(mesh, x, levels=[RICH, 99.0], colors=["crimson"])
        axes[name].set(aspect="equal", xlim=(0, THICK_UM), ylim=(10, 0), facecolor="0.93")
        axes[name].set(xlabel="distance from the separator / µm", ylabel="y / µm")
        axes[name].set_title(f"{name} % at the end of charge; red: x > {RICH}", fontsize=10)
    figure.colorbar(shown, ax=[axes[name] for name in names], label="x of Li$_x$Si")
    middle = (np.arange(SLICES) + 0.5) * THICK_UM / SLICES
    for name, style in [*((name, "o-") for name in names), *((name, "s:") for name in results if name not in names)]:
        mine = [row for row in table if row["case"] == name and row["region"] != "silicon"]
        label, colour = (f"{name} %", colours[name]) if name in names else (name.replace("-", " "), None)
        shades = {"90-no-jump": "0.45", "90-wide-pores": "0.7"}
        beyond = [100 * row["beyond_charge"] for row in mine]
        axes["depth"].plot(middle, beyond, style, color=shades.get(name, colour), label=label)
    for name in names:
        columns = spread(path.parent / name)
        for region, style in (("depth_1", "-"), ("depth_5", "--")):
            largest = columns[f"{region} largest"] / PER_X
            axes["time"].plot(columns["time_s"] / 3600, largest, style, color=colours[name])
    axes["depth"].set(xlabel="distance from the separator / µm", ylabel=f"silicon with x > {RICH} / %")
    axes["depth"].set_title("at the end of charge", fontsize=10)
    axes["depth"].set_ylim(-5, 140)
    axes["depth"].legend(fontsize=8, ncols=3, loc="upper right")
    axes["time"].axhline(RICH, color="crimson", linewidth=0.8)
    axes["time"].set(xlabel="time / h", ylabel="largest x")
    axes["time"].set_title("0 to 6 µm (full lines) and 24 to 30 µm (dashed) from the separator", fontsize=10)
    figure.savefig(path, dpi=150)


def main(folder: Path) -> None:
    """Read, write and print."""
    names = [path.parent.name for path in sorted(folder.glob("*/summary.json"))]
    results = {name: ml.open_results(folder / name) for name in sorted(names, key=lambda name: (len(name), name))}
    table = [row for name, result in results.items() for row in rows(name, result, folder / name)]
    with (folder / "rich.csv").open("w", newline="") as file:
        file.write(
            "# x of Li_xSi, and share of silicon with x > 3.75 (beyond), at the end of charge, of rest, of half an\n"
        )
        file.write("# hour of discharge, and of discharge; first_h, last_h: when a part of the region is beyond\n")
        writer = csv.DictWriter(file, table[0])
        writer.writeheader()
        writer.writerows(table)
    draw(folder / "rich.png", results, table)
    print("x, and share beyond 3.75, at the end of charge, rest, half an hour of discharge, discharge")
    print(f"{'case':>14} {'region':>8} {'first, h':>9} {'last, h':>8}")
    for row in table:
        told = "   ".join(f"{row[f'x_{at}']:.3f} {100 * row[f'beyond_{at}']:5.1f} %" for at in MOMENTS)
        print(f"{row['case']:>14} {row['region']:>8} {row['first_h']:9.3f} {row['last_h']:8.3f}   {told}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Find where silicon is lithium-rich in the results of the sweep.")
    parser.add_argument("folder", type=Path, help="that `microlith sweep` wrote")
    main(parser.parse_args().folder)
