"""How test questions are divided into slices."""

from collections import Counter

import pytest

from loragrid.analysis.slices.divisions import LENGTH, METADATA, OTHER, REFERENCES, by_value, divisions, quarters
from loragrid.records import Example


def example(number, input="", output="x", **metadata):
    return Example(id=str(number), task="t", sample_type="s", instruction="Do.", input=input, output=output, metadata=metadata)


def of(examples, by, key=""):
    return next((one for one in divisions(examples) if (one.by, one.key) == (by, key)), None)


def sizes(division):
    return {name: sum(found == name for found in division.of_question.values()) for name in division.slices}


def test_a_key_of_the_metadata_has_a_slice_for_each_value_the_most_frequent_first():
    examples = [example(i, topic="rare" if i < 2 else "usual") for i in range(6)]
    assert sizes(of(examples, METADATA, "topic")) == {"usual": 4, "rare": 2}


def test_values_that_one_question_has_and_more_than_twenty_are_others():
    single = [example(i, topic="usual" if i < 4 else f"only {i}") for i in range(7)]
    assert sizes(of(single, METADATA, "topic")) == {"usual": 4, OTHER: 3}
    many = [example(f"{i} {copy}", topic=f"topic {i:02}") for i in range(30) for copy in range(30 - i + 1)]
    found = sizes(of(many, METADATA, "topic"))
    assert len(found) == 20
    assert list(found)[-1] == OTHER
    assert sum(found.values()) == len(many)


def test_twenty_values_have_a_slice_each():
    many = [example(f"{i} {copy}", topic=f"topic {i:02}") for i in range(20) for copy in range(2)]
    assert set(sizes(of(many, METADATA, "topic")).values()) == {2}


@pytest.mark.parametrize("topic", [lambda i: "same", lambda i: f"title {i}"])
def test_a_key_that_is_the_same_everywhere_or_nowhere_divides_nothing(topic):
    assert of([example(i, topic=topic(i)) for i in range(8)], METADATA, "topic") is None


def test_numbers_are_divided_into_quarters_and_few_of_them_are_values_in_order():
    examples = [example(i, year=str(1990 + i), level=str(10 - i % 3)) for i in range(8)]
    assert sizes(of(examples, METADATA, "year")) == {f"{1990 + i} to {1991 + i}": 2 for i in (0, 2, 4, 6)}
    assert sizes(of(examples, METADATA, "level")) == {"8": 2, "9": 3, "10": 3}
    # Infinite numbers and such are words.
    assert of([example(i, year="nan" if i else "1") for i in range(8)], METADATA, "year") is not None


def test_questions_are_divided_by_the_length_of_their_input_and_by_how_many_references_there_are():
    examples = [example(i, input="x" * (10 * i), output=["a", "b"] if i % 2 else "a") for i in range(1, 9)]
    assert sizes(of(examples, LENGTH)) == {"10 to 20": 2, "30 to 40": 2, "50 to 60": 2, "70 to 80": 2}
    assert sizes(of(examples, REFERENCES)) == {"1": 4, "2": 4}
    alike = [example(i) for i in range(4)]
    assert list(divisions(alike)) == []


def test_lengths_that_are_mostly_the_same_have_fewer_slices():
    names, of_question = quarters({str(i): float(i == 7) for i in range(8)})
    assert (names, of_question["7"]) == (["0", "1"], "1")
    assert quarters({"a": 1.0, "b": 1.0}) is None
    assert quarters({}) is None
    assert by_value({}) is None


@pytest.mark.parametrize(
    ("numbers", "first"),
    [
        ([1_700_000_000.0 + i for i in range(8)], "1,700,000,000 to 1,700,000,001"),
        ([10_000.0 + 1000 * i for i in range(8)], "10,000 to 11,000"),
        ([0.5 + i / 1e12 for i in range(8)], "0.5 to 0.500000000001"),
    ],
)
def test_names_of_quarters_have_the_digits_that_tell_them_apart(numbers, first):
    names, of_question = quarters({str(place): number for place, number in enumerate(numbers)})
    assert names[0] == first
    assert len(set(names)) == 4
    assert Counter(of_question.values()) == dict.fromkeys(names, 2)
