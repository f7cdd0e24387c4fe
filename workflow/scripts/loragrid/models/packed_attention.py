"""Attention within each of several examples in one row: no padding, no mask, nothing computed between examples."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from itertools import repeat
from typing import Any

import torch

from loragrid.models.plain_attention import attention_of
from loragrid.models.rope import stretches_of
from loragrid.models.varlen import can_varlen, fits_kernel, varlen, why_no_varlen
from loragrid.patches.transformers_nemotron import hand_on_arguments
from loragrid.runtime.job import log

BY_EXAMPLE = "loragrid_by_example"
"""Name of attention that is computed one example after the other, as transformers calls it."""

VARLEN = "loragrid_varlen"
"""Name of attention that a GPU's kernel computes for all examples at once, as transformers calls it."""


COMPARED = frozenset({
    "apertus", "arcee", "cohere", "cohere2", "ernie4_5", "exaone4", "gemma", "gemma3_text", "glm", "glm4", "gpt2", "gpt_bigcode",
    "gpt_neox", "granite", "granitemoe", "helium", "llama", "ministral", "ministral3", "mistral", "mixtral", "nemotron", "olmo",
    "olmo2", "olmo3", "opt", "persimmon", "phi", "phi3", "qwen2", "qwen2_moe", "qwen3", "qwen3_moe", "seed_oss", "smollm3",
    "starcoder2",
})  # fmt: skip
"""Model types whose attention our own implementations were compared with, token by token, and found to be the same."""


_QUERIES = 128
"""Queries in a block of the backward pass."""


def of_row(model: Any, sections: Sequence[int], bounds: torch.Tensor | None = None, longest: int | None = None) -> dict[str, Any]:
    """Arguments of a model's forward pass that describe its row.

    Args:
        sections: tokens of the beginning that all examples share (it may be empty), then of what follows in each.
        bounds: int32, on the model's device, shape (sequences + 1,): where each sequence starts, and where the last one ends.
            Only the kernel needs it. Sequences that only fill up the row may follow those of `sections`.
        longest: no sequence has more tokens. By default it is the longest of `sections`.
    """
    if attends_by_example(model):
        return {"row_sections": list(sections)}
    if attends_by_varlen(model):
        return {"row_bounds": bounds, "row_longest": longest or max(sections)}
    return {}


def attends_by_example(model: Any) -> bool:
    """Whether a model's attention is computed one example after the other."""
    return bool(model.config._attn_implementation == BY_EXAMPLE)


def attends_by_varlen(model: Any) -> bool:
    """Whether a GPU's kernel computes a model's attention. A row then has no common beginning."""
    return bool(model.config._attn_implementation == VARLEN)


def keep_examples_apart(model: Any, packing: str, device: torch.device, dtype: torch.dtype) -> bool:
    """Give a model an implementation of attention with which training examples can stand in one row, each for itself.

    On a GPU, PyTorch's kernel computes the attention of all examples at once. Where the kernel does not, examples are padded:
    attention one example after the other is fastest on a CPU, but keeps a GPU waiting.

    Args:
        packing: `on`, `off`, or `auto`: on where it is fastest.
        dtype: number type of the matrix products.

    Returns:
        Whether examples can stand in one row now. They cannot if the model mixes tokens in a way of its own; the log tells it.
    """
    by_kernel = can_varlen(device, dtype)
    if packing == "off" or (packing == "auto" and device.type not in ("cpu", "cuda") and not by_kernel):
        return False
    why = why_not_plain(model)
    if by_kernel:
        why = why or _why_not_by_kernel(model)
    elif device.type == "cuda":
        why = why or why_no_varlen(device, dtype)
    if why:
        log.info("examples are padded, not packed: %s", why)
        return False
    use_attention(model, *((VARLEN, attend_by_varlen) if by_kernel else (BY_EXAMPLE, attend_by_example)))
    return True


