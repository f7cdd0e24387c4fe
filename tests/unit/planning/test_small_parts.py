"""What the plan says of parts of data sets that are too small."""

import json

import pytest

from loragrid.config.load import parse_config
from loragrid.grid.runs import Grid
from loragrid.layout import PREPARE_DATASET, Dataset
from loragrid.planning.small_parts import describe_small_parts

HEADING = ["", "Parts of data sets that are smaller than asked, or may be too small:"]


@pytest.fixture
def grid(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    task = {
        "source": "words",
        "instruction": "Say it.",
        "input": "{{ word }}",
        "sample_types": {"s": {"output": "x"}},
        "scorers": ["em"],
    }

    def make(rows, **split):
        return Grid(
            parse_config(
                {
                    "models": {"m": {"source": {"path": "m"}}},
                    "sources": {"words": {"splits": {"all": {"path": "all.csv", "rows": rows}}, "split": split}},
                    "tasks": {"t": task},
                    "scorers": {"em": {"type": "exact_match"}},
                    "grid": [{"base_models": ["m"], "tasks": ["t"], "sample_types": ["s"]}],
                }
            )
        )

    return make


def prepared(cut, **examples):
    manifest = PREPARE_DATASET.path("manifest", Dataset("t", "s").wildcards)
    from pathlib import Path

    Path(manifest).parent.mkdir(parents=True)
    Path(manifest).write_text(json.dumps({"examples": examples} | cut))


def test_plan_says_what_a_share_may_come_to(grid):
    assert describe_small_parts(grid(60, validation=0.1, test_per_task=20)) == [
        *HEADING,
        "  t/s: validation: a share of 0.1 of 60 rows may be 1 to 11; `split: {exact: true}` cuts 6",
    ]
    assert describe_small_parts(grid(60, validation=0.1, test=0.5, exact=True)) == []
    assert describe_small_parts(grid(9000, validation=0.1, test=0.1)) == []


def test_plan_says_what_came_of_it_once_the_data_set_is_prepared(grid):
    prepared({"cut": {"validation": {"asked": 0.1, "of": 60, "rows": 2}}}, train=46, validation=2, test=12)
    assert describe_small_parts(grid(60, validation=0.1, test_per_task=12)) == [
        *HEADING,
        "  t/s: validation: 2 of 60 rows (0.0333) for a share of 0.1: less than half of what was asked; for data that will not grow, "
        "`split: {exact: true}` cuts 6",
        "  t/s: validation: 2 examples, too few to tell when training should end",
        "  t/s: test: 12 examples, too few to conclude from: a share of right answers is known to ± 0.28 at best",
    ]


def test_manifest_of_an_earlier_version_says_less(grid):
    prepared({}, train=46, validation=2, test=40)
    assert describe_small_parts(grid(60, validation=0.1, test_per_task=12)) == []
