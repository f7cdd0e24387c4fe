"""What is wrong with the files of models, and the one sentence that each fault must give."""

import errno
import json
import os
import shutil
from pathlib import Path

import pytest
from safetensors import safe_open
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast, __version__

from architectures import make_model
from loragrid.errors import DamagedError, UserError
from loragrid.models.adapters import load_adapter, save_adapter
from loragrid.models.importing import import_base_model, import_encoder, import_reward_model
from loragrid.models.loading import load_base_model, load_sentence_encoder
from loragrid.runtime.job import logged
from loragrid.runtime.pretrained import load_config, load_tokenizer, read_settings
from loragrid.scoring.protocol import Item
from loragrid.scoring.scorers.perplexity import perplexity
from loragrid.training.methods import parse_training


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """A random Llama with a tokenizer of a few words."""
    folder = tmp_path_factory.mktemp("sound") / "model"
    make_model("llama").save_pretrained(folder)
    words = Tokenizer(models.WordLevel({f"w{number}": number for number in range(300)}, unk_token="w0"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=words, eos_token="w2", unk_token="w0").save_pretrained(folder)
    return folder


def setting(file, **values):
    """Change settings in a JSON file; None takes one out."""

    def change(folder):
        path = folder / file
        settings = (json.loads(path.read_text()) if path.is_file() else {}) | values
        path.write_text(json.dumps({key: value for key, value in settings.items() if value is not None}))

    return change


def holding(file, content):
    return lambda folder: (folder / file).write_bytes(content)


def without(*files):
    return lambda folder: [(folder / file).unlink() for file in files]


def cut(file, size):
    return lambda folder: (folder / file).write_bytes((folder / file).read_bytes()[:size])


def first(*changes):
    return lambda folder: [change(folder) for change in changes]


def sharded(weight_map=None):
    """Say that the weights are in two files, the second of which is missing."""

    def change(folder):
        shard = folder / "model-00001-of-00002.safetensors"
        (folder / "model.safetensors").rename(shard)
        names = list(safe_open(shard, "pt").keys())
        found = {name: f"model-0000{1 + place % 2}-of-00002.safetensors" for place, name in enumerate(names)}
        index = {"metadata": {}, "weight_map": found if weight_map is None else weight_map}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index))

    return change


def gone(folder):
    shutil.rmtree(folder)


LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 12345\n"
AGAIN = "this file is no valid JSON ({}): fetch it again."
CODE = "needs program code of its own ({} names {} in its auto_map), which is never run here; only types of transformers are read. If its type is one of them, take auto_map out of the file, else choose another {}."