def _why_not_by_kernel(model: Any) -> str:
    """Why the kernel cannot compute a model's attention, although it is plain, as part of a sentence; empty if it can."""
    config = model.config.get_text_config().to_dict()
    drops = (value for key, value in config.items() if "att" in key and "drop" in key)
    if any(isinstance(value, int | float) and value > 0 for value in drops):
        return "the kernel for packed rows has no dropout"
    for query, value in sorted(attention_of(model).heads):
        if not fits_kernel(query, value):
            return f"the kernel for packed rows computes no heads of {query} and {value} numbers"
    return ""


def use_attention(model: Any, name: str, attend: Callable[..., tuple[torch.Tensor, None]]) -> None:
    """Make a model compute its attention by a function, without masks.

    The function gets the keyword arguments of the model's forward pass that the model does not know itself. It gets them too when
    a layer is computed again for the backward pass.

    Args:
        name: the name by which transformers knows the function.
    """
    from transformers import AttentionInterface

    # transformers makes no mask where it has no function for it. It then does not look for several sequences in a row either,
    # which would have the host wait for a GPU.
    AttentionInterface.register(name, attend)
    hand_on_arguments(model)
    model.set_attn_implementation(name)


@contextmanager
def usual_attention(model: Any) -> Iterator[None]:
    """Let a model compute a text that no arguments describe, by the attention of transformers."""
    if not (attends_by_example(model) or attends_by_varlen(model)):
        yield
        return
    chosen = model.config._attn_implementation
    model.set_attn_implementation("sdpa")
    try:
        yield
    finally:
        model.set_attn_implementation(chosen)


def why_not_plain(model: Any) -> str:
    """Why a model's attention is not computed by an implementation of our own, as part of a sentence; empty if it can be.

    This is the one rule for training and for prediction. The model's type is one that was compared token by token, and the model
    itself, as it is configured, shows nothing that our own implementations lack.
    """
    if (kind := model.config.model_type) not in COMPARED:
        return f"models of the type {kind} were not compared"
    if stretches_of(model):
        return "its encoding of positions changes with the length of a sequence"
    return attention_of(model).obstacle


def attends_plainly(model: Any) -> bool:
    """Whether a model's attention is exactly the attention that our own implementations compute in its place."""
    return not why_not_plain(model)


def can_share_beginnings(model: Any) -> bool:
    """Whether examples in a row may share the computation of their common beginning.

    They may if attention is computed example by example, and if a token's computation is the same in all examples: no dropout.
    """
    return attends_by_example(model) and not draws_at_random(model)


def draws_at_random(model: Any) -> bool:
    """Whether a forward pass in training depends on random numbers: whether there is dropout anywhere."""
    config = model.config.get_text_config().to_dict()
    drops = any("drop" in key and isinstance(value, int | float) and value > 0 for key, value in config.items())
    return drops or any(isinstance(module, torch.nn.Dropout) and module.p > 0 for module in model.modules())


