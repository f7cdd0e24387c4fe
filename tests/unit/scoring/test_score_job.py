import pytest

from loragrid.errors import UserError
from loragrid.records import write_records
from loragrid.scoring.job import Machine, ScoredFiles, score_file
from loragrid.scoring.registry import parse_scorer
from loragrid.scoring.settings import ScoreSettings
from unit.scoring.answers import prediction, prediction_to_prompts


def rows_of(tmp_path, values, *predictions):
    """The rows of a prediction file, by example."""
    path, scorer = tmp_path / "predictions/t/s/m/base.jsonl", parse_scorer(values)
    write_records(path, predictions)
    told = ScoreSettings.of(scorer, {}, version=1)
    return score_file("n", scorer, told, ScoredFiles("t/s/m/base", str(path)), list, Machine({}, 1))


def test_no_answer_is_scored_by_a_reference_without_what_the_scorer_looks_for(tmp_path):
    several = prediction_to_prompts("1", ["7"] * 10, ["7"] * 9 + ["seven"], "each")
    with pytest.raises(UserError) as caught:
        rows_of(tmp_path, {"type": "number"}, several, prediction("2", "7", "7"))
    assert str(caught.value) == (
        f"scorers.n: {tmp_path}/predictions/t/s/m/base.jsonl (id 1): the reference 'seven' holds no number. 1 of 2 examples asked "
        "is like this: mend the data, leave such rows out by the 'where' of their source, or choose another scorer."
    )


def test_share_of_a_reference_without_words_is_left_out_and_said(tmp_path):
    several = prediction_to_prompts("1", ["one two", "one"], ["one", "…"], "each")
    by_metric = {row.metric: (row.value, row.status) for row in rows_of(tmp_path, {"type": "length"}, several)}
    assert by_metric["length_ratio"] == (2.0, "1 of 2 parts failed and are left out: the reference has no words")
    assert by_metric["words"] == (1.5, "ok")
