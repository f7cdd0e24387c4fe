"""Answers as samples of a log: what was asked, what came back, what scorers said of it.

A log keeps each sample in a file of its own, and summaries of all samples in one, which the viewer lists. The form is that of
`EvalSample` and `EvalSampleSummary` in inspect_ai 0.3.285, file format 2.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any

from loragrid.records import Example, Prediction, Score, question

LONGEST = 1000
"""So many characters of a text are in a summary."""

STOP_REASONS = {"stop": "stop", "length": "max_tokens", None: "unknown"}
"""What Inspect calls the ways in which an answer ends."""


def make_sample(
    model: str, example: Example, prediction: Prediction, scores: Iterable[Score], label_scorers: Collection[str]
) -> dict[str, Any]:
    """One answer to one example, or one for each of the example's prompts.

    Args:
        model: the name that the log gives the model.
        scores: of this answer, those of a scorer beside each other.
        label_scorers: the scorers that read a label in an answer.
    """
    parts = prediction.parts
    questions = [question(part) for part in example.parts]
    # What is asked is the input, as a person would put it; the messages are what the model saw.
    asked = [{"role": "user", "content": part["prompt"]} for part in parts]
    answers = [{"role": "assistant", "content": _content(part), "source": "generate", "model": model} for part in parts]
    choices = [
        {"message": answer, "stop_reason": STOP_REASONS[part["finish_reason"]]}
        for answer, part in zip(answers, parts, strict=True)
    ]
    completion = "\n".join(part["prediction"] for part in parts)
    output: dict[str, Any] = {"model": model, "choices": choices, "completion": completion}
    sample: dict[str, Any] = {
        "id": prediction.id,
        "epoch": prediction.sample + 1,
        "input": questions[0] if len(questions) == 1 else [{"role": "user", "content": text} for text in questions],
        "target": prediction.reference,
        "messages": [message for pair in zip(asked, answers, strict=True) for message in pair],
        "output": output,
        "scores": sample_scores(scores, completion, label_scorers),
        "metadata": example.metadata,
    }
    if (used := usage(parts)) is not None:
        output["usage"], output["time"] = used, max(part["compute_s"] for part in parts)
        sample |= {
            "model_usage": {model: used},
            "total_time": round(max(part["queue_s"] + part["compute_s"] for part in parts), 6),
            "working_time": round(sum(part["runtime_s"] for part in parts), 6),
        }
    return sample


def _content(part: Mapping[str, Any]) -> str | list[dict[str, str]]:
    """An answer, with what the model thought before it."""
    if part["thoughts"] is None:
        return str(part["prediction"])
    return [{"type": "reasoning", "reasoning": part["thoughts"]}, {"type": "text", "text": part["prediction"]}]


def usage(parts: Sequence[Mapping[str, Any]]) -> dict[str, int] | None:
    """The tokens of several prompts and answers together; None if they were made elsewhere, where nobody counted."""
    if any(part["prompt_tokens"] is None for part in parts):
        return None
    read, written = (sum(part[name] for part in parts) for name in ("prompt_tokens", "new_tokens"))
    return {"input_tokens": read, "output_tokens": written, "total_tokens": read + written}


def sample_scores(scores: Iterable[Score], completion: str, label_scorers: Collection[str]) -> dict[str, dict[str, Any]]:
    """What each scorer said about an answer: its metrics, null where it failed; what it read there; why it failed.

    Args:
        completion: the whole answer, which is what a scorer read unless it looks for a label.
    """
    told = {}
    for scorer, own in groupby(scores, lambda score: score.scorer):
        rows = list(own)
        read = next((row.detail for row in rows if row.detail is not None), None)
        failures = {row.metric: row.status for row in rows if row.status != "ok"}
        first = rows[0]
        beside = {"failures": failures, "truncated": first.truncated, "usage": first.usage}
        told[scorer] = {
            "value": {row.metric: row.value for row in rows},
            "answer": read if scorer in label_scorers else completion,
            "explanation": None if scorer in label_scorers else read,
            "reason": "scoring_failed" if all(row.value is None for row in rows) else None,
            "metadata": {name: value for name, value in beside.items() if value} or None,
        }
    return told


def make_summary(sample: Mapping[str, Any]) -> dict[str, Any]:
    """What a list of samples shows of one. Long texts are cut."""
    shown = ("id", "epoch", "input", "target", "metadata", "scores", "model_usage", "total_time", "working_time")
    kept = {name: _shortened(sample[name]) for name in shown if name in sample}
    return kept | {"completed": True, "message_count": len(sample["messages"])}


def _shortened(value: Any) -> Any:
    if isinstance(value, str):
        return value if len(value) <= LONGEST else f"{value[: LONGEST - 1]}…"
    if isinstance(value, Mapping):
        return {key: _shortened(inner) for key, inner in value.items()}
    return [_shortened(inner) for inner in value] if isinstance(value, list) else value
