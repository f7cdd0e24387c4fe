"""Which of Snakemake's log records the screen shows, and how."""

import logging
import os
import time
from collections import namedtuple
from types import SimpleNamespace

import pytest
from snakemake.jobs import Reason
from snakemake.logging import ColorizingTextHandler, DefaultFilter
from snakemake.settings.enums import Quietness
from snakemake_interface_logger_plugins.common import LogEvent

from loragrid.runtime.commands import REMEMBERED
from loragrid.runtime.screen_records import Screen, failed_and_left, failed_rules, reason_names

Job = namedtuple("Job", ["rule", "reasons"])
COUNTS = "Job stats:\njob      count\n-----  -------\ntrain        2\ntotal        2\n"


def job_of(rule, *reasons):
    newer = {"input"} if "updated input files" in reasons else set()
    reason = SimpleNamespace(get_names=lambda: reasons, updated_input=newer, updated_input_run=set())
    return Job(SimpleNamespace(name=rule), reason)


class JobGroup(list):
    """Jobs that failed together."""

    @property
    def rules(self):
        return {job.rule.name for job in self}


class Graph(list):
    """Jobs, as Snakemake holds them."""

    def needrun_jobs(self, exclude_finished):
        return [] if exclude_finished else list(self)

    def reason(self, job):
        return job.reasons


