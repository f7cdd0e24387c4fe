"""Whether the rows of all files fit together: answers with test sets, scores with answers."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from loragrid.analysis.columns import MODEL
from loragrid.analysis.settings import FactsByScorer
from loragrid.data.wholeness import Answered, refuse_other_answers, refuse_other_scores
from loragrid.layout import BASELINE, PREDICT, PREDICT_BASELINE, TEST, Dataset, Evaluation
from loragrid.records import Example, read_records
from loragrid.scoring.registry import may_leave_out


def refuse_unrelated_rows(
    predictions: pd.DataFrame,
    scores: pd.DataFrame,
    score_files: Iterable[str | Path],
    tests: Iterable[str | Path],
    facts: FactsByScorer,
    split: str = TEST,
) -> None:
    """Compare predictions with the test sets that they answer, and scores with the predictions that they are about.

    Rows are compared only where both files were read.

    Args:
        score_files: the files that the scores come from.
        tests: test sets, or other splits of the data sets.
        split: what all of these files are about.

    Raises:
        DamagedError: naming the file that lacks rows, or has others than it should.
    """
    answered = {
        Evaluation(*map(str, key))._replace(split=split): list(dict.fromkeys(zip(rows["id"], rows["sample"], strict=True)))
        for key, rows in predictions.groupby(MODEL, sort=False)
    }
    _refuse_other_answers(answered, tests)
    by_file = dict(list(scores.groupby([*MODEL, "scorer"], sort=False)))
    for path in score_files:
        evaluation, scorer = Evaluation.of_scores(path), Path(path).stem
        if evaluation in answered and scorer in facts:
            rows = by_file.get((*evaluation[: len(MODEL)], scorer), scores.head(0))
            refuse_other_scores(
                path,
                zip(rows["metric"], zip(rows["id"], rows["sample"], strict=True), strict=True),
                predictions_of(evaluation),
                answered[evaluation],
                may_leave_out(facts[scorer].type),
                # No manifest counts the answers of a baseline. They are made in no time.
                delete=predictions_of(evaluation) if evaluation.base_model == BASELINE else None,
            )


def predictions_of(evaluation: Evaluation) -> str:
    """The file with the predictions of an evaluation."""
    files = PREDICT_BASELINE if evaluation.base_model == BASELINE else PREDICT
    return files.path("predictions", evaluation.wildcards)


def _refuse_other_answers(answered: dict[Evaluation, list[Answered]], tests: Iterable[str | Path]) -> None:
    for test in tests:
        own = {evaluation: rows for evaluation, rows in answered.items() if evaluation.dataset == Dataset.of(test)}
        examples = read_records(test, Example) if own else []
        for evaluation, rows in own.items():
            refuse_other_answers(predictions_of(evaluation), rows, test, examples)
