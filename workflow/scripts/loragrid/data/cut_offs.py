"""What a limit of length takes from examples: from their references where a text is simply cut, and from their inputs here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import pandas as pd

from loragrid.data.tokens import read_token_table
from loragrid.layout import Dataset, model_of_tokens

Fate = Literal["whole", "input cut", "dropped"]
"""What becomes of an example here: it fits; the end of its input goes; or it does not fit even without input."""

ROWS = [
    *("base_model", "task", "sample_type", "split", "limit", "id", "part"),
    *("prompt_tokens", "reference_tokens", "lost", "here"),
]
"""The columns of the table of references. `lost` are the tokens of a reference behind the limit, if a text is simply cut."""

OF_SET = ["base_model", "task", "sample_type", "split", "limit"]


class CutOff(NamedTuple):
    """What a limit does to one example."""

    lost: int
    """Tokens of the reference and its end-of-turn token behind the limit, where prompt and reference are cut as one text."""
    here: Fate


def cut_off(prompt: int, inputs: int, reference: int, limit: int) -> CutOff:
    """What becomes of an example of so many tokens.

    Args:
        prompt: of the whole prompt.
        inputs: of the input in it.
        reference: of the reference, with its end-of-turn token.
        limit: of prompt and reference together (`max_length` of a training).
    """
    beyond = max(0, prompt + reference - limit)
    # The template around the input stays whole.
    here: Fate = "whole" if not beyond else "input cut" if beyond <= inputs else "dropped"
    return CutOff(min(beyond, reference), here)


def list_cut_offs(tokens: Iterable[str | Path], limits: Mapping[str, Sequence[int]]) -> pd.DataFrame:
    """One row per limit, example and prompt of the example, with the columns `ROWS`.

    Args:
        tokens: tokenised data sets.
        limits: the lengths to which each base model is trained.
    """
    rows = []
    for path in tokens:
        base_model, dataset = model_of_tokens(path), Dataset(Path(path).parent.name, Path(path).stem)
        table = read_token_table(path, ["id", "split", "prompt_ids", "answer_ids", "input_tokens"])
        for limit in limits.get(base_model, ()):
            seen: dict[str, int] = {}
            for row in table.to_pylist():
                part = seen[row["id"]] = seen.get(row["id"], -1) + 1
                prompt, reference = len(row["prompt_ids"]), len(row["answer_ids"])
                lost, here = cut_off(prompt, row["input_tokens"], reference, limit)
                rows.append((base_model, *dataset, row["split"], limit, row["id"], part, prompt, reference, lost, here))
    return pd.DataFrame(rows, columns=ROWS)


def sum_up(rows: pd.DataFrame) -> pd.DataFrame:
    """One row per base model, data set, split and limit.

    `cut` counts the references that lose something where texts are simply cut, `whole_lost` those that lose all. `lost_share` is
    the part of all tokens of references that is lost, 0 to 1, `most_lost` the tokens that one of them loses. `input_cut` and
    `dropped` count examples here.
    """
    marked = rows.assign(
        cut=rows["lost"] > 0,
        whole_lost=rows["lost"] == rows["reference_tokens"],
        input_cut=rows["here"] == "input cut",
        dropped=rows["here"] == "dropped",
    )
    summed = marked.groupby(OF_SET, sort=False).agg(
        references=("id", "size"),
        reference_tokens=("reference_tokens", "sum"),
        cut=("cut", "sum"),
        whole_lost=("whole_lost", "sum"),
        lost=("lost", "sum"),
        most_lost=("lost", "max"),
        input_cut=("input_cut", "sum"),
        dropped=("dropped", "sum"),
    )
    summed["lost_share"] = (summed["lost"] / summed["reference_tokens"]).round(6)
    return summed.reset_index()


def told(summary: pd.DataFrame) -> list[str]:
    """A sentence for each row of the summary."""
    return [
        f"{row.base_model}, {row.task}/{row.sample_type}, {row.split}: at {row.limit} tokens, simply cut, {row.cut} of "
        f"{row.references} references lose something ({row.lost_share:.1%} of their tokens, at most {row.most_lost} of one; "
        f"{row.whole_lost} lose all). Here none does: {row.input_cut} inputs are cut, {row.dropped} examples dropped."
        for row in summary.itertuples()
    ]
