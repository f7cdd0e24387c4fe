"""Small grids of made-up results, through the real functions."""

import pandas as pd

from loragrid.analysis.columns import AXES, MODEL
from loragrid.analysis.contrasts.matrices import measure
from loragrid.analysis.contrasts.questions import Question
from loragrid.analysis.contrasts.tables import compare_ways
from loragrid.analysis.contrasts.ways import ways_of
from loragrid.analysis.main_metrics import MainMetrics
from loragrid.analysis.settings import AnalysisSettings
from loragrid.layout import Run
from loragrid.records import Score

MAIN = MainMetrics("r/x")
ASKED = {"prompting": "zero_shot", "prompt_variant": "default", "decoding": "greedy"}


def base(model="m", task="t", references="s", **asked):
    """The axes of a base model that is asked."""
    return dict.fromkeys(AXES) | {"base_model": model, "task": task, "sample_type": references, "run": "base"} | ASKED | asked


def run(model="m", task="t", references=None, trained_on="s", mix="x", n=8, config="c", loss="full", seed=1, own=None, **asked):
    """The axes of a run that is asked."""
    own = own or task
    name = Run(model, own, trained_on, mix, n, config, loss, seed).name
    trained = {"trained_task": own, "trained_sample_type": trained_on, "mix": mix, "nb_samples": n, "config": config}
    of_model = base(model, task, references or trained_on, **asked) | {"run": name}
    return of_model | trained | {"loss_computation": loss, "seed": seed}


def made(
    *results,
    metric="r/x",
    task_metrics=None,
    lower=(),
    worst=None,
    bounds=None,
    comparisons=None,
    least=None,
    clusters=None,
    cut_off=(),
):
    """Scores, predictions, questions and settings from pairs of axes and values: by question, or in the order of questions.

    Args:
        results: a value may be several, of samples; a third part is the metric, if it is not the usual one.
        clusters: the cluster of each question; each is its own by default.
        cut_off: the questions to which all answers are cut off.
    """
    predictions, scores = [], []
    for axes, values, *own_metric in results:
        scorer, of_metric = (own_metric[0] if own_metric else metric).split("/")
        of_model = {name: axes[name] for name in MODEL}
        for question, given in (values if isinstance(values, dict) else {str(i): v for i, v in enumerate(values)}).items():
            for sample, value in enumerate(given if isinstance(given, list) else [given]):
                status = "ok" if value is not None else "failed: why"
                score = Score(id=question, sample=sample, scorer=scorer, metric=of_metric, value=value, status=status)
                scores.append(of_model | score.model_dump())
                predictions.append(axes | {"id": question, "finish_reason": "length" if question in cut_off else "stop"})
    ids = {(axes["task"], axes["sample_type"], row["id"]) for axes, *_ in results for row in scores}
    questions = {key: Question(key[2], (clusters or {}).get(key[2], "/".join(key))) for key in sorted(ids)}
    settings = AnalysisSettings.model_validate(
        {
            "metric": metric,
            "task_metrics": task_metrics or {},
            "prices": {},
            "judge_prices": {},
            "kinds": {metric.split("/")[0]: {"type": "rouge", "lower_is_better": list(lower), "worst": worst or {}}},
            "group_by": {},
            "levels": {},
            "bounds": {metric: bounds} if bounds else {},
            "comparisons": comparisons,
            "smallest_difference": {metric: least} if least else {},
        }
    )
    of_answers = pd.DataFrame(predictions).astype({"nb_samples": "Int64", "seed": "Int64"})
    return pd.DataFrame(scores), of_answers, questions, settings


def tables(*results, **more):
    """The tables of ways and of contrasts; as `made` takes it."""
    return compare_ways(*made(*results, **more))


def measured(*results, **more):
    """Ways, the results of each data set and metric, predictions and main metrics; as `made` takes it."""
    scores, predictions, questions, settings = made(*results, **more)
    return ways_of(predictions), list(measure(scores, questions, settings.kinds, settings.bounds)), predictions, settings.main


def contrasts(*results, **more):
    """The table of contrasts."""
    return tables(*results, **more)[1]


def only(table, **values):
    """The rows with these values."""
    for name, value in values.items():
        table = table[table[name] == value]
    return table
