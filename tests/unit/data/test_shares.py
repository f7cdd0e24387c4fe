"""What comes of a share of rows: told where it is little, and cut exactly on request."""

import json
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from loragrid.data.preparation import PrepareSettings, prepare_dataset
from loragrid.data.shares import Cut, concerns, described, exact_groups, expectation
from loragrid.data.sources import Division
from loragrid.data.splitting import Drafted, divide
from loragrid.records import Example, read_records


def drafted(groups):
    return [
        Drafted(Example(id=str(i), task="t", sample_type="s", instruction="", input=str(i), output="x"), group, "")
        for i, group in enumerate(groups)
    ]


def sizes(groups, **division):
    splits = divide({"all": drafted(groups)}, Division(**division))
    assert sorted(int(e.id) for part in splits.values() for e in part) == list(range(len(groups)))
    return {split: len(part) for split, part in splits.items()}


ROWS = [f"row {i}" for i in range(60)]


def test_exact_shares_are_exact_whatever_the_hashes_say():
    for seed in range(20):
        assert sizes(ROWS, validation=0.1, test=0.25, exact=True, seed=seed) == {"test": 15, "validation": 6, "train": 39}
    by_chance = {sizes(ROWS, validation=0.1, seed=seed)["validation"] for seed in range(20)}
    assert min(by_chance) < 4 < 8 < max(by_chance)


def test_part_that_is_asked_for_is_never_empty_where_it_is_exact():
    assert sizes(ROWS[:3], validation=0.1, test=0.1, exact=True) == {"test": 1, "validation": 1, "train": 1}
    assert sizes(["a", "a", "a"], validation=0.1, exact=True) == {"test": 0, "validation": 3, "train": 0}


def test_exact_number_of_test_questions_and_exact_share_go_together():
    assert sizes(ROWS, validation=0.1, test_per_task=7, exact=True) == {"test": 7, "validation": 6, "train": 47}


def test_exact_share_takes_the_rows_with_the_lowest_places():
    loose, exact = (divide({"all": drafted(ROWS)}, Division(test=0.3, exact=exact))["test"] for exact in (False, True))
    smaller, larger = sorted(({e.id for e in part} for part in (loose, exact)), key=len)
    assert smaller <= larger
    assert len(exact) == 18


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    st.lists(st.sampled_from("abcdefghijkl"), min_size=1, max_size=40),
    st.floats(0.01, 0.45),
    st.floats(0.01, 0.45),
    st.integers(0, 5),
)
def test_groups_stay_whole_and_parts_are_as_near_as_whole_groups_allow(groups, validation, test, seed):
    splits = divide({"all": drafted(groups)}, Division(validation=validation, test=test, seed=seed, exact=True))
    of_split = {split: {groups[int(e.id)] for e in part} for split, part in splits.items()}
    assert sum(map(len, of_split.values())) == len(set(groups))
    largest = max(Counter(groups).values())
    for split, share in (("test", test), ("validation", validation)):
        # After the parts before it, too little may be left.
        if of_split["train"]:
            assert abs(len(splits[split]) - Cut(share, len(groups), 0).wanted) <= max(largest / 2, largest - 1)


def test_groups_are_taken_in_order():
    assert exact_groups(list("aabbc"), {"a": 0.5, "b": 0.1, "c": 0.9}, {"test": 0.4, "validation": 0.2}, 5) == {
        "b": "test",
        "a": "validation",
    }


@pytest.mark.parametrize("values", [{"exact": True}, {"exact": True, "test": 0.1, "test_per_task": 5}])
def test_exact_without_a_share_is_refused(values):
    with pytest.raises(ValidationError, match="exact needs a share that it cuts; give validation or test"):
        Division(**values)


@pytest.mark.parametrize(
    ("split", "examples", "cut", "exact", "sentences"),
    [
        ("validation", 2, Cut(0.1, 60, 2), False, [
            "validation: 2 of 60 rows (0.0333) for a share of 0.1: less than half of what was asked; for data that will not grow, "
            "`split: {exact: true}` cuts 6",
            "validation: 2 examples, too few to tell when training should end",
        ]),
        ("validation", 3, Cut(0.1, 60, 3), False, ["validation: 3 examples, too few to tell when training should end"]),
        ("validation", 60, Cut(0.1, 600, 60), False, []),
        ("validation", 0, None, False, []),
        ("test", 12, None, False, ["test: 12 examples, too few to conclude from: a share of right answers is known to ± 0.28 at best"]),
        ("test", 1, Cut(0.5, 2, 1), True, ["test: 1 example, too few to conclude from: a share of right answers is known to ± 0.98 at best"]),
        ("test", 30, None, False, []),
    ],
)  # fmt: skip
def test_part_that_is_too_small_is_told(split, examples, cut, exact, sentences):
    assert list(concerns(split, examples, cut, exact)) == sentences


def test_share_that_may_come_to_little_is_told_before_anything_is_read():
    assert expectation("validation", 0.1, 60) == (
        "validation: a share of 0.1 of 60 rows may be 1 to 11; `split: {exact: true}` cuts 6"
    )
    assert expectation("test", 0.2, 5000) is None


def test_preparation_says_what_came_of_a_share(tmp_path, caplog):
    (tmp_path / "words.jsonl").write_text("".join(json.dumps({"word": f"word {i}"}) + "\n" for i in range(60)))
    outputs = {name: str(tmp_path / "out" / name) for name in ("train", "validation", "test", "manifest")}

    def prepare(**division):
        source = {"splits": {"all": {"path": str(tmp_path / "words.jsonl")}}, "split": division}
        fields = {"instruction": "Say it.", "input": "{{ word }}", "output": "{{ word }}", "answers": "each"}
        settings = PrepareSettings.model_validate({"version": 1, "source": source, "fields": fields, "cleaning": {}})
        caplog.clear()
        with caplog.at_level("INFO", "loragrid"):
            prepare_dataset(settings, "t", "s", None, None, outputs)
        return json.loads((tmp_path / "out" / "manifest").read_text())

    loose = prepare(validation=0.1, test=0.5, seed=4)
    found = {split: len(read_records(outputs[split], Example)) for split in ("validation", "test")}
    assert loose["cut"] == {
        "test": {"asked": 0.5, "of": 60, "rows": found["test"]},
        "validation": {"asked": 0.1, "of": 60, "rows": found["validation"]},
    }
    assert "exact" not in loose["source"]["split"]
    assert f"validation: {described(Cut(**loose['cut']['validation']))}" in caplog.messages
    exact = prepare(validation=0.1, test=0.5, seed=4, exact=True)
    assert exact["source"]["split"]["exact"] is True
    assert {split: cut["rows"] for split, cut in exact["cut"].items()} == {"test": 30, "validation": 6}
    assert "validation: 6 of 60 rows (0.1) for a share of 0.1, cut exactly" in caplog.messages
    assert "warning: validation: 6 examples, too few to tell when training should end" in caplog.messages
    assert "cut" not in prepare(test_per_task=40)
