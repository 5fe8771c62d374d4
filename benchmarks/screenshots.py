"""Pictures of every page of the dashboard, light and dark, from real results.

    python -m benchmarks.screenshots                     the handful that the documentation shows
    python -m benchmarks.screenshots --all --output DIR  every page at three widths, to be looked at

Without ``--database`` two small studies of the built-in transformer are run on the CPU first, with
a small memory budget and a scaled window: minutes of real training, once. Ends with status 1 where
a page is wider than its window or the browser complains.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from app.checks import repository as checks
from app.database import Database, open_database
from app.keys import service as keys
from app.measurements import repository as measurements
from app.recommendations import service as recommendations
from app.workloads import repository as workloads

TONNAGE = [sys.executable, "-c", "from app.cli import main; main()"]
CHROMIUM = os.environ.get("TONNAGE_TEST_CHROMIUM", "/usr/bin/chromium")
IMAGES = Path(__file__).parents[1] / "docs" / "images"
THEMES = ("light", "dark")
WIDTHS = (390, 1280, 1920)
COLOURS = 256
"""Of a picture in the documentation: more would only show in the file's size."""
SMALL = ("--option", "vocabulary=128", "--option", "length=32", "--memory-budget", "192MiB")
STUDIES = (
    ("--budget", "prototyping", "--time-scale", "0.05"),
    ("--budget", "smoke_test", "--set", "width=64"),
)
PLANNED = ("64", "100000")
"""Batch sizes that a check is asked of: one that fits, one that does not."""
QUICK = {
    "TONNAGE_PROBE__MEASURE_BUDGET_S": "1",
    "TONNAGE_PROBE__REPEATS_WHEN_DISTURBED": "0",
    "TONNAGE_PROBE__ACCEPT_DISTURBED": "true",
}


@dataclass(frozen=True)
class Shot:
    """A page, and the picture of the documentation it makes, if any."""

    name: str
    path: str
    documented: tuple[str, ...] = ()
    """In which themes."""
    height: int = 900


def pages(database: Database) -> list[Shot]:
    """Every page there is something to show on."""
    shots = [
        Shot("overview", "/", ("light",)),
        Shot("start", "/start?workload=transformer&budget=prototyping"),
        Shot("studies", "/studies"),
        Shot("recommendations", "/recommendations"),
        Shot("checks", "/checks"),
        Shot("workloads", "/workloads"),
        Shot("devices", "/devices"),
        Shot("not-found", "/recommendations/rec_none"),
    ]
    known = recommendations.listing(database, limit=2)
    with database.read() as session:
        known_workloads = workloads.listing(session)
        measured = measurements.page(session, limit=1)
        checked = checks.page(session, limit=1)
    if known:
        newest = known[0]
        shots += [
            Shot("study", f"/studies/{newest.study['id']}", ("light",), 1000),
            Shot("trial", f"/studies/{newest.study['id']}/trials/0"),
            Shot("recommendation", f"/recommendations/{newest.id}", THEMES, 1290),
            Shot("recommendation-older", f"/recommendations/{known[-1].id}"),
            Shot("compare", compared(database, newest, known[-1]), ("light",), 1000),
            Shot("device", f"/devices/{newest.valid['fingerprint']}"),
        ]
    shots += [
        Shot("workload", f"/workloads/{quote(each.reference)}") for each in known_workloads[:1]
    ]
    shots += [Shot("measurement", f"/measurements/{each.id}") for each in measured]
    shots += [Shot("check", f"/checks/{each.id}") for each in checked]
    return shots


def compared(database: Database, newest: Any, other: Any) -> str:
    """The recommended config against an alternative of its study, else against another study."""
    from app.dashboard.views.recommendation import view

    ids = [each.measurement_id for each in view(database, newest).alternatives]
    known = [f"m{number}" for number in ids if number is not None]
    return f"/compare?a={newest.id}&b={(known or [other.id])[0]}"


