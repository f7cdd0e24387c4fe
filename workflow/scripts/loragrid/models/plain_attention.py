"""Whether a model mixes tokens by plain attention only. Then several sequences can stand in one row: attention keeps them apart.

The model itself shows it, whatever its type and its configuration. A short forward pass runs with an attention that mixes nothing
and notes what it is asked for. In this pass one token is not a number. If it spoils another token, the model mixes tokens also by
other means: by recurrence, by convolution, or by an attention that it keeps to itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import torch

from loragrid.patches.transformers_nemotron import hand_on_arguments

NOTED = "loragrid_noted"
"""Name of the attention that notes what it is asked for, as transformers calls it."""

HANDED_ON = "loragrid_sections"
"""A keyword argument of a forward pass that every attention has to get."""

HARMLESS = frozenset({
    "cache_position", "layer_idx", "logits_to_keep", "output_attentions", "output_hidden_states", "output_router_logits",
    "position_ids", "position_embeddings", "return_dict", "use_cache", HANDED_ON,
})  # fmt: skip
"""Arguments of attention that do not change what it computes."""

_TOKENS, _TAINTED = 5, 2
"""Tokens of each row of the pass, and the position of the token that is not a number."""


class _Mask(NamedTuple):
    """A mask as a model asks transformers for it."""

    visible: Callable[..., Any]
    """Whether a token (batch, head, query, key) is seen."""
    size: int | None
    """Its window or chunk, if it has one."""


class _Call(NamedTuple):
    """One call of attention."""

    layer: int | None
    states: tuple[torch.Tensor, ...]
    """Query and key."""
    head: tuple[int, int]
    """Numbers in a head of the query, and of the value."""
    mask: _Mask | str | None
    """None: no mask. A text: a mask that is not one of those asked for."""
    is_causal: bool
    window: int | None
    others: Mapping[str, Any]


class Attention(NamedTuple):
    """What a model shows of its attention."""

    obstacle: str
    """Why sequences cannot stand in one row, as part of a sentence; empty if they can."""
    heads: frozenset[tuple[int, int]] = frozenset()
    """Numbers in a head of query and value, in whichever layer."""


_found: WeakKeyDictionary[torch.nn.Module, Attention] = WeakKeyDictionary()


def attention_of(model: Any) -> Attention:
    """What a model shows of its attention. It is tried once for each loaded model.

    Sequences can stand in one row if attention is all that mixes tokens, and if it is plain: each token attends to all tokens
    before it, or to a window of them, with a softmax over scaled products.
    """
    if model not in _found:
        _found[model] = _try(model)
    return _found[model]


def _try(model: Any) -> Attention:
    if not getattr(model, "_supports_sdpa", False):
        return Attention("it has an attention of its own")
    try:
        if getattr(model.config.get_text_config(), "attn_logit_softcapping", None):
            return Attention("it caps the scores of its attention")
        logits, calls = _short_pass(model, with_positions=True)
        _, counting = _short_pass(model, with_positions=False)
    except Exception as error:
        # Whatever a model cannot do here, it can do in the usual way.
        return Attention(f"its attention cannot be exchanged ({type(error).__name__}: {error})")
    return Attention(_obstacle(logits, calls, counting), frozenset(call.head for call in calls))


def _obstacle(logits: torch.Tensor, calls: Sequence[_Call], counting: Sequence[_Call]) -> str:
    untainted = torch.ones(_TOKENS, dtype=torch.bool)
    untainted[_TAINTED] = False
    if logits[0, untainted].isnan().all(-1).any() or logits[1, untainted.roll(-1)].isnan().all(-1).any():
        return "its layers mix tokens also by other means than attention"
    layers = [call.layer for call in calls]
    if not calls or len(calls) != len(counting) or None in layers or len(set(layers)) < len(layers):
        return "not every call of attention belongs to a layer of its own"
    pairs = zip(calls, counting, strict=True)
    if not all(_follows_positions(call.states) and _counts_from_zero(call.states, other.states) for call, other in pairs):
        return "its encoding of positions does not follow the positions that it is given"
    return next(filter(None, map(_problem, calls)), "")


def _problem(call: _Call) -> str:
    if isinstance(call.mask, str):
        return call.mask
    if not call.is_causal:
        return "a token also sees those behind it"
    if unknown := sorted(name for name, value in call.others.items() if name not in HARMLESS and _says_something(value)):
        return f"its attention has more to it: {', '.join(unknown)}"
    if HANDED_ON not in call.others:
        return "its layers do not hand on what its attention has to know"
    window = _window(call.mask)
    if isinstance(window, str):
        return window
    if window != call.window:
        return f"a mask limits its attention to {window} tokens, and its attention itself to {call.window}"
    return ""


def _says_something(value: Any) -> bool:
    return value is not None and (isinstance(value, torch.Tensor) or bool(value))


def _follows_positions(states: Sequence[torch.Tensor]) -> bool:
    """Whether the same token at the same position has the same query and key, wherever it stands in its row."""
    return all(_alike(tensor[0, :, 1:], tensor[1, :, :-1]) for tensor in states)


def _counts_from_zero(told: Sequence[torch.Tensor], counting: Sequence[torch.Tensor]) -> bool:
    """Whether the positions from 0 on are those that the model counts by itself."""
    return all(_alike(one[0], other[0]) for one, other in zip(told, counting, strict=True))


def _alike(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Whether two tensors differ by rounding at most. The token that is not a number is left out."""
    known = ~(one.isnan() | other.isnan())
    difference, size = (one.float() - other.float())[known].abs(), one.float()[known].abs()
    return bool((difference.amax() <= 0.02 * size.amax()).item()) if len(size) else False


