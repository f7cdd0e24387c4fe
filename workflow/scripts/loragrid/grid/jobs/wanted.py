"""Which jobs the grid wants: the jobs that it asks for, by tier, and all jobs with results that it can use."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from loragrid import layout
from loragrid.grid.jobs.lookups import (
    Wildcards,
    all_pretrained,
    answered_by_server,
    is_full,
    mix_of,
    tasks_of_mix,
    why_not_merged,
)
from loragrid.grid.jobs.report_answers import answers_beside
from loragrid.grid.runs import Grid
from loragrid.layout import BASE, BASELINE, TEST, USUAL, Dataset, Evaluation, Files, Run
from loragrid.runtime.model_folders import OTHER_FILES
from loragrid.scoring.scorer import GivenTexts, ScorerSettings
from loragrid.training.methods import PromptTuning

Jobs = list[Mapping[str, str]]
"""The wildcards of jobs of one rule."""


def tiers(grid: Grid) -> dict[str, dict[str, Jobs]]:
    """The jobs that the grid asks for, by tier and rule."""
    config = grid.config
    runs = [run.wildcards for run in grid.runs.values() if not is_full(config, run)]
    full_runs = [run.wildcards for run in grid.runs.values() if is_full(config, run)]
    evaluated: Jobs = [evaluation.wildcards for evaluation in grid.asked]
    elsewhere: Jobs = [evaluation.wildcards for evaluation in grid.external]
    trivial: Jobs = [evaluation.wildcards for evaluation in grid.trivial]
    base_models = list(dict.fromkeys(evaluation.base_model for evaluation in grid.evaluations))
    with_source = [name for name in base_models if config.models[name].source]
    datasets: Jobs = [dataset.wildcards for dataset in (*grid.datasets, *grid.only_trained_on)]
    return {
        "models": {"import_model": [{"base_model": name} for name in dict.fromkeys([*with_source, *needed_models(grid)])]},
        "datasets": {"prepare_dataset": datasets},
        "leaks": {"decontaminate": datasets},
        "mixes": {"make_mix": [mix_of(config, run) for run in grid.runs.values()]},
        "tokens": {"tokenise": [job for job in evaluated if job["base_model"] in with_source] + _tokens_only_trained_on(grid)},
        "adapters": {"train": list(runs), "train_full": list(full_runs)},
        "demonstrations": {
            "select_demonstrations": [job for job in evaluated if config.prompting(job["prompting"]).type != "zero_shot"]
        },
        "predictions": {"predict": evaluated, "import_predictions": elsewhere, "predict_baseline": trivial},
        "checks": {
            "check": [
                *({"base_model": name, "run": BASE} for name in base_models),
                *(run.wildcards for run in grid.runs.values()),
            ]
        },
        "probes": {"probe": probed(grid)},
        "likelihoods": {"measure_likelihoods": measured(grid)},
        "scores": {
            "score": [
                evaluation.wildcards | {"scorer": scorer}
                for evaluation in (*grid.asked, *grid.external, *grid.trivial)
                for scorer in scorers_of(grid, evaluation)
            ]
        },
        "cards": {"describe_model": list(runs), "describe_full_model": list(full_runs)},
    }


def _tokens_only_trained_on(grid: Grid) -> Jobs:
    """The tokens of data sets that a base model is trained for and not evaluated on."""
    evaluated = {(evaluation.base_model, *evaluation.dataset) for evaluation in grid.evaluations}
    trained = dict.fromkeys((run.base_model, run.task, run.sample_type) for run in grid.runs.values())
    return [{"base_model": m, "task": t, "sample_type": s} for m, t, s in trained if (m, t, s) not in evaluated]


TIERS = (
    "models",
    "datasets",
    "leaks",
    "mixes",
    "tokens",
    "adapters",
    "demonstrations",
    "predictions",
    "checks",
    "probes",
    "likelihoods",
    "scores",
    "cards",
)


def shown_tiers(grid: Grid) -> list[str]:
    """The tiers that a report tells of: those of likelihoods and probes only where something is measured."""
    without = {*(() if measured(grid) else ("likelihoods",)), *(() if probed(grid) else ("probes",))}
    return [name for name in TIERS if name not in without]


def tier_files(grid: Grid) -> dict[str, list[tuple[str, str]]]:
    """Every file that the grid asks for, once, with the log of the job that makes it, by tier."""
    return {
        tier: [pair for rule, jobs in by_rule.items() for pair in files_of(grid, grid.own(layout.RULES[rule]), jobs)]
        for tier, by_rule in tiers(grid).items()
    }


def files_of(grid: Grid, files: Files, jobs: Iterable[Wildcards]) -> list[tuple[str, str]]:
    """The outputs of jobs, each once and with the log of its job."""
    patterns = model_outputs(grid, files).values()
    logs = {pattern.format_map(job): files.log.format_map(job) for job in jobs for pattern in patterns}
    return list(logs.items())


WRITE_MODELS = (layout.IMPORT_MODEL, layout.TRAIN_FULL, layout.MERGE)
"""Rules with folders as results that hold more than a model's named files."""


