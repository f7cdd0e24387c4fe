"""New tokens a second with an adapter: `generate()`, the library, and a prototype with a fixed store and CUDA graphs."""

from collections.abc import Sequence
from time import perf_counter
from typing import Any
from unittest import mock

import decode
import torch
from decode import generate_from_store
from lab import PAD, Lab, begin, examples_of, make_adapted, preload, release
from prototypes import elementwise_kernels

from loragrid.inference import generation
from loragrid.inference.protocol import Decoding
from train import choose_grouped


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


def compare(lab: Lab, shape: str, prompts: Sequence[Sequence[int]], new: int, only: Sequence[str]) -> None:
    """All contenders on one model."""
    model = make_adapted(shape, lab.device).eval()
    number = len(prompts) * new
    known: dict[str, Any] = {}

    def timed(name: str, run: Any, warm_up: Any) -> None:
        if only and name not in only:
            return

        def once() -> dict[str, Any]:
            warm_up()
            release(lab.device)
            lab.synchronize()
            started = perf_counter()
            tokens, more = run()
            seconds = perf_counter() - started
            known[name] = tokens
            of_base = equal(known.get("generate()"), tokens)
            return {"tokens_per_s": round(number / seconds), "seconds": round(seconds, 3), "peak_gib": lab.peak_gib(),
                    "equal_to_generate": of_base, **more}  # fmt: skip

        lab.attempt(once, shape=shape, contender=name, prompts=len(prompts), new=new)

    def prototype(**options: Any) -> Any:
        def run() -> tuple[Any, dict[str, Any]]:
            found = generate_from_store(model, prompts, new, **options)
            return found.tokens, {
                "read_s": round(found.read_s, 3),
                "capture_s": round(found.capture_s, 3),
                "decode_s": round(found.decode_s, 3),
                "step_ms": round(1000 * found.decode_s / (new - 1), 2),
                "tokens_per_s_without_capture": round(number / (found.read_s + found.decode_s)),
            }

        return run

    def library() -> tuple[Any, dict[str, Any]]:
        tokens, read_s = by_library(model, prompts, new)
        return tokens, {"read_s": round(read_s, 3)}

    timed(
        "generate()",
        lambda: (by_transformers(model, prompts, new, lab.device), {}),
        lambda: by_transformers(model, prompts, 3, lab.device),
    )
    timed("library", library, lambda: by_library(model, prompts, 3))
    store: dict[str, dict[str, Any]] = {
        "store, no graph": {"graph": False},
        "store, graph, SDPA": {},
        "store, graph, flash": {"by_flash": True},
        "store, graph, flash, host looks each step": {"by_flash": True, "look_every": 1},
        "store, graph, flash, host looks each 8 steps": {"by_flash": True, "look_every": 8},
    }
    for name, options in store.items():
        timed(name, prototype(**options), lambda options=options: generate_from_store(model, prompts, 6, **options))
    for name, parameter in model.named_parameters():
        if "lora_" in name:
            parameter.data = parameter.data.to(torch.bfloat16)
    best = {"by_flash": True}
    timed("store, graph, flash, adapter in bf16", prototype(**best), lambda: generate_from_store(model, prompts, 6, **best))
    with elementwise_kernels(model.get_base_model(), True):
        name = "store, graph, flash, adapter in bf16, elementwise"
        timed(name, prototype(**best), lambda: generate_from_store(model, prompts, 6, **best))
        layers = model.get_base_model().model.layers
        more, usual = [list(p) for p in prompts] * 4, prompts
        prompts, number = more, 4 * number
        timed(name + ", four times the prompts", prototype(**best), lambda: None)
        prompts, number = usual, number // 4
    # The number of a layer, by which it finds its keys, would be compiled in.
    attend = torch._dynamo.disable(decode.attend_store)
    for layer in layers:
        layer.compile(dynamic=False)
    with mock.patch.object(decode, "attend_store", attend):
        name = "store, graph, flash, adapter in bf16, compiled"
        timed(name, prototype(**best), lambda: generate_from_store(model, prompts, 6, **best))


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
        lab.attempt(lambda shape=shape, p=prompts, o=only: compare(lab, shape, p, arguments.new, o) or {}, shape=shape)


if __name__ == "__main__":
    main()
