"""A small study with a judge, a metric and people, as tables of predictions and scores."""

import numpy as np
import pandas as pd

from loragrid.analysis.columns import MODEL
from loragrid.analysis.contrasts.questions import Question
from loragrid.analysis.settings import AnalysisSettings
from loragrid.layout import BASELINE, Run
from loragrid.records import ACCOUNT, Prediction, Score

SCORERS = {"judge": "judge", "overlap": "rouge", "people": "human", "words": "length"}


def run(seed=1, n=8):
    return Run("m", "t", "s", "alone", n, "lora", "full", seed).name


def prediction(name, id_, text, sample=0, base_model="m"):
    trained = Run.parse(name, base_model)
    axes = {} if trained is None else {key: value for key, value in trained._asdict().items() if key != "base_model"}
    axes = {f"trained_{key}" if key in ("task", "sample_type") else key: value for key, value in axes.items()}
    common = {"task": "t", "sample_type": "s", "base_model": base_model, "run": name, "prompt": "?", "reference": "r"}
    unknown = dict.fromkeys(ACCOUNT)
    return Prediction(id=id_, sample=sample, prediction=text, engine="e", engine_version="1", **common, **axes, **unknown)


def tables(answers, **scores):
    """Predictions and scores.

    Args:
        answers: for each prediction its run, id and text, and perhaps its sample and base model.
        scores: for each scorer and metric, as `scorer__metric`, a value for each prediction; None leaves it out. For people, a
            value may be the ratings by annotator.
    """
    records = [prediction(*answer) for answer in answers]
    rows = []
    for name, values in scores.items():
        scorer, metric = name.split("__")
        for i, (one, value) in enumerate(zip(records, values, strict=True)):
            if value is None:
                continue
            parts = {}
            if isinstance(value, dict):
                parts = {f"{metric}/{who}/row of {one.id} {one.prediction}": rating for who, rating in value.items()}
                value = sum(value.values()) / len(value)
            score = Score(id=one.id, sample=one.sample, scorer=scorer, metric=metric, value=value, parts=parts)
            rows.append({key: getattr(records[i], key) for key in MODEL} | dict(score))
    return pd.DataFrame([one.parts[0] for one in records]), pd.DataFrame(rows)


def settings(**told):
    kinds = {name: {"type": kind, "lower_is_better": [], "worst": {}} for name, kind in SCORERS.items()}
    of_all = {"metric": "overlap/f", "prices": {}, "judge_prices": {}, "kinds": kinds, "group_by": {}, "levels": {}}
    return AnalysisSettings.model_validate(of_all | told)


def questions(nb, per_cluster=1):
    return {("t", "s", f"q{i}"): Question(f"q{i}", f"text {i // per_cluster}") for i in range(nb)}


MODELS = ("base", run(1), run(2), run(1, 16))


def study(nb=30, models=MODELS, rated=12, seed=0):
    """A study in which a judge likes what people like, and length. People rate the first answers of each model.

    Returns:
        Predictions and scores.
    """
    generator = np.random.default_rng(seed)
    answers, judged, overlap, people = [], [], [], []
    for i in range(nb):
        for place, name in enumerate(models):
            quality, length = generator.standard_normal() + 0.4 * place, int(generator.integers(5, 60)) + 8 * place
            answers.append((name, f"q{i}", "x" * length))
            judged.append(quality + 0.02 * length + 0.3 * generator.standard_normal())
            overlap.append(quality + generator.standard_normal())
            people.append({"ann": float(np.clip(round(3 + quality), 1, 5))} if i < rated else None)
    answers += [("copy", f"q{i}", "copied", 0, BASELINE) for i in range(nb)]
    nothing = [None] * nb
    return tables(answers, judge__score=judged + [50.0] * nb, overlap__f=overlap + [50.0] * nb, people__good=people + nothing)
