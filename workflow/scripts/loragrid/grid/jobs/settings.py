"""What each job is told: one function per rule.

From the grid, the job's wildcards and the stage's version, a function makes the settings of that stage. Their fields are the
rule's params. A param that changes makes a job run again. So the settings leave out keys that only say how fast a result comes
(`ONLY_SPEED`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from loragrid import layout
from loragrid.analysis.agreement import RatedSheets
from loragrid.analysis.inspect_log.settings import LogSettings
from loragrid.analysis.settings import AnalysisSettings, CardSettings, ReportContents
from loragrid.analysis.tracking.settings import TrackSettings
from loragrid.config.root import Config
from loragrid.config.sweeps import meant_comparisons
from loragrid.data.external import ImportedPredictionsSettings
from loragrid.data.mixes import MixSettings
from loragrid.data.preparation import PrepareSettings
from loragrid.data.prompt_templates import has_surplus_end, prompt_template
from loragrid.data.prompting import DemonstrationSettings
from loragrid.data.render import ModelSettings
from loragrid.data.tasks import LEARNING_BASELINES, cluster_key
from loragrid.data.tokens import TokeniseSettings
from loragrid.errors import UserError
from loragrid.grid.axes import prediction_axes
from loragrid.grid.jobs.inputs import forgetting, scores_of_run
from loragrid.grid.jobs.lookups import Wildcards, data_source, pretrained, prompt_variant, run_of, tasks_of_mix, trained_run
from loragrid.grid.jobs.report_answers import answers_in
from loragrid.grid.jobs.wanted import given_texts, scorers_of
from loragrid.grid.runs import Grid
from loragrid.inference.baselines import BaselineSettings
from loragrid.inference.settings import AskedModel, CheckSettings, MeasureSettings, PredictSettings, ProbeSettings
from loragrid.layout import BASE, Dataset, Evaluation, Run
from loragrid.models.hub import PushSettings
from loragrid.models.importing import ImportSettings
from loragrid.models.sources import ModelSource, Quantization
from loragrid.runtime.manifests import read_json
from loragrid.scoring.human_sheets import SheetSettings
from loragrid.scoring.settings import ScoreSettings
from loragrid.training.settings import TrainSettings


def import_model(grid: Grid, wildcards: Wildcards, version: int) -> ImportSettings:
    """Where a model comes from, and whether it is a sentence encoder."""
    name = wildcards["base_model"]
    return ImportSettings(version=version, source=_source(grid.config, name), is_encoder=name in grid.config.encoders)


def prepare_dataset(grid: Grid, wildcards: Wildcards, version: int) -> PrepareSettings:
    """Where rows come from, and how they become examples."""
    task = grid.config.tasks[wildcards["task"]]
    # 1 more: near duplicates are found by their inputs.
    return PrepareSettings(
        version=version + (task.cleaning.near_duplicates is not None),
        source=data_source(grid.config, wildcards),
        fields=task.data_set(wildcards["sample_type"]),
        cleaning=task.cleaning,
    )


def make_mix(grid: Grid, wildcards: Wildcards, version: int) -> MixSettings:
    """The recipe, and the tasks that it draws from."""
    tasks, recipe = tasks_of_mix(grid.config, wildcards["task"], wildcards["mix"]), grid.config.mixes[wildcards["mix"]]
    # 1 more: examples are drawn by question, so that compared sample types learn from the same questions. A mix that was drawn
    # before and is compared with no other sample type is right as it is.
    is_outdated = recipe.is_drawn(int(wildcards["nb_samples"])) and (
        wildcards["task"] in grid.tasks_of_several_types or not _was_made_by(grid, layout.MAKE_MIX, wildcards, version)
    )
    return MixSettings(version=version + is_outdated, tasks=tasks, recipe=recipe)


def _was_made_by(grid: Grid, files: layout.Files, wildcards: Wildcards, version: int) -> bool:
    """Whether a result is on this machine, and its manifest says that a version of its stage has made it."""
    if grid.is_stored:
        return False
    try:
        return bool(read_json(files.path("manifest", wildcards)).get("stage_version") == version)
    except (OSError, UserError):
        return False


def tokenise(grid: Grid, wildcards: Wildcards, version: int) -> TokeniseSettings:
    """How a base model is prompted."""
    model = model_settings(grid.config, wildcards["base_model"])
    return TokeniseSettings(version=version + _told_the_day(model), model=model)


def train(grid: Grid, wildcards: Wildcards, version: int) -> TrainSettings:
    """The run, how its base model is prompted, its training configuration with the base model's quantization, its seeds."""
    config, run = grid.config, trained_run(grid, wildcards)
    model = model_settings(config, run.base_model)
    return TrainSettings(
        # 1 more each: the template told the day; a product such as 0.07 x 100 steps counts as 7, one step less.
        version=version + _told_the_day(model) + has_a_step_less(config, run),
        run=run,
        model=model,
        config=config.trainings[run.config].on_base(config.models[run.base_model].quantization),
        seeds=config.seeds_of(run.seed),
    )


