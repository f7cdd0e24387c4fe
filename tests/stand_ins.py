"""What stands in for a GPU's kernels on a CPU."""

import contextlib
from unittest import mock

import torch


def varlen_attn(
    query,
    key,
    value,
    cu_seq_q,
    cu_seq_k,
    max_q,
    max_k,
    *,
    return_aux=None,
    scale=None,
    window_size=(-1, -1),
    enable_gqa=False,
    seqused_k=None,
    block_table=None,
    num_splits=None,
):
    """`torch.nn.attention.varlen.varlen_attn` of torch 2.13, sequence by sequence. It refuses what the kernel refuses.

    Number types are free. With `seqused_k`, a sequence has only so many of its keys; queries are its last tokens, as in the kernel.
    Paged keys (`block_table`) are not known.
    """
    assert return_aux is None
    assert block_table is None
    for states in (query, key, value):
        assert states.dim() == 3
        assert states.dtype == query.dtype, "query, key and value must have the same dtype"
        assert states.stride(-1) == 1, "Input tensor must have contiguous last dimension"
        assert states.shape[2] == query.shape[2] <= 256
        assert query.shape[2] % 8 == 0, "head_size must be a multiple of 8"
    for bounds, states, longest in ((cu_seq_q, query, max_q), (cu_seq_k, key, max_k)):
        assert bounds.dtype == torch.int32
        assert bounds.is_contiguous()
        assert bounds.device == query.device
        assert bounds[0] == 0
        assert bounds[-1] == len(states) or seqused_k is not None
        assert bounds.diff().min() >= 0
        assert isinstance(longest, int)
        assert bounds.diff().max() <= longest
    assert enable_gqa or query.shape[1] == key.shape[1], "Try setting enable_gqa=True for GQA."
    attended = [query[:0]]
    for i, (a, b) in enumerate(zip(cu_seq_q[:-1].tolist(), cu_seq_q[1:].tolist(), strict=True)):
        start, end = cu_seq_k[i].item(), cu_seq_k[i + 1].item()
        if seqused_k is not None:
            end = start + seqused_k[i].item()
        behind = torch.arange(end - start) - (torch.arange(b - a)[:, None] + (end - start) - (b - a))
        seen = torch.ones(b - a, end - start, dtype=torch.bool)
        if window_size[0] >= 0:
            seen &= behind >= -window_size[0]
        if window_size[1] >= 0:
            seen &= behind <= window_size[1]
        q, k, v = (t.transpose(0, 1)[None] for t in (query[a:b], key[start:end], value[start:end]))
        attend = torch.nn.functional.scaled_dot_product_attention
        attended.append(attend(q, k, v, seen.to(query.device), scale=scale, enable_gqa=True)[0].transpose(0, 1))
    return torch.cat(attended)


@contextlib.contextmanager
def varlen_on_cpu(function=varlen_attn):
    """The library believes that the kernel computes here, in any number type, and calls the stand-in."""
    with (
        mock.patch("torch.nn.attention.varlen.varlen_attn", function),
        mock.patch("loragrid.models.varlen.why_no_varlen", return_value=""),
    ):
        yield
