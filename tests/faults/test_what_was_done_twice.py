"""How the kill script tells from the spy's lines what was done twice."""

import pytest

from faults.jobs_seen import done_twice, how_often

TRAINED = [
    {"event": "started", "pid": 1},
    {"event": "step", "pid": 1, "work": "a", "step": 1},
    {"event": "saved", "pid": 1, "work": "a", "step": 1},
    {"event": "step", "pid": 1, "work": "a", "step": 2},
    {"event": "trained", "pid": 1, "work": "a", "result": "there"},
]
ANSWERED = [{"event": "answered", "pid": 1, "work": "j", "keys": ["x", "y"]}]


def test_work_that_goes_on_from_what_was_kept_is_done_once():
    resumed = [*TRAINED[:4], {"event": "step", "pid": 2, "work": "a", "step": 2}, TRAINED[4]]
    others = [{"event": "step", "pid": 2, "work": "b", "step": 1}, {"event": "answered", "pid": 2, "work": "k", "keys": ["x"]}]
    assert done_twice([*resumed, *ANSWERED, *others]) == []


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        (
            [*TRAINED[:3], {"event": "step", "pid": 2, "work": "a", "step": 1}],
            "training a: step 1 was computed again (process 2)",
        ),
        ([*TRAINED, {"event": "step", "pid": 2, "work": "a", "step": 3}], "training a: step 3 was computed again (process 2)"),
        ([*TRAINED, TRAINED[-1]], "training a: finished twice (there)"),
        (
            [*ANSWERED, {"event": "answered", "pid": 2, "work": "j", "keys": ["y", "z"]}],
            "prediction j: 1 answers were computed again (process 2)",
        ),
    ],
)
def test_kept_work_that_is_computed_again_is_told(lines, told):
    assert done_twice(lines) == [told]


def test_what_was_computed_is_counted():
    lines = [*TRAINED, *ANSWERED, *[{"event": "checked", "pid": 1, "work": "c"}] * 2]
    assert how_often(lines) == {"step": 2, "saved": 1, "trained": 1, "answered": 2, "checked": 2, "checked again": 1}
