"""What the report says first: no more than the verdicts, on how much they rest, and with what it should be doubted."""

import math

import pandas as pd
import pytest

from loragrid.analysis.findings import lost_in_thoughts, strong_baselines
from loragrid.analysis.main_metrics import MainMetrics
from loragrid.analysis.page.answer import size_steps, the_answer, what_was_done
from loragrid.analysis.page.contrast_rows import common_labels
from loragrid.analysis.page.rendering import number, section
from unit.analysis import grids
from unit.analysis.grids import base, run, tables

CLEAR = [0.8, 0.9, 0.7, 0.85] * 4
SPREAD = [0.5, 0.55, 0.45, 0.5, 0.52, 0.48, 0.51, 0.49]
MAIN = MainMetrics("r/x")


def prose(*results, cautions=(), bounds=None, common=(), **more):
    """The sections `answer` and `comparisons`, as text with single spaces."""
    _, contrasts = tables(*results, **more)
    models = pd.DataFrame([axes for axes, _ in results]).astype({"nb_samples": "Int64", "seed": "Int64"})
    summary = models.assign(n=[len(values) for _, values in results])
    answer = the_answer(contrasts, summary, models, MAIN, bounds or {})
    facts = {
        "answer": answer,
        "cautions_about_results": list(cautions),
        "cautions_about_data": [],
        "common": common,
        "conclusions": [],
    }
    return [" ".join(str(section(id, facts)).split()) for id in ("answer", "comparisons")]


def test_first_sentence_says_no_more_than_the_verdicts():
    few, _ = prose((base(), [0.0] * 16), (run(), [1.0] * 4 + [0.0] * 12))
    assert (
        "fine-tuning is <b>better than the base model</b> in mean r/x for <b>0 of 1</b> kinds of run, <b>worse for 0</b>" in few
    )
    assert "and <b>undecided for 1</b>" in few
    assert "Differences smaller than about 0." in few
    assert "verdict better" not in few
    clear, _ = prose((base(), [0.0] * 16), (run(), [-value for value in CLEAR]))
    assert "<b>0 of 1</b> kinds of run, <b>worse for 1</b>." in clear
    assert '<span class="verdict worse">worse</span>' in clear


def test_open_verdicts_are_told_on_demand_behind_those_that_are_decided():
    answer, _ = prose((base(), [0.0] * 16), (run(config="good"), CLEAR), (run(config="same"), [0.5, -0.5, 0.4, -0.45] * 4))
    declared = answer[answer.index("Declared beforehand") :]
    assert "2 comparisons: 1 <span" in declared
    assert declared.index("better with fine-tuning") < declared.index("What is open") < declared.index("undecided between")


@pytest.mark.parametrize(
    ("values", "bounds"),
    [
        # Two questions show no difference, whatever it is.
        ([1.0, 0.9], None),
        # Sixteen questions show one that no two answers can have.
        ([1.0] * 4 + [0.0] * 12, {"r/x": (0.0, 0.2)}),
    ],
)
def test_data_that_show_no_possible_difference_are_said_to_show_none(values, bounds):
    answer, _ = prose((base(), [0.0] * len(values)), (run(), values), bounds=bounds)
    assert "So little data would probably not have shown any difference, however large." in answer
    assert "inf" not in answer


def test_runs_count_trainings_and_ways_of_asking_are_told_apart():
    results = [(base(prompting=how), [0.0] * 4) for how in ("zero_shot", "few")]
    results += [
        (run(seed=seed, n=n, prompting=how), [0.5] * 4) for seed in (1, 2) for n in (8, 16) for how in ("zero_shot", "few")
    ]
    models = pd.DataFrame([axes for axes, _ in results])
    done = what_was_done(models, models.assign(n=4))
    assert (done["trainings"], done["kinds"], done["seeds"], done["base_models"]) == (4, 2, 2, 1)
    assert (done["ways_of_asking"], done["questions"]) == (2, (4, 4))
    answer, _ = prose(*results)
    assert "4 trainings of 2 kinds with 2 seeds, 1 base model, 1 task, each asked in up to 2 ways; 4 test questions" in answer
    assert "(asked with prompting few)" in answer