def attend_by_example(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    sliding_window: int | None = None,
    *,
    row_sections: list[int],
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """Causal attention within each example of a row. The first section of the row is a part of every example.

    Args:
        query: shape (1, heads, tokens, size). Key and value may have fewer heads, each for a group of the query's heads.
        sliding_window: how many tokens a token sees, from itself backwards.
        row_sections: tokens of each section of the row, as `of_row` says.

    Returns:
        Shape (1, tokens, heads, size).
    """
    attended: list[torch.Tensor] = []
    shared, *followings = zip(*(torch.split(tensor, row_sections, dim=2) for tensor in (query, key, value)), strict=True)
    for following in followings:
        q, k, v = map(torch.cat, zip(shared, following, strict=True), repeat(2)) if row_sections[0] else following
        result = _attend(q, k, v, scaling, dropout, sliding_window)
        attended.append(result[:, :, row_sections[0] :] if attended else result)
    return torch.cat(attended, dim=2).transpose(1, 2).contiguous(), None


def attend_by_varlen(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    sliding_window: int | None = None,
    *,
    row_bounds: torch.Tensor,
    row_longest: int,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """Causal attention within each example of a row, by a GPU's kernel.

    Args:
        query: shape (1, heads, tokens, size). Key and value may have fewer heads, each for a group of the query's heads.
        dropout: 0; the kernel has none.
        sliding_window: how many tokens a token sees, from itself backwards.
        row_bounds: where each example starts, as `of_row` says.
        row_longest: no example has more tokens.

    Returns:
        Shape (1, tokens, heads, size).
    """
    if dropout:
        raise ValueError("the kernel for packed rows has no dropout")
    # Under autocast, query, key and value come in several types: encodings of positions give float32.
    device = query.device.type
    dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else value.dtype
    q, k, v = (tensor[0].transpose(0, 1).to(dtype) for tensor in (query, key, value))
    return varlen(q, k, v, row_bounds, row_longest, scaling, sliding_window)[None], None


def _attend(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scaling: float | None, dropout: float, window: int | None
) -> torch.Tensor:
    """Causal attention of one example."""
    length, allowed = query.shape[2], None
    if window is not None and length > window:
        allowed = torch.ones(length, length, dtype=torch.bool, device=query.device).tril().triu(1 - window)
    elif query.device.type == "cpu" and value.dtype == torch.bfloat16 and not dropout:
        result: torch.Tensor = _CausalAttention.apply(query, key, value, scaling)  # type: ignore[no-untyped-call]
        return result
    attend = torch.nn.functional.scaled_dot_product_attention
    return attend(query, key, value, allowed, dropout, is_causal=allowed is None, scale=scaling, enable_gqa=True)


class _CausalAttention(torch.autograd.Function):
    """Attention of one example. Its gradients are products of matrices, a block of queries at a time.

    In bfloat16 on a CPU this takes 20 to 60 % less time than PyTorch's own backward pass. Source of the gradients and of the
    blocks: Dao et al. (2022, arXiv:2205.14135).
    """

    @staticmethod
    def forward(ctx: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scaling: float | None) -> torch.Tensor:
        attend = torch.nn.functional.scaled_dot_product_attention
        attended = attend(query, key, value, is_causal=True, scale=scaling, enable_gqa=True)
        # Under autocast, query, key and value come in several types.
        ctx.save_for_backward(*(tensor.to(attended.dtype) for tensor in (query, key, value)), attended)
        ctx.scaling = scaling if scaling is not None else query.shape[-1] ** -0.5
        return attended

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        query, key, value, attended, of_attended = (tensor[0] for tensor in (*ctx.saved_tensors, *gradients))
        (heads, length, size), groups = query.shape, len(key)
        in_group = heads // groups
        # The heads of a group are consecutive rows: row t * in_group + i is head i of token t.
        query, of_attended, attended = (
            rows.reshape(groups, in_group, length, size).transpose(1, 2).reshape(groups, length * in_group, size)
            for rows in (query * ctx.scaling, of_attended, attended)
        )
        common = (of_attended * attended).sum(-1, keepdim=True)
        of_query, of_key, of_value = torch.empty_like(query), key.new_zeros(key.shape), value.new_zeros(value.shape)
        for start in range(0, length, _QUERIES):
            end = min(start + _QUERIES, length)
            rows = slice(start * in_group, end * in_group)
            scores = torch.bmm(query[:, rows], key[:, :end].transpose(1, 2))
            scores[:, :, start:] += _future(end - start, in_group, scores.dtype, scores.device)
            probabilities = torch.softmax(scores, dim=-1)
            of_scores = torch.bmm(of_attended[:, rows], value[:, :end].transpose(1, 2)).sub_(common[:, rows]).mul_(probabilities)
            for i in range(groups):
                of_value[i, :end].addmm_(probabilities[i].t(), of_attended[i, rows])
                of_key[i, :end].addmm_(of_scores[i].t(), query[i, rows])
                torch.mm(of_scores[i], key[i, :end], out=of_query[i, rows])
        of_query = of_query.mul_(ctx.scaling).view(groups, length, in_group, size).transpose(1, 2).reshape(1, heads, length, size)
        return of_query, of_key.unsqueeze(0), of_value.unsqueeze(0), None


@cache
def _future(length: int, repeats: int, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    """The mask that hides from each query, repeated `repeats` times, the keys behind it."""
    return torch.full((length, length), -torch.inf, dtype=dtype, device=device).triu(1).repeat_interleave(repeats, 0)
