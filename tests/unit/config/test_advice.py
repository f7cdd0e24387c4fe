"""What a sentence advises can be done."""

import copy
import re
from pathlib import Path

import pytest
import yaml

from loragrid.config.load import parse_config
from loragrid.config.messages import key_at
from loragrid.errors import UserError

REPOSITORY = Path(__file__).parents[3]
RAW = yaml.safe_load((REPOSITORY / "config" / "config.yaml").read_text()) | {
    "hub": {"repository": "me/{task}-{config}-{seed}-{nb_samples}"},
    "reward_models": {"r": {"source": {"hub": "me/reward", "revision": "v1"}}},
    "human_evaluations": {"people": {"tasks": ["challenge"], "criteria": {"good": {"question": "Good?"}}, "annotators": ["ann"]}},
    "external_predictions": {"theirs": {"files": [{"path": "x.jsonl", "task": "challenge", "sample_type": "manual"}]}},
    "promptings": {"few": {"type": "few_shot", "k": 2}},
    "decodings": {"warm": {"temperature": 1}},
    "seeds": {7: {"adapter_init": 1, "data_order": 2, "mix": 3}},
}  # fmt: skip
RAW["configs"] |= {
    "prompts": {"method": "prompt_tuning"}, "all": {"method": "full"}, "on": {"method": "continue", "adapter": "a"},
    "other": {"method": "peft", "config_class": "IA3Config"},
}  # fmt: skip
RAW["scorers"] |= {
    "good": {"type": "label", "labels": ["a", "b"]},
    "judged": {"type": "judge", "rubric": "both_0_10", "model": "m"},
}


def sections(value, path=()):
    """The mappings in a configuration, with the path to each."""
    if isinstance(value, dict):
        yield path
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from sections(inner, (*path, key))


def with_key(path, key):
    """What is said of the configuration with one key more."""
    raw = copy.deepcopy(RAW)
    inner = raw
    for part in path:
        inner = inner[part]
    inner[key] = inner.get(key)
    try:
        parse_config(raw)
    except UserError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("path", sections(RAW), ids=lambda path: ".".join(map(str, path)) or "top")
def test_key_that_is_advised_can_be_set(path):
    said = with_key(path, "zz_unknown")
    if "zz_unknown: unknown key" not in said:
        return  # Its keys are names.
    advised = re.search(r"; known: (.*)\.", said)[1].split(", ")
    assert advised != ["none"]
    for key in advised:
        guessed = re.search(r"did you mean '(.*)'\?", with_key(path, f"{key}x"))
        assert guessed is None or guessed[1] in advised
        assert "unknown key" not in with_key(path, key)


def test_place_of_a_key_is_known_where_sections_have_no_tag():
    assert "path" in key_at(["models", "m", "source", "PathSource"])[1]