def two_sample_types(references, of_experts, of_heuristic):
    """A base model, and runs trained on `experts` and on `auto`, each tested on the references of the given sample type."""
    of_types = zip(("experts", "auto"), references, (of_experts, of_heuristic), strict=True)
    runs = [(run(trained_on=trained, references=tested), values) for trained, tested, values in of_types]
    return [(base(references=tested), [0.4] * 8) for tested in dict.fromkeys(references)] + runs


@pytest.mark.parametrize(
    ("of_heuristic", "verdict"),
    [
        ([0.1] * 8, "the runs trained on <b>experts score better</b> in mean r/x (auto 0.100, experts 0.500; difference −0.400"),
        ([0.9] * 8, "the runs trained on <b>auto score better</b> in mean r/x (auto 0.900, experts 0.500; difference +0.400"),
        ([0.1, 0.9] * 4, "<b>Undecided</b> on 8 test questions with references of sample type experts"),
    ],
)
def test_report_says_which_sample_type_trains_better_and_on_whose_references(of_heuristic, verdict):
    answer, comparisons = prose(*two_sample_types(["experts"] * 2, SPREAD, of_heuristic), common=[0.25, 1])
    assert "On 8 test questions with references of sample type <b>experts</b> and one training of each kind" in answer
    for text in (answer, comparisons):
        assert "<b>Train on experts or on auto?</b>" in text
        assert verdict in text
    assert "of these, two mixes have 25 to 100 % in common" in comparisons
    assert "do not tell" not in comparisons


def test_scores_on_different_references_do_not_tell_which_sample_type_trains_better():
    answer, comparisons = prose(*two_sample_types(["experts", "auto"], [0.9] * 8, [0.1] * 8))
    assert "<b>experts or auto?</b> These results do not tell for t:" in comparisons
    assert "Train on" not in answer + comparisons


def both_types(*setups, of_auto=SPREAD):
    """Runs trained on `experts` and on `auto` in each setup of config and loss, tested on the references of experts."""
    scored = [(base(references="experts"), [0.4] * len(of_auto))]
    for config, loss in setups:
        for trained, values in (("experts", SPREAD[: len(of_auto)]), ("auto", of_auto)):
            scored.append((run(trained_on=trained, references="experts", config=config, loss=loss), values))
    return scored


def test_questions_of_several_setups_name_what_they_differ_in():
    answer, _ = prose(*both_types(("c", "full"), ("d", "full")))
    for config in "cd":
        assert f"<b>Train on experts or on auto?</b> (config {config}) " in answer
    assert "full loss" not in answer


def test_more_than_three_setups_are_counted_in_one_sentence():
    setups = [(config, loss) for config in "cd" for loss in ("full", "completion")]
    answer, comparisons = prose(*both_types(*setups, of_auto=[0.9] * 7 + [0.95]))
    assert answer.count("Train on experts or on auto?") == 1
    assert "In mean r/x, auto <b>better in 4 of 4</b> comparisons, experts <b>better in 0</b>. <a" in answer
    assert comparisons.count("<b>Train on experts or on auto?</b> (config c, full loss)") == 1


def test_too_little_data_has_no_interval_and_no_spread_is_said():
    answer, _ = prose(*both_types(("c", "full"), of_auto=[0.1]))
    assert "<b>Too little data</b> to say: 1 test question with references of sample type experts" in answer
    assert "(auto 0.100, experts 0.500; one training of each)" in answer
    alike, _ = prose(*both_types(("c", "full"), of_auto=[value + 0.1 for value in SPREAD]))
    assert "difference +0.100, the same everywhere; one training of each" in alike
    for text in (answer, alike):
        assert "inf " not in text
        assert "95.0 %" not in text


def test_names_are_text_and_never_markup():
    answer, _ = prose((base(), [0.0] * 16), (run(trained_on="<b>x"), CLEAR), (base(references="<b>x"), [0.0] * 16))
    assert "<b>x" not in answer.replace("<b>x</b>", "")
    assert "&lt;b&gt;x" in answer


@pytest.mark.parametrize(
    ("value", "shown"), [(0.12345, "0.123"), (math.nan, "–"), (None, "–"), (-math.inf, "−∞"), (1234.5678, "1,234.568")]
)
def test_numbers_for_the_reader(value, shown):
    assert number(value) == shown


