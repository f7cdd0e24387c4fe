"""What is asked by test examples, and which of them are not independent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from loragrid.data.splitting import prompt_key
from loragrid.layout import Dataset
from loragrid.records import Example, iterate_records
from loragrid.text.words import one_form


class Question(NamedTuple):
    """What a test example asks."""

    text: str
    """Examples of different sample types with the same text ask the same."""
    cluster: str
    """Examples of the same cluster are not independent: they are about the same document, say."""


Questions = Mapping[tuple[str, str, str], Question]
"""By task, sample type and id."""


def read_questions(
    tests: Iterable[str | Path], cluster_by: Mapping[str, Mapping[str, str]]
) -> dict[tuple[str, str, str], Question]:
    """What each test example asks.

    Its cluster is the value of the named key of its metadata. Without a key or a value, it is the text that the example is about:
    its input, or its instruction where it has none. Clusters of the same name are the same in all data sets.

    Args:
        tests: test sets.
        cluster_by: the key of the metadata, by task and sample type.
    """
    questions = {}
    for path in tests:
        dataset = Dataset.of(path)
        key = cluster_by.get(dataset.task, {}).get(dataset.sample_type)
        for example in iterate_records(path, Example):
            named = example.metadata.get(key, "").strip() if key else ""
            text = one_form("\n".join(example.prompts) or example.input or example.instruction)
            cluster = f"key {named}" if named else f"text {text}"
            questions[*dataset, example.id] = Question(prompt_key(example), cluster)
    return questions
