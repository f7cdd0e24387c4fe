import inspect
import json
import os
import re
import signal
import sys
import time
from contextlib import ExitStack
from functools import lru_cache, partial
from itertools import takewhile
from typing import get_type_hints

from snakemake.target_jobs import parse_target_jobs_cli_args
from snakemake_interface_executor_plugins.settings import DeploymentMethod

from loragrid import layout
from loragrid.ahead.plan import GROUP, WORKED_AHEAD, published
from loragrid.ahead.told import Told
from loragrid.analysis.figures.names import CATEGORIES, TITLES
from loragrid.config.load import parse_config
from loragrid.config.messages import located
from loragrid.config.spelling import misspelled_texts
from loragrid.data.tasks import BASELINES
from loragrid.errors import UserError, printable
from loragrid.grid.contents import wrong_contents
from loragrid.grid.feasibility import problems
from loragrid.grid.impossible_jobs import impossible_jobs
from loragrid.grid.jobs import inputs, settings
from loragrid.grid.jobs.exchanged import EXCHANGED, is_exchanged, is_kept
from loragrid.grid.jobs.inputs import AncientFile, UserFile
from loragrid.grid.jobs.wanted import model_outputs
from loragrid.grid.runs import Grid
from loragrid.layout import NAME
from loragrid.patches.snakemake_ancient_inputs import look_behind_ancient_inputs
from loragrid.patches.snakemake_benchmark import record_shares
from loragrid.patches.snakemake_exchanged_inputs import Exchanged, let_inputs_be_exchanged
from loragrid.patches.snakemake_job_rate import lift_default_job_rate
from loragrid.patches.snakemake_results_of_others import keep_results_of_others, record_what_ends_meanwhile
from loragrid.patches.snakemake_terminated import end_at_any_moment
from loragrid.runtime.finished import PLANNED, forget_recorded
from loragrid.runtime.shares import take_share
from loragrid.sections import decisive

STARTED = time.time()
if workflow.is_main_process:
    # Jobs inherit it.
    os.environ[PLANNED] = repr(STARTED)

look_behind_ancient_inputs()
lift_default_job_rate(workflow)
keep_results_of_others(STARTED)
record_what_ends_meanwhile()
end_at_any_moment()
record_shares(take_share)


def load_grid(raw):
    """What the configuration expands into; a problem ends the workflow with a sentence that names file and key."""
    is_stored = bool(workflow.storage_settings and workflow.storage_settings.default_storage_provider)
    try:
        loaded = parse_config(raw)
        # Jobs get what the main process has checked.
        files = workflow.configfiles if workflow.is_main_process else []
        if found := [*misspelled_texts(loaded, files), *problems(loaded)]:
            raise UserError("\n".join(found))
        grid = Grid(loaded, is_stored=is_stored)
        if workflow.is_main_process and (found := [*impossible_jobs(grid), *wrong_contents(grid)]):
            raise UserError("\n".join(found))
    except UserError as error:
        # Snakemake lists the default file last, although the others override it.
        *overrides, default = workflow.configfiles
        given = workflow.config_settings.config
        sys.exit(printable("\n".join(located(line, [default, *overrides], given) for line in str(error).split("\n"))))
    return grid


def told_to_new(raw):
    """What `--config` tells the rule `new`. It is no part of the configuration."""
    # Snakemake has its targets only when the Snakefile has been read.
    is_asked = not workflow.is_main_process or "new" in sys.argv
    return {key: raw.pop(key) for key in ("name", "data") if key in raw} if is_asked else {}


ASKED = told_to_new(config)
GRID = load_grid(config)
CONFIG = GRID.config
let_inputs_be_exchanged(
    {rule: Exchanged(partial(is_exchanged, rule), partial(is_kept, rule, CONFIG.experiment)) for rule in EXCHANGED}
)
# Without any, this matches nothing.
EXTERNAL_NAME = "|".join(map(re.escape, CONFIG.external_predictions)) or "(?!)"


def signed(function):
    """The function, with its signature stored.

    Snakemake asks for the signature three times per job. Finding it out takes longer than most of these functions.
    """
    function.__signature__ = inspect.signature(function)
    return function


def reads(inputs_of):
    """Input function: the files that a job reads, by name, from a function of `grid/jobs/inputs.py`."""

    @signed
    def files(wildcards):
        found = ask(inputs_of, wildcards)
        return {
            name: [flagged(path) for path in paths] if isinstance(paths, list) else flagged(paths)
            for name, paths in found.items()
        }

    return files


