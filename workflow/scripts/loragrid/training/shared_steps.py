"""Optimiser steps of several runs at once: their examples stand in the same packed rows, each token with its own adapter.

The loss of a row is the sum over its targets, each with the factor 1 / (target tokens of its run's step). So each run has the
gradient of its own mean loss, however the examples of all are divided among rows. Sources: Ye et al. 2023 (mLoRA,
arXiv:2312.02515); LoRAFusion (arXiv:2510.00206) divides the examples of several runs among rows likewise.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from loragrid.models.several_adapters import Place, SeveralAdapters, parts_of
from loragrid.training.batches import Batch, Encoded, collate_packed, fill_up, pack
from loragrid.training.checkpoints import trained_weights
from loragrid.training.losses import LossPlan, SummedLoss

if TYPE_CHECKING:
    from loragrid.training.graphs import RecordedPasses
    from loragrid.training.method import Training

SHAPES_OF_ROWS = 4
"""Rows that are recorded are filled up to quarters of the largest, so that few shapes occur: to record one takes a second."""

BOUNDS_GRAIN = 32
"""Sequences of a row that is recorded, up to a multiple; the last ones are empty."""


class StepOfRun(NamedTuple):
    """What one run brings into a shared step."""

    place: Place
    examples: Sequence[Encoded]

    @property
    def nb_targets(self) -> int:
        return sum(example.nb_targets for example in self.examples)

    @property
    def nb_tokens(self) -> int:
        return sum(len(example.ids) for example in self.examples)


class LossOfEach(SummedLoss):
    """A base model whose output is the cross-entropy of each target of a row, each token with its owner's adapter."""

    def __init__(self, base: torch.nn.Module, several: SeveralAdapters, dtype: torch.dtype, plan: LossPlan):
        super().__init__(base, dtype, plan=plan)
        self.several = several

    def forward(self, batch: Batch) -> torch.Tensor:
        """Float32, of the shape (targets,)."""
        assert batch.owners is not None
        with self.several.owned(batch.owners):
            return self.losses(batch, each=True)


class LossOfRun(torch.nn.Module):
    """The summed cross-entropy of one run's examples, as `SummedLoss` of its own model would give it."""

    def __init__(self, of_each: LossOfEach, owner: int):
        super().__init__()
        self.of_each = of_each
        self.owner = owner

    def forward(self, batch: Batch) -> torch.Tensor:
        """A float32 scalar."""
        owners = torch.full_like(batch.input_ids, self.owner)
        losses: torch.Tensor = self.of_each(batch._replace(owners=owners))
        return losses.sum()


def lay_out_steps(shares: Sequence[StepOfRun], max_tokens: int, nobody: int, pad: int, longest: int | None) -> list[Batch]:
    """The rows of a shared step, not yet on the device.

    Args:
        max_tokens: of a row; a longer example is one by itself.
        nobody: owner of tokens that fill up a row.
        pad: id that fills up rows.
        longest: no example of any step has more tokens; None: rows are not filled up.
    """
    examples = [(share.place.start, share.nb_targets, example) for share in shares for example in share.examples]
    # What fills a row up is a token at least.
    most = max_tokens if longest is None else max_tokens - 1
    rows = pack([len(example.ids) for _, _, example in examples], [[]] * len(examples), most)
    batches = [_collated([examples[i] for i in row]) for row in rows]
    return batches if longest is None else [_filled_up(batch, max_tokens, nobody, pad, longest) for batch in batches]


def _collated(examples: Sequence[tuple[int, int, Encoded]]) -> Batch:
    """A row of examples: the owner of each, the target tokens of its step, and itself."""
    owners = chain.from_iterable([owner] * len(example.ids) for owner, _, example in examples)
    weights = chain.from_iterable([1 / of_step] * example.nb_targets for _, of_step, example in examples if example.nb_targets)
    batch = collate_packed([example for _, _, example in examples], share_beginning=False)
    return batch._replace(owners=torch.tensor([list(owners)]), weights=torch.tensor(list(weights), dtype=torch.float32))


