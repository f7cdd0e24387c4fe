"""Filters act on everything that the page shows, and are in its address."""

import pytest

from report_pages import cells_of, rows_of, whole_table


def matches(row, axis, value):
    return row.get(axis) in (None, value)


def choose(page, label, value):
    group = page.locator(".filters details.axis", has_text=label)
    if group.get_attribute("open") is None:
        group.locator("summary").click()
    group.locator("label", has_text=value).click()


def count(place):
    return place.locator(".count").inner_text()


@pytest.mark.parametrize("table", ["main", "results"])
def test_a_filter_acts_on_tables_and_keeps_what_has_no_such_axis(opened, payload, table):
    page = opened()
    place = whole_table(page, table)
    choose(page, "examples", "16")
    rows = rows_of(payload, table)
    left = [row for row in rows if matches(row, "nb_samples", 16)]
    assert 0 < len([row for row in left if row["nb_samples"] is None]) < len(left) < len(rows)
    assert count(place) == f"{len(left)} of {len(rows)} rows"
    assert "f.nb_samples=16" in page.url
    costs = whole_table(page, "training")
    assert set(cells_of(costs, "examples")) == {"16"}


def test_a_filter_acts_on_figures(opened, payload):
    figure = next(f for f in payload["figures"] if "nb_samples" in f["axes"] and len(set(f["rows"]["nb_samples"]) - {None}) > 1)
    page = opened()
    page.evaluate(f"""() => {{
        window.drawn = [];
        const embed = window.vegaEmbed;
        window.vegaEmbed = async (place, ...more) => {{
            const result = await embed(place, ...more);
            if (place.closest('[data-figure]').dataset.figure === {figure["id"]!r}) window.drawn.push(result.view);
            return result;
        }};
    }}""")
    place = page.locator(f'[data-figure="{figure["id"]}"]')
    place.scroll_into_view_if_needed()
    place.locator("svg, canvas").first.wait_for()
    sizes = "() => [...new Set(window.drawn.at(-1).data('rows').map(row => row.nb_samples))].filter(n => n !== null).sort()"
    page.wait_for_function("() => window.drawn.length > 0")
    before = page.evaluate(sizes)
    choose(page, "examples", "16")
    page.wait_for_function(f"() => ({sizes})().length < {len(before)}")
    # Nobody can choose 0 examples: so a figure calls the base model, which stays.
    assert set(before) - {0} == {4, 16}
    assert set(page.evaluate(sizes)) - {0} == {16}


def test_a_figure_that_filters_leave_empty_says_so_and_offers_nothing_to_save(opened):
    page = opened("#f.task=none%20of%20them")
    place = page.locator('[data-figure="learning_curves"]')
    place.scroll_into_view_if_needed()
    place.get_by_text("The filters leave nothing to draw here.").wait_for()
    assert place.locator(".tools").is_hidden()
    page.get_by_role("button", name="Reset").click()
    place.locator(".plot svg, .plot canvas").first.wait_for()
    assert place.locator(".tools").is_visible()


def test_a_filter_acts_on_answers(opened):
    page = opened("#f.nb_samples=4&at=answers&task=challenge")
    page.locator("article.answer").first.wait_for()
    shown = page.locator("article.answer").evaluate_all("cards => cards.map(card => card.dataset.model)")
    assert len(shown) == 3
    assert all("__n4__" in model or model.endswith("/base") for model in shown)


def test_a_view_is_sent_by_its_address_and_back_leads_to_what_was_before(opened, payload):
    page = opened("#f.task=outcome")
    rows = rows_of(payload, "results")
    of_task = [row for row in rows if row["task"] == "outcome"]
    place = whole_table(page, "results")
    assert count(place) == f"{len(of_task)} of {len(rows)} rows"
    choose(page, "examples", "4")
    assert count(place) == f"{len([row for row in of_task if matches(row, 'nb_samples', 4)])} of {len(rows)} rows"
    page.go_back()
    page.wait_for_function("() => !location.hash.includes('nb_samples')")
    assert count(place) == f"{len(of_task)} of {len(rows)} rows"
    page.go_forward()
    page.wait_for_function("() => location.hash.includes('nb_samples')")
    page.get_by_role("button", name="Reset").click()
    assert count(place) == f"{len(rows)} rows"
    assert "f." not in page.url


def test_links_inside_of_the_page_keep_the_filters(opened):
    page = opened("#f.task=outcome")
    page.locator("nav.contents a", has_text="Comparisons").click()
    assert "f.task=outcome" in page.url
    assert "at=comparisons" in page.url
    page.wait_for_function("() => Math.abs(document.getElementById('comparisons').getBoundingClientRect().top) < 200")
