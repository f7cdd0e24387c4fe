import itertools
from pathlib import Path

import pytest

from loragrid import layout
from loragrid.layout import BASE, Dataset, Evaluation, Files, Run

ODD_NAMES = ["a", "0", "n4", "seed1", "a_b", "a.b-c_d", "base", "full", "A1.2"]
VALUES = {
    "task": "t_1",
    "sample_type": "s.t",
    "base_model": "m-1b",
    "mix": "n4",
    "nb_samples": "16",
    "mix_seed": "0",
    "run": "t__s__n4__n4__c__completion__seed0",
    "variant": "~few~default~warm",
    "scorer": "rouge",
    "prompting": "few",
    "of_split": "~validation",
    "evaluation": "people",
    "annotator": "ann",
    "package": "a-b.c==1.0",
    "kind": "tar.gz",
}


def all_files() -> dict[str, Files]:
    return {name: files for name, files in vars(layout).items() if isinstance(files, Files)}


@pytest.mark.parametrize(("task", "mix", "config"), itertools.product(ODD_NAMES, repeat=3))
def test_name_of_a_run_tells_the_run(task, mix, config):
    run = Run("m", task, "s", mix, 0, config, "full", 10)
    assert Run.parse(run.name, "m") == run


@pytest.mark.parametrize("name", [BASE, "gpt-4", "a__b", "t__s__m__4__c__full__seed1", "t__s__m__n04__c__full__seed1", "t__s"])
def test_name_of_something_else_is_no_run(name):
    assert Run.parse(name) is None


@pytest.mark.parametrize(
    "asked",
    [
        (),
        ("few",),
        ("zero_shot", "other"),
        ("zero_shot", "default", "warm"),
        ("few", "v.1", "warm"),
        ("few", "default"),
        ("few", "default", "validation"),
        ("zero_shot", "default", "greedy", "validation"),
        ("few", "v.1", "warm", "validation"),
    ],
)
def test_place_of_predictions_tells_who_was_asked_what_and_how(asked):
    evaluation = Evaluation("m", "t", "s", "t__s__x__n4__c__full__seed1", *asked)
    assert Evaluation.of_place(evaluation.place) == evaluation
    assert Evaluation.from_wildcards(evaluation.wildcards) == evaluation
    of_predictions = layout.PREDICT.path("predictions", evaluation.wildcards)
    assert Evaluation.of_predictions(of_predictions) == evaluation
    of_scores = layout.SCORE.path("scores", evaluation.wildcards | {"scorer": "rouge"})
    assert Evaluation.of_scores(of_scores) == evaluation


def test_usual_way_of_asking_adds_nothing_to_the_name():
    assert Evaluation("m", "t", "s", BASE).place == "t/s/m/base"
    assert Evaluation("m", "t", "s", BASE, "few").place == "t/s/m/base~few~default"


def test_split_that_is_asked_follows_the_way_of_asking():
    asked = Evaluation("m", "t", "s", BASE, split="validation")
    assert asked.place == "t/s/m/base~zero_shot~default~greedy~validation"
    assert asked.asked_file == "results/datasets/t/s/validation.jsonl"
    assert Evaluation("m", "t", "s", BASE).asked_file == "results/datasets/t/s/test.jsonl"
    assert layout.PREDICT.wildcards("predictions", "results/predictions/t/s/m/base~zero_shot~default~greedy~train.jsonl") is None


@pytest.mark.parametrize("name", sorted(all_files()))
def test_path_of_every_output_tells_the_wildcards_of_its_job(name):
    files = all_files()[name]
    for output, pattern in files.outputs.items():
        wildcards = {key: value for key, value in VALUES.items() if f"{{{key}}}" in pattern}
        path = files.path(output, VALUES)
        assert path.startswith("results/")
        assert files.wildcards(output, path) == wildcards
        # As the local copy of a storage.
        assert files.wildcards(output, f".snakemake/storage/fs/{path}") == wildcards
        assert files.wildcards(output, f"{path}.other") is None


def test_no_two_outputs_of_rules_that_make_other_things_share_a_name():
    apart = {name: files for name, files in all_files().items() if name not in ("IMPORT_PREDICTIONS", "PREDICT_BASELINE")}
    paths = [files.path(output, VALUES) for files in apart.values() for output in files.outputs]
    assert len(paths) == len(set(paths))


def test_data_set_is_told_from_any_of_its_files():
    assert Dataset.of("results/datasets/t/s/test.jsonl") == Dataset("t", "s")
    assert Dataset.of("results/datasets/t/s/test.jsonl").name == "t/s"


def test_files_tell_what_they_are_about():
    assert layout.mix_name(layout.MAKE_MIX.path("train", VALUES)) == "t_1/s.t/n4/n16-seed0"
    assert layout.model_of_tokens(layout.TOKENISE.path("tokens", VALUES)) == VALUES["base_model"]
    assert layout.model_of_check(layout.CHECK.path("check", VALUES)) == (VALUES["base_model"], VALUES["run"])
    expected = {name: VALUES[name] for name in ("task", "sample_type", "base_model", "run")}
    for files, output in ((layout.TRAIN, "losses"), (layout.TRAIN_FULL, "manifest")):
        assert layout.trained_model(files.path(output, VALUES)) == expected


def test_files_of_an_output_are_found_by_any_of_its_wildcards(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    wanted, other = (layout.SCORE.path("scores", VALUES | {"scorer": name}) for name in ("rouge", "rouge2"))
    deeper = layout.RESULTS + "/scores/t/s/m/r/deeper/rouge.jsonl"
    for path in map(Path, (wanted, other, deeper)):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    assert [path.as_posix() for path in layout.SCORE.find("scores", scorer="rouge")] == [wanted]
    assert {path.as_posix() for path in layout.SCORE.find("scores")} == {wanted, other}


def test_outputs_without_wildcards_stand_in_other_folders_under_the_same_names():
    assert layout.DESCRIBE_DATA.below("elsewhere")["lengths"] == Path("elsewhere/tables/lengths.csv")
    stored = layout.ANALYSE.below(".snakemake/storage/fs/results")
    assert layout.ANALYSE.named(reversed(stored.values())) == stored
