"""A scorer is one file: what is put into the package's folder is known everywhere."""

import json
import subprocess
import sys
from shutil import copytree, ignore_patterns

import pytest
import yaml

from projects import REPOSITORY

SCORER = '''"""The scorer `vowels`."""

import math
from typing import Literal

from pydantic import Field

from loragrid.scoring.protocol import Scored
from loragrid.scoring.scorer import ScorerSettings


class VowelScorer(ScorerSettings):
    """The share of vowels in an answer's letters, 0 to 1: of each example, and over all of them together (`all_vowels`)."""

    type: Literal["vowels"] = Field(description="Chooses this scorer.")
    vowels: str = Field("aeiou", min_length=1, description="Which letters are vowels.")

    example_metrics = ("vowels", "missing")
    corpus_metrics = ("all_vowels",)
    low_is_good = ("missing",)
    reads_labels = True

    def build(self, inputs):
        return lambda items: [self._score(item.prediction) for item in items]

    def _score(self, text):
        found = sum(letter in self.vowels for letter in text)
        share = found / len(text)
        return Scored({"vowels": share, "missing": 1 - share}, parts={"vowels": found, "letters": len(text)})

    def label_reader(self):
        return lambda text: next((letter for letter in text if letter in self.vowels), "")

    @classmethod
    def over_all(cls, sums):
        return {"all_vowels": sums["vowels"] / sums["letters"] if sums else math.nan}

    def files(self):
        return {"vowels": self.vowels} if "/" in self.vowels else {}

    def problems(self, config):
        if self.vowels == "y":
            yield "vowels: 'y' is none."
'''

# What the workflow does with a scorer, from its configuration to its tables.
USE = """
import json
import sys

from unit.scoring.answers import prediction
from loragrid.analysis.columns import MODEL
from loragrid.analysis.reading import read_scores
from loragrid.analysis.summaries import summarise_by
from loragrid.config.load import parse_config
from loragrid.config.on_disk import missing_files
from loragrid.config.reference import configuration_text, schema_text
from loragrid.errors import UserError
from loragrid.grid.jobs import inputs, settings
from loragrid.grid.jobs.resources import is_light_score
from loragrid.grid.runs import Grid
from loragrid.layout import SCORE
from loragrid.records import write_records
from loragrid.scoring.job import Machine, ScoredFiles, score_file
from loragrid.scoring.registry import scorer_of
from loragrid.scoring.settings import ScoreSettings

raw = json.loads(sys.stdin.read())


def sentence(**changes):
    try:
        return list(missing_files(parse_config(raw | {"scorers": {"v": {"type": "vowels"} | changes}})))
    except UserError as error:
        return [str(error)]


config = parse_config(raw)
grid = Grid(config)
job = {"base_model": "m", "task": "t", "sample_type": "gold", "run": "base", "variant": "", "scorer": "v"}
told = settings.score(grid, job, version=1).model_dump()

path = inputs.score(grid, job)["predictions"]
write_records(path, [prediction("one", "aab", "x"), prediction("two", "b", "x")])
rows = score_file(
    "v", scorer_of(raw, "v"), ScoreSettings.model_validate(told), ScoredFiles("t/gold/m/base", path), list, Machine({}, 1)
)
scores = SCORE.path("scores", job)
write_records(scores, rows)
summary = summarise_by(read_scores([scores]), MODEL, {"v": config.scorers["v"].facts()})
print(
    json.dumps(
        {
            "metrics": config.metrics,
            "told": told,
            "schema": "VowelScorer" in schema_text(),
            "documented": "Which letters are vowels." in configuration_text(),
            "light": is_light_score(config, job),
            "majority": settings.predict_baseline(grid, job | {"run": "majority"}, version=1).label_scorers,
            "facts": settings.analyse(grid).model_dump()["kinds"]["v"],
            "means": dict(zip(summary["metric"], summary["mean"])),
            "sentences": [sentence(vowel="a"), sentence(vowels="y"), sentence(vowels="data/none.txt")],
        }
    )
)
"""
RAW = {
    "models": {"m": {"source": {"path": "m"}, "prompt_format": "chat"}},
    "sources": {"s": {"splits": {name: {"path": f"data/{name}.jsonl"} for name in ("train", "validation", "test")}}},
    "tasks": {
        "t": {"source": "s", "instruction": "Say it.", "input": "x", "sample_types": {"gold": {"output": "x"}}, "scorers": ["v"]}
    },
    "scorers": {"v": {"type": "vowels", "vowels": "ae"}},
    "grid": [{"base_models": ["m"], "tasks": ["t"], "sample_types": ["gold"]}],
}


@pytest.fixture(scope="module")
def used(tmp_path_factory):
    """What a copy of the workflow says that has one more scorer."""
    project = tmp_path_factory.mktemp("project")
    scripts = copytree(REPOSITORY / "workflow/scripts", project / "workflow/scripts", ignore=ignore_patterns("__pycache__"))
    (scripts / "loragrid/scoring/scorers/vowels.py").write_text(SCORER)
    for name in ("m", "data"):
        (project / name).mkdir()
    for name in ("train", "validation", "test"):
        (project / f"data/{name}.jsonl").touch()
    environment = {"PYTHONPATH": f"{scripts}:{REPOSITORY / 'tests'}", "PATH": "", "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-c", USE]
    done = subprocess.run(
        command, input=json.dumps(RAW), cwd=project, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_configuration_and_its_reference_know_it(used):
    assert used["metrics"] == ["v/vowels", "v/missing", "v/all_vowels"]
    assert used["schema"]
    assert used["documented"]
    assert used["sentences"] == [
        ["scorers.v.vowel: unknown key; did you mean 'vowels'?"],
        ["scorers.v.vowels: 'y' is none."],
        ["scorers.v.vowels: 'data/none.txt' does not exist."],
    ]


def test_its_jobs_and_those_of_baselines_are_told_of_it(used):
    assert used["told"] == {"scorer": {"type": "vowels", "vowels": "ae"}, "metrics": ["vowels", "missing"], "version": 1}
    assert used["light"]
    assert used["majority"] == [{"type": "vowels", "vowels": "ae"}]


def test_answers_are_scored_and_tables_tell_of_each_and_of_all(used):
    assert used["facts"] == {"type": "vowels", "lower_is_better": ["missing"], "worst": {"missing": None}}
    assert used["means"] == pytest.approx({"vowels": 1 / 3, "missing": 2 / 3, "all_vowels": 1 / 2})


def test_every_file_of_a_scorer_holds_one():
    from loragrid.scoring.registry import SCORERS

    files = sorted((REPOSITORY / "workflow/scripts/loragrid/scoring/scorers").glob("*.py"))
    assert sorted(scorer.__module__.rpartition(".")[2] for scorer in SCORERS.values()) == [
        file.stem for file in files if file.stem != "__init__"
    ]
    configured = yaml.safe_load((REPOSITORY / "config/config.yaml").read_text())["scorers"]
    assert {scorer["type"] for scorer in configured.values()} <= SCORERS.keys()