BASE_MODELS = {
    "settings that are cut": (
        holding("config.json", b'{"a": 1,'),
        "model/config.json: " + AGAIN.format("line 1, column 9: Expecting property name enclosed in double quotes"),
    ),
    "settings that are empty": (holding("config.json", b""), "model/config.json: " + AGAIN.format("it is empty")),
    "settings that are no text": (
        holding("config.json", b"\xff\xfe\x00"),
        "model/config.json: " + AGAIN.format("UnicodeDecodeError"),
    ),
    "settings that are a list": (holding("config.json", b"[]"), "model/config.json: expected a JSON object, found a list."),
    "settings that never end": (
        holding("config.json", b'{"a":' * 100_000),
        "model/config.json: " + AGAIN.format("RecursionError"),
    ),
    "no settings": (without("config.json"), "model/config.json: this file is missing; a model's folder needs it."),
    "no folder": (gone, "model/config.json: this file is missing; a model's folder needs it."),
    "settings of answers that are cut": (
        holding("generation_config.json", b"{"),
        "model/generation_config.json: " + AGAIN.format("line 1, column 2: Expecting property name enclosed in double quotes"),
    ),
    "a type that nobody knows": (
        setting("config.json", model_type="zorblax"),
        f"model/config.json: model_type is 'zorblax', which transformers {__version__} does not know.",
    ),
    "a number type that nobody knows": (
        setting("config.json", dtype="float33"),
        "model/config.json: dtype is 'float33'; expected float32, bfloat16 or float16.",
    ),
    "a number type of whole numbers": (
        setting("config.json", dtype=None, torch_dtype="int8"),
        "model/config.json: torch_dtype is 'int8'; expected float32, bfloat16 or float16.",
    ),
    "more layers than numbers": (
        setting("config.json", num_hidden_layers=10**9),
        "model/config.json: num_hidden_layers is 1000000000, more than there are numbers in the weights.",
    ),
    "more words than numbers": (
        setting("config.json", vocab_size=10**12),
        "model/config.json: vocab_size is 1000000000000, more than there are numbers in the weights.",
    ),
    "a size that is a word": (
        setting("config.json", hidden_size="many"),
        "model: the model cannot be loaded: Validation error for field 'hidden_size': TypeError: Field 'hidden_size' expected int, got str (value: 'many')",
    ),
    "no heads": (setting("config.json", num_attention_heads=0), "model: the model cannot be loaded: integer modulo by zero"),
    "quantization that is a word": (
        setting("config.json", quantization_config="4bit"),
        "model/config.json: quantization_config is '4bit'; expected an object with quant_method.",
    ),
    "code of its own": (
        setting("config.json", model_type="mine", auto_map={"AutoConfig": "mine.C"}),
        "model: the model " + CODE.format("config.json", "mine.C", "model"),
    ),
    "a kernel of a hub": (
        setting("config.json", attn_implementation="somebody/kernel:forward"),
        "model/config.json: attn_implementation 'somebody/kernel:forward' is program code of a hub, which is never run here.",
    ),
    "an adapter": (
        setting("adapter_config.json", peft_type="LORA"),
        "model: this is an adapter, not a model; merge it into its base model first.",
    ),
    "weights that are cut": (
        cut("model.safetensors", 5000),
        "model/model.safetensors: this file is damaged or cut off: Error while deserializing header: incomplete metadata, file not fully covered",
    ),
    "weights without a header": (
        holding("model.safetensors", b"\xff" * 5000),
        "model/model.safetensors: this file is damaged or cut off: Error while deserializing header: header too large",
    ),
    "weights that are empty": (
        holding("model.safetensors", b""),
        "model/model.safetensors: this file is damaged or cut off: Error while deserializing header: header too small",
    ),
    "weights that are a pointer": (
        holding("model.safetensors", LFS),
        "model/model.safetensors: this is a pointer of Git LFS, not the file itself; fetch the content with `git lfs pull`.",
    ),
    "weights that can carry code": (
        lambda folder: (folder / "model.safetensors").rename(folder / "pytorch_model.bin"),
        "model: there is no '*.safetensors' file; other formats can carry code and are not read.",
    ),
    "a file of weights that is missing": (
        sharded(),
        "model/model.safetensors.index.json: it names files that are not there: model-00002-of-00002.safetensors; fetch them.",
    ),
    "an index without weights": (
        sharded([1]),
        "model/model.safetensors.index.json: expected a weight_map, with the file of each weight; fetch it again.",
    ),
    "a tokenizer that is cut": (cut("tokenizer.json", 200), "model/tokenizer.json: this file is no valid JSON (line "),
    "a tokenizer of something else": (
        holding("tokenizer.json", b'{"a": 1}'),
        "model: the tokenizer cannot be loaded: there is no 'added_tokens'",
    ),
    "settings of a tokenizer that are cut": (
        holding("tokenizer_config.json", b'{"a":'),
        "model/tokenizer_config.json: " + AGAIN.format("line 1, column 6: Expecting value"),
    ),
    "no tokenizer": (
        without("tokenizer.json"),
        "model: there is no 'tokenizer.json', and no other file of which it can be made.",
    ),
    "a tokenizer with code of its own": (
        setting("tokenizer_config.json", tokenizer_class="Mine", auto_map={"AutoTokenizer": ["mine.T", None]}),
        "model: the tokenizer " + CODE.format("tokenizer_config.json", "mine.T", "tokenizer"),
    ),
    "a tokenizer of sentencepiece": (
        first(
            without("tokenizer.json"),
            holding("tokenizer.model", b"\n\x05hello"),
            setting("tokenizer_config.json", tokenizer_class="LlamaTokenizer"),
        ),
        "model: there is no 'tokenizer.json', and the file 'tokenizer.model' needs another package to be read: .venv/bin/python -m pip install sentencepiece protobuf",
    ),
    "a tokenizer of tiktoken": (
        first(without("tokenizer.json"), holding("qwen.tiktoken", b"aGVsbG8= 0\n")),
        "model: there is no 'tokenizer.json', and the file 'qwen.tiktoken' needs another package to be read: .venv/bin/python -m pip install tiktoken",
    ),
}


