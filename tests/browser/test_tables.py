"""Tables of the page: their values, and what a reader does with them."""

import csv
import io

import pytest

from report_pages import cells_of, rows_of, whole_table


def shown(value, digits=3):
    """A number as the page writes it."""
    return "–" if value is None else f"{value:,.{digits}f}".replace("-", "−")


def copied(page, place, name):
    """What is in the clipboard after a press on the button of a format."""
    page.evaluate("() => { navigator.clipboard.writeText = async (text) => { window.copied = text; }; }")
    place.get_by_role("button", name=f"Copy as {name}").click()
    return page.evaluate("window.copied")


def labels_of(payload, table):
    return {column["key"]: column["label"] for column in payload["tables"][table]["columns"]}


@pytest.mark.parametrize("table", ["main", "results"])
def test_values_are_those_of_the_payload(opened, payload, table):
    place = whole_table(opened(), table)
    rows = rows_of(payload, table)
    assert len(rows) > 5
    expected = [
        f"{shown(row['mean'])} [{shown(row['low'])}, {shown(row['high'])}]" if row["low"] is not None else shown(row["mean"])
        for row in rows
    ]
    assert cells_of(place, "mean") == expected[:15]


def test_every_cell_of_every_table_is_in_what_is_copied_as_csv(opened, payload):
    page = opened()
    tables = page.locator("[data-table]")
    assert tables.count() > 5
    for i in range(tables.count()):
        name = tables.nth(i).get_attribute("data-table")
        place = whole_table(page, name)
        place.locator("details.choose summary").click()
        for box in place.locator("details.choose input").all():
            box.check()
        rows = list(csv.DictReader(io.StringIO(copied(page, place, "CSV"))))
        expected = rows_of(payload, name)
        assert len(rows) == len(expected)
        keys = labels_of(payload, name)
        for row, right in zip(rows, expected, strict=True):
            for key in keys:
                value = right[key]
                if isinstance(value, int | float) and not isinstance(value, bool):
                    assert float(row[key]) == value, (name, key)
                else:
                    assert row[key].removeprefix("'") == ("" if value is None else str(value)), (name, key)


@pytest.mark.parametrize("table", ["main", "results"])
def test_a_head_sorts_and_missing_values_come_last(opened, payload, table):
    place = whole_table(opened(), table)
    head = place.locator("thead th", has_text="mean").first
    means = sorted(row["mean"] for row in rows_of(payload, table))
    for expected in (means, means[::-1]):
        head.click()
        assert [text.split(" ")[0] for text in cells_of(place, "mean")] == [shown(value) for value in expected[:15]]


def test_search_leaves_the_rows_that_hold_the_words(opened, payload):
    place = whole_table(opened(), "results")
    place.get_by_role("searchbox").fill("judge")
    metrics = cells_of(place, "metric")
    assert set(metrics) == {"judge/rating"}
    expected = sum(row["scorer"] == "judge" for row in rows_of(payload, "results"))
    assert place.locator(".count").inner_text() == f"{expected} of {len(rows_of(payload, 'results'))} rows"


def test_rows_are_grouped_by_a_column(opened):
    place = whole_table(opened(), "results")
    place.get_by_label("Group by").select_option("task")
    heads = place.locator("tr.dtrg-group").all_inner_texts()
    assert [head.split()[0] for head in heads] == ["challenge", "outcome"]
    place.get_by_label("Group by").select_option("")
    assert place.locator("tr.dtrg-group").count() == 0


@pytest.mark.parametrize(("table", "inner"), [("main", "main_seeds"), ("results", "runs")])
def test_a_row_unfolds_to_the_trainings_behind_it(opened, payload, table, inner):
    place = whole_table(opened(), table)
    rows = rows_of(payload, table)
    number = next(i for i, row in enumerate(rows) if row["nb_samples"] == 16 and row["metric_name"] == "rouge/rougeL")
    row = place.locator(f'tr[data-row="{number}"]')
    row.get_by_role("button", name="Show more of this row").click()
    details = place.locator("td.details table")
    key = payload["tables"][table]["key"]
    parts = [part for part in rows_of(payload, inner) if all(part[name] == rows[number][name] for name in key)]
    assert len(parts) == 2
    assert details.locator("tbody tr").count() == 2
    assert shown(parts[0]["mean"]) in details.inner_text()
    row.get_by_role("button", name="Show more of this row").click()
    assert place.locator("td.details").count() == 0


