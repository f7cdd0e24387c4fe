"""What files hold that cannot be right is said before any job runs."""

import json
import os
from functools import partial
from pathlib import Path

import pytest

from loragrid.config.load import parse_config
from loragrid.data.preparation import PrepareSettings, prepare_dataset
from loragrid.errors import UserError
from loragrid.grid.contents import wrong_contents
from loragrid.grid.jobs import settings
from loragrid.grid.runs import Grid
from loragrid.layout import PREPARE_DATASET, SCORE, Evaluation
from loragrid.scoring.references import check_references

DATASET = {"task": "t", "sample_type": "gold"}
TOPIC = {"type": "label", "labels": {"positive": ["good"], "negative": ["bad"]}}


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def raw(scorer=TOPIC, **task):
    return {
        "models": {"m": {"source": {"path": "model"}}},
        "sources": {"s": {"splits": {"test": {"path": "rows.jsonl"}}}},
        "tasks": {
            "t": {"source": "s", "input": "{{ q }}", "instruction": "Say", "sample_types": {"gold": {"output": "{{ a }}"}}}
            | {"scorers": ["topic"]}
            | task
        },
        "scorers": {"topic": scorer},
        "grid": [{"base_models": ["m"], "tasks": ["t"], "sample_types": ["gold"]}],
    }


def rows(*answers):
    with open("rows.jsonl", "w", encoding="utf-8") as file:
        file.writelines(json.dumps({"q": f"question {i}", "a": answer}) + "\n" for i, answer in enumerate(answers))


def prepare(config, check=True):
    """Prepare the data set as its job does."""
    told = settings.prepare_dataset(Grid(parse_config(config)), DATASET, 1)
    outputs = {name: PREPARE_DATASET.path(name, DATASET) for name in ("train", "validation", "test", "manifest")}
    checks = {"check_test": partial(check_references, config, "t")} if check else {}
    prepare_dataset(PrepareSettings.model_validate(told.model_dump()), "t", "gold", None, None, outputs, **checks)


def planned(config):
    return list(wrong_contents(Grid(parse_config(config))))


ADVICE = "mend the data, leave such rows out by the 'where' of their source, or"


@pytest.mark.parametrize(
    ("scorer", "answers", "said"),
    [
        (
            TOPIC,
            ["good", "Positiv", "neutral"],
            "line 2 (id ID): the reference 'Positiv' is none of the labels 'positive', 'negative'; is 'positive' meant? "
            f"2 of 3 examples asked are like this: {ADVICE} add the text to the labels, as a label or a synonym of one.",
        ),
        (
            TOPIC | {"labels": ["yes", "no"]},
            ["1", "0"],
            "line 1 (id ID): the reference '1' is none of the labels 'yes', 'no'. 2 of 2 examples asked are like this: "
            f"{ADVICE} add the text to the labels, as a label or a synonym of one.",
        ),
        (
            {"type": "number"},
            ["7", "seven"],
            "line 2 (id ID): the reference 'seven' holds no number. 1 of 2 examples asked is like this: "
            f"{ADVICE} choose another scorer.",
        ),
        (
            {"type": "true_false"},
            ["True. It flies.", "no"],
            "line 2 (id ID): the reference 'no' has neither 'true' nor 'false'. 1 of 2 examples asked is like this: "
            f"{ADVICE} use the scorer 'label' for other words.",
        ),
        (
            {"type": "spans"},
            ["Oslo is a city", "Bergen is another"],
            "line 1 (id ID): the reference 'Oslo is a city' has no spans; expected 'TYPE: text', one a line. 2 of 2 examples asked "
            f"are like this: {ADVICE} set its 'format'.",
        ),
        (
            {"type": "spans", "format": "json"},
            ["LOC: Oslo"],
            "line 1 (id ID): the reference 'LOC: Oslo' has no spans; expected a JSON list of objects with 'type' and 'text'. "
            f"1 of 1 examples asked is like this: {ADVICE} set its 'format'.",
        ),
    ],
    ids=["label", "no label", "number", "true_false", "lines", "json"],
)
def test_references_that_no_answer_can_meet_are_named_when_the_data_are_prepared_and_when_the_grid_is_planned(
    project, scorer, answers, said
):
    rows(*answers)
    with pytest.raises(UserError) as caught:
        prepare(raw(scorer))
    place, id_ = str(caught.value).partition(" (id ")[0], str(caught.value).partition("(id ")[2][:16]
    assert str(caught.value) == f"scorers.topic: rows.jsonl, {said.replace('ID', id_)}"
    assert place.startswith("scorers.topic: rows.jsonl, line ")
    assert not (project / "results").exists()
    # Data that were prepared before the scorer was there.
    prepare(raw(scorer), check=False)
    [sentence] = planned(raw(scorer))
    assert sentence == f"scorers.topic: results/datasets/t/gold/test.jsonl, {said.replace('ID', id_)}"


