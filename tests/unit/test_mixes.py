import pytest

from loragrid.errors import UserError
from loragrid.mixes import draw, target_only


@pytest.fixture
def examples(make_example):
    return [make_example(str(i)) for i in range(40)]


def test_larger_draw_contains_the_smaller_one(examples):
    assert draw(examples, 20, seed=1)[:10] == draw(examples, 10, seed=1)


def test_draw_does_not_depend_on_the_order_of_the_data(examples):
    assert draw(examples[::-1], 10, seed=1) == draw(examples, 10, seed=1)


def test_other_seed_draws_others(examples):
    assert {e.id for e in draw(examples, 10, seed=1)} != {e.id for e in draw(examples, 10, seed=2)}


def test_added_data_moves_nothing_that_was_drawn(examples, make_example):
    before = draw(examples, 40, seed=1)
    grown = draw([*examples, make_example("new")], 41, seed=1)
    assert [e for e in grown if e.id != "new"] == before


def test_draw_of_more_than_there_is_names_both_numbers(examples):
    with pytest.raises(UserError, match="41 is more than the 40 training examples"):
        draw(examples, 41, seed=1)


def test_validation_part_is_as_large_as_asked_for_or_as_there_is(examples):
    assert len(target_only(examples, examples, 10, 15, seed=1)[1]) == 15
    assert len(target_only(examples, examples[:5], 10, 15, seed=1)[1]) == 5