def refused(sound, tmp_path, change, load):
    """What is said of a copy of the sound model with something changed; paths are shown from its parent."""
    folder = tmp_path / "model"
    shutil.copytree(sound, folder)
    change(folder)
    with pytest.raises(UserError) as caught:
        load(folder, tmp_path / "imported")
    return str(caught.value).replace(f"{tmp_path}/", "")


@pytest.mark.parametrize("name", BASE_MODELS)
def test_base_model_that_is_not_sound_gives_its_sentence(name, sound, tmp_path):
    change, sentence = BASE_MODELS[name]
    found = refused(sound, tmp_path, change, import_base_model)
    assert found.startswith(sentence) if sentence.endswith("(line ") else found == sentence


OTHERS = {
    "an adapter as a reward model": (
        import_reward_model,
        setting("adapter_config.json", peft_type="LORA"),
        "model: this is an adapter, not a model; merge it into its base model first.",
    ),
    "an adapter as an encoder": (
        import_encoder,
        first(holding("modules.json", b"[]"), setting("adapter_config.json", peft_type="LORA")),
        "model: this is an adapter, not a model; merge it into its base model first.",
    ),
    "an encoder with code of its own": (
        import_encoder,
        holding("modules.json", b'[{"path": "", "type": "mine.Module"}]'),
        "model/modules.json: the module 'mine.Module' is program code of the encoder's own, which is never run here.",
    ),
    "an encoder of no modules": (
        import_encoder,
        holding("modules.json", b"{}"),
        "model/modules.json: expected a JSON list, found an object.",
    ),
    "an encoder with modules of no type": (
        import_encoder,
        holding("modules.json", b"[7]"),
        "model/modules.json: expected a list of modules, each with its type and path.",
    ),
    "no encoder": (import_encoder, first(), "model: a sentence encoder needs the file 'modules.json'."),
}


@pytest.mark.parametrize("name", OTHERS)
def test_other_model_that_is_not_sound_gives_its_sentence(name, sound, tmp_path):
    load, change, sentence = OTHERS[name]
    assert refused(sound, tmp_path, change, load) == sentence


ADAPTERS = {
    "settings that are cut": (
        holding("adapter_config.json", b"{"),
        "adapter/adapter_config.json: " + AGAIN.format("line 1, column 2: Expecting property name enclosed in double quotes"),
    ),
    "weights that can carry code": (
        lambda folder: (folder / "adapter_model.safetensors").rename(folder / "adapter_model.bin"),
        "adapter: there is no 'adapter_model.safetensors'; other formats can carry code and are not read.",
    ),
    "a kind that nobody knows": (setting("adapter_config.json", peft_type="ZORB"), "adapter: the adapter cannot be loaded: "),
}


@pytest.mark.parametrize("name", ADAPTERS)
def test_adapter_that_is_not_sound_gives_its_sentence(name, sound, tmp_path):
    change, sentence = ADAPTERS[name]
    adapter = tmp_path / "adapter"
    save_adapter(parse_training({"method": "lora"}).make_trainable(load_base_model(sound, "float32"), 1), adapter)
    change(adapter)
    with pytest.raises(UserError) as caught:
        load_adapter(load_base_model(sound, "float32"), adapter)
    found = str(caught.value).replace(f"{tmp_path}/", "")
    assert found.startswith(sentence) if sentence.endswith(": ") else found == sentence


