import json
import shutil

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from loragrid.errors import UserError
from loragrid.models.importing import ImportSettings, import_base_model, import_model
from loragrid.models.loading import load_base_model, stored_quantization


@pytest.fixture
def shards(tiny_model, tmp_path):
    """The tiny model in several files."""
    folder = tmp_path / "shards"
    AutoModelForCausalLM.from_pretrained(tiny_model).save_pretrained(folder, max_shard_size="2MB")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(tiny_model / name, folder)
    assert len(list(folder.glob("*.safetensors"))) > 1
    return folder


def test_imported_model_has_a_manifest_and_one_with_another_hash_is_refused(tiny_model, tmp_path):
    def settings(**source):
        return ImportSettings.model_validate({"version": 1, "source": {"path": str(tiny_model)} | source, "is_encoder": False})

    with pytest.raises(UserError, match="source of model m: SHA-256 is "):
        import_model(settings(sha256="0" * 64), "m", None, tmp_path / "m", threads=1)
    assert list(tmp_path.iterdir()) == []
    import_model(settings(), "m", None, tmp_path / "m", threads=1)
    manifest = json.loads((tmp_path / "m/manifest.json").read_text())
    assert (manifest["name"], manifest["source"]) == ("m", {"path": str(tiny_model), "sha256": None})
    assert manifest["files"].keys() >= {"config.json", "model.safetensors", "tokenizer.json"}


def test_shards_become_one_file(shards, tiny_model, tmp_path):
    import_base_model(shards, tmp_path / "imported")
    ours, expected = load_file(tmp_path / "imported/model.safetensors"), load_file(tiny_model / "model.safetensors")
    assert ours.keys() == expected.keys()
    assert all(torch.equal(ours[name], expected[name]) for name in expected)
    assert stored_quantization(tmp_path / "imported") is None


def test_quantized_weights_are_kept_as_they_are_and_name_the_package_that_they_need(shards, tmp_path):
    config = json.loads((shards / "config.json").read_text())
    config |= {"quantization_config": {"quant_method": "gptq", "bits": 4, "group_size": 32}, "_name_or_path": "/somewhere"}
    (shards / "config.json").write_text(json.dumps(config))
    imported = tmp_path / "imported"
    imported.mkdir()
    import_base_model(shards, imported)
    before = {name: weight for shard in shards.glob("*.safetensors") for name, weight in load_file(shard).items()}
    after = load_file(imported / "model.safetensors")
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert "/somewhere" not in (imported / "config.json").read_text()
    assert stored_quantization(imported) == "gptq"
    with pytest.raises(UserError, match="stored as gptq, need another package"):
        load_base_model(imported, "float32")
    with pytest.raises(UserError, match="quantization: 4bit is not possible, the weights are stored as gptq already"):
        load_base_model(imported, "float32", "4bit")


def test_model_that_bitsandbytes_quantized_answers_after_its_import(smollm2, tmp_path):
    pytest.importorskip("bitsandbytes", reason="make extras installs bitsandbytes")
    quantized = load_base_model(smollm2, "float32", "4bit")
    quantized.save_pretrained(tmp_path / "quantized")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(smollm2 / name, tmp_path / "quantized")
    (tmp_path / "imported").mkdir()
    import_base_model(tmp_path / "quantized", tmp_path / "imported")
    ids = torch.tensor([[5, 6, 7]])
    with torch.inference_mode():
        logits = load_base_model(tmp_path / "imported", "float32")(input_ids=ids).logits
        assert torch.equal(logits, quantized(input_ids=ids).logits)
