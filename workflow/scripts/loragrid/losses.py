"""The training loss, computed only where there is a target."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import torch

from loragrid.attention import stand_in_a_row

if TYPE_CHECKING:
    from loragrid.batches import Batch

_CHUNK = 2**23
"""Logits that are turned to float32 at once."""


class SummedLoss(torch.nn.Module):
    """A language model whose output is its cross-entropy, summed over the targets of a batch.

    Logits are computed for the positions that predict a target and for no others. Being one module with one forward, it can be
    wrapped for several devices.
    """

    def __init__(self, model: torch.nn.Module, dtype: torch.dtype = torch.float32, neftune_alpha: float | None = None):
        """Put hooks on the model: before its output layer and, for noise, behind its input embeddings.

        Args:
            dtype: number type of the matrix products.
            neftune_alpha: amount of noise on the embeddings in training; None: no noise.
        """
        super().__init__()
        self.model = model
        self.dtype = dtype
        self.neftune_alpha = neftune_alpha
        self._batch: Batch | None = None
        language_model: Any = getattr(model, "get_base_model", lambda: model)()
        # Wrapped by layer where a model is spread over devices.
        self._no_split_modules = getattr(language_model, "_no_split_modules", None)
        language_model.get_output_embeddings().register_forward_pre_hook(self._keep_predicting)
        if neftune_alpha is not None:
            language_model.get_input_embeddings().register_forward_hook(self._add_noise)

    def forward(self, batch: Batch) -> torch.Tensor:
        """The summed cross-entropy, a float32 scalar."""
        self._batch = batch
        inputs: dict[str, Any] = {"input_ids": batch.input_ids, "use_cache": False}
        if batch.position_ids is not None:
            inputs["position_ids"] = batch.position_ids
            stand_in_a_row(batch.examples)
        narrow = self.dtype != torch.float32
        with torch.autocast(batch.input_ids.device.type, self.dtype) if narrow else contextlib.nullcontext():
            logits = self.model(**inputs).logits
        self._batch = None
        return summed_cross_entropy(logits.squeeze(0), batch.targets)

    def _keep_predicting(self, module: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...] | None:
        if self._batch is None:
            return None
        # Virtual tokens of a learnt prompt may stand in front.
        hidden = inputs[0][:, -self._batch.predicting.shape[1] :]
        return (hidden[self._batch.predicting].unsqueeze(0),)

    def _add_noise(self, module: torch.nn.Module, inputs: Any, output: torch.Tensor) -> torch.Tensor:
        if self._batch is None or not self.training or self.neftune_alpha is None:
            return output
        # Uniform noise of alpha / sqrt(length · dimension), Jain et al. 2023; padding has no length and gets none.
        lengths = self._batch.lengths.unsqueeze(-1)
        scale = torch.where(lengths > 0, self.neftune_alpha * (lengths * output.shape[-1]).clamp(min=1) ** -0.5, 0.0)
        return output + torch.empty_like(output).uniform_(-1, 1) * scale.to(output.dtype)


def summed_cross_entropy(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Cross-entropy summed over the targets, computed in float32 a few rows at a time.

    Args:
        logits: shape (targets, vocabulary), of any floating type; no float32 copy of all of them is made.
        targets: shape (targets,).

    Returns:
        A float32 scalar.
    """
    if torch.is_grad_enabled() and logits.requires_grad:
        result: torch.Tensor = _SummedCrossEntropy.apply(logits, targets)  # type: ignore[no-untyped-call]
        return result
    return sum(
        (_loss_and_probabilities(*rows)[0] for rows in _chunks(logits, targets)), logits.new_zeros((), dtype=torch.float32)
    )


class _SummedCrossEntropy(torch.autograd.Function):
    # The gradient is softmax - one-hot, which the forward pass has at hand.
    @staticmethod
    def forward(ctx: Any, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        gradient = torch.empty_like(logits)
        total = logits.new_zeros((), dtype=torch.float32)
        for part, (of_logits, of_targets) in zip(_chunks(gradient, targets), _chunks(logits, targets), strict=True):
            loss, probabilities = _loss_and_probabilities(of_logits, of_targets)
            total += loss
            probabilities[torch.arange(len(of_targets)), of_targets] -= 1
            part[0].copy_(probabilities)
        ctx.save_for_backward(gradient)
        return total

    @staticmethod
    def backward(ctx: Any, *grad_outputs: torch.Tensor) -> tuple[torch.Tensor, None]:
        (gradient,) = ctx.saved_tensors
        return gradient.mul_(grad_outputs[0]), None


def _chunks(logits: torch.Tensor, targets: torch.Tensor) -> list[tuple[torch.Tensor, torch.Tensor]]:
    rows = max(1, _CHUNK // logits.shape[-1])
    return list(zip(torch.split(logits, rows), torch.split(targets, rows), strict=True)) if len(targets) else []


def _loss_and_probabilities(logits: torch.Tensor, targets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    log_probabilities = torch.log_softmax(logits.float(), dim=-1)
    loss = -log_probabilities.gather(-1, targets.unsqueeze(-1)).sum()
    return loss, log_probabilities.exp_()
