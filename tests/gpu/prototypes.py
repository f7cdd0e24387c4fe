"""Faster ways to train on a GPU, outside of the library: what could be built into it, to be measured."""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch

from loragrid.training.batches import Encoded
from loragrid.training.losses import summed_cross_entropy

VARLEN = "prototype_varlen"
IGNORED = -100


class Row(NamedTuple):
    """Examples in one row. With padding to given numbers, all rows have the same shapes."""

    ids: torch.Tensor
    positions: torch.Tensor
    bounds: torch.Tensor
    """int32, shape (sequences + 1,): where each sequence starts, and where the last one ends."""
    predicting: torch.Tensor
    """Indices of the tokens before the targets."""
    targets: torch.Tensor
    weight: torch.Tensor
    """1 / number of targets."""

    def to(self, device: torch.device) -> "Row":
        if device.type == "cpu":
            return self
        return Row(*(part.pin_memory().to(device, non_blocking=True) for part in self))

    def copy_(self, other: "Row") -> None:
        for mine, its in zip(self, other, strict=True):
            mine.copy_(its.pin_memory() if mine.is_cuda else its, non_blocking=True)


def make_row(examples: Sequence[Encoded], grain: int = 0) -> Row:
    """Lay out one row on the CPU.

    Args:
        grain: numbers of tokens and of targets are filled up to multiples of it; 0: they are not.
    """
    ids = [token for e in examples for token in e.ids]
    positions = [i for e in examples for i in range(len(e.ids))]
    bounds, predicting = [0], []
    for e in examples:
        predicting += range(bounds[-1] + e.target_start - 1, bounds[-1] + len(e.ids) - 1)
        bounds.append(bounds[-1] + len(e.ids))
    targets = [token for e in examples for token in e.ids[e.target_start :]]
    weight = 1 / len(targets)
    if grain:
        fill = -len(ids) % grain
        ids += [0] * fill
        positions += range(fill)
        bounds.append(len(ids))
        fill = -len(targets) % grain
        predicting += [0] * fill
        targets += [IGNORED] * fill
    return Row(
        torch.tensor(ids),
        torch.tensor(positions),
        torch.tensor(bounds, dtype=torch.int32),
        torch.tensor(predicting),
        torch.tensor(targets),
        torch.tensor(weight),
    )


class _Rows:
    """What stands in the row of the next forward pass."""

    bounds: torch.Tensor
    longest = 1024
    """No example is longer. A constant: each other value would compile a model anew."""
    grouped = True
    """Whether the kernel takes fewer heads of keys and values than of queries."""


def _apart(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, bounds: torch.Tensor, scale: float) -> torch.Tensor:
    """Causal attention sequence by sequence."""
    parts = [
        torch.nn.functional.scaled_dot_product_attention(
            *(t[a:b].transpose(0, 1)[None] for t in (query, key, value)), is_causal=True, scale=scale, enable_gqa=True
        )[0].transpose(0, 1)
        for a, b in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True)
        if a < b
    ]
    return torch.cat(parts).contiguous()


@torch.library.custom_op("prototype::by_example", mutates_args=())
def _by_example(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, bounds: torch.Tensor, scale: float) -> torch.Tensor:
    """The stand-in for the kernel where there is no CUDA."""
    return _apart(query, key, value, bounds, scale)


@_by_example.register_fake
def _(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, bounds: torch.Tensor, scale: float) -> torch.Tensor:
    return torch.empty_like(query, memory_format=torch.contiguous_format)


