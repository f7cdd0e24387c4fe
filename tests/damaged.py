"""One small result of each kind in the current folder, and ways to damage it."""

from pathlib import Path

import numpy as np
import pyarrow as pa
from safetensors.numpy import save_file

from loragrid.data.tokens import schema, write_tokens
from loragrid.records import Example, Prediction, Score, write_records
from loragrid.runtime.files import file_sha256, write_json

DATA, MIX = "results/datasets/t/s", "results/mixes/t/s/all/n2-seed1"
PREDICTED = "results/predictions/t/s/m/base.jsonl"
BASELINE = "results/predictions/t/s/baseline/copy.jsonl"
SCORED, SCORED_BASELINE = "results/scores/t/s/m/base/rouge.jsonl", "results/scores/t/s/baseline/copy/rouge.jsonl"
ADAPTER, TOKENS = "results/adapters/t/s/m/run", "results/tokens/m/t/s.parquet"
TEST = f"{DATA}/test.jsonl"
UNKNOWN = dict.fromkeys(("queue_s", "compute_s", "runtime_s", "prompt_tokens", "new_tokens", "finish_reason", "batch_size"))


def example(number, **fields):
    told = {"instruction": "Say it.", "input": f"word {number}", "output": f"WORD {number}"}
    return Example(id=f"id{number}", task="t", sample_type="s", **told | fields)


def prediction(number, base_model="m", run="base", sample=0):
    told = {"task": "t", "sample_type": "s", "base_model": base_model, "run": run, "prompt": f"word {number}"}
    answered = {"prediction": "WORD", "reference": f"WORD {number}", "engine": "hf", "engine_version": "1"}
    return Prediction(id=f"id{number}", sample=sample, **told, **answered, **UNKNOWN)


def score(number, metric, sample=0):
    return Score(id=f"id{number}", sample=sample, scorer="rouge", metric=metric, value=0.5)


def write_results():
    """Write them as their jobs do, with their manifests."""
    parts = {"train": range(4), "validation": range(4, 6), "test": range(6, 10)}
    for part, numbers in parts.items():
        write_records(f"{DATA}/{part}.jsonl", map(example, numbers))
    hashes = {part: file_sha256(f"{DATA}/{part}.jsonl") for part in parts}
    told = {"task": "t", "sample_type": "s", "dropped": {part: {} for part in parts}}
    write_json(f"{DATA}/manifest.json", told | {"examples": {"train": 4, "validation": 2, "test": 4}, "sha256": hashes})
    write_json(f"{DATA}/leaks.json", {"train": {}, "validation": {}})
    for part, numbers in (("train", [2, 0]), ("validation", [4])):
        write_records(f"{MIX}/{part}.jsonl", map(example, numbers))
    # As earlier versions wrote it: without hashes.
    write_json(f"{MIX}/manifest.json", told | {"mix": "all", "examples": {"train": {"t": 2}, "validation": {"t": 1}}})
    write_records(PREDICTED, [prediction(number, sample=sample) for number in parts["test"] for sample in (0, 1)])
    write_json(PREDICTED.replace(".jsonl", ".manifest.json"), {"examples": 4, "decoding": {"samples": 2}})
    write_records(BASELINE, [prediction(number, "baseline", "copy") for number in parts["test"]])
    answered = [(number, sample) for number in parts["test"] for sample in (0, 1)]
    write_records(SCORED, [score(number, metric, sample) for number, sample in answered for metric in ("rouge1", "rouge2")])
    write_records(SCORED_BASELINE, [score(number, metric) for number in parts["test"] for metric in ("rouge1", "rouge2")])
    ids = [
        {"id": f"id{i}", "split": "train", "prompt_ids": [*range(500)], "answer_ids": [i], "input_tokens": 3} for i in range(4)
    ]
    Path(TOKENS).parent.mkdir(parents=True)
    write_tokens(TOKENS, pa.Table.from_pylist(ids, schema=schema()))
    Path(ADAPTER).mkdir(parents=True)
    save_file({"lora_A": np.ones((4, 4), "float32")}, f"{ADAPTER}/adapter_model.safetensors")
    write_json(f"{ADAPTER}/adapter_config.json", {"r": 4})
    hashes = {name: file_sha256(f"{ADAPTER}/{name}") for name in ("adapter_model.safetensors", "adapter_config.json")}
    of_weights = {"adapter": hashes.pop("adapter_model.safetensors")}
    write_json(f"{ADAPTER}/manifest.json", {"fingerprints": of_weights, "files": hashes | {"vocab.txt": "0" * 64}})
    Path(f"{ADAPTER}/vocab.txt").write_text("a")
    write_json("results/demonstrations/t/s/few.json", {"id6": ["id0"], "id7": ["id1", "id2"]})


def lines(path, change):
    """Change the lines of a file."""
    Path(path).write_text("".join(change(Path(path).read_text().splitlines(keepends=True))))


def cut(path, share=0.5):
    content = Path(path).read_bytes()
    Path(path).write_bytes(content[: int(len(content) * share)])


def flip(path, place=-1):
    content = bytearray(Path(path).read_bytes())
    content[place] ^= 1
    Path(path).write_bytes(content)
