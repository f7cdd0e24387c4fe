"""Evaluations as logs of Inspect, which reads them itself where `make test-inspect` has installed it."""

import json
import subprocess
from pathlib import Path
from zipfile import ZipFile

import pytest

from loragrid.analysis.inspect_log.job import write_log
from loragrid.analysis.inspect_log.settings import LogSettings
from loragrid.errors import DamagedError
from loragrid.records import ACCOUNT, Prediction, Score, write_records
from loragrid.scoring.scorer import ScorerFacts

PLACE = "t/s/m/t__s__alone__n4__lora__completion__seed1"
COUNTED = {"queue_s": 0.5, "compute_s": 1.0, "runtime_s": 0.25, "prompt_tokens": 7, "new_tokens": 3, "batch_size": 4}
TRAINED = {"trained_task": "t", "trained_sample_type": "s", "mix": "alone", "nb_samples": 4, "config": "lora", "seed": 1}
MANIFEST = {
    "decoding": {"max_new_tokens": 9, "temperature": 0},
    "versions": {"torch": "2"},
    "sources": "abc",
    "git_commit": "c0ffee",
}
SETTINGS = LogSettings(
    version=1,
    date="2024-07-26",
    metric="says/right",
    kinds={name: ScorerFacts(type="label", lower_is_better=[], worst={}) for name in ("says", "label")},
    label_scorers=["label"],
)


def predicted(example, prediction, **fields):
    """An answer whose prompt is told in capitals."""
    several = isinstance(prediction, list)
    counts = {name: [value] * len(prediction) if several else value for name, value in COUNTED.items()}
    reason = ["stop"] * len(prediction) if several else "stop"
    return Prediction(
        **{
            "id": example.id,
            "task": "t",
            "sample_type": "s",
            "base_model": "m",
            "run": PLACE.rpartition("/")[2],
            "prompt": ["<P>"] * len(prediction) if several else "<P>",
            "prediction": prediction,
            "reference": example.output,
            "answers": example.answers,
            "engine": "hf",
            "engine_version": "5",
            "finish_reason": reason,
            "loss_computation": "completion",
        }
        | counts
        | TRAINED
        | fields
    )


def said(example, scorer="says", sample=0, **fields):
    values = {"metric": "right", "value": 1.0} | fields
    return Score(id=example.id, sample=sample, scorer=scorer, **values)


@pytest.fixture
def write(tmp_path):
    """Writes a log of answers and scores; gives its path."""

    def written(examples, predictions, *scores, manifest=MANIFEST, settings=SETTINGS):
        paths = {
            "test": tmp_path / "results/datasets/t/s/test.jsonl",
            "predictions": tmp_path / f"results/predictions/{PLACE}.jsonl",
        }
        write_records(paths["test"], examples)
        write_records(paths["predictions"], predictions)
        files = {}
        for score in scores:
            files.setdefault(tmp_path / f"results/scores/{PLACE}/{score.scorer}.jsonl", []).append(score)
        for path, rows in files.items():
            write_records(path, rows)
        (tmp_path / "told.json").write_text(json.dumps(manifest))
        told, log = {name: str(path) for name, path in paths.items()}, tmp_path / "x.eval"
        write_log(settings, **told, scores=[*map(str, files)], manifest=str(tmp_path / "told.json"), log=log)
        return log

    return written


def read(log, name):
    with ZipFile(log) as archive:
        return json.loads(archive.read(name))


def test_sample_tells_what_was_asked_what_the_model_saw_and_what_it_answered(write, make_example):
    example = make_example("a", metadata={"length": "short"})
    log = write([example], [predicted(example, "<b>ü</b>", finish_reason="length")], said(example))
    sample = read(log, "samples/a_epoch_1.json")
    assert (sample["input"], sample["target"], sample["metadata"]) == ("Answer.\n\nquestion a", "answer a", {"length": "short"})
    assert [(message["role"], message["content"]) for message in sample["messages"]] == [
        ("user", "<P>"),
        ("assistant", "<b>ü</b>"),
    ]
    assert sample["output"]["completion"] == "<b>ü</b>"
    assert [choice["stop_reason"] for choice in sample["output"]["choices"]] == ["max_tokens"]
    assert sample["output"]["usage"] == {"input_tokens": 7, "output_tokens": 3, "total_tokens": 10}
    assert (sample["total_time"], sample["working_time"]) == (1.5, 0.25)


def test_sample_tells_what_each_scorer_read_and_why_it_failed(write, make_example):
    example = make_example("a")
    failed = "no answer from the server"
    log = write(
        [example],
        [predicted(example, "A long answer: B")],
        said(example, detail="It is right.", usage={"calls": 1}),
        said(example, metric="polite", value=None, status=failed),
        said(example, "label", detail="B"),
        said(example, "broken", value=None, status=failed),
        settings=SETTINGS.model_copy(update={"kinds": SETTINGS.kinds | {"broken": SETTINGS.kinds["says"]}}),
    )
    scores = read(log, "samples/a_epoch_1.json")["scores"]
    assert scores["says"] == {
        "value": {"right": 1.0, "polite": None},
        "answer": "A long answer: B",
        "explanation": "It is right.",
        "reason": None,
        "metadata": {"failures": {"polite": failed}, "usage": {"calls": 1}},
    }
    assert (scores["label"]["answer"], scores["label"]["explanation"]) == ("B", None)
    assert scores["broken"]["reason"] == "scoring_failed"


