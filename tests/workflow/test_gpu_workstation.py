"""The whole workflow on a machine with pretended GPUs: an `nvidia-smi` on PATH lists them, and torch computes on the CPU."""

import json
import os
import re
import shutil
from itertools import combinations

import pytest


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Called with a number: a machine with so many GPUs, on which no other workflow leases any."""
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)

    def have(gpus):
        listed = "".join(f"echo 'GPU {i}: NVIDIA H100 (UUID: GPU-none-{i})'\n" for i in range(gpus))
        (tmp_path / "nvidia-smi").write_text(f"#!/bin/sh\n{listed}")
        (tmp_path / "nvidia-smi").chmod(0o755)

    return have


def leases(project):
    """GPU, from and to (seconds of the day) of every job whose log tells of a lease."""
    for log in project.files("logs/**/*.log"):
        text = log.read_text()
        if found := re.search(r"^(\d\d):(\d\d):(\d\d) leased GPU (.+)$", text, re.MULTILINE):
            *since, gpu = found.groups()
            [until] = re.findall(r"^(\d\d):(\d\d):(\d\d) done after", text, re.MULTILINE)
            since, until = (int(h) * 3600 + int(m) * 60 + int(s) for h, m, s in (since, until))
            yield gpu, since, until + (86400 if until < since else 0)


def asked_gpus(benchmark):
    """The GPUs that a recorded job asked for."""
    return json.loads(benchmark.read_text().splitlines()[0])["resources"].get("gpu")


def test_jobs_never_meet_on_a_gpu_even_where_more_may_start_than_there_are_gpus(machine, changeable):
    machine(1)
    changeable.edit_config(lambda c: c["grid"][0].update(tasks=["echo"], nb_samples=[4]))
    for stage in ("mixes", "adapters", "predictions", "checks"):
        for made in ("results", "results/benchmarks", "results/logs"):
            shutil.rmtree(changeable.folder / made / stage)
    options = ["--profile", "workstation", "--resources", "gpu=4", "--cores", "8"]
    # Else one process does all of it.
    alone = ["--set-resources", *(f"{rule}:jobs_per_process=1" for rule in ("train", "predict", "check"))]
    result = changeable.snakemake(*options, "predictions", "checks", *alone)
    assert re.search(r"Provided resources: .*\b4\b", result.stderr)
    held = list(leases(changeable))
    # One training, two predictions, two checks.
    assert len(held) == 5
    for (gpu, since, until), (other, since_other, until_other) in combinations(held, 2):
        assert gpu != other or since >= until_other or since_other >= until
    assert changeable.planned("predictions", "checks") == {}
    for stage in ("adapters", "predictions", "checks"):
        assert {asked_gpus(file) for file in changeable.files(f"benchmarks/{stage}/**/*.jsonl")} == {1}
    assert {asked_gpus(file) for file in changeable.files("benchmarks/mixes/**/*.jsonl")} == {None}


def test_profile_workstation_lets_as_many_jobs_start_as_there_are_gpus(machine, new_project):
    machine(4)
    found = new_project.snakemake("--profile", "workstation", "--cores", "8", "datasets").stderr
    assert re.search(r"Provided resources: .*\b4\b", found)


def test_model_behind_a_server_takes_no_gpu_of_any_kind(new_project):
    """On Slurm, a kind without a number is one GPU of that kind."""

    def serve(config):
        entry = config["models"]["tiny"]
        entry |= {"engine": {"type": "openai", "model": "m"}, "resources": {"predict": {"gpu": 2, "gpu_model": "h100"}}}
        config["models"]["here"] = {"source": entry["source"], "resources": {"predict": {"gpu": 3, "gpu_model": "a100"}}}
        config["grid"] = [{"base_models": ["tiny", "here"], "tasks": ["shout"], "sample_types": ["gold"]}]

    new_project.edit_config(serve)
    show = """
for name in ("tiny", "here"):
    print(name, {key: of(Wildcards(fromdict={"base_model": name}), 1) for key, of in gpus("predict").items()})
"""
    snakefile = new_project.folder / "Snakefile"
    snakefile.write_text(snakefile.read_text() + show)
    said = new_project.snakemake("-n", "datasets").stdout
    assert "tiny {'gpu': None, 'gpu_model': None}\nhere {'gpu': 3, 'gpu_model': 'a100'}\n" in said


@pytest.mark.parametrize(("limit", "gpus"), [([], "4 GPUs"), (["--resources", "gpu=2"], "2 GPUs")])
def test_plan_counts_the_gpus_that_jobs_may_take(new_project, machine, limit, gpus):
    machine(4)
    assert f" at a time and {gpus} about " in new_project.snakemake("plan", *limit).stdout
