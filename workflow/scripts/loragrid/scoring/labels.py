"""Scorers that read a verdict out of an answer: a label, true or false."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

from loragrid.scoring.protocol import Failed, Item, Outcome, Scored, ScorerFunction
from loragrid.scoring.settings import LabelScorer, Scorer, TrueFalseScorer
from loragrid.text.labels import Labels, label_reader, verdict
from loragrid.text.words import shortened


def label(labels: Labels, read: Literal["first", "whole"]) -> ScorerFunction:
    """1 where prediction and reference have the same label (`accuracy`), and where the prediction has none (`undecided`).

    Of several references, one with the same label is enough.
    """
    label_of = label_reader(labels, read)

    def score_one(item: Item) -> Outcome:
        wanted = [found for reference in item.references if (found := label_of(reference)) is not None]
        if not wanted:
            return Failed(f"the reference has none of the labels: '{shortened(' '.join(item.references))}'")
        given = label_of(item.prediction)
        if given in wanted:
            return Scored({"accuracy": 1.0, "undecided": 0.0}, given, {f"tp/{given}": 1})
        mistaken = {} if given is None else {f"fp/{given}": 1}
        return Scored(
            {"accuracy": 0.0, "undecided": float(given is None)}, given or "undecided", {f"fn/{wanted[0]}": 1} | mistaken
        )

    return lambda items: [score_one(item) for item in items]


def true_false(cut: bool) -> ScorerFunction:
    """1 where prediction and reference have the same verdict (`accuracy`), and where the prediction has none (`tie`).

    Args:
        cut: read each up to its first full stop only.
    """

    def score_one(item: Item) -> Scored:
        given = verdict(item.prediction, cut)
        wanted = {verdict(reference, cut) for reference in item.references}
        return Scored({"accuracy": float(given in wanted), "tie": float(given == "tie")}, given)

    return lambda items: [score_one(item) for item in items]


def label_of_task(scorers: Sequence[Scorer]) -> Callable[[str], str]:
    """What of an output counts as its label, by the first scorer of labels; else all of it."""
    for scorer in scorers:
        match scorer:
            case LabelScorer():
                read = label_reader(scorer.labels, scorer.read)
                return lambda text: read(text) or ""
            case TrueFalseScorer():
                return lambda text: verdict(text, scorer.cut)
    return str