def _filled_up(batch: Batch, max_tokens: int, nobody: int, pad: int, longest: int) -> Batch:
    assert batch.owners is not None
    assert batch.weights is not None
    filled = fill_up(batch, pad, longest, max(1, max_tokens // SHAPES_OF_ROWS))
    assert filled.bounds is not None
    more = -len(filled.bounds) % BOUNDS_GRAIN
    pad_right = torch.nn.functional.pad
    return filled._replace(
        bounds=torch.cat([filled.bounds, filled.bounds[-1:].expand(more)]),
        owners=pad_right(batch.owners, (0, filled.input_ids.shape[1] - batch.owners.shape[1]), value=nobody),
        weights=pad_right(batch.weights, (0, len(filled.targets) - len(batch.weights))),
    )


def add_gradients(loss: LossOfEach, batch: Batch) -> torch.Tensor:
    """Add the gradients of a row's weighted loss to those of the adapters.

    Returns:
        The weighted loss of each owner, by its number, on the device: shape (ranks + 1,).
    """
    assert batch.owners is not None
    losses = loss(batch) * batch.weights
    losses.sum().backward()
    owners = batch.owners.flatten().index_select(0, batch.predicting)
    numbers = torch.arange(loss.several.ranks + 1, device=owners.device)
    return torch.where(owners == numbers.unsqueeze(1), losses.detach(), 0.0).sum(1)


class Found(NamedTuple):
    """What a shared step has found about one run."""

    loss: float
    """The mean loss per target token."""
    norm: float
    """Of the run's gradient."""

    @property
    def is_finite(self) -> bool:
        return math.isfinite(self.loss) and math.isfinite(self.norm)


def compute(loss: LossOfEach, batches: Sequence[Batch], recorded: RecordedPasses | None) -> torch.Tensor:
    """Compute the gradients of a step, in the place of those before. The host does not wait for a GPU.

    Args:
        batches: of `lay_out_steps`.
        recorded: what replays passes, if anything does.

    Returns:
        On the device, shape (2, ranks): the loss of each owner, by its number; and the norm of each rank's gradient.
    """
    several = loss.several
    assert several.gradients is not None
    several.gradients.zero_()
    total = torch.zeros(several.ranks + 1, device=several.weights.device)
    for batch in batches:
        if recorded and recorded.takes(batch):
            total += recorded.run(batch, 1.0)
        else:
            total += add_gradients(loss, batch.to(total.device))
    return torch.stack([total[:-1], torch.linalg.vector_norm(several.gradients, dim=1)])


def read(computed: torch.Tensor, shares: Sequence[StepOfRun]) -> list[Found]:
    """What `compute` has found about each run. The host waits for it."""
    losses, norms = computed.tolist()
    return [
        Found(losses[share.place.start] if share.nb_targets else math.nan, math.hypot(*norms[share.place.rows]))
        for share in shares
    ]


class OptimizerOfRun:
    """AdamW for one run's rows among those of several, which are one tensor.

    To checkpoints it shows its state as the optimiser of a training alone does: for each trained weight.
    """

    def __init__(self, model: torch.nn.Module, config: Training):
        """An optimiser that has no rows yet.

        Args:
            model: the run's own, of peft.
        """
        self._model, self._config = model, config

    def take_rows(self, several: SeveralAdapters, place: Place) -> None:
        """Let the trained weights of the run's model be views of its rows, until `release`. The optimiser begins anew."""
        assert several.gradients is not None
        rows, config = several.weights[place.rows], self._config
        self._rows = torch.nn.Parameter(rows)
        self._rows.grad = several.gradients[place.rows]
        # The usual one waits for the GPU.
        self._adamw = torch.optim.AdamW([self._rows], weight_decay=config.weight_decay, fused=rows.is_cuda or None)
        self._step = torch.zeros((), device=rows.device)
        means = {"exp_avg": torch.zeros_like(rows), "exp_avg_sq": torch.zeros_like(rows)}
        self._adamw.state[self._rows] = {"step": self._step, **means}
        parts, views = parts_of(self._model), several.views(rows)
        for name, part in parts.items():
            part.a.data, part.b.data = views[name]
        of_weight = {id(weight): (name, i) for name, part in parts.items() for i, weight in enumerate((part.a, part.b))}
        wanted = [of_weight[id(weight)] for weight in trained_weights(self._model).values()]
        of_means = {key: several.views(mean) for key, mean in means.items()}
        self._views = [{key: of_mean[name][i] for key, of_mean in of_means.items()} for name, i in wanted]

    def step(self, learning_rate: float, norm: float) -> None:
        """Clip the gradient, and take a step.

        Args:
            norm: of the gradient.
        """
        if (limit := self._config.max_grad_norm) is not None and (factor := limit / (norm + 1e-6)) < 1:
            assert self._rows.grad is not None
            self._rows.grad.mul_(factor)
        self._adamw.param_groups[0]["lr"] = learning_rate
        self._adamw.step()

    def state_dict(self) -> dict[str, Any]:
        """The state by the number of each trained weight."""
        return {"state": {i: {"step": self._step.clone(), **views} for i, views in enumerate(self._views)}}

    def load_state_dict(self, told: dict[str, Any]) -> None:
        """Take up a state of `state_dict`, or of an optimiser that trained the run alone."""
        for i, state in told["state"].items():
            self._step.copy_(state["step"])
            for key, view in self._views[i].items():
                view.copy_(state[key])

    def release(self) -> None:
        """Give the run's model weights of its own, as they are now."""
        for weight in trained_weights(self._model).values():
            weight.data = weight.data.clone(memory_format=torch.contiguous_format)
