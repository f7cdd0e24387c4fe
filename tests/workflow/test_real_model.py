"""The main path on the real model and real data."""

import json
import shutil

import pandas as pd
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
