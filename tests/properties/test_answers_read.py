"""Whatever a model answers: numbers, labels, thoughts and spans are read, or there are none, in bounded time."""

import time
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loragrid.scoring.protocol import Failed, Item, Scored
from loragrid.scoring.registry import parse_scorer
from loragrid.scoring.scorer import ScorerInputs
from loragrid.scoring.scorers.spans import spans_of_json, spans_of_lines, spans_of_tags, tags_of
from loragrid.text.answers import comparable, normalise_answer
from loragrid.text.labels import label_reader, verdict
from loragrid.text.marks import last_boxed, marked_lines
from loragrid.text.numbers import read_number
from loragrid.text.thoughts import MARKS, tell_apart
from loragrid.text.words import sentences, trim, words

often = settings(max_examples=80, deadline=None, derandomize=True)
BITS = [
    "1",
    "23",
    "1,000",
    "1.5",
    "-",
    "/",
    " ",
    "\n",
    ".",
    "½",
    "²",
    "$",
    "%",
    "####",
    "\\boxed{",
    "}",
    "The answer is ",
    "\\frac{1}{0}",
]
BITS += [
    "positive",
    "bad",
    "not ",
    "A",
    "**",
    "<think>",
    "</think>",
    "```",
    "`",
    "TYPE: x",
    "[",
    "{",
    '{"type": "P", "text": "x"}',
    "]",
]
BITS += [
    "B-PER",
    "I-PER",
    "O",
    "true",
    "false",
    "no, ",
    "é",
    "中",
    "\u200b",
    "\ud83d",
    "10^",
    "e99",
    "1e9999",
    "٣",
    "×10",
    "(",
    ")",
]
texts = st.one_of(st.text(max_size=50), st.lists(st.sampled_from(BITS), max_size=20).map("".join))
LABELS = {"positive": ["good"], "negative": ["bad"], "A": [], "not_entailment": [], "entailment": []}
READERS = [label_reader(LABELS, read) for read in ("first", "whole")]
SCORERS = {
    name: parse_scorer(values).build(ScorerInputs())
    for name, values in {
        "number": {"type": "number", "tolerance": 0.1},
        "label": {"type": "label", "labels": LABELS},
        "true_false": {"type": "true_false"},
        "exact_match": {"type": "exact_match"},
        "squad": {"type": "squad"},
        "token_f1": {"type": "token_f1"},
        "refusal": {"type": "refusal"},
        "length": {"type": "length"},
        "lines": {"type": "spans"},
        "json": {"type": "spans", "format": "json"},
        "bio": {"type": "spans", "format": "bio"},
    }.items()
}


@often
@given(texts)
def test_any_text_has_a_number_or_none(text):
    for read in ("first", "last"):
        assert isinstance(read_number(text, read), Decimal | None)


@often
@given(
    st.integers(-(10**15), 10**15),
    st.sampled_from(["{}", "#### {}", "\\boxed{{{}}}", "The answer is {}.", "**{}**", "It is {} km"]),
)
def test_number_that_is_written_is_the_number_that_is_read(number, template):
    for written in (f"{number}", f"{number:,}", f"{number:_}", f"{number}.0"):
        assert read_number(template.format(written), "last") == number


@often
@given(texts)
def test_any_text_has_one_of_the_labels_or_none(text):
    assert all(read(text) in (*LABELS, None) for read in READERS)
    assert verdict(text, cut=True) in ("true", "false", "tie")


@often
@given(
    st.sampled_from([*LABELS, "good", "bad"]),
    st.sampled_from(["{}", " {}. ", "#### {}", "\\boxed{{{}}}", "The answer is {}.", "**{}**"]),
)
def test_label_that_is_given_is_the_label_that_is_read(mention, template):
    expected = {"good": "positive", "bad": "negative"}.get(mention, mention)
    assert READERS[0](template.format(mention)) == expected


@often
@given(texts, st.none() | st.sampled_from([closing for _, closing in MARKS]))
def test_any_text_has_an_answer_which_has_no_thoughts_of_its_own_making(text, opened):
    found = tell_apart(text, opened=opened)
    assert isinstance(found.thoughts, str)
    assert found.answer in text
    if (
        not any(mark.casefold() in text.casefold() for pair in MARKS for mark in pair)
        and opened is None
        and "analysis" not in text
    ):
        assert found == ("", text)


@often
@given(texts)
def test_any_text_has_spans_with_type_and_text_or_none(text):
    for read in (spans_of_lines, spans_of_json):
        assert all(isinstance(part, str) for span in read(text) for part in span)
    tags = tags_of(text, 3)
    assert all(0 <= first <= last < len(tags) for _, first, last in spans_of_tags(tags))


@often
@given(texts, texts)
def test_any_pair_of_texts_has_words_and_forms_that_compare(one, other):
    assert normalise_answer(normalise_answer(one)) is not None
    assert all(isinstance(text, str) for text in comparable(one, other))
    assert trim(trim(one)) == trim(one)
    assert all(sentence.strip() for sentence in sentences(one))
    assert all(words(one))
    assert last_boxed(one) is None or last_boxed(one).strip()
    assert all("\n" not in line for line in marked_lines(one))


@often
@given(texts, texts)
def test_any_answer_and_reference_get_metrics_or_a_reason(prediction, reference):
    for name, score in SCORERS.items():
        [outcome] = score([Item("1", prediction, (reference,), input="a b c")])
        assert isinstance(outcome, Scored | Failed | None), name
        if isinstance(outcome, Failed):
            assert outcome.reason


LONG = 60_000
UNITS = [
    "9",
    "1,",
    "1.",
    "1 ",
    "1/",
    "-",
    "(",
    "[",
    "{",
    "[{",
    '{"a',
    "####",
    "#### 1\n",
    "\\boxed{",
    "<think>",
    "</think>",
    "`<think>`",
]
UNITS += [
    "```\n<think>\n",
    "answer is 1 = ",
    "**",
    "not positive ",
    "positive or ",
    "½",
    "A. ",
    "B-X ",
    "a:",
    "\u0301",
    " ",
    "\n",
]


@pytest.mark.parametrize("unit", UNITS)
def test_long_answers_are_read_in_seconds(unit):
    text = unit * (LONG // len(unit)) + " 7"
    started = time.monotonic()
    tell_apart(text)
    for name, score in SCORERS.items():
        assert score([Item("1", text, ("positive 7",), input="a b c")]), name
    # Most take a few tenths. In time that grows with the square, minutes.
    assert time.monotonic() - started < 30
