import json

import pytest

from loragrid.data.mixes import Fractional, MixSettings, TargetOnly, Weighted, draw, make_mix, share_out, write_mix
from loragrid.errors import UserError
from loragrid.records import Example, read_records, write_records


@pytest.fixture
def examples(make_example):
    return [make_example(str(i)) for i in range(40)]


@pytest.fixture
def tasks(make_example):
    """Three tasks of 40, 20 and 10 examples."""
    return {
        task: [make_example(f"{task}{i}").model_copy(update={"task": task}) for i in range(size)]
        for task, size in (("a", 40), ("b", 20), ("c", 10))
    }


def counts(examples):
    found = [e.task for e in examples]
    return {task: found.count(task) for task in dict.fromkeys(found)}


def inputs(examples):
    return [example.input for example in examples]


def test_larger_draw_contains_the_smaller_one(examples):
    assert draw(examples, 20, seed=1)[:10] == draw(examples, 10, seed=1)
    assert {e.id for e in draw(examples, 40, seed=1)} > {e.id for e in draw(examples, 39, seed=1)}


def test_draw_does_not_depend_on_the_order_of_the_data(examples):
    assert draw(examples[::-1], 10, seed=1) == draw(examples, 10, seed=1)


def test_other_seed_draws_others(examples):
    assert {e.id for e in draw(examples, 10, seed=1)} != {e.id for e in draw(examples, 10, seed=2)}


def test_added_data_moves_nothing_that_was_drawn(examples, make_example):
    before = draw(examples, 39, seed=1)
    grown = draw([*examples, make_example("new")], 40, seed=1)
    assert [e for e in grown if e.id != "new"][:39] == before


def test_sample_types_of_a_task_train_on_the_same_questions(make_example):
    manual = [make_example(f"m{i}", input=f"letter {i}", output=f"by an expert {i}") for i in range(40)]
    auto = [
        make_example(f"a{7 * i % 40}", input=f" Letter  {i} ", output="by a rule", instruction="Other words.") for i in range(40)
    ]
    drawn = inputs(draw(manual, 10, seed=3))
    assert [" ".join(text.lower().split()) for text in inputs(draw(auto, 10, seed=3))] == drawn


def test_question_with_several_references_is_drawn_again_only_after_all_others(make_example):
    once = [make_example(f"m{i}", input=f"letter {i}") for i in range(20)]
    often = [make_example(f"a{i}-{j}", input=f"letter {i}", output=f"{j}") for i in range(20) for j in range(1 + i % 3)]
    assert inputs(draw(often, 10, seed=5)) == inputs(draw(once, 10, seed=5))
    assert set(inputs(draw(often, 20, seed=5))) == set(inputs(once))
    assert len(draw(often, 25, seed=5)) == 25


def test_whole_data_set_comes_in_the_order_that_it_always_had(make_example):
    examples = [make_example(str(i)) for i in range(6)]
    assert [e.id for e in draw(examples, 6, seed=1)] == ["3", "2", "4", "5", "1", "0"]


def test_shares_add_up_and_are_in_proportion():
    assert share_out(10, {"a": 1, "b": 1, "c": 1}) == {"a": 4, "b": 3, "c": 3}
    assert share_out(7, {"a": 5, "b": 2}) == {"a": 5, "b": 2}
    assert share_out(3, {"a": 0, "b": 0}) == {"a": 0, "b": 0}


def test_target_only_mix_holds_the_target_alone(tasks):
    train, validation = make_mix(TargetOnly(recipe="target_only", nb_validation=5), "b", 7, tasks, tasks, seed=1)
    assert counts(train) == {"b": 7}
    assert counts(validation) == {"b": 5}


@pytest.mark.parametrize(("nb_others", "others"), [(None, {"b": 20, "c": 10}), (4, {"b": 4, "c": 4})])
@pytest.mark.parametrize("nb_samples", [0, 10, 30])
def test_fractional_mix_holds_some_of_the_target_among_the_others(tasks, nb_others, others, nb_samples):
    recipe = Fractional(recipe="fractional", tasks=["a", "b", "c"], nb_others=nb_others)
    train, _ = make_mix(recipe, "a", nb_samples, tasks, tasks, seed=1)
    assert counts(train) == ({"a": nb_samples} if nb_samples else {}) | others


def test_larger_fractional_mix_contains_the_smaller_one(tasks):
    recipe = Fractional(recipe="fractional", tasks=["a", "b"], nb_others=5)
    small, large = (make_mix(recipe, "a", n, tasks, tasks, seed=3)[0] for n in (10, 30))
    assert {e.id for e in small} < {e.id for e in large}


def test_weighted_mix_shares_the_others_out_by_weight(tasks):
    recipe = Weighted(recipe="weighted", weights={"a": 9, "b": 2, "c": 1}, nb_others=12, nb_validation=6)
    train, validation = make_mix(recipe, "a", 6, tasks, tasks, seed=1)
    assert counts(train) == {"a": 6, "b": 8, "c": 4}
    assert counts(validation) == {"a": 2, "b": 3, "c": 1}


def test_validation_part_is_at_most_what_there_is(tasks):
    _, validation = make_mix(TargetOnly(recipe="target_only", nb_validation=99), "c", 1, tasks, tasks, seed=1)
    assert counts(validation) == {"c": 10}


