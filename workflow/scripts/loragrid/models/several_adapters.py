"""Several LoRA adapters on one base model, each for its own tokens: two small matrix products a layer, however many they are.

The adapters of a layer are concatenated. A token is multiplied with all of them, and a mask of token × rank keeps the results of
its own adapter: `base(x) + ((x Aᵀ) · mask) Bᵀ`. The mask holds the adapters' scalings. A token of nobody has zeros in the mask,
and so the base model's result.

Each token gets what peft computes for it, bit by bit where matrix products do not depend on what else is multiplied. peft scales
behind B. To scale before it rounds the same only if the scaling is a power of 2, as `alpha / rank` mostly is. Others are scaled
behind B too: their rounding would change gradients in bfloat16 by more than a thousandth.

Sources: Ye et al. 2023 (mLoRA, arXiv:2312.02515) compute several adapters in one batch; Chen et
al. 2023 (Punica, arXiv:2310.18547) do so for prediction, by a kernel of their own.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch

ALIGNED = 16
"""Each layer's numbers start at a multiple of so many: matrix products are quick where rows begin at multiples of 64 bytes."""


class Part(NamedTuple):
    """What an adapter has for one linear layer. The layer's result grows by `scaling · (x Aᵀ) Bᵀ`."""

    a: torch.Tensor
    """Shape (rank, inputs)."""
    b: torch.Tensor
    """Shape (outputs, rank)."""
    scaling: float


Parts = Mapping[str, Part]
"""An adapter: its parts by the names of the base model's layers. A layer that it leaves alone is not among them."""


class Place(NamedTuple):
    """The rows of one adapter among those of all. The first is the number by which tokens name their owner."""

    start: int
    rank: int

    @property
    def rows(self) -> slice:
        return slice(self.start, self.start + self.rank)


def parts_of(model: Any, adapter: str = "default") -> dict[str, Part]:
    """The parts of an adapter that peft has put on a model: its own parameters, no copies.

    Args:
        model: of peft, with an adapter for which `why_not_several` gives no reason.
    """
    from peft.tuners.lora.layer import Linear

    return {
        name: Part(layer.lora_A[adapter].weight, layer.lora_B[adapter].weight, float(layer.scaling[adapter]))
        for name, layer in model.get_base_model().named_modules()
        if isinstance(layer, Linear)
    }


def why_not_several(model: Any, adapter: str = "default") -> str:
    """Why an adapter cannot share forward passes with others, as part of a sentence; empty if it can.

    Args:
        model: what peft has made of a base model.
    """
    from peft.tuners.lora.layer import Linear
    from peft.tuners.tuners_utils import BaseTunerLayer
    from peft.utils.other import AuxiliaryTrainingWrapper

    config = getattr(model, "peft_config", {}).get(adapter)
    if config is None or getattr(config.peft_type, "value", config.peft_type) != "LORA":
        return "only adapters of LoRA share forward passes"
    base = model.get_base_model()
    layers = {name: part for name, part in base.named_modules() if isinstance(part, BaseTunerLayer | AuxiliaryTrainingWrapper)}
    output = base.get_output_embeddings()
    for name, layer in layers.items():
        if type(layer) is not Linear or getattr(layer, "lora_variant", {}).get(adapter) or layer.lora_bias.get(adapter):
            return f"the adapter changes {name} in another way than plain LoRA"
        if layer is output or layer.base_layer is output:
            return f"the adapter changes the output layer ({name})"
        if "expert" in name or "moe" in name:
            return f"{name} computes only some of the tokens"
    return ""


