"""Metrics of `evaluate` that a user has in a folder, loaded by the real library."""

import re
from pathlib import Path

import pytest

from loragrid.errors import UserError
from loragrid.scoring.protocol import Failed, Item, Scored
from loragrid.scoring.scorers.hf_evaluate import EvaluateScorer, evaluate_metric, refuse_shadow

MODULE = '''"""Share of a prediction's words that are in a reference."""

import datasets
import evaluate

TEXT = datasets.Value("string")
TEXTS = datasets.Sequence(TEXT)


class Overlap(evaluate.Metric):
    def _info(self):
        return evaluate.MetricInfo(description="", citation="", inputs_description="", features=FEATURES)

    def _compute(self, predictions, references, factor=1):
        assert len(predictions) == len(references) == 1
        words, known = predictions[0].split(), KNOWN
        shared = sum(word in known for word in words)
        return {"overlap": factor * shared / len(words), "shared": [shared], "words": words}
'''
ONE = ('datasets.Features({"predictions": TEXT, "references": TEXT})', "references[0].split()")
SEVERAL = ('datasets.Features({"predictions": TEXT, "references": TEXTS})', '" ".join(references[0]).split()')
EITHER = (f"[{ONE[0]}, {SEVERAL[0]}]", '(references[0] if isinstance(references[0], str) else " ".join(references[0])).split()')
ITEMS = [Item("id-a", "a b", ("a c",)), Item("id-b", "a b c d", ("d",)), Item("id-c", "x", ("y",))]


@pytest.fixture(scope="module", autouse=True)
def _modules_cache(tmp_path_factory):
    # Read once, when `evaluate` is imported.
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_MODULES_CACHE", str(tmp_path_factory.mktemp("modules")))
        patch.setenv("HF_HUB_OFFLINE", "1")
        import evaluate  # noqa: F401

        yield


@pytest.fixture
def write_metric(tmp_path):
    def write(features=ONE, change=lambda text: text):
        folder = tmp_path / "overlap"
        folder.mkdir(exist_ok=True)
        text = MODULE.replace("FEATURES", features[0]).replace("KNOWN", features[1])
        (folder / "overlap.py").write_text(change(text))
        return str(folder)

    return write


def score(metric, items=ITEMS, metrics=("overlap",), **settings):
    return evaluate_metric(EvaluateScorer(type="evaluate", metric=metric, metrics=list(metrics), **settings))(items)


def sentence(metric, **how):
    with pytest.raises(UserError) as caught:
        score(metric, **how)
    return str(caught.value).removeprefix(f"metric '{metric}'")


def test_metric_is_computed_for_each_answer_by_itself(write_metric):
    outcomes = score(write_metric(), metrics=("overlap", "shared"))
    assert outcomes == [
        Scored({"overlap": 1 / 2, "shared": 1}),
        Scored({"overlap": 1 / 4, "shared": 1}),
        Scored({"overlap": 0, "shared": 0}),
    ]


def test_module_may_be_named_by_its_file(write_metric):
    assert score(f"{write_metric()}/overlap.py")[0] == Scored({"overlap": 1 / 2})


def test_arguments_reach_the_metric(write_metric):
    assert score(write_metric(), arguments={"factor": 10})[0].metrics == {"overlap": 5}


@pytest.mark.parametrize("features", [SEVERAL, EITHER])
def test_several_references_go_to_metrics_that_take_them(write_metric, features):
    items = [Item("id-a", "a b", ("a", "b")), *ITEMS]
    assert [one.metrics["overlap"] for one in score(write_metric(features), items)] == [1, 1 / 2, 1 / 4, 0]


def test_several_references_for_a_metric_that_takes_one_are_a_sentence(write_metric):
    found = sentence(write_metric(ONE), items=[Item("id-x", "a", ("a", "b"))])
    assert found == " takes one reference, but example id-x has 2."


def test_answer_on_which_the_metric_raises_fails_and_the_others_are_scored(write_metric):
    outcomes = score(write_metric(), [ITEMS[0], Item("id-x", "", ("a",)), ITEMS[1]])
    assert outcomes == [
        Scored({"overlap": 1 / 2}),
        Failed("ZeroDivisionError: division by zero"),
        Scored({"overlap": 1 / 4}),
    ]


def test_metric_that_raises_on_every_answer_ends_the_job(write_metric):
    found = sentence(
        write_metric(change=lambda text: text.replace('TEXT = datasets.Value("string")', 'TEXT = datasets.Value("int32")'))
    )
    assert found.startswith(" failed on every example; on the first: ")


@pytest.mark.parametrize(
    ("metrics", "expected"),
    [
        (["f1"], ", example id-a: gives no 'f1'; it gives: overlap, shared, words."),
        (["overlap", "words"], ", example id-a: gives ['a', 'b'] as 'words'; expected a number."),
    ],
)
def test_number_that_the_metric_does_not_give_is_named_with_those_that_it_gives(write_metric, metrics, expected):
    assert sentence(write_metric(), metrics=metrics) == expected


def test_metric_of_something_else_than_predictions_and_references_is_refused(write_metric):
    features = ('datasets.Features({"predictions": TEXT, "sources": TEXT})', "[]")
    assert sentence(write_metric(features)) == " takes predictions, sources; expected one of predictions and references."


def test_module_that_cannot_be_loaded_is_a_sentence(write_metric):
    assert sentence(write_metric(change=lambda text: "import no_such_package\n" + text)).startswith(" failed: ImportError: ")


def test_folder_without_a_module_is_a_sentence_and_the_hub_is_not_asked(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("metrics/mine").mkdir(parents=True)
    found = sentence("metrics/mine")
    assert found == ": there is no 'metrics/mine/mine.py'; a metric's module has the name of its folder."


def test_edited_module_counts_at_once(write_metric):
    assert score(write_metric())[0].metrics == {"overlap": 1 / 2}
    assert score(write_metric(change=lambda text: text.replace("factor=1", "factor=3")))[0].metrics == {"overlap": 3 / 2}


def test_nothing_is_left_in_the_place_where_the_workflow_runs(write_metric, tmp_path, monkeypatch):
    metric = write_metric()
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    score(metric)
    assert sorted(tmp_path.rglob("*")) == before


def test_file_that_would_be_taken_in_the_place_of_a_metric_of_the_hub_is_named(write_metric, tmp_path, monkeypatch):
    write_metric()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=re.escape("'overlap/overlap.py' would be taken in the place of the hub's")):
        refuse_shadow("overlap")
    refuse_shadow("rouge")
