"""A real browser on a real ``tonnage serve``, which may be ended and started again."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from app.service.listen import listen
from tests.app.cli.conftest import QUICK, TONNAGE, marked_processes

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
AXE = Path(__file__).with_name("vendor") / "axe.min.js"
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
COLOUR_RULES = {"type": "rule", "values": ["color-contrast", "link-in-text-block"]}
OF_ONE_PAGE = {"resultTypes": ["violations"], "iframes": False, "preload": False}
WIDTHS = (1920, 1280, 390)
PATIENCE_S = 240.0


@contextlib.contextmanager
def chromium() -> Iterator[object]:
    """The browser; skips where there is none."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine: apt-get install chromium")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


def violations(page: Any) -> list[str]:
    """Of WCAG 2.2 AA, as far as a program can tell, with everything opened that can be: every rule
    in the light, and in the dark those that a colour can break.
    What stands in a frame has an address of its own to be looked at."""
    page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    if not page.evaluate("Boolean(window.axe)"):
        page.evaluate(AXE.read_text())
    found = []
    for theme, rules in (("light", TAGS), ("dark", COLOUR_RULES)):
        page.emulate_media(color_scheme=theme)
        wanted = json.dumps({"runOnly": rules, **OF_ONE_PAGE})
        for each in page.evaluate(f"axe.run({wanted})")["violations"]:
            where = [node["target"] for node in each["nodes"]][:3]
            found.append(f"{theme}: {each['id']}: {each['help']}: {where}")
    return found


def too_wide(page: Any) -> list[str]:
    """Whether the page is wider than the screen."""
    over = page.evaluate(
        "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    )
    return [f"{over} pixels wider than the screen"] if over > 0 else []


class Server:
    """``tonnage serve`` on a port that it keeps, with a data folder of its own. Its workers run in
    ``environment``, a virtual environment."""

    def __init__(self, folder: Path, environment: Path) -> None:
        self.folder = folder
        with contextlib.closing(listen("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        kept = {key: value for key, value in os.environ.items() if not key.startswith("TONNAGE_")}
        self._environment = {
            **kept,
            **QUICK,
            "HOME": str(folder),
            "XDG_CONFIG_HOME": str(folder / "config"),
            "TONNAGE_DATA_DIR": str(folder / "data"),
            "TONNAGE_PROBE__LEASE_DIR": str(folder / "leases"),
            "TONNAGE_SERVICE__EVENT_POLL_S": "0.1",
            "TONNAGE_TEST_MARK": str(folder),
            "VIRTUAL_ENV": str(environment),
        }
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with (self.folder / "serve.log").open("ab") as output:
            self._process = subprocess.Popen(
                [*TONNAGE, "serve", "--port", str(self.port)],
                env=self._environment,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        until_up(self.url)

    def kill(self) -> None:
        """At once, in the middle of whatever it does. The runner lives on."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        self._process = None

    def end(self) -> None:
        """With everything that was started for it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        left = marked_processes(str(self.folder))
        for process in left:
            with contextlib.suppress(psutil.Error):
                process.terminate()
        psutil.wait_procs(left, 30)
        for process in marked_processes(str(self.folder)):
            with contextlib.suppress(psutil.Error):
                process.kill()


def until_up(url: str) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    while True:
        try:
            if httpx.get(f"{url}/healthz", timeout=5).status_code == 200:
                return
        except httpx.HTTPError:
            assert time.monotonic() < deadline_s, "The service did not come up."
            time.sleep(0.1)
