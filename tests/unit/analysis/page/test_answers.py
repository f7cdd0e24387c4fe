"""The answers in the page: of every model to every question, with all samples, scores and what scorers read, as text."""

import json

import pandas as pd
import pytest

from loragrid.analysis.main_metrics import MainMetrics
from loragrid.analysis.page.answers import Sources, answer_parts, answers_of_task, of_questions
from loragrid.analysis.page.packed import packed, unpacked
from loragrid.analysis.reading import read_predictions, read_scores
from loragrid.layout import Run
from loragrid.records import Example, Prediction, Score, write_records
from loragrid.scoring.scorer import ScorerFacts
from report_pages import HOSTILE, answers_of, payload_of

FACTS = {
    "r": ScorerFacts(type="rouge", lower_is_better=["errors"], worst={}),
    "people": ScorerFacts(type="human", lower_is_better=[], worst={}),
}
MEASURED = dict.fromkeys(("queue_s", "compute_s", "runtime_s", "batch_size", "prompt_tokens"))


def prediction(id, text="yes", run="base", base_model="m", **more):
    of = {"task": "t", "sample_type": "s", "prompt": f"? {id}", "reference": "ref", "new_tokens": 4, "finish_reason": "stop"}
    of |= {"engine": "e", "engine_version": "1"} | MEASURED
    return Prediction(id=id, prediction=text, run=run, base_model=base_model, **of | more)


def score(id, value, metric="x", scorer="r", **more):
    return Score(id=id, scorer=scorer, metric=metric, value=value, **more)


def part(folder, predictions, scores=(), examples=()):
    """The answers of one task.

    Args:
        predictions: by place below `predictions/`.
        scores: by place below `scores/`.
    """
    for place, rows in predictions.items():
        write_records(folder / f"predictions/{place}.jsonl", rows)
    for place, rows in dict(scores).items():
        write_records(folder / f"scores/{place}.jsonl", rows)
    table = read_predictions([folder / f"predictions/{place}.jsonl" for place in predictions])
    scored = read_scores([folder / f"scores/{place}.jsonl" for place in dict(scores)])
    return answers_of_task(table, scored, {("s", one.id): one for one in examples}, FACTS, "r/x")


def test_answers_are_those_of_each_model_to_each_question_with_its_scores(tmp_path):
    name = Run("m", "t", "s", "mix", 8, "lora", "completion", 1).name
    axes = {"trained_task": "t", "trained_sample_type": "s", "mix": "mix", "nb_samples": 8, "config": "lora"}
    axes |= {"loss_computation": "completion", "seed": 1}
    # Questions stand in the order of the test set, and a model may lack one.
    predictions = {
        f"t/s/m/{name}": [prediction("b", "tuned b", name, **axes)],
        "t/s/m/base": [prediction("a", "base a"), prediction("b", "base b", finish_reason="length")],
    }
    scores = {"t/s/m/base/r": [score("a", 0.25), score("a", 3.0, "errors"), score("b", 1 / 3), score("b", 0.0, "errors")]}
    scores[f"t/s/m/{name}/r"] = [score("b", None, status="no words"), score("b", None, "errors", status="no words")]
    example = {"task": "t", "sample_type": "s", "instruction": "Do.", "output": ["one", "two"], "metadata": {"year": "2020"}}
    examples = [Example(id="b", input="b?", **example), Example(id="a", input="a?", **example)]
    found = part(tmp_path, predictions, scores, examples)
    assert [model["label"] for model in found["models"]] == ["base", "n=8"]
    assert [model["id"] for model in found["models"]] == ["m/base", f"m/{name}"]
    assert found["models"][1]["nb_samples"] == 8
    assert found["questions"][0] == {
        "id": "b",
        "sample_type": "s",
        "instruction": "Do.",
        "input": "b?",
        "references": ["one", "two"],
        "metadata": {"year": "2020"},
    }
    answers = found["answers"]
    rows = list(zip(answers["model"], answers["question"], answers["texts"], answers["cut_off"], strict=True))
    assert rows == [(0, 0, ["base b"], True), (0, 1, ["base a"], False), (1, 0, ["tuned b"], False)]
    assert [found["prompts"][place] for place in answers["prompt"]] == ["? b", "? a", "? b"]
    assert found["metrics"] == [
        {"name": "r/x", "lower_is_better": False, "main": True},
        {"name": "r/errors", "lower_is_better": True, "main": False},
    ]
    assert found["scores"] == {"r/x": [0.333333, 0.25, None], "r/errors": [0.0, 3.0, None]}
    assert found["failures"] == {"r": [None, None, "no words"]}


