import math
import random
import warnings

import pandas as pd
import pytest

from loragrid.analysis.agreement import RatedSheets, agreement, asked_rows, rated_of_asked, ratings_of
from loragrid.layout import PREDICT, PREPARE_DATASET, Evaluation
from loragrid.records import write_records
from loragrid.scoring.human_sheets import HumanEvaluation, rows_of_annotator
from unit.scoring.answers import prediction


def by_item(**annotators):
    """Ratings by answer, from those of each annotator in the same order; None where one is missing."""
    columns = zip(*annotators.values(), strict=True)
    return {
        f"item {i}": {who: float(value) for who, value in zip(annotators, column, strict=True) if value is not None}
        for i, column in enumerate(columns)
    }


def only(ratings, level):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        [row] = agreement({"good": ratings}, {"good": level})
    return row


# Krippendorff 2011, Computing Krippendorff's Alpha-Reliability, part C: four observers, with gaps.
_ = None
OBSERVERS = by_item(
    a=[1, 2, 3, 3, 2, 1, 4, 1, 2, _, _, _],
    b=[1, 2, 3, 3, 2, 2, 4, 1, 2, 5, _, 3],
    c=[_, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, _],
    d=[1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, _],
)


@pytest.mark.parametrize(("level", "alpha"), [("nominal", 0.743), ("ordinal", 0.815), ("interval", 0.849)])
def test_alpha_is_that_of_the_published_example(level, alpha):
    row = only(OBSERVERS, level)
    assert row.alpha == pytest.approx(alpha, abs=5e-4)
    # The last unit has one observer only.
    assert (row.items, row.annotators, row.level) == (11, 4, level)


def test_kappa_and_percent_agreement_of_two_annotators():
    # 50 answers; both say yes to 20, both no to 15: 0.7 observed, 0.5 by chance.
    ratings = by_item(a=[1] * 25 + [0] * 25, b=[1] * 20 + [0] * 5 + [1] * 10 + [0] * 15)
    row = only(ratings, "nominal")
    assert row.mean_kappa == pytest.approx(0.4)
    assert row.percent_agreement == pytest.approx(70)


def test_distant_ratings_weigh_more_unless_they_are_nominal():
    # a and b differ once, by the whole scale. By squared distance: 4 observed; by chance (0 + 4 + 1 + 1 + 1 + 1 + 4 + 0 + 4) / 3.
    ratings = by_item(a=[0, 1, 2], b=[0, 1, 0])
    by_chance = sum((x - y) ** 2 for x in (0, 1, 2) for y in (0, 1, 0)) / 3
    assert only(ratings, "ordinal").mean_kappa == pytest.approx(1 - 4 / by_chance)
    assert only(ratings, "nominal").mean_kappa == pytest.approx(0.5)


def test_distance_of_ordinal_ratings_is_that_of_their_places():
    near, far = by_item(a=[0, 1, 2, 0], b=[0, 1, 1, 2]), by_item(a=[0, 1, 50, 0], b=[0, 1, 1, 50])
    assert only(near, "ordinal").mean_kappa == pytest.approx(only(far, "ordinal").mean_kappa)
    assert only(near, "interval").mean_kappa != pytest.approx(only(far, "interval").mean_kappa)


@pytest.mark.parametrize(("level", "weights"), [("nominal", None), ("ordinal", "quadratic")])
def test_kappa_equals_that_of_scikit_learn(level, weights):
    from sklearn.metrics import cohen_kappa_score

    draw = random.Random(1)
    a = [draw.randint(1, 5) for _ in range(60)]
    b = [draw.choice([x, x, draw.randint(1, 5)]) for x in a]
    expected = cohen_kappa_score(a, b, weights=weights)
    assert only(by_item(a=a, b=b), level).mean_kappa == pytest.approx(expected)


def test_kappa_is_the_mean_over_pairs_of_annotators_that_share_answers():
    perfect, inverse = [0, 1, 0, 1], [1, 0, 1, 0]
    gone = [_] * 4
    ratings = by_item(a=perfect + gone, b=perfect + perfect, c=gone + inverse)
    assert only(ratings, "nominal").mean_kappa == pytest.approx((1 - 1) / 2)


