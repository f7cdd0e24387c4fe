"""What the screen shows of Snakemake's log records: which of them, and in which words."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Sequence
from typing import Any

from snakemake.logging import DefaultFormatter, format_percentage, get_event
from snakemake_interface_logger_plugins.common import LogEvent

from loragrid.runtime.commands import command, no_such_file, wrong_target
from loragrid.runtime.folder_locks import locked_sentence
from loragrid.runtime.screen import about_copies, end_of, failure, last_words, main_reason, refused, why

SLACK_S = 60
"""By how much the clocks of machines that share a folder may differ."""

_NOISE = (
    "Using shell: ",
    "Rules claiming more threads",
    "Conda environments: ignored",
    "Singularity containers: ignored",
    "Group jobs: inactive",
    "Select jobs to execute...",
    "Execute ",
    "Job rate limit reached",
    "Reasons:\n",
    "Some jobs were triggered by provenance information",
    "Rules with provenance triggered jobs",
    "Exiting because a job execution failed.",
    "WorkflowError:\nAt least one job did not complete successfully.",
    "RuleException:\nCalledProcessError in file ",
)
"""How messages begin that the screen says otherwise, or that say what is always so."""

_SUBMITTED = re.compile(r"Job \d+ has been submitted with ")
_UNMADE = re.compile(r"No rule to produce (.+?) \(if you use input functions")
_AGAIN = re.compile(r"Trying to restart job (\d+)\.")
_NEVER = (LogEvent.WORKFLOW_STARTED, LogEvent.JOB_FINISHED, LogEvent.GROUP_INFO, LogEvent.SHELLCMD)


class Screen(DefaultFormatter):  # type: ignore[misc]
    """What the screen shows of Snakemake's records: `shows` chooses, `format` writes.

    Args:
        handler: what writes them, with Snakemake's own filter.
        details: the file that holds the jobs of a dry run.
    """

    def __init__(self, workflow: Any, handler: Any, details: str) -> None:
        settings = workflow.output_settings
        super().__init__(settings.quiet, settings.show_failed_logs)
        self.workflow, self.handler, self.details = workflow, handler, details
        self.default = handler.filters[0]
        self.is_dry_run = bool(settings.dryrun)
        self.jobs: dict[int, tuple[str, float]] = {}
        """What each job does, by Snakemake's number, and when it started."""
        self.ends: dict[int | None, str] = {}
        """How the last process ended that each thread had started."""
        self.has_counted = False
        self.told: set[tuple[str, str]] = set()
        """Jobs that have failed, with their sentences. A job that is tried again says the same only once."""

    def shows(self, record: logging.LogRecord) -> bool:
        """Whether a record is shown. What later records need is remembered."""
        event, text, of = get_event(record), str(record.msg or ""), record.__dict__
        # Else the handler writes an empty line before each job.
        self.handler.last_msg_was_job_info = True
        if event == LogEvent.JOB_INFO:
            name = of.get("rule_msg") or " ".join([of.get("rule_name", "job"), *of.get("output", ())[:1]])
            self.jobs[of.get("jobid", 0)] = name, time.time()
            return not (self.is_dry_run or self.workflow.touch) and bool(self.default.filter(record))
        if event == LogEvent.RUN_INFO:
            # Twice in a dry run; with `--quiet` not at all, though the counts are what is asked for.
            first, self.has_counted = not self.has_counted, True
            return first and (self.is_dry_run or bool(self.default.filter(record)))
        if event == LogEvent.JOB_ERROR:
            # The sentence of a failed job is never hidden. Those of a group come with the group.
            return not of.get("indent")
        if event == LogEvent.PROGRESS and of.get("done", 0) < of.get("total", 0):
            return False
        if event == LogEvent.ERROR and (end := end_of(text)):
            self.ends[record.thread] = end
        if event in _NEVER or text.startswith(_NOISE) or _SUBMITTED.match(text):
            return False
        return event in (LogEvent.ERROR, LogEvent.GROUP_ERROR) or bool(self.default.filter(record))

    def format(self, record: logging.LogRecord) -> str:
        """The text that is shown of a record."""
        event, text = get_event(record), str(record.msg or "")
        if text.startswith("This was a dry-run"):
            return f"Nothing was run (-n). Each job with its files and its reason: {self.details}"
        if text.startswith("Error: Directory cannot be locked.") or record.__dict__.get("exception") == "LockException":
            return locked_sentence()
        if again := _AGAIN.fullmatch(text):
            return f"Tried again: {self._name(int(again[1]))}"
        if "No rule to produce " in text or "Target rules may not contain wildcards" in text:
            unmade = _UNMADE.search(text)
            return self._wrong_target() or (no_such_file(unmade[1]) if unmade else str(super().format(record)))
        if sentence := refused(text):
            return sentence
        shown: str = super().format(record)
        return f"{shown}\n" if event == LogEvent.RUN_INFO else shown

    def format_run_info(self, msg: dict[str, Any]) -> str:
        """Jobs by rule, and why they run."""
        dag = self.workflow.dag
        jobs = dag.needrun_jobs(exclude_finished=False)
        reasons = [(job.rule.name, main_reason(reason_names(dag.reason(job)))) for job in jobs]
        copies = about_copies(reasons, command("--touch")) if self.is_dry_run else ""
        return f"{msg['msg'].rstrip()}\n\n{why(reasons)}{copies}"

    def format_progress(self, msg: dict[str, Any]) -> str:
        """The end of a run in which no job failed."""
        if self.workflow.touch:
            return f"The results of {msg['total']} jobs count as up to date now. Nothing was run."
        return str(super().format_progress(msg))

    def format_job_info(self, msg: dict[str, Any]) -> str:
        """A job that starts, behind how far the run is."""
        done, total = self.workflow.scheduler.finished_jobs, len(self.workflow.dag)
        return f"[{time.strftime('%H:%M:%S')}] {done}/{total} ({format_percentage(done, total)}) {self._name(msg['jobid'])}"

    def format_job_error(self, msg: dict[str, Any]) -> str:
        """A failed job, with its sentence. Of a job without one: what is known of its end."""
        if self.show_failed_logs:
            return str(super().format_job_error(msg))
        name, started = self.jobs.get(msg["jobid"], (msg["rule_name"], 0.0))
        end = self.ends.pop(msg["thread"], None)
        said = next(filter(None, (last_words(log, started - SLACK_S) for log in msg["log"])), None)
        executor = str(msg["rule_msg"] or "").partition("For further error details")[0].strip()
        return self._failure(name, said or executor or end or "It ended without a sentence.", msg["log"])

    def format_group_error(self, msg: dict[str, Any]) -> str:
        """The jobs of a group that failed, or the whole group if none of them has said why."""
        if self.show_failed_logs:
            return str(super().format_group_error(msg))
        shown = []
        for job in msg["job_error_info"]:
            name, started = self.jobs.get(job["jobid"], (job["rule_name"], 0.0))
            for log in job["log"]:
                if said := last_words(log, started - SLACK_S):
                    shown.append(self._failure(name, said, [log]))
        rules = ", ".join(sorted({job["rule_name"] for job in msg["job_error_info"]}))
        return "\n".join(shown) or self._failure(f"a group of {rules}", "It ended without a sentence.", msg["aux_logs"])

    def _failure(self, name: str, sentence: str, logs: Sequence[str]) -> str:
        if (name, sentence) in self.told:
            return f"Failed as before: {name}"
        self.told.add((name, sentence))
        return failure(name, sentence, logs)

    def _wrong_target(self) -> str:
        rules = {rule.name: rule.has_wildcards() for rule in self.workflow.rules}
        targets = [name for name, has_wildcards in rules.items() if not has_wildcards]
        asked = self.workflow.dag_settings
        # These options take any rule.
        others = {*asked.forcerun, *asked.until, *asked.omit_from} - rules.keys()
        return wrong_target(sorted(map(str, {*asked.targets, *others})), targets, rules)

    def _name(self, jobid: int) -> str:
        return self.jobs.get(jobid, (f"job {jobid}", 0.0))[0]


def reason_names(reason: Any) -> set[str]:
    """Snakemake's names of the reasons for a job. Inputs that another job of the run makes anew are not newer by themselves."""
    names = set(reason.get_names())
    if not reason.updated_input - reason.updated_input_run:
        names.discard("updated input files")
    return names


def failed_rules(workflow: Any) -> set[str]:
    """The rules whose jobs failed."""
    return {rule for job in workflow.scheduler.failed for rule in job.rules}


def failed_and_left(workflow: Any) -> tuple[int, int, int]:
    """How many jobs of a run failed, how many were not tried, and how many there are."""
    scheduler = workflow.scheduler
    failed, total = sum(len(job) for job in scheduler.failed), len(workflow.dag)
    return failed, max(0, total - failed - scheduler.finished_jobs), total
