"""Rows whose attention a GPU's kernel computes: exact, with a stand-in for the kernel; and who gets them."""

import pytest
import torch
from transformers import CONFIG_MAPPING

from architectures import make_model
from loragrid.models.packed_attention import (
    COMPARED,
    VARLEN,
    attend_by_varlen,
    attends_by_example,
    attends_by_varlen,
    can_share_beginnings,
    keep_examples_apart,
    of_row,
)
from loragrid.models.varlen import can_varlen, varlen, why_no_varlen
from stand_ins import varlen_attn, varlen_on_cpu

CPU, CUDA, MPS = torch.device("cpu"), torch.device("cuda"), torch.device("mps")
EXAMPLES = [[7, 8, 9, 11, 12, 13, 14, 20], [30], [40, 41, 42, 43, 44, 45, 46, 47, 48], [50, 51, 52]]
NO_DROPOUT = {"attn_pdrop": 0.0, "embd_pdrop": 0.0, "resid_pdrop": 0.0, "attention_dropout": 0.0, "dropout": 0.0}


def no_dropout(kind):
    usual = CONFIG_MAPPING[kind]()
    return {name: value for name, value in NO_DROPOUT.items() if hasattr(usual, name)}


def loss_and_gradients(model, logits):
    return [logits, *torch.autograd.grad(logits.square().sum(), list(model.parameters()), allow_unused=True)]


def packed(model, filled=0):
    """The logits of the examples in one row, with other tokens behind them."""
    lengths = [len(ids) for ids in EXAMPLES]
    row = torch.tensor([[token for ids in EXAMPLES for token in ids] + [0] * filled])
    positions = torch.tensor([[i for length in (*lengths, filled) for i in range(length)]])
    bounds = torch.tensor([0, *lengths] + ([filled, 0] if filled else [])).cumsum(0, dtype=torch.int32)
    told = of_row(model, [0, *lengths], bounds, longest=64 if filled else None)
    logits = model(input_ids=row, position_ids=positions, use_cache=False, **told).logits[0, : sum(lengths)]
    # What is told for the next row does not reach the backward pass of this one.
    other = of_row(model, [0, 3], torch.tensor([0, 3], dtype=torch.int32))
    model(input_ids=row[:, :3], position_ids=positions[:, :3], use_cache=False, **other)
    return logits


def check_as_alone(model, filled=0):
    alone = torch.cat([model(input_ids=torch.tensor([ids])).logits[0] for ids in EXAMPLES])
    expected = loss_and_gradients(model, alone)
    with varlen_on_cpu():
        assert keep_examples_apart(model, "auto", CPU, torch.float32)
        assert attends_by_varlen(model)
        found = loss_and_gradients(model, packed(model, filled))
    for one, other in zip(found, expected, strict=True):
        assert (one is None) is (other is None)
        assert one is None or (one - other).norm() <= 1e-3 * other.norm() + 1e-4


@pytest.mark.parametrize("kind", sorted(COMPARED))
def test_examples_in_a_row_get_the_logits_and_gradients_that_each_gets_alone(kind):
    check_as_alone(make_model(kind, **no_dropout(kind)))


@pytest.mark.parametrize(
    ("kind", "more"),
    [
        ("llama", {"num_key_value_heads": 1}),
        ("llama", {"num_key_value_heads": 4}),
        ("qwen2", {"use_sliding_window": True, "max_window_layers": 1}),
        ("mistral", {"sliding_window": 3}),
        ("mistral", {"sliding_window": None}),
        ("gemma3_text", {"layer_types": ["sliding_attention", "full_attention"], "query_pre_attn_scalar": 5}),
        ("granite", {"attention_multiplier": 0.7}),
    ],
)
def test_grouped_heads_windows_and_scales_are_those_of_the_model(kind, more):
    check_as_alone(make_model(kind, **more))


@pytest.mark.parametrize("kind", ["llama", "nemotron", "mistral", "gpt2"])
def test_layers_that_are_computed_again_know_their_row(kind):
    model = make_model(kind, **no_dropout(kind)).train()
    model.gradient_checkpointing_enable({"use_reentrant": False})
    check_as_alone(model)


