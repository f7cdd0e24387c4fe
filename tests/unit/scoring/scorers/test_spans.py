import random

import pytest

from loragrid.scoring.protocol import add_up
from loragrid.scoring.registry import corpus_metrics
from loragrid.scoring.scorers.spans import spans, spans_of_json, spans_of_lines, tags_of
from unit.scoring.answers import item, metrics


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("PER: Ada Lovelace\nLOC: London", [("PER", "Ada Lovelace"), ("LOC", "London")]),
        ("PER: Ada; LOC: London | ORG: BBC", [("PER", "Ada"), ("LOC", "London"), ("ORG", "BBC")]),
        ("Here they are:\n- **PER**: `Ada`\n2. LOC : London", [("Here they are", ""), ("PER", "Ada"), ("LOC", "London")]),
        ("TIME: 12:30", [("TIME", "12:30")]),
        ("None.", []),
    ],
)
def test_lines_list_type_and_text(text, expected):
    assert list(spans_of_lines(text)) == expected


ADA = '{"type": "PER", "text": "Ada"}'


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"[{ADA}]", ["Ada"]),
        (f"See [1], [the text]:\n```json\n[{ADA}, 5, null]\n```\nOr [{ADA}, {ADA}]", ["Ada"]),
        (f'{{"entities": [{ADA}]}}', ["Ada"]),
        (f"[] or [{ADA}]", []),
        (f'[{ADA}, {{"type": "LOC", "text": "Lon', ["Ada"]),
        (f"{ADA}\n{ADA}", ["Ada", "Ada"]),
        ('[{"type": "YEAR", "text": 1843}, {"type": ["x"], "text": "y"}, {"text": "z"}]', ["1843"]),
        ("__import__('os').system('true')", []),
        ("[" * 10_000, []),
        ("[" + "1" * 10_000 + "]", []),
    ],
)
def test_json_list_is_found_in_a_text_and_as_far_as_it_goes(text, expected):
    assert [span for _, span in spans_of_json(text)] == expected


def test_spans_count_as_often_as_they_are_listed_whatever_their_case_and_space():
    found = spans("lines", False)([item("per: ada  lovelace; PER: Bob; LOC: Bob", "PER: Ada Lovelace; PER: Ada Lovelace")])
    assert found[0].metrics == {"precision": 1 / 3, "recall": 1 / 2, "f1": 2 / 5}
    assert found[0].parts == {"tp": 1, "fp": 2, "fn": 1}


def test_case_is_heeded_if_asked_to():
    assert metrics(spans("lines", True), item("per: ada", "PER: Ada"), item("per: Ada", "PER: Ada")) == [
        {"precision": 0, "recall": 0, "f1": 0},
        {"precision": 1, "recall": 1, "f1": 1},
    ]


@pytest.mark.parametrize(
    ("format", "none", "some"), [("lines", "none", "A: b"), ("json", "[]", f"[{ADA}]"), ("bio", "O O", "B-A O")]
)
def test_nothing_is_right_where_there_is_nothing(format, none, some):
    right, superfluous, missing = spans(format, False)([item(none, none), item(some, none), item(none, some)])
    assert set(right.metrics.values()) == {1}
    assert set(superfluous.metrics.values()) == set(missing.metrics.values()) == {0}
    assert (superfluous.parts["fp"], missing.parts["fn"]) == (1, 1)


def test_best_reference_counts_with_its_counts():
    [found] = spans("lines", False)([item("A: b; A: c", "A: x", "A: b; A: c; A: d")])
    assert (found.metrics["f1"], found.parts) == (0.8, {"tp": 2, "fp": 0, "fn": 1})


def test_tags_that_are_missing_or_too_many_are_filled_and_cut():
    few, many = spans("bio", False)(
        [
            item("B-PER", "B-PER O B-LOC", input="Ada in London"),
            item("B-PER O B-LOC B-LOC", "B-PER O B-LOC", input="Ada in London"),
        ]
    )
    assert (few.parts, few.detail) == ({"tp": 1, "fp": 0, "fn": 1}, "1 tags for 3 words")
    assert (many.parts, many.detail) == ({"tp": 2, "fp": 0, "fn": 0}, "4 tags for 3 words")


def test_tags_of_a_reference_that_disagree_with_the_input_are_told_but_kept():
    [found] = spans("bio", False)([item("O O B-LOC", "O O B-LOC", input="In London")])
    assert (found.metrics["f1"], found.detail) == (1, "the reference has 3 tags for 2 words")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("['B-PER', 'I-PER', 'O']", ["B-PER", "I-PER", "O"]),
        ("Tags: b-per, i-per, o", ["b-per", "i-per", "o"]),
        ("B-PER ??? O", ["B-PER", "O", "O"]),
    ],
)
def test_tags_are_found_among_other_signs(text, expected):
    assert tags_of(text, 3) == expected


def test_bio_agrees_with_seqeval_on_sequences_with_all_kinds_of_mistakes():
    from seqeval.metrics import f1_score, precision_score, recall_score

    random_ = random.Random(0)
    tags = ["O", "O", "O", "B-PER", "I-PER", "I-PER", "B-LOC", "I-LOC", "B-MISC-X", "I-MISC-X"]
    wanted = [random_.choices(tags, k=random_.randint(1, 15)) for _ in range(200)]
    given = [[random_.choice([tag] * 4 + tags) for tag in one] for one in wanted]
    items = [item(" ".join(g), " ".join(w), input="word " * len(w)) for g, w in zip(given, wanted, strict=True)]
    outcomes = spans("bio", False)(items)
    assert corpus_metrics("spans", add_up(one.parts for one in outcomes)) == pytest.approx(
        {
            "micro_precision": precision_score(wanted, given),
            "micro_recall": recall_score(wanted, given),
            "micro_f1": f1_score(wanted, given),
        },
        rel=1e-12,
    )
    assert {one.detail for one in outcomes} == {None}


def test_spans_that_look_alike_are_the_same():
    assert metrics(spans("lines", False), item("PLACE: Cafe\u0301", "PLACE: Café"))[0]["f1"] == 1
