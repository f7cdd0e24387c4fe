"""A merged model that was written as a GGUF file, with the names and the order of weights of llama.cpp, is read as what it was."""

import json

import gguf
import numpy as np
import torch
from safetensors.torch import load_file
from transformers import AutoTokenizer

from loragrid.models.importing import import_base_model
from loragrid.models.loading import load_base_model
from loragrid.models.merging import merge
from loragrid.training.methods import LoraTraining

IDS = torch.arange(3, 43).reshape(2, 20)


def write_as_llama_cpp_does(folder, file):
    """Write a Llama of transformers as one file: tensors named by the package `gguf`, halves of each head's rows interleaved."""
    config = json.loads((folder / "config.json").read_text())
    tokenizer = AutoTokenizer.from_pretrained(folder)
    described = json.loads((folder / "tokenizer.json").read_text())
    writer = gguf.GGUFWriter(file, "llama")
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_freq_base((config.get("rope_parameters") or config)["rope_theta"])
    writer.add_vocab_size(config["vocab_size"])
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    added = tokenizer.added_tokens_decoder
    tokens = tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))
    kinds = [gguf.TokenType.CONTROL if i in added and added[i].special else gguf.TokenType.NORMAL for i in range(len(tokens))]
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_token_merges([one if isinstance(one, str) else " ".join(one) for one in described["model"]["merges"]])
    writer.add_bos_token_id(tokenizer.bos_token_id)
    writer.add_eos_token_id(tokenizer.eos_token_id)
    writer.add_chat_template(tokenizer.chat_template)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, config["num_hidden_layers"])
    for name, weight in load_file(folder / "model.safetensors").items():
        heads = {"q_proj": config["num_attention_heads"], "k_proj": config["num_key_value_heads"]}.get(name.split(".")[-2], 0)
        values = weight.float().numpy()
        if heads:
            rows, columns = values.shape
            halves = values.reshape(heads, 2, rows // heads // 2, columns)
            values = np.moveaxis(halves, 1, 2).reshape(rows, columns)
        writer.add_tensor(names.get_name(name, try_suffixes=(".weight",)), np.ascontiguousarray(values))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file


def test_merged_model_that_was_written_as_gguf_answers_as_the_merged_model(tiny_model, tokenizer, tmp_path):
    base = tmp_path / "base"
    # Imported weights are kept in bfloat16: what was stored in it comes back as it was.
    load_base_model(tiny_model, "float32").to(torch.bfloat16).save_pretrained(base)
    tokenizer.save_pretrained(base)
    adapted = LoraTraining(rank=4).make_trainable(load_base_model(base, "float32"), 1)
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.1)
    adapted.save_pretrained(tmp_path / "adapter")
    for folder in ("merged", "imported"):
        (tmp_path / folder).mkdir()
    merge(base, tmp_path / "adapter/adapter_model.safetensors", tmp_path / "merged")

    import_base_model(write_as_llama_cpp_does(tmp_path / "merged", tmp_path / "merged.gguf"), tmp_path / "imported")
    with torch.inference_mode():
        merged, read, before = (
            load_base_model(tmp_path / name, "float32")(input_ids=IDS).logits for name in ("merged", "imported", "base")
        )
    torch.testing.assert_close(read, merged, rtol=1e-4, atol=1e-4)
    assert not torch.allclose(merged, before, atol=0.1)
    chat = [{"role": "user", "content": "What is it?"}]
    texts = [
        AutoTokenizer.from_pretrained(tmp_path / name).apply_chat_template(chat, add_generation_prompt=True).input_ids
        for name in ("merged", "imported")
    ]
    assert texts[0] == texts[1]
