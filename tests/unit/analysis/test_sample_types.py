"""Which sample type trains better: what the report says of it beside the contrasts."""

import pandas as pd

from loragrid.analysis.findings import sample_type_findings, without_common_references
from loragrid.analysis.provenance import common_questions
from loragrid.records import write_records
from unit.analysis.grids import MAIN, contrasts, run


def test_finding_is_a_verdict_with_its_setups():
    better = [(run(task=t, trained_on=s, references="a"), [v] * 8 + [v + 0.1]) for t in "tu" for s, v in (("a", 0.9), ("b", 0.1))]
    values = {"a": [0.1, 0.2, 0.3, 0.4], "b": [0.4, 0.3, 0.2, 0.1]}
    alike = [(run(task="w", trained_on=s, references="b"), of_type) for s, of_type in values.items()]
    of_a, of_b = sample_type_findings(contrasts(*better, *alike), MAIN)
    assert (of_a["own"], of_a["other"], of_a["sample_type"], of_a["tasks"]) == ("b", "a", "a", "t, u")
    assert [(row["task"], row["label"]) for row in of_a["rows"]] == [("t", "n=8"), ("u", "n=8")]
    assert of_b["verdict"] == "undecided"
    assert [row["task"] for row in of_b["rows"]] == ["w"]


def test_grid_without_sample_types_to_compare_has_no_finding():
    assert sample_type_findings(contrasts((run(trained_on="a"), [1.0]), (run(trained_on="a", config="d"), [0.0])), MAIN) == []


def test_sample_types_that_are_tested_on_different_references_are_named():
    def apart(*axes):
        return without_common_references(pd.DataFrame(axes))

    own = [run(trained_on="manual", task=t) for t in "tu"] + [run(trained_on="auto", task=t) for t in "tu"]
    assert apart(*own) == [{"sample_types": ("manual", "auto"), "tasks": ["t", "u"]}]
    assert apart(*own, run(trained_on="auto", references="manual")) == [{"sample_types": ("manual", "auto"), "tasks": ["u"]}]
    assert apart(run(trained_on="manual")) == []


def test_questions_that_two_mixes_have_in_common_are_counted_whatever_their_answers(tmp_path, make_example):
    def mix(path, questions):
        made = [make_example(path + question, input=question, output=path) for question in questions]
        write_records(tmp_path / f"mixes/{path}/train.jsonl", made)
        return tmp_path / f"mixes/{path}/train.jsonl"

    mixes = [mix("t/manual/alone/n4-seed1", "abcd"), mix("t/auto/alone/n4-seed1", "bcde"), mix("t/auto/alone/n2-seed1", "bc")]
    assert common_questions(mixes) == [0.75]
