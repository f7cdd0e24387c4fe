"""Many small adapters on a model of known shape with random weights: one process for each, ahead one after another, several in one step."""

import json
import shutil
from argparse import Namespace
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from checkouts import ROOT, copied, edit_config, prepare, put_checkout
from processes import ALONE, snakemake, tell

from lab import ADAPTED, SHAPES, make_examples, make_model, markdown, open_lab, shapes_of

WAYS = {
    "together": "**one process, several runs in a step**",
    "ahead": "one process, one run after another",
    "alone": "a process for each run",
}
"""The slowest comes last: a GPU is lent for minutes."""
SIZES = {"tiny": (4, 12), "small": (16, 64)}
"""Fewest and most examples of an adapter; for larger shapes, 50 and 500."""
TEST_EXAMPLES = 16


def hold(options: Namespace, folder: Path) -> str:
    """Measure each shape; the table of all."""
    lab = open_lab("grid", options)
    # One job at a time has a GPU, as on a machine with one.
    means = ["--resources", "gpu=1"] if lab.device.type == "cuda" else []
    rows = []
    for shape in shapes_of(options):
        number = options.adapters or (3 if shape == "tiny" else 16)
        prepared = folder / f"{shape}-prepared"
        make_project(prepared, shape, number)
        prepare(prepared, options.cores)
        found = {}
        for way in WAYS:
            place = copied(prepared, folder / f"{shape}-{way}")
            edit_config(place, partial(use_together, way == "together"))
            work = partial(measure, place, way, options.cores, means, options.stages)
            if (seconds := lab.attempt(work, shape=shape, way=way, adapters=number)) is not None:
                found[way] = seconds
                tell(f"  {shape}, {WAYS[way]}: {sum(seconds.values()):.1f} s")
            shutil.rmtree(place)
        alone = sum(found["alone"].values()) if "alone" in found else float("nan")
        rows += [
            [
                f"{shape}, {number} adapters: {WAYS[way]}",
                *(f"{one:.1f}" for one in seconds.values()),
                f"{alone / sum(seconds.values()):.2f}",
            ]
            for way, seconds in found.items()
        ]
    return "\n" + markdown(("", *(f"{stage}: s" for stage in options.stages), "× as fast"), rows)


def measure(folder: Path, way: str, cores: int, means: Sequence[str], stages: Sequence[str]) -> dict[str, float]:
    """Seconds of each stage, one after another."""
    alone = ALONE if way == "alone" else ()
    return {stage: round(snakemake(folder, cores, stage, *means, *alone).wall_s, 2) for stage in stages}


def use_together(is_used: bool, config: dict[str, Any]) -> None:
    """Say whether runs may share steps."""
    for one in config["configs"].values():
        one["together"] = "on" if is_used else "off"


def make_project(folder: Path, shape: str, number: int) -> None:
    """A project with so many runs, which differ in the number of their examples, on random words."""
    put_checkout(ROOT, folder)
    fewest, most = SIZES.get(shape, (50, 500))
    sizes = [fewest + round(i * (most - fewest) / max(number - 1, 1)) for i in range(number)]
    model = folder / "data" / "model"
    make_model(shape, torch.device("cpu"), torch.bfloat16 if shape in ("1b", "8b") else torch.float32).save_pretrained(model)
    tokenizer_of_numbers(SHAPES[shape]["vocab_size"]).save_pretrained(model)
    for seed, (split, rows) in enumerate({"train": most, "validation": 8, "test": TEST_EXAMPLES}.items()):
        lines = [json.dumps(row) + "\n" for row in map(as_row, make_examples(rows, shape, seed))]
        (folder / "data" / f"{split}.jsonl").write_text("".join(lines), encoding="utf-8")
    (folder / "config" / "config.yaml").write_text(json.dumps(experiment(sizes)), encoding="utf-8")


def as_row(example: Mapping[str, Any]) -> dict[str, str]:
    """Token ids as words that the tokenizer makes the same ids of."""
    words = [f"w{number}" for number in example["ids"]]
    return {"input": " ".join(words[: example["target_start"]]), "output": " ".join(words[example["target_start"] :])}


def tokenizer_of_numbers(vocabulary: int) -> Any:
    """A tokenizer whose words are `w3`, `w4` and so on."""
    from tokenizers import Tokenizer, pre_tokenizers
    from tokenizers.models import WordLevel
    from transformers import PreTrainedTokenizerFast

    words = {"<unk>": 0, "<s>": 1, "</s>": 2} | {f"w{number}": number for number in range(3, vocabulary)}
    made = Tokenizer(WordLevel(words, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=made, unk_token="<unk>", bos_token="<s>", eos_token="</s>", pad_token="</s>")


def experiment(sizes: Sequence[int]) -> dict[str, Any]:
    """A grid with a run for each number of examples."""
    files = {split: {"path": f"data/{split}.jsonl"} for split in ("train", "validation", "test")}
    task = {
        "source": "words",
        "instruction": "w3 w4 w5",
        "input": "{{ input }}",
        "sample_types": {"random": {"output": "{{ output }}"}},
        "scorers": ["exact_match"],
        "baselines": [],
        "max_new_tokens": 32,
    }
    block = {"base_models": ["random"], "tasks": ["words"], "sample_types": ["random"], "mixes": ["target_only"]}
    return {
        "models": {"random": {"source": {"path": "data/model"}}},
        "sources": {"words": {"splits": files}},
        "tasks": {"words": task},
        "mixes": {"target_only": {"recipe": "target_only", "nb_validation": 8}},
        "configs": {"lora": {"target_modules": ADAPTED, "batch_size": 8, "epochs": 1, "learning_rate": 2e-4, "evaluations": 1}},
        "scorers": {"exact_match": {"type": "exact_match"}},
        "grid": [block | {"nb_samples": list(sizes), "configs": ["lora"]}],
    }