def test_percent_agreement_is_the_mean_over_answers_of_their_pairs():
    ratings = by_item(a=[1, 1], b=[1, 0], c=[0, _])
    assert only(ratings, "nominal").percent_agreement == pytest.approx(100 * (1 / 3 + 0) / 2)


@pytest.mark.parametrize("level", ["nominal", "ordinal", "interval"])
def test_where_all_ratings_are_the_same_chance_is_not_defined(level):
    row = only(by_item(a=[1, 1], b=[1, 1]), level)
    assert row.percent_agreement == 100
    assert math.isnan(row.alpha)
    assert math.isnan(row.mean_kappa)


@pytest.mark.parametrize("ratings", [{}, by_item(a=[1, 0], b=[_, _])])
def test_without_a_second_annotator_there_is_nothing_to_compare(ratings):
    row = only(ratings, "ordinal")
    assert (row.items, row.annotators) == (0, 0)
    assert all(map(math.isnan, (row.percent_agreement, row.mean_kappa, row.alpha)))


def test_annotators_that_share_no_answer_have_no_kappa():
    apart = by_item(a=[1, 0, _, _], b=[_, _, 1, 0], c=[1, 0, 1, 0])
    assert only(apart, "nominal").mean_kappa == 1
    assert math.isnan(only({"x": {"a": 1.0, "b": 1.0}, "y": {"c": 0.0, "d": 0.0}}, "nominal").mean_kappa)


def test_ratings_come_from_score_rows_each_answer_once():
    of_one, of_other = {"good/anna/1_x": 1.0, "good/ben/1_x": 0.0, "short/ben/1_x": 2.0}, {"good/anna/1_y": 0.0}
    scores = pd.DataFrame({"run": ["base", "base", "tuned", "tuned"], "parts": [of_one, {}, of_one, of_other]})
    assert ratings_of(scores) == {
        "good": {"1_x": {"anna": 1.0, "ben": 0.0}, "1_y": {"anna": 0.0}},
        "short": {"1_x": {"ben": 2.0}},
    }


def test_rated_rows_are_counted_against_what_the_sheets_ask_for():
    ratings = {"r1": {"anna": 1, "ben": 0}, "r2": {"anna": 1}, "of an answer that is no longer there": {"anna": 1}}
    assert rated_of_asked(ratings, {"anna": {"r1", "r2"}, "ben": {"r1", "r3"}}) == (3, 4)
    assert rated_of_asked({}, {"anna": set()}) == (0, 0)


def test_sheets_ask_for_what_the_workflow_writes_into_them(tmp_path, monkeypatch, make_example):
    monkeypatch.chdir(tmp_path)
    test, (ours, theirs, baseline) = (
        PREPARE_DATASET.path("test", {"task": "t", "sample_type": "s"}),
        [
            PREDICT.path("predictions", Evaluation(model, "t", "s", run).wildcards)
            for model, run in (("m", "base"), ("external", "people"), ("baseline", "copy"))
        ],
    )
    examples = [make_example(f"e{i}") for i in range(6)]
    write_records(test, examples)
    for path, text in ((ours, "a"), (theirs, "b"), (baseline, "c")):
        write_records(path, [prediction(example.id, text, "r") for example in examples])
    settings = HumanEvaluation(
        tasks=["t"], examples=5, overlap=1, annotators=["anna", "ben"], criteria={"good": {"question": "?"}}
    )
    sheets = RatedSheets(evaluation="e", settings=settings)
    asked = asked_rows(sheets, [ours, theirs, baseline], [test])
    assert {who: len(rows) for who, rows in asked.items()} == {"anna": 6, "ben": 6}
    assert asked["anna"] == {row.id for row in rows_of_annotator("e", settings, "anna", [ours, theirs], [test])}
    assert asked_rows(sheets, [], []) is None
