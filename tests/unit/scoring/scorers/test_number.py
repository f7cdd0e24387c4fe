from decimal import Decimal

import pytest

from loragrid.scoring.protocol import Failed
from loragrid.scoring.registry import parse_scorer
from loragrid.scoring.scorers.length import length
from loragrid.scoring.scorers.number import number, read_number
from unit.scoring.answers import item, metrics


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("It is 42.", "42"),
        ("1,234.50 dollars", "1234.5"),
        ("1,234,567", "1234567"),
        ("1'234", "1234"),
        ("1\u202f234", "1234"),
        ("1.234,50 €", "1234.5"),
        ("1.234.567", "1234567"),
        ("3,5", "3.5"),
        ("1,2,3", "3"),
        (".5", "0.5"),
        ("-5", "-5"),
        ("−5", "-5"),
        ("+5", "5"),
        ("8-5", "5"),
        ("-$5.20", "-5.2"),
        ("$-5.20", "-5.2"),
        ("€5", "5"),
        ("Rs.500", "500"),
        ("50%", "50"),
        ("42km", "42"),
        ("1.5e3", "1500"),
        ("1.5E-3", "0.0015"),
        ("1.5 × 10^3", "1500"),
        ("1.5×10⁻³", "0.0015"),
        (r"1.5 \times 10^{3}", "1500"),
        ("5 x 10 boxes", "10"),
        ("答案是42。", "42"),
        ("٤٢", "42"),
        ("H2O", None),
        ("none", None),
        ("", None),
    ],
)
def test_numbers_are_read_as_they_are_usually_written(text, expected):
    assert read_number(text, "last") == (None if expected is None else Decimal(expected))


def test_first_or_last_number_counts():
    assert (read_number("3 and 4", "first"), read_number("3 and 4", "last")) == (3, 4)


@pytest.mark.parametrize("read", ["first", "last"])
def test_number_that_is_marked_as_the_answer_counts(read):
    assert read_number("3 + 4 = 7\n#### 7\n\nQuestion: 8 apples", read) == 7
    assert read_number("#### $1,000 dollars\nOr 3", read) == 1000
    # A heading.
    assert read_number("#### 1. Add 2\n3", "last") == 3


@pytest.mark.parametrize(
    ("prediction", "tolerance", "expected"),
    [("130", 0.3, 1), ("70", 0.3, 1), ("130.1", 0.3, 0), ("100.0", 0, 1), ("100.01", 0, 0), ("none", 1, 0)],
)
def test_numbers_match_within_the_tolerance(prediction, tolerance, expected):
    assert metrics(number("last", tolerance), item(prediction, "100")) == [{"number_match": expected}]


def test_tolerance_is_a_share_of_negative_numbers_too():
    assert metrics(number("last", 0.1), item("-105", "-100"), item("95", "-100")) == [{"number_match": 1}, {"number_match": 0}]


def test_detail_is_the_number_read():
    outcomes = number("last", 0)([item(text, "1") for text in ("1,000.50 m", "none", "1e300", "-0.10", "0")])
    assert [one.detail for one in outcomes] == ["1000.5", "no number", "1.000000e+300", "-0.1", "0"]


def test_any_reference_may_match():
    assert metrics(number("last", 0), item("2", "1", "none", "2")) == [{"number_match": 1}]


def test_reference_without_a_number_is_a_failure():
    assert number("last", 0)([item("2", "two")]) == [Failed("the reference holds no number: 'two'")]


def test_absurdly_long_numbers_are_compared_exactly():
    long = "1" * 10_000
    same, other, huge = number("last", 0)([item(long, long), item(long + "2", long + "3"), item("1e9999", "1e-9999")])
    assert [one.metrics["number_match"] for one in (same, other, huge)] == [1, 0, 0]
    assert max(len(one.detail) for one in (same, other, huge)) < 30


def test_length_counts_words_characters_and_the_share_of_the_reference():
    assert metrics(length, item("one two", "one two three four", "one"), item("我来了。", "我来")) == [
        {"words": 2, "characters": 7, "length_ratio": 0.5},
        {"words": 3, "characters": 4, "length_ratio": 1.5},
    ]


def test_length_has_no_share_of_a_reference_without_words():
    [outcome] = length([item("one", "…")])
    assert (outcome.metrics, outcome.undefined) == (
        {"words": 1, "characters": 3},
        {"length_ratio": "the reference has no words"},
    )
    # It is left out of means.
    assert parse_scorer({"type": "length"}).facts().worst == {"length_ratio": None}
