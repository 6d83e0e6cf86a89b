"""A browser without a window, for tests of pages that a script draws."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from places import PROJECT

TOOLS = PROJECT / "runtime" / "tools"
# No sandbox, as tests may run as root; no shared memory, which containers have little of; and no word to anybody.
ARGUMENTS = (
    *("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--window-size=1200,900"),
    *("--use-angle=swiftshader", "--enable-unsafe-swiftshader"),  # WebGL by the processor
    *(
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    ),
)


@contextmanager
def browser(folder: Path) -> Iterator[Any]:
    """Selenium's driver of Chromium: `get(url)`, `find_element`, `execute_script`, `save_screenshot`.

    It is the system's, or the one that `runtime/tools/run true` fetches, as .ci/run does; without either the test is
    skipped. It finds no other machine by name, so that a page which needs the network fails.

    Args:
        folder: For the browser's own files; a test's tmp_path.
    """
    webdriver = pytest.importorskip("selenium.webdriver", reason="Selenium is not installed")
    options = webdriver.ChromeOptions()
    for argument in (*ARGUMENTS, f"--user-data-dir={folder / 'browser'}"):
        options.add_argument(argument)
    driver = shutil.which("chromedriver")
    if driver is None:
        driver = str(TOOLS / "chromedriver")
        # Not Debian's script in front of it, which reads settings below /etc: there are the host's.
        options.binary_location = "/usr/lib/chromium/chromium"
        done = subprocess.run([driver, "--version"], capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"there is no Chromium here: {done.stderr.strip()}")
    chrome = webdriver.Chrome(options=options, service=webdriver.ChromeService(executable_path=driver))
    try:
        yield chrome
    finally:
        chrome.quit()
