"""Wrong command lines, and the sentence that each must produce."""

import re
import shlex
from pathlib import Path

import pytest

from loragrid.config.given import check_given
from loragrid.runtime.commands import ALL_OF, REMEMBERED, no_such_file, wrong_target

FILES = {
    "config/mine.yaml": "report: {title: Mine}\n",
    "config/other.yaml": "report: {title: Other}\n",
    "config/torn.yaml": "report: {title: [\n",
    "plan": "report: {title: A file with the name of a target}\n",
}

FIRST = "If a target is meant, put it before the options: snakemake"

GIVEN = {
    "a target behind --configfile": (
        "--cores 4 --configfile config/mine.yaml prunable",
        f"--configfile prunable: there is no such file. {FIRST} prunable --cores 4 --configfile config/mine.yaml",
    ),
    "two targets behind --configfile": (
        "--configfile config/mine.yaml datasets mixes --cores 4",
        f"--configfile datasets mixes: there is no such file. {FIRST} datasets mixes --configfile config/mine.yaml --cores 4",
    ),
    "a target behind --configfiles": (
        "--configfiles config/mine.yaml config/other.yaml scores -n",
        f"--configfile scores: there is no such file. {FIRST} scores --configfiles config/mine.yaml config/other.yaml -n",
    ),
    "a result behind --configfile": (
        "-c 4 --configfile config/mine.yaml results/report.html",
        f"--configfile results/report.html: there is no such file. {FIRST} results/report.html -c 4 --configfile config/mine.yaml",
    ),
    "a target and a profile": (
        "--profile slurm --configfile config/mine.yaml adapters",
        f"--configfile adapters: there is no such file. {FIRST} adapters --profile slurm --configfile config/mine.yaml",
    ),
    "a target in place of the file": (
        "--configfile merged",
        f"--configfile merged: there is no such file. {FIRST} merged",
    ),
    "words that the shell would split": (
        "--config 'title=My title' --configfile config/mine.yaml checks",
        f"--configfile checks: there is no such file. {FIRST} checks --config 'title=My title' --configfile config/mine.yaml",
    ),
    "a misspelt file": (
        "--configfile config/mien.yaml",
        "--configfile config/mien.yaml: there is no such file; did you mean 'mine.yaml'?",
    ),
    "a misspelt file, with the option's value behind a sign": (
        "--configfile=config/oter.yaml --cores 4",
        "--configfile config/oter.yaml: there is no such file; did you mean 'other.yaml'?",
    ),
    "an unlike file": (
        "--configfile config/absent.json",
        "--configfile config/absent.json: there is no such file.",
    ),
    "a file in no folder": (
        "plan --configfile konfig/mine.yaml",
        "--configfile konfig/mine.yaml: there is no such file.",
    ),
    "a folder": (
        "plan --configfile config",
        "--configfile config: there is no such file, 'config' is a folder; name the files in it.",
    ),
    "a target behind --config": (
        "--config seed=1 plan",
        f"--config plan: expected KEY=VALUE. {FIRST} plan --config seed=1",
    ),
    "a target behind -C": (
        "-C seed=1 predictions -c 2",
        f"--config predictions: expected KEY=VALUE. {FIRST} predictions -C seed=1 -c 2",
    ),
    "a file behind --config": (
        "plan --config config/mine.yaml",
        "--config config/mine.yaml: expected KEY=VALUE; a file is named by --configfile config/mine.yaml",
    ),
    "a setting with a colon": (
        "plan --config report:title",
        f"--config report:title: expected KEY=VALUE. {FIRST} report:title plan",
    ),
}

TARGETS = {"adapters", "checks", "datasets", "mixes", "partial_report", "plan", "predictions", "prunable", "prune", "scores"}
RULES = TARGETS | {"train", "train_full", "predict", "score", "prepare_dataset", "import_model"}