def test_what_is_copied_is_what_is_filtered_sorted_and_shown(opened, payload):
    page = opened("#f.task=outcome")
    place = whole_table(page, "results")
    place.get_by_role("searchbox").fill("rouge")
    place.locator("thead th", has_text="mean").first.click()
    rows = sorted(
        (row for row in rows_of(payload, "results") if row["task"] == "outcome" and row["scorer"] == "rouge"),
        key=lambda row: row["mean"],
    )
    markdown = copied(page, place, "Markdown").splitlines()
    heads = [head.strip() for head in place.locator("thead th").all_inner_texts()[1:]]
    assert [cell.strip() for cell in markdown[0].strip("|").split("|")] == heads
    assert len(markdown) == 2 + len(rows)
    assert [shown(row["mean"]) in line for row, line in zip(rows, markdown[2:], strict=True)] == [True] * len(rows)
    latex = copied(page, place, "LaTeX")
    assert latex.count(r" \\") == 1 + len(rows)
    for part in (r"\begin{tabular}", r"\toprule", r"\midrule", r"\bottomrule", r"\caption{"):
        assert part in latex
    assert "baseline_" not in latex.replace(r"\_", "")


def test_without_a_clipboard_the_text_is_shown_to_be_copied(opened):
    page = opened()
    place = whole_table(page, "results")
    page.evaluate("() => { navigator.clipboard.writeText = () => Promise.reject(new Error('not allowed')); }")
    place.get_by_role("button", name="Copy as Markdown").click()
    assert page.locator("dialog textarea").input_value().startswith("| task |")
    page.get_by_role("button", name="Close").click()
    assert page.locator("dialog").count() == 0


@pytest.mark.parametrize("width", [390, 1300])
def test_no_table_makes_the_page_wider_and_what_has_no_room_is_one_press_away(opened, payload, width):
    page = opened(width=width)
    for name in ("main", "results", "contrasts", "training"):
        place = whole_table(page, name)
        frame = place.locator(".scroll").first
        assert frame.evaluate("frame => frame.scrollWidth <= frame.clientWidth + 1") or width == 390
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    place = whole_table(page, "results")
    hidden = [
        c["label"] for c in payload["tables"]["results"]["columns"] if c["label"] not in place.locator("thead").first.inner_text()
    ]
    assert hidden
    place.get_by_role("button", name="Show more of this row").first.click()
    assert place.locator("td.details dt").count() > 0
    place.locator("details.choose summary").click()
    place.locator("details.choose label", has_text=hidden[0]).first.click()
    assert hidden[0] in place.locator("thead").first.inner_text()


@pytest.mark.parametrize("width", [390, 1300])
def test_a_comparison_says_what_is_compared_and_how_it_came_out_however_narrow_the_page(opened, payload, width):
    place = whole_table(opened(width=width), "contrasts")
    heads = [head.strip() for head in place.locator("thead th").all_inner_texts()]
    assert {"task", "what is compared", "difference"} <= set(heads)
    assert cells_of(place, "what is compared") == payload["tables"]["contrasts"]["rows"]["compared"][:15]
    if width == 1300:
        assert {"metric", "verdict", "questions", "seeds"} <= set(heads)


def test_on_paper_a_table_has_its_rows_at_once_and_on_screen_it_has_pages_again(opened, payload):
    page = opened()
    shown = page.locator("[data-table]").evaluate_all("places => places.map(place => place.dataset.table)")
    name = max(shown, key=lambda name: len(rows_of(payload, name)))
    number = len(rows_of(payload, name))
    assert number > 15
    rows = page.locator(f'[data-table="{name}"] tbody tr[data-row]')
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert rows.count() == min(number, 200)
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert rows.count() == 15