def test_a_row_tells_the_kernel_its_bounds_and_its_longest_sequence():
    model, bounds = make_model("llama"), torch.tensor([0, 3, 5], dtype=torch.int32)
    with varlen_on_cpu():
        keep_examples_apart(model, "auto", CPU, torch.float32)
    assert of_row(model, [0, 3, 2], bounds) == {"row_bounds": bounds, "row_longest": 3}
    assert of_row(model, [0, 3, 2], bounds, longest=64) == {"row_bounds": bounds, "row_longest": 64}


def test_rows_may_be_filled_up_by_other_sequences_and_empty_ones():
    check_as_alone(make_model("llama"), filled=6)


@pytest.mark.parametrize("kind", ["llama", "gemma3_text"])
def test_nothing_looks_for_sequences_in_a_row(kind, monkeypatch):
    """transformers would have the host wait for a GPU."""

    def look(positions):
        raise AssertionError("positions are looked at")

    model = make_model(kind)
    with varlen_on_cpu():
        assert keep_examples_apart(model, "auto", CPU, torch.float32)
        monkeypatch.setattr("transformers.masking_utils.find_packed_sequence_indices", look)
        packed(model)


def test_query_key_and_value_get_the_number_type_of_autocast():
    query, key, value = torch.randn(1, 4, 6, 8), torch.randn(1, 2, 6, 8), torch.randn(1, 2, 6, 8).bfloat16()
    bounds = torch.tensor([0, 2, 6], dtype=torch.int32)
    with varlen_on_cpu(), torch.autocast("cpu", torch.bfloat16):
        attended, _ = attend_by_varlen(None, query, key, value, None, row_bounds=bounds, row_longest=4)
        full, _ = attend_by_varlen(None, query, key, value.float(), None, row_bounds=bounds, row_longest=4)
    assert attended.dtype == full.dtype == torch.bfloat16
    assert attended.shape == (1, 6, 4, 8)


def test_grouped_heads_are_not_told_where_the_function_knows_no_word_for_them():
    """So it is in torch 2.11."""

    def older(query, key, value, cu_seq_q, cu_seq_k, max_q, max_k, *, scale=None, window_size=(-1, -1)):
        told = {"scale": scale, "window_size": window_size, "enable_gqa": True}
        return varlen_attn(query, key, value, cu_seq_q, cu_seq_k, max_q, max_k, **told)

    query, key, value = torch.randn(6, 4, 8), torch.randn(6, 2, 8), torch.randn(6, 2, 8)
    bounds = torch.tensor([0, 2, 6], dtype=torch.int32)
    with varlen_on_cpu():
        expected = varlen(query, key, value, bounds, 4)
    with varlen_on_cpu(older):
        torch.testing.assert_close(varlen(query, key, value, bounds, 4), expected)


PADDED = [
    ("lfm2", {"layer_types": ["conv", "full_attention"]}, "models of the type lfm2 were not compared"),
    ("gemma2", {}, "models of the type gemma2 were not compared"),
    (
        "qwen2_moe",
        {"use_sliding_window": True, "layer_types": ["sliding_attention", "full_attention"]},
        "a mask limits its attention to 5 tokens, and its attention itself to None",
    ),
    ("llama", {"attention_dropout": 0.1}, "the kernel for packed rows has no dropout"),
    ("gpt2", {"attn_pdrop": 0.1}, "the kernel for packed rows has no dropout"),
    ("llama", {"head_dim": 20}, "the kernel for packed rows computes no heads of 20 and 20 numbers"),
    ("llama", {"head_dim": 264}, "the kernel for packed rows computes no heads of 264 and 264 numbers"),
]


@pytest.mark.parametrize(("kind", "more", "why"), PADDED)
@pytest.mark.parametrize("packing", ["auto", "on"])
def test_examples_are_padded_where_the_kernel_lacks_something(kind, more, why, packing, caplog):
    model = make_model(kind, **more)
    usual = model.config._attn_implementation
    with varlen_on_cpu(), caplog.at_level("INFO", logger="loragrid"):
        assert not keep_examples_apart(model, packing, CUDA, torch.bfloat16)
    assert model.config._attn_implementation == usual
    assert caplog.messages == [f"examples are padded, not packed: {why}"]


