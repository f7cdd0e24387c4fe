"""Attention by example: exact in every architecture that is said to leave its attention to transformers."""

import pytest
import torch

from architectures import make_model
from loragrid.models.packed_attention import COMPARED, _CausalAttention, keep_examples_apart, of_row
from loragrid.models.plain_attention import attention_of

CPU = torch.device("cpu")
BEGINNING = [7, 8, 9, 11, 12, 13, 14]
DYNAMIC = {"rope_type": "dynamic", "factor": 4.0, "rope_theta": 1e4}
FOLLOWING = [list(range(20, 20 + length)) for length in (1, 9, 4)]


def check_gradients_in_a_row(model):
    """Compare the logits and the gradients of examples that share a row with those of each alone."""
    alone = [model(input_ids=torch.tensor([BEGINNING + ids])).logits[0, len(BEGINNING) :] for ids in FOLLOWING]
    expected = torch.autograd.grad(torch.cat(alone).square().sum(), list(model.parameters()), allow_unused=True)
    assert keep_examples_apart(model, "on", CPU, torch.float32)
    row = torch.tensor([[*BEGINNING, *(token for ids in FOLLOWING for token in ids)]])
    start = len(BEGINNING)
    positions = torch.tensor([[*range(start), *(i for ids in FOLLOWING for i in range(start, start + len(ids)))]])
    sections = [start, *map(len, FOLLOWING)]
    logits = model(input_ids=row, position_ids=positions, use_cache=False, **of_row(model, sections)).logits[0, start:]
    # What is told for the next row does not reach the backward pass of this one.
    model(input_ids=row[:, :3], position_ids=positions[:, :3], use_cache=False, **of_row(model, [0, 3]))
    found = torch.autograd.grad(logits.square().sum(), list(model.parameters()), allow_unused=True)
    torch.testing.assert_close(logits, torch.cat(alone), rtol=1e-4, atol=1e-4)
    for one, other in zip(found, expected, strict=True):
        assert (one is None) is (other is None)
        assert one is None or (one - other).norm() <= 1e-3 * other.norm() + 1e-4


@pytest.mark.parametrize("kind", sorted(COMPARED))
def test_examples_in_a_row_get_the_logits_and_gradients_that_each_gets_alone(kind):
    check_gradients_in_a_row(make_model(kind))


@pytest.mark.parametrize(
    ("kind", "more"), [("llama", {}), ("nemotron", {}), ("gpt2", {"attn_pdrop": 0.0, "embd_pdrop": 0.0, "resid_pdrop": 0.0})]
)
def test_layers_that_are_computed_again_know_their_row(kind, more):
    model = make_model(kind, **more).train()
    model.gradient_checkpointing_enable({"use_reentrant": False})
    check_gradients_in_a_row(model)


def test_the_patch_of_nemotron_can_go_when_its_layers_hand_on_arguments(monkeypatch):
    monkeypatch.setattr("loragrid.models.plain_attention.hand_on_arguments", lambda model: None)
    assert attention_of(make_model("nemotron")).obstacle == "its layers do not hand on what its attention has to know"


WINDOWS = [
    ("qwen2", {"use_sliding_window": True, "max_window_layers": 1}),
    ("qwen3", {"use_sliding_window": True, "max_window_layers": 0}),
    ("qwen3_moe", {"use_sliding_window": True}),
    ("qwen2_moe", {"use_sliding_window": False}),
    ("mistral", {"sliding_window": None}),
    ("phi3", {"sliding_window": 3}),
    ("gemma3_text", {"layer_types": ["sliding_attention", "full_attention"]}),
    ("cohere2", {"layer_types": ["full_attention", "sliding_attention"]}),
    ("smollm3", {"layer_types": ["sliding_attention", "full_attention"], "use_sliding_window": True}),
    ("starcoder2", {"use_sliding_window": True}),
]


@pytest.mark.parametrize(("kind", "more"), WINDOWS)
def test_windows_are_those_of_each_layer(kind, more):
    check_gradients_in_a_row(make_model(kind, **more))


def test_log_says_why_examples_are_padded(caplog):
    with caplog.at_level("INFO", logger="loragrid"):
        assert not keep_examples_apart(make_model("diffllama"), "auto", CPU, torch.float32)
        assert not keep_examples_apart(make_model("llama", rope_parameters=DYNAMIC), "auto", CPU, torch.float32)
    assert caplog.messages == [
        "examples are padded, not packed: models of the type diffllama were not compared",
        "examples are padded, not packed: its encoding of positions changes with the length of a sequence",
    ]


@pytest.mark.parametrize("length", [7, 128, 300])
def test_gradients_of_attention_in_bfloat16_are_those_of_attention_written_out(length):
    torch.manual_seed(0)
    query, key, value = (torch.randn(1, heads, length, 16).bfloat16().requires_grad_() for heads in (6, 2, 2))
    attended = _CausalAttention.apply(query, key, value, 0.3)
    weights = torch.randn_like(attended)
    found = torch.autograd.grad(attended, (query, key, value), weights)
    q, k, v = (tensor.detach().double().requires_grad_() for tensor in (query, key, value))
    scores = 0.3 * q @ k.repeat_interleave(3, 1).transpose(2, 3) + torch.full((length, length), -torch.inf).triu(1)
    expected = torch.softmax(scores, -1) @ v.repeat_interleave(3, 1)
    assert (attended - expected).norm() < 0.01 * expected.norm()
    for one, other in zip(found, torch.autograd.grad(expected, (q, k, v), weights.double()), strict=True):
        assert (one - other).norm() < 0.01 * other.norm()