def test_thoughts_are_told_apart_from_the_answer(write, make_example):
    example = make_example("a")
    log = write([example], [predicted(example, "B", thoughts="Hm.")], said(example))
    content = read(log, "samples/a_epoch_1.json")["messages"][1]["content"]
    assert content == [{"type": "reasoning", "reasoning": "Hm."}, {"type": "text", "text": "B"}]


def test_example_with_several_prompts_is_one_conversation(write, make_example):
    example = make_example("a", prompts=["one", "two"], answers="each", output=["1", "2"])
    log = write([example], [predicted(example, ["x", "y"], prompt=["<P1>", "<P2>"])], said(example))
    sample = read(log, "samples/a_epoch_1.json")
    assert [message["content"] for message in sample["messages"]] == ["<P1>", "x", "<P2>", "y"]
    assert [message["content"] for message in sample["input"]] == ["Answer.\n\none", "Answer.\n\ntwo"]
    assert (sample["target"], sample["output"]["completion"]) == (["1", "2"], "x\ny")
    assert sample["model_usage"][PLACE.split("/", 2)[2]]["total_tokens"] == 20


def test_several_answers_to_one_example_are_epochs(write, make_example):
    example = make_example("a")
    rows = [predicted(example, text, sample=sample) for sample, text in enumerate("xy")]
    log = write([example], rows, said(example), said(example, sample=1, value=0.0), manifest={"decoding": {"samples": 2}})
    assert [read(log, f"samples/a_epoch_{epoch}.json")["output"]["completion"] for epoch in (1, 2)] == ["x", "y"]
    header = read(log, "header.json")
    assert (header["eval"]["config"]["epochs"], header["eval"]["dataset"]["samples"]) == (2, 1)
    assert header["results"]["scores"][0]["metrics"]["mean"]["value"] == 0.5


def test_header_tells_model_task_settings_means_and_tokens(write, make_example):
    examples = [make_example(name) for name in "abcd"]
    values = (1.0, 0.0, 1.0, None)
    scores = [
        said(one, value=value, status="ok" if value is not None else "x") for one, value in zip(examples, values, strict=True)
    ]
    header = read(write(examples, [predicted(one, "x") for one in examples], *scores), "header.json")
    spec = header["eval"]
    assert (spec["model"], spec["task"], spec["dataset"]["name"]) == (PLACE.split("/", 2)[2], "t_s", "t/s")
    assert spec["dataset"]["sample_ids"] == ["a", "b", "c", "d"]
    assert spec["metadata"] == TRAINED | {"loss_computation": "completion"}
    assert spec["model_generate_config"] == {"max_tokens": 9, "temperature": 0}
    assert spec["created"] == "2024-07-26T00:00:00+00:00"
    assert (spec["packages"], spec["revision"]["commit"]) == ({"torch": "2"}, "c0ffee")
    # A failed score counts as in the tables: as the worst value.
    [score] = header["results"]["scores"]
    assert (score["scorer"], score["name"], score["metrics"]["mean"]["value"]) == ("says", "right", 0.5)
    assert score["metadata"] == {"examples": 4, "failed": 1}
    assert header["results"]["headline"] == {"scorer": "says", "score": "right", "metric": "mean"}
    assert header["stats"]["model_usage"] == {spec["model"]: {"input_tokens": 28, "output_tokens": 12, "total_tokens": 40}}


def test_mean_that_does_not_exist_is_left_out(write, make_example):
    example = make_example("a")
    header = read(write([example], [predicted(example, "x")], said(example)), "header.json")
    assert set(header["results"]["scores"][0]["metrics"]) == {"mean"}


def test_answers_from_elsewhere_have_no_tokens(write, make_example):
    example = make_example("a")
    log = write([example], [predicted(example, "x", **dict.fromkeys(ACCOUNT))], said(example), manifest={})
    assert "usage" not in read(log, "samples/a_epoch_1.json")["output"]
    assert read(log, "header.json")["stats"]["model_usage"] == {}


def test_evaluation_without_scores_is_a_log_too(write, make_example):
    example = make_example("a")
    header = read(write([example], [predicted(example, "x")]), "header.json")
    assert header["results"]["scores"] == []
    assert "headline" not in header["results"]


def test_summaries_cut_long_texts_and_samples_do_not(write, make_example):
    example, text = make_example("a", input="i" * 5000), "x" * 5000
    log = write([example], [predicted(example, text)], said(example, detail=text))
    [summary] = read(log, "summaries.json")
    assert (len(summary["input"]), len(summary["scores"]["says"]["explanation"])) == (1000, 1000)
    assert summary["completed"]
    assert read(log, "samples/a_epoch_1.json")["scores"]["says"]["explanation"] == text


