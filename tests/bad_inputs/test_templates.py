"""Templates that cannot be filled, each with the sentence that says so, in bounded time and memory."""

import pytest

from loragrid.data.chat import in_words
from loragrid.data.render import Request, make_renderer, prompt_text
from loragrid.errors import UserError
from loragrid.runtime.template_limits import LONGEST_LIST, LONGEST_TEXT, MOST_STEPS
from loragrid.runtime.templates import evaluate_expression, expression_error, fill_from_row, fill_template, is_true, syntax_error
from loragrid.scoring.rubrics import derive

STEPS = f"the template takes more than {MOST_STEPS:,} steps; expected loops that end sooner."
LONG = f"the template makes a text of more than {LONGEST_TEXT:,} characters; expected a shorter one."
WIDE = "the template asks for a width of 1000000000; expected at most 100,000."
DEEP = "it is too deeply nested, or too long"
OTHERS = "line 1: a template cannot take in others (include, import, extends)"
ROW = {"a": "text", "id": 1, "big": "x" * 100_000}


def grown(step):
    """A template that makes a value of itself again and again."""
    return f"{{% set ns = namespace(x='ab', l=[1], n=3) %}}{{% for i in range(100) %}}{step}{{% endfor %}}{{{{ ns.x }}}}"


@pytest.mark.parametrize(
    ("template", "sentence"),
    [
        ("{{ range(10**10) | list }}", "OverflowError: Range too big. The sandbox blocks ranges larger than MAX_RANGE (100000)."),
        ("{% for i in range(99999) %}{% for j in range(99999) %}x{% endfor %}{% endfor %}", STEPS),
        ("{% macro f(n) %}{{ f(n) }}{% endmacro %}{{ f(1) }}", "the template calls itself without an end."),
        ("{% macro f(n) %}{% if n %}{{ f(n-1) }}{{ f(n-1) }}{% endif %}{% endmacro %}{{ f(40) }}", STEPS),
        ("{% block b %}{{ self.b() }}{% endblock %}", "the template calls itself without an end."),
        ("{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}", "the template calls itself without an end."),
        ("{{ 'a' * 10**9 }}", LONG),
        ("{{ 10**9 * 'a' }}", LONG),
        ("{{ [0] * 10**9 }}", f"the template makes a list of more than {LONGEST_LIST:,} items; expected a shorter one."),
        ("{{ '%1000000000d' % id }}", WIDE),
        ("{{ '%*d' % (10**9, 1) }}", WIDE),
        ("{{ '%.1000000000f' | format(id) }}", WIDE),
        ("{{ '{:>1000000000}'.format(id) }}", WIDE),
        ("{{ '{:{w}}'.format(1, w=10**9) }}", WIDE),
        ("{{ '{a:>1000000000}'.format_map({'a': 1}) }}", WIDE),
        ("{{ a | center(10**9) }}", WIDE),
        ("{{ a | indent(10**9, true) }}", WIDE),
        ("{{ a.ljust(10**9) }}", WIDE),
        ("{{ '\t'.expandtabs(10**9) }}", WIDE),
        ("{{ [a] | map('center', 10**9) | list | join }}", WIDE),
        ("{{ [1] | batch(10**9, 0) | list }}", WIDE),
        ("{{ [1] | slice(10**9) | list }}", WIDE),
        ("{{ id | tojson(indent=10**9) }}", WIDE),
        ("{{ (1).to_bytes(10**9, 'big') }}", WIDE),
        ("{{ id | round(-10**9) }}", WIDE.replace("1000000000", "-1000000000")),
        ("{{ (10**1000) ** 1000 }}", "the template makes a number of more than 100,000 bits; expected a smaller one."),
        (grown("{% set ns.n = ns.n * ns.n %}"), "the template makes a number of more than 100,000 bits; expected a smaller one."),
        (grown("{% set ns.x = ns.x + ns.x %}"), LONG),
        (grown("{% set ns.x = ns.x ~ ns.x %}"), LONG),
        (grown("{% set ns.x = '%s%s' % (ns.x, ns.x) %}"), LONG),
        (grown("{% set ns.x = '{0}{0}'.format(ns.x) %}"), LONG),
        (grown("{% set ns.x = ''.join([ns.x, ns.x]) %}"), LONG),
        (grown("{% set ns.x = ns.x | replace('a', 'aaaa') %}"), LONG),
        (grown("{% set ns.x = ns.x.replace('a', 'aaaa') %}"), LONG),
        (grown("{% set y %}{{ ns.x }}{{ ns.x }}{% endset %}{% set ns.x = y %}"), LONG),
        (grown("{% set ns.l = [ns.l, ns.l] %}"), STEPS),
        ("{% filter upper %}{% for i in range(99999) %}{{ big }}{% endfor %}{% endfilter %}", LONG),
        ("{% for i in range(99999) %}{{ big | upper | length }}{% endfor %}", STEPS),
        ("{{ lipsum(10**6) }}", "'lipsum' is undefined; the row has: a, id, big."),
        ("{{ id | xmlattr }}", "AttributeError: 'int' object has no attribute 'items'."),
        ("{{ a | truncate(-5) }}", "AssertionError: expected length >= 3, got -5."),
        ("{{ 1 / 0 }}", "ZeroDivisionError: division by zero."),
        ("{{ 2.0 ** 10000 }}", "OverflowError: (34, 'Numerical result out of range')."),
        ("{{ a + 1 }}", 'TypeError: can only concatenate str (not "int") to str.'),
        ("{{ b }}", "'b' is undefined; the row has: a, id, big."),
        ("one\n{{ a }}\n{{ id / 0 }}\n", "line 3: ZeroDivisionError: division by zero."),
        ("one\n{% for x in [1] %}\n{{ b }}{% endfor %}", "line 3: 'b' is undefined; the row has: a, id, big."),
        ("{{ a.__class__ }}", "SecurityError: access to attribute '__class__' of 'str' object is unsafe."),
        ("{{ '{0.__class__}'.format(a) }}", "SecurityError: access to attribute '__class__' of 'str' object is unsafe."),
        ("{{ a | attr('__class__') }}", "SecurityError: access to attribute '__class__' of 'str' object is unsafe."),
        ("{{ self.__init__.__globals__ }}", "SecurityError: access to attribute '__init__' of 'TemplateReference' object is unsafe."),
    ],
)  # fmt: skip
def test_template_that_cannot_be_filled(template, sentence):
    assert syntax_error(template) is None
    for fill in (fill_template, fill_from_row):
        with pytest.raises(UserError) as caught:
            fill(template, ROW)
        assert str(caught.value) == sentence


