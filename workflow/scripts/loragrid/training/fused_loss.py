"""Output layer and cross-entropy in one, for GPUs: no more logits at a time than fit a chunk, and none are kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from loragrid.runtime.job import log
from loragrid.training.batches import IGNORED

Kernel = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""Computes the cross-entropy of logits, shape (targets, vocabulary), for each target: float32, 0 for those that are IGNORED. The
logits are overwritten: the gradient of the sum takes their place."""


def linear_cross_entropy(
    hidden: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    targets: torch.Tensor,
    chunk: int,
    kernel: Kernel,
    dtype: torch.dtype,
    each: bool = False,
) -> torch.Tensor:
    """Cross-entropy of a linear layer's logits, summed over the targets, or of each of them.

    The gradients of all inputs are computed in the forward pass, chunk by chunk. So no more logits than those of a chunk take
    memory, and they are computed once. The gradients of weight and bias are summed up in float32.

    Args:
        hidden: shape (targets, size).
        weight: shape (vocabulary, size).
        bias: shape (vocabulary,), if there is one.
        targets: shape (targets,). Those that are IGNORED count nothing.
        chunk: how many logits are computed at once, about.
        dtype: number type of the matrix products.
        each: whether the loss of each target is wanted. Weight and bias must not want gradients then.

    Returns:
        float32: a scalar, or shape (targets,).
    """
    wanted = [torch.is_grad_enabled() and tensor is not None and tensor.requires_grad for tensor in (hidden, weight, bias)]
    assert not (each and any(wanted[1:]))
    arguments = (hidden, weight, bias, targets, chunk, kernel, dtype, wanted, each)
    # The number type is chosen here; accelerate may have chosen another one for all around.
    with torch.autocast(hidden.device.type, enabled=False):
        result: torch.Tensor = _LinearCrossEntropy.apply(*arguments)  # type: ignore[no-untyped-call]
    return result


class _LinearCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        hidden: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        targets: torch.Tensor,
        chunk: int,
        kernel: Kernel,
        dtype: torch.dtype,
        wanted: list[bool],
        each: bool,
    ) -> torch.Tensor:
        states, matrix = hidden.to(dtype), weight.to(dtype)
        offset = None if bias is None else bias.to(dtype)
        of_states = torch.empty_like(states) if wanted[0] else None
        of_weight, of_bias = (
            torch.zeros_like(tensor, dtype=torch.float32) if tensor is not None and is_wanted else None
            for tensor, is_wanted in zip((weight, bias), wanted[1:], strict=True)
        )
        loss = torch.zeros(len(states) if each else (), dtype=torch.float32, device=hidden.device)
        for part in _parts(len(states), len(matrix), chunk):
            logits = torch.nn.functional.linear(states[part], matrix, offset)
            losses = kernel(logits, targets[part])
            if each:
                loss[part] = losses
            else:
                loss += losses.sum()
            # From here on, they are their own gradient.
            if of_states is not None:
                torch.mm(logits, matrix, out=of_states[part])
            if of_weight is not None:
                of_weight += logits.t() @ states[part]
            if of_bias is not None:
                of_bias += logits.sum(0, dtype=torch.float32)
        gradients = (of_states, of_weight, of_bias)
        ctx.save_for_backward(
            *(
                None if g is None else g.to(t.dtype)
                for g, t in zip(gradients, (hidden, weight, bias), strict=True)
                if t is not None
            )
        )
        return loss

    @staticmethod
    def backward(ctx: Any, *grad_outputs: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        factor = grad_outputs[0].unsqueeze(-1) if grad_outputs[0].dim() else grad_outputs[0]
        # A GPU would round the factor to the gradient's type first.
        scaled = [None if g is None else (g.float() * factor).to(g.dtype) for g in ctx.saved_tensors]
        return (*scaled, *(None,) * (9 - len(scaled)))


def _parts(rows: int, width: int, chunk: int) -> list[slice]:
    """Parts of equally many rows, so that none is small."""
    number = max(1, -(-rows * width // chunk))
    step = max(1, -(-rows // number))
    return [slice(start, start + step) for start in range(0, rows, step)]


def by_operators(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """The loss and its gradient by PyTorch's operators."""
    kept = targets != IGNORED
    index = targets.clamp(min=0).unsqueeze(-1)
    log_probabilities = torch.log_softmax(logits, dim=-1, dtype=torch.float32)
    losses = -(log_probabilities.gather(-1, index).squeeze(-1) * kept)
    gradient = log_probabilities.exp_().scatter_add_(-1, index, torch.full_like(index, -1, dtype=torch.float32))
    logits.copy_(gradient.mul_(kept.unsqueeze(-1)))
    return losses


def by_liger(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """The loss and its gradient by the kernel of the package liger-kernel, which reads the logits twice and writes them once."""
    from liger_kernel.ops.cross_entropy import liger_cross_entropy_kernel

    rows, width = logits.shape
    losses = torch.zeros(rows, dtype=torch.float32, device=logits.device)
    # As many warps as that package found to be best.
    newer = torch.cuda.get_device_capability(logits.device)[0] >= 10
    warps = 8 if newer and logits.element_size() == 2 else 32
    liger_cross_entropy_kernel[(rows,)](
        X_ptr=logits, X_stride=logits.stride(0), Y_ptr=targets, Y_stride=1, weight_ptr=None, loss_ptr=losses, z_loss_ptr=None,
        loss_stride=1, token_accuracy_ptr=None, token_accuracy_stride=0, predicted_tokens_ptr=None, predicted_tokens_stride=0,
        n_cols=width, n_non_ignore=1, sum_non_ignore_weight=1, weight_sum=0.0, ignore_index=IGNORED, lse_square_scale=0.0,
        label_smoothing=0.0, reduction="sum", softcap=None, RETURN_Z_LOSS=False, RETURN_TOKEN_ACCURACY=False,
        RETURN_PREDICTED_TOKENS=False, HAS_WEIGHT=False, HAS_SOFTCAPPING=False, HAS_GRADIENTS=True,
        BLOCK_SIZE=min(32768, 1 << (width - 1).bit_length()), num_warps=warps,
    )  # fmt: skip
    return losses


def choose_kernel(vocabulary: int, device: torch.device, dtype: torch.dtype, quicker: Kernel = by_liger) -> Kernel:
    """A quicker kernel where it computes what PyTorch's operators compute, else these. It is tried once, on two targets.

    Args:
        vocabulary: logits of a target.
        dtype: number type of the logits.
    """
    values = torch.linspace(-8, 8, 2 * vocabulary, device=device).view(2, vocabulary).to(dtype)
    targets = torch.tensor([vocabulary // 2, IGNORED], device=device)
    expected, found = values.clone(), values.clone()
    try:
        torch.testing.assert_close(quicker(found, targets), by_operators(expected, targets), rtol=1e-3, atol=0)
        torch.testing.assert_close(found, expected, rtol=2e-2, atol=1e-6)
    except Exception as error:
        # The package, or a compiler for it, may be missing; another version may differ. The operators always work.
        log.info("no fused kernel for the loss (%s: %s)", type(error).__name__, error)
        return by_operators
    return quicker