def has_a_step_less(config: Config, run: Run) -> bool:
    """Whether a training has fewer steps than when `epochs` x steps was rounded up as the machine computes it.

    Only the configuration is asked. It does not tell how many examples are dropped, nor how many fit into `batch_tokens`.
    """
    training, mix = config.trainings[run.config], config.mixes[run.mix]
    if training.batch_tokens is not None or training.max_steps is not None:
        return False
    try:
        examples = sum(mix.sizes(run.task, run.nb_samples, {}).values())
    except KeyError:
        # The mix takes all examples of another task.
        return False
    steps_per_epoch = math.ceil(examples / training.batch_size)
    return training.nb_steps(steps_per_epoch) < math.ceil(training.epochs * steps_per_epoch)


def select_demonstrations(grid: Grid, wildcards: Wildcards, version: int) -> DemonstrationSettings:
    """Which examples a prompting shows."""
    prompting = grid.config.prompting(wildcards["prompting"])
    return DemonstrationSettings(version=version + prompting.times_changed, prompting=prompting)


def predict(grid: Grid, wildcards: Wildcards, version: int) -> PredictSettings:
    """Which model is asked, about which data, and how."""
    config, evaluation = grid.config, Evaluation.from_wildcards(wildcards)
    run, variant = run_of(grid, wildcards), prompt_variant(config, evaluation)
    model = asked_model(config, evaluation.base_model)
    changes = variant.model_dump(include={"prompt_format", "system_prompt"}, exclude_none=True)
    template = _template(changes.get("prompt_format", model.prompt_format))
    prompting = config.prompting(evaluation.prompting)
    if template and prompting.nb_shown and has_surplus_end(template):
        # Version 2 kept white space at the end of these prompts that their demonstrations lack.
        version += 1
    model = model.model_copy(update={**changes, "template": template})
    return PredictSettings(
        version=version + _told_the_day(model),
        axes=prediction_axes(evaluation, run),
        model=model,
        quantization=quantization(config, evaluation.base_model, run),
        prompting=prompting,
        # None: the limit of the task.
        instruction=variant.instruction,
        decoding=config.decoding(evaluation.decoding, evaluation.task, evaluation.base_model),
        subset=config.subset_of(evaluation),
    )


def measure_likelihoods(grid: Grid, wildcards: Wildcards, version: int) -> MeasureSettings:
    """Which model is asked, about which data, as in a prediction; and which texts its scorers read the likelihood of."""
    asked, texts = predict(grid, wildcards, version), given_texts(grid, Evaluation.from_wildcards(wildcards))
    return MeasureSettings(
        version=version,
        axes=asked.axes,
        model=asked.model,
        quantization=asked.quantization,
        prompting=asked.prompting,
        instruction=asked.instruction,
        max_new_tokens=asked.how.max_new_tokens,
        subset=asked.subset,
        references=any(one.references for one in texts),
        choices=list(dict.fromkeys(one.choices for one in texts if one.choices)),
    )


def show_prompt(grid: Grid, wildcards: Wildcards, version: int) -> PredictSettings:
    """What a prediction of the base model is told, which writes the same prompts."""
    return predict(grid, {**wildcards, "run": BASE}, version)


def import_predictions(grid: Grid, wildcards: Wildcards, version: int) -> ImportedPredictionsSettings:
    """Where predictions come from, and how they find their test examples."""
    external = grid.config.external_predictions[wildcards["run"]]
    return ImportedPredictionsSettings(
        version=version,
        axes={axis: wildcards[axis] for axis in ("task", "sample_type", "base_model", "run")},
        match=external.matching,
        key=external.key,
        prediction=external.prediction,
        subset=grid.config.tasks[wildcards["task"]].subset,
    )


def predict_baseline(grid: Grid, wildcards: Wildcards, version: int) -> BaselineSettings:
    """The rule of the baseline `rule`, and the task's first scorer that reads labels for the baseline `majority`."""
    task = grid.config.tasks[wildcards["task"]]
    scorers = [grid.config.scorers[name] for name in task.scorers] if wildcards["run"] == "majority" else []
    return BaselineSettings(
        # 1 more: nothing is learnt from training examples that the test set holds.
        version=version + (wildcards["run"] in LEARNING_BASELINES),
        rule=task.rule if wildcards["run"] == "rule" else None,
        label_scorers=[scorer.model_dump() for scorer in scorers if scorer.reads_labels][:1],
        subset=task.subset,
    )


