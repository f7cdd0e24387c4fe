"""Predictions and answers for tests of scorers."""

from loragrid.records import Prediction
from loragrid.scoring.protocol import Failed, Item, ScorerFunction

AXES = {"task": "t", "sample_type": "s", "base_model": "m", "run": "base", "engine": "e", "engine_version": "1"}
ACCOUNT = {
    "runtime_s": 1.0,
    "queue_s": 0.0,
    "compute_s": 1.0,
    "prompt_tokens": 1,
    "new_tokens": 1,
    "finish_reason": "stop",
    "batch_size": 1,
}


def prediction(name: str, text: str, reference: str | list[str]) -> Prediction:
    return Prediction(id=name, prompt="?", prediction=text, reference=reference, **AXES, **ACCOUNT)


def prediction_to_prompts(name: str, texts: list[str], reference: str | list[str], answers: str) -> Prediction:
    """A prediction for an example with several prompts."""
    account = {key: [value] * len(texts) for key, value in ACCOUNT.items()}
    prompts = [f"prompt {i}" for i in range(len(texts))]
    return Prediction(id=name, prompt=prompts, prediction=texts, reference=reference, answers=answers, **AXES, **account)


def item(text: str, *references: str, **fields) -> Item:
    return Item(id="1", prediction=text, references=references, **fields)


def metrics(scorer: ScorerFunction, *items: Item) -> list[dict[str, float]]:
    """The metrics of all items, none of which may fail."""
    outcomes = scorer(items)
    assert not [outcome for outcome in outcomes if isinstance(outcome, Failed)]
    return [dict(outcome.metrics) for outcome in outcomes]
