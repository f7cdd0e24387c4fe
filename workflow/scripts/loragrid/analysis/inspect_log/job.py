"""The job that writes a log of one evaluation for Inspect."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from loragrid.analysis.columns import MODEL
from loragrid.analysis.inspect_log.archive import write_archive
from loragrid.analysis.inspect_log.header import make_header, model_name
from loragrid.analysis.inspect_log.samples import make_sample
from loragrid.analysis.inspect_log.settings import LogSettings
from loragrid.analysis.reading import read_scores
from loragrid.analysis.summaries import summarise_by
from loragrid.data.wholeness import Answered, refuse_other_answers, refuse_other_scores
from loragrid.layout import Evaluation
from loragrid.records import Example, Prediction, Score, read_records
from loragrid.runtime.manifests import read_json
from loragrid.scoring.registry import may_leave_out


def write_log(
    settings: LogSettings, predictions: str, test: str, scores: Sequence[str], manifest: str | None, log: str | Path
) -> None:
    """Write the answers of one evaluation, with their scores, as a log.

    Args:
        predictions: the file of the answers.
        test: the examples that they answer.
        scores: the files of their scores, one for each scorer.
        manifest: that of the answers; None where there is none, as for trivial baselines.
        log: what is written.

    Raises:
        DamagedError: if answers, examples and scores do not belong together.
    """
    rows, examples = read_records(predictions, Prediction), read_records(test, Example)
    answered = [row.answered for row in rows]
    refuse_other_answers(predictions, answered, test, examples)
    scored: dict[Answered, list[Score]] = defaultdict(list)
    for path in scores:
        own = read_records(path, Score)
        may_be_left_out = may_leave_out(settings.kinds[Path(path).stem].type)
        refuse_other_scores(path, [(score.metric, score.answered) for score in own], predictions, answered, may_be_left_out)
        for score in own:
            scored[score.answered].append(score)
    evaluation = Evaluation.of_predictions(predictions)
    by_id = {example.id: example for example in examples}
    name = model_name(evaluation)
    samples = [make_sample(name, by_id[row.id], row, scored[row.answered], settings.label_scorers) for row in rows]
    summary = summarise_by(read_scores(scores), MODEL, settings.kinds)
    told = {} if manifest is None else read_json(manifest)
    write_archive(log, make_header(settings, evaluation, rows, told, summary, samples), samples)