def _window(mask: _Mask | None) -> int | str | None:
    """How many tokens a mask lets a token see, from itself backwards; None: all. A text if the mask is of another kind."""
    if mask is None:
        return None
    query = 3 * (mask.size or 2**20) + 1
    oldest = 0 if mask.size is None else query - mask.size + 1
    seen, unseen = {oldest, (oldest + query) // 2, query}, {query + 1} | ({0, oldest - 1} if oldest else set())
    zero = torch.zeros((), dtype=torch.long)
    try:
        found = {key: bool(mask.visible(zero, zero, zero + query, zero + key)) for key in seen | unseen}
    except (IndexError, RuntimeError):
        return "it has a mask of its own kind"
    if {key for key, is_seen in found.items() if is_seen} != seen:
        return "its tokens see other tokens than a window of those before them"
    return mask.size


def _short_pass(model: Any, with_positions: bool) -> tuple[torch.Tensor, list[_Call]]:
    """The logits of two rows of the same tokens, and all calls of attention.

    Args:
        with_positions: whether the positions of the first row are told to start at 0, and those of the second at 1.
    """
    device = model.get_input_embeddings().weight.device
    positions = torch.arange(_TOKENS, device=device) + torch.tensor([[0], [1]], device=device)
    calls: list[_Call] = []

    def taint(module: torch.nn.Module, inputs: Any, output: torch.Tensor) -> torch.Tensor:
        return torch.where((positions == _TAINTED).unsqueeze(-1), torch.nan, output)

    hook = model.get_input_embeddings().register_forward_hook(taint)
    training = model.training
    model.eval()
    try:
        with torch.no_grad(), _noting(model, calls):
            inputs = {"input_ids": torch.ones_like(positions), HANDED_ON: True}
            inputs |= {"position_ids": positions} if with_positions else {}
            return model(**inputs, use_cache=False).logits, calls
    finally:
        hook.remove()
        model.train(training)


@contextmanager
def _noting(model: Any, calls: list[_Call]) -> Iterator[None]:
    """Let a model's attention mix nothing, and note each call."""
    from transformers import AttentionInterface, AttentionMaskInterface

    masks: list[tuple[torch.Tensor, _Mask]] = []

    def make_mask(
        batch_size: int, q_length: int, kv_length: int, *args: Any, mask_function: Any = None, **kwargs: Any
    ) -> torch.Tensor:
        masks.append(
            (
                torch.ones(batch_size, 1, q_length, kv_length, dtype=torch.bool, device=kwargs.get("device")),
                _Mask(mask_function, kwargs.get("local_size")),
            )
        )
        return masks[-1][0]

    def attend(
        module: Any,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        attention_mask: torch.Tensor | None,
        scaling: float | None = None,
        dropout: float = 0.0,
        sliding_window: int | None = None,
        is_causal: bool | None = None,
        **kwargs: Any,
    ) -> tuple[torch.Tensor, None]:
        mask = (
            None if attention_mask is None else next((m for given, m in masks if given is attention_mask), "it changes its masks")
        )
        causal = is_causal if is_causal is not None else getattr(module, "is_causal", True)
        head = (query.shape[-1], value.shape[-1])
        calls.append(_Call(getattr(module, "layer_idx", None), (query, key), head, mask, causal, sliding_window, kwargs))
        # Each token gets its own value.
        own = value.repeat_interleave(query.shape[1] // value.shape[1], dim=1)
        return own.transpose(1, 2).contiguous(), None

    AttentionInterface.register(NOTED, attend)
    AttentionMaskInterface.register(NOTED, make_mask)
    usual = model.config._attn_implementation
    hand_on_arguments(model)
    model.set_attn_implementation(NOTED)
    try:
        yield
    finally:
        model.set_attn_implementation(usual)


def sees_ahead(model: Any) -> bool:
    """Whether a token's logits depend on the tokens behind it. Such a model sees in training what it is to predict."""
    device = model.get_input_embeddings().weight.device
    rows = torch.tensor([[1, 2, 3, 4, 5], [1, 2, 3, 6, 7]], device=device)
    training = model.training
    model.eval()
    with torch.no_grad():
        one, other = model(input_ids=rows, use_cache=False).logits[:, :3].float()
    model.train(training)
    return bool((one - other).abs().max() > 0.02 * one.abs().max())
