"""Inputs of shared results that are not the same in each experiment."""

from __future__ import annotations

from collections.abc import Mapping

from loragrid import layout
from loragrid.analysis.card_marks import is_of_another_experiment

EXCHANGED: Mapping[str, tuple[layout.Files, str]] = {
    "make_mix": (layout.DECONTAMINATE, "leaks"),
    "predict": (layout.PREDICT, "predictions"),
    "check": (layout.PREPARE_DATASET, "test"),
    "describe_model": (layout.SCORE, "scores"),
    "describe_full_model": (layout.SCORE, "scores"),
}
"""Which inputs these are, by rule.

A mix stays as it was drawn, and the report names the test sets that it leaks into. Answers are the same wherever a job found some
of them. A base model is checked on any test examples. A card shows the scores that the experiment asks for that wrote it.
"""


def is_exchanged(rule: str, path: str) -> bool:
    """Whether an input of a rule is one of these."""
    files, output = EXCHANGED[rule]
    return files.wildcards(output, path) is not None


def is_kept(rule: str, experiment: str | None, result: str) -> bool:
    """Whether a result of a rule stays as it is when such an input comes or goes.

    Args:
        experiment: the name of the experiment that asks for the result.
    """
    # What an experiment asks for in its own card may change.
    return EXCHANGED[rule][0] is not layout.SCORE or is_of_another_experiment(result, experiment)
