"""What keeps the planning of large grids quick, and ways to plan a part of them."""

import os
import re
import subprocess
import sys

import pytest

from benchmarks.scale.projects import Axes, make_project

# Counts the lines of the workflow's own code that a dry run goes through, and calls of inspect.signature that find out about a function of ours anew.
COUNT = """
import inspect, sys
from pathlib import Path
from snakemake.cli import main

folder = f"{Path.cwd()}/workflow/"
lines, asked = 0, []

def count(frame, event, _):
    global lines
    if not frame.f_code.co_filename.startswith(folder):
        return None
    lines += event == "line"
    return count

def looked_at(cls, function, *arguments, original=inspect._signature_from_function, **options):
    if function.__code__.co_filename.startswith(folder):
        asked.append(function.__code__)
    return original(cls, function, *arguments, **options)

inspect._signature_from_function = looked_at
sys.settrace(count)
try:
    main(["--dry-run", "--cores", "1"])
except SystemExit as ended:
    assert not ended.code
finally:
    sys.settrace(None)
print("counted", lines, len(asked))
"""


def dry_run(folder, *command):
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONDONTWRITEBYTECODE", "PYTHONPATH")}
    result = subprocess.run([sys.executable, *command], cwd=folder, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout + result.stderr


def planned(text):
    return {rule: int(number) for rule, number in re.findall(r"^(\w+) +(\d+)$", text, re.MULTILINE)}


@pytest.fixture
def new_grid(tmp_path):
    """Puts a grid of the benchmark into a new folder."""

    def make(*axes):
        folder = tmp_path / "-".join(map(str, axes))
        folder.mkdir()
        make_project(folder, Axes(*axes), minimal=False)
        return folder

    return make


def test_planning_a_job_takes_no_longer_in_a_larger_grid(new_grid):
    found = [dry_run(new_grid(1, 1, 1, seeds), "-c", COUNT) for seeds in (1, 3, 6)]
    jobs = [planned(text)["total"] for text in found]
    lines, asked = zip(
        *(map(int, re.search(r"^counted (\d+) (\d+)$", text, re.MULTILINE).groups()) for text in found), strict=True
    )
    per_job = [(lines[i + 1] - lines[i]) / (jobs[i + 1] - jobs[i]) for i in (0, 1)]
    assert per_job[1] < 1.02 * per_job[0]
    # What arguments a function of the workflow takes is found out as often in a large grid as in a small one, except for rare rules.
    assert asked[2] - asked[1] < 2 * (jobs[2] - jobs[1]), (jobs, asked)


def test_scores_can_be_computed_in_batches_each_with_its_own_share_of_the_grid(new_grid):
    command = ["-m", "snakemake", "scores", "-n", "--cores", "1"]
    folder = new_grid(1, 1, 1, 1)
    whole = planned(dry_run(folder, *command))
    batches = [planned(dry_run(folder, *command, "--batch", f"scores={i}/4")) for i in (1, 2)]
    assert [(batch["score"], batch["predict"]) for batch in batches] == [(whole["score"] / 4, whole["predict"] / 4)] * 2
