"""The training loss, computed only where there is a target."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import torch

from loragrid.models.adapters import own_number_types
from loragrid.models.packed_attention import of_row

if TYPE_CHECKING:
    from loragrid.training.batches import Batch

_CHUNK = 2**19
"""Logits whose loss is computed at once."""


class SummedLoss(torch.nn.Module):
    """A language model whose output is its cross-entropy, summed over the targets of a batch.

    Logits are computed for the positions that predict a target and for no others. The model is one module with one forward pass,
    so that it can be wrapped for several devices.
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
        # If a model is spread over devices, it is wrapped layer by layer.
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
            inputs |= of_row(self.model, batch.sections)
        with contextlib.ExitStack() as settings:
            if self.dtype != torch.float32:
                settings.enter_context(torch.autocast(batch.input_ids.device.type, self.dtype))
                # peft would turn inputs to the adapter's float32, and autocast turn them back.
                settings.enter_context(own_number_types(self.model))
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
    """Cross-entropy summed over the targets, computed in float32, a few rows at a time. These stay in the processor's cache.

    Args:
        logits: shape (targets, vocabulary), of any floating type. They are overwritten: their gradient takes their place.
        targets: shape (targets,).

    Returns:
        A float32 scalar.
    """
    result: torch.Tensor = _SummedCrossEntropy.apply(logits, targets)  # type: ignore[no-untyped-call]
    return result


class _SummedCrossEntropy(torch.autograd.Function):
    # The gradient is softmax - one-hot; the forward pass has it at hand.
    @staticmethod
    def forward(ctx: Any, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        gradient = logits.detach()
        total = logits.new_zeros((), dtype=torch.float32)
        rows = max(1, _CHUNK // logits.shape[-1])
        for part, of_part in zip(torch.split(gradient, rows), torch.split(targets, rows), strict=True):
            index = of_part.unsqueeze(-1)
            log_probabilities = torch.log_softmax(part, dim=-1, dtype=torch.float32)
            total -= log_probabilities.gather(-1, index).sum()
            part.copy_(log_probabilities.exp_().scatter_add_(-1, index, torch.full_like(index, -1, dtype=torch.float32)))
        ctx.save_for_backward(gradient)
        return total

    @staticmethod
    def backward(ctx: Any, *grad_outputs: torch.Tensor) -> tuple[torch.Tensor, None]:
        (gradient,) = ctx.saved_tensors
        return gradient.mul_(grad_outputs[0]), None
