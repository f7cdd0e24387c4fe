import os
import sys
from functools import cache, partial

from snakemake.io import regex_from_filepattern, strip_wildcard_constraints, update_wildcard_constraints

from loragrid.grid.file_names import long_names
from loragrid.grid.jobs.report_answers import answers_beside
from loragrid.grid.jobs.wanted import (
    TIERS,
    learning_prompts,
    mergeable,
    model_outputs,
    sheets,
    shown_prompts,
    shown_tiers,
    tier_files,
)
from loragrid.layout import FAILED_CHECK, FAILED_CHECK_MERGED, TRACKERS, folder_of


@cache
def tiers():
    """Every file that the grid asks for, with the log of the job that makes it, by tier."""
    # Of a dry run, only the executor that it names instead is known.
    if workflow.executor_plugin and not workflow.local_exec and (found := list(long_names(GRID, is_handed_on=True))):
        raise WorkflowError("\n".join(found))
    return tier_files(GRID)


def tier(name, ending=""):
    """Input function: every file of a tier that the grid asks for, or only files with a certain ending."""
    return lambda wildcards: [file for file, _ in tiers()[name] if file.endswith(ending)]


def computed_manifests(wildcards):
    """Input function: the manifests of all trainings and predictions."""
    return tier("adapters", "manifest.json")(wildcards) + tier("predictions", ".manifest.json")(wildcards)


def local_tiers(rule):
    """Params: every file of the grid, with its log, by tier, for a rule that looks for them on this machine."""

    def files(wildcards):
        local_results(rule)
        return tiers()

    return files


def exported_predictions(wildcards):
    """Input function: the exports of all predictions, including predictions made elsewhere and those of validation examples."""
    exported = (*GRID.asked, *GRID.external)
    files = (layout.EXPORT, layout.EXPORT_LOG)
    return [one.path(output, of.wildcards) for of in exported for one in files for output in one.outputs]


def answers_beside_report():
    """The files with answers beside the report, if there are to be any."""
    return [own(layout.REPORT_ANSWERS).path("answers", of_task) for of_task in answers_beside(GRID)]


def prompts_shown(wildcards):
    """Input function: a file for each way in which a base model is asked about a data set."""
    return [layout.SHOW_PROMPT.path("prompt", asked) for asked in shown_prompts(GRID)]


def annotators_sheets(wildcards):
    """Input function: the sheets of all annotators of all human evaluations."""
    if not CONFIG.human_evaluations:
        raise Refusal("human_evaluations: this section is missing in the configuration; it says what is rated by whom.")
    files = own(layout.HUMAN_SHEET)
    return [files.path(output, sheet) for sheet in sheets(GRID) for output in files.outputs]


def lengths_trained_to(wildcards):
    """Params: the `max_length` of the trainings of each base model."""
    if not (found := settings.lengths_trained_to(GRID)):
        raise Refusal("cut_offs: the grid trains nothing, so that there is no max_length to which examples are cut.")
    return found


def adapters_of_learnt_prompts(wildcards):
    """Input function: the adapters of all runs that learn a prompt."""
    if not (runs := learning_prompts(GRID)):
        raise Refusal("learnt_prompts: no run of the grid learns a prompt; a config does with method: prompt_tuning.")
    return [layout.TRAIN.path("adapter", run.wildcards) for run in runs]


def models_of_learnt_prompts(wildcards):
    """Input function: the base models of all runs that learn a prompt."""
    patterns = model_outputs(GRID, layout.IMPORT_MODEL).values()
    return list(dict.fromkeys(pattern.format_map(run.wildcards) for run in learning_prompts(GRID) for pattern in patterns))


def scores_in_trackers(wildcards):
    """Input function: the receipt of what trackers were sent."""
    if not CONFIG.trackers:
        raise Refusal("trackers: none is named in the configuration; it says where scores are sent.")
    return own(layout.TRACK).outputs["receipt"]