def model_outputs(grid: Grid, files: Files) -> Mapping[str, str]:
    """The outputs of a rule. Under a storage, rules that write a model have one more, for all other files of its folder."""
    if not grid.is_stored or files not in WRITE_MODELS:
        return files.outputs
    return {"other_files": f"{layout.folder_of(next(iter(files.outputs.values())))}/{OTHER_FILES}", **files.outputs}


def usable_jobs(grid: Grid) -> dict[str, Jobs]:
    """The jobs with results that the grid can use, by rule.

    These are the jobs that it asks for, the jobs that these need, and the jobs that run on demand.
    """
    config = grid.config
    jobs = {rule: jobs for by_rule in tiers(grid).values() for rule, jobs in by_rule.items()}
    runs: Jobs = [run.wildcards for run in grid.runs.values()]
    mixed: Jobs = [
        Dataset(task, run.sample_type).wildcards | {"base_model": run.base_model}
        for run in grid.runs.values()
        for task in tasks_of_mix(config, run.task, run.mix)
    ]
    datasets = [*jobs["prepare_dataset"], *mixed]
    predicted = [*jobs["predict"], *jobs["import_predictions"], *jobs["predict_baseline"]]
    tokenizers = [config.tasks[task].cleaning.tokenizer for task in {dataset["task"] for dataset in datasets}]
    return jobs | {
        "fetch_package": packages(grid),
        "import_model": [*jobs["import_model"], *({"base_model": name} for name in tokenizers if name)],
        "prepare_dataset": datasets,
        "decontaminate": datasets,
        "tokenise": [*jobs["tokenise"], *mixed],
        "show_prompt": shown_prompts(grid),
        "export": predicted,
        "export_log": predicted,
        "merge": [run.wildcards for run in mergeable(grid)],
        "check_merged": [run.wildcards for run in mergeable(grid)],
        "push": runs,
        "human_sheet": sheets(grid),
        "report_answers": answers_beside(grid),
        "partial_report_answers": answers_beside(grid),
    }


def tracked(grid: Grid) -> Jobs:
    """The models that trackers may be told of: all trainings, and all whose answers are scored."""
    trained = [(run.base_model, run.name) for run in grid.runs.values()]
    asked = [(one.base_model, one.run) for one in (*grid.evaluations, *grid.external, *grid.trivial)]
    return [{"base_model": base_model, "run": run} for base_model, run in dict.fromkeys([*trained, *asked])]


def learning_prompts(grid: Grid) -> list[Run]:
    """The runs whose result is a learnt prompt."""
    return [run for run in grid.runs.values() if isinstance(grid.config.trainings[run.config], PromptTuning)]


def mergeable(grid: Grid) -> list[Run]:
    """The runs whose results can be merged into their base models."""
    return [run for run in grid.runs.values() if not why_not_merged(grid.config, run)]


def shown_prompts(grid: Grid) -> Jobs:
    """The ways in which base models are asked about data sets. Runs are asked as their base models, whatever the decoding."""
    asked = dict.fromkeys(evaluation._replace(run=BASE, decoding=USUAL[2]) for evaluation in grid.evaluations)
    return [evaluation.wildcards for evaluation in asked]


