"""The browser that tests of reports and of the viewer use: it runs scripts of local pages, and needs no network."""

from browser import browser

PAGE = """<!doctype html><meta charset="utf-8"><title>before</title><p id="sum"></p>
<canvas id="c" width="40" height="40"></canvas>
<script>
document.title = "after";
document.getElementById("sum").textContent = [1, 2, 3].reduce((a, b) => a + b) + " µm";
const canvas = document.getElementById("c").getContext("2d");
canvas.fillStyle = "rgb(10, 200, 30)";
canvas.fillRect(0, 0, 40, 40);
</script>"""


def test_a_local_page_with_a_script(tmp_path):
    page = tmp_path / "report [1] µ.html"
    page.write_text(PAGE, encoding="utf-8")
    with browser(tmp_path) as chrome:
        chrome.get(page.as_uri())
        assert chrome.title == "after"
        assert chrome.find_element("id", "sum").text == "6 µm"
        script = "return [...document.getElementById('c').getContext('2d').getImageData(5, 5, 1, 1).data]"
        assert chrome.execute_script(script) == [10, 200, 30, 255]
        assert chrome.save_screenshot(str(tmp_path / "seen.png"))
        assert not [entry for entry in chrome.get_log("browser") if entry["level"] == "SEVERE"]
    assert (tmp_path / "seen.png").stat().st_size > 1000


def test_no_network(tmp_path):
    """A page that takes something from the network is found out."""
    page = tmp_path / "page.html"
    page.write_text('<script src="http://example.org/script.js"></script>', encoding="utf-8")
    with browser(tmp_path) as chrome:
        chrome.get(page.as_uri())
        severe = [entry["message"] for entry in chrome.get_log("browser") if entry["level"] == "SEVERE"]
        assert any("ERR_NAME_NOT_RESOLVED" in message for message in severe)