@pytest.fixture
def screen(tmp_path, monkeypatch):
    """What is shown of records, with the settings of a run."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(REMEMBERED, "snakemake --cores 2")

    def make(quiet=(), dryrun=False, touch=False):
        lines = []
        stream = SimpleNamespace(write=lines.append, flush=lambda: None, isatty=lambda: False)
        settings = SimpleNamespace(quiet=set(quiet), dryrun=dryrun, show_failed_logs=False)
        jobs = Graph([job_of("train", "params have changed since last execution"), job_of("score", "updated input files")])
        rules = [
            SimpleNamespace(name=name, has_wildcards=lambda name=name: name == "train") for name in ("train", "plan", "adapters")
        ]
        workflow = SimpleNamespace(
            output_settings=settings,
            touch=touch,
            dag=jobs,
            scheduler=SimpleNamespace(
                finished_jobs=1, failed=[JobGroup([job_of("train")]), JobGroup([job_of("train"), job_of("score")])]
            ),
            dag_settings=SimpleNamespace(targets={"plam"}, forcerun=set(), until=set(), omit_from=set()),
            rules=rules,
        )
        handler = ColorizingTextHandler(stream=stream, filter=DefaultFilter(settings.quiet, False, False, dryrun, False))
        one = Screen(workflow, handler, "dry-run.log")
        handler.filters[:], handler.formatter = [one.shows], one

        def show(text, event=None, level=logging.INFO, **fields):
            record = logging.LogRecord("snakemake", level, "", 0, text, None, None)
            record.__dict__.update(fields, **({"event": event} if event else {}))
            before = len(lines)
            handler.handle(record)
            return "".join(lines[before:])

        show.workflow = workflow
        return show

    return make


def started(show, jobid=7, message="Train a, tiny", **fields):
    shared = {"jobid": jobid, "rule_msg": message, "rule_name": "train", "output": ["results/a"], "reason": "…", "indent": False}
    return show("Rule: train, Jobid: 7", LogEvent.JOB_INFO, **(shared | fields))


def failed(show, jobid=7, log=(), said="", **fields):
    shared = {"jobid": jobid, "rule_name": "train", "rule_msg": said or None, "log": list(log), "indent": False, "msg": None}
    return show("Error in rule train", LogEvent.JOB_ERROR, logging.ERROR, **(shared | fields))


def test_job_that_starts_is_one_line_with_how_far_the_run_is(screen):
    show = screen()
    line = started(show)
    assert line[1:9].count(":") == 2
    assert line[10:] == " 1/2 (50%) Train a, tiny\n"
    assert started(show, 8, None)[10:] == " 1/2 (50%) train results/a\n"


@pytest.mark.parametrize(
    "text",
    [
        "Using shell: /usr/bin/bash",
        "Select jobs to execute...",
        "Execute 3 jobs...",
        "Conda environments: ignored",
        "Job 12 has been submitted with SLURM jobid 345 (log: x).",
        "Exiting because a job execution failed. Look above for error messages",
        "WorkflowError:\nAt least one job did not complete successfully.",
        "Reasons:\n    (check individual jobs above for details)\n    forced:\n        all",
        "Some jobs were triggered by provenance information, see 'reason' section",
    ],
)
def test_what_is_said_otherwise_or_always_is_not_shown(screen, text):
    assert screen()(text) == ""


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("Nothing to be done (all requested files are present and up to date).", {}),
        (
            "MissingInputException in rule train in file x, line 3:\nMissing input files for rule train:\na",
            {"event": LogEvent.ERROR},
        ),
        ("AmbiguousRuleException:\nRules a and b are ambiguous", {"event": LogEvent.ERROR}),
        ("IncompleteFilesException:\nThe files below seem to be incomplete.", {"event": LogEvent.ERROR}),
        ("OSError: [Errno 28] No space left on device", {"event": LogEvent.ERROR}),
        (
            "MissingOutputException in rule a:\nJob 3 completed successfully, but some output files are missing.",
            {"event": LogEvent.ERROR},
        ),
        ("Complete log(s): /x/.snakemake/log/y.log", {}),
        ("Provided resources: gpu=4", {"event": LogEvent.RESOURCES_INFO}),
    ],
)
def test_what_snakemake_alone_can_say_is_shown_as_it_says_it(screen, text, fields):
    assert screen()(text, exception=text.partition(":")[0], **fields) == f"{text}\n"


def test_failed_job_is_its_sentence_once_whatever_snakemake_says_around_it(screen, tmp_path):
    show, log = screen(), tmp_path / "a.log"
    started(show)
    log.write_text("Traceback (most recent call last):\n  …\nerror: the training loss is nan; try a lower learning_rate.\n")
    around = "RuleException:\nCalledProcessError in file train.smk, line 9:\nCommand 'python' returned non-zero exit status 1."
    assert show(around, LogEvent.ERROR, exception="RuleException") == ""
    sentence = f"Failed: Train a, tiny\n  the training loss is nan; try a lower learning_rate.\n  (log: {log})\n"
    assert failed(show, log=[str(log)]) == sentence
    assert show("Trying to restart job 7.") == "Tried again: Train a, tiny\n"
    assert failed(show, log=[str(log)]) == "Failed as before: Train a, tiny\n"


def test_job_that_was_killed_is_told_by_its_end_and_not_by_an_old_log(screen, tmp_path):

    show, log = screen(), tmp_path / "a.log"
    log.write_text("error: of last week\n")
    os.utime(log, (time.time() - 9999,) * 2)
    started(show)
    killed = "RuleException:\nCalledProcessError in file train.smk, line 9:\nCommand 'python' died with <Signals.SIGKILL: 9>."
    assert show(killed, LogEvent.ERROR, exception="RuleException") == ""
    assert failed(show, log=[str(log)]) == f"Failed: Train a, tiny\n  It was killed by SIGKILL.\n  (log: {log})\n"


def test_job_of_a_cluster_without_a_word_is_told_by_the_cluster(screen):
    show = screen()
    started(show)
    said = "SLURM-job '12' failed, SLURM status is: 'OUT_OF_MEMORY'. For further error details see the cluster/cloud log and …"
    shown = failed(show, log=["a.log", "slurm.log"], said=said)
    assert (
        shown == "Failed: Train a, tiny\n  SLURM-job '12' failed, SLURM status is: 'OUT_OF_MEMORY'.\n  (log: a.log, slurm.log)\n"
    )


def test_group_of_jobs_names_those_that_failed(screen, tmp_path):
    show = screen()
    infos = []
    for jobid, name in enumerate(("good", "bad", "waiting")):
        started(show, jobid, f"Score {name}", indent=True)
        infos.append({"jobid": jobid, "rule_name": "score", "log": [str(tmp_path / f"{name}.log")]})
    (tmp_path / "good.log").write_text("12:00:00 done after 1 s\n")
    (tmp_path / "bad.log").write_text("error: no.\n")
    shown = show("Error in group x", LogEvent.GROUP_ERROR, logging.ERROR, job_error_info=infos, aux_logs=["slurm.log"])
    assert shown == f"Failed: Score bad\n  no.\n  (log: {tmp_path}/bad.log)\n"
    assert failed(show, 1, infos[1]["log"], indent=True) == ""
    (tmp_path / "bad.log").unlink()
    shown = show("Error in group x", LogEvent.GROUP_ERROR, logging.ERROR, job_error_info=infos, aux_logs=["slurm.log"])
    assert shown == "Failed: a group of score\n  It ended without a sentence.\n  (log: slurm.log)\n"


WHY = "Why:\n  settings or version changed: train 1\n  updated input files: score 1\n\n"


def test_dry_run_shows_counts_and_reasons_once_and_no_job(screen):
    show = screen(dryrun=True)
    assert show(COUNTS, LogEvent.RUN_INFO, stats={}) == f"{COUNTS}\n{WHY}"
    assert started(show) == ""
    assert show(COUNTS, LogEvent.RUN_INFO, stats={}) == ""
    ending = "This was a dry-run (flag -n). The order of jobs does not reflect the order of execution."
    assert show(ending) == "Nothing was run (-n). Each job with its files and its reason: dry-run.log\n"


@pytest.mark.parametrize("quiet", [{Quietness.RULES, Quietness.PROGRESS}, {Quietness.ALL}])
def test_quiet_dry_run_shows_counts_too(screen, quiet):
    assert screen(quiet, dryrun=True)(COUNTS, LogEvent.RUN_INFO, stats={}) == f"{COUNTS}\n{WHY}"


def test_quiet_run_shows_failures_alone(screen):
    show = screen({Quietness.ALL})
    assert show("OSError: no space", LogEvent.ERROR, logging.ERROR, exception="OSError") == "OSError: no space\n"
    assert show(COUNTS, LogEvent.RUN_INFO, stats={}) == started(show) == show("Building DAG of jobs...") == ""
    assert failed(show, log=["a.log"]) == "Failed: Train a, tiny\n  It ended without a sentence.\n  (log: a.log)\n"


def test_progress_is_in_the_lines_of_jobs_until_the_end(screen):
    show = screen()
    assert show(None, LogEvent.PROGRESS, done=1, total=2) == ""
    assert show(None, LogEvent.PROGRESS, done=2, total=2) == "2 of 2 steps (100%) done\n"


def test_what_is_no_target_and_a_locked_folder_are_told_in_our_words(screen):
    show = screen()
    no_rule = "MissingRuleException:\nNo rule to produce plam (if you use input functions make sure that …)."
    assert show(no_rule, LogEvent.ERROR) == "'plam': there is no such target; did you mean 'plan'?\n"
    show.workflow.dag_settings.targets = {"train"}
    assert "ask for all of them by snakemake adapters --cores 2" in show(
        "WorkflowError:\nTarget rules may not contain wildcards."
    )
    show.workflow.dag_settings.targets, show.workflow.dag_settings.until = set(), {"train", "adaptors"}
    assert show(no_rule, LogEvent.ERROR) == "'adaptors': there is no such target; did you mean 'adapters'?\n"
    show.workflow.dag_settings.targets, show.workflow.dag_settings.until = {"plan", "results/x y.txt"}, set()
    said = "'results/x y.txt': with this configuration, no job makes such a file; docs/results.md says how files are called."
    assert show(no_rule.replace("plam", "results/x y.txt"), LogEvent.ERROR) == f"{said}\n"
    locked = show("LockException:\nError: Directory cannot be locked. …", LogEvent.ERROR, exception="LockException")
    assert "snakemake --unlock --cores 2" in locked


def test_input_that_another_job_makes_anew_is_no_reason_to_touch():
    reason = Reason()
    reason.missing_output.add("prediction")
    reason.updated_input.add("adapter"), reason.updated_input_run.add("adapter")
    assert reason_names(reason) == {"output files have to be generated", "input files updated by another job"}
    reason.updated_input.add("model")
    assert "updated input files" in reason_names(reason)


def test_touching_is_not_shown_as_running(screen):
    show = screen(touch=True)
    assert not show("", LogEvent.JOB_INFO, jobid=1, rule_name="train", rule_msg="Train a run")
    assert show("", LogEvent.PROGRESS, done=3, total=3) == "The results of 3 jobs count as up to date now. Nothing was run.\n"


def test_failed_jobs_are_counted_with_those_of_groups(screen):
    workflow = screen().workflow
    workflow.dag.extend([job_of("score")] * 8)
    assert failed_and_left(workflow) == (3, 6, 10)
    assert failed_rules(workflow) == {"train", "score"}
