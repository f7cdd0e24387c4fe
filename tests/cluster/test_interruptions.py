"""Jobs that a cluster ends before they are finished: cancelled, preempted, out of time, gone with their node."""

import contextlib
import json
import re
import time
from contextlib import ExitStack

import psutil
import pytest

STEPS, PROMPTS = 600, 12
TRAINED = "shout/gold/tiny/shout__gold__target_only__n8__lora__completion__seed1"
ADAPTER, ANSWERS = f"results/adapters/{TRAINED}/adapter_model.safetensors", "results/predictions/shout/gold/tiny/base.jsonl"
LOGS = {"train": f"results/logs/adapters/{TRAINED}.log", "predict": "results/logs/predictions/shout/gold/tiny/base.log"}
WORKING = {"train": "training:", "predict": "predicting:"}
PREEMPTABLE = ["--set-resources", "train:slurm_partition=low", "predict:slurm_partition=low"]


def one_run(config):
    config["grid"][0] |= {"tasks": ["shout"], "nb_samples": [8]}
    config["tasks"].pop("echo")
    config["tasks"]["shout"] |= {"subset": PROMPTS, "max_new_tokens": 100}
    config["configs"]["lora"] |= {"epochs": STEPS // 2, "evaluations": 2}
    # One answer after the other.
    config["models"]["tiny"]["engine"] = {"type": "hf", "batch_tokens": 1}
    # So little that both are on one node, also at the third attempt.
    config["models"]["tiny"]["resources"] = {"train": {"mem_mb": 2000}, "predict": {"mem_mb": 2000}}


def wait_for(found, patience_s=600):
    until = time.monotonic() + patience_s
    while not (value := found()):
        if time.monotonic() > until:
            pytest.fail(f"waited {patience_s} s in vain")
        time.sleep(0.05)
    return value


class Jobs:
    """One training and one prediction that are interrupted at the same time, again and again."""

    def __init__(self, project, cluster, run):
        self.project, self.cluster, self.run, self.scripts, self.kept = project, cluster, run, {}, 0

    def path(self, rule):
        return self.project.folder / LOGS[rule]

    def log(self, rule):
        return self.path(rule).read_text()

    def answered(self):
        """Prompts whose answers are kept, one for each time that they were computed."""
        lines = (json.loads(line) for file in self.project.files(".state/predictions/*.jsonl") for line in file.open())
        return [key for line in lines for key in line if key != "journal"]

    def at_work(self):
        """Wait until both do what they are there for, each in a process that was not interrupted yet; both stand still then.

        Slurm wakes them when it asks them to end.

        Returns:
            The number of each one's Slurm job.
        """
        found = {}

        def all_found():
            assert self.run.is_running(), self.run.result()
            for rule in WORKING.keys() - found.keys():
                if working := self._working(rule):
                    process, found[rule] = working
                    process.suspend()
                    self.scripts[rule] = process
            return len(found) == len(WORKING)

        wait_for(all_found)
        self.kept = len(self.answered())
        return found

    def _working(self, rule):
        for process, environment in self.cluster.job_processes().items():
            with contextlib.suppress(psutil.Error, FileNotFoundError):
                # A process that is ending has no words on its command line.
                words = process.cmdline()
                script = words and words[-1].endswith(f".{rule}.py") and process.name().startswith("python")
                # The log of the one before stays until this one is ready.
                own_log = script and self.path(rule).stat().st_mtime > process.create_time() and WORKING[rule] in self.log(rule)
                further = rule == "train" or len(self.answered()) > self.kept
                if own_log and further and process != self.scripts.get(rule):
                    return process, environment["SLURM_JOB_ID"]
        return None

    def ended(self):
        """Wait until the training has said where it stopped and both processes are gone.

        Returns:
            The last step of the training, and the number of answers.
        """
        wait_for(lambda: not any(process.is_running() for process in self.scripts.values()))
        [step] = re.findall(rf"error: stopped by SIGTERM after step (\d+) of {STEPS}; its state is saved", self.log("train"))
        return int(step), len(self.answered())


def test_training_and_prediction_go_on_where_they_were_interrupted(changeable, cluster, tmp_path):
    changeable.edit_config(one_run)
    changeable.snakemake(ADAPTER, ANSWERS)
    expected = (changeable.folder / ADAPTER).read_bytes(), texts(changeable)
    for file in (*changeable.files("adapters/*"), *changeable.files("predictions/*"), *changeable.files("logs/*")):
        file.rename(tmp_path / f"{file.parent.name}-{file.name}")

    changeable.arguments, changeable.environment = cluster.arguments, cluster.environment
    # What Slurm counts as failed takes one of Snakemake's retries, what it puts back into the queue takes none.
    run = changeable.started(ADAPTER, ANSWERS, "--retries", "3", *PREEMPTABLE)
    with ExitStack() as stack:
        stack.callback(run.kill)
        jobs = Jobs(changeable, cluster, run)

        numbers = jobs.at_work()
        cluster.call("scancel", *numbers.values())
        cancelled = jobs.ended()

        jobs.at_work()
        assert f"going on after step {cancelled[0]} of {STEPS}" in jobs.log("train")
        assert f"going on after {cancelled[1]} of {PROMPTS} prompts" in jobs.log("predict")
        urgent = cluster.call(
            "sbatch", "--parsable", "--partition=urgent", "--nodes=2", "--exclusive", "--output=/dev/null", "--wrap=:"
        )
        preempted = jobs.ended()

        numbers = jobs.at_work()
        assert f"going on after step {preempted[0]} of {STEPS}" in jobs.log("train")
        assert cluster.jobs()[int(urgent)]["JobState"] == "COMPLETED"
        for number in numbers.values():
            cluster.call("scontrol", "update", f"JobId={number}", "TimeLimit=1")
        timed_out = jobs.ended()
        wait_for(lambda: {cluster.jobs()[int(number)]["JobState"] for number in numbers.values()} == {"TIMEOUT"})

        numbers = jobs.at_work()
        assert f"going on after step {timed_out[0]} of {STEPS}" in jobs.log("train")
        assert f"going on after {timed_out[1]} of {PROMPTS} prompts" in jobs.log("predict")
        answered = jobs.answered()
        assert len(answered) == len(set(answered))
        [node] = {cluster.jobs()[int(number)]["NodeList"] for number in numbers.values()}
        cluster.kill_node(node)
        result = run.result(timeout_s=600)
        cluster.start_node(node)
    assert result.returncode == 0, result.stdout + result.stderr
    # A training that is killed without a word goes on from its last state.
    assert f"going on after step {timed_out[0]} of {STEPS}" in jobs.log("train")
    assert f"going on after {len(answered)} of {PROMPTS} prompts" in jobs.log("predict")
    restarted = [cluster.jobs()[int(number)] for number in numbers.values()]
    assert [(job["JobState"], job["Restarts"]) for job in restarted] == [("COMPLETED", "1")] * 2
    # Snakemake's fourth attempt: cancelled, preempted (it ended within its grace time), out of time. Limits grow with each.
    assert {job["TimeLimit"] for job in restarted} == {"2-00:00:00", "16:00:00"}
    assert 0 < cancelled[0] < preempted[0] < timed_out[0] < STEPS
    assert cancelled[1] <= preempted[1] <= timed_out[1] < PROMPTS
    assert ((changeable.folder / ADAPTER).read_bytes(), texts(changeable)) == expected


def texts(project):
    return [json.loads(line)["prediction"] for line in (project.folder / ANSWERS).read_text().splitlines()]