@torch.library.custom_op("prototype::by_example_backward", mutates_args=())
def _by_example_backward(
    gradient: torch.Tensor, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, bounds: torch.Tensor, scale: float
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    of_query, of_key, of_value = (torch.zeros_like(t, memory_format=torch.contiguous_format) for t in (query, key, value))
    groups, heads = key.shape[1], query.shape[1]
    for a, b in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
        q, of_out = (t[a:b].float().transpose(0, 1).unflatten(0, (groups, heads // groups)) for t in (query, gradient))
        k, v = (t[a:b].float().transpose(0, 1)[:, None] for t in (key, value))
        future = torch.full((b - a, b - a), -torch.inf).triu(1)
        weights = torch.softmax(scale * q @ k.transpose(-1, -2) + future, -1)
        of_weights = of_out @ v.transpose(-1, -2)
        of_scores = scale * weights * (of_weights - (of_weights * weights).sum(-1, keepdim=True))
        of_query[a:b] = (of_scores @ k).flatten(0, 1).transpose(0, 1).to(query.dtype)
        of_key[a:b] = (of_scores.transpose(-1, -2) @ q).sum(1).transpose(0, 1).to(key.dtype)
        of_value[a:b] = (weights.transpose(-1, -2) @ of_out).sum(1).transpose(0, 1).to(value.dtype)
    return of_query, of_key, of_value


@_by_example_backward.register_fake
def _(gradient: Any, query: Any, key: Any, value: Any, bounds: Any, scale: float) -> Any:
    return tuple(torch.empty_like(t, memory_format=torch.contiguous_format) for t in (query, key, value))


def _backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
    return (*torch.ops.prototype.by_example_backward(gradient, *ctx.saved_tensors, ctx.scale), None, None)


def _setup(ctx: Any, inputs: Any, output: Any) -> None:
    ctx.save_for_backward(*inputs[:4])
    ctx.scale = inputs[4]


_by_example.register_autograd(_backward, setup_context=_setup)


def varlen(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scale: float) -> torch.Tensor:
    """Causal attention within each sequence of the row; shapes (tokens, heads, size)."""
    if not query.is_cuda:
        return torch.ops.prototype.by_example(query, key, value, _Rows.bounds, scale)
    if not _Rows.grouped:
        key, value = (t.repeat_interleave(query.shape[1] // key.shape[1], 1) for t in (key, value))
    # The operator under torch.nn.attention.varlen.varlen_attn: that function of torch 2.13 wants to be told of grouped heads.
    bounds, longest = _Rows.bounds, _Rows.longest
    out, _, _ = torch.ops.torch_attn._varlen_attn(query, key, value, bounds, bounds, longest, longest, True, scale, [-1, 0])
    return out


def attend_varlen(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """As transformers calls it."""
    q, k, v = (t[0].transpose(0, 1) for t in (query, key, value))
    return varlen(q, k, v, scaling or q.shape[-1] ** -0.5)[None], None


def use_varlen(model: Any) -> None:
    """Without a function for its mask, transformers makes none, and does not look on the host whether there are several sequences."""
    from torch.nn.attention import varlen as _registered  # noqa: F401
    from transformers import AttentionInterface

    AttentionInterface.register(VARLEN, attend_varlen)
    getattr(model, "get_base_model", lambda: model)().set_attn_implementation(VARLEN)


@contextlib.contextmanager
def elementwise_kernels(model: Any, wanted: bool) -> Iterator[None]:
    """Liger's RMSNorm, RoPE and SwiGLU in a Llama; RoPE is put back afterwards, since it is changed for all models."""
    from transformers.models.llama import modeling_llama

    usual = dict(vars(modeling_llama))
    try:
        if wanted and torch.cuda.is_available():
            from liger_kernel.transformers import apply_liger_kernel_to_llama

            apply_liger_kernel_to_llama(
                rope=True, swiglu=True, rms_norm=True, cross_entropy=False, fused_linear_cross_entropy=False, model=model
            )
        yield
    finally:
        vars(modeling_llama).update(usual)


def gradient_in_place(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Summed cross-entropy; the logits become their gradient. Targets may be ignored."""
    kept = targets != IGNORED
    index = targets.clamp(min=0)[:, None]
    log_probabilities = torch.log_softmax(logits, -1, dtype=torch.float32)
    total = -(log_probabilities.gather(-1, index)[:, 0] * kept).sum()
    gradient = log_probabilities.exp_().scatter_add_(-1, index, torch.full_like(index, -1, dtype=torch.float32))
    logits.copy_(gradient.mul_(kept[:, None]))
    return total


def gradient_by_triton(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """The same by the kernel of liger-kernel."""
    from liger_kernel.ops.cross_entropy import liger_cross_entropy_kernel

    losses = torch.zeros(len(logits), device=logits.device)
    width = logits.shape[1]
    liger_cross_entropy_kernel[(len(logits),)](
        X_ptr=logits, X_stride=logits.stride(0), Y_ptr=targets, Y_stride=1, weight_ptr=None, loss_ptr=losses, z_loss_ptr=None,
        loss_stride=1, token_accuracy_ptr=None, token_accuracy_stride=0, predicted_tokens_ptr=None, predicted_tokens_stride=0,
        n_cols=width, n_non_ignore=1, sum_non_ignore_weight=1, weight_sum=0.0, ignore_index=IGNORED, lse_square_scale=0.0,
        label_smoothing=0.0, reduction="sum", softcap=None, RETURN_Z_LOSS=False, RETURN_TOKEN_ACCURACY=False,
        RETURN_PREDICTED_TOKENS=False, HAS_WEIGHT=False, HAS_SOFTCAPPING=False, HAS_GRADIENTS=True,
        BLOCK_SIZE=min(32768, 1 << (width - 1).bit_length()), num_warps=32,
    )  # fmt: skip
    return losses.sum()


class LinearCrossEntropy(torch.autograd.Function):
    """Output layer and loss together, in chunks: no more logits at a time than `most`, and none are kept."""

    kernel = staticmethod(gradient_in_place)

    @staticmethod
    def forward(ctx: Any, hidden: torch.Tensor, weight: torch.Tensor, targets: torch.Tensor, most: int) -> torch.Tensor:
        gradient = torch.empty_like(hidden)
        total = torch.zeros((), device=hidden.device)
        # Chunks of equal size, so that none is small.
        number = -(-len(hidden) * len(weight) // most)
        rows = -(-len(hidden) // number)
        for start in range(0, len(hidden), rows):
            part = slice(start, start + rows)
            logits = hidden[part] @ weight.t()
            total += LinearCrossEntropy.kernel(logits, targets[part])
            torch.mm(logits, weight, out=gradient[part])
        ctx.save_for_backward(gradient)
        return total

    @staticmethod
    def backward(ctx: Any, of_total: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        return ctx.saved_tensors[0] * of_total.to(ctx.saved_tensors[0].dtype), None, None, None


def head_loss(kind: str, hidden: torch.Tensor, weight: torch.Tensor, targets: torch.Tensor, most: int = 2**28) -> torch.Tensor:
    """Summed cross-entropy from the states before the output layer: `library`, `liger`, `linear` or `linear triton`."""
    if kind == "library":
        return summed_cross_entropy(hidden @ weight.t(), targets)
    if kind.startswith("liger"):
        from liger_kernel.ops.fused_linear_cross_entropy import LigerFusedLinearCrossEntropyFunction

        chunks = int(kind.partition(" ")[2] or 1)
        more = (None, None, IGNORED, 0.0, 0.0, "sum", None, False, None, False, False, False, None, None, chunks)
        return LigerFusedLinearCrossEntropyFunction.apply(hidden, weight, targets, *more)[0]
    by_triton = kind.endswith("triton") and hidden.is_cuda
    LinearCrossEntropy.kernel = staticmethod(gradient_by_triton if by_triton else gradient_in_place)
    return LinearCrossEntropy.apply(hidden, weight, targets, most)


def row_loss(model: Any, row: Row, kind: str) -> torch.Tensor:
    """Summed cross-entropy of a row."""
    base = getattr(model, "get_base_model", lambda: model)()
    _Rows.bounds = row.bounds
    hidden = base.model(input_ids=row.ids[None], position_ids=row.positions[None], use_cache=False).last_hidden_state[0]
    return head_loss(kind, hidden.index_select(0, row.predicting), base.lm_head.weight, row.targets)


class FlatAdapter:
    """The trained weights as one float32 tensor with its optimiser, and a bfloat16 copy that the model computes with.

    Without it, every weight is converted in every pass, and clipping and optimiser go through hundreds of small tensors.
    """

    def __init__(self, model: Any, learning_rate: float, in_graphs: bool) -> None:
        parameters = [p for p in model.parameters() if p.requires_grad]
        self.master = torch.nn.Parameter(torch.cat([p.detach().float().flatten() for p in parameters]))
        self.master.grad = torch.zeros_like(self.master)
        self.working = self.master.detach().bfloat16()
        self.gradient = torch.zeros_like(self.working)
        start = 0
        for p in parameters:
            part, shape = slice(start, start + p.numel()), p.shape
            p.data, p.grad = self.working[part].view(shape), None
            p.grad = self.gradient[part].view(shape)
            start += p.numel()
        lr = torch.tensor(learning_rate, device=self.master.device) if in_graphs else learning_rate
        self.optimizer = torch.optim.AdamW([self.master], lr=lr, weight_decay=0.0, fused=True, capturable=in_graphs)

    def step(self, max_norm: float) -> None:
        self.master.grad.copy_(self.gradient)
        self.master.grad.mul_((max_norm / (self.master.grad.norm() + 1e-6)).clamp(max=1.0))
        self.optimizer.step()
        self.working.copy_(self.master.detach())
        self.gradient.zero_()


class GraphedSteps:
    """Whole optimiser steps as CUDA graphs, one for each shape of a row: a step is then one launch."""

    def __init__(self, model: Any, flat: FlatAdapter, kind: str, max_norm: float) -> None:
        self.model, self.flat, self.kind, self.max_norm = model, flat, kind, max_norm
        self.graphs: dict[tuple[int, int, int], tuple[Any, Row, torch.Tensor]] = {}
        self.pool: Any = None

    def _step(self, row: Row) -> torch.Tensor:
        loss = row_loss(self.model, row, self.kind) * row.weight
        loss.backward()
        self.flat.step(self.max_norm)
        return loss.detach()

    def __call__(self, row: Row) -> torch.Tensor:
        shape = (len(row.ids), len(row.targets), len(row.bounds))
        if shape not in self.graphs:
            mine = row.to(self.flat.master.device)
            loss = self._step(mine)
            if self.flat.master.is_cuda:
                graph = torch.cuda.CUDAGraph()
                torch.cuda.synchronize()
                with torch.cuda.graph(graph, pool=self.pool, stream=torch.cuda.current_stream()):
                    static = self._step(mine)
                self.pool = graph.pool()
                self.graphs[shape] = graph, mine, static
            return loss
        graph, mine, static = self.graphs[shape]
        mine.copy_(row)
        graph.replay()
        return static.clone()