@contextmanager
def serving(url: str) -> Iterator[str]:
    """The address of a service on this database, until the block ends."""
    command = [*TONNAGE, "serve", "--port", "0", "--json", "--database", url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            lines = []
            for line in process.stdout:
                lines.append(line)
                if line.startswith("}"):
                    break
            yield json.loads("".join(lines))["api"].removesuffix("/v1")
        finally:
            process.terminate()


def take(
    browser: Browser, address: str, width: int, height: int, theme: str
) -> tuple[bytes, list[str]]:
    """The page's picture as PNG, with ``height`` 0 all of it; and what is wrong with it."""
    page = browser.new_page(
        viewport={"width": width, "height": height or 900},
        color_scheme=theme,
        reduced_motion="reduce",
    )
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(address)
    page.wait_for_load_state("load")
    _wait_until_complete(page)
    if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
        said.append("wider than the window")
    taken = page.screenshot(full_page=not height)
    page.close()
    wrong = [text for text in said if "status of 404" not in text]
    return taken, [f"{address} at {width}, {theme}: {text}" for text in wrong]


def _wait_until_complete(page: Page) -> None:
    page.wait_for_function(
        "() => !document.querySelector('#plan')?.textContent.includes('Asking the workload')"
    )
    page.wait_for_function(
        "() => [...document.querySelectorAll('figure[data-chart] .chart-plot')]"
        ".every((plot) => plot.querySelector('canvas'))"
    )
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def shrunk(png: bytes) -> bytes:
    """The same picture in few colours."""
    small = io.BytesIO()
    picture = Image.open(io.BytesIO(png)).convert("RGB")
    # By coverage, not by count: the few pixels of a mark keep their colour.
    few = picture.quantize(COLOURS, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    few.save(small, "PNG", optimize=True)
    return small.getvalue()


def measure(url: str) -> None:
    """Run the studies that are shown, and ask the checks; what is stored is not measured again."""
    environment = {**QUICK, **os.environ}
    for study in STUDIES:
        command = [*TONNAGE, "tune", "transformer", "--device", "cpu", *SMALL, *study]
        subprocess.run(
            [*command, "--database", url], env=environment, check=True, stdout=sys.stderr
        )
    database = open_database(url)
    config = recommendations.listing(database, limit=1)[0].config
    database.close()
    pinned = [part for name, value in config.items() for part in ("--set", f"{name}={value}")]
    for batch_size in PLANNED:
        command = [*TONNAGE, "check", "--workload", "transformer", "--device", "cpu", *SMALL]
        command += [*pinned, "--batch-size", batch_size, "--database", url]
        subprocess.run(command, env=environment, check=False, stdout=sys.stderr)


def save(browser: Browser, service: str, shots: list[Shot], asked: argparse.Namespace) -> list[str]:
    """Every picture that was asked for, in its file; what is wrong with the pages."""
    wrong = []
    for shot in shots:
        if not shot.name.startswith(asked.only or ""):
            continue
        for theme in THEMES if asked.all else shot.documented:
            for width in WIDTHS if asked.all else (1280,):
                height = 0 if asked.all else shot.height
                picture, found = take(browser, service + shot.path, width, height, theme)
                wrong += found
                name = f"{shot.name}-{width}-{theme}" if asked.all else f"{shot.name}-{theme}"
                kept = picture if asked.all else shrunk(picture)
                (asked.output / f"{name}.png").write_bytes(kept)
    return wrong


def save_bare(browser: Browser, url: str, asked: argparse.Namespace) -> list[str]:
    """What a first visitor sees: nothing known yet, and with a key, the login."""
    database = open_database(url)
    with serving(url) as service:
        wrong = save(browser, service, [Shot("overview-empty", "/")], asked)
    keys.create(database, "read")
    with serving(url) as service:
        wrong += save(browser, service, [Shot("login", "/login")], asked)
    database.close()
    return wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--database", help="whose results to show (default: fresh ones)")
    parser.add_argument("--output", type=Path, default=IMAGES)
    parser.add_argument("--all", action="store_true", help="every page, theme and width")
    parser.add_argument("--only", help="pages whose name starts so")
    asked = parser.parse_args()
    asked.output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
        )
        url = asked.database or f"sqlite:///{folder}/tonnage.db"
        if asked.database is None:
            measure(url)
        database = open_database(url)
        with serving(url) as service:
            wrong = save(browser, service, pages(database), asked)
        database.close()
        if asked.all:
            wrong += save_bare(browser, f"sqlite:///{folder}/bare.db", asked)
        browser.close()
    print("\n".join(wrong), file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