def test_samples_stand_side_by_side_and_their_scores_are_averaged(tmp_path):
    predictions = [prediction("a", text, sample=place) for place, text in enumerate(("one", "two"))]
    scores = [score("a", 1.0, sample=0, detail="right"), score("a", 0.0, sample=1)]
    found = part(tmp_path, {"t/s/m/base": predictions}, {"t/s/m/base/r": scores})
    assert found["answers"]["texts"] == [["one", "two"]]
    assert found["answers"]["tokens"] == [8]
    assert found["scores"] == {"r/x": [0.5]}
    assert found["read"] == {"r": [{"detail": ["right"]}]}


def test_answer_to_an_example_with_several_prompts_is_one(tmp_path):
    listed = {"prompt": ["first?", "second?"], "reference": ["x", "y"], "answers": "each", "new_tokens": [1, 2]}
    listed |= {name: [1, 2] for name in MEASURED} | {"finish_reason": ["stop", "length"]}
    whole = prediction("a", ["one", "two"], **listed)
    example = Example(
        id="a",
        task="t",
        sample_type="s",
        instruction="Do.",
        input="",
        output=["x", "y"],
        prompts=["first?", "second?"],
        answers="each",
    )
    found = part(tmp_path, {"t/s/m/base": [whole]}, examples=[example])
    assert found["answers"]["texts"] == [["one\ntwo"]]
    assert found["answers"]["cut_off"] == [True]
    assert found["prompts"] == ["first?\n\nsecond?"]
    assert found["questions"][0]["references"] == ["x", "y"]
    assert found["questions"][0]["input"] == "first?\n\nsecond?"


def test_what_people_said_is_told_by_criterion_and_annotator_and_counts_of_other_scorers_are_not(tmp_path):
    rated = [score("a", 4.0, "good", "people", detail="ann: fine", parts={"good/ann/row1": 4.0}, truncated=["question"])]
    counted = [score("a", 1.0, parts={"matches": 3.0})]
    found = part(tmp_path, {"t/s/m/base": [prediction("a")]}, {"t/s/m/base/people": rated, "t/s/m/base/r": counted})
    assert found["read"] == {"people": [{"detail": ["ann: fine"], "ratings": {"good/ann": 4.0}, "truncated": ["question"]}]}


def test_what_was_read_in_part_is_told_also_where_nothing_was_read_in_words(tmp_path):
    judged = [score("a", 1.0, detail="It is right."), score("b", 0.0, truncated=["question"]), score("c", 0.5)]
    found = part(tmp_path, {"t/s/m/base": [prediction(id) for id in "abc"]}, {"t/s/m/base/r": judged})
    assert found["read"] == {"r": [{"detail": ["It is right."]}, {"truncated": ["question"]}, None]}
    assert unpacked(packed(found)) == found


def test_thoughts_are_told_where_a_model_thought(tmp_path):
    found = part(tmp_path, {"t/s/m/base": [prediction("a", thoughts="hm"), prediction("b")]})
    assert found["answers"]["thoughts"] == [["hm"], [""]]
    assert "thoughts" not in part(tmp_path, {"t/s/m/base": [prediction("a")]})["answers"]


def test_models_are_told_apart_by_how_they_are_asked_and_by_their_base_model(tmp_path):
    asked = {"prompting": "three", "prompt_variant": "21"}
    predictions = {
        "t/s/baseline/copy": [prediction("a", base_model="baseline", run="copy")],
        "t/s/m/base": [prediction("a")],
        "t/s/m/base~three~21": [prediction("a", **asked)],
        "t/s/n/base": [prediction("a", base_model="n")],
    }
    found = part(tmp_path, predictions)
    assert [(model["id"], model["label"]) for model in found["models"]] == [
        ("m/base", "m: base"),
        ("m/base~three~21", "m: base, three, prompt 21"),
        ("n/base", "n: base"),
        ("baseline/copy", "copy (baseline)"),
    ]


