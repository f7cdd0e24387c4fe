"""Whatever a judge or a server says: it is read, or it is not, and nothing else happens."""

import json
import time
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loragrid.runtime.server import MOST_TOKENS, tokens_of
from loragrid.scoring.judge_asking import read_reply
from loragrid.scoring.judge_ledger import Judgement, Tokens
from loragrid.scoring.judge_replies import UnreadableError, contradictions, read_scores, read_verdict
from loragrid.scoring.rubrics import Range
from loragrid.text.json_values import json_values
from loragrid.text.thoughts import spoken_in

often = settings(max_examples=80, deadline=None, derandomize=True)
RANGES = {"score": Range(minimum=-1, maximum=10), "is_true": Range(minimum=0, maximum=1)}
WORDS = [
    "score",
    "Score: ",
    "is_true",
    "first",
    "second",
    "better",
    "7",
    "8/10",
    "1,5",
    "{",
    "}",
    "[",
    "]",
    '"',
    ":",
    ",",
    "-",
    "\n",
]
WORDS += ["<think>", "</think>", "NaN", "eight", "[[A]]", " ", "is", "winner: ", "\\", "(", "*", "\N{MINUS SIGN}", "e9", "\ud83d"]
texts = st.one_of(st.text(max_size=60), st.lists(st.sampled_from(WORDS), max_size=25).map("".join))
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@often
@given(texts, st.booleans())
def test_any_answer_of_a_judge_gives_scores_in_their_ranges_or_none(text, cut_off):
    for ranges in (RANGES, {"score": RANGES["score"]}):
        try:
            read = read_scores(text, ranges, cut_off)
        except UnreadableError:
            continue
        assert read.keys() == ranges.keys()
        assert all(ranges[name].minimum <= value <= ranges[name].maximum for name, value in read.items())


@often
@given(texts)
def test_any_answer_of_a_judge_gives_a_verdict_or_none(text):
    with suppress(UnreadableError):
        assert read_verdict(text) in ("first", "second", "tie")
    assert isinstance(contradictions(text), list)


@often
@given(st.floats(-1, 10).map(lambda value: round(value, 3)), st.integers(0, 1), texts.filter(lambda text: "{" not in text))
def test_scores_in_the_form_that_is_asked_for_are_read_whatever_stands_before_them(score, is_true, before):
    said = json.dumps({"score": score, "is_true": is_true})
    if not {"<think>", "</think>"} & set(before.split()) and "<" not in before:
        assert read_scores(f"{before}\n{said}", RANGES) == {"score": score, "is_true": is_true}


@often
@given(st.floats(0, 10), st.floats(0, 10))
def test_two_values_are_read_only_if_they_are_the_same(one, other):
    try:
        assert read_scores(f'{{"Score": {one!r}, "score": {other!r}}}', {"score": RANGES["score"]}) == {"score": one}
        assert one == other
    except UnreadableError:
        assert one != other


@often
@given(values, values)
def test_any_usage_is_a_believable_number_of_tokens_or_none(prompt, new):
    for usage in (prompt, {"prompt_tokens": prompt, "completion_tokens": new}):
        counted = tokens_of(usage)
        assert counted is None or all(isinstance(count, int) and 0 <= count <= MOST_TOKENS for count in counted)


@often
@given(values, values, values)
def test_any_reply_of_a_server_is_a_judgement_or_a_value_error(content, usage, choice):
    message = {"content": content, "refusal": choice, "reasoning": usage}
    replies = (content, {"choices": content}, {"choices": [choice]}, {"choices": [{"message": message}], "usage": usage})
    for reply in replies:
        try:
            judgement = read_reply(reply, Tokens(9, 9))
        except ValueError:
            continue
        assert isinstance(judgement, Judgement)
        assert json.loads(json.dumps(judgement._asdict())) == judgement._asdict()
        judgement.text.encode()
    with suppress(ValueError, AttributeError, TypeError):
        assert isinstance(spoken_in(message).answer, str)


@often
@given(values, texts)
def test_json_is_found_again_in_any_text_that_holds_no_other(value, text):
    plain = text.translate({ord(sign): " " for sign in '{}[]"'})
    wrapped = {"k": value}
    found = list(json_values(f"{plain} {json.dumps(wrapped)} {plain}", "{"))
    assert json.dumps(found) == json.dumps([wrapped])


LONG = 60_000
UNITS = [
    "(",
    "[",
    "{",
    '{"a',
    '{"a":',
    "[{",
    '"',
    "**",
    "score: ",
    "Score (",
    "score: 7 ",
    "better: ",
    "the ",
    "winner",
    "[[A]]",
    "9",
    "- ",
    "</think>",
]


@pytest.mark.parametrize("unit", UNITS)
def test_long_answers_are_read_in_seconds(unit):
    text = unit * (LONG // len(unit))
    started = time.monotonic()
    for read in (lambda: read_scores(text, RANGES), lambda: read_verdict(text), lambda: contradictions(text)):
        with suppress(UnreadableError):
            read()
    # Most take a few hundredths. In time that grows with the square, a minute and more.
    assert time.monotonic() - started < 20
