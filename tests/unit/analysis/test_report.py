import json
import math

import pandas as pd
import pytest
from jinja2 import Environment, StrictUndefined

from loragrid.analysis.findings import lost_in_thoughts, strong_baselines
from loragrid.analysis.grid_state import grid_state
from loragrid.analysis.provenance import circumstances_of, leaking_mixes, leaking_prompts
from loragrid.analysis.report import TEMPLATE, number, write_report
from loragrid.analysis.settings import AnalysisSettings, ReportContents
from loragrid.analysis.tables_and_figures import analyse, describe_data
from loragrid.layout import ANALYSE, DESCRIBE_DATA, Evaluation, Run
from loragrid.records import Prediction, Score, write_records
from loragrid.runtime.files import write_json


def test_state_counts_what_is_there_and_gives_the_reason_for_what_is_not(tmp_path):
    (tmp_path / "there").write_text("")
    (tmp_path / "failed.log").write_text("starting\nerror: data.jsonl, line 3: not valid JSON.\n")
    targets = [(str(tmp_path / name), str(tmp_path / f"{name}.log")) for name in ("there", "failed", "waiting")]
    [state] = grid_state({"datasets": targets})
    assert (state["expected"], state["present"]) == (3, 1)
    assert [m["reason"] for m in state["missing"]] == [
        "data.jsonl, line 3: not valid JSON.",
        "not started",
    ]


CLEAR = [0.8, 0.9, 0.7, 0.85] * 4


def report_on(folder, scored, answer="yes", in_common=(), manifests=(), **of_scores):
    """The report, called "A & B", on answers of each task, base model and run, with the scorer of each.

    Unless sample type and scores are given, there is one answer each.
    """
    common = {
        "prompt": "</pre><b>",
        "reference": "ref",
        "runtime_s": 1.0,
        "queue_s": 0.0,
        "compute_s": 1.0,
        "prompt_tokens": 3,
        "new_tokens": 4,
        "finish_reason": "stop",
        "batch_size": 2,
        "engine": "e",
        "engine_version": "1",
    }
    predictions, scores = [], []
    for task, base_model, run, scorer, *more in scored:
        sample_type, values = more or ("s", [0.25])
        place = f"{task}/{sample_type}/{base_model}/{run}"
        *_, name, prompting, prompt, decoding, _ = Evaluation.of_place(place)
        axes = {"task": task, "sample_type": sample_type, "base_model": base_model, "run": name}
        axes |= {"prompting": prompting, "prompt_variant": prompt, "decoding": decoding}
        if trained := Run.parse(name):
            of_run = {axis: value for axis, value in trained._asdict().items() if axis != "base_model"}
            axes |= {f"trained_{axis}" if axis in ("task", "sample_type") else axis: value for axis, value in of_run.items()}
        predictions.append(folder / f"predictions/{place}.jsonl")
        write_records(predictions[-1], [Prediction(id=str(i), prediction=answer, **axes, **common) for i in range(len(values))])
        scores.append(folder / f"scores/{place}/{scorer}.jsonl")
        write_records(
            scores[-1], [Score(id=str(i), scorer=scorer, metric="x", value=value, **of_scores) for i, value in enumerate(values)]
        )
    facts = {of[3]: {"type": "rouge", "lower_is_better": [], "worst": {}} for of in scored}
    told = {"metric": "r/x", "prices": {}, "judge_prices": {}, "kinds": facts, "group_by": {}, "levels": {}}
    files = ANALYSE.below(folder) | DESCRIBE_DATA.below(folder)
    analyse(predictions, scores, [], [], [], AnalysisSettings.model_validate(told), files)
    describe_data([], [], [], [], [], [], files)
    contents = ReportContents(title="A & B", examples=1)
    write_report(folder / "r.html", contents, "r/x", grid_state({}), files, [], manifests, [], in_common)
    return (folder / "r.html").read_text()


def test_several_base_models_are_named_also_where_the_first_metric_is_about_one(tmp_path):
    html = report_on(
        tmp_path, [("t", "m", "base", "r"), ("u", "m", "base", "q"), ("u", "n", "base", "q"), ("v", "external", "x", "q")]
    )
    for task, base_model in (("t", " · m"), ("u", " · m"), ("u", " · n"), ("v", "<")):
        assert f'<th scope="row">{task}<small>references: s{base_model}' in html