@pytest.mark.parametrize(
    ("template", "sentence"),
    [
        ("{% include 'x' %}", OTHERS),
        ("{% import 'x' as y %}", OTHERS),
        ("{% extends 'x' %}", OTHERS),
        ("{{ " + "(" * 3000 + "1" + ")" * 3000 + " }}", "line 1: more than 100 brackets within each other"),
        ("a\n{{ " + "[" * 3000 + "]" * 3000 + " }}", "line 2: more than 100 brackets within each other"),
        ("{{ " + "not " * 5000 + "1 }}", DEEP),
        ("{{ a" + " | upper" * 5000 + " }}", DEEP),
        ("{% if 1 %}" * 2000 + "{% endif %}" * 2000, DEEP),
        ("{{ 1" + "0" * 5000 + " }}", "Exceeds the limit (4300 digits) for integer string conversion: value has 5001 digits"),
        ("{{ a | nofilter }}", "No filter named 'nofilter'."),
        ("{{ ['x', 'y'] | random }}", "No filter named 'random'."),
        ("one\ntwo {{ a", "line 2: unexpected end of template, expected 'end of print statement'."),
    ],
)  # fmt: skip
def test_template_that_is_none(template, sentence):
    assert syntax_error(template) == sentence


@pytest.mark.parametrize(
    ("evaluate", "expression", "sentence"),
    [
        (is_true, "'a' * 10**9", LONG),
        (is_true, "id / 0 > 1", "ZeroDivisionError: division by zero."),
        (is_true, "'%1000000000d' % id", WIDE),
        (evaluate_expression, "[a] * 10**9", f"the template makes a list of more than {LONGEST_LIST:,} items; expected a shorter one."),
        (evaluate_expression, "id | xmlattr", "AttributeError: 'int' object has no attribute 'items'."),
    ],
)  # fmt: skip
def test_expression_that_has_no_value(evaluate, expression, sentence):
    assert expression_error(expression) is None
    with pytest.raises(UserError) as caught:
        evaluate(expression, ROW)
    assert str(caught.value) == sentence


