import pytest

from loragrid.scoring.scorers.text_statistics import text_statistics
from unit.scoring.answers import item, metrics

INPUT = "the old man walks to the river every morning"


def test_answer_and_human_text_are_counted_alike():
    [found] = metrics(
        lambda items: text_statistics(items, 3),
        item("The old man walks. He walks home.", "Every morning the old man swims in the river.", input=INPUT),
    )
    # Of 5 rows of three words "the old man" and "old man walks" stand in the input; of 7 of the reference "the old man" alone.
    assert found == pytest.approx(
        {
            "words": 7,
            "sentences": 2,
            "distinct": 6 / 7,
            "copied": 2 / 5,
            "reference_words": 9,
            "reference_sentences": 1,
            "reference_distinct": 8 / 9,
            "reference_copied": 1 / 7,
            "shared": 3 / 11,
        }
    )


def test_length_of_what_counts_as_copied_is_a_setting():
    texts = item("river man", "x", input=INPUT)
    assert [metrics(lambda items, n=n: text_statistics(items, n), texts)[0]["copied"] for n in (1, 2)] == [1, 0]


def test_text_shorter_than_what_counts_as_copied_has_copied_nothing():
    [found] = metrics(lambda items: text_statistics(items, 3), item("", "the river", input=INPUT))
    assert (found["words"], found["distinct"], found["copied"], found["shared"]) == (0, 0, 0, 0)
    assert (found["reference_words"], found["reference_copied"]) == (2, 0)
