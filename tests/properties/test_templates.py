"""Whatever a template and a row hold, the result is a text or a sentence."""

from hypothesis import given, settings
from hypothesis import strategies as st

from loragrid.errors import UserError
from loragrid.runtime.templates import evaluate_expression, expression_error, fill_from_row, fill_template, is_true, syntax_error

few = settings(max_examples=100, deadline=None, derandomize=True)


def refusal(call):
    """What a call is refused with; None if it is not."""
    try:
        call()
    except UserError as error:
        return str(error)
    return None


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10) | st.binary(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=6,
)
ROWS = st.fixed_dictionaries({"a": VALUES, "b": VALUES})
ATOMS = st.sampled_from(
    ["a", "b", "c", "row", "1", "10**9", "'x'", "'%s'", "[a, b]", "{'a': b}", "none", "range(5)", "1.5", "-1"]
)
OPERATORS = st.sampled_from(["+", "-", "*", "/", "//", "%", "**", "~", "==", "<", "in", "and", "or", "is", ".", ","])
FILTERS = st.sampled_from(["", "|upper", "|join", "|first", "|length", "|int", "|center(9)", "|tojson", "|xmlattr", "|sort", "|round", "|indent(b)", "|center(b)", "|list", "|string", "[0]", ".a", "()", ".format(a)"])  # fmt: skip
EXPRESSIONS = st.lists(st.tuples(ATOMS, FILTERS, OPERATORS), min_size=1, max_size=4).map(
    lambda parts: " ".join(f"{atom}{filter_} {operator}" for atom, filter_, operator in parts).rsplit(" ", 1)[0]
)
PIECES = st.one_of(
    EXPRESSIONS.map(lambda expression: f"{{{{ {expression} }}}}"),
    st.sampled_from(["text ", "\n", "{% if a %}", "{% else %}", "{% endif %}", "{% for x in a %}", "{% endfor %}", "{{ x }}", "{% set c = a %}", "{#", "#}", "{{", "}}", "{%"]),
)  # fmt: skip


@few
@given(st.lists(PIECES, max_size=6).map("".join), ROWS)
def test_template_gives_text_or_a_sentence(template, row):
    if (problem := syntax_error(template)) is not None:
        assert problem
        return
    for fill in (lambda: fill_from_row(template, row).text, lambda: fill_template(template, row)):
        assert (refusal(fill) or ".").endswith((".", "?"))


@few
@given(EXPRESSIONS, ROWS)
def test_expression_gives_a_value_or_a_sentence(expression, row):
    if expression_error(expression) is not None:
        return
    for evaluate in (evaluate_expression, is_true):
        assert (refusal(lambda evaluate=evaluate: evaluate(expression, row)) or ".").endswith((".", "?"))


@few
@given(st.text().filter(lambda text: "{" not in text and "}" not in text and "\r" not in text))
def test_text_without_braces_is_its_own_template(text):
    assert fill_template(text, {}) == text


@few
@given(st.text(max_size=20))
def test_field_is_written_as_it_is(text):
    assert fill_from_row("{{ a }}", {"a": text}).text == text
