"""What each job is told: one function a rule, from the grid and the job's wildcards to the job's parameters by name.

A parameter that changes makes the job run again. So each holds those settings only that decide on the result: not how fast it comes.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from loragrid.config.root import Config
from loragrid.data.render import prompt_template
from loragrid.errors import UserError
from loragrid.grid.jobs.inputs import scores_of_run
from loragrid.grid.jobs.lookups import Wildcards, data_source, pretrained, prompt_variant, run_of, tasks_of_mix, trained_run
from loragrid.grid.runs import Grid
from loragrid.layout import Evaluation, Run
from loragrid.scoring.settings import ScoreSettings

Settings = Mapping[str, Any]


def import_model(grid: Grid, wildcards: Wildcards) -> Settings:
    """Where a model comes from, and what it is."""
    name = wildcards["base_model"]
    return {"source": _source(grid.config, name), "is_encoder": name in grid.config.encoders}


def prepare_dataset(grid: Grid, wildcards: Wildcards) -> Settings:
    """Where rows come from, and how they become examples."""
    task = grid.config.tasks[wildcards["task"]]
    return {
        "source": data_source(grid.config, wildcards).model_dump(),
        "fields": task.fields(wildcards["sample_type"]),
        "cleaning": task.cleaning.model_dump(),
    }


def make_mix(grid: Grid, wildcards: Wildcards) -> Settings:
    """The recipe, and the tasks that it draws from."""
    mix = wildcards["mix"]
    return {"tasks": tasks_of_mix(grid.config, wildcards["task"], mix), "recipe": grid.config.mixes[mix].model_dump()}


def tokenise(grid: Grid, wildcards: Wildcards) -> Settings:
    """How a base model is prompted."""
    return {"model": model_settings(grid.config, wildcards["base_model"])}


def train(grid: Grid, wildcards: Wildcards) -> Settings:
    """The run, how its base model is prompted, its training configuration on weights as the base model has them, its seeds."""
    config, run = grid.config, trained_run(grid, wildcards)
    training = config.configs[run.config].model_dump()
    if "quantization" in training:
        training["quantization"] = quantization(config, run.base_model, run)
    return {
        "run": run._asdict(),
        "model": model_settings(config, run.base_model),
        "config": training,
        "seeds": config.seeds_of(run.seed).model_dump(),
    }


def select_demonstrations(grid: Grid, wildcards: Wildcards) -> Settings:
    """Which examples a prompting shows."""
    return {"prompting": grid.config.prompting(wildcards["prompting"]).model_dump()}


def predict(grid: Grid, wildcards: Wildcards) -> Settings:
    """Who is asked what, and how."""
    config, evaluation = grid.config, Evaluation.from_wildcards(wildcards)
    run, variant = run_of(grid, wildcards), prompt_variant(config, evaluation)
    changes = variant.model_dump(include={"prompt_format", "system_prompt"}, exclude_none=True)
    return {
        "axes": prediction_axes(evaluation, run),
        "model": _with_template(asked_settings(config, evaluation.base_model) | changes),
        "quantization": quantization(config, evaluation.base_model, run),
        "prompting": config.prompting(evaluation.prompting).model_dump(),
        # None: that of the task.
        "instruction": variant.instruction,
        "decoding": config.decoding(evaluation.decoding, evaluation.task, evaluation.base_model),
        "subset": config.tasks[evaluation.task].subset,
    }


def prediction_axes(evaluation: Evaluation, run: Run | None) -> dict[str, Any]:
    """What every prediction of ours says about the model and about the data that it is evaluated on."""
    evaluated = {
        "task": evaluation.task,
        "sample_type": evaluation.sample_type,
        "base_model": evaluation.base_model,
        "run": evaluation.run,
        "prompting": evaluation.prompting,
        "prompt_variant": evaluation.prompt,
        "decoding": evaluation.decoding,
    }
    if run is None:
        return evaluated
    trained = {key: value for key, value in run._asdict().items() if key not in evaluated}
    return evaluated | {"trained_task": run.task, "trained_sample_type": run.sample_type} | trained


def import_predictions(grid: Grid, wildcards: Wildcards) -> Settings:
    """Where predictions come from, and how they find their test examples."""
    external = grid.config.external_predictions[wildcards["run"]]
    return {
        "axes": {axis: wildcards[axis] for axis in ("task", "sample_type", "base_model", "run")},
        "match": external.match,
        "key": external.key,
        "prediction": external.prediction,
        "subset": grid.config.tasks[wildcards["task"]].subset,
    }


def predict_baseline(grid: Grid, wildcards: Wildcards) -> Settings:
    """The rule of the baseline `rule`, and the task's first scorer that reads labels for the baseline `majority`."""
    task = grid.config.tasks[wildcards["task"]]
    scorers = [grid.config.scorers[name] for name in task.scorers] if wildcards["run"] == "majority" else []
    return {
        "rule": task.rule if wildcards["run"] == "rule" else None,
        "label_scorers": [scorer.model_dump() for scorer in scorers if scorer.reads_labels][:1],
        "subset": task.subset,
    }


