import time

import pytest

from loragrid.grid.file_names import LONGEST, long_names
from loragrid.grid.impossible_jobs import unfit_repositories
from loragrid.runtime.files import write_json

LORA = {"rank": 4}


def renamed(grid_with, **lengths):
    """A grid of one run, with names of such lengths."""
    names = {axis: axis[0] * lengths.get(axis, 1) for axis in ("task", "sample_type", "mix", "config")}
    return names, grid_with(
        tasks={
            names["task"]: {
                "source": "words", "instruction": "Say it.", "input": "{{ word }}", "scorers": ["rouge"], "baselines": [],
                "sample_types": {names["sample_type"]: {"output": "{{ word }}"}},
            }
        },
        mixes={names["mix"]: {"recipe": "target_only"}},
        configs={names["config"]: LORA},
        grid=[
            {"base_models": ["m"], "tasks": [names["task"]], "sample_types": [names["sample_type"]], "mixes": [names["mix"]],
             "nb_samples": [4], "configs": [names["config"]]}
        ],
        external_predictions={}, human_evaluations={}, report={}, hub=None,
    )  # fmt: skip


def test_run_is_refused_whose_manifest_no_file_system_could_hold(make_grid, tmp_path):
    names, grid = renamed(make_grid, task=58, sample_type=50, mix=40, config=65)
    [run] = (run.name for run in grid.runs.values())
    name = f"{run}.manifest.json"
    assert list(long_names(grid)) == [
        f"grid: run '{run}' of 'm' is too long: '{name}' has {len(name)} bytes, but a file system holds names of at most 255; shorten by "
        f"{len(name) - 255} or more: config '{names['config']}' (65), task '{names['task']}' (58), sample type "
        f"'{names['sample_type']}' (50), mix '{names['mix']}' (40)."
    ]
    with pytest.raises(OSError, match="too long"):
        write_json(tmp_path / f"{run}.manifest.json", {})


def test_longest_run_that_can_be_written_is_allowed(make_grid, tmp_path):
    _, grid = renamed(make_grid, task=190)
    [run] = (run.name for run in grid.runs.values())
    spare = LONGEST - len(f"{run}.manifest.json")
    _, longest = renamed(make_grid, task=190 + spare)
    _, longer = renamed(make_grid, task=190 + spare + 1)
    assert (len(list(long_names(longest))), len(list(long_names(longer)))) == (0, 1)
    [run] = (run.name for run in longest.runs.values())
    write_json(tmp_path / f"{run}.manifest.json", {})


def test_logs_of_a_queue_have_longer_names(make_grid):
    _, grid = renamed(make_grid, task=130)
    assert list(long_names(grid)) == []
    assert "has 3" in next(long_names(grid, is_handed_on=True))