@pytest.mark.parametrize(
    "text", [*HOSTILE.values(), "half \ud800", "", "x" * 100_000], ids=[*HOSTILE, "surrogate", "empty", "huge"]
)
def test_any_text_comes_back_as_it_was(text):
    whole = packed({"text": text})
    assert unpacked(whole) == {"text": text}
    assert whole.isascii()
    assert "<" not in whole


def test_number_that_json_has_no_form_for_is_refused():
    with pytest.raises(ValueError, match="JSON"):
        packed([float("nan")])


def test_page_holds_the_answers_as_data_and_no_text_of_theirs_as_markup(grid, tmp_path, without_code):
    grid.write_page(tmp_path / "report.html")
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    texts = {text for [text] in answers_of(html, "challenge")["answers"]["texts"]}
    assert set(HOSTILE.values()) <= texts
    for text in HOSTILE.values():
        assert text[:60] not in html
    told = payload_of(html)["answers"]
    assert [(one["task"], one["questions"], one["file"]) for one in told["parts"]] == [
        ("challenge", 12, None),
        ("outcome", 12, None),
    ]
    assert told["note"].startswith(f"All {sum(one['answers'] for one in told['parts'])} answers are in this page (")


def test_answers_beside_the_page_are_one_script_for_each_task(grid, tmp_path, without_code):
    grid.write_page(tmp_path / "report.html", answers_in="folder")
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert 'id="answers-' not in html
    told = payload_of(html)["answers"]["parts"]
    assert [one["file"] for one in told] == ["report_answers/challenge.js", "report_answers/outcome.js"]
    for one in told:
        script = (tmp_path / one["file"]).read_text(encoding="ascii")
        name, text = json.loads(f"[{script.removeprefix('loragridAnswers(').removesuffix(');' + chr(10))}]")
        assert (name, len(text)) == (one["task"], one["bytes"])
        assert len(unpacked(text)["questions"]) == 12


def test_sample_holds_all_answers_to_a_few_questions_the_same_ones_each_time(grid, tmp_path, without_code):
    grid.write_page(tmp_path / "report.html", embed="sample", examples=3)
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    sampled = answers_of(html, "outcome")
    assert len(sampled["questions"]) == 3
    assert len(sampled["answers"]["texts"]) == 3 * len(sampled["models"])
    assert payload_of(html)["answers"]["note"].startswith("Those to 3 questions of each data set")
    grid.write_page(tmp_path / "more.html", embed="sample", examples=5)
    more = answers_of((tmp_path / "more.html").read_text(encoding="utf-8"), "outcome")
    assert {one["id"] for one in sampled["questions"]} < {one["id"] for one in more["questions"]}


def test_report_without_answers_says_so(grid, tmp_path, without_code):
    grid.write_page(tmp_path / "report.html", embed="none", answers_in="folder")
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert payload_of(html)["answers"] == {
        "embed": "none",
        "note": "This report holds no answers (report.embed is none).",
        "parts": [],
    }
    assert not (tmp_path / "report_answers").exists()


def test_only_questions_that_were_answered_are_sampled():
    examples = {("s", id): Example(id=id, task="t", sample_type="s", instruction="", input=id, output="") for id in "abcd"}
    predictions = pd.DataFrame({"sample_type": ["s"] * 3, "id": ["a", "b", "a"]})
    assert set(of_questions(predictions, examples, 2)["id"]) == {"a", "b"}
    assert len(of_questions(predictions, examples, 0)) == 0


def test_scores_of_validation_examples_are_left_out(tmp_path):
    write_records(tmp_path / "predictions/t/s/m/base.jsonl", [prediction("a")])
    table = read_predictions([tmp_path / "predictions/t/s/m/base.jsonl"])
    table.to_parquet(tmp_path / "predictions.parquet")
    files = [tmp_path / f"scores/t/s/m/base{variant}/r.jsonl" for variant in ("", "~zero_shot~default~greedy~validation")]
    for value, path in zip((0.5, 1.0), files, strict=True):
        write_records(path, [score("a", value)])
    [(task, found)] = answer_parts(Sources(tmp_path / "predictions.parquet", files, []), FACTS, MainMetrics("r/x"), None)
    assert task == "t"
    assert found["scores"] == {"r/x": [0.5]}
    # Without its test set, a question is known by its references alone.
    assert found["questions"][0]["references"] == ["ref"]