ASKED = {
    "a misspelt target": ("plam", "'plam': there is no such target; did you mean 'plan'?"),
    "a target in the singular": ("adapter", "'adapter': there is no such target; did you mean 'adapters'?"),
    "a target with a dash": ("partial-report", "'partial-report': there is no such target; did you mean 'partial_report'?"),
    "a target that is like none": (
        "everything",
        "'everything': there is no such target; known: adapters, checks, datasets, mixes, partial_report, plan, predictions, "
        "prunable, prune, scores.",
    ),
    "the rule of trainings": (
        "train",
        "'train' makes one file at a time; ask for all of them by snakemake adapters --cores 2 --configfile config/mine.yaml",
    ),
    "the rule of predictions": (
        "predict",
        "'predict' makes one file at a time; ask for all of them by snakemake predictions --cores 2 --configfile config/mine.yaml",
    ),
    "the rule of data sets": (
        "prepare_dataset",
        "'prepare_dataset' makes one file at a time; ask for all of them by snakemake datasets --cores 2 --configfile config/mine.yaml",
    ),
    "a rule that no target gathers": ("import_model", "'import_model' makes one file at a time; ask for one of its files"),
    "a right one and a wrong one": ("plan scorse", "'scorse': there is no such target; did you mean 'scores'?"),
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(("typed", "sentence"), GIVEN.values(), ids=GIVEN.keys())
def test_what_was_typed_is_refused_with_one_sentence(folder, typed, sentence):
    with pytest.raises(SystemExit, match=f"^{re.escape(sentence)}$"):
        check_given(shlex.split(typed))


def test_slip_in_a_given_file_is_told_before_snakemake_reads_it(folder):
    with pytest.raises(SystemExit, match=r"^config/torn\.yaml, line 2, column 1: "):
        check_given(["plan", "--configfile", "config/mine.yaml", "config/torn.yaml"])


def test_what_a_screen_would_obey_is_spelled(folder):
    with pytest.raises(SystemExit, match=r"^--config: 'a\\x1b\[2J\\u202e' is no key of the configuration\.$"):
        check_given(["plan", "--config", "a\x1b[2J\u202e=1"])


@pytest.mark.parametrize(
    "typed",
    [
        "plan --cores 4 --configfile config/mine.yaml config/other.yaml",
        "--configfile config/mine.yaml --cores 4 plan",
        "--configfile=config/mine.yaml plan",
        "--config seed=1 name= --cores 4 -- plan",
        "--configfile plan",
        "--cores 4",
    ],
)
def test_what_is_right_passes(folder, typed):
    check_given(typed.split())


@pytest.mark.parametrize(("asked", "sentence"), ASKED.values(), ids=ASKED.keys())
def test_what_is_no_target_is_told_with_what_could_be_meant(monkeypatch, asked, sentence):
    monkeypatch.setenv(REMEMBERED, "snakemake --cores 2 --configfile config/mine.yaml")
    assert wrong_target(asked.split(), TARGETS, RULES) == sentence


def test_file_that_no_job_makes_is_told_with_what_could_be_meant(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("results/scores").mkdir(parents=True)
    Path("results/scores/rouge.jsonl").touch()
    said = "'{}': with this configuration, no job makes such a file; "
    for path, hint in {
        "results/scores/rogue.jsonl": "beside it is 'rouge.jsonl'.",
        "results/none/rogue.jsonl": "docs/results.md says how files are called.",
        "results/scores/rouge.jsonl": "docs/results.md says how files are called.",
        "results/experiments/mine/report.html": "files of the experiment 'mine' need its --configfile, "
        "and have the names in docs/results.md.",
    }.items():
        assert no_such_file(path) == said.format(path) + hint
    assert no_such_file("results/scores") == "'results/scores' is a folder; name a file in it, or one of the targets (README.md)."


def test_misspelt_rule_of_one_job_is_told_too():
    assert wrong_target(["trian"], ["plan", "adapters"], ["plan", "adapters", "train"]).endswith("; did you mean 'train'?")


def test_each_gathering_target_is_one_of_the_workflow():
    declared = Path("Snakefile").read_text()
    assert all(f"\nrule {target}:\n" in declared for target in ALL_OF.values())
