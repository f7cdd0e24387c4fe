"""What the plan says of training examples that a test set holds."""

import json

import pytest

from loragrid.config.load import parse_config
from loragrid.grid.runs import Grid
from loragrid.layout import DECONTAMINATE, PREPARE_DATASET, Dataset
from loragrid.planning.left_out import describe_left_out


@pytest.fixture
def grid(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    files = {split: {"path": f"{split}.jsonl"} for split in ("train", "validation", "test")}
    task = {
        "source": "words",
        "instruction": "Say it.",
        "input": "{{ word }}",
        "sample_types": {"s": {"output": "{{ word }}"}},
        "scorers": ["rouge"],
    }
    block = {"base_models": ["m"], "tasks": ["t"], "sample_types": ["s"], "nb_samples": [4, 16], "configs": ["lora"]}

    def make(**recipe):
        return Grid(
            parse_config(
                {
                    "models": {"m": {"source": {"path": "m"}}},
                    "sources": {"words": {"splits": files}},
                    "tasks": {"t": task, "u": task},
                    "mixes": {"both": {"recipe": "fractional", "tasks": ["t", "u"], "nb_others": 5} | recipe},
                    "configs": {"lora": {}},
                    "scorers": {"rouge": {"type": "rouge"}},
                    "grid": [block | {"mixes": ["both"]}],
                }
            )
        )

    return make


def prepare(tmp_path, task, train, leaks):
    of_data = Dataset(task, "s").wildcards
    manifest, found = (
        tmp_path / files.path(name, of_data) for files, name in ((PREPARE_DATASET, "manifest"), (DECONTAMINATE, "leaks"))
    )
    manifest.parent.mkdir(parents=True)
    manifest.write_text(json.dumps({"examples": {"train": train}}))
    found.write_text(json.dumps({"validation": {}} | leaks))


def test_nothing_is_known_before_data_sets_are_compared(grid):
    assert describe_left_out(grid()) == [
        "",
        "2 data sets not compared with the test sets yet; this does it: snakemake mixes --cores 1",
    ]


LEAKS = {"train": {"1": ["t/s"], "2": ["u/s", "t/s"]}, "by_output": {"train": {"3": ["v/s"]}}}


def test_plan_counts_what_mixes_leave_out_and_why_and_says_which_then_lack_examples(grid, tmp_path):
    prepare(tmp_path, "t", 17, LEAKS)
    prepare(tmp_path, "u", 100, {"train": {}})
    assert describe_left_out(grid()) == [
        "",
        "Training examples that no mix takes, because a test set holds them too:",
        "  t/s: 2 of 17 (same question: 2)",
        "    held by t/s, u/s",
        "",
        "mix both, n16, of t/s: 16 of t asked for, 15 left",
    ]
    assert describe_left_out(grid(leaks_by_output=True))[2:] == [
        "  t/s: 3 of 17 (same output: 1, same question: 2)",
        "    held by t/s, u/s and 1 more",
        "",
        "mix both, n16, of t/s: 16 of t asked for, 14 left",
    ]


def test_plan_says_nothing_where_nothing_is_left_out(grid, tmp_path):
    for task in "tu":
        prepare(tmp_path, task, 50, {"train": {}})
    assert describe_left_out(grid()) == []