def check(grid: Grid, wildcards: Wildcards, version: int) -> CheckSettings:
    """How a model is asked, and how much of it is checked."""
    base_model = wildcards["base_model"]
    model = asked_model(grid.config, base_model)
    return CheckSettings(
        version=version + _told_the_day(model),
        model=model,
        quantization=quantization(grid.config, base_model, run_of(grid, wildcards)),
        checks=grid.config.checks,
    )


def check_merged(grid: Grid, wildcards: Wildcards, version: int) -> CheckSettings:
    """What the check of the run is told."""
    return check(grid, wildcards, version)


def probe(grid: Grid, wildcards: Wildcards, version: int) -> ProbeSettings:
    """The text, and the number types with which a model reads it."""
    probed, base_model = forgetting(grid), wildcards["base_model"]
    return ProbeSettings(
        version=version,
        dtype=grid.config.models[base_model].dtype,
        quantization=quantization(grid.config, base_model, run_of(grid, wildcards)),
        text=probed.text,
        characters=probed.characters,
        passages=probed.passages,
    )


def score(grid: Grid, wildcards: Wildcards, version: int) -> ScoreSettings:
    """All that decides what a scorer says, and the metrics that it gives for each example."""
    fields = grid.config.tasks[wildcards["task"]].data_set(wildcards["sample_type"])
    has_parts = fields.prompts is not None and fields.answers == "each"
    return ScoreSettings.of(grid.config.scorers[wildcards["scorer"]], grid.config.human_evaluations, version, has_parts)


def describe_model(grid: Grid, wildcards: Wildcards, version: int) -> CardSettings:
    """Where the base model of a run comes from, and the facts about the run's scorers."""
    scorers = sorted(set(scores_of_run(grid, wildcards).values()))
    facts = {name: grid.config.scorers[name].facts() for name in scorers}
    source = _source(grid.config, wildcards["base_model"])
    return CardSettings(version=version, source=source, kinds=facts, experiment=grid.config.experiment)


def export_log(grid: Grid, wildcards: Wildcards, version: int) -> LogSettings:
    """The facts about the scorers of an evaluation, and the main metric of its task."""
    config, evaluation = grid.config, Evaluation.from_wildcards(wildcards)
    scorers = {name: config.scorers[name] for name in scorers_of(grid, evaluation)}
    return LogSettings(
        version=version,
        date=config.date,
        metric=config.main_metrics.of(evaluation.task),
        kinds={name: scorer.facts() for name, scorer in scorers.items()},
        label_scorers=[name for name, scorer in scorers.items() if scorer.reads_labels],
    )


def human_sheet(grid: Grid, wildcards: Wildcards, version: int) -> SheetSettings:
    """What is rated by whom, and how."""
    return SheetSettings(version=version, evaluation=grid.config.human_evaluations[wildcards["evaluation"]])


def push(grid: Grid, wildcards: Wildcards, version: int) -> PushSettings:
    """Where a run is uploaded, and where its base model comes from.

    Raises:
        UserError: if the configuration does not say where.
    """
    hub = grid.config.hub
    if hub is None:
        raise UserError("hub: this section is missing in the configuration; it says where models are uploaded.")
    target = hub.model_copy(update={"repository": hub.repository_of(trained_run(grid, wildcards))})
    return PushSettings(version=version, hub=target, source=_source(grid.config, wildcards["base_model"]))


def analyse(grid: Grid) -> AnalysisSettings:
    """What the tables need to know about the configuration, besides the results."""
    config = grid.config
    scorers = {name: config.scorers[name] for task, _ in grid.datasets for name in config.tasks[task].scorers}
    rated = {name: scorer.human_evaluation for name, scorer in scorers.items() if scorer.human_evaluation}
    return AnalysisSettings(
        metric=config.main_metric,
        task_metrics=config.task_metrics,
        prices={name: model.price.model_dump() for name, model in config.models.items() if model.price},
        judge_prices={name: scorer.token_price.model_dump() for name, scorer in scorers.items() if scorer.token_price},
        kinds={name: scorer.facts() for name, scorer in scorers.items()},
        group_by={task: config.tasks[task].group_by for task, _ in grid.datasets if config.tasks[task].group_by},
        levels={
            name: {key: criterion.level for key, criterion in config.human_evaluations[evaluation].criteria.items()}
            for name, evaluation in rated.items()
        },
        sheets={
            name: RatedSheets(evaluation=evaluation, settings=config.human_evaluations[evaluation])
            for name, evaluation in rated.items()
        },
        bounds=config.limits_of_metrics,
        cluster_by=cluster_keys(config, grid.datasets),
        comparisons=meant_comparisons(config),
        smallest_difference=config.report.smallest_difference,
        selection=config.selection,
        table=config.report.table,
        config_of=_config_of(grid),
        mixed_tasks={
            mix: config.mixes[mix].named_tasks
            for mix in dict.fromkeys(run.mix for run in grid.runs.values())
            if config.mixes[mix].named_tasks
        },
    )


