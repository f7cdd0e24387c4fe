"""How long the page takes in Chromium until its first table is there, and until a filter has acted on all that is in sight."""

import statistics
import time
from pathlib import Path
from typing import NamedTuple

from playwright.sync_api import sync_playwright

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking")
TABLE = '[data-table="main"]'
ROW = f"{TABLE} tbody tr[data-row]"

FILTER = f"""
() => new Promise((done) => {{
  const table = document.querySelector('{TABLE}');
  const box = document.querySelector('.filters details.axis .values input');
  const began = performance.now();
  new MutationObserver((_, watcher) => {{
    watcher.disconnect();
    requestAnimationFrame(() => setTimeout(() => done(performance.now() - began)));
  }}).observe(table, {{ childList: true, subtree: true, characterData: true }});
  box.click();
}})
"""
"""Clicks the first box of the first filter. Gives the milliseconds until the main table has changed and is painted."""


class Opening(NamedTuple):
    """Medians of several openings."""

    table_s: float
    """From the start of loading until the main table has rows."""
    ready_s: float
    """Until all of the page is in its place."""
    filter_ms: float


def measure_opening(page_file: Path, times: int) -> Opening:
    """Open a page several times, each time in a browser without a cache."""
    tables, ready, filters = [], [], []
    with sync_playwright() as started:
        for _ in range(times):
            browser = started.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
            page = browser.new_page(viewport={"width": 1300, "height": 900})
            began = time.perf_counter()
            page.goto(page_file.absolute().as_uri(), wait_until="commit", timeout=120_000)
            page.wait_for_selector("html[data-ready]", state="attached", timeout=120_000)
            ready.append(time.perf_counter() - began)
            # Tables far below are drawn when they come near.
            page.locator(TABLE).scroll_into_view_if_needed()
            page.wait_for_selector(ROW, timeout=120_000)
            tables.append(time.perf_counter() - began)
            filters.append(page.evaluate(FILTER))
            browser.close()
    return Opening(*map(statistics.median, (tables, ready, filters)))
