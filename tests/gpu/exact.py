"""Whether layouts and kernels give the same gradients, and a training twice the same bytes."""

import os
from collections.abc import Sequence
from typing import Any

import torch
from accelerate import Accelerator
from lab import PAD, Lab, begin, examples_of, make_adapted, preload
from time_training import WAYS, Way, changed, choose_grouped, config_of, library_loop, own_loop

from loragrid.training import gradients, loop
from loragrid.training.batches import Encoded

EXACT = {
    "padded": Way(),
    "packed, by example": Way(packing="on"),
    "varlen": WAYS["+ varlen"],
    "varlen, elementwise": WAYS["+ varlen, elementwise"],
    "varlen, own fused loss": WAYS["+ varlen"]._replace(loss="linear triton"),
    "varlen, Liger's fused loss": WAYS["+ varlen"]._replace(loss="liger"),
}


def gradient(lab: Lab, model: Any, encoded: Sequence[Encoded], way: Way, dtype: torch.dtype, most: int) -> tuple[Any, float]:
    """All gradients of a step as one float32 vector, and the loss."""
    config = config_of(len(encoded), way, 1)
    for p in model.parameters():
        p.grad = None
    with changed(model, way):
        if way.varlen:
            layout = gradients.Layout(most, packed=True, pad=PAD)
        else:
            layout = gradients.choose_layout(model, config, lab.device, PAD)._replace(max_tokens=most)
        module = loop.SummedLoss(model, dtype)
        loss = gradients.accumulate_gradients(module, encoded, layout, Accelerator(cpu=lab.device.type == "cpu"))
    found = torch.cat([p.grad.float().flatten() for p in model.parameters() if p.grad is not None])
    return found, loss


def apart(one: torch.Tensor, other: torch.Tensor) -> float:
    return float((one - other).norm() / other.norm())


def compare_gradients(lab: Lab, shape: str, examples: Sequence[Any]) -> None:
    encoded = [Encoded(e["ids"], e["target_start"]) for e in examples]

    def model_of(dtype: torch.dtype) -> Any:
        model = make_adapted(shape, lab.device, effect=0.02)
        return model.float() if dtype == torch.float32 else model

    reference, expected = gradient(lab, model_of(torch.float32), encoded, Way(), torch.float32, 8192)
    lab.write(shape=shape, gradient="float32, padded", loss=expected)
    for name, way, most in (
        ("float32, one by one", Way(), 1),
        ("float32, packed by example", Way(packing="on"), 8192),
    ):

        def in_float32(way: Way = way, most: int = most) -> dict[str, Any]:
            found, loss = gradient(lab, model_of(torch.float32), encoded, way, torch.float32, most)
            return {"to_float32_padded": apart(found, reference), "loss_difference": abs(loss - expected) / expected}

        lab.attempt(in_float32, shape=shape, gradient=name)
    padded: list[torch.Tensor] = []
    for name, way in EXACT.items():

        def in_bfloat16(way: Way = way) -> dict[str, Any]:
            found, loss = gradient(lab, model_of(torch.bfloat16), encoded, way, torch.bfloat16, 8192)
            padded.append(found)
            return {
                "to_float32_padded": apart(found, reference),
                "to_bfloat16_padded": apart(found, padded[0]),
                "loss_difference": abs(loss - expected) / expected,
            }

        lab.attempt(in_bfloat16, shape=shape, gradient="bfloat16, " + name)


def twice(lab: Lab, shape: str, examples: Sequence[Any], way: Way, deterministic: bool) -> dict[str, Any]:
    """Trained weights of two equal trainings.

    Args:
        deterministic: PyTorch's switch. Where only warned of, attention stays as it is.
    """
    encoded = [Encoded(e["ids"], e["target_start"]) for e in examples]
    found, seconds = [], []
    torch.use_deterministic_algorithms(deterministic)
    try:
        for _ in range(2):
            model = make_adapted(shape, lab.device)
            with changed(model, way):
                run = library_loop if way.loop == "library" else own_loop
                seconds.append(round(run(lab, model, encoded, 8, way).second_s, 3))
            found.append(torch.cat([p.detach().float().flatten() for p in model.parameters() if p.requires_grad]))
            del model
    finally:
        torch.use_deterministic_algorithms(False)
    return {"same_bytes": bool(torch.equal(*found)), "difference": apart(*found), "second_pass_s": seconds}


def main() -> None:
    # Without it, matrix products refuse to be deterministic.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    preload("peft", "liger_kernel.transformers", "transformers.models.llama.modeling_llama")
    lab, arguments = begin("exact", number=8)
    choose_grouped(lab)
    for shape in arguments.shapes.split(","):
        examples = examples_of(arguments.examples, 4 * arguments.number, shape)
        lab.attempt(
            lambda shape=shape, examples=examples: compare_gradients(lab, shape, examples[: arguments.number]) or {},
            gradients=shape,
        )
        for name, deterministic in (
            ("as it is", False),
            ("+ varlen", False),
            ("+ varlen", True),
            ("as it is", True),
            ("packing: on", False),
            ("+ varlen, elementwise, own fused loss", True),
            ("CUDA graph", False),
            ("CUDA graph", True),
        ):
            lab.attempt(
                lambda shape=shape, examples=examples, name=name, d=deterministic: twice(lab, shape, examples, WAYS[name], d),
                shape=shape,
                twice=name,
                deterministic=deterministic,
            )


if __name__ == "__main__":
    main()
