"""The code in a model's card, run as it is written, gives the answer that the model gave here."""

import json
import re
import shutil
from pathlib import Path

import pandas as pd
import peft
import pytest
import torch
from tokenizers import Tokenizer
from tokenizers.decoders import ByteLevel as ByteLevelDecoder
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel
from tokenizers.processors import TemplateProcessing
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from architectures import make_model
from loragrid.analysis.model_cards import model_card
from loragrid.analysis.settings import CardSettings
from loragrid.data.prompt_templates import prompt_template
from loragrid.data.render import ModelSettings, Request, end_tokens, load_renderer, render
from loragrid.inference.batching import answer_with
from loragrid.inference.protocol import Decoding, generate
from loragrid.models.adapters import name_base_model, save_adapter, save_model
from loragrid.models.hub import stage
from loragrid.models.loading import load_base_model, load_trained
from loragrid.models.merging import write_merged
from loragrid.models.usage import asking_of, kept_asking_of
from loragrid.runtime.pretrained import load_tokenizer
from loragrid.training.methods import BESIDE_WEIGHTS, parse_training

REPOSITORY = Path(__file__).parents[3]
CHATML = "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
DATED = "Today is {{ strftime_now('%d %B %Y') }}.\n" + CHATML
FORMATS = {
    "the tokenizer's own chat template": {},
    "a system prompt": {"system_prompt": 'Be brief. It\'s "late".'},
    "a chat template of one's own": {"chat_template": CHATML.replace("<|im_start|>", "<|im_start|>the ")},
    "a chat template without a system turn": {
        "chat_template": "{% for message in messages %}{% if message['role'] == 'system' %}{{ raise_exception('no') }}{% endif %}"
        + CHATML.partition("%}")[2],
        "system_prompt": "Be brief.",
    },
    "a chat template that takes parts": {"chat_template": CHATML.replace("message['content']", "message['content'][0]['text']")},
    "a chat template that tells the day": {"chat_template": DATED, "date": "2025-02-01"},
    "arguments of a chat template": {"chat_template": "{{ mood }}" + CHATML, "chat_template_arguments": {"mood": "calm"}},
    "a chat template that cannot begin answers": {"chat_template": CHATML.partition("{% if add")[0]},
    "alpaca": {"prompt_format": "alpaca"},
    "alpaca_short": {"prompt_format": "alpaca_short"},
    "plain": {"prompt_format": "plain"},
    "a template of one's own": {
        "prompt_format": "mine",
        "template": "{# mine #}\n{% if system_prompt %}\n  [{{ system_prompt }}]\n{% endif %}\n  {% if input %}{{ input | trim }}\n  {% endif %}\nQ: {{ instruction }}\nA: \n",
        "system_prompt": "It's",
    },
    "a template that the workflow writes otherwise": {
        "prompt_format": "mine",
        "template": "{{ 1 > 0 }}, {{ instruction }}|{{ input }}=",
    },
}
UNWRITTEN = ("a chat template that cannot begin answers", "a template that the workflow writes otherwise")
"""Formats that no chat template writes."""


def settings_of(name):
    how = {"prompt_format": "auto"} | FORMATS[name]
    if how["prompt_format"] not in ("auto", "chat", "mine"):
        how["template"] = (REPOSITORY / str(prompt_template(how["prompt_format"]))).read_text()
    return ModelSettings.model_validate({"dtype": "float32"} | how)


@pytest.fixture(scope="module")
def base_model(tmp_path_factory):
    """A random Llama with a tokenizer of bytes, which begins texts with a token."""
    folder = tmp_path_factory.mktemp("models") / "base"
    make_model("llama", eos_token_id=2, bos_token_id=1).save_pretrained(folder)
    letters = {
        token: number
        for number, token in enumerate(["<s>", "</s>", "<|im_start|>", "<|im_end|>", *sorted(ByteLevel.alphabet())], 1)
    }
    tokenizer = Tokenizer(BPE(letters, []))
    tokenizer.pre_tokenizer, tokenizer.decoder = ByteLevel(add_prefix_space=False), ByteLevelDecoder()
    tokenizer.post_processor = TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    special = {"bos_token": "<s>", "eos_token": "</s>", "additional_special_tokens": ["<|im_start|>", "<|im_end|>"]}
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, chat_template="{{ bos_token }}" + CHATML, **special).save_pretrained(
        folder
    )
    return folder


