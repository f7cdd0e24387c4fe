"""What a job took, where its process worked for several jobs: in its benchmark stands the job's own share."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from snakemake import benchmark

from loragrid.layout import SHARES
from loragrid.patches.snakemake_benchmark import OF_PROCESS, record_shares
from loragrid.runtime.shares import Share, leave_share, take_share

JOB = {"base_model": "m", "run": "r"}


@pytest.fixture(autouse=True)
def _project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def written(monkeypatch):
    """What Snakemake writes of a job that took ten seconds by the clock and 500 MiB."""
    monkeypatch.setattr(benchmark, "write_benchmark_records", benchmark.write_benchmark_records)
    record_shares(take_share)

    def write(path, extended=True, rule="train"):
        record = benchmark.BenchmarkRecord()
        record.running_time, record.data_collected, record.max_rss, record.cpu_time = 10.0, True, 500.0, 9.0
        record.jobid, record.rule_name, record.wildcards, record.params = 3, rule, JOB, {"version": 1}
        record.resources, record.input, record.threads = {"mem_mb": 6000}, [], 2
        benchmark.write_benchmark_records([record], path, extended)
        return Path(path).read_text().splitlines()

    return write


def test_a_share_is_taken_once_and_by_its_job_only():
    leave_share("train", JOB, Share(4.5, 123.0))
    assert take_share("predict", JOB, 0) is None
    assert take_share("train", JOB | {"run": "other"}, 0) is None
    assert take_share("train", JOB, time.time() - 60) == Share(4.5, 123.0)
    assert take_share("train", JOB, 0) is None
    assert list(Path(SHARES).iterdir()) == []


def test_a_share_that_a_killed_job_left_is_not_that_of_the_job_that_runs_again():
    leave_share("train", JOB, Share(4.5, 123.0))
    assert take_share("train", JOB, time.time() + 1) is None
    leave_share("train", JOB, Share(1.0, None))
    Path(next(Path(SHARES).iterdir())).write_text("{")
    assert take_share("train", JOB, 0) is None


def test_benchmark_holds_the_share_that_the_job_has_left_and_nothing_else_of_its_process(written):
    leave_share("train", JOB, Share(83.25, 321.0))
    [line] = written("b.jsonl")
    found = json.loads(line)
    assert (found["s"], found["h:m:s"], found["max_rss"]) == (83.25, "0:01:23", 321.0)
    assert {found[name] for name in OF_PROCESS} == {"NA"}
    assert (found["rule_name"], found["wildcards"], found["resources"]) == ("train", JOB, {"mem_mb": 6000})
    assert not list(Path(SHARES).iterdir())


def test_memory_is_that_of_the_process_where_the_share_does_not_say_it(written):
    leave_share("train", JOB, Share(83.25, None))
    assert json.loads(written("b.jsonl")[0])["max_rss"] == 500.0


def test_benchmark_of_a_job_that_left_nothing_is_what_snakemake_has_measured(written):
    leave_share("train", JOB, Share(83.25, 321.0))
    found = json.loads(written("b.jsonl", rule="check")[0])
    assert (found["s"], found["max_rss"], found["cpu_time"]) == (10.0, 500.0, 9.0)


def test_benchmark_as_a_table_has_the_share_too(written):
    leave_share("train", JOB, Share(83.25, 321.0))
    header, row = written("b.tsv", extended=False)
    found = dict(zip(header.split("\t"), row.split("\t"), strict=True))
    assert (found["s"], found["h:m:s"], found["max_rss"], found["cpu_time"]) == ("83.25", "0:01:23", "321.00", "NA")


SNAKEFILE = """
import sys
sys.path.insert(0, {library!r})
from loragrid.patches.snakemake_benchmark import record_shares
from loragrid.runtime.shares import take_share

record_shares(take_share)

rule all:
    input: "shared.txt", "alone.txt"

rule work:
    output: "{{name}}.txt"
    benchmark: "{{name}}.jsonl"
    script: "work.py"
"""

SCRIPT = """
import sys
sys.path.insert(0, {library!r})
from pathlib import Path
from loragrid.runtime.shares import Share, leave_share

Path(snakemake.output[0]).touch()
if snakemake.wildcards.name == "shared":
    leave_share(snakemake.rule, dict(snakemake.wildcards), Share(1234.5, 67.0))
"""


def test_snakemake_writes_the_share_that_a_script_leaves():
    library = str(Path(__file__).parents[3] / "workflow" / "scripts")
    Path("Snakefile").write_text(SNAKEFILE.format(library=library))
    Path("work.py").write_text(SCRIPT.format(library=library))
    command = [sys.executable, "-m", "snakemake", "--cores", "1", "--benchmark-extended", "--quiet", "all"]
    subprocess.run(command, check=True)
    shared, alone = (json.loads(Path(f"{name}.jsonl").read_text()) for name in ("shared", "alone"))
    assert (shared["s"], shared["max_rss"], shared["cpu_time"]) == (1234.5, 67.0, "NA")
    assert 0 < alone["s"] < 100
    assert alone["wildcards"] == {"name": "alone"}