def told(settings_of, version, derived=()):
    """Params: what a job is told, field by field, from a function of `grid/jobs/settings.py`.

    It is given the stage's version, which it may raise for some jobs.

    Params in `derived` take the job's inputs. Snakemake knows that they follow from the inputs, and compares them with nothing.
    """

    # Snakemake asks for all params of a job one after the other.
    @lru_cache(maxsize=16)
    def params(*job):
        return decisive(ask(partial(settings_of, version=version), dict(job)))

    def param(field):
        if field in derived:
            return signed(lambda wildcards, input: params(*wildcards.items())[field])
        return signed(lambda wildcards: params(*wildcards.items())[field])

    fields = get_type_hints(settings_of)["return"].model_fields
    return {field: param(field) for field in fields}


def ask(function, wildcards):
    """What a function of `grid/jobs/` says about a job."""
    try:
        return function(GRID, dict(wildcards))
    except UserError as error:
        raise Refusal(str(error)) from None


def flagged(path):
    """An input file, with the flags that Snakemake needs."""
    if isinstance(path, AncientFile):
        return ancient(str(path))
    return local(str(path)) if isinstance(path, UserFile) and GRID.is_stored else str(path)


PUBLISHED = ExitStack()
"""What jobs are told of other jobs, until Snakemake ends."""


def publish_plan():
    """Have jobs know which other jobs are to run, whose work they may do ahead."""
    if workflow.is_main_process and not GRID.is_stored:
        jobs = list(workflow.dag.needrun_jobs(exclude_finished=False))
        if shared := [told_of(job) for job in jobs if may_be_ahead(job)]:
            # A queue enforces what a job has asked for.
            limited = [
                *(name for name in workflow.global_resources if name[0] != "_"),
                *(["mem_mb", "runtime"] if QUEUED else []),
            ]
            PUBLISHED.enter_context(published(shared, (str(file) for job in jobs for file in job.output), limited))
            end_with_signals()


def end_with_signals():
    """Have processes take no more work of other jobs once Snakemake was asked to end: it waits for those that run."""
    stop = signal.getsignal(signal.SIGTERM)

    def end(number, frame):
        PUBLISHED.close()
        stop(number, frame)

    if callable(stop):
        signal.signal(signal.SIGTERM, end)


def may_be_ahead(job):
    """Whether another process may do the work of a job."""
    if job.rule.name == "score":
        return CONFIG.scorers[job.wildcards.scorer].starts_slowly
    return job.rule.name in WORKED_AHEAD


def told_of(job):
    """What a job is told, with what the screen says of it and its software environment."""
    makes_environments = DeploymentMethod.CONDA in workflow.deployment_settings.deployment_method
    environment = str(job.conda_env.address) if makes_environments and job.conda_env else ""
    return Told.of(job, job.message or "", environment)


def fellows():
    """The first outputs of the jobs of a submission, in the process that runs them."""
    # The workflow has its settings only when the Snakefile has been read.
    given = sys.argv[sys.argv.index("--target-jobs") + 1 :] if "--target-jobs" in sys.argv else []
    jobs = parse_target_jobs_cli_args(takewhile(lambda word: not word.startswith("--"), given))
    told = (one for one in jobs if one.rulename in WORKED_AHEAD)
    return [next(iter(layout.RULES[one.rulename].outputs.values())).format_map(one.wildcards_dict) for one in told]


if not workflow.is_main_process:
    os.environ[GROUP] = json.dumps(fellows())


def forget_finished(ended=False):
    """Give up the finished work that jobs keep in case Snakemake does not get to know of it."""
    if workflow.is_main_process:
        PUBLISHED.close()
        forget_recorded(ended)


def own(files):
    """The files of a rule of which each named experiment has its own."""
    return GRID.own(files)


def own_place(path):
    """Where the experiment has a file or folder of its own, given its place below results/ without a name."""
    return layout.of_experiment(f"{layout.RESULTS}/{path}", CONFIG.experiment)


def makes(files):
    """Output files of a rule, by name."""
    return model_outputs(GRID, files)


def draws(rule):
    """Output files of a rule that makes figures, by name; each figure has a place and a caption in Snakemake's own report."""
    outputs = makes(own(layout.RULES[rule]))

    def shown(name):
        caption, labels = f"../report/{name}.rst", {"figure": TITLES[name]}
        return report(outputs[name], caption=caption, category=CATEGORIES[name], labels=labels)

    return outputs | {name: shown(name) for name in layout.FIGURES[rule]}


def local_results(rule):
    """Refuse a rule that looks for files on this machine if a storage has them."""
    if GRID.is_stored:
        raise Refusal(
            f"{rule} reads what is in results/ on this machine: copy the results of the storage there, logs included, and "
            "leave out --default-storage-provider."
        )
