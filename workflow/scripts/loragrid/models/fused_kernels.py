"""Liger's kernels for what lies between the matrix products of a model: norms, encodings of positions, gated activations.

Each of them is one kernel instead of several small ones, and keeps less for the backward pass. The package `liger-kernel` binds
them to the modules of a model, and to names of the file that defines it. Neither its loss nor its output layer is used.
"""

from __future__ import annotations

import functools
import importlib.util
import inspect
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import torch

from loragrid.runtime.job import log

ELEMENTWISE = frozenset({"geglu", "rms_norm", "rope", "swiglu"})
"""Arguments of Liger's functions for the kernels that are used, as far as Liger itself uses them for a type of model."""

TOLERANCE = {torch.float32: 1e-3, torch.float16: 0.02, torch.bfloat16: 0.1}
"""Largest distance from the usual computation, relative to its size, that counts as rounding.

On an H200, gradients of a model in bfloat16 were 0.025 away from those of another order of the same computation.
"""

_TOKENS = 32

_LARGEST_HEAD, _ROWS = 256, 2**15
"""Liger norms so many numbers at most, and so many rows of them at least, by another kernel: those of heads in training."""

_exchanged: list[tuple[ModuleType, str, Any]] = []
"""Functions of transformers that are exchanged for now: module, name, and what stood there."""


@contextmanager
def usual_functions_afterwards() -> Iterator[None]:
    """Put the functions of transformers back at the end of work with fused kernels: later work of this process may want none."""
    try:
        yield
    finally:
        while _exchanged:
            module, name, usual = _exchanged.pop()
            setattr(module, name, usual)


def use_fused_kernels(model: Any, device: torch.device) -> bool:
    """Let Liger's kernels compute parts of a loaded base model, if they are installed and know its type, on an NVIDIA GPU.

    A short text has to get the same logits and the same gradient as before, up to rounding. Otherwise all is put back, and the
    log says so. An adapter is put on the model afterwards: the kernels leave its linear layers as they are.

    Returns:
        Whether they are used now.
    """
    if device.type != "cuda" or torch.version.hip:
        return False
    if importlib.util.find_spec("liger_kernel") is None:
        log.info("no fused kernels: the package liger-kernel is not installed (make extras)")
        return False
    before = _Before(model)
    try:
        from liger_kernel.transformers.monkey_patch import MODEL_TYPE_TO_APPLY_LIGER_FN

        apply = MODEL_TYPE_TO_APPLY_LIGER_FN.get(model.config.model_type)
        chosen = _chosen(apply, model) if apply else {}
        if not any(chosen.values()):
            log.info("no fused kernels: liger-kernel has none for models of the type %s", model.config.model_type)
            return False
        expected = _logits_and_gradient(model) + _norms_of_heads(model)
        apply(model=model, **chosen)
        before.keep_functions_only()
        found = _logits_and_gradient(model) + _norms_of_heads(model)
        apart = max(_distance(*pair) for pair in zip(found, expected, strict=True))
        problem = "" if apart <= TOLERANCE[model.dtype] else f"they change a short text's logits or gradient by {apart:.2g}"
    except Exception as error:
        # Compilers may be missing, and models may differ from those that Liger knows. The usual computation is always there.
        problem = f"{type(error).__name__}: {error}"
    if problem:
        before.put_back()
        log.info("no fused kernels: %s", problem)
        return False
    log.info("fused kernels of liger-kernel: %s", ", ".join(sorted(name for name in chosen if chosen[name])))
    return True


def _chosen(apply: Callable[..., None], model: Any) -> dict[str, bool]:
    """The switches of a function of Liger's.

    Kernels that Liger itself leaves out for a type of model are left out. So are those for experts: they replace matrix products.
    """
    switches = {name: field.default for name, field in inspect.signature(apply).parameters.items() if name != "model"}
    chosen = {name: name in ELEMENTWISE and bool(default) for name, default in switches.items()}
    if "swiglu" in chosen and any(name.endswith("experts") for name, _ in model.named_modules()):
        chosen["swiglu"] = False
    return chosen


class _Before:
    """A model and the modules of transformers as they were before Liger changed them."""

    def __init__(self, model: Any) -> None:
        self.where = model.get_input_embeddings().weight.device.type
        self.parts = [(part, dict(vars(part)), dict(part._modules)) for part in model.modules()]
        self.names = [
            (module, dict(vars(module)))
            for name, module in list(sys.modules.items())
            if name.startswith("transformers.models.") and isinstance(module, ModuleType)
        ]

    def keep_functions_only(self) -> None:
        """Put the classes back from which other models are made. Changed functions stay for tensors on the model's device."""
        for module, usual in self.names:
            for name, now in list(vars(module).items()):
                if name in usual and now is not usual[name]:
                    changed = not isinstance(now, type)
                    setattr(module, name, _on_device(self.where, now, usual[name]) if changed else usual[name])
                    if changed:
                        _exchanged.append((module, name, usual[name]))

    def put_back(self) -> None:
        for module, usual in self.names:
            for name, now in list(vars(module).items()):
                if name in usual and now is not usual[name]:
                    setattr(module, name, usual[name])
        for part, attributes, children in self.parts:
            vars(part).clear()
            vars(part).update(attributes)
            part._modules.clear()
            part._modules.update(children)


def _on_device(where: str, there: Callable[..., Any], elsewhere: Callable[..., Any]) -> Callable[..., Any]:
    """A function of tensors for one type of device, and another for all others."""

    @functools.wraps(elsewhere)
    def call(first: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        return (there if first.device.type == where else elsewhere)(first, *args, **kwargs)

    return call


def _logits_and_gradient(model: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """The logits of a short text, and the gradient of a function of them with respect to its embeddings."""
    embeddings = model.get_input_embeddings()
    ids = torch.arange(1, _TOKENS + 1, device=embeddings.weight.device)[None] * 997 % embeddings.weight.shape[0]
    states: list[torch.Tensor] = []

    def leaf(module: torch.nn.Module, inputs: Any, output: torch.Tensor) -> torch.Tensor:
        states.append(output.detach().requires_grad_())
        return states[-1]

    hook = embeddings.register_forward_hook(leaf)
    training = model.training
    model.eval()
    try:
        with torch.enable_grad():
            logits = model(input_ids=ids, use_cache=False).logits
            (gradient,) = torch.autograd.grad(logits.float().logsumexp(-1).sum(), states)
    finally:
        hook.remove()
        model.train(training)
    return logits.detach(), gradient


def _norms_of_heads(model: Any) -> tuple[torch.Tensor, ...]:
    """What the first norm over the numbers of a head makes of many rows, and its gradient; nothing if there is none."""
    norms = (part for part in model.modules() if "RMSNorm" in type(part).__name__ and hasattr(part, "weight"))
    if (norm := next((one for one in norms if one.weight.numel() <= _LARGEST_HEAD), None)) is None:
        return ()
    weight = norm.weight
    rows = torch.linspace(-2, 2, _ROWS * len(weight), device=weight.device).sin().to(weight.dtype).view(1, _ROWS, 1, len(weight))
    with torch.enable_grad():
        normed = norm(rows.requires_grad_())
        (gradient,) = torch.autograd.grad(normed.float().square().sum(), rows)
    return normed.detach(), gradient


def _distance(one: torch.Tensor, other: torch.Tensor) -> float:
    """Relative to the size of the other; infinite if something is no number."""
    distance = (one.float() - other.float()).norm() / other.float().norm()
    return float(distance.nan_to_num(nan=torch.inf))
