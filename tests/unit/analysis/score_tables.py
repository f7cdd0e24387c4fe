"""Tables of scores, and what is to be known of their scorers."""

import pandas as pd

from loragrid.analysis.columns import AXES, MODEL
from loragrid.records import Score
from loragrid.scoring.scorer import ScorerFacts

ROUGE = {"r": ScorerFacts(type="rouge", lower_is_better=[], worst={})}
LABEL = {"l": ScorerFacts(type="label", lower_is_better=["undecided"], worst={"undecided": None})}
PERPLEXITY = {"p": ScorerFacts(type="perplexity", lower_is_better=["perplexity"], worst={"perplexity": None})}


def labelled(run, wrong, group=None):
    """Score rows of a classifier of 20 examples, half of them of each label, that is wrong on some."""
    rows = []
    for i in range(20):
        expected, other = ("yes", "no") if i % 2 else ("no", "yes")
        read = other if i in wrong else expected
        parts = {f"tp/{read}": 1.0} if read == expected else {f"fp/{read}": 1.0, f"fn/{expected}": 1.0}
        of = dict(zip(MODEL, ("m", "t", "s", run, "zero_shot", "default", "greedy"), strict=True))
        score = Score(id=str(i), scorer="l", metric="accuracy", value=float(read == expected), parts=parts)
        rows.append(of | dict(score))
    return rows


def only_axes(table):
    return pd.DataFrame([{**dict.fromkeys(AXES), **row} for row in table[MODEL].drop_duplicates().to_dict("records")])


def scored(run, values, metric):
    of = dict(zip(MODEL, ("m", "t", "s", run, "zero_shot", "default", "greedy"), strict=True))
    return [
        of | dict(Score(id=str(i), scorer="x", metric=metric, value=v, status="ok" if v is not None else "failed: why"))
        for i, v in enumerate(values)
    ]
