"""Which models mix tokens by plain attention only: the model itself shows it, whatever its type."""

import pytest
import torch

from architectures import make_model
from loragrid.models.packed_attention import BY_EXAMPLE, attend_by_example, use_attention
from loragrid.models.plain_attention import attention_of, sees_ahead

ONE, OTHER = [7, 8, 9, 11, 12, 13, 14, 20, 21], [7, 8, 9, 11, 30, 31]
SLIDING, FULL = "sliding_attention", "full_attention"
MLA = {"num_key_value_heads": 4, "q_lora_rank": 16, "kv_lora_rank": 16, "qk_nope_head_dim": 8, "qk_rope_head_dim": 8}
MLA |= {"v_head_dim": 8, "n_routed_experts": 4, "n_group": 1, "topk_group": 1, "first_k_dense_replace": 1}
LINEAR = {"linear_num_key_heads": 2, "linear_num_value_heads": 4, "linear_key_head_dim": 8, "linear_value_head_dim": 8}
MAMBA = {"mamba_n_heads": 8, "mamba_d_head": 8, "mamba_expand": 2, "mamba_d_state": 8, "mamba_n_groups": 1}
GPT_NEO = {"attention_types": [[["global", "local"], 1]], "window_size": 5, "num_layers": 2, "hidden_size": 32, "num_heads": 4}

PLAIN = {
    "llama": ("llama", {}),
    "latent": ("deepseek_v3", MLA),
    "experts": ("olmoe", {}),
    "windows": ("cwm", {"layer_types": [SLIDING, FULL]}),
    "positions in a part of each head": ("persimmon", {}),
}
"""Models of which two examples in one row get the logits that each gets alone."""

ELSEWHERE = "its layers mix tokens also by other means than attention"
OWN = "it has an attention of its own"
OBSTACLES = {
    "convolution": ("lfm2", {"layer_types": ["conv", FULL]}, ELSEWHERE),
    "convolution at the end": ("lfm2", {"layer_types": [FULL, "conv"]}, ELSEWHERE),
    "recurrence": ("recurrent_gemma", {"block_types": ["recurrent", "attention"], "lru_width": 32}, ELSEWHERE),
    "linear attention": ("qwen3_next", {"layer_types": ["linear_attention", FULL]} | LINEAR, ELSEWHERE),
    "mamba": ("granitemoehybrid", {"layer_types": ["mamba", "attention"]} | MAMBA, ELSEWHERE),
    "chunks": (
        "llama4_text",
        {"layer_types": ["chunked_attention", FULL], "attention_chunk_size": 6, "intermediate_size_mlp": 64},
        "its tokens see other tokens than a window of those before them",
    ),
    "window of the mask": (
        "qwen2_moe",
        {"use_sliding_window": True, "layer_types": [SLIDING, FULL]},
        "a mask limits its attention to 5 tokens, and its attention itself to None",
    ),
    "both directions": (
        "gemma3_text",
        {"layer_types": [SLIDING, FULL], "use_bidirectional_attention": True},
        "a token also sees those behind it",
    ),
    "capped scores": ("gemma3_text", {"attn_logit_softcapping": 2.0}, "it caps the scores of its attention"),
    "two calls": ("diffllama", {}, "not every call of attention belongs to a layer of its own"),
    "dynamic masks": ("doge", {}, "it changes its masks"),
    "positions from 2 on": (
        "roberta",
        {"is_decoder": True},
        "its encoding of positions does not follow the positions that it is given",
    ),
    "sinks": ("gpt_oss", {}, OWN),
    "biases": ("bloom", {}, OWN),
    "local layers": ("gpt_neo", GPT_NEO, OWN),
    "lost arguments": ("stablelm", {}, "its layers do not hand on what its attention has to know"),
}
"""Models whose examples are padded, and why."""


def logits_in_a_row(model):
    usual = model.config._attn_implementation
    use_attention(model, BY_EXAMPLE, attend_by_example)
    positions = torch.tensor([[*range(len(ONE)), *range(len(OTHER))]])
    sections = [0, len(ONE), len(OTHER)]
    with torch.no_grad():
        row = torch.tensor([[*ONE, *OTHER]])
        found = model(input_ids=row, position_ids=positions, use_cache=False, row_sections=sections).logits[0]
    model.set_attn_implementation(usual)
    return found


def logits_alone(model):
    with torch.no_grad():
        return torch.cat([model(input_ids=torch.tensor([ids]), use_cache=False).logits[0] for ids in (ONE, OTHER)])


@pytest.mark.parametrize("name", PLAIN)
def test_examples_of_a_plain_model_can_stand_in_one_row(name):
    kind, more = PLAIN[name]
    model = make_model(kind, **more)
    attention = attention_of(model)
    assert attention.obstacle == ""
    assert attention.heads == {(16, 8) if name == "latent" else (8, 8)}
    torch.testing.assert_close(logits_in_a_row(model), logits_alone(model), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", OBSTACLES)
def test_what_keeps_examples_from_standing_in_one_row_is_named(name):
    kind, more, expected = OBSTACLES[name]
    model = make_model(kind, **more)
    before = logits_alone(model)
    assert attention_of(model).obstacle == expected
    assert torch.equal(logits_alone(model), before)


@pytest.mark.parametrize("name", ["convolution", "chunks", "window of the mask", "positions from 2 on"])
def test_in_one_row_these_examples_would_be_computed_wrong(name):
    kind, more, _ = OBSTACLES[name]
    model = make_model(kind, **more)
    alone = logits_alone(model)
    assert (logits_in_a_row(model) - alone).abs().max() > 0.05 * alone.abs().max()


@pytest.mark.parametrize(("name", "ahead"), [("both directions", True), ("convolution", False), ("biases", False)])
def test_a_model_whose_tokens_see_those_behind_them_is_recognised(name, ahead):
    kind, more, _ = OBSTACLES[name]
    assert sees_ahead(make_model(kind, **more)) is ahead
