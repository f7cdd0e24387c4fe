"""Every weight of a model comes from its files: none is made up, whatever transformers or peft would do."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from architectures import make_model
from loragrid.errors import UserError
from loragrid.models.importing import import_base_model, import_encoder, import_reward_model
from loragrid.models.loading import load_base_model, load_sentence_encoder, load_trained
from loragrid.training.methods import LoraTraining, parse_training


def changed(source, folder, change):
    """A copy of a folder with other weights."""
    shutil.copytree(source, folder)
    name = "adapter_model.safetensors" if (folder / "adapter_config.json").exists() else "model.safetensors"
    save_file(change(load_file(folder / name)), folder / name, metadata={"format": "pt"})
    return folder


def with_settings(folder, name, **settings):
    """The folder, with other entries in one of its JSON files; None takes an entry away."""
    values = json.loads((folder / name).read_text()) | settings
    (folder / name).write_text(json.dumps({key: value for key, value in values.items() if value is not None}))
    return folder


def prefixed(prefix):
    return lambda weights: {prefix + name: weight for name, weight in weights.items()}


def without(part):
    return lambda weights: {name: weight for name, weight in weights.items() if part not in name}


def with_nan(weights):
    return weights | {"model.norm.weight": weights["model.norm.weight"] * torch.nan}


def cut_vocabulary(weights):
    return weights | {"model.embed_tokens.weight": weights["model.embed_tokens.weight"][:100].clone()}


WRONG_WEIGHTS = {
    "compiled": (prefixed("_orig_mod."), r"21 in all\)\. Names in its files begin with '_orig_mod\.'"),
    "adapted": (prefixed("base_model.model."), r"Names in its files begin with 'base_model\.model\.'"),
    "in parallel": (prefixed("module."), r"Names in its files begin with 'module\.'"),
    "text part of a multimodal model": (
        lambda weights: {name.replace("model.", "language_model.model.", 1): w for name, w in weights.items()},
        r"no weights for model\.embed_tokens\.weight, .*, … \(20 in all\), and has weights that do not belong to it: "
        r"language_model\.model\.embed_tokens",
    ),
    "a layer too few": (without("layers.1."), r"no weights for model\.layers\.1\.input_layernorm\.weight, .* \(9 in all\)\.$"),
    "a weight too few": (without("layers.1.mlp.down_proj"), r"no weights for model\.layers\.1\.mlp\.down_proj\.weight\.$"),
    "a layer too many": (
        lambda weights: weights | {name.replace("layers.1", "layers.2"): w.clone() for name, w in weights.items()},
        r"weights that do not belong to it: model\.layers\.2\.",
    ),
    "no output layer": (without("lm_head"), r"no weights for lm_head\.weight\.$"),
    "another shape": (cut_vocabulary, r"model\.embed_tokens\.weight in the shape \[100, 32\] instead of \[49152, 32\]"),
    "not a number": (with_nan, r"NaN or infinity in model\.norm\.weight"),
}


@pytest.mark.parametrize("wrong", WRONG_WEIGHTS)
def test_weights_that_are_not_all_there_are_refused_at_the_import_and_later(tiny_model, tmp_path, wrong):
    change, sentence = WRONG_WEIGHTS[wrong]
    folder = changed(tiny_model, tmp_path / "model", change)
    for load in (lambda: import_base_model(folder, tmp_path), lambda: load_base_model(folder, "float32")):
        with pytest.raises(UserError, match=f"^{folder}: .*{sentence}"):
            load()
    with pytest.raises(UserError, match=sentence):
        load_trained(load_base_model(tiny_model, "float32"), folder / "model.safetensors", "float32")


def test_output_layer_that_is_the_embedding_need_not_be_in_the_files(tokenizer, tmp_path):
    make_model("llama", tie_word_embeddings=True).save_pretrained(tmp_path)
    assert "lm_head.weight" not in load_file(tmp_path / "model.safetensors")
    model = load_base_model(tmp_path, "float32")
    assert torch.equal(model.lm_head.weight, model.model.embed_tokens.weight)


@pytest.mark.parametrize("kind", ["gemma3_text", "llama"])
def test_prefix_is_told_where_the_output_layer_is_the_embedding_too(kind, tmp_path):
    make_model(kind, tie_word_embeddings=True).save_pretrained(tmp_path / "tied")
    folder = changed(tmp_path / "tied", tmp_path / "model", prefixed("module."))
    with pytest.raises(
        UserError, match=r"no weights for model\.embed_tokens\..*Names in its files begin with 'module\.'"
    ) as told:
        load_base_model(folder, "float32")
    assert "lm_head" not in str(told.value)


def test_buffers_that_a_model_computes_itself_may_be_in_its_files(tiny_model, tmp_path):
    more = {"model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(4)}
    folder = changed(tiny_model, tmp_path / "model", lambda weights: weights | more)
    (tmp_path / "imported").mkdir()
    import_base_model(folder, tmp_path / "imported")
    ours, expected = load_file(tmp_path / "imported/model.safetensors"), load_file(tiny_model / "model.safetensors")
    assert ours.keys() == expected.keys()


def test_weights_that_become_infinite_in_a_narrow_number_type_are_named(tiny_model, tmp_path):
    folder = changed(tiny_model, tmp_path / "model", lambda weights: weights | {"model.norm.weight": torch.full((32,), 1e6)})
    load_base_model(folder, "bfloat16")
    with pytest.raises(UserError, match=r"infinity in model\.norm\.weight \(in float16, numbers end at 65504\)"):
        load_base_model(folder, "float16")


def test_encoder_of_a_model_with_a_decoder_needs_only_its_own_weights(encoder, tokenizer, tmp_path):
    from transformers import BartConfig, BartModel, T5Config, T5EncoderModel

    small = {"vocab_size": 300, "d_model": 16, "pad_token_id": 0, "decoder_start_token_id": 0}
    bart = {"encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 2, "decoder_attention_heads": 2}
    for model in (
        T5EncoderModel(T5Config(**small, d_kv=8, d_ff=16, num_layers=1, num_heads=2)),
        BartModel(BartConfig(**small, **bart)),
    ):
        folder = tmp_path / type(model).__name__
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        shutil.copy(encoder / "modules.json", folder)
        import_encoder(folder, tmp_path / "imported" / folder.name)
        with pytest.raises(UserError, match=r"has no weights for encoder\."):
            import_encoder(changed(folder, tmp_path / f"{folder.name} less", without("encoder.")), tmp_path / "other")


POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:" + "0" * 64 + "\nsize 12345678\n"


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json", "config.json"])
def test_pointer_of_git_lfs_is_named(tiny_model, tmp_path, name):
    folder = shutil.copytree(tiny_model, tmp_path / "model")
    (folder / name).write_text(POINTER)
    with pytest.raises(UserError, match=rf"{folder}/{name}: this is a pointer of Git LFS, not the file itself; .*git lfs pull"):
        import_base_model(folder, tmp_path)


def test_pointers_of_git_lfs_are_named_in_encoders_adapters_and_gguf_files(tiny_model, encoder, tmp_path):
    copied = shutil.copytree(encoder, tmp_path / "encoder")
    (copied / "1_Pooling" / "config.json").write_text(POINTER)
    with pytest.raises(UserError, match=r"1_Pooling/config\.json: this is a pointer of Git LFS"):
        import_encoder(copied, tmp_path / "imported")
    (tmp_path / "model.gguf").write_text(POINTER)
    with pytest.raises(UserError, match=r"model\.gguf: this is a pointer of Git LFS"):
        import_base_model(tmp_path / "model.gguf", tmp_path)
    base = load_base_model(tiny_model, "float32")
    LoraTraining().make_trainable(base, 1).save_pretrained(tmp_path / "adapter")
    (tmp_path / "adapter" / "adapter_model.safetensors").write_text(POINTER)
    with pytest.raises(UserError, match=r"adapter_model\.safetensors: this is a pointer of Git LFS"):
        load_trained(load_base_model(tiny_model, "float32"), tmp_path / "adapter" / "adapter_model.safetensors", "float32")


def test_files_that_are_damaged_missing_or_of_another_format_are_named(tiny_model, tmp_path):
    def refused(sentence):
        with pytest.raises(UserError, match=sentence):
            import_base_model(folder, tmp_path)

    folder = shutil.copytree(tiny_model, tmp_path / "model")
    weights = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(weights[: len(weights) // 2])
    refused(r"model/model\.safetensors: this file is damaged or cut off")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    refused(r"model: there is no '\*\.safetensors' file; other formats can carry code")
    (folder / "pytorch_model.bin").rename(folder / "model-00001-of-00002.safetensors")
    (folder / "model-00001-of-00002.safetensors").write_bytes(weights)
    index = {"metadata": {}, "weight_map": {"model.norm.weight": "model-00002-of-00002.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    refused(r"model\.safetensors\.index\.json: it names files that are not there: model-00002-of-00002\.safetensors")
    (folder / "config.json").unlink()
    refused(r"model/config\.json: this file is missing; a model's folder needs it\.")


def test_shards_of_quantized_weights_are_all_there(tiny_model, tmp_path):
    folder = with_settings(
        shutil.copytree(tiny_model, tmp_path / "model"), "config.json", quantization_config={"quant_method": "gptq"}
    )
    index = {"metadata": {}, "weight_map": {"model.norm.weight": "1", "model.layers.7.norm.weight": "2"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(
        UserError, match=r"the files lack weights that 'model\.safetensors\.index\.json' names: model\.layers\.7\."
    ):
        import_base_model(folder, tmp_path)


def test_models_without_words_or_with_code_of_their_own_are_refused(tiny_model, tmp_path):
    folder = shutil.copytree(tiny_model, tmp_path / "model")
    (folder / "tokenizer.json").unlink()
    with pytest.raises(UserError, match=r"model: there is no 'tokenizer\.json', and no other file of which it can be made"):
        import_base_model(folder, tmp_path)
    own = {"AutoConfig": "configuration_x.XConfig", "AutoModelForCausalLM": "modeling_x.X"}
    with_settings(folder, "config.json", model_type="xmodel", auto_map=own)
    with pytest.raises(
        UserError, match=r"model: the model needs program code of its own \(config.json names .*\), which is never run here"
    ):
        import_base_model(folder, tmp_path)


@pytest.mark.parametrize(
    ("architecture", "sentence"),
    [
        ("LlamaForSequenceClassification", r"a classifier or a reward model \(.*\); those go into `reward_models`"),
        ("BertForMaskedLM", r"a masked language model \(BertForMaskedLM\); it fills gaps"),
    ],
)
def test_models_that_continue_no_text_are_no_base_models(tiny_model, tmp_path, architecture, sentence):
    folder = with_settings(shutil.copytree(tiny_model, tmp_path / "model"), "config.json", architectures=[architecture])
    with pytest.raises(UserError, match=sentence):
        import_base_model(folder, tmp_path)


def test_a_reward_head_on_a_tied_model_makes_no_base_model(tokenizer, tmp_path):
    make_model("llama", tie_word_embeddings=True).save_pretrained(tmp_path / "plain")
    folder = changed(tmp_path / "plain", tmp_path / "reward", lambda weights: weights | {"score.weight": torch.ones(1, 32)})
    with pytest.raises(UserError, match=r"do not belong to it: score\.weight\. It looks like a classifier or a reward model"):
        load_base_model(folder, "float32")


def test_an_adapter_is_no_base_model(tiny_model, tmp_path):
    LoraTraining().make_trainable(load_base_model(tiny_model, "float32"), 1).save_pretrained(tmp_path / "adapter")
    with pytest.raises(UserError, match="adapter: this is an adapter, not a model; merge it into its base model first"):
        import_base_model(tmp_path / "adapter", tmp_path)


def test_a_language_model_is_no_reward_model(tiny_model, tmp_path):
    with pytest.raises(UserError, match=r"has no weights for score\.weight.* A reward model needs a trained head"):
        import_reward_model(tiny_model, tmp_path)


def test_a_reward_model_may_keep_the_head_of_its_language_model(tokenizer, tmp_path):
    from transformers import LlamaForSequenceClassification

    language_model = make_model("llama")
    language_model.config.num_labels = 1
    LlamaForSequenceClassification(language_model.config).save_pretrained(tmp_path / "reward")
    more = {"lm_head.weight": torch.ones(300, 32)}
    folder = changed(tmp_path / "reward", tmp_path / "with head", lambda weights: weights | more)
    tokenizer.save_pretrained(folder)
    import_reward_model(folder, tmp_path)
    deeper = changed(
        folder, tmp_path / "deeper", lambda weights: weights | {"model.layers.2.mlp.up_proj.weight": torch.ones(64, 32)}
    )
    with pytest.raises(UserError, match=r"do not belong to it: model\.layers\.2\.mlp\.up_proj\.weight"):
        import_reward_model(deeper, tmp_path)


def test_encoders_need_all_their_weights_but_not_the_pooler_nor_another_head(encoder, tmp_path):
    def as_pretrained(weights):
        body = {f"bert.{name}": weight for name, weight in weights.items() if "pooler" not in name}
        return body | {"cls.predictions.bias": torch.ones(3)}

    pretrained = changed(encoder, tmp_path / "pretrained", as_pretrained)
    (tmp_path / "imported").mkdir()
    import_encoder(pretrained, tmp_path / "imported")
    for wrong in (without("layer.5.output.dense"), prefixed("_orig_mod.")):
        folder = changed(encoder, tmp_path / wrong.__qualname__ / str(id(wrong)), wrong)
        for load in (lambda: import_encoder(folder, tmp_path / "other"), lambda: load_sentence_encoder(folder)):  # noqa: B023
            with pytest.raises(UserError, match=r"this BertModel has no weights for "):
                load()


ADAPTERS = {
    "lora": {},
    "layer too few": {"target_modules": r".*\.1\..*q_proj"},
    "ia3": {"method": "peft", "config_class": "IA3Config"},
    "saved head": {"method": "peft", "config_class": "LoraConfig", "settings": {"modules_to_save": ["lm_head"]}},
}


@pytest.mark.parametrize("kind", ADAPTERS)
@pytest.mark.parametrize("further", [False, True])
def test_adapter_whose_weights_do_not_fit_is_neither_asked_nor_trained_further(tiny_model, tmp_path, kind, further):
    base = load_base_model(tiny_model, "float32")
    parse_training(ADAPTERS[kind]).make_trainable(base, 1).save_pretrained(tmp_path / "good")

    def load(folder):
        fresh = load_base_model(tiny_model, "float32")
        if further:
            return parse_training({"method": "continue", "adapter": str(folder)}).make_trainable(fresh, 1)
        return load_trained(fresh, folder / "adapter_model.safetensors", "float32")

    load(tmp_path / "good")
    renamed = changed(
        tmp_path / "good",
        tmp_path / "renamed",
        lambda weights: {name.replace("base_model.model.", "base_model.model._orig_mod."): w for name, w in weights.items()},
    )
    with pytest.raises(UserError, match=r"renamed: .*(no weights for|cannot be loaded)"):
        load(renamed)
    lost = changed(tmp_path / "good", tmp_path / "lost", lambda weights: dict(list(weights.items())[1:]))
    with pytest.raises(UserError, match=r"lost: .*(no weights for|cannot be loaded)"):
        load(lost)
    more = changed(tmp_path / "good", tmp_path / "more", lambda weights: weights | {"base_model.model.x": torch.ones(1)})
    with pytest.raises(
        UserError, match=r"more: .*for which the model has no place: base_model\.model\.x; it was made for another"
    ):
        load(more)
    broken = changed(tmp_path / "good", tmp_path / "nan", lambda weights: {name: w * torch.nan for name, w in weights.items()})
    with pytest.raises(UserError, match=r"nan: there is NaN or infinity in "):
        load(broken)


def test_adapter_of_a_model_of_another_size_is_refused(tiny_model, tmp_path):
    other = make_model("llama", attention_bias=False)
    LoraTraining(target_modules=["q_proj"]).make_trainable(other, 1).save_pretrained(tmp_path)
    config = json.loads((tmp_path / "adapter_config.json").read_text()) | {"r": 4}
    (tmp_path / "adapter_config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match=r"the adapter cannot be loaded: .*size mismatch for "):
        load_trained(load_base_model(tiny_model, "float32"), tmp_path / "adapter_model.safetensors", "float32")


def test_model_that_does_not_fit_into_the_memory_is_said_in_a_sentence(tiny_model, monkeypatch):
    def fail(*args):
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr("transformers.PreTrainedModel.to", fail)
    with pytest.raises(UserError) as caught:
        load_base_model(tiny_model, "float32")
    assert str(caught.value) == (
        f"{tiny_model}: the model does not fit into the free memory of cpu; set quantization: 4bit, or take a smaller model or a "
        "device with more memory, and see that nothing else uses it."
    )