def test_log_made_again_has_the_same_bytes(write, make_example, tmp_path):
    example = make_example("a")
    given = [example], [predicted(example, "x")], said(example)
    first = write(*given).read_bytes()
    assert write(*given).read_bytes() == first
    with ZipFile(tmp_path / "x.eval") as archive:
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_scores_of_other_answers_are_refused(write, make_example):
    one, other = make_example("a"), make_example("b")
    with pytest.raises(DamagedError, match=r"says\.jsonl: right: rows of answers that .* does not have: b"):
        write([one], [predicted(one, "x")], said(one), said(other))


PYTHON = Path(__file__).parents[3] / ".venv-inspect" / "bin" / "python"
INSPECT = pytest.mark.skipif(not PYTHON.exists(), reason="make test-inspect installs inspect_ai in .venv-inspect")
READ = """
import json, sys
from inspect_ai.log import list_eval_logs, read_eval_log, read_eval_log_sample, read_eval_log_sample_summaries

[found] = list_eval_logs(sys.argv[1])
log = read_eval_log(found.name)
told = json.loads(log.model_dump_json())
told["found"] = found.task
told["texts"] = [sample.output.completion for sample in log.samples]
told["alone"] = json.loads(read_eval_log_sample(found.name, log.samples[0].id, 1).model_dump_json())
told["summaries"] = [json.loads(one.model_dump_json()) for one in read_eval_log_sample_summaries(found.name)]
json.dump(told, open(sys.argv[2], "w"))
"""


@pytest.fixture
def read_by_inspect(tmp_path):
    """What Inspect reads in a log, as it understands it."""

    def understood(log):
        (tmp_path / "home").mkdir()
        (tmp_path / "read.py").write_text(READ)
        told = tmp_path / "told by inspect.json"
        # Inspect keeps files of its own in the home folder.
        subprocess.run([PYTHON, tmp_path / "read.py", log.parent, told], env={"HOME": str(tmp_path / "home")}, check=True)
        return json.loads(told.read_text())

    return understood


@INSPECT
def test_inspect_reads_all_that_a_log_tells(write, read_by_inspect, make_example):
    plain = make_example("a", metadata={"length": "short"})
    several = make_example("b", prompts=["one", "two"], answers="each", output=["1", "2"])
    rows = [predicted(plain, "<script>\u2028א😀\x00", thoughts="Hm.", finish_reason="length"), predicted(several, ["x", "y"])]
    log = write(
        [plain, several],
        rows,
        said(plain, detail="It is right."),
        said(plain, metric="polite", value=None, status="no answer"),
        said(several, value=0.5),
        said(several, metric="polite"),
        said(plain, "label", detail="B"),
        said(several, "label"),
    )
    told = read_by_inspect(log)
    assert (told["version"], told["status"], told["found"]) == (2, "success", "t_s")
    assert told["eval"]["model"] == PLACE.split("/", 2)[2]
    assert told["texts"] == [row.prediction if isinstance(row.prediction, str) else "x\ny" for row in rows]
    [first, second] = told["samples"]
    assert first == told["alone"]
    assert (first["input"], first["target"], first["metadata"]) == ("Answer.\n\nquestion a", "answer a", {"length": "short"})
    assert [message["content"] for message in second["messages"]] == ["<P>", "x", "<P>", "y"]
    assert first["messages"][1]["content"][0]["reasoning"] == "Hm."
    assert first["output"]["choices"][0]["stop_reason"] == "max_tokens"
    assert first["scores"]["says"]["value"] == {"right": 1.0, "polite": None}
    assert (first["scores"]["says"]["explanation"], first["scores"]["label"]["answer"]) == ("It is right.", "B")
    assert [summary["id"] for summary in told["summaries"]] == ["a", "b"]
    means = {(score["scorer"], score["name"]): score["metrics"]["mean"]["value"] for score in told["results"]["scores"]}
    assert means == {("says", "right"): 0.75, ("says", "polite"): 0.5, ("label", "right"): 1.0}
    assert told["results"]["headline"] | {"reducer": None} == {
        "scorer": "says",
        "score": "right",
        "metric": "mean",
        "reducer": None,
    }
    assert told["stats"]["model_usage"][told["eval"]["model"]]["total_tokens"] == 30
    # A key that it did not know would be lost.
    written = read(log, "header.json") | {"samples": [read(log, f"samples/{id_}_epoch_1.json") for id_ in "ab"]}
    assert list(lost(written, told)) == []


def lost(written, told, place=""):
    """The places in a log whose values another reading does not have."""
    if isinstance(written, dict) and isinstance(told, dict):
        for key, value in written.items():
            yield from lost(value, told.get(key, "nothing"), f"{place}/{key}")
    elif isinstance(written, list) and isinstance(told, list) and len(written) == len(told):
        for number, (one, other) in enumerate(zip(written, told, strict=True)):
            yield from lost(one, other, f"{place}/{number}")
    elif written != told:
        yield place
