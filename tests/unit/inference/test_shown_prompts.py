"""How prompts look before anything is asked, and that training and prediction have the same."""

import json
import shutil
from pathlib import Path

import pytest

from loragrid.data.render import ModelSettings, load_renderer
from loragrid.data.tokens import tokenise
from loragrid.inference.prompts import ModelFiles, asked_examples, model_to_ask
from loragrid.inference.settings import PredictSettings
from loragrid.inference.shown_prompts import show_prompt
from loragrid.records import write_records

PROMPTS = Path(__file__).parents[3] / "data" / "prompts"
MISTRAL = (
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}[INST] {{ m.content }} [/INST]{% else %}"
    " {{ m.content }}{{ eos_token }}{% endif %}{% endfor %}"
)
GEMMA = (
    "{% if messages[0].role == 'system' %}{{ raise_exception('no system role') }}{% endif %}{% for m in messages %}<|im_start|>"
    "{{ 'model' if m.role == 'assistant' else m.role }}\n{{ m.content | trim }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>model\n{% endif %}"
)
CLOCK = "<|im_start|>system\n{{ strftime_now('%d %b %Y') }}<|im_end|>\n"
TURNS = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
PARTS = TURNS.replace("m.content }}", "m.content[0].text }}") + "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
FORMATS = {
    "own chat template": {},
    "with a system prompt": {"system_prompt": "Be brief."},
    "without a system turn": {"chat_template": GEMMA, "system_prompt": "Be brief."},
    "marks without tokens": {"chat_template": MISTRAL},
    "with a clock": {"chat_template": CLOCK + TURNS, "date": "2025-01-31"},
    "without a beginning of answers": {"chat_template": TURNS},
    "parts": {"chat_template": PARTS},
    "plain": {"prompt_format": "plain", "template": (PROMPTS / "plain.jinja").read_text()},
    "alpaca": {"prompt_format": "alpaca", "template": (PROMPTS / "alpaca.jinja").read_text()},
    "of a user": {"prompt_format": "mine", "template": "Q: {{ input }}\nA:\n"},
}


@pytest.fixture
def folder(tiny_model, tmp_path, monkeypatch) -> Path:
    """A model imported as `tiny`, in an empty working folder."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(tiny_model, tmp_path / "tiny")
    return tmp_path / "tiny"


def told(prompting=None, **model) -> PredictSettings:
    shown = prompting or {"type": "zero_shot"}
    axes = {"task": "t", "sample_type": "s", "base_model": "tiny", "prompting": shown["type"], "prompt_variant": "default"}
    return PredictSettings.model_validate(
        {
            "version": 1,
            "axes": axes,
            "model": {"engine": {"type": "hf"}, **model},
            "quantization": "none",
            "prompting": shown,
            "instruction": None,
            "decoding": {"max_new_tokens": 8},
            "subset": None,
        }
    )


@pytest.mark.parametrize("format_", FORMATS)
def test_training_and_prediction_have_the_same_prompt(folder, make_example, format_):
    examples = [make_example("a"), make_example("b", input="a  b\n\n<|im_end|> c", output="<|im_end|> x")]
    write_records("test.jsonl", examples)
    settings = told(**FORMATS[format_])
    model = model_to_ask("tiny", settings.model, "none", ModelFiles(model=f"{folder}/model.safetensors"), 1, "")
    asked = asked_examples(settings, model, "test.jsonl", None, None)
    renderer = load_renderer(folder, ModelSettings(**FORMATS[format_]))
    learnt = tokenise(renderer, {"train": examples}).to_pylist()
    assert [row["prompt_ids"] for row in learnt] == [one.prompts[0].prompt_ids for one in asked]
    assert [renderer.tokenizer.decode(row["answer_ids"]) for row in learnt] == [
        example.output + renderer.tokenizer.decode([renderer.end_of_turn]) for example in examples
    ]


SHOWN = """\
Prompts of t/s for tiny
prompting zero_shot, prompt variant default

format          chat
system prompt   'Be brief.'
end of turn           2  '<|im_end|>'
answers         at most 8 tokens
prompts         2 of 23 to 23 tokens

The first test example, a, and its reference as the answer to learn:
----- prompt -------------------------------------------------------------------
<|im_start|>system
Be brief.<|im_end|>
<|im_start|>user
Answer.

question a<|im_end|>
<|im_start|>assistant

----- answer -------------------------------------------------------------------
answer a
----- end of turn --------------------------------------------------------------
<|im_end|>

----- 23 tokens of the prompt --------------------------------------------------
      1  '<|im_start|>'
"""


def test_first_prompt_is_shown_with_its_tokens_and_the_place_where_the_answer_begins(folder, make_example):
    write_records("test.jsonl", [make_example("a"), make_example("b")])
    settings = told(system_prompt="Be brief.")
    show_prompt(settings, f"{folder}/tokenizer.json", "test.jsonl", None, None, "shown.txt")
    text = Path("shown.txt").read_text()
    assert text.startswith(SHOWN)
    assert text.endswith("      2  '<|im_end|>'\n")
    assert "----- 3 tokens of the answer, with the end of turn ----" in text


def test_demonstrations_are_shown_and_what_is_special_about_the_template(folder, make_example):
    write_records("test.jsonl", [make_example("a")])
    write_records("train.jsonl", [make_example("b")])
    Path("chosen.json").write_text(json.dumps({"a": ["b"]}))
    thinks = GEMMA.replace("<|im_start|>model\n{% endif", "<|im_start|>model\n<think>\n{% endif")
    settings = told(
        {"type": "few_shot", "k": 1}, chat_template=thinks + "{% set day = strftime_now('%d') %}", system_prompt="Be brief."
    )
    show_prompt(settings, f"{folder}/tokenizer.json", "test.jsonl", "train.jsonl", "chosen.json", "shown.txt")
    text = Path("shown.txt").read_text()
    assert "\n<|im_start|>user\nBe brief.\n\nAnswer.\n\nquestion b<|im_end|>\n<|im_start|>model\nanswer b<|im_end|>\n" in text
    assert "\ndate            2024-07-26\n" in text
    assert "\nno system turn  the system prompt stands at the beginning of the first question\n" in text
    assert "\nopen thought    each prompt ends inside a thought, until </think>\n" in text


def test_prompts_of_a_model_behind_a_server_are_shown_as_messages(tmp_path, monkeypatch, make_example):
    monkeypatch.chdir(tmp_path)
    write_records("test.jsonl", [make_example("a")])
    settings = told(engine={"type": "openai", "api": "chat"}, system_prompt="Be brief.")
    show_prompt(settings, None, "test.jsonl", None, None, "shown.txt")
    text = Path("shown.txt").read_text()
    assert "\ntokens          unknown: the server writes the prompt from these messages\n" in text
    assert "\n[system]\nBe brief.\n\n[user]\nAnswer.\n\nquestion a\n" in text