@cache
def say_what_cannot_be_merged(configs):
    """Name the configs whose results are no change of weights on the screen, once."""
    if configs:
        print(f"merged: leaves out what is no change of weights: configs {', '.join(configs)}.", file=sys.stderr)


def merged_models(wildcards):
    """Input function: the merged models of all runs that can be merged, and their checks. Other runs are named on the screen."""
    runs = mergeable(GRID)
    say_what_cannot_be_merged(tuple(sorted({run.config for run in GRID.runs.values()} - {run.config for run in runs})))
    files = ((layout.MERGE, "model"), (layout.CHECK_MERGED, "check"))
    return [of_rule.path(output, run.wildcards) for run in runs for of_rule, output in files]


def pushed_models(wildcards):
    """Input function: the receipt of every run's upload."""
    if CONFIG.hub is None:
        raise Refusal("hub: this section is missing in the configuration; it says where models are uploaded.")
    runs = mergeable(GRID) if CONFIG.hub.merged else GRID.runs.values()
    return [own(layout.PUSH).path("receipt", run.wildcards) for run in runs]


def made_by_rules(wildcards):
    """What the library needs to know to tell which rule made a file under results/."""
    local_results("prune")
    named = {rule.name: rule for rule in workflow.rules}
    made = []
    for name, declared in named.items():
        files = layout.RULES.get(name)
        if files and files.is_own:
            # Other configurations may be other experiments.
            made.append(made_by(name, files.outputs.values(), [files.log, files.benchmark]))
            files = files.of_experiment("{experiment}")
            made.append(made_by(name, files.outputs.values(), [files.log, files.benchmark], is_named=True))
        else:
            made.append(made_by(name, declared.output, logs_of(declared)))
    for name in ("report", "partial_report"):
        files, jobs = layout.RULES[f"{name}_answers"], f"{name}_answers"
        made.append(made_by(name, files.outputs.values(), [files.log, files.benchmark], jobs_of=jobs))
        files = files.of_experiment("{experiment}")
        made.append(made_by(name, files.outputs.values(), [files.log, files.benchmark], jobs_of=jobs, is_named=True))
    made.append(made_by("check", [FAILED_CHECK], logs_of(named["check"])))
    made.append(made_by("check_merged", [FAILED_CHECK_MERGED], logs_of(named["check_merged"])))
    for name in ("train", "train_full"):
        made.append(made_by(name, [], logs_of(named[name]), folders=[TRACKERS], jobs_of="trackers"))
    # Base models and others that no training has left logs of.
    made.append(made_by("tracked", [], [], folders=[TRACKERS]))
    for name in ("import_model", "train", "train_full", "merge"):
        # Files that their libraries write beside the outputs.
        made.append(made_by(name, [], logs_of(named[name]), folders=[folder_of(named[name].output[0])]))
    return made


def logs_of(rule):
    """What every job of a rule leaves beside its outputs."""
    return [*rule.log, *([rule.benchmark] if rule.benchmark else [])]


def made_by(stage, files, logs, folders=(), jobs_of=None, is_named=False):
    """The files of a rule, as patterns and as regular expressions, and the rule whose jobs say which of them are of use."""

    def patterns(paths):
        plain = [strip_wildcard_constraints(str(path)) for path in paths]
        # Names that one rule leaves to another are names of results too.
        return [
            (path, regex_from_filepattern(update_wildcard_constraints(path, {}, workflow.wildcard_constraints))) for path in plain
        ]

    return {
        "stage": stage,
        "jobs_of": jobs_of or stage,
        "is_named": is_named,
        "files": patterns(files),
        "folders": patterns(folders),
        "logs": patterns(logs),
    }


def relative_config_files(wildcards):
    """The files of the configuration, as they are laid over each other."""
    *overrides, default = map(str, map(os.path.relpath, workflow.configfiles))
    return [default, *overrides]
