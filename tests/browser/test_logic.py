"""What the page's modules compute, without a page."""

import pytest

from loragrid.analysis.page.modules import module_order, script_of

USED = ("address", "answers_order", "chart_look", "copied", "differences", "format", "rows", "texts")


@pytest.fixture(scope="module")
def call(browser):
    """Calls a function of a module: `call("format.signed", 0.5, 3)`."""
    page = browser.new_page()
    names = [name for name in module_order() if name != "main"]
    page.evaluate(f"{script_of(names)}\nwindow.modules = {{ {', '.join(USED)} }};")
    yield lambda name, *given: page.evaluate(f"(given) => modules.{name}(...given)", list(given))
    page.close()


@pytest.mark.parametrize(
    ("value", "kind", "digits", "text"),
    [
        (0.12345, "number", None, "0.123"),
        (-0.5, "number", 2, "−0.50"),
        (-0.0001, "number", 3, "0.000"),
        (1234567, "integer", None, "1,234,567"),
        (0.25, "signed", 2, "+0.25"),
        (0, "signed", 2, "0.00"),
        (0.125, "percent", 1, "12.5 %"),
        (0.5, "seconds", None, "0.500 s"),
        (75.25, "seconds", None, "75.3 s"),
        (150, "seconds", None, "2 min 30 s"),
        (7200, "seconds", None, "2.0 h"),
        (2048, "bytes", None, "2.0 KiB"),
        (None, "number", None, "–"),
        ("", "text", None, "–"),
        ("inf", "text", None, "inf"),
    ],
)
def test_values_are_written_for_people(call, value, kind, digits, text):
    assert call("format.valueText", value, kind, digits) == text


@pytest.mark.parametrize(
    ("text", "other", "differing"),
    [
        ("the cat sat", "the dog sat", ["cat"]),
        ("a b c d", "a c d", ["b"]),
        ("a x y b", "a b", ["x y"]),
        ("same words", "same words", []),
        ("", "anything", []),
        ("all new", "", ["all new"]),
        ("b a", "a b", ["b"]),
        ("我喜欢猫", "我喜欢狗", ["猫"]),
        ("Don't stop", "Don't go", ["stop"]),
    ],
)
def test_words_differ_that_the_other_text_lacks_at_their_place(call, text, other, differing):
    parts = call("differences.differingParts", text, other)
    assert "".join(part["text"] for part in parts) == text
    assert [part["text"].strip() for part in parts if part["differs"]] == differing


def test_long_texts_are_compared_in_a_moment(call):
    first, second = "alpha beta " * 9000, "gamma beta " * 9000
    parts = call("differences.differingParts", first, second)
    assert "".join(part["text"] for part in parts) == first
    assert {part["text"].strip() for part in parts if part["differs"]} == {"alpha"}


def test_the_nearest_reference_shares_most_words(call):
    assert call("differences.nearest", "a red car", ["a blue sky", "the red car", "none"]) == "the red car"


def test_addresses_say_what_they_are_made_of(call):
    address = {"filters": {"config": ["a,b", "c=d&e"]}, "view": {"at": "answers", "q": "50 % & more"}}
    assert call("address.readAddress", call("address.writeAddress", address)) == address
    assert call("address.writeAddress", {"filters": {"config": []}, "view": {"q": ""}}) == ""
    assert call("address.readAddress", "#results") == {"filters": {}, "view": {"at": "results"}}
    assert call("address.readAddress", "#q=%E0%A4%A") == {"filters": {}, "view": {"q": "%E0%A4%A"}}


def test_csv_holds_full_values_and_no_formulas(call):
    rows = [["=1+1", 0.1234567890123], ["a,b", None], ['say "hi"\n', True], ["\u200b@sum", 1e-12], ["-", 1]]
    assert call("copied.asCsv", ["text", "value"], rows) == (
        'text,value\n\'=1+1,0.1234567890123\n"a,b",\n"say ""hi""\n",True\n\'\u200b@sum,1e-12\n\'-,1\n'
    )


def test_latex_and_markdown_are_escaped(call):
    assert call("copied.inLatex", r"50 % of a_b & {c} $x$ ~ ^ \ #1 −2 – <") == (
        r"50 \% of a\_b \& \{c\} \$x\$ \textasciitilde{} \textasciicircum{} \textbackslash{} \#1 $-$2 -- \textless{}"
    )
    assert call("copied.asMarkdown", ["a|b", "n"], [["x_y*\n<z>", "1"]], [False, True]) == (
        "| a\\|b | n |\n| --- | ---: |\n| x\\_y\\* \\<z\\> | 1 |\n"
    )


def test_rows_without_a_choosable_value_match_every_filter(call):
    columns = {"config": ["a", "b", None, "a"], "base_model": ["m", "m", "baseline", "n"]}
    names = {"filters": {"config": ["a"], "base_model": ["m"]}}
    rows = """(columns, filters) => {
        const choices = { config: new Set(["a", "b"]), base_model: new Set(["m", "n"]) };
        return modules.rows.matchingRows(columns, { filters, choices });
    }"""
    page_call = call("rows.matchingRows", columns, {"filters": {}, "choices": {}})
    assert page_call == [0, 1, 2, 3]
    assert call(f"rows && ({rows})", columns, names["filters"]) == [0, 2]


def test_what_has_no_ink_is_named(call):
    names = "(text) => modules.texts.visible(text).map((piece) => piece.textContent ?? piece)"
    assert call(f"texts && ({names})", "a\x07b\u202ec\ufeff👩‍👧") == ["a", "␇", "b", "U+202E", "c", "U+FEFF", "👩‍👧"]
    assert call(f"texts && ({names})", "half \ud83d") == ["half ", "U+D83D"]


@pytest.mark.parametrize(
    ("room", "columns", "width", "of_legend"),
    [(1060, 3, 250, 3), (700, 2, 250, 2), (358, 1, 250, 1), (300, 1, 205, 1), (0, 3, 250, 3)],
)
def test_charts_have_as_many_panels_abreast_as_there_is_room_for(call, room, columns, width, of_legend):
    spec = {"columns": 3, "spec": {"width": 250, "layer": [{"encoding": {"color": {"legend": {"columns": 3}}}}]}}
    found = call("chart_look.fitted", spec, room)
    assert (found["columns"], found["spec"]["width"]) == (columns, width)
    assert found["spec"]["layer"][0]["encoding"]["color"]["legend"]["columns"] == of_legend


def test_blue_is_lighter_on_dark_pages_but_for_cells_with_text(call):
    spec = {
        "mark": {"color": "#0072B2"},
        "config": {"category": ["#0072B2", "#D55E00", "#56B4E9"], "ramp": ["#F2F2F2", "#0072B2"]},
    }
    found = call("chart_look.onDark", spec)
    assert found["mark"]["color"] != "#0072B2"
    assert len(set(found["config"]["category"])) == 3
    assert found["config"]["category"][1] == "#D55E00"
    assert found["config"]["ramp"] == ["#F2F2F2", "#0072B2"]
