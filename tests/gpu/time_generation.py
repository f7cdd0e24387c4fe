"""New tokens a second with an adapter: `generate()`, the library, and a prototype with a fixed store and CUDA graphs."""

from collections.abc import Callable, Sequence
from functools import partial
from time import perf_counter
from typing import Any
from unittest import mock

import decode
import torch
from decode import generate_from_store
from lab import PAD, Lab, begin, examples_of, make_adapted, preload, release
from prototypes import elementwise_kernels
from time_training import choose_grouped

from loragrid.inference import generation
from loragrid.inference.protocol import Decoding


def by_transformers(model: Any, prompts: Sequence[Sequence[int]], new: int, device: torch.device) -> list[list[int]]:
    """`generate()`, padded on the left."""
    from transformers import GenerationConfig

    width = max(map(len, prompts))
    ids = torch.tensor([[PAD] * (width - len(p)) + list(p) for p in prompts], device=device)
    mask = torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in prompts], device=device)
    settings = GenerationConfig(
        do_sample=False, max_new_tokens=new, min_new_tokens=new, pad_token_id=PAD, eos_token_id=PAD, use_cache=True
    )
    with torch.inference_mode():
        return model.generate(input_ids=ids, attention_mask=mask, generation_config=settings)[:, width:].tolist()


def by_library(model: Any, prompts: Sequence[Sequence[int]], new: int) -> tuple[list[list[int]], float]:
    """The tokens, and the seconds of reading the prompts."""
    read, seconds = generation._read_prompts, []

    def timed(model: Any, *rest: Any) -> torch.Tensor:
        started = perf_counter()
        logits = read(model, *rest)
        if logits.is_cuda:
            torch.cuda.synchronize()
        seconds.append(perf_counter() - started)
        return logits

    with mock.patch.object(generation, "_read_prompts", timed):
        decoding = Decoding(new, min_new_tokens=new)
        found = generation.generate_together(model, prompts, [0] * len(prompts), decoding, [PAD], PAD, lambda ids: False)
    return [one.token_ids for one in found], seconds[0]


def equal(one: Sequence[Any] | None, other: Sequence[Any] | None) -> str:
    """How many texts are the same; of further copies of the prompts none is counted."""
    return f"{sum(a == b for a, b in zip(one, other, strict=False))} of {len(one)}" if one and other else "-"


Prompts = Sequence[Sequence[int]]
Found = tuple[list[list[int]], dict[str, Any]]
Timed = Callable[[str, Prompts, Callable[[Prompts, int], Found]], None]
"""Takes the name of a contender, its prompts, and what answers them with so many tokens."""


def timing(lab: Lab, shape: str, new: int, only: Sequence[str]) -> Timed:
    """Times contenders, and compares their texts with those of the first."""
    first: list[list[int]] = []

    def timed(name: str, prompts: Prompts, run: Callable[[Prompts, int], Found]) -> None:
        if only and name not in only:
            return

        def once() -> dict[str, Any]:
            run(prompts, 6)
            release(lab.device)
            lab.synchronize()
            started = perf_counter()
            tokens, more = run(prompts, new)
            seconds = perf_counter() - started
            first.extend([] if first else tokens)
            rate = round(len(prompts) * new / seconds)
            same = {"equal_to_first": equal(first, tokens), "peak_gib": lab.peak_gib()}
            return {"tokens_per_s": rate, "seconds": round(seconds, 3), **same, **more}

        lab.attempt(once, shape=shape, contender=name, prompts=len(prompts), new=new)

    return timed


def from_store(model: Any, **options: Any) -> Callable[[Prompts, int], Found]:
    """The prototype, with what its parts took."""

    def run(prompts: Prompts, new: int) -> Found:
        found = generate_from_store(model, prompts, new, **options)
        parts = {"read_s": found.read_s, "capture_s": found.capture_s, "decode_s": found.decode_s}
        more = {name: round(seconds, 3) for name, seconds in parts.items()}
        without_capture = round(len(prompts) * new / (found.read_s + found.decode_s))
        step_ms = round(1000 * found.decode_s / (new - 1), 2)
        return found.tokens, more | {"step_ms": step_ms, "tokens_per_s_without_capture": without_capture}

    return run


