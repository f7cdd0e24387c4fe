"""The page as a whole: everything is drawn, by keyboard and for all eyes."""

import pytest
from axe_playwright_python.sync_playwright import Axe

from report_pages import whole_table

HASH = "#at=answers&task=challenge"


def read_through(page):
    """Go through the page to its end, so that all of it is there."""
    page.evaluate("""async () => {
        for (let at = 0; at < document.documentElement.scrollHeight; at += 500) {
            scrollTo(0, at);
            await new Promise((resolve) => setTimeout(resolve, 30));
        }
    }""")


def test_every_figure_of_the_payload_is_drawn_where_a_section_has_its_place(opened, payload):
    page = opened()
    figures = {figure["id"] for figure in payload["figures"]}
    assert len(figures) > 5
    read_through(page)
    for name in figures:
        page.locator(f'[data-figure="{name}"] .plot svg, [data-figure="{name}"] .plot canvas').first.wait_for()
    assert page.locator("[data-figure]").count() == len(figures)


def test_a_figure_is_saved_as_drawn(opened, payload):
    page = opened()
    name = payload["figures"][0]["id"]
    figure = page.locator(f'[data-figure="{name}"]')
    figure.scroll_into_view_if_needed()
    figure.locator(".plot svg, .plot canvas").first.wait_for()
    with page.expect_download() as saved:
        figure.get_by_role("button", name="SVG").click()
    assert saved.value.suggested_filename == f"{name}.svg"
    assert saved.value.path().read_text().startswith("<svg")
    with page.expect_download() as saved:
        figure.get_by_role("button", name="CSV").click()
    rows = saved.value.path().read_text().splitlines()
    assert len(rows) >= 1 + len(next(iter(payload["figures"][0]["rows"].values())))


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1300, 390])
def test_axe_finds_nothing_serious(opened, scheme, width):
    page = opened(HASH, width=width, scheme=scheme)
    page.locator("article.answer").first.wait_for()
    place = whole_table(page, "main")
    place.get_by_role("button", name="Show more of this row").first.click()
    read_through(page)
    found = Axe().run(page).response["violations"]
    serious = [
        (v["id"], [node["html"][:150] for node in v["nodes"][:3]]) for v in found if v["impact"] in ("serious", "critical")
    ]
    assert not serious


def test_figures_and_page_follow_the_theme(opened):
    page = opened(scheme="light")
    ground = "getComputedStyle(document.body).backgroundColor"
    assert page.evaluate(ground) == "rgb(255, 255, 255)"
    button = page.get_by_role("button", name="Theme: system")
    button.click()
    page.get_by_role("button", name="Theme: light").click()
    assert page.evaluate(ground) == "rgb(17, 21, 27)"
    page.reload()
    page.wait_for_selector("html[data-ready]", state="attached")
    assert page.get_by_role("button", name="Theme: dark").count() == 1


def test_sections_without_content_vanish_with_their_lines_in_the_contents(opened, payload):
    page = opened()
    sections = page.locator("main > section").evaluate_all("sections => sections.map(section => section.id)")
    links = page.locator("nav.contents a").evaluate_all("links => links.map(link => link.getAttribute('href').slice(1))")
    assert links == sections
    assert sections[0] == "answer"
    assert page.locator("[data-table]:empty, [data-figure]:empty").count() == 0


def test_the_page_is_one_file_that_nothing_can_leave(page_folder):
    html = (page_folder / "report.html").read_text()
    assert len(html.encode()) < 3_000_000
    assert "default-src 'none'" in html
    assert "unsafe-eval" not in html
    for outside in ('src="http', 'href="http', "@import", "url(http"):
        assert outside not in html.split('<script type="application/octet-stream"')[0]


def test_without_javascript_the_main_table_can_be_read(browser, page_folder):
    page = browser.new_page(java_script_enabled=False)
    page.goto((page_folder / "report.html").as_uri())
    assert page.locator("noscript tbody tr").count() == 6
    assert page.get_by_role("cell", name="n=16", exact=True).first.is_visible()
    page.close()


def test_paper_says_what_is_filtered(opened):
    page = opened("#f.task=outcome")
    page.emulate_media(media="print")
    assert "outcome" in page.locator(".filters").inner_text()
    assert not page.locator(".filters button.reset").is_visible()


def test_on_paper_there_are_no_controls(opened):
    page = opened()
    page.emulate_media(media="print")
    for hidden in (".filters", "nav.contents", ".actions"):
        assert not page.locator(hidden).first.is_visible()
    assert page.locator("#answer").is_visible()