@pytest.mark.parametrize(
    ("changes", "start"),
    [
        ({"scorers": {"r" * 250: {"type": "rouge"}}}, f"scorers.{'r' * 250}: '{'r' * 250}.jsonl' has 256 bytes"),
        ({"encoders": {"e" * 250: {"source": {"path": "x"}}}}, f"encoders.{'e' * 250}: '.{'e' * 250}.partial' has 259 bytes"),
        ({"promptings": {"p" * 253: {"type": "few_shot", "k": 2}}}, f"promptings.{'p' * 253}: '{'p' * 253}.jsonl' has 259 bytes"),
        ({"external_predictions": {"x" * 250: {"files": [{"path": "a", "task": "t", "sample_type": "s"}]}}}, f"external_predictions.{'x' * 250}: "),
        ({"human_evaluations": {"h": {"tasks": ["t"], "criteria": {"good": {"question": "Good?"}}, "annotators": ["a" * 250]}}}, "human_evaluations.h.annotators: "),
        ({"human_evaluations": {"h" * 256: {"tasks": ["t"], "criteria": {"good": {"question": "Good?"}}, "annotators": ["a"]}}}, f"human_evaluations.{'h' * 256}: "),
        ({"sources": {"words": {"package": f"{'k' * 250}==1", "splits": {"all": {"path": "x"}}, "split": {"test": 0.5}}}}, f"package {'k' * 250}==1: "),
    ],
    ids=["scorer", "encoder", "prompting", "external", "annotator", "human evaluation", "package"],
)  # fmt: skip
def test_other_names_are_refused_with_their_key(make_grid, changes, start):
    task = {"source": "words", "instruction": "Say it.", "input": "{{ word }}", "sample_types": {"s": {"output": "{{ word }}"}}}
    scorers = changes.get("scorers", {"rouge": {"type": "rouge"}})
    if "encoders" in changes:
        scorers = {"meaning": {"type": "sbert", "encoder": next(iter(changes["encoders"]))}}
    grid = make_grid(
        **{"external_predictions": {}, "human_evaluations": {}, "report": {}, "hub": None, "scorers": scorers, "mixes": {}, "promptings": {}}
        | {"tasks": {"t": task | {"scorers": list(scorers), "baselines": []}}}
        | {"grid": [{"base_models": ["m"], "tasks": ["t"], "sample_types": ["s"], "promptings": ["zero_shot", *changes.get("promptings", {})]}]}
        | changes
    )  # fmt: skip
    told = list(long_names(grid))
    assert any(sentence.startswith(start) for sentence in told), told


def test_names_of_ten_thousand_jobs_are_looked_at_quickly(make_grid):
    grid = make_grid(
        grid=[make_grid().config.model_dump()["grid"][0] | {"seeds": list(range(400)), "nb_samples": [4], "evaluate_on": {}}]
    )
    assert len(grid.evaluations) > 4000
    started = time.process_time()
    assert list(long_names(grid)) == []
    assert time.process_time() - started < 3


def uploads(make_grid, repository, **changes):
    block = {
        "base_models": ["m"],
        "tasks": ["t"],
        "sample_types": ["gold"],
        "mixes": ["alone"],
        "nb_samples": [4],
        "configs": ["lora"],
    }
    return list(unfit_repositories(make_grid(hub={"repository": repository}, grid=[block | changes])))


@pytest.mark.parametrize(
    ("repository", "axes", "sentence"),
    [
        ("me/{task}", {"seeds": [1, 2], "nb_samples": [4, 8]}, "hub.repository: 4 models would be uploaded to 'me/t', as 't__gold__alone__n4__lora__completion__seed1' of 'm' and 't__gold__alone__n4__lora__completion__seed2' of 'm'; add {nb_samples}, {seed} to the pattern."),
        ("me/{nb_samples}{seed}", {"seeds": [1, 11], "nb_samples": [1, 11]}, "hub.repository: 2 models would be uploaded to 'me/111', as 't__gold__alone__n1__lora__completion__seed11' of 'm' and 't__gold__alone__n11__lora__completion__seed1' of 'm'; put a sign between the placeholders of the pattern."),
        ("me/{task}.git", {}, "hub.repository: Repo_id cannot end by '.git': 'me/t.git', as for run 't__gold__alone__n4__lora__completion__seed1' of 'm'."),
        ("me/-{task}", {}, "hub.repository: Repo id must use alphanumeric chars"),
        ("me/" + "a" * 95 + "{task}{seed}", {}, "hub.repository: Repo id must use alphanumeric chars"),
    ],
)  # fmt: skip
def test_repositories_that_collide_or_cannot_be_are_refused_at_planning(make_grid, repository, axes, sentence):
    [told] = uploads(make_grid, repository, **axes)
    assert told.startswith(sentence)


def test_repositories_that_tell_all_runs_apart_are_fine(make_grid):
    assert uploads(make_grid, "me/{task}-{nb_samples}-{seed}", seeds=[1, 2], nb_samples=[4, 8]) == []
    assert uploads(make_grid, "me/{task}") == []