def test_report_says_how_many_scores_failed_in_part_and_how_many_texts_were_truncated(tmp_path):
    one = {"status": "1 of 10 parts failed and count as 0: no words", "truncated": ["prediction"]}
    html = report_on(tmp_path, [("t", "m", "base", "r")], **one)
    assert '<small title="1 of 10 parts failed and count as 0: no words"> (1 failed)</small>' in html
    assert (
        "too long for the scorer&#39;s model, which read them in part" in html
        or "scorer's model, which read them in part" in html
    )
    assert "(1 truncated)</small>" in html
    assert "truncated)" not in report_on(tmp_path, [("t", "m", "base", "r")])


def test_report_says_which_predictions_made_elsewhere_lack_answers(tmp_path):
    axes = {"task": "t", "sample_type": "s", "base_model": "external", "run": "theirs"}
    manifest = {"axes": axes, "match": "id", "examples": 40}
    for name, more in (("whole", {}), ("gaps", {"missing": ["a", "b", "c"]})):
        write_json(tmp_path / f"{name}.json", manifest | more)
    html = report_on(tmp_path, [("t", "external", "theirs", "r")], manifests=[tmp_path / "gaps.json", tmp_path / "whole.json"])
    assert html.count("<li>t s, theirs: 3 of 40 answers</li>") == 1
    assert "lack answers" not in report_on(tmp_path, [("t", "external", "theirs", "r")], manifests=[tmp_path / "whole.json"])


def test_names_that_look_like_numbers_or_like_nothing_are_names(tmp_path):
    html = report_on(tmp_path, [("null", "3", "base~zero_shot~1", "r"), ("null", "3", "base~zero_shot~2", "r")])
    costs = html[html.index('id="costs"') :]
    for prompt in ("1", "2"):
        assert f'<th scope="row">null<small>references: s</small></th><td>base, prompt {prompt}</td>' in costs


def two_sample_types(references, of_experts, of_heuristic):
    """A base model, and runs trained on `experts` and on `auto`, each tested on the references of the given sample type."""
    of_types = zip(("experts", "auto"), references, (of_experts, of_heuristic), strict=True)
    runs = [("t", "m", Run("m", "t", s, "x", 8, "c", "full", 1).name, "r", tested, values) for s, tested, values in of_types]
    return [("t", "m", "base", "r", tested, [0.4] * 8) for tested in dict.fromkeys(references)] + runs


SPREAD = [0.5, 0.55, 0.45, 0.5, 0.52, 0.48, 0.51, 0.49]


@pytest.mark.parametrize(
    ("of_heuristic", "verdict"),
    [
        ([0.1] * 8, "the runs trained on <b>experts score better</b> in mean r/x (auto 0.100, experts 0.500; difference -0.400"),
        ([0.9] * 8, "the runs trained on <b>auto score better</b> in mean r/x (auto 0.900, experts 0.500; difference +0.400"),
        ([0.1, 0.9] * 4, "<b>Undecided</b> on 8 test questions with references of sample type experts"),
    ],
)
def test_report_says_which_sample_type_trains_better_and_on_whose_references(tmp_path, of_heuristic, verdict):
    html = " ".join(report_on(tmp_path, two_sample_types(["experts"] * 2, SPREAD, of_heuristic), in_common=[0.25, 1]).split())
    assert "On 8 test questions with references of sample type <b>experts</b> and one training of each kind" in html
    assert "<b>Train on experts or on auto?</b>" in html
    assert verdict in html
    assert "one training of each). <a" in html
    assert "of these, two mixes have 25 to 100 % in common" in html
    assert "do not tell" not in html
    for label in ("trained on experts", "trained on auto"):
        assert f'<th scope="col">n=8, {label}</th>' in html


def both_types(*setups, of_auto=SPREAD):
    """Runs trained on `experts` and on `auto` in each setup of config and loss, tested on the references of experts."""
    scored = [("t", "m", "base", "r", "experts", [0.4] * len(SPREAD[: len(of_auto)]))]
    for config, loss in setups:
        for trained, values in (("experts", SPREAD[: len(of_auto)]), ("auto", of_auto)):
            scored.append(("t", "m", Run("m", "t", trained, "x", 8, config, loss, 1).name, "r", "experts", values))
    return scored