def packages(grid: Grid) -> Jobs:
    """The packages that models and data come from."""
    of_models = [entry.source.package_file() for entry in all_pretrained(grid.config) if entry.source]
    of_data = [source.package_file() for source in grid.config.sources.values()]
    of_probe = [config.text.package_file()] if (config := grid.config.forgetting) else []
    return [file._asdict() for file in (*of_models, *of_data, *of_probe) if file]


def sheets(grid: Grid) -> Jobs:
    """Every annotator's sheet."""
    return [
        {"evaluation": name, "annotator": annotator}
        for name, evaluation in grid.config.human_evaluations.items()
        for annotator in evaluation.annotators
    ]


def needed_models(grid: Grid) -> list[str]:
    """Models that the grid's scorers and promptings load, besides the base models that are asked."""
    config = grid.config
    scorers = [config.scorers[name] for task, _ in grid.datasets for name in config.tasks[task].scorers]
    promptings = [config.prompting(evaluation.prompting) for evaluation in grid.evaluations]
    needed = [*(scorer.model_name for scorer in scorers), *(prompting.needed_encoder for prompting in promptings)]
    return list(dict.fromkeys(filter(None, needed)))


def scorers_of(grid: Grid, evaluation: Evaluation) -> list[str]:
    """The names of the scorers of an evaluation's predictions. Those of validation examples are scored only by what decides."""
    config = grid.config
    return [name for name in _names_of_scorers(grid, evaluation) if is_scored(grid, config.scorers[name], evaluation)]


def _names_of_scorers(grid: Grid, evaluation: Evaluation) -> list[str]:
    """The names of the scorers that the configuration has for an evaluation's task and split."""
    config = grid.config
    names = config.tasks[evaluation.task].scorers
    if evaluation.split != TEST:
        deciding = config.selection.scorers if config.selection else []
        names = [name for name in names if name in deciding]
    return list(names)


def is_scored(grid: Grid, scorer: ScorerSettings, evaluation: Evaluation) -> bool:
    """Whether a scorer scores predictions.

    A judge may leave out baselines, or need the base model's answers to compare with. Likelihoods are known of our models only.
    """
    left_out = evaluation.base_model == BASELINE and not scorer.scores_baselines
    left_out = left_out or (scorer.given_texts is not None and evaluation not in grid.asked)
    return not left_out and (not scorer.compares_with_base or base_evaluation(grid, evaluation) is not None)


def measured(grid: Grid) -> Jobs:
    """The measurings of how likely texts are as answers, each once, where a scorer reads that."""
    return [one.wildcards for one in dict.fromkeys(map(measured_as, grid.asked)) if given_texts(grid, one)]


def probed(grid: Grid) -> Jobs:
    """The models that are probed for what they forget: all runs, and the base models that they are compared with.

    What only a server computes with is not on this machine.
    """
    if grid.config.forgetting is None:
        return []
    runs = [run for run in grid.runs.values() if not answered_by_server(grid.config, run.base_model)]
    bases = dict.fromkeys(run.base_model for run in runs)
    return [*({"base_model": name, "run": BASE} for name in bases), *(run.wildcards for run in runs)]


def measured_as(evaluation: Evaluation) -> Evaluation:
    """The evaluation whose likelihoods are those of another one: however tokens are chosen, texts are as likely."""
    return evaluation._replace(decoding=USUAL[2])


def given_texts(grid: Grid, evaluation: Evaluation) -> list[GivenTexts]:
    """The texts of each scorer of an evaluation that reads how likely they are."""
    config = grid.config
    found = (config.scorers[name].given_texts for name in _names_of_scorers(grid, evaluation))
    return [texts for texts in found if texts is not None]


def base_evaluation(grid: Grid, evaluation: Evaluation) -> Evaluation | None:
    """The base model's own answers, asked alike, to compare the given predictions with; None if there are none."""
    base = evaluation._replace(run=BASE)
    return None if evaluation.run == BASE or base not in grid.asked else base
