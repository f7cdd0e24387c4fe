"""Warnings: each with its cases and the section where it is seen, and none without a case."""

import pandas as pd

from loragrid.analysis.main_metrics import MainMetrics
from loragrid.analysis.page.cautions import (
    MOST_ITEMS,
    caution,
    cautions_about_data,
    cut_off,
    doubtful_judges,
    failed_scores,
    few_seeds,
    too_little,
)
from loragrid.analysis.page.write import SECTIONS
from unit.analysis.grids import base, run, tables

MAIN = MainMetrics("r/x")
SPREAD = [0.5, 0.55, 0.45, 0.5, 0.52, 0.48, 0.51, 0.49]


def test_nothing_to_warn_of_is_no_warning():
    ways, contrasts = tables((base(), [0.1] * 8), *((run(seed=seed), SPREAD) for seed in (1, 2)))
    assert [*cut_off(ways), *failed_scores(ways), *few_seeds(contrasts, MAIN), *too_little(contrasts)] == []
    assert list(cautions_about_data([{"tier": "mixes", "expected": 3, "missing": []}], [], [], [], [])) == []


def test_what_is_wrong_with_data_is_named_with_its_place():
    state = [{"tier": "scores", "expected": 1200, "missing": [{}] * 3}]
    leaking, showing = [{"mix": "m/train.jsonl", "tests": ["t/s (2)"]}], [{"file": "near.json", "prompts": 2, "of": 3}]
    missing = [{"task": "t", "sample_type": "s", "run": "theirs", "missing": 3, "examples": 40}]
    checks = [{"base_model": "m", "run": "base", "checks": {"repeats": False, "adapter": None, "ends": True}}]
    found = list(cautions_about_data(state, leaking, showing, missing, checks))
    assert [(one.items, one.place) for one in found] == [
        (["scores: 3 of 1,200 files"], "grid"),
        (["m/train.jsonl: examples of t/s (2)"], "data"),
        (["near.json: 2 of 3 prompts"], "data"),
        (["t s, theirs: 3 of 40 answers"], "results"),
        (["m, base: repeats"], "how"),
    ]
    assert {one.place for one in found} <= set(SECTIONS)


def test_ways_with_many_answers_cut_off_are_named_the_worst_first():
    ways, _ = tables((base(), [0.1] * 8), (run(), SPREAD), cut_off=["0", "1"])
    # A question less is too few to be named.
    ways.loc[ways["way"] == "base", "nb_cut_off"] = 1
    ways.loc[ways["way"] != "base", "nb_cut_off"] = 7
    [found] = cut_off(pd.concat([ways, ways.assign(metric="y")]))
    assert found.items == ["t, n=8: 7 of 8 answers", "t, base: 1 of 8 answers"]
    ways["nb_cut_off"] = 0
    assert list(cut_off(ways)) == []


def test_scores_that_failed_are_counted_by_metric():
    ways, _ = tables((base(), [0.1, None, 0.2, None]), (run(), [0.5, 0.4, None, 0.3]))
    [found] = failed_scores(ways)
    assert found.items == ["r/x: 3 of 8"]


def test_judge_that_disagrees_with_people_is_named_and_one_that_agrees_is_not():
    row = {"task": "t", "scorer": "judge", "metric": "score", "kind": "judge", "people": "human", "criterion": "good"}
    table = pd.DataFrame([row | {"alpha": 0.4}, row | {"task": "u", "alpha": 0.8}, row | {"kind": "metric", "alpha": 0.1}])
    [found] = doubtful_judges(table)
    assert found.items == ["t: judge/score and human/good, alpha 0.40"]
    assert found.place == "scorers"


def test_one_seed_is_said_of_all_or_of_those_that_have_it():
    def told(*seeds):
        kinds = [(run(n=n, seed=seed), SPREAD) for n, of_kind in zip((8, 16), seeds, strict=True) for seed in of_kind]
        return [one.what for one in few_seeds(tables((base(), [0.1] * 8), *kinds)[1], MAIN)]

    assert told([1], [1]) == ["Every kind of run was trained with one seed."]
    assert told([1, 2], [1]) == ["1 of 2 kinds of run were trained with one seed."]
    assert told([1, 2], [1, 2]) == []


def test_kind_that_is_tested_in_several_ways_is_one_kind():
    asked = [{"prompting": prompting, "references": references} for prompting in ("zero_shot", "few_shot") for references in "sz"]
    rows = [(of(**way), values) for way in asked for of, values in ((base, [0.1] * 8), (run, SPREAD))]
    rows += [(run(n=16, seed=seed, **way), SPREAD) for way in asked[:1] for seed in (1, 2)]
    assert [one.what for one in few_seeds(tables(*rows)[1], MAIN)] == ["1 of 2 kinds of run were trained with one seed."]


def test_comparisons_without_enough_data_are_counted():
    [found] = too_little(tables((base(), [0.1]), (run(), [0.5]))[1])
    assert found.what == "There is too little data for 1 of 1 declared comparisons."


def test_cases_beyond_a_few_are_counted():
    [found] = caution("What.", "Why.", map(str, range(MOST_ITEMS + 3)), "data")
    assert (len(found.items), found.more) == (MOST_ITEMS, 3)
