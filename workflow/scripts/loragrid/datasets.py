"""Raw data becomes examples: fields mapped by templates, splits kept apart, unusable rows dropped and counted."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from loragrid.errors import UserError
from loragrid.records import Example, content_hash, read_json_lines
from loragrid.templates import fill_template

SPLITS = ("train", "validation", "test")


def map_row(row: Mapping[str, Any], fields: Mapping[str, Any], task: str, sample_type: str) -> Example:
    """Fill the templates of `fields` (`instruction`, `input`, `output`, `metadata`) with one row of raw data.

    Raises:
        UserError: naming the template's key and the fields that the row has, where one is missing.
    """

    def fill(key: str, template: str | None) -> str:
        try:
            return fill_template(template or "", row).strip()
        except UserError as error:
            raise UserError(f"the template of '{key}' fails: {error}") from None

    instruction, input_, output = (fill(key, fields[key]) for key in ("instruction", "input", "output"))
    return Example(
        id=content_hash(task, sample_type, instruction, input_, output),
        task=task,
        sample_type=sample_type,
        instruction=instruction,
        input=input_,
        output=output,
        metadata={key: fill(f"metadata.{key}", template) for key, template in (fields["metadata"] or {}).items()},
    )


def read_split(path: str | Path, rows: int | None, fields: Mapping[str, Any], task: str, sample_type: str) -> list[Example]:
    """Read one JSONL file and map its rows.

    Raises:
        UserError: naming file and line of a bad row, or the number of rows where it is not `rows`.
    """
    examples = []
    for number, row in read_json_lines(path):
        if not isinstance(row, dict):
            raise UserError(f"{path}, line {number}: expected a JSON object, found {type(row).__name__}.")
        try:
            examples.append(map_row(row, fields, task, sample_type))
        except UserError as error:
            raise UserError(f"{path}, line {number}: {error}") from None
    if rows is not None and len(examples) != rows:
        raise UserError(f"{path}: has {len(examples)} rows, but the configuration says {rows}.")
    if not examples:
        raise UserError(f"{path}: has no rows.")
    return examples


def prompt_key(example: Example) -> str:
    """What makes two examples the same question: instruction and input, white space and case aside."""
    return " ".join(f"{example.instruction}\n{example.input}".casefold().split())


def clean_splits(splits: Mapping[str, list[Example]]) -> tuple[dict[str, list[Example]], dict[str, dict[str, list[str]]]]:
    """Drop examples with an empty output, repeated examples, and questions that a later split asks too.

    The test split is settled first, then validation, then train: what is tested is never trained on.

    Returns:
        The kept examples by split, and the ids of the dropped ones by split and reason.
    """
    kept: dict[str, list[Example]] = {}
    dropped: dict[str, dict[str, list[str]]] = {}
    taken: dict[str, str] = {}
    for split in reversed(SPLITS):
        reasons: defaultdict[str, list[str]] = defaultdict(list)
        kept[split], seen = [], set()
        for example in splits[split]:
            elsewhere = taken.get(prompt_key(example))
            if not all(example.references):
                reasons["empty output"].append(example.id)
            elif example.id in seen:
                reasons["repeated"].append(example.id)
            elif elsewhere:
                reasons[f"same question in {elsewhere}"].append(example.id)
            else:
                seen.add(example.id)
                kept[split].append(example)
        taken |= {prompt_key(example): split for example in kept[split]}
        dropped[split] = dict(reasons)
    return {split: kept[split] for split in SPLITS}, {split: dropped[split] for split in SPLITS}


def subset(examples: Iterable[Example], size: int | None) -> list[Example]:
    """The `size` examples with the smallest hash of their question, in the data's order; all of them if size is None.

    The choice depends on the question alone: all models and sample types meet the same ones, and a larger subset
    contains a smaller one.
    """
    examples = list(examples)
    chosen = {e.id for e in sorted(examples, key=lambda e: (content_hash(prompt_key(e)), e.id))[:size]}
    return [example for example in examples if example.id in chosen]
