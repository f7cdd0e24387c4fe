import json

import pytest

from loragrid.errors import UserError
from loragrid.grid.jobs import settings
from loragrid.grid.jobs.wanted import tiers, usable_jobs
from loragrid.layout import MAKE_MIX, Evaluation
from loragrid.runtime.files import fingerprint
from loragrid.sections import decisive

RUN = "t__gold__both__n4__lora__completion__seed1"
OF_RUN = {"base_model": "m", "task": "t", "sample_type": "gold", "run": RUN}
PROMPTED = {"tokenise": OF_RUN, "train": OF_RUN, "check": OF_RUN, "predict": Evaluation("m", "t", "gold", "base").wildcards}
"""A job of each rule that writes prompts."""
TOLD_NOTHING = {"fetch_package", "decontaminate", "export", "merge", "describe_full_model", "train_full"}


def told(rule, grid, wildcards):
    """The params of a job, as its rule has them."""
    return decisive(getattr(settings, rule)(grid, wildcards, version=1))


def test_what_a_job_is_told_is_plain_data(grid):
    for rule, jobs in usable_jobs(grid).items():
        for job in jobs if rule not in TOLD_NOTHING else ():
            json.dumps(told(rule, grid, job), allow_nan=False)


def test_what_a_job_is_told_is_the_same_once_it_is_read(grid):
    for rule, jobs in usable_jobs(grid).items():
        for job in jobs if rule not in TOLD_NOTHING else ():
            stage = type(getattr(settings, rule)(grid, job, version=1))
            params = told(rule, grid, job)
            assert repr(decisive(stage.model_validate(params))) == repr(params)


def test_edited_entry_changes_what_those_jobs_are_told_that_use_it_and_no_others(grid, make_grid):
    raw = grid.config.model_dump(mode="json", exclude_unset=True)
    edited = make_grid(configs=raw["configs"] | {"lora": raw["configs"]["lora"] | {"rank": 5}})
    for run in grid.runs.values():
        changed = told("train", grid, run.wildcards) != told("train", edited, run.wildcards)
        assert changed == (run.config == "lora")


def test_only_jobs_with_conversations_are_told_of_them(grid, make_grid):
    raw = grid.config.model_dump(mode="json", exclude_unset=True)
    asked = {key: value for key, value in raw["tasks"]["u"].items() if key not in ("instruction", "input")}
    talking = make_grid(
        tasks=raw["tasks"] | {"u": asked | {"messages": "turns", "sample_types": {name: {} for name in asked["sample_types"]}}},
        configs=raw["configs"] | {"lora": raw["configs"]["lora"] | {"loss_turns": "all"}},
    )
    for of_task in ("t", "u"):
        job = {"task": of_task, "sample_type": "gold"}
        assert not {"messages", "tools"} & told("prepare_dataset", grid, job)["fields"].keys()
        assert (told("prepare_dataset", grid, job) != told("prepare_dataset", talking, job)) == (of_task == "u")
    assert told("prepare_dataset", talking, {"task": "u", "sample_type": "gold"})["fields"]["messages"] == "turns"
    for run in grid.runs.values():
        assert "loss_turns" not in told("train", grid, run.wildcards)["config"]
        assert told("train", talking, run.wildcards)["config"].get("loss_turns") == ("all" if run.config == "lora" else None)


@pytest.mark.parametrize(
    ("engine", "outdated"),
    [({"type": "hf", "batch_tokens": 99}, False), ({"type": "vllm", "settings": {"max_num_seqs": 3}}, True)],
)
def test_how_fast_a_model_is_asked_makes_no_answer_outdated(grid, make_grid, engine, outdated):
    other = make_grid(
        models=grid.config.model_dump(mode="json", exclude_unset=True)["models"]
        | {"m": {"source": {"path": "m"}, "dtype": "float32", "engine": engine}},
        configs={"lora": {"rank": 4, "quantization": "8bit"}},
        grid=[
            {
                "base_models": ["m"],
                "tasks": ["t"],
                "sample_types": ["gold"],
                "mixes": ["alone"],
                "nb_samples": [4],
                "configs": ["lora"],
            }
        ],
    )
    job = Evaluation("m", "t", "gold", "base").wildcards
    assert (told("predict", grid, job) != told("predict", other, job)) is outdated


