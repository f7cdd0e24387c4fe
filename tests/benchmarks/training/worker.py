"""One part of the comparison, in a process of its own: `worker.py COMMAND RESULT`, with the arguments as JSON on stdin."""

import json
import resource
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from load import others_share, usage

SHAPES = ((1024, 576, 1536), (1024, 640, 2048), (2048, 2048, 2048), (8192, 8192, 8192))
LARGEST_ON_CPU = 2048
NB_EVALUATED = 8


def prepare(model: str, number: int) -> dict[str, Any]:
    """Fetch and import the model, tokenise the examples."""
    from data import BASE_MODELS, encoded_examples, model_folder

    folder = model_folder(model)
    return {"title": BASE_MODELS[model].title, "folder": str(folder), "examples": encoded_examples(folder, number)}


def peak(device: str, dtype: str) -> dict[str, Any]:
    """Operations per second of the best of a few matrix products."""
    chosen, number_type = pick(device), getattr(torch, dtype)
    rates = [
        product_rate(chosen, number_type, *shape) for shape in SHAPES if chosen.type != "cpu" or max(shape) <= LARGEST_ON_CPU
    ]
    name = torch.cuda.get_device_name(chosen) if chosen.type == "cuda" else f"CPU with {torch.get_num_threads()} threads"
    return {"rate": max(rates), "device": name, "type": chosen.type}


def product_rate(device: torch.device, dtype: torch.dtype, rows: int, inner: int, columns: int) -> float:
    """Operations per second of the quickest of several groups of matrix products."""
    from contenders import Clock

    one, other = torch.randn(rows, inner, device=device, dtype=dtype), torch.randn(inner, columns, device=device, dtype=dtype)
    clock, repeats = Clock(device), 5
    end = time.perf_counter() + 1
    clock.start()
    while not clock.laps or time.perf_counter() < end:
        for _ in range(repeats):
            one @ other
        clock.lap()
    return 2 * rows * inner * columns * repeats / min(clock.laps)


def pick(device: str) -> torch.device:
    """The named device; `auto`: the first CUDA device, else the CPU."""
    return torch.device(("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device)


def train(
    function: str,
    settings: Mapping[str, Any],
    folder: str,
    warm_up: Sequence[Mapping[str, Any]],
    examples: Sequence[Mapping[str, Any]],
    device: str,
    dtype: str,
) -> dict[str, Any]:
    """Train a fresh adapter with one contender, after an optimiser step that is not counted."""
    from contenders import FUNCTIONS, SEED
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from loragrid.models.fused_kernels import use_fused_kernels

    tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="right")
    chosen = pick(device)
    base = AutoModelForCausalLM.from_pretrained(folder, dtype=getattr(torch, dtype)).to(chosen)
    parameters = sum(p.numel() for p in base.parameters())
    output_parameters = base.get_output_embeddings().weight.numel()
    if function == "ours":
        use_fused_kernels(base, chosen)
    torch.manual_seed(SEED)
    targets = ["q_proj", "k_proj", "v_proj", "o_proj"]
    model = get_peft_model(base, LoraConfig(task_type="CAUSAL_LM", r=8, lora_alpha=16, target_modules=targets))

    expected, untrained = mean_loss(model, warm_up), mean_loss(model, examples[:NB_EVALUATED])
    first = FUNCTIONS[function](model, warm_up, tokenizer, settings)
    before = usage()
    trained = FUNCTIONS[function](model, examples, tokenizer, settings)
    after = usage()
    peak_bytes = peak_memory(chosen)
    return {
        "seconds": trained.seconds,
        "others": others_share(before, after),
        "parameters": parameters,
        "output_parameters": output_parameters,
        "peak_bytes": peak_bytes,
        "first_loss": first.loss,
        "expected_first_loss": expected,
        "untrained_loss": untrained,
        "final_loss": mean_loss(model, examples[:NB_EVALUATED]),
    }


def mean_loss(model: torch.nn.Module, examples: Sequence[Mapping[str, Any]]) -> float:
    """Mean loss of a target token, one example at a time, so that no contender's batches and no padding have a part in it."""
    device = next(model.parameters()).device
    model.eval()
    total, number = 0.0, 0
    with torch.inference_mode():
        for example in examples:
            ids = torch.tensor([example["ids"]], device=device)
            targets = ids[0, example["target_start"] :]
            logits = model(input_ids=ids, logits_to_keep=len(targets) + 1).logits[0, :-1]
            total += torch.nn.functional.cross_entropy(logits.float(), targets, reduction="sum").item()
            number += len(targets)
    return total / number


def peak_memory(device: torch.device) -> int:
    """Most bytes in use so far: of the device where it has memory of its own, else of this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


if __name__ == "__main__":
    job = json.load(sys.stdin)
    torch.set_num_threads(job.pop("threads"))
    result = {"prepare": prepare, "peak": peak, "train": train}[sys.argv[1]](**job)
    Path(sys.argv[2]).write_text(json.dumps(result), encoding="utf-8")