@pytest.mark.parametrize(
    ("scorer", "answers"),
    [
        (TOPIC, ["good", "The answer is BAD.", "<think>Hm, neutral?</think>positive"]),
        ({"type": "true_false"}, ["true", "False.", "It is true or false."]),
        # People say in words that there are no spans.
        ({"type": "spans"}, ["LOC: Oslo", "none"]),
        ({"type": "spans", "format": "json"}, ['[{"type": "LOC", "text": "Oslo"}]', "[]"]),
        ({"type": "spans", "format": "bio"}, ["O O", "B-LOC"]),
        ({"type": "rouge"}, ["…"]),
    ],
)
def test_references_that_an_answer_can_meet_are_no_problem(scorer, answers):
    rows(*answers)
    prepare(raw(scorer))
    assert planned(raw(scorer)) == []


def test_of_a_subset_only_what_is_evaluated_counts():
    rows(*["good"] * 9, "neutral")
    found = {}
    for size in range(1, 11):
        config = raw(subset=size)
        prepare(config, check=False)
        found[size] = planned(config)
    assert not found[1]
    assert "1 of 10 examples asked is like this" in found[10][0]


def test_mended_data_are_not_held_up_by_what_was_prepared_from_them_before(project):
    rows("good", "neutral")
    prepare(raw(), check=False)
    assert planned(raw())
    # They are going to be prepared again: the file is newer, or another template is told.
    assert not planned(raw(instruction="Tell"))
    rows("good", "bad")
    os.utime("rows.jsonl", (2e9, 2e9))
    assert not planned(raw())


def test_finished_scores_stay_as_they_are():
    rows("good", "neutral")
    config = raw(baselines=["empty"])
    prepare(config, check=False)
    for model, run in (("m", "base"), ("baseline", "empty")):
        assert planned(config)
        scores = Path(SCORE.path("scores", Evaluation(model, "t", "gold", run).wildcards | {"scorer": "topic"}))
        scores.parent.mkdir(parents=True)
        scores.touch()
    assert planned(config) == []


def test_misspelt_functions_of_scorers_and_sources_are_named(project):
    (project / "mine.py").write_text("def shouting(predictions, references, prompts, least): ...\ndef rows(files): ...\n")
    custom = {"type": "custom", "function": "mine.py:shoutin", "arguments": {"least": 5}}
    config = raw(custom)
    config["sources"] = {"s": {"builder": "mine.py:row"}}
    assert planned(config) == [
        "scorers.topic.function: 'mine.py' has no function 'shoutin'; did you mean 'shouting'?",
        "sources.s.builder: 'mine.py' has no function 'row'; did you mean 'rows'?",
    ]
    config["sources"]["s"]["builder"] = "mine.py:rows"
    config["scorers"]["topic"] = custom | {"function": "mine.py:shouting", "arguments": {}}
    assert planned(config) == [
        "scorers.topic.function: 'mine.py': 'shouting' needs 'least'; it is called with the keywords predictions, references, prompts."
    ]
    config["scorers"]["topic"] = custom | {"function": "mine.py:shouting"}
    assert planned(config) == []
    with pytest.raises(UserError, match=r"^scorers\.topic\.arguments: 'prompts' is what every scorer function is given"):
        parse_config(raw(custom | {"arguments": {"prompts": 1}}))


def test_metric_of_evaluate_that_cannot_be_loaded_is_named(project):
    metric = {"type": "evaluate", "metric": "mine/shouts", "metrics": ["shouts"]}
    (project / "mine" / "shouts").mkdir(parents=True)
    said = "there is no 'mine/shouts/shouts.py'; a metric's module has the name of its folder."
    assert planned(raw(metric)) == [f"scorers.topic.metric: metric 'mine/shouts': {said}"]
    (project / "mine" / "shouts" / "shouts.py").write_text("import evaluate\nclass (")
    [sentence] = planned(raw(metric))
    assert sentence.startswith(f"scorers.topic.metric: '{project}/mine/shouts/shouts.py', line 2, is not valid Python (")