def test_run_is_trained_on_weights_as_its_config_wants_them(grid):
    assert told("train", grid, OF_RUN)["config"]["quantization"] == "8bit"
    assert told("predict", grid, Evaluation("m", "u", "gold", RUN).wildcards)["quantization"] == "8bit"
    assert told("predict", grid, Evaluation("m", "u", "gold", "base").wildcards)["quantization"] == "none"


def test_prediction_says_what_its_model_was_trained_on(grid):
    axes = told("predict", grid, Evaluation("m", "u", "gold", RUN).wildcards)["axes"]
    assert (axes["task"], axes["trained_task"], axes["mix"], axes["nb_samples"]) == ("u", "t", "both", 4)


def test_prompt_variant_changes_the_prompt_of_its_predictions(grid):
    usual = told("predict", grid, Evaluation("m", "t", "gold", "base").wildcards)
    short = told("predict", grid, Evaluation("m", "t", "gold", "base", "zero_shot", "short").wildcards)
    assert (usual["instruction"], usual["model"]["system_prompt"]) == (None, None)
    assert (short["instruction"], short["model"]["system_prompt"]) == ("Say", "Be brief.")


def test_date_and_arguments_of_chat_templates_are_params_only_where_they_are_set(grid, make_grid):
    models = grid.config.model_dump(mode="json", exclude_unset=True)["models"]
    with_argument = {"m": models["m"] | {"chat_template_arguments": {"enable_thinking": False}}}
    for rule, job in PROMPTED.items():
        usual = told(rule, grid, job)["model"]
        assert not {"date", "chat_template_arguments"} & set(usual)
        assert told(rule, make_grid(date="2024-07-26"), job)["model"] == usual
        assert told(rule, make_grid(date="2025-01-31"), job)["model"] == usual | {"date": "2025-01-31"}
        assert told(rule, make_grid(models=models | with_argument), job)["model"] == usual | {
            "chat_template_arguments": {"enable_thinking": False}
        }


ARROWS = "{% for one in demonstrations %}{{ one.input }} -> {{ one.output }}\n{% endfor %}{{ input }} ->"