@pytest.fixture(scope="module")
def project(base_model, tmp_path_factory):
    """A folder with the tiny model, a LoRA adapter and a fine-tuned copy of it, as results lie."""
    folder = tmp_path_factory.mktemp("project")
    results = folder / "results"
    (results / "models").mkdir(parents=True)
    (results / "models/tiny").symlink_to(base_model)
    adapter, whole = (results / f"{kind}/echo/gold/tiny/run" for kind in ("adapters", "finetuned"))
    base = load_base_model(base_model, "float32")
    model = parse_training({"method": "lora", "rank": 2}).make_trainable(base, 1)
    torch.manual_seed(1)
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            weight.data.normal_(0, 0.3)
    for kind in (adapter, whole):
        kind.mkdir(parents=True)
    save_adapter(model, adapter)
    name_base_model(adapter / "adapter_config.json", base_model, "results/models/tiny")
    changed = load_base_model(base_model, "float32")
    for weight in changed.parameters():
        weight.data += 0.02 * torch.randn_like(weight)
    save_model(changed, AutoTokenizer.from_pretrained(base_model), whole, torch.float32)
    return folder


def manifest(settings, method):
    run = {
        "base_model": "tiny",
        "task": "echo",
        "sample_type": "gold",
        "mix": "target_only",
        "nb_samples": 8,
        "config": "c",
        "loss_computation": "completion",
        "seed": 1,
    }
    return {
        "run": run,
        "config": {"method": method},
        "model": settings.model_dump(),
        "tokenizer": "results/models/tiny",
        "seeds": {},
        "fingerprints": {},
        "examples": {"train": 8, "validation": 3},
        "steps": 4,
        "tokens": 1234,
        "training_s": 5.0,
        "trainable_parameters": 99,
        "processes": 1,
        "hardware": {"device": "cpu", "dtype": "float32"},
        "versions": {},
    }


@pytest.fixture
def described(project, monkeypatch, tmp_path):
    """Write the card of a trained model, and say what the model answers here."""
    monkeypatch.chdir(project)
    base = Path("results/models/tiny")

    def describe(name, kind):
        settings, trained = settings_of(name), Path(f"results/{kind}/echo/gold/tiny/run")
        facts = manifest(settings, "full" if kind == "finetuned" else "lora")
        told = CardSettings.model_validate({"version": 3, "source": {"path": "/somewhere/tiny"}, "kinds": {}})
        template = load_tokenizer(trained if kind == "finetuned" else base).chat_template
        table = pd.DataFrame(
            columns=[
                "task",
                "sample_type",
                "prompting",
                "prompt_variant",
                "decoding",
                "run",
                "scorer",
                "metric",
                "value",
                "status",
            ]
        )
        monkeypatch.setattr("loragrid.analysis.model_cards._evaluations", lambda *_: [])
        (trained / "README.md").write_text(model_card(facts, told, table, asking_of(base, facts), template))
        (trained / "manifest.json").write_text(json.dumps(facts))
        return trained

    def answer(name, trained, question, text):
        renderer = load_renderer(base, settings_of(name))
        weights = trained / ("model.safetensors" if (trained / "model.safetensors").exists() else "adapter_model.safetensors")
        model = load_trained(load_base_model(base, "float32"), weights, "float32")
        ask = answer_with(model, renderer, end_tokens(renderer, base), 4096)
        [[found]] = generate(ask, [render(renderer, Request(question, text), None, 512)], Decoding(max_new_tokens=12), None)
        return found.text

    return describe, answer


def run_snippet(folder, question, text, monkeypatch):
    """What the code of a card says, run as it is written, but for the texts and the length of the answer."""
    [code] = re.findall(r"```python\n(.*?)```", (folder / "README.md").read_text(), re.DOTALL)
    code = code.replace("'What is the capital of France?'", repr(question)).replace("text = ''", f"text = {text!r}")
    code = code.replace("max_new_tokens=256", "max_new_tokens=12")
    names = {}
    monkeypatch.chdir(folder)
    exec(compile(code, "README.md", "exec"), names)
    return names["answer"]


ASKED = (("Name a colour.", ""), ("Which word is the longest?", "a bb\n\nccc "))


