import pytest

from loragrid.errors import UserError
from loragrid.runtime.templates import fill_from_row, fill_template, is_true, syntax_error


def filled(template, **row):
    return fill_from_row(template, row).text


@pytest.mark.parametrize(
    "template",
    [
        "{{ a }}", "{{ a | upper }}", "{{ a | string }}", "{{ a | trim }}", "{{ a | replace('x', 'y') }}", "{{ a | e }}",
        "{{ a ~ '' }}", "{{ [a, a] | join }}", "{{ [{'n': a}] | join(attribute='n') }}", "{{ '%s' % a }}", "{{ '%s' | format(a) }}",
        "{{ '{}'.format(a) }}", "{{ '{n}'.format(n=a) }}", "{% filter lower %}{{ a }}{% endfilter %}",
        "{% macro shown(x) %}{{ x }}{% endmacro %}{{ shown(a) }}", "{% set b = a ~ a %}{{ b }}", "{{ [a] | map('title') | first }}",
    ],
)  # fmt: skip
@pytest.mark.parametrize(("value", "text"), [(None, ""), (float("nan"), ""), ("No", "No")])
def test_null_is_no_word_whatever_makes_text_of_it(template, value, text):
    assert filled(template, a=value).casefold() in (text.casefold(), 2 * text.casefold())


def test_null_is_still_null_to_a_condition():
    assert filled("{{ 'none' if a is none else a }}{{ a | default('!', true) }}{{ a or '?' }}", a=None) == "none!?"


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{ a }}", "true"),
        ("{{ a ~ '' }}", "true"),
        ("{{ '%s %d' % (a, a) }}", "true 1"),
        ("{{ '{} {:d} {:>5}'.format(a, a, a) }}", "true 1  true"),
        ("{{ [a, not a] | join(' ') }}", "true false"),
        ("{{ 'yes' if a else 'no' }}", "yes"),
        ("{{ {'a': a} | tojson }}", '{"a": true}'),
    ],
)
def test_true_and_false_are_written_as_in_json(template, text):
    assert filled(template, a=True) == text


@pytest.mark.parametrize(
    ("template", "value", "message"),
    [
        ("{{ a }}", ["x", "y"], "found the list ['x', 'y']; expected text: pick an item, as in {{ field[0] }}, or join them"),
        ("{{ a | upper }}", ["x"], "found the list ['x']; expected text"),
        ("{{ 'x' ~ a }}", ["x"], "found the list ['x']; expected text"),
        ("{{ '%s' % a }}", ["x"], "found the list ['x']; expected text"),
        ("{{ a }}", {"text": "x", "start": 1}, "found a mapping with text, start; expected text: name one of them"),
        ("{{ a.values }}", {"values": "x"}, "found the method 'values' of a value; expected text: a field of this name is written field['values']"),
        ("{{ a.title }}", "x", "found the method 'title'"),
        ("{{ a }}", b"\xff", "found bytes that are not UTF-8 text; expected text: decode them"),
        ("{{ a | join(' ') }}", "['x', 'y']", "'join' was given the text \"['x', 'y']\"; expected a list."),
    ],
)  # fmt: skip
def test_what_is_no_text_is_refused_with_what_to_do(template, value, message):
    with pytest.raises(UserError) as caught:
        filled(template, a=value)
    assert message in str(caught.value)


def test_field_of_any_name_is_found_in_the_row():
    row = {"Review Text": "Fell apart", "Star-Rating": "1", "2nd opinion": "yes", "class": "c", "self": "s"}
    assert (
        fill_from_row("{{ row['Review Text'] }}, {{ row['Star-Rating'] }} {{ row['2nd opinion'] }}", row).text
        == "Fell apart, 1 yes"
    )
    assert fill_from_row("{{ class }}", row).text == "c"
    assert is_true("row['self'] == 's' and row['Star-Rating'] | int < 3", row)
    assert filled("{{ row }}", row="a field of this name") == "a field of this name"


def test_name_that_needs_the_row_is_told_how_to_be_written():
    assert syntax_error("{{ Review Text }}").endswith('is written row["Review Text"]')
    assert syntax_error("{{ 2nd opinion }}").endswith('is written row["2nd opinion"]')
    assert "row[" not in syntax_error("{{ unfinished")
    with pytest.raises(UserError) as caught:
        fill_from_row("{{ Star-Rating }}", {"id": 1, "Star-Rating": "1"})
    assert str(caught.value) == (
        "'Star' is undefined; the row has: id, Star-Rating; a name with spaces or signs is written row[\"Star-Rating\"]."
    )


