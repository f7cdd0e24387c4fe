"""How results came about: circumstances, and test examples that mixes and prompts hold."""

import json

import pytest

from loragrid.analysis.provenance import circumstances_of, leaking_mixes, leaking_prompts, missing_answers
from loragrid.records import write_records
from loragrid.runtime.files import write_json


def test_circumstances_count_the_files_that_were_computed_here(tmp_path):
    facts = {"git_commit": "c", "versions": {"python": "3"}}
    for name, more in (("a", {"hardware": "h"}), ("b", {"hardware": "h"}), ("imported", {})):
        (tmp_path / name).write_text(json.dumps(facts | more))
    assert circumstances_of(sorted(tmp_path.iterdir())) == [facts | {"hardware": "h", "files": 2}]


def test_mix_that_holds_test_examples_is_named_with_the_test_sets(tmp_path, make_example):
    leaks = tmp_path / "leaks.json"
    leaks.write_text('{"train": {"1": ["t/s", "u/s"], "2": ["t/s"], "9": ["t/s"]}, "validation": {}}')
    clean, leaking = tmp_path / "clean/train.jsonl", tmp_path / "leaking/train.jsonl"
    write_records(clean, [make_example("3")])
    write_records(leaking, [make_example("1"), make_example("2"), make_example("3")])
    assert leaking_mixes([leaks], [clean, leaking]) == [{"mix": str(leaking), "tests": ["t/s (2)", "u/s (1)"]}]


def test_mix_that_trains_on_examples_by_which_ways_are_chosen_is_named_and_may_validate_on_them(tmp_path, make_example):
    leaks = tmp_path / "leaks.json"
    leaks.write_text('{"train": {"1": ["t/s (validation)"]}, "validation": {"2": ["u/s"]}}')
    parts = {part: tmp_path / f"{part}.jsonl" for part in ("train", "validation")}
    write_records(parts["train"], [make_example("1")])
    write_records(parts["validation"], [make_example("1"), make_example("2")])
    assert leaking_mixes([leaks], parts.values()) == [
        {"mix": str(parts["train"]), "tests": ["t/s (validation) (1)"]},
        {"mix": str(parts["validation"]), "tests": ["u/s (1)"]},
    ]


@pytest.mark.parametrize("by_output", [False, True])
def test_outputs_of_a_test_set_count_in_mixes_that_leave_them_out(tmp_path, make_example, by_output):
    leaks = tmp_path / "leaks.json"
    leaks.write_text('{"train": {}, "validation": {}, "by_output": {"train": {"1": ["t/s"]}}}')
    write_records(tmp_path / "train.jsonl", [make_example("1"), make_example("2")])
    (tmp_path / "manifest.json").write_text(json.dumps({"recipe": {"leaks_by_output": True} if by_output else {}}))
    assert bool(leaking_mixes([leaks], [tmp_path / "train.jsonl"])) is by_output


def test_demonstrations_that_their_own_test_set_holds_are_named(tmp_path):
    leaks = tmp_path / "datasets/t/s/leaks.json"
    leaks.parent.mkdir(parents=True)
    leaks.write_text('{"train": {"1": ["t/s"], "2": ["u/s"]}, "validation": {}, "by_output": {"train": {"3": ["t/s"]}}}')
    shown = tmp_path / "demonstrations/t/s/near.json"
    shown.parent.mkdir(parents=True)
    shown.write_text('{"a": ["2", "1"], "b": ["3", "2"], "c": ["1", "3"]}')
    assert leaking_prompts([leaks], [shown]) == [{"file": str(shown), "prompts": 2, "of": 3}]
    shown.write_text('{"a": ["2"]}')
    assert leaking_prompts([leaks], [shown]) == []


def test_demonstrations_for_validation_examples_are_compared_with_these(tmp_path):
    leaks = tmp_path / "results/datasets/t/s/leaks.json"
    leaks.parent.mkdir(parents=True)
    leaks.write_text('{"train": {"1": ["t/s"], "2": ["t/s (validation)"]}, "validation": {}}')
    shown = [tmp_path / f"results/demonstrations/t/s/near{of_split}.json" for of_split in ("", "~validation")]
    shown[0].parent.mkdir(parents=True)
    for path in shown:
        path.write_text('{"a": ["2"], "b": ["2"], "c": ["1"]}')
    assert [one["prompts"] for one in leaking_prompts([leaks], shown)] == [1, 2]


def test_predictions_made_elsewhere_that_lack_answers_are_named(tmp_path):
    axes = {"task": "t", "sample_type": "s", "base_model": "external", "run": "theirs"}
    manifest = {"axes": axes, "match": "id", "examples": 40}
    for name, more in (("whole", {}), ("gaps", {"missing": ["a", "b", "c"]})):
        write_json(tmp_path / f"{name}.json", manifest | more)
    found = missing_answers([tmp_path / "gaps.json", tmp_path / "whole.json"])
    assert found == [{"task": "t", "sample_type": "s", "run": "theirs", "missing": 3, "examples": 40}]
