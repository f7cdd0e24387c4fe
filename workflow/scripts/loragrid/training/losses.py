"""The training loss, computed only where there is a target."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from loragrid.models.adapters import own_number_types
from loragrid.models.packed_attention import of_row, usual_attention
from loragrid.runtime.job import log
from loragrid.training.fused_loss import Kernel, by_operators, choose_kernel, linear_cross_entropy

if TYPE_CHECKING:
    from loragrid.training.batches import Batch

_CHUNK = 2**19
"""Logits whose loss is computed at once."""

_CHUNK_ON_GPU = 2**26
"""The same on a GPU, where this is as quick as larger chunks. It depends on nothing: the same training has the same chunks."""

_LARGE = 1000.0
"""Size of the logits by which a model shows whether they are those of its output layer: any function of them would show."""


class LossPlan(NamedTuple):
    """How the loss is computed."""

    chunk: int = _CHUNK
    """Logits whose loss is computed at once."""
    fused: Kernel | None = None
    """What computes the loss of a chunk together with the output layer; None: the model computes all logits first."""


def plan_loss(model: torch.nn.Module, device: torch.device, dtype: torch.dtype, kernels: str, is_sharded: bool) -> LossPlan:
    """The quickest way to the loss that is exact.

    Args:
        dtype: number type of the matrix products.
        kernels: `auto`, or `none`: PyTorch's operators only.
        is_sharded: whether no process holds all weights.
    """
    if device.type != "cuda":
        return LossPlan()
    if is_sharded or not ends_with_output_layer(model):
        return LossPlan(_CHUNK_ON_GPU)
    vocabulary = len(_output_layer(model).weight)
    return LossPlan(_CHUNK_ON_GPU, choose_kernel(vocabulary, device, dtype) if kernels == "auto" else by_operators)


class SummedLoss(torch.nn.Module):
    """A language model whose output is its cross-entropy, summed over the targets of a batch.

    Logits are computed for the positions that predict a target and for no others. The model is one module with one forward pass,
    so that it can be wrapped for several devices.
    """

    def __init__(
        self,
        model: torch.nn.Module,
        dtype: torch.dtype = torch.float32,
        neftune_alpha: float | None = None,
        plan: LossPlan | None = None,
    ):
        """Put hooks on the model: before its output layer and, for noise, behind its input embeddings.

        Args:
            dtype: number type of the matrix products.
            neftune_alpha: amount of noise on the embeddings in training; None: no noise.
            plan: how the loss is computed; by default as on a CPU.
        """
        super().__init__()
        self.model = model
        self.dtype = dtype
        self.neftune_alpha = neftune_alpha
        self.plan = plan or LossPlan()
        self._batch: Batch | None = None
        self._hidden: torch.Tensor | None = None
        language_model = _language_model(model)
        # If a model is spread over devices, it is wrapped layer by layer.
        self._no_split_modules = getattr(language_model, "_no_split_modules", None)
        language_model.get_output_embeddings().register_forward_pre_hook(self._keep_predicting)
        if neftune_alpha is not None:
            language_model.get_input_embeddings().register_forward_hook(self._add_noise)

    def forward(self, batch: Batch) -> torch.Tensor:
        """The summed cross-entropy, a float32 scalar."""
        return self.losses(batch)

    def losses(self, batch: Batch, each: bool = False) -> torch.Tensor:
        """The cross-entropy: summed, a float32 scalar; or of each target, float32 of the shape (targets,)."""
        self._batch = batch
        inputs: dict[str, Any] = {"input_ids": batch.input_ids, "use_cache": False}
        if batch.position_ids is not None:
            inputs["position_ids"] = batch.position_ids
            inputs |= of_row(self.model, batch.sections, batch.bounds, batch.longest)
        with contextlib.ExitStack() as settings:
            if self.dtype != torch.float32:
                # What a CUDA graph records must not read what was converted before.
                caching = not (batch.input_ids.is_cuda and torch.cuda.is_current_stream_capturing())
                settings.enter_context(torch.autocast(batch.input_ids.device.type, self.dtype, cache_enabled=caching))
                # peft would turn inputs to the adapter's float32, and autocast turn them back.
                settings.enter_context(own_number_types(self.model))
            logits = self.model(**inputs).logits
        hidden, self._batch, self._hidden = self._hidden, None, None
        if self.plan.fused is None or hidden is None:
            return cross_entropy(logits.squeeze(0), batch.targets, self.plan.chunk, each)
        layer, of_plan = _output_layer(self.model), (self.plan.chunk, self.plan.fused)
        return linear_cross_entropy(hidden, layer.weight, layer.bias, batch.targets, *of_plan, self.dtype, each)

    def _keep_predicting(self, module: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...] | None:
        if self._batch is None:
            return None
        # Virtual tokens of a learnt prompt may stand in front.
        hidden = inputs[0][:, -self._batch.lengths.shape[1] :]
        predicting = hidden.flatten(0, 1).index_select(0, self._batch.predicting)
        if self.plan.fused is None:
            return (predicting.unsqueeze(0),)
        # The layer's own work is done behind the model. It gets no rows.
        self._hidden = predicting
        return (predicting.new_empty(1, 0, predicting.shape[-1]),)

    def _add_noise(self, module: torch.nn.Module, inputs: Any, output: torch.Tensor) -> torch.Tensor:
        if self._batch is None or not self.training or self.neftune_alpha is None:
            return output
        # Uniform noise of alpha / sqrt(length · dimension), Jain et al. 2023; padding has no length and gets none.
        lengths = self._batch.lengths.unsqueeze(-1)
        scale = torch.where(lengths > 0, self.neftune_alpha * (lengths * output.shape[-1]).clamp(min=1) ** -0.5, 0.0)
        return output + torch.empty_like(output).uniform_(-1, 1) * scale.to(output.dtype)


def cross_entropy(logits: torch.Tensor, targets: torch.Tensor, chunk: int = _CHUNK, each: bool = False) -> torch.Tensor:
    """Cross-entropy summed over the targets, computed in float32, a few rows at a time. These stay in the processor's cache.

    Args:
        logits: shape (targets, vocabulary), of any floating type. They are overwritten: their gradient takes their place.
        targets: shape (targets,).
        chunk: logits whose loss is computed at once.
        each: whether the loss of each target is wanted instead of their sum.

    Returns:
        float32: a scalar, or shape (targets,).
    """
    result: torch.Tensor = _CrossEntropy.apply(logits, targets, chunk, each)  # type: ignore[no-untyped-call]
    return result


class _CrossEntropy(torch.autograd.Function):
    # The gradient is softmax - one-hot; the forward pass has it at hand.
    @staticmethod
    def forward(ctx: Any, logits: torch.Tensor, targets: torch.Tensor, chunk: int, each: bool) -> torch.Tensor:
        gradient = logits.detach()
        loss = logits.new_zeros(len(targets) if each else (), dtype=torch.float32)
        rows = max(1, chunk // logits.shape[-1])
        for start in range(0, len(targets), rows):
            part, index = gradient[start : start + rows], targets[start : start + rows].unsqueeze(-1)
            log_probabilities = torch.log_softmax(part, dim=-1, dtype=torch.float32)
            of_targets = log_probabilities.gather(-1, index)
            if each:
                loss[start : start + rows] -= of_targets.squeeze(-1)
            else:
                loss -= of_targets.sum()
            part.copy_(log_probabilities.exp_().scatter_add_(-1, index, torch.full_like(index, -1, dtype=torch.float32)))
        ctx.save_for_backward(gradient)
        return loss

    @staticmethod
    def backward(ctx: Any, *grad_outputs: torch.Tensor) -> tuple[torch.Tensor, None, None, None]:
        (gradient,) = ctx.saved_tensors
        factor = grad_outputs[0].unsqueeze(-1) if grad_outputs[0].dim() else grad_outputs[0]
        return gradient.mul_(factor), None, None, None


def ends_with_output_layer(model: torch.nn.Module) -> bool:
    """Whether a model's logits are exactly those of its output layer, a plain one: no adapter on it, nothing done to its logits.

    The model itself shows it: a short forward pass in which the layer gets large inputs, and one in which it gets none.
    """
    language_model, layer = _language_model(model), _output_layer(model)
    if type(layer) is not torch.nn.Linear or type(layer.weight) is not torch.nn.Parameter:
        return False
    given: list[torch.Tensor] = []

    def enlarge(module: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor]:
        states = inputs[0]
        linear = torch.nn.functional.linear(states, layer.weight, layer.bias)
        given.append(states * (_LARGE / linear.abs().amax().clamp(min=1e-6)))
        return (given[-1],)

    def take_all(module: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor]:
        return (inputs[0][:, :0],)

    try:
        logits = _short_pass(language_model, layer, enlarge)
        expected = torch.nn.functional.linear(given[0], layer.weight, layer.bias).float()
        is_exact = logits.shape == expected.shape and bool((logits - expected).abs().amax() <= 1e-3 * expected.abs().amax())
        return is_exact and _short_pass(language_model, layer, take_all).shape[1] == 0
    except Exception as error:
        # Whatever a model cannot do here, it can do in the usual way.
        log.info("output layer and loss are computed one after the other (%s: %s)", type(error).__name__, error)
        return False


def _short_pass(model: Any, layer: torch.nn.Linear, hook: Callable[..., Any]) -> torch.Tensor:
    """The logits of a short text, with a hook before the output layer."""
    handle, training = layer.register_forward_pre_hook(hook), model.training
    model.eval()
    try:
        with torch.no_grad(), usual_attention(model):
            ids = torch.arange(1, 6, device=layer.weight.device).unsqueeze(0)
            logits: torch.Tensor = model(input_ids=ids, use_cache=False).logits.float()
            return logits
    finally:
        handle.remove()
        model.train(training)


def _language_model(model: Any) -> Any:
    return getattr(model, "get_base_model", lambda: model)()


def _output_layer(model: Any) -> Any:
    return _language_model(model).get_output_embeddings()
