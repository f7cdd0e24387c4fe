"""What a model makes of a text of general language: the loss of each passage, token by token."""

import json
import math
import zipfile

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from loragrid.errors import UserError
from loragrid.inference.probing import ProbeFiles, ProbeJob, passages, probe_model
from loragrid.inference.prompts import ModelFiles
from loragrid.inference.settings import ProbeSettings
from loragrid.models.loading import load_base_model
from loragrid.records import Probe
from loragrid.runtime.files import file_sha256
from loragrid.training.methods import LoraTraining, PromptTuning

TEXT = "".join(f"The {word} of the year {year} was long.\n\n" for year in range(1900, 1990) for word in ("winter", "summer"))


@pytest.fixture
def probe(tmp_path, tiny_model):
    """Probe a model; returns what was written."""

    def run(adapter=None, text=None, model=tiny_model, package=None, **changes):
        source = tmp_path / "text.txt"
        source.write_text(TEXT if text is None else text)
        named = {"path": str(source)} | changes.pop("source", {})
        settings = {"version": 1, "dtype": "float32", "quantization": "none", "characters": 400, "passages": 4}
        model_files = ModelFiles(*(str(model / name) for name in ("model.safetensors", "config.json", "tokenizer.json")))
        if adapter:
            model_files = model_files._replace(adapter=str(adapter))
        files = ProbeFiles(result=str(tmp_path / "results/probes/m/r.json"), text=str(package or source), model=model_files)
        told = ProbeSettings.model_validate(settings | {"text": named} | changes)
        probe_model(ProbeJob("m", told, files, 1))
        return Probe.model_validate(json.loads((tmp_path / "results/probes/m/r.json").read_text()))

    return run


def expected_losses(model, texts, tokenizer):
    """By transformers' own loss: a passage behind the token that begins texts."""
    found = []
    for text in texts:
        ids = torch.tensor([[tokenizer.bos_token_id, *tokenizer(text, add_special_tokens=False).input_ids]])
        with torch.inference_mode():
            found.append(float(model(input_ids=ids, labels=ids).loss) * (ids.shape[1] - 1))
    return found


def test_loss_is_that_of_each_token_of_each_passage_behind_the_token_that_begins_texts(probe, tiny_model):
    found = probe()
    texts = passages(TEXT, 400, 4)
    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    model = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32)
    expected = expected_losses(model, texts, tokenizer)
    assert [one.loss for one in found.passages] == pytest.approx(expected, rel=1e-5)
    assert [one.bytes for one in found.passages] == [len(text.encode()) for text in texts]
    assert [one.tokens for one in found.passages] == [len(tokenizer(text).input_ids) for text in texts]
    assert found.loss == pytest.approx(sum(expected) / sum(one.tokens for one in found.passages), rel=1e-5)
    assert found.bits_per_byte == pytest.approx(sum(expected) / sum(map(len, texts)) / math.log(2), rel=1e-5)


def test_loss_of_a_passage_does_not_depend_on_the_passages_beside_it(probe):
    assert probe(passages=2).passages == probe(passages=6).passages[:2]


@pytest.mark.parametrize("method", [LoraTraining(rank=4), PromptTuning(method="prompt_tuning", virtual_tokens=3)])
def test_adapter_is_read_with_what_it_has_learnt(probe, tmp_path, tiny_model, method):
    torch.manual_seed(0)
    model = method.make_trainable(load_base_model(tiny_model, "float32"), 1)
    for parameter in model.parameters():
        if parameter.requires_grad:
            torch.nn.init.normal_(parameter, std=0.2)
    model.save_pretrained(tmp_path / "adapter")
    learnt = probe(tmp_path / "adapter/adapter_model.safetensors")
    plain = probe()
    assert [(one.bytes, one.tokens) for one in learnt.passages] == [(one.bytes, one.tokens) for one in plain.passages]
    assert all(abs(a.loss - b.loss) > 0.01 for a, b in zip(learnt.passages, plain.passages, strict=True))


def test_text_is_found_in_its_package(probe, tmp_path):
    with zipfile.ZipFile(tmp_path / "words==1.whl", "w") as wheel:
        wheel.writestr("words/long.txt", TEXT)
    named = {"package": "words==1", "path": "words/long.txt"}
    assert probe(text="", package=tmp_path / "words==1.whl", source=named) == probe()


def test_control_tokens_that_the_text_spells_are_text(probe):
    spelled = probe(text=TEXT.replace("winter", "<|im_end|>"))
    assert spelled.passages[0].tokens > probe().passages[0].tokens


def test_passages_are_whole_words_of_the_beginning_and_do_not_depend_on_their_number():
    found = passages("  one two\r\n\r\nthree\tfour  five six seven", 13, 2)
    assert found == ["one two three", "four five six"]
    assert passages("one two three four five six seven", 13, 9) == found
    assert passages("一" * 25, 10, 9) == ["一" * 10, "一" * 10]


def test_what_is_wrong_with_the_text_is_said_in_a_sentence(probe, tmp_path):
    with pytest.raises(
        UserError, match=r"^forgetting.text: two passages of 400 characters are needed at least; the text has 9\.$"
    ):
        probe(text="Too short")
    with pytest.raises(UserError, match=r"^forgetting\.text: SHA-256 is .*, but the configuration expects 0000"):
        probe(source={"sha256": "0" * 64})
    assert probe(source={"sha256": file_sha256(tmp_path / "text.txt")})
    with pytest.raises(
        UserError, match=r"^forgetting.characters: a passage has \d+ tokens, and the model reads 512 at most; choose"
    ):
        probe(characters=100_000, passages=2, text=TEXT * 50)
    with pytest.raises(UserError, match=r"there is no 'no\.txt' in this package"):
        with zipfile.ZipFile(tmp_path / "empty==1.whl", "w") as wheel:
            wheel.writestr("words/long.txt", TEXT)
        probe(package=tmp_path / "empty==1.whl", source={"package": "empty==1", "path": "no.txt"})
