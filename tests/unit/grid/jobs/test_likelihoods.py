"""Which likelihoods a grid measures, and what the jobs are told."""

from loragrid.grid.feasibility import unknown_likelihoods
from loragrid.grid.jobs import inputs, settings
from loragrid.grid.jobs.wanted import measured, shown_tiers, tiers
from loragrid.sections import decisive
from unit.grid.conftest import RAW

READING = {
    "likely": {"type": "likelihood"},
    "labels": {"type": "choice", "choices": ["yes", "no"]},
    "letters": {"type": "choice", "choices": ["{{ metadata.a }}", "{{ metadata.b }}"], "gold": "0"},
}
ASKED_HERE = [block for block in RAW["grid"] if block["base_models"] == ["m"]]


def reading(make_grid, *scorers, **changes):
    """The grid, in which task t has these scorers besides others."""
    task = RAW["tasks"]["t"]
    tasks = RAW["tasks"] | {"t": task | {"scorers": [*task["scorers"], *scorers]}}
    return make_grid(**{"tasks": tasks, "scorers": RAW["scorers"] | READING, "grid": ASKED_HERE} | changes)


def wildcards_of(grid, **axes):
    [found] = [job for job in measured(grid) if axes.items() <= job.items()]
    return found


def test_nothing_is_measured_where_no_scorer_reads_it(grid):
    assert measured(grid) == []
    assert "likelihoods" not in shown_tiers(grid)


def test_each_model_is_measured_once_on_each_data_set_however_its_tokens_are_chosen(make_grid):
    grid = reading(make_grid, "likely", "labels")
    assert "likelihoods" in shown_tiers(grid)
    asked = {one._replace(decoding="greedy") for one in grid.asked if one.task == "t"}
    assert len(asked) == len({one for one in grid.asked if one.task == "t"})
    jobs = measured(grid)
    assert len(jobs) == len(asked)
    assert {job["task"] for job in jobs} == {"t"}
    assert {job["decoding"] for job in jobs} == {"greedy"}
    [warm, *_] = [one for one in grid.asked if one.decoding == "warm"]
    read = inputs.score(grid, warm.wildcards | {"scorer": "likely"})["likelihoods"]
    assert read == f"results/likelihoods/t/gold/m/base~{warm.prompting}~default.jsonl"


def test_only_models_that_are_asked_here_have_such_scores(make_grid):
    scored = tiers(reading(make_grid, "likely", "labels"))["scores"]["score"]
    ours = {job["base_model"] for job in scored if job["scorer"] == "likely"}
    assert ours == {"m"}
    assert {job["run"] for job in scored if job["base_model"] in ("external", "baseline")} == {"theirs", "copy", "nearest"}


def test_job_reads_what_a_prediction_reads_besides_earlier_answers(make_grid):
    grid = reading(make_grid, "likely")
    job = wildcards_of(grid, run="base", sample_type="gold", prompting="few", task="t")
    assert inputs.measure_likelihoods(grid, job) == inputs.predict(grid, job)
    silver = next(one.wildcards for one in grid.asked if one.sample_type == "silver")
    assert inputs.predict(grid, silver).keys() - inputs.measure_likelihoods(grid, silver).keys() == {"known"}


def test_job_is_told_which_texts_its_scorers_read(make_grid):
    def texts(*scorers):
        grid = reading(make_grid, *scorers)
        told = settings.measure_likelihoods(grid, wildcards_of(grid, run="base", sample_type="gold", variant=""), 1)
        return told.references, told.choices

    assert texts("likely") == (True, [])
    assert texts("labels", "letters") == (False, [["yes", "no"], ["{{ metadata.a }}", "{{ metadata.b }}"]])


def test_how_prompts_are_made_is_told_as_for_a_prediction(make_grid):
    grid = reading(make_grid, "likely")
    for job in measured(grid):
        told, asked = decisive(settings.measure_likelihoods(grid, job, 1)), decisive(settings.predict(grid, job, 1))
        shared = told.keys() & asked.keys()
        assert shared == {"version", "axes", "model", "quantization", "prompting", "instruction", "subset"}
        assert {key: told[key] for key in shared} == {key: asked[key] for key in shared}
        assert told["max_new_tokens"] == 64


def test_predictions_and_other_scores_are_told_the_same_with_and_without(make_grid):
    without, grid = reading(make_grid), reading(make_grid, "likely", "labels")
    for one in without.asked:
        assert decisive(settings.predict(without, one.wildcards, 2)) == decisive(settings.predict(grid, one.wildcards, 2))
        job = one.wildcards | {"scorer": "rouge"}
        assert decisive(settings.score(without, job, 1)) == decisive(settings.score(grid, job, 1))
        assert inputs.score(without, job) == inputs.score(grid, job)


def test_engine_that_does_not_tell_likelihoods_is_named(make_grid):
    served = {"base_models": ["served"], "tasks": ["t"], "sample_types": ["gold"]}
    [found] = unknown_likelihoods(reading(make_grid, "labels", grid=[*ASKED_HERE, served]).config)
    assert found.startswith(
        "models.served.engine: type openai does not tell how likely a given text is, which scorer 'labels' of task 't' reads; set "
        "log_probabilities in it"
    )
    engine = {"type": "openai", "send": "token_ids", "log_probabilities": "echo"}
    models = RAW["models"] | {"served": RAW["models"]["m"] | {"engine": engine}}
    assert not list(unknown_likelihoods(reading(make_grid, "labels", models=models, grid=[*ASKED_HERE, served]).config))


def test_prompts_whose_answers_are_joined_have_no_likelihoods_of_their_own(make_grid):
    task = RAW["tasks"]["t"] | {"answers": "joined", "prompts": "words"}
    tasks = RAW["tasks"] | {"t": task | {"scorers": ["rouge", "likely", "labels"]}}
    config = make_grid(tasks=tasks, scorers=RAW["scorers"] | READING, grid=ASKED_HERE, external_predictions={}).config
    for name, found in zip(("likely", "labels"), unknown_likelihoods(config), strict=True):
        assert found.startswith(f"tasks.t.scorers: '{name}' does not go with answers: joined")
