"""How long the examples of a split are in tokens: counted, estimated from their texts, or guessed."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from loragrid.config.root import Config
from loragrid.data.sources import DataFile, FileSource
from loragrid.layout import PREPARE_DATASET, TOKENISE, Dataset
from loragrid.runtime.looking import looked_into

CHARACTERS_PER_TOKEN = 4
"""Characters per token, about, in English text."""


LOOKED_AT = 1000
"""How many examples of a split are measured if only their texts are there."""


FIRST_PROMPT = 200
"""Tokens of a prompt if nothing is known about it."""


FIRST_ANSWER = 40
"""Tokens of an answer if nothing is known about it."""


FIRST_ROWS = 100
"""Examples of a split if nothing is known about it."""


class Lengths(NamedTuple):
    """Tokens of the examples of a split."""

    prompts: list[int]
    answers: list[int]
    """Tokens of the answers, in the same order."""
    examples: int
    """Number of examples. There may be more prompts, and fewer measured ones."""
    prompts_per_example: float
    basis: str
    """`tokens`: counted; `characters`: a fourth of the characters; `guess`."""

    def mean(self, longest: float = math.inf) -> float:
        """Mean tokens of prompt and answer together, cut at the longest."""
        return mean(min(p + a, longest) for p, a in zip(self.prompts, self.answers, strict=True))


LengthsOf = Callable[[str, str, str, str], Lengths]
"""The lengths of a split, by base model, task, sample type and split."""


def split_lengths(config: Config, base_model: str, task: str, sample_type: str, split: str) -> Lengths:
    """Tokens of the examples of a split: counted if it is tokenised, else estimated from its texts, else guessed."""
    dataset = Dataset(task, sample_type)
    tokens = Path(TOKENISE.path("tokens", dataset.wildcards | {"base_model": base_model}))
    examples = Path(PREPARE_DATASET.path(split, dataset.wildcards))
    counted = looked_into(tokens, lambda: _counted(tokens, split)) if tokens.exists() else None
    if found := counted or (looked_into(examples, lambda: _from_texts(examples)) if examples.exists() else None):
        return found
    rows = _stated_rows(config, dataset, split)
    if rows is None:
        rows = (split == "test" and config.tasks[task].subset) or FIRST_ROWS
    return Lengths([FIRST_PROMPT], [min(FIRST_ANSWER, config.tasks[task].max_new_tokens)], rows, 1, "guess")


def _counted(path: Path, split: str) -> Lengths:
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    table = pq.read_table(path, columns=["id", "prompt_ids", "answer_ids"], filters=[("split", "==", split)])
    prompts, answers = (pc.list_value_length(table[name]).to_pylist() for name in ("prompt_ids", "answer_ids"))
    examples = len(pc.unique(table["id"]))
    return Lengths(prompts, answers, examples, len(prompts) / max(examples, 1), "tokens")


def _from_texts(path: Path) -> Lengths:
    with open(path, encoding="utf-8") as lines:
        rows = [json.loads(line) for line in islice(lines, LOOKED_AT)]
        examples = len(rows) + sum(1 for _ in lines)
    prompts, answers = [], []
    for row in rows:
        references = [row["output"]] if isinstance(row["output"], str) else row["output"]
        parts = row.get("prompts") or [row["input"]]
        for i, part in enumerate(parts):
            prompts.append(math.ceil((len(row["instruction"]) + len(part)) / CHARACTERS_PER_TOKEN))
            reference = references[min(i, len(references) - 1)] if references else ""
            answers.append(math.ceil(len(reference) / CHARACTERS_PER_TOKEN))
    return Lengths(prompts, answers, examples, len(prompts) / max(len(rows), 1), "characters")


def _stated_rows(config: Config, dataset: Dataset, split: str) -> int | None:
    """Rows of a split, if the configuration or a file on this machine tells; None if neither does."""
    source = config.source_of(dataset.task, dataset.sample_type)
    file: DataFile | None = getattr(source.splits, split) if isinstance(source, FileSource) else None
    if not isinstance(source, FileSource) or file is None:
        return None
    if file.rows is None and source.package is None and file.path.endswith(".jsonl"):
        with open(file.path, "rb") as lines:
            return sum(1 for line in lines if line.strip())
    return file.rows


def mean(values: Iterable[float]) -> float:
    """The mean; 0 of no values."""
    values = list(values)
    return sum(values) / len(values) if values else 0.0