def test_questions_of_several_setups_name_what_they_differ_in(tmp_path):
    html = report_on(tmp_path, both_types(("c", "full"), ("d", "full")))
    for config in "cd":
        assert f"<b>Train on experts or on auto?</b> (config {config}) " in html
        assert f'references experts <span class="soft">config {config}</span>' in html
    assert "full loss" not in html


def test_more_than_three_setups_are_counted_in_one_sentence(tmp_path):
    setups = [(config, loss) for config in "cd" for loss in ("full", "completion")]
    html = " ".join(report_on(tmp_path, both_types(*setups, of_auto=[0.9] * 7 + [0.95])).split())
    lead = html[html.index("<h1>") : html.index("<nav>")]
    assert lead.count("Train on experts or on auto?") == 1
    assert "In mean r/x, auto <b>better in 4 of 4</b> comparisons, experts <b>better in 0</b>. <a" in lead
    assert html.count("<b>Train on experts or on auto?</b> (config c, full loss)") == 1


def test_too_little_data_has_no_interval_and_no_spread_is_said(tmp_path):
    html = report_on(tmp_path, both_types(("c", "full"), of_auto=[0.1]))
    assert "<b>Too little data</b> to say: 1 test question with references of sample type experts" in html
    assert "(auto 0.100, experts 0.500; one training of each)" in html
    alike = report_on(tmp_path, both_types(("c", "full"), of_auto=[value + 0.1 for value in SPREAD]))
    assert "difference +0.100, the same everywhere; one training of each" in alike
    for page in (html, alike):
        assert "inf " not in page
        assert "– to –" not in page[: page.index("<nav>")]
        assert "95.0 %" not in page


def test_no_detectable_difference_is_a_sentence(tmp_path):
    name = Run("m", "t", "s", "x", 8, "c", "full", 1).name
    html = report_on(tmp_path, [("t", "m", run, "r", "s", [by] * 8) for run, by in (("base", 0.0), (name, 0.5))])
    assert "<td>no spread</td>" in html
    few = report_on(tmp_path, [("t", "m", run, "r", "s", [by, 0.1]) for run, by in (("base", 0.0), (name, 0.5))])
    assert "So little data would probably not have shown any difference, however large." in few
    assert "<td>none</td>" in few
    assert "inf" not in few[few.index("<h1>") : few.index('id="results"')].replace("information", "")


def test_report_says_that_scores_on_different_references_do_not_tell_which_sample_type_trains_better(tmp_path):
    html = report_on(tmp_path, two_sample_types(["experts", "auto"], [0.9] * 8, [0.1] * 8))
    assert "<b>experts or auto?</b> These results do not tell for t:" in html
    assert "Train on" not in html


def test_first_sentence_says_no_more_than_the_verdicts(tmp_path):
    name = Run("m", "t", "s", "x", 8, "c", "full", 1).name
    few = [("t", "m", run, "r", "s", values) for run, values in (("base", [0.0] * 16), (name, [1.0] * 4 + [0.0] * 12))]
    html = " ".join(report_on(tmp_path, few).split())
    assert (
        "fine-tuning is <b>better than the base model</b> in mean r/x for <b>0 of 1</b> kinds of run, <b>worse for 0</b>" in html
    )
    assert "and <b>undecided for 1</b>" in html
    # Colours say verdicts too.
    assert '<span class="gain ">+0.250' in html
    assert "Differences smaller than about 0." in html
    two = [("t", "m", run, "r", "s", values) for run, values in (("base", [0.0] * 2), (name, [1.0] * 2))]
    assert "So little data would probably not have shown any difference, however large." in report_on(tmp_path, two)
    clear = [("t", "m", run, "r", "s", values) for run, values in (("base", [0.0] * 16), (name, [-value for value in CLEAR]))]
    html = " ".join(report_on(tmp_path, clear).split())
    assert "<b>0 of 1</b> kinds of run, <b>worse for 1</b>." in html
    assert '<span class="gain down">-0.8' in html
    assert "worse with fine-tuning than with the base model alone in r/x" in html


@pytest.mark.parametrize(("value", "shown"), [(0.12345, "0.123"), (math.nan, "–"), (None, "–"), (-math.inf, "-∞")])
def test_numbers_for_the_reader(value, shown):
    assert number(value) == shown


