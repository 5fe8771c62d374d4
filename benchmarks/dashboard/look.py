"""What a browser makes of a page: first paint, bytes, and where it asked for them."""

from __future__ import annotations

import shutil
import statistics
from typing import Any
from urllib.parse import urlsplit

LOOKS = 3
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
PAINT = "performance.getEntriesByName('first-contentful-paint')[0].startTime"


def look(address: str, pages: dict[str, str]) -> dict[str, dict[str, Any]]:
    """Each page in a browser that has seen none before, three times. Parts of pages are left out.
    Raises ``FileNotFoundError`` where there is no Chromium."""
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        raise FileNotFoundError("There is no Chromium here: apt-get install chromium")
    found = {}
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        for name, path in pages.items():
            if not path.endswith("/live"):
                found[name] = _looks(browser, address, path)
        browser.close()
    return found


def _looks(browser: Any, address: str, path: str) -> dict[str, Any]:
    paints, weights, hosts = [], [], set()
    for _ in range(LOOKS):
        context = browser.new_context()
        page = context.new_page()
        session = context.new_cdp_session(page)
        session.send("Network.enable")
        sizes: list[float] = []
        session.on(
            "Network.loadingFinished", lambda event, to=sizes: to.append(event["encodedDataLength"])
        )
        page.on("request", lambda request: hosts.add(urlsplit(request.url).netloc))
        page.goto(address + path, wait_until="load")
        page.wait_for_function(f"() => Boolean({PAINT.replace('.startTime', '')})")
        paints.append(page.evaluate(PAINT))
        weights.append(sum(sizes) / 1024)
        context.close()
    return {
        "first_contentful_paint_ms": round(statistics.median(paints), 1),
        "weight_kib": round(max(weights), 1),
        "other_hosts": sorted(hosts - {urlsplit(address).netloc}),
    }