SYSTEM = {
    "a disk that is full": (
        OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "results/a.json"),
        "results/a.json: the disk is full; make room and start again.",
    ),
    "a disk that is full, without a name": (
        OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)),
        "a file of this job cannot be written or read: the disk is full; make room and start again ([Errno 28] No space left on device).",
    ),
    "a disk that is full, as safetensors says it": (
        RuntimeError("I/O error: No space left on device (os error 28)"),
        "a file of this job cannot be written or read: the disk is full; make room and start again (I/O error: No space left on device (os error 28)).",
    ),
    "a file that may not be read": (
        PermissionError(errno.EACCES, os.strerror(errno.EACCES), "data/a.csv"),
        "data/a.csv: you may not read or write it; see its permissions.",
    ),
    "a file system that is read-only": (
        OSError(errno.EROFS, os.strerror(errno.EROFS), "results"),
        "results: its file system is read-only.",
    ),
}


@pytest.mark.parametrize("name", SYSTEM)
def test_what_the_system_refuses_ends_a_job_with_its_sentence(name, tmp_path, capsys):
    error, sentence = SYSTEM[name]
    with pytest.raises(SystemExit), logged(str(tmp_path / "log")):
        raise error
    assert capsys.readouterr().err == f"{sentence}\n(log: {tmp_path / 'log'})\n"


@pytest.fixture(scope="module")
def later_tokens(sound, tmp_path_factory):
    """The sound model, whose tokenizer got two tokens later: one to fill up batches with, one that texts may hold."""
    folder = tmp_path_factory.mktemp("later") / "model"
    shutil.copytree(sound, folder)
    tokenizer = PreTrainedTokenizerFast.from_pretrained(sound)
    tokenizer.add_special_tokens({"pad_token": "<pad>"})
    tokenizer.add_tokens(["later"])
    tokenizer.save_pretrained(folder)
    return folder


def test_token_that_only_fills_up_may_be_without_an_embedding_but_none_that_is_read(later_tokens):
    score = perplexity(later_tokens, "float32")
    item = Item(id="1", prediction="w5 w6 w7", references=("w5",))
    [outcome] = score([item])
    assert outcome.metrics["perplexity"] > 1
    with pytest.raises(UserError) as caught:
        score([item._replace(prediction="w5 later w7")])
    assert str(caught.value) == (
        "the tokenizer's token 'later' has the id 301, but the model has embeddings of 300 tokens only: this tokenizer belongs to "
        "another model, or got tokens that the model did not."
    )


def test_encoder_fills_up_batches_with_a_token_that_has_an_embedding(encoder, tmp_path):
    folder = tmp_path / "encoder"
    shutil.copytree(encoder, folder)
    texts = ["a short one", "a text that is somewhat longer than the other"]
    expected = load_sentence_encoder(encoder).encode(texts)
    tokenizer = load_tokenizer(folder)
    tokenizer.add_special_tokens({"pad_token": "<later>"})
    assert tokenizer.pad_token_id >= load_config(folder).vocab_size
    tokenizer.save_pretrained(folder)
    found = load_sentence_encoder(folder).encode(texts)
    assert abs(found - expected).max() < 1e-5


@pytest.mark.parametrize(("name", "delete"), [("config.json", "config.json"), ("special_tokens_map.json", "manifest.json")])
def test_settings_of_an_imported_model_are_made_again(tmp_path, monkeypatch, name, delete):
    monkeypatch.chdir(tmp_path)
    folder = Path("results/models/m")
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text("{}"), (folder / name).write_text("")
    with pytest.raises(DamagedError) as raised:
        read_settings(folder / name)
    what = f"{folder}/{name}: this file is no valid JSON (it is empty)."
    assert str(raised.value) == f"{what} Delete {folder}/{delete}; the next snakemake makes it again."
