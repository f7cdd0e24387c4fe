import gguf
import numpy as np
import pytest
import torch

from loragrid.errors import UserError
from loragrid.models.importing import import_base_model
from loragrid.models.loading import load_base_model

SHAPES = {"token_embd": (260, 32), "output_norm": (32,), "output": (260, 32)} | {
    f"blk.{layer}.{name}": shape
    for layer in range(2)
    for name, shape in {
        "attn_q": (32, 32),
        "attn_k": (16, 32),
        "attn_v": (16, 32),
        "attn_output": (32, 32),
        "ffn_gate": (64, 32),
        "ffn_up": (64, 32),
        "ffn_down": (32, 64),
        "attn_norm": (32,),
        "ffn_norm": (32,),
    }.items()
}


def write_gguf(path, scaling=None, without=(), **more):
    """A tiny Llama of two layers with a token for each byte.

    Args:
        more: further tensors, with `__` for a full stop.
    """
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(128)
    writer.add_embedding_length(32)
    writer.add_block_count(2)
    writer.add_feed_forward_length(64)
    writer.add_head_count(4)
    writer.add_head_count_kv(2)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(260)
    if scaling:
        writer.add_rope_scaling_type(scaling)
        writer.add_rope_scaling_factor(4.0)
    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), "a"]
    writer.add_tokenizer_model("llama")
    writer.add_token_list([token.encode() for token in tokens])
    writer.add_token_scores([0.0] * 260)
    writer.add_token_types([2, 3, 3, *[6] * 256, 1])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    numbers = np.random.default_rng(0)
    tensors = {f"{name}.weight": numbers.standard_normal(shape) for name, shape in SHAPES.items() if name not in without}
    for name, tensor in (tensors | {name.replace("__", "."): tensor for name, tensor in more.items()}).items():
        writer.add_tensor(name, np.asarray(tensor, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.mark.parametrize("without", [(), ("output",)], ids=["", "tied"])
def test_file_with_all_weights_is_imported(tmp_path, without):
    (tmp_path / "imported").mkdir()
    # Factors of 1 scale nothing.
    import_base_model(write_gguf(tmp_path / "good.gguf", None, without, rope_freqs__weight=[1, 1, 1, 1]), tmp_path / "imported")
    model = load_base_model(tmp_path / "imported", "float32")
    assert torch.equal(model.lm_head.weight, model.model.embed_tokens.weight) is bool(without)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"without": ["blk.1.ffn_down"]}, r"has no weights for model\.layers\.1\.mlp\.down_proj\.weight\."),
        ({"blk__2__ffn_down__weight": [1.0]}, r"weights of more layers than the file says .*: blk\.2\.ffn_down\.weight\."),
        ({"rope_freqs__weight": [1, 1, 8, 8]}, r"does not read how positions are scaled .*\(rope_freqs\.weight\)"),
        ({"scaling": gguf.RopeScalingType.LINEAR}, r"does not read how positions are scaled .*\(llama\.rope\.scaling\.type\)"),
    ],
)
def test_file_of_which_something_would_be_lost_is_refused(tmp_path, wrong, sentence):
    with pytest.raises(UserError, match=rf"m\.gguf: .*{sentence}"):
        import_base_model(write_gguf(tmp_path / "m.gguf", **wrong), tmp_path)


def test_file_is_read_once_and_what_reads_it_is_as_before_afterwards(tmp_path, monkeypatch):
    file, opened = write_gguf(tmp_path / "m.gguf"), []

    class Counted(gguf.GGUFReader):
        def __init__(self, path, *mode):
            opened.append(str(path))
            super().__init__(path, *mode)

    monkeypatch.setattr(gguf, "GGUFReader", Counted)
    import_base_model(file, tmp_path / "imported")
    assert opened == [str(file.resolve())]
    assert gguf.GGUFReader is Counted