@pytest.mark.parametrize("condition", ["v", "not v", "v and w", "w and v", "v or none", "none or v", "(v)", "v if w else none"])
@pytest.mark.parametrize("text", ["False", "True", "0", "nein"])
def test_text_does_not_say_whether_a_row_is_kept(condition, text):
    with pytest.raises(UserError) as caught:
        is_true(condition, {"v": text, "w": 1})
    assert f"the condition is the text '{text}', which counts as true like all text that is not empty" in str(caught.value)


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ("t", True), ("f", False), ("n", False), ("nan", False), ("one", True), ("zero", False), ("items", True), ("nothing", False),
        ("v == 'False'", True), ("v != ''", True), ("not t", False), ("v in ['a', 'False']", True), ("v | length > 4", True),
        ("n is none or n > 3", True), ("one == 1 and f", False),
    ],
)  # fmt: skip
def test_other_values_and_comparisons_say_it(condition, holds):
    row = {"t": True, "f": False, "n": None, "nan": None, "one": 1, "zero": 0, "items": ["x"], "nothing": [], "v": "False"}
    assert is_true(condition, row) is holds


@pytest.mark.parametrize(
    "template",
    [
        "{{ 'spam' if v else 'ham' }}", "{% if v %}spam{% endif %}", "{% if w %}{% elif v %}spam{% endif %}", "{{ 'ham' if not v else 'spam' }}",
        "{% for x in [1] if v %}spam{% endfor %}", "{{ 'spam' if v and one else 'ham' }}",
        "{{ [v] | select | join }}", "{{ [{'ok': v}] | selectattr('ok') | map(attribute='ok') | join }}",
    ],
)  # fmt: skip
@pytest.mark.parametrize("text", ["False", "FALSE", "0", "0.0"])
def test_text_that_says_false_is_no_condition_of_a_row(template, text):
    with pytest.raises(UserError, match="the condition is the text"):
        filled(template, v=text, w=None, one=1)


def test_any_other_text_is_a_condition_if_it_is_not_empty():
    assert filled("{% if hint %}Hint: {{ hint }}{% endif %}{{ hint or '-' }}", hint="no") == "Hint: nono"
    assert filled("{% if hint %}Hint{% endif %}{{ hint or '-' }}", hint="") == "-"
    assert filled("{{ answer or '-' }}", answer="0") == "0"
    # The texts of a prompt are no flags of a row.
    assert fill_template("{% if input %}{{ input }}{% endif %}", {"input": "0"}) == "0"


def test_items_are_selected_by_tests_and_by_what_is_no_text():
    row = {"items": [{"n": 1, "ok": True}, {"n": 2, "ok": False}, {"n": 3, "ok": None}], "words": ["a", "", "0"]}
    template = "{{ items | selectattr('ok') | map(attribute='n') | join }} {{ items | rejectattr('n', 'gt', 2) | map(attribute='n') | join }}"
    assert fill_from_row(template, row).text == "1 12"
    assert fill_from_row("{{ words | reject('equalto', '') | join(',') }}", row).text == "a,0"


def test_what_was_text_before_is_the_same_text():
    row = {"a": " x ", "b": 7, "c": 2.5, "d": ["p", "q"], "e": {"f": "g"}}
    template = "{{ a }}|{{ b }}|{{ c }}|{{ d | join(', ') }}|{{ e.f | upper }}|{{ b / 2 }}|{{ b * 1.0 }}|{{ a ~ b }}|{{ '%.2f' % c }}|{{ c | round(0) }}\n"
    assert fill_from_row(template, row).text == " x |7|2.5|p, q|G|3.5|7.0| x 7|2.50|2.0\n"


@pytest.mark.parametrize("text", ["['a', 'b']", '["a"]', "[]", "[1 2]", "{'text': ['a'], 'start': [3]}", "('a', 'b')"])
@pytest.mark.parametrize(
    "template",
    [
        "{{ a[0] }}", "{{ a | first }}", "{{ a | last }}", "{{ a | list | join(' ') }}", "{{ a | map('upper') | join }}",
        "{% for one in a %}{{ one }} {% endfor %}", "{{ a | select | join }}", "{{ a | unique | join }}",
    ],
)  # fmt: skip
def test_characters_of_a_text_that_spells_a_list_are_not_taken_for_its_items(template, text):
    with pytest.raises(UserError, match=r"whose items are single characters; expected a list: CSV has only texts"):
        filled(template, a=text)


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{ a[0] }}{{ a[-1] }}{{ a | first }}", "B) [yes]"),
        ("{% for one in a %}{{ one }}-{% endfor %}", "word"),
        ("{{ a }}{{ a | length }}{{ a[1:-1] }}{{ a.split(',') | first }}", "['a', 'b']"),
        ("{{ a[0] }}", "[INST] hi [/INST]"),
    ],
)
def test_characters_of_other_texts_can_be_taken(template, text):
    assert filled(template, a=text)
