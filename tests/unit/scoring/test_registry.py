"""What holds for every scorer that loads no model."""

import pytest

from loragrid.scoring.protocol import add_up
from loragrid.scoring.registry import SCORERS, corpus_metrics, parse_scorer
from loragrid.scoring.scorer import ScorerInputs
from unit.scoring.answers import item

REFERENCE = {"label": "a", "number": "the answer is 42", "spans": "PER: Ada Lovelace"}
SETTINGS = [
    {"type": "rouge"},
    {"type": "rouge", "tokenizer": "unicode", "split_sentences": True},
    {"type": "bleu"},
    {"type": "bleu", "tokenize": "intl", "lowercase": True},
    {"type": "bleu", "tokenize": "char"},
    {"type": "bleu", "tokenize": "zh"},
    {"type": "chrf"},
    {"type": "chrf", "word_order": 2},
    {"type": "exact_match"},
    {"type": "exact_match", "normalise": False},
    {"type": "squad"},
    {"type": "token_f1"},
    {"type": "label", "labels": ["a", "b"]},
    {"type": "label", "labels": {"a": ["x y"], "b": []}, "read": "whole"},
    {"type": "number"},
    {"type": "number", "read": "first", "tolerance": 0.1},
    {"type": "spans"},
    {"type": "spans", "format": "json"},
    {"type": "spans", "format": "bio"},
    {"type": "true_false"},
    {"type": "true_false", "cut": False},
    {"type": "refusal"},
    {"type": "refusal", "phrases": ["no (way"]},
    {"type": "length"},
    {"type": "text_statistics"},
    {"type": "text_statistics", "sequence": 1},
]
LONG = [
    "a", "y", " ", "\n", ".", "1", "(", "[", '["', "{", '{"a":', "I-PER ", "A: b;", "a ", "A. ", "1,", "1,111", "1.111", "#### 1 ",
    "-", "'", "字", "ที่", "न\u093f", "\u0301\u0327", "💥", "true ", "i cannot ", "as an ai", "sorry ", "a-", "\\", "\x00", "\ud7ff",
    "x.\"'", "<a>",
]  # fmt: skip
TEXTS = ["", " \n\t", "…", "Кошка спит.", "猫在睡觉。", "القطة نائمة", *((text * 10_000)[:10_000] for text in LONG)]


@pytest.mark.parametrize("settings", SETTINGS, ids=lambda one: "-".join(map(str, one.values())))
def test_every_answer_has_every_metric(settings):
    scorer = parse_scorer(settings).build(ScorerInputs("name"))
    type_ = settings["type"]
    reference = REFERENCE.get(type_, "The cat is true. It sleeps on the mat.")
    for text in TEXTS:
        [outcome] = scorer([item(text, reference, "no reference", input="Ada Lovelace")])
        assert tuple(outcome.metrics) == SCORERS[type_].example_metrics
        assert all(outcome.metrics[name] in SCORERS[type_].limits for name in SCORERS[type_].right_or_wrong)
        assert tuple(corpus_metrics(type_, add_up([outcome.parts]))) == SCORERS[type_].corpus_metrics