@pytest.mark.parametrize(
    ("name", "kind"),
    [*((name, "adapters") for name in FORMATS), *((name, "finetuned") for name in ("alpaca", "a system prompt"))],
)
def test_code_of_a_card_gives_the_answers_that_the_model_gave(name, kind, described, monkeypatch, capsys):
    describe, answer = described
    trained = describe(name, kind)
    expected = [answer(name, trained, *asked) for asked in ASKED]
    assert len({*expected}) == 2
    folder = trained.absolute()
    for asked, one in zip(ASKED, expected, strict=True):
        assert run_snippet(folder, *asked, monkeypatch) == one
        assert one in capsys.readouterr().out


@pytest.mark.parametrize(
    "name", ["the tokenizer's own chat template", "alpaca", "a chat template that tells the day", *UNWRITTEN]
)
def test_merged_model_has_a_card_of_its_own_and_the_chat_template_of_its_training_or_none(name, described, monkeypatch, tmp_path):
    describe, answer = described
    adapter = describe(name, "adapters")
    merged = tmp_path / "merged"
    write_merged(
        Path("results/models/tiny"),
        adapter / "adapter_model.safetensors",
        adapter / "manifest.json",
        adapter / "README.md",
        merged,
        1,
    )
    expected = [answer(name, adapter, *asked) for asked in ASKED]
    card = (merged / "README.md").read_text()
    assert "library_name: transformers" in card
    assert "peft" not in card.partition("## Training")[0]
    assert "A copy, with an adapter merged into it, of `tiny`" in card
    # What is shipped needs no template in the code.
    assert "tokenizer.chat_template" not in card
    tokenizer = AutoTokenizer.from_pretrained(merged)
    assert (tokenizer.chat_template is None) == (name in UNWRITTEN)
    for asked, one in zip(ASKED, expected, strict=True):
        assert run_snippet(merged, *asked, monkeypatch) == one


def test_whole_model_is_uploaded_with_the_chat_template_of_its_training(described, tmp_path):
    describe, _ = described
    trained = describe("alpaca", "finetuned")
    assert "<|im_start|>" in AutoTokenizer.from_pretrained(trained).chat_template
    stage(trained, tmp_path / "staged", None)
    staged = AutoTokenizer.from_pretrained(tmp_path / "staged")
    text = staged.apply_chat_template([{"role": "user", "content": "Name a colour."}], tokenize=False)
    assert text.endswith("### Instruction:\nName a colour.\n\n### Response:\n")
    assert not (tmp_path / "staged/manifest.json").exists()


def test_methods_that_are_no_change_of_weights_are_those_of_the_library():
    from peft.mapping import PEFT_TYPE_TO_TUNER_MAPPING

    beside = {
        config.__name__
        for kind, config in peft.PEFT_TYPE_TO_CONFIG_MAPPING.items()
        if issubclass(config, peft.PromptLearningConfig) or not hasattr(PEFT_TYPE_TO_TUNER_MAPPING.get(kind), "merge_and_unload")
    }
    assert beside == BESIDE_WEIGHTS
    assert not parse_training({"method": "prompt_tuning"}).merges
    assert not parse_training({"method": "peft", "config_class": "PrefixTuningConfig"}).merges
    assert parse_training({"method": "peft", "config_class": "IA3Config"}).merges
    assert parse_training({"method": "full"}).merges


def test_what_cards_say_of_asking_is_found_once_for_all_runs_of_a_base_model(described, monkeypatch):
    base, facts = Path("results/models/tiny"), manifest(settings_of("alpaca"), "lora")
    found = kept_asking_of(base, facts, base)
    [kept] = Path("results/.state/askings").glob("*.json")
    with monkeypatch.context() as without:
        without.delattr("loragrid.models.usage.load_renderer")
        again = kept_asking_of(base, facts, base)
    assert again[1] == found[1]
    assert json.dumps(again[0]._asdict()) == json.dumps(found[0]._asdict())
    kept.write_text("{")
    assert kept_asking_of(base, facts, base) == found
    other = shutil.copytree(base, "results/models/other")
    Path(other, "chat_template.jinja").write_text("{{ messages }}")
    assert kept_asking_of(base, facts, Path(other))[1] == "{{ messages }}"
