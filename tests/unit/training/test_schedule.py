import itertools
import math

import pytest

from loragrid.training.methods import LoraTraining
from loragrid.training.schedule import learning_rate_factor, steps_of, validation_steps

LENGTHS = [5, 30, 8, 100, 7, 9, 31]


@pytest.mark.parametrize(
    ("examples", "batch_size", "epochs", "steps"), [(8, 4, 2, 4), (10, 4, 1, 3), (10, 4, 0.5, 2), (8, 4, 1.5, 3), (3, 8, 1, 1)]
)
def test_each_epoch_holds_every_example_once(examples, batch_size, epochs, steps):
    order, per_epoch = steps_of([9] * examples, LoraTraining(batch_size=batch_size, epochs=epochs), seed=1)
    assert len(order) == steps
    assert per_epoch == math.ceil(examples / batch_size)
    for epoch in range(math.floor(epochs)):
        assert sorted(i for step in order[epoch * per_epoch : (epoch + 1) * per_epoch] for i in step) == list(range(examples))


@pytest.mark.parametrize(
    ("epochs", "steps_per_epoch", "steps"),
    [(0.07, 100, 7), (0.14, 50, 7), (1.1, 10, 11), (0.29, 100, 29), (0.071, 100, 8), (1, 3, 3), (0.5, 3, 2), (1e-12, 100, 1)],
)
def test_part_of_an_epoch_is_rounded_up_but_not_for_the_rounding_of_the_machine(epochs, steps_per_epoch, steps):
    config = LoraTraining(batch_size=1, epochs=epochs)
    assert config.nb_steps(steps_per_epoch) == steps
    assert len(steps_of([9] * steps_per_epoch, config, seed=1)[0]) == steps


def test_steps_can_be_counted_instead_of_epochs():
    assert len(steps_of([9] * 10, LoraTraining(batch_size=4, max_steps=7), seed=1)[0]) == 7


def test_a_batch_can_be_measured_in_tokens():
    steps, _ = steps_of(LENGTHS, LoraTraining(batch_tokens=50), seed=1)
    assert sorted(i for step in steps for i in step) == list(range(len(LENGTHS)))
    assert all(len(step) == 1 or sum(LENGTHS[i] for i in step) <= 50 for step in steps)
    for step, following in itertools.pairwise(steps):
        assert sum(LENGTHS[i] for i in step) + LENGTHS[following[0]] > 50


def test_another_order_seed_is_another_order():
    config = LoraTraining(batch_size=4, epochs=2)
    assert steps_of([9] * 8, config, seed=1) == steps_of([9] * 8, config, seed=1)
    assert steps_of([9] * 8, config, seed=1) != steps_of([9] * 8, config, seed=2)


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"evaluations": 4}, {4, 8, 12, 16}),
        ({"evaluations": 0}, set()),
        ({"validate_every": 5}, {5, 10, 15, 16}),
        ({"validate_every": 8}, {8, 16}),
    ],
)
def test_validation_is_spread_evenly_or_done_every_few_steps_and_always_at_the_end(keys, expected):
    assert validation_steps(LoraTraining(**keys), 16) == expected


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("constant", [1 / 3, 2 / 3, 1, 1, 1, 1]),
        ("linear", [1 / 3, 2 / 3, 1, 0.75, 0.5, 0.25]),
        ("cosine", [1 / 3, 2 / 3, 1, 0.853553, 0.5, 0.146447]),
    ],
)
def test_learning_rate_warms_up_and_decays(schedule, expected):
    factor = learning_rate_factor(schedule, warmup_steps=2, total_steps=6)
    assert [factor(step) for step in range(6)] == pytest.approx(expected, abs=1e-6)