def check(grid: Grid, wildcards: Wildcards) -> Settings:
    """How a model is asked, and how much of it is checked."""
    base_model = wildcards["base_model"]
    return {
        "model": asked_settings(grid.config, base_model),
        "quantization": quantization(grid.config, base_model, run_of(grid, wildcards)),
        "checks": grid.config.checks.model_dump(),
    }


def score(grid: Grid, wildcards: Wildcards) -> Settings:
    """All that decides what a scorer says, and the metrics that it gives for each example."""
    return ScoreSettings.of(grid.config.scorers[wildcards["scorer"]], grid.config.human_evaluations).model_dump()


def describe_model(grid: Grid, wildcards: Wildcards) -> Settings:
    """Where the base model comes from."""
    return {"source": _source(grid.config, wildcards["base_model"])}


def scorer_kinds(grid: Grid, wildcards: Wildcards) -> Settings:
    """What is to be known of the scorers of a run, by name."""
    scorers = sorted(set(scores_of_run(grid, wildcards).values()))
    return {name: grid.config.scorers[name].facts().model_dump() for name in scorers}


def human_sheet(grid: Grid, wildcards: Wildcards) -> Settings:
    """What is rated by whom, and how."""
    return {"evaluation": grid.config.human_evaluations[wildcards["evaluation"]].model_dump()}


def push(grid: Grid, wildcards: Wildcards) -> Settings:
    """Where a run is uploaded, and where its base model comes from.

    Raises:
        UserError: if the configuration does not say where.
    """
    hub = grid.config.hub
    if hub is None:
        raise UserError("hub: this section is missing in the configuration; it says where models are uploaded.")
    repository = hub.repository.format(**trained_run(grid, wildcards)._asdict())
    return {"hub": hub.model_dump() | {"repository": repository}, "source": _source(grid.config, wildcards["base_model"])}


def analyse(grid: Grid) -> Settings:
    """What the tables need to know of the configuration beside the results."""
    config = grid.config
    scorers = {name: config.scorers[name] for task, _ in grid.datasets for name in config.tasks[task].scorers}
    rated = {name: scorer.human_evaluation for name, scorer in scorers.items() if scorer.human_evaluation}
    return {
        "metric": config.main_metric,
        "prices": {name: model.price.model_dump() for name, model in config.models.items() if model.price},
        "judge_prices": {name: scorer.token_price.model_dump() for name, scorer in scorers.items() if scorer.token_price},
        "kinds": {name: scorer.facts().model_dump() for name, scorer in scorers.items()},
        "group_by": {task: config.tasks[task].group_by for task, _ in grid.datasets if config.tasks[task].group_by},
        "levels": {
            name: {key: criterion.level for key, criterion in config.human_evaluations[evaluation].criteria.items()}
            for name, evaluation in rated.items()
        },
    }


def report(grid: Grid) -> Settings:
    """What the report shows."""
    return {"metric": grid.config.main_metric, "report": grid.config.report.model_dump(include={"title", "examples"})}


def quantization(config: Config, base_model: str, run: Run | None) -> str:
    """Number type of the weights: that of a run's training, else that of its base model."""
    of_run: str = "none" if run is None else getattr(config.configs[run.config], "quantization", "none")
    return config.models[base_model].quantization if of_run == "none" else of_run


def model_settings(config: Config, base_model: str) -> dict[str, Any]:
    """Those settings of a base model that decide what it learns and says."""
    model = config.models[base_model]
    template = _text_of(Path(model.chat_template)) if model.chat_template else None
    settings = _with_template(model.model_dump(include={"dtype", "prompt_format", "system_prompt"}))
    return settings | ({"chat_template": template} if template else {})


def asked_settings(config: Config, base_model: str) -> dict[str, Any]:
    """Settings of a base model that decide what it answers."""
    model = config.models[base_model]
    decisive = ("type", "model", "api", "send", "load_adapters", "settings")
    engine = {key: value for key, value in model.engine.model_dump().items() if key in decisive}
    return model_settings(config, base_model) | {"engine": engine, "context_length": model.context_length}


def _source(config: Config, name: str) -> dict[str, Any]:
    source = pretrained(config, name).source
    assert source is not None, f"{name} has no source: nothing is made of it"
    return source.model_dump()


def _with_template(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings of a prompt together with the text of its template, so that an edited template counts as an edited setting."""
    path = prompt_template(settings["prompt_format"])
    return settings | {"template": _text_of(path) if path else None}


@cache
def _text_of(path: Path) -> str:
    """What is in a template's file, read once for all jobs."""
    return path.read_text(encoding="utf-8")
