"""What is measured or tested on a device: models of known shapes with random weights, and results line by line."""

import gc
import json
import time
import traceback
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Sequence
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

    def __init__(self, part: str, device: torch.device, out: Path | None = None, budget_s: float = float("inf")) -> None:
        self.part, self.device, self.out = part, device, out
        self.ends = time.monotonic() + budget_s
        self.lines: list[dict[str, Any]] = []

    def write(self, **values: Any) -> None:
        self.lines.append({"part": self.part, **values})
        line = json.dumps(self.lines[-1])
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
        self.write(**labels, **values, took_s=took)
        return values

    def synchronize(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def peak_gib(self) -> float | None:
        """The most that tensors have taken on the device since `release`; None on a CPU."""
        return round(torch.cuda.max_memory_allocated(self.device) / 2**30, 2) if self.device.type == "cuda" else None

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

    def matmul_rate(self) -> float:
        """Operations per second of this device in bfloat16, on random data."""
        size = 8192 if self.device.type == "cuda" else 512
        one, other = (torch.randn(size, size, device=self.device, dtype=torch.bfloat16) for _ in range(2))
        return 2 * size**3 / self.seconds(lambda: one @ other)


def lab_parser(prog: str, description: str, shapes: str) -> ArgumentParser:
    """The command line of a tool that measures: what `open_lab` reads of it.

    Args:
        shapes: those that are measured by default.
    """
    parser = ArgumentParser(prog=prog, description=description)
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument("--shapes", default=shapes, metavar="NAMES", help="separated by commas (default: %(default)s)")
    parser.add_argument("--out", type=Path, metavar="FILE", help="the results are added to it, each as a line of JSON")
    parser.add_argument(
        "--budget", type=float, default=120, metavar="SECONDS", help="begin nothing new after them (default: %(default)s)"
    )
    return parser


def open_lab(part: str, options: Namespace) -> Lab:
    """The lab of a command line, with the device, its speed and the versions taken down."""
    lab = Lab(part, pick(options.device), options.out, options.budget)
    for shape in shapes_of(options):
        if shape not in SHAPES:
            raise SystemExit(f"--shapes: unknown shape '{shape}'; known: {', '.join(SHAPES)}.")
    name = torch.cuda.get_device_name(lab.device) if lab.device.type == "cuda" else "CPU"
    lab.write(device=name, torch=torch.__version__, matmul_rate=lab.matmul_rate(), **versions())
    return lab


def shapes_of(options: Namespace) -> list[str]:
    """The names of the chosen shapes."""
    return [name for name in options.shapes.split(",") if name]


def versions() -> dict[str, str]:
    """Of what the results depend on."""
    from loragrid.runtime.job import installed_versions

    return installed_versions("transformers", "peft", "accelerate", "trl", "liger-kernel", "triton", "bitsandbytes")


def pick(device: str) -> torch.device:
    """The named device; `auto`: the first CUDA device, else the CPU."""
    if device == "cuda" and not torch.cuda.is_available():
        raise SystemExit("--device cuda: torch sees no GPU here; --device cpu --shapes tiny runs the same code.")
    return torch.device(("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device)


def release(device: torch.device) -> None:
    """Free what is no longer used, and forget the peak."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)


def make_examples(number: int, shape: str, seed: int = 0) -> list[dict[str, Any]]:
    """Random token ids, as long as instructions are: 196 tokens on average and at most 605, the last three quarters learnt.

    Examples for the small shapes are a fifth as long.
    """
    draw = torch.Generator().manual_seed(seed)
    scale = 1 if shape in ("1b", "8b") else 0.2
    lengths = (scale * torch.randn(number, generator=draw).mul(0.6).exp().mul(165).clamp(24, 605)).round().long().tolist()
    vocabulary = SHAPES[shape]["vocab_size"]
    return [{"ids": torch.randint(3, vocabulary, (n,), generator=draw).tolist(), "target_start": n // 4} for n in lengths]


def make_model(shape: str, device: torch.device, dtype: torch.dtype = torch.bfloat16, seed: int = 0) -> Any:
    """A model with random weights, made on the device."""
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(max_position_embeddings=4096, pad_token_id=PAD, eos_token_id=PAD, **SHAPES[shape])
    config.name_or_path = shape
    torch.manual_seed(seed)
    usual = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with torch.device(device):
            return LlamaForCausalLM(config).eval()
    finally:
        torch.set_default_dtype(usual)


def adapt(model: Any, effect: float = 0.0) -> Any:
    """A model with a fresh LoRA adapter, as the library makes it.

    Args:
        effect: standard deviation of the half of the adapter that is zero at first.
    """
    from loragrid.training.methods import LoraTraining

    adapted: Any = LoraTraining(target_modules=ADAPTED).make_trainable(model, 1)
    if effect:
        draw = torch.Generator(next(adapted.parameters()).device).manual_seed(3)
        with torch.no_grad():
            for name, parameter in adapted.named_parameters():
                if "lora_B" in name:
                    parameter.normal_(0, effect, generator=draw)
    return adapted


def parameters_of(model: Any) -> int:
    """Of the base model."""
    return sum(p.numel() for name, p in model.named_parameters() if "lora_" not in name)


def make_tokenizer() -> Any:
    """A tokenizer for libraries that want one, although all they get is token ids."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from transformers import PreTrainedTokenizerFast

    words = {"<unk>": 0, "<s>": 1, "</s>": PAD}
    known = Tokenizer(WordLevel(words, unk_token="<unk>"))
    return PreTrainedTokenizerFast(
        tokenizer_object=known, unk_token="<unk>", bos_token="<s>", eos_token="</s>", pad_token="</s>", padding_side="right"
    )


def markdown(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table; all columns but the first hold numbers."""
    lines = [headings, ["---", *["---:"] * (len(headings) - 1)], *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
