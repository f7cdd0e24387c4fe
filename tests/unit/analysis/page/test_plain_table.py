"""Without JavaScript the main table stands in the page as it is."""

import re

from loragrid.analysis.page.plain_table import MOST_ROWS, plain_table

TABLE = {
    "title": "All ways",
    "columns": [
        {"key": "label", "label": "model", "kind": "text"},
        {"key": "mean", "label": "mean", "kind": "estimate", "low": "low", "high": "high"},
        {"key": "gain", "label": "against base", "kind": "estimate", "low": "from", "high": "to", "verdict": "verdict"},
        {"key": "cut", "label": "cut off", "kind": "percent"},
        {"key": "n", "label": "questions", "kind": "integer"},
        {"key": "way", "label": "way", "kind": "code", "hidden": True},
    ],
    "rows": {
        "label": ["base", "<b>n=8</b>"],
        "mean": [0.25, 0.5],
        "low": [None, 0.4],
        "high": [None, 0.6],
        "gain": [None, 0.25],
        "from": [None, -0.1],
        "to": [None, 0.6],
        "verdict": ["", "undecided"],
        "cut": [0.5, 0.0],
        "n": [1600, 1600],
        "way": ["base", "x"],
    },
}


def test_cells_are_written_as_the_page_writes_them():
    table = plain_table(TABLE)
    assert table.heads == ["model", "mean", "against base", "cut off", "questions"]
    assert table.rows == [
        ["base", "0.250", "–", "50 %", "1,600"],
        ["<b>n=8</b>", "0.500 [0.400, 0.600]", "+0.250 [−0.100, 0.600]", "0 %", "1,600"],
    ]
    assert table.left_out == 0


def test_very_long_tables_are_cut_and_say_so():
    many = TABLE | {"rows": {key: [values[1]] * (MOST_ROWS + 5) for key, values in TABLE["rows"].items()}}
    assert (len(plain_table(many).rows), plain_table(many).left_out) == (MOST_ROWS, 5)


def test_the_page_has_the_main_table_for_browsers_without_javascript(grid, tmp_path, without_code):
    grid.write_page(tmp_path / "report.html")
    [text] = re.findall(r"<noscript>(.*?)</noscript>", (tmp_path / "report.html").read_text(encoding="utf-8"), re.DOTALL)
    assert text.count("<tr>") == 1 + 2 * 3
    assert re.search(r"<td>n=16</td><td>challenge</td><td>0\.\d{3} \[", text)
