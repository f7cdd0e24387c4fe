from collections import Counter

from loragrid import layout
from loragrid.grid.jobs.settings import lengths_trained_to
from loragrid.grid.jobs.wanted import TIERS, learning_prompts, shown_tiers, tier_files, tiers, tracked, usable_jobs
from loragrid.layout import Evaluation


def test_tiers_are_those_that_are_listed_in_order(grid):
    assert tuple(tiers(grid)) == TIERS


def test_every_job_of_the_grid_is_asked_for_once(grid):
    counts = {rule: len(jobs) for by_rule in tiers(grid).values() for rule, jobs in by_rule.items()}
    runs, own, elsewhere = 12, 1, 1
    assert counts["train"] == 8
    assert counts["train_full"] == 4
    assert counts["check"] == runs + 2
    assert counts["import_predictions"] == 1
    assert counts["describe_model"] + counts["describe_full_model"] == runs
    predicted = runs * (own + elsewhere) + len(["gold t", "silver t", "gold u", "silver u", "few", "near", "short", "served"])
    assert counts["predict"] == predicted
    assert counts["predict_baseline"] == 4 * 2
    assert counts["score"] == 2 * (counts["predict"] + counts["import_predictions"] + counts["predict_baseline"])


def test_runs_are_probed_with_their_base_models_where_it_is_asked_for(grid, make_grid):
    assert tiers(grid)["probes"]["probe"] == []
    assert "probes" not in shown_tiers(grid)
    probing = make_grid(forgetting={})
    probed = [(job["base_model"], job["run"]) for job in tiers(probing)["probes"]["probe"]]
    # Nothing is trained on what only a server has.
    assert probed == [("m", "base"), *((run.base_model, run.name) for run in probing.runs.values())]
    assert "probes" in shown_tiers(probing)
    others = {name: jobs for name, jobs in tier_files(probing).items() if name != "probes"}
    assert others == {name: jobs for name, jobs in tier_files(grid).items() if name != "probes"}


def test_prompts_are_learnt_by_prompt_tuning_alone_and_examples_cut_to_the_lengths_of_trainings(grid, make_grid):
    assert learning_prompts(grid) == []
    soft = make_grid(configs={
        "lora": {"max_length": 64}, "full": {"method": "full"}, "more": {"method": "prompt_tuning", "virtual_tokens": 2, "max_length": 64}
    })  # fmt: skip
    assert {run.config for run in learning_prompts(soft)} == {"more"}
    assert lengths_trained_to(soft) == {"m": [64, 1024]}


def test_model_behind_a_server_is_neither_imported_nor_tokenised_for(grid):
    assert {"base_model": "served"} not in tiers(grid)["models"]["import_model"]
    assert {job["base_model"] for job in tiers(grid)["tokens"]["tokenise"]} == {"m"}
    assert {"base_model": "e"} in tiers(grid)["models"]["import_model"]


def test_every_file_of_a_tier_is_listed_once_with_the_log_of_its_job(grid):
    for files in tier_files(grid).values():
        assert max(Counter(path for path, _ in files).values(), default=1) == 1
    assert ("results/models/m/model.safetensors", "results/logs/models/m.log") in tier_files(grid)["models"]
    full = "t/gold/m/t__gold__alone__n4__full__completion__seed1"
    assert (f"results/finetuned/{full}/README.md", f"results/logs/cards/{full}.log") in tier_files(grid)["cards"]


def test_prompts_are_shown_once_for_each_way_of_asking_a_base_model(grid):
    shown = [Evaluation.from_wildcards(job) for job in usable_jobs(grid)["show_prompt"]]
    assert len(set(shown)) == len(shown)
    assert {(one.run, one.decoding) for one in shown} == {("base", "greedy")}
    asked = {(one.base_model, one.task, one.sample_type, one.prompting, one.prompt) for one in grid.evaluations}
    assert {(one.base_model, one.task, one.sample_type, one.prompting, one.prompt) for one in shown} == asked


def test_folders_of_trackers_are_of_use_for_all_models_that_have_scores(grid):
    """Also for those that are not trained, and for runs that cannot be merged."""
    told = {(job["base_model"], job["run"]) for job in tracked(grid)}
    scored = [*grid.evaluations, *grid.external, *grid.trivial]
    assert told == {(one.base_model, one.run) for one in scored} | {(run.base_model, run.name) for run in grid.runs.values()}
    assert "results/trackers/m/base" in {layout.TRACKERS.format(**job) for job in tracked(grid)}


def test_runs_that_are_tested_on_other_references_are_trained_on_their_own(make_grid):
    block = make_grid().config.grid[0].model_dump() | {"mixes": ["alone"], "configs": ["lora"]}
    grid = make_grid(grid=[block | {"evaluate_on": {"sample_types": ["gold"]}}], external_predictions={}, human_evaluations={})
    wanted = {rule: jobs for by_rule in tiers(grid).values() for rule, jobs in by_rule.items()}

    def data_sets(rule):
        return sorted({(job["task"], job["sample_type"]) for job in wanted[rule]})

    for rule in ("train", "make_mix", "prepare_dataset", "decontaminate", "tokenise", "describe_model"):
        assert data_sets(rule) == [("t", "gold"), ("t", "silver")], rule
    for rule in ("predict", "predict_baseline", "score"):
        assert data_sets(rule) == [("t", "gold")], rule
    # The base model is asked once, for both runs.
    assert sorted(job["run"] for job in wanted["predict"]) == [
        "base",
        "t__gold__alone__n4__lora__completion__seed1",
        "t__silver__alone__n4__lora__completion__seed1",
    ]
    assert len(wanted["check"]) == 3


def test_usable_are_also_what_is_made_on_the_way_and_on_demand(grid):
    jobs = usable_jobs(grid)
    assert {"package": "d==2", "kind": "tar.gz"} in jobs["fetch_package"]
    assert {"package": "enc==1.0", "kind": "whl"} in jobs["fetch_package"]
    assert {"evaluation": "people", "annotator": "ben"} in jobs["human_sheet"]
    assert len(jobs["merge"]) == len(jobs["push"]) == 12
    assert set(jobs) <= set(layout.RULES)
