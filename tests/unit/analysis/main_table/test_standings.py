"""Which ways are marked beside the best of a test set."""

import numpy as np
import pytest

from loragrid.analysis.contrasts.matrices import Measured
from loragrid.analysis.contrasts.ways import Way
from loragrid.analysis.main_table.cells import Standing
from loragrid.analysis.main_table.standings import standings
from loragrid.layout import BASELINE, USUAL

NAMES = {Standing.BEST: "best", Standing.EQUIVALENT: "equivalent", Standing.UNDECIDED: "undecided", None: ""}


def standing(values, lower=False, least=None, bounds=(0.0, 1.0)):
    """The standing of each way, given its values by question; those of several seeds are rows.

    A way whose name begins with `base` is not trained; one that is called `copy` is a trivial baseline.
    """
    ways, rows, matrix, means = {}, {}, [], []
    for name, found in values.items():
        trained = () if name.startswith(("base", "copy")) else ("t", "s", "only", 8, name, "full")
        way = Way(BASELINE if name == "copy" else "m", "t", "s", name, *USUAL, *trained)
        ways[way] = {}
        for seed, of_seed in enumerate(np.atleast_2d(np.array(found, dtype=float)), start=1):
            key = ("m", "t", "s", f"{name}__seed{seed}", *USUAL)
            ways[way][seed] = key
            rows[key] = len(matrix)
            matrix.append(of_seed)
        of_way = np.atleast_2d(np.array(found, dtype=float))
        means.append(of_way[:, ~np.isnan(of_way).any(axis=0)].mean())
    measured = Measured(
        task="t",
        sample_type="s",
        scorer="r",
        metric="x",
        rows=rows,
        values=np.array(matrix),
        value=None,
        questions=[f"q{number}" for number in range(len(matrix[0]))],
        clusters=np.arange(len(matrix[0])),
        sampling=np.full(len(matrix), np.nan),
        bounds=bounds,
        lower_is_better=lower,
        nb_failed=np.zeros(len(matrix), dtype=int),
        ids=[str(number) for number in range(len(matrix[0]))],
    )
    of_ways = [way._asdict() | {"scorer": "r", "metric": "x", "mean": mean} for way, mean in zip(ways, means, strict=True)]
    found = standings(of_ways, ways, [measured], {} if least is None else {"r/x": least})
    return dict(zip(values, (NAMES[one] for one in found), strict=True))


def around(mean, seed, n=60, spread=0.1):
    return np.clip(np.random.default_rng(seed).normal(mean, spread, n), 0, 1)


def test_the_best_and_what_is_not_told_apart_from_it_are_marked_and_the_rest_is_not():
    values = {"base": around(0.3, 1), "good": around(0.6, 2), "alike": around(0.595, 3), "copy": around(0.1, 4)}
    assert standing(values) == {"base": "", "good": "best", "alike": "undecided", "copy": ""}


def test_what_surely_differs_by_less_than_what_matters_is_equivalent():
    values = {"base": around(0.3, 1), "good": around(0.6, 2), "alike": around(0.595, 3)}
    assert standing(values, least=0.1) == {"base": "", "good": "best", "alike": "equivalent"}
    assert standing(values, least=0.01)["alike"] == "undecided"


def test_a_baseline_can_be_the_best():
    assert standing({"base": around(0.3, 1), "lora": around(0.2, 2), "copy": around(0.8, 3)})["copy"] == "best"


def test_where_less_is_better_the_least_is_the_best():
    values = {"base": around(0.3, 1), "good": around(0.6, 2), "alike": around(0.295, 3)}
    assert standing(values, lower=True)["good"] == ""
    assert sorted(standing(values, lower=True).values()) == ["", "best", "undecided"]


def test_ways_with_the_same_mean_are_best_together_and_all_alike_are_none():
    one = np.tile([0.0, 1.0], 30)
    assert standing({"a": one, "b": one[::-1], "c": one * 0}) == {"a": "best", "b": "best", "c": ""}
    assert standing({"a": one * 0, "b": one * 0}) == {"a": "", "b": ""}


def test_one_question_tells_nothing_apart():
    assert standing({"a": [0.9], "b": [0.1]}) == {"a": "best", "b": "undecided"}


def test_seeds_that_differ_more_than_ways_leave_ways_undecided():
    by_luck = {"a": [around(0.3, 1), around(0.9, 2)], "b": [around(0.8, 3), around(0.1, 4)]}
    assert standing(by_luck) == {"a": "best", "b": "undecided"}
    near = {"a": [around(0.9, 1), around(0.9, 2)], "b": [around(0.1, 3), around(0.1, 4)]}
    assert standing(near) == {"a": "best", "b": ""}


def test_the_standing_rests_on_common_questions():
    one, other = around(0.6, 1), around(0.5, 2)
    few = np.where(np.arange(60) < 3, other, np.nan)
    assert standing({"a": one, "b": few})["b"] == "undecided"
    none = np.where(np.arange(60) < 30, one, np.nan), np.where(np.arange(60) < 30, np.nan, other * 0)
    assert standing({"a": none[0], "b": none[1]}) == {"a": "best", "b": "undecided"}


@pytest.mark.parametrize(("kind", "n"), [("continuous", 30), ("binary", 50)])
def test_a_way_that_is_truly_as_good_as_all_others_is_rarely_left_out(kind, n):
    """Of 6 ways without any difference, the first is left unmarked in at most 5 % of studies, plus the error of the simulation."""
    rng = np.random.default_rng(0)
    studies, left_out = 150, 0
    for _ in range(studies):
        difficulty = rng.normal(0, 1, n)
        draws = difficulty + rng.normal(0, 1, (6, n))
        values = (draws > 0).astype(float) if kind == "binary" else 1 / (1 + np.exp(-draws))
        left_out += standing({f"w{number}": own for number, own in enumerate(values)})["w0"] == ""
    assert left_out / studies <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / studies)