def contrasts_of_two_tasks(comparison):
    values = {"c0": CLEAR, "c1": [0.5, -0.5, 0.4, -0.45] * 4}
    results = [(base(task=task), [0.0] * 16) for task in "tu"]
    results += [(run(task=task, config=config, n=n), of) for task in "tu" for config, of in values.items() for n in (8, 16)]
    return grids.contrasts(*results, comparisons=[comparison, {"axis": "config", "across": "nb_samples"}])


@pytest.mark.parametrize(
    ("comparison", "label"),
    [
        ({"axis": "config"}, "n=8"),
        ({"axis": "config", "over_tasks": True}, "n=8"),
        ({"axis": "nb_samples"}, "c0"),
        ({"axis": "training"}, "n=8, c0"),
    ],
)
def test_comparisons_name_what_both_ways_have_in_common_and_not_what_one_of_them_is(comparison, label):
    table = contrasts_of_two_tasks(comparison)
    rows = table.assign(label=common_labels(table))
    assert label in set(rows.loc[rows["axis"] == comparison["axis"], "label"])
    assert set(rows.loc[rows["axis"] == "config*nb_samples", "label"]) == {""}


def test_pairs_that_are_asked_in_two_ways_name_neither():
    results = [(run(prompting=how), values) for how, values in (("zero_shot", SPREAD), ("few", CLEAR[:8]))]
    table = grids.contrasts(*results, comparisons=[{"axis": "prompting"}])
    assert common_labels(table) == ["n=8"]


OF = {"task": "t", "sample_type": "s", "trained_task": None, "prompting": "zero_shot", "prompt_variant": "default"}
OF |= {"decoding": "greedy"} | dict.fromkeys(("trained_sample_type", "mix", "config", "loss_computation", "seed", "nb_samples"))


@pytest.mark.parametrize(("lower", "strong"), [(False, "copy (baseline)"), (True, "empty (baseline)")])
def test_baseline_that_is_as_good_as_every_model_is_named(lower, strong):
    means = {("m", "base"): 0.5, ("m", "other"): 0.3, ("baseline", "copy"): 0.5, ("baseline", "empty"): 0.1}
    of = OF | {"scorer": "r", "metric": "x", "lower_is_better": lower}
    rows = [of | {"base_model": model, "run": name, "mean": mean} for (model, name), mean in means.items()]
    [best] = strong_baselines(pd.DataFrame(rows), MAIN)
    assert best["baseline"] == strong
    assert best["best_model"] == (0.3 if lower else 0.5)
    assert strong_baselines(pd.DataFrame(rows[:2]), MAIN) == []


def test_answers_that_thoughts_left_empty_are_counted():
    texts = {"base": [("yes", "hm"), ("", "hm"), ("", "hm")], "theirs": [("", None), ("yes", None)], "their-lora": [("", "")]}
    rows = [
        OF | {"base_model": "m", "run": name, "prediction": text, "thoughts": thoughts}
        for name in texts
        for text, thoughts in texts[name]
    ]
    [found] = lost_in_thoughts(pd.DataFrame(rows))
    assert (found["task"], found["label"], found["empty"], found["answers"]) == ("t", "base", 2, 3)


def test_what_more_training_examples_bring_is_counted_step_by_step():
    values = {8: [0.1, 0.12, 0.11, 0.13], 16: [0.6, 0.7, 0.65, 0.62], 32: [0.1, 0.2, 0.15, 0.12]}
    results = [(base(), [0.0] * 16), *((run(n=n), of * 4) for n, of in values.items())]
    steps = size_steps(grids.contrasts(*results, comparisons=[{"axis": "nb_samples"}]), MAIN)
    pairs = [(step["other"], step["own"]) for step in steps]
    assert pairs == sorted(pairs)
    assert pairs[0] == (8, 16)
    assert (steps[0]["number"], steps[0]["better"], steps[0]["worse"]) == (1, 1, 0)
    assert {step["own"] for step in steps} == {16, 32}
    assert all(
        step["better"] + step["worse"] + step["equivalent"] + step["undecided"] + step["too_little"] == 1 for step in steps
    )
