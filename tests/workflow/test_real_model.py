"""The main path on the real model and real data."""

import json
import os
import random
import shutil
import subprocess
import sys
import time

import pandas as pd
import psutil
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer


def test_real_model_learns_from_real_data(real_project):
    def smaller(config):
        config["grid"][0] |= {"tasks": ["outcome"], "sample_types": ["manual"], "nb_samples": [16]}
        config["tasks"]["outcome"]["subset"] = 4

    real_project.edit_config(smaller)
    real_project.snakemake()
    assert real_project.planned() == {}
    shutil.rmtree(real_project.folder / "results/packages")
    assert real_project.planned() == {}

    [losses] = real_project.files("adapters/*/*/*/*/loss.csv")
    course = pd.read_csv(losses).dropna(subset=["validation_loss"])
    assert course["validation_loss"].iloc[-1] < course["validation_loss"].iloc[0] - 0.1

    [manifest] = real_project.files("datasets/outcome/manual/manifest.json")
    assert json.loads(manifest.read_text())["examples"] == {"train": 100, "validation": 50, "test": 100}

    everything = pd.read_parquet(real_project.folder / "results/tables/predictions.parquet")
    assert everything["base_model"].value_counts().to_dict() == {"baseline": 5 * 4, "smollm2-135m": 2 * 4}
    predictions = everything[everything["base_model"] == "smollm2-135m"]
    texts = predictions.pivot_table(index="id", columns="run", values="prediction", aggfunc="first")
    assert (texts.nunique(axis=1) == 2).all()
    assert predictions["prediction"].str.len().gt(20).all()

    scores = pd.read_csv(real_project.folder / "results/tables/scores.csv")
    assert set(scores["scorer"] + "/" + scores["metric"]) == {
        "rouge/rouge1",
        "rouge/rouge2",
        "rouge/rougeL",
        "rouge/rougeLsum",
        "exact_match/exact_match",
        "sbert/cosine",
    }
    cosine = scores[(scores["metric"] == "cosine") & (scores["base_model"] == "smollm2-135m")]["mean"]
    assert cosine.between(0.2, 1).all()

    adapter_loads_outside_of_loragrid(real_project.folder, losses.parent)


def adapter_loads_outside_of_loragrid(folder, adapter):
    # adapter_config.json names its base model relative to the project.
    base = folder / json.loads((adapter / "adapter_config.json").read_text())["base_model_name_or_path"]
    model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32), adapter)
    ids = AutoTokenizer.from_pretrained(base)("Language models are", return_tensors="pt")
    with torch.inference_mode():
        adapted = model(**ids).logits
        with model.disable_adapter():
            assert not torch.allclose(adapted, model(**ids).logits)


# Python runs a file of this name at its start: so a prediction does not come to its end before it is killed.
TWO_ANSWERS = """
import sys, time
if sys.orig_argv[-1].endswith(".predict.py"):
    from loragrid import inference
    append, kept = inference.append_to_journal, []
    def append_two(*entry):
        if len(kept) == 2:
            time.sleep(3600)
        append(*entry)
        kept.append(entry)
    inference.append_to_journal = append_two
"""


def test_prediction_that_is_killed_many_times_computes_no_example_twice_and_ends_as_if_it_was_not(real_project):
    kills, prompts = 20, 50

    def one_at_a_time(config):
        config["models"]["smollm2-135m"]["engine"] = {"type": "hf", "batch_tokens": 1}
        config["tasks"]["outcome"] |= {"subset": prompts, "max_new_tokens": 8}

    real_project.edit_config(one_at_a_time)
    target = "results/predictions/outcome/manual/smollm2-135m/base.jsonl"
    file, copy = real_project.folder / target, real_project.folder / "uninterrupted.jsonl"
    real_project.snakemake(target)
    assert not real_project.files(".state/predictions/*")
    file.rename(copy)
    uninterrupted = read_lines(copy)

    hooks = real_project.folder / "hooks"
    hooks.mkdir()
    (hooks / "sitecustomize.py").write_text(TWO_ANSWERS)
    chance = random.Random(4)
    for answer in uninterrupted[:kills]:
        kill_prediction(real_project, target, chance.uniform(0, answer["runtime_s"]), hooks)
        assert not file.exists()
    [journal] = real_project.files(".state/predictions/*.jsonl")
    kept = [answer for entry in read_lines(journal) for answer in entry.items()]
    finished = dict(kept)
    assert kills <= len(finished) == len(kept) <= 2 * kills < prompts

    real_project.snakemake(target)
    [log] = real_project.files("logs/predictions/outcome/manual/smollm2-135m/base.log")
    assert f"going on after {len(finished)} of {prompts} prompts" in log.read_text()
    resumed = read_lines(file)
    assert {a["runtime_s"] for a in finished.values()} <= {answer["runtime_s"] for answer in resumed}
    no_times = {"queue_s": 0, "compute_s": 0, "runtime_s": 0}
    assert [answer | no_times for answer in resumed] == [answer | no_times for answer in uninterrupted]
    assert not real_project.files(".state/predictions/*")


def read_lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def kill_prediction(project, target, delay_s, hooks):
    """Start a prediction and kill its job a while after it has finished one more example."""

    def finished():
        return sum(path.read_bytes().count(b"\n") for path in project.files(".state/predictions/*.jsonl"))

    before = finished()
    command = [sys.executable, "-m", "snakemake", "--cores", "1", target]
    environment = os.environ | {"PYTHONPATH": f"workflow/scripts{os.pathsep}{hooks}"}
    workflow = subprocess.Popen(
        command, cwd=project.folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    until = time.monotonic() + 600
    while finished() == before:
        assert workflow.poll() is None, workflow.communicate()
        assert time.monotonic() < until
        time.sleep(0.01)
    # Any moment will do.
    time.sleep(delay_s)
    [job] = [p for p in psutil.Process(workflow.pid).children(recursive=True) if "predict.py" in " ".join(p.cmdline())[-40:]]
    job.kill()
    said, _ = workflow.communicate()
    assert workflow.returncode != 0, said
