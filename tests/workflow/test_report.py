"""The report of a run: what it says, that text from cases is text, and what a browser shows of it."""

import json
import re

import numpy as np
import pytest
from browser import browser
from made_cases import run_case, write_case

from mpi4py import MPI

from microlith.imaging.errors import InputError
from microlith.workflow.cli import main
from microlith.workflow.report.of_run import run_page
from microlith.workflow.report.page import Page, Series

HOSTILE = "<script>document.title='taken'</script>"


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """The small case with a title that would do something on a page."""
    path = write_case(tmp_path_factory.mktemp("report"), more='[analysis]\nmeasure = ["volume_fractions", "chords"]\n')
    path.write_text(f'title = "{HOSTILE} & Co"\n' + re.sub(r"^title.*\n", "", path.read_text(), flags=re.M))
    return run_case(path, comm=MPI.COMM_SELF)


def test_page_is_self_contained_and_whole(results):
    page = (results / "report.html").read_text(encoding="utf-8")
    assert page == run_page(results).html()
    assert not re.search(r"(src|href)=[\"']?(http|//|file)", page)
    assert HOSTILE not in page
    for section in ("Regions", "Curves", "Fluxes and balance", "Profiles", "Snapshots", "Mesh against image", "Errors"):
        assert f">{section}</h2>" in page, section
    assert page.count("data:image/png;base64,") == len(list(results.glob("snapshot-*.png")))
    assert "@media print" in page


def test_command_writes_it_again(results, tmp_path, capsys):
    (results / "report.html").unlink()
    assert main(["-q", "report", str(results)]) == 0
    assert (results / "report.html").is_file()
    assert main(["-q", "report", str(results), "-o", str(tmp_path / "page.txt")]) == 2
    assert main(["-q", "report", str(tmp_path / "none")]) == 2
    assert "no such folder" in capsys.readouterr().err


def test_summary_of_another_kind_is_refused(results, tmp_path):
    for name in ("summary.json", "curves.csv", "errors.csv"):
        (tmp_path / name).write_bytes((results / name).read_bytes())
    text = (tmp_path / "summary.json").read_text().replace('"mass_balance"', '"balance"')
    (tmp_path / "summary.json").write_text(text)
    with pytest.raises(InputError, match=r"can't be shown .*mass_balance.*run the case again"):
        run_page(tmp_path)
    (tmp_path / "summary.json").write_bytes((results / "summary.json").read_bytes())
    (tmp_path / "curves.csv").unlink()
    expected = (
        r"^\S+curves\.csv: can't be read as the curves of a run \(No such file or directory\); run the case again$"
    )
    with pytest.raises(InputError, match=expected):  # and not within another sentence
        run_page(tmp_path)


@pytest.fixture(scope="module")
def studies(results, tmp_path_factory):
    """Command -> what `analyze`, `converge` and `deff` leave of the same case in folders of their own."""
    folder, path = tmp_path_factory.mktemp("studies"), str(results.parent / "case.toml")
    given = {"analyze": [], "converge": ["--levels", "2"], "deff": ["--phase", "sei"]}
    for command, more in given.items():
        assert main(["-q", command, path, *more, "-o", str(folder / command)]) == 0
    return {command: folder / command for command in given}


SHOWN = {
    "analyze": ("volume_fraction.sei", "What was asked", "No warnings."),
    "converge": ("Error in space", "observed order", "with its error in space and time", "phases · sei · "),
    "deff": ("Effective diffusivity of sei", "tortuosity factor τ", "MacMullin number", "D_phase, m²/s", "mesh: cells"),
}


@pytest.mark.parametrize("command", SHOWN)
def test_studies_have_one_too(studies, command):
    folder = studies[command]
    page = (folder / "report.html").read_text(encoding="utf-8")
    for words in SHOWN[command]:
        assert words in page, words
    assert HOSTILE not in page
    assert not re.search(r"(src|href)=[\"']?(http|//|file)", page)
    assert (page.count('class="chart"') > 0) == (command != "deff")
    assert page.count("data:image/png;base64,") == len(list(folder.glob("*.png")))
    assert main(["-q", "report", str(folder)]) == 0
    assert (folder / "report.html").read_text(encoding="utf-8") == page


def test_numbers_of_an_analysis_are_in_units_that_people_say(studies, tmp_path):
    """They were in SI units, 4.4e+11 per square metre."""
    for path in studies["analyze"].iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    entries = json.loads((tmp_path / "analysis.json").read_text())
    number = {"value": 4.4e11, "error": 2e10, "unit": "1/m^2", "definition": "points"}
    entries["numbers"] = {"triple": number, "chord": number | {"value": 1.2e-6, "error": None, "unit": "m"}}
    (tmp_path / "analysis.json").write_text(json.dumps(entries))
    assert main(["-q", "report", str(tmp_path)]) == 0
    rows = re.findall(r"<tr>(.*?)</tr>", (tmp_path / "report.html").read_text(encoding="utf-8"))
    cells = [re.sub(r"<[^>]*>", " ", row).split() for row in rows]
    assert ["triple", "0.44", "0.02", "1/µm²", "points"] in cells
    assert ["chord", "1.2", "–", "µm", "points"] in cells