def lengths_trained_to(grid: Grid) -> dict[str, list[int]]:
    """The different `max_length` of the trainings of each base model, the shortest first."""
    found: dict[str, set[int]] = {}
    for run in grid.runs.values():
        found.setdefault(run.base_model, set()).add(grid.config.trainings[run.config].max_length)
    return {base_model: sorted(lengths) for base_model, lengths in found.items()}


def _config_of(grid: Grid) -> dict[str, str]:
    """The config that each setting of a sweep belongs to, of the settings with which the grid trains."""
    trained = dict.fromkeys(run.config for run in grid.runs.values())
    config_of = {name: grid.config.config_of[name] for name in trained}
    return {name: config for name, config in config_of.items() if grid.config.configs[config].sweep is not None}


def track(grid: Grid, version: int) -> TrackSettings:
    """Which trackers get scores, and of which metrics the verdicts are."""
    config = grid.config
    main = config.main_metrics
    return TrackSettings(
        version=version,
        trackers=config.trackers,
        experiment=config.experiment,
        metric=main.default,
        task_metrics=dict(main.of_tasks),
    )


def cluster_keys(config: Config, datasets: Iterable[Dataset]) -> dict[str, dict[str, str]]:
    """The key of metadata that tells which examples are not independent, by task and sample type, where there is one."""
    keys: dict[str, dict[str, str]] = {}
    for task, sample_type in datasets:
        key = cluster_key(config.tasks[task], sample_type, config.source_of(task, sample_type).split.group)
        if key is not None:
            keys.setdefault(task, {})[sample_type] = key
    return keys


def report(grid: Grid) -> ReportContents:
    """What the report shows."""
    config = grid.config
    contents = config.report.model_dump(include={"title", "examples", "embed"})
    used = dict.fromkeys(name for task, _ in grid.datasets for name in config.tasks[task].scorers)
    scorers = {name: config.scorers[name].decisive_settings() for name in used}
    return ReportContents(**contents, experiment=config.experiment, answers_in=answers_in(grid), scorers=scorers)


def quantization(config: Config, base_model: str, run: Run | None) -> Quantization:
    """Number type of the weights: from a run's training if it says so, else from its base model."""
    of_run: Quantization = "none" if run is None else config.trainings[run.config].base_quantization
    return config.models[base_model].quantization if of_run == "none" else of_run


def model_settings(config: Config, base_model: str) -> ModelSettings:
    """The settings of a base model that decide what it learns and answers."""
    model = config.models[base_model]
    return ModelSettings(
        dtype=model.dtype,
        prompt_format=model.prompt_format,
        system_prompt=model.system_prompt,
        template=_template(model.prompt_format),
        chat_template=_text_of(Path(model.chat_template)) if model.chat_template else None,
        chat_template_arguments=model.chat_template_arguments,
        date=config.date,
    )


def asked_model(config: Config, base_model: str) -> AskedModel:
    """The settings of a base model that decide what it answers."""
    model = config.models[base_model]
    learnt = dict(model_settings(config, base_model))
    return AskedModel(**learnt, engine=model.engine, context_length=model.context_length)


def _told_the_day(model: ModelSettings) -> int:
    """1 for prompts that once told the day on which they were written, as far as the configuration knows; else 0."""
    return int(model.prompt_format in ("auto", "chat") and "strftime_now" in (model.chat_template or ""))


def _source(config: Config, name: str) -> ModelSource:
    source = pretrained(config, name).source
    assert source is not None, f"{name} has no source: nothing is made of it"
    return source


def _template(prompt_format: str) -> str | None:
    """The text of a format's template, so that an edited template counts as an edited setting."""
    path = prompt_template(prompt_format)
    return _text_of(path) if path else None


@cache
def _text_of(path: Path) -> str:
    """The text of a template's file, read once for all jobs."""
    return path.read_text(encoding="utf-8")
