"""Sizes that fit the number of rows."""

import pytest

from loragrid.planning.first_steps.sizes import ladder, longest, nb_tokens, shares_of


def test_the_fewer_rows_the_larger_the_share_of_the_test():
    assert [shares_of(rows).test for rows in (60, 2000, 10**5)] == [0.3, 0.2, 0.1]
    assert [shares_of(rows).exact for rows in (60, 2000, 10**5)] == [True, True, False]


@pytest.mark.parametrize(
    ("nb_train", "tokens", "chosen", "larger"),
    [
        (36, 50, [8, 32], []),
        (20, 50, [8, 20], []),
        (5, 50, [5], []),
        (700, 50, [8, 32, 128], [512]),
        (700, 2000, [8], [32, 128, 512]),
        (10**5, 20, [8, 32, 128, 512], [2048]),
    ],
)
def test_sizes_go_up_to_what_the_train_split_holds_as_far_as_a_laptop_trains_them_in_minutes(nb_train, tokens, chosen, larger):
    assert ladder(nb_train, tokens, epochs=3) == (chosen, larger)


def test_tokens_are_estimated_by_bytes():
    assert nb_tokens("five words of plain English") == 11
    assert nb_tokens("猫") == 2


def test_longest_leaves_out_the_last_twentieth():
    assert longest([*range(1, 20), 1000]) == 19
    assert longest([7]) == 7