def test_mix_that_asks_for_too_much_names_the_task_and_both_numbers(tasks):
    recipe = Fractional(recipe="fractional", tasks=["a", "c"], nb_others=11)
    with pytest.raises(UserError, match="training examples of task 'c': 11 examples are asked for, but there are only 10"):
        make_mix(recipe, "a", 1, tasks, tasks, seed=1)


@pytest.mark.parametrize(
    "recipe",
    [Fractional(recipe="fractional", tasks=["a", "c"]), Weighted(recipe="weighted", weights={"a": 9, "c": 1}, nb_others=1)],
)
def test_mix_of_a_task_without_training_examples_is_refused(tasks, recipe):
    with pytest.raises(UserError, match="training examples of task 'c': there are none to draw from"):
        make_mix(recipe, "a", 1, tasks | {"c": []}, tasks, seed=1)
    make_mix(recipe, "c", 0, tasks | {"c": []}, tasks, seed=1)


@pytest.fixture
def write(tasks, tmp_path):
    """Writes a mix of the tasks a and b, whose data sets have eight examples each; gives its train part and its manifest."""

    def write_it(leaks_of_a, nb_samples="6", **recipe):
        paths = {part: [str(tmp_path / f"{task}-{part}.jsonl") for task in "ab"] for part in ("train", "validation")}
        for files in paths.values():
            for task, path in zip("ab", files, strict=True):
                write_records(path, tasks[task][:8])
        leaks = [str(tmp_path / f"{task}.json") for task in "ab"]
        for path, leaked in zip(leaks, (leaks_of_a, {"train": {}}), strict=True):
            (tmp_path / path).write_text(json.dumps({"validation": {}} | leaked))
        outputs = {name: str(tmp_path / "mix" / name) for name in ("train", "validation", "manifest")}
        recipe = {"recipe": "fractional", "tasks": ["a", "b"], "nb_others": 3, "nb_validation": 4} | recipe
        settings = MixSettings.model_validate({"version": 7, "tasks": ["a", "b"], "recipe": recipe})
        wildcards = {"task": "a", "sample_type": "s", "mix": "both", "nb_samples": nb_samples, "mix_seed": "2"}
        write_mix(settings, wildcards, paths, leaks, outputs)
        return read_records(outputs["train"], Example), json.loads((tmp_path / "mix" / "manifest").read_text())

    return write_it


def test_written_mix_leaves_out_what_is_tested_and_says_so(write):
    train, manifest = write({"train": {"a1": ["t/s"], "a0": ["t/s"]}})
    assert counts(train) == {"a": 6, "b": 3}
    assert not {"a0", "a1"} & {example.id for example in train}
    assert manifest["left_out_because_tested"] == {"train": {"a": ["a0", "a1"], "b": []}, "validation": {"a": [], "b": []}}
    assert manifest["why_left_out"] == {"train": {"a": {"same question": 2}}}
    assert manifest["examples"] == {"train": {"a": 6, "b": 3}, "validation": {"a": 3, "b": 1}}
    recipe = {"recipe": "fractional", "tasks": ["a", "b"], "nb_others": 3, "nb_validation": 4}
    assert (manifest["recipe"], manifest["stage_version"], manifest["nb_samples"]) == (recipe, 7, 6)


def test_mix_that_leaves_nothing_out_has_a_manifest_without_reasons(write):
    assert "why_left_out" not in write({"train": {}})[1]


CANNED = {"train": {"a0": ["t/s"]}, "by_output": {"train": {f"a{i}": ["t/s", "u/s"] for i in range(1, 8)}}}
"""A data set of which one question is tested, and all other outputs are."""


def test_canned_answers_empty_a_mix_only_if_outputs_are_to_be_compared(write):
    assert counts(write(CANNED)[0]) == {"a": 6, "b": 3}
    with pytest.raises(UserError) as caught:
        write(CANNED, leaks_by_output=True)
    said = str(caught.value)
    assert said.startswith(
        "training examples of task 'a': 6 examples are asked for, but there are only 0. 8 of 8 are left out because a test set "
        "holds them too (same output: 7, same question: 1): t/s, u/s; "
    )
    assert said.endswith("a.json lists them.")


def test_mix_by_output_counts_why_examples_are_missing(write):
    _, manifest = write(CANNED, nb_samples="0", leaks_by_output=True, tasks=["a", "b"])
    assert manifest["why_left_out"] == {"train": {"a": {"same output": 7, "same question": 1}}}
    assert manifest["recipe"]["leaks_by_output"] is True


@pytest.mark.parametrize(
    ("recipe", "nb_samples", "drawn"),
    [
        (TargetOnly(recipe="target_only"), 4, True),
        (Fractional(recipe="fractional", tasks=["a", "b"], nb_validation=0), 0, False),
        (Fractional(recipe="fractional", tasks=["a", "b"], nb_validation=0), 1, True),
        (Fractional(recipe="fractional", tasks=["a", "b"], nb_validation=5), 0, True),
        (Fractional(recipe="fractional", tasks=["a", "b"], nb_validation=0, nb_others=2), 0, True),
        (Weighted(recipe="weighted", weights={"a": 1, "b": 1}, nb_others=1, nb_validation=0), 0, True),
    ],
)
def test_mix_that_takes_all_there_is_draws_nothing(recipe, nb_samples, drawn):
    assert recipe.is_drawn(nb_samples) is drawn
