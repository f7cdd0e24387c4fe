"""What the scripts of this folder share: models of known shapes with random weights, and results line by line."""

import argparse
import contextlib
import gc
import importlib
import json
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

SHAPES: dict[str, dict[str, Any]] = {
    "tiny": {
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "vocab_size": 512,
        "tie_word_embeddings": True,
    },
    "small": {
        "hidden_size": 256,
        "intermediate_size": 512,
        "num_hidden_layers": 4,
        "num_attention_heads": 8,
        "num_key_value_heads": 2,
        "vocab_size": 4096,
        "initializer_range": 0.2,
        "tie_word_embeddings": False,
    },
    "1b": {
        "hidden_size": 2048,
        "intermediate_size": 8192,
        "num_hidden_layers": 16,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "vocab_size": 128256,
        "tie_word_embeddings": True,
    },
    "8b": {
        "hidden_size": 4096,
        "intermediate_size": 14336,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "vocab_size": 128256,
        "tie_word_embeddings": False,
    },
}
"""Llama's; speed does not depend on the weights."""
ADAPTED = ["q_proj", "k_proj", "v_proj", "o_proj"]
PAD = 2


class Lab:
    """Takes down what is measured, as lines of JSON, as soon as it is known."""

    def __init__(self, part: str, out: Path | None, budget_s: float) -> None:
        self.part, self.out = part, out
        self.ends = time.monotonic() + budget_s
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")

    def write(self, **values: Any) -> None:
        line = json.dumps({"part": self.part, **values})
        print(line, flush=True)
        if self.out:
            with self.out.open("a", encoding="utf-8") as file:
                file.write(line + "\n")

    def attempt(self, measure: Callable[[], dict[str, Any]], **labels: Any) -> dict[str, Any] | None:
        """Measure if there is time left; a failure is a line too."""
        if time.monotonic() > self.ends:
            self.write(**labels, left_out="no time left")
            return None
        release(self.device)
        started = time.perf_counter()
        try:
            values = measure()
        except Exception as error:
            where = traceback.extract_tb(error.__traceback__)[-4:]
            places = [f"{Path(f.filename).name}:{f.lineno} {f.name}" for f in where]
            self.write(**labels, failed=f"{type(error).__name__}: {str(error)[:400]}", at=places)
            return None
        finally:
            release(self.device)
        took = round(time.perf_counter() - started, 1)
        self.write(**labels, **{k: v for k, v in values.items() if not k.startswith("_")}, took_s=took)
        return values

    def synchronize(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize()

    def peak_gib(self) -> float:
        return round(torch.cuda.max_memory_allocated() / 2**30, 1) if self.device.type == "cuda" else 0.0

    def seconds(self, work: Callable[[], Any], times: int = 10, warm_up: int = 2) -> float:
        """Of one call, the mean of several."""
        for _ in range(warm_up):
            work()
        self.synchronize()
        started = time.perf_counter()
        for _ in range(times):
            work()
        self.synchronize()
        return (time.perf_counter() - started) / times

    def matmul_flops(self) -> float:
        """Of this device in bfloat16, on random data."""
        size = 8192 if self.device.type == "cuda" else 512
        one, other = (torch.randn(size, size, device=self.device, dtype=torch.bfloat16) for _ in range(2))
        return 2 * size**3 / self.seconds(lambda: one @ other)


def release(device: torch.device) -> None:
    """Free what is no longer used, and forget the peak."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def preload(*modules: str) -> None:
    """Import what functions import later, so that it is not timed."""
    for module in modules:
        with contextlib.suppress(ImportError):
            importlib.import_module(module)


def begin(part: str, **more: Any) -> tuple[Lab, argparse.Namespace]:
    """Read the command line and, where a gate is given, wait until its file is there: imports are done by then."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--shapes", default="tiny", help="of the models, separated by commas")
    parser.add_argument("--examples", type=Path, help="JSON list of {ids, target_start}; made up where there is none")
    parser.add_argument("--out", type=Path, help="file that the lines are added to")
    parser.add_argument("--budget", type=float, default=600, help="seconds after which nothing new is begun")
    parser.add_argument("--gate", type=Path, help="file to wait for after the imports")
    parser.add_argument("--only", default="", help="contenders, separated by commas")
    for name, default in more.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(default), default=default)
    arguments = parser.parse_args()
    while arguments.gate and not arguments.gate.exists():
        time.sleep(0.05)
    lab = Lab(part, arguments.out, arguments.budget)
    name = torch.cuda.get_device_name() if lab.device.type == "cuda" else "CPU"
    lab.write(device=name, torch=torch.__version__, flops=f"{lab.matmul_flops():.3g}")
    return lab, arguments


def examples_of(path: Path | None, number: int, shape: str) -> list[dict[str, Any]]:
    """Instructions as token ids, and where the answer of each starts."""
    vocabulary = SHAPES[shape]["vocab_size"]
    if path:
        read = json.loads(path.read_text(encoding="utf-8"))[:number]
        return [example | {"ids": [token % vocabulary for token in example["ids"]]} for example in read]
    draw = torch.Generator().manual_seed(0)
    lengths = torch.randint(20, 80, (number,), generator=draw).tolist()
    return [{"ids": torch.randint(3, vocabulary, (n,), generator=draw).tolist(), "target_start": n // 4} for n in lengths]


def make_model(shape: str, device: torch.device, dtype: torch.dtype = torch.bfloat16) -> Any:
    """A model with random weights."""
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(max_position_embeddings=4096, pad_token_id=PAD, eos_token_id=PAD, **SHAPES[shape])
    config.name_or_path = shape
    torch.manual_seed(0)
    usual = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with torch.device(device):
            return LlamaForCausalLM(config)
    finally:
        torch.set_default_dtype(usual)


def make_adapted(shape: str, device: torch.device, dtype: torch.dtype = torch.bfloat16, effect: float = 0.0) -> Any:
    """The same with a fresh LoRA adapter, as the library makes it.

    Args:
        effect: standard deviation of the half of the adapter that is zero at first.
    """
    from loragrid.training.methods import LoraTraining

    model: Any = LoraTraining(target_modules=ADAPTED).make_trainable(make_model(shape, device, dtype), 1)
    if effect:
        draw = torch.Generator(device).manual_seed(3)
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if "lora_B" in name:
                    parameter.normal_(0, effect, generator=draw)
    return model


def parameters_of(model: Any) -> int:
    """Of the base model."""
    return sum(p.numel() for name, p in model.named_parameters() if "lora_" not in name)
