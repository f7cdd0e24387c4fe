"""The data of a grid in numbers: counts, dropped examples with the reasons, and lengths."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq

from loragrid.data.splitting import SPLITS
from loragrid.records import Example, read_records

COUNTS = ["task", "sample_type", "split", "examples", "dropped", "reasons"]


MIXES = ["task", "sample_type", "mix", "nb_samples", "mix_seed", "part", "component", "examples", "left_out_because_tested"]


LENGTHS = ["of", "part", "component", "field", "unit", "tokenizer", "min", "mean", "median", "max"]


def count_examples(manifests: Iterable[str | Path]) -> pd.DataFrame:
    """One row per data set and split: examples kept and dropped, and the reasons with their counts."""
    rows = []
    for path in manifests:
        manifest = json.loads(Path(path).read_text(encoding="utf-8"))
        for split in SPLITS:
            dropped = {reason: len(ids) for reason, ids in manifest["dropped"][split].items()}
            reasons = "; ".join(f"{reason}: {count}" for reason, count in dropped.items())
            of = (manifest["task"], manifest["sample_type"], split)
            rows.append((*of, manifest["examples"][split], sum(dropped.values()), reasons))
    return pd.DataFrame(rows, columns=COUNTS)


def count_mixes(manifests: Iterable[str | Path]) -> pd.DataFrame:
    """One row per mix, part and component: its examples, and those left out because a test set holds them."""
    rows = []
    for path in manifests:
        manifest = json.loads(Path(path).read_text(encoding="utf-8"))
        of = tuple(manifest[key] for key in ("task", "sample_type", "mix", "nb_samples", "mix_seed"))
        for part, left_out in manifest["left_out_because_tested"].items():
            for component, ids in left_out.items():
                rows.append((*of, part, component, manifest["examples"][part].get(component, 0), len(ids)))
    return pd.DataFrame(rows, columns=MIXES)


def example_lengths(data: Sequence[str | Path], tokens: Sequence[str | Path], depth: int) -> pd.DataFrame:
    """One row per example, field (`input`, `output`) and unit: its length.

    Args:
        data: splits of data sets or parts of mixes (`<folder>/<part>.jsonl`), described under the names of their folders.
        tokens: tokenised data sets (`<base model>/<task>/<sample type>.parquet`) that hold their examples.
        depth: how many folders name a data set or mix.
    """
    counted: dict[str, dict[str, tuple[int, int]]] = {}
    for path in map(Path, tokens):
        table = pq.read_table(path, columns=["id", "input_tokens", "answer_ids"])
        lengths = zip(table["input_tokens"].to_pylist(), table["answer_ids"].to_pylist(), strict=True)
        of_model = counted.setdefault(path.parent.parent.name, {})
        # The end-of-turn token is no part of the output.
        for id_, (inputs, answer) in zip(table["id"].to_pylist(), lengths, strict=True):
            before = of_model.get(id_, (0, 0))
            of_model[id_] = (before[0] + inputs, before[1] + len(answer) - 1)
    rows = []
    for path in map(Path, data):
        for example in read_records(path, Example):
            inputs = "\n".join(part.input for part in example.parts)
            outputs = "\n".join(dict.fromkeys(part.references[0] for part in example.parts))
            of = ("/".join(path.parts[-1 - depth : -1]), path.stem, example.task)
            for position, (field, text) in enumerate((("input", inputs), ("output", outputs))):
                rows.append((*of, field, "characters", "", len(text)))
                rows.append((*of, field, "words", "", len(text.split())))
                rows += [
                    (*of, field, "tokens", name, known[example.id][position])
                    for name, known in counted.items()
                    if example.id in known
                ]
    return pd.DataFrame(rows, columns=[*LENGTHS[:6], "length"])


def summarise_lengths(lengths: pd.DataFrame) -> pd.DataFrame:
    """Minimum, mean, median and maximum length of each data set or mix, part, component, field and unit."""
    summary = lengths.groupby(LENGTHS[:6], sort=False)["length"].agg(["min", "mean", "median", "max"])
    return summary.reset_index()