class SeveralAdapters:
    """The adapters of several runs on one base model, whose layers are hooked until `remove`.

    All numbers stand in one float32 matrix, `weights`: a row for each rank, and columns for A and for B of each layer. So an
    adapter is a few whole rows, which for an optimiser are one tensor. Where an adapter leaves a layer alone, its numbers are 0,
    and so are their gradients.
    """

    def __init__(self, base: torch.nn.Module, adapters: Iterable[Parts], ranks: int | None = None, trained: bool = False):
        """Make places for adapters, which `put` fills.

        Args:
            base: the base model, without any adapter.
            adapters: those that will share it, or examples of them: they say which layers are hooked.
            ranks: of all adapters together; by default as many as those of `adapters` have.
            trained: whether gradients are added to `gradients`.
        """
        adapters = list(adapters)
        shapes = {name: (part.a.shape[1], part.b.shape[0]) for parts in adapters for name, part in parts.items()}
        modules = dict(base.named_modules())
        self._columns: dict[str, tuple[slice, slice]] = {}
        width = 0
        for name in sorted(shapes):
            ends = [width + shapes[name][0], _aligned(width + shapes[name][0]) + shapes[name][1]]
            self._columns[name] = slice(width, ends[0]), slice(_aligned(ends[0]), ends[1])
            width = _aligned(ends[1])
        device = next(base.parameters()).device
        self.ranks = sum(map(rank_of, adapters)) if ranks is None else ranks
        self.weights = torch.zeros(self.ranks, width, device=device)
        """Shape (ranks, numbers of a rank)."""
        self.gradients = torch.zeros_like(self.weights) if trained else None
        self.places: list[Place] = []
        self._scales_behind = any(not _is_power_of_2(scaling_of(parts)) for parts in adapters)
        self._scalings = torch.zeros(self.ranks + 1, self.ranks, device=device)
        self._scalings_behind = torch.ones(self.ranks + 1, 1, device=device)
        self._mask: torch.Tensor | None = None
        self._factors: torch.Tensor | None = None
        self._hooks = [modules[name].register_forward_hook(self._hook(*of)) for name, of in self._columns.items()]

    @property
    def nobody(self) -> int:
        """The owner of tokens that no adapter changes."""
        return self.ranks

    def room_for(self, parts: Parts) -> Place | None:
        """Where an adapter can be put; None if there is no room, or if it is of another kind than those known at first."""
        rank, start = rank_of(parts), 0
        is_of_kind = self._scales_behind or _is_power_of_2(scaling_of(parts))
        if not is_of_kind or not parts.keys() <= self._columns.keys():
            return None
        for taken in [*sorted(self.places), Place(self.ranks, 0)]:
            if taken.start - start >= rank:
                return Place(start, rank)
            start = taken.start + taken.rank
        return None

    def put(self, parts: Parts) -> Place:
        """Copy an adapter to a free place.

        Raises:
            ValueError: if there is no room.
        """
        if (place := self.room_for(parts)) is None:
            raise ValueError("no room for this adapter")
        scaling = scaling_of(parts)
        with torch.no_grad():
            self.weights[place.rows].zero_()
            for name, (a, b) in self.views(self.weights[place.rows]).items():
                if part := parts.get(name):
                    # Layers of one adapter may differ in rank and scaling. The mask has one scaling for all of them.
                    a[: len(part.a)].copy_(part.a)
                    b[:, : len(part.a)].copy_(part.b if part.scaling == scaling else part.b * (part.scaling / scaling))
        self._scalings[place.start].zero_()
        before = _is_power_of_2(scaling)
        self._scalings[place.start, place.rows] = scaling if before else 1.0
        self._scalings_behind[place.start] = 1.0 if before else scaling
        self.places.append(place)
        return place

    def take_away(self, place: Place) -> None:
        """Make a place free."""
        self.places.remove(place)
        self._scalings[place.start].zero_()
        self.weights[place.rows].zero_()

    def views(self, rows: torch.Tensor) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
        """What the rows of one adapter hold: A and B of each layer, as peft shapes them.

        They are views. Layers that the adapter leaves alone are among them.

        Args:
            rows: of `weights`, of `gradients`, or of another matrix with these columns.
        """
        return {name: (rows[:, of_a], rows[:, of_b].t()) for name, (of_a, of_b) in self._columns.items()}

    @contextmanager
    def owned(self, owners: torch.Tensor) -> Iterator[None]:
        """In the forward passes of the block, let each token go through its owner's adapter.

        Outside of such blocks the model is the base model.

        Args:
            owners: int64, of the shape of the token ids: `start` of a token's place, or `nobody`. A CUDA graph that records the
                block reads this tensor anew each time.
        """
        self._mask = torch.nn.functional.embedding(owners, self._scalings)
        if self._scales_behind:
            self._factors = torch.nn.functional.embedding(owners, self._scalings_behind)
        try:
            yield
        finally:
            self._mask = self._factors = None

    def remove(self) -> None:
        """Leave the base model as it was."""
        for hook in self._hooks:
            hook.remove()

    def _hook(self, of_a: slice, of_b: slice) -> Callable[..., torch.Tensor]:
        a, b = (torch.nn.Parameter(self.weights[:, of], requires_grad=self.gradients is not None) for of in (of_a, of_b))
        if self.gradients is not None:
            # Gradients are added in place, wherever they come from. Nothing sets these to None. Rows with gaps are meant.
            warnings.filterwarnings("ignore", message="grad and param do not obey the gradient layout contract")
            a.grad, b.grad = self.gradients[:, of_a], self.gradients[:, of_b]

        def add(layer: torch.nn.Module, inputs: tuple[torch.Tensor, ...], result: torch.Tensor) -> torch.Tensor:
            if self._mask is None:
                return result
            x = inputs[0]
            # As peft's layers do. Under autocast they are told to leave inputs as they are.
            if not torch.is_autocast_enabled(x.device.type):
                x = x.to(a.dtype)
            reduced = torch.nn.functional.linear(x, a)
            own = reduced * self._mask.view(reduced.shape)
            grown = torch.nn.functional.linear(own, b.t())
            if self._factors is not None:
                # The factors are float32: scalings such as 16 / √8 are no numbers of bfloat16.
                grown = (grown * self._factors.view(*grown.shape[:-1], 1)).to(grown.dtype)
            return (result + grown).to(result.dtype)

        return add


def rank_of(parts: Parts) -> int:
    """The rank of an adapter: the highest of its layers."""
    return max(len(part.a) for part in parts.values())


def scaling_of(parts: Parts) -> float:
    """The scaling of an adapter's first layer. Others may differ where an adapter was made elsewhere."""
    return next(iter(parts.values())).scaling


def _is_power_of_2(scaling: float) -> bool:
    return math.frexp(scaling)[0] == 0.5


def _aligned(number: int) -> int:
    return -(-number // ALIGNED) * ALIGNED
