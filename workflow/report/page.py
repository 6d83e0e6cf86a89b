"""One HTML file that needs nothing else: headings, tables, charts to zoom, pictures. All text in it is escaped."""

import base64
import html
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from microlith.imaging.typing import Array

DIGITS = 6  # of the numbers of charts
SHOWN = 10  # curves of a chart that are drawn at first: the others are there to click on
MOST_SERIES = 60  # curves of a chart


@dataclass(frozen=True, eq=False)
class Series:
    """One curve, with a band around it where there is one."""

    name: str
    x: Array  # (n,)
    y: Array  # (n,) nan where it is not known
    low: Array | None = None  # (n,)
    high: Array | None = None
    points: bool = False  # whether it is markers and no line
    colour: str = ""  # such as "#1f77b4"; empty: the next of a few


@dataclass(frozen=True)
class Cell:
    """A cell of a table that is more than its text."""

    text: str
    about: str = ""  # shown where one points at it
    bold: bool = False
    link: str = ""  # to a file beside the page, as an address has it


class Page:
    """A page that grows from top to bottom."""

    def __init__(self, title: str, below: str = "") -> None:
        """Begin.

        Args:
            title: Of the page.
            below: A line below it.
        """
        self._title = title
        self._below = below
        self._parts: list[str] = []
        self._sections: list[str] = []
        self._charts = 0
        self._scenes = 0

    def section(self, name: str) -> None:
        """Begin a section, which the top of the page links to."""
        self._sections.append(name)
        self._parts.append(f'<h2 id="s{len(self._sections)}">{html.escape(name)}</h2>')

    def heading(self, text: str) -> None:
        """A heading within a section."""
        self._parts.append(f"<h3>{html.escape(text)}</h3>")

    def text(self, text: str, kind: str = "") -> None:
        """A paragraph; kind: "", "quiet", "warning" or "wrong"."""
        self._parts.append(f'<p class="{kind}">{html.escape(text)}</p>' if kind else f"<p>{html.escape(text)}</p>")

    def table(self, head: Sequence[str], rows: Iterable[Sequence[str | Cell]], caption: str = "") -> None:
        """A table; what is no number in it stands on the left of its cell."""
        said = f"<caption>{html.escape(caption)}</caption>" if caption else ""
        top = "".join(f"<th>{html.escape(name)}</th>" for name in head)
        body = "\n".join(f"<tr>{''.join(_cell(cell) for cell in row)}</tr>" for row in rows)
        self._parts.append(
            f'<div class="wide"><table>{said}<thead><tr>{top}</tr></thead><tbody>\n{body}\n</tbody></table></div>'
        )

    def picture(self, path: Path, caption: str, kind: str = "picture") -> None:
        """A PNG file, held in the page; kind: a word for scripts."""
        data = base64.b64encode(path.read_bytes()).decode()
        said = html.escape(caption)
        image = f'<img alt="{said}" src="data:image/png;base64,{data}">'
        self._parts.append(f'<figure class="{kind}">{image}<figcaption>{said}</figcaption></figure>')

    def chart(
        self,
        title: str,
        x_label: str,
        y_label: str,
        series: Sequence[Series],
        *,
        log: bool = False,
        shown: int = SHOWN,
    ) -> None:
        """Curves, of which the page draws the first ones and has the others to click on."""
        self._charts += 1
        data = {
            "title": title,
            "x_label": x_label,
            "x_name": x_label.partition(" (")[0],
            "y_label": y_label,
            "log": log,
            "shown": shown,
            "series": [_entries(one) for one in series[:MOST_SERIES]],
        }
        numbers = json.dumps(data, ensure_ascii=False, allow_nan=False).replace("<", "\\u003c")
        if title:
            self.heading(title)
        self._parts.append(
            f'<div class="chart" id="chart{self._charts}"><script type="application/json">{numbers}</script></div>'
        )
        if len(series) > MOST_SERIES:
            self.text(f"{len(series) - MOST_SERIES} more curves are in the files.", "quiet")

    def scene(self, path: Path) -> None:
        """Surfaces to turn, from scene.json; without WebGL the page shows the last snapshot in their place.

        Raises:
            ValueError: The file is no JSON.
        """
        self._scenes += 1
        numbers = json.dumps(json.loads(path.read_text(encoding="utf-8")), ensure_ascii=False, allow_nan=False)
        numbers = numbers.replace("<", "\\u003c")
        self._parts.append(f'<div class="scene"><script type="application/json">{numbers}</script></div>')

    def html(self) -> str:
        """All of it."""
        here = files("microlith.workflow.report")
        style = (here / "page.css").read_text(encoding="utf-8")
        used = [*(["chart.js"] if self._charts else []), *(["scene.js"] if self._scenes else [])]
        scripts = "".join(f"<script>{(here / name).read_text(encoding='utf-8')}</script>" for name in used)
        links = "".join(f'<a href="#s{i}">{html.escape(name)}</a>' for i, name in enumerate(self._sections, start=1))
        title = html.escape(self._title)
        body = "\n".join(self._parts)
        return f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title}</title><style>{style}</style></head>
<body><h1>{title}</h1>
<p class="quiet">{html.escape(self._below)}</p>
<nav>{links}</nav>
{body}
{scripts}</body></html>
"""


def said(value: object, digits: int = 4) -> str:
    """A value of a JSON file in words: numbers to some digits, a dash for what there is none of."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.{digits}g}".replace("-", "−")
    if isinstance(value, list | tuple):
        return ", ".join(said(one, digits) for one in value) or "–"
    if isinstance(value, dict):
        return "; ".join(f"{key} {said(one, digits)}" for key, one in value.items()) or "–"
    return str(value)


def _cell(of: str | Cell) -> str:
    cell = of if isinstance(of, Cell) else Cell(of)
    number = cell.text[:1].isdigit() or cell.text[:1] in "−–+ "
    kinds = [*([] if number else ["text"]), *(["exceeds"] if cell.bold else [])]
    kind = ' class="' + " ".join(kinds) + '"' if kinds else ""
    about = f' title="{html.escape(cell.about)}"' if cell.about else ""
    text = html.escape(cell.text)
    text = f'<a href="{html.escape(cell.link)}">{text}</a>' if cell.link else text
    return f"<td{kind}{about}>{text}</td>"


def _entries(series: Series) -> dict[str, object]:
    found: dict[str, object] = {"name": series.name, "x": _numbers(series.x), "y": _numbers(series.y)}
    found |= {"points": True} if series.points else {}
    if series.low is not None and series.high is not None:
        found |= {"low": _numbers(series.low), "high": _numbers(series.high)}
    if series.colour:
        found["colour"] = series.colour
    return found


def _numbers(values: Array) -> list[float | None]:
    return [float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None for value in values]
