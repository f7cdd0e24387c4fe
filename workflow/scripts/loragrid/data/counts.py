"""The data of a grid in numbers: counts, dropped examples with reasons, and lengths."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import pandas as pd

from loragrid.data.decontamination import read_leaks
from loragrid.data.shares import Cut, described
from loragrid.data.splitting import SPLITS
from loragrid.data.tokens import read_token_table
from loragrid.layout import Dataset, model_of_tokens
from loragrid.records import Example, read_records
from loragrid.runtime.manifests import read_json

COUNTS = ["task", "sample_type", "split", "examples", "dropped", "reasons", "leaks", "own_leaks", "cut"]


MIXES = [
    *("task", "sample_type", "mix", "nb_samples", "mix_seed", "part", "component", "examples"),
    *("left_out_because_tested", "why"),
]


LENGTHS = ["of", "part", "component", "field", "unit", "tokenizer", "min", "mean", "median", "max"]


def count_examples(manifests: Iterable[str | Path], leaks: Iterable[str | Path]) -> pd.DataFrame:
    """One row per data set and split: examples kept and dropped, and the reasons with their counts.

    `cut` says what came of the share by which a split was cut, if it was. `leaks` counts the examples that ask a question of a
    test set of the grid, `own_leaks` those that ask one of their own test set.

    Args:
        leaks: for each data set, the file that lists which of its examples are in a test set.
    """
    leaks_of = {Dataset.of(path): read_leaks(path) for path in leaks}
    rows = []
    for path in manifests:
        manifest = read_json(path, ["task", "sample_type", "examples", "dropped"])
        for split in SPLITS:
            dropped = {reason: len(ids) for reason, ids in manifest["dropped"][split].items()}
            dataset = Dataset(manifest["task"], manifest["sample_type"])
            found = leaks_of.get(dataset, {}).get(split)
            held = [] if found is None else [dataset.name in names for names in found.by_question.values()]
            counts = (manifest["examples"][split], sum(dropped.values()), _with_counts(dropped), len(held), sum(held))
            # Manifests of earlier versions do not say it.
            cut = manifest.get("cut", {}).get(split)
            rows.append((*dataset, split, *counts, described(Cut(**cut)) if cut else ""))
    return pd.DataFrame(rows, columns=COUNTS)


def _with_counts(reasons: Mapping[str, int]) -> str:
    return "; ".join(f"{reason}: {count}" for reason, count in reasons.items())


def count_mixes(manifests: Iterable[str | Path]) -> pd.DataFrame:
    """One row per mix, part and component: its examples, and how many are left out because a test set holds them, and why."""
    rows = []
    for path in manifests:
        manifest = read_json(path, [*MIXES[:5], "examples", "left_out_because_tested"])
        described = tuple(manifest[key] for key in ("task", "sample_type", "mix", "nb_samples", "mix_seed"))
        for part, left_out in manifest["left_out_because_tested"].items():
            for component, ids in left_out.items():
                why = _with_counts(manifest.get("why_left_out", {}).get(part, {}).get(component, {}))
                rows.append((*described, part, component, manifest["examples"][part].get(component, 0), len(ids), why))
    return pd.DataFrame(rows, columns=MIXES)


def example_lengths(
    data: Sequence[str | Path], tokens: Iterable[str | Path], name_of: Callable[[str | Path], str]
) -> pd.DataFrame:
    """One row per example, field (`input`, `output`) and unit: its length.

    Args:
        data: splits of data sets, or parts of mixes.
        tokens: tokenised data sets that hold their examples.
        name_of: gives the name of the data set or mix that a file belongs to.
    """
    counts = count_tokens(tokens)
    rows = []
    for path in map(Path, data):
        for example in read_records(path, Example):
            texts = {
                "input": "\n".join(part.input for part in example.parts),
                "output": "\n".join(dict.fromkeys(part.references[0] for part in example.parts)),
            }
            for position, (field, text) in enumerate(texts.items()):
                described = (name_of(path), path.stem, example.task, field)
                rows.append((*described, "characters", "", len(text)))
                rows.append((*described, "words", "", len(text.split())))
                rows += [
                    (*described, "tokens", base_model, of_model[example.id][position])
                    for base_model, of_model in counts.items()
                    if example.id in of_model
                ]
    return pd.DataFrame(rows, columns=[*LENGTHS[:6], "length"])


def count_tokens(tokens: Iterable[str | Path]) -> dict[str, dict[str, tuple[int, int]]]:
    """Tokens of the input and of the output of each example, by base model and id.

    Args:
        tokens: tokenised data sets.
    """
    counts: dict[str, dict[str, tuple[int, int]]] = {}
    for path in tokens:
        table = read_token_table(path, ["id", "input_tokens", "answer_ids"])
        of_model = counts.setdefault(model_of_tokens(path), {})
        lengths = zip(table["input_tokens"].to_pylist(), table["answer_ids"].to_pylist(), strict=True)
        for id_, (inputs, answer) in zip(table["id"].to_pylist(), lengths, strict=True):
            before = of_model.get(id_, (0, 0))
            # The end-of-turn token is no part of the output.
            of_model[id_] = (before[0] + inputs, before[1] + len(answer) - 1)
    return counts


def summarise_lengths(lengths: pd.DataFrame) -> pd.DataFrame:
    """Minimum, mean, median and maximum length of each data set or mix, part, component, field and unit."""
    summary = lengths.groupby(LENGTHS[:6], sort=False)["length"].agg(["min", "mean", "median", "max"])
    return summary.reset_index()
