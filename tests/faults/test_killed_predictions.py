"""A prediction job that is killed again and again."""

import json
import os
import random
import signal
import time

from projects import WORDS

PATIENCE_S = 600
"""More than anything takes on a busy machine."""
# So a prediction does not come to its end before it is killed.
TWO_ANSWERS = """
import os, time
from loragrid.inference import protocol
append, kept = protocol.append_to_journal, []
def append_two(*entry):
    if len(kept) == 2:
        time.sleep(3600)
    append(*entry)
    kept.append(entry)
protocol.append_to_journal = append_two
with open("pid", "w") as file:
    print(os.getpid(), file=file)
"""


def test_prediction_that_is_killed_many_times_computes_no_example_twice_and_ends_as_if_it_was_not(changeable):
    kills, prompts = 8, 20

    def one_at_a_time(config):
        config["models"]["tiny"]["engine"] = {"type": "hf", "batch_tokens": 1}
        config["tasks"]["echo"] |= {"subset": prompts, "max_new_tokens": 8}

    changeable.edit_config(one_at_a_time)
    words = [f"{a} or {b}" for a in WORDS for b in WORDS if a != b][:prompts]
    (changeable.folder / "data/test.jsonl").write_text("".join(json.dumps({"word": word}) + "\n" for word in words))
    target = "results/predictions/echo/gold/tiny/base.jsonl"
    file, copy = changeable.folder / target, changeable.folder / "uninterrupted.jsonl"
    changeable.snakemake(target)
    assert not changeable.files(".state/predictions/*")
    file.rename(copy)
    uninterrupted = read_lines(copy)
    assert len(uninterrupted) == prompts

    script = changeable.folder / "workflow/scripts/predict.py"
    unhindered = script.read_text()
    script.write_text(TWO_ANSWERS + unhindered)
    chance = random.Random(4)
    for answer in uninterrupted[:kills]:
        kill_prediction(changeable, target, chance.uniform(0, answer["runtime_s"]))
        assert not file.exists()
    [journal] = changeable.files(".state/predictions/*.jsonl")
    kept = [answer for entry in read_lines(journal) for answer in entry.items() if answer[0] != "journal"]
    finished = dict(kept)
    assert kills <= len(finished) == len(kept) <= 2 * kills < prompts

    script.write_text(unhindered)
    changeable.snakemake(target)
    [log] = changeable.files("logs/predictions/echo/gold/tiny/base.log")
    assert f"going on after {len(finished)} of {prompts} prompts" in log.read_text()
    resumed = read_lines(file)
    assert {a["runtime_s"] for a in finished.values()} <= {answer["runtime_s"] for answer in resumed}
    no_times = {"queue_s": 0, "compute_s": 0, "runtime_s": 0}
    assert [answer | no_times for answer in resumed] == [answer | no_times for answer in uninterrupted]
    assert not changeable.files(".state/predictions/*")


def read_lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def kill_prediction(project, target, delay_s):
    """Start a prediction and kill its job a while after it has finished one more example."""

    def finished():
        return sum(path.read_bytes().count(b"\n") for path in project.files(".state/predictions/*.jsonl"))

    before = finished()
    workflow = project.started(target)
    until = time.monotonic() + PATIENCE_S
    while finished() == before:
        assert workflow.is_running(), workflow.result()
        assert time.monotonic() < until
        time.sleep(0.01)
    # Any moment will do.
    time.sleep(delay_s)
    os.kill(int((project.folder / "pid").read_text()), signal.SIGKILL)
    assert workflow.result().returncode != 0