@pytest.mark.parametrize(("lower", "strong"), [(False, "copy (baseline)"), (True, "empty (baseline)")])
def test_baseline_that_is_as_good_as_every_model_is_named(lower, strong):
    of = {"task": "t", "sample_type": "s", "trained_task": None, "scorer": "r", "metric": "x", "lower_is_better": lower}
    of |= {"prompting": "zero_shot", "prompt_variant": "default", "decoding": "greedy"}
    of |= dict.fromkeys(("trained_sample_type", "mix", "config", "loss_computation", "seed", "nb_samples"))
    means = {("m", "base"): 0.5, ("m", "other"): 0.3, ("baseline", "copy"): 0.5, ("baseline", "empty"): 0.1}
    rows = [of | {"base_model": model, "run": run, "mean": mean} for (model, run), mean in means.items()]
    [best] = strong_baselines(pd.DataFrame(rows), MAIN)
    assert best["baseline"] == strong
    assert best["best_model"] == (0.3 if lower else 0.5)
    assert strong_baselines(pd.DataFrame(rows[:2]), MAIN) == []


def test_answers_that_thoughts_left_empty_are_counted():
    of = {"task": "t", "sample_type": "s", "base_model": "m", "trained_task": None}
    of |= {"prompting": "zero_shot", "prompt_variant": "default", "decoding": "greedy"}
    of |= dict.fromkeys(("trained_sample_type", "mix", "config", "loss_computation", "seed", "nb_samples"))
    texts = {"base": [("yes", "hm"), ("", "hm"), ("", "hm")], "theirs": [("", None), ("yes", None)], "their-lora": [("", "")]}
    rows = [of | {"run": run, "prediction": text, "thoughts": thoughts} for run in texts for text, thoughts in texts[run]]
    [found] = lost_in_thoughts(pd.DataFrame(rows))
    assert (found["task"], found["label"], found["empty"], found["answers"]) == ("t", "base", 2, 3)


def test_what_a_model_wrote_is_shown_as_text_and_never_as_markup(tmp_path):
    html = report_on(tmp_path, [("t", "m", "base", "r")], "<script>alert(1)</script>{{ 7 * 7 }}")
    assert "<script>" not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;{{ 7 * 7 }}" in html
    assert "&lt;/pre&gt;&lt;b&gt;" in html
    assert "<title>A &amp; B</title>" in html
    assert "0.250" in html


def test_numbers_are_rounded_for_the_reader_and_missing_ones_dashed():
    assert [number(1234.5678, 1), number(0.12345), number(float("nan")), number(None)] == ["1,234.6", "0.123", "–", "–"]


def test_circumstances_count_the_files_that_were_computed_here(tmp_path):
    facts = {"git_commit": "c", "versions": {"python": "3"}}
    for name, more in (("a", {"hardware": "h"}), ("b", {"hardware": "h"}), ("imported", {})):
        (tmp_path / name).write_text(json.dumps(facts | more))
    assert circumstances_of(sorted(tmp_path.iterdir())) == [facts | {"hardware": "h", "files": 2}]


def test_mix_that_holds_test_examples_is_named_with_the_test_sets(tmp_path, make_example):
    leaks = tmp_path / "leaks.json"
    leaks.write_text('{"train": {"1": ["t/s", "u/s"], "2": ["t/s"], "9": ["t/s"]}, "validation": {}}')
    clean, leaking = tmp_path / "clean/train.jsonl", tmp_path / "leaking/train.jsonl"
    write_records(clean, [make_example("3")])
    write_records(leaking, [make_example("1"), make_example("2"), make_example("3")])
    assert leaking_mixes([leaks], [clean, leaking]) == [{"mix": str(leaking), "tests": ["t/s (2)", "u/s (1)"]}]


def test_mix_that_trains_on_examples_by_which_ways_are_chosen_is_named_and_may_validate_on_them(tmp_path, make_example):
    leaks = tmp_path / "leaks.json"
    leaks.write_text('{"train": {"1": ["t/s (validation)"]}, "validation": {"2": ["u/s"]}}')
    parts = {part: tmp_path / f"{part}.jsonl" for part in ("train", "validation")}
    write_records(parts["train"], [make_example("1")])
    write_records(parts["validation"], [make_example("1"), make_example("2")])
    assert leaking_mixes([leaks], parts.values()) == [
        {"mix": str(parts["train"]), "tests": ["t/s (validation) (1)"]},
        {"mix": str(parts["validation"]), "tests": ["u/s (1)"]},
    ]