def test_score_that_divides_by_zero_is_missing():
    assert str(derive("good / bad", {"good": 1, "bad": 0})) == "nan"
    assert str(derive("9.0 ** good", {"good": 1000})) == "nan"


def test_templates_in_use_are_far_from_the_limits():
    row = {"words": ["word"] * 20_000, "text": "line\n" * 200_000}
    written = "{% for w in words %}{{ loop.index }}/{{ loop.length }} {{ w | upper }} {% endfor %}{{ text | indent(4) }}"
    assert fill_from_row(written, row).text.startswith("1/20000 WORD 2/20000")
    assert fill_template("{{ '=' * 80 }}{{ text.replace('line', 'LINE') | length }}", row) == "=" * 80 + "1000000"


QUESTION = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}<|im_start|>assistant\n"


@pytest.mark.parametrize(
    ("chat_template", "sentence"),
    [
        ("{{ 'a' * 10**10 }}" + QUESTION, f"mine refuses a conversation ({LONG[:-1]}), also where texts are given as lists of parts."),
        ("{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}" + QUESTION, f"mine refuses a conversation ({STEPS[:-1]}), also where texts are given as lists of parts."),
        ("{% include 'x' %}" + QUESTION, f"mine refuses a conversation ({OTHERS}), also where texts are given as lists of parts."),
        ("{{ messages[0].content | center(10**9) }}" + QUESTION, f"mine refuses a conversation ({WIDE[:-1]}), also where texts are given as lists of parts."),
    ],
)  # fmt: skip
def test_chat_template_that_cannot_be_filled(tokenizer, monkeypatch, chat_template, sentence):
    monkeypatch.setattr(tokenizer, "chat_template", chat_template)
    with pytest.raises(UserError) as caught:
        make_renderer(tokenizer, name="mine")
    assert str(caught.value) == sentence


def test_template_that_fails_on_a_question_is_named(tokenizer, monkeypatch):
    for_one_word = "{% if 'boom' in messages[-1].content %}{{ raise_exception('no boom') }}{% endif %}"
    monkeypatch.setattr(tokenizer, "chat_template", for_one_word + QUESTION)
    renderer = make_renderer(tokenizer, name="models.m.chat_template: the template")
    with pytest.raises(UserError) as caught:
        prompt_text(renderer, Request("boom", ""))
    assert str(caught.value) == "models.m.chat_template: the template fails: no boom."
    renderer = make_renderer(
        tokenizer, "{{ instruction }}\n{{ input }}\n{{ 1 / (input | length) }}", name="models.m.prompt_format: the template"
    )
    with pytest.raises(UserError) as caught:
        prompt_text(renderer, Request("Say it.", ""))
    assert str(caught.value) == "models.m.prompt_format: the template fails: line 3: ZeroDivisionError: division by zero."


def test_what_a_template_failed_with_is_one_line():
    assert in_words(ValueError("a\n  b.")) == "a b"
    assert in_words(KeyError()) == "KeyError"
    assert len(in_words(ValueError("x" * 10_000))) == 301
