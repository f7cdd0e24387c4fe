"""Likelihoods in the whole workflow: what is measured, what is scored from it, and what brings it back."""

import json

import pandas as pd

RENEWED = {"describe_model": 4, "analyse": 1, "report": 1}
CHOICES = ["{{ input | upper }}", "{{ input }}"]


def rows_of(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_likelihoods_are_measured_for_the_scorers_that_read_them_and_come_back_when_deleted(changeable):
    def add(config):
        config["scorers"] |= {"likely": {"type": "likelihood"}, "case": {"type": "choice", "choices": CHOICES}}
        for task in config["tasks"].values():
            task["scorers"] += ["likely", "case"]

    changeable.edit_config(add)
    assert changeable.planned() == {"measure_likelihoods": 6, "score": 12, **RENEWED}
    changeable.snakemake()
    assert changeable.planned() == {}

    files = changeable.files("likelihoods/*/*/*/*.jsonl")
    assert len(files) == 6
    for path in files:
        by_example = pd.DataFrame(rows_of(path)).groupby("id")
        assert len(by_example) == 4
        # The reference is one of the choices.
        assert set(by_example.size()) == {2}
        assert set(by_example["is_reference"].sum()) == {1}
    scores = pd.read_csv(changeable.folder / "results/tables/scores.csv")
    found = scores[scores["scorer"].isin(["likely", "case"])]
    assert set(found["metric"]) == {
        *("loss", "bits_per_byte", "perplexity", "corpus_bits_per_byte"),
        *("accuracy", "accuracy_norm", "accuracy_bytes", "brier", "ece"),
    }
    assert found["mean"].notna().all()
    # What a model has learnt to say has become likelier.
    loss = found[(found["metric"] == "loss") & (found["task"] == "shout")].set_index("run")["mean"]
    assert loss[[run for run in loss.index if run.startswith("shout__")]].max() < loss["base"]

    [base] = changeable.files("likelihoods/shout/gold/tiny/base.jsonl")
    before = base.read_bytes()
    base.unlink()
    assert {"measure_likelihoods": 1, "score": 2}.items() <= changeable.planned().items()
    changeable.snakemake("likelihoods")
    assert base.read_bytes() == before
