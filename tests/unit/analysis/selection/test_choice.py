import math

import pytest

from loragrid.analysis.selection.choice import Choice, choose
from loragrid.analysis.selection.validation import Validated, mean_over_seeds


def results(**values):
    return {(way,): None if value is None else Validated(value, 20, "") for way, value in values.items()}


@pytest.mark.parametrize(("lower_is_better", "expected"), [(False, "b"), (True, "c")])
def test_way_with_the_best_result_is_chosen(lower_is_better, expected):
    found = choose(results(a=0.5, b=0.7, c=0.1), lower_is_better)
    assert (found.way, found.ties) == ((expected,), 1)


def test_first_of_equal_ways_is_chosen_and_the_tie_is_told():
    # The sum over seeds may have been taken in another order.
    assert choose(results(a=0.0, b=0.3, c=0.1 + 0.2), lower_is_better=False)[::2] == (("b",), 2)


def test_nothing_is_chosen_while_a_way_lacks_its_result():
    assert choose(results(a=0.5, b=None, c=None), lower_is_better=False) == Choice(
        None, why_not="2 of 3 ways have no result on validation data"
    )


def test_nothing_is_chosen_between_results_on_different_examples():
    apart = {("a",): Validated(1.0, 3, "one mix"), ("b",): Validated(2.0, 3, "another")}
    assert choose(apart, lower_is_better=True).why_not == "the ways were validated on different examples"


def test_result_of_a_way_is_the_mean_over_its_seeds():
    assert mean_over_seeds([Validated(0.2, 5, "x"), Validated(0.4, 5, "y")]) == Validated(pytest.approx(0.3), 5, "x/y")
    assert mean_over_seeds([Validated(0.2, 5, "x"), None]) is None
    assert mean_over_seeds([Validated(math.nan, 5, "x")]) is None
    assert mean_over_seeds([]) is None
