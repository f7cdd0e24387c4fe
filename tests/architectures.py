"""Tiny random models of many architectures."""

import torch
from transformers import CONFIG_MAPPING, AutoModelForCausalLM

SHAPE = {
    "vocab_size": 300,
    "hidden_size": 32,
    "n_embd": 32,
    "intermediate_size": 64,
    "ffn_dim": 64,
    "num_hidden_layers": 2,
    "n_layer": 2,
    "num_attention_heads": 4,
    "n_head": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "word_embed_proj_dim": 32,
    "num_experts": 4,
    "num_local_experts": 4,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 16,
    "sliding_window": 5,
    "eos_token_id": 2,
    "pad_token_id": 2,
    "bos_token_id": 1,
}
"""Of a tiny model; each type takes what it knows."""


def make_model(kind, **more):
    """A tiny random model of a type that transformers knows.

    Args:
        more: settings of its configuration, also in place of those of SHAPE.
    """
    usual = CONFIG_MAPPING[kind]()
    config = CONFIG_MAPPING[kind](**({name: value for name, value in SHAPE.items() if hasattr(usual, name)} | more))
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.normal_(0, 0.2)
    return model
