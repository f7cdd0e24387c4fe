"""A process that only tokenises does without torch, and gets the same tokens."""

import json
import subprocess
import sys

import pytest
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import AutoConfig, AutoTokenizer, PreTrainedTokenizerFast

TEXTS = ["The cat sat.", "  Two  spaces, naïve café — 12345!\n\ttabs", "<s> not a token </s>", "日本語 🙂", ""]
PROGRAM = """
import json, sys
from loragrid.runtime.pretrained import load_tokenizer, load_tokenizers_only
load_tokenizers_only()
told = json.loads(sys.argv[1])
found = []
for folder in told["folders"]:
    tokenizer = load_tokenizer(folder)
    found.append([type(tokenizer).__name__, tokenizer(told["texts"])["input_ids"], tokenizer.chat_template, len(tokenizer)])
assert sys.modules["torch"] is None, "torch was imported"
print(json.dumps(found))
"""


def of_kind(kind):
    """A tokenizer of a kind, trained on a few words."""
    if kind == "byte-level":
        tokenizer, trainer = Tokenizer(models.BPE()), trainers.BpeTrainer(vocab_size=400, special_tokens=["<s>", "</s>"])
        tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.ByteLevel(), decoders.ByteLevel()
    elif kind == "pieces":
        tokenizer = Tokenizer(models.Unigram())
        trainer = trainers.UnigramTrainer(vocab_size=100, special_tokens=["<s>", "</s>", "<unk>"], unk_token="<unk>")
        tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    else:
        tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
        tokenizer.normalizer, tokenizer.pre_tokenizer = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
        trainer = trainers.WordPieceTrainer(vocab_size=200, special_tokens=["[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]"])
    tokenizer.train_from_iterator(["the cat sat on the mat and 12345", "two naïve cats"] * 5, trainer)
    return tokenizer


@pytest.fixture(scope="module")
def folders(smollm2, encoder, tmp_path_factory):
    """Models of several types, with tokenizers of several kinds, and the two real ones."""
    found = [smollm2, encoder]
    for kind, types in {"byte-level": ("llama", "gpt2", "qwen2"), "pieces": ("gemma", "t5"), "words": ("bert",)}.items():
        for model in types:
            folder = tmp_path_factory.mktemp(model)
            PreTrainedTokenizerFast(tokenizer_object=of_kind(kind)).save_pretrained(folder)
            AutoConfig.for_model(model).save_pretrained(folder)
            found.append(folder)
    return [str(folder) for folder in found]


def test_tokenizers_without_torch_are_those_with_it(folders):
    told = json.dumps({"folders": folders, "texts": TEXTS})
    environment = {"PYTHONPATH": "workflow/scripts", "HF_HUB_OFFLINE": "1"}
    found = subprocess.run([sys.executable, "-c", PROGRAM, told], env=environment, capture_output=True, text=True, check=True)
    assert "PyTorch" not in found.stdout + found.stderr
    for folder, (kind, ids, template, size) in zip(folders, json.loads(found.stdout), strict=True):
        usual = AutoTokenizer.from_pretrained(folder)
        assert (kind, ids, template, size) == (type(usual).__name__, usual(TEXTS)["input_ids"], usual.chat_template, len(usual))