def compare(lab: Lab, shape: str, prompts: Prompts, new: int, only: Sequence[str]) -> dict[str, Any]:
    """All contenders on one model."""
    model = make_adapted(shape, lab.device).eval()
    timed = timing(lab, shape, new, only)

    def library(prompts: Prompts, new: int) -> Found:
        tokens, read_s = by_library(model, prompts, new)
        return tokens, {"read_s": round(read_s, 3)}

    timed("generate()", prompts, lambda p, n: (by_transformers(model, p, n, lab.device), {}))
    timed("library", prompts, library)
    timed("store, no graph", prompts, from_store(model, graph=False))
    timed("store, graph, SDPA", prompts, from_store(model))
    timed("store, graph, flash", prompts, from_store(model, by_flash=True))
    for steps in (1, 8):
        timed(f"store, graph, flash, host looks each {steps} steps", prompts, from_store(model, by_flash=True, look_every=steps))
    for name, parameter in model.named_parameters():
        if "lora_" in name:
            parameter.data = parameter.data.to(torch.bfloat16)
    best = from_store(model, by_flash=True)
    timed("store, graph, flash, adapter in bf16", prompts, best)
    with elementwise_kernels(model.get_base_model(), True):
        timed("store, graph, flash, adapter in bf16, elementwise", prompts, best)
        timed("store, graph, flash, adapter in bf16, elementwise, four times the prompts", [*prompts] * 4, best)
    return {}


def compare_compiled(lab: Lab, shape: str, prompts: Prompts, new: int, only: Sequence[str]) -> dict[str, Any]:
    """Compiled layers, in a model of its own without Liger's kernels."""
    model = make_adapted(shape, lab.device).eval()
    for name, parameter in model.named_parameters():
        if "lora_" in name:
            parameter.data = parameter.data.to(torch.bfloat16)
    for layer in model.get_base_model().model.layers:
        layer.compile(dynamic=False)
    # The number of a layer, by which it finds its keys, would be compiled in.
    with mock.patch.object(decode, "attend_store", torch._dynamo.disable(decode.attend_store)):
        name = "store, graph, flash, adapter in bf16, compiled"
        timing(lab, shape, new, only)(name, prompts, from_store(model, by_flash=True))
    return {}


def same_in_float32(lab: Lab, examples: Sequence[Any], new: int) -> dict[str, Any]:
    """Texts of a small model: `generate()` one by one, the library, the prototype."""
    prompts = [e["ids"][:300] for e in examples[:24]]
    model = make_adapted("small", lab.device, torch.float32, effect=0.2).eval()
    expected = [by_transformers(model, [p], new, lab.device)[0] for p in prompts]
    return {
        "library": equal(expected, by_library(model, prompts, new)[0]),
        "store, no graph": equal(expected, generate_from_store(model, prompts, new, graph=False).tokens),
        "store, graph": equal(expected, generate_from_store(model, prompts, new).tokens),
        "different answers": len({tuple(a) for a in expected}),
    }


def main() -> None:
    preload("peft", "liger_kernel.transformers", "transformers.models.llama.modeling_llama")
    lab, arguments = begin("generate", prompts=128, new=64)
    choose_grouped(lab)
    small = examples_of(arguments.examples, 24, "small")
    lab.attempt(lambda: same_in_float32(lab, small, min(32, arguments.new)), check="float32 texts equal those of generate()")
    for shape in arguments.shapes.split(","):
        examples = [e for e in examples_of(arguments.examples, 512, shape) if len(e["ids"]) >= 20]
        prompts = [e["ids"][:400] for e in examples][: arguments.prompts]
        lab.write(shape=shape, prompts=len(prompts), mean=round(sum(map(len, prompts)) / len(prompts), 1))
        only = [name for name in arguments.only.split(";") if name]
        lab.attempt(partial(compare, lab, shape, prompts, arguments.new, only), shape=shape)
        lab.attempt(partial(compare_compiled, lab, shape, prompts, arguments.new, only), shape=shape, compiled=True)


if __name__ == "__main__":
    main()