@pytest.mark.parametrize(
    ("end", "prompting", "changed"), [("\n", "few", True), ("\n", "zero_shot", False), ("", "few", False), ("\n", "near", True)]
)
def test_only_predictions_whose_prompts_lose_white_space_are_made_again(
    grid, make_grid, tmp_path, monkeypatch, end, prompting, changed
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data" / "prompts").mkdir(parents=True)
    # Files of templates are read once.
    name = f"arrows{len(end)}"
    (tmp_path / "data" / "prompts" / f"{name}.jinja").write_text(ARROWS + end)
    models = grid.config.model_dump(mode="json", exclude_unset=True)["models"]
    other = make_grid(models=models | {"m": models["m"] | {"prompt_format": name}})
    job = Evaluation("m", "t", "gold", "base", prompting).wildcards
    assert settings.predict(other, job, 2).version == (3 if changed else 2)
    assert settings.predict(grid, job, 2).version == 2


@pytest.mark.parametrize(
    ("template", "prompt_format", "raised"),
    [("{{ strftime_now('%d') }}", "auto", 1), ("{{ strftime_now('%d') }}", "plain", 0), ("{{ messages }}", "chat", 0)],
)
def test_results_of_a_given_template_that_asks_for_the_day_are_made_again(
    grid, make_grid, tmp_path, template, prompt_format, raised
):
    (tmp_path / "chat.jinja").write_text(template)
    models = grid.config.model_dump(mode="json", exclude_unset=True)["models"]
    given = {"chat_template": str(tmp_path / "chat.jinja"), "prompt_format": prompt_format}
    other = make_grid(models=models | {"m": models["m"] | given})
    for rule, job in PROMPTED.items():
        assert getattr(settings, rule)(other, job, 2).version == 2 + raised


def test_shown_prompt_is_told_what_a_prediction_is_told(grid):
    shown = {name: value for name, value in Evaluation("m", "t", "gold", "base", "few").wildcards.items() if name != "run"}
    assert told("show_prompt", grid, shown) == told("predict", grid, {**shown, "run": "base"})


def test_upload_names_its_repository(grid, make_grid):
    assert told("push", grid, OF_RUN)["hub"]["repository"] == "me/t-lora"
    with pytest.raises(UserError, match=r"^hub: this section is missing"):
        told("push", make_grid(hub=None), OF_RUN)


@pytest.mark.parametrize(
    ("mix", "nb_samples", "keys", "version"),
    [
        # 50 steps an epoch, of 50 examples or of 4 and 46 others: 7 steps instead of 8.
        ("alone", 50, {"batch_size": 1, "epochs": 0.14}, 2),
        ("shared", 4, {"batch_size": 1, "epochs": 0.14}, 2),
        # 4 steps an epoch: 5 as before.
        ("alone", 4, {"batch_size": 1, "epochs": 1.1}, 1),
        ("alone", 200, {"batch_size": 2, "epochs": 0.07}, 2),
        ("alone", 200, {"batch_size": 2, "epochs": 0.07, "max_steps": 8}, 1),
        # The configuration does not tell how many steps an epoch has.
        ("alone", 200, {"batch_tokens": 50, "epochs": 0.07}, 1),
        ("both", 200, {"batch_size": 2, "epochs": 0.07}, 1),
    ],
)
def test_training_that_had_a_step_too_many_is_made_again(make_grid, mix, nb_samples, keys, version):
    mixes = {
        "alone": {"recipe": "target_only"},
        "shared": {"recipe": "weighted", "weights": {"u": 1}, "nb_others": 46},
        "both": {"recipe": "fractional", "tasks": ["t", "u"]},
    }
    of_run = {"mixes": [mix], "nb_samples": [nb_samples], "configs": ["lora"]}
    grid = make_grid(
        mixes=mixes,
        configs={"lora": keys},
        hub=None,
        human_evaluations={},
        grid=[{"base_models": ["m"], "tasks": ["t"], "sample_types": ["gold"], **of_run}],
    )
    [run] = grid.runs.values()
    assert told("train", grid, run.wildcards)["version"] == version


def test_every_rule_that_the_grid_asks_for_is_told_something_or_known_to_need_nothing(grid):
    for by_rule in tiers(grid).values():
        for rule in by_rule:
            assert hasattr(settings, rule) != (rule in TOLD_NOTHING)


def test_scores_are_made_again_only_by_scorers_whose_values_have_changed(grid, make_grid):
    raw = grid.config.model_dump(mode="json", exclude_unset=True)
    scorers = {"judge": {"type": "judge", "rubric": "pairwise", "model": "m"}, "rouge": {"type": "rouge"}}
    judged = make_grid(scorers=raw["scorers"] | scorers)
    versions = {name: told("score", judged, OF_RUN | {"scorer": name})["version"] for name in scorers}
    assert versions == {"judge": 1, "rouge": 2}


def version_of(rule, grid, **wildcards):
    return told(rule, grid, OF_RUN | wildcards)["version"]


def test_mixes_and_demonstrations_that_are_drawn_have_been_drawn_by_question_since_their_second_version(make_grid):
    whole = {"recipe": "fractional", "tasks": ["t", "u"], "nb_validation": 0}
    grid = make_grid(mixes={"alone": {"recipe": "target_only"}, "both": whole})
    assert version_of("make_mix", grid, mix="alone", nb_samples="4", mix_seed="1") == 2
    assert version_of("make_mix", grid, mix="both", nb_samples="4", mix_seed="1") == 2
    assert version_of("make_mix", grid, mix="both", nb_samples="0", mix_seed="1") == 1
    assert version_of("select_demonstrations", grid, prompting="few") == 2
    assert version_of("select_demonstrations", grid, prompting="near") == 1


@pytest.mark.parametrize(("sample_types", "made_by", "version"), [(["gold"], 1, 1), (["gold"], 2, 2), (["gold", "silver"], 1, 2)])
def test_mix_that_is_compared_with_no_other_sample_type_stays_as_it_was_drawn(
    make_grid, monkeypatch, tmp_path, sample_types, made_by, version
):
    raw = make_grid().config.model_dump(mode="json", exclude_unset=True)["grid"][0]
    grid = make_grid(grid=[raw | {"sample_types": sample_types}])
    job = OF_RUN | {"mix": "alone", "nb_samples": "4", "mix_seed": "1"}
    monkeypatch.chdir(tmp_path)
    assert version_of("make_mix", grid, **job) == 2
    manifest = tmp_path / MAKE_MIX.path("manifest", job)
    manifest.parent.mkdir(parents=True)
    manifest.write_text(json.dumps({"stage_version": made_by}))
    assert version_of("make_mix", grid, **job) == version


def test_only_data_sets_that_drop_near_duplicates_have_a_second_version(grid, make_grid):
    assert version_of("prepare_dataset", grid, task="u") == 1
    tasks = grid.config.model_dump(mode="json", exclude_unset=True)["tasks"]
    near = make_grid(tasks=tasks | {"t": tasks["t"] | {"cleaning": {"near_duplicates": 0.8}}})
    assert (version_of("prepare_dataset", near, task="t"), version_of("prepare_dataset", near, task="u")) == (2, 1)


@pytest.mark.parametrize(
    ("section", "name", "rule", "job"),
    [
        ("mixes", "alone", "make_mix", {"mix": "alone", "nb_samples": "4", "mix_seed": "1"}),
        ("promptings", "near", "select_demonstrations", {"prompting": "near"}),
    ],
)
def test_comparing_outputs_with_test_sets_makes_only_what_asks_for_it_again(grid, make_grid, section, name, rule, job):
    raw = grid.config.model_dump(mode="json", exclude_unset=True)[section]
    for by_output in (False, True):
        edited = make_grid(**{section: raw | {name: raw[name] | {"leaks_by_output": by_output}}})
        assert (told(rule, edited, OF_RUN | job) != told(rule, grid, OF_RUN | job)) is by_output


OF_ALL_JOBS = {
    "import_model": "e30042c66188",
    "prepare_dataset": "753cd3c18e4e",
    "make_mix": "75f89a87bb0b",
    "tokenise": "c5006a15c7a6",
    "train": "7ff25824920a",
    "select_demonstrations": "40e710e53f65",
    "predict": "bb30b3ed1a4f",
    "import_predictions": "f75da540ea50",
    "predict_baseline": "495939cc6d5d",
    "check": "3839882b449d",
    "score": "898bb1540ff7",
    "push": "59dbbcec86a8",
    "human_sheet": "c37c9e3c45dd",
}
"""Hashes of what the jobs of each rule are told. Where one changes, results of that stage and of those behind it are made again for every user."""


@pytest.mark.parametrize("rule", sorted(OF_ALL_JOBS))
def test_what_jobs_are_told_stays_as_it_was_so_that_their_results_stay_valid(grid, rule):
    params = [repr(sorted(map(repr, told(rule, grid, job).values()))) for job in usable_jobs(grid)[rule]]
    assert fingerprint(params)[:12] == OF_ALL_JOBS[rule]


def test_tables_are_told_which_tasks_mixes_draw_from(grid):
    assert settings.analyse(grid).mixed_tasks == {"both": ["t", "u"]}