def test_report_beside_a_file_of_deff(studies, tmp_path, capsys):
    path = tmp_path / "sei.json"
    path.write_bytes((studies["deff"] / "deff.json").read_bytes())
    assert main(["-q", "report", str(path)]) == 0
    assert "tortuosity factor" in (tmp_path / "sei.html").read_text(encoding="utf-8")
    path.write_text("{}")
    assert main(["-q", "report", str(path), "--force"]) == 2
    assert "can't be shown" in capsys.readouterr().err
    (tmp_path / "case.toml").touch()
    assert main(["-q", "report", str(tmp_path / "case.toml")]) == 2
    assert "case.toml: this is a case file, expected results" in capsys.readouterr().err


def test_browser_draws_the_curves(results, studies, tmp_path):
    """Curves with bands; zooming changes the axis, pointing reads off, and nothing of the title is run."""
    from selenium.webdriver import ActionChains
    from selenium.webdriver.common.by import By

    with browser(tmp_path) as chrome:
        chrome.get((results / "report.html").as_uri())
        assert chrome.title == f"{HOSTILE} & Co"
        assert not chrome.get_log("browser")
        chart = chrome.find_element(By.CSS_SELECTOR, "#chart1 svg")
        regions = (results / "curves.csv").read_text().splitlines()[3].split(",")[1:]
        curves = chart.find_elements(By.CSS_SELECTOR, ".curve")
        assert [curve.get_attribute("data-name") for curve in curves] == regions
        assert len(chart.find_elements(By.CSS_SELECTOR, ".band")) == len(regions)
        before = [text.text for text in chart.find_elements(By.TAG_NAME, "text")]
        chrome.execute_script("arguments[0].scrollIntoView({block: 'center'})", chart)
        ActionChains(chrome).move_to_element_with_offset(chart, -100, -60).click_and_hold().move_by_offset(
            180, 120
        ).release().perform()
        assert [text.text for text in chart.find_elements(By.TAG_NAME, "text")] != before
        assert f"{regions[0]}: " in chrome.find_element(By.CSS_SELECTOR, "#chart1 .readout").text
        chrome.find_element(By.CSS_SELECTOR, "#chart1 .bar button:nth-of-type(2)").click()
        assert [text.text for text in chart.find_elements(By.TAG_NAME, "text")] == before
        chrome.find_element(By.CSS_SELECTOR, "#chart1 .legend button").click()
        assert len(chart.find_elements(By.CSS_SELECTOR, ".curve")) == len(regions) - 1
        for command, drawn in (("analyze", 1), ("converge", len(regions)), ("deff", 0)):
            chrome.get((studies[command] / "report.html").as_uri())
            assert len(chrome.find_elements(By.CSS_SELECTOR, "svg .curve")) >= drawn
            assert chrome.find_elements(By.TAG_NAME, "td")
            assert not chrome.get_log("browser")


def test_browser_draws_numbers_that_can_be_read(tmp_path):
    """Rounding filled the height of a chart, all numbers beside it the same; the last one below was cut off."""
    from selenium.webdriver.common.by import By

    page, x = Page("level"), np.arange(4.0)
    for low, high in ((1 - 2e-5, 1 + 2e-5), (0.9, 1.1)):
        page.chart("", "depth", "tortuosity", [Series("a", x, np.array([low, high, low, high]))])
    page.chart("", "time (s)", "c", [Series("a", np.array([1e11, 1e17]), x[:2])], log=True)
    (tmp_path / "page.html").write_text(page.html(), encoding="utf-8")
    with browser(tmp_path) as chrome:
        chrome.get((tmp_path / "page.html").as_uri())
        curves = chrome.find_elements(By.CSS_SELECTOR, "svg .curve")
        heights = [
            np.ptp([float(point.split(",")[1]) for point in curve.get_attribute("points").split()]) for curve in curves
        ]
        assert heights[0] < 1.0 < 100.0 < heights[1]
        drawing = chrome.find_element(By.CSS_SELECTOR, "#chart3 svg").rect
        along = chrome.find_elements(By.CSS_SELECTOR, "#chart3 text")
        assert any(text.text == "1e+17" for text in along)
        assert all(text.rect["x"] + text.rect["width"] <= drawing["x"] + drawing["width"] + 0.5 for text in along)
        numbers = [text.text for text in chrome.find_elements(By.CSS_SELECTOR, "#chart1 text[text-anchor=end]")]
        assert len(set(numbers)) == len(numbers) > 2
