import numpy as np
import pandas as pd
import pytest

from loragrid.analysis.figures.lengths import MOST_RANGES, by_length_rows, range_width, text_length_rows, token_rows


@pytest.mark.parametrize(
    ("longest", "width"), [(1, 1), (40, 1), (41, 2), (81, 5), (200, 5), (201, 10), (3999, 100), (20000, 500)]
)
def test_ranges_are_round_and_not_too_many(longest, width):
    assert range_width(longest) == width
    assert longest / width <= MOST_RANGES


def test_every_prompt_and_answer_of_a_model_is_counted_once(made):
    predictions = made.by_name["predictions"]
    models = predictions[predictions["base_model"] != "baseline"]
    rows = token_rows(models)
    assert rows.groupby("of")["count"].sum().to_dict() == {"tokens of answers": len(models), "tokens of prompts": len(models)}
    base = rows[(rows["kind"] == "base model") & (rows["of"] == "tokens of answers") & (rows["task"] == "long")]
    assert dict(zip(base["low"], base["count"], strict=True)) == {3: 3, 4: 3, 5: 3, 6: 3, 7: 3, 8: 3, 9: 2}


def test_judges_are_shown_by_length_and_the_main_metric_where_there_is_none(made, settings):
    rows = by_length_rows(made.answered, settings.main)
    assert set(rows["name"]) == {"opinion/score"}
    without = [one._replace(metrics=[metric._replace(kind="metric") for metric in one.metrics]) for one in made.answered]
    assert set(by_length_rows(without, settings.main)["name"]) == {"rouge/rougeL", "distance/edits"}


def test_means_by_length_are_those_of_the_answers_in_the_range(made, settings):
    one, rows = made.answered[0], by_length_rows(made.answered, settings.main)
    judge = one.column(one.of_kind("judge")[0])
    for row in rows[(rows["task"] == one.task) & rows["trained_task"].isna()].to_dict("records"):
        way = next(place for place, way in enumerate(one.all_ways) if way.way == "base")
        own = (one.ways == way) & (one.characters >= row["low"]) & (one.characters < row["high"])
        assert (row["answers"], row["mean"]) == (own.sum(), pytest.approx(judge[own].mean()))
    assert rows["answers"].sum() == sum(np.isfinite(each.characters).sum() for each in made.answered)


def lengths(*rows):
    return pd.DataFrame(rows, columns=["of", "part", "component", "field", "unit", "tokenizer", "length"])


def test_texts_are_counted_in_tokens_of_the_first_model_or_else_in_words():
    words = [("t/s", "train", "t", field, "words", "", n) for field in ("input", "output") for n in (1, 2, 2)]
    tokens = [("t/s", "train", "t", "input", "tokens", model, n) for model in ("a", "b") for n in (3, 4)]
    in_words = text_length_rows(lengths(*words))
    assert [tuple(row) for row in in_words[["field", "low", "count"]].to_numpy()] == [
        ("input", 1, 1),
        ("input", 2, 2),
        ("output", 1, 1),
        ("output", 2, 2),
    ]
    assert text_length_rows(lengths(*words, *tokens))["unit"].unique().tolist() == ["tokens"]
    assert text_length_rows(lengths(*words, *tokens))["count"].sum() == 2
    assert text_length_rows(lengths()).empty