@pytest.mark.parametrize("by_output", [False, True])
def test_outputs_of_a_test_set_count_in_mixes_that_leave_them_out(tmp_path, make_example, by_output):
    leaks = tmp_path / "leaks.json"
    leaks.write_text('{"train": {}, "validation": {}, "by_output": {"train": {"1": ["t/s"]}}}')
    write_records(tmp_path / "train.jsonl", [make_example("1"), make_example("2")])
    (tmp_path / "manifest.json").write_text(json.dumps({"recipe": {"leaks_by_output": True} if by_output else {}}))
    assert bool(leaking_mixes([leaks], [tmp_path / "train.jsonl"])) is by_output


def test_demonstrations_that_their_own_test_set_holds_are_named(tmp_path):
    leaks = tmp_path / "datasets/t/s/leaks.json"
    leaks.parent.mkdir(parents=True)
    leaks.write_text('{"train": {"1": ["t/s"], "2": ["u/s"]}, "validation": {}, "by_output": {"train": {"3": ["t/s"]}}}')
    shown = tmp_path / "demonstrations/t/s/near.json"
    shown.parent.mkdir(parents=True)
    shown.write_text('{"a": ["2", "1"], "b": ["3", "2"], "c": ["1", "3"]}')
    assert leaking_prompts([leaks], [shown]) == [{"file": str(shown), "prompts": 2, "of": 3}]
    shown.write_text('{"a": ["2"]}')
    assert leaking_prompts([leaks], [shown]) == []


def test_demonstrations_for_validation_examples_are_compared_with_these(tmp_path):
    leaks = tmp_path / "results/datasets/t/s/leaks.json"
    leaks.parent.mkdir(parents=True)
    leaks.write_text('{"train": {"1": ["t/s"], "2": ["t/s (validation)"]}, "validation": {}}')
    shown = [tmp_path / f"results/demonstrations/t/s/near{of_split}.json" for of_split in ("", "~validation")]
    shown[0].parent.mkdir(parents=True)
    for path in shown:
        path.write_text('{"a": ["2"], "b": ["2"], "c": ["1"]}')
    assert [one["prompts"] for one in leaking_prompts([leaks], shown)] == [1, 2]


@pytest.mark.parametrize(("cut", "shown"), [("2 of 60 rows (0.0333) for a share of 0.1", True), ("", False)])
def test_data_table_says_what_came_of_a_share(cut, shown):
    page = TEMPLATE.read_text(encoding="utf-8")
    part = page[page.index('<p class="soft">In a test set') : page.index("{% if mixes %}")]
    row = {
        "task": "t",
        "sample_type": "s",
        "split": "validation",
        "examples": 2,
        "dropped": 0,
        "reasons": "",
        "leaks": 0,
        "own_leaks": 0,
    }
    html = Environment(undefined=StrictUndefined).from_string(part).render(data_sets=[row | {"cut": cut}])
    assert ("what came of a share" in html) == shown
    assert (cut in html) == (shown or not cut)


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        ((2, 2, 1), "1 of 2 chosen ways also have the best mean r/x on the test examples. Choosing"),
        (
            (3, 2, 1),
            "1 of 2 chosen ways also have the best mean r/x on the test examples; in the other 1, all ways have the same",
        ),
        ((1, 0, 0), "In this choice, all ways have the same mean r/x on the test examples. Choosing"),
        ((2, 0, 0), "In all 2 choices, all ways have the same mean r/x on the test examples. Choosing"),
    ],
)
def test_report_says_what_choosing_by_the_test_would_have_reported(counts, said):
    page = TEMPLATE.read_text(encoding="utf-8")
    start = page.index("{% if choice.decided %}")
    environment = Environment(undefined=StrictUndefined, trim_blocks=True)
    environment.filters["number"] = number
    choice = dict(zip(("decided", "differ", "agreed"), counts, strict=True))
    choice |= {"metric": "r/x", "lower_is_better": False, "optimism": 0.1}
    html = " ".join(environment.from_string(page[start : page.index("<div", start)]).render(choice=choice).split())
    assert said in html
    assert "would have reported 0.100 more on average; a part of that is luck with these questions.</p>" in html
