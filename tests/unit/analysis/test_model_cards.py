import pandas as pd
import pytest
import yaml

from loragrid.analysis.model_cards import model_card
from loragrid.analysis.settings import CardSettings
from loragrid.training.methods import LoraTraining

MANIFEST = {
    "run": {
        "base_model": "tiny",
        "task": "echo",
        "sample_type": "gold",
        "mix": "target_only",
        "nb_samples": 8,
        "config": "lora",
        "loss_computation": "completion",
        "seed": 1,
    },
    "config": LoraTraining(rank=3).model_dump(),
    "tokenizer": "results/models/tiny",
    "seeds": {"adapter_init": 1, "data_order": 2, "mix": 3},
    "fingerprints": {"model": "ab" * 32},
    "examples": {"train": 8, "validation": 3},
    "steps": 4,
    "tokens": 1234,
    "training_s": 5.0,
    "trainable_parameters": 99,
    "processes": 1,
    "hardware": {"device": "cpu", "dtype": "float32"},
    "versions": {"torch": "2"},
}
FACTS = {
    "rouge": {"type": "rouge", "lower_is_better": [], "worst": {}},
    "usual": {"type": "perplexity", "lower_is_better": ["perplexity"], "worst": {"perplexity": None}},
    "topic": {"type": "label", "lower_is_better": [], "worst": {}},
}


def settings(source):
    return CardSettings.model_validate({"version": 2, "source": source, "kinds": FACTS})


def scores(run, values):
    asked = {"task": "echo", "sample_type": "gold", "prompting": "zero_shot", "prompt_variant": "default", "decoding": "greedy"}
    scored = asked | {"run": run, "scorer": "rouge", "metric": "rougeL", "parts": {}, "status": "ok", "truncated": []}
    return pd.DataFrame([scored | {"id": str(i), "value": v} for i, v in enumerate(values)])


@pytest.fixture
def card():
    table = pd.concat([scores("base", [0.0, 0.5]), scores("echo__n8", [1.0, 0.5, None])])
    return model_card(MANIFEST, settings({"hub": "owner/tiny", "revision": "1"}), table)


def test_card_has_the_metadata_that_a_hub_reads(card):
    _, metadata, _ = card.split("---\n", 2)
    read = yaml.safe_load(metadata)
    assert read["base_model"] == "owner/tiny"
    assert read["library_name"] == "peft"
    [result] = read["model-index"][0]["results"]
    assert result["dataset"]["type"] == "echo/gold"
    assert result["metrics"] == [{"type": "rouge/rougeL", "name": "rouge/rougeL", "value": 0.5}]


def test_card_shows_data_settings_and_scores_beside_those_of_the_base_model(card):
    assert "| echo/gold | zero_shot, default, greedy | rouge/rougeL | 0.250 | 0.500 ± 0.289 | 3 |" in card
    assert "8 training examples of mix `target_only`" in card
    assert "| rank | 3 |" in card
    assert "| seed of data order | 2 |" in card
    assert "PeftModel.from_pretrained(base, '.')" in card


def test_card_lists_its_target_first_and_says_what_the_others_are(card):
    assert "what carries over" not in card
    other = pd.concat([scores("base", [0.0, 0.5]), scores("echo__n8", [1.0, 0.5])]).assign(task="another")
    both = model_card(MANIFEST, settings({"path": "tiny"}), pd.concat([other, scores("echo__n8", [1.0])]))
    assert both.index("| echo/gold |") < both.index("| another/gold |")
    assert "It was trained for echo/gold. Other tasks show what carries over; other sample types are other references." in both


def test_card_of_a_whole_model_is_used_without_peft():
    manifest = MANIFEST | {"config": {"method": "full"}}
    card = model_card(manifest, settings({"path": "models/tiny"}), scores("echo__n8", [1.0]))
    assert "peft" not in card
    assert "AutoModelForCausalLM.from_pretrained('.', dtype='float32')" in card
    assert "base_model:" not in card


def test_means_are_those_of_the_tables():
    rows = scores("echo__n8", [10.0, None, 20.0, 40.0]).assign(scorer="usual", metric="perplexity", id=["a", "b", "c", "c"])
    labels = scores("echo__n8", [1.0, 0.0]).assign(scorer="topic", metric="accuracy", parts=[{"tp/x": 1.0}, {"fn/y": 1.0}])
    card = model_card(MANIFEST, settings({"path": "tiny"}), pd.concat([rows, labels, rows.assign(run="base", value=None)]))
    # The failure has no worst value, two answers to one example are one, and no answer of the base model has a value.
    assert "| usual/perplexity | – | 20.000 ± 10.000 | 2 |" in card
    assert "| topic/macro_f1 | – | 0.500 ± 0.500 | 2 |" in card