@pytest.mark.parametrize("kind", sorted(COMPARED))
def test_no_attention_drops_in_training_without_a_setting_that_says_so(kind):
    with varlen_on_cpu():
        model = make_model(kind, **{name: 0.5 if "att" in name else 0.0 for name in no_dropout(kind)}).train()
        assert keep_examples_apart(model, "auto", CPU, torch.float32) is not any("att" in name for name in no_dropout(kind))
        model = make_model(kind, **{name: 0.0 if "att" in name else 0.5 for name in no_dropout(kind)}).train()
        assert keep_examples_apart(model, "auto", CPU, torch.float32)
        packed(model)


def test_the_kernel_is_not_asked_to_drop():
    states = torch.randn(1, 4, 6, 8)
    bounds = torch.tensor([0, 6], dtype=torch.int32)
    with varlen_on_cpu(), pytest.raises(ValueError, match="no dropout"):
        attend_by_varlen(None, states, states, states, None, dropout=0.1, row_bounds=bounds, row_longest=6)


@pytest.mark.parametrize("packing", ["auto", "on", "off"])
def test_a_gpu_packs_by_its_kernel_or_not_at_all(packing):
    model = make_model("llama")
    assert not keep_examples_apart(model, packing, CUDA, torch.float32)
    assert model.config._attn_implementation == "sdpa"
    with varlen_on_cpu():
        assert keep_examples_apart(model, packing, CUDA, torch.bfloat16) is (packing != "off")
    assert model.config._attn_implementation == ("sdpa" if packing == "off" else VARLEN)


def test_apples_gpus_pack_one_example_after_the_other_if_asked_to():
    model = make_model("llama")
    assert not keep_examples_apart(model, "auto", MPS, torch.bfloat16)
    assert keep_examples_apart(model, "on", MPS, torch.bfloat16)
    assert attends_by_example(model)


def test_rows_of_the_kernel_share_no_beginning():
    model = make_model("llama")
    with varlen_on_cpu():
        keep_examples_apart(model, "on", CUDA, torch.bfloat16)
    assert not can_share_beginnings(model)


@pytest.mark.parametrize(
    ("device", "dtype", "capability", "why"),
    [
        (CUDA, torch.bfloat16, (9, 0), ""),
        (CUDA, torch.float16, (8, 0), ""),
        (CUDA, torch.bfloat16, (7, 5), "needs a GPU of compute capability 8.0 or higher"),
        (CUDA, torch.float32, (9, 0), "computes in bfloat16 and float16, not in float32"),
        (CPU, torch.bfloat16, None, "is one for NVIDIA's GPUs"),
        (MPS, torch.bfloat16, None, "is one for NVIDIA's GPUs"),
    ],
)
def test_where_the_kernel_computes(device, dtype, capability, why, monkeypatch):
    monkeypatch.setattr("torch.cuda.get_device_capability", lambda device: capability)
    monkeypatch.setattr("torch.backends.cuda.is_flash_attention_available", lambda: True)
    assert why_no_varlen(device, dtype) == (why and f"the kernel for packed rows {why}")
    assert can_varlen(device, dtype) is (not why)


def test_builds_without_the_kernel_are_told(monkeypatch):
    monkeypatch.setattr("torch.cuda.get_device_capability", lambda device: (9, 0))
    monkeypatch.setattr("torch.backends.cuda.is_flash_attention_available", lambda: False)
    assert why_no_varlen(CUDA, torch.bfloat16) == f"PyTorch {torch.__version__} comes without the kernel for packed rows"
    monkeypatch.setattr("torch.backends.cuda.is_flash_attention_available", lambda: True)
    monkeypatch.setattr("torch.version.hip", "7.0")
    assert not can_varlen(CUDA, torch.bfloat16)
