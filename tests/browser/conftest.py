"""The report in a real browser: one page, made once by the real functions, and one browser for all tests."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from beside import made_once
from report_pages import finished_grid, payload_of

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking")

playwright = pytest.importorskip("playwright.sync_api")


@pytest.fixture(scope="session")
def page_folder(tmp_path_factory) -> Path:
    """`report.html`, with its answers inside, and `folder/report.html`, with its answers in files beside it."""

    def make(folder: Path) -> None:
        grid = finished_grid(folder)
        grid.write_page(folder / "report.html")
        (folder / "folder").mkdir()
        grid.write_page(folder / "folder" / "report.html", answers_in="folder")

    return made_once("report_pages", tmp_path_factory, make)


@pytest.fixture(scope="session")
def payload(page_folder) -> dict[str, Any]:
    return payload_of((page_folder / "report.html").read_text())


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    if not CHROMIUM.exists():
        pytest.skip(f"there is no {CHROMIUM}")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def opened(browser, page_folder) -> Iterator[Callable[..., Any]]:
    """Opens the page at an address; afterwards there was no error, and nothing was asked of a network."""
    contexts, faults = [], []

    def open_page(address: str = "", file: str = "report.html", width: int = 1300, scheme: str = "light") -> Any:
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, accept_downloads=True)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.on("console", lambda message: message.type == "error" and faults.append(message.text))
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("request", lambda request: local(request.url) or faults.append(f"asked for {request.url}"))
        page.goto((page_folder / file).as_uri() + address)
        page.wait_for_selector("html[data-ready]", state="attached")
        return page

    def local(url: str) -> bool:
        return url.startswith(("data:", "blob:", page_folder.as_uri()))

    yield open_page
    for context in contexts:
        context.close()
    assert not faults
